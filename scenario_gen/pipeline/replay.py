"""The stage that replays what happened once, for every strategy: beside the scenarios, never pooled with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.candles.check import CandleRules, none_left
from scenario_gen.finding import Finding
from scenario_gen.generators.base import sample_blocks, to_be_fitted
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet, joined
from scenario_gen.pipeline.study import Prepared, Results, Study
from scenario_gen.stats.estimate import quantile
from scenario_gen.stress.replay import Replayed, ReplayedStrategy, ReplayResult, together
from scenario_gen.stress.search import deepest_fall

LEVELS = (0.05, 0.5, 0.95)


def replay_crises(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Run every strategy on every replay, and on what the generator continues it by; nothing is judged.

    Raises:
        CheckError: no path of a continuation is left, or the spec says ``fail`` and a candle rule is broken.
        StrategyError: a strategy raised on a replay.
    """
    if not study.replays:
        return results, []
    replays = []
    with study.progress.stage("replaying crises", len(study.replays)) as advance:
        for ground in study.replays:
            replays.append(_replayed(ground, study.strategies))
            study.clock.lap(f"replay {ground.name}")
            advance(1)
    return replace(results, replays=tuple(replays)), []


def _replayed(ground: Prepared, strategies: Sequence[LoadedStrategy]) -> ReplayResult:
    asked = ground.scenario.replay
    if asked is None:
        raise ValueError(f"{ground.name} is no replay")
    replayed = Replayed.of(asked, ground.history)
    stamps = ground.calendar.future(len(replayed) + asked.then)
    bars = replayed.after(ground.history, stamps[: len(replayed)])
    alone = ground.real(bars)
    longer = _continued(ground, bars, stamps[len(replayed) :])
    close = np.concatenate(([ground.anchor_close], bars.close))
    return ReplayResult(
        name=ground.name,
        crisis=replayed.crisis,
        source=replayed.source,
        scale=replayed.scale,
        factor=replayed.factor,
        capped=replayed.capped,
        bars=len(bars),
        first=stamps[0].isoformat(),
        last=bars.timestamps[-1].isoformat(),
        total_return=float(close[-1] / close[0] - 1),
        drawdown=float(deepest_fall(close[None])[0]),
        worst_bar=float((close[1:] / close[:-1]).min() - 1),
        close=[float(f"{price:.7g}") for price in close],
        generator=ground.scenario.generator.in_words if asked.then else "",
        then=asked.then,
        paths=0 if longer is None else len(longer),
        rejected=0 if longer is None else ground.scenario.paths.count - len(longer),
        trained_until=ground.generator.trained_until if asked.then else None,
        strategies=[_strategy(strategy, ground, alone, longer) for strategy in strategies],
    )


def _strategy(strategy: LoadedStrategy, ground: Prepared, alone: PathSet, longer: PathSet | None) -> ReplayedStrategy:
    ran = trade(strategy, ground, alone)
    figures = ran.metrics.iloc[0]
    then = {}
    if longer is not None:
        returns = trade(strategy, ground, longer).metrics["total_return"].to_numpy(dtype=np.float64)
        then = {str(level): quantile(returns, level) for level in LEVELS}
    return ReplayedStrategy(
        name=strategy.name,
        total_return=float(figures["total_return"]),
        max_drawdown=float(figures["max_drawdown"]),
        trades=len(ran.trades),
        then=then,
    )


def _continued(ground: Prepared, bars: Candles, stamps: pd.DatetimeIndex) -> PathSet | None:
    """Return paths that begin with the replayed bars and go on as the generator does from there; None for no bar."""
    if not len(stamps):
        return None
    scenario = ground.scenario
    history = together(ground.history, bars)
    context = history.context(scenario.bars.context)
    fitted = to_be_fitted(ground.generator)
    generator = ground.generator if fitted is None else fitted.fitted_to(history)
    calendar = BarCalendar.infer(history.timestamps, history.calendar)
    rules = CandleRules.of(context, len(stamps), market=scenario.market, history=history, calendar=calendar)
    plan = scenario.paths
    raw = sample_blocks(generator, context, stamps, seed=plan.seed, count=plan.count, size=plan.block)
    paths = joined([rules.check(part, scenario.checks.on_invalid, measured=0).paths for part in raw])
    if not len(paths):
        raise none_left(scenario.paths.count, ground.name)
    before = np.stack([bars.column(name) for name in paths.fields], axis=-1).astype(np.float32)
    return replace(
        paths,
        values=np.concatenate((np.repeat(before[None], len(paths), axis=0), paths.values), axis=1),
        timestamps=bars.timestamps.append(stamps),
        anchor_close=ground.anchor_close,
    )
