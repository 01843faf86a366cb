"""Estimators on returns and log prices: tails, volatility filter, variance ratio, runs, falls and extremes.

Pure array functions [path, bar] -> [path], NaN where undefined.
"""

from __future__ import annotations

import numpy as np

from scenario_gen.checks.facts.moments import Array, centre, divide, log, row_dot

EWMA = 0.94  # RiskMetrics' daily decay
EWMA_START = 10  # bars that give the first variance, and that are dropped
HILL_THRESHOLD = 2.0  # standard deviations of the path


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
