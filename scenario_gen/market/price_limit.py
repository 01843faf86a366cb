"""How far a price may go in a session: the band around the close of the session before.

Owns the arithmetic of a price limit for whoever holds prices to it, and for whoever fills orders within it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Prices = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]

HALF_UP = 0.5 + 1e-9  # in ticks: 10 % up from 10.15 is 11.165, which exchanges round to 11.17
AT_THE_LIMIT = 1e-6  # relative: float32 keeps a limit to 6e-8


def price_band(close: Prices, limit: float, tick: float | None) -> tuple[Floats, Floats]:
    """Return the lowest and the highest price that a limit allows after a session's close.

    A share of the close, as exchanges define it (and no log return), rounded half up to whole ticks and never less
    than a tick away.

    Args:
        close: of the session before, any shape.
        limit: largest change, e.g. 0.10.
        tick: price step; None for prices of any kind.
    """
    last: Floats = np.asarray(close, dtype=np.float64)
    if tick is None:
        return last * (1 - limit), last * (1 + limit)
    at = np.round(last / tick)  # in ticks
    low, high = (np.floor(at * (1 + side) + HALF_UP) for side in (-limit, limit))
    return np.maximum(np.minimum(low, at - 1), 1) * tick, np.maximum(high, at + 1) * tick


def session_closes(close: Prices, opens: NDArray[np.bool_], before: float) -> Prices:
    """Return for each bar [path, bar] the close of the session before it; ``before`` precedes the first."""
    start = np.maximum.accumulate(np.where(opens, np.arange(close.shape[1]), 0))  # [bar]
    known = np.concatenate((np.full((len(close), 1), before), close[:, :-1].astype(np.float64)), axis=1)
    first_session = np.cumsum(opens) == 0
    return np.where(first_session, before, known[:, start])
