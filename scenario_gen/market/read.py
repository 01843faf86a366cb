"""Files and built-in histories as raw tables: what is on disk, before anybody asks what it means.

Owns file formats, separators, sizes and line numbers. Knows no column names beyond the header, and no rules.
"""

from __future__ import annotations

import csv
import gzip
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.reading.words import near

MAX_FILE_BYTES = 2 * 1024**3
MAX_BARS = 10_000_000
BUILT_IN = {
    "sp500": ("S&P 500", "S&P 500 daily 1999-2018 (arch)"),
    "nasdaq": ("NASDAQ Composite", "NASDAQ Composite daily 1999-2018 (arch)"),
}
_SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class Table:
    """A table as it came.

    Attributes:
        frame: the columns under the names that the source gives them, one row per bar.
        where: what to call the source in a message.
        name: what to call the instrument when nobody says.
        source: where the bars came from, for a report: no folders of anybody's machine.
        lines: int64 [T], line of each row in a text file; empty for other sources.
    """

    frame: pd.DataFrame
    where: str
    name: str
    source: str
    lines: NDArray[np.int64]


def read_source(source: Table | pd.DataFrame | str | Path) -> Table:
    """Read a data frame, a built-in name, or a CSV or Parquet file; a table comes back as it is.

    Raises:
        DataError: no such source, or it cannot be read as a table.
    """
    if isinstance(source, Table):
        return source
    none = np.empty(0, dtype=np.int64)
    if isinstance(source, pd.DataFrame):
        return Table(source, "the data frame", "history", "data frame", none)
    if isinstance(source, str) and source in BUILT_IN:
        return Table(_built_in(source), source, *BUILT_IN[source], none)
    if not isinstance(source, str | Path):
        raise DataError(
            f"a history cannot be read from {type(source).__name__}",
            expected=f"a data frame, a {', '.join(_SUFFIXES)} file, or one of {', '.join(BUILT_IN)}",
            fix="pass the path of a file",
        )
    path = Path(source).expanduser()
    suffix = _check_file(path, str(source))
    name = path.name[: -len(suffix)]
    if suffix == ".parquet":
        return Table(_read_parquet(path, str(source)), str(source), name, path.name, none)
    frame, lines = _read_csv(path, str(source))
    return Table(frame, str(source), name, path.name, lines)


def _built_in(name: str) -> pd.DataFrame:
    from arch.data import nasdaq, sp500

    return {"sp500": sp500, "nasdaq": nasdaq}[name].load()


def _check_file(path: Path, where: str) -> str:
    """Return the file's suffix after making sure that it can be read at all."""
    suffix = next((ending for ending in _SUFFIXES if path.name.lower().endswith(ending)), "")
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise DataError(
            f"{where[:100]} cannot be opened: {error.strerror}", expected="a readable file", fix="correct the path"
        ) from error
    if is_folder:
        raise DataError(f"{where} is a folder", expected="one file of bars", fix="name the file in it")
    if not is_there:
        # Where paths are wanted, the name of a built-in history comes here: it is no neighbour of itself.
        others = [name for name in _neighbours(path) if name != where]
        close = near(where, others, most=2)
        raise DataError(
            f"there is no file {where}" + (f"; nearest: {', '.join(close)}" if close else ""),
            expected=f"a {', '.join(_SUFFIXES)} file, or a built-in history: {', '.join(BUILT_IN)}",
            fix="correct the path; a spec's paths are relative to its own folder",
        )
    if not suffix:
        raise DataError(
            f"{where} ends in {path.suffix!r}, which is not read",
            expected=f"a file ending in {', '.join(_SUFFIXES)}",
            fix="export the bars as CSV or Parquet",
        )
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise DataError(
            f"{where} has {size / 1024**3:.1f} GB",
            expected=f"at most {MAX_FILE_BYTES // 1024**3} GB",
            fix="cut the file down to one instrument and the years that are needed",
        )
    if size == 0:
        raise DataError(f"{where} is empty", expected="a header and bars", fix="export the bars again")
    return suffix


def _neighbours(path: Path) -> list[str]:
    try:
        return [*BUILT_IN, *(str(other) for other in list(path.parent.iterdir())[:1000])]
    except OSError:
        return list(BUILT_IN)


