"""Paths as points in the space of their facts, on the scale of the real windows, and the yardstick of their scores.

The yardstick of a score is the same score for held-out real windows against other real windows. Without it a score
cannot be read: windows of two decades differ too. The reference's clusters are split at random into two halves, 30
times; one half is what is compared with, the other stands in for a perfect generator, and as many paths as it has
windows are scored in its place. So both scores rest on the same numbers of points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from scenario_gen.progress import one_blas_thread
from scenario_gen.stats.ranks import placements

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

CLIP = 6.0  # robust standard deviations: one wild path must not decide a distance
NORMAL_IQR = 1.349  # interquartile range of the standard normal law


@dataclass(frozen=True, eq=False)
class Points:
    """Paths as points."""

    x: Floats  # float64 [path, fact]
    clusters: Ids  # int64 [path]; points of one cluster may depend on each other

    def __len__(self) -> int:
        return len(self.clusters)

    def select(self, rows: NDArray[Any]) -> Points:
        """Return the points at these positions (or where a mask is True)."""
        return Points(self.x[rows], self.clusters[rows])


def fact_space(synthetic: Mapping[str, Floats], real: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Return both sides as points [path, fact] in robust standard deviations of the real windows.

    Median and interquartile range are the real ones; values beyond 6 are cut to 6. A value that is not defined
    becomes the real median: undefined shares are judged with the facts. Facts whose real interquartile range is
    0, or undefined, are left out.
    """
    columns: list[tuple[Floats, Floats]] = []
    for name, theirs in real.items():
        defined = theirs[np.isfinite(theirs)]
        if not len(defined):
            continue
        low, middle, high = np.quantile(defined, [0.25, 0.5, 0.75])
        if high <= low:
            continue
        scale = (high - low) / NORMAL_IQR
        columns.append((_scaled(synthetic[name], middle, scale), _scaled(theirs, middle, scale)))
    sides = [np.column_stack(side) for side in zip(*columns, strict=True)] if columns else [np.empty((0, 0))] * 2
    return sides[0], sides[1]


def _scaled(values: Floats, middle: float, scale: float) -> Floats:
    return np.clip(np.nan_to_num((values - middle) / scale, nan=0.0, posinf=CLIP, neginf=-CLIP), -CLIP, CLIP)


# Scores made of distances between points: energy distance and the k-nearest-neighbour family


NEIGHBOURS = 5

Distances = NDArray[np.float32]


def distances(x: Floats, y: Floats) -> Distances:
    """Return Euclidean distances [row of x, row of y]."""
    squares = np.sum(x**2, axis=1)[:, None] + np.sum(y**2, axis=1)[None, :] - 2 * x @ y.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)), dtype=np.float32)


def energy_distance(within_x: Distances, within_y: Distances, between: Distances) -> float:
    """Return 2 E|X - Y| - E|X - X'| - E|Y - Y'|, never negative, 0 only for equal laws."""
    means = [float(d.mean(dtype=np.float64)) for d in (between, within_x, within_y)]
    return 2 * means[0] - means[1] - means[2]


def mean_apart(within: Distances) -> float:
    """Return the mean distance between two different points."""
    count = len(within)
    return float(within.sum(dtype=np.float64) / max(count * (count - 1), 1))


@dataclass(frozen=True)
class Neighbourhood:
    """Precision, recall, density and coverage of paths among real windows."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(within_x: Distances, within_real: Distances, between: Distances) -> Neighbourhood:
    """Return the four of them.

    Args:
        within_x: among the paths.
        within_real: among the real windows.
        between: [path, real window].
    """
    inside_real = between < kth_neighbour(within_real)[None, :]
    inside_x = between < kth_neighbour(within_x)[:, None]
    return Neighbourhood(
        precision=float(inside_real.any(axis=1).mean()),
        recall=float(inside_x.any(axis=0).mean()),
        density=float(inside_real.sum(axis=1).mean() / NEIGHBOURS),
        coverage=float(inside_real.any(axis=0).mean()),
    )


def share_among(within_real: Distances, between: Distances) -> float:
    """Return the precision alone: the share of paths, rows of ``between``, that lie among real windows."""
    return float((between < kth_neighbour(within_real)[None, :]).any(axis=1).mean())


def kth_neighbour(within: Distances, k: int = NEIGHBOURS) -> Distances:
    """Return each point's distance to its k-th nearest other point."""
    k = min(k, len(within) - 1)
    return np.asarray(np.partition(within, k, axis=1)[:, k])


