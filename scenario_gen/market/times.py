"""Stamps from whatever a column holds: dates, ISO text, slashes, epoch numbers.

Owns the reading of stamps and of time zones. Never guesses: a day and month that could be swapped are
refused.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.reading.words import FIRST_YEAR, LAST_YEAR, YEARS

Bound: TypeAlias = date | datetime | str  # a pandas Timestamp is a datetime
_OFFSET = re.compile(r"\d:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:Z|[+-]\d{2}(?::?\d{2})?)$|\dT\d{4,6}Z$", re.IGNORECASE)
_OFFSET_END = re.compile(r"(Z|[+-]\d{2}:?\d{0,2})$", re.IGNORECASE)
_ISO_BEGINS = re.compile(r"^\d{4}-\d{2}-\d{2}")
_SLASHED = re.compile(r"^(\d{1,2})([/.\-])(\d{1,2})[/.\-](\d{4})(.*)$")
_YEAR_FIRST = re.compile(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})")
_CLOCK_ONLY = re.compile(r"^\d{1,2}:\d{2}(:\d{2})?$")
_NAMED_MONTH = ("%b %d, %Y", "%d-%b-%Y", "%d %b %Y", "%B %d, %Y", "%d %B %Y")
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
# Epoch numbers by magnitude: each unit covers 1973 to 5138, so no number fits two of them.
_EPOCH_UNITS = (("s", 1e8), ("ms", 1e11), ("us", 1e14), ("ns", 1e17))
_ISO = "ISO dates: 2020-01-31, 2020-01-31 09:35 or 2020-01-31T09:35:00-05:00"


def parse_stamps(column: pd.Series, where: str) -> pd.DatetimeIndex:
    """Read a column of stamps; unreadable ones become NaT.

    Bars that stand at midnight on their own clock, no two on one date, are dates: they keep their own day and lose the
    offset, whatever it is and however often it changes (unless the clock is UTC throughout).

    Understood are datetime values, ISO 8601, 2020/01/31 and 2020.01.31, 31/01/2020 or 01/31/2020 when some
    row has a day above 12 and none contradicts it, month names, 20200131, and epoch numbers in seconds,
    milliseconds, microseconds or nanoseconds (which are UTC), each in the unit of its own size. Other stamps with
    offsets come back in that offset, or in UTC when the offsets differ; stamps without one stay naive.

    Raises:
        DataError: day and month cannot be told apart, or only some stamps have an offset, or times lack a
        date.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.dtype.categories.dtype)
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(column):
        return _nanoseconds(own_dates(pd.DatetimeIndex(column.array)))
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return _nanoseconds(_from_numbers(column, where))
    if _ISO_BEGINS.match(str(column.iloc[0])):
        with suppress(ValueError):  # nearly every file: one way of writing ISO throughout, read in one go
            return _nanoseconds(own_dates(pd.DatetimeIndex(pd.to_datetime(column.astype("str"), format="ISO8601"))))
    text = column.where(column.notna(), "").astype(str).str.strip()
    numbers = pd.to_numeric(text.where(text != ""), errors="coerce")
    if numbers.notna().any() and numbers.notna().sum() == (text != "").sum():
        return _nanoseconds(_from_numbers(numbers, where))
    return _nanoseconds(_from_text(text, where))


def to_timezone(stamps: pd.DatetimeIndex, timezone: str, where: str) -> tuple[pd.DatetimeIndex, str]:
    """Convert stamps to a time zone; return them with a note to show, which may be empty.

    Stamps without an offset are taken as UTC, and the note says so.

    Raises:
        DataError: the zone is unknown, or the stamps are dates without times of day, which no zone can move.
    """
    try:
        zone = pd.Timestamp("2000-01-01", tz=timezone).tz
    except (IndexError, KeyError, ValueError, OSError) as error:  # no name at all is an IndexError
        raise DataError(
            f"unknown time zone {timezone!r}",
            expected="an IANA name such as UTC, Europe/London or America/New_York",
            fix="correct data.timezone, or leave it out to keep the stamps as they are",
        ) from error
    if stamps.tz is not None:
        return own_dates(stamps.tz_convert(zone)), ""
    known = stamps[~stamps.isna()]
    if len(known) and bool((known == known.normalize()).all()):
        raise DataError(
            f"{where} has dates without times of day, which cannot be converted to {timezone}",
            expected="stamps with a time of day for data.timezone",
            fix="leave data.timezone out: a date is the exchange's own date",
        )
    note = f"stamps without an offset were taken as UTC and converted to {timezone}"
    return own_dates(stamps.tz_localize("UTC").tz_convert(zone)), note


