"""Labels: the worst of several, and the caps of an unjudged generator.

Owns the rules that turn labels of a run into others. Does not know how a label is worded
or drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scenario_gen.store.results import Finding, Label, ScenarioResult

SEVERITY: tuple[Label, ...] = ("PASS", "UNTESTABLE", "INCONCLUSIVE", "WARN", "ERROR", "FAIL")
TOO_MANY_BAD_BARS = 0.05
CALIBRATION, FACTS, FACTS_BY_ORIGIN = "calibration", "facts", "facts by origin"
VALUE_AT_RISK = "value at risk"  # no part of the name "calibration": where it says INCONCLUSIVE, the rest may pass
MISLEADING = (
    "tails",
    "clustering",
    "asymmetry",
    "copy",
    "diversity",
    "scale",
)  # groups of facts that decide how deep falls go


def worst(labels: Iterable[Label]) -> Label | None:
    """Return the worst label, or None where there is none."""
    return max(labels, key=SEVERITY.index, default=None)


def group(findings: Iterable[Finding], name: str) -> list[Finding]:
    """Return the findings of one group: those named ``name``, ``name: ...`` or ``name....``."""
    return [found for found in findings if found.name == name or found.name.startswith((f"{name}:", f"{name}."))]


def cap(label: Label, scenario: ScenarioResult, findings: Sequence[Finding]) -> Label:
    """Hold a favourable label down to what the generator's own state allows; an unfavourable one stands.

    No calibration finding: at most INCONCLUSIVE. Bad bars on 5 % or more, or facts that FAIL and decide how deep
    falls go: at most WARN. A calibration that FAILs: at most INCONCLUSIVE.
    """
    if label != "PASS":
        return label
    judged = calibration_label(findings, scenario.name)
    if judged in (None, "UNTESTABLE", "ERROR"):
        return "INCONCLUSIVE"
    if scenario.candles.bars and scenario.candles.bad_bars / scenario.candles.bars >= TOO_MANY_BAD_BARS:
        return "WARN"
    if failed_facts(findings, scenario.name):
        return "WARN"
    return "INCONCLUSIVE" if judged == "FAIL" else label


def calibration_label(findings: Sequence[Finding], scenario: str) -> Label | None:
    """Return the worst label of a scenario's calibration; None where it was not calibrated."""
    return worst(found.label for found in group(findings, CALIBRATION) if found.scenario in ("", scenario))


def failed_facts(findings: Sequence[Finding], scenario: str) -> list[str]:
    """Return the groups of a scenario's facts that FAIL and decide how deep its falls go, each once.

    Facts against real windows and facts by the rank of what came count alike. Of diversity, paths that
    repeat one another, move together or lie too close together count: those of one context cover less than all of
    history by nature.
    """
    names = {f"{of}.{part}": part for of in (FACTS, FACTS_BY_ORIGIN) for part in MISLEADING}
    failed = (
        names[found.name]
        for found in findings
        if found.label == "FAIL" and found.scenario == scenario and found.name in names
        if names[found.name] != "diversity" or {"distinct", "alike", "spread"} & {*found.offenders}
    )
    return list(dict.fromkeys(failed))
