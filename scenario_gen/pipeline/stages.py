"""Realism inside a run: its paths against real windows, its generator against what came, and findings of both.

Owns which scenarios are checked, in which order, and what is kept for a resumed run. Computes no statistic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.evidence import MAX_PATHS, evidence_findings, with_evidence
from scenario_gen.backtest.findings import ORDERS_PATHS, ask_strategy
from scenario_gen.backtest.inference.agreement import Agreement, StrategyAgreement, generators_side_by_side
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.result import StrategyResult
from scenario_gen.errors import CheckError, DataError
from scenario_gen.finding import AGREEMENT, Finding, Label
from scenario_gen.forecasts.calibrate import calibrate
from scenario_gen.forecasts.drift import EnsembleDrift, drift_finding, ensemble_drift
from scenario_gen.forecasts.harness import Settings
from scenario_gen.forecasts.judge import calibration_findings, uncalibrated_finding
from scenario_gen.forecasts.origins import default_horizon
from scenario_gen.forecasts.results import Calibration
from scenario_gen.generators.sections import KronosGenerator
from scenario_gen.pipeline.blocks import first_paths, paths_of
from scenario_gen.pipeline.calibrate import SAME_ORIGINS
from scenario_gen.pipeline.study import Prepared
from scenario_gen.progress import Progress
from scenario_gen.realism.bars import BarArrays, spread_rows
from scenario_gen.realism.check import MOST_PATHS, check_facts
from scenario_gen.realism.facts import path_statistics
from scenario_gen.realism.findings import facts_findings, unjudged_facts_finding
from scenario_gen.realism.gauge import Gauge
from scenario_gen.realism.results import FactsReport
from scenario_gen.realism.sample import Once, concatenate
from scenario_gen.realism.scores import exempted
from scenario_gen.realism.verdicts import assemble
from scenario_gen.spec.models import CalibrationBudget
from scenario_gen.store.folder import RunFolder, calibration_folder
from scenario_gen.store.results import ScenarioResult
from scenario_gen.values import cached


@dataclass(frozen=True)
class RunRealism:
    """What the checks of realism found in a run, by scenario."""

    facts: Mapping[str, FactsReport] = field(default_factory=dict)  # paths against real windows
    drifts: Mapping[str, EnsembleDrift] = field(default_factory=dict)  # which way the paths lean
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)  # generators against what came
    findings: Sequence[Finding] = ()  # one per scenario and group of facts, and one per calibrated scenario

    def onto(self, scenarios: Sequence[ScenarioResult]) -> list[ScenarioResult]:
        """Return the scenarios with what was found about them."""
        return [
            replace(
                one,
                facts=self.facts.get(one.name),
                drift=self.drifts.get(one.name),
                calibration=self.calibrations.get(one.name),
            )
            for one in scenarios
        ]


def check_realism(
    prepared: Sequence[Prepared], store: RunFolder, identity: Mapping[str, str], progress: Progress
) -> RunRealism:
    """Check every scenario that the spec asks to check; the blocks of all are in the folder.

    Args:
        prepared: the scenarios and baselines.
        store: holds the paths, and keeps finished checks.
        identity: of the run, which decides what is kept.
        progress: who hears of stages.

    Raises:
        StoreError: the disk refuses.
    """
    found = facts_of_run(prepared, store, identity, progress)
    calibrations, more = calibrations_of_run(prepared, store, progress)
    return replace(found, calibrations=calibrations, findings=[*found.findings, *more])


def facts_of_run(
    prepared: Sequence[Prepared], store: RunFolder, identity: Mapping[str, str], progress: Progress
) -> RunRealism:
    """Compare each scenario's kept paths with real windows, write facts.parquet, and say what was found.

    Baselines are shown beside and not judged: they have a report and no finding.
    """
    asked = [one for one in prepared if one.scenario.checks.facts]
    once, frames = Once(), []
    reports: dict[str, FactsReport] = {}
    drifts: dict[str, EnsembleDrift] = {}
    findings: list[Finding] = []
    with progress.stage("stylized facts", len(asked)) as advance:
        for one in asked:
            bars, statistics, last = measure_paths(one, store, once)
            frames.append(statistics)
            is_scenario = one.scenario.role == "scenario"
            if len(last) > 1:
                drifts[one.name] = ensemble_drift(last[:, None], float(one.context.close[-1]))
                findings += [drift_finding(one.name, len(one.timestamps), drifts[one.name])] if is_scenario else []
            try:
                reports[one.name] = _judged(one, bars, store, identity, once)
            except (CheckError, DataError) as error:
                findings += [unjudged_facts_finding(one.name, error.problem)] if is_scenario else []
            else:
                findings += facts_findings(one.name, reports[one.name]) if is_scenario else []
            advance(1)
    if frames:
        store.write_facts(pd.concat(frames, ignore_index=True))
    return RunRealism(reports, drifts, findings=findings)


def measure_paths(one: Prepared, store: RunFolder, once: Once) -> tuple[BarArrays, pd.DataFrame, NDArray[np.float64]]:
    """Return the paths to judge and the statistics of all, block by block.

    Returns:
        At most 2000 of the kept paths, evenly spread; a row per kept path: scenario, path_id and statistics; and the
        last close of every kept path.
    """
    gauge = once.of([one.history], one.scenario.paths.seed).measured("gauge", lambda: Gauge.of(one.history))
    chosen = spread_rows(one.scenario.paths.count, MOST_PATHS)
    parts, frames, last = [], [], []
    for paths in paths_of(one, store):
        bars = BarArrays.of_paths(paths, tick=gauge.tick, clock=gauge.clock)
        measured = path_statistics(bars, gauge=gauge)
        frames.append(pd.DataFrame({"scenario": one.name, "path_id": paths.path_ids, **measured}))
        parts.append(bars.select(np.isin(paths.path_ids, chosen)))
        last.append(bars.close[:, -1])
    return concatenate(parts), pd.concat(frames, ignore_index=True), np.concatenate(last)


def _judged(one: Prepared, bars: BarArrays, store: RunFolder, identity: Mapping[str, str], once: Once) -> FactsReport:
    """Return the report of a scenario, the kept one where there is one."""
    key = {"what": "facts", "scenario": one.name, "run": dict(identity)}
    folder = store.path / "facts"
    return cached(folder, key, FactsReport, lambda: _compare(one, bars, once))


def _compare(one: Prepared, bars: BarArrays, once: Once) -> FactsReport:
    found = check_facts(
        bars, one.history, context=one.context, timestamps=one.timestamps, seed=one.scenario.paths.seed, once=once
    )
    if not one.scenario.generator.repeats_history:
        return found
    return assemble(found.design, found.facts, exempted(found.scores), found.audit, found.notes, found.long)


def calibrations_of_run(
    prepared: Sequence[Prepared], store: RunFolder, progress: Progress
) -> tuple[dict[str, Calibration], list[Finding]]:
    """Let the generators that the spec asks for forecast the past of their context, beside two baselines.

    A history that is too short is told as UNTESTABLE.
    """
    found: dict[str, Calibration] = {}
    findings: list[Finding] = []
    for one in to_calibrate(prepared):
        try:
            found[one.name] = _calibrated(one, store, progress)
        except (CheckError, DataError) as error:
            findings.append(uncalibrated_finding(one.name, str(error.problem)))
            progress.note(f"{one.name}: not calibrated: {error.problem}")
        else:
            facts = found[one.name].facts
            findings += calibration_findings(one.name, found[one.name])
            findings += facts_findings(one.name, facts) if facts is not None else []
    return found, findings


def to_calibrate(prepared: Sequence[Prepared]) -> list[Prepared]:
    """Return the scenarios whose generator is calibrated.

    Those that say ``all``; and the base: the scenario named base, else the first with a Kronos model, else the
    first. Scenarios that differ from it in nothing that a calibration depends on share its result.
    """
    asked = [one for one in prepared if one.scenario.role == "scenario" and one.scenario.checks.calibration]
    kronos = [one for one in asked if isinstance(one.scenario.generator, KronosGenerator)]
    base = next((one for one in asked if one.name == "base"), next(iter(kronos or asked), None))
    return [
        one
        for one in asked
        if one.scenario.checks.calibration == "all" or (base is not None and _same_question(one, base))
    ]


def _same_question(one: Prepared, other: Prepared) -> bool:
    return (
        one.generator.identity == other.generator.identity
        and settings_of(one) == settings_of(other)
        and one.history.sha256() == other.history.sha256()
    )


def settings_of(one: Prepared) -> Settings:
    """Return how a scenario's generator is calibrated: as the spec says, else by the length of its history."""
    asked = one.scenario.checks.calibration
    budget = asked if isinstance(asked, CalibrationBudget) else CalibrationBudget()
    bars, context = len(one.history), len(one.context)
    return Settings(
        context=context,
        horizon=budget.horizon or default_horizon(bars, context, len(one.timestamps)),
        origins=budget.origins,
        paths=budget.paths,
        seed=one.scenario.paths.seed,
        one_step=budget.one_step,
    )


