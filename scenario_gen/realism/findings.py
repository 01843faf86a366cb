"""Findings on stylized facts and scores: one per group, the label of its worst member and which member that is.

The one way from measured facts to findings. Two sets of words: a run tells how many members are so and the one that is
furthest off, a check of given paths the reason of the first and the names of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scenario_gen.finding import COPY, FACTS, FACTS_BY_ORIGIN, Check, Finding, Label, worst
from scenario_gen.realism.results import FactsReport, FactVerdict, ScoreVerdict
from scenario_gen.realism.scores import EXEMPT, SCORE_GROUPS
from scenario_gen.realism.verdicts import FAIL_EFFECT, FAIL_Q, WARN_Q

FACTS_BAND = f"real windows of the same length (FAIL: q < {FAIL_Q:g}, effect {FAIL_EFFECT:g}; WARN: q < {WARN_Q:g})"
RANKS_BAND = f"what came ranks evenly (FAIL: q < {FAIL_Q:g}, effect {FAIL_EFFECT:g}; WARN: q < {WARN_Q:g})"
SCORES_BAND = "what 95 % of real windows against real windows keep to"


@dataclass(frozen=True)
class Member:
    """A judged fact or score of a group."""

    name: str
    label: Label
    title: str  # what it measures
    figures: str  # of reality and of the paths, in words; "" where it has none
    reason: str  # of the label
    effect: float  # how far off it is


def members_of(facts: Iterable[FactVerdict], scores: Iterable[ScoreVerdict]) -> dict[str, list[Member]]:
    """Return the judged members of each group, facts before scores."""
    groups: dict[str, list[Member]] = {}
    for fact in facts:
        if fact.label is not None:
            means = (fact.real_mean, fact.synthetic_mean)
            figures = "" if None in means else f"real {fact.real_mean:.3g}, paths {fact.synthetic_mean:.3g}; "
            effect = 0.0 if fact.comparison is None else fact.comparison.effect
            member = Member(fact.fact, fact.label, fact.title, figures, fact.reason, effect)
            groups.setdefault(fact.group, []).append(member)
    group_of = {name: group for group, names in SCORE_GROUPS.items() for name in names}
    for score in scores:
        if score.label is not None:
            member = Member(score.score, score.label, score.title, "", score.reason, 0.0)
            groups.setdefault(group_of[score.score], []).append(member)
    return groups


def decisive(members: Sequence[Member]) -> tuple[Label, list[Member]]:
    """Return the worst label of a group, and the members that carry it; UNTESTABLE where nothing was judged."""
    label = worst((member.label for member in members), "UNTESTABLE")
    return label, [member for member in members if member.label == label]


def facts_check(report: FactsReport) -> Check:
    """Return whose findings a report's are: facts by the rank of what came (mode A) judge over many contexts."""
    return FACTS_BY_ORIGIN if report.mode == "A" else FACTS


def facts_findings(scenario: str, report: FactsReport) -> list[Finding]:
    """Return one finding per group of facts and scores that has members, in the words of a run."""
    findings = []
    for group, members in members_of(report.facts, report.scores).items():
        label, alike = decisive(members)
        top = max(alike, key=lambda member: member.effect)
        count = f"{len(alike)} of {len(members)} {label}; " if len(members) > 1 else ""
        finding = facts_check(report).finding(
            label,
            f"{count}{top.title}: {top.figures}{top.reason}",
            part=group,
            band=SCORES_BAND if group in SCORE_GROUPS else RANKS_BAND if report.mode == "A" else FACTS_BAND,
            scenario=scenario,
            offenders=[member.name for member in members if member.label in ("FAIL", "WARN")],
        )
        findings.append(finding)
    return findings


def given_findings(report: FactsReport, *, exempt: bool = False) -> list[Finding]:
    """Return one finding per group of facts and per group of scores, in the words of a check of given paths.

    Args:
        report: on their facts and scores.
        exempt: the generator resamples history, so copies are not judged.
    """
    members = members_of(report.facts, report.scores)
    lacking = "; ".join(report.notes) or "nothing of it could be computed"
    return [
        group_finding(
            facts_check(report), group, members.get(group, []), EXEMPT if exempt and group == COPY.key else lacking
        )
        for group in (*(name for name in members if name not in SCORE_GROUPS), *SCORE_GROUPS)
    ]


def group_finding(check: Check, group: str, members: Sequence[Member], lacking: str) -> Finding:
    """Return a group's finding: the first decisive member's reason in full, and the names of the others."""
    label, alike = decisive(members)
    others = ", ".join(member.name for member in alike[1:])
    told = f"{alike[0].name}: {alike[0].reason}" + (f"; also {others}" if others else "") if alike else lacking
    return check.finding(label, told, part=group)


def unjudged_facts_finding(scenario: str, reason: str) -> Finding:
    """Return the finding on paths that cannot be compared with real windows."""
    band = "paths that can be compared with real windows"
    return FACTS.finding("UNTESTABLE", reason, band=band, scenario=scenario)
