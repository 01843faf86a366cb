"""What an evaluation of a checkpoint finds: the figures of a group of origins, from the numbers of single ones.

On one day all equities fall together: origins of one span of time are one cluster, not many witnesses, and errors of
means are computed from spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.forecasts.origins import SeriesOrigin, Stretch
from scenario_gen.stats.means import neighbours
from scenario_gen.stats.ranks import DM_LAG, LEVELS

Floats = NDArray[np.float64]

HORIZON = 60  # bars ahead, and from one origin to the next
STEPS = (1, 5, 20, HORIZON)  # bars over which returns are judged
RETURNS = tuple(f"return_{step}" for step in STEPS)
JUDGED = (*RETURNS, "log_volatility", "max_drawdown")
FACTS = (
    "acf_abs_1_5",
    "acf_rng_1_5",
    "acf_rng_6_20",
    "lev_rng_1_5",
    "lev_abs_1_10",
    "vol_rng_corr",
    "vol_acf_1_5",
    "Lkurt",
    "absr_rng_corr",
    "acf_r_1",
)
RULES = (
    "not finite (V1)",
    "price of zero or less (V2)",
    "high below another price (V3)",
    "low above another price (V3)",
    "volume negative or missing (V4)",
)
ALL = "all"
METHOD = (
    "Driscoll and Kraay 1998 within each frequency: differences are summed over all series in one span of 60 bars, "
    f"spans are allowed to depend on each other up to lag {DM_LAG} (Newey and West 1987; never less than the plain "
    "variance); frequencies count as independent"
)


@dataclass(frozen=True)
class Seen:
    """What is kept of one origin of one generator."""

    pits: Floats  # of each judged number [N]
    # of each judged number [N]: returns and drawdown in context volatility times the root of their bars, log volatility
    # as it is
    crps: Floats
    drift: Floats  # mean return over 1, 5, 20, 60 bars [4], in the same units
    log_ratio: float  # log of the median path's realised volatility over what was realised
    broken: Floats  # share of raw bars that break each rule [R], and any of them
    dropped: float  # share of paths that no repair could save and that were left out
    facts: Floats  # mean over paths of each fact [K]; NaN where it cannot be measured

    @classmethod
    def nothing(cls) -> Seen:
        """Return what stands for a forecast that a baseline could not make: numbers that no mean counts."""
        judged, steps = np.full(len(JUDGED), np.nan), np.full(len(STEPS), np.nan)
        broken, facts = np.full(len(RULES) + 1, np.nan), np.full(len(FACTS), np.nan)
        return cls(judged, judged, steps, np.nan, broken, np.nan, facts)


@dataclass(frozen=True)
class Judgement:
    """One judged number (a return, log volatility, drawdown) over the origins of a group."""

    id: str  # short name
    crps: float  # mean fair CRPS
    pit_mean: float  # .5 if calibrated; below, the paths lie too high
    pit_mean_error: float  # clustered standard error of it
    pit_spread: float  # mean of |PIT - 1/2|, .25 if calibrated; above, the paths are too narrow
    coverage: Mapping[str, float]  # share of origins inside the central band, by what the band promises


@dataclass(frozen=True)
class FactMean:
    """One stylized fact: its mean over the real windows and over the paths of the same origins."""

    id: str  # of the fact, as ``scenario-gen check`` knows it
    real: float  # mean over real windows
    generated: float  # mean over origins of the mean over paths
    error: float  # clustered standard error of their difference
    origins: int  # where both could be measured


@dataclass(frozen=True)
class Versus:
    """Diebold and Mariano's comparison with a baseline on the same origins."""

    id: str  # of the judged number
    baseline: str  # name
    skill: float  # 1 - ours / theirs; above 0 ours is better
    t: float  # of the mean difference ours - theirs, clustered; below -2 ours is surely better


@dataclass(frozen=True)
class GeneratorScores:
    """One generator on one group of origins."""

    name: str  # of the generator
    temperature: float | None  # that it was sampled at; None for baselines
    origins: int  # that it could forecast from; fewer than the group's for a baseline that must be fitted
    judged: list[Judgement]  # by number
    volatility_ratio: float  # median over origins of the median path's realised volatility over what was realised
    drift: Mapping[str, float]  # mean return of the ensembles over 1, 5, 20, 60 bars in context deviations, by horizon
    broken: Mapping[str, float]  # share of raw bars that break each candle rule
    bad_bars: float  # share of raw bars that break any
    dropped: float  # share of paths that no repair could save
    facts: list[FactMean]  # stylized facts beside the real windows'
    versus: list[Versus]  # against each baseline; empty for baselines

    @classmethod
    def unscored(cls, name: str, temperature: float | None) -> GeneratorScores:
        """Return the scores of a baseline that could forecast from no origin of a group."""
        nan = float("nan")
        judged = [Judgement(of, nan, nan, nan, nan, dict.fromkeys(map("{:g}".format, LEVELS), nan)) for of in JUDGED]
        facts = [FactMean(of, nan, nan, nan, 0) for of in FACTS]
        drift = dict.fromkeys(map(str, STEPS), nan)
        return cls(name, temperature, 0, judged, nan, drift, dict.fromkeys(RULES, nan), nan, nan, facts, [])

    def of(self, functional: str) -> Judgement:
        """Return what was found of one judged number."""
        return next(one for one in self.judged if one.id == functional)


