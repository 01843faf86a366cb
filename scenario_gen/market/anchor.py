"""Given paths put back behind the history that they continue: which bar each context ends with.

Owns contexts and anchors of paths that came from outside. Compares nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from scenario_gen.errors import CheckError, DataError
from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import DAY, LONG_GAP, frequency, nanoseconds, spacing
from scenario_gen.market.path_tables import PathTable
from scenario_gen.market.paths import PathSet

FEWEST_STAMPS = 10  # fewer can all stand around one long weekend, and show no frequency
OTHER_UNIT = 2.0  # ratio of first opens and anchor beyond which they are no prices of one instrument
SAME_PRICE = 1e-5  # relative; a float32 anchor of the same close


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Paths with the same stamps, and the history before them."""

    paths: PathSet  # the paths, with their anchor close
    end: int  # number of the reference's bars before them


@dataclass(frozen=True, eq=False)
class Anchored:
    """All given paths, by context."""

    ensembles: list[Ensemble]  # one per context, in the order of time; all have one horizon and the same fields
    end: int  # number of bars of the reference that the paths are compared with: none is later than the context's end
    notes: list[str]  # what a reader must know of how paths and history fit
    later: str = ""  # which later bars of the reference windows are not cut from, in words; "" where there are none

    @property
    def contexts(self) -> int:
        """Number of contexts."""
        return len({ensemble.end for ensemble in self.ensembles})

    def __len__(self) -> int:
        return sum(len(ensemble.paths) for ensemble in self.ensembles)


def anchored(given: PathTable | Sequence[PathSet], reference: Candles, context_end: str | None, where: str) -> Anchored:
    """Find where every path sets out.

    A path's context ends with the last bar of the reference before its first stamp. Where all paths have one context,
    ``context_end`` may name an earlier end. The reference is cut at ``context_end``, or where the last context ends.

    Raises:
        CheckError: paths that begin before the reference or not after ``context_end``, have bars of another length,
            differ in horizon or fields, or are priced in another unit.
        DataError: ``context_end`` is no date.
    """
    groups = _sets_of(given) if isinstance(given, PathTable) else list(given)
    _refuse_mixed(groups, where)
    groups = [_in_zone(group, reference, where) for group in groups]
    _refuse_frequency(groups, reference, where)
    stamps = nanoseconds(reference.timestamps)
    ends = [int(np.searchsorted(stamps, _first(group))) for group in groups]
    cut = max(ends) if context_end is None else _bars_until(reference, context_end)
    if len(set(ends)) == 1 and context_end is not None:
        _refuse_overlap(groups[0], cut, ends[0], context_end)
        ends = [cut] * len(ends)
    if min(*ends, cut) < 1:
        raise _before_history(groups[int(np.argmin(ends))], reference, context_end)
    anchors = isinstance(given, PathTable)
    ensembles = [
        Ensemble(replace(group, anchor_close=float(reference.close[end - 1])) if anchors else group, end)
        for group, end in sorted(zip(groups, ends, strict=True), key=lambda pair: (pair[1], _first(pair[0])))
    ]
    _refuse_old_history(ensembles, reference)
    _refuse_other_unit(ensembles, reference, where)
    told = given.notes if isinstance(given, PathTable) else ()
    notes = [*told, *_notes(ensembles, reference)]
    return Anchored(ensembles, cut, notes, _later(ensembles, cut, reference))


def _bars_until(reference: Candles, context_end: str) -> int:
    try:
        return len(reference.split_at(context_end)[0])
    except DataError as error:  # in the words of this command, not of a spec
        raise DataError(
            error.problem, expected=error.expected, fix="correct the context's end (--context-end)"
        ) from None


def _sets_of(table: PathTable) -> list[PathSet]:
    """Return the paths of one table as path sets, those with the same stamps together."""
    same, members = np.unique(table.stamps, axis=0, return_inverse=True)
    order = np.argsort(members.ravel(), kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(members.ravel()))[:-1])
    return [
        PathSet(
            table.values[part],
            table.fields,
            _index(stamps, table),
            table.path_ids[part],
            1.0,
            weights=None if table.weights is None else table.weights[part],
        )
        for stamps, part in zip(same, rows, strict=True)
    ]


def _index(stamps: np.ndarray, table: PathTable) -> pd.DatetimeIndex:
    if table.zone is None:
        return pd.DatetimeIndex(stamps)
    return pd.DatetimeIndex(stamps, tz="UTC").tz_convert(table.zone)


def _refuse_mixed(groups: Sequence[PathSet], where: str) -> None:
    for what, found in (
        ("horizons", {group.horizon for group in groups}),
        ("fields", {group.fields for group in groups}),
    ):
        if len(found) > 1:
            raise CheckError(
                f"the paths of {where} have different {what}: {', '.join(map(str, sorted(found)))}",
                expected=f"the same {what} on every path",
                fix="check them one by one",
            )
    if not groups or not groups[0].horizon:
        raise CheckError(f"{where} holds no paths", expected="at least 20 paths of at least one bar")


