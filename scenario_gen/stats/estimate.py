"""From one number per path to a distribution: each figure with its Monte Carlo error, or a reason why not.

Refused are quantiles with fewer than 20 paths beyond them and shares with fewer than 10 hits: such numbers
would be read as rates although they rest on a handful of paths. Intervals are 95 %. Randomness (the bootstrap
of CVaR) is an argument. Student's t has one home here.

Where paths do not all stand for as much, every function takes their :class:`~scenario_gen.stats.weights.Weights`. A
quantile, or a share, then needs paths behind it that are as many as 10 alike; its interval comes from the error of the
weighted mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scenario_gen.stats.weights import FEWEST_ALIKE, FEWEST_ISLANDS, Weights

Floats = NDArray[np.float64]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
CONFIDENCE = 0.95
BEYOND = 20  # paths that a quantile must have beyond it
HITS = 10  # paths that a share must count to be called a rate
RESAMPLES = 1000
RESAMPLED_AT_ONCE = 4_000_000  # numbers held by the bootstrap: 32 MB


class ByName(Protocol):
    """One number per path under each name: a data frame, or columns that are read where they are asked for."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True)
class Estimate:
    """A number with its Monte Carlo error."""

    value: float | None  # None where it is refused or not applicable, and ``reason`` says why
    low: float | None = None  # lower end of the 95 % interval
    high: float | None = None  # upper end of it
    n: int = 0  # how many paths it rests on
    count: int | None = None  # for a share of paths that stand for as much each, the number of paths counted
    reason: str = ""  # why there is no value, or no interval


@dataclass(frozen=True)
class MetricSummary:
    """One metric over all paths: mean, standard deviation and quantiles, each with its error."""

    metric: str
    mean: Estimate
    std: float | None
    quantiles: dict[str, Estimate]  # keys "0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"
    not_applicable: int = 0  # paths on which the metric is not defined (no trade, no loss, ...)


def summarise_metric(values: Floats, metric: str = "", weights: Weights | None = None) -> MetricSummary:
    """Summarise one metric over all paths; NaN counts as not applicable and is left out.

    Args:
        values: float64 [path].
        metric: its name.
        weights: of the paths, where they do not all stand for as much.
    """
    defined, weighted = _defined(values, weights)
    if weighted is None:
        ordered = np.sort(defined)  # once for all levels: most of the time where paths are many
        quantiles = {str(level): _quantile_of_ordered(ordered, level) for level in QUANTILES}
    else:
        quantiles = {str(level): _weighted_quantile(defined, level, weighted) for level in QUANTILES}
    return MetricSummary(
        metric=metric,
        mean=mean(defined, weighted),
        std=_deviation(defined, weighted),
        quantiles=quantiles,
        not_applicable=len(values) - len(defined),
    )


def _deviation(values: Floats, weights: Weights | None) -> float | None:
    """Return the standard deviation, with the divisor that makes the variance unbiased; None of a single path."""
    if weights is None:
        return float(values.std(ddof=1)) if len(values) > 1 else None
    lost = float(weights.shares @ weights.shares)
    apart = values - weights.mean(values)
    return math.sqrt(weights.mean(apart**2) / (1.0 - lost)) if lost < 1.0 else None