# Classifier two-sample test: how well a logistic regression tells paths from real windows


PENALTY = 0.05  # weight of the likelihood against |w|^2 / 2
FOLDS = 5
NEWTON_STEPS, TOLERANCE = 25, 1e-8


def out_of_fold_auc(synthetic: Points, real: Points) -> float:
    """Return the AUC of scores given to points by classifiers that have not seen their cluster.

    Raises:
        ValueError: a side has fewer than five clusters.
    """
    folds = np.concatenate([cluster_folds(side.clusters) for side in (synthetic, real)])
    x = np.concatenate([synthetic.x, real.x])
    y = np.concatenate([np.ones(len(synthetic)), np.zeros(len(real))])
    scores = np.empty(len(y))
    with one_blas_thread():
        for fold in range(FOLDS):
            held_out = folds == fold
            mean, sd = x[~held_out].mean(axis=0), x[~held_out].std(axis=0)
            scaled = (x - mean) / np.where(sd > 0, sd, 1.0)
            w = fit_logistic(scaled[~held_out], y[~held_out])
            scores[held_out] = scaled[held_out] @ w[:-1] + w[-1]
    return float(placements(scores[y == 1], scores[y == 0]).mean())


def cluster_folds(clusters: Ids) -> Ids:
    """Return the fold of each point, [path]: whole clusters, the largest first into the emptiest fold."""
    numbers, index, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    if len(numbers) < FOLDS:
        raise ValueError(f"{len(numbers)} clusters do not fill {FOLDS} folds")
    load = np.zeros(FOLDS)
    fold_of = np.empty(len(numbers), dtype=np.int64)
    for cluster in np.argsort(-sizes, kind="stable"):
        fold_of[cluster] = np.argmin(load)
        load[fold_of[cluster]] += sizes[cluster]
    return fold_of[index]


def fit_logistic(x: Floats, y: Floats, penalty: float = PENALTY) -> Floats:
    """Return weights and intercept [fact + 1] that minimise |w|^2 / 2 + penalty * sum log loss, by Newton.

    The intercept is not penalised. A step that does not lower the objective is halved.
    """
    design = np.column_stack([x, np.ones(len(x))])
    ridge = np.append(np.ones(x.shape[1]), 0.0)
    w = np.zeros(design.shape[1])

    def objective(w: Floats) -> float:
        z = design @ w
        return float(0.5 * ridge @ w**2 + penalty * np.sum(np.logaddexp(0.0, z) - y * z))

    current = objective(w)
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ w, -500, 500)))
        gradient = ridge * w + penalty * design.T @ (p - y)
        hessian = penalty * (design.T * np.maximum(p * (1 - p), 1e-12)) @ design + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (new := objective(w - size * step)) > current and size > 1e-6:
            size /= 2
        w = w - size * step
        if current - new <= TOLERANCE * abs(current):
            return w
        current = new
    return w


# Scores that are common in papers and blind to common faults: shown beside their yardstick, never judged


LAGS = 20


def w1(x: Floats, y: Floats) -> float:
    """Return the Wasserstein-1 distance of the values of x and y, equally many, in standard deviations of y."""
    spread = float(y.std())
    apart = np.abs(np.sort(x, axis=None) - np.sort(y, axis=None)).mean()
    return float(apart) / spread if spread > 0 else 0.0


