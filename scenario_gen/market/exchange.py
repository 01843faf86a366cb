"""Sessions of real exchanges, from exchange_calendars: dates, opens and closes.

Owns the only import of exchange_calendars and the continuation past the last year it knows. Knows no prices.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.frequency import DAY, commonest, first_after, nanoseconds, to_zone, wall_nanoseconds
from scenario_gen.market.inferred import Place, open_weekdays
from scenario_gen.reading.words import near


@dataclass(frozen=True)
class Sessions:
    """Consecutive sessions of one exchange on its own wall clock."""

    code: str  # the exchange's calendar code
    zone: Any  # its time zone
    dates: NDArray[np.int64]  # int64 [S], midnight of the session's date in nanoseconds
    # int64 [S] nanoseconds; before the date's midnight for sessions that begin the evening before
    opens: NDArray[np.int64]
    closes: NDArray[np.int64]  # int64 [S] nanoseconds
    known: int  # number of sessions that the calendar itself gives; later ones continue its weekdays without holidays

    def holding(self, moments: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the index of the session that holds each wall-clock moment, -1 outside sessions."""
        index = np.minimum(np.searchsorted(self.closes, moments, side="left"), len(self.closes) - 1)
        inside = (self.opens[index] <= moments) & (moments <= self.closes[index])
        return np.where(inside, index, -1)


def load_sessions(code: str, first: int, last: int, at_least: int = 0) -> Sessions:
    """Load the sessions dated from ``first`` to ``last`` (nanoseconds), and no fewer than ``at_least``.

    Raises:
        DataError: the code is unknown, or its calendar cannot be built.
    """
    # A session a day is the most there is, four a week with a fortnight's closure about the least.
    reach = max(last, first + (2 * at_least + 60) * DAY)
    zone, until, dates, opens, closes = _schedule(code, *_score(_year(first), _year(reach)))
    known = len(dates)
    if until < reach:
        dates, opens, closes = _continue(dates, opens, closes, until, reach)
    keep = (dates >= first) & (dates <= reach)
    return Sessions(code, zone, dates[keep], opens[keep], closes[keep], int(keep[:known].sum()))


def sessions_per_year(code: str, end: pd.Timestamp) -> float:
    """Return the average number of sessions in the ten calendar years up to and with that of ``end``."""
    _, _, dates, _, _ = _schedule(code, *_score(end.year - 9, end.year))
    years = dates.astype("datetime64[ns]").astype("datetime64[Y]").astype(int) + 1970
    # The first year is a whole one unless the calendar's own record begins within it.
    whole = years if pd.Timestamp(int(dates[0])).month == 1 else years[years > years[0]]
    found, counts = np.unique(whole, return_counts=True)
    asked = (found > end.year - 10) & (found <= end.year)
    return float(np.mean(counts[asked] if asked.any() else counts))


def session_places(code: str, timestamps: pd.DatetimeIndex) -> Mapping[str, Place]:
    """Return the first and last session of a week, month, quarter or year as places for a period's bar."""
    start = int(wall_nanoseconds(timestamps[:1])[0])

    def place(periods: pd.PeriodIndex, pick: str) -> pd.DatetimeIndex:
        last = int(nanoseconds(periods.end_time[-1:])[0])
        sessions = load_sessions(code, min(start, last) - 400 * DAY, last)
        dates = pd.Series(pd.DatetimeIndex(sessions.dates))
        by_period = dates.groupby(dates.dt.to_period(periods.freqstr)).agg(pick)
        found = by_period.reindex(periods)
        return pd.DatetimeIndex(found.fillna(pd.Series(periods.start_time, index=periods)))

    return {
        "first session": lambda periods: place(periods, "min"),
        "last session": lambda periods: place(periods, "max"),
    }


