"""Findings of a run: candle account, edge of the levels, stylized facts.

Owns how a judgement becomes a name, a label and a line. Judges little itself: labels come from the checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scenario_gen.candles.account import BAD_BARS_FAIL, BAD_BARS_WARN, SUSPECT_WARN, CandleAccount
from scenario_gen.checks.inference.labels import FAIL_EFFECT, FAIL_Q, WARN_Q
from scenario_gen.finding import CANDLES, EDGE, FACTS, FACTS_BY_ORIGIN, Finding, Label, worst
from scenario_gen.pipeline.check_results import SCORE_GROUPS
from scenario_gen.store.results import FactsReport

FACTS_BAND = f"real windows of the same length (FAIL: q < {FAIL_Q:g}, effect {FAIL_EFFECT:g}; WARN: q < {WARN_Q:g})"
RANKS_BAND = f"what came ranks evenly (FAIL: q < {FAIL_Q:g}, effect {FAIL_EFFECT:g}; WARN: q < {WARN_Q:g})"
SCORES_BAND = "what 95 % of real windows against real windows keep to"
PINNED_PATHS_WARN = 0.01  # the 99 % tail measures read the outer hundredth of the paths


def candle_finding(scenario: str, account: CandleAccount) -> Finding:
    """Return the verdict on a scenario's raw candles, and which rules were broken."""
    share = account.bad_bars / account.bars
    broken = [
        f"{row.rule}: {row.bars} bars in {row.paths} paths, {row.action}" for row in account.rules if row.paths > 0
    ]
    conditional = account.rejection is not None and account.rejection.conditional
    told = "; the ensemble is conditional on acceptance" if conditional else ""
    odd = [
        f"; {row.paths / account.paths:.0%} of paths, {row.rule}: not so that {row.title}" for row in account.odd_rules
    ]
    return Finding(
        name=CANDLES.key,
        label=account.label,
        measured=f"{share:.2%} of {account.bars} generated bars break a rule; {account.rejected} paths rejected"
        f"{told}{''.join(odd)}",
        band=f"at most {BAD_BARS_WARN:.0%} of bars (WARN) or {BAD_BARS_FAIL:.0%} (FAIL), no path without a price, V9 "
        f"and V10 on at most {SUSPECT_WARN:.0%} of paths",
        scenario=scenario,
        offenders=broken,
    )


def edge_finding(scenario: str, provenance: Mapping[str, Any], paths: int) -> list[Finding]:
    """Return whether paths reach the edge of what price levels can express; nothing for models without an edge.

    Args:
        scenario: its name.
        provenance: of its paths, with the counts of pinned bars and paths.
        paths: how many were generated.
    """
    if provenance.get("representation") != "levels":
        return []
    pinned = int(provenance["pinned_paths"])
    return [
        Finding(
            name=EDGE.key,
            label="WARN" if pinned > PINNED_PATHS_WARN * paths else "PASS",
            measured=f"{pinned} of {paths} paths have a price more than 4.5 standard deviations from the mean of the "
            f"context ({provenance['pinned_bars']} bars); the model can express 5",
            band=f"at most {PINNED_PATHS_WARN:.0%} of paths: the measures of the 99 % tail rest on as many",
            scenario=scenario,
        )
    ]


def facts_findings(scenario: str, found: FactsReport) -> list[Finding]:
    """Return one finding per group of facts and scores: the label of its worst member, and which member that is.

    Facts by the rank of what came (mode A) are named apart: they judge the generator over many contexts.
    """
    check = FACTS_BY_ORIGIN if found.mode == "A" else FACTS
    return [
        Finding(
            name=check.name(group),
            label=(label := worst((member.label for member in members), "UNTESTABLE")),
            measured=_told(members, label),
            band=SCORES_BAND if group in SCORE_GROUPS else RANKS_BAND if found.mode == "A" else FACTS_BAND,
            scenario=scenario,
            offenders=[member.name for member in members if member.label in ("FAIL", "WARN")],
        )
        for group, members in _groups(found).items()
    ]


@dataclass(frozen=True)
class _Member:
    name: str
    label: Label
    told: str
    effect: float


def _groups(found: FactsReport) -> dict[str, list[_Member]]:
    """Return the judged members of each group, facts before scores."""
    group_of = {name: group for group, names in SCORE_GROUPS.items() for name in names}
    groups: dict[str, list[_Member]] = {}
    for fact in found.facts:
        if fact.label is not None:
            means = (fact.real_mean, fact.synthetic_mean)
            shown = "" if None in means else f"real {fact.real_mean:.3g}, paths {fact.synthetic_mean:.3g}; "
            effect = 0.0 if fact.comparison is None else fact.comparison.effect
            told = f"{fact.title}: {shown}{fact.reason}"
            groups.setdefault(fact.group, []).append(_Member(fact.fact, fact.label, told, effect))
    for score in found.scores:
        if score.label is not None:
            told = f"{score.title}: {score.reason}"
            member = _Member(score.score, score.label, told, 0.0)
            groups.setdefault(group_of[score.score], []).append(member)
    return groups


def _told(members: list[_Member], label: Label) -> str:
    """Return how many members carry the label, and the one that is furthest off."""
    alike = [member for member in members if member.label == label]
    top = max(alike, key=lambda member: member.effect)
    count = f"{len(alike)} of {len(members)} {label}; " if len(members) > 1 else ""
    return f"{count}{top.told}"


def unjudged_facts_finding(scenario: str, reason: str) -> Finding:
    """Return the finding on paths that cannot be compared with real windows."""
    return Finding(FACTS.key, "UNTESTABLE", reason, "paths that can be compared with real windows", scenario)