def _read_parquet(path: Path, where: str) -> pd.DataFrame:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        bars = parquet.read_metadata(path).num_rows
        if bars > MAX_BARS:
            raise _too_many(where)
        frame = pd.read_parquet(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{where} cannot be read as Parquet: {str(error).splitlines()[0][:160]}",
            expected="a Parquet file",
            fix="write the file again, e.g. with pandas.DataFrame.to_parquet",
        ) from error
    if not len(frame):
        raise _no_bars(where, list(frame.columns))
    return frame


def _read_csv(path: Path, where: str) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    try:
        with _open(path) as stream:
            head = stream.read(64 * 1024)
        skip, separator, names = _sniff(head, where)
        frame = _parse_csv(path, separator, names, skip)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where} is no UTF-8 text (byte {error.start})",
            expected="a CSV file in UTF-8",
            fix="save it as CSV UTF-8; if it is Parquet, Excel or compressed, name it so or export it as CSV",
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        raise DataError(
            f"{where} is no regular table: {str(error).strip().splitlines()[-1][:200]}",
            expected=f"{len(names)} values on every line, as in the header" if "names" in locals() else "a CSV file",
            fix="correct that line; numbers with decimal commas must be written with points",
        ) from error
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{where} cannot be read: {error}", expected="a readable file", fix="copy or download it again"
        ) from error
    if len(frame) > MAX_BARS:
        raise _too_many(where)
    filled = np.flatnonzero(frame.notna().any(axis=1).to_numpy())
    if not len(filled):
        raise _no_bars(where, names)
    return frame.iloc[filled].reset_index(drop=True), filled + skip + 2


def _open(path: Path):  # type: ignore[no-untyped-def]  # gzip and plain text streams share no useful type
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _sniff(head: str, where: str) -> tuple[int, str, list[str]]:
    """Return (blank lines before the header, separator, column names) from the beginning of a text file."""
    if "\0" in head:
        raise DataError(
            f"{where} is no text file: it holds zero bytes",
            expected="a CSV file in UTF-8",
            fix="save it as CSV UTF-8 (Excel and UTF-16 files are not read)",
        )
    lines = head.splitlines()
    skip = next((at for at, line in enumerate(lines) if line.strip()), -1)
    if skip < 0:
        raise DataError(f"{where} is empty", expected="a header and bars", fix="export the bars again")
    separator = max(",;\t", key=lines[skip].count)
    names = [name.strip() for name in next(csv.reader([lines[skip]], delimiter=separator))]
    _check_width(lines[skip + 1 :], separator, names, where)
    return skip, separator, names


def _check_width(lines: list[str], separator: str, names: list[str], where: str) -> None:
    """Refuse a first data line that is longer than the header: pandas would shift the columns."""
    first = next((line for line in lines if line.strip()), "")
    width = len(next(csv.reader([first], delimiter=separator))) if first else 0
    if width > len(names):
        raise DataError(
            f"{where} has {len(names)} column names, but {width} values on the line after them: {first[:100]!r}",
            expected="as many values as names; numbers with a decimal point, not a comma",
            fix="correct the header, or export again with a decimal point",
        )


def _parse_csv(path: Path, separator: str, names: list[str], skip: int) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            sep=separator,
            header=None,
            names=range(len(names)),  # names may repeat, which pandas would hide by renaming them
            skiprows=skip + 1,
            skip_blank_lines=False,  # a row's number must stay its line's
            skipinitialspace=True,
            index_col=False,
            encoding="utf-8-sig",
            low_memory=False,
            nrows=MAX_BARS + 1,
            compression="infer",
        ).set_axis(names, axis=1)


def _no_bars(where: str, names: list[str]) -> DataError:
    header = ", ".join(map(str, names))[:100]
    return DataError(
        f"{where} has a header ({header}) and no bars", expected="at least one bar", fix="export the bars again"
    )


def _too_many(where: str) -> DataError:
    return DataError(
        f"{where} has more than {MAX_BARS:,} bars",
        expected=f"at most {MAX_BARS:,} bars",
        fix="cut the file down to the years that are needed",
    )
