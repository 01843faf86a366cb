"""Shocks on paths, and shocks that are written into the last bars of a context, so that the generator answers them.

Owns in which order they act, and the arithmetic on the context; what a shock on the context is stands in ``crises``
beside the section that holds it. Bars before the first shocked one stay as they are, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from scenario_gen.generators.base import RelativePaths
from scenario_gen.market.candles import Candles, chain
from scenario_gen.market.paths import Floats, PathSet, TradingTerms
from scenario_gen.stress.crises import ContextShock
from scenario_gen.stress.moves import Moves, Setting, strength
from scenario_gen.stress.shock import Shock
from scenario_gen.stress.shocks import DriftShock, GapShock, LiquidityShock, VolatilityShock


def shocked_bars(
    paths: PathSet, shocks: Sequence[Shock], setting: Setting, reference: PathSet | None = None
) -> PathSet:
    """Return paths with their bars shocked, in the order of the shocks; the paths themselves where none moves a bar.

    Args:
        paths: valid candles; those without prices stay as they are.
        shocks: whose bars lie within the paths.
        setting: seed and units.
        reference: the ensemble whose means a shock keeps; default: the paths themselves.
    """
    relative = RelativePaths.of(paths)
    moves = first = Moves.of(relative.steps)
    known = relative if reference is None else RelativePaths.of(reference)
    pilot = Moves.of(known.steps[known.sound])
    for shock in shocks:
        moves, pilot = shock.moved(moves, pilot, setting), shock.moved(pilot, pilot, setting)
    return paths if moves is first else relative.chained(moves.steps, {}, moves.volume)


def terms_of(paths: PathSet, shocks: Sequence[Shock], setting: Setting) -> TradingTerms | None:
    """Return on which terms shocked paths are traded; None where the shocks leave that to the broker."""
    terms = TradingTerms()
    for place, shock in enumerate(shocks):
        terms = shock.traded(terms, paths, setting, place)
    return terms if terms.arrays() else None


# --- Contexts ---


def shocked(history: Candles, shocks: Sequence[ContextShock]) -> Candles:
    """Return a history whose last bars are shocked, in the order of the shocks.

    Args:
        history: real bars; every shock begins inside of them.
        shocks: a gap at one bar; volatility, drift and liquidity from one bar on to the end.
    """
    if not shocks:
        return history
    first = len(history) - max(shock.bars_back for shock in shocks)
    tail = history.rows(first - 1, len(history))  # the close before it, and the bars that change
    moves = calm = Moves.of(tail.log_steps[None])
    setting = Setting.of(history, 0)
    for shock in shocks:
        moves = _moved(moves, shock, setting.slope)
    values = history.values.copy()
    before = values[first:, :4].copy()
    still = np.array_equal(moves.steps, calm.steps)  # a shock on volume alone leaves prices to the last bit
    prices = before if still else chain(moves.steps, float(tail.close[0]))[0]
    values[first:, :4] = prices
    change = np.exp(moves.volume[0])
    if history.has_volume:
        values[first:, history.fields.index("volume")] *= change
    if "amount" in history.fields:
        gained = np.exp(np.log(prices / before).mean(axis=1))
        values[first:, history.fields.index("amount")] *= change * gained
    return replace(history, values=values)


def _moved(moves: Moves, shock: ContextShock, slope: float) -> Moves:
    start = moves.bars - shock.bars_back
    acts = strength(moves.bars, start, moves.bars, None)
    if shock.kind == "gap":
        return moves.gapped(start, float(np.log1p(shock.amount)), 0.0, 0)
    if shock.kind == "drift":
        return moves.drifted(float(np.log1p(shock.amount)), acts, by_range=False)
    times = 1.0 + (shock.amount - 1.0) * acts
    return moves.with_volume(times) if shock.kind == "liquidity" else _louder(moves, times, slope)


def _louder(moves: Moves, times: Floats, slope: float) -> Moves:
    """Multiply moves and wicks [bar]; volume follows ranges as it does in the history."""
    return Moves(
        moves.gap * times, moves.body * times, moves.upper * times, moves.lower * times,
        moves.volume + slope * np.log(times),
    )  # fmt: skip


def on_paths(paths: PathSet, shocks: Sequence[ContextShock], context: Candles, seed: int) -> PathSet:
    """Return paths with the same shocks written into their own bars, which no generator answers.

    Args:
        paths: of the context without shocks.
        shocks: each begins with the second bar, so that what was bought in the first is in it, and lasts as many bars
            as it does in a context.
        context: before the paths, without shocks.
        seed: of the paths.
    """
    first = min(1, paths.horizon - 1)
    each = [_section(shock, first, min(shock.bars_back, paths.horizon - first)) for shock in shocks]
    return shocked_bars(paths, each, Setting.of(context, seed))


def _section(shock: ContextShock, first: int, bars: int) -> Shock:
    kinds: Mapping[str, Callable[[], Shock]] = {
        "gap": lambda: GapShock(bar=first, size=shock.amount),
        "volatility": lambda: VolatilityShock(bar=first, bars=bars, times=shock.amount, martingale=False),
        "drift": lambda: DriftShock(bar=first, bars=bars, total=shock.amount),
        "liquidity": lambda: LiquidityShock(bar=first, bars=bars, volume=shock.amount, impact=0.0),
    }
    return kinds[shock.kind]()
