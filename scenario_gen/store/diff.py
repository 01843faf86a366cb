"""What differs between two finished runs: what they were made of, what was judged, and which figures moved.

A figure has *moved* where its difference is beyond the Monte Carlo error of both runs. Paths that share their random
numbers (same seed, number and context) are compared path by path: what both have in common cancels, and small changes
are seen. All p-values of a comparison are adjusted together (Holm), so that two runs of the same law show any moved
figure in at most one comparison of twenty. Reads run folders, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from scenario_gen.finding import SEVERITY, Finding, Label
from scenario_gen.store.figures import LEVEL, FigureChange, SideBySide, figures_of, scenarios_of, section_of
from scenario_gen.store.folder import METRICS, RunFolder
from scenario_gen.store.manifest import require_as_written
from scenario_gen.store.remote import open_folder, place_of
from scenario_gen.store.results import StressRun

ABSENT = "absent"


@dataclass(frozen=True)
class Change:
    """One field that is not the same."""

    part: str  # spec, data, model, strategies, code, packages or device
    field: str  # its place, as a dotted path; a star for all scenarios
    first: Any  # ``absent`` where the run has no such field
    second: Any


@dataclass(frozen=True)
class Relabelled:
    """A finding whose label is not the same; None where one run has no such finding."""

    name: str
    scenario: str
    strategy: str
    first: Label | None
    second: Label | None
    measured: str  # by the second run, or by the first where that alone has it


@dataclass(frozen=True)
class RunDiff:
    """What differs between two runs."""

    first: str  # folder
    second: str  # folder
    relabelled: list[Relabelled]  # the worst new label first
    changes: list[Change]
    only_first: list[str]  # scenarios, and strategies of shared ones, that the second lacks
    only_second: list[str]  # and those that the first lacks
    beside: list[SideBySide]
    figures: list[FigureChange]  # all that were compared, in the runs' order
    moved: int  # how many figures moved
    compared: int  # of how many, for which the p-values are adjusted
    level: float  # the rate at which two runs of the same law have any moved figure, at most
    # a figure moved, a finding that did not FAIL does, or the second lacks a scenario or strategy of the first
    changed: bool


def diff_runs(first: Path | str, second: Path | str) -> RunDiff:
    """Compare two finished runs.

    Args:
        first: folder of a run, usually the older one.
        second: of the other, whose figures count positive.

    Raises:
        StoreError: one of them is no finished run, or was edited.
    """
    stores = open_folder(first, METRICS), open_folder(second, METRICS)
    old, new = (store.read_run() for store in stores)
    beside, figures = figures_of((old, new), (_metrics_of(stores[0]), _metrics_of(stores[1])))
    relabelled = relabelled_findings(old.findings, new.findings)
    only = [_lacking(old, new), _lacking(new, old)]
    moved = sum(figure.moved for figure in figures)
    return RunDiff(
        first=place_of(first),
        second=place_of(second),
        relabelled=relabelled,
        changes=changes_of(old, new),
        only_first=only[0],
        only_second=only[1],
        beside=beside,
        figures=figures,
        moved=moved,
        compared=len(figures),
        level=LEVEL,
        changed=bool(moved or only[0]) or any(change.second == "FAIL" for change in relabelled),
    )


def _metrics_of(store: RunFolder) -> pd.DataFrame | None:
    """Return the metrics of every path; None where they are not kept."""
    if not (store.path / METRICS).is_file():
        return None
    require_as_written(store.path, METRICS)
    return store.read_metrics()


def _lacking(run: StressRun, other: StressRun) -> list[str]:
    """Return the scenarios of a run that the other lacks, and strategies of those that it has."""
    theirs, lacking = scenarios_of(other), []
    for name, scenario in scenarios_of(run).items():
        if name not in theirs:
            lacking.append(name)
            continue
        known = {strategy.name for strategy in theirs[name].strategies}
        lacking += [f"{name}: {strategy.name}" for strategy in scenario.strategies if strategy.name not in known]
    return lacking


# --- Findings ---


def relabelled_findings(first: Iterable[Finding], second: Iterable[Finding]) -> list[Relabelled]:
    """Return the findings whose label changed, those that got worst first, then those that one run alone has."""
    old, new = map(_by_subject, (first, second))
    changed = []
    for key in dict.fromkeys([*new, *old]):
        before, after = old.get(key), new.get(key)
        labels = [None if each is None else each.label for each in (before, after)]
        if labels[0] != labels[1]:
            known = after or before
            changed.append(Relabelled(*key, labels[0], labels[1], "" if known is None else known.measured))
    return sorted(changed, key=_gravity)


def _by_subject(findings: Iterable[Finding]) -> dict[tuple[str, str, str], Finding]:
    """Return findings by name, scenario and strategy: of several of one subject the worst."""
    ranked = sorted(findings, key=lambda finding: SEVERITY.index(finding.label))
    return {(each.name, each.scenario, each.strategy): each for each in ranked}


def _gravity(change: Relabelled) -> tuple[bool, int, int]:
    """Return what orders changes: in both runs first, then by the new label, then by how far it fell."""
    before, after = (-1 if label is None else SEVERITY.index(label) for label in (change.first, change.second))
    return change.first is None or change.second is None, -after, before


# --- What the runs were made of ---


def changes_of(first: StressRun, second: StressRun) -> list[Change]:
    """Return every field of spec, data, model, strategies, code, packages and device that is not the same.

    Of scenarios, those that both runs have; what all of these have alike is told once.
    """
    shared = [name for name in scenarios_of(first) if name in scenarios_of(second)]
    parts = [_parts_of(run, shared) for run in (first, second)]
    changes = [Change(part, *change) for part in parts[0] for change in _differing(parts[0][part], parts[1][part])]
    return _together(changes, shared)


def _parts_of(run: StressRun, shared: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what a run was made of, part by part: hashes where there is nothing else to tell."""
    spec = {key: value for key, value in run.spec.items() if key != "report"}
    if "scenarios" in spec:
        spec["scenarios"] = [section for section in spec["scenarios"] if section.get("name") in shared]
    data: dict[str, Any] = {"sha256": run.identity.get("data", ABSENT)}
    model: dict[str, Any] = {"sha256": run.identity.get("weights", ABSENT)}
    for scenario in (scenario for scenario in run.scenarios if scenario.name in shared):
        context, at = scenario.context, f"scenarios.{scenario.name}"
        seed = {"instrument": context.instrument, "source": context.source, "bars": context.bars}
        ends = {"start": context.start, "end": context.end, "sha256": context.sha256}
        data |= _flat(seed | ends, at)
        asked = section_of(run.spec, scenario.name).get("generator") or {}
        made = {key: value for key, value in scenario.generator.items() if key not in asked and key != "seed"}
        model |= _flat(made, at) if made else {}
    code = {"scenario-gen": run.identity.get("code", ABSENT)}
    return {
        "spec": _flat(spec, ""),
        "data": data,
        "model": model,
        "strategies": {"sha256": run.identity.get("strategies", ABSENT)},
        "code": code,
        "packages": {name: version for name, version in run.versions.items() if name not in code},
        "device": dict(run.device),
    }


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys([*first, *second]):
        values = first.get(key, ABSENT), second.get(key, ABSENT)
        if values[0] != values[1]:
            yield key, *values


