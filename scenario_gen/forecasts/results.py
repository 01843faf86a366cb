"""What a calibration found: frozen values of plain numbers, as run.json holds them and the report shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scenario_gen.checks.calibration.coverage import Coverage
from scenario_gen.checks.calibration.scores import Skill
from scenario_gen.checks.inference.results import FactsReport
from scenario_gen.finding import Label
from scenario_gen.forecasts.drift import DriftAudit
from scenario_gen.forecasts.exceedances import Exceedances, decisive, group_label


@dataclass(frozen=True)
class Histogram:
    """PITs in ten equal bins, and between which counts a calibrated bin lies in 95 % of cases."""

    counts: list[int]
    low: int
    high: int


@dataclass(frozen=True)
class FunctionalCalibration:
    """One number of a path, over all origins.

    Attributes:
        functional: its id.
        title: in words.
        label: FAIL, WARN, PASS; INCONCLUSIVE below 30 origins; UNTESTABLE where the data cannot say.
        reason: in words.
        pits: one per origin, oldest first; empty where untestable, and all figures below are then None.
        mean: of the PITs; below .5 the paths lie too high.
        mean_low: lower end of its 95 % interval.
        mean_high: upper end.
        spread: mean |PIT - .5|; .25 if calibrated, above where the paths are too narrow.
        p: of mean, spread and moments (Bonferroni).
        q: the same adjusted for the number of functionals (Benjamini and Hochberg).
        p_ks: Kolmogorov and Smirnov.
        p_moments: Knueppel's moments test.
        p_dependence: Berkowitz's test of neighbouring origins.
        coverage: of the central 50, 80, 90 and 95 % bands.
        histogram: of the PITs.
        crps: mean fair CRPS, in the functional's own unit.
    """

    functional: str
    title: str
    label: Label
    reason: str
    pits: list[float] = field(default_factory=list)
    mean: float | None = None
    mean_low: float | None = None
    mean_high: float | None = None
    spread: float | None = None
    p: float | None = None
    q: float | None = None
    p_ks: float | None = None
    p_moments: float | None = None
    p_dependence: float | None = None
    coverage: list[Coverage] = field(default_factory=list)
    histogram: Histogram | None = None
    crps: float | None = None

    def coverage_at(self, level: float) -> Coverage | None:
        """Return the coverage of the central band of this level, if it was counted."""
        return next((one for one in self.coverage if one.level == level), None)


@dataclass(frozen=True)
class Contamination:
    """Whether the futures that were forecast are later than the model's training data.

    Attributes:
        label: WARN where some are not, UNTESTABLE where the model does not say.
        reason: in words.
        trained_until: last date of the training data; "" where it is not recorded, None where there was none.
        seen: origins whose future begins before that.
    """

    label: Label
    reason: str
    trained_until: str | None
    seen: int


@dataclass(frozen=True)
class GeneratorCalibration:
    """One generator over the origins.

    Attributes:
        name: in words.
        identity: what decides its paths.
        label: the worst of the functionals that could be tested, the drift, and the value at risk where that is WARN
            or FAIL.
        functionals: in the order of the list.
        band: coverage of the simultaneous path band of log closes at four levels.
        scores: mean score by id, lower is better: crps of three functionals, energy, two variograms.
        scores_by_origin: the same, origin by origin, oldest first.
        skills: every score against every baseline.
        exceedances: of the value at risk, both tails.
        drift: of the ensembles.
        contamination: by the training data.
        omitted: ISO stamps of origins at which it could not be run, and why.
        dropped: paths that broke a candle rule beyond repair and were left out of their ensembles.
    """

    name: str
    identity: dict[str, Any]
    label: Label
    functionals: list[FunctionalCalibration]
    band: list[Coverage]
    scores: dict[str, float]
    scores_by_origin: dict[str, list[float]]
    skills: list[Skill]
    exceedances: list[Exceedances]
    drift: DriftAudit
    contamination: Contamination
    omitted: dict[str, str] = field(default_factory=dict)
    dropped: int = 0

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


@dataclass(frozen=True)
class Calibration:
    """A generator and its baselines on the same rolling origins.

    Attributes:
        instrument: whose history.
        context: bars that each forecast saw.
        horizon: bars that it was made for.
        stride: bars between origins.
        origins: ISO stamps of the last bar before each future, oldest first.
        paths: of each ensemble.
        seed: of the paths.
        smallest_mean: deviation of a PIT mean from .5 that would be found with a power of 80 %.
        generator: the one that is calibrated.
        baselines: the others.
        notes: what a reader must know of how this was done.
        seconds: it took.
        facts: stylized facts of the generator by the rank of what came (mode A); None where too few paths were drawn.
        history_bars: bars of the history, which say how long the horizon could be; None in runs of before.
    """

    instrument: str
    context: int
    horizon: int
    stride: int
    origins: list[str]
    paths: int
    seed: int
    smallest_mean: float
    generator: GeneratorCalibration
    baselines: list[GeneratorCalibration]
    notes: list[str]
    seconds: float
    facts: FactsReport | None = None
    history_bars: int | None = None
