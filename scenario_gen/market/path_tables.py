"""Paths of any generator as a table, one row per path and bar, and tables of several assets cut into one per asset.

Owns the columns of such tables, in a file or a data frame, and what makes them unreadable, and brings histories to the
bars that all of them share. Knows neither the reference nor the candle rules: a price that is missing or impossible
goes on to be counted there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.candles import FIELDS, PRICE_FIELDS, Candles
from scenario_gen.market.columns import PATH_NAMES, TIME_NAMES, canonical, read_numbers, tidy_columns
from scenario_gen.market.frequency import nanoseconds
from scenario_gen.market.paths import PathSet
from scenario_gen.market.read import RawTable, read_source
from scenario_gen.market.times import parse_stamps
from scenario_gen.market.together import taken

ASSET_NAMES = ("asset", "symbol", "ticker", "instrument")
MOST_ASSETS = 100


def split_assets(table: RawTable) -> dict[str, RawTable]:
    """Return the rows of each asset as a table of its own, in the order in which they appear.

    A table without a column that names the asset comes back whole, under "".

    Raises:
        DataError: more than one such column, rows without an asset, or more than 100 assets.
    """
    frame = table.frame
    found = [name for name in frame.columns if str(name).strip().lower() in ASSET_NAMES]
    if not found:
        return {"": table}
    if len(found) > 1:
        raise DataError(
            f"{table.where} has more than one column that names the asset: {', '.join(map(repr, found))}",
            expected=f"one of {', '.join(ASSET_NAMES)}",
            fix="remove the others",
        )
    codes, labels = pd.factorize(frame[found[0]])
    _refuse_unnamed(codes, table.where)
    if len(labels) > MOST_ASSETS:
        raise DataError(
            f"{table.where} holds {len(labels):,} assets in its column {found[0]!r}",
            expected=f"at most {MOST_ASSETS}",
            fix="check a part of them at a time",
        )
    rest = frame.drop(columns=found)
    return {str(label): _part(table, rest, np.flatnonzero(codes == at), str(label)) for at, label in enumerate(labels)}


def _refuse_unnamed(codes: NDArray[np.int64], where: str) -> None:
    if (codes < 0).any():
        raise DataError(
            f"{where} has {int((codes < 0).sum()):,} rows without an asset, the first is row "
            f"{int(np.argmax(codes < 0)) + 1}",
            expected="an asset on every row",
            fix="fill the column in, or remove these rows",
        )


def _part(table: RawTable, frame: pd.DataFrame, rows: NDArray[np.int64], asset: str) -> RawTable:
    return replace(
        table,
        frame=frame.iloc[rows],
        where=f"{table.where}, asset {asset}",
        name=asset,
        lines=table.lines[rows] if len(table.lines) else table.lines,
    )


def shared_bars(histories: Sequence[Candles]) -> list[Candles]:
    """Return each history with only the bars at stamps that all have, as they are written.

    Raises:
        DataError: some histories have a time zone and some have none, or not two bars are shared.
    """
    naive = {history.timestamps.tz is None for history in histories}
    if len(naive) > 1:
        told = ", ".join(f"{one.name}: {one.timestamps.tz or 'none'}" for one in histories[:SHOWN])
        raise DataError(
            f"some histories have a time zone and some have none ({told})",
            expected="all with a time zone, or all without",
            fix="write all stamps in the same way",
        )
    stamps = [nanoseconds(history.timestamps) for history in histories]
    common = reduce(np.intersect1d, stamps)
    if len(common) < 2:
        names = ", ".join(history.name for history in histories[:SHOWN])
        raise DataError(
            f"the histories share {len(common)} stamps: {names}",
            expected="histories of the same time, with bars at the same stamps",
            fix="bring histories that overlap; stamps must mean the same moment in all of them",
        )
    return [taken(one, np.flatnonzero(np.isin(ours, common))) for one, ours in zip(histories, stamps, strict=True)]


# --- Paths as a table ---


COLUMNS = "path (or path_id), timestamp, open, high, low, close, and volume and asset where there are"
SHOWN = 3

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PathTable:
    """Paths of one length, as they came."""

    values: NDArray[np.float32]  # float32 [path, bar, field]; NaN where a value is missing
    fields: tuple[str, ...]  # open, high, low, close and then volume and amount where the table has them
    stamps: Numbers  # int64 [path, bar], nanoseconds, rising along each path
    zone: tzinfo | None  # time zone of the stamps; None where they have none
    path_ids: Numbers  # int64 [path]: the table's own numbers, or 0, 1, ... in the order of appearance.
    name: str  # what to call the table in a message
    notes: tuple[str, ...] = ()  # what a reader must know of the table
    weights: NDArray[np.float64] | None = None  # [path]; None where the table has no column ``weight``

    def path_set(self, anchor_close: float) -> PathSet:
        """Return paths of one context, which have the stamps of the first, behind the close from which they set out."""
        stamps = pd.DatetimeIndex(self.stamps[0], tz=None if self.zone is None else "UTC")
        stamps = stamps if self.zone is None else stamps.tz_convert(self.zone)
        return PathSet(self.values, self.fields, stamps, self.path_ids, anchor_close, weights=self.weights)


def read_path_tables(source: pd.DataFrame | str | Path) -> dict[str, PathTable]:
    """Read paths from a data frame, or a CSV or Parquet file; rows of different paths and assets may be mixed.

    Columns may be in any case and order. Rows of one path must be in the order of time: nothing is sorted.

    Returns:
        Asset to its paths, in the order in which assets appear; one table under "" where no column names the asset.

    Raises:
        DataError: no such file, columns are missing, values are no numbers, paths differ in length, or the stamps of
            a path do not rise.
    """
    table = _raw_table(source)
    parts = split_assets(table)
    if len(parts) > 1:
        parts = split_assets(_numbered(table))
    return {asset: _path_table(part) for asset, part in parts.items()}


def read_path_table(source: pd.DataFrame | str | Path) -> PathTable:
    """Read the paths of one asset, as :func:`read_path_tables` does.

    Raises:
        DataError: as there; or the paths of several assets.
    """
    tables = read_path_tables(source)
    if len(tables) > 1:
        some = ", ".join([*tables][:SHOWN])
        raise DataError(
            f"the paths are of {len(tables)} assets: {some}{', ...' if len(tables) > SHOWN else ''}",
            expected="paths of one asset, which one reference can judge",
            fix="give one reference per asset: check_assets, or --reference NAME=HISTORY for each",
        )
    return next(iter(tables.values()))


def _numbered(table: RawTable) -> RawTable:
    """Return the table with paths that are no whole numbers numbered over all assets: path 7 is one path in each."""
    found = [name for name in table.frame.columns if canonical(name) in PATH_NAMES]
    if len(found) != 1 or pd.api.types.is_integer_dtype(table.frame[found[0]].dtype):
        return table
    codes, _ = pd.factorize(table.frame[found[0]])
    if (codes < 0).any():
        return table  # refused below, asset by asset, with its row
    return replace(table, frame=table.frame.assign(**{found[0]: codes}))


def _path_table(table: RawTable) -> PathTable:
    frame = tidy_columns(table.frame, table.where, table.unread)
    codes, labels = _paths_of_rows(frame, table.where)
    bars = _bars_per_path(codes, labels, table.where)
    order = np.argsort(codes, kind="stable")  # [row], path by path, the rows of each in their order
    stamps = _stamps(frame, table.where)
    ordered = nanoseconds(stamps)[order].reshape(-1, bars)
    _refuse_standstill(ordered, labels, table.where)
    columns, empty = _columns(frame, table.where)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is counted as such
        values = np.stack([values[order].astype(np.float32) for values in columns.values()], axis=-1)
    return PathTable(
        values=values.reshape(len(labels), bars, len(columns)),
        fields=tuple(columns),
        stamps=ordered,
        zone=stamps.tz,
        path_ids=_numbers(labels),
        name=table.where,
        weights=_weights(frame, order, bars, table.where),
        notes=tuple(
            f"the column {field} of {table.where} holds no value on any bar: the paths are taken as without one, and "
            f"nothing of their {field} is judged"
            for field in empty
        ),
    )


def _raw_table(source: pd.DataFrame | str | Path) -> RawTable:
    if isinstance(source, pd.DataFrame):
        named = any(name is not None for name in source.index.names)
        return read_source(source.reset_index() if named else source)
    table = read_source(Path(source))  # as a path: the built-in histories are no paths
    named = any(name is not None for name in table.frame.index.names)  # Parquet keeps an index
    return replace(table, frame=table.frame.reset_index()) if named else table


def _paths_of_rows(frame: pd.DataFrame, where: str) -> tuple[Numbers, pd.Index]:
    """Return the number of each row's path, in the order in which paths appear, and what the table calls them."""
    found = [name for name in PATH_NAMES if name in frame]
    if not found:
        raise DataError(
            f"{where} does not say which path a row belongs to; it has: {', '.join(map(repr, frame.columns[:20]))}",
            expected=f"the columns {COLUMNS}",
            fix="add a column 'path' with a number per path; a single history goes to --reference",
        )
    if not len(frame):
        raise DataError(f"{where} has no rows", expected=f"the columns {COLUMNS}", fix="export the paths again")
    column = frame[found[0]]
    if not isinstance(column, pd.Series) or len(found) > 1:
        raise DataError(
            f"{where} has more than one column that names the path",
            expected="one of path and path_id",
            fix="remove the others",
        )
    codes, labels = pd.factorize(column)
    if (codes < 0).any():
        raise DataError(
            f"{where} has {int((codes < 0).sum()):,} rows without a path, the first is row {_first(codes < 0)}",
            expected="a path on every row",
            fix="fill the column in, or remove these rows",
        )
    return codes.astype(np.int64), pd.Index(labels)