def _together(changes: Sequence[Change], shared: Sequence[str]) -> list[Change]:
    """Tell a change that every shared scenario has once, with a star for their names."""
    if len(shared) < 2:
        return [*changes]
    prefixes = {f"scenarios.{name}.": name for name in shared}
    groups: dict[str, list[tuple[str, Change]]] = {}
    for change in changes:
        prefix = next((prefix for prefix in prefixes if change.field.startswith(prefix)), "")
        key = repr(replace(change, field=change.field.removeprefix(prefix)) if prefix else (change,))
        groups.setdefault(key, []).append((prefix, change))
    joined = []
    for members in groups.values():
        prefix, first = members[0]
        everywhere = prefix and len(members) == len(shared)
        field = f"scenarios.*.{first.field.removeprefix(prefix)}"
        joined += [replace(first, field=field)] if everywhere else [change for _, change in members]
    return joined


def _flat(value: Any, at: str) -> dict[str, Any]:
    """Return every leaf by its dotted path; entries of a list by their name where they have one."""
    entries: Iterable[tuple[str, Any]]
    if isinstance(value, Mapping) and value:
        entries = ((str(key), part) for key, part in value.items())
    elif isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value):
        entries = zip(_names(value), value, strict=True)
    else:
        return {at: value}
    return {key: leaf for name, part in entries for key, leaf in _flat(part, f"{at}.{name}" if at else name).items()}


def _names(entries: Sequence[Any]) -> list[str]:
    """Return names of the entries of a list: their own, or the class that they use, or their place."""
    own = [str(part.get("name") or part.get("use") or "") if isinstance(part, Mapping) else "" for part in entries]
    words = [name.rpartition(":")[2] for name in own]
    return [word if word and words.count(word) == 1 else str(place) for place, word in enumerate(words)]
