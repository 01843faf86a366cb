"""BarCalendar: when the next bars are, and how many bars make a year.

Owns the choice between an exchange's sessions, a clock that never stops and what the history itself shows,
and the flags for bars that the declared calendar does not have. Knows no prices.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.candles import Flag
from scenario_gen.market.exchange import (
    SessionDates,
    Sessions,
    SessionSlots,
    load_sessions,
    session_places,
    sessions_per_year,
)
from scenario_gen.market.frequency import (
    DAY,
    ConstantStep,
    OnePerPeriod,
    Spacing,
    StampRule,
    WeekSlots,
    commonest,
    nanoseconds,
    spacing,
    wall_nanoseconds,
)
from scenario_gen.market.inferred import (
    PERIODS_PER_YEAR,
    after_pause,
    infer_bars_per_year,
    infer_period,
    infer_rule,
    pauses_nightly,
)
from scenario_gen.market.rules import always_open_flags

ALWAYS_OPEN = "24/7"
LAST_STAMPED = 2260  # nanoseconds in 64 bits end in April 2262


@dataclass(frozen=True)
class BarCalendar:
    """The bars that follow a history."""

    code: str  # ``XNYS``, ``24/7``, or what was inferred, for a person: "inferred: Mon-Fri daily"
    frequency: str  # "daily", "1h", "5m", "weekly", ...
    # bars in an average year, for annualising. An exchange: its sessions per year, averaged over the ten years
    # up to the history's end, times the bars of a regular session. 24/7: 365 days. Inferred: the history's own
    # count per year where it is a year or longer, else its weekly pattern 52.18 times (holidays not taken off)
    bars_per_year: float
    end: pd.Timestamp  # the history's last stamp
    rule: StampRule = field(repr=False)
    # of other markets, whose stamps are written alike: bars stand only where all of them have one
    beside: tuple[BarCalendar, ...] = field(default=(), repr=False)

    @classmethod
    def infer(cls, timestamps: pd.DatetimeIndex, calendar: str = "") -> BarCalendar:
        """Find the calendar of a history; give all bars up to the context's end, not the context alone.

        Naive stamps are the exchange's local time. A history of a day or two cannot show its weekdays: Monday
        to Friday is then assumed, and an unbroken run of intraday bars goes on without a gap; ``code`` says
        so.

        Args:
            timestamps: [T] sorted unique stamps, at least two.
            calendar: exchange_calendars code, ``24/7``, or "" to infer.

        Raises:
            DataError: fewer than two bars, an unknown code, or no bar inside the exchange's sessions.
        """
        gap = spacing(timestamps)
        end = timestamps[-1]
        if calendar == ALWAYS_OPEN:
            rule, per_year = _always_open(timestamps, gap)
            return cls(ALWAYS_OPEN, gap.label, per_year, end, rule)
        if calendar:
            rule, per_year = _on_exchange(timestamps, gap, calendar)
            return cls(calendar, gap.label, per_year, end, rule)
        rule, code = infer_rule(timestamps, gap)
        return cls(code, gap.label, infer_bars_per_year(timestamps, gap, rule), end, rule)

    def future(self, n: int) -> pd.DatetimeIndex:
        """Return the next ``n`` bar stamps, strictly after the history's end and in its time zone."""
        if n < 0:
            raise ValueError(f"n is {n}, but a horizon has no negative length")
        if self.end.year + n / self.bars_per_year > LAST_STAMPED:
            raise DataError(
                f"{n:,} {self.frequency} bars after {self.end.date()} reach beyond the year {LAST_STAMPED}",
                expected=f"bars up to the year {LAST_STAMPED}: later ones cannot be stamped",
                fix="shorten bars.horizon, or bring a history of shorter bars",
            )
        stamps = self._shared(n) if self.beside else self.rule.after(self.end, n)
        if len(stamps) != n:
            raise ValueError(f"the calendar {self.code} gave {len(stamps)} stamps of {n}")
        return stamps.as_unit("ns")

    def _shared(self, n: int) -> pd.DatetimeIndex:
        """Return the next ``n`` stamps at which all markets have a bar."""
        asked = n + n // 8 + 8
        while True:
            stamps = self.rule.after(self.end, asked)
            keys, last = bar_keys(stamps, self.frequency), stamps[-1]
            for other in self.beside:
                keys = np.intersect1d(keys, bar_keys(other.up_to(last), other.frequency))
            if len(keys) >= n:
                return stamps[np.isin(bar_keys(stamps, self.frequency), keys)][:n]
            if asked > 50 * (n + 10):
                codes = ", ".join(dict.fromkeys(calendar.code for calendar in (self, *self.beside)))
                raise DataError(
                    f"the calendars {codes} share {len(keys)} of the next {asked:,} bars, and {n:,} are asked for",
                    expected="markets that are open at the same time",
                    fix="correct calendar or time zone of the assets, or say joint: {calendar: union}",
                )
            asked *= 2

    def up_to(self, last: pd.Timestamp) -> pd.DatetimeIndex:
        """Return the next stamps up to the bar of ``last``, and some more."""
        key, asked = bar_keys(pd.DatetimeIndex([last]), self.frequency)[0], 16
        while True:
            stamps = self.rule.after(self.end, asked)
            if bar_keys(stamps[-1:], self.frequency)[0] > key:
                return stamps
            asked *= 2

    def trading_days(self, timestamps: pd.DatetimeIndex) -> NDArray[np.int64]:
        """Return which trading day each bar belongs to, counted from 0 at the first; int64 [T].

        An exchange's session is a day, on whichever dates it begins and ends. Where no exchange is named, a pause that
        comes every night ends a day, as it does for stocks; where trade goes on at night, days change at midnight of
        the stamps' own clock: UTC for a market that never closes, or the time zone that the history was converted to.
        Daily and longer bars are a day each.
        """
        if not len(timestamps):
            return np.empty(0, dtype=np.int64)
        wall = wall_nanoseconds(timestamps)
        days = np.arange(len(wall)) if not self.intraday else self._dates(timestamps, wall)
        return np.asarray(np.cumsum(np.diff(days, prepend=days[0]) > 0), dtype=np.int64)

    @property
    def intraday(self) -> bool:
        """Whether bars are shorter than a day."""
        return self.frequency != "daily" and not self.beyond_days

    @property
    def beyond_days(self) -> bool:
        """Whether bars are longer than a day: weeks, months, quarters or years."""
        return isinstance(self.rule, OnePerPeriod)

    def _dates(self, timestamps: pd.DatetimeIndex, wall: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a number per bar of an intraday market that rises where a new day begins [T]."""
        rule = self.rule
        if isinstance(rule, SessionSlots):
            exchange = _exchange_wall(timestamps, rule.zone)
            sessions = load_sessions(rule.code, int(exchange[0]) // DAY * DAY - 2 * DAY, int(exchange[-1]) + 2 * DAY)
            # a bar outside every session, which a real history may have, belongs to the session that ends next
            return np.searchsorted(sessions.closes, exchange + rule.middle, side="left")
        if isinstance(rule, WeekSlots) and pauses_nightly(rule.offsets):
            opens = np.zeros(len(wall), dtype=np.int64)
            opens[after_pause(wall, commonest(np.diff(rule.offsets)) if len(rule.offsets) > 1 else DAY)] = 1
            return np.cumsum(opens)
        return wall // DAY

    def known_until(self, n: int) -> int:
        """Return how many of the next ``n`` bars stand on sessions that the exchange's calendar really knows.

        The rest continue its weekdays and hours without holidays. Where no exchange is named, nothing is
        known: 0.
        """
        if not isinstance(self.rule, SessionDates | SessionSlots) or n == 0:
            return 0
        stamps = self.future(n)
        wall = _exchange_wall(stamps, self.rule.zone)
        sessions = load_sessions(self.rule.code, int(wall[0]) // DAY * DAY - DAY, int(wall[-1]) + DAY)
        if sessions.known == len(sessions.dates):
            return n
        unknown = min(sessions.dates[sessions.known], sessions.opens[sessions.known])
        return int(np.sum(wall < unknown))


def bar_keys(timestamps: pd.DatetimeIndex, frequency: str) -> NDArray[np.int64]:
    """Return by what bars of several markets are matched, in nanoseconds [T], from stamps that are written alike.

    The date of a daily bar on its own clock, the first date of the period of a longer one, the moment of a shorter one.
    """
    if frequency == "daily":
        return wall_nanoseconds(timestamps) // DAY * DAY
    if frequency in PERIODS_PER_YEAR:
        return nanoseconds(timestamps.tz_localize(None).to_period(frequency[0].upper()).start_time)
    return nanoseconds(timestamps)


def session_dates(timestamps: pd.DatetimeIndex, calendar: str) -> pd.DatetimeIndex:
    """Return the dates of daily bars in their own market, without a zone: on the exchange's clock where that is meant.

    Stamps may carry the date of a session on their own clock or, as 04:00 UTC does in New York, on the exchange's.
    """
    zone = None
    if calendar and calendar != ALWAYS_OPEN and timestamps.tz is not None:
        zone = _session_of(timestamps, spacing(timestamps), calendar)[2]
    return pd.DatetimeIndex(_exchange_wall(timestamps, zone) // DAY * DAY)


def calendar_flags(timestamps: pd.DatetimeIndex, calendar: str) -> tuple[Flag, ...]:
    """Flag bars that the declared exchange does not have, and sessions that have no bar; for 24/7, the pauses.

    Only daily and intraday bars can be compared; everything else gives no flag.

    Raises:
        DataError: the calendar is unknown.
    """
    if not calendar or len(timestamps) < 2:
        return ()
    gap = spacing(timestamps)
    if calendar == ALWAYS_OPEN:
        return always_open_flags(timestamps, gap)
    if gap.kind not in ("daily", "intraday"):
        load_sessions(calendar, *_span(timestamps))  # an unknown code is refused for weekly bars as well
        return ()
    index, sessions = _session_of(timestamps, gap, calendar)[:2]
    return (*_outside_flag(index, calendar), *_missing_flag(index, sessions))


def _always_open(timestamps: pd.DatetimeIndex, gap: Spacing) -> tuple[StampRule, float]:
    if gap.kind in PERIODS_PER_YEAR:
        return infer_period(timestamps, gap)[0], PERIODS_PER_YEAR[gap.kind]
    return ConstantStep(gap.step), 365 * DAY / gap.step


def _on_exchange(timestamps: pd.DatetimeIndex, gap: Spacing, code: str) -> tuple[StampRule, float]:
    if gap.kind == "irregular":
        rule, _ = infer_rule(timestamps, gap)
        load_sessions(code, *_span(timestamps))
        return rule, infer_bars_per_year(timestamps, gap, rule)
    if gap.kind in PERIODS_PER_YEAR:
        rule, _ = infer_period(timestamps, gap, session_places(code, timestamps))
        return rule, PERIODS_PER_YEAR[gap.kind]
    per_year = sessions_per_year(code, timestamps[-1])
    index, sessions, zone, middle = _session_of(timestamps, gap, code)
    inside = index >= 0
    if not inside.any():
        raise DataError(
            f"none of the {len(timestamps)} bars lies in a session of {code}; the last is at {timestamps[-1]}",
            expected=f"bars in the sessions of {code}: stamps in its local time, or with their offset",
            fix="correct calendar or time zone, or leave the calendar out to infer it",
        )
    wall = _exchange_wall(timestamps, zone)[inside]
    offsets = wall - sessions.dates[index[inside]]
    if gap.kind == "daily":
        found, counts = np.unique(offsets[-20:], return_counts=True)
        return SessionDates(code, zone, int(found[np.argmax(counts)])), per_year
    slots = _regular_slots(offsets, index[inside])
    return SessionSlots(code, zone, slots, middle), per_year * len(slots)


def _regular_slots(offsets: NDArray[np.int64], session: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the usual times of day of recent sessions; the first and last may be cut short."""
    recent = session > session[-1] - 60
    inner = recent & (session > session[0]) & (session < session[-1])
    votes = offsets[inner] if inner.any() else offsets
    slots, counts = np.unique(votes, return_counts=True)
    return np.asarray(slots[2 * counts >= np.median(counts)], dtype=np.int64)


def _session_of(
    timestamps: pd.DatetimeIndex, gap: Spacing, code: str
) -> tuple[NDArray[np.int64], Sessions, object, int]:
    """Return each bar's session (-1 outside), the sessions, the stamps' zone, and stamp-to-middle.

    Stamps with an offset may carry the session's date on their own clock or on the exchange's, and intraday
    stamps may mark a bar's start or its end: the reading that puts more bars into sessions is taken.
    """
    sessions = load_sessions(code, *_span(timestamps))
    if gap.kind == "daily":
        zones = (None,) if timestamps.tz is None else (timestamps.tz, sessions.zone)
        walls = [(zone, _exchange_wall(timestamps, zone)) for zone in zones]
        # Where both clocks show the same dates, the one on which most bars stand at midnight is meant.
        walls.sort(key=lambda reading: -int(np.sum(reading[1] % DAY == 0)))
        readings = [(zone, 0, _dated(wall, sessions)) for zone, wall in walls]
    else:
        zone = None if timestamps.tz is None else sessions.zone
        wall = _exchange_wall(timestamps, zone)
        halves = (gap.step // 2, -(gap.step // 2))
        readings = [(zone, half, sessions.holding(wall + half)) for half in halves]
    zone, middle, index = max(readings, key=lambda reading: int(np.sum(reading[2] >= 0)))
    return index, sessions, zone, middle


def _dated(wall: NDArray[np.int64], sessions: Sessions) -> NDArray[np.int64]:
    dates = wall // DAY * DAY
    index = np.minimum(np.searchsorted(sessions.dates, dates), len(sessions.dates) - 1)
    return np.where(sessions.dates[index] == dates, index, -1)


def _exchange_wall(timestamps: pd.DatetimeIndex, zone: object) -> NDArray[np.int64]:
    return wall_nanoseconds(timestamps if zone is None else timestamps.tz_convert(zone))


def _span(timestamps: pd.DatetimeIndex) -> tuple[int, int]:
    wall = wall_nanoseconds(timestamps[[0, -1]])
    return int(wall[0]) // DAY * DAY - 2 * DAY, int(wall[1]) + 2 * DAY


def _outside_flag(index: NDArray[np.int64], code: str) -> tuple[Flag, ...]:
    rows = np.flatnonzero(index < 0)
    if not len(rows):
        return ()
    many = len(rows) > 0.05 * len(index)
    hint = ": is this its calendar, and are the stamps in its local time?" if many else ""
    message = f"bars outside the sessions of {code}{hint}"
    return (Flag("outside sessions", message, tuple(rows.tolist())),)


def _missing_flag(index: NDArray[np.int64], sessions: Sessions) -> tuple[Flag, ...]:
    rows = np.flatnonzero(index >= 0)
    skipped = np.diff(index[rows]) - 1
    gaps = np.flatnonzero(skipped > 0)
    if not len(gaps):
        return ()
    message = f"bars that follow a session of {sessions.code} without any bar"
    return (Flag("missing sessions", message, tuple(rows[gaps + 1].tolist())),)
