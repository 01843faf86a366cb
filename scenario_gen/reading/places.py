"""Finding the files that a spec names, and names that can be file names themselves.

The one rule of where to look is here, so that ``validate``, the history loader and the strategy loader agree.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from scenario_gen.files import user_path
from scenario_gen.reading.words import nearest

_NAME = re.compile(r"\w[\w .-]*")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
MAX_NAME = 60


def places(base: Path, *, parent: bool = False) -> tuple[Path, ...]:
    """Return the folders in which a spec's files are looked for, first match wins.

    Args:
        base: the spec's folder.
        parent: look beside the spec's folder too; strategies/ often stands beside scenarios/.
    """
    return (base, *((base.parent,) if parent else ()), Path.cwd())


def find_file(name: str, base: Path, *, parent: bool = False) -> Path | None:
    """Return the file of that name, or None: absolute, or in the first of :func:`places` that has it."""
    for folder in places(base, parent=parent):
        try:
            candidate = folder / user_path(name)
            if candidate.is_file():
                return candidate.resolve()
        except (OSError, ValueError):  # too long, a null byte: no such file
            continue
    return None


def missing_file(name: str, base: Path, *, parent: bool = False) -> str:
    """Say that a file is not there, where it was looked for and which name there is nearest."""
    if any(_is_folder(folder, name) for folder in places(base, parent=parent)):
        return f"got {name[:80]!r}, which is a folder; expected a file"
    beside = ", its parent" if parent else ""
    looked = f"looked in the spec's folder{beside} and the current folder"
    hint = nearest_file(name, places(base, parent=parent))
    return f"got {name[:80]!r}, but there is no such file ({looked}){hint}"


def _is_folder(folder: Path, name: str) -> bool:
    try:
        return bool(name) and (folder / user_path(name)).is_dir()
    except (OSError, ValueError):
        return False


def nearest_file(name: str, folders: Iterable[Path]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest file name in the same place of these folders."""
    inside = Path(name).parent
    around: list[str] = []
    for folder in folders:
        try:
            around += [str(inside / found.name) for found in itertools.islice((folder / inside).iterdir(), 500)]
        except (OSError, ValueError):
            continue
    return nearest(str(Path(name)), sorted(around))


def bad_name(name: str) -> str:
    """Return why a name cannot be a file name, or nothing if it can."""
    if not _NAME.fullmatch(name) or name != name.rstrip(" ."):
        return "expected letters, digits, spaces, '-', '_' and '.', starting with a letter or digit"
    if name.partition(".")[0].casefold() in _DEVICES:
        return "this name is reserved by Windows; expected another one"
    if len(name) > MAX_NAME:
        return f"expected at most {MAX_NAME} characters"
    return ""


def same_file(name: str) -> str:
    """Return a form of a name in which two names are equal if some file system takes them for one file."""
    return unicodedata.normalize("NFC", name).casefold()
