"""The result of a run as frozen values: exactly what run.json holds and what the report shows.

Only numbers, strings and lists: :mod:`scenario_gen.store.folder` writes these as JSON and reads them back, so
a page can be rebuilt without computing anything again. Shares and returns are fractions (0.12 means 12 %).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from scenario_gen.backtest.inference.agreement import Agreement
from scenario_gen.backtest.inference.paired import PairedComparison
from scenario_gen.backtest.inference.skill import Skill
from scenario_gen.backtest.tail.marker import Marker
from scenario_gen.backtest.warming import WarmUp
from scenario_gen.candles.account import CandleAccount, FactShift, Interval, Rejection, Wickless
from scenario_gen.candles.rules import RuleCount
from scenario_gen.checks.inference.results import FactsReport
from scenario_gen.finding import Finding, Label
from scenario_gen.forecasts.dial import DialSearch
from scenario_gen.forecasts.drift import EnsembleDrift
from scenario_gen.forecasts.results import Calibration
from scenario_gen.stats.estimate import Estimate, MetricSummary
from scenario_gen.store.strategies import Choice, Tail

__all__ = [
    "Agreement",
    "Calibration",
    "CandleAccount",
    "Choice",
    "ContextView",
    "DialSearch",
    "Estimate",
    "FactShift",
    "FactsReport",
    "Fan",
    "Finding",
    "Interval",
    "Label",
    "Marker",
    "MetricSummary",
    "NamedPath",
    "PairedComparison",
    "Realised",
    "Rejection",
    "RepairEffect",
    "RepairedFigure",
    "RuleCount",
    "ScenarioResult",
    "Skill",
    "StrategyResult",
    "StressRun",
    "Tail",
    "Trade",
    "WarmUp",
    "Wickless",
]


@dataclass(frozen=True)
class Fan:
    """Quantiles at each bar of the horizon, for a fan chart.

    Attributes:
        bars: bars after the anchor, increasing, at most 130 of them; 0 is the anchor.
        quantiles: keys "0.05", "0.25", "0.5", "0.75", "0.95"; each a list as long as ``bars``.
        examples: three single paths by path id, at ranks 12, 45 and 83 % of the last value.
        dots: 50 equally spaced quantiles of the last value.
    """

    bars: list[int]
    quantiles: dict[str, list[float]]
    examples: dict[str, list[float]]
    dots: list[float]


@dataclass(frozen=True)
class Trade:
    """One round trip of a strategy on a named path; bars count from 0 at the first generated bar."""

    side: Literal["long", "short"]
    entry_bar: int
    entry_price: float
    exit_bar: int
    exit_price: float
    size: float
    pnl: float
    fees: float
    open: bool  # still open at the path's end, marked at the last close


@dataclass(frozen=True)
class NamedPath:
    """A path shown bar by bar: candles, fills and equity."""

    label: str  # "worst", "5 % quantile", "median", "95 % quantile", "best"
    path_id: int
    strategy: str
    total_return: float
    timestamps: list[str]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    equity: list[float]  # [bar + 1]; the first value is the starting cash
    exposure: list[float]  # share of equity in the market at each close, negative when short
    trades: list[Trade]


@dataclass(frozen=True)
class Realised:
    """The same strategy on what really happened after the context, where the history goes on."""

    bars: int
    metrics: dict[str, float | None]
    percentile: Estimate  # share of paths with a lower total return over the same bars


@dataclass(frozen=True)
class StrategyResult:
    """One strategy with one parameter set in one scenario."""

    name: str
    use: str
    params: dict[str, Any]
    metrics: list[MetricSummary]
    probability_of_loss: Estimate
    drawdown_beyond: list[tuple[float, Estimate]]  # (limit, share of paths whose drawdown reaches it)
    var: dict[str, Estimate]  # keys "0.95", "0.99"; loss of terminal value as a positive fraction
    cvar: dict[str, Estimate]
    equity_fan: Fan
    realised: Realised | None
    named_paths: list[NamedPath]
    warm_up: WarmUp | None = None  # how decisions depend on the context's length; of the first scenario alone
    nulls: Skill | None = None  # distance to random entries with its own trades
    paired: list[PairedComparison] = field(default_factory=list)  # with holding, and with each other, path by path
    tail: Tail | None = None
    marker: list[Marker] = field(default_factory=list)  # what it really made before the paths, and after
    overfitting: Choice | None = None  # of its grid of parameters; the same for all its sets


@dataclass(frozen=True)
class RepairedFigure:
    """A quantile of one metric over the kept paths, with raw candles and with repaired ones."""

    metric: str
    level: float
    raw: Estimate
    repaired: Estimate


@dataclass(frozen=True)
class RepairEffect:
    """One strategy with and without the repair of candles, on the same kept paths.

    Attributes:
        strategy: its name.
        paths: how many of the kept paths the repair changed.
        failed: on how many of these the strategy could not be run before repair; they are left out.
        figures: quantiles with and without repair.
        difference: mean over all kept paths of the total return with repair minus the one without.
    """

    strategy: str
    paths: int
    failed: int
    figures: list[RepairedFigure]
    difference: Estimate


@dataclass(frozen=True)
class ContextView:
    """What the report shows of the seed."""

    instrument: str
    source: str
    start: str
    end: str
    bars: int
    anchor_close: float
    calendar: str
    bars_per_year: float
    timestamps: list[str]  # the last bars before the anchor, for the fan chart and the candles
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    flags: list[str]
    sha256: str


@dataclass(frozen=True)
class ScenarioResult:
    """Everything about one scenario (or one baseline generator)."""

    name: str
    role: Literal["scenario", "baseline"]
    generator: dict[str, Any]  # the spec's generator section plus the provenance of the paths
    context: ContextView
    horizon: int
    timestamps: list[str]
    paths: int
    candles: CandleAccount
    volatility_ratio: dict[str, float]  # realised / context volatility per path: "0.05", "0.5", "0.95"
    price_fan: Fan
    realised_close: list[float]  # what really happened, as far as the history goes; may be empty
    strategies: list[StrategyResult]
    repair: list[RepairEffect] = field(default_factory=list)  # empty where nothing was repaired
    dial: DialSearch | None = None  # how temperature and top_p were chosen, where the spec says auto
    facts: FactsReport | None = None  # paths against real windows; None where not asked for, or not possible
    calibration: Calibration | None = None  # of its generator, on the past of its context; None likewise
    drift: EnsembleDrift | None = None  # of its kept paths; None likewise


@dataclass(frozen=True)
class StressRun:
    """A finished run: the content of run.json."""

    name: str
    title: str
    created: str  # ISO date and time of the run, UTC
    command: str
    spec: dict[str, Any]
    spec_text: str
    limits: dict[str, float]
    identity: dict[str, str]  # spec, data, weights, code: sha256 or version
    versions: dict[str, str]
    device: dict[str, str]
    seconds: dict[str, float]  # per stage
    scenarios: list[ScenarioResult]
    findings: list[Finding]
    agreement: Agreement | None = None  # the base scenario beside its baselines; None where there are none
    schema: int = 1
