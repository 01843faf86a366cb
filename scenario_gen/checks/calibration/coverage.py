"""Do central bands hold what they promise? Counts of origins inside, with exact binomial intervals and tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import betaincinv

Floats = NDArray[np.float64]

LEVELS = (0.5, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Coverage:
    """One band's coverage over the origins.

    Attributes:
        level: what the band promises.
        inside: how many origins lay inside.
        origins: of how many.
        share: inside / origins.
        low: lower end of the exact 95 % interval (Clopper and Pearson 1934).
        high: its upper end.
        p: exact two-sided binomial test that the share is the level.
    """

    level: float
    inside: int
    origins: int
    share: float
    low: float
    high: float
    p: float


def coverage(inside: NDArray[np.bool_], level: float) -> Coverage:
    """Count what lay inside [origin] and test it; origins must not overlap."""
    count, total = int(inside.sum()), len(inside)
    return Coverage(
        level=level,
        inside=count,
        origins=total,
        share=count / total,
        low=float(betaincinv(count, total - count + 1, 0.025)) if count else 0.0,
        high=float(betaincinv(count + 1, total - count, 0.975)) if count < total else 1.0,
        p=float(stats.binomtest(count, total, level).pvalue),
    )


def central_coverage(pits: Floats) -> list[Coverage]:
    """Return the coverage of central bands: the real number lies inside where its PIT does.

    By the randomised rank, a calibrated ensemble of any number of paths covers exactly what it promises.
    """
    return [coverage(np.abs(pits - 0.5) <= level / 2, level) for level in LEVELS]


def band_coverage(pits: Floats) -> list[Coverage]:
    """Return the coverage of simultaneous path bands from the PITs of :func:`largest_deviation`."""
    return [coverage(pits <= level, level) for level in LEVELS]


def largest_deviation(paths: Floats, real: Floats) -> tuple[Floats, float]:
    """Return how far each path, and the real one, strays from the middle of all, in units of their spread.

    The largest of |x_t - mean_t| / deviation_t over the bars. Mean and deviation are taken over the paths and the
    real one together, so that under calibration the real one is one of M + 1 alike and its rank is uniform: the
    band that holds 90 % of the paths at all bars at once then holds the real one with 90 %.

    Args:
        paths: [path, bar].
        real: [bar].
    """
    together = np.concatenate((paths, real[None]))
    spread = together.std(axis=0)
    moving = spread > 0
    away = np.abs(together - together.mean(axis=0))[:, moving] / spread[moving]
    largest = away.max(axis=1) if moving.any() else np.zeros(len(together))
    return largest[:-1], float(largest[-1])
