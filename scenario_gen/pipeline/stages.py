"""The stages of a run, in the order in which they are told: each takes the study and what is known, and adds to it.

Owns which scenarios and strategies a stage is about, and what is kept for a resumed run. Computes no statistic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.agreement import StrategyAgreement, generators_side_by_side
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.evidence import MAX_PATHS, evidence_findings, with_evidence
from scenario_gen.backtest.findings import ORDERS_PATHS, Stand, ask_strategies
from scenario_gen.backtest.jitter import COMPARED, cost_of
from scenario_gen.backtest.result import StrategyResult
from scenario_gen.errors import CheckError, DataError
from scenario_gen.execute.queue import Queue
from scenario_gen.finding import AGREEMENT, Finding, Label
from scenario_gen.forecasts.calibrate import calibrate
from scenario_gen.forecasts.foresight import drift_finding, ensemble_drift
from scenario_gen.forecasts.harness import Settings
from scenario_gen.forecasts.judge import calibration_findings, uncalibrated_finding
from scenario_gen.forecasts.origins import not_as_far
from scenario_gen.forecasts.recalibrate import judged, recalibration_finding
from scenario_gen.forecasts.results import Calibration
from scenario_gen.pipeline.blocks.block import first_paths, paths_of
from scenario_gen.pipeline.blocks.work import compute_blocks
from scenario_gen.pipeline.given.calibrate import SAME_ORIGINS
from scenario_gen.pipeline.opening import base_of, calibration_settings
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.pipeline.summary import summarise
from scenario_gen.progress import Progress
from scenario_gen.realism.bars import BarArrays, spread_rows
from scenario_gen.realism.check import MOST_PATHS, check_facts, facts_findings, unjudged_facts_finding
from scenario_gen.realism.facts import path_statistics
from scenario_gen.realism.gauge import Gauge
from scenario_gen.realism.results import FactsReport
from scenario_gen.realism.sample import Once, concatenate
from scenario_gen.realism.scores import exempted
from scenario_gen.realism.verdicts import assemble
from scenario_gen.spec.models import CalibrationBudget
from scenario_gen.stats.weights import FEWEST_ISLANDS
from scenario_gen.store.columns import Columns, MetricTable, NamedTable, Scratch
from scenario_gen.store.folder import RunFolder, calibration_folder
from scenario_gen.values import cached


def sample_and_trade(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Sample, check and backtest every block that is not there yet."""
    compute_blocks(study)
    return results, []


