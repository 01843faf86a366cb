"""The stage that asks how generators answer shocks in their contexts: pairs of paths of the same random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.candles.check import CandleRules
from scenario_gen.errors import DataError
from scenario_gen.finding import Finding
from scenario_gen.generators.base import Generator, InUnits, Wrapper
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.garch import fit_garch
from scenario_gen.generators.sections import MIN_FIT
from scenario_gen.market.candles import Candles, Scale
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.study import Prepared, Results, Study
from scenario_gen.stats.estimate import mean
from scenario_gen.stress.contexts import on_paths, shocked
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
from scenario_gen.stress.search import BEFORE

MOST_PAIRS = 512
FIT_BARS = 1000  # of the closed form


def answer_shocks(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Compare the paths of every shocked context with those of the context without the shock, path by path."""
    asked = [ground for ground in study.grounds if ground.calm is not None]
    if not asked:
        return results, []
    seen = {scenario.name: scenario for scenario in results.scenarios}
    findings: list[Finding] = []
    with study.progress.stage("answers to shocks", len(asked)) as advance:
        for ground in asked:
            response = _response(ground, study.strategies)
            seen[ground.name] = replace(seen[ground.name], response=response)
            findings += response_findings(ground.name, response)
            advance(1)
    study.clock.lap("answers to shocks")
    return replace(results, scenarios=tuple(seen.values())), findings


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
