"""Shocked scenarios: whose paths they shock, and what that costs, pair by pair.

Owns where the unshocked paths come from: another scenario of the run that differs in shocks alone, else the scenario's
own generator. Candles are checked before the shocks, so that the account is about the generator; shocked ones are valid
by construction, counted all the same, and brought onto the market's ticks and limits. Computes no statistic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from scenario_gen.backtest.findings import ORDERS_PATHS
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.reruns import intrabar_orders, worst_fills
from scenario_gen.backtest.result import COLUMNS, ShockCost, ShockReport
from scenario_gen.candles.check import mend_paths
from scenario_gen.candles.rules import RULE
from scenario_gen.errors import CheckError, SpecError
from scenario_gen.finding import Finding
from scenario_gen.generators.base import Advance
from scenario_gen.generators.draws import Block, Draws, plan_blocks
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import history_of
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.blocks.block import Draw, Drawn, FinishedBlock, draw_block, first_paths, with_terms
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.reading.words import whole
from scenario_gen.spec.models import MAX_SEED
from scenario_gen.stats.estimate import Estimate, Floats
from scenario_gen.stats.means import MeanTest
from scenario_gen.store.columns import Columns, MetricTable, Scratch, metric_columns
from scenario_gen.store.folder import RunFolder
from scenario_gen.stress.moves import Setting
from scenario_gen.stress.shock import Shock
from scenario_gen.stress.shocked import shocked_bars, terms_of
from scenario_gen.stress.shocks import lacks_volume, shocks_of

PILOT_PATHS, PILOT_FIRST_ID = 256, 2**62 + 8192  # beyond every path of a run, and beside those of drift and rescaling


def shocked(
    paths: PathSet,
    shocks: Sequence[Shock | Mapping[str, Any]],
    *,
    context: Candles | pd.DataFrame | str,
    seed: int = 0,
    reference: PathSet | None = None,
) -> PathSet:
    """Return paths with shocks on them, in their order: the bars, and the terms on which they are traded.

    Args:
        paths: valid candles that continue the context, such as :func:`scenario_gen.sample` gives.
        shocks: mappings with the keys of a spec, ``{"kind": "gap", "bar": 5, "size": -0.1}``; bars count from 0.
        context: the bars before the paths: usual volume, and how volume goes with range.
        seed: of what a shock draws, by path id: errors of data.
        reference: the ensemble whose mean price a shock of volatility keeps; default: the paths themselves.

    Returns:
        As many paths with the same ids; ``terms`` holds costs, halts, limits and wrong data, which
        :func:`scenario_gen.backtest_paths` obeys.

    Raises:
        SpecError: a shock is unknown, beyond the paths, or about a volume that is not there.
    """
    read = shocks_of(shocks, paths.horizon)
    before = history_of(context)
    if lacking := [s for s in read if s.volume_field and not ("volume" in paths.fields and before.has_volume)]:
        raise SpecError(lacks_volume(lacking[0]))
    setting = Setting.of(before, whole("seed", seed, 0, MAX_SEED))
    after = shocked_bars(paths, read, setting, reference)
    return replace(after, terms=terms_of(after, read, setting))


def twin_of(ground: Prepared, grounds: Sequence[Prepared]) -> Prepared | None:
    """Return the scenario of a run that has the same paths without shocks; None where there is none."""
    if ground.responds:
        return None
    return next((other for other in grounds if not other.hit and _essence(other) == _essence(ground)), None)


def _essence(ground: Prepared) -> tuple[dict[str, Any], str]:
    """Return everything that decides paths and results but for shocks, names and what is looked at afterwards."""
    scenario = ground.scenario.model_dump(exclude={"name": True, "shocks": True, "paths": {"keep"}})
    return scenario | {"checks": ground.scenario.checks.on_invalid}, ground.context.sha256()


def draw_of(ground: Prepared, grounds: Sequence[Prepared], store: RunFolder) -> Draw:
    """Return what makes the blocks of a scenario: sampled and checked, and then shocked where it has shocks.

    Blocks of a scenario with the same paths are read, not sampled again; they must be there.
    """
    if not ground.scenario.shocks:
        return draw_block
    twin = twin_of(ground, grounds)
    pilot = cache(lambda: _pilot(ground))

    def draw(prepared: Prepared, block: Block, sampled: Advance) -> Drawn:
        if twin is None:
            drawn = draw_block(prepared, block, sampled)
        else:
            finished = FinishedBlock.load(twin, store, block.index)
            drawn = Drawn(finished.paths, finished.tally, finished.provenance)
            sampled(prepared.scenario.bars.horizon)
        paths, bad = _shocked_block(prepared, drawn.paths, pilot())
        return Drawn(
            with_terms(prepared, paths),
            drawn.tally,
            {**drawn.provenance, "shocked_bad_bars": bad},
            unshocked=drawn.paths if twin is None else None,
        )

    return draw


def _pilot(ground: Prepared) -> PathSet | None:
    """Return paths whose means the shocks keep, the same for any number of paths; None where no shock asks for them."""
    if not any(shock.by_ensemble for shock in ground.scenario.shocks):
        return None
    draws = Draws.block(ground.scenario.paths.seed, PILOT_FIRST_ID, PILOT_PATHS)
    return mend_paths(ground.generator.sample(ground.context, ground.timestamps, draws))


def _shocked_block(prepared: Prepared, paths: PathSet, pilot: PathSet | None) -> tuple[PathSet, int]:
    """Return paths with their bars shocked, on the market's ticks, and how many bars broke a rule before that.

    Raises:
        CheckError: shocks lead to prices that cannot be reckoned with.
    """
    if not len(paths):
        return paths, 0
    after = shocked_bars(paths, prepared.scenario.shocks, prepared.setting, pilot)
    if after is paths:
        return paths, 0
    broken = {rule: suspects for rule, suspects in prepared.rules.find(after).items() if RULE[rule].bad}
    for rule, suspects in broken.items():
        if RULE[rule].mend is None and suspects.paths.any():
            raise CheckError(
                f"the shocks of scenario {prepared.name} lead {np.count_nonzero(suspects.paths)} of {len(paths)} paths "
                f"to prices or volumes that cannot be reckoned with: {RULE[rule].title}",
                expected="shocks after which every price is a number within reach",
                fix="soften the shocks, or shorten their windows",
            )
    bad = np.any([suspects.bars for suspects in broken.values()], axis=0)
    return prepared.rules.repair(after), int(np.count_nonzero(bad))


# --- What shocks cost ---


def cost_of_shocks(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Set every shocked scenario beside the same paths unshocked: mean differences over pairs with their errors.

    Raises:
        StrategyError: a strategy raised, or returned something unusable.
    """
    # paths that are weighed are those of another
    asked = [ground for ground in study.grounds if ground.scenario.shocks and ground.scenario.reweight is None]
    if not asked:
        return results, []
    known, parts = {scenario.name: scenario.generator for scenario in results.scenarios}, {}
    with study.progress.stage("what shocks cost", len(asked) * len(study.strategies)) as advance:
        for ground in asked:
            twin = twin_of(ground, study.grounds)
            few, costs = first_paths(ground, study.store, ORDERS_PATHS), []
            unshocked = _unshocked(ground, study) if twin is None else results.metrics[twin.name]
            for strategy in study.strategies:
                pair = [of.frame(strategy.name, *COLUMNS) for of in (unshocked, results.metrics[ground.name])]
                costs.append(_cost(strategy, pair, ground, few, advance))
            parts[ground.name] = {
                "shocks": _report(ground, "" if twin is None else twin.name, costs, known[ground.name])
            }
    study.clock.lap("what shocks cost")
    return results.amended(parts), []


