"""What an evaluation of a checkpoint finds: figures of groups of origins and of series, from single origins'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.finding import Label
from scenario_gen.forecasts.checkpoint_facts import FACTS, RANKED, FactMean, RankedFact, judge_ranks, worst_of
from scenario_gen.forecasts.origins import SeriesOrigin, Stretch
from scenario_gen.forecasts.spans import Spans
from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.ranks import LEVELS

HORIZON = 60  # bars ahead, and from one origin to the next
STEPS = (1, 5, 20, HORIZON)  # bars over which returns are judged
RETURNS = tuple(f"return_{step}" for step in STEPS)
JUDGED = (*RETURNS, "log_volatility", "max_drawdown")
RULES = (
    "not finite (V1)",
    "price of zero or less (V2)",
    "high below another price (V3)",
    "low above another price (V3)",
    "volume negative or missing (V4)",
)
ALL = "all"


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
    # of each ranked fact, the rank of what came and by how much more paths have no value [F, 2]; NaN where untestable
    ranks: Floats

    @classmethod
    def nothing(cls) -> Seen:
        """Return what stands for a forecast that a baseline could not make: numbers that no mean counts."""
        judged, steps = np.full(len(JUDGED), np.nan), np.full(len(STEPS), np.nan)
        broken, facts = np.full(len(RULES) + 1, np.nan), np.full(len(FACTS), np.nan)
        return cls(judged, judged, steps, np.nan, broken, np.nan, facts, np.full((len(RANKED), 2), np.nan))


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
class Versus:
    """Diebold and Mariano's comparison with a baseline on the same origins."""

    id: str  # of the judged number
    baseline: str  # name
    skill: float  # 1 - ours / theirs; above 0 ours is better
    t: float  # of the mean difference ours - theirs, clustered; below -2 ours is surely better
    series: int  # that both could be scored on
    better: int  # of these, where the mean CRPS of ours is the lower


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
    ranked: list[RankedFact]  # every fact of the checks by the rank of what came (mode A)
    groups: Mapping[str, Label]  # the worst label of each group of facts

    @classmethod
    def unscored(cls, name: str, temperature: float | None) -> GeneratorScores:
        """Return the scores of a baseline that could forecast from no origin of a group."""
        nan = float("nan")
        judged = [Judgement(of, nan, nan, nan, nan, dict.fromkeys(map("{:g}".format, LEVELS), nan)) for of in JUDGED]
        facts = [FactMean(of, nan, nan, nan, 0) for of in FACTS]
        drift = dict.fromkeys(map(str, STEPS), nan)
        return cls(name, temperature, 0, judged, nan, drift, dict.fromkeys(RULES, nan), nan, nan, facts, [], [], {})

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
class SeriesScores:
    """The judged generator on the origins of one series, and the CRPS of those it is compared with."""

    name: str  # of the series
    asset_class: str
    frequency: str
    origins: int  # how many
    crps: Mapping[str, Mapping[str, float]]  # of each generator the mean fair CRPS of each judged number
    coverage: Mapping[str, float]  # of each judged number, share of origins inside the central 90 % band
    volatility_ratio: float  # median over origins of the median path's realised volatility over what was realised
    bad_bars: float  # share of raw bars that break any candle rule
    facts: list[FactMean]  # stylized facts beside the real windows'
    groups: Mapping[str, Label]  # the worst label of each group of facts (mode A)


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
    series: list[SeriesScores]  # one by one, in the order of the data
    method: str  # of the errors and t values
    notes: list[str]  # what a reader must know besides
    seconds: float  # that it took


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

    def at(self, places: Sequence[int]) -> GeneratorRows:
        """Return what was seen at these origins."""
        return GeneratorRows(self.name, self.temperature, self.is_baseline, [self.seen[place] for place in places])


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
        real_facts: of the real windows [J, K].
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
    spans = _spans(stretches, mine)
    owners = np.array([one.stretch for one in mine])
    parts = [column.at(chosen) for column in columns]
    stamps = [stretches[one.stretch].candles.timestamps for one in mine]
    return GroupEvaluation(
        asset_class=asset_class,
        frequency=frequency,
        series=len({one.stretch for one in mine}),
        origins=len(mine),
        clusters=len({(one.cluster, f) for one, f in zip(mine, spans.frequencies, strict=True)}),
        first=min(s[one.row] for s, one in zip(stamps, mine, strict=True)).isoformat(),
        last=max(s[one.row + HORIZON - 1] for s, one in zip(stamps, mine, strict=True)).isoformat(),
        generators=[_scores(part, parts, spans, owners, real_facts[chosen]) for part in parts],
    )


