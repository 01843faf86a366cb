"""From one number per path to a distribution: each figure with its Monte Carlo error, or a reason why not.

Refused are quantiles with fewer than 20 paths beyond them and shares with fewer than 10 hits: such numbers
would be read as rates although they rest on a handful of paths. Intervals are 95 %. Randomness (the bootstrap
of CVaR) is an argument. Student's t has one home here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
CONFIDENCE = 0.95
BEYOND = 20  # paths that a quantile must have beyond it
HITS = 10  # paths that a share must count to be called a rate
RESAMPLES = 1000
RESAMPLED_AT_ONCE = 4_000_000  # numbers held by the bootstrap: 32 MB


@dataclass(frozen=True)
class Estimate:
    """A number with its Monte Carlo error."""

    value: float | None  # None where it is refused or not applicable, and ``reason`` says why
    low: float | None = None  # lower end of the 95 % interval
    high: float | None = None  # upper end of it
    n: int = 0  # how many paths it rests on
    count: int | None = None  # for a share, the number of paths counted
    reason: str = ""  # why there is no value, or no interval


@dataclass(frozen=True)
class MetricSummary:
    """One metric over all paths: mean, standard deviation and quantiles, each with its error."""

    metric: str
    mean: Estimate
    std: float | None
    quantiles: dict[str, Estimate]  # keys "0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"
    not_applicable: int = 0  # paths on which the metric is not defined (no trade, no loss, ...)


def summarise_metric(values: Floats, metric: str = "") -> MetricSummary:
    """Summarise one metric over all paths; NaN counts as not applicable and is left out.

    Args:
        values: float64 [path].
        metric: its name.
    """
    defined = _defined(values)
    return MetricSummary(
        metric=metric,
        mean=mean(defined),
        std=float(defined.std(ddof=1)) if len(defined) > 1 else None,
        quantiles={str(level): quantile(defined, level) for level in QUANTILES},
        not_applicable=len(values) - len(defined),
    )


def mean(values: Floats) -> Estimate:
    """Return the mean with Student's t interval; NaN is left out."""
    values = _defined(values)
    n = len(values)
    if n == 0:
        return Estimate(None, reason="not applicable on any path")
    centre = float(values.mean())
    if n == 1:
        return Estimate(centre, n=1, reason="one path has no interval")
    margin = t_quantile(n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return Estimate(centre, centre - margin, centre + margin, n=n)


def t_quantile(freedom: float, level: float = 0.5 + CONFIDENCE / 2) -> float:
    """Return the quantile of Student's t: how many standard errors a 95 % interval reaches to each side."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, level))


def t_tail(t: float, freedom: float) -> float:
    """Return the probability that Student's t exceeds ``t``."""
    from scipy.special import stdtr

    return float(stdtr(freedom, -t))


def t_interval(centre: float, error: float, freedom: float, n: int) -> Estimate:
    """Return a number of ``n`` paths with the interval by its standard error."""
    margin = t_quantile(freedom) * error
    return Estimate(centre, centre - margin, centre + margin, n=n)


def quantile(values: Floats, level: float) -> Estimate:
    """Return a quantile with the binomial interval between two order statistics; NaN is left out.

    The interval covers at least 95 % for any distribution: David and Nagaraja (2003), Order Statistics, 7.1.
    """
    ordered = np.sort(_defined(values))
    n = len(ordered)
    refusal = _too_few_beyond(n, level)
    if refusal:
        return Estimate(None, n=n, reason=refusal)
    from scipy.stats import binom

    tail = (1 - CONFIDENCE) / 2
    low = max(int(binom.ppf(tail, n, level)), 1)  # order statistics count from 1
    high = min(int(binom.ppf(1 - tail, n, level)) + 1, n)
    return Estimate(float(np.quantile(ordered, level)), float(ordered[low - 1]), float(ordered[high - 1]), n=n)


def share(hits: NDArray[np.bool_]) -> Estimate:
    """Return the share of paths that are hit, with Wilson's interval (Wilson 1927, JASA 22).

    No hit gives 0 with the upper end 3 / N (the rule of three); 1 to 9 hits give the count and the interval
    but no rate.
    """
    n, count = len(hits), int(np.count_nonzero(hits))
    if n == 0:
        return Estimate(None, reason="no paths")
    if count == 0:
        return Estimate(0.0, 0.0, min(3.0 / n, 1.0), n=n, count=0)
    low, high = _wilson(count, n)
    if count < HITS:
        return Estimate(None, low, high, n=n, count=count, reason=f"fewer than {HITS} paths")
    return Estimate(count / n, low, high, n=n, count=count)


def percentile_of(value: float, values: Floats) -> Estimate:
    """Return the share of paths that lie strictly below ``value``; NaN is left out."""
    return share(_defined(values) < value)


def value_at_risk(total_returns: Floats, level: float) -> Estimate:
    """Return the loss of terminal value that a share ``level`` of paths stays within, as a positive fraction.

    A negative figure is a gain. Interval from order statistics, refused like a quantile.
    """
    return quantile(-np.asarray(total_returns), level)


def conditional_value_at_risk(total_returns: Floats, level: float, *, seed: int) -> Estimate:
    """Return the mean loss of the worst ``1 - level`` share of paths, as a positive fraction.

    The last path of the tail counts with the fraction that completes it, which makes the estimate coherent:
    Acerbi and Tasche (2002), On the coherence of expected shortfall. The interval is the percentile interval
    of a bootstrap over paths. Refused like its VaR.

    Args:
        total_returns: float64 [path].
        level: 0.95 or 0.99.
        seed: of the bootstrap.
    """
    losses = np.sort(-_defined(total_returns))[::-1]  # worst first
    n = len(losses)
    refusal = _too_few_beyond(n, level)
    if refusal:
        return Estimate(None, n=n, reason=refusal)
    weights = _tail_weights(n, level)
    resampled = _bootstrap_tails(losses, weights, np.random.default_rng(seed))
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(weights @ losses[: len(weights)]), float(low), float(high), n=n)


