"""Histories of several assets on common dates: what bars are matched by, which they share, when the next ones are.

Daily bars are matched by their date in each asset's own market, shorter ones by the moment, longer ones by the period.
``intersection`` keeps the bars that all assets have, stamped as those of the asset that has the fewest; an asset that
also trades when that one is closed, such as a coin beside a stock, has its bars added up to the bars of all. ``union``
leaves every asset its own bars.

Owns also what makes histories unfit to be coupled, and the search for closes of different hours. Knows no generator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, reduce
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.joint.section import FEWEST_COMMON, JointCalibration
from scenario_gen.market.calendar import BarCalendar, bar_keys
from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import DAY, LONG_GAP, nanoseconds
from scenario_gen.market.times import as_bound
from scenario_gen.market.together import Ints, Place, added_up, bar_size, comparable, taken, written_alike
from scenario_gen.stats.means import SeriesCorrelation, holm, mean_test

How = Literal["intersection", "union"]

WIDER = 1.15  # times the bars of the reference: markets differ by their holidays, at most 5 %; weekends add 40 %
SAME = 0.9999  # correlation of two histories that are one
LATEST = 2500  # common bars at most that closes are compared on
HAC = 2  # bars over which what a bar adds to a correlation may hang together
LEVEL = 0.01  # of false alarms in a book: that closes of one hour are called those of different hours


@dataclass(frozen=True)
class ApartCloses:
    """Two assets whose returns go together a bar apart, as those of markets that close hours apart."""

    before: str  # the asset whose bar is the earlier
    after: str
    same: float  # correlation of the log returns of bars of one stamp
    lagged: float  # of ``after`` with the bar of ``before`` that comes before
    interval: tuple[float, float]  # of that, 95 %

    @property
    def in_words(self) -> str:
        """Say what was seen and what it means."""
        low, high = self.interval
        return (
            f"returns of {self.after} go with those of {self.before} one bar earlier ({self.lagged:.2f}, 95 % "
            f"{low:.2f} to {high:.2f}) more than with those of the same bar ({self.same:.2f}), as where markets close "
            "hours apart: the correlation of the paths is understated"
        )


@dataclass(frozen=True, eq=False)
class Aligned:
    """Histories of a book's assets whose bars of one date, or moment, have one stamp."""

    parts: Mapping[str, Candles]  # asset to its bars
    rows: Mapping[str, Ints]  # where its bars at the common stamps are, int64 [common bar]
    own: Mapping[str, pd.DatetimeIndex]  # stamps of the bars that it came with, written as those of the reference
    codes: Mapping[str, str]  # calendar that it came with; empty where that is to be inferred
    calendar: How
    reference: str  # the asset with the fewest bars, as whose all bars are stamped
    notes: tuple[str, ...] = ()  # what was left out, added up or taken for granted

    @property
    def timestamps(self) -> pd.DatetimeIndex:
        """Stamps of the bars that all assets have [common bar]."""
        return self.parts[self.reference].timestamps[self.rows[self.reference]]

    @property
    def common(self) -> dict[str, Candles]:
        """Each asset's bars at the common stamps."""
        return {asset: taken(part, self.rows[asset]) for asset, part in self.parts.items()}

    @property
    def ends(self) -> pd.Timestamp:
        """The last stamp at which an asset has a bar."""
        return max(part.timestamps[-1] for part in self.parts.values())

    def split_at(self, end: date | None) -> tuple[Aligned, dict[str, Candles]]:
        """Return the histories up to a moment, a date being the whole day, and each asset's bars after it.

        None is the last bar of all: what an asset has after the last common bar is left out.

        Raises:
            DataError: an asset has no bar up to it.
        """
        if end is not None:
            return self._cut({asset: len(part.split_at(end)[0]) for asset, part in self.parts.items()})
        last = self.timestamps[-1]
        past, later = self.up_to(last)
        left = [f"{len(bars):,} of {asset}" for asset, bars in later.items() if len(bars)]
        note = (f"bars after the last that all assets have, {_day(last)}, are left out: {', '.join(left)}",)
        past = replace(past, notes=past.notes + note) if left else past
        return past, {asset: bars.rows(0, 0) for asset, bars in later.items()}

    def up_to(self, stamp: pd.Timestamp) -> tuple[Aligned, dict[str, Candles]]:
        """Return the histories up to a stamp, and each asset's bars after it."""
        return self._cut(
            {asset: int(part.timestamps.searchsorted(stamp, side="right")) for asset, part in self.parts.items()}
        )

    def _cut(self, stops: Mapping[str, int]) -> tuple[Aligned, dict[str, Candles]]:
        for asset, stop in stops.items():
            if not stop:
                raise DataError(
                    f"{asset} has no bar up to the end of the context; its first common one is at "
                    f"{_day(self.parts[asset].timestamps[0])}",
                    expected="an end of the context inside the history of every asset",
                    fix="move data.end to a later date",
                )
        past = {asset: part.rows(0, stops[asset]) for asset, part in self.parts.items()}
        rows = {asset: rows[rows < stops[asset]] for asset, rows in self.rows.items()}
        ends = max(part.timestamps[-1] for part in past.values())
        own = {asset: stamps[stamps <= ends] for asset, stamps in self.own.items()}
        later = {asset: part.rows(stops[asset], len(part)) for asset, part in self.parts.items()}
        return replace(self, parts=past, rows=rows, own=own), later

    # --- The bars that come next ---

    @cached_property
    def calendars(self) -> dict[str, BarCalendar]:
        """Each asset's calendar after the last bar: its own, or of the bars that all have."""
        each = {
            asset: replace(BarCalendar.infer(stamps, self.codes[asset]), end=self.ends)
            for asset, stamps in self.own.items()
        }
        if self.calendar == "union":
            return each
        mine, stamps = each.pop(self.reference), self.own[self.reference]
        beside = tuple(other for other in each.values() if not _alike(other.rule, mine.rule))
        among = int(np.sum(stamps >= self.timestamps[0]))
        shared = replace(mine, beside=beside, bars_per_year=mine.bars_per_year * len(self.timestamps) / among)
        return dict.fromkeys(self.parts, shared)

    def future(self, horizon: int) -> dict[str, pd.DatetimeIndex]:
        """Return the stamps of each asset's next bars: of the next ``horizon`` dates of the book.

        In an intersection all assets have the same; in a union each has those of the dates on which it is open.

        Raises:
            DataError: an asset has none, or the calendars share none.
        """
        if self.calendar == "intersection":
            return dict.fromkeys(self.parts, self.calendars[self.reference].future(horizon))
        each = {asset: calendar.future(horizon) for asset, calendar in self.calendars.items()}
        size = self.calendars[self.reference].frequency
        first = [self.reference, *(asset for asset in each if asset != self.reference)]
        every = {int(key): stamp for asset in reversed(first) for key, stamp in _keyed(each[asset], size)}
        last = sorted(every)[horizon - 1]
        futures = {
            asset: pd.DatetimeIndex([every[int(key)] for key, _ in _keyed(stamps, size) if key <= last])
            for asset, stamps in each.items()
        }
        if closed := [asset for asset, stamps in futures.items() if not len(stamps)]:
            raise DataError(
                f"{', '.join(closed)} has no bar within the next {horizon} dates on which an asset of the book is open",
                expected="a horizon in which every asset trades",
                fix="lengthen bars.horizon, or say joint: {calendar: intersection}",
            )
        return {asset: stamps.as_unit("ns") for asset, stamps in futures.items()}

    # --- Closes of different hours ---

    @cached_property
    def apart(self) -> tuple[ApartCloses, ...]:
        """Pairs of assets whose returns go together a bar apart, and more so than bar by bar.

        Of closes of one hour the correlation a bar apart is none, and its test, by the influence of each bar, is the
        one that is made: held down over all pairs by Holm, by chance in at most 1 % of books. Lagged correlations are
        the mark of closes of different hours (Burns, Engle and Mezrich 1998, "Correlations and volatilities of
        asynchronous data").
        """
        returns = {asset: np.diff(np.log(part.close))[-LATEST:] for asset, part in self.common.items()}
        tested = [_lagged(*pair, returns) for x, y in combinations(returns, 2) for pair in ((x, y), (y, x))]
        seen = [(apart, p) for apart, p in tested if not math.isnan(p)]
        adjusted = holm([p for _, p in seen])
        return tuple(
            apart
            for (apart, _), p in zip(seen, adjusted, strict=True)
            if p < LEVEL and abs(apart.lagged) > abs(apart.same)
        )


