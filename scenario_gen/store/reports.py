"""What a command beside ``run`` found, as frozen values: what ``--json`` of check, calibrate and backtest prints.

Owns how findings become the verdict of each group. Computes no statistic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from scenario_gen.backtest.result import StrategyResult
from scenario_gen.candles.account import CandleAccount
from scenario_gen.finding import CANDLES, Finding, Label, by_group
from scenario_gen.forecasts.dial import DialSearch
from scenario_gen.forecasts.results import Calibration, GeneratorCalibration, Recalibration
from scenario_gen.lazy import lent
from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import frequency
from scenario_gen.market.paths import PathSet
from scenario_gen.realism.audit import Audit
from scenario_gen.realism.check import members_of
from scenario_gen.realism.facts import FACT
from scenario_gen.realism.results import Design, FactsReport, FactVerdict, LongFigure, Mode, ScoreVerdict
from scenario_gen.stats.estimate import Estimate, MetricSummary


@dataclass(frozen=True)
class Verdicts:
    """The labels of a report by group. There is no single number."""

    # of a check: candles, the groups of facts, discriminative, copy and diversity, calibration and value_at_risk where
    # they were run, and cross_asset where there are several assets; of a calibration: calibration, value_at_risk, the
    # groups of facts by origin (mode A), and recalibration
    verdicts: dict[str, Label]  # group to the worst label of its judged members

    @property
    def failed(self) -> list[str]:
        """Groups that fail: with any of them the command leaves with 4."""
        return [group for group, label in self.verdicts.items() if label == "FAIL"]

    @property
    def compared(self) -> bool:
        """Whether any fact or score could be judged at all; a valid candle alone says nothing of realism."""
        return any(label != "UNTESTABLE" for group, label in self.verdicts.items() if group != CANDLES.key)


def verdicts_of(findings: Sequence[Finding]) -> dict[str, Label]:
    """Return the worst label of each group, in the order in which groups come first."""
    return by_group((_group(finding), finding.label) for finding in findings)


def reasons_of(findings: Sequence[Finding]) -> dict[str, str]:
    """Return the first reason for each group's label, after the names of all assets with that label."""
    reasons: dict[str, str] = {}
    for group, label in verdicts_of(findings).items():
        alike = [finding for finding in findings if _group(finding) == group and finding.label == label]
        assets = ", ".join(finding.scenario for finding in alike if finding.scenario)
        reasons[group] = f"{assets}: {alike[0].measured}" if assets else alike[0].measured
    return reasons


def _group(finding: Finding) -> str:
    """Return what a report calls a finding: its group of facts or scores, else its check, fit for JSON."""
    return finding.part or finding.name.replace(" ", "_")


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

    @classmethod
    def of(cls, before: Candles, history: Candles) -> ReferenceView:
        """Return what a reader must know of a history of which the bars before an end were used."""
        return cls(
            name=history.name,
            source=history.source,
            bars=len(before),
            left_out=len(history) - len(before),
            first=before.timestamps[0].isoformat(),
            last=before.timestamps[-1].isoformat(),
            frequency=frequency(before.timestamps),
            sha256=before.sha256(),
            flags=before.flag_texts(),
        )


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

    @classmethod
    def of(cls, sets: Sequence[PathSet], source: str, *, paths: int, contexts: int) -> PathsView:
        """Return what a reader must know of paths that came, as sets of one stamp each."""
        return cls(
            source=Path(source).name,
            paths=paths,
            bars=sets[0].horizon,
            contexts=contexts,
            fields=list(sets[0].fields),
            first=min(each.timestamps[0] for each in sets).isoformat(),
            last=max(each.timestamps[-1] for each in sets).isoformat(),
        )


@dataclass(frozen=True)
class CheckReport(Verdicts):
    """What was found about given paths: one label per group, and the figures behind it."""

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

    @lent("scenario_gen.report.notebook:plot_check")
    def plot(self, *, ax: Any = None) -> Any:
        """Draw every fact of the paths beside that of real windows, and return the matplotlib axes."""

    @lent("scenario_gen.report.notebook:html_of_check")
    def _repr_html_(self) -> str:  # type: ignore[empty-body]  # it is lent
        """Return the verdicts of the groups and what they rest on."""

    @property
    def obstacle(self) -> str:
        """What kept most facts from being judged, in words; "" where nothing did."""
        least = min((FACT[each.fact].min_bars for each in self.facts if each.label is not None), default=0)
        if self.paths.bars < least:
            return f"the first facts need paths of at least {least} bars, these have {self.paths.bars}"
        reasons = Counter(fact.reason for fact in self.facts if fact.label == "UNTESTABLE")
        return reasons.most_common(1)[0][0] if reasons else ""

    def members(self, group: str) -> list[tuple[str, Label, str]]:
        """Return name, label and reason of the judged members of a group of facts or scores."""
        members = members_of(self.facts, self.scores).get(group, [])
        return [(member.name, member.label, member.reason) for member in members]