@dataclass(frozen=True)
class GroupEvaluation:
    """All generators on the origins of one asset class and frequency, or on all of them."""

    asset_class: str  # or ``all``
    frequency: str  # or ``all``
    series: int  # how many gave origins
    origins: int  # how many
    clusters: int  # spans of time that they lie in: what errors are computed from
    first: str  # stamp of the first future's first bar
    last: str  # stamp of the last future's last bar
    generators: list[GeneratorScores]  # the judged one first, then its other temperatures, then the baselines


@dataclass(frozen=True)
class Evaluation:
    """A whole evaluation."""

    model: str  # name
    identity: Mapping[str, object]  # what decides its paths: weights, settings, device
    data: str  # what was evaluated on
    context: int  # bars
    horizon: int  # bars ahead, and between origins
    paths: int  # of each ensemble
    seed: int  # of the paths
    trained_until: str  # last date of the training data; "" where it is not recorded
    pooled: GroupEvaluation  # all origins
    groups: list[GroupEvaluation]  # by asset class and frequency, and by asset class where it has several frequencies
    method: str  # of the errors and t values
    notes: list[str]  # what a reader must know besides
    seconds: float  # that it took


@dataclass(frozen=True)
class Mean:
    """A mean with its clustered error."""

    mean: float  # of all values that are numbers
    error: float  # its standard error; NaN with fewer than two clusters
    clusters: int  # spans of time that the values come from

    @property
    def t(self) -> float:
        """Mean over error; 0 where the values are all zero."""
        if self.error > 0:
            return self.mean / self.error
        return 0.0 if self.mean == 0 else float("nan")


def clustered_mean(values: NDArray[np.float64], clusters: NDArray[np.int64], frequencies: NDArray[np.str_]) -> Mean:
    """Return the mean of values [J] with the error that METHOD describes; NaN values are left out.

    Driscoll and Kraay 1998, "Consistent covariance matrix estimation with spatially dependent panel data".

    Args:
        values: one per origin.
        clusters: number of the span of time that each origin lies in.
        frequencies: of the origins: numbers of spans compare within one frequency only.
    """
    known = np.isfinite(values)
    values, clusters, frequencies = values[known], clusters[known], frequencies[known]
    if not len(values):
        return Mean(float("nan"), float("nan"), 0)
    off = values - values.mean()
    variance, count = 0.0, 0  # of the sum of all values, over frequencies
    for frequency in np.unique(frequencies):
        rows = frequencies == frequency
        _, place = np.unique(clusters[rows], return_inverse=True)
        sums = np.asarray(np.bincount(place, weights=off[rows]), dtype=np.float64)  # [span], in the order of time
        variance += float(sums @ sums) + max(neighbours(sums, DM_LAG), 0.0)  # of a sum whose mean is taken as 0
        count += len(sums)
    if count < 2:
        return Mean(float(values.mean()), float("nan"), count)
    small = count / (count - 1)
    return Mean(float(values.mean()), float(np.sqrt(variance * small)) / len(values), count)


@dataclass(frozen=True)
class GeneratorRows:
    """All that was seen of one generator, one row per origin."""

    name: str  # of the generator
    temperature: float | None  # that it was sampled at; None for baselines
    is_baseline: bool  # whether others are compared with it
    seen: Sequence[Seen]  # [J]

    @property
    def known(self) -> NDArray[np.bool_]:
        """From which origins it could forecast [J]."""
        return np.isfinite(self.stack("log_ratio"))

    def stack(self, name: str) -> Floats:
        """Return one number, or one row of numbers, per origin [J, ...]."""
        return np.array([getattr(one, name) for one in self.seen])


@dataclass(frozen=True)
class Spans:
    """Where a group's origins stand in time."""

    clusters: NDArray[np.int64]  # [J] number of the span of time
    frequencies: NDArray[np.str_]  # [J]

    def mean(self, values: Floats) -> Mean:
        """Return the mean of values [J] with its clustered error."""
        return clustered_mean(values, self.clusters, self.frequencies)