def _calibrated(one: Prepared, store: RunFolder, progress: Progress) -> Calibration:
    kept = calibration_folder(store.path)
    found = calibrate(one.generator, one.history, settings_of(one), cache=kept, progress=progress)
    return found if one.dial is None else replace(found, notes=[*found.notes, SAME_ORIGINS])


# --- Generators side by side ---


LABELS: dict[str, Label] = {
    "agree": "PASS",
    "depends on the generator": "WARN",
    "undecided": "INCONCLUSIVE",
    "not judged": "UNTESTABLE",
}
BAND = "mean, median, losing paths and 5 % quantile alike on all generators, to what ten points of loss amount to"


def agreement_of(
    prepared: Sequence[Prepared], strategies: Sequence[LoadedStrategy], metrics: pd.DataFrame
) -> tuple[Agreement | None, list[Finding]]:
    """Compare what the generators say of every strategy; nothing where there is one generator alone.

    Args:
        prepared: scenarios and baselines.
        strategies: of the run.
        metrics: one row per scenario, strategy and path.
    """
    beside = comparable(prepared)
    if len(beside) < 2 or not strategies:
        return None, []
    of_scenario = dict(list(metrics.groupby("scenario", sort=False)))
    returns = {
        one.name: {strategy.name: _returns(of_scenario[one.name], strategy.name) for strategy in strategies}
        for one in beside
    }
    found = generators_side_by_side(returns)
    return found, [_finding(one, beside[0].name) for one in found.strategies]


