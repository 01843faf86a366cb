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
    """Series less their means.

    Attributes:
        values: float64 [path, bar], 0 for missing values.
        squares: float64 [path], sum of squares; 0 where the series does not move.
        known: int64 [path], values that are there.
    """

    values: Array
    squares: Array
    known: NDArray[np.int64]


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
