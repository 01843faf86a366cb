"""Numbers of very many paths, on disk by column: memory is that of one column, whatever the number of paths.

    Scratch       a file without a name in the run folder: gone when the process is, however it ends
    Columns       a table that is appended part by part and read back column by column
    MetricTable     every strategy's metrics of one scenario, as metrics.parquet has them
    write_frames  a Parquet file of tables that are read part by part

Owns how numbers of paths are laid out while a run sums them up. Does not know what they mean.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.files import disk_trouble

Array: TypeAlias = NDArray[Any]
Frames: TypeAlias = Iterable[pd.DataFrame]  # a table in parts, that can be gone through again

ROWS_AT_ONCE = 100_000  # that are written to a Parquet file together
AT_ONCE = 32_000_000  # bytes of parts that are held before they are written: a column is read in as few pieces
WORD = np.dtype(np.int32)  # what a word is stored as: its place among the words of its table


class Scratch:
    """A file of numbers that nobody else sees and nothing leaves behind."""

    def __init__(self, folder: Path) -> None:
        """Open it in a folder that exists.

        Raises:
            StoreError: the disk refuses.
        """
        self._folder, self._end = folder, 0
        with disk_trouble("write", folder):
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - lives as long as its columns
        self.close = weakref.finalize(self, self._file.close)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def put(self, values: Array) -> int:
        """Write numbers; return where they stand."""
        at, rest = self._end, np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        with disk_trouble("write", self._folder):
            self._file.seek(at)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._end = at + values.nbytes
        return at

    def fill(self, out: Array, at: int) -> None:
        """Read numbers that stand somewhere into a contiguous array."""
        rest = out.view(np.uint8).data
        with disk_trouble("read", self._folder):
            self._file.seek(at)
            while rest:
                if not (read := self._file.readinto(rest)):
                    raise EOFError("a scratch file is shorter than what was written to it")
                rest = rest[read:]


@dataclass(frozen=True)
class _Piece:
    """Rows that were written at once."""

    rows: int
    places: dict[str, tuple[np.dtype[Any], int, int]]  # of each name: its type, how many, where they stand


@dataclass(eq=False)
class Columns:
    """A table on disk, appended part by part; a name is of one column or of several of one kind."""

    scratch: Scratch
    at_once: int = AT_ONCE
    _pieces: list[_Piece] = field(default_factory=list)
    _waiting: list[dict[str, Array]] = field(default_factory=list)
    _bytes: int = 0  # of what is waiting
    _rows: int = 0
    _words: dict[str, dict[str, int]] = field(default_factory=dict)  # of each column of words, the code of each

    def __len__(self) -> int:
        return self._rows

    @property
    def names(self) -> list[str]:
        """What it has columns of, in the order in which they came."""
        self._flush()
        return list(dict.fromkeys(chain(*(piece.places for piece in self._pieces))))

    def append(self, part: Mapping[str, Array]) -> None:
        """Take rows: numbers, truths or words of one length by name, [row] or [row, column]; no rows leave no trace.

        Raises:
            ValueError: they are not of one length (a defect of the caller).
            StoreError: the disk refuses.
        """
        lengths = {len(values) for values in part.values()}
        if len(lengths) != 1:
            raise ValueError(f"columns of {sorted(lengths)} rows are no table")
        if not (rows := lengths.pop()):
            return
        self._waiting.append({name: self._coded(name, values) for name, values in part.items()})
        self._rows += rows
        self._bytes += sum(values.nbytes for values in self._waiting[-1].values())
        if self._bytes >= self.at_once:
            self._flush()

    def __getitem__(self, name: str) -> Array:
        """Return the column of a name [row]."""
        return self.column(name)

    def count(self, name: str) -> int:
        """Return how many columns a name has."""
        self._flush()
        return max(piece.places[name][1] for piece in self._pieces if name in piece.places)

    def column(self, name: str, at: int = 0) -> Array:
        """Return the column of a name, or one of its several, [row]; NaN where a part had none of that name.

        Raises:
            KeyError: no part had any.
        """
        self._flush()
        out, start = np.empty(len(self), dtype=self._kind(name)), 0
        for piece in self._pieces:
            self._read(piece, name, at, out[start : start + piece.rows])
            start += piece.rows
        return self._spelled(name, out)

    def parts(self) -> Iterator[dict[str, Array]]:
        """Yield all names' first columns, so many rows at a time as were written at once."""
        kinds = {name: self._kind(name) for name in self.names}
        for piece in self._pieces:
            part = {name: np.empty(piece.rows, dtype=kind) for name, kind in kinds.items()}
            for name, out in part.items():
                self._read(piece, name, 0, out)
            yield {name: self._spelled(name, out) for name, out in part.items()}

    def _kind(self, name: str) -> np.dtype[Any]:
        """Return the type that holds what all parts have under a name."""
        kinds = [piece.places[name][0] for piece in self._pieces if name in piece.places]
        if not kinds:
            raise KeyError(name)
        return np.result_type(*kinds, *([np.float64] if len(kinds) < len(self._pieces) else []))

    def _read(self, piece: _Piece, name: str, at: int, out: Array) -> None:
        if name not in piece.places:
            out[...] = np.nan
            return
        kind, many, place = piece.places[name]
        if at >= many:
            raise IndexError(f"{name} has {many} columns, not {at + 1}")
        own = out if out.dtype == kind else np.empty(len(out), dtype=kind)
        self.scratch.fill(own, place + at * own.nbytes)
        if own is not out:
            out[...] = own

    def _flush(self) -> None:
        """Write what is waiting, each column by itself."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        lengths = [len(next(iter(part.values()))) for part in waiting]
        places = {}
        for name in dict.fromkeys(chain(*waiting)):
            each = [
                part[name] if name in part else np.full(rows, np.nan)
                for part, rows in zip(waiting, lengths, strict=True)
            ]
            values = np.concatenate(each)
            many = 1 if values.ndim == 1 else values.shape[1]
            places[name] = values.dtype, many, self.scratch.put(values.T)
        self._pieces.append(_Piece(sum(lengths), places))

    def _coded(self, name: str, values: Array) -> Array:
        """Return numbers as they are, and a code for each word."""
        if not values.dtype.hasobject:
            return values
        codes = self._words.setdefault(name, {})
        distinct, places = np.unique(values.astype(str), return_inverse=True)
        return np.array([codes.setdefault(word, len(codes)) for word in distinct.tolist()], dtype=np.int32)[places]

    def _spelled(self, name: str, values: Array) -> Array:
        """Return the words of codes, and numbers as they are."""
        return np.array([*self._words[name]], dtype=object)[values] if name in self._words else values


@dataclass(frozen=True, eq=False)
class Under:
    """The columns of a table whose names begin alike, by the rest of their names."""

    columns: Columns
    start: str

    def __getitem__(self, name: str) -> Array:
        return self.columns[self.start + name]


# --- What a run leaves of every path ---


@dataclass(frozen=True, eq=False)
class MetricTable:
    """Every strategy's metrics on every path of one scenario."""

    scenario: str
    strategies: tuple[str, ...]  # their names, in the order of their places
    columns: Columns  # path_id and block, and of every strategy its metrics: see :func:`metric_columns`
    shares: Array | None = None  # what each path stands for, of sum 1 [path]; None where all stand for as much
    weighed: bool = False  # whether the table says so: where some scenario of the run has weights

    @property
    def path_ids(self) -> NDArray[np.int64]:
        """The ids of its paths [path]."""
        return self.columns["path_id"]

    def of(self, strategy: str) -> Under:
        """Return the metrics of a strategy by their names, [path] each."""
        return Under(self.columns, _of_place(self.strategies.index(strategy)))

    def frame(self, strategy: str, *metrics: str) -> pd.DataFrame:
        """Return some metrics of a strategy, index path_id."""
        of = self.of(strategy)
        return pd.DataFrame({name: of[name] for name in metrics}, index=pd.Index(self.path_ids, name="path_id"))

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Yield the rows of metrics.parquet: block by block, in each strategy by strategy."""
        start = 0
        for part in self.columns.parts():
            rows = len(part["path_id"])
            shares = np.full(rows, 1 / len(self.columns)) if self.shares is None else self.shares[start : start + rows]
            yield self._rows(part, shares)
            start += rows

    def _rows(self, part: Mapping[str, Array], shares: Array) -> pd.DataFrame:
        many = range(len(self.strategies))
        names = [name.removeprefix(_of_place(0)) for name in part if name.startswith(_of_place(0))]
        order = np.argsort(np.tile(part["block"], len(many)), kind="stable")
        rows = {
            "scenario": np.full(len(order), self.scenario, dtype=object),
            "strategy": np.repeat(np.array(self.strategies, dtype=object), len(shares)),
            "path_id": np.tile(part["path_id"], len(many)),
            **{name: np.concatenate([part[_of_place(place) + name] for place in many]) for name in names},
            **({"weight": np.tile(shares, len(many))} if self.weighed else {}),
        }
        return pd.DataFrame({name: values[order] for name, values in rows.items()})


def _of_place(place: int) -> str:
    return f"{place}:"


def metric_columns(metrics: pd.DataFrame, strategies: int) -> dict[str, Array]:
    """Return metrics of one block, a row per strategy (its place) and path, as columns a strategy: [path] each."""
    names = [name for name in metrics if name not in ("strategy", "path_id")]
    places = metrics["strategy"].to_numpy()
    return {
        _of_place(place) + str(name): metrics[name].to_numpy()[places == place]
        for place in range(strategies)
        for name in names
    }


@dataclass(frozen=True, eq=False)
class NamedTable:
    """A table of one scenario with its name in a column, the first or the last."""

    scenario: str
    columns: Columns
    first: bool = False

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for part in self.columns.parts():
            frame = pd.DataFrame(part)
            frame.insert(0 if self.first else len(frame.columns), "scenario", self.scenario)
            yield frame


def write_frames(path: Path, tables: Sequence[Frames], keys: Sequence[str] = ()) -> None:
    """Write tables one below the other to one Parquet file; a column that one of them lacks is NaN there.

    Args:
        path: of the file.
        tables: of at least one row in all.
        keys: columns that all of them have.

    Raises:
        OSError: the disk refuses.
        ValueError: a key column is missing (a defect of the caller).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    heads = [frame.head(1) for table in tables if (frame := next(iter(table), None)) is not None]
    if missing := [key for key in keys if any(key not in head for head in heads)]:
        raise ValueError(f"a table lacks the columns {missing}")
    kinds = _kinds(heads)
    first = {name: next(head[name] for head in heads if name in head).astype(kind) for name, kind in kinds.items()}
    schema = pa.Schema.from_pandas(pd.DataFrame(first), preserve_index=False)
    with pq.ParquetWriter(path, schema) as writer:
        for frame in _gathered(frame.reindex(columns=[*kinds]).astype(kinds) for frame in chain(*tables)):
            writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))


def _gathered(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield small frames together: a group of rows in a file has a cost of its own."""
    waiting, rows = list[pd.DataFrame](), 0
    for frame in frames:
        if waiting and rows + len(frame) > ROWS_AT_ONCE:
            yield pd.concat(waiting)
            waiting, rows = [], 0
        waiting.append(frame)
        rows += len(frame)
    if waiting:
        yield pd.concat(waiting)


def _kinds(heads: Sequence[pd.DataFrame]) -> dict[str, Any]:
    """Return the type of every column of tables put one below the other, in the order in which they come."""
    kinds: dict[str, Any] = {}
    for name in dict.fromkeys(chain(*heads)):
        have = [head[name].dtype for head in heads if name in head]
        numbers = all(isinstance(kind, np.dtype) and not kind.hasobject for kind in have)
        lacking = [np.dtype(np.float64)] if len(have) < len(heads) else []
        kinds[str(name)] = np.result_type(*have, *lacking) if numbers else have[0]
    return kinds
