"""Moments of many series at once: L-moments, autocorrelations and correlations along the last axis.

Pure array functions [path, bar] -> [path]. A missing value (NaN) is left out of every sum it would enter; a
series that does not move, is too short or mostly missing gives NaN, and no warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_FLAT = 1e-24  # a sum of squares around the mean below this share of the raw one is rounding, not movement
_MIN_PAIRS = 5  # fewer points say nothing of a correlation
_MAX_MISSING = 0.1  # a series with more holes has no lags to speak of


@dataclass(frozen=True, eq=False)
class Centred:
    """Series less their means."""

    values: Array  # float64 [path, bar], 0 for missing values
    squares: Array  # float64 [path], sum of squares; 0 where the series does not move
    known: NDArray[np.int64]  # int64 [path], values that are there


def centre(x: Array) -> Centred:
    """Take each path's mean off."""
    known = np.isfinite(x)
    count = known.sum(axis=1)
    filled = x if known.all() else np.where(known, x, 0.0)
    values = filled - (filled.sum(axis=1) / np.maximum(count, 1))[:, None]
    if filled is not x:
        values[~known] = 0.0
    squares = row_dot(values, values)
    return Centred(values, np.where(squares > _FLAT * row_dot(filled, filled), squares, 0.0), count)


def mean_acf(x: Array, lags: Iterable[int]) -> Array:
    """Return the mean over ``lags`` of the autocorrelation, [path].

    acf(k) = sum (x_t - m)(x_{t+k} - m) / sum (x_t - m)^2 with the path's mean m: biased by about -1 / T.
    """
    c = centre(x)
    return _or_nan(divide(_mean_lagged(c.values, c.values, lags), c.squares), _dense(c))


def mean_ccf(x: Array, y: Array, lags: Iterable[int]) -> Array:
    """Return the mean over ``lags`` k > 0 of corr(x_t, y_{t+k}) in the 1 / T form, [path]."""
    cx, cy = centre(x), centre(y)
    ccf = divide(_mean_lagged(cx.values, cy.values, lags), np.sqrt(cx.squares * cy.squares))
    return _or_nan(ccf, _dense(cx) & _dense(cy))


def correlation(x: Array, y: Array) -> Array:
    """Return Pearson's correlation over the bars where both are known, [path]; NaN for fewer than five."""
    known = np.isfinite(x) & np.isfinite(y)
    if not known.all():
        x, y = np.where(known, x, np.nan), np.where(known, y, np.nan)
    cx, cy = centre(x), centre(y)
    products = row_dot(cx.values, cy.values)
    return _or_nan(divide(products, np.sqrt(cx.squares * cy.squares)), cx.known >= _MIN_PAIRS)


def l_ratios(x: Array) -> tuple[Array, Array]:
    """Return L-skewness t3 and L-kurtosis t4, [path], from unbiased probability weighted moments.

    NaN for fewer than four values, or where they are all equal. Hosking 1990, "L-moments: analysis and
    estimation of distributions using linear combinations of order statistics", JRSS B 52.
    """
    c = centre(x)
    ordered = np.sort(np.where(np.isfinite(x), c.values, np.inf), axis=1)
    ordered[np.isinf(ordered)] = 0.0  # the missing values, sorted to the end
    b0, b1, b2, b3 = _weighted_moments(ordered, c.known)
    l2 = 2 * b1 - b0
    l3 = 6 * b2 - 6 * b1 + b0
    l4 = 20 * b3 - 30 * b2 + 12 * b1 - b0
    enough = (c.known >= 4) & (c.squares > 0)
    return _or_nan(divide(l3, l2), enough), _or_nan(divide(l4, l2), enough)


def log_spread(x: Array) -> Array:
    """Return the log of the standard deviation (n - 1), [path]; NaN where the series does not move."""
    c = centre(x)
    return 0.5 * log(divide(c.squares, np.maximum(c.known - 1.0, 1.0)))


def detrended(x: Array) -> Array:
    """Return the series less their least-squares lines over the bars that are known, [path, bar]."""
    known = np.isfinite(x)
    time = np.where(known, np.arange(x.shape[1], dtype=np.float64), np.nan)
    t, c = centre(time), centre(x)
    slope = np.nan_to_num(divide(row_dot(t.values, c.values), t.squares))
    left = centre(np.where(known, c.values - slope[:, None] * t.values, np.nan))
    # A straight line leaves rounding errors; they are no series.
    moves = left.squares > 1e-20 * c.squares
    return np.asarray(np.where(known & moves[:, None], left.values, np.where(known, 0.0, np.nan)))


def divide(a: Array, b: Array | NDArray[np.int64]) -> Array:
    """Return a / b where b is positive and the ratio finite, NaN elsewhere."""
    out = np.full(np.broadcast(a, b).shape, np.nan)
    with np.errstate(over="ignore"):  # by a denominator that is next to nothing
        np.divide(a, b, out=out, where=b > 0)
    out[np.isinf(out)] = np.nan
    return out


