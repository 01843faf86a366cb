"""Parquet and Feather as frames: only the columns that count, and memory asked for only when it is known to be little.

A few kilobytes of Parquet can stand for gigabytes: a column of one repeated text, or columns that nobody reads. So
rows are counted before anything is read, text is read as a dictionary and measured before it is written out, and
columns that hold no bars are not read at all. Knows no column names: a caller says which count.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from scenario_gen.errors import DataError

MAX_ROWS = 10_000_000
MAX_COLUMNS = 10_000  # of the file; a table of bars has a dozen
MAX_READ = 64  # columns that count
MAX_TEXT = 2**28  # bytes of one column of text, written out
# What Arrow and pandas raise for files and metadata that are damaged or not of their making.
DAMAGED = (  # Arrow's own errors are kinds of these
    AttributeError, IndexError, KeyError, NotImplementedError, OSError, OverflowError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip


def read_parquet(path: Path, where: str, counts: Callable[[str], bool]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read the columns that count, and a frame's index; return them with the names of the columns left unread.

    Args:
        path: of the file.
        where: what to call it in a message.
        counts: says of a column's name whether it is to be read.

    Raises:
        DataError: no Parquet file, too many rows, or a column that counts holds nested values, bytes or long texts.
    """
    from pyarrow import parquet

    if not path.is_file():
        raise DataError(f"{where} cannot be read: no such file", expected="a Parquet file", fix="correct the path")
    try:
        file = parquet.ParquetFile(path, memory_map=False)
        _refuse_size(file.metadata.num_rows, file.metadata.num_columns, where)
        names = list(dict.fromkeys(file.schema_arrow.names))
        kept = [name for name in names if name in _index_columns(file.schema_arrow) or _spoken(name, counts)]
        _refuse_types(file.schema_arrow, kept, where)
        texts = [name for name in kept if _is_text(file.schema_arrow.field(names.index(name)).type)]
        with parquet.ParquetFile(path, read_dictionary=texts) as dictionaries:
            table = dictionaries.read(columns=kept)
        frame = _frame(_in_floats(_measured(table, where)))
    except DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{where} cannot be read as Parquet: {reason[:160]}",
            expected="a Parquet file",
            fix="write the file again, e.g. with pandas.DataFrame.to_parquet",
        ) from error
    return frame, tuple(name for name in names if name not in kept)


def read_feather(path: Path, where: str, counts: Callable[[str], bool]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read the columns that count of a Feather file (Arrow's own format); return them with the names of the others.

    Raises:
        DataError: as :func:`read_parquet`.
    """
    from pyarrow import dataset, ipc

    try:
        schema = ipc.open_file(str(path)).schema
        names = list(dict.fromkeys(schema.names))
        # counted in the headers of its batches, before any batch is unpacked
        _refuse_size(dataset.dataset(path, format="ipc").count_rows(), len(names), where)
        kept = [name for name in names if _spoken(name, counts)]
        _refuse_types(schema, kept, where)
        options = ipc.IpcReadOptions(included_fields=[schema.names.index(name) for name in kept])
        frame = _frame(_in_floats(ipc.open_file(str(path), options=options).read_all()))
    except DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{where} cannot be read as Feather: {reason[:160]}",
            expected="a Feather file of version 2 (Arrow IPC)",
            fix="write the file again, e.g. with pandas.DataFrame.to_feather",
        ) from error
    return frame, tuple(name for name in names if name not in kept)


def frame_of(table: Any, where: str, counts: Callable[[str], bool]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the columns that count of a table in memory, and the names of the others.

    Raises:
        DataError: as :func:`read_parquet`.
    """
    names = list(dict.fromkeys(table.schema.names))
    _refuse_size(table.num_rows, len(names), where)
    kept = [name for name in names if _spoken(name, counts)]
    _refuse_types(table.schema, kept, where)
    return _frame(_in_floats(table.select(kept))), tuple(name for name in names if name not in kept)


def _refuse_size(rows: int, columns: int, where: str) -> None:
    if rows > MAX_ROWS:
        raise DataError(
            f"{where} has {rows:,} rows",
            expected=f"at most {MAX_ROWS:,} bars",
            fix="cut the file down to the years that are needed",
        )
    if columns > MAX_COLUMNS:
        raise DataError(f"{where} has {columns:,} columns", expected="a dozen", fix="keep the columns of the bars")


def _spoken(name: str, counts: Callable[[str], bool]) -> bool:
    """Whether a column counts by its name, or by a part of it where the names have levels: ``('Close', 'SPY')``."""
    if name.startswith("("):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            parts = ast.literal_eval(name[:200])
            return isinstance(parts, tuple) and any(counts(str(part)) for part in parts)
    return counts(name)


def _index_columns(schema: Any) -> set[str]:
    """Return the columns that pandas wrote as an index; none where its metadata are damaged."""
    with suppress(ValueError, RecursionError, AttributeError, KeyError, TypeError):
        listed = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
        return {name for name in listed if isinstance(name, str)}
    return set()


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _refuse_types(schema: Any, kept: list[str], where: str) -> None:
    from pyarrow import types

    if len(kept) > MAX_READ:
        raise DataError(
            f"{where} has {len(kept)} columns that may hold bars",
            expected="one instrument, a column per field",
            fix="write the bars of one instrument to a file of their own",
        )
    for name, kind in ((field.name, field.type) for field in schema if field.name in kept):
        value = kind.value_type if types.is_dictionary(kind) else kind
        if types.is_nested(value) or types.is_binary(value) or types.is_large_binary(value):
            raise DataError(
                f"the column {name!r} of {where} holds {value}",
                expected="numbers, stamps or text",
                fix="write the column in such a type, or leave it out",
            )


def _measured(table: Any, where: str) -> Any:
    """Return the table after a look at how long its texts would be if every row were written out."""
    import pyarrow as pa
    from pyarrow import compute

    for name, column in zip(table.column_names, table.columns, strict=True):
        if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
            continue
        chunks = [chunk.dictionary for chunk in column.chunks if len(chunk.dictionary)]
        longest = max((compute.max(compute.binary_length(words)).as_py() or 0 for words in chunks), default=0)
        if longest * len(column) > MAX_TEXT:
            raise DataError(
                f"the column {name!r} of {where} holds texts of {longest:,} characters on {len(column):,} rows",
                expected="stamps and short names",
                fix="write stamps as timestamps and names as short codes",
            )
    return table


def _in_floats(table: Any) -> Any:
    """Return the table with decimal numbers as floats: as Python's decimals they would take ten times the memory."""
    import pyarrow as pa

    for place, column in enumerate(table.columns):
        if pa.types.is_decimal(column.type):
            table = table.set_column(place, table.field(place).with_type(pa.float64()), column.cast(pa.float64()))
    return table


def _frame(table: Any) -> pd.DataFrame:
    """Return a table as a frame, its texts written out; by its plain columns where pandas' metadata are damaged."""
    try:
        frame: pd.DataFrame = table.to_pandas()
    except DAMAGED:
        frame = table.replace_schema_metadata(None).to_pandas()
    for place, kind in enumerate(frame.dtypes):
        if isinstance(kind, pd.CategoricalDtype):
            frame.isetitem(place, frame.iloc[:, place].astype(kind.categories.dtype))
    return frame