def _in_zone(paths: PathSet, reference: Candles, where: str) -> PathSet:
    """Return the paths with stamps in the reference's time zone."""
    ours, theirs = paths.timestamps.tz, reference.timestamps.tz
    if (ours is None) != (theirs is None):
        named, other = (where, reference.name) if ours is not None else (reference.name, where)
        raise CheckError(
            f"the stamps of {named} have a time zone, those of {other} have none",
            expected="both with a time zone, or both without",
            fix="write both in the same way, e.g. as the exchange's local time",
        )
    return paths if ours is None else replace(paths, timestamps=paths.timestamps.tz_convert(theirs))


def _refuse_frequency(groups: Iterable[PathSet], reference: Candles, where: str) -> None:
    wanted = frequency(reference.timestamps)
    for group in groups:
        if group.horizon >= FEWEST_STAMPS and (found := frequency(group.timestamps)) != wanted:
            raise CheckError(
                f"{where} has {found} bars, the reference {reference.name} has {wanted} bars",
                expected="paths and reference with bars of the same length",
                fix="give the history that the paths continue, at their own frequency",
            )


def _refuse_overlap(paths: PathSet, cut: int, natural: int, context_end: str) -> None:
    if cut > natural:
        raise CheckError(
            f"the paths begin at {moment(paths.timestamps[0])}, which is not after the context's end {context_end}",
            expected="paths that begin after the context's end",
            fix="correct --context-end, or leave it out: the bar before the paths' first stamp is then the end",
        )


def _before_history(paths: PathSet, reference: Candles, context_end: str | None) -> CheckError:
    asked = "" if context_end is None else f" up to {context_end}"
    return CheckError(
        f"the reference {reference.name} begins at {moment(reference.timestamps[0])} and holds no bar{asked} "
        f"before paths that begin at {moment(paths.timestamps[0])}",
        expected="a history that reaches to the bar before the paths",
        fix="bring the history that the paths continue, or correct the stamps and --context-end",
    )


def _refuse_old_history(ensembles: Sequence[Ensemble], reference: Candles) -> None:
    """Refuse paths that begin long after the history before them: the close that they set out from is not known."""
    stamps = nanoseconds(reference.timestamps)
    longest = max(LONG_GAP * max(spacing(reference.timestamps).step, DAY), int(np.diff(stamps).max()))
    for one in ensembles:
        if _first(one.paths) - stamps[one.end - 1] > longest:
            raise CheckError(
                f"the paths begin at {moment(one.paths.timestamps[0])}, but the last bar of {reference.name} before "
                f"them is at {moment(reference.timestamps[one.end - 1])}",
                expected="a history that reaches to the bar before the paths",
                fix="bring the history up to the context's end, or correct --context-end or the paths' stamps",
            )


def _refuse_other_unit(ensembles: Sequence[Ensemble], reference: Candles, where: str) -> None:
    """Refuse paths that set out from another price level: their first gap would be judged as a market move."""
    ratios = np.concatenate(
        [one.paths.column("open")[:, 0].astype(np.float64) / one.paths.anchor_close for one in ensembles]
    )
    known = ratios[np.isfinite(ratios) & (ratios > 0)]
    if not len(known) or 1 / OTHER_UNIT <= (middle := float(np.median(known))) <= OTHER_UNIT:
        return
    first = ensembles[0]
    raise CheckError(
        f"the first opens of {where} are {middle:.3g} times (median) the close that they should set out from: "
        f"{reference.close[first.end - 1]:.6g} at {moment(reference.timestamps[first.end - 1])}",
        expected="paths in the reference's own prices that continue its last close",
        fix="bring the right history or context end; paths that start at 1 or 100 must be scaled to the last close",
    )


def _later(ensembles: Sequence[Ensemble], cut: int, reference: Candles) -> str:
    later = reference.timestamps[cut:]
    if not len(later):
        return ""
    last = max(one.paths.timestamps[-1] for one in ensembles)
    inside = int((later <= last).sum())
    overlap = f"; {inside:,} of them fall in the time of the paths" if inside else ""
    end = moment(reference.timestamps[cut - 1])
    return f"{len(later):,} bars of {reference.name} after {end} were left out{overlap}"


def _notes(ensembles: Sequence[Ensemble], reference: Candles) -> Iterable[str]:
    yield from _distance_note(ensembles, reference)
    odd = [one for one in ensembles if abs(one.paths.anchor_close / reference.close[one.end - 1] - 1) > SAME_PRICE]
    if odd:
        yield (
            f"the paths' own anchor close {odd[0].paths.anchor_close:.6g} is not the reference's close "
            f"{reference.close[odd[0].end - 1]:.6g} at {moment(reference.timestamps[odd[0].end - 1])}; theirs was used"
        )


def _distance_note(ensembles: Sequence[Ensemble], reference: Candles) -> Iterable[str]:
    """Tell where paths do not begin with the bar after their context."""
    for one in ensembles:
        begin = moment(one.paths.timestamps[0])
        between = int(np.searchsorted(nanoseconds(reference.timestamps), _first(one.paths))) - one.end
        if between:
            yield f"{between:,} bars of {reference.name} lie between the context's end and the first path bar, {begin}"
            return


def moment(stamp: pd.Timestamp) -> str:
    """Return a stamp as a person writes it: a date alone where there is no time of day."""
    return str(stamp.date()) if stamp == stamp.normalize() else stamp.isoformat(sep=" ")


def _first(paths: PathSet) -> int:
    return int(nanoseconds(paths.timestamps[:1])[0])
