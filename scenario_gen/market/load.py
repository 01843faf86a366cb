"""load_candles: any usual source of bars in, valid Candles or one clear refusal out.

Owns the order of the steps. Files are read in ``read``, columns in ``columns``, stamps in ``times``, and the
contract is kept in ``rules``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.calendar import calendar_flags
from scenario_gen.market.candles import FIELDS, PRICE_FIELDS, Candles, Flag, row_list
from scenario_gen.market.columns import (
    ADJUSTED,
    TIME_NAMES,
    canonical,
    one_instrument,
    read_numbers,
    tidy_columns,
    translations,
    unused_columns,
)
from scenario_gen.market.containers import BUILT_IN
from scenario_gen.market.frequency import Spacing, long_gaps, nanoseconds, spacing, still_forming, wall_nanoseconds
from scenario_gen.market.inferred import clock_shifts
from scenario_gen.market.known import over_by
from scenario_gen.market.read import Frames, RawTable, read_source
from scenario_gen.market.rules import RawBars, judge, off_session_flags, suspicious_bars
from scenario_gen.market.section import moment_of
from scenario_gen.market.times import Bound, as_bound, epoch_units, parse_stamps, to_timezone

VolumePolicy = Literal["auto", "drop", "require"]
PartialPolicy = Literal["drop", "keep"]
QUANTITIES = ("volume", "amount")


def history_of(given: Candles | RawTable | pd.DataFrame | str | Path, calendar: str | None = None) -> Candles:
    """Return a history as candles: candles as they are, anything else loaded; with the calendar that is asked for.

    Raises:
        DataError: see :func:`load_candles`.
    """
    if not isinstance(given, Candles):
        return load_candles(given, calendar=calendar)
    return given if calendar is None else replace(given, calendar=calendar)


def load_candles(
    source: RawTable | pd.DataFrame | Frames | str | Path,
    *,
    name: str | None = None,
    calendar: str | None = None,
    timezone: str | None = None,
    adjusted: bool = False,
    start: Bound | None = None,
    end: Bound | None = None,
    volume: VolumePolicy = "auto",
    symbol: str | None = None,
    partial: PartialPolicy = "drop",
    as_of: Bound | None = None,
    format: str | None = None,  # noqa: A002
) -> Candles:
    """Load one instrument's history and check it.

    Columns may be in any case and order: a time column (date, time, timestamp, timestamps, datetime, or date and time
    side by side, or the frame's own index), open, high, low, close, and optionally volume, amount, Adj Close.

    Args:
        source: a data frame, frames or vectorbt data of several symbols, a table read from a file, "sp500", "nasdaq",
            or a file: .csv, .csv.gz, .txt, .zip of one text, .json, .json.gz, .feather, .parquet.
        name: what to call the instrument; default: the file's name.
        calendar: exchange code such as XNYS, or 24/7; "" infers one. Default: XNYS for built-in histories, else "".
        timezone: IANA zone to convert the stamps to. Stamps without an offset are then taken as UTC, which a
            flag says. Without it, naive stamps stay the exchange's local time.
        adjusted: scale prices by Adj Close / Close; volume is divided by it, which leaves the traded value as it was.
        start: first bar to keep; bars before it are not checked for prices.
        end: last bar to keep; a date means the whole of that day.
        volume: what to do with a column of volume or amount that some bars have no value in: ``auto`` leaves the
            column out, which a flag says (nothing is made up for those bars); ``require`` refuses the file;
            ``drop`` leaves volume and amount out of any file. A volume of zero on every bar is no volume.
        symbol: whose bars to take from a file that holds several instruments in a column (symbol, ticker, name ...).
        partial: ``drop`` leaves out a last bar that is still forming (stamped between two bars of the grid that all
            others keep to), which a flag says; ``keep`` takes it.
        as_of: leave out every bar that was not over then, as if nobody had seen it; a date means the end of that day.
            A stamp is taken for the beginning of its bar, so that nothing later comes through.
        format: how a file is written: metatrader, tradingview, binance, kraken, dukascopy, ibkr, lean, freqtrade,
            histdata, or ``plain`` for the names of its columns alone. Default: what the file shows, which a flag says.

    Returns:
        Valid candles, float64. Highs and lows off by float noise (1e-9 relative) are set to enclose open and close.

    Raises:
        DataError: the source cannot be read, or breaks the Candles contract.
    """
    table = read_source(source, format)
    bars, notes, order_note = _read_bars(table, symbol, timezone, partial)
    bars, as_of_note = _known(_cut(_without_empty_columns(bars), start, end), as_of)
    bars, volume_notes = _with_whole_columns(bars, volume)
    if adjusted:
        _require_adjusted(bars)
    judge(bars if adjusted else _without(bars, ADJUSTED))
    if calendar is None:
        calendar = "XNYS" if isinstance(source, str) and source in BUILT_IN else ""
    candles = _candles(bars, adjusted=adjusted)
    notes += order_note + as_of_note + volume_notes + _adjustment_note(bars, adjusted=adjusted)
    flags = (*notes, *_located((*_flags(candles, calendar), *calendar_flags(candles.timestamps, calendar)), bars))
    return replace(candles, name=name or table.name, source=_source(table, adjusted), calendar=calendar, flags=flags)


def _located(flags: Iterable[Flag], bars: RawBars) -> Iterator[Flag]:
    """Yield flags with the rows of the source that they stand in."""
    for flag in flags:
        yield replace(flag, source_rows=tuple(bars.rows[list(flag.rows)].tolist()))


def _read_bars(
    table: RawTable, symbol: str | None, timezone: str | None, partial: PartialPolicy
) -> tuple[RawBars, tuple[Flag, ...], tuple[Flag, ...]]:
    """Return the bars of one instrument, oldest first, with notes of how they were read and of their order."""
    frame = tidy_columns(table.frame, table.where, table.unread)
    rows = one_instrument(frame, symbol, table.where)
    bars, stamp_notes = _raw_bars(table, frame, rows, timezone)
    bars, order_note = _oldest_first(bars)
    bars, partial_note = _without_partial(bars, partial)
    return bars, _reading_notes(table, frame) + stamp_notes + partial_note, order_note


def _reading_notes(table: RawTable, frame: pd.DataFrame) -> tuple[Flag, ...]:
    """Say what was passed over in the file, and which columns of a vendor's names were read as which of ours."""
    read_as = [f"{old!r} as {new}" for old, new in translations(table.frame, frame)]
    notes = [*table.notes, *([f"columns read: {', '.join(read_as)}"] if read_as else [])]
    return tuple(Flag("file", note, ()) for note in notes)


def _raw_bars(
    table: RawTable, whole: pd.DataFrame, rows: NDArray[np.int64], timezone: str | None
) -> tuple[RawBars, tuple[Flag, ...]]:
    frame = whole.iloc[rows]
    times, used, notes = _time_column(frame, table.where)
    stamps = parse_stamps(times, table.where)
    notes += _unit_flag(times)
    if timezone is not None:
        stamps, note = to_timezone(stamps, timezone, table.where)
        notes += (Flag("time zone", note, ()),) if note else ()
    columns: dict[str, NDArray[np.float64]] = {}
    unreadable: list[tuple[str, int, str]] = []
    for field in (*FIELDS, ADJUSTED):
        if field in frame:
            columns[field], wrong = read_numbers(frame[field], field, table.where)
            unreadable += wrong
    unused = [*unused_columns(frame.columns, used), *map(canonical, table.unread)]
    if unused:
        notes += (Flag("unused columns", f"columns that were not read: {', '.join(unused[:20])}", ()),)
    text = times.astype(str).to_numpy(dtype=object)
    lines = table.lines[rows] if len(table.lines) else table.lines
    return RawBars(stamps, columns, table.where, rows + 1, lines, text, tuple(unreadable)), notes


def _unit_flag(times: pd.Series) -> tuple[Flag, ...]:
    """Say where epoch numbers change their unit: each was read in its own."""
    units = epoch_units(times) if pd.api.types.is_numeric_dtype(times) else np.empty(0, dtype=str)
    changes = np.flatnonzero(units[1:] != units[:-1]) + 1
    if not len(changes) or not units.all():
        return ()
    steps = ", ".join(f"{units[at]} from row {at + 1}" for at in changes[:3])
    return (Flag("stamps", f"epoch numbers in {units[0]}, {steps}: each was read in its own unit", ()),)


def _time_column(frame: pd.DataFrame, where: str) -> tuple[pd.Series, list[str], tuple[Flag, ...]]:
    """Return the stamps as a column, the names that they came from, and a note where there was a choice."""
    if not len(frame):
        raise DataError(f"{where} has no bars", expected="at least one bar", fix="export the bars again")
    found = [name for name in TIME_NAMES if name in frame]
    if isinstance(frame.index, pd.DatetimeIndex | pd.PeriodIndex):
        return frame.index.to_series(index=range(len(frame))), [], ()
    if not found and str(frame.index.name).strip().lower() in TIME_NAMES:
        return frame.index.to_series(index=range(len(frame))), [], ()
    if set(found) == {"date", "time"}:
        return _date_and_time(frame), found, ()
    if not found and frame.columns[0] in ("", "unnamed: 0", "index"):
        return (frame.iloc[:, 0], [frame.columns[0]], ())  # the index of a frame that pandas wrote without a name
    if not found:
        raise DataError(
            f"{where} has no time column; it has: {', '.join(map(repr, frame.columns[:20]))}",
            expected=f"one of {', '.join(sorted(TIME_NAMES))}, or a data frame with a DatetimeIndex",
            fix="rename the column that holds the stamps",
        )
    spare = ", ".join(found[1:])
    note = Flag("time column", f"stamps were read from {found[0]!r}; also there: {spare}", ())
    return frame[found[0]], found, (note,) if spare else ()


def _date_and_time(frame: pd.DataFrame) -> pd.Series:
    dates = frame["date"]
    if pd.api.types.is_datetime64_any_dtype(dates):
        dates = dates.dt.strftime("%Y-%m-%d")
    clock = frame["time"]
    if pd.api.types.is_numeric_dtype(clock) and bool(
        (clock.dropna() % 1 == 0).all()
    ):  # 93500 or 935: a clock that lost its leading zero
        width = 6 if clock.max() > 2359 else 4
        clock = clock.astype("Int64").astype(str).str.zfill(width)
        clock = clock.str.replace(r"^(\d\d)(\d\d)(\d\d)?$", r"\1:\2:\3", regex=True).str.rstrip(":")
    text = dates.astype(str).str.strip() + " " + clock.astype(str).str.strip()
    return text.where(dates.notna() & clock.notna(), "")


def _oldest_first(bars: RawBars) -> tuple[RawBars, tuple[Flag, ...]]:
    """Turn a file that is exactly newest first around; leave any other order to the rules."""
    if len(bars.stamps) < 2 or bool(bars.stamps.isna().any()):
        return bars, ()
    steps = np.diff(nanoseconds(bars.stamps))
    if not ((steps <= 0).all() and (steps < 0).any()):
        return bars, ()
    note = Flag("newest first", "the source has its newest bar first: its order was reversed", ())
    return bars.take(np.arange(len(bars.stamps), dtype=np.int64)[::-1]), (note,)


def _without_partial(bars: RawBars, policy: PartialPolicy) -> tuple[RawBars, tuple[Flag, ...]]:
    """Leave out a last bar that is still forming; told, and kept where the policy says so."""
    if policy not in get_args(PartialPolicy):
        expected = " or ".join(get_args(PartialPolicy))
        raise DataError(f"partial is {policy!r}", expected=expected, fix="correct data.partial")
    if policy == "keep" or bool(bars.stamps.isna().any()) or not still_forming(bars.stamps):
        return bars, ()
    message = (
        f"the last bar, {bars.stamps[-1].isoformat()}, was still forming and is left out (data.partial: keep takes it)"
    )
    return bars.take(np.arange(len(bars.stamps) - 1, dtype=np.int64)), (Flag("last bar", message, ()),)


def _cut(bars: RawBars, start: Bound | None, end: Bound | None) -> RawBars:
    """Keep the bars from ``start`` to ``end``; unreadable stamps stay for the rules to refuse."""
    if start is None and end is None:
        return bars
    keep = np.ones(len(bars.stamps), dtype=bool)
    if start is not None:
        keep &= ~np.asarray(bars.stamps < as_bound(start, bars.stamps, is_end=False))
    if end is not None:
        keep &= ~np.asarray(bars.stamps > as_bound(end, bars.stamps, is_end=True))
    if not keep.any():
        raise DataError(
            f"{bars.where} has no bars from {start or 'its start'} to {end or 'its end'}; it reaches from "
            f"{bars.stamps.min()} to {bars.stamps.max()}",
            expected="a start and an end inside the history",
            fix="correct data.start and data.end",
        )
    return bars.take(np.flatnonzero(keep))


def _known(bars: RawBars, as_of: Bound | None) -> tuple[RawBars, tuple[Flag, ...]]:
    """Keep the bars that were over at ``as_of``; stamps out of order stay for the rules to refuse."""
    if as_of is None or bool(bars.stamps.isna().any()) or not bars.stamps.is_monotonic_increasing:
        return bars, ()
    moment = moment_of(as_of)
    keep = over_by(bars.stamps, moment)
    if not keep.any():
        raise DataError(
            f"{bars.where} has no bar that was over at as_of {as_of}; its first is stamped {bars.stamps[0]}",
            expected="an as_of inside the history",
            fix="correct data.as_of",
        )
    note = Flag(
        "as of", f"nothing that was not known by {as_of} is used: bars that were not over then are left out", ()
    )
    return bars.take(np.flatnonzero(keep)), (note,)


def _without_empty_columns(bars: RawBars) -> RawBars:
    """Drop volume, amount or an adjusted close that has no value at all: the source does not know it."""
    written = {name for name, _, _ in bars.unreadable}
    empty = [n for n, v in bars.columns.items() if n not in (*PRICE_FIELDS, *written) and np.isnan(v).all()]
    return _without(bars, *empty)


def _with_whole_columns(bars: RawBars, policy: VolumePolicy) -> tuple[RawBars, tuple[Flag, ...]]:
    """Drop volume and amount where the policy says so; a value that is there and wrong stays for the rules."""
    if policy not in get_args(VolumePolicy):
        raise DataError(
            f"volume is {policy!r}", expected=" or ".join(get_args(VolumePolicy)), fix="correct data.volume"
        )
    if policy == "require":
        return bars, ()
    if policy == "drop":
        return _without(bars, *QUANTITIES), ()
    notes: tuple[Flag, ...] = ()
    for name in QUANTITIES:
        values = bars.columns.get(name)
        if values is not None and len(values) and (values == 0).all():
            message = f"zero on every bar, which is no {name}: the column is not used (data.volume: require keeps it)"
            notes += (Flag(f"{name} left out", message, ()),)
            bars = _without(bars, name)
        missing = _missing(bars, name)
        if len(missing):
            notes += (Flag(f"{name} left out", _hole_message(bars, name, missing), ()),)
            bars = _without(bars, name)
    return bars, notes


def _missing(bars: RawBars, name: str) -> NDArray[np.int64]:
    """Return the bars whose value is simply not there; none where the column has faults of another kind too."""
    values = bars.columns.get(name)
    if values is None or any(field == name for field, _, _ in bars.unreadable):
        return np.empty(0, dtype=np.int64)
    holes = np.isnan(values)
    others = np.isinf(values) | (values < 0)
    return np.flatnonzero(holes) if not others.any() else np.empty(0, dtype=np.int64)


def _hole_message(bars: RawBars, name: str, missing: NDArray[np.int64]) -> str:
    many = f"{len(missing):,} of {len(bars.stamps):,} bars have none ({row_list(tuple(bars.rows[missing].tolist()))})"
    after = int(missing[-1]) + 1
    early = after <= len(bars.stamps) // 2 and not bool(bars.stamps[after : after + 1].isna().any())
    start = f", start after them (data.start: {_moment(bars.stamps[after])})" if early else ""
    return (
        f"{many}, so the column {name} is not used: fill them in at the source{start}, or have such files refused "
        "with data.volume: require"
    )


def _moment(stamp: pd.Timestamp) -> str:
    return str(stamp.date()) if stamp == stamp.normalize() else stamp.isoformat()


def _without(bars: RawBars, *names: str) -> RawBars:
    return replace(bars, columns={name: values for name, values in bars.columns.items() if name not in names})


def _require_adjusted(bars: RawBars) -> None:
    if ADJUSTED not in bars.columns:
        raise DataError(
            f"adjusted prices were asked for, but {bars.where} has no column Adj Close",
            expected="a column Adj Close, adj_close or adjclose",
            fix="leave adjusted out, or download the bars with adjusted closes",
        )


def _candles(bars: RawBars, *, adjusted: bool) -> Candles:
    columns = {name: values for name, values in bars.columns.items() if name in FIELDS}
    if adjusted:
        factor = bars.columns[ADJUSTED] / columns["close"]
        columns |= {name: columns[name] * factor for name in PRICE_FIELDS}
        if "volume" in columns:
            columns["volume"] = columns["volume"] / factor
    # The rules let float noise pass; from here on high and low enclose open and close exactly.
    columns["high"] = np.max([columns[name] for name in PRICE_FIELDS], axis=0)
    columns["low"] = np.min([columns[name] for name in ("open", "low", "close")], axis=0)
    fields = tuple(name for name in FIELDS if name in columns)
    return Candles(bars.stamps, np.column_stack([columns[name] for name in fields]), fields)


def _flags(candles: Candles, calendar: str) -> tuple[Flag, ...]:
    if len(candles) < 2:
        return suspicious_bars(candles.frame(), None)
    gap = spacing(candles.timestamps)
    stamps = () if calendar else (*off_session_flags(candles.timestamps, gap), *_clock_flag(candles.timestamps, gap))
    return (*suspicious_bars(candles.frame(), gap), *stamps, *_gap_flag(candles, gap))


def _clock_flag(stamps: pd.DatetimeIndex, gap: Spacing) -> tuple[Flag, ...]:
    """Say where the sessions of a clock without summer time move by an hour: the zone of its exchange would not."""
    if gap.kind not in ("intraday", "daily") or stamps.tz is None:
        return ()
    shifts = clock_shifts(wall_nanoseconds(stamps), gap.step)
    rows = np.flatnonzero(np.diff(shifts) != 0) + 1
    message = (
        "from here on sessions begin an hour earlier or later, as those of an exchange with summer time do on another "
        "clock: paths keep the last week's hours; data.timezone or data.calendar gives them the exchange's own"
    )
    return (Flag("hours move", message, tuple(rows.tolist())),) if len(rows) else ()


def _gap_flag(candles: Candles, gap: Spacing) -> tuple[Flag, ...]:
    rows = long_gaps(candles.timestamps, gap)
    message = "much later than the bar before: are bars missing, or is a date mistyped?"
    return (Flag("long gap", message, tuple(rows.tolist())),) if len(rows) else ()


def _adjustment_note(bars: RawBars, *, adjusted: bool) -> tuple[Flag, ...]:
    if adjusted or ADJUSTED not in bars.columns:
        return ()
    if np.allclose(bars.columns[ADJUSTED], bars.columns["close"], rtol=1e-6, atol=0):
        return ()
    note = "prices are as traded; the source also has adjusted closes (adjusted: true uses them)"
    return (Flag("adjusted prices on offer", note, ()),)


def _source(table: RawTable, adjusted: bool) -> str:
    return f"{table.source}, adjusted prices" if adjusted else table.source
