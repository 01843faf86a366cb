"""How probable it is to come how far: the exceedance curve of an event's measure, by islands and by plain paths.

Owns the levels of the curve, the distance between both and where islands killed; and intervals of probabilities from
independent islands of weighted paths, each an unbiased estimate of its own, and of counts that may be 0. Judges
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenario_gen.market.paths import Floats
from scenario_gen.stats.estimate import CONFIDENCE, Estimate, t_quantile
from scenario_gen.stats.weights import FEWEST_ISLANDS, Weights
from scenario_gen.stress.splitting import Killing


def standard_error(of_islands: Floats) -> float:
    """Return the standard error of the mean of islands [island]; inf for a single one."""
    count = len(of_islands)
    return float(np.std(of_islands, ddof=1) / math.sqrt(count)) if count > 1 else math.inf


def relative_error(of_islands: Floats) -> float:
    """Return the standard error over the mean; inf where the mean is 0 or there is one island."""
    centre = float(np.mean(of_islands))
    return standard_error(of_islands) / centre if centre > 0 else math.inf


def island_probability(of_islands: Floats) -> Estimate:
    """Return the mean of islands' probabilities [island] with a log-t interval, of 8 islands or more.

    exp(ln p +- t sqrt(ln(1 + e^2))) with e the relative standard error and Student's t of one freedom less than
    islands: the estimates of islands are skewed like a lognormal, and an interval symmetric around the mean falls
    short (measured coverage .92 against .88 of a nominal .95 at 8 islands).
    """
    count, centre = len(of_islands), float(np.mean(of_islands))
    if centre <= 0:
        return Estimate(0.0, n=count, reason="no island reached the event")
    if count < FEWEST_ISLANDS:
        return Estimate(centre, n=count, reason=f"{count} islands have no interval, {FEWEST_ISLANDS} do")
    margin = t_quantile(count - 1) * math.sqrt(math.log1p(relative_error(of_islands) ** 2))
    return Estimate(centre, centre * math.exp(-margin), min(centre * math.exp(margin), 1.0), n=count)


def counted_probability(count: int, n: int) -> Estimate:
    """Return a share with the exact interval of Clopper and Pearson (1934), which has an upper end for a count of 0.

    Args:
        count: hits.
        n: independent trials; 0 gives no value.
    """
    from scipy.special import betaincinv

    if n == 0:
        return Estimate(None, reason="nothing to count")
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - tail))
    return Estimate(count / n, low, high, n=n, count=count)


def distance(first: Floats, hits: int, n: int) -> tuple[float, float]:
    """Return how many standard errors a mean of islands lies above a share of plain paths, and its freedom.

    Freedom by Welch and Satterthwaite: of the few islands, mostly.

    Args:
        first: probability of each island [island].
        hits: plain paths counted.
        n: plain paths.
    """
    share = hits / n
    of_islands, of_paths = standard_error(first) ** 2, share * (1 - share) / n
    both = of_islands + of_paths
    if both <= 0:
        return 0.0, math.inf
    freedom = both**2 / max(of_islands**2 / (len(first) - 1) + of_paths**2 / max(n - 1, 1), 1e-300)
    return float((np.mean(first) - share) / math.sqrt(both)), freedom


# --- How probable it is to come how far: the exceedance curve of an event's measure, by islands and by plain paths ---


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