def comparable(prepared: Sequence[Prepared]) -> list[Prepared]:
    """Return the base scenario and the baselines from the same context, over as many bars, in the same account."""
    own = [one for one in prepared if one.scenario.role == "scenario"]
    if not own:
        return []
    base = next((one for one in own if one.name == "base"), own[0])
    return [base, *(one for one in prepared if one.scenario.role == "baseline" and _alike(base, one))]


def _alike(base: Prepared, other: Prepared) -> bool:
    return (
        base.context.sha256() == other.context.sha256()
        and len(base.timestamps) == len(other.timestamps)
        and base.scenario.broker == other.scenario.broker
    )


def _returns(rows: pd.DataFrame, strategy: str) -> Floats:
    return np.asarray(rows.loc[rows["strategy"] == strategy, "total_return"], dtype=np.float64)


def _finding(one: StrategyAgreement, scenario: str) -> Finding:
    apart = [
        f"{difference.figure} {difference.generator} less {difference.against}: {difference.value:+.1%}"
        for difference in one.differences
        if difference.label == "depends on the generator" and difference.value is not None
    ]
    told = "; ".join(apart[:2]) or one.reason or f"{len(one.differences)} differences within what matters"
    return Finding(
        name=AGREEMENT.key,
        label=LABELS[one.label],
        measured=f"{one.label}: {told}",
        band=BAND,
        scenario=scenario,
        offenders=apart,
        strategy=one.strategy,
    )


# --- Every strategy of a run before some of its paths ---


def probe_strategies(
    one: Prepared, strategies: Sequence[LoadedStrategy], result: ScenarioResult, store: RunFolder, progress: Progress
) -> tuple[ScenarioResult, list[Finding]]:
    """Probe every strategy on one scenario; return its result with the warm-up of each, and two or three findings each.

    Args:
        one: the scenario, whose blocks are in the store.
        strategies: of the run, in the order of the result's.
        result: the scenario's result.
        store: where the blocks are.
        progress: who hears of stages.

    Raises:
        StrategyError: a strategy raised, or returned something unusable.
    """
    paths = first_paths(one, store, ORDERS_PATHS)  # the probe looks at four, the warm-up at 32
    probed: list[StrategyResult] = []
    findings: list[Finding] = []
    with progress.stage("probing for look-ahead", len(strategies)) as advance:
        for strategy, found in zip(strategies, result.strategies, strict=True):
            warm, told = ask_strategy(strategy, one, paths, scenario=one.name)
            findings += told
            probed.append(replace(found, warm_up=warm))
            advance(1)
    return replace(result, strategies=probed), findings


# The evidence of every scenario of a run: its blocks read back, its strategies held against something


MOST_RESULTS = 60  # strategies x scenarios that are held against something; of more, those of the first scenario


def scenario_evidence(
    prepared: Sequence[Prepared],
    strategies: Sequence[LoadedStrategy],
    results: Sequence[ScenarioResult],
    store: RunFolder,
    progress: Progress,
) -> tuple[list[ScenarioResult], list[Finding]]:
    """Return the scenarios with the evidence on their strategies, and findings; baselines are not judged.

    Raises:
        StrategyError: a strategy raised on real bars, or answered something unusable.
    """
    scenarios = list(results)
    findings: list[Finding] = []
    everywhere = len(prepared) * len(strategies) <= MOST_RESULTS
    for place, (one, result) in enumerate(zip(prepared, results, strict=True)):
        if place and not everywhere:
            progress.note(f"{one.name}: skill, pairs and tails are judged in {results[0].name} alone")
            continue
        title = f"{one.name}: strategies beside chance, holding and history"
        found = with_evidence(one, first_paths(one, store, MAX_PATHS), strategies, result.strategies, progress, title)
        scenarios[place] = replace(result, strategies=found)
        if one.scenario.role == "scenario":
            known = {(finding.name, finding.told) for finding in findings}  # a grid on one history: once
            more = evidence_findings(found, one.name)
            findings += [finding for finding in more if (finding.name, finding.told) not in known]
    return scenarios, findings
