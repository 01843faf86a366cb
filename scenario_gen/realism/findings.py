"""Findings on stylized facts and scores: one per group, the label of its worst member and which member that is."""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.finding import FACTS, FACTS_BY_ORIGIN, Finding, Label, worst
from scenario_gen.realism.results import FactsReport
from scenario_gen.realism.scores import SCORE_GROUPS
from scenario_gen.realism.verdicts import FAIL_EFFECT, FAIL_Q, WARN_Q

FACTS_BAND = f"real windows of the same length (FAIL: q < {FAIL_Q:g}, effect {FAIL_EFFECT:g}; WARN: q < {WARN_Q:g})"
RANKS_BAND = f"what came ranks evenly (FAIL: q < {FAIL_Q:g}, effect {FAIL_EFFECT:g}; WARN: q < {WARN_Q:g})"
SCORES_BAND = "what 95 % of real windows against real windows keep to"


def facts_findings(scenario: str, report: FactsReport) -> list[Finding]:
    """Return one finding per group of facts and scores: the label of its worst member, and which member that is.

    Facts by the rank of what came (mode A) are named apart: they judge the generator over many contexts.
    """
    check = FACTS_BY_ORIGIN if report.mode == "A" else FACTS
    return [
        Finding(
            name=check.name(group),
            label=(label := worst((member.label for member in members), "UNTESTABLE")),
            measured=_told(members, label),
            band=SCORES_BAND if group in SCORE_GROUPS else RANKS_BAND if report.mode == "A" else FACTS_BAND,
            scenario=scenario,
            offenders=[member.name for member in members if member.label in ("FAIL", "WARN")],
        )
        for group, members in _groups(report).items()
    ]


@dataclass(frozen=True)
class _Member:
    name: str
    label: Label
    sentence: str
    effect: float


def _groups(report: FactsReport) -> dict[str, list[_Member]]:
    """Return the judged members of each group, facts before scores."""
    group_of = {name: group for group, names in SCORE_GROUPS.items() for name in names}
    groups: dict[str, list[_Member]] = {}
    for fact in report.facts:
        if fact.label is not None:
            means = (fact.real_mean, fact.synthetic_mean)
            shown = "" if None in means else f"real {fact.real_mean:.3g}, paths {fact.synthetic_mean:.3g}; "
            effect = 0.0 if fact.comparison is None else fact.comparison.effect
            sentence = f"{fact.title}: {shown}{fact.reason}"
            groups.setdefault(fact.group, []).append(_Member(fact.fact, fact.label, sentence, effect))
    for score in report.scores:
        if score.label is not None:
            sentence = f"{score.title}: {score.reason}"
            member = _Member(score.score, score.label, sentence, 0.0)
            groups.setdefault(group_of[score.score], []).append(member)
    return groups


def _told(members: list[_Member], label: Label) -> str:
    """Return how many members carry the label, and the one that is furthest off."""
    alike = [member for member in members if member.label == label]
    top = max(alike, key=lambda member: member.effect)
    count = f"{len(alike)} of {len(members)} {label}; " if len(members) > 1 else ""
    return f"{count}{top.sentence}"


def unjudged_facts_finding(scenario: str, reason: str) -> Finding:
    """Return the finding on paths that cannot be compared with real windows."""
    return Finding(FACTS.key, "UNTESTABLE", reason, "paths that can be compared with real windows", scenario)
