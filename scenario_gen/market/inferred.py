"""What a history's own stamps show: weekdays, times of day, place in the month, and its sessions.

Owns the choice of a :mod:`~scenario_gen.market.frequency` rule when no exchange is named, and the reading of sessions
and of the price step on which a history's prices stand. Knows no holidays: those are on no clock, so an inferred
calendar goes through them. Knows no exchange and no facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.candles import PRICE_FIELDS, Candles
from scenario_gen.market.frequency import (
    DAY,
    HOUR,
    SECOND,
    WEEK,
    ConstantStep,
    OnePerPeriod,
    Spacing,
    StampRule,
    WeekSlots,
    commonest,
    long_gaps,
    nanoseconds,
    spacing,
    step_label,
    wall_nanoseconds,
)

DAYS_PER_YEAR = 365.2425
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
PERIODS_PER_YEAR = {"weekly": DAYS_PER_YEAR / 7, "monthly": 12.0, "quarterly": 4.0, "yearly": 1.0}

# Recent weeks that speak for the future. Times of day shift with summer time in stamps kept in UTC, so intraday slots
# look back less far than weekdays do, and weeks before a clock change are moved to the hours of the last one.
_SLOT_WEEKS = 4
_WEEKDAY_WEEKS = 26

Place = Callable[[pd.PeriodIndex], pd.DatetimeIndex]


def infer_rule(timestamps: pd.DatetimeIndex, gap: Spacing) -> tuple[StampRule, str]:
    """Choose the rule that continues these stamps, and describe it ("inferred: Mon-Fri daily")."""
    if gap.kind == "irregular":
        return ConstantStep(gap.step), f"inferred: irregular bars, median step {step_label(gap.step)}"
    if gap.kind == "daily":
        return _daily(timestamps)
    if gap.kind == "intraday":
        return _intraday(timestamps, gap)
    return infer_period(timestamps, gap)


def infer_bars_per_year(timestamps: pd.DatetimeIndex, gap: Spacing, rule: StampRule) -> float:
    """Count the bars of a year.

    Period bars have a known number. Otherwise a history of a year and more is counted (so its holidays
    count, and gaps that no calendar explains do not), and of a shorter one the rule's week is taken 52.18
    times, holidays included.
    """
    if gap.kind in PERIODS_PER_YEAR:
        return PERIODS_PER_YEAR[gap.kind]
    distances = np.delete(np.diff(nanoseconds(timestamps)), long_gaps(timestamps, gap) - 1)
    years = float(distances.sum()) / (DAYS_PER_YEAR * DAY)
    if years >= 1.0 or gap.kind == "irregular":
        return len(distances) / years
    per_week = len(rule.offsets) if isinstance(rule, WeekSlots) else WEEK / gap.step
    return float(per_week) * PERIODS_PER_YEAR["weekly"]


def infer_period(
    timestamps: pd.DatetimeIndex, gap: Spacing, extra: Mapping[str, Place] | None = None
) -> tuple[StampRule, str]:
    """Find where in its week, month, quarter or year each bar stands; ``extra`` places are tried first."""
    freq = gap.kind[0].upper()
    wall = timestamps.tz_localize(None)
    periods = wall.to_period(freq)
    dates = nanoseconds(wall.normalize())
    places = {**(extra or {}), **_places(wall, gap.kind)}
    hits = {name: int(np.sum(nanoseconds(place(periods)) == dates)) for name, place in places.items()}
    best = max(places, key=lambda name: hits[name])
    clock = commonest(wall_nanoseconds(timestamps) % DAY)
    return OnePerPeriod(freq, places[best], clock), f"inferred: {gap.kind}, {best}"


def describe_weekdays(days: NDArray[np.int64]) -> str:
    """Return weekday numbers as "Mon-Fri", "Sun-Fri", "every day" or "Mon, Wed"."""
    if len(days) == 7:
        return "every day"
    starts = [day for day in days if (day - 1) % 7 not in days]
    if len(days) < 3 or len(starts) > 1:
        return ", ".join(WEEKDAYS[day] for day in days)
    return f"{WEEKDAYS[starts[0]]}-{WEEKDAYS[(starts[0] + len(days) - 1) % 7]}"


def open_weekdays(dates: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the weekdays (Monday 0) that usually have bars, from distinct increasing day numbers since 1970.

    A weekday counts when it has at least half as many bars as the fullest one: a special Saturday session
    does not make Saturday a weekday with bars. A weekday from Monday to Friday that a short history never
    passed counts as open.
    """
    counts = np.bincount((dates + 3) % 7, minlength=7)
    passed = np.bincount((np.arange(dates[0], dates[-1] + 1) + 3) % 7, minlength=7)
    unseen = (passed == 0) & (np.arange(7) < 5)
    return np.flatnonzero((2 * counts >= counts.max()) & (counts > 0) | unseen).astype(np.int64)


