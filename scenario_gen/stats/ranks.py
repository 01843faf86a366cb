"""Where what came ranks among what was sampled, and proper scores of ensembles: is one better than another.

Where an ensemble is right, the real future is one more draw from it: its randomised rank, the probability integral
transform, is exactly uniform for any number of paths, and central bands hold what they promise. Tests take origins
whose futures do not overlap.

Of scores lower is better. Estimators are those of the scoringrules package (tests hold them equal); they are written
here in a few lines because importing it compiles for four seconds, half of what a whole calibration takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import betaincinv

from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.means import SeriesTest, mean_test

LEVELS = (0.5, 0.8, 0.9, 0.95)  # of central bands
HAC_LAG = 2  # neighbouring origins share their regime
BINS = 10
STILL = 1e-20
EDGE = 1e-9  # keeps a PIT of 0 or 1 finite under the normal quantile
SMALLEST_MEAN = 0.81  # over sqrt(J): the |mean u - 1/2| found with a power of 80 %: (1.96 + .84) / sqrt(12)


def placements(values: Floats, others: Floats) -> Floats:
    """Return for each value the share of the others below it, ties counting half, [value].

    The mean over values is the AUC: P(value > other) + P(equal) / 2.
    """
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((below + up_to) / (2 * len(others)))


def pit(ensemble: Floats, real: float, rng: np.random.Generator) -> float:
    """Return u = (#{paths < real} + U (1 + ties)) / (M + 1), in (0, 1): uniform where the ensemble is right.

    Args:
        ensemble: the number on each path [path].
        real: the same number of what really came.
        rng: breaks ties, and spreads the rank over its cell.
    """
    below, ties = int((ensemble < real).sum()), int((ensemble == real).sum())
    return float((below + rng.random() * (1 + ties)) / (len(ensemble) + 1))


@dataclass(frozen=True)
class Uniformity:
    """Tests that PITs are uniform."""

    mean: SeriesTest  # of u - 1/2; above zero the paths lie too low
    spread: SeriesTest  # of |u - 1/2| - 1/4; above zero the paths are too narrow
    p: float  # of mean, spread and moments together (Bonferroni): what labels rest on
    p_ks: float  # Kolmogorov and Smirnov, for comparison
    p_moments: float  # Knueppel's test of the first four moments
    p_dependence: float | None  # Berkowitz's test of dependence between neighbouring origins; None below 8 origins


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


@dataclass(frozen=True)
class Coverage:
    """One band's coverage over the origins."""

    level: float  # what the band promises
    inside: int  # how many origins lay inside
    origins: int  # of how many
    share: float  # inside / origins
    low: float  # lower end of the exact 95 % interval (Clopper and Pearson 1934)
    high: float  # its upper end
    p: float  # exact two-sided binomial test that the share is the level


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


# --- Proper scores ---


DM_LAG = 3
POWER = 0.5  # of the variogram: Scheuerer and Hamill's choice
TITLES = {
    "crps_return_1": "CRPS, return of the next bar",
    "crps_return_h": "CRPS, return over the horizon",
    "crps_log_volatility": "CRPS, log realised volatility",
    "crps_max_drawdown": "CRPS, maximum drawdown",
    "energy": "energy score of the path",
    "variogram_path": "variogram score of the path",
    "variogram_size": "variogram score of |returns|",
}


def fair_crps(ensemble: Floats, real: float) -> float:
    """Return the fair continuous ranked probability score of an ensemble [path], in its own unit.

    E|X - y| - E|X - X'| / 2 with the second mean over different paths, so that it does not depend on their number
    (Ferro 2014, "Fair scores for ensemble forecasts").
    """
    count = len(ensemble)
    ordered = np.sort(ensemble)
    ranks = 2 * np.arange(count) - count + 1
    pairs = 2 * float(ranks @ ordered) / (count * (count - 1))  # E|X - X'| over different paths
    return float(np.abs(ensemble - real).mean() - pairs / 2)


def fair_energy_score(ensemble: Floats, real: Floats) -> float:
    """Return the energy score of paths [path, bar] against the real one [bar]: the CRPS in many dimensions.

    Gneiting and Raftery 2007, with the mean over different paths as in :func:`fair_crps`.
    """
    count = len(ensemble)
    squares = (ensemble**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * ensemble @ ensemble.T
    pairs = np.sqrt(np.maximum(distances, 0.0)).sum() / (count * (count - 1))
    return float(np.linalg.norm(ensemble - real, axis=1).mean() - pairs / 2)


def variogram_score(ensemble: Floats, real: Floats) -> float:
    """Return the variogram score of order 1/2 of paths [path, bar] against the real one [bar].

    Scheuerer and Hamill 2015: the sum over pairs of bars of (|y_i - y_j|^p - mean |x_i - x_j|^p)^2. Sees how bars
    hang together, to which the energy score is nearly blind.
    """
    expected = np.zeros((len(real), len(real)))
    for bar in range(len(real)):  # one bar against all others, so that memory stays [path, bar]
        expected[bar] = (np.abs(ensemble - ensemble[:, bar : bar + 1]) ** POWER).mean(axis=0)
    observed = np.abs(real[:, None] - real) ** POWER
    return float(((observed - expected) ** 2).sum())


@dataclass(frozen=True)
class ScoreSkill:
    """One generator's score against a baseline's on the same origins."""

    score: str  # id of the score
    baseline: str  # name of the baseline
    ours: float  # mean score
    theirs: float  # mean score of the baseline
    skill: float | None  # 1 - ours / theirs; above zero ours is better; None where theirs is zero
    t: float  # Diebold and Mariano's, from the difference ours - theirs; below zero ours is better
    p: float  # two-sided
    origins: int  # that both could be scored on


def compare_scores(score: str, baseline: str, ours: Floats, theirs: Floats) -> ScoreSkill:
    """Compare scores [origin] of two generators by Diebold and Mariano 1995, Newey-West errors up to lag 3."""
    test = mean_test(ours - theirs, DM_LAG)
    mean, reference = float(ours.mean()), float(theirs.mean())
    skill = 1 - mean / reference if reference > 0 else None
    return ScoreSkill(score, baseline, mean, reference, skill, test.t, test.p, len(ours))
