"""The account of a candle check: what a run tells of its candles, as plain values, and the label that follows.

Owns the record and the thresholds of the label. How the counts come about is in ``candles`` and ``tally``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Label = Literal["PASS", "WARN", "FAIL", "INCONCLUSIVE", "UNTESTABLE", "ERROR"]
Kind = Literal["fault", "breach", "form", "suspect"]

HARD_RULES = ("V1", "V2", "V6")  # a single breach is a generator fault
FORM_RULES = ("V5", "V4-idle")  # no bad bars, but more than 1 % of them beyond history's own share is a WARN
BAD_BARS_WARN, BAD_BARS_FAIL = 0.01, 0.05
REJECTED_WARN, REJECTED_FAIL = 0.01, 0.05
SUSPECT_RULES = ("V9", "V9-inside", "V10")  # beyond 1.5 times the largest of history: no accident on many paths
SUSPECT_WARN = 0.05  # of the paths
MOVED = 0.1  # standard deviations over raw paths: what a repair of one bar in six does to a fact at most
REJECTED_TOLD = 0.005  # of the paths: above this the ensemble is said to be conditional on acceptance


@dataclass(frozen=True)
class RuleCount:
    """One rule's account over all paths.

    Attributes:
        rule: "V3"; what stands beside a rule has a suffix: "V4-lots".
        title: the rule in words.
        bars: raw bars that break it; -1 where the rule could not be judged, and ``action`` says why.
        paths: raw paths with at least one such bar; -1 likewise.
        action: what was done about them.
        kind: ``fault``: the path is dropped; ``breach``: mended, and counted as a bad bar; ``form``: brought onto
            ticks, lots or a fitting amount, which no generator knows; ``suspect``: possible, flagged, kept.
        left_bars: bars of the kept paths that break it after the repair; -1 where it could not be judged.
        left_paths: kept paths with at least one such bar; -1 likewise.
        source: the threshold and where it comes from, of a rule that compares with history.
        history: share of the history's own bars that break it, where that is of interest.
    """

    rule: str
    title: str
    bars: int
    paths: int
    action: str
    kind: Kind = "breach"
    left_bars: int = 0
    left_paths: int = 0
    source: str = ""
    history: float | None = None


@dataclass(frozen=True)
class Interval:
    """A mean over paths with its 95 % interval (Student's t); no bounds where fewer than two paths have it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Wickless:
    """Share of bars without a wick: the fingerprint that moving highs and lows out leaves.

    Attributes:
        side: ``upper`` (the high is open or close) or ``lower``.
        raw: in the kept paths before repair.
        repaired: in the same paths after it.
        history: in the real bars before the paths.
    """

    side: Literal["upper", "lower"]
    raw: Interval
    repaired: Interval
    history: float


@dataclass(frozen=True)
class FactShift:
    """What repair did to one stylized fact of the paths that it changed, in standard deviations over raw paths.

    Attributes:
        fact: its id in the facts room.
        raw: mean over the measured paths before repair.
        repaired: mean over the same paths after it.
        shift: (repaired - raw) per path over the raw standard deviation; ``n`` paths have it before and after.
    """

    fact: str
    raw: float | None
    repaired: float | None
    shift: Interval

    @property
    def moved(self) -> bool:
        """Whether repair moved it by more than a tenth of a standard deviation."""
        return self.shift.value is not None and abs(self.shift.value) > MOVED


@dataclass(frozen=True)
class Rejection:
    """How the rejected paths differ from the kept ones, on raw output: what rejection does to an ensemble.

    Attributes:
        rejected: paths that were rejected.
        measured: rejected paths that have finite positive closes and can be compared.
        log_sd: mean log standard deviation of returns, rejected minus kept.
        log_last: mean log of the last close, rejected minus kept.
        conditional: more than 0.5 % are rejected: the ensemble is conditional on acceptance.
    """

    rejected: int
    measured: int
    log_sd: Interval
    log_last: Interval
    conditional: bool


@dataclass(frozen=True)
class CandleAccount:
    """The account of one scenario: paths = untouched + rounded + repaired + rejected.

    Attributes:
        paths: paths that were generated.
        bars: bars that were generated.
        untouched: paths kept as they were.
        rounded: paths kept, changed by nothing but ticks, lots and a fitting amount.
        repaired: paths kept after at least one breach was mended.
        rejected: paths that were not used.
        bad_bars: raw bars that break V1, V2, V3, V4, V6 or V8, each counted once.
        bad_paths: raw paths with at least one such bar.
        rules: one row per rule, zero rows and unjudged rows included.
        changed_bars: bars of which the repair changed a price by more than rounding to ticks would.
        mean_change_bp: mean absolute change of such a price, in basis points of the bar's close.
        max_change_bp: the largest such change.
        mean_change_range: mean absolute change of such a price, in units of the repaired bar's range.
        wickless: the fingerprint, upper and lower side.
        facts: what repair did to every stylized fact of the paths that it changed, of at most some thousand of them,
            evenly spread; empty where nothing was changed.
        rejection: how rejected paths differ; None where none was rejected.
        policy: ``repair``, ``reject`` or ``fail``.
        label: by the share of bad bars (1 %, 5 %) and of rejected paths (1 %, 5 %); any V1, V2, V6 is FAIL; V9 or V10
            on more than 5 % of the paths is WARN.
    """

    paths: int
    bars: int
    untouched: int
    rounded: int
    repaired: int
    rejected: int
    bad_bars: int
    bad_paths: int
    rules: list[RuleCount]
    changed_bars: int
    mean_change_bp: float
    max_change_bp: float
    mean_change_range: float
    policy: str
    label: Label
    wickless: list[Wickless] = field(default_factory=list)
    facts: list[FactShift] = field(default_factory=list)
    rejection: Rejection | None = None

    @property
    def odd_rules(self) -> list[RuleCount]:
        """Rules V9 and V10 where more than 5 % of the paths break them."""
        return odd_rules(self.rules, self.paths)

    def __post_init__(self) -> None:
        if self.paths != self.untouched + self.rounded + self.repaired + self.rejected:
            raise ValueError(
                f"{self.paths} paths are not {self.untouched} untouched + {self.rounded} rounded "
                f"+ {self.repaired} repaired + {self.rejected} rejected"
            )


def candle_label(bad_share: float, rejected_share: float, bars: int, paths: int, rules: list[RuleCount]) -> Label:
    """Return the label of a scenario's candles.

    Args:
        bad_share: share of raw bars that are bad.
        rejected_share: share of paths that were rejected.
        bars: raw bars.
        paths: raw paths.
        rules: the account's rows.
    """
    if any(row.rule in HARD_RULES and row.bars > 0 for row in rules):
        return "FAIL"
    if bad_share > BAD_BARS_FAIL or rejected_share > REJECTED_FAIL:
        return "FAIL"
    beyond_history = [row.bars / bars - (row.history or 0.0) for row in rules if row.rule in FORM_RULES]
    if max([bad_share, *beyond_history]) > BAD_BARS_WARN or rejected_share > REJECTED_WARN:
        return "WARN"
    return "WARN" if odd_rules(rules, paths) else "PASS"


def odd_rules(rules: list[RuleCount], paths: int) -> list[RuleCount]:
    """Return the rows of V9 and V10 where more than 5 % of the paths move further than history allows."""
    return [row for row in rules if row.rule in SUSPECT_RULES and row.paths > SUSPECT_WARN * paths]
