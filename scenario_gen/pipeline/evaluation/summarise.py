"""From the numbers of single origins to the figures of a group of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.calibration.coverage import LEVELS
from scenario_gen.pipeline.evaluation.clustered import Mean, clustered_mean
from scenario_gen.pipeline.evaluation.observe import FACTS, JUDGED, RULES, STEPS, Seen
from scenario_gen.pipeline.evaluation.origins import HORIZON, Origin, Stretch
from scenario_gen.pipeline.evaluation.results import ALL, FactMean, GeneratorScores, GroupEvaluation, Judgement, Versus

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """All that was seen of one generator, one row per origin.

    Attributes:
        name: of the generator.
        temperature: that it was sampled at; None for baselines.
        is_baseline: whether others are compared with it.
        seen: [J].
    """

    name: str
    temperature: float | None
    is_baseline: bool
    seen: Sequence[Seen]

    def stack(self, name: str) -> Floats:
        """Return one number, or one row of numbers, per origin [J, ...]."""
        return np.array([getattr(one, name) for one in self.seen])


@dataclass(frozen=True)
class Rows:
    """Where a group's origins stand in time.

    Attributes:
        clusters: [J] number of the span of time.
        frequencies: [J].
    """

    clusters: NDArray[np.int64]
    frequencies: NDArray[np.str_]

    def mean(self, values: Floats) -> Mean:
        """Return the mean of values [J] with its clustered error."""
        return clustered_mean(values, self.clusters, self.frequencies)


def summarise(
    stretches: Sequence[Stretch],
    origins: Sequence[Origin],
    columns: Sequence[Column],
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
    rows = Rows(np.array([one.cluster for one in mine]), np.array([stretches[one.stretch].frequency for one in mine]))
    parts = [Column(c.name, c.temperature, c.is_baseline, [c.seen[place] for place in chosen]) for c in columns]
    stamps = [stretches[one.stretch].candles.timestamps for one in mine]
    return GroupEvaluation(
        asset_class=asset_class,
        frequency=frequency,
        series=len({one.stretch for one in mine}),
        origins=len(mine),
        clusters=len({(one.cluster, f) for one, f in zip(mine, rows.frequencies, strict=True)}),
        first=min(s[one.row] for s, one in zip(stamps, mine, strict=True)).isoformat(),
        last=max(s[one.row + HORIZON - 1] for s, one in zip(stamps, mine, strict=True)).isoformat(),
        generators=[_scores(one, parts, rows, real_facts[chosen]) for one in parts],
    )


def _scores(one: Column, columns: Sequence[Column], rows: Rows, real_facts: Floats) -> GeneratorScores:
    crps, broken = one.stack("crps"), one.stack("broken").mean(axis=0)
    drift = one.stack("drift").mean(axis=0)
    against = [other for other in columns if other.is_baseline and not one.is_baseline]
    return GeneratorScores(
        name=one.name,
        temperature=one.temperature,
        judged=[_judge(name, crps[:, place], one.stack("pits")[:, place], rows) for place, name in enumerate(JUDGED)],
        volatility_ratio=float(np.exp(np.median(one.stack("log_ratio")))),
        drift={str(step): float(value) for step, value in zip(STEPS, drift, strict=True)},
        broken=dict(zip(RULES, map(float, broken[:-1]), strict=True)),
        bad_bars=float(broken[-1]),
        dropped=float(one.stack("dropped").mean()),
        facts=[
            _fact(name, one.stack("facts")[:, place], real_facts[:, place], rows) for place, name in enumerate(FACTS)
        ],
        versus=[
            _versus(name, other.name, crps[:, place], other.stack("crps")[:, place], rows)
            for other in against
            for place, name in enumerate(JUDGED)
        ],
    )


def _judge(name: str, crps: Floats, pits: Floats, rows: Rows) -> Judgement:
    mean, away = rows.mean(pits), np.abs(pits - 0.5)
    return Judgement(
        id=name,
        crps=float(crps.mean()),
        pit_mean=mean.mean,
        pit_mean_error=mean.error,
        pit_spread=float(away.mean()),
        coverage={f"{level:g}": float((away <= level / 2).mean()) for level in LEVELS},
    )


def _fact(name: str, generated: Floats, real: Floats, rows: Rows) -> FactMean:
    both = np.isfinite(generated) & np.isfinite(real)
    if not both.any():
        return FactMean(name, float("nan"), float("nan"), float("nan"), 0)
    difference = rows.mean(np.where(both, generated - real, np.nan))
    return FactMean(name, float(real[both].mean()), float(generated[both].mean()), difference.error, int(both.sum()))


def _versus(name: str, baseline: str, ours: Floats, theirs: Floats, rows: Rows) -> Versus:
    return Versus(name, baseline, float(1 - ours.mean() / theirs.mean()), rows.mean(ours - theirs).t)
