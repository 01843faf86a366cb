"""Files and built-in histories as raw tables: what is on disk, before anybody asks what it means.

Owns file formats, separators, sizes and line numbers. Knows no column names beyond the header, and no rules.
"""

from __future__ import annotations

import csv
import gzip
import re
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError, printable
from scenario_gen.files import user_path
from scenario_gen.market.columns import counts, speaks_of_bars
from scenario_gen.market.parquet import MAX_ROWS, read_parquet
from scenario_gen.reading.words import near

MAX_FILE_BYTES = 2 * 1024**3
MAX_TEXT_BYTES = 2**30  # of a text file, unpacked
MAX_LINE = 10_000  # characters; a bar takes a hundred
MOST_PACKED, SMALL = 100, 2**26  # times that bars can be packed; what is unpacked without a question, in bytes
HEAD_BYTES = 64 * 1024
MAX_PREAMBLE = 10  # lines of a vendor's own before the header
BUILT_IN = {
    "sp500": ("S&P 500", "S&P 500 daily 1999-2018 (arch)"),
    "nasdaq": ("NASDAQ Composite", "NASDAQ Composite daily 1999-2018 (arch)"),
}
_SUFFIXES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class RawTable:
    """A table as it came."""

    frame: pd.DataFrame  # the columns under the names that the source gives them, one row per bar
    where: str  # what to call the source in a message
    name: str  # what to call the instrument when nobody says
    source: str  # where the bars came from, for a report: no folders of anybody's machine
    lines: NDArray[np.int64]  # int64 [T], line of each row in a text file; empty for other sources
    notes: tuple[str, ...] = ()  # what was passed over or guessed while reading, as sentences
    unread: tuple[str, ...] = ()  # names of the columns that were left in the file


def read_source(source: RawTable | pd.DataFrame | str | Path) -> RawTable:
    """Read a data frame, a built-in name, or a CSV or Parquet file; a table comes back as it is.

    Raises:
        DataError: no such source, or it cannot be read as a table.
    """
    if isinstance(source, RawTable):
        return source
    none = np.empty(0, dtype=np.int64)
    if isinstance(source, pd.DataFrame):
        return RawTable(source, "the data frame", "history", "data frame", none)
    if isinstance(source, str) and source in BUILT_IN:
        return RawTable(_built_in(source), source, *BUILT_IN[source], none)
    if not isinstance(source, str | Path):
        raise DataError(
            f"a history cannot be read from {type(source).__name__}",
            expected=f"a data frame, a {', '.join(_SUFFIXES)} file, or one of {', '.join(BUILT_IN)}",
            fix="pass the path of a file",
        )
    path = user_path(source)
    suffix = _check_file(path, str(source))
    label = printable(path.name)  # goes into reports; the name of a file may hold anything
    name = printable(path.name[: -len(suffix)])
    if suffix == ".parquet":
        frame, unread = read_parquet(path, str(source), counts)
        if not len(frame):
            raise _no_bars(str(source), [*map(str, frame.columns), *unread])
        return RawTable(frame, str(source), name, label, none, unread=unread)
    frame, lines, notes = _read_csv(path, str(source))
    return RawTable(frame, str(source), name, label, lines, notes)


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


@dataclass(frozen=True)
class _Layout:
    """How a text file is laid out: what its beginning shows."""

    skip: int  # lines before the first line of values
    separator: str
    names: list[str]
    encoding: str
    notes: tuple[str, ...] = ()


def _read_csv(path: Path, where: str) -> tuple[pd.DataFrame, NDArray[np.int64], tuple[str, ...]]:
    try:
        encoding, head = _decoded(path, where)
        layout = _sniff(head, encoding, where)
        _refuse_bombs(path, where)
        frame = _parse_csv(path, layout)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where} is no UTF-8 text (byte {error.start})",
            expected="a CSV file in UTF-8",
            fix="save it as CSV UTF-8; if it is Parquet, Excel or compressed, name it so or export it as CSV",
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        width = f"{len(layout.names)} values on every line, as in the header" if "layout" in locals() else "a CSV file"
        raise DataError(
            f"{where} is no regular table: {str(error).strip().splitlines()[-1][:200]}",
            expected=width,
            fix="correct that line; numbers with decimal commas must be written with points",
        ) from error
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{where} cannot be read: {error}", expected="a readable file", fix="copy or download it again"
        ) from error
    if len(frame) > MAX_ROWS:
        raise _too_many(where)
    filled = np.flatnonzero(frame.notna().any(axis=1).to_numpy())
    if not len(filled):
        raise _no_bars(where, layout.names)
    return frame.iloc[filled].reset_index(drop=True), filled + layout.skip + 1, layout.notes


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    """Open a text file, unpacked where it is packed."""
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def _refuse_bombs(path: Path, where: str) -> None:
    """Look through a text file in small pieces, before a parser asks for memory for its lines.

    Raises:
        DataError: an endless line, more text than bars can have, or more than packing bars can save.
    """
    packed, size, line = path.stat().st_size, 0, 0
    with _opened(path) as stream:
        while piece := stream.read(2**20):
            size += len(piece)
            ends = np.concatenate(([-1 - line], _line_ends(piece), [len(piece)]))
            longest, line = int(np.diff(ends).max()) - 1, len(piece) - 1 - int(ends[-2])
            problem = ""
            if longest > MAX_LINE:
                problem = f"has a line of more than {MAX_LINE:,} characters"
            elif size > MAX_TEXT_BYTES:
                problem = f"unpacks to more than {MAX_TEXT_BYTES / 1024**3:.0f} GB of text"
            elif size > max(SMALL, MOST_PACKED * packed):
                problem = f"unpacks to more than {MOST_PACKED} times its size"
            if problem:
                raise DataError(
                    f"{where} {problem}",
                    expected="a header and a line of some hundred characters per bar",
                    fix="check that this is the history; cut it down to one instrument and the years that are needed",
                )


