"""Scenarios weighed by views, crises replayed, and the generators' answers to shocks in their contexts.

Nothing is sampled, checked or backtested again: blocks are copied with their weights, so that every later stage reads
them like any other. Computes no weight itself (:mod:`scenario_gen.stress.views`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.candles.check import CandleRules, none_left
from scenario_gen.errors import DataError, ScenarioError
from scenario_gen.finding import Finding
from scenario_gen.generators.base import Generator, InUnits, Wrapper, sample_blocks, to_be_fitted
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import fit_garch
from scenario_gen.generators.sections import MIN_FIT
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles, Scale
from scenario_gen.market.paths import PathSet, joined
from scenario_gen.pipeline.blocks.block import FinishedBlock, block_indices
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.stats.estimate import mean, quantile
from scenario_gen.store.folder import RunFolder
from scenario_gen.stress.replay import Replayed, ReplayedStrategy, ReplayResult, together
from scenario_gen.stress.response import (
    BARS,
    BothWays,
    ShockResponse,
    expected_squares,
    impulses,
    past_response,
    response_findings,
    unread_bars,
)
from scenario_gen.stress.search import BEFORE, deepest_fall
from scenario_gen.stress.shocked import on_paths, shocked
from scenario_gen.stress.views import (
    Floats,
    Reweighed,
    ViewError,
    functionals,
    moved,
    numbers_of,
    prior_of,
    reach_finding,
    reached,
    relative_entropy,
    reweighted,
    weighting_of,
)


def weigh_by_views(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Weigh the paths of other scenarios for every scenario that has views on them.

    Raises:
        CheckError: no weights make every view true; the message says where the view stands and what can be attained.
        StoreError: the disk refuses.
    """
    asked = [ground for ground in study.grounds if ground.scenario.reweight is not None]
    reweighed, findings = {}, []
    with study.progress.stage("weighing by views", len(asked)) as advance:
        for ground in asked:
            source = next(other for other in study.grounds if other.name == ground.scenario.reweight)
            try:
                reweighed[ground.name] = _weigh(ground, source, study.strategies, study.store)
            except ScenarioError as error:
                keys = ("views", error.place) if isinstance(error, ViewError) else ("reweight",)
                error.problem = f"{study.place(ground.name, *keys)}: {error.problem}"
                raise
            findings.append(reach_finding(ground.name, reweighed[ground.name]))
            advance(1)
    return replace(results, reweighed=reweighed), findings


def _weigh(ground: Prepared, source: Prepared, strategies: Sequence[LoadedStrategy], store: RunFolder) -> Reweighed:
    """Weigh the paths of one scenario for another, block by block: once to measure them, once to copy them."""
    reweighed, after = weighed(ground, source, strategies, store)
    if after.weights is None or after.held is None:
        raise AssertionError("views give weights")
    _copy(ground, source, store, after.weights, after.held)
    return reweighed


def weighed(
    ground: Prepared, source: Prepared, strategies: Sequence[LoadedStrategy], store: RunFolder
) -> tuple[Reweighed, PathSet]:
    """Return what a scenario's views do to the paths of another, and these without bars, weighed by them."""
    parts, measured, metrics = [], [], []
    for index in block_indices(source, store):
        part = FinishedBlock.load(source, store, index)
        measured.append(functionals(part.paths, source.bars_per_year))
        metrics.append(part.metrics)
        parts.append(part.without_bars().paths)
    paths = joined(parts)
    every = {name: np.concatenate([each[name] for each in measured]) for name in measured[0]}
    numbers = numbers_of(every, _by_strategy(pd.concat(metrics), strategies))
    prior = prior_of(paths)
    views = ground.scenario.views
    weights, held = reweighted(views, numbers, prior)
    after = replace(paths, weights=weights, held=held)
    reweighed = Reweighed(
        base=source.name,
        views=reached(views, numbers, prior, weights),
        moved=moved(every, paths.weighting, after.weighting),
        entropy=relative_entropy(weights, prior),
        weighting=weighting_of(after),
        alike_before=weighting_of(paths).alike,
    )
    return reweighed, after


def _copy(ground: Prepared, source: Prepared, store: RunFolder, weights: Floats, held: Floats) -> None:
    """Write the blocks of a scenario as those of another, with the weights of their paths."""
    start = 0
    for index in block_indices(source, store):
        part = FinishedBlock.load(source, store, index)
        rows = slice(start, start + len(part.paths))
        weighed = replace(part.paths, weights=weights[rows], held=held[rows])
        replace(part, paths=weighed, island=None).save(store, ground.name, index)
        start = rows.stop


def _by_strategy(metrics: pd.DataFrame, strategies: Sequence[LoadedStrategy]) -> dict[str, pd.DataFrame]:
    rows = dict(list(metrics.groupby("strategy")))
    return {strategy.name: rows[place] for place, strategy in enumerate(strategies) if place in rows}


# --- The stage that replays what happened once, for every strategy: beside the scenarios, never pooled with them ---


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


# --- The stage that asks how generators answer shocks in their contexts: pairs of paths of the same random numbers ---


MOST_PAIRS = 512
FIT_BARS = 1000  # of the closed form


