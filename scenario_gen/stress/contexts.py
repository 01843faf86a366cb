"""Shocks that are written into the last bars of a context, so that the generator answers them.

Owns the arithmetic on the context; what a shock on the context is stands in ``crises`` beside the section that holds
it. Bars before the first shocked one stay as they are, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scenario_gen.market.candles import Candles
from scenario_gen.market.relative import Floats, chain
from scenario_gen.stress.crises import ContextShock
from scenario_gen.stress.moves import Moves, Setting, strength


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
    moves = Moves.of(tail.log_steps[None])
    setting = Setting.of(history, 0)
    for shock in shocks:
        moves = _moved(moves, shock, setting.slope)
    prices = chain(moves.steps, float(tail.close[0]))[0]
    values = history.values.copy()
    before = values[first:, :4].copy()
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
