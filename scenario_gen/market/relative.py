"""Candles as log steps from the close before, and the volatility that such steps are measured in.

Four logs (open, high, low, close) from the previous close are a bar without a level. Multiplied by a positive number
they are still a valid bar, and chained they are a path, so that candles are valid by construction. Knows arrays;
nothing of where they come from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STILL = 1e-6  # log units per bar: below any tick of any market, above float noise
EWMA = 0.94
SETTLED = 10  # bars after which the running volatility no longer shows how it was started


def log_steps(prices: NDArray[np.floating[Any]], anchor: float | Floats | None = None) -> Floats:
    """Return open, high, low and close as logs from the previous close.

    Args:
        prices: [..., bar, 4].
        anchor: the close before the first bar, one or [...]; without it the first bar only precedes the second, and
            the steps are those of the others, [..., bar - 1, 4].
    """
    logs = np.log(prices, dtype=np.float64)
    before = logs[..., :-1, 3:4]
    if anchor is None:
        return np.asarray(logs[..., 1:, :] - before)
    first = np.broadcast_to(np.log(anchor)[..., None, None], (*logs.shape[:-2], 1, 1))
    return np.asarray(logs - np.concatenate((first, before), axis=-2))


def chain(steps: Floats, anchor: float | Floats) -> Floats:
    """Return prices [path, bar, 4] from steps [path, bar, 4] that set out from an anchor, one or [path]."""
    close = np.cumsum(steps[..., 3], axis=1)
    previous = np.concatenate((np.zeros((len(close), 1)), close[:, :-1]), axis=1)
    return np.asarray(np.asarray(anchor)[..., None, None] * np.exp(previous[..., None] + steps))


def shift_bodies(steps: Floats, drift: Floats) -> Floats:
    """Return steps [path, bar, 4] whose bars gain ``drift`` [bar] more from open to close; gap and wicks stay.

    A gap or a wick of zero stays zero, a valid bar valid, and a bar that breaks a rule breaks it by as much.
    """
    start, high, low, close = np.moveaxis(steps, -1, 0)
    upper, lower = high - np.maximum(start, close), np.minimum(start, close) - low
    close = close + drift
    return np.stack((start, np.maximum(start, close) + upper, np.minimum(start, close) - lower, close), axis=-1)


def volatility(close: NDArray[np.floating[Any]]) -> Floats:
    """Return the root mean square of log returns of closes [..., bar], the first of which is the anchor."""
    return np.asarray(np.sqrt(np.mean(np.diff(np.log(close), axis=-1) ** 2, axis=-1)))


def deepest_fall(returns: Floats) -> Floats:
    """Return the deepest fall along log returns [path, bar] from the highest close so far, as a fraction [path].

    The close that the returns set out from counts among the closes.
    """
    level = np.cumsum(returns, axis=1)
    return np.asarray(-np.expm1((level - np.maximum(np.maximum.accumulate(level, axis=1), 0.0)).min(axis=1)))


def running_volatility(returns: Floats) -> Floats:
    """Return the EWMA volatility (decay .94) known before each return and after the last, [..., T + 1].

    It starts from the mean square of the first ten returns, and never falls below a millionth (RiskMetrics 1996).

    Args:
        returns: log returns [..., T].
    """
    squares = np.atleast_2d(returns) ** 2
    variance = continue_ewma(np.mean(squares[:, :SETTLED], axis=1), squares)
    return np.sqrt(np.maximum(variance, 1e-12)).reshape(*returns.shape[:-1], -1)


def continue_ewma(start: Floats, squares: Floats) -> Floats:
    """Return the EWMA of squares [path, T] from a start [path], itself first: [path, T + 1]."""
    from scipy.signal import lfilter

    later, _ = lfilter([1 - EWMA], [1.0, -EWMA], squares, axis=1, zi=EWMA * start[:, None])
    return np.concatenate((start[:, None], later), axis=1)
