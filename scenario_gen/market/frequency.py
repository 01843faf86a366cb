"""How far apart bars stand: daily, 5m, weekly.

Owns the reading of a bar spacing from stamps. Knows nothing of exchanges, sessions or prices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError

Kind = Literal["intraday", "daily", "weekly", "monthly", "quarterly", "yearly", "irregular"]

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
WEEK = 7 * DAY
AT_AN_EDGE = 4  # days: a weekend and a holiday between the edge of a month and its first or last session
FORMING_BARS = 10  # bars that show a grid before the last one can be off it
LONG_GAP = 14  # times the usual distance, or days: longer than any exchange's holidays

# Median distance between bars in days, from (inclusive) and to (exclusive): wide enough for holidays and
# leap years, narrow enough that the bands do not touch.
_BANDS: tuple[tuple[Kind, float, float], ...] = (
    ("daily", 20 / 24, 4),
    ("weekly", 4, 10),
    ("monthly", 25, 35),
    ("quarterly", 80, 100),
    ("yearly", 350, 380),
)


@dataclass(frozen=True)
class Spacing:
    """The distance between neighbouring bars."""

    kind: Kind  # what sort of bars these are
    label: str  # the frequency for a person: "daily", "1h", "5m"
    step: int  # nanoseconds between neighbouring bars: the commonest distance, or the median of irregular bars


def frequency(timestamps: pd.DatetimeIndex) -> str:
    """Return the bars' frequency as a label: "daily", "1h", "5m", "weekly", "monthly", "irregular".

    Raises:
        DataError: fewer than two bars.
    """
    return spacing(timestamps).label


def spacing(timestamps: pd.DatetimeIndex) -> Spacing:
    """Measure the distance between bars.

    Bars are intraday when dates usually hold more than one of them, or when the median distance is under 20
    hours.

    Raises:
        DataError: fewer than two bars.
    """
    if len(timestamps) < 2:
        raise DataError(
            f"{len(timestamps)} bar(s) cannot show a frequency",
            expected="at least two bars",
            fix="bring a longer history",
        )
    distances = np.diff(nanoseconds(timestamps))
    median = int(np.median(distances))
    if median < 20 / 24 * DAY or _bars_per_date(timestamps) >= 1.5:
        return _intraday(distances, median)
    for kind, low, high in _BANDS:
        if low <= median / DAY < high:
            return Spacing(kind, kind, DAY if kind == "daily" else median)
    return Spacing("irregular", "irregular", median)


def long_gaps(timestamps: pd.DatetimeIndex, gap: Spacing) -> NDArray[np.int64]:
    """Return the rows of bars that follow a gap no calendar explains: missing bars, or a mistyped date."""
    distances = np.diff(nanoseconds(timestamps))
    return np.flatnonzero(distances > LONG_GAP * max(gap.step, DAY)) + 1


def still_forming(timestamps: pd.DatetimeIndex) -> bool:
    """Whether the last bar is stamped off the grid that all others keep to: by a moment, not by a bar's beginning.

    Intraday grids are multiples of the step since midnight; those of weeks, months and longer the usual place in the
    period, which a row for today has not reached. Needs ten bars before it.
    """
    if len(timestamps) < FORMING_BARS + 1 or not timestamps.is_monotonic_increasing:
        return False
    before, wall = timestamps[:-1], wall_nanoseconds(timestamps)
    gap = spacing(before)
    if gap.kind == "intraday":
        places = wall % gap.step
        return bool((places[:-1] == places[0]).all() and places[-1] != places[0])
    if gap.kind == "weekly":
        days = (wall // DAY + 3) % 7
        # A week of holidays moves a stamp by days; a running week's row comes within days of the one before.
        return bool((days[:-1] == days[0]).mean() > 0.9 and days[-1] != days[0] and wall[-1] - wall[-2] < gap.step)
    if gap.kind in ("monthly", "quarterly", "yearly"):
        days, left = timestamps.day.to_numpy(), (timestamps.days_in_month - timestamps.day).to_numpy()
        begins, ends = (bool((rest[:-1] <= AT_AN_EDGE).all()) for rest in (days - 1, left))
        return bool((begins and days[-1] - 1 > AT_AN_EDGE) or (ends and left[-1] > AT_AN_EDGE))
    return False


def nanoseconds(timestamps: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Return stamps as nanoseconds since 1970 UTC, int64 [T]."""
    return np.asarray(timestamps.as_unit("ns").asi8, dtype=np.int64)


def wall_nanoseconds(timestamps: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Return the stamps' own wall clock as nanoseconds, int64 [T]: 09:30 is 09:30 in summer and in winter."""
    return nanoseconds(timestamps.tz_localize(None))


def commonest(values: NDArray[np.int64]) -> int:
    """Return the commonest value; the smallest of several."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[np.argmax(counts)])


def step_label(step: int) -> str:
    """Return a step in nanoseconds as "1h", "5m", "30s"."""
    for size, unit in ((HOUR, "h"), (60 * SECOND, "m"), (SECOND, "s")):
        if step % size == 0:
            return f"{step // size}{unit}"
    return f"{step / SECOND:g}s"


def _intraday(distances: NDArray[np.int64], median: int) -> Spacing:
    step = commonest(distances)
    # Tick, volume and range bars have no step: their commonest distance is the distance of few bars.
    if np.mean(distances == step) < 0.2:
        return Spacing("irregular", "irregular", median)
    return Spacing("intraday", step_label(step), step)


def _bars_per_date(timestamps: pd.DatetimeIndex) -> float:
    dates = np.unique(wall_nanoseconds(timestamps) // DAY)
    return len(timestamps) / len(dates)


# Rules that continue a history's stamps: a constant step, slots of a week, one bar per calendar period


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