def own_dates(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return midnights of a zone other than UTC as plain dates, where no date has two; other stamps as they are."""
    if stamps.tz is None or not len(stamps) or _is_utc(stamps):
        return stamps
    dates = _dates_of(stamps.tz_localize(None), stamps)
    return stamps if dates is None else dates


def _dates_of(wall: pd.DatetimeIndex, stamps: pd.DatetimeIndex) -> pd.DatetimeIndex | None:
    """Return the dates that midnights on their own clock stand for; None where they are none, or two share a date.

    Where the clock springs forward at midnight, as in Santiago, Havana or Cairo, that day begins as much later: its
    first moment counts as its midnight.

    Args:
        wall: stamps on their own clock, without a zone.
        stamps: the same moments, with a zone.
    """
    known = ~wall.isna()
    clock, days = wall[known], wall[known].normalize()
    if len(clock) < 2 or not days.is_unique:
        return None
    ahead = clock - stamps[known].tz_convert("UTC").tz_localize(None)  # of UTC
    sprung = np.diff(ahead.to_numpy(), prepend=ahead.to_numpy()[:1])
    late = (clock - days).to_numpy()
    if not ((late == np.timedelta64(0)) | (late == sprung)).all():
        return None
    return wall.normalize()


def _is_utc(stamps: pd.DatetimeIndex) -> bool:
    return bool(stamps.tz_localize(None).equals(stamps.tz_convert("UTC").tz_localize(None)))


def as_bound(value: Bound, stamps: pd.DatetimeIndex, *, is_end: bool) -> pd.Timestamp:
    """Return a start or end as a stamp comparable with the bars; a date as end means the whole of that day.

    Raises:
        DataError: the value is no date, or has a time zone where the bars have none.
    """
    stamp = pd.to_datetime(value, errors="coerce")
    if not isinstance(stamp, pd.Timestamp):
        raise DataError(f"{value!r} is no date", expected=_ISO, fix=f"correct data.{'end' if is_end else 'start'}")
    if not FIRST_YEAR <= stamp.year <= LAST_YEAR:
        raise DataError(f"{value} is no date of a bar", expected=YEARS, fix="name a date inside the history")
    if is_end and stamp == stamp.normalize():
        stamp = stamp.as_unit("ns") + pd.Timedelta(days=1) - pd.Timedelta(1, unit="ns")
    if stamps.tz is not None and stamp.tzinfo is None:
        return stamp.tz_localize(stamps.tz, ambiguous=is_end, nonexistent="shift_forward")
    if stamps.tz is None and stamp.tzinfo is not None:
        raise DataError(
            f"{value} has a time zone, but the bars' stamps have none",
            expected="a date or time without an offset, in the bars' own local time",
            fix="leave the offset out",
        )
    return stamp


def _nanoseconds(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    years = stamps.year
    outside = (years < FIRST_YEAR) | (years > LAST_YEAR)
    return stamps.where(~outside).as_unit("ns").rename(None)


def _from_numbers(column: pd.Series, where: str) -> pd.DatetimeIndex:
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    known = numbers[np.isfinite(numbers)]
    whole = pd.Series(np.where(np.isfinite(numbers), numbers, 0)).astype("int64").astype(str)
    width = int(whole.str.len().max()) if len(whole) else 0
    if width in _COMPACT and bool((known == np.floor(known)).all()):
        stamps = pd.to_datetime(whole, format=_COMPACT[width], errors="coerce")
        if stamps.notna().sum() == len(known):
            return pd.DatetimeIndex(stamps)
    units = epoch_units(column)
    spoken = units[units != ""]
    if not len(spoken):
        raise DataError(
            f"the stamps of {where} are numbers but no dates: {', '.join(f'{x:.15g}' for x in known[:3])}",
            expected=f"{_ISO}, or seconds or milliseconds since 1970",
            fix="write the stamps as ISO dates",
        )
    stamps = pd.Series(pd.NaT, index=range(len(column)), dtype="datetime64[ns, UTC]")
    for unit in np.unique(spoken):
        rows = np.flatnonzero(units == unit)
        stamps.iloc[rows] = _nanoseconds(_from_epoch(column.iloc[rows], str(unit)))
    return pd.DatetimeIndex(stamps)


def epoch_units(column: pd.Series) -> NDArray[np.str_]:
    """Return the unit of each epoch number, str [T]: s, ms, us or ns by its own size; "" where it is none of them.

    Each number speaks for itself: a vendor that went from milliseconds to microseconds left both in one file.
    """
    size = np.abs(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
    units = np.full(len(size), "", dtype="<U2")
    for unit, low in _EPOCH_UNITS:
        units[(size >= low) & (size < low * 1000)] = unit
    return units


def _from_epoch(column: pd.Series, unit: str) -> pd.DatetimeIndex:
    if pd.api.types.is_integer_dtype(column) and not column.isna().any():
        return pd.DatetimeIndex(pd.to_datetime(column.astype("int64"), unit=unit, utc=True, errors="coerce"))
    # Fractions of a second in floats: round to microseconds, which is what a float64 of today's epoch holds.
    scale = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}[unit]
    micros = (column.astype("float64") * scale).round()
    return pd.DatetimeIndex(pd.to_datetime(micros, unit="us", utc=True, errors="coerce"))


def _from_text(text: pd.Series, where: str) -> pd.DatetimeIndex:
    filled = text[text != ""]
    if len(filled) and filled.str.match(_CLOCK_ONLY).all():
        raise DataError(
            f"the stamps of {where} are times of day without a date: {filled.iloc[0]!r}",
            expected="a date with each time, in the same column or in a column called date beside it",
            fix="add the date column",
        )
    text = text.str.replace(_YEAR_FIRST, r"\1-\2-\3", regex=True)
    if filled.str.match(_SLASHED).any():
        text = _order_slashed(text, where)
    zoned = text[text != ""].str.contains(_OFFSET)
    if zoned.any() and not zoned.all():
        at = int(np.flatnonzero(~zoned.to_numpy())[0])
        raise DataError(
            f"only some stamps of {where} have an offset from UTC: {text[text != ''].iloc[at]!r} has none",
            expected="an offset on every stamp, or on none",
            fix="write all stamps in the same way",
        )
    if zoned.any():
        return _in_their_offset(text)
    stamps = _parse_iso(text, utc=False)
    for pattern in _NAMED_MONTH:
        if stamps.notna().any():
            break
        stamps = pd.to_datetime(text, format=pattern, errors="coerce")
    return pd.DatetimeIndex(stamps)


def _parse_iso(text: pd.Series, *, utc: bool) -> pd.Series:
    # One-digit months and days (2020-1-5) are no ISO dates but cannot be misread either.
    padded = text.str.replace(r"^(\d{4})-(\d)(?=-)", r"\1-0\2", regex=True)
    padded = padded.str.replace(r"^(\d{4}-\d{2})-(\d)(?!\d)", r"\1-0\2", regex=True)
    padded = padded.str.replace(r"^(\S+)\s+(\d):", r"\1 0\2:", regex=True)
    padded = padded.str.replace(r"^(\d{8})\s+(\d)", r"\1T\2", regex=True)
    return pd.to_datetime(padded, format="ISO8601", errors="coerce", utc=utc)


def _in_their_offset(text: pd.Series) -> pd.DatetimeIndex:
    stamps = pd.DatetimeIndex(_parse_iso(text, utc=True))
    offsets = text[text != ""].str.extract(_OFFSET_END)[0].str.upper().unique()
    if len(offsets) > 1:
        wall = pd.DatetimeIndex(_parse_iso(text.str.replace(_OFFSET_END, "", regex=True).str.strip(), utc=False))
        dates = _dates_of(wall, stamps)
        return stamps if dates is None else dates
    if not len(offsets) or offsets[0] == "Z":
        return stamps
    sign = -1 if offsets[0][0] == "-" else 1
    digits = offsets[0][1:].replace(":", "").ljust(4, "0")
    shift = sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return stamps if not shift else own_dates(stamps.tz_convert(_fixed(shift)))


def _fixed(shift: timedelta) -> Any:
    from datetime import timezone

    return timezone(shift)


def _order_slashed(text: pd.Series, where: str) -> pd.Series:
    """Rewrite 31/01/2020 as 2020-01-31 once some row shows which part is the day."""
    parts = text.str.extract(_SLASHED)
    first, second = (pd.to_numeric(parts[column]) for column in (0, 2))
    day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
    if day_first == month_first:
        at = int(np.flatnonzero(first.notna().to_numpy())[0])
        why = "some rows put the day first and others the month" if day_first else "no row has a day above 12"
        raise DataError(
            f"day and month of {where} cannot be told apart: {text.iloc[at]!r} in row {at + 1} ({why})",
            expected=_ISO,
            fix="write the stamps as ISO dates (year-month-day)",
        )
    day, month = (0, 2) if day_first else (2, 0)
    iso = parts[3] + "-" + parts[month].str.zfill(2) + "-" + parts[day].str.zfill(2) + parts[4]
    return text.where(first.isna(), iso)