def _lagged(before: str, after: str, returns: Mapping[str, NDArray[np.float64]]) -> tuple[ApartCloses, float]:
    """Return the correlations of two assets a bar apart and in one bar, and the p that the first is none."""
    x, y = returns[before], returns[after]
    same, lagged = SeriesCorrelation.of(x[1:], y[1:]), SeriesCorrelation.of(x[:-1], y[1:])
    p = math.nan if math.isnan(same.value * lagged.value) else mean_test(lagged.influence + lagged.value, HAC).p
    return ApartCloses(before, after, same.value, lagged.value, lagged.interval(HAC)), p


def _alike(rule: Any, other: Any) -> bool:
    """Say whether two rules give the same stamps: plain values are compared, arrays too."""
    if type(rule) is not type(other):
        return False
    mine, theirs = vars(rule), vars(other)
    return all(np.array_equal(mine[key], theirs[key]) for key in mine)


def _keyed(stamps: pd.DatetimeIndex, frequency: str) -> Sequence[tuple[np.int64, pd.Timestamp]]:
    return list(zip(bar_keys(stamps, frequency), stamps, strict=True))


def _day(stamp: pd.Timestamp) -> str:
    return str(stamp.date()) if stamp == stamp.normalize() else stamp.isoformat()


# --- From histories as they were read to aligned ones ---


