"""What a check of given paths found, as frozen values: what ``scenario-gen check --json`` prints.

Owns the verdict of each group. Computes no statistic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from scenario_gen.candles.account import CandleAccount
from scenario_gen.finding import COPY, CROSS_ASSET, Label, worst
from scenario_gen.forecasts.results import GeneratorCalibration
from scenario_gen.realism.audit import Audit
from scenario_gen.realism.facts import FACT
from scenario_gen.realism.results import Design, FactsReport, FactVerdict, LongFigure, Mode, ScoreVerdict
from scenario_gen.realism.scores import CALIBRATION, CANDLE_GROUP, EXEMPT, SCORE_GROUPS, VALUE_AT_RISK


@dataclass(frozen=True)
class ReferenceView:
    """The history that the paths were compared with."""

    name: str  # of the instrument
    source: str  # where it came from
    bars: int  # bars that were used, none of them after the context's end
    left_out: int  # bars of the source after the context's end
    first: str  # stamp of the first bar
    last: str  # stamp of the last bar used
    frequency: str  # "daily", "5m", ..
    sha256: str  # of stamps, fields and values used
    flags: list[str]  # suspicious bars of it, in words


@dataclass(frozen=True)
class PathsView:
    """The paths that were checked."""

    source: str  # file name, or what they are
    paths: int  # how many came
    bars: int  # bars of each
    contexts: int  # number of contexts that they continue
    fields: list[str]  # open, high, low, close and then volume and amount where they came
    first: str  # the earliest stamp
    last: str  # the latest stamp


@dataclass(frozen=True)
class CheckReport:
    """What was found about given paths: one label per group, and the figures behind it. There is no single number."""

    # group to the worst label of its judged members: candles, the groups of facts, discriminative, copy and diversity;
    # and calibration and value_at_risk where they were run
    verdicts: dict[str, Label]
    reasons: dict[str, str]  # group to the reason of that label, in words
    # A: what came, ranked among the paths of its own context; B: paths of many contexts against windows of history; C:
    # paths of one context
    mode: Mode
    reference: ReferenceView  # what was compared with
    paths: PathsView  # what was compared
    candles: CandleAccount  # the account of the candle rules, on the paths as they came
    facts: list[FactVerdict]  # one verdict per stylized fact, on the paths after repair
    scores: list[ScoreVerdict]  # ensemble-level scores, each beside real windows against real windows
    audit: Audit  # what the reference cannot tell
    design: Design  # sizes and clusters of the comparison, and why FAIL is called WARN where it is
    # facts in which the reference's later half differs from its earlier half
    yardstick: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what else a reader must know
    # numbers of the paths by the rank of what came, from thirty contexts on whose futures are known
    calibration: GeneratorCalibration | None = None
    # facts that only many bars show, of the reference and of the paths: no part of any verdict
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
    return any(label != "UNTESTABLE" for group, label in verdicts.items() if group != CANDLE_GROUP)


def verdicts_of(
    candles: CandleAccount, report: FactsReport, scores: list[ScoreVerdict], *, exempt: bool
) -> tuple[dict[str, Label], dict[str, str]]:
    """Return the label of each group and its reason; a group that nothing could judge is UNTESTABLE."""
    labels: dict[str, Label] = {CANDLE_GROUP: candles.label}
    reasons = {CANDLE_GROUP: _candle_reason(candles)}
    lacking = "; ".join(report.notes) or "nothing of it could be computed"
    members: dict[str, list[tuple[str, Label, str]]] = {}
    for group, name, label, why in _members(report.facts, scores):
        members.setdefault(group, []).append((name, label, why))
    for group in (*(name for name in members if name not in SCORE_GROUPS), *SCORE_GROUPS):
        judged = members.get(group, [])
        labels[group] = worst((label for _, label, _ in judged), "UNTESTABLE")
        decisive = [(name, why) for name, label, why in judged if label == labels[group]]
        reasons[group] = _reason(decisive) if decisive else EXEMPT if exempt and group == COPY.key else lacking
    return labels, reasons


def with_calibration(report: CheckReport, calibration: GeneratorCalibration | None) -> CheckReport:
    """Return the report with the verdicts on a calibration and its value at risk, where there is one."""
    if calibration is None:
        return report
    return replace(
        report,
        verdicts={**report.verdicts, CALIBRATION: calibration.label, VALUE_AT_RISK: calibration.value_at_risk},
        reasons={**report.reasons, CALIBRATION: calibration.reason, VALUE_AT_RISK: calibration.value_at_risk_reason},
        calibration=calibration,
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


def _members(facts: Iterable[FactVerdict], scores: Iterable[ScoreVerdict]) -> Iterator[tuple[str, str, Label, str]]:
    """Yield group, name, label and reason of everything that was judged."""
    for fact in facts:
        if fact.label is not None:
            yield fact.group, fact.fact, fact.label, fact.reason
    group_of = {name: group for group, names in SCORE_GROUPS.items() for name in names}
    for score in scores:
        if score.label is not None:
            yield group_of[score.score], score.score, score.label, score.reason


# --- What a check of paths of several assets found, as frozen values. Computes no statistic ---


@dataclass(frozen=True)
class AssetsReport:
    """What was found about given paths of several assets: each asset alone, and how they move together."""

    verdicts: dict[str, Label]  # group to the worst label over the assets; and ``cross_asset``
    reasons: dict[str, str]  # group to the assets with that label and the reason of the first
    assets: dict[str, CheckReport]  # asset to its own report
    cross_asset: FactsReport  # facts of several assets, with the mode and sizes of their comparison
    notes: list[str]  # what else a reader must know of the assets together

    @property
    def failed(self) -> list[str]:
        """Groups that fail in any asset, or between them: with any of them the command leaves with 4."""
        return failed_in(self.verdicts)

    @property
    def compared(self) -> bool:
        """Whether any fact or score of any asset could be judged at all."""
        return compared_in(self.verdicts)

    @property
    def obstacle(self) -> str:
        """What kept most facts from being judged, in words; "" where nothing did."""
        return next((one.obstacle for one in self.assets.values() if one.obstacle), "")


def assets_report(assets: Mapping[str, CheckReport], together: FactsReport, notes: list[str]) -> AssetsReport:
    """Put the reports together: a group carries the worst label of its assets."""
    groups = list(dict.fromkeys(group for one in assets.values() for group in one.verdicts))
    verdicts: dict[str, Label] = {}
    reasons: dict[str, str] = {}
    for group in groups:
        labels = {name: one.verdicts[group] for name, one in assets.items() if group in one.verdicts}
        verdicts[group] = worst(labels.values(), "UNTESTABLE")
        alike = [name for name, label in labels.items() if label == verdicts[group]]
        reasons[group] = f"{', '.join(alike)}: {assets[alike[0]].reasons[group]}"
    verdicts[CROSS_ASSET.key] = together.groups.get(CROSS_ASSET.key, "UNTESTABLE")
    reasons[CROSS_ASSET.key] = _why(together, verdicts[CROSS_ASSET.key])
    return AssetsReport(verdicts, reasons, dict(assets), together, notes)


def _why(together: FactsReport, label: Label) -> str:
    alike = [fact for fact in together.facts if fact.group == CROSS_ASSET.key and fact.label == label]
    if not alike:
        return "nothing of it could be computed"
    others = ", ".join(fact.fact for fact in alike[1:])
    return f"{alike[0].fact}: {alike[0].reason}" + (f"; also {others}" if others else "")