def _tail_weights(n: int, level: float) -> Floats:
    """Return what each of the worst losses contributes to the tail's mean; sums to 1."""
    tail = n * (1.0 - level)
    weights = np.clip(tail - np.arange(math.ceil(tail)), 0.0, 1.0)
    return np.asarray(weights / weights.sum())


def _bootstrap_tails(losses: Floats, weights: Floats, rng: np.random.Generator) -> Floats:
    """Return the tail's mean in ``RESAMPLES`` bootstrap samples, drawing the worst of each sample only.

    A bootstrap sample is floor(n U) for n uniforms. Its k worst need the k smallest uniforms, and those are
    partial sums of exponentials over the sum of all n + 1 of them: Devroye (1986), Non-Uniform Random Variate
    Generation, V.3.
    """
    n, k = len(losses), len(weights)
    at_once = max(RESAMPLED_AT_ONCE // k, 1)
    means = []
    for start in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - start)
        sums = np.cumsum(rng.standard_exponential((rows, k)), axis=1)  # [resample, k]
        total = sums[:, -1:] + rng.standard_gamma(n + 1 - k, (rows, 1))
        picked = np.minimum((n * (sums / total)).astype(np.int64), n - 1)
        means.append(losses[picked] @ weights)
    return np.concatenate(means)


def _wilson(count: int, n: int) -> tuple[float, float]:
    from scipy.special import ndtri

    z = float(ndtri(0.5 + CONFIDENCE / 2))
    rate, slack = count / n, z * z / n
    centre = (rate + slack / 2) / (1 + slack)
    margin = z / (1 + slack) * math.sqrt(rate * (1 - rate) / n + slack / (4 * n))
    return max(centre - margin, 0.0), min(centre + margin, 1.0)


def _too_few_beyond(n: int, level: float) -> str:
    """Return why a quantile of n paths is refused, or an empty string."""
    if n == 0:
        return "not applicable on any path"
    # Rounded, because 20 / (1 - 0.95) is a hair above 400 in binary.
    needed = math.ceil(round(BEYOND / min(level, 1.0 - level), 6))
    return "" if n >= needed else f"not shown, needs N >= {needed}"


def _defined(values: Floats) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[~np.isnan(array)]
