"""What a live forecast says, and how the log of earlier ones fared, as frozen values: for ``--json`` and the page.

Owns the form of it. Computes nothing: the log is judged in ``judge``, the state of market and input in ``state``,
strategies in ``watch``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from scenario_gen.finding import Finding, Label, exit_code
from scenario_gen.forecasts.results import Contamination
from scenario_gen.stats.estimate import Estimate
from scenario_gen.stats.ranks import Coverage
from scenario_gen.store.reports import PredictionReport

# Of a strategy's realised equity among the paths promised; undecided where nothing came yet or paths are too few.
Course = Literal["consistent", "drifting", "outside", "undecided"]
Regime = Literal["calm", "usual", "turbulent", "unknown"]
AnomalyKind = Literal["stale", "gap", "jump", "still", "order", "no_volume", "revised", "source"]


# --- The log of forecasts, held against what came ---


@dataclass(frozen=True)
class LogRanks:
    """Where what came ranked among the values of one number that was forecast."""

    number: str  # return_1, return_6, .., log_volatility
    title: str  # in words
    bars: int  # ahead
    judged: int  # forecasts whose bars have all come
    waiting: int  # forecasts whose bars have not all come yet
    unmatched: int  # forecasts after which bars came at other stamps than were forecast; they are not judged
    pits: list[float]  # randomised rank in (0, 1) of what came, oldest first
    anchors: list[str]  # stamp of the bar that each forecast followed
    # of central bands, over forecasts whose futures do not overlap; none where there are none
    coverage: list[Coverage] = field(default_factory=list)


@dataclass(frozen=True)
class CrpsPair:
    """The mean score of ours and of one baseline on the same forecasts; lower is better."""

    number: str  # as of :class:`LogRanks`
    baseline: str  # its name
    ours: float
    theirs: float
    difference: Estimate  # ours less theirs, with an interval that allows for futures that overlap; below 0 ours better


@dataclass(frozen=True)
class LogDrift:
    """How far the latest values lie from the bars before the first forecast, which are four times as many or more."""

    what: str  # "returns that came" or "returns forecast"
    distance: Estimate  # Wasserstein distance over the reference's standard deviation, with a block bootstrap interval
    usual: float  # what stretches of the reference itself, as long, stay below in 95 % of cases
    index: Estimate  # population stability index over tenths of the reference, likewise
    usual_index: float
    reference: int  # bars
    recent: int  # bars, or forecasts


@dataclass(frozen=True)
class SequentialTest:
    """A test of one-bar ranks that may be looked at after every bar, for ever, at one false-alarm rate."""

    bars: int  # ranks that it has seen
    evidence: float  # the e-value: how many times a bet against calibration has multiplied its stake by now
    highest: float  # of the e-value so far: labels rest on it
    threshold: float  # FAIL from here: a calibrated generator ever gets there with probability 1 / threshold at most
    warning: float  # WARN from here, likewise
    label: Label  # UNTESTABLE before the first rank
    alarmed_after: int | None  # ranks after which the threshold was first reached
    alarmed_at: str  # stamp of that bar; "" where there was no alarm
    course: list[float]  # the e-value after each rank
    leaning: (
        str  # what the ranks look like where they are not even: "too narrow", "too wide", "too low", "too high"; ""
    )


@dataclass(frozen=True)
class LogFigures:
    """All that the log of one generator says."""

    file: str  # of the log
    generator: str  # whose forecasts are judged, in words
    identity: str  # sha256 of what decides its paths, 12 characters; another generator begins anew
    forecasts: int  # in the log, of this generator
    bars: int  # in the log, each once
    revised: int  # bars that came again with other values; the first are judged by
    first: str  # stamp of the bar that the first forecast followed; "" without any
    last: str  # likewise the last
    ranks: list[LogRanks]
    crps: list[CrpsPair]
    drift: list[LogDrift]
    test: SequentialTest
    notes: list[str] = field(default_factory=list)


# --- The state of market and input ---


@dataclass(frozen=True)
class Anomaly:
    """Something of the bars that came which a forecast should not be trusted after."""

    kind: AnomalyKind
    stamp: str  # of the bar; "" for all
    words: str


@dataclass(frozen=True)
class MarketState:
    """What the market is like, and whether the input can be trusted."""

    regime: Regime
    volatility: float | None  # standard deviation of log returns of a bar, over the latest bars
    percentile: float | None  # share of equally long stretches of the history that were calmer
    words: str  # both, and over which bars
    anomalies: list[Anomaly]
    contamination: Contamination  # of the bars to come by the training data


# --- Strategies that are watched ---


@dataclass(frozen=True)
class StrategyWatch:
    """A strategy's realised equity among those of the paths promised."""

    strategy: str
    course: Course
    since: str  # stamp of the bar that the promise at hand followed; "" without any
    bars: int  # that came since
    realised: float  # total return since
    promised: dict[str, float]  # quantiles of the paths' total return at the same bar, by level 0.05, 0.5, 0.95
    band_p: float | None  # share of the promised paths that ever stray as far as the realised equity did; None: no bar
    evidence: float  # e-value of the ranks of finished promises, at its highest
    threshold: float  # drifting from here: promises that are kept ever get there with at most 1 / threshold
    direction: str  # where those ranks lean: "below", "above", ""
    promises: int  # held against what came, none of which overlap
    finished: int  # of these
    left_bands: int  # of the finished: whose band was left at the rate of "outside"
    words: str  # the numbers that the course rests on
    false_alarms: str  # the rates at which a strategy that keeps its promises is called otherwise
    equity: list[float] = field(default_factory=list)  # realised equity over that at the promise, by bar, from 1 on
    # quantiles of the same on the promised paths, by level and bar of the whole promise
    bands: dict[str, list[float]] = field(default_factory=dict)

    @property
    def promised_in_words(self) -> str:
        """Where 90 % of the paths are, a bar of which came."""
        return f"{self.promised['0.05']:+.2%} to {self.promised['0.95']:+.2%}"


