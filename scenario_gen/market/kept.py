"""Bars that were fetched once and are kept: Parquet, and a note of what was asked, when, by which client, its hash.

They lie in the user's cache, so that a run can be repeated without a network and to the same bits. A note names its
Parquet file, which is named after its hash: two processes that fetch the same bars at once leave whole ones. Pages of a
fetch that broke off lie beside them until it is finished. Asks no vendor.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from scenario_gen.errors import DataError
from scenario_gen.files import cache_folder, disk_trouble, safe_name, write_bytes
from scenario_gen.market.sources.base import Fetched, Request
from scenario_gen.values import hash_of

PLACE = "user's cache (XDG_CACHE_HOME moves it)"
KEY = 12  # digits of a key


@dataclass(frozen=True)
class KeptBars:
    """The note beside kept bars."""

    key: str  # which names them: the first digits of a hash of what was asked
    asked: Mapping[str, Any]  # fields of ``data``
    fetched: str  # when, ISO, UTC
    client: str  # which fetched them, with its version
    bars: int
    first: str  # stamps, ISO
    last: str
    sha256: str  # of the Parquet file
    file: str  # its name
    notes: tuple[str, ...] = ()

    def words(self) -> str:
        """Say which bars these are; the same whenever they are read."""
        return (
            f"{self.bars:,} bars fetched on {self.fetched[:16].replace('T', ' at ')} UTC by {self.client}, "
            f"kept as {self.key}, sha256 {self.sha256[:12]}"
        )


def folder() -> Path:
    """Return where bars are kept."""
    return cache_folder("bars")


def key_of(request: Request) -> str:
    """Return the name of a request's bars."""
    return hash_of(request.asked())[:KEY]


def kept_of(request: Request) -> KeptBars | None:
    """Return the note of a request's bars; None where none are kept.

    Raises:
        DataError: the note cannot be read.
    """
    path = _note_path(request.source, request.symbol, key_of(request))
    return _read_note(path) if path.is_file() else None


def all_kept() -> list[KeptBars]:
    """Return all notes, by source and symbol; one that cannot be read is passed over."""
    notes = []
    for path in sorted(folder().glob("*/*.json")):
        with suppress(DataError):
            notes.append(_read_note(path))
    return notes


def read_bars(note: KeptBars) -> pd.DataFrame:
    """Return kept bars, held against their hash.

    Raises:
        DataError: the file is gone, or not what was kept.
    """
    path = folder() / str(note.asked["source"]) / note.file
    fix = (
        f"fetch them again: scenario-gen fetch --refresh with the same fields, or remove them with --remove {note.key}"
    )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"kept bars {path} cannot be read: {error.strerror}", expected="them", fix=fix) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != note.sha256:
        problem = (
            f"kept bars {path} are not what was fetched: their sha256 is {digest[:12]}..., not {note.sha256[:12]}..."
        )
        raise DataError(problem, expected="the bars as they came", fix=fix)
    return pd.read_parquet(io.BytesIO(content))


def keep(request: Request, fetched: Fetched, now: datetime) -> KeptBars:
    """Keep the bars of a request in place of any before them; return their note.

    Raises:
        StoreError: the disk refuses.
    """
    buffer = io.BytesIO()
    fetched.frame.to_parquet(buffer, index=False)
    content = buffer.getvalue()
    digest, key = hashlib.sha256(content).hexdigest(), key_of(request)
    path = _note_path(request.source, request.symbol, key)
    before = None
    with suppress(DataError):
        before = _read_note(path) if path.is_file() else None
    stamps = fetched.frame["timestamps"]
    note = KeptBars(
        key=key,
        asked=request.asked(),
        fetched=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        client=fetched.client,
        bars=len(stamps),
        first=stamps.iloc[0].isoformat(),
        last=stamps.iloc[-1].isoformat(),
        sha256=digest,
        file=f"{path.stem}-{digest[:8]}.parquet",
        notes=fetched.notes,
    )
    write_bytes(path.with_name(note.file), content, PLACE)
    write_bytes(path, json.dumps(vars(note), indent=1).encode(), PLACE)
    if before is not None and before.file != note.file:
        with suppress(OSError):
            path.with_name(before.file).unlink()
    return note


def remove(key: str) -> list[KeptBars]:
    """Remove kept bars by their key, or all with ``all``; return the notes of those that went.

    Raises:
        DataError: no bars have that key.
        StoreError: the disk refuses.
    """
    notes = [note for note in all_kept() if key in ("all", note.key)]
    if not notes and key != "all":
        raise DataError(
            f"no bars are kept as {key}", expected="a key of scenario-gen fetch --list, or all", fix="correct it"
        )
    for note in notes:
        path = _note_path(str(note.asked["source"]), str(note.asked.get("symbol", "")), note.key)
        with disk_trouble("remove", path, PLACE):
            path.unlink(missing_ok=True)
            path.with_name(note.file).unlink(missing_ok=True)
    if key == "all":
        for pages in folder().glob("*/*.pages"):
            shutil.rmtree(pages, ignore_errors=True)
    return notes


class KeptPages:
    """The pages of one request on disk, while it is fetched."""

    def __init__(self, request: Request) -> None:
        self._folder = _note_path(request.source, request.symbol, key_of(request)).with_suffix(".pages")

    def kept(self) -> pd.DataFrame | None:
        """Return the whole pages that an interrupted fetch left; None where it left none."""
        files = sorted(self._folder.glob("*.parquet"))
        if not files:
            return None
        try:
            pages = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
            return pages.drop_duplicates("timestamps").sort_values("timestamps", ignore_index=True)
        except Exception:  # a damaged page: fetched anew, like any that is not there
            self.clear()
            return None

    def add(self, page: pd.DataFrame) -> None:
        """Keep a whole page."""
        number = len(list(self._folder.glob("*.parquet"))) + 1
        buffer = io.BytesIO()
        page.to_parquet(buffer, index=False)
        write_bytes(self._folder / f"{number:06d}.parquet", buffer.getvalue(), PLACE)

    def clear(self) -> None:
        """Remove them: the fetch is finished, or begins anew."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _note_path(source: str, symbol: str, key: str) -> Path:
    return folder() / safe_name(source) / f"{safe_name(symbol or source)}-{key}.json"


def _read_note(path: Path) -> KeptBars:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return KeptBars(**{**values, "notes": tuple(values["notes"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"the note {path} of kept bars cannot be read: {error}",
            expected="what scenario-gen fetch wrote",
            fix="delete it, and the bars are fetched anew",
        ) from None
