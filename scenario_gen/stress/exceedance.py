"""How probable it is to come how far: the exceedance curve of an event's measure, by islands and by plain paths.

Owns the levels of the curve, the distance between both and where islands killed. Judges nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenario_gen.market.paths import Floats
from scenario_gen.stats.estimate import Estimate
from scenario_gen.stats.islands import counted_probability, distance, island_probability
from scenario_gen.stats.weights import Weights
from scenario_gen.stress.splitting import Killing

CHECKED_HITS = 30  # plain paths beyond a level at which islands are held against them
CURVE = 25  # levels of the exceedance curve
LEAST_ALIKE = 10.0  # independent stories beyond the last level of the curve


class IslandOf(Protocol):
    """What is asked of an island here."""

    @property
    def index(self) -> int:
        """Its number."""

    @property
    def slots(self) -> int:
        """Paths at a time."""

    @property
    def roots(self) -> NDArray[np.int64]:
        """First ancestor of each path [path]."""

    @property
    def weights(self) -> Floats:
        """Weight of each path [path], which sum to 1."""

    @property
    def measure(self) -> Floats:
        """What the event measures on each path [path]."""

    @property
    def levels(self) -> tuple[Killing, ...]:
        """Where it killed."""

    def beyond(self, level: float) -> float:
        """Return the weight of the paths whose measure comes to a level."""


@dataclass(frozen=True)
class CurvePoint:
    """How probable it is to come to a level of what the event measures."""

    at: float
    islands: Estimate
    plain: Estimate
    z: float | None = None  # how many standard errors apart, where enough plain paths are beyond
    freedom: float | None = None  # of Student's t for z; None for the normal


@dataclass(frozen=True)
class Level:
    """Where paths were killed, in what the event measures, and how probable it is to come so far."""

    at: float
    probability: float


def weights_of(records: Sequence[IslandOf]) -> Weights:
    """Return the weights of all paths of some islands, which sum to 1."""
    islands = np.repeat([record.index for record in records], [len(record.weights) for record in records])
    joined = np.concatenate([record.weights for record in records])
    weights = Weights.of(joined, islands, np.concatenate([record.roots for record in records]))
    if weights is None:
        raise AssertionError("paths of islands have weights")
    return weights


def levels_of(records: Sequence[IslandOf]) -> list[Level]:
    """Return where the first island killed, in what the event measures: of all paths the share that comes so far."""
    measure, weights = np.concatenate([record.measure for record in records]), weights_of(records)
    alive, out = 1.0, []
    for level in records[0].levels:
        alive *= 1 - level.killed / records[0].slots
        out.append(Level(weights.quantile(measure, 1 - alive), alive))
    return out


def curve_of(records: Sequence[IslandOf], plain: Sequence[float]) -> list[CurvePoint]:
    """Return levels from the median to the last that enough independent stories come to, evenly in ln probability."""
    measure, weights = np.concatenate([record.measure for record in records]), weights_of(records)
    ordered = np.unique(measure)
    last = next((at for at in ordered[::-1] if weights.alike(measure >= at) >= LEAST_ALIKE), ordered[0])
    deepest = float(weights.shares[measure >= last].sum())
    counted = np.asarray(plain)
    points = {}
    for probability in np.geomspace(0.5, min(deepest, 0.5), CURVE):
        at = weights.quantile(measure, 1 - float(probability))
        points[at] = _point(at, np.array([record.beyond(at) for record in records]), counted)
    return [points[at] for at in sorted(points)]


def _point(at: float, beyond: Floats, counted: Floats) -> CurvePoint:
    hits, n = int(np.count_nonzero(counted >= at)), len(counted)
    told = counted_probability(hits, n)
    if min(hits, n - hits) < CHECKED_HITS or len(beyond) < 2:
        return CurvePoint(at, island_probability(beyond), told)
    z, freedom = distance(beyond, hits, n)
    return CurvePoint(at, island_probability(beyond), told, z, freedom if math.isfinite(freedom) else None)


def plain_curve(plain: Sequence[float]) -> list[CurvePoint]:
    """Return what plain paths alone say, down to the level that ten of them come to."""
    ordered, n = np.sort(plain), len(plain)
    places = np.unique(np.floor(n * (1 - np.geomspace(0.5, min(0.5, 10 / n), CURVE))).astype(np.int64))
    nothing = Estimate(None, reason="plain paths alone")
    return [
        CurvePoint(at, nothing, counted_probability(int(np.count_nonzero(ordered >= at)), n))
        for at in np.unique(ordered[places]).tolist()
    ]
