"""Estimators on the parts of a candle: range variances, wicks, gaps, time direction and the session's shape.

Pure functions of Bars -> [path], NaN where undefined.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.estimators import Array, correlation, divide, log, log_spread, mean_ccf, row_dot

LN2 = float(np.log(2.0))
MIN_GAPS = 10  # a path with fewer has no distribution of gaps to speak of


def parkinson(bars: BarArrays) -> Array:
    """Return the mean of R^2 / (4 ln 2): the variance of a driftless Brownian bar (Parkinson 1980)."""
    return np.asarray((bars.R**2).mean(axis=1) / (4 * LN2))


def rogers_satchell_bars(bars: BarArrays) -> Array:
    """Return hh (hh - b) + ll (ll - b), [path, bar]: a bar's variance whatever its drift (Rogers & Satchell 1991)."""
    return np.asarray(bars.hh * (bars.hh - bars.b) + bars.ll * (bars.ll - bars.b))


def rogers_satchell(bars: BarArrays) -> Array:
    """Return the mean of the bars' Rogers-Satchell variances."""
    return np.asarray(rogers_satchell_bars(bars).mean(axis=1))


def garman_klass(bars: BarArrays) -> Array:
    """Return the mean of R^2 / 2 - (2 ln 2 - 1) b^2 (Garman & Klass 1980)."""
    return np.asarray((0.5 * bars.R**2 - (2 * LN2 - 1) * bars.b**2).mean(axis=1))


def yang_zhang(bars: BarArrays) -> Array:
    """Return var(g) + k var(b) + (1 - k) RS with k = .34 / (1.34 + (n+1) / (n-1)) (Yang & Zhang 2000)."""
    n = bars.length
    if n < 2:
        return np.full(len(bars), np.nan)
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    return np.asarray(bars.g.var(axis=1, ddof=1) + k * bars.b.var(axis=1, ddof=1) + (1 - k) * rogers_satchell(bars))


def open_close_variance(bars: BarArrays) -> Array:
    """Return the mean of b^2."""
    return np.asarray((bars.b**2).mean(axis=1))


def log_ratio(a: Array, b: Array) -> Array:
    """Return ln(a / b) where both are positive."""
    return log(divide(a, b))


def mean_share(part: Array, whole: Array) -> Array:
    """Return the mean over bars of part / whole, over the bars with whole > 0."""
    share = divide(part, whole)
    known = np.isfinite(share)
    return divide(np.where(known, share, 0.0).sum(axis=1), known.sum(axis=1))


def wick_difference(bars: BarArrays) -> Array:
    """Return upper less lower wick in log units, [path, bar]."""
    upper = bars.hh - np.maximum(bars.b, 0.0)
    lower = np.minimum(bars.b, 0.0) - bars.ll
    return np.asarray(upper - lower)


def close_place_spread(bars: BarArrays) -> Array:
    """Return the standard deviation of (close - low) / (high - low), over the bars with a range."""
    return np.exp(log_spread(divide(bars.close - bars.low, bars.high - bars.low)))


def upper_wickless_share(bars: BarArrays) -> Array:
    """Return the share of bars whose upper wick is at most half a tick: what a clipped high leaves behind."""
    wick = bars.high - np.maximum(bars.open, bars.close)
    return np.asarray((wick <= 0.5 * bars.tick).mean(axis=1))


def lower_wickless_share(bars: BarArrays) -> Array:
    """Return the share of bars whose lower wick is at most half a tick: what a clipped low leaves behind."""
    wick = np.minimum(bars.open, bars.close) - bars.low
    return np.asarray((wick <= 0.5 * bars.tick).mean(axis=1))


def still_share(bars: BarArrays) -> Array:
    """Return the share of bars whose close moves by less than half a tick."""
    before = np.concatenate([bars.anchor_close[:, None], bars.close[:, :-1]], axis=1)
    return np.asarray((np.abs(bars.close - before) <= 0.5 * bars.tick).mean(axis=1))


def session_gaps(bars: BarArrays) -> Array:
    """Return the gaps of bars that open a session, NaN on the others and in paths of fewer than ten sessions."""
    opens = bars.opens_session
    enough = opens.sum(axis=1) >= MIN_GAPS
    return np.where(opens & enough[:, None], bars.g, np.nan)


def gap_share(bars: BarArrays) -> Array:
    """Return sum gap^2 / (sum gap^2 + sum rest^2), the rest being the return without the session's gap."""
    gap = np.where(bars.opens_session, bars.g, 0.0)
    rest = bars.r - gap
    squares = row_dot(gap, gap)
    share = divide(squares, squares + row_dot(rest, rest))
    return np.where(bars.opens_session.any(axis=1), share, np.nan)


def gap_body_correlation(bars: BarArrays) -> Array:
    """Return corr(g, b) over the bars that open a session."""
    return correlation(session_gaps(bars), bars.b)


def zumbach(bars: BarArrays) -> Array:
    """Return the mean over k = 1..10 of corr(|r_t|, w_{t+k}) - corr(w_t, |r_{t+k}|), w the root of the bar's RS.

    After Zumbach 2009 (Quant. Finance 9): past moves tell more of later volatility than the other way round.
    """
    volatility = np.sqrt(np.maximum(rogers_satchell_bars(bars), 0.0))
    lags = range(1, 11)
    return mean_ccf(bars.abs_r, volatility, lags) - mean_ccf(volatility, bars.abs_r, lags)


def session_contrast(bars: BarArrays, x: Array, *, early: bool) -> Array:
    """Return the mean of x in the first (or last) eighth of whole sessions less that in their middle half."""
    n, places = bars.session_bars, bars.bar_of_day
    if places is None or n < 4:
        return np.full(len(bars), np.nan)
    edge = max(1, n // 8)
    whole = in_whole_sessions(bars)
    at_edge = whole & ((places < edge) if early else (places >= n - edge))
    middle = whole & (places >= n // 4) & (places < n - n // 4)
    return _mean_where(x, at_edge) - _mean_where(x, middle)


def in_whole_sessions(bars: BarArrays) -> NDArray[np.bool_]:
    """Return the bars of sessions that are there from their first bar to their last, [path, bar]."""
    places = bars.bar_of_day
    if places is None:
        return np.zeros(bars.close.shape, dtype=bool)
    session = np.cumsum(bars.opens_session, axis=1)  # 0: begun before the path
    key = session + np.arange(len(bars))[:, None] * (bars.length + 1)
    regular = np.bincount(key.ravel(), weights=(places >= 0).ravel(), minlength=len(bars) * (bars.length + 1))
    return np.asarray(regular[key] == bars.session_bars)


def _mean_where(x: Array, mask: NDArray[np.bool_]) -> Array:
    known = mask & np.isfinite(x)
    return divide(np.where(known, x, 0.0).sum(axis=1), known.sum(axis=1))
