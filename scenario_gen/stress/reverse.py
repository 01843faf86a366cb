"""What the paths in an event have in common, beside all paths of the same scenario: reverse stress.

Owns the traits of a path that are compared, how far apart two means are, and a few paths that stand for the others.
Knows arrays of bars and weights; nothing of what the event was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenario_gen.market.candles import deepest_fall, log_steps
from scenario_gen.market.paths import Floats
from scenario_gen.stats.estimate import Estimate, mean
from scenario_gen.stats.weights import Weights

STORIES = 5
MOST_COMPARED = 400  # paths of which a few are chosen: their distances fit in a small matrix
POINTS = 64  # bars at which two paths are compared, and that are drawn
FEWEST = 10  # paths in the event, for anything to be said of them
ROUNDS = 50  # of the search for medoids, which settles in a few


@dataclass(frozen=True)
class Trait:
    """One number of a path: its mean in the event, and among all paths."""

    name: str  # key of :data:`TRAITS`
    inside: Estimate
    usual: float
    apart: Estimate  # difference of the means in standard deviations of all paths


@dataclass(frozen=True)
class Story:
    """A path that stands for others in the event."""

    path_id: int
    share: float  # of the event's weight
    close: list[float]  # in shares of the last real close, at the bars of the picture


@dataclass(frozen=True)
class Reverse:
    """What breaks it: traits, furthest apart first, the average path and the paths that stand for the others."""

    strategy: str
    paths: int  # in the event
    alike: float  # independent stories that they are worth
    bars: list[int]  # of the picture; 0 is the last real close
    inside: list[float]  # average path in the event, in shares of the last real close: exp of the mean log
    usual: list[float]  # average of all paths
    traits: list[Trait] = field(default_factory=list)
    stories: list[Story] = field(default_factory=list)  # the largest first
    reason: str = ""  # why there is nothing


# --- Traits ---


@dataclass(frozen=True)
class Steps:
    """Paths as gaps, bodies and returns."""

    gap: Floats  # log of open over the close before [path, bar]
    body: Floats  # log of close over open [path, bar]
    bars_per_year: float

    @property
    def returns(self) -> Floats:
        """Log returns of closes [path, bar]."""
        return self.gap + self.body

    def halves(self) -> tuple[Floats, Floats]:
        """Return the returns of the first half and of the second."""
        half = self.returns.shape[1] // 2
        return self.returns[:, :half], self.returns[:, half:]


def _over(part: Floats, whole: Floats) -> Floats:
    """Return a ratio [path], 0 where there is nothing to divide by."""
    return np.asarray(np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0))


def _volatility(steps: Steps) -> Floats:
    return np.asarray(np.sqrt(np.mean(steps.returns**2, axis=1) * steps.bars_per_year))


def _gap_share(steps: Steps) -> Floats:
    gap, body = (np.sum(part**2, axis=1) for part in (steps.gap, steps.body))
    return _over(gap, gap + body)


def _trend(steps: Steps) -> Floats:
    """Return how far the path came over how far a random walk of its moves comes: sum r / sqrt(sum r^2)."""
    return _over(np.sum(steps.returns, axis=1), np.sqrt(np.sum(steps.returns**2, axis=1)))


def _turns(steps: Steps) -> Floats:
    returns = steps.returns
    return np.asarray(np.mean(returns[:, 1:] * returns[:, :-1] < 0, axis=1))


def _worst_bar(steps: Steps) -> Floats:
    return np.asarray(np.expm1(steps.returns.min(axis=1)))


def _deepest_fall(steps: Steps) -> Floats:
    return deepest_fall(steps.returns)


def _first_half(steps: Steps) -> Floats:
    return np.asarray(np.expm1(steps.halves()[0].sum(axis=1)))


def _second_half(steps: Steps) -> Floats:
    return np.asarray(np.expm1(steps.halves()[1].sum(axis=1)))


def _louder(steps: Steps) -> Floats:
    first, second = (np.mean(part**2, axis=1) for part in steps.halves())
    return np.asarray(0.5 * np.log(np.maximum(second, 1e-12) / np.maximum(first, 1e-12)))


def _persistence(steps: Steps) -> Floats:
    """Return the correlation of a return with the one before, about 0: sum r_t r_{t-1} / sum r^2."""
    returns = steps.returns
    return _over(np.sum(returns[:, 1:] * returns[:, :-1], axis=1), np.sum(returns**2, axis=1))


TRAITS: Mapping[str, Callable[[Steps], Floats]] = {
    "volatility": _volatility,
    "gap_share": _gap_share,
    "trend": _trend,
    "turns": _turns,
    "persistence": _persistence,
    "first_half": _first_half,
    "second_half": _second_half,
    "louder": _louder,
    "worst_bar": _worst_bar,
    "deepest_fall": _deepest_fall,
}


# --- Comparison ---


def reverse_stress(
    values: NDArray[np.floating[Any]],
    anchor: float,
    inside: NDArray[np.bool_],
    path_ids: NDArray[np.int64],
    *,
    weights: Weights | None,
    bars_per_year: float,
    strategy: str = "",
) -> Reverse:
    """Compare the paths in an event with all paths.

    Args:
        values: open, high, low, close and more [path, bar, field].
        anchor: the last real close.
        inside: which paths are in the event [path].
        path_ids: [path].
        weights: of all paths, which together describe the generator's law; None where all count alike.
        bars_per_year: of the volatility.
        strategy: that the event breaks.
    """
    own = None if weights is None else weights.where(inside)
    alike = float(inside.sum()) if weights is None else weights.alike(inside)
    horizon = values.shape[1]
    bars = np.unique(np.linspace(0, horizon, min(POINTS, horizon + 1)).round().astype(np.int64))
    if inside.sum() < FEWEST:
        words = f"{int(inside.sum())} paths are too few to say what they share"
        return Reverse(strategy, int(inside.sum()), alike, bars.tolist(), [], [], reason=words)
    logs = log_steps(values[..., :4], anchor)
    steps = Steps(logs[..., 0], logs[..., 3] - logs[..., 0], bars_per_year)
    level = np.concatenate((np.zeros((len(values), 1)), np.cumsum(logs[..., 3], axis=1)), axis=1)[:, bars]
    shares = np.full(len(values), 1 / len(values)) if weights is None else weights.shares
    within = shares * inside / (shares @ inside)
    traits = [_trait(name, number(steps), inside, shares, own) for name, number in TRAITS.items()]
    return Reverse(
        strategy=strategy,
        paths=int(inside.sum()),
        alike=alike,
        bars=bars.tolist(),
        inside=np.exp(within @ level).tolist(),
        usual=np.exp(shares @ level).tolist(),
        traits=sorted(traits, key=lambda trait: -abs(trait.apart.value or 0.0)),
        stories=_stories(level, _spread(level, shares), inside, shares, path_ids),
    )


def _spread(values: Floats, shares: Floats) -> Floats:
    """Return the standard deviation of each column [path, ...] over all paths."""
    return np.asarray(np.sqrt(shares @ (values - shares @ values) ** 2))


def _trait(name: str, values: Floats, inside: NDArray[np.bool_], shares: Floats, own: Weights | None) -> Trait:
    """Compare one trait; the error of the mean of all paths, which are many times more, is left out."""
    usual, spread = float(shares @ values), float(_spread(values, shares))
    within = mean(values[inside], own)
    if within.value is None or spread <= 0:
        return Trait(name, within, usual, Estimate(None, reason="all paths have the same"))
    ends = [None if end is None else (end - usual) / spread for end in (within.value, within.low, within.high)]
    return Trait(name, within, usual, Estimate(ends[0], ends[1], ends[2], n=within.n, reason=within.reason))


# --- Paths that stand for others ---


def _stories(
    level: Floats, spread: Floats, inside: NDArray[np.bool_], shares: Floats, path_ids: NDArray[np.int64]
) -> list[Story]:
    """Return a few paths of the event that stand for the others by the shape of their log closes [path, point].

    Distances are root mean squares of differences in standard deviations of all paths at each point.
    """
    rows = np.flatnonzero(inside & (shares > 0))
    size = shares[rows]
    if len(rows) > MOST_COMPARED:
        places, counts = np.unique(_drawn(size, MOST_COMPARED), return_counts=True)
        rows, size = rows[places], counts.astype(np.float64)
    shape = level[rows] / np.where(spread > 0, spread, 1.0)
    chosen, member = medoids(shape, size / size.sum(), STORIES)
    found = [
        Story(
            int(path_ids[rows[place]]),
            float(size[member == at].sum() / size.sum()),
            np.exp(level[rows[place]]).tolist(),
        )
        for at, place in enumerate(chosen)
    ]
    return sorted(found, key=lambda story: -story.share)


def _drawn(weights: Floats, count: int) -> NDArray[np.int64]:
    """Return so many places by systematic sampling: a place comes as often as its weight says."""
    reached = np.cumsum(weights) / weights.sum()
    return np.asarray(np.searchsorted(reached, (np.arange(count) + 0.5) / count))


def medoids(points: Floats, weights: Floats, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the medoids of weighted points, and to which of them each point belongs.

    Begun with the best next point each time, then by turns: every point to its nearest medoid, in every group the point
    with the least weighted distance to the others (Park and Jun 2009, Expert Systems with Applications 36).

    Args:
        points: [point, number].
        weights: [point], above 0.
        count: medoids, or fewer where there are fewer points.
    """
    squares = np.sum(points**2, axis=1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0.0) / points.shape[1])
    nearest = np.full(len(points), math.inf)
    chosen: list[int] = []
    for _ in range(min(count, len(points))):
        costs = weights @ np.minimum(nearest[:, None], apart)
        costs[chosen] = math.inf
        chosen.append(int(np.argmin(costs)))
        nearest = np.minimum(nearest, apart[:, chosen[-1]])
    for _ in range(ROUNDS):
        member = np.argmin(apart[:, chosen], axis=1)
        settled = [_centre(apart, weights, np.flatnonzero(member == at), place) for at, place in enumerate(chosen)]
        if settled == chosen:
            break
        chosen = settled
    return np.array(chosen), np.argmin(apart[:, chosen], axis=1)


def _centre(apart: Floats, weights: Floats, group: NDArray[np.int64], place: int) -> int:
    if not len(group):  # points that coincide with another medoid
        return place
    return int(group[np.argmin(weights[group] @ apart[np.ix_(group, group)])])