def _bars_per_path(codes: Numbers, labels: pd.Index, where: str) -> int:
    counts = np.bincount(codes, minlength=len(labels))
    usual = int(np.bincount(counts).argmax())
    odd = np.flatnonzero(counts != usual)
    if len(odd):
        told = ", ".join(f"path {labels[at]} has {counts[at]}" for at in odd[:SHOWN])
        more = f" and {len(odd) - SHOWN:,} more are odd" if len(odd) > SHOWN else ""
        raise DataError(
            f"the paths of {where} differ in length: most have {usual} bars, but {told}{more}",
            expected="the same number of bars on every path",
            fix="cut all paths to one length, or remove those that broke off",
        )
    return usual


def _stamps(frame: pd.DataFrame, where: str) -> pd.DatetimeIndex:
    found = [name for name in TIME_NAMES if name in frame]
    if not found:
        raise DataError(
            f"{where} has no time column; it has: {', '.join(map(repr, frame.columns[:20]))}",
            expected=f"one of {', '.join(sorted(TIME_NAMES))}: when each bar is",
            fix="give the paths the stamps of the bars that they continue",
        )
    stamps = parse_stamps(frame[found[0]], where)
    lost = np.asarray(stamps.isna())
    if lost.any():
        row = _first(lost)
        raise DataError(
            f"{where} has {int(lost.sum()):,} stamps that are missing or no date, the first in row {row}: "
            f"{str(frame[found[0]].iloc[row - 1])!r}",
            expected="ISO dates: 2020-01-31 or 2020-01-31 09:35",
            fix="correct the stamps",
        )
    return stamps


