"""Scores made of distances between points: energy distance and the k-nearest-neighbour family.

Energy distance: Szekely and Rizzo 2013, "Energy statistics". Precision, recall, density and coverage: Naeem et al.
2020, "Reliable fidelity and diversity metrics for generative models", k = 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.scores.points import Floats

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