def _line_ends(piece: bytes) -> NDArray[np.intp]:
    """Return where the lines of a piece end: at a line feed, or at a carriage return, as old files have it."""
    raw = np.frombuffer(piece, dtype=np.uint8)
    return np.flatnonzero((raw == 10) | (raw == 13))


def _decoded(path: Path, where: str) -> tuple[str, str]:
    """Return the file's encoding and its beginning as text; Chinese files that are no UTF-8 are read as GB 18030."""
    with _opened(path) as stream:
        raw = stream.read(HEAD_BYTES)
    # a character may be cut where the beginning ends
    whole = raw if len(raw) < HEAD_BYTES else raw[: raw.rfind(b"\n") + 1] or raw
    try:
        return "utf-8-sig", whole.decode("utf-8-sig")
    except UnicodeDecodeError:
        with suppress(UnicodeDecodeError):
            text = whole.decode("gb18030")
            if any(name in text for name in ("开盘", "收盘")):
                return "gb18030", text
        raise


def _sniff(head: str, encoding: str, where: str) -> _Layout:
    """Find header, separator and first line of values in the beginning of a text file."""
    if "\0" in head:
        raise DataError(
            f"{where} is no text file: it holds zero bytes",
            expected="a CSV file in UTF-8",
            fix="save it as CSV UTF-8 (Excel and UTF-16 files are not read)",
        )
    lines = head.splitlines()
    first = next((at for at, line in enumerate(lines) if line.strip()), -1)
    if first < 0:
        raise DataError(f"{where} is empty", expected="a header and bars", fix="export the bars again")
    notes: tuple[str, ...] = ("read as GB 18030, since it is no UTF-8",) if encoding == "gb18030" else ()
    said = re.fullmatch(r"sep=(.)\s*", lines[first], re.IGNORECASE)  # what Excel writes first
    at = first + 1 if said else first
    header = next((row for row in range(at, min(len(lines), at + MAX_PREAMBLE)) if _is_header(lines[row])), at)
    if header > first:
        passed = "; ".join(line.strip()[:60] for line in lines[first:header] if line.strip())
        notes += (f"passed over before the header: {passed}",) if passed else ()
    separator = said.group(1) if said else _separator(lines[header])
    names = [name.strip() for name in next(csv.reader([lines[header]], delimiter=separator))]
    if (titles := _ticker_lines(lines[header + 1 : header + 3], separator, where)) is not None:
        title, more = titles
        return _Layout(header + 1 + more, separator, [title, *names[1:]], encoding, notes)
    _check_width(lines[header + 1 :], separator, names, where)
    return _Layout(header + 1, separator, names, encoding, notes)


def _separator(line: str) -> str:
    return max(",;\t", key=line.count)


def _is_header(line: str) -> bool:
    return speaks_of_bars(next(csv.reader([line], delimiter=_separator(line)), []))


def _ticker_lines(lines: list[str], separator: str, where: str) -> tuple[str, int] | None:
    """Return the name of the stamps and how many more lines of header follow, as a frame of yfinance is written.

    The instrument stands on the second line; the name of the stamps alone on a third, where they have one.
    """
    cells = [[cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])] for line in lines]
    if not cells or not cells[0] or cells[0][0].lower() not in ("ticker", "symbol"):
        return None
    tickers = sorted(set(filter(None, cells[0][1:])))
    if len(tickers) > 1:
        raise DataError(
            f"{where} holds {len(tickers)} instruments side by side ({', '.join(tickers[:5])})",
            expected="the bars of one instrument",
            fix="write one of them: frame.xs('SPY', axis=1, level=1).to_csv(...)",
        )
    if len(cells) > 1 and cells[1] and not any(cells[1][1:]):
        return cells[1][0] or "date", 2
    return "date", 1


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


def _parse_csv(path: Path, layout: _Layout) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            sep=layout.separator,
            header=None,
            names=range(len(layout.names)),  # names may repeat, which pandas would hide by renaming them
            skiprows=layout.skip,
            skip_blank_lines=False,  # a row's number must stay its line's
            skipinitialspace=True,
            index_col=False,
            encoding=layout.encoding,
            low_memory=False,
            nrows=MAX_ROWS + 1,
            compression="infer",
        ).set_axis(layout.names, axis=1)


def _no_bars(where: str, names: list[str]) -> DataError:
    header = ", ".join(map(str, names))[:100]
    return DataError(
        f"{where} has a header ({header}) and no bars", expected="at least one bar", fix="export the bars again"
    )


def _too_many(where: str) -> DataError:
    return DataError(
        f"{where} has more than {MAX_ROWS:,} bars",
        expected=f"at most {MAX_ROWS:,} bars",
        fix="cut the file down to the years that are needed",
    )
