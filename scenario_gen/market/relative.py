"""The running volatility that gaps and jumps are measured in. Knows returns, and nothing of what they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EWMA = 0.94
SETTLED = 10  # bars after which the running volatility no longer shows how it was started


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
