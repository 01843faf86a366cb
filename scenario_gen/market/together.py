"""Bars of several histories on one clock: stamps that mean the same, bars that are taken, bars that are added up.

Daily bars are told by their date in their own market, longer ones by their period, shorter ones by the moment. Knows no
coupling and no spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.calendar import ALWAYS_OPEN, bar_keys, session_dates
from scenario_gen.market.candles import Candles, Flag
from scenario_gen.market.exchange import load_sessions
from scenario_gen.market.frequency import DAY, commonest, nanoseconds, spacing, to_zone, wall_nanoseconds
from scenario_gen.market.inferred import PERIODS_PER_YEAR

Ints = NDArray[np.int64]
Place = Callable[[str], str]  # where an asset stands in a spec, in words
TOGETHER = {"high": np.maximum, "low": np.minimum}  # of several bars in one; volume and amount add up
Stamps = Mapping[str, pd.DatetimeIndex]  # asset to the stamps of its bars


def bar_size(histories: Mapping[str, Candles], place: Place) -> str:
    """Return how far apart the bars of all assets stand: "daily", "1h".

    Raises:
        DataError: bars of different size; the message says which asset's are odd.
    """
    sizes = {asset: spacing(history.timestamps).label for asset, history in histories.items()}
    labels = [*sizes.values()]
    usual = max(labels, key=labels.count)
    if odd := [asset for asset, size in sizes.items() if size != usual]:
        each = ", ".join(f"{asset} {size}" for asset, size in sizes.items())
        raise DataError(
            f"{place(odd[0])}: bars of different size in one book: {each}",
            expected="bars of one size in all assets",
            fix=f"bring {usual} bars of {', '.join(odd)}, or leave {'it' if len(odd) == 1 else 'them'} out",
        )
    return usual


def comparable(histories: Mapping[str, Candles], size: str, place: Place) -> tuple[Stamps, list[str]]:
    """Return stamps whose keys mean the same in all assets, and what was taken for granted.

    Dates of each market without a zone for daily and longer bars, else moments: stamps without a zone are on the clock
    of their exchange, where a calendar names one.

    Raises:
        DataError: moments of some assets only, or two bars of one date.
    """
    stamps: Stamps
    notes: list[str] = []
    if size == "daily":
        stamps = {asset: session_dates(history.timestamps, history.calendar) for asset, history in histories.items()}
    elif size in PERIODS_PER_YEAR:
        stamps = {asset: history.timestamps.tz_localize(None) for asset, history in histories.items()}
    else:
        stamps, notes = _moments(histories, place)
    for asset, own in stamps.items():
        if len(wrong := np.flatnonzero(np.diff(bar_keys(own, size)) <= 0)):
            raise DataError(
                f"{place(asset)}: {len(wrong):,} {size} bars share their date or moment with the bar before, the first "
                f"at {histories[asset].timestamps[wrong[0] + 1]}",
                expected="one bar of each date, period or moment of the asset's market",
                fix="name the asset's calendar or timezone, so that its bars have their own dates",
            )
    return stamps, notes


def _moments(histories: Mapping[str, Candles], place: Place) -> tuple[Stamps, list[str]]:
    zones = {asset: _zone(history) for asset, history in histories.items()}
    without = [asset for asset, zone in zones.items() if zone is None]
    if len(without) == len(zones):
        note = f"stamps of {', '.join(without)} have no time zone and are taken as of one clock"
        return {asset: history.timestamps for asset, history in histories.items()}, [note]
    if without:
        raise DataError(
            f"{place(without[0])}: the stamps of {', '.join(without)} have no time zone and no exchange that has one, "
            f"and those of {', '.join(asset for asset in zones if asset not in without)} have",
            expected="stamps that say which moment they are, in all assets or in none",
            fix=f"give {without[0]} a calendar (XNYS, 24/7, ...) or a timezone",
        )
    return {
        asset: history.timestamps if history.timestamps.tz is not None else to_zone(history.timestamps, zones[asset])
        for asset, history in histories.items()
    }, []


def _zone(history: Candles) -> Any:
    """Return the zone of a history's stamps: that of its exchange where they have none; None where nothing says one."""
    if history.timestamps.tz is not None or not history.calendar:
        return history.timestamps.tz
    if history.calendar == ALWAYS_OPEN:
        return "UTC"
    first, last = (int(stamp) for stamp in nanoseconds(history.timestamps[[0, -1]]))
    return load_sessions(history.calendar, first - 9 * DAY, last + DAY).zone


def written_alike(stamps: Stamps, reference: str, as_read: pd.DatetimeIndex, size: str) -> Stamps:
    """Return comparable stamps as the reference writes its own: its very stamps at dates that it has.

    Args:
        stamps: comparable ones.
        reference: the asset.
        as_read: its stamps as they came.
        size: of the bars.
    """
    if size != "daily" and size not in PERIODS_PER_YEAR:
        zone = stamps[reference].tz
        return {asset: own if zone is None else own.tz_convert(zone) for asset, own in stamps.items()}
    known = bar_keys(stamps[reference], size)
    clock = commonest(wall_nanoseconds(as_read)[-20:] % DAY)

    def written(own: pd.DatetimeIndex) -> pd.DatetimeIndex:
        keys = bar_keys(own, size)
        places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        built = to_zone(pd.DatetimeIndex(keys + clock), as_read.tz)
        return pd.DatetimeIndex(built.where(known[places] != keys, as_read[places])).as_unit("ns")

    return {asset: written(own) for asset, own in stamps.items()}


def taken(history: Candles, rows: Ints) -> Candles:
    """Return some bars of a history, with their flags."""
    if len(rows) == len(history):
        return history
    places = np.full(len(history), -1)
    places[rows] = np.arange(len(rows))
    stamps, values = history.timestamps[rows], history.values[rows]
    return replace(history, timestamps=stamps, values=values, flags=_moved(history.flags, places))


def added_up(history: Candles, keys: Ints, common: Ints) -> Candles:
    """Return one bar per common key: of all bars after the common key before it, and up to it.

    The first is of its own bar alone. Opens with the first of them, closes with the last; volumes add up.

    Args:
        history: the bars.
        keys: what they are matched by [bar]; has every common one.
        common: keys of the bars to return.
    """
    places = np.searchsorted(common, keys, side="left")
    places[(places == len(common)) | (keys < common[0])] = -1
    rows = np.flatnonzero(places >= 0)
    starts = np.flatnonzero(np.diff(places[rows], prepend=-1) > 0)
    last = np.append(starts[1:], len(rows)) - 1
    bars = history.values[rows]
    columns = []
    for name, column in zip(history.fields, bars.T, strict=True):
        if name in ("open", "close"):
            columns.append(column[starts if name == "open" else last])
        else:
            columns.append(TOGETHER.get(name, np.add).reduceat(column, starts))
    return replace(
        history,
        timestamps=history.timestamps[rows[last]],
        values=np.stack(columns, axis=1),
        flags=_moved(history.flags, places),
    )


def _moved(flags: Sequence[Flag], places: Ints) -> tuple[Flag, ...]:
    """Return the flags of bars that went to other places; -1 is none."""
    moved = []
    for flag in flags:
        kept = [at for at, row in enumerate(flag.rows) if places[row] >= 0]
        rows = tuple(int(places[flag.rows[at]]) for at in kept)
        source = tuple(flag.source_rows[at] for at in kept) if flag.source_rows else ()
        if rows or not flag.rows:
            moved.append(replace(flag, rows=rows, source_rows=source))
    return tuple(moved)
