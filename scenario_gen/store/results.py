"""The result of a run as frozen values: exactly what run.json holds and what the report shows.

Only numbers, strings and lists: :mod:`scenario_gen.store.folder` writes these as JSON and reads them back, so
a page can be rebuilt without computing anything again. Shares and returns are fractions (0.12 means 12 %).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from scenario_gen.backtest.agreement import Agreement
from scenario_gen.backtest.book_risk import BookRisk
from scenario_gen.backtest.result import Fan, RepairEffect, ShockReport, StrategyResult
from scenario_gen.candles.account import CandleAccount
from scenario_gen.finding import Finding
from scenario_gen.forecasts.book import BookCalibration
from scenario_gen.forecasts.dial import DialSearch
from scenario_gen.forecasts.foresight import EnsembleDrift
from scenario_gen.forecasts.results import Calibration, Recalibration
from scenario_gen.joint.results import CouplingReport
from scenario_gen.lazy import lent
from scenario_gen.realism.results import FactsReport
from scenario_gen.stats.weights import Weighting
from scenario_gen.stress.replay import ReplayResult
from scenario_gen.stress.response import ShockResponse
from scenario_gen.stress.reverse import Reverse
from scenario_gen.stress.search import ContextInCrisis
from scenario_gen.stress.verdicts import EventResult
from scenario_gen.stress.views import Reweighed


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
    recalibration: Recalibration | None = None  # of its generator; None where it is as sampled
    facts: FactsReport | None = None  # paths against real windows; None where not asked for, or not possible
    calibration: Calibration | None = None  # of its generator, on the past of its context; None likewise
    drift: EnsembleDrift | None = None  # of its kept paths; None likewise
    crisis: ContextInCrisis | None = None  # that its context ends in; None where it ends at data.end
    response: ShockResponse | None = None  # to shocks in its context; None without any
    weighting: Weighting | None = None  # of its kept paths; None where all stand for as much
    event: EventResult | None = None  # whose probability it asks; None where it asks none
    reweighed: Reweighed | None = None  # what its views did to the paths of another scenario; None where it has none
    shocks: ShockReport | None = None  # what its shocks cost; None where it has none
    reverse: Reverse | None = None  # what the paths share that break a strategy; None where no event asks for that


@dataclass(frozen=True, kw_only=True)
class BookScenario(ScenarioResult):
    """One scenario of several assets (or one baseline generator), and the strategies that trade them together.

    Its assets stand among the run's scenarios as well, each judged as if it had come alone: ``base.spx``. What a
    scenario has of one asset, a book has of 100 put into all assets alike at the anchor: context, fan, volatility.
    Bars are those at which some asset trades, paths the futures that every asset has.
    """

    assets: list[str]
    coupling: CouplingReport
    dropped: int  # futures that are left out, since a candle of some asset broke a rule
    # what all strategies risk that share the capital, each with an equal part, and which of them brings it; None of one
    together: BookRisk | None = None
    dependence: FactsReport | None = None  # of the assets on each other, against history; None where not asked for
    dependence_by_origin: FactsReport | None = None  # the same by what came at past origins; of the base scenario
    ranks: BookCalibration | None = None  # of its portfolios' gains among those of the paths; of the base scenario


@dataclass(frozen=True)
class BookResult:
    """What a run of several assets says of them together."""

    scenarios: list[BookScenario]  # and baselines, in the spec's order


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
    replays: list[ReplayResult] = field(default_factory=list)  # crises told in this market's bars, one path each
    book: BookResult | None = None  # the assets together, where the spec has several

    def kept_in(self, folder: Path) -> StressRun:
        """Return the run, knowing where its tables are; no part of run.json, since folders move."""
        known = replace(self)
        object.__setattr__(known, "_folder", folder)
        return known

    @property
    def folder(self) -> Path | None:
        """The run folder that it was written to or read from; None of a run that was made otherwise."""
        return getattr(self, "_folder", None)

    @lent("scenario_gen.store.kept_paths:metrics_of")
    def frame(self, folder: Path | str | None = None) -> pd.DataFrame:
        """Return every metric in a row per scenario, strategy and path, from ``metrics.parquet`` of the run folder.

        Args:
            folder: where it is, if it was moved; None takes :attr:`folder`.

        Raises:
            StoreError: the folder is not known, keeps no tables, or holds another run.
        """

    @lent("scenario_gen.report.notebook:plot_run")
    def plot(self, *, ax: Any = None) -> Any:
        """Draw how each strategy ended in each scenario, median and bands, and return the matplotlib axes."""

    @lent("scenario_gen.report.notebook:html_of_run")
    def _repr_html_(self) -> str:  # type: ignore[empty-body]  # it is lent
        """Return results and what was found against them, as the terminal shows them."""