def summarise_series(
    stretches: Sequence[Stretch], origins: Sequence[SeriesOrigin], columns: Sequence[GeneratorRows], real_facts: Floats
) -> list[SeriesScores]:
    """Return the figures of every series that has an origin; arguments as of :func:`summarise`."""
    rows: dict[int, list[int]] = {}
    for place, at in enumerate(origins):
        rows.setdefault(at.stretch, []).append(place)
    return [
        _series(stretches[number], [column.at(places) for column in columns], spans, real_facts[places])
        for number, places in sorted(rows.items())
        for spans in [_spans(stretches, [origins[place] for place in places])]
    ]


def _series(stretch: Stretch, columns: Sequence[GeneratorRows], spans: Spans, real_facts: Floats) -> SeriesScores:
    ours = columns[0]
    inside = np.abs(ours.stack("pits") - 0.5) <= 0.45
    return SeriesScores(
        name=stretch.name,
        asset_class=stretch.asset_class,
        frequency=stretch.frequency,
        origins=len(ours.seen),
        crps={column.name: dict(zip(JUDGED, map(float, _means(column)), strict=True)) for column in columns},
        coverage=dict(zip(JUDGED, map(float, inside.mean(axis=0)), strict=True)),
        volatility_ratio=float(np.exp(np.median(ours.stack("log_ratio")))),
        bad_bars=float(ours.stack("broken")[:, -1].mean()),
        facts=_facts(ours, real_facts, spans),
        groups=worst_of(judge_ranks(ours.stack("ranks"), spans)),
    )


def _means(column: GeneratorRows) -> Floats:
    """Return the mean CRPS of each judged number over the origins that could be forecast [N]; NaN where none could."""
    known = column.known
    return column.stack("crps")[known].mean(axis=0) if known.any() else np.full(len(JUDGED), np.nan)


def _spans(stretches: Sequence[Stretch], origins: Sequence[SeriesOrigin]) -> Spans:
    frequencies = np.array([stretches[at.stretch].frequency for at in origins])
    return Spans(np.array([at.cluster for at in origins]), frequencies)


def _facts(own: GeneratorRows, real: Floats, spans: Spans) -> list[FactMean]:
    generated = own.stack("facts")
    return [FactMean.of(name, generated[:, k], real[:, k], spans) for k, name in enumerate(FACTS)]


def _scores(
    own: GeneratorRows, columns: Sequence[GeneratorRows], spans: Spans, owners: NDArray[np.int64], real_facts: Floats
) -> GeneratorScores:
    known = own.known
    if not known.any():
        return GeneratorScores.unscored(own.name, own.temperature)
    crps, broken = own.stack("crps"), own.stack("broken")[known].mean(axis=0)
    drift = own.stack("drift")[known].mean(axis=0)
    ranked = judge_ranks(own.stack("ranks"), spans)
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
        facts=_facts(own, real_facts, spans),
        versus=[
            _versus(name, other.name, crps[:, place], other.stack("crps")[:, place], spans, owners)
            for other in against
            for place, name in enumerate(JUDGED)
        ],
        ranked=ranked,
        groups=worst_of(ranked),
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


def _versus(name: str, baseline: str, ours: Floats, theirs: Floats, spans: Spans, owners: NDArray[np.int64]) -> Versus:
    both = np.isfinite(ours) & np.isfinite(theirs)
    if not both.any():
        return Versus(name, baseline, float("nan"), float("nan"), 0, 0)
    _, series = np.unique(owners[both], return_inverse=True)
    better = int((np.bincount(series, weights=(ours - theirs)[both]) < 0).sum())
    skill = float(1 - ours[both].mean() / theirs[both].mean())
    return Versus(name, baseline, skill, spans.mean(ours - theirs).t, int(series.max()) + 1, better)