def sum_up(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Merge every scenario's blocks into results, metrics of every path and findings.

    Raises:
        CheckError: every path of a scenario was rejected.
    """
    scenarios, metrics, findings = summarise(study.grounds, study.alone, study.spec.limits, study.store, study.progress)
    parts = {name: {"reweighed": reweighed} for name, reweighed in results.reweighed.items()}
    return replace(results, scenarios=tuple(scenarios), metrics=metrics).amended(parts), findings


def compare_with_history(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Compare the kept paths of each scenario that asks for it with real windows, and write facts.parquet.

    Baselines are shown beside and not judged: they have a report and no finding. Shocked paths, and those that do not
    all stand for as much, are left out: they are meant to look like no window of history.

    Raises:
        StoreError: the disk refuses.
    """
    usual = [ground for ground in study.grounds if ground.case is None and not ground.hit]
    asked = [ground for ground in usual if ground.scenario.checks.facts]
    once, tables, scratch = Once(), list[NamedTable](), Scratch(study.store.path)
    weighted = {scenario.name for scenario in results.scenarios if scenario.weighting is not None}
    parts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    findings: list[Finding] = []
    with study.progress.stage("stylized facts", len(asked)) as advance:
        for ground in asked:
            statistics = Columns(scratch)
            bars, last = measure_paths(ground, study.store, once, statistics)
            if ground.name not in study.unkept:
                tables.append(NamedTable(ground.name, statistics, first=True))
            judged = ground.scenario.role == "scenario"
            if ground.name in weighted:
                advance(1)
                continue
            if len(last) > 1:
                drift = ensemble_drift(last[:, None], float(ground.context.close[-1]))
                parts[ground.name]["drift"] = drift
                findings += [drift_finding(ground.name, len(ground.timestamps), drift)] if judged else []
            try:
                report = _judged(ground, bars, study.store, study.identity, once)
            except (CheckError, DataError) as error:
                findings += [unjudged_facts_finding(ground.name, error.problem)] if judged else []
            else:
                parts[ground.name]["facts"] = report
                findings += facts_findings(ground.name, report) if judged else []
            advance(1)
    if tables:
        study.store.write_facts(tables)
    scratch.close()
    return results.amended(parts), findings


def measure_paths(
    ground: Prepared, store: RunFolder, once: Once, statistics: Columns
) -> tuple[BarArrays, NDArray[np.float64]]:
    """Return the paths to judge and the last close of all; measure all of them block by block.

    Args:
        ground: whose paths they are.
        store: where these are.
        once: what was computed before.
        statistics: takes a row per kept path: path_id and every statistic.

    Returns:
        At most 2000 of the kept paths, evenly spread; and the last close of every kept path [path].
    """
    gauge = once.of([ground.history], ground.scenario.paths.seed).measured("gauge", lambda: Gauge.of(ground.history))
    chosen = spread_rows(ground.scenario.paths.count, MOST_PATHS)
    parts, last = list[BarArrays](), []
    for paths in paths_of(ground, store):
        bars = BarArrays.of_paths(paths, tick=gauge.tick, clock=gauge.clock)
        measured = path_statistics(bars, gauge=gauge)
        statistics.append({"path_id": paths.path_ids, **measured})
        if (inside := np.isin(paths.path_ids, chosen)).any() or not parts:
            parts.append(bars.select(inside))
        last.append(bars.close[:, -1].copy())
    return concatenate(parts), np.concatenate(last)


def _judged(
    ground: Prepared, bars: BarArrays, store: RunFolder, identity: Mapping[str, str], once: Once
) -> FactsReport:
    """Return the report of a scenario, the kept one where there is one."""
    key = {"what": "facts", "scenario": ground.name, "run": dict(identity)}
    folder = store.path / "facts"
    return cached(folder, key, FactsReport, lambda: _compare(ground, bars, once), store.claim)


def _compare(ground: Prepared, bars: BarArrays, once: Once) -> FactsReport:
    found = check_facts(
        bars,
        ground.history,
        context=ground.context,
        timestamps=ground.timestamps,
        seed=ground.scenario.paths.seed,
        once=once,
    )
    if not ground.scenario.generator.repeats_history:
        return found
    return assemble(found.design, found.facts, exempted(found.scores), found.audit, found.notes, found.long)


def forecast_the_past(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Let the generators that the spec asks for forecast the past of their context, beside two baselines.

    A history that is too short is told as UNTESTABLE.
    """
    parts, findings = {}, list[Finding]()
    for ground in to_calibrate(study.grounds):
        try:
            calibration = _calibrated(ground, study.store, study.progress, study.queue)
        except (CheckError, DataError) as error:
            findings.append(uncalibrated_finding(ground.name, str(error.problem)))
            study.progress.note(f"{ground.name}: not calibrated: {error.problem}")
        else:
            again = judged(ground.recalibration, calibration)
            parts[ground.name] = {"calibration": calibration, "recalibration": again}
            findings += calibration_findings(ground.name, calibration)
            findings += [recalibration_finding(ground.name, calibration)] if calibration.raw else []
            findings += facts_findings(ground.name, calibration.facts) if calibration.facts is not None else []
    return results.amended(parts), findings


def to_calibrate(prepared: Sequence[Prepared]) -> list[Prepared]:
    """Return the scenarios whose generator is calibrated.

    Those that say ``all``; and the base, of several assets each: the scenario named base, else the first with a Kronos
    model, else the first. Scenarios that differ from it in nothing that a calibration depends on share its result.
    """
    asked = [ground for ground in prepared if ground.scenario.role == "scenario" and ground.scenario.checks.calibration]
    first = base_of([ground.scenario for ground in asked])
    base = next((ground for ground in asked if ground.scenario is first), None)
    return [
        ground
        for ground in asked
        if ground.scenario.checks.calibration == "all"
        or (base is not None and (_same_question(ground, base) or _beside(ground, base)))
    ]


def _beside(ground: Prepared, base: Prepared) -> bool:
    """Return whether a scenario is of another asset of the base's book."""
    return bool(base.scenario.asset) and ground.scenario.future == base.scenario.future


def _same_question(ground: Prepared, other: Prepared) -> bool:
    return (
        ground.generator.identity == other.generator.identity
        and settings_of(ground) == settings_of(other)
        and ground.history.sha256() == other.history.sha256()
    )


def settings_of(ground: Prepared) -> Settings:
    """Return how a scenario's generator is calibrated."""
    return calibration_settings(ground.scenario, len(ground.history))


def _not_as_far(ground: Prepared) -> list[str]:
    fits = ground.scenario.generator.recalibration is not None
    return not_as_far(len(ground.history), len(ground.context), len(ground.timestamps), fits=fits)


def _calibrated(ground: Prepared, store: RunFolder, progress: Progress, queue: Queue) -> Calibration:
    kept = calibration_folder(store.path)
    settings = settings_of(ground)
    found = calibrate(ground.generator, ground.history, settings, cache=kept, progress=progress, queue=queue)
    asked = ground.scenario.checks.calibration
    own = isinstance(asked, CalibrationBudget) and asked.horizon is not None
    short = [] if own else _not_as_far(ground)
    return replace(found, notes=[*found.notes, *short, *([] if ground.dial is None else [SAME_ORIGINS])])


# --- Generators side by side ---


LABELS: dict[str, Label] = {
    "agree": "PASS",
    "depends on the generator": "WARN",
    "undecided": "INCONCLUSIVE",
    "not judged": "UNTESTABLE",
}


def compare_generators(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Compare what the generators say of every strategy; nothing where there is one generator alone."""
    weighted = [scenario.name for scenario in results.scenarios if scenario.weighting]
    return side_by_side(study, results, [ground.name for ground in comparable(study.grounds, weighted)])


def side_by_side(study: Study, results: Results, beside: Sequence[str]) -> tuple[Results, list[Finding]]:
    """Compare what scenarios of different generators say of every strategy, by name; the first is the base."""
    if len(beside) < 2 or not study.strategies:
        return results, []
    returns = {name: Returns(results.metrics[name]) for name in beside}
    agreement = generators_side_by_side(returns)
    findings = [_finding(strategy, beside[0]) for strategy in agreement.strategies]
    return replace(results, agreement=agreement), findings


def comparable(prepared: Sequence[Prepared], weighted: Collection[str] = ()) -> list[Prepared]:
    """Return the base scenario and the baselines from the same context, over as many bars, in the same account.

    Scenarios whose paths do not all stand for as much, by name, say nothing of a generator.
    """
    own = [ground for ground in prepared if ground.scenario.role == "scenario" and ground.name not in weighted]
    own.sort(key=lambda ground: ground.scenario.beside_itself)
    if not own:
        return []
    base = next((ground for ground in own if ground.name == "base"), own[0])
    if base.scenario.beside_itself:  # no generator's paths, or not in the same account
        return []
    return [base, *(ground for ground in prepared if ground.scenario.role == "baseline" and alike(base, ground))]


def alike(base: Prepared, other: Prepared) -> bool:
    """Whether two scenarios have the same context, as many bars and the same account."""
    return (
        base.context.sha256() == other.context.sha256()
        and len(base.timestamps) == len(other.timestamps)
        and base.scenario.broker == other.scenario.broker
    )


@dataclass(frozen=True, eq=False)
class Returns(Mapping[str, Floats]):
    """Total returns by strategy, float64 [path], each read when it is asked for."""

    table: MetricTable

    def __getitem__(self, strategy: str) -> Floats:
        return np.asarray(self.table.of(strategy)["total_return"], dtype=np.float64)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table.strategies)

    def __len__(self) -> int:
        return len(self.table.strategies)


def _finding(strategy: StrategyAgreement, scenario: str) -> Finding:
    apart = [
        f"{difference.figure} {difference.generator} less {difference.against}: {difference.value:+.1%}"
        for difference in strategy.differences
        if difference.label == "depends on the generator" and difference.value is not None
    ]
    words = "; ".join(apart[:2]) or strategy.reason or f"{len(strategy.differences)} differences within what matters"
    return AGREEMENT.finding(
        label=LABELS[strategy.label],
        measured=f"{strategy.label}: {words}",
        scenario=scenario,
        offenders=apart,
        strategy=strategy.strategy,
    )


# --- Sloppy execution ---


def cost_of_jitter(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Set every strategy of a scenario with jitter beside itself on the same paths, as the broker fills it.

    Raises:
        StrategyError: a strategy raised, or returned something unusable.
    """
    # paths that are weighed are those of another
    asked = [ground for ground in study.grounds if ground.jitter is not None and ground.scenario.reweight is None]
    if not asked:
        return results, []
    strategies_of, parts_of = {scenario.name: scenario.strategies for scenario in results.scenarios}, {}
    with study.progress.stage("what sloppy execution costs", len(asked) * len(study.strategies)) as advance:
        for ground in asked:
            sloppy_results, plain_ground = list[StrategyResult](), replace(ground, jitter=None)
            for strategy, result in zip(study.strategies, strategies_of[ground.name], strict=True):
                runs = (trade(strategy, plain_ground, part) for part in paths_of(ground, study.store))
                plain = pd.concat([run.metrics[[*COMPARED]] for run in runs])
                sloppy = results.metrics[ground.name].frame(strategy.name, *COMPARED)
                sloppy_results.append(replace(result, jitter=cost_of(sloppy, plain, ground.variants(strategy))))
                advance(1)
            parts_of[ground.name] = {"strategies": sloppy_results}
    study.clock.lap("what sloppy execution costs")
    return results.amended(parts_of), []


# --- Every strategy of a run before some of its paths ---


def probe(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Probe every strategy on the first scenario; as :func:`ask_strategies`."""
    first = results.scenarios[0]
    stands: list[Stand] = [
        (ground.name, ground, cache(partial(first_paths, ground, study.store, ORDERS_PATHS)))
        for ground in study.grounds
    ]
    with study.progress.stage("probing for look-ahead", len(study.strategies)) as advance:
        warm, findings = ask_strategies(study.strategies, stands, advance)
    probed = [replace(known, warm_up=of) for known, of in zip(first.strategies, warm, strict=True)]
    return results.amended({first.name: {"strategies": probed}}), findings


# --- Strategies held against something ---


MOST_RESULTS = 60  # strategies x scenarios that are held against something; of more, those of the first scenario


def hold_against(study: Study, results: Results) -> tuple[Results, list[Finding]]:
    """Hold every strategy against chance, holding, its rivals and history; findings leave the baselines out.

    Shocked and sloppy scenarios are left out: their paths are held against the same paths without that.

    Raises:
        StrategyError: a strategy raised on real bars, or answered something unusable.
    """
    parts, findings = {}, list[Finding]()
    plain = sum(not ground.scenario.beside_itself for ground in study.grounds)
    everywhere = plain * len(study.strategies) <= MOST_RESULTS
    for place, (ground, scenario) in enumerate(zip(study.grounds, results.scenarios, strict=True)):
        if ground.scenario.beside_itself:
            continue
        if place and not everywhere:
            study.progress.note(f"{ground.name}: skill, pairs and tails are judged in {study.grounds[0].name} alone")
            continue
        title = f"{ground.name}: strategies beside chance, holding and history"
        paths = first_paths(ground, study.store, MAX_PATHS, islands=FEWEST_ISLANDS)
        real = ground if ground.calm is None else replace(ground, history=ground.calm[1])  # without invented bars
        judged = with_evidence(real, paths, study.strategies, scenario.strategies, study.progress, title)
        parts[ground.name] = {"strategies": judged}
        if ground.scenario.role == "scenario":
            known = {(finding.name, finding.told) for finding in findings}  # a grid on one history: once
            more = evidence_findings(judged, ground.name)
            findings += [finding for finding in more if (finding.name, finding.told) not in known]
    return results.amended(parts), findings
