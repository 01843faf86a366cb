"""The probability integral transform by ranks, and the tests that it is uniform.

Where an ensemble is right, the real future is one more draw from it, and its randomised rank is exactly uniform for
any number of paths. Tests take origins whose futures do not overlap: :mod:`scenario_gen.forecasts.origins`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scenario_gen.checks.longrun import MeanTest, mean_test

Floats = NDArray[np.float64]

HAC_LAG = 2  # neighbouring origins share their regime
BINS = 10
STILL = 1e-20
EDGE = 1e-9  # keeps a PIT of 0 or 1 finite under the normal quantile
SMALLEST_MEAN = 0.81  # over sqrt(J): the |mean u - 1/2| found with a power of 80 %: (1.96 + .84) / sqrt(12)


@dataclass(frozen=True)
class Uniformity:
    """Tests that PITs are uniform.

    Attributes:
        mean: of u - 1/2; above zero the paths lie too low.
        spread: of |u - 1/2| - 1/4; above zero the paths are too narrow.
        p: of mean, spread and moments together (Bonferroni): what labels rest on.
        p_ks: Kolmogorov and Smirnov, for comparison.
        p_moments: Knueppel's test of the first four moments.
        p_dependence: Berkowitz's test of dependence between neighbouring origins; None below 8 origins.
    """

    mean: MeanTest
    spread: MeanTest
    p: float
    p_ks: float
    p_moments: float
    p_dependence: float | None


def uniformity(pits: Floats) -> Uniformity:
    """Test PITs [origin] of at least two origins."""
    mean = mean_test(pits - 0.5, HAC_LAG)
    spread = mean_test(np.abs(pits - 0.5) - 0.25, HAC_LAG)
    p_moments = knueppel(pits)
    return Uniformity(
        mean=mean,
        spread=spread,
        p=min(1.0, 3 * min(mean.p, spread.p, p_moments)),
        p_ks=float(stats.kstest(pits, "uniform").pvalue),
        p_moments=p_moments,
        p_dependence=berkowitz_dependence(pits) if len(pits) >= 8 else None,
    )


def knueppel(pits: Floats) -> float:
    """Return the p-value of Knueppel's moments test on independent PITs.

    Knueppel 2015, "Evaluating the calibration of multi-step-ahead density forecasts using raw moments": moments 1 to
    4 of sqrt(12) (u - 1/2) against those of a uniform, as a quadratic form. Its covariance is taken as known, for
    independent PITs: estimated with autocorrelation, as the paper does for overlapping futures, the test rejects
    8 to 12 % of 60 uniform PITs at the 5 % level, and with the known covariance 4.9 %.
    """
    powers = np.arange(1, 5)
    z = np.sqrt(12.0) * (pits - 0.5)
    off = (z[:, None] ** powers).mean(axis=0) - _uniform_moment(powers)
    covariance = _uniform_moment(powers[:, None] + powers) - np.outer(_uniform_moment(powers), _uniform_moment(powers))
    return float(stats.chi2.sf(len(pits) * off @ np.linalg.solve(covariance, off), df=4))


def _uniform_moment(power: NDArray[np.int64]) -> Floats:
    """Return E z^k of the standardised uniform: 3^(k/2) / (k + 1) for even k, else 0."""
    return np.where(power % 2 == 0, 3.0 ** (power / 2) / (power + 1), 0.0)


def berkowitz_dependence(pits: Floats) -> float:
    """Return the p-value of Berkowitz's likelihood ratio for dependence between neighbours.

    Berkowitz 2001, "Testing density forecasts, with applications to risk management": normal quantiles of the PITs
    as a first-order autoregression, with and without its slope, given the first; chi-squared with one degree.
    """
    z = stats.norm.ppf(np.clip(pits, EDGE, 1 - EDGE))
    before, after = z[:-1] - z[:-1].mean(), z[1:] - z[1:].mean()
    scale = float((before @ before) * (after @ after))
    if scale < STILL:  # PITs that are all equal but for rounding depend on nothing
        return 1.0
    explained = float(before @ after) ** 2 / scale
    ratio = -len(after) * np.log1p(-min(explained, 1 - EDGE))
    return float(stats.chi2.sf(ratio, df=1))


def histogram(pits: Floats) -> list[int]:
    """Return how many PITs lie in each of ten equal bins."""
    return [int(n) for n in np.histogram(pits, bins=BINS, range=(0.0, 1.0))[0]]


def histogram_band(origins: int) -> tuple[int, int]:
    """Return between which counts a bin of calibrated PITs lies in 95 % of cases, each bin on its own."""
    low, high = stats.binom.ppf([0.025, 0.975], origins, 1 / BINS)
    return int(low), int(high)


def smallest_mean(origins: int) -> float:
    """Return the |mean u - 1/2| that would be found at the 5 % level with a power of 80 %."""
    return SMALLEST_MEAN / float(np.sqrt(origins))
