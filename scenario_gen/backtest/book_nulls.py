"""Strategies of a book held against something: equal weight that is held, their own decisions shuffled, history.

Shuffled decisions are those that the strategy makes on *another* future, filled at the same bars of this one: as many,
as large, on the same sides and assets, at the same costs, but without a look at this future. Where moves do not hang on
those before them, both have the same mean. What is decided by the context alone is the same on all futures and tells
nothing apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest import simulate
from scenario_gen.backtest.account import Floats, Ints
from scenario_gen.backtest.answers import ask, usable_weights
from scenario_gen.backtest.book import (
    BookBacktest,
    BookGround,
    book_bars,
    chunks_of,
    market_on,
    signals_on_book,
    trade_book,
)
from scenario_gen.backtest.engine import rows_filled
from scenario_gen.backtest.evidence import (
    MAX_PATHS,
    SHORTEST_CONTEXT,
    markers,
    simple_returns,
    tail_of,
    tried_paths,
    with_choices,
)
from scenario_gen.backtest.loader import LoadedStrategy, method_of
from scenario_gen.backtest.metrics import total_return
from scenario_gen.backtest.nulls import RandomEntries, partners
from scenario_gen.backtest.orders import Quotes, SignalOrders, WeightOrders
from scenario_gen.backtest.result import StrategyResult
from scenario_gen.backtest.skill import Skill, compare_with, judge_together, not_judged, skill
from scenario_gen.backtest.strategy import ASSET, Bars, Targets
from scenario_gen.backtest.tail.causes import Played, TailCauses, costs_by_bar, tail_causes
from scenario_gen.errors import SpecError
from scenario_gen.market.book import BookPaths

EQUAL_WEIGHT = "equal weight"
SHUFFLED = "its own decisions of other futures"
DRAWS = 5
JUDGED = 512  # futures at most whose decisions are shuffled: each is traded once more for every draw
CELLS = 20_000_000  # path x bar x asset: 160 MB each of what assets earned and what was held
SAME = 1e-12  # returns that differ by less are the same
OWN_ORDERS = "it fills its own orders (portfolio), which cannot be put on another future"
ALIKE = "its decisions are the same on all futures: there is nothing to shuffle"
WEIGHED = "shuffled decisions would be filled on futures that do not all stand for as much"


Wanted: TypeAlias = WeightOrders | SignalOrders


@dataclass(frozen=True)
class _EqualWeight:
    share: float  # of equity, all assets together

    def weights(self, bars: Bars) -> Targets:
        return Targets(bars.close * 0.0 + self.share / len(bars.assets), every=len(bars))


def equal_weight(ground: BookGround, paths: BookPaths) -> BookBacktest:
    """Backtest buying an even slice of every asset at the first fill and never selling, by the same broker.

    Where the broker limits the net to less than all equity, as much is bought.

    Raises:
        SpecError: the ground cannot carry a book.
    """
    rule = _EqualWeight(1.0 if ground.broker.net is None else min(1.0, ground.broker.net))
    return trade_book(LoadedStrategy(EQUAL_WEIGHT, "", {}, rule, Path(__file__)), ground, paths)


def shuffled_decisions(
    strategy: LoadedStrategy, ground: BookGround, paths: BookPaths, *, seed: int, draws: int = DRAWS
) -> RandomEntries:
    """Return what a strategy's decisions on other futures make of each future.

    Args:
        strategy: of signals or weights.
        ground: of the book.
        paths: at least two.
        seed: of the run.
        draws: how many other futures for each.

    Raises:
        StrategyError: the strategy raised, or returned something unusable.
        SpecError: fewer than two paths, orders that the strategy fills itself, or a ground that cannot carry a book.
    """
    if len(paths) < 2 or method_of(strategy) == "portfolio":
        problem = OWN_ORDERS if len(paths) > 1 else f"{len(paths)} paths came"
        raise SpecError(f"{strategy.name}: {problem}", expected="signals or weights, and decisions of other futures")
    owner, assets = partners(paths.path_ids, seed, draws), len(paths.assets)
    decided = _joined([wanted for _, wanted in _asked(strategy, ground, paths)])
    returns, start = np.zeros(owner.shape), 0
    for market, _ in _asked(strategy, ground, paths):
        rows = slice(start, start + market.close.shape[1] // assets)
        for draw in range(draws):
            theirs = _columns(decided, (owner[rows, draw][:, None] * assets + np.arange(assets)).ravel())
            returns[rows, draw] = _filled(ground, market, theirs)
        start = rows.stop
    return RandomEntries(returns, owner)


def with_book_evidence(
    ground: BookGround,
    paths: BookPaths,
    strategies: Sequence[LoadedStrategy],
    results: Sequence[StrategyResult],
    advance: Callable[[int], None],
    later: BookPaths | None = None,
) -> list[StrategyResult]:
    """Return the results with skill, beside equal weight path by path, tail, markers and the luck of the choice.

    Args:
        ground: of the book.
        paths: joint futures, see :func:`most_futures`; decisions of the first 512 are shuffled.
        strategies: in the order of the results.
        results: what is known so far.
        advance: is told of each strategy twice.
        later: what came after the context, as a book of one future; None where nothing is known.

    Raises:
        StrategyError: a strategy raised, or answered something unusable.
    """
    some, weights = paths.first(JUDGED), paths.weighting
    metrics: dict[str, pd.DataFrame] = {}
    tried: dict[str, list[NDArray[np.float32]]] = {}  # by use
    sets = Counter(strategy.use for strategy in strategies)
    skills: dict[str, Skill] = {}
    judged = []
    for strategy, known in zip(strategies, results, strict=True):
        traded = trade_book(strategy, ground, paths)
        ran = traded.result
        metrics[strategy.name] = ran.metrics
        few = tried_paths(sets[strategy.use], paths.horizon)
        tried.setdefault(strategy.use, []).append(simple_returns(ran.equity[:few]))
        tail = tail_of(ran, weights, _causes(ground, paths, traded))
        judged.append(replace(known, tail=tail, marker=markers(ground, strategy, ran, later, weights)))
        made = ran.metrics["total_return"].to_numpy(dtype=np.float64)[: len(some)]
        if weights is not None or method_of(strategy) == "portfolio":
            skills[strategy.name] = not_judged(len(some), OWN_ORDERS if weights is None else WEIGHED)
        elif len(some) > 1:
            null = shuffled_decisions(strategy, ground, some, seed=ground.seed)
            alike = bool((np.abs(null.returns - made[:, None]) <= SAME).all())
            skills[strategy.name] = not_judged(len(some), ALIKE) if alike else skill(made, null)
        advance(1)
    chosen = with_choices(ground, tried, strategies, judged, metrics, advance, weights)
    beside = {**metrics, EQUAL_WEIGHT: equal_weight(ground, paths).result.metrics}
    pairs, together = compare_with(beside, EQUAL_WEIGHT, weights=weights), judge_together(skills)
    return [
        replace(known, nulls=together.get(known.name), paired=[pair for pair in pairs if pair.strategy == known.name])
        for known in chosen
    ]


def most_futures(assets: int, horizon: int) -> int:
    """Return how many futures of a book are held in memory with what every asset earned in every bar."""
    return min(MAX_PATHS, max(JUDGED, CELLS // (assets * horizon)))


def _causes(ground: BookGround, paths: BookPaths, traded: BookBacktest) -> TailCauses | None:
    """Book the losses of the worst paths, each asset's by its own prices."""
    if min(len(asset.context) for asset in ground.grounds.values()) < SHORTEST_CONTEXT:
        return None
    ran, opened, closes = traded.result, paths.on_grid("open"), paths.on_grid("close")
    played = [
        Played(
            equity=ran.equity,
            exposure=traded.holding[:, :, place],
            costs=costs_by_bar(ran.trades[ran.trades[ASSET] == name], paths.path_ids, paths.horizon),
            opened=opened[:, :, place],
            close=closes[:, :, place],
            context_close=ground.grounds[name].context.close,
            profit=traded.profit[:, :, place],
        )
        for place, name in enumerate(traded.assets)
    ]
    return tail_causes(played, weights=paths.weighting)


