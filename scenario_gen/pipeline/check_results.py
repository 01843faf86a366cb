"""What a check of given paths found, as frozen values: what ``scenario-gen check --json`` prints.

Owns the verdict of each group. Computes no statistic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from scenario_gen.candles.account import CandleAccount
from scenario_gen.checks.facts import FACT, Audit
from scenario_gen.checks.inference import Design, FactsReport, FactVerdict, LongFigure, Mode
from scenario_gen.checks.scores import ScoreVerdict
from scenario_gen.finding import Label, worst
from scenario_gen.forecasts.results import GeneratorCalibration

CANDLES, COPY, CALIBRATION, VALUE_AT_RISK = "candles", "copy", "calibration", "value_at_risk"
SCORE_GROUPS: dict[str, tuple[str, ...]] = {
    "discriminative": ("c2st", "energy", "precision"),
    COPY: ("copies",),
    "diversity": ("distinct", "alike", "spread", "coverage"),
}
EXEMPT = "not judged: the generator is declared to resample history"


@dataclass(frozen=True)
class ReferenceView:
    """The history that the paths were compared with.

    Attributes:
        name: of the instrument.
        source: where it came from.
        bars: bars that were used, none of them after the context's end.
        left_out: bars of the source after the context's end.
        first: stamp of the first bar.
        last: stamp of the last bar used.
        frequency: "daily", "5m", ...
        sha256: of stamps, fields and values used.
        flags: suspicious bars of it, in words.
    """

    name: str
    source: str
    bars: int
    left_out: int
    first: str
    last: str
    frequency: str
    sha256: str
    flags: list[str]


@dataclass(frozen=True)
class PathsView:
    """The paths that were checked.

    Attributes:
        source: file name, or what they are.
        paths: how many came.
        bars: bars of each.
        contexts: number of contexts that they continue.
        fields: open, high, low, close and then volume and amount where they came.
        first: the earliest stamp.
        last: the latest stamp.
    """

    source: str
    paths: int
    bars: int
    contexts: int
    fields: list[str]
    first: str
    last: str


@dataclass(frozen=True)
class CheckReport:
    """What was found about given paths: one label per group, and the figures behind it. There is no single number.

    Attributes:
        verdicts: group to the worst label of its judged members: candles, the groups of facts, discriminative, copy
            and diversity; and calibration and value_at_risk where they were run.
        reasons: group to the reason of that label, in words.
        mode: A: what came, ranked among the paths of its own context; B: paths of many contexts against windows of
            history; C: paths of one context.
        reference: what was compared with.
        paths: what was compared.
        candles: the account of the candle rules, on the paths as they came.
        facts: one verdict per stylized fact, on the paths after repair.
        scores: ensemble-level scores, each beside real windows against real windows.
        audit: what the reference cannot tell.
        design: sizes and clusters of the comparison, and why FAIL is called WARN where it is.
        yardstick: facts in which the reference's later half differs from its earlier half.
        notes: what else a reader must know.
        calibration: numbers of the paths by the rank of what came, from thirty contexts on whose futures are known.
        long: facts that only many bars show, of the reference and of the paths: no part of any verdict.
    """

    verdicts: dict[str, Label]
    reasons: dict[str, str]
    mode: Mode
    reference: ReferenceView
    paths: PathsView
    candles: CandleAccount
    facts: list[FactVerdict]
    scores: list[ScoreVerdict]
    audit: Audit
    design: Design
    yardstick: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    calibration: GeneratorCalibration | None = None
    long: list[LongFigure] = field(default_factory=list)

    @property
    def failed(self) -> list[str]:
        """Groups that fail: with any of them the command leaves with 4."""
        return failed_in(self.verdicts)

    @property
    def compared(self) -> bool:
        """Whether any fact or score could be judged at all; a valid candle alone says nothing of realism."""
        return compared_in(self.verdicts)

    @property
    def obstacle(self) -> str:
        """What kept most facts from being judged, in words; "" where nothing did."""
        least = min((FACT[one.fact].min_bars for one in self.facts if one.label is not None), default=0)
        if self.paths.bars < least:
            return f"the first facts need paths of at least {least} bars, these have {self.paths.bars}"
        reasons = Counter(fact.reason for fact in self.facts if fact.label == "UNTESTABLE")
        return reasons.most_common(1)[0][0] if reasons else ""

    def members(self, group: str) -> list[tuple[str, Label, str]]:
        """Return name, label and reason of the judged members of a group of facts or scores."""
        return [(name, label, why) for of, name, label, why in _members(self.facts, self.scores) if of == group]


def failed_in(verdicts: Mapping[str, Label]) -> list[str]:
    """Return the groups that fail."""
    return [group for group, label in verdicts.items() if label == "FAIL"]


def compared_in(verdicts: Mapping[str, Label]) -> bool:
    """Return whether anything but the candle rules could be judged."""
    return any(label != "UNTESTABLE" for group, label in verdicts.items() if group != CANDLES)


def verdicts_of(
    candles: CandleAccount, found: FactsReport, scores: list[ScoreVerdict], *, exempt: bool
) -> tuple[dict[str, Label], dict[str, str]]:
    """Return the label of each group and its reason; a group that nothing could judge is UNTESTABLE."""
    labels: dict[str, Label] = {CANDLES: candles.label}
    reasons = {CANDLES: _candle_reason(candles)}
    lacking = "; ".join(found.notes) or "nothing of it could be computed"
    members: dict[str, list[tuple[str, Label, str]]] = {}
    for group, name, label, why in _members(found.facts, scores):
        members.setdefault(group, []).append((name, label, why))
    for group in (*(name for name in members if name not in SCORE_GROUPS), *SCORE_GROUPS):
        judged = members.get(group, [])
        labels[group] = worst((label for _, label, _ in judged), "UNTESTABLE")
        decisive = [(name, why) for name, label, why in judged if label == labels[group]]
        reasons[group] = _reason(decisive) if decisive else EXEMPT if exempt and group == COPY else lacking
    return labels, reasons


def with_calibration(report: CheckReport, found: GeneratorCalibration | None) -> CheckReport:
    """Return the report with the verdicts on a calibration and its value at risk, where there is one."""
    if found is None:
        return report
    return replace(
        report,
        verdicts={**report.verdicts, CALIBRATION: found.label, VALUE_AT_RISK: found.value_at_risk},
        reasons={**report.reasons, CALIBRATION: found.reason, VALUE_AT_RISK: found.value_at_risk_reason},
        calibration=found,
    )


def _candle_reason(candles: CandleAccount) -> str:
    broken = [f"{row.rule} in {row.paths:,} paths" for row in candles.rules if row.paths > 0 and row.kind != "suspect"]
    told = f" ({', '.join(broken)})" if broken else ""
    odd = [f"; not so in {row.paths:,} paths: {row.title} ({row.rule})" for row in candles.odd_rules]
    return (
        f"{candles.bad_bars:,} of {candles.bars:,} bars are no valid candle{told}, {candles.rejected:,} paths rejected"
        f"{''.join(odd)}"
    )


def _reason(decisive: list[tuple[str, str]]) -> str:
    """Return the first member's reason in full, and the names of the others with the same label."""
    (name, why), *others = decisive
    return f"{name}: {why}" + (f"; also {', '.join(other for other, _ in others)}" if others else "")


def exempted(scores: Iterable[ScoreVerdict]) -> list[ScoreVerdict]:
    """Return the scores with the copy test shown and not judged."""
    return [
        replace(score, label=None, reason=f"{EXEMPT}; {score.reason}") if score.score in SCORE_GROUPS[COPY] else score
        for score in scores
    ]


def _members(facts: Iterable[FactVerdict], scores: Iterable[ScoreVerdict]) -> Iterator[tuple[str, str, Label, str]]:
    """Yield group, name, label and reason of everything that was judged."""
    for fact in facts:
        if fact.label is not None:
            yield fact.group, fact.fact, fact.label, fact.reason
    group_of = {name: group for group, names in SCORE_GROUPS.items() for name in names}
    for score in scores:
        if score.label is not None:
            yield group_of[score.score], score.score, score.label, score.reason
