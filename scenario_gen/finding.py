"""Judgements: labels and their order, the checks there are, and what each check found.

Owns the five labels and which of several is the worst, the list of checks with what each does to the page, to a
favourable label and to the exit code, the groups of facts and scores, which are parts of a check, and
:class:`Finding`, the one form that a judgement has. Judges nothing: each
room builds its findings where it measures. Does not know how a finding is drawn.

To add a finding: one entry in :data:`CHECKS`, and ``entry.finding(label, measured, ...)`` where it is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, overload

Label = Literal["PASS", "WARN", "FAIL", "INCONCLUSIVE", "UNTESTABLE"]
SEVERITY: tuple[Label, ...] = ("PASS", "UNTESTABLE", "INCONCLUSIVE", "WARN", "FAIL")
BAD: tuple[Label, ...] = ("FAIL", "WARN")

Gate: TypeAlias = Literal["limit", "strategy", "generator"]
EXIT_CODES: Mapping[Gate, int] = {"limit": 3, "strategy": 4, "generator": 4}  # a breached limit is told first
TOO_MANY_BAD_BARS = 0.05


@overload
def worst(labels: Iterable[Label]) -> Label | None: ...


@overload
def worst(labels: Iterable[Label], empty: Label) -> Label: ...


def worst(labels: Iterable[Label], empty: Label | None = None) -> Label | None:
    """Return the worst label, ``empty`` where there is none: a group has the label of its worst member."""
    return max(labels, key=SEVERITY.index, default=empty)


@dataclass(frozen=True)
class Check:
    """One kind of judgement: an entry of :data:`CHECKS`."""

    key: str  # what run.json calls it; a part of it is "key: part"
    band: str = ""  # what is looked for, where that hangs on nothing measured
    section: str = ""  # of the page, whose mark shows its worst label; "" for none
    card: bool = False  # whether a card of the verdict speaks for it; else the page lists it among other findings
    gate: Gate | None = None  # what a FAIL of it fails: a declared limit, a strategy or the generator
    together: bool = False  # whether its parts are told in one line, and called "key.part" instead of "key: part"
    cap: Label | None = None  # what a FAIL of it holds a favourable label down to
    capping: Mapping[str, frozenset[str]] | None = None  # parts whose FAIL caps, by one of these offenders or by any
    # parts whose FAIL is a doubt alone: it caps at INCONCLUSIVE, and where facts by origin judge the part, at nothing
    doubts: frozenset[str] = frozenset()

    def name(self, part: str = "") -> str:
        """Return the name of the check, or of a part of it."""
        joint = "." if self.together else ": "
        return f"{self.key}{joint}{part}" if part else self.key

    def finding(
        self,
        label: Label,
        measured: str,
        *,
        part: str = "",
        band: str | None = None,
        scenario: str = "",
        strategy: str = "",
        offenders: Iterable[str] = (),
        evidence: Iterable[Mapping[str, Any]] = (),
    ) -> Finding:
        """Return what this check found.

        Args:
            label: the judgement.
            measured: what was seen, in words.
            part: of the check: which limit, which group of facts, which stretch of history.
            band: what was looked for, where it is not the check's own.
            scenario: name of the scenario, "" for all.
            strategy: name of the strategy, "" where it is about none.
            offenders: what broke the band, in words.
            evidence: the offenders as numbers and words by name.
        """
        told = self.band if band is None else band
        listed = [dict(values) for values in evidence]
        return Finding(self.name(part), label, measured, told, scenario, [*offenders], strategy, listed)

    def of(self, findings: Iterable[Finding], scenario: str | None = None) -> list[Finding]:
        """Return the findings of this check and its parts; of one scenario, or of every."""
        own = [finding for finding in findings if finding.check is self]
        return [finding for finding in own if scenario is None or finding.scenario == scenario]

    def caps(self, finding: Finding) -> bool:
        """Return whether a finding of this check holds favourable labels down."""
        if self.cap is None or finding.label != "FAIL":
            return False
        if self.capping is None:
            return True
        offenders = self.capping.get(finding.part)
        return offenders is not None and (not offenders or bool(offenders & {*finding.offenders}))


@dataclass(frozen=True)
class Finding:
    """A judgement with its evidence."""

    name: str  # of its check, and the part of it
    label: Label
    measured: str
    band: str
    scenario: str = ""
    offenders: list[str] = field(default_factory=list)
    strategy: str = ""  # whom it is about, where that is one strategy
    evidence: list[dict[str, Any]] = field(default_factory=list)  # the offenders as numbers and words by name

    @property
    def check(self) -> Check:
        """The check that it comes from; one that this version does not know stands for itself."""
        return BY_KEY.get(self._split()[0]) or Check(self.name)

    @property
    def part(self) -> str:
        """Which part of its check, "" for the whole."""
        return self._split()[1]

    @property
    def told(self) -> str:
        """What was measured, and of which strategy."""
        return f"{self.strategy}: {self.measured}" if self.strategy else self.measured

    def _split(self) -> tuple[str, str]:
        joint = "." if "." in self.name.partition(": ")[0] else ": "
        key, _, part = self.name.partition(joint)
        return key, part


EFFECT_BAND = "(FAIL: q < 0.01, effect 0.1; WARN: q < 0.05)"
ANY: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Group:
    """One phenomenon that facts or scores show, with the label of its worst member: an entry of :data:`GROUPS`."""

    key: str  # what files and findings call it
    title: str  # over its rows of a table
    words: str  # inside a sentence
    misleading: frozenset[str] | None = None  # whose FAIL makes falls look milder than they are: of these, or of any


TAILS = Group("tails", "Tails", "tails", ANY)
CLUSTERING = Group("clustering", "Clustering of volatility", "clustering", ANY)
LINEAR = Group("linear", "Linear dependence", "linear dependence")
ASYMMETRY = Group("asymmetry", "Asymmetry", "asymmetry", ANY)
CANDLE_SHAPE = Group("candle_shape", "Shape of a candle", "candle shapes")
GAPS = Group("gaps", "Gaps", "gaps")
VOLUME = Group("volume", "Volume", "volume")
INTRADAY = Group("intraday", "Within the session", "time of day")
SCALE = Group("scale", "Scale", "scale", ANY)
CROSS_ASSET = Group("cross_asset", "Assets together", "assets together")
ENSEMBLE = Group("ensemble", "The ensemble as a whole", "the ensemble as a whole")  # every score, in a report of facts
DISCRIMINATIVE = Group("discriminative", "Told from real windows", "what tells paths from real windows")
COPY = Group("copy", "Copies of history", "copies of history", ANY)
# One context covers less than all of history by nature, so coverage misleads nobody.
DIVERSITY = Group("diversity", "Diversity", "diversity", frozenset({"distinct", "alike", "spread"}))
GROUPS: tuple[Group, ...] = (
    TAILS, CLUSTERING, LINEAR, ASYMMETRY, CANDLE_SHAPE, GAPS, VOLUME, INTRADAY, SCALE, CROSS_ASSET,
    ENSEMBLE, DISCRIMINATIVE, COPY, DIVERSITY,
)  # fmt: skip
GROUP: Mapping[str, Group] = {group.key: group for group in GROUPS}
MISLEADING: Mapping[str, frozenset[str]] = {  # groups that decide how deep falls go
    group.key: group.misleading for group in GROUPS if group.misleading is not None
}

CANDLES = Check("candles", section="integrity", card=True, gate="generator")
OVERLAP = Check("training overlap", "a context that ends after the model's training data", card=True)
EDGE = Check("edge of the levels")
DRIFT = Check("drift")
FACTS = Check(
    "facts", f"real windows of the same length {EFFECT_BAND}",
    section="facts", card=True, gate="generator", together=True, cap="WARN", capping=MISLEADING,
    doubts=frozenset(MISLEADING) - {COPY.key, DIVERSITY.key},
)  # fmt: skip
FACTS_BY_ORIGIN = Check(
    "facts by origin", f"what came ranks evenly {EFFECT_BAND}",
    section="facts", card=True, gate="generator", together=True, cap="WARN", capping=MISLEADING,
)  # fmt: skip
CALIBRATION = Check(
    "calibration",
    "ranks of what came that are uniform (WARN: q < .05; FAIL: q < .01 and a mean rank off by .1, or a 90 % band that "
    "holds less than 80 or more than 97 %; or value at risk)",
    section="generator", card=True, gate="generator", cap="INCONCLUSIVE",
)  # fmt: skip
VALUE_AT_RISK = Check(
    "value at risk",
    "exceedances as many, as scattered and as large as forecast in both tails (WARN: q < .05; FAIL: q < .01)",
    card=True, gate="generator",
)  # fmt: skip
RECALIBRATION = Check(
    "recalibration", "a CRPS of log volatility no higher than as sampled, and no other score surely higher (t above 2)"
)
LIMITS = Check("limits", section="tail", card=True, gate="limit")
LOOK_AHEAD = Check(
    "look_ahead", "the same decisions, to the last bit, whatever comes after a bar or on other paths",
    section="outcomes", gate="strategy",
)  # fmt: skip
WARM_UP = Check("warm_up", section="outcomes")
INTRABAR = Check(
    "intrabar",
    "orders of stop and target within a bar that move the mean return by less than its 95 % Monte Carlo error",
    section="exec",
)  # fmt: skip
FILLS = Check("fills", "at most 5 % of the orders that a strategy wants are cut or refused", section="exec")
NULLS = Check("nulls", section="paired")
MARKER = Check("marker")
OVERFITTING = Check("overfitting", section="params", card=True)
AGREEMENT = Check(
    "agreement",
    "mean, median, losing paths and 5 % quantile alike on all generators, to what ten points of loss amount to",
    section="across",
)  # fmt: skip
EVENT_PROBABILITY = Check("event_probability", section="stress", gate="limit")
EVENT_CROSS_CHECK = Check(
    "event_cross_check",
    "islands and plain paths alike at every level that 30 plain paths come to (FAIL: p < .01 after Bonferroni)",
    section="stress",
)  # fmt: skip
EVENT_GENEALOGY = Check(
    "event_genealogy", "30 independent stories or more behind the paths in the event (INCONCLUSIVE below 10)",
    section="stress",
)  # fmt: skip
EVENT_MODELS_AGREE = Check(
    "event_models_agree", "probabilities under several generators that differ by less than ten times", section="stress"
)
EVENT_IN_HISTORY = Check(
    "event_in_history", "a probability that the count in windows that began as volatile allows", section="stress"
)
VIEW_REACH = Check(
    "view_reach",
    "paths as many as 200 alike and a twentieth of all (FAIL: fewer than 100, or one path that stands for over 5 %)",
    section="stress",
)  # fmt: skip
SHOCK_RESPONSE = Check(
    "shock_response", "ranges over five bars after a shock in the context that rise as after such bars of history",
    section="stress",
)  # fmt: skip
CONTEXT_IN_DISTRIBUTION = Check(
    "context_in_distribution", "no shocked bar of which something lies beyond what the generator reads",
    section="stress",
)  # fmt: skip
JOINT_CALIBRATION = Check(
    "joint_calibration",
    "gains of portfolios that rank evenly among those of the paths (as 'calibration')",
    section="book", card=True, gate="generator",
)  # fmt: skip
COINTEGRATION = Check(
    "cointegration", "no pair of assets that keeps together over the context (p < .05 after Holm)", section="book"
)
CALENDAR = Check(
    "calendar_alignment",
    "no pair of assets whose returns go together a bar apart (p < .01 after Holm), and more than bar by bar",
    section="book",
)
CROSS_SECTION = Check(
    "cross_section", "a rank IC above 0 beyond chance (two-sided p < .05 where neighbouring returns overlap)",
    together=True,
)  # fmt: skip
LIVE_CALIBRATION = Check(
    "live_calibration",
    "ranks of the next bars that no bet against their evenness grows on (WARN: 20 times the stake; FAIL: 100 times)",
    gate="generator",
)  # fmt: skip
LIVE_DRIFT = Check(
    "live_drift", "latest returns no further from those before the first forecast than stretches of these are (95 %)"
)
LIVE_INPUT = Check("live_input", "bars that come in time and in order, none of them missing, odd or revised")
LIVE_STRATEGY = Check(
    "live_strategy",
    "realised equity among the promised paths (WARN: as far astray as 2.5 % of whole paths ever are, or finished "
    "promises that rank to one side with evidence of 40; FAIL: as far as 1 %)",
    gate="strategy",
)  # fmt: skip

CHECKS: tuple[Check, ...] = (
    CANDLES, OVERLAP, EDGE, DRIFT, FACTS, FACTS_BY_ORIGIN, CALIBRATION, VALUE_AT_RISK, RECALIBRATION, LIMITS,
    LOOK_AHEAD, WARM_UP, INTRABAR, FILLS, NULLS, MARKER, OVERFITTING, AGREEMENT,
    EVENT_PROBABILITY, EVENT_CROSS_CHECK, EVENT_GENEALOGY, EVENT_MODELS_AGREE, EVENT_IN_HISTORY,
    VIEW_REACH,
    SHOCK_RESPONSE, CONTEXT_IN_DISTRIBUTION,
    JOINT_CALIBRATION, COINTEGRATION, CALENDAR, CROSS_SECTION, LIVE_CALIBRATION, LIVE_DRIFT, LIVE_INPUT,
    LIVE_STRATEGY,
)  # fmt: skip
BY_KEY: Mapping[str, Check] = {check.key: check for check in CHECKS}


def in_section(findings: Iterable[Finding], section: str) -> Label | None:
    """Return the worst label that a section of the page is marked with; None where no check of it was made."""
    return worst(finding.label for finding in findings if finding.check.section == section)


def by_group(labels: Iterable[tuple[str, Label]]) -> dict[str, Label]:
    """Return the worst label of each group, in the order in which groups come first."""
    groups: dict[str, list[Label]] = {}
    for group, label in labels:
        groups.setdefault(group, []).append(label)
    return {group: worst(members, "UNTESTABLE") for group, members in groups.items()}


def failed(findings: Iterable[Finding], gate: Gate) -> list[Finding]:
    """Return the findings that fail at a gate."""
    return [finding for finding in findings if finding.label == "FAIL" and finding.check.gate == gate]


def exit_code(findings: Sequence[Finding], *gates: Gate) -> int:
    """Return the exit code of the first of the gates at which something fails, else 0."""
    return next((EXIT_CODES[gate] for gate in gates if failed(findings, gate)), 0)


def calibration_label(findings: Iterable[Finding], scenario: str) -> Label | None:
    """Return the worst label of a scenario's calibration; None where it was not calibrated."""
    return worst(finding.label for finding in CALIBRATION.of(findings) if finding.scenario in ("", scenario))


