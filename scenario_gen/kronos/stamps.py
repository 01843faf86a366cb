"""What a model reads of time: calendar stamps of a bar, and marks of the bar that comes next.

Stamps are those of the published checkpoints: minute, hour, weekday (Monday 0), day, month of a bar. They say nothing
of the bar that is about to be drawn: whether a night lies before it, whether it opens or ends a session. The marks do,
from the times alone, and two of them place the market: bar size and volatility tell an index from a coin where units
hide it. Times of bars to come are known from the calendar, so that a mark may look ahead where a price may not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MINUTE = 60_000_000_000  # nanoseconds
QUARTER = 15 * MINUTE
DAY = 1440 * MINUTE
NIGHT = 180 * MINUTE  # a longer break ends a session: lunch does not, a night does
OUT_OF_SIGHT = 97  # the session opened before the first bar that is seen
FAR = 15  # so many bars or more until the session ends, or its end is out of sight
MARK_FIELDS = (
    ("elapsed", 16),  # steps of the usual size until the next bar, in half octaves: 0 is one step
    ("quarter", 96),  # quarter hour of the day that the next bar begins in
    ("opened", 98),  # quarter hours from the session's open to the next bar, plus 1; 0 is the first bar
    ("closes", 16),  # bars after the next one until the session ends
    ("size", 16),  # bar size in octaves of minutes
    ("volatility", 40),  # of a bar, in half octaves from 2^-18
)


def stamp_features(wall_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return integer stamps [..., 5] for local wall-clock times in nanoseconds since 1970 [...]."""
    minutes = wall_ns // 60_000_000_000
    days = minutes // 1440
    date = days.astype("datetime64[D]")
    month_start = date.astype("datetime64[M]")
    day = (date - month_start.astype("datetime64[D]")).astype(np.int64) + 1
    month = month_start.astype(np.int64) % 12 + 1
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    return np.stack((minutes % 60, minutes // 60 % 24, weekday, day, month), axis=-1)


def mark_features(wall_ns: NDArray[np.int64], volatility: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return marks [P, T, 6] of the bars after those at local times [T], as ``MARK_FIELDS`` has them.

    The last row, whose next bar is not among the times, takes it for one step ahead.

    Args:
        wall_ns: local wall-clock times in nanoseconds since 1970, those of context and horizon together.
        volatility: of a bar, in log-return units [P]: what each context's ``increments`` are measured in.
    """
    return with_volatility(time_marks(wall_ns)[None], volatility)


def with_volatility(stamps: NDArray[np.int64], volatility: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return stamps and marks of time [P or 1, T, F] with the mark of the contexts' volatility [P] behind them."""
    level = np.clip(np.rint(2 * (np.log2(volatility) + 18)), 0, MARK_FIELDS[-1][1] - 1).astype(np.int64)
    rows = np.broadcast_to(stamps, (len(level), *stamps.shape[1:]))
    return np.concatenate((rows, np.broadcast_to(level[:, None, None], (*rows.shape[:2], 1))), axis=-1)


def time_marks(wall_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the marks that times alone give [T, 5]; see :func:`mark_features`."""
    steps = np.diff(wall_ns)
    usual = max(int(np.median(steps)), 1) if len(steps) else DAY
    steps, following = np.append(steps, usual), np.append(wall_ns[1:], wall_ns[-1] + usual)
    elapsed = np.clip(np.rint(2 * np.log2(np.maximum(steps / usual, 1.0))), 0, 15)
    opened, closes = _place_in_session(steps, following, usual)
    size = np.full(len(steps), np.clip(np.rint(np.log2(usual / MINUTE)), 0, 15))
    return np.stack((elapsed, following // QUARTER % 96, opened, closes, size), axis=-1).astype(np.int64)


def _place_in_session(
    steps: NDArray[np.int64], following: NDArray[np.int64], usual: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return of every following bar the quarter hours since its session opened and the bars until it ends, both [T]."""
    if usual >= DAY:  # bars of a day or more are sessions of their own
        return np.zeros_like(steps), np.zeros_like(steps)
    opens = following // DAY != (following - steps) // DAY
    opens |= (steps > NIGHT) & (steps > 1.5 * usual)
    rows = np.arange(len(steps))
    first = np.maximum.accumulate(np.where(opens, rows, -1))
    since = (following - following[first]) // QUARTER + 1
    opened = np.where(first < 0, OUT_OF_SIGHT, np.where(opens, 0, np.clip(since, 1, 96)))
    later = np.append(np.where(opens, rows, len(rows) + FAR)[1:], len(rows) + FAR)
    until = np.minimum.accumulate(later[::-1])[::-1] - rows - 1
    return opened, np.clip(until, 0, FAR)