def path_normalised(r: Floats) -> Floats:
    """Return each path's returns less their mean, over their standard deviation; 0 where it does not move."""
    spread = r.std(axis=1, keepdims=True)
    return np.asarray((r - r.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, np.inf))


def lagged_products(x: Floats, y: Floats, lags: int = LAGS) -> Floats:
    """Return corr(x_t, y_{t+k}) of each path for k = 1 to ``lags``, [path, lag]; 0 where a path does not move."""
    x, y = path_normalised(x), path_normalised(y)
    bars = x.shape[1]
    return np.stack([np.sum(x[:, : bars - k] * y[:, k:], axis=1) / bars for k in range(1, lags + 1)], axis=1)


def curve_distance(curves: Floats, others: Floats) -> float:
    """Return the Euclidean distance of two mean curves (the ACF and leverage scores of Wiese et al. 2020)."""
    return float(np.linalg.norm(curves.mean(axis=0) - others.mean(axis=0)))


# --- The yardstick ---


T = TypeVar("T")

SPLITS = 30
FEWEST_CLUSTERS = 10  # so that each half fills five folds


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of one random split, each in random order."""

    paths: Ids  # rows of paths that are scored
    held_out: Ids  # rows of real windows that are scored in their place
    rest: Ids  # rows of the real windows that both are compared with


@dataclass(frozen=True)
class YardstickScore:
    """A score over all splits."""

    synthetic: Floats  # float64 [split]
    real: Floats  # float64 [split], of held-out real windows

    @property
    def value(self) -> float:
        """The paths' score: the median over the splits."""
        return float(np.median(self.synthetic))

    @property
    def real_median(self) -> float:
        """The held-out windows' score."""
        return float(np.median(self.real))

    def limit(self, *, low: bool = False) -> float:
        """Return what 95 % of the real splits stay below, or above where a low score is bad."""
        return float(np.quantile(self.real, 0.05 if low else 0.95))

    def beyond(self, *, low: bool = False) -> float:
        """Return the share of real splits that the paths' score is worse than."""
        return float(np.mean(self.real > self.value if low else self.real < self.value))


def random_splits(clusters: Ids, paths: int, rng: np.random.Generator, count: int = SPLITS) -> list[Split]:
    """Return random splits of the real clusters into halves, and random paths as many as the held-out half."""
    return [_split(clusters, paths, rng) for _ in range(count)]


def _split(clusters: Ids, paths: int, rng: np.random.Generator) -> Split:
    numbers = rng.permutation(np.unique(clusters))
    in_half = np.isin(clusters, numbers[: len(numbers) // 2])
    held_out, rest = (rng.permutation(np.flatnonzero(half)) for half in (in_half, ~in_half))
    size = min(len(held_out), paths)
    return Split(rng.permutation(paths)[:size], held_out[:size], rest)


class Keep(Protocol):
    """Gives what is kept under a name, or makes and keeps it: what real windows score against each other."""

    def __call__(self, name: str, make: Callable[[], T]) -> T:
        """Return it."""
        ...


def anew(name: str, make: Callable[[], T]) -> T:
    """Make it and keep nothing."""
    del name
    return make()


def measure(
    splits: Sequence[Split], names: Sequence[str], score: Callable[[bool, Ids, Ids], Sequence[float]], keep: Keep = anew
) -> dict[str, YardstickScore]:
    """Compute scores of the paths and of the held-out windows in every split.

    Args:
        splits: random splits.
        names: what the scores are called.
        score: (are these real windows?, their rows, rows of the rest) to one number per name.
        keep: for ensembles of one size against one reference with one seed: real windows are scored once.
    """
    ours = np.array([score(False, split.paths, split.rest) for split in splits])  # [split, score]
    theirs = keep(names[0], lambda: np.array([score(True, split.held_out, split.rest) for split in splits]))
    return {name: YardstickScore(ours[:, i], theirs[:, i]) for i, name in enumerate(names)}
