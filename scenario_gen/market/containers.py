"""Files as they are packed: text, gzip, a zip of one text, JSON; found, opened as a stream, and measured.

Owns what is looked at before a parser asks for memory: endings, sizes, lines, how much more comes out than was packed.
Nothing is ever unpacked to the disk. Knows no separators, no columns and no vendors.
"""

from __future__ import annotations

import gzip
import json
import lzma
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError, printable
from scenario_gen.market.parquet import MAX_READ, MAX_ROWS
from scenario_gen.reading.words import near

MAX_FILE_BYTES = 2 * 1024**3
MAX_TEXT_BYTES = 2**30  # of a text file, unpacked
MAX_JSON_BYTES = 2**28  # unpacked; as Python's numbers they take ten times that
MAX_LINE = 10_000  # characters; a bar takes a hundred
MAX_MEMBERS = 10_000  # of a zip
MOST_PACKED, SMALL = 100, 2**26  # times that bars can be packed; what is unpacked without a question, in bytes
BUILT_IN = {
    "sp500": ("S&P 500", "S&P 500 daily 1999-2018 (arch)"),
    "nasdaq": ("NASDAQ Composite", "NASDAQ Composite daily 1999-2018 (arch)"),
}
SUFFIXES = (".csv", ".csv.gz", ".txt", ".zip", ".json", ".json.gz", ".feather", ".parquet")
_BESIDE = (".checksum", ".md5", ".sha256")  # what vendors pack beside the one file
# What the readers of packed files raise for one that is damaged.
BROKEN = (EOFError, zlib.error, lzma.LZMAError, OSError, zipfile.BadZipFile, NotImplementedError)


@dataclass(frozen=True)
class TextFile:
    """A text on disk, packed or not."""

    path: Path
    where: str  # what to call it in a message
    member: str = ""  # the name inside a zip

    @property
    def packed(self) -> bool:
        """Whether more may come out than lies on disk."""
        return bool(self.member) or self.path.name.lower().endswith(".gz")

    @property
    def name(self) -> str:
        """The name of the text itself: inside a zip where it is in one."""
        return PurePosixPath(self.member).name if self.member else self.path.name

    def open(self) -> IO[bytes]:
        """Open it, unpacked, from its beginning.

        Raises:
            Exception: one of :data:`BROKEN`.
        """
        if self.member:
            return zipfile.ZipFile(self.path).open(self.member)
        return cast(IO[bytes], gzip.open(self.path, "rb")) if self.packed else self.path.open("rb")

    def refuse_bombs(self) -> None:
        """Look through the text in small pieces, before a parser asks for memory for its lines.

        Raises:
            DataError: an endless line, more text than bars can have, or more than packing bars can save.
        """
        size, line = 0, 0
        with self.open() as stream:
            while piece := stream.read(2**20):
                size += len(piece)
                ends = np.concatenate(([-1 - line], _line_ends(piece), [len(piece)]))
                longest, line = int(np.diff(ends).max()) - 1, len(piece) - 1 - int(ends[-2])
                if longest > MAX_LINE:
                    raise self._beyond(f"has a line of more than {MAX_LINE:,} characters")
                self.refuse_size(size, MAX_TEXT_BYTES)

    def refuse_size(self, size: int, most: int) -> None:
        """Refuse text that has unpacked to ``size`` bytes so far, where that is more than bars can be.

        Raises:
            DataError: it is.
        """
        if size > most:
            raise self._beyond(f"unpacks to more than {most / 1024**3:.2g} GB of text")
        if self.packed and size > max(SMALL, MOST_PACKED * self.path.stat().st_size):
            raise self._beyond(f"unpacks to more than {MOST_PACKED} times its size")

    def _beyond(self, problem: str) -> DataError:
        return DataError(
            f"{self.where} {problem}",
            expected="a header and a line of some hundred characters per bar",
            fix="check that this is the history; cut it down to one instrument and the years that are needed",
        )


def _line_ends(piece: bytes) -> NDArray[np.intp]:
    """Return where the lines of a piece end: at a line feed, or at a carriage return, as old files have it."""
    raw = np.frombuffer(piece, dtype=np.uint8)
    return np.flatnonzero((raw == 10) | (raw == 13))