def _refuse_standstill(stamps: Numbers, labels: pd.Index, where: str) -> None:
    """Refuse paths whose stamps repeat or go back: one of them may be two paths under one name."""
    still = np.diff(stamps, axis=1) <= 0
    if not still.any():
        return
    paths = np.flatnonzero(still.any(axis=1))
    bar = int(np.argmax(still[paths[0]])) + 1
    stamp = pd.Timestamp(int(stamps[paths[0], bar]))
    raise DataError(
        f"in {where} the stamps of {len(paths):,} of {len(stamps):,} paths repeat or go back, first of path "
        f"{labels[paths[0]]} at its bar {bar + 1}: {stamp}",
        expected="stamps that rise from bar to bar within each path",
        fix="give every path a number of its own, and its rows in the order of time",
    )


def _columns(frame: pd.DataFrame, where: str) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Return field to float64 [row], volume and amount only where they hold anything, and which of these do not."""
    columns: dict[str, NDArray[np.float64]] = {}
    empty = []
    for field in FIELDS:
        if field not in frame:
            continue
        values, wrong = read_numbers(frame[field], field, where)
        if wrong:
            told = ", ".join(f"{text} in row {row + 1}" for _, row, text in wrong[:SHOWN])
            raise DataError(
                f"{where} has {len(wrong):,} values of {field} that are no numbers: {told}",
                expected="numbers with a decimal point",
                fix="correct these rows at their source",
            )
        if field in PRICE_FIELDS or not np.isnan(values).all():
            columns[field] = values
        else:
            empty.append(field)
    return columns, empty


def _weights(frame: pd.DataFrame, order: Numbers, bars: int, where: str) -> NDArray[np.float64] | None:
    """Return what each path stands for, relative to the others, where a column says so."""
    if "weight" not in frame:
        return None
    values, _ = read_numbers(frame["weight"], "weight", where)
    by_path = values[order].reshape(-1, bars)
    wrong = ~np.isfinite(by_path).all(axis=1) | (by_path < 0).any(axis=1) | (np.ptp(by_path, axis=1) != 0)
    if wrong.any() or not (by_path > 0).any():
        told = f"the first is path {_first(wrong)} in the table's order" if wrong.any() else "every one is 0"
        raise DataError(
            f"{where} has {int(wrong.sum()):,} paths without one weight of at least 0 on all of their bars; {told}",
            expected="one weight per path, the same on each of its bars, and one of them above 0",
            fix="correct the column 'weight', or remove it",
        )
    return np.asarray(by_path[:, 0])


def _numbers(labels: pd.Index) -> Numbers:
    if pd.api.types.is_integer_dtype(labels.dtype) and not pd.api.types.is_unsigned_integer_dtype(labels.dtype):
        return np.asarray(labels, dtype=np.int64)
    return np.arange(len(labels), dtype=np.int64)


def _first(rows: NDArray[Any]) -> int:
    """Return the 1-based number of the first row that is marked."""
    return int(np.argmax(rows)) + 1


# --- Paths of our own as such a table ---


class PathsWriter:
    """Appends blocks of paths to one Parquet file without holding them in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def write(self, paths: PathSet) -> None:
        """Append the paths of one block."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(paths.to_pandas(), preserve_index=False)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
