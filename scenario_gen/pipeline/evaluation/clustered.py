"""The standard error of a mean over origins of many series that live through the same dates.

On one day all equities fall together: origins of one span of time are one cluster, not many witnesses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.calibration.scores import DM_LAG

METHOD = (
    "Driscoll and Kraay 1998 within each frequency: differences are summed over all series in one span of 60 bars, "
    f"spans are allowed to depend on each other up to lag {DM_LAG} (Newey and West 1987; never less than the plain "
    "variance); frequencies count as independent"
)


@dataclass(frozen=True)
class Mean:
    """A mean with its clustered error.

    Attributes:
        mean: of all values that are numbers.
        error: its standard error; NaN with fewer than two clusters.
        clusters: spans of time that the values come from.
    """

    mean: float
    error: float
    clusters: int

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
        variance += _variance_of_sum(sums)
        count += len(sums)
    if count < 2:
        return Mean(float(values.mean()), float("nan"), count)
    small = count / (count - 1)
    return Mean(float(values.mean()), float(np.sqrt(variance * small)) / len(values), count)


def _variance_of_sum(sums: NDArray[np.float64]) -> float:
    """Return the estimated variance of the sum of numbers [n], in the order of time, whose mean is taken as 0."""
    return float(sums @ sums) + max(_neighbours(sums), 0.0)


def _neighbours(sums: NDArray[np.float64]) -> float:
    lags = range(1, min(DM_LAG, len(sums) - 1) + 1)
    return sum(2 * (1 - lag / (DM_LAG + 1)) * float(sums[lag:] @ sums[:-lag]) for lag in lags)