def align(histories: Mapping[str, Candles], calendar: How = "intersection", *, place: Place = str) -> Aligned:
    """Lay the histories of several assets on common dates.

    Args:
        histories: asset to its bars.
        calendar: ``intersection`` keeps the bars that all have, ``union`` every asset's own.
        place: says where an asset stands in a spec, and where all of them do for "".

    Raises:
        DataError: bars of different size, stamps that cannot be compared, or no date that all assets have.
    """
    size = bar_size(histories, place)
    stamps, notes = comparable(histories, size, place)
    keys = {asset: bar_keys(own, size) for asset, own in stamps.items()}
    common = reduce(np.intersect1d, keys.values())
    if not len(common):
        raise _no_overlap(histories, place)
    inside = {asset: int(np.sum((mine >= common[0]) & (mine <= common[-1]))) for asset, mine in keys.items()}
    reference = min(inside, key=lambda asset: inside[asset])
    own = written_alike(stamps, reference, histories[reference].timestamps, size)
    rows = {asset: np.flatnonzero(np.isin(mine, common)) for asset, mine in keys.items()}
    if calendar == "union":
        parts = {asset: replace(history, timestamps=own[asset]) for asset, history in histories.items()}
    else:
        parts, notes = {}, [*notes, *_before_all(histories, keys, common)]
        for asset, history in histories.items():
            wide = inside[asset] > WIDER * inside[reference]
            part = added_up(history, keys[asset], common) if wide else taken(history, rows[asset])
            stamped = own[reference][rows[reference]]
            parts[asset] = replace(part, timestamps=stamped, calendar=histories[reference].calendar)
            notes += _what_became(asset, inside[asset], len(common), reference, wide=wide)
        rows = dict.fromkeys(histories, np.arange(len(common)))
    notes += [*_longest_gap(own[reference][np.isin(keys[reference], common)]), *_without_volume(histories)]
    codes = {asset: history.calendar for asset, history in histories.items()}
    return Aligned(parts, rows, own, codes, calendar, reference, tuple(notes))


