"""Sessions seen in the stamps of intraday bars, and the price step on which a history's prices stand.

Owns the reading of both from bars. Knows no exchange and no facts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.candles import PRICE_FIELDS, Candles
from scenario_gen.market.frequency import DAY, SECOND, commonest, spacing, wall_nanoseconds

# A pause of more than four hours ends a session: longer than a lunch break or a futures market's daily pause,
# shorter than any night.
PAUSE = 4 * 3600 * SECOND


@dataclass(frozen=True, eq=False)
class SessionClock:
    """The regular session of an intraday history."""

    step: int  # nanoseconds between neighbouring bars
    opening: int  # the commonest time of day of a session's first bar, in nanoseconds since midnight
    # int64 [bar of day], nanoseconds from the session's first bar to each of its usual bars; empty where trade
    # never pauses overnight (crypto, FX in the week)
    slots: NDArray[np.int64]

    @classmethod
    def of(cls, timestamps: pd.DatetimeIndex) -> SessionClock | None:
        """Read the clock from a history's stamps; None for daily and longer bars, each a session of its own."""
        if len(timestamps) < 2:
            return None
        gap = spacing(timestamps)
        if gap.kind != "intraday":
            return None
        wall = wall_nanoseconds(timestamps)
        starts = _after_pause(wall, gap.step)
        none = cls(gap.step, 0, np.empty(0, dtype=np.int64))
        if len(starts) < 2:
            return none
        whole = slice(starts[0], starts[-1])  # the first and the last session may be cut short
        since_open = wall - wall[_last_start(starts, len(wall))]
        slots, counts = np.unique(since_open[whole], return_counts=True)
        usual = slots[2 * counts >= len(starts) - 1]
        if usual[-1] >= DAY:
            return none
        return cls(gap.step, commonest(wall[starts] % DAY), usual.astype(np.int64))

    def opens(self, timestamps: pd.DatetimeIndex) -> NDArray[np.bool_]:
        """Return which bars open a session, [T]; the first bar does when it stands at the opening time."""
        wall = wall_nanoseconds(timestamps)
        starts = _after_pause(wall, self.step)
        first = np.zeros(len(wall), dtype=bool)
        first[starts] = True
        if len(wall) and len(self.slots):
            first[0] = wall[0] % DAY == self._opening_near(wall, starts)
        return first

    def bar_of_day(self, timestamps: pd.DatetimeIndex) -> NDArray[np.int64] | None:
        """Return each bar's place in its session, int64 [T], -1 off the usual slots; None without sessions."""
        if not len(self.slots):
            return None
        wall = wall_nanoseconds(timestamps)
        starts = _after_pause(wall, self.step)
        opened = wall[_last_start(starts, len(wall))]
        head = np.arange(len(wall)) < (starts[0] if len(starts) else len(wall))  # its opening is out of sight
        since_open = np.where(head, (wall - self._opening_near(wall, starts)) % DAY, wall - opened)
        place = np.minimum(np.searchsorted(self.slots, since_open), len(self.slots) - 1)
        return np.where(self.slots[place] == since_open, place, -1).astype(np.int64)

    def _opening_near(self, wall: NDArray[np.int64], starts: NDArray[np.int64]) -> int:
        """Return the time of day of the next opening in sight, which follows summer time, or else the usual one."""
        return int(wall[starts[0]] % DAY) if len(starts) else self.opening


def _after_pause(wall: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    return np.flatnonzero(np.diff(wall) > max(PAUSE, 3 * step // 2)) + 1


def _last_start(starts: NDArray[np.int64], bars: int) -> NDArray[np.int64]:
    """Return the row of the opening bar at or before each bar; row 0 before the first one."""
    marks = np.zeros(bars, dtype=np.int64)
    marks[starts] = starts
    return np.maximum.accumulate(marks) if bars else marks


def opening_times(timestamps: pd.DatetimeIndex, clock: SessionClock) -> NDArray[np.int64]:
    """Return the time of day of each session's first bar, nanoseconds since midnight, [session]."""
    wall = wall_nanoseconds(timestamps)
    return wall[_after_pause(wall, clock.step)] % DAY


# Ticks that markets use: 1, 2, 2.5 or 5 times a power of ten, or binary fractions of a point.
_STEPS = sorted(
    {float(f"{step}e{power}") for power in range(-10, 5) for step in (1, 2, 2.5, 5)}
    | {2.0**-power for power in range(1, 8)},
    reverse=True,
)
_SHARE = 0.999  # of the prices that must be multiples
_LEEWAY = 0.02  # of a step: a price may be off its grid by this much,
_ROUNDING = (1e-12, 6e-8)  # and by its number's rounding, relative to the price: float64, then float32
_WIDEST = 0.25  # of a step: with more leeway than this, any price would fit
_FEWEST = 30  # different prices: a random one fits a step with a chance of at most a half


def tick_size(candles: Candles) -> float:
    """Return the largest usual tick whose multiples 99.9 % of the different prices are; 0 where there is none.

    Adjusted prices, and prices computed from others, stand on no grid.
    """
    prices = np.unique(np.concatenate([candles.column(name) for name in PRICE_FIELDS]))
    if len(prices) < _FEWEST:
        return 0.0
    return max(_widest_step(prices, rounding) for rounding in _ROUNDING)


def _widest_step(prices: NDArray[np.float64], rounding: float) -> float:
    for step in _STEPS:
        if _LEEWAY + rounding * prices[-1] / step > _WIDEST:
            break
        if _on_grid(prices, step, rounding):
            return step
    return 0.0


def _on_grid(prices: NDArray[np.float64], step: float, rounding: float) -> bool:
    multiples = prices / step
    nearest = np.round(multiples)
    # On a step as wide as the prices' differences many share a multiple: that is no grid of theirs.
    if len(np.unique(nearest)) < 0.5 * len(prices):
        return False
    fits = np.abs(multiples - nearest) <= _LEEWAY + rounding * multiples
    return bool(np.mean(fits) >= _SHARE)