def _daily(timestamps: pd.DatetimeIndex) -> tuple[StampRule, str]:
    wall = wall_nanoseconds(timestamps)
    dates = np.unique(wall[wall > wall[-1] - _WEEKDAY_WEEKS * WEEK] // DAY)
    days = open_weekdays(dates)
    clock = commonest(wall[-20:] % DAY)
    return WeekSlots(days * DAY + clock), f"inferred: {describe_weekdays(days)} daily"


def _intraday(timestamps: pd.DatetimeIndex, gap: Spacing) -> tuple[StampRule, str]:
    stamps = nanoseconds(timestamps)
    if np.all(np.diff(stamps) == gap.step):
        return ConstantStep(gap.step), f"inferred: every {gap.label}, no gap seen in {len(stamps)} bars"
    wall = wall_nanoseconds(timestamps)
    recent = wall[wall > wall[-1] - _SLOT_WEEKS * WEEK]
    offsets = _week_slots(recent - clock_shifts(recent, gap.step))
    if len(offsets) * gap.step == WEEK:
        return ConstantStep(gap.step), f"inferred: every {gap.label}, round the clock"
    return WeekSlots(offsets), f"inferred: {_describe_slots(offsets)}"


def clock_shifts(wall: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Return by how much the sessions of each bar's week lie later than those of the last week, int64 [T].

    Nanoseconds: one hour, minus one hour, or nothing; only a clock change moves sessions by just that. A week's hour
    is the commonest first bar of its dates that follows a pause; weeks without a pause do not move.

    Args:
        wall: stamps on their own clock.
        step: of the bars, in nanoseconds; of daily bars every one begins a session.
    """
    after_pause = np.concatenate([[True], np.diff(wall) > step]) if step < DAY else np.ones(len(wall), dtype=bool)
    begins = wall[after_pause]
    begins = begins[np.diff(begins // DAY, prepend=-1) != 0]  # lunch breaks begin no session
    weeks, inverse = np.unique(_week(begins), return_inverse=True)
    clocks = np.array([commonest(begins[inverse == at] % DAY) for at in range(len(weeks))])
    later = clocks - clocks[-1]
    later[np.abs(later) != HOUR] = 0
    places = np.clip(np.searchsorted(weeks, _week(wall), side="right") - 1, 0, None)
    return np.asarray(later[places], dtype=np.int64)


def _week(wall: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray((wall - 4 * DAY) // WEEK, dtype=np.int64)  # 1970-01-05 was a Monday


def _week_slots(wall: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the week's slots by weekday; the first and last date may be cut short and do not vote."""
    dates = wall // DAY
    days = open_weekdays(np.unique(dates))
    inner = (dates > dates[0]) & (dates < dates[-1])
    votes = wall[inner]
    clocks = {int(day): _usual_clocks(votes[_weekday(votes) == day]) for day in days}
    fullest = max(clocks.values(), key=len) if inner.any() else np.unique(wall % DAY)
    for day in days:
        if not len(clocks[int(day)]):
            # Only seen on a cut date, or never passed: a working day is like the others, a weekend day as
            # seen.
            clocks[int(day)] = fullest if day < 5 else np.unique(wall[_weekday(wall) == day] % DAY)
    return np.concatenate([day * DAY + clocks[int(day)] for day in days])


def _usual_clocks(wall: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return times of day with at least half the bars of the typical one, so that late prints drop out."""
    if not len(wall):
        return np.empty(0, dtype=np.int64)
    clocks, counts = np.unique(wall % DAY, return_counts=True)
    return np.asarray(clocks[2 * counts >= np.median(counts)], dtype=np.int64)


def _weekday(wall: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray((wall // DAY + 3) % 7, dtype=np.int64)  # 1970-01-01 was a Thursday


def _describe_slots(offsets: NDArray[np.int64]) -> str:
    days, counts = np.unique(offsets // DAY, return_counts=True)
    clocks = offsets % DAY
    first, last = _clock(int(clocks.min())), _clock(int(clocks.max()))
    bars = f"{counts[0]}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    return f"{describe_weekdays(days)}, {bars} bars {first}-{last}"


def _clock(nanos: int) -> str:
    minutes = nanos // (DAY // 1440)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _places(wall: pd.DatetimeIndex, kind: str) -> dict[str, Place]:
    if kind == "weekly":
        day = commonest(_weekday(wall_nanoseconds(wall)))
        return {WEEKDAYS[day]: lambda periods: _start(periods) + pd.Timedelta(days=day)}
    return {
        "first day": _start,
        "last day": _end,
        "first weekday": lambda periods: _roll(_start(periods), forward=True),
        "last weekday": lambda periods: _roll(_end(periods), forward=False),
    }


def _start(periods: pd.PeriodIndex) -> pd.DatetimeIndex:
    return periods.start_time


def _end(periods: pd.PeriodIndex) -> pd.DatetimeIndex:
    return periods.end_time.normalize()


def _roll(dates: pd.DatetimeIndex, *, forward: bool) -> pd.DatetimeIndex:
    days = dates.to_numpy().astype("datetime64[D]")
    return pd.DatetimeIndex(np.busday_offset(days, 0, roll="forward" if forward else "backward"))


# --- Sessions, and the price step ---


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
        starts = after_pause(wall, gap.step)
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
        starts = after_pause(wall, self.step)
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
        starts = after_pause(wall, self.step)
        opened = wall[_last_start(starts, len(wall))]
        head = np.arange(len(wall)) < (starts[0] if len(starts) else len(wall))  # its opening is out of sight
        since_open = np.where(head, (wall - self._opening_near(wall, starts)) % DAY, wall - opened)
        place = np.minimum(np.searchsorted(self.slots, since_open), len(self.slots) - 1)
        return np.where(self.slots[place] == since_open, place, -1).astype(np.int64)

    def _opening_near(self, wall: NDArray[np.int64], starts: NDArray[np.int64]) -> int:
        """Return the time of day of the next opening in sight, which follows summer time, or else the usual one."""
        return int(wall[starts[0]] % DAY) if len(starts) else self.opening


def pauses_nightly(offsets: NDArray[np.int64]) -> bool:
    """Return whether bars at these points of a week pause once every night: sessions begin about a day apart."""
    if len(offsets) < 2:
        return True
    two_weeks = np.append(offsets, offsets + WEEK)
    starts = two_weeks[after_pause(two_weeks, commonest(np.diff(offsets)))]
    return len(starts) > 1 and bool(abs(np.diff(starts).min() - DAY) <= DAY // 5)


def after_pause(wall: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Return the rows of the bars that follow a pause."""
    return np.flatnonzero(np.diff(wall) > max(PAUSE, 3 * step // 2)) + 1


def _last_start(starts: NDArray[np.int64], bars: int) -> NDArray[np.int64]:
    """Return the row of the opening bar at or before each bar; row 0 before the first one."""
    marks = np.zeros(bars, dtype=np.int64)
    marks[starts] = starts
    return np.maximum.accumulate(marks) if bars else marks


def opening_times(timestamps: pd.DatetimeIndex, clock: SessionClock) -> NDArray[np.int64]:
    """Return the time of day of each session's first bar, nanoseconds since midnight, [session]."""
    wall = wall_nanoseconds(timestamps)
    return wall[after_pause(wall, clock.step)] % DAY


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
