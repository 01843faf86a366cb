"""Two samples of dependent values compared: whether one is larger, or wider, and how sure that is.

Owns the two-sample test of one statistic, and the test that what came true ranks evenly among sampled paths, on the
same scale. A cluster is a stretch of time (real windows) or a context (paths):
values of one cluster may depend on each other in any way, values of different clusters do not. Knows arrays of
numbers; knows neither bars nor facts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scenario_gen.stats.estimate import Floats, t_quantile, t_tail
from scenario_gen.stats.means import neighbours
from scenario_gen.stats.ranks import HAC_LAG, placements

Ids = NDArray[np.int64]

MIN_CLUSTERS = 4  # fewer give no usable standard error
POWER = 0.85  # t quantile that goes with a power of 80 %
FEWEST_FOR_SUMS = 8  # with fewer clusters a sandwich of their sums is too optimistic


@dataclass(frozen=True)
class Contrast:
    """A difference on the scale of AUC - 1/2: 0 is no difference, +-.5 is complete separation."""

    value: float  # the estimate, positive where the first sample (the synthetic one) is larger
    se: float  # its standard error
    df: float  # degrees of freedom of the t reference distribution
    p: float  # p-value of "no difference"
    low: float  # lower end of the 95 % interval, not below -.5
    high: float  # upper end of it, not above .5

    @property
    def mde(self) -> float:
        """Smallest difference that a two-sided 5 % test finds with a power of 80 %."""
        return (t_quantile(self.df) + POWER) * self.se

    def power(self, level: float) -> float:
        """Return about the power of a two-sided test at ``level`` if the estimate were the truth."""
        cut, shift = t_quantile(self.df, 1 - level / 2), self.value / self.se
        return float(stats.norm.sf(cut - shift) + stats.norm.cdf(-cut - shift))


@dataclass(frozen=True)
class Clustered:
    """Values of one sample with the cluster of each."""

    values: Floats  # float64 [value], all finite
    clusters: Ids  # int64 [value]

    @classmethod
    def of(cls, values: Floats, clusters: Ids) -> Clustered:
        """Leave out the values that are not defined, and number the clusters that remain from 0."""
        defined = np.isfinite(values)
        _, numbered = np.unique(clusters[defined], return_inverse=True)
        return cls(values[defined], numbered.astype(np.int64))

    @property
    def size(self) -> int:
        """Number of clusters."""
        return int(self.clusters.max()) + 1 if len(self.clusters) else 0


def location(synthetic: Clustered, real: Clustered) -> Contrast:
    """Test whether synthetic values tend to lie above or below the real ones.

    The statistic is A = P(synthetic > real) + P(equal) / 2. Its variance adds up, over both samples, the squared
    cluster sums of the placements (Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data",
    Biometrics 53) with the factor G / (G - 1). Placements lose their spread where the samples separate: with ten
    clusters a side, real windows of 120 bars failed other real windows in 7 % of splits. So the variance is at
    least that of the ranks in both samples together, of which A - 1/2 is the difference of means; the two agree
    near A = 1/2. The standard error is at least .25 / sqrt(G H); degrees of freedom are Welch's and at least
    min(G, H) - 1.
    """
    return _auc_contrast(synthetic, real)


def dispersion(synthetic: Clustered, real: Clustered) -> Contrast:
    """Test whether synthetic values lie further from the real median than the real ones do."""
    centre = float(np.median(real.values))
    apart = [Clustered(np.abs(s.values - centre), s.clusters) for s in (synthetic, real)]
    return _auc_contrast(apart[0], apart[1])


def _auc_contrast(synthetic: Clustered, real: Clustered) -> Contrast:
    value = float(placements(synthetic.values, real.values).mean()) - 0.5
    parts = max(placement_variances(synthetic, real), rank_variances(synthetic, real), key=sum)
    return _contrast(value, parts, (synthetic.size, real.size))


def placement_variances(synthetic: Clustered, real: Clustered) -> tuple[float, float]:
    """Return what each sample adds to the variance of the AUC, from its places among the other's values."""
    above, below = placements(synthetic.values, real.values), placements(real.values, synthetic.values)
    return (
        _variance_of_mean(above, synthetic.clusters, synthetic.size),
        _variance_of_mean(below, real.clusters, real.size),
    )


def rank_variances(synthetic: Clustered, real: Clustered) -> tuple[float, float]:
    """Return what each sample adds to the variance of the AUC, from its ranks among all values."""
    together = np.concatenate([synthetic.values, real.values])
    ours, theirs = (
        _variance_of_mean(placements(sample.values, together), sample.clusters, sample.size)
        for sample in (synthetic, real)
    )
    return ours, theirs


def _variance_of_mean(values: Floats, clusters: Ids, size: int) -> float:
    """Return the variance of the mean from the squared sums of the clusters."""
    sums = np.bincount(clusters, values - values.mean(), minlength=size)
    return float(size / (size - 1) * np.sum(sums**2) / len(values) ** 2)


