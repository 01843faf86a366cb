"""Moments of many series at once: L-moments, autocorrelations and correlations along the last axis.

Pure array functions [path, bar] -> [path]. A missing value (NaN) is left out of every sum it would enter; a
series that does not move, or is too short, gives NaN and no warning.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A sum of squares around the mean below this share of the raw one is rounding, not movement.
_FLAT = 1e-24


def divide(a: Array, b: Array) -> Array:
    """Return a / b where b is positive, NaN elsewhere."""
    usable = b > 0
    return np.asarray(np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=usable))


def deviations(x: Array) -> tuple[Array, Array]:
    """Return x less its mean over the path with 0 for missing values, and the sum of squares [path].

    The sum of squares is 0 where the series does not move.
    """
    known = np.isfinite(x)
    if known.all():
        centred = x - x.mean(axis=1, keepdims=True)
        raw = np.einsum("ij,ij->i", x, x)
    else:
        filled = np.where(known, x, 0.0)
        count = np.maximum(known.sum(axis=1, keepdims=True), 1)
        centred = np.where(known, filled - filled.sum(axis=1, keepdims=True) / count, 0.0)
        raw = np.einsum("ij,ij->i", filled, filled)
    squares = np.einsum("ij,ij->i", centred, centred)
    squares[squares <= _FLAT * raw] = 0.0
    return centred, squares


def mean_acf(x: Array, lags: Iterable[int]) -> Array:
    """Return the mean over ``lags`` of the autocorrelation, [path].

    acf(k) = sum (x_t - m)(x_{t+k} - m) / sum (x_t - m)^2 with the path's mean m: biased by about -1 / T.
    """
    d, squares = deviations(x)
    return divide(_mean_product(d, d, lags), squares)


def mean_ccf(x: Array, y: Array, lags: Iterable[int]) -> Array:
    """Return the mean over ``lags`` k > 0 of corr(x_t, y_{t+k}), in the 1 / n form, [path]."""
    dx, xx = deviations(x)
    dy, yy = deviations(y)
    return divide(_mean_product(dx, dy, lags), np.sqrt(xx * yy))


def correlation(x: Array, y: Array) -> Array:
    """Return Pearson's correlation over the bars where both are known, [path]."""
    known = np.isfinite(x) & np.isfinite(y)
    if not known.all():
        x, y = np.where(known, x, np.nan), np.where(known, y, np.nan)
    dx, xx = deviations(x)
    dy, yy = deviations(y)
    return divide(np.einsum("ij,ij->i", dx, dy), np.sqrt(xx * yy))


def _mean_product(x: Array, y: Array, lags: Iterable[int]) -> Array:
    """Return the mean over lags of sum_t x_t y_{t+k}; NaN where the path is no longer than the largest lag."""
    ks = list(lags)
    bars = x.shape[1]
    if bars <= max(ks):
        return np.full(len(x), np.nan)
    sums = [np.einsum("ij,ij->i", x[:, : bars - k], y[:, k:]) for k in ks]
    return np.asarray(sum(sums) / len(ks), dtype=np.float64)
