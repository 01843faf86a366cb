"""From a data section to candles: a file, a built-in history, or a source's bars, cut where ``as_of`` says.

Owns which reader opens which place of a data section. Splits nothing: where a context ends is said elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from scenario_gen.errors import printable
from scenario_gen.market.candles import Candles
from scenario_gen.market.fetched import SourceBars, request_of, source_bars
from scenario_gen.market.load import load_candles
from scenario_gen.market.query import read_query
from scenario_gen.market.read import RawTable
from scenario_gen.market.section import PLACES, Data
from scenario_gen.market.sources import SOURCES
from scenario_gen.market.sources.base import Vendor
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.reading.section import section_of
from scenario_gen.reading.words import find_file


@dataclass(frozen=True)
class PlacedBars:
    """Bars as a place has them, before they are judged."""

    bars: RawTable | Path | str  # as ``load_candles`` takes them
    calendar: str | None = None  # what they keep to, where the place knows
    adjusted: bool | None = None  # whether they are to be adjusted; None: as the section says


Reader: TypeAlias = Callable[[Data, Path, Progress], PlacedBars]


def candles_of(data: Data, base: Path, progress: Progress | None = None) -> Candles:
    """Return all bars of a data section from ``start`` to ``as_of``; ``end`` splits them, and is not looked at here.

    Args:
        data: of a spec.
        base: the spec's folder, which files are relative to.
        progress: hears of bars that are fetched, or were kept.

    Raises:
        DataError: the bars cannot be had, or break the Candles contract.
    """
    place = next(place.key for place in PLACES if getattr(data, place.key) is not None)
    there = READERS[place](data, base, progress or SilentProgress())
    return load_candles(
        there.bars,
        name=data.name,
        calendar=data.calendar if data.calendar is not None else there.calendar,
        timezone=data.timezone,
        adjusted=data.adjusted if there.adjusted is None else there.adjusted,
        start=data.start,
        volume=data.volume,
        symbol=None if place == "source" else data.symbol,
        partial=data.partial,
        as_of=data.as_of,
        format=data.format,
    )


def fresh_candles_of(data: Data, base: Path, progress: Progress | None = None) -> Candles:
    """Return all bars of a data section as they are now: a source is asked even where bars of it are kept.

    Args:
        data: of a spec; files and queries are read anew, built-in histories are as they are.
        base: the spec's folder, which files are relative to.
        progress: hears of bars that are fetched.

    Raises:
        DataError: the bars cannot be had, or break the Candles contract; what was kept stays.
    """
    if data.source is not None and SOURCES[data.source].fetch is not None:
        source_bars(request_of(data, base), progress or SilentProgress(), refresh=True)
    return candles_of(data, base, progress)


def fetch(
    source: str, *, symbol: str | None = None, refresh: bool = False, progress: Progress | None = None, **fields: Any
) -> Candles:
    """Return the bars of a source as candles: kept ones where there are any, else asked for and kept.

    Args:
        source: yahoo, ccxt, stooq, alpaca, akshare, or a built-in history.
        symbol: in the source's own words: SPY, BTC/USDT, spy.us, 600519.
        refresh: ask the source even where bars are kept.
        progress: hears of pages, and of bars that were kept.
        fields: others of ``data`` in a spec: exchange, timeframe, start, end, as_of, adjusted, calendar, timezone,
            volume, name. Dates may be ISO text.

    Returns:
        Valid candles up to ``end``; :attr:`Candles.flags` says when they were fetched, by what, and their hash.

    Raises:
        SpecError: a field is wrong.
        DataError: the client is not installed, the source cannot be reached, or has no such bars.
    """
    given = {"source": source, "symbol": symbol, **fields}
    data = section_of(Data, {name: value for name, value in given.items() if value is not None}, "data")
    candles = (fresh_candles_of if refresh else candles_of)(data, Path(), progress)
    return candles if data.end is None else candles.split_at(pd.Timestamp(data.end))[0]


def _file(data: Data, base: Path, progress: Progress) -> PlacedBars:
    del progress
    return PlacedBars(find_file(str(data.file), base) or Path(str(data.file)))


def _source(data: Data, base: Path, progress: Progress) -> PlacedBars:
    source = SOURCES[str(data.source)]
    if source.fetch is None:
        return PlacedBars(source.name)
    return placed_bars(source_bars(request_of(data, base), progress), source, str(data.symbol))


def placed_bars(bars: SourceBars, source: Vendor, symbol: str) -> PlacedBars:
    """Return the bars of a source as they come to the door."""
    none = np.empty(0, dtype=np.int64)
    table = RawTable(bars.frame, bars.label, printable(symbol), bars.label, none, bars.notes)
    # Bars that were asked for adjusted are; a column of adjusted closes is read as that of a file is.
    return PlacedBars(table, source.calendar, False if source.adjusts == "request" else None)


def _query(data: Data, base: Path, progress: Progress) -> PlacedBars:
    del progress
    return PlacedBars(read_query(str(data.sql), base, data.folder, name=data.symbol or "query"))


# How each of ``section.PLACES`` is opened.
READERS: Mapping[str, Reader] = {"source": _source, "file": _file, "sql": _query}