# --- All together ---


@dataclass(frozen=True)
class LiveReport:
    """What ``scenario-gen live`` answers."""

    name: str  # of the config
    source: str  # where bars come from, in words
    generator: str  # in words
    made: str  # when, UTC
    forecast: PredictionReport  # of the bars to come
    rise_in_volatility: Estimate  # share of paths whose realised volatility is above that of as many bars before
    volatility_before: float  # standard deviation of log returns around 0 of as many bars before the forecast, of a bar
    log: LogFigures
    state: MarketState | None = None
    strategies: list[StrategyWatch] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    fresh: bool = True  # whether a forecast was added; False where no new bar had come
    # what the page draws: bars of the context by field [bar] beside their stamps, and a few paths' closes [path][bar]
    context_stamps: list[str] = field(default_factory=list)
    context_bars: dict[str, list[float]] = field(default_factory=dict)
    some_paths: list[dict[str, list[float]]] = field(default_factory=list)  # each open, high, low, close [bar]
    notes: list[str] = field(default_factory=list)  # sources that failed, and what else a reader must know
    schema: int = 1

    @property
    def verdict(self) -> Label:
        """Whether the generator is still calibrated, as the sequential test has it."""
        return self.log.test.label

    @property
    def exit_code(self) -> int:
        """What ``--check`` leaves with: 4 where calibration is lost, or a strategy is outside or looks ahead."""
        return exit_code(self.findings, "generator", "strategy")


@dataclass(frozen=True)
class LogReport:
    """What ``scenario-gen live --check LOG`` answers."""

    logs: list[LogFigures]  # one per generator in the log, the latest first
    findings: list[Finding]  # on the latest generator, and on the strategies that the last step watched under it
    settings: dict[str, Any] = field(default_factory=dict)  # schema, instrument and clock as the log has them
    strategies: list[StrategyWatch] = field(default_factory=list)
    schema: int = 1

    @property
    def exit_code(self) -> int:
        """4 where the latest generator is no longer calibrated, or a strategy is outside or looks ahead."""
        return exit_code(self.findings, "generator", "strategy")