def text_file(path: Path, where: str) -> TextFile:
    """Return a text that can be opened: the file, or the one text that a zip holds.

    Raises:
        DataError: a zip that is damaged, locked, or holds no text or several, or one whose name leads out of it.
    """
    if not path.name.lower().endswith(".zip"):
        return TextFile(path, where)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except BROKEN as error:
        raise DataError(
            f"{where} cannot be read as a zip: {error}", expected="a whole zip file", fix="copy or download it again"
        ) from error
    names = [info.filename for info in members]
    if len(names) > MAX_MEMBERS:
        raise DataError(
            f"{where} holds {len(names):,} files", expected="one text", fix="unpack it, and name one of them"
        )
    if out := next((name for name in names if _leads_out(name)), None):
        raise DataError(
            f"{where} holds a file called {printable(out)[:80]!r}, which leads out of the zip",
            expected="a zip as its vendor packed it",
            fix="do not trust it; download it again",
        )
    texts = [
        info
        for info in members
        if not info.is_dir() and "__MACOSX" not in info.filename and not info.filename.lower().endswith(_BESIDE)
    ]
    if len(texts) != 1 or not texts[0].filename.lower().endswith((".csv", ".txt")):
        shown = ", ".join(printable(info.filename) for info in texts[:5])[:200] or "nothing"
        raise DataError(
            f"{where} holds {len(texts)} files: {shown}{', ...' if len(texts) > 5 else ''}",
            expected="one .csv or .txt of bars",
            fix="unpack it, and name the file, or its folder together with data.symbol",
        )
    if texts[0].flag_bits & 1:
        raise DataError(f"{where} is locked with a password", expected="an open zip", fix="unpack it first")
    return TextFile(path, where, texts[0].filename)


def _leads_out(name: str) -> bool:
    plain = name.replace("\\", "/")
    return plain.startswith("/") or ".." in plain.split("/") or ":" in plain.split("/")[0]


def read_json(file: TextFile) -> pd.DataFrame:
    """Read a list of bars: lists of values, which get numbers for column names, or objects of one shape.

    Raises:
        DataError: another shape, nested values, or more than bars can be.
    """
    raw, size = [], 0
    try:
        with file.open() as stream:
            while piece := stream.read(2**20):
                size += len(piece)
                file.refuse_size(size, MAX_JSON_BYTES)
                raw.append(piece)
        rows = json.loads(b"".join(raw))
    except BROKEN as error:
        raise DataError(
            f"{file.where} cannot be read: {error}", expected="a readable file", fix="copy or download it again"
        ) from error
    except (ValueError, RecursionError) as error:  # undecodable bytes and numbers of a million digits are ValueErrors
        raise DataError(
            f"{file.where} is no JSON: {str(error)[:160]}",
            expected="a list of bars: [[1577836800000, open, high, low, close, volume], ...]",
            fix="copy or download it again",
        ) from error
    problem = _no_bars(rows)
    if problem:
        raise DataError(
            f"{file.where} {problem}",
            expected=f"a list of at most {MAX_ROWS:,} bars, each a list, or an object, of the same numbers",
            fix="export the bars of one instrument",
        )
    return pd.DataFrame(rows)


def _no_bars(rows: Any) -> str:
    """Say what is wrong with the rows of a JSON file; nothing where they can be a table."""
    if not isinstance(rows, list) or not rows:
        return f"holds {'an empty list' if rows == [] else type(rows).__name__}"
    if len(rows) > MAX_ROWS:
        return f"holds {len(rows):,} rows"
    kind = type(rows[0])
    width = len(rows[0]) if isinstance(rows[0], list | dict) else 0
    if not 0 < width <= MAX_READ:
        return f"holds {kind.__name__} of {width} values where a bar is expected"
    for number, row in enumerate(rows, 1):
        if type(row) is not kind or len(row) != width:
            return f"has another shape in row {number}"
        cells = row.values() if isinstance(row, dict) else row
        if not all(cell is None or isinstance(cell, int | float | str) for cell in cells):
            return f"holds a list or an object inside row {number}"
    return ""


def check_file(path: Path, where: str) -> str:
    """Return the file's ending, one of :data:`SUFFIXES`, after making sure that it can be read at all.

    Raises:
        DataError: no such file, an ending that is not read, an empty or too large file.
    """
    suffix = next((ending for ending in SUFFIXES[::-1] if path.name.lower().endswith(ending)), "")
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
            expected=f"a {', '.join(SUFFIXES)} file, or a built-in history: {', '.join(BUILT_IN)}",
            fix="correct the path; a spec's paths are relative to its own folder",
        )
    if not suffix:
        raise DataError(
            f"{where} ends in {path.suffix!r}, which is not read",
            expected=f"a file ending in {', '.join(SUFFIXES)}",
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
