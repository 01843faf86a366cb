"""One figure of two samples of paths: how far apart, with the error of the difference, and whether that is chance.

Owns what each path adds to a figure (a mean, a quantile, a share, the mean of a tail), so that one error, that of a
difference of means, serves all; and its two forms. *Paired*: both samples have the same random numbers, path by path,
and what both share cancels. *Apart*: two independent samples. Where the paths of one are not there any more, the
intervals of two figures are compared instead. Knows numbers per path; knows neither runs nor strategies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenario_gen.stats.estimate import Estimate, Floats, rate, t_quantile, t_tail
from scenario_gen.stats.means import NO_DIFFERENCE, MeanTest

Ids = NDArray[np.int64]
Kind = Literal["mean", "quantile", "below zero", "shortfall"]
MANY = 1e9  # degrees of freedom of an error that is as good as known


@dataclass(frozen=True)
class Statistic:
    """What is made of one number per path."""

    kind: Kind  # shortfall: the mean of the worst share of losses, of which gains are the negative
    level: float = 0.5  # of a quantile or a shortfall

    def terms(self, values: Floats, pooled: Floats) -> Floats:
        """Return what each path adds to the figure, or to the number that tells two of them apart, float64 [path].

        Quantiles of two samples are equal where as many of each lie up to the quantile of both together. A shortfall is
        the mean of z + max(L - z, 0) / (1 - level) with z the quantile (Rockafellar and Uryasev 2002).

        Args:
            values: of one sample, without NaN.
            pooled: of both.
        """
        if self.kind == "mean":
            return values
        if self.kind == "below zero":
            return np.asarray(values < 0, dtype=np.float64)
        if self.kind == "quantile":
            return np.asarray(values <= np.quantile(pooled, self.level), dtype=np.float64)
        edge = float(np.quantile(-values, self.level))
        return np.asarray(edge + np.maximum(-values - edge, 0.0) / (1.0 - self.level))

    def scale(self, pooled: Floats, margin: float) -> float:
        """Return what a margin of the terms' mean is in the figure's own unit.

        A share becomes the half width between the quantiles of both samples at its ends (Woodruff 1952, JASA 47).
        """
        if self.kind != "quantile":
            return margin
        low, high = np.quantile(pooled, np.clip([self.level - margin, self.level + margin], 0.0, 1.0))
        return float(high - low) / 2


@dataclass(frozen=True)
class Gap:
    """A difference of two figures, the second less the first."""

    difference: Estimate  # with its 95 % interval
    p: float  # two-sided, that both are the same


def paired(
    figure: Statistic, first: tuple[Ids, Floats], second: tuple[Ids, Floats], values: tuple[float, float]
) -> Gap:
    """Compare a figure of two samples that share their random numbers, path by path.

    A path that only one of them has, or on which a number is not defined (NaN), adds to that one's error alone.

    Args:
        figure: what is made of the numbers.
        first: ids int64 [path], each once, and numbers float64 [path].
        second: likewise.
        values: the figure of the first and of the second.
    """
    known = [(ids[~np.isnan(numbers)], numbers[~np.isnan(numbers)]) for ids, numbers in (first, second)]
    pooled = np.concatenate([numbers for _, numbers in known])
    every = np.union1d(known[0][0], known[1][0])
    spread = [_spread(figure.terms(numbers, pooled), ids, every) for ids, numbers in known]
    return _gap(figure, MeanTest.of(spread[1] - spread[0]), pooled, values)


def _spread(terms: Floats, ids: Ids, every: Ids) -> Floats:
    """Return numbers on every path whose mean is that of the terms, and whose spread is what paths add to its error."""
    mean = float(terms.mean())
    spread = np.full(len(every), mean)
    spread[np.searchsorted(every, ids)] += (terms - mean) * (len(every) / len(terms))
    return spread


def apart(figure: Statistic, first: Floats, second: Floats, values: tuple[float, float]) -> Gap:
    """Compare a figure of two independent samples.

    The standard error is the larger of Welch's and the pooled one: of a tail that a small sample happens to have few
    paths in, its own error is small too, and beside a large sample Welch's alone gives false alarms.

    Args:
        figure: what is made of the numbers.
        first: float64 [path]; NaN is left out.
        second: likewise.
        values: the figure of the first and of the second.
    """
    known = [numbers[~np.isnan(numbers)] for numbers in (first, second)]
    pooled = np.concatenate(known)
    terms = [figure.terms(numbers, pooled) for numbers in known]
    n, m = map(len, terms)
    parts = [float(term.var(ddof=1)) / len(term) for term in terms]
    welch = sum(parts) ** 2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1)) if sum(parts) > 0 else n + m - 2.0
    error = max(math.sqrt(sum(parts)), _pooled(parts, (n, m)))
    mean = float(terms[1].mean() - terms[0].mean())
    z = 0.0 if abs(mean) < NO_DIFFERENCE else mean / max(error, NO_DIFFERENCE)
    test = MeanTest(mean, error, z, 2 * t_tail(abs(z), welch), n + m, welch)
    return _gap(figure, test, pooled, values)


def _pooled(squares: Sequence[float], sizes: tuple[int, int]) -> float:
    """Return the error of a difference of means if both samples had one variance, from their squared errors."""
    inside = sum(square * n * (n - 1) for square, n in zip(squares, sizes, strict=True)) / (sum(sizes) - 2)
    return math.sqrt(inside * (1 / sizes[0] + 1 / sizes[1]))


def _gap(figure: Statistic, test: MeanTest, pooled: Floats, values: tuple[float, float]) -> Gap:
    difference = values[1] - values[0]
    half = figure.scale(pooled, t_quantile(test.freedom) * test.error)
    return Gap(Estimate(difference, difference - half, difference + half, n=test.n), test.p)


def by_intervals(first: Estimate, second: Estimate) -> Gap | None:
    """Compare two figures, as of independent samples, by their own 95 % intervals; None where one has none.

    The interval is Zou and Donner's (2008, Statistics in Medicine 27), which takes of each figure the side that looks
    towards the other; the p-value is that of a normal whose interval would reach as far, or as far as the pooled one
    if that is wider: see :func:`apart`.
    """
    ends = [estimate_ends(estimate) for estimate in (first, second)]
    if ends[0] is None or ends[1] is None:
        return None
    (a, low_a, high_a), (b, low_b, high_b) = ends[0], ends[1]
    difference = b - a
    down, up = math.hypot(b - low_b, high_a - a), math.hypot(high_b - b, a - low_a)
    halves, sizes = ((high_a - low_a) / 2, (high_b - low_b) / 2), (max(first.n, 2), max(second.n, 2))
    reach = max(down if difference > 0 else up, _pooled([half**2 for half in halves], sizes))
    z = abs(difference) / max(reach / t_quantile(MANY), NO_DIFFERENCE)
    estimate = Estimate(difference, difference - down, difference + up, n=first.n + second.n)
    return Gap(estimate, 1.0 if abs(difference) < NO_DIFFERENCE else 2 * t_tail(z, MANY))


def estimate_ends(estimate: Estimate) -> tuple[float, float, float] | None:
    """Return value and ends of an estimate that has them; a share of few paths counts as the share that it is."""
    value = rate(estimate)
    if value is None or estimate.low is None or estimate.high is None:
        return None
    return value, min(estimate.low, value), max(estimate.high, value)
