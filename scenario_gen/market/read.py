"""Files and built-in histories as raw tables: what is on disk, before anybody asks what it means.

Owns file formats, separators, sizes and line numbers. Knows no column names beyond the header, and no rules.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError, printable
from scenario_gen.files import user_path
from scenario_gen.market.columns import counts, speaks_of_bars
from scenario_gen.market.containers import BROKEN, BUILT_IN, SUFFIXES, TextFile, check_file, read_json, text_file
from scenario_gen.market.dialects import Dialect, SeenText, as_read, dialect_of
from scenario_gen.market.frames import side_by_side
from scenario_gen.market.parquet import MAX_ROWS, read_feather, read_parquet

Frames: TypeAlias = Mapping[str, pd.DataFrame]  # by symbol, or by field with a column per symbol
HEAD_BYTES = 64 * 1024
MAX_PREAMBLE = 10  # lines of a vendor's own before the header
SHOWN_ROWS = 3  # of which a dialect is known


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


def read_source(source: RawTable | pd.DataFrame | Frames | str | Path, format: str | None = None) -> RawTable:  # noqa: A002
    """Read a data frame, a built-in name, or a file of bars; a table comes back as it is.

    Args:
        source: what to read; a vectorbt data object, frames by symbol or a frame of several symbols too.
        format: how a file is written, a name of :mod:`scenario_gen.market.dialects`; None: as it shows by itself.

    Raises:
        DataError: no such source, it cannot be read as a table, or it is not of that format.
    """
    if isinstance(source, RawTable):
        return source
    none = np.empty(0, dtype=np.int64)
    if format is not None and (not isinstance(source, str | Path) or source in BUILT_IN):
        raise DataError(f"format is {format!r}, and no file is read", expected="a file", fix="leave format out")
    if (table := side_by_side(source)) is not None:
        held = table["symbol"].unique()
        name = printable(held[0]) if len(held) == 1 else "history"
        return RawTable(table, "the data frame", name, f"{type(source).__name__} of {len(held)} instruments", none)
    if isinstance(source, pd.DataFrame):
        return RawTable(source, "the data frame", "history", "data frame", none)
    if isinstance(source, str) and source in BUILT_IN:
        return RawTable(_built_in(source), source, *BUILT_IN[source], none)
    if not isinstance(source, str | Path):
        raise DataError(
            f"a history cannot be read from {type(source).__name__}",
            expected=f"a data frame, a {', '.join(SUFFIXES)} file, or one of {', '.join(BUILT_IN)}",
            fix="pass the path of a file",
        )
    return _read_file(user_path(source), str(source), format)


def _read_file(path: Path, where: str, asked: str | None) -> RawTable:
    suffix = check_file(path, where)
    label = printable(path.name)  # goes into reports; the name of a file may hold anything
    name = printable(path.name[: -len(suffix)])
    lines: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    if suffix in (".parquet", ".feather"):
        frame, unread = (read_parquet if suffix == ".parquet" else read_feather)(path, where, counts)
        if not len(frame):
            raise _no_bars(where, [*map(str, frame.columns), *unread])
        seen = SeenText((*map(str, frame.columns), *unread), (), (str(path),), "binary")
        dialect = dialect_of(seen, asked, where)
    elif suffix in (".json", ".json.gz"):
        frame, seen = _read_rows(TextFile(path, where), asked)
        dialect = dialect_of(seen, asked, where)
    else:
        frame, lines, layout = _read_csv(text_file(path, where), asked)
        seen, dialect, notes = layout.seen, layout.dialect, layout.notes
    if dialect is not None:
        frame, said = as_read(frame, dialect, seen, where)
        notes += (said,)
    return RawTable(frame, where, name, label, lines, notes, unread)


def _read_rows(file: TextFile, asked: str | None) -> tuple[pd.DataFrame, SeenText]:
    """Read JSON; rows without names get those of the dialect that writes such rows."""
    frame = read_json(file)
    cells = [
        ["" if cell is None else str(cell) for cell in row] for row in frame.head(SHOWN_ROWS).to_numpy(dtype=object)
    ]
    is_named = not isinstance(frame.columns, pd.RangeIndex)
    names = tuple(map(str, frame.columns)) if is_named else ()
    seen = SeenText(names, tuple(map(tuple, cells)), (str(file.path),), "json")
    dialect = dialect_of(seen, asked, file.where)
    shape = None if dialect is None else dialect.shape_of(seen)
    if not is_named and shape is None:
        raise DataError(
            f"{file.where} holds rows of {frame.shape[1]} values without names: {seen.first[:100]}",
            expected='rows as freqtrade or Binance write them, or objects with names: {"date": ..., "open": ...}',
            fix="write the names too: frame.to_json(orient='records')",
        )
    return (frame if shape is None else frame.set_axis(list(shape.names), axis=1)), seen


def _built_in(name: str) -> pd.DataFrame:
    from arch.data import nasdaq, sp500

    return {"sp500": sp500, "nasdaq": nasdaq}[name].load()


@dataclass(frozen=True)
class _Layout:
    """How a text file is laid out: what its beginning shows."""

    skip: int  # lines before the first line of values
    separator: str
    names: list[str]
    encoding: str
    seen: SeenText
    dialect: Dialect | None = None
    notes: tuple[str, ...] = ()


def _read_csv(file: TextFile, asked: str | None) -> tuple[pd.DataFrame, NDArray[np.int64], _Layout]:
    where = file.where
    try:
        encoding, head = _decoded(file)
        layout = _sniff(head, encoding, file, asked)
        file.refuse_bombs()
        frame = _parse_csv(file, layout)
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
    except BROKEN as error:
        raise DataError(
            f"{where} cannot be read: {error}", expected="a readable file", fix="copy or download it again"
        ) from error
    if len(frame) > MAX_ROWS:
        raise _too_many(where)
    filled = np.flatnonzero(frame.notna().any(axis=1).to_numpy())
    if not len(filled):
        raise _no_bars(where, layout.names)
    return frame.iloc[filled].reset_index(drop=True), filled + layout.skip + 1, layout


def _decoded(file: TextFile) -> tuple[str, str]:
    """Return the file's encoding and its beginning as text; Chinese files that are no UTF-8 are read as GB 18030."""
    with file.open() as stream:
        raw = stream.read(HEAD_BYTES)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):  # as MetaTrader 5 saves charts
        return "utf-16", raw[: len(raw) // 2 * 2].decode("utf-16")
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


def _sniff(head: str, encoding: str, file: TextFile, asked: str | None) -> _Layout:
    """Find header, separator, first line of values and the dialect in the beginning of a text file."""
    where, places = file.where, (str(file.path), file.name)
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
    header = next((row for row in range(at, min(len(lines), at + MAX_PREAMBLE)) if _is_header(lines[row])), None)
    if header is None:
        separator = said.group(1) if said else _separator(lines[at])
        seen = SeenText((), _cells(lines[at:], separator), places)
        dialect = dialect_of(seen, asked, where)
        if dialect is not None and (shape := dialect.shape_of(seen)) is not None:
            return _Layout(at, separator, list(shape.names), encoding, seen, dialect, notes)
        header = at
    if header > first:
        passed = "; ".join(line.strip()[:60] for line in lines[first:header] if line.strip())
        notes += (f"passed over before the header: {passed}",) if passed else ()
    separator = said.group(1) if said else _separator(lines[header])
    names = [name.strip() for name in next(csv.reader([lines[header]], delimiter=separator))]
    if (titles := _ticker_lines(lines[header + 1 : header + 3], separator, where)) is not None:
        title, more = titles
        return _Layout(
            header + 1 + more, separator, [title, *names[1:]], encoding, SeenText((), (), places), None, notes
        )
    _check_width(lines[header + 1 :], separator, names, where)
    seen = SeenText(tuple(names), _cells(lines[header + 1 :], separator), places)
    return _Layout(header + 1, separator, names, encoding, seen, dialect_of(seen, asked, where), notes)


def _cells(lines: list[str], separator: str) -> tuple[tuple[str, ...], ...]:
    """Return the cells of the first lines that are not blank."""
    filled = [line for line in lines[: 10 * SHOWN_ROWS] if line.strip()][:SHOWN_ROWS]
    return tuple(tuple(cell.strip() for cell in row) for row in csv.reader(filled, delimiter=separator))


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


def _parse_csv(file: TextFile, layout: _Layout) -> pd.DataFrame:
    with warnings.catch_warnings(), file.open() as stream:
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            stream,
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