@dataclass(frozen=True)
class AssetsReport(Verdicts):
    """What was found about given paths of several assets: each asset alone, and how they move together."""

    reasons: dict[str, str]  # group to the assets with that label and the reason of the first
    assets: dict[str, CheckReport]  # asset to its own report
    cross_asset: FactsReport  # facts of several assets, with the mode and sizes of their comparison
    notes: list[str]  # what else a reader must know of the assets together

    @lent("scenario_gen.report.notebook:html_of_assets")
    def _repr_html_(self) -> str:  # type: ignore[empty-body]  # it is lent
        """Return the verdicts of the groups, asset by asset."""

    @property
    def obstacle(self) -> str:
        """What kept most facts from being judged, in words; "" where nothing did."""
        return next((report.obstacle for report in self.assets.values() if report.obstacle), "")


@dataclass(frozen=True)
class CalibrationReport(Verdicts):
    """What ``scenario-gen calibrate`` answers."""

    calibration: Calibration  # of the generator and its baselines
    dial: DialSearch | None  # the search, where temperature or top_p was ``auto``
    recalibration: Recalibration | None = None  # what a run would be rescaled by, where the generator is recalibrated
    reasons: dict[str, str] = field(default_factory=dict)  # group to the reason of its label, in words

    @property
    def judged(self) -> bool:
        """Whether the forecasts were enough to judge anything; figures alone are no pass."""
        return any(label not in ("INCONCLUSIVE", "UNTESTABLE") for label in self.verdicts.values())


# --- Backtests of given paths ---


@dataclass(frozen=True)
class ContextUsed:
    """The real bars before the paths."""

    name: str  # of the instrument
    source: str  # where it came from; empty where no context was given and a flat bar stands for it
    bars: int  # how many the strategies saw
    first: str  # stamp of the first of them
    last: str  # stamp of the last
    older: int  # bars of the source before them
    sha256: str  # of stamps, fields and values

    @classmethod
    def of(cls, context: Candles, older: int) -> ContextUsed:
        """Return what a reader must know of a context."""
        return cls(
            name=context.name,
            source=context.source,
            bars=len(context),
            first=context.timestamps[0].isoformat(),
            last=context.timestamps[-1].isoformat(),
            older=older,
            sha256=context.sha256(),
        )


@dataclass(frozen=True)
class BacktestReport:
    """Strategies on given paths: distributions, limits and findings."""

    findings: list[Finding]  # candles, look_ahead and warm_up of each strategy, and each declared limit
    strategies: list[StrategyResult]  # one result per strategy and parameter set
    paths: PathsView  # what was given
    context: ContextUsed  # the real bars before them
    calendar: str  # whose bars they are, and ``bars_per_year`` to annualise with
    bars_per_year: float  # bars in a year
    broker: dict[str, Any]  # costs and fills
    limits: dict[str, float]  # as declared
    account: dict[str, Any]  # the rules of the account; empty where there are none
    dropped: dict[str, str]  # parameter sets that a strategy refused, and why
    notes: list[str]  # what a reader must know of how paths and context fit
    schema: int = 1

    @lent("scenario_gen.report.notebook:html_of_backtest")
    def _repr_html_(self) -> str:  # type: ignore[empty-body]  # it is lent
        """Return results, and the findings that fail or warn."""


@dataclass(frozen=True)
class PredictionReport:
    """What ``scenario-gen predict`` answers: what the paths say of the bars to come, and how such words held before."""

    context: ContextUsed  # the real bars that the paths continue
    generator: str  # in words
    seed: int  # of the paths
    calendar: str  # where the stamps come from: an exchange, what was inferred, or "as given"
    timestamps: list[str]  # [bar] of the bars to come
    paths: int  # that were kept
    # field (close, high, low, and volume where there is one) to level (0.05, .., 0.95) to its quantile at each bar
    bands: dict[str, dict[str, list[float]]]
    rise: Estimate  # share of paths whose last close is above the context's
    rise_by_bar: list[float]  # the same at every bar, as it was counted
    total_return: MetricSummary  # of the last close over the context's
    range: MetricSummary  # highest high less lowest low, as a share of the context's last close
    candles: CandleAccount  # of the paths as they were sampled
    calibration: CalibrationReport | None  # the same generator on the past of the same history
    uncalibrated: str  # why there is none; "" where there is one
    warnings: list[str]  # what makes the paths less than they look, and suspicious bars of the history
    schema: int = 1

    @property
    def title(self) -> str:
        """What this is, in one line."""
        return (
            f"{self.context.name}: {len(self.timestamps)} bars after {self.context.last.removesuffix('T00:00:00')}, "
            f"{self.paths} paths of {self.generator}"
        )


AnyReport: TypeAlias = CheckReport | AssetsReport | CalibrationReport | BacktestReport
