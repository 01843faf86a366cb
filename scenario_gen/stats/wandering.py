"""Where a level that wanders slowly may stand next, from noisy looks at it in the past.

Levels of successive stretches of time are m_j = mu + x_j + noise: mu unknown and flat, x a stationary first-order
process with standard deviation s and correlation rho from one stretch to the next, noise of a known variance. Given
s and rho the next level is normal, with the mean and variance of universal kriging (Rasmussen and Williams 2006,
"Gaussian Processes for Machine Learning", section 2.7). s and rho are not known: the answer is the mixture over a grid
of both, weighted by the marginal likelihood, mu integrated out, and by a half-normal prior of s. Knows numbers alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from scenario_gen.stats.estimate import Floats

# On the scale of placements, 0 to 1: a year of another market than usual lies some .1 off. BENCHMARKS.md has the widths
# and forms of the prior that were tried.
PRIOR = 0.06
SPREADS = np.concatenate([[0.0], np.geomspace(0.01, 0.35, 14)])
CORRELATIONS = (0.0, 0.3, 0.5, 0.7, 0.85)  # from one stretch to the next
LEAST_NOISE = 1e-4


@dataclass(frozen=True, eq=False)
class Outlook:
    """What the next level may be: a mixture of normal laws, each array [point of the grid]."""

    weights: Floats  # of the points, which add up to 1
    means: Floats
    sds: Floats

    @property
    def mean(self) -> float:
        """The level to expect."""
        return float(self.weights @ self.means)

    @property
    def sd(self) -> float:
        """Standard deviation of the level around it."""
        return float(np.sqrt(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2)))

    def seen_with(self, noise: float) -> Outlook:
        """Return what a look at the level with noise of this variance may show."""
        return Outlook(self.weights, self.means, np.sqrt(self.sds**2 + noise))

    def p(self, level: float) -> float:
        """Return how likely a level at least this far from what is expected is, both sides together."""
        return float(min(1.0, self.weights @ (2 * ndtr(-np.abs(level - self.means) / self.sds))))


def outlook(levels: Floats, noise: float, ahead: float | None, count: int = 1) -> Outlook:
    """Return what the next level may be.

    Args:
        levels: float64 [stretch], in time order and at equal distances; NaN where nothing was seen.
        noise: variance of the noise of one of them.
        ahead: how many stretches after the last one the asked level lies; None: its time is not known, and the past
            tells of it only what the long-run level is.
        count: how many levels the asked one is the mean of: they are taken to follow each other a stretch apart.

    Raises:
        ValueError: fewer than two levels are known.
    """
    seen = np.flatnonzero(np.isfinite(levels))
    if len(seen) < 2:
        raise ValueError(f"{len(seen)} levels are known, expected at least two")
    apart = np.abs(seen[:, None] - seen[None])
    lag = np.zeros(0) if ahead is None else np.asarray(len(levels) - 1 - seen + ahead)
    own = np.abs(np.arange(count)[:, None] - np.arange(count)[None])
    points = [
        _given(
            levels[seen],
            max(noise, LEAST_NOISE),
            _powers(rho, apart),
            np.zeros(len(seen)) if ahead is None else _powers(rho, lag),
            float(_powers(rho, own).mean()),
        )
        for rho in CORRELATIONS
    ]
    likelihood, means, variances = (np.concatenate(part) for part in zip(*points, strict=True))
    log_weights = likelihood + np.tile(_log_prior(), len(CORRELATIONS))
    weights = np.exp(log_weights - log_weights.max())
    return Outlook(weights / weights.sum(), means, np.sqrt(variances))


def _given(
    levels: Floats, noise: float, correlation: Floats, reach: Floats, own: float
) -> tuple[Floats, Floats, Floats]:
    """Return log marginal likelihood, mean and variance of the next level at every spread, each [spread].

    Args:
        levels: float64 [stretch].
        noise: variance.
        correlation: float64 [stretch, stretch], of x.
        reach: float64 [stretch], correlation of x with the asked one.
        own: variance of the asked one, in units of that of x.
    """
    values, vectors = np.linalg.eigh(correlation)
    y, one, r = vectors.T @ levels, vectors.sum(axis=0), vectors.T @ reach
    variance = SPREADS**2  # [spread]
    each = variance[:, None] * np.maximum(values, 0.0) + noise  # [spread, stretch]: the levels' own variances
    information = (one**2 / each).sum(axis=1)
    level = (one * y / each).sum(axis=1) / information
    rest = y - level[:, None] * one
    likelihood = -0.5 * (np.log(each).sum(axis=1) + np.log(information) + (rest**2 / each).sum(axis=1))
    mean = level + variance * (r * rest / each).sum(axis=1)
    missing = 1 - variance * (r * one / each).sum(axis=1)
    told = variance**2 * (r**2 / each).sum(axis=1)
    return likelihood, mean, np.maximum(variance * own - told, 0.0) + missing**2 / information


def _powers(rho: float, distance: NDArray[Any]) -> Floats:
    """Return rho to the power of each distance; with rho = 0 that is 1 at a distance of 0 alone."""
    return np.asarray(np.power(rho, distance, dtype=np.float64))


def _log_prior() -> Floats:
    """Return the log prior weight of each spread: a half-normal density times the width of its cell."""
    steps = np.gradient(SPREADS[1:])
    width = np.concatenate([[SPREADS[1]], steps])
    return np.asarray(np.log(width) - 0.5 * (SPREADS / PRIOR) ** 2)
