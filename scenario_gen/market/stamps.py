"""Rules that continue a history's stamps: a constant step, slots of a week, one bar per calendar period.

Owns the arithmetic of future stamps. Knows nothing of exchanges and holidays, nor how a rule was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.frequency import DAY, WEEK, nanoseconds


class StampRule(Protocol):
    """What every rule can do: say when the next bars are."""

    def after(self, end: pd.Timestamp, n: int) -> pd.DatetimeIndex:
        """Return the next ``n`` stamps, strictly after ``end`` and in its time zone."""
        ...


@dataclass(frozen=True)
class ConstantStep:
    """A bar every ``step`` nanoseconds, day and night; whole days keep the wall clock's time of day."""

    step: int

    def after(self, end: pd.Timestamp, n: int) -> pd.DatetimeIndex:
        """Return ``end`` plus 1 to ``n`` steps."""
        if self.step % DAY == 0 and end.tzinfo is not None:
            wall = ConstantStep(self.step).after(end.tz_localize(None), n)
            return to_zone(wall, end.tzinfo)
        stamps = end.as_unit("ns").value + self.step * np.arange(1, n + 1, dtype=np.int64)
        if end.tzinfo is None:
            return pd.DatetimeIndex(stamps)
        return pd.DatetimeIndex(stamps, tz="UTC").tz_convert(end.tzinfo)


@dataclass(frozen=True)
class WeekSlots:
    """Bars at fixed points of the week."""

    offsets: NDArray[np.int64]  # int64 [slot], increasing nanoseconds since Monday 00:00 of the wall clock

    def after(self, end: pd.Timestamp, n: int) -> pd.DatetimeIndex:
        """Return the next ``n`` slots after ``end``."""
        # Two weeks to spare: one for the running week, one for stamps that a clock change swallows.
        weeks = np.arange(math.ceil(n / len(self.offsets)) + 2, dtype=np.int64) * WEEK
        wall = monday(end) + (weeks[:, None] + self.offsets).ravel()
        return first_after(to_zone(pd.DatetimeIndex(wall), end.tzinfo), end, n)


@dataclass(frozen=True)
class OnePerPeriod:
    """One bar per week, month, quarter or year."""

    freq: str  # pandas period alias: "W", "M", "Q", "Y"
    # turns periods into the dates of their bars (first day, last weekday, last session, ...)
    place: Callable[[pd.PeriodIndex], pd.DatetimeIndex]
    clock: int  # time of day of the bars in nanoseconds

    def after(self, end: pd.Timestamp, n: int) -> pd.DatetimeIndex:
        """Return the stamps of the ``n`` periods that follow the one of ``end``."""
        running = pd.Period(end.tz_localize(None), freq=self.freq)
        periods = pd.period_range(running + 1, periods=n, freq=self.freq)
        wall = nanoseconds(self.place(periods)) + self.clock
        return to_zone(pd.DatetimeIndex(wall), end.tzinfo)


def monday(stamp: pd.Timestamp) -> int:
    """Return the start of the stamp's week on its wall clock, in nanoseconds."""
    wall = int(stamp.tz_localize(None).as_unit("ns").value)
    return wall - (wall - 4 * DAY) % WEEK  # 1970-01-05 was a Monday


def to_zone(wall: pd.DatetimeIndex, zone: Any) -> pd.DatetimeIndex:
    """Read wall-clock stamps in a time zone: skipped hours move forward, repeated ones are the first."""
    if zone is None:
        return wall
    first = np.ones(len(wall), dtype=bool)
    return wall.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")


def first_after(stamps: pd.DatetimeIndex, end: pd.Timestamp, n: int) -> pd.DatetimeIndex:
    """Return the first ``n`` distinct stamps later than ``end``; fewer where there are not as many."""
    return stamps[stamps > end].unique()[:n]