def _asked(strategy: LoadedStrategy, ground: BookGround, paths: BookPaths) -> Iterator[tuple[Quotes, Wanted]]:
    """Yield the bars of some futures after the other as the broker sees them, and what is wanted on them."""
    for ids in chunks_of(ground, paths, None):
        some = paths.select(ids)
        if method_of(strategy) == "signals":
            market, wanted, _ = signals_on_book(strategy, ground, some)
            yield market, wanted
            continue
        bars, seen = book_bars(ground, some), book_bars(ground, some.as_seen)
        answer = ask(strategy, "weights", seen.lent())
        rows, shorts = rows_filled(bars, ground.broker), ground.costs(len(some)).shorts
        yield market_on(ground, bars, some), usable_weights(strategy, answer, bars, rows, ground.broker, shorts)


def _filled(ground: BookGround, market: Quotes, wanted: Wanted) -> Floats:
    """Return the total returns of accounts that want this, [path]."""
    costs = ground.costs(market.close.shape[1] // len(ground.assets))
    if isinstance(wanted, WeightOrders):
        filled = simulate.run_weights(market, wanted, ground.broker, ground.bars_per_year, costs)
    else:
        filled = simulate.run_signals(market, wanted, ground.broker, ground.bars_per_year, costs)
    return total_return(filled.account.equity)


def _joined(parts: Sequence[Wanted]) -> Wanted:
    """Return what is wanted on all futures."""
    names = _arrays(parts[0])
    arrays: dict[str, Any] = {n: np.concatenate([getattr(part, n) for part in parts], axis=1) for n in names}
    return replace(parts[0], **arrays)


def _columns(wanted: Wanted, columns: Ints) -> Wanted:
    arrays: dict[str, Any] = {name: getattr(wanted, name)[:, columns] for name in _arrays(wanted)}
    return replace(wanted, **arrays)


def _arrays(wanted: Wanted) -> list[str]:
    return [field.name for field in fields(wanted) if isinstance(getattr(wanted, field.name), np.ndarray)]