def summarise(
    stretches: Sequence[Stretch],
    origins: Sequence[SeriesOrigin],
    columns: Sequence[GeneratorRows],
    real_facts: Floats,
    asset_class: str = ALL,
    frequency: str = ALL,
) -> GroupEvaluation:
    """Return the figures of one asset class, of one of its frequencies, or of all origins.

    Args:
        stretches: histories.
        origins: [J].
        columns: of every generator, on the same origins.
        real_facts: [J, K].
        asset_class: whose origins; or all.
        frequency: whose origins; or all.
    """
    chosen = [
        place
        for place, one in enumerate(origins)
        if asset_class in (ALL, stretches[one.stretch].asset_class)
        and frequency in (ALL, stretches[one.stretch].frequency)
    ]
    mine = [origins[place] for place in chosen]
    spans = Spans(np.array([one.cluster for one in mine]), np.array([stretches[one.stretch].frequency for one in mine]))
    parts = [GeneratorRows(c.name, c.temperature, c.is_baseline, [c.seen[place] for place in chosen]) for c in columns]
    stamps = [stretches[one.stretch].candles.timestamps for one in mine]
    return GroupEvaluation(
        asset_class=asset_class,
        frequency=frequency,
        series=len({one.stretch for one in mine}),
        origins=len(mine),
        clusters=len({(one.cluster, f) for one, f in zip(mine, spans.frequencies, strict=True)}),
        first=min(s[one.row] for s, one in zip(stamps, mine, strict=True)).isoformat(),
        last=max(s[one.row + HORIZON - 1] for s, one in zip(stamps, mine, strict=True)).isoformat(),
        generators=[_scores(part, parts, spans, real_facts[chosen]) for part in parts],
    )


def _scores(own: GeneratorRows, columns: Sequence[GeneratorRows], spans: Spans, real_facts: Floats) -> GeneratorScores:
    known = own.known
    if not known.any():
        return GeneratorScores.unscored(own.name, own.temperature)
    crps, broken = own.stack("crps"), own.stack("broken")[known].mean(axis=0)
    drift = own.stack("drift")[known].mean(axis=0)
    against = [other for other in columns if other.is_baseline and not own.is_baseline]
    return GeneratorScores(
        name=own.name,
        temperature=own.temperature,
        origins=int(known.sum()),
        judged=[_judge(name, crps[:, place], own.stack("pits")[:, place], spans) for place, name in enumerate(JUDGED)],
        volatility_ratio=float(np.exp(np.median(own.stack("log_ratio")[known]))),
        drift={str(step): float(value) for step, value in zip(STEPS, drift, strict=True)},
        broken=dict(zip(RULES, map(float, broken[:-1]), strict=True)),
        bad_bars=float(broken[-1]),
        dropped=float(own.stack("dropped")[known].mean()),
        facts=[
            _fact(name, own.stack("facts")[:, place], real_facts[:, place], spans) for place, name in enumerate(FACTS)
        ],
        versus=[
            _versus(name, other.name, crps[:, place], other.stack("crps")[:, place], spans)
            for other in against
            for place, name in enumerate(JUDGED)
        ],
    )


def _judge(name: str, crps: Floats, pits: Floats, spans: Spans) -> Judgement:
    known = np.isfinite(pits)
    mean, away = spans.mean(pits), np.abs(pits[known] - 0.5)
    return Judgement(
        id=name,
        crps=float(crps[known].mean()),
        pit_mean=mean.mean,
        pit_mean_error=mean.error,
        pit_spread=float(away.mean()),
        coverage={f"{level:g}": float((away <= level / 2).mean()) for level in LEVELS},
    )


def _fact(name: str, generated: Floats, real: Floats, spans: Spans) -> FactMean:
    both = np.isfinite(generated) & np.isfinite(real)
    if not both.any():
        return FactMean(name, float("nan"), float("nan"), float("nan"), 0)
    difference = spans.mean(np.where(both, generated - real, np.nan))
    return FactMean(name, float(real[both].mean()), float(generated[both].mean()), difference.error, int(both.sum()))


def _versus(name: str, baseline: str, ours: Floats, theirs: Floats, spans: Spans) -> Versus:
    both = np.isfinite(ours) & np.isfinite(theirs)
    if not both.any():
        return Versus(name, baseline, float("nan"), float("nan"))
    return Versus(name, baseline, float(1 - ours[both].mean() / theirs[both].mean()), spans.mean(ours - theirs).t)
