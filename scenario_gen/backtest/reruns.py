"""The same strategy on the same paths again, with one thing changed: what a bar hides, and how much history it sees.

Stop and target in one bar: a candle does not say which came first, so both orders are tried, and chance. And whether
the context was long enough: how many decisions on the path change with less, or more, history; a strategy that is warm
decides the same whatever came long before. Knows nothing of reports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.answers import Decisions, ask, changed, decide
from scenario_gen.backtest.book import AnyGround, AnyPaths, BookGround, by_path, signals_on_book
from scenario_gen.backtest.engine import bars_of, chunks, market_of, metrics_of, seen_bars, wanted_of
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.ledger import ledger_signals
from scenario_gen.backtest.loader import LoadedStrategy, method_of
from scenario_gen.backtest.orders import Costs, Quotes, SignalOrders
from scenario_gen.backtest.survey import frames_of
from scenario_gen.errors import StrategyError
from scenario_gen.market.book import BookPaths
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet

STREAM = 0x1B  # keeps these coins apart from every other use of the same seed


@dataclass(frozen=True)
class IntrabarOrders:
    """The same strategy on the same paths, with another belief about the inside of bars.

    Where the open is beyond a level, it is known to have come first; a bar is ambiguous where stop and target both
    lie in it and the open between them. ``worst`` is what a run computes: stops first, as vectorbt has it, even
    where the open is beyond the target.
    """

    trades: int  # round trips in the worst order
    ambiguous: int  # of those, how many met stop and target in one bar with the open between them
    worst: pd.DataFrame  # metrics [path] with the stop first, index path_id, columns as in ``METRICS``
    best: pd.DataFrame  # the same with the target first
    random: pd.DataFrame  # the same with a fair coin for every bar, drawn from the seed and the path's id

    @property
    def share(self) -> float | None:
        """Ambiguous trades as a share of all; None without trades."""
        return self.ambiguous / self.trades if self.trades else None


def intrabar_orders(strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths) -> IntrabarOrders | None:
    """Backtest a strategy with the stop first, with the target first, and with a coin for each bar.

    Args:
        strategy: what to run.
        ground: the real bars before the paths and the account, of one asset or of several; its seed is the coins'.
        paths: the generated bars of the same.

    Returns:
        None where the order cannot matter: the strategy is none of signals, or sets no stop or no target.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
    """
    if method_of(strategy) != "signals":
        return None
    pieces = []
    for chunk in chunks(ground.context, paths):
        piece = _all_orders(*_asked(strategy, ground, paths, chunk), ground, paths.path_ids[chunk])
        if piece is not None:
            pieces.append(piece)
    if not pieces:
        return None
    return IntrabarOrders(
        trades=sum(piece.trades for piece in pieces),
        ambiguous=sum(piece.ambiguous for piece in pieces),
        worst=pd.concat([piece.worst for piece in pieces]),
        best=pd.concat([piece.best for piece in pieces]),
        random=pd.concat([piece.random for piece in pieces]),
    )


def worst_fills(
    strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Backtest a strategy with its stops filled at their levels, and at the worst price of the bar that reaches them.

    Returns:
        Metrics [path] of both, columns as in ``METRICS``; None where the strategy is none of signals, or sets no stop.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
    """
    if method_of(strategy) != "signals":
        return None
    pieces: list[list[pd.DataFrame]] = []
    for chunk in chunks(ground.context, paths):
        market, wanted, costs = _asked(strategy, ground, paths, chunk)
        if np.isnan(wanted.stop_loss).all():
            continue
        ledgers = [
            ledger_signals(market, wanted, ground.broker, ground.bars_per_year, at_worst=at_worst, costs=costs)[0]
            for at_worst in (False, True)
        ]
        ids = paths.path_ids[chunk]
        outcomes = [by_path(ledger.outcome(), costs.assets) for ledger in ledgers]
        pieces.append([metrics_of(outcome, ids, ground.bars_per_year) for outcome in outcomes])
    if not pieces:
        return None
    level, worst = (pd.concat(list(each)) for each in zip(*pieces, strict=True))
    return level, worst


def _asked(
    strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths, chunk: slice
) -> tuple[Quotes, SignalOrders, Costs]:
    """Return the bars of some paths as the broker sees them, what the strategy wants on them, and what that costs."""
    if isinstance(ground, BookGround):
        assert isinstance(paths, BookPaths)
        return signals_on_book(strategy, ground, paths.select(paths.path_ids[chunk]))
    assert isinstance(paths, PathSet)
    bars, seen = bars_of(ground, paths, chunk), seen_bars(ground, paths, chunk)
    shown = bars if seen is None else seen
    terms = ground.terms_of(paths, chunk)
    wanted = wanted_of(strategy, ask(strategy, "signals", shown.lent()), shown, ground.broker)
    market = market_of(bars, slice(bars.context_bars, None), terms)
    return market, wanted.fillable(shorts=ground.broker.shorts), Costs.of(ground.broker)