def uncalibrated(findings: Iterable[Finding], scenario: str) -> bool:
    """Return whether no calibration speaks for a scenario's generator."""
    return calibration_label(findings, scenario) in (None, "UNTESTABLE")


def failed_facts(findings: Iterable[Finding], scenario: str) -> list[str]:
    """Return the groups of a scenario's facts whose FAIL holds a favourable label down to WARN, each once.

    They decide how deep falls go. Facts by the rank of what came count; of facts against real windows copies and
    diversity do: paths that repeat history or one another, move together or lie too close together.
    """
    own = [finding for finding in findings if finding.scenario == scenario and finding.check.capping is not None]
    return list(dict.fromkeys(finding.part for finding in own if holds_to(finding, own) == "WARN"))


def holds_to(finding: Finding, findings: Sequence[Finding]) -> Label | None:
    """Return what a finding holds a favourable label down to; None where it does not.

    What came after its own context is the first judge: facts against real windows of all of history are a doubt, and
    none where facts by origin judge the same group.
    """
    check = finding.check
    if not check.caps(finding):
        return None
    if finding.part not in check.doubts:
        return check.cap
    first = [other for other in FACTS_BY_ORIGIN.of(findings, finding.scenario) if other.part == finding.part]
    judged = any(other.label not in ("INCONCLUSIVE", "UNTESTABLE") for other in first)
    return None if judged else "INCONCLUSIVE"


def cap(label: Label, findings: Sequence[Finding], scenario: str, *, bad_bars: float) -> Label:
    """Hold a favourable label down to what the generator's own state allows; an unfavourable one stands.

    No calibration finding: at most INCONCLUSIVE. Bad bars on 5 % or more, copies, or facts by origin that FAIL and
    decide how deep falls go: at most WARN. A calibration that FAILs, or facts that FAIL beside all of history where
    what came does not judge them: at most INCONCLUSIVE.

    Args:
        label: to be held down.
        findings: of the run.
        scenario: whose generator is asked.
        bad_bars: share of its bars that break a rule of candles.
    """
    if label != "PASS":
        return label
    if uncalibrated(findings, scenario):
        return "INCONCLUSIVE"
    if bad_bars >= TOO_MANY_BAD_BARS:
        return "WARN"
    held = [holds_to(finding, findings) for finding in findings if finding.scenario in ("", scenario)]
    return next((held_to for held_to in ("WARN", "INCONCLUSIVE") if held_to in held), label)
