"""Means over origins of many series, with errors from spans of time.

On one day all equities fall together: origins of one span of time are one cluster, not many witnesses, and errors of
means are computed from spans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.means import neighbours
from scenario_gen.stats.ranks import DM_LAG

METHOD = (
    "Driscoll and Kraay 1998 within each frequency: differences are summed over all series in one span of 60 bars, "
    f"spans are allowed to depend on each other up to lag {DM_LAG} (Newey and West 1987; never less than the plain "
    "variance); frequencies count as independent"
)


@dataclass(frozen=True)
class Mean:
    """A mean with its clustered error."""

    mean: float  # of all values that are numbers
    error: float  # its standard error; NaN with fewer than two clusters
    clusters: int  # spans of time that the values come from

    @property
    def t(self) -> float:
        """Mean over error; 0 where the values are all zero."""
        if self.error > 0:
            return self.mean / self.error
        return 0.0 if self.mean == 0 else float("nan")


def clustered_mean(values: Floats, clusters: NDArray[np.int64], frequencies: NDArray[np.str_]) -> Mean:
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
        variance += float(sums @ sums) + max(neighbours(sums, DM_LAG), 0.0)  # of a sum whose mean is taken as 0
        count += len(sums)
    if count < 2:
        return Mean(float(values.mean()), float("nan"), count)
    small = count / (count - 1)
    return Mean(float(values.mean()), float(np.sqrt(variance * small)) / len(values), count)


@dataclass(frozen=True)
class Spans:
    """Where a group's origins stand in time."""

    clusters: NDArray[np.int64]  # [J] number of the span of time
    frequencies: NDArray[np.str_]  # [J]

    def mean(self, values: Floats) -> Mean:
        """Return the mean of values [J] with its clustered error."""
        return clustered_mean(values, self.clusters, self.frequencies)
