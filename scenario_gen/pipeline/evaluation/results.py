"""What an evaluation finds, as plain values: everything that the tables, the card and the JSON say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ALL = "all"


@dataclass(frozen=True)
class Judgement:
    """One judged number (a return, log volatility, drawdown) over the origins of a group.

    Attributes:
        id: short name.
        crps: mean fair CRPS.
        pit_mean: .5 if calibrated; below, the paths lie too high.
        pit_mean_error: clustered standard error of it.
        pit_spread: mean of |PIT - 1/2|, .25 if calibrated; above, the paths are too narrow.
        coverage: share of origins inside the central band, by what the band promises.
    """

    id: str
    crps: float
    pit_mean: float
    pit_mean_error: float
    pit_spread: float
    coverage: Mapping[str, float]


@dataclass(frozen=True)
class FactMean:
    """One stylized fact: its mean over the real windows and over the paths of the same origins.

    Attributes:
        id: of the fact, as ``scenario-gen check`` knows it.
        real: mean over real windows.
        generated: mean over origins of the mean over paths.
        error: clustered standard error of their difference.
        origins: where both could be measured.
    """

    id: str
    real: float
    generated: float
    error: float
    origins: int


@dataclass(frozen=True)
class Versus:
    """Diebold and Mariano's comparison with a baseline on the same origins.

    Attributes:
        id: of the judged number.
        baseline: name.
        skill: 1 - ours / theirs; above 0 ours is better.
        t: of the mean difference ours - theirs, clustered; below -2 ours is surely better.
    """

    id: str
    baseline: str
    skill: float
    t: float


@dataclass(frozen=True)
class GeneratorScores:
    """One generator on one group of origins.

    Attributes:
        name: of the generator.
        temperature: that it was sampled at; None for baselines.
        judged: by number.
        volatility_ratio: median over origins of the median path's realised volatility over what was realised.
        drift: mean return of the ensembles over 1, 5, 20, 60 bars in context deviations, by horizon.
        broken: share of raw bars that break each candle rule.
        bad_bars: share of raw bars that break any.
        dropped: share of paths that no repair could save.
        facts: stylized facts beside the real windows'.
        versus: against each baseline; empty for baselines.
    """

    name: str
    temperature: float | None
    judged: list[Judgement]
    volatility_ratio: float
    drift: Mapping[str, float]
    broken: Mapping[str, float]
    bad_bars: float
    dropped: float
    facts: list[FactMean]
    versus: list[Versus]

    def of(self, functional: str) -> Judgement:
        """Return what was found of one judged number."""
        return next(one for one in self.judged if one.id == functional)


@dataclass(frozen=True)
class GroupEvaluation:
    """All generators on the origins of one asset class and frequency, or on all of them.

    Attributes:
        asset_class: or ``all``.
        frequency: or ``all``.
        series: how many gave origins.
        origins: how many.
        clusters: spans of time that they lie in: what errors are computed from.
        first: stamp of the first future's first bar.
        last: stamp of the last future's last bar.
        generators: the judged one first, then its other temperatures, then the baselines.
    """

    asset_class: str
    frequency: str
    series: int
    origins: int
    clusters: int
    first: str
    last: str
    generators: list[GeneratorScores]


@dataclass(frozen=True)
class Evaluation:
    """A whole evaluation.

    Attributes:
        model: name.
        identity: what decides its paths: weights, settings, device.
        data: what was evaluated on.
        context: bars.
        horizon: bars ahead, and between origins.
        paths: of each ensemble.
        seed: of the paths.
        trained_until: last date of the training data; "" where it is not recorded.
        pooled: all origins.
        groups: by asset class and frequency, and by asset class where it has several frequencies.
        method: of the errors and t values.
        notes: what a reader must know besides.
        seconds: that it took.
    """

    model: str
    identity: Mapping[str, object]
    data: str
    context: int
    horizon: int
    paths: int
    seed: int
    trained_until: str
    pooled: GroupEvaluation
    groups: list[GroupEvaluation]
    method: str
    notes: list[str]
    seconds: float