def ratio(synthetic: tuple[Clustered, Clustered], real: tuple[Clustered, Clustered]) -> Contrast:
    """Test the difference of two pooled ratios sum(num) / sum(den), given as (num, den) of each sample.

    Each ratio is linearised, psi = (num - theta den) / mean(den), and the cluster sums of psi give its variance:
    a ratio per cluster would be 0/0 in calm ones. With fewer than 8 clusters on a side the cluster means of psi
    are compared by Welch's t instead (Ibragimov and Mueller 2016, "Inference with few heterogeneous clusters",
    Review of Economics and Statistics 98). The difference in standard deviations d of the real psi is put on the
    AUC scale by Phi(d / sqrt 2) - 1/2, as for two normal samples.
    """
    linear = [_linearise(num, den) for num, den in (synthetic, real)]
    sizes = (linear[0][1].size, linear[1][1].size)
    spread = float(linear[1][1].values.std(ddof=1))
    if spread == 0:
        return _contrast(float(np.sign(linear[0][0] - linear[1][0])) / 2, (0.0, 0.0), sizes)
    estimate = _by_cluster_means if min(sizes) < FEWEST_FOR_SUMS else _by_cluster_sums
    (ours, our_part), (theirs, their_part) = (estimate(theta, psi) for theta, psi in linear)
    parts = (our_part / spread**2, their_part / spread**2)
    return _on_auc_scale(_contrast((ours - theirs) / spread, parts, sizes))


def _linearise(num: Clustered, den: Clustered) -> tuple[float, Clustered]:
    """Return the pooled ratio and the influence of each path on it, psi."""
    theta = float(num.values.sum() / den.values.sum())
    return theta, Clustered((num.values - theta * den.values) / den.values.mean(), num.clusters)


def _by_cluster_sums(theta: float, psi: Clustered) -> tuple[float, float]:
    return theta, _variance_of_mean(psi.values, psi.clusters, psi.size)


def _by_cluster_means(theta: float, psi: Clustered) -> tuple[float, float]:
    means = np.bincount(psi.clusters, psi.values) / np.bincount(psi.clusters)
    return theta + float(means.mean()), float(means.var(ddof=1) / psi.size)


def _on_auc_scale(d: Contrast) -> Contrast:
    """Turn a difference in standard deviations, tested on its own scale, into one of AUC."""

    def auc(x: float) -> float:
        return float(stats.norm.cdf(x / np.sqrt(2))) - 0.5

    # The error near 0 decides what could have been found: the slope of Phi(x / sqrt 2) there.
    slope = float(stats.norm.pdf(0) / np.sqrt(2))
    half = t_quantile(d.df) * d.se
    return Contrast(auc(d.value), d.se * slope, d.df, d.p, auc(d.value - half), auc(d.value + half))


def _contrast(value: float, parts: tuple[float, float], sizes: tuple[int, int]) -> Contrast:
    df = _welch_df(parts, sizes)
    se = max(float(np.sqrt(sum(parts))), 0.25 / float(np.sqrt(sizes[0] * sizes[1])))
    return from_t(value, se, df)


def from_t(value: float, se: float, df: float) -> Contrast:
    """Return the contrast that a t statistic value / se with ``df`` degrees of freedom gives."""
    p = 2 * t_tail(abs(value / se), df)
    half = t_quantile(df) * se
    return Contrast(value, se, df, p, max(value - half, -0.5), min(value + half, 0.5))


def _welch_df(parts: tuple[float, float], sizes: tuple[int, int]) -> float:
    fewest = min(sizes) - 1
    below = sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
    return max(float(sum(parts) ** 2 / below), fewest) if below > 0 else float(fewest)


def location_of_pits(u: Floats) -> Contrast:
    """Test mean(u) = 1/2; positive where the paths lie above what came true, as in every other contrast."""
    return hac_mean(0.5 - u)


def dispersion_of_pits(u: Floats) -> Contrast:
    """Test mean |u - 1/2| = 1/4; positive where the paths are too wide.

    Twice the difference is given, so that all paths on one side of every outcome read -.5, as an AUC would.
    """
    return hac_mean(2 * (0.25 - np.abs(u - 0.5)))


def hac_mean(x: Floats) -> Contrast:
    """Test that the mean of a series is 0 by t with J - 1 degrees of freedom and Newey-West errors, lag 2.

    The long-run variance has Bartlett weights and the factor J / (J - 1); the standard error is at least .25 / J.
    """
    count = len(x)
    d = x - x.mean()
    long_run = float(d @ d) + neighbours(d, HAC_LAG)
    se = max(float(np.sqrt(max(long_run, 0.0) / (count * (count - 1)))), 0.25 / count)
    return from_t(float(x.mean()), se, float(count - 1))