def _all_orders(
    market: Quotes, wanted: SignalOrders, costs: Costs, ground: AnyGround, path_ids: NDArray[np.int64]
) -> IntrabarOrders | None:
    broker = ground.broker
    if np.isnan(wanted.stop_loss).all() or np.isnan(wanted.take_profit).all():
        return None
    coins = _coins(path_ids, len(market.close), ground.seed, costs.assets) < 0.5
    metrics, trades, ambiguous = [], 0, 0
    for target_first in (None, np.ones_like(coins), coins):
        ledger, watch = ledger_signals(market, wanted, broker, ground.bars_per_year, target_first, costs=costs)
        outcome = by_path(ledger.outcome(), costs.assets)
        metrics.append(metrics_of(outcome, path_ids, ground.bars_per_year))
        if target_first is None:
            trades, ambiguous = len(outcome.trades), int(watch.both.sum())
    worst, best, chance = metrics
    return IntrabarOrders(trades, ambiguous, worst, best, chance)


def _coins(path_ids: NDArray[np.int64], bars: int, seed: int, assets: int) -> Floats:
    """Return uniforms, float64 [bar, column]: a path's are the same in whatever company."""
    draws = [np.random.default_rng([STREAM, seed, int(path_id)]).random((bars, assets)) for path_id in path_ids]
    return np.concatenate(draws, axis=1)


# --- Less, or more, history ---


PATHS = 32
STEP = 0.25  # of the context's bars, less and more
# Exponential averages never forget wholly: numbers that differ by less than a thousandth are the same decision.
SAME = 1e-3


@dataclass(frozen=True)
class WarmUp:
    """How decisions on the path depend on the length of the context.

    A decision is what the strategy says at one bar of one path: all its fields together.
    """

    context_bars: int  # how many there were
    # share of decisions that change with 25 % fewer of them, in [0, 1]; None where that leaves no bar
    less: float | None
    more: float | None  # the same with 25 % more; None where no older bars were given
    fields: dict[str, tuple[float | None, float | None]]  # for each field that changed, its share (less, more)
    paths: int  # how many paths were looked at
    failed: str = ""  # what the strategy raised on less or more history; empty where it did not


def warm_up(strategy: LoadedStrategy, ground: AnyGround, paths: AnyPaths) -> WarmUp:
    """Count the decisions on the path that change with a quarter less, and a quarter more, context.

    Args:
        strategy: whom to ask.
        ground: the real bars before the paths, and the account that a ``portfolio`` strategy is given.
        paths: generated bars; the first 32 paths are used.

    Raises:
        StrategyError: the strategy raised on the context as it is, or returned something unusable.
    """
    used, bars = paths.first(PATHS), len(ground.context)

    def decided(before: AnyGround) -> Decisions:
        """Return the decisions from the last context bar on."""
        shown = frames_of(before, used)
        answer = decide(strategy, shown, ground.broker)
        return {name: values[shown.context_bars - 1 :] for name, values in answer.items()}

    now, failed = decided(ground), ""
    masks: list[dict[str, NDArray[np.bool_]] | None] = [None, None]
    for place, context_of in enumerate((_shorter, _longer)):
        other = _behind(ground, context_of)
        if other is None:
            continue
        try:
            masks[place] = changed(now, decided(other), SAME)
        except StrategyError as error:
            failed = failed or error.problem
    less, more = masks
    names = [name for name in now if any(mask is not None and mask[name].any() for mask in masks)]
    return WarmUp(
        context_bars=bars,
        less=_any_share(less),
        more=_any_share(more),
        fields={name: (_share(less, name), _share(more, name)) for name in names},
        paths=len(used),
        failed=failed,
    )


def _behind(ground: AnyGround, context_of: Callable[[Ground], Candles | None]) -> AnyGround | None:
    """Return a ground with other bars before the paths, of each asset; None where some asset has none."""
    if isinstance(ground, Ground):
        context = context_of(ground)
        return None if context is None else ground.behind(context)
    contexts = {asset: context for asset, own in ground.grounds.items() if (context := context_of(own)) is not None}
    return ground.behind(contexts) if len(contexts) == len(ground.grounds) else None


def _shorter(ground: Ground) -> Candles | None:
    """Return the context without its oldest quarter, where that leaves a bar."""
    bars, step = len(ground.context), round(STEP * len(ground.context))
    return ground.context.rows(step, bars) if 0 < step < bars else None


def _longer(ground: Ground) -> Candles | None:
    """Return the context with a quarter more bars before it, where there are as many."""
    bars, step = len(ground.history), round(STEP * len(ground.context))
    first = bars - len(ground.context) - step
    return None if first < 0 or step == 0 else ground.history.rows(first, bars)


def _share(masks: dict[str, NDArray[np.bool_]] | None, name: str) -> float | None:
    return None if masks is None else float(masks[name].mean())


def _any_share(masks: dict[str, NDArray[np.bool_]] | None) -> float | None:
    return None if masks is None else float(np.any(list(masks.values()), axis=0).mean())