def _no_overlap(histories: Mapping[str, Candles], place: Place) -> DataError:
    spans = {asset: history.timestamps[[0, -1]] for asset, history in histories.items()}
    each = ", ".join(f"{asset} {_day(first)} to {_day(last)}" for asset, (first, last) in spans.items())
    apart = max(first.date() for first, _ in spans.values()) > min(last.date() for _, last in spans.values())
    why = "" if apart else "; these overlap, so their bars stand at other moments, such as 09:30 and 10:00"
    return DataError(
        f"{_at(place)}the assets have no date in common: {each}{why}",
        expected=f"at least {FEWEST_COMMON} bars that all assets have",
        fix="bring histories of one time whose bars stand at the same moments, or leave an asset out",
    )


def _at(place: Place) -> str:
    where = place("")
    return f"{where}: " if where else ""


def _what_became(asset: str, inside: int, common: int, reference: str, *, wide: bool) -> list[str]:
    """Say what became of the bars of an asset in the time that all share."""
    if inside == common:
        return []
    if wide:
        return [
            f"{asset} also trades when {reference} does not: its {inside:,} bars of the common time are added up to "
            f"{common:,}, so that a weekend's are part of Monday's"
        ]
    left = inside - common
    return [f"{left:,} of {inside:,} bars of {asset} in the common time are left out: not all assets have such bars"]


def _before_all(histories: Mapping[str, Candles], keys: Mapping[str, Ints], common: Ints) -> list[str]:
    early = {asset: int(np.sum(mine < common[0])) for asset, mine in keys.items()}
    counts = ", ".join(f"{count:,} of {asset}" for asset, count in early.items() if count)
    last = max(histories, key=lambda asset: histories[asset].timestamps[0].date())
    return [f"bars before the first that all assets have ({last} begins last) are left out: {counts}"] if counts else []


def _longest_gap(stamps: pd.DatetimeIndex) -> list[str]:
    gaps = np.diff(nanoseconds(stamps))
    if not len(gaps) or gaps.max() <= LONG_GAP * max(float(np.median(gaps)), DAY):
        return []
    at = int(np.argmax(gaps))
    return [f"the longest stretch without a bar that all assets have: {_day(stamps[at])} to {_day(stamps[at + 1])}"]


def _without_volume(histories: Mapping[str, Candles]) -> list[str]:
    without = [asset for asset, history in histories.items() if not history.has_volume]
    if not without or len(without) == len(histories):
        return []
    return [f"no volume in {', '.join(without)}: strategies of the book see volume only where all assets have it"]


# --- What cannot be coupled ---


def refuse_unfit(past: Aligned, context: int, place: Place = str) -> None:
    """Refuse histories, up to the end of the context, that are too short to be coupled or that are one.

    Args:
        past: up to the end of the context.
        context: bars that seed the generator.
        place: as in :func:`align`.

    Raises:
        DataError: with the assets and their numbers.
    """
    bars, names = len(past.timestamps), ", ".join(past.parts)
    span = f"from {_day(past.timestamps[0])} to {_day(past.timestamps[-1])}" if bars else "up to the context's end"
    if bars < FEWEST_COMMON:
        each = ", ".join(f"{asset} {len(past.own[asset]):,}" for asset in past.parts)
        raise DataError(
            f"{_at(place)}{names} have {bars} bars in common {span}, of {each}",
            expected=f"at least {FEWEST_COMMON}: fewer show no dependence",
            fix="bring longer histories of one time, or leave out the asset that is short",
        )
    if past.calendar == "intersection" and bars < context:
        raise DataError(
            f"{_at(place)}{names} have {bars} bars in common {span}, but the context needs {context}",
            expected=f"a context of at most {bars} bars",
            fix="shorten bars.context, move data.end to a later date, or bring longer histories",
        )
    returns = {asset: np.diff(np.log(part.close)) for asset, part in past.common.items()}
    moved = [asset for asset, steps in returns.items() if np.ptp(steps) > 0]
    for first, other in combinations(moved, 2):
        if (alike := float(np.corrcoef(returns[first], returns[other])[0, 1])) > SAME:
            raise DataError(
                f"{place(other)}: '{other}' has the history of '{first}': their returns over {bars:,} common bars "
                f"have a correlation of {alike:.6f}",
                expected="assets that are not one",
                fix="leave one of them out, or correct its file or symbol",
            )


