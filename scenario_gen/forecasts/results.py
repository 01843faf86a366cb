"""What a calibration found: frozen values of plain numbers, as run.json holds them and the report shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from scenario_gen.finding import Label
from scenario_gen.forecasts.exceedances import Exceedances, decisive, group_label
from scenario_gen.forecasts.foresight import DriftAudit, Foresight
from scenario_gen.generators.rescaled import Scaling
from scenario_gen.lazy import lent
from scenario_gen.realism.results import FactsReport
from scenario_gen.stats.ranks import Coverage, ScoreSkill


@dataclass(frozen=True)
class Histogram:
    """PITs in ten equal bins, and between which counts a calibrated bin lies in 95 % of cases."""

    counts: list[int]
    low: int
    high: int


@dataclass(frozen=True)
class FunctionalCalibration:
    """One number of a path, over all origins."""

    functional: str  # its id
    title: str  # in words
    label: Label  # FAIL, WARN, PASS; INCONCLUSIVE below 30 origins; UNTESTABLE where the data cannot say
    reason: str  # in words
    # one per origin, oldest first; empty where untestable, and all figures below are then None
    pits: list[float] = field(default_factory=list)
    mean: float | None = None  # of the PITs; below .5 the paths lie too high
    mean_low: float | None = None  # lower end of its 95 % interval
    mean_high: float | None = None  # upper end
    spread: float | None = None  # mean |PIT - .5|; .25 if calibrated, above where the paths are too narrow
    p: float | None = None  # of mean, spread and moments (Bonferroni)
    q: float | None = None  # the same adjusted for the number of functionals (Benjamini and Hochberg)
    p_ks: float | None = None  # Kolmogorov and Smirnov
    p_moments: float | None = None  # Knueppel's moments test
    p_dependence: float | None = None  # Berkowitz's test of neighbouring origins
    coverage: list[Coverage] = field(default_factory=list)  # of the central 50, 80, 90 and 95 % bands
    histogram: Histogram | None = None  # of the PITs
    crps: float | None = None  # mean fair CRPS, in the functional's own unit

    def coverage_at(self, level: float) -> Coverage | None:
        """Return the coverage of the central band of this level, if it was counted."""
        return next((one for one in self.coverage if one.level == level), None)


@dataclass(frozen=True)
class Contamination:
    """Whether the futures that were forecast are later than the model's training data."""

    label: Label  # WARN where some are not, UNTESTABLE where the model does not say
    reason: str  # in words
    trained_until: str | None  # last date of the training data; "" where it is not recorded, None where there was none
    seen: int  # origins whose future begins before that


@dataclass(frozen=True)
class GeneratorCalibration:
    """One generator over the origins."""

    name: str  # in words
    identity: dict[str, Any]  # what decides its paths
    # the worst of the functionals that could be tested, the drift, and the value at risk where that is WARN or FAIL
    label: Label
    functionals: list[FunctionalCalibration]  # in the order of the list
    band: list[Coverage]  # coverage of the simultaneous path band of log closes at four levels
    scores: dict[str, float]  # mean score by id, lower is better: crps of three functionals, energy, two variograms
    scores_by_origin: dict[str, list[float]]  # the same, origin by origin, oldest first
    skills: list[ScoreSkill]  # every score against every baseline
    exceedances: list[Exceedances]  # of the value at risk, both tails
    drift: DriftAudit  # of the ensembles
    contamination: Contamination  # by the training data
    omitted: dict[str, str] = field(default_factory=dict)  # ISO stamps of origins at which it could not be run, and why
    dropped: int = 0  # paths that broke a candle rule beyond repair and were left out of their ensembles
    foresight: Foresight | None = None  # of volatility; None in paths too short to have one, and in runs of before

    def functional(self, name: str) -> FunctionalCalibration:
        """Return the functional with this id."""
        return next(one for one in self.functionals if one.functional == name)

    @property
    def value_at_risk(self) -> Label:
        """The label of the tests of value at risk as a group; INCONCLUSIVE where too few exceedances are expected."""
        return group_label(self.exceedances)

    @property
    def value_at_risk_reason(self) -> str:
        """Why it has that label, in words."""
        test = decisive(self.exceedances, self.value_at_risk)
        return "no return was forecast" if test is None else f"{test.title}: {test.reason}"

    @property
    def reason(self) -> str:
        """What earned the label of the whole, in words: a number of a path, else value at risk, else the drift."""
        alike = [one for one in self.functionals if one.label == self.label]
        if alike:
            first = min(alike, key=lambda one: one.q or 0.0)
            return f"{first.title}: {first.reason}"
        if self.value_at_risk == self.label:
            return f"value at risk, {self.value_at_risk_reason}"
        return f"drift: {self.drift.reason}"


Status = Literal["calibrated", "stale", "uncalibrated"]


@dataclass(frozen=True)
class Recalibration:
    """What paths were rescaled by, and whether that was judged."""

    scaling: Scaling  # fitted to all past forecasts
    origins: int  # past forecasts
    first: str  # ISO stamp of the last bar of the first future
    last: str  # of the last one
    horizon: int  # bars of each
    paths: int  # of each
    # calibrated: judged on origins that did not fit it; stale: the last origin is older than a horizon before the
    # context's end; uncalibrated: neither judged nor stale. What lies beyond the judged levels is never calibrated
    status: Status
    fitted_on: str = ""  # the scenario whose generator made the forecasts, where it is another's


@dataclass(frozen=True)
class Calibration:
    """A generator and its baselines on the same rolling origins."""

    instrument: str  # whose history
    context: int  # bars that each forecast saw
    horizon: int  # bars that it was made for
    stride: int  # bars between origins
    origins: list[str]  # ISO stamps of the last bar before each future, oldest first
    paths: int  # of each ensemble
    seed: int  # of the paths
    smallest_mean: float  # deviation of a PIT mean from .5 that would be found with a power of 80 %
    generator: GeneratorCalibration  # the one that is calibrated
    baselines: list[GeneratorCalibration]  # the others
    notes: list[str]  # what a reader must know of how this was done
    seconds: float  # it took
    # stylized facts of the generator by the rank of what came (mode A); None where too few paths were drawn
    facts: FactsReport | None = None
    # bars of the history, which say how long the horizon could be; None in runs of before
    history_bars: int | None = None
    raw: str = ""  # name of the baseline that is the generator as sampled, where it is recalibrated

    @lent("scenario_gen.report.notebook:plot_calibration")
    def plot(self, *, ax: Any = None) -> Any:
        """Draw how many forecasts lay inside their bands, beside what bands promise; return the matplotlib axes."""

    @lent("scenario_gen.report.notebook:html_of_calibration")
    def _repr_html_(self) -> str:  # type: ignore[empty-body]  # it is lent
        """Return the numbers of a path with their labels, as the terminal shows them."""
