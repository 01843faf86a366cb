"""The evidence of every scenario of a run: its blocks read back, its strategies held against something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.pipeline.blocks import first_paths
from scenario_gen.pipeline.evidence import MAX_PATHS, with_evidence
from scenario_gen.pipeline.evidence_findings import evidence_findings
from scenario_gen.pipeline.prepare import Prepared
from scenario_gen.progress import Progress
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import Finding, ScenarioResult

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