# --- Which bars dependence is read from ---


@dataclass(frozen=True, eq=False)
class CalibrationBars:
    """The common bars that dependence is read from."""

    rows: Ints  # into the common bars, int64 [bar]: ``aligned.common[asset]``, or ``aligned.rows[asset][rows]``
    note: str = ""  # what differs from what was asked for


def calibration_rows(
    past: Aligned, asked: JointCalibration, crisis: tuple[str, str] | None = None, place: Place = str
) -> CalibrationBars:
    """Return the common bars that the dependence is to be read from.

    The last ``bars``, those between two dates, or those of a crisis. A crisis is shorter than the 250 bars that show a
    dependence, so it is widened by bars before and after it, as many on both sides, and a note says so.

    Args:
        past: histories up to the end of the context.
        asked: of the spec.
        crisis: ISO dates of the last bar before the crisis and of its last bar, where the spec names one.
        place: says where ``start``, ``end`` or ``crisis`` stands in a spec.

    Raises:
        DataError: fewer than 250 common bars between the dates, or a crisis that is not over by the end of the context.
    """
    stamps = past.timestamps
    if crisis is not None:
        return _in_crisis(past, str(asked.crisis), crisis, place)
    end = stamps[-1] if asked.end is None else as_bound(asked.end, stamps, is_end=True)
    stop = int(stamps.searchsorted(end, side="right"))
    first = max(0, stop - asked.bars)
    if asked.start is not None:
        first = int(stamps.searchsorted(as_bound(asked.start, stamps, is_end=False), side="left"))
    if stop - first < FEWEST_COMMON:
        key = "start" if asked.start is not None else "end"
        raise DataError(
            f"{place(key)}: {max(0, stop - first)} bars of {', '.join(past.parts)} from {asked.start or 'the first'} "
            f"to {asked.end or 'the last'}, of {len(stamps):,} in common up to {_day(stamps[-1])}",
            expected=f"at least {FEWEST_COMMON}: fewer show no dependence",
            fix="move joint.calibrate.start or end apart, or leave them out",
        )
    return CalibrationBars(np.arange(first, stop))


def _in_crisis(past: Aligned, name: str, dates: tuple[str, str], place: Place) -> CalibrationBars:
    stamps = past.timestamps
    start, stop = (int(stamps.searchsorted(as_bound(day, stamps, is_end=True), side="right")) for day in dates)
    days = [stamp.date().isoformat() for stamp in stamps[[0, -1]]]
    if not days[0] <= dates[0] or not dates[1] <= days[1] or stop <= start:
        raise DataError(
            f"{place('crisis')}: the crisis {name} ({dates[0]} to {dates[1]}) does not lie inside the {len(stamps):,} "
            f"common bars of {', '.join(past.parts)} before the end of the context, {days[0]} to {days[1]}",
            expected="a crisis that is over by then",
            fix="name another crisis, move data.end to a later date, or bring longer histories",
        )
    if stop - start >= FEWEST_COMMON:
        return CalibrationBars(np.arange(start, stop))
    first = min(max(0, (start + stop - FEWEST_COMMON) // 2), len(stamps) - FEWEST_COMMON)
    rows = np.arange(first, first + FEWEST_COMMON)
    return CalibrationBars(
        rows,
        f"the crisis {name} has {stop - start} common bars, too few to show a dependence: read from {FEWEST_COMMON} "
        f"around it, {_day(stamps[rows[0]])} to {_day(stamps[rows[-1]])}",
    )