def log(x: Array) -> Array:
    """Return ln x, NaN where x is not finite and positive."""
    usable = np.isfinite(x) & (x > 0)
    return np.asarray(np.log(x, where=usable, out=np.full(np.shape(x), np.nan)))


def row_dot(x: Array, y: Array) -> Array:
    """Return the scalar product of each row of x with the same row of y, [path]."""
    return np.asarray(np.einsum("ij,ij->i", x, y))


def _mean_lagged(x: Array, y: Array, lags: Iterable[int]) -> Array:
    """Return the mean over lags of sum_t x_t y_{t+k}; NaN where the path is no longer than the largest lag."""
    ks = list(lags)
    bars = x.shape[1]
    if bars <= max(ks):
        return np.full(len(x), np.nan)
    total = np.zeros(len(x))
    for k in ks:
        total += row_dot(x[:, : bars - k], y[:, k:])
    return total / len(ks)


def _weighted_moments(ordered: Array, n: NDArray[np.int64]) -> list[Array]:
    """Return b0..b3 of series in rising order with n values each and zeros after them, [path] each."""
    j = np.arange(ordered.shape[1], dtype=np.float64)
    weight = np.stack([np.ones_like(j), j, j * (j - 1), j * (j - 1) * (j - 2)], axis=1)  # [bar, 4]
    sums = ordered @ weight
    m = n.astype(np.float64)
    scale = [m, m * (m - 1), m * (m - 1) * (m - 2), m * (m - 1) * (m - 2) * (m - 3)]
    return [divide(sums[:, i], scale[i]) for i in range(4)]


def _dense(c: Centred) -> NDArray[np.bool_]:
    return np.asarray(c.known >= (1 - _MAX_MISSING) * c.values.shape[1])


def _or_nan(x: Array, keep: NDArray[np.bool_]) -> Array:
    return np.asarray(np.where(keep, x, np.nan))


# Estimators on returns and log prices: tails, volatility filter, variance ratio, runs, falls and extremes


EWMA = 0.94  # RiskMetrics' daily decay
EWMA_START = 10  # bars that give the first variance, and that are dropped
HILL_THRESHOLD = 2.0  # standard deviations of the path
_WEEK, _MONTH = 5, 20  # bars of a HAR's means
_ROUNDING = 1e-20  # a sum of squares below this share of what it was cleared from is rounding


def excess_kurtosis(x: Array) -> Array:
    """Return m4 / m2^2 - 3. Bounded by the number of bars, and dominated by a single one on short paths."""
    c = centre(x)
    squares = c.values * c.values
    return divide(c.known * row_dot(squares, squares), c.squares * c.squares) - 3.0


def hill_parts(r: Array, s: Array) -> tuple[Array, Array]:
    """Return sum ln(z / 2) over z = |r| / s > 2 and their number: pooled, their ratio is 1 / alpha (Hill 1975)."""
    z = divide(np.abs(r), s[:, None])
    beyond = z > HILL_THRESHOLD
    total = np.log(z / HILL_THRESHOLD, where=beyond, out=np.zeros_like(z)).sum(axis=1)
    moving = s > 0
    return np.where(moving, total, np.nan), np.where(moving, beyond.sum(axis=1), np.nan)


def leverage_parts(lr: Array, r: Array, s: Array) -> tuple[Array, Array]:
    """Return numerator and denominator, [path] each, of the leverage coefficient of a HAR of log ranges.

    The next log range regressed on its mean over the last 5 and the last 20 bars and on the return of the last 5 in
    deviations of the path, r_t + ... + r_{t-4} over s sqrt(5): Corsi and Reno 2012 (JBES 30) on the HAR of Corsi 2009.
    By Frisch and Waugh the return's coefficient is num / den: the products of range and return, both cleared of the
    two means and a constant within the path, over the squares of that return. Sums over paths pool it. A missing range
    is no outcome, and stands at the path's mean among the others.
    """
    if lr.shape[1] <= _MONTH:
        return np.full(len(lr), np.nan), np.full(len(lr), np.nan)
    c, before = centre(lr), slice(_MONTH - _WEEK, -1)  # sums of 5 that end where those of 20 do, with a bar after them
    fall = divide(rolling_sums(r, _WEEK)[:, before], np.sqrt(_WEEK) * s[:, None])
    known = np.isfinite(lr[:, _MONTH:]) & np.isfinite(fall)
    parts = (rolling_sums(c.values, _MONTH)[:, :-1], rolling_sums(c.values, _WEEK)[:, before], fall, lr[:, _MONTH:])
    month, week, move, later = (centre(np.where(known, x, np.nan)) for x in parts)
    left = _cleared(_cleared(move.values, month.values), _cleared(week.values, month.values))
    num, den = row_dot(left, later.values), row_dot(left, left)
    moving = _dense(c) & (later.squares > 0) & (den > _ROUNDING * move.squares)
    return _or_nan(num, moving), _or_nan(den, moving)