@dataclass(frozen=True)
class SessionDates:
    """One bar per session."""

    code: str  # the exchange's calendar code
    zone: Any  # time zone in which the bars carry the session's date; None for naive stamps
    clock: int  # time of day of the bars in nanoseconds

    def after(self, end: pd.Timestamp, n: int) -> pd.DatetimeIndex:
        """Return the stamps of the next ``n`` sessions."""
        wall_end = _wall(end, self.zone)
        sessions = load_sessions(self.code, wall_end // DAY * DAY, wall_end, at_least=n + 1)
        stamps = to_zone(pd.DatetimeIndex(sessions.dates + self.clock), self.zone)
        return first_after(_back(stamps, end), end, n)


@dataclass(frozen=True)
class SessionSlots:
    """The history's own times of day inside every session, early closes and late opens respected."""

    code: str  # the exchange's calendar code
    zone: Any  # the exchange's time zone where stamps have one; None for naive stamps
    offsets: NDArray[np.int64]  # int64 [slot] nanoseconds since midnight of the session's date
    middle: int  # nanoseconds from a bar's stamp to its middle: positive for stamps at the bar's start

    def after(self, end: pd.Timestamp, n: int) -> pd.DatetimeIndex:
        """Return the next ``n`` bar stamps inside sessions."""
        wall_end = _wall(end, self.zone)
        wanted = n // len(self.offsets) + 3
        while True:
            sessions = load_sessions(self.code, wall_end // DAY * DAY - DAY, wall_end, at_least=wanted)
            stamps = first_after(self._stamps(sessions, end), end, n)
            if len(stamps) == n:
                return stamps
            if wanted > 100 * (n + 10):
                raise DataError(
                    f"the sessions of {self.code} after {end} leave no room for the history's times of day",
                    expected="bars at times when the exchange is open",
                    fix="correct calendar or time zone, or leave the calendar out to infer it",
                )
            wanted *= 2  # early closes took bars away

    def _stamps(self, sessions: Sessions, end: pd.Timestamp) -> pd.DatetimeIndex:
        stamps = sessions.dates[:, None] + self.offsets  # [S, slot]
        middle = stamps + self.middle
        inside = (sessions.opens[:, None] <= middle) & (middle <= sessions.closes[:, None])
        return _back(to_zone(pd.DatetimeIndex(stamps[inside]), self.zone), end)


def _wall(end: pd.Timestamp, zone: Any) -> int:
    stamp = end if zone is None else end.tz_convert(zone)
    return int(stamp.tz_localize(None).as_unit("ns").value)


def _back(stamps: pd.DatetimeIndex, end: pd.Timestamp) -> pd.DatetimeIndex:
    return stamps if end.tzinfo is None else stamps.tz_convert(end.tzinfo)


def _year(nanos: int) -> int:
    return int(pd.Timestamp(nanos).year)


def _score(first_year: int, last_year: int) -> tuple[int, int]:
    """Widen years to whole scores (2000-2019): building a calendar costs the same for a year as for twenty."""
    return first_year // 20 * 20, last_year // 20 * 20 + 19


@lru_cache(maxsize=32)
def _schedule(code: str, first_year: int, last_year: int) -> tuple[Any, ...]:
    """Return (zone, last day known, dates, opens, closes) of whole years within the calendar's bounds."""
    import exchange_calendars

    _known_code(code, exchange_calendars.get_calendar_names(include_aliases=True))
    try:
        low, high = _bounds(code)
        start = _latest(pd.Timestamp(first_year, 1, 1), low)
        end = _earliest(pd.Timestamp(last_year, 12, 31), high)
        if start >= end:  # the history lies wholly outside what the calendar knows: its last known year
            start = end - pd.Timedelta(days=365)
        calendar = _build(code, start=start, end=end)
    except Exception as error:  # a calendar outside its years fails in a way of its own, e.g. XTAE
        raise DataError(
            f"the calendar {code} cannot be built from {first_year} to {last_year}: {_brief(error)}",
            expected="a calendar that exchange_calendars can build for the years of the history",
            fix="leave data.calendar out: the calendar is then inferred from the history's own stamps",
        ) from error
    schedule = calendar.schedule
    zone = calendar.tz
    local = (schedule[name].dt.tz_convert(zone).dt.tz_localize(None) for name in ("open", "close"))
    until = int(end.as_unit("ns").value)
    return (zone, until, nanoseconds(schedule.index), *(nanoseconds(pd.DatetimeIndex(wall)) for wall in local))


@lru_cache(maxsize=32)
def _bounds(code: str) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """Return the first and the last day that a calendar may have: one is built to be asked."""
    probe = _build(code)
    return probe.bound_min(), probe.bound_max()


def _brief(error: Exception) -> str:
    return str(error).split("[")[0].strip()[:160] or type(error).__name__


def _build(code: str, **span: pd.Timestamp) -> Any:
    import exchange_calendars

    with warnings.catch_warnings():
        # exchange_calendars 4.13 uses pandas in ways that 3.1 deprecates or calls slow; none of that is ours.
        warnings.simplefilter("ignore")
        return exchange_calendars.get_calendar(code, **span)


def _known_code(code: str, names: list[str]) -> None:
    if code in names:
        return
    close = near(code, names, most=3, cutoff=0.4)
    raise DataError(
        f"unknown calendar {code!r}" + (f"; nearest: {', '.join(close)}" if close else ""),
        expected="an exchange code such as XNYS, XLON or XTKS, or 24/7",
        fix="correct the calendar, or leave it out to infer the calendar from the history's own stamps",
    )


def _latest(stamp: pd.Timestamp, bound: pd.Timestamp | None) -> pd.Timestamp:
    return stamp if bound is None else max(stamp, bound)


def _earliest(stamp: pd.Timestamp, bound: pd.Timestamp | None) -> pd.Timestamp:
    return stamp if bound is None else min(stamp, bound)


def _continue(
    dates: NDArray[np.int64], opens: NDArray[np.int64], closes: NDArray[np.int64], until: int, reach: int
) -> tuple[NDArray[np.int64], ...]:
    """Append sessions on the calendar's usual weekdays and hours, without holidays, up to ``reach``."""
    recent = dates[dates > dates[-1] - 364 * DAY] // DAY
    later = np.arange(until // DAY + 1, reach // DAY + 1, dtype=np.int64)
    more = later[np.isin((later + 3) % 7, open_weekdays(recent))] * DAY
    open_at, close_at = commonest(opens - dates), commonest(closes - dates)
    return (
        np.concatenate([dates, more]),
        np.concatenate([opens, more + open_at]),
        np.concatenate([closes, more + close_at]),
    )
