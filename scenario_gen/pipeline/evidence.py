"""Strategies held against something on the same paths: null strategies, holding, each other, history, their own grid.

Puts the inference of the backtest room in order for one scenario: each strategy is run once more with every trade and
every bar's equity at hand. Computes nothing itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.engine import BacktestResult, trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.inference.nulls import BUY_AND_HOLD, buy_and_hold, random_entries
from scenario_gen.backtest.inference.paired import PairedComparison, compare_each_other, compare_with
from scenario_gen.backtest.inference.skill import Skill, judge_together, skill
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.overfitting.stability import parameter_stability
from scenario_gen.backtest.tail.causes import Played, costs_by_bar, tail_causes
from scenario_gen.backtest.tail.drawdowns import ruin_curves, summarise_drawdowns
from scenario_gen.backtest.tail.losses import tail_losses, terminal_returns, worst_bar
from scenario_gen.backtest.tail.marker import Marker, Stretch, historical_marker
from scenario_gen.generators.base import Advance
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.choices import choices, simple_returns, tried_paths
from scenario_gen.progress import Progress
from scenario_gen.store.results import StrategyResult
from scenario_gen.store.strategies import Tail

MAX_PATHS = 10_000  # the first of a scenario: whole paths and all trades of one strategy are held in memory
MAX_EACH_OTHER = 12  # strategies that are compared pair by pair; of more, each with holding alone
SHORTEST_CONTEXT = 3  # bars that show a standard deviation


def with_evidence(
    ground: Ground,
    paths: PathSet,
    strategies: Sequence[LoadedStrategy],
    results: Sequence[StrategyResult],
    progress: Progress,
    title: str,
) -> list[StrategyResult]:
    """Return the results with skill, paired comparisons, tail, markers and the luck of the choice.

    Args:
        ground: context, history and account.
        paths: whole paths; at most ``MAX_PATHS``.
        strategies: in the order of the results.
        results: what is known so far.
        progress: who hears of stages.
        title: of the stage.

    Raises:
        StrategyError: a strategy raised on real bars, or answered something unusable.
    """
    judged = []
    metrics: dict[str, pd.DataFrame] = {}
    tried: dict[str, list[NDArray[np.float32]]] = {}  # by use
    sets = Counter(strategy.use for strategy in strategies)
    skills: dict[str, Skill] = {}
    with progress.stage(title, 2 * len(strategies)) as advance:
        for strategy, known in zip(strategies, results, strict=True):
            ran = trade(strategy, ground, paths)
            metrics[strategy.name] = ran.metrics
            few = tried_paths(sets[strategy.use], paths.horizon)
            tried.setdefault(strategy.use, []).append(simple_returns(ran.equity[:few]))
            if len(paths) > 1:
                null = random_entries(ran, paths, ground.broker, seed=ground.seed)
                skills[strategy.name] = skill(ran.metrics["total_return"].to_numpy(), null)
            judged.append(
                replace(known, tail=_tail(ground, paths, ran), marker=_markers(ground, paths.horizon, strategy, ran))
            )
            advance(1)
        found = _with_choices(ground, tried, strategies, judged, metrics, advance)
    together, pairs = judge_together(skills), _pairs(ground, paths, metrics)
    return [
        replace(one, nulls=together.get(one.name), paired=[pair for pair in pairs if pair.strategy == one.name])
        for one in found
    ]


def _with_choices(
    ground: Ground,
    tried: dict[str, list[NDArray[np.float32]]],
    strategies: Sequence[LoadedStrategy],
    results: Sequence[StrategyResult],
    metrics: dict[str, pd.DataFrame],
    advance: Advance,
) -> list[StrategyResult]:
    by_use: dict[str, list[LoadedStrategy]] = {}
    for strategy in strategies:
        by_use.setdefault(strategy.use, []).append(strategy)
    found = {}
    for use, sets in by_use.items():
        returns = np.stack([metrics[one.name]["total_return"].to_numpy() for one in sets])
        surface = parameter_stability([one.params for one in sets], returns)
        choice = choices(sets, ground, np.stack(tried.pop(use), axis=2))
        found[use] = replace(choice, shape=surface.shape, advantage=surface.advantage, kept=surface.kept)
        advance(len(sets))
    return [replace(one, overfitting=found[one.use]) for one in results]


def _pairs(ground: Ground, paths: PathSet, metrics: dict[str, pd.DataFrame]) -> list[PairedComparison]:
    """Compare every strategy with holding and, where they are few, with every other one."""
    held = buy_and_hold(ground, paths)
    beside = compare_with({**metrics, BUY_AND_HOLD: held.metrics}, BUY_AND_HOLD)
    return [*beside, *(compare_each_other(metrics) if len(metrics) <= MAX_EACH_OTHER else ())]


def _tail(ground: Ground, paths: PathSet, ran: BacktestResult) -> Tail:
    closes = ground.context.close
    causes = None
    if len(closes) >= SHORTEST_CONTEXT:
        costs = costs_by_bar(ran.trades, paths.path_ids, paths.horizon)
        causes = tail_causes(Played(ran.equity, ran.exposure, costs, paths.column("open"), paths.close, closes))
    return Tail(
        worst_bar=tail_losses(worst_bar(ran.equity)),
        drawdowns=summarise_drawdowns(ran.equity),
        ruin=ruin_curves(ran.equity),
        causes=causes,
        paths=len(paths),
    )


def _markers(ground: Ground, horizon: int, strategy: LoadedStrategy, ran: BacktestResult) -> list[Marker]:
    """Place what the strategy really made: on the bars before the paths, and on those that came after."""
    markers, seen = [], len(ground.context)
    before = len(ground.history) - horizon
    if before >= seen:
        warm, last = ground.history.rows(before - seen, before), ground.history.rows(before, before + horizon)
        markers.append(_marker(ground.behind(warm), strategy, ran.equity, last, "context"))
    if len(ground.later):
        markers.append(_marker(ground, strategy, ran.equity, ground.later, "continuation"))
    return markers


def _marker(
    ground: Ground, strategy: LoadedStrategy, equity: NDArray[np.float32], real: Candles, stretch: Stretch
) -> Marker:
    bars = len(real)
    made = trade(strategy, ground, ground.real(real))
    return historical_marker(
        float(made.metrics["total_return"].iloc[0]),
        terminal_returns(equity[:, : bars + 1]),
        stretch=stretch,
        metric="Total return",
        real_bars=bars,
        path_bars=bars,
    )
