"""Writing files so that a reader sees the old content or the new one, never half of it.

Owns temporary names, safe file names and the wording of disk trouble. Knows nothing of runs.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scenario_gen.errors import StoreError

SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
RESERVED = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")  # device names on Windows
TEMPORARY = ".partial"

_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space or choose another report.folder; finished blocks are kept"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or choose another report.folder"),
    errno.EACCES: ("permission denied", "choose a report.folder that you may write to"),
    errno.EPERM: ("permission denied", "choose a report.folder that you may write to"),
    errno.EROFS: ("the disk is read-only", "choose a report.folder on a disk that can be written"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter report.folder"),
    errno.ENOTDIR: ("a part of the path is a file", "choose a report.folder whose parents are folders"),
    errno.EEXIST: ("a file stands where a folder is needed", "choose another report.folder"),
    errno.ENOENT: ("there is no such file", "check the path, or run the spec first"),
}


@contextmanager
def disk_trouble(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into a StoreError that says what to do.

    Raises:
        StoreError: the operating system refused.
    """
    try:
        yield
    except OSError as error:
        reason, fix = _REASONS.get(error.errno or 0, (error.strerror or str(error), "check the disk and the path"))
        raise StoreError(f"cannot {doing} {path}: {reason}", fix=fix) from error


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block succeeds.

    Raises:
        StoreError: the disk is full, or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with disk_trouble("write", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically, down to the disk.

    Raises:
        StoreError: the disk is full, or the folder cannot be written.
    """
    with atomic(path) as partial, partial.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """Return a file name for any scenario name; different names never share one.

    Lower-case names of letters, digits, dash and underscore stay as they are. Any other name keeps its safe
    letters and gets eight digits of its hash, so ``../x``, ``Base`` and ``base`` stay three files anywhere.
    """
    if SAFE_NAME.fullmatch(name) and not RESERVED.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    letters = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return f"{letters or 'scenario'}~{digest}"