def answer_shocks(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Compare the paths of every shocked context with those of the context without the shock, path by path."""
    asked = [ground for ground in study.grounds if ground.calm is not None]
    if not asked:
        return results, []
    parts, findings = {}, list[Finding]()
    with study.progress.stage("answers to shocks", len(asked)) as advance:
        for ground in asked:
            response = _response(ground, study.strategies)
            parts[ground.name] = {"response": response}
            findings += response_findings(ground.name, response)
            advance(1)
    study.clock.lap("answers to shocks")
    return results.amended(parts), findings


def _response(ground: Prepared, strategies: Sequence[LoadedStrategy]) -> ShockResponse:
    stress = ground.scenario.context
    if ground.calm is None or stress is None:
        raise ValueError(f"{ground.name} has no shock")
    generator, history = ground.calm
    context = history.context(len(ground.context))
    after, before = _paths(ground, ground.generator, ground.history), _paths(ground, generator, history)
    both = np.intersect1d(after.path_ids, before.path_ids)
    after, before = after.select(both), before.select(both)
    answers, volatility = impulses(after, before, Scale.of(context))
    changed = max(shock.bars_back for shock in stress.shocks)
    moved = np.log(ground.context.close[-1] / context.close[-1])
    usual = np.diff(np.log(history.close[-BEFORE - 1 :])).std()
    prices = any(shock.kind != "liquidity" for shock in stress.shocks)
    unread = _reader(ground.generator)
    return ShockResponse(
        shocks=[shock.in_words for shock in stress.shocks],
        normaliser=stress.normaliser or "frozen",
        paths=len(both),
        size=float(moved / usual) if usual > 0 else 0.0,
        unit=float(ground.context.volatility / context.volatility),
        shocked=changed,
        unread=0 if unread is None else unread_bars(unread.unread(ground.context), changed),
        impulses=answers,
        volatility=volatility,
        closed_form=_closed_form(ground, history),
        history=past_response(history, falls=moved < 0, seed=ground.seed) if prices else None,
        strategies=_both_ways(ground, strategies, after, before),
    )


def _both_ways(
    ground: Prepared, strategies: Sequence[LoadedStrategy], after: PathSet, before: PathSet
) -> list[BothWays]:
    """Return every strategy on paths as they are, with the shock on them, and with the shock in their context."""
    if ground.calm is None or ground.scenario.context is None:
        raise ValueError(f"{ground.name} has no shock")
    history = ground.calm[1]
    calm = replace(ground, context=history.context(len(ground.context)), history=history)
    posthoc = on_paths(before, ground.scenario.context.shocks, calm.context, ground.seed)
    ways = []
    for strategy in strategies:
        returns = [
            trade(strategy, here, paths).metrics["total_return"].to_numpy(dtype=np.float64)
            for here, paths in ((calm, before), (calm, posthoc), (ground, after))
        ]
        apart = mean(returns[2] - returns[1])
        ways.append(BothWays(strategy.name, mean(returns[0]), mean(returns[1]), mean(returns[2]), apart))
    return ways


def _paths(ground: Prepared, generator: Generator, history: Candles) -> PathSet:
    """Return the first paths from the end of a history, repaired: those of the scenario's own random numbers."""
    paths = ground.scenario.paths
    context = history.context(len(ground.context))
    draws = Draws.block(paths.seed, 0, min(paths.block, MOST_PAIRS))
    raw = generator.sample(context, ground.timestamps, draws)
    rules = CandleRules.of(
        context, len(ground.timestamps), market=ground.scenario.market, history=history, calendar=ground.calendar
    )
    return rules.check(raw.select(raw.path_ids[: min(paths.count, len(raw))]), "repair", measured=0).paths


def _reader(generator: Generator) -> InUnits | None:
    """Return the generator inside all wrappers, where it reads a context in units of its own."""
    while isinstance(generator, Wrapper):
        generator = generator.inner
    return generator if isinstance(generator, InUnits) else None


def _closed_form(ground: Prepared, history: Candles) -> list[float]:
    """Return what a GARCH fitted without the shock expects of volatility after it, as a log ratio by bar."""
    stress = ground.scenario.context
    if len(history) < MIN_FIT or stress is None:
        return []
    try:
        fit = fit_garch(history, asymmetric=False, most=FIT_BARS)
    except DataError:
        return []
    bars, back = min(BARS, len(ground.timestamps)), max(shock.bars_back for shock in stress.shocks)
    recursion = fit.filtered.recursion
    returns = [np.diff(np.log(one.close[-back - 1 :])) for one in (history, shocked(history, stress.shocks))]
    start = fit.filtered.variance  # after the last bar: undone bar by bar, to be what stood before the shocked ones
    for value in returns[0][::-1]:
        start = float((start - recursion.news(np.array([value]))[0]) / recursion.beta) if recursion.beta > 0 else start
    ends = [float(recursion.filter(values, start)[-1]) for values in returns]
    calm, loud = (expected_squares(replace(fit, filtered=replace(fit.filtered, variance=end)), bars) for end in ends)
    return [float(f"{value:.6g}") for value in 0.5 * np.log(loud / calm)]