def mean(values: Floats, weights: Weights | None = None) -> Estimate:
    """Return the mean with Student's t interval; NaN is left out."""
    values, weights = _defined(values, weights)
    n = len(values)
    if n == 0 or (weights is not None and not weights.shares.any()):
        return Estimate(None, reason="not applicable on any path")
    if weights is not None:
        error = weights.error(values)
        if error is None:
            return Estimate(weights.mean(values), n=n, reason=no_error(weights))
        return t_interval(weights.mean(values), *error, n)
    centre = float(values.mean())
    if n == 1:
        return Estimate(centre, n=1, reason="one path has no interval")
    margin = t_quantile(n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    return Estimate(centre, centre - margin, centre + margin, n=n)


def rate(estimate: Estimate) -> float | None:
    """Return the value of an estimate; of a share too rare to be shown as a rate, the share that it is."""
    if estimate.value is None and estimate.count is not None and estimate.n:
        return estimate.count / estimate.n
    return estimate.value


def no_error(weights: Weights) -> str:
    """Return why weighted paths show no standard error."""
    if weights.islands is not None:
        return f"fewer than {FEWEST_ISLANDS} islands have no interval"
    return "one path has no interval"


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


def quantile(values: Floats, level: float, weights: Weights | None = None) -> Estimate:
    """Return a quantile with the binomial interval between two order statistics; NaN is left out.

    The interval covers at least 95 % for any distribution: David and Nagaraja (2003), Order Statistics, 7.1. Of
    weighted paths the quantile is inf{x: F(x) >= level}, and its interval lies between the quantiles at both ends of
    the interval of F there (Woodruff 1952, JASA 47).
    """
    values, weights = _defined(values, weights)
    if weights is not None:
        return _weighted_quantile(values, level, weights)
    return _quantile_of_ordered(np.sort(values), level)


def _quantile_of_ordered(ordered: Floats, level: float) -> Estimate:
    """Return a quantile of numbers that stand in order and are none of them NaN."""
    n = len(ordered)
    refusal = _too_few_beyond(n, level)
    if refusal:
        return Estimate(None, n=n, reason=refusal)
    from scipy.stats import binom

    tail = (1 - CONFIDENCE) / 2
    low = max(int(binom.ppf(tail, n, level)), 1)  # order statistics count from 1
    high = min(int(binom.ppf(1 - tail, n, level)) + 1, n)
    return Estimate(float(np.quantile(ordered, level)), float(ordered[low - 1]), float(ordered[high - 1]), n=n)


def _weighted_quantile(values: Floats, level: float, weights: Weights) -> Estimate:
    n = len(values)
    if n == 0 or not weights.shares.any():
        return Estimate(None, n=n, reason="not applicable on any path")
    value = weights.quantile(values, level)
    if refusal := thin_tail(values, level, value, weights):
        return Estimate(None, n=n, reason=refusal)
    error = weights.error((values <= value).astype(np.float64))
    if error is None:
        return Estimate(value, n=n, reason=no_error(weights))
    margin = t_quantile(error[1]) * error[0]
    ends = (max(level - margin, 0.0), min(level + margin, 1.0))
    low, high = weights.quantiles(values[:, None], ends)[:, 0]
    return Estimate(value, float(low), float(high), n=n)


def thin_tail(values: Floats, level: float, value: float, weights: Weights) -> str:
    """Return why a quantile of weighted paths is refused, or an empty string: both tails behind a median are asked."""
    tails = [values <= value] if level < 0.5 else [values >= value]
    if level == 0.5:
        tails.append(values <= value)
    alike = min(weights.alike(tail) for tail in tails)
    if alike >= FEWEST_ALIKE:
        return ""
    return f"not shown, the paths behind it are as many as {alike:.1f} alike, needs {FEWEST_ALIKE:.0f}"


def share(hits: NDArray[np.bool_], weights: Weights | None = None) -> Estimate:
    """Return the share of paths that are hit, with Wilson's interval (Wilson 1927, JASA 22).

    No hit gives 0 with the upper end 3 / N (the rule of three); 1 to 9 hits give the count and the interval
    but no rate. Weighted paths are counted in no number: see :func:`_weighted_share`.
    """
    n, count = len(hits), int(np.count_nonzero(hits))
    if n == 0:
        return Estimate(None, reason="no paths")
    if weights is not None:
        return _weighted_share(hits, weights)
    if count == 0:
        return Estimate(0.0, 0.0, min(3.0 / n, 1.0), n=n, count=0)
    low, high = _wilson(count / n, n)
    if count < HITS:
        return Estimate(None, low, high, n=n, count=count, reason=f"fewer than {HITS} paths")
    return Estimate(count / n, low, high, n=n, count=count)


def _weighted_share(hits: NDArray[np.bool_], weights: Weights) -> Estimate:
    """Return the share that hits stand for.

    With islands the interval is log-t, of the hits or of the others, whichever are rarer: it stays right where the
    estimate of a rare event is skewed. Else it is Wilson's for as many paths as would have the same error.
    """
    n = len(hits)
    value, alike = weights.mean(hits.astype(np.float64)), weights.alike(hits)
    bound = min(3.0 / max(weights.effective, 1.0), 1.0)
    if alike == 0.0:
        return Estimate(0.0, 0.0, bound, n=n)
    if weights.alike(~hits) == 0.0:
        return Estimate(1.0, 1.0 - bound, 1.0, n=n)
    value = min(value, 1.0)
    thin = f"the paths counted are as many as {alike:.1f} alike, needs {HITS}" if alike < HITS else ""
    error = weights.error(hits.astype(np.float64))
    if error is None:
        return Estimate(None if thin else value, n=n, reason=thin or no_error(weights))
    low, high = _share_ends(value, *error, in_islands=weights.islands is not None)
    return Estimate(None if thin else value, low, high, n=n, reason=thin)


def _share_ends(value: float, error: float, freedom: float, *, in_islands: bool) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share that is neither 0 nor 1."""
    if error <= 0.0:  # held at its value
        return value, value
    if not in_islands:
        return _wilson(value, value * (1.0 - value) / error**2)
    rare = min(value, 1.0 - value)
    stretch = math.exp(t_quantile(freedom) * math.sqrt(math.log1p((error / rare) ** 2)))
    low, high = rare / stretch, min(rare * stretch, 1.0)
    return (low, high) if value <= 0.5 else (1.0 - high, 1.0 - low)


def percentile_of(value: float, values: Floats, weights: Weights | None = None) -> Estimate:
    """Return the share of paths that lie strictly below ``value``; NaN is left out."""
    defined, weights = _defined(values, weights)
    return share(defined < value, weights)


def value_at_risk(total_returns: Floats, level: float, weights: Weights | None = None) -> Estimate:
    """Return the loss of terminal value that a share ``level`` of paths stays within, as a positive fraction.

    A negative figure is a gain. Interval from order statistics, refused like a quantile.
    """
    return quantile(-np.asarray(total_returns), level, weights)


def conditional_value_at_risk(
    total_returns: Floats, level: float, *, seed: int, weights: Weights | None = None
) -> Estimate:
    """Return the mean loss of the worst ``1 - level`` share of paths, as a positive fraction.

    The last path of the tail counts with the fraction that completes it, which makes the estimate coherent:
    Acerbi and Tasche (2002), On the coherence of expected shortfall. The interval is the percentile interval
    of a bootstrap over paths. Refused like its VaR.

    Args:
        total_returns: float64 [path].
        level: 0.95 or 0.99.
        seed: of the bootstrap.
        weights: of the paths; the interval is then that of :func:`weighted_shortfall`, without random numbers.
    """
    defined, weights = _defined(total_returns, weights)
    if weights is not None:
        return weighted_shortfall(-defined[:, None], level, weights)
    losses = np.sort(-defined)[::-1]  # worst first
    n = len(losses)
    refusal = _too_few_beyond(n, level)
    if refusal:
        return Estimate(None, n=n, reason=refusal)
    parts = _tail_weights(n, level)
    resampled = _bootstrap_tails(losses, parts, np.random.default_rng(seed))
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(parts @ losses[: len(parts)]), float(low), float(high), n=n)


def weighted_shortfall(losses: Floats, level: float, weights: Weights) -> Estimate:
    """Return the mean of the worst ``1 - level`` share of weighted losses, the last one counted in part.

    z + sum w max(L - z, 0) / (1 - level) with z the quantile at the level (Rockafellar and Uryasev 2002), a mean of
    what each path adds beyond z: its error is that of this mean. Refused like the quantile.

    Args:
        losses: float64 [path, bar], the bars of a path counting as much as each other; of one number per path one bar.
        level: 0.95 or 0.99.
        weights: of the paths.
    """
    n, bars = losses.shape
    if n == 0 or not weights.shares.any():
        return Estimate(None, n=n, reason="not applicable on any path")
    every = Weights(np.repeat(weights.shares / bars, bars))
    edge = every.quantile(losses.reshape(-1), level)
    if refusal := thin_tail(losses.max(axis=1), level, edge, weights):
        return Estimate(None, n=n, reason=refusal)
    beyond = np.maximum(losses - edge, 0.0).mean(axis=1) / (1.0 - level)  # [path]
    value, error = edge + weights.mean(beyond), weights.error(beyond)
    if error is None:
        return Estimate(value, n=n, reason=no_error(weights))
    return t_interval(value, *error, n)


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


def _wilson(rate: float, n: float) -> tuple[float, float]:
    from scipy.special import ndtri

    z = float(ndtri(0.5 + CONFIDENCE / 2))
    slack = z * z / n
    centre = (rate + slack / 2) / (1 + slack)
    margin = z / (1 + slack) * math.sqrt(rate * (1 - rate) / n + slack / (4 * n))
    # The rate lies within, which rounding takes from a rate of 1.
    return max(min(centre - margin, rate), 0.0), min(max(centre + margin, rate), 1.0)


def _too_few_beyond(n: int, level: float) -> str:
    """Return why a quantile of n paths is refused, or an empty string."""
    if n == 0:
        return "not applicable on any path"
    # Rounded, because 20 / (1 - 0.95) is a hair above 400 in binary.
    needed = math.ceil(round(BEYOND / min(level, 1.0 - level), 6))
    return "" if n >= needed else f"not shown, needs N >= {needed}"


def _defined(values: Floats, weights: Weights | None) -> tuple[Floats, Weights | None]:
    """Return the values that are numbers, and the weights of their paths."""
    array = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(array)
    return array[known], None if weights is None else weights.where(known)
