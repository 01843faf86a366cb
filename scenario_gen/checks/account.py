"""The account of a candle check: counts that add up over blocks and over paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Label = Literal["PASS", "WARN", "FAIL", "INCONCLUSIVE", "UNTESTABLE", "ERROR"]
HARD_RULES = ("V1", "V2", "V6")  # a single breach is a generator fault
BAD_BARS_WARN, BAD_BARS_FAIL = 0.01, 0.05
REJECTED_WARN, REJECTED_FAIL = 0.01, 0.05


@dataclass(frozen=True)
class RuleCount:
    """One rule's account over all paths, before any repair.

    Attributes:
        rule: "V3".
        title: the rule in words.
        bars: bars that break it; -1 where the rule could not be judged, and ``action`` says why.
        paths: paths with at least one such bar.
        action: what was done about them.
    """

    rule: str
    title: str
    bars: int
    paths: int
    action: str


@dataclass(frozen=True)
class CandleAccount:
    """The account of one scenario: paths = untouched + repaired + rejected.

    Attributes:
        paths: paths that were generated.
        bars: bars that were generated.
        untouched: paths kept as they were.
        repaired: paths kept after at least one change.
        rejected: paths that were not used.
        bad_bars: bars that break V1, V2, V3, V4 or V6, each counted once.
        rules: one row per rule, zero rows included.
        mean_change_bp: mean absolute change of a repaired high or low, in basis points of the bar's close.
        max_change_bp: the largest such change.
        policy: ``repair``, ``reject`` or ``fail``.
        label: by the share of bad bars (1 %, 5 %) and of rejected paths (1 %, 5 %); any V1, V2, V6 is FAIL.
    """

    paths: int
    bars: int
    untouched: int
    repaired: int
    rejected: int
    bad_bars: int
    rules: list[RuleCount]
    mean_change_bp: float
    max_change_bp: float
    policy: str
    label: Label

    def __post_init__(self) -> None:
        if self.paths != self.untouched + self.repaired + self.rejected:
            raise ValueError(
                f"{self.paths} paths are not {self.untouched} untouched + {self.repaired} repaired "
                f"+ {self.rejected} rejected"
            )


@dataclass(frozen=True)
class Tally:
    """The raw counts of one block, which add up."""

    paths: int
    bars: int
    untouched: int
    repaired: int
    rejected: int
    bad_bars: int
    rules: tuple[RuleCount, ...]
    changes: int
    change_bp_sum: float
    change_bp_max: float
    policy: str


def merge_tallies(tallies: Sequence[Tally]) -> CandleAccount:
    """Add up the tallies of a scenario's blocks and label the whole."""
    paths, bars, rejected, bad = (
        sum(getattr(t, name) for t in tallies) for name in ("paths", "bars", "rejected", "bad_bars")
    )
    rules = [_merge_rule([t.rules[i] for t in tallies]) for i in range(len(tallies[0].rules))]
    changes = sum(t.changes for t in tallies)
    return CandleAccount(
        paths=paths,
        bars=bars,
        untouched=sum(t.untouched for t in tallies),
        repaired=sum(t.repaired for t in tallies),
        rejected=rejected,
        bad_bars=bad,
        rules=rules,
        mean_change_bp=sum(t.change_bp_sum for t in tallies) / changes if changes else 0.0,
        max_change_bp=max(t.change_bp_max for t in tallies),
        policy=tallies[0].policy,
        label=candle_label(bad / bars, rejected / paths, rules),
    )


def _merge_rule(rows: list[RuleCount]) -> RuleCount:
    judged = [row for row in rows if row.bars >= 0]
    if not judged:
        return rows[0]
    busiest = max(judged, key=lambda row: row.bars)
    return RuleCount(
        busiest.rule,
        busiest.title,
        sum(row.bars for row in judged),
        sum(row.paths for row in judged),
        busiest.action,
    )


def candle_label(bad_share: float, rejected_share: float, rules: list[RuleCount]) -> Label:
    """Return the label of a scenario's candles, from the shares of bad bars and of rejected paths."""
    if any(row.rule in HARD_RULES and row.bars > 0 for row in rules):
        return "FAIL"
    if bad_share > BAD_BARS_FAIL or rejected_share > REJECTED_FAIL:
        return "FAIL"
    if bad_share > BAD_BARS_WARN or rejected_share > REJECTED_WARN:
        return "WARN"
    return "PASS"
