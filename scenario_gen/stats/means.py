"""Whether a mean is zero: of independent numbers, and of a short series whose neighbours may hang together.

The first judges differences over paths; the second what PITs, scores and drifts at neighbouring origins say. A
correlation of two such series is a mean too, of what each moment adds to it.

Where many are tested at once, the probability of a single false alarm, or the share of false alarms, is held down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from scenario_gen.stats.estimate import Estimate, Floats, no_error, t_interval, t_quantile, t_tail
from scenario_gen.stats.weights import Weights

# Results that differ by less are the same: two ways of adding the same numbers differ in the order only.
NO_DIFFERENCE = 1e-9


@dataclass(frozen=True)
class MeanTest:
    """Student's t test that the mean of independent numbers is 0."""

    mean: float  # of the contributions
    error: float  # its standard error
    z: float  # ``mean`` over ``error``; 0 where nothing differs from 0 by more than rounding
    p: float  # two-sided
    n: int  # how many paths
    freedom: float  # degrees of freedom of Student's t

    @classmethod
    def of(cls, contributions: Floats, weights: Weights | None = None) -> MeanTest:
        """Test the contributions of at least two paths, float64 [path].

        Raises:
            ValueError: weighted paths lie in too few islands to show an error.
        """
        n = len(contributions)
        if weights is None:
            mean = float(contributions.mean())
            error, freedom = float(contributions.std(ddof=1)) / math.sqrt(n), n - 1.0
        elif (shown := weights.error(contributions)) is not None:
            mean, (error, freedom) = weights.mean(contributions), shown
        else:
            raise ValueError(no_error(weights))
        if abs(mean) < NO_DIFFERENCE and error < NO_DIFFERENCE:
            return cls(mean, error, 0.0, 1.0, n, freedom)
        z = mean / max(error, NO_DIFFERENCE)
        return cls(mean, error, z, 2 * t_tail(abs(z), freedom), n, freedom)

    def estimate(self) -> Estimate:
        """Return the mean with Student's t interval."""
        return t_interval(self.mean, self.error, self.freedom, self.n)


@dataclass(frozen=True)
class SeriesTest:
    """The mean of a series and the test that it is zero."""

    mean: float
    error: float  # its standard error
    t: float  # mean over error; 0 where the series is constantly zero
    p: float  # two-sided, from Student's t with n - 1 degrees of freedom
    half_width: float  # of the 95 % interval


def mean_test(series: Floats, lag: int) -> SeriesTest:
    """Test that a mean is zero with the larger of two standard errors: Newey and West's, and the plain one.

    Newey and West 1987 with Bartlett weights up to ``lag`` and the factor n / (n - 1). Of 60 independent numbers it
    alone rejects 6 % (lag 2) where 5 % are due, because a negative autocorrelation found by chance shrinks it; the
    larger of both rejects 4.6 %, and as rarely as it alone where the series is positively autocorrelated.

    Raises:
        ValueError: fewer than two numbers.
    """
    count = len(series)
    if count < 2:
        raise ValueError(f"{count} numbers have no standard error")
    mean = float(series.mean())
    error = float(np.sqrt(long_run_variance(series, lag) / (count - 1)))
    if error == 0.0:
        return SeriesTest(mean, 0.0, 0.0, 1.0 if mean == 0 else 0.0, 0.0)
    t = mean / error
    return SeriesTest(mean, error, t, 2 * t_tail(abs(t), count - 1), t_quantile(count - 1) * error)


def long_run_variance(series: Floats, lag: int) -> float:
    """Return the larger of the variance and the Bartlett-weighted long-run variance, both with divisor n."""
    d = series - series.mean()
    return (float(d @ d) + max(neighbours(d, lag), 0.0)) / len(series)


def neighbours(d: Floats, lag: int) -> float:
    """Return the products of neighbours up to ``lag``, on both sides and with Bartlett weights, of a centred series."""
    lags = range(1, min(lag, len(d) - 1) + 1)
    return sum(2 * (1 - k / (lag + 1)) * float(d[k:] @ d[:-k]) for k in lags)


@dataclass(frozen=True)
class SeriesCorrelation:
    """Pearson's correlation of two short series, and what each moment adds to its error."""

    value: float  # NaN where a series never moves
    influence: Floats  # of each moment on the correlation, of mean zero [T]

    @classmethod
    def of(cls, x: Floats, y: Floats) -> SeriesCorrelation:
        """Correlate two series of at least three moments each, float64 [T].

        The influence of a moment is z_x z_y - r (z_x^2 + z_y^2) / 2 in deviations z (Devlin, Gnanadesikan and
        Kettenring 1975, Biometrika 62), so that the error of r is that of the mean of a series.

        Raises:
            ValueError: fewer than three moments.
        """
        if len(x) < 3:
            raise ValueError(f"{len(x)} moments have no correlation with an error")
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            return cls(math.nan, np.zeros(len(x)))
        a, b = x - x.mean(), y - y.mean()
        r = float(a @ b) / float(np.sqrt((a @ a) * (b @ b)))
        za, zb = a / np.sqrt((a @ a) / len(a)), b / np.sqrt((b @ b) / len(b))
        return cls(r, za * zb - r * (za**2 + zb**2) / 2)

    def interval(self, lag: int) -> tuple[float, float]:
        """Return the 95 % interval, on Fisher's scale so that it stays between -1 and 1."""
        if math.isnan(self.value):
            return math.nan, math.nan
        steepness = max(1 - self.value**2, 1e-12)
        half = mean_test(self.influence / steepness, lag).half_width
        middle = math.atanh(min(max(self.value, -1 + 1e-12), 1 - 1e-12))
        return math.tanh(middle - half), math.tanh(middle + half)

    def less(self, other: SeriesCorrelation, lag: int) -> tuple[float, float]:
        """Return this correlation less another of the same moments, and the two-sided p that they are equal."""
        return self.value - other.value, mean_test(self.influence - other.influence + self.value - other.value, lag).p


# --- Many tests at once ---


Key = TypeVar("Key")


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p values: at a level, those below it hold together with no assumption on dependence.

    Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return p values adjusted so that, of those below a level, that share is expected to be false alarms.

    Benjamini and Hochberg (1995), Controlling the False Discovery Rate, Journal of the Royal Statistical Society B 57.
    """
    if not p_values:
        return {}
    from scipy.stats import false_discovery_control

    return dict(zip(p_values, map(float, false_discovery_control(list(p_values.values()))), strict=True))
