"""Bars of a source: those that are kept, or asked for and kept; never one that was not over, or came after ``as_of``.

Owns what happens between a vendor's answer and the door at which all bars are judged. Knows no vendor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from scenario_gen.errors import DataError
from scenario_gen.market.kept import KeptBars, KeptPages, keep, kept_of, read_bars
from scenario_gen.market.known import over_by
from scenario_gen.market.section import Data
from scenario_gen.market.sources import SOURCES
from scenario_gen.market.sources.asking import empty
from scenario_gen.market.sources.base import Fetched, Request, Vendor
from scenario_gen.market.sources.qlib import timeframe_of
from scenario_gen.progress import Progress

PRICES = ("open", "high", "low", "close")
COLUMNS = ("timestamps", *PRICES, "adj close", "volume", "amount")
STALE = 30  # days without a bar at the end that are worth a word
OWN_FIELDS = ("symbol", "exchange", "timeframe")  # of a request that are not ``more``


@dataclass(frozen=True)
class SourceBars:
    """Bars of a source, and what is known of them."""

    frame: pd.DataFrame  # columns of COLUMNS
    label: str  # where they came from, for a report
    notes: tuple[str, ...]
    kept: KeptBars | None  # None of a source whose bars are on this machine
    asked: bool  # whether the source was asked now


def request_of(data: Data, base: Path = Path()) -> Request:
    """Return what a data section asks of its source."""
    source = SOURCES[str(data.source)]
    more = {name: getattr(data, name) for name in source.fields if name not in OWN_FIELDS}
    return Request(
        source.name,
        symbol=data.symbol or "",
        exchange=data.exchange or "",
        timeframe=data.timeframe or timeframe_of(data.freq or "day"),
        start=data.start,
        as_of=data.as_of,
        adjusted=data.adjusted and source.adjusts == "request",
        more=more,
        base=base,
    )


def source_bars(request: Request, progress: Progress, *, refresh: bool = False) -> SourceBars:
    """Return the bars of a request: the kept ones where there are any, else asked for and kept.

    Args:
        request: to a source that is no built-in history.
        progress: hears which it was.
        refresh: ask even where bars are kept; these stay where the answer is none.

    Raises:
        DataError: the source's client is not installed, it cannot be reached, or has no such bars.
        StoreError: the disk refuses.
    """
    source, now = SOURCES[request.source], datetime.now(UTC)
    _check_as_of(request, now)
    note = kept_of(request) if source.kept and not refresh else None
    if note is not None:
        progress.note(f"{request}: {note.words()}, used as they are (scenario-gen fetch --refresh asks again)")
        return SourceBars(read_bars(note), _label(request, source), (*note.notes, note.words()), note, asked=False)
    pages = KeptPages(request)
    if source.fetch is None:
        raise ValueError(f"{source.name} is built in")
    fetched = finished(source.fetch(request, pages, progress), source, request, now)
    label = _label(request, source)
    if not source.kept:
        return SourceBars(fetched.frame, label, fetched.notes, None, asked=True)
    note = keep(request, fetched, now)
    pages.clear()
    progress.note(f"{request}: {note.words()}")
    return SourceBars(fetched.frame, label, (*note.notes, note.words()), note, asked=True)


def finished(fetched: Fetched, source: Vendor, request: Request, now: datetime) -> Fetched:
    """Return what a source answered with our names, each bar once, over, and known at ``as_of``; notes say the rest.

    Raises:
        DataError: the answer lacks a column of bars, or nothing is left of it.
    """
    frame = fetched.frame.rename(columns=lambda name: str(name).strip().lower())
    lacking = [name for name in ("timestamps", *PRICES) if name not in frame]
    if lacking:
        raise DataError(
            f"{request}: {source.title} answers without {', '.join(lacking)}; it has {', '.join(frame.columns[:10])}",
            expected="bars",
            fix=f"bring the client up to date: pip install -U {source.client}" if source.client else "try again later",
        )
    frame = frame[[name for name in COLUMNS if name in frame]]
    rows, notes = len(frame), []
    frame = frame.drop_duplicates().sort_values("timestamps", kind="stable", ignore_index=True)
    if len(frame) < rows:
        notes.append(f"{rows - len(frame)} bars came twice from {source.title}, and are there once")
    stamps = pd.DatetimeIndex(frame["timestamps"])
    over = _over(stamps, source, request, now)
    if len(over) and over[-1] and frame[list(PRICES)].iloc[-1].isna().any():
        over[-1] = False
    if not over.all():
        notes.append("the last bar was still forming when it was asked for, and is left out")
    if request.as_of is not None:
        over &= over_by(stamps, request.as_of, request.timeframe)
    frame = frame[over].reset_index(drop=True)
    if not len(frame):
        raise empty(source, request)
    if request.start is not None and (late := _late(frame["timestamps"].iloc[0], request.start)):
        notes.append(late)
    moment = pd.Timestamp(request.last_moment()).tz_localize(None)
    last = frame["timestamps"].iloc[-1].tz_localize(None)
    if (moment - last).days > max(STALE, 3 * request.minutes() // 1440):
        notes.append(f"the source's bars end on {last.date()}")
    return replace(fetched, frame=frame, notes=(*fetched.notes, *notes))


def _over(stamps: pd.DatetimeIndex, source: Vendor, request: Request, now: datetime) -> np.ndarray:
    """Say which bars were over when they were asked for, bool [T]; a day is over by the exchange's clock."""
    clock = pd.Timestamp(now)
    moment = clock.tz_convert(source.zone).tz_localize(None) if stamps.tz is None else clock
    return over_by(stamps, moment, request.timeframe)


def _late(first: pd.Timestamp, start: date | datetime) -> str:
    day = start.date() if isinstance(start, datetime) else start
    if (first.date() - day).days <= 7:
        return ""
    return f"the source's bars begin on {first.date()}, later than the start {day} that was asked for"


def _check_as_of(request: Request, now: datetime) -> None:
    as_of = request.as_of
    if as_of is None:
        return
    day = as_of.date() if isinstance(as_of, datetime) else as_of
    if day > now.date():
        raise DataError(
            f"as_of is {as_of}, and that is not over yet",
            expected="a day that is over, so that all that was known then is kept",
            fix=f"correct data.as_of: {now.date()} at the latest",
        )


def _label(request: Request, source: Vendor) -> str:
    of = f"{request.exchange} (ccxt)" if request.exchange else source.title
    adjusted = ", adjusted by the source" if request.adjusted else ""
    return f"{of}: {request.symbol} {request.timeframe}{adjusted}"