def _report(ground: Prepared, beside: str, costs: list[ShockCost], record: Mapping[str, Any]) -> ShockReport:
    return ShockReport(
        shocks=[shock.in_words for shock in ground.scenario.shocks],
        beside=beside,
        paths=max((cost.total_return.n for cost in costs), default=0),
        bad_bars=int(record.get("shocked_bad_bars", 0)),
        costs=costs,
    )


def _unshocked(ground: Prepared, study: Study) -> MetricTable:
    """Return what the blocks of a scenario without a twin kept of its paths before the shocks."""
    plan, columns = ground.scenario.paths, Columns(Scratch(study.store.path))
    for block in plan_blocks(plan.count, plan.block):
        part = FinishedBlock.load(ground, study.store, block.index)
        if len(part.unshocked):
            columns.append({"path_id": part.paths.path_ids, **metric_columns(part.unshocked, len(study.strategies))})
    return MetricTable(ground.name, tuple(strategy.name for strategy in study.strategies), columns)


def _cost(
    strategy: LoadedStrategy, pair: Sequence[pd.DataFrame], ground: Prepared, few: PathSet, advance: Advance
) -> ShockCost:
    gained, error = _difference(pair, "total_return")
    deeper, drawdown_error = _difference(pair, "max_drawdown")
    within = any(shock.within_bar for shock in ground.scenario.shocks)
    fills = worst_fills(strategy, ground, few) if within else None
    orders = intrabar_orders(strategy, ground, few) if within else None
    first = {} if fills is None else {"at_level": fills[0], "at_worst": fills[1]}
    first |= {} if orders is None else {"target_first": orders.best}
    advance(1)
    return ShockCost(
        strategy=strategy.name,
        total_return=gained,
        max_drawdown=deeper,
        return_error=error,
        drawdown_error=drawdown_error,
        **{order: float(metrics["total_return"].mean()) for order, metrics in first.items()},
    )


def _difference(pair: Sequence[pd.DataFrame], metric: str) -> tuple[Estimate, float | None]:
    """Return the mean of shocked less unshocked over the paths that both have, and its standard error."""
    before, after = pair
    both = (after[metric].astype(np.float64) - before[metric].astype(np.float64)).dropna()
    values: Floats = both.to_numpy()
    if len(values) < 2:
        centre = float(values[0]) if len(values) else None
        return Estimate(centre, n=len(values), reason="one path has no interval" if len(values) else "no pair"), None
    test = MeanTest.of(values)
    return test.estimate(), test.error