def _cleared(x: Array, of: Array) -> Array:
    """Return the rows of x less their projections on the rows of ``of``."""
    slope = np.nan_to_num(divide(row_dot(x, of), row_dot(of, of)))
    return np.asarray(x - slope[:, None] * of)


def ewma_filtered(r: Array) -> Array:
    """Return r_t over the EWMA volatility known before it, without the first ten bars, [path, bar - 10].

    variance_{t+1} = .94 variance_t + .06 r_t^2, from the mean square of the first ten returns. A fixed filter:
    a GARCH fit per path is not identified on a few hundred bars.
    """
    squares = r * r
    variance = squares[:, :EWMA_START].mean(axis=1) if r.shape[1] > EWMA_START else np.empty(0)
    filtered = np.empty((len(r), max(r.shape[1] - EWMA_START, 0)))
    for t in range(r.shape[1] if len(variance) else 0):
        if t >= EWMA_START:
            filtered[:, t - EWMA_START] = divide(r[:, t], np.sqrt(variance))
        variance = EWMA * variance + (1 - EWMA) * squares[:, t]
    return filtered


def rolling_sums(x: Array, q: int) -> Array:
    """Return the overlapping sums of q neighbours, [path, bar - q + 1]; no columns for shorter paths."""
    bars = x.shape[1] - q + 1
    if bars < 1:
        return np.empty((len(x), 0))
    total = np.zeros((len(x), bars))
    for k in range(q):
        total += x[:, k : k + bars]
    return total


def log_variance_ratio(r: Array, q: int) -> Array:
    """Return ln VR(q) with overlapping sums and the unbiased variances of Lo & MacKinlay 1988 (RFS 1).

    VR = [sum (r_t + ... + r_{t+q-1} - q m)^2 / (q (n-q+1) (1 - q/n))] / [sum (r_t - m)^2 / (n-1)].
    """
    n = r.shape[1]
    if n <= q:
        return np.full(len(r), np.nan)
    c = centre(r)
    sums = rolling_sums(c.values, q)
    long = row_dot(sums, sums) / (q * (n - q + 1) * (1 - q / n))
    return log(divide(long, c.squares / (n - 1)))


def run_length(r: Array) -> Array:
    """Return the mean length of runs of one sign: moves / (sign changes + 1), moves of zero left out."""
    sign = np.sign(r)
    moved = sign != 0
    if not moved.all():  # a zero carries on the sign before it
        last = np.maximum.accumulate(np.where(moved, np.arange(r.shape[1]), 0), axis=1)
        sign = np.take_along_axis(sign, last, axis=1)
    changes = (sign[:, 1:] * sign[:, :-1] < 0).sum(axis=1)
    count = moved.sum(axis=1)
    return np.where(count > 0, count / (changes + 1.0), np.nan)


def largest_fall(log_price: Array) -> Array:
    """Return the largest fall of the log price from an earlier peak, [path], >= 0; columns start at the anchor."""
    return np.asarray((np.maximum.accumulate(log_price, axis=1) - log_price).max(axis=1))


def extremal_clustering(x: Array, *, quantile: float = 0.9, lags: int = 5) -> Array:
    """Return the mean over lags 1..5 of P(x_t and x_{t+k} large) / P(large)^2, large: above the path's quantile.

    1 for independent bars, but for the -1 / T of sampling without replacement (.847 at 60 bars).
    """
    bars = x.shape[1]
    if bars <= lags:
        return np.full(len(x), np.nan)
    large = (x > np.quantile(x, quantile, axis=1, keepdims=True)).astype(np.float64)
    both = np.zeros(len(x))
    for k in range(1, lags + 1):
        both += row_dot(large[:, : bars - k], large[:, k:]) / (bars - k)
    share = np.asarray(large.mean(axis=1))
    return divide(both / lags, share * share)


def roughness(x: Array) -> Array:
    """Return half the slope of ln mean (x_{t+k} - x_t)^2 on ln k, k = 1, 2, 4, 8: the Hurst exponent of x.

    Gatheral, Jaisson & Rosenbaum 2018 (Quant. Finance 18) on log volatility; noise in x pulls it to 0.
    """
    lags = np.array([1, 2, 4, 8])
    if x.shape[1] <= lags[-1]:
        return np.full(len(x), np.nan)
    known = np.isfinite(x)
    moves = []
    for k in lags:
        both = known[:, k:] & known[:, :-k]
        step = np.where(both, x[:, k:] - x[:, :-k], 0.0)
        moves.append(divide(row_dot(step, step), both.sum(axis=1)))
    steps = np.log(lags) - np.log(lags).mean()
    heights = np.stack([log(move) for move in moves], axis=1)  # [path, lag]
    return np.asarray(0.5 * (heights @ steps) / float(steps @ steps))
