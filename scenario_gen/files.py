"""Files: written so that a reader sees the old content or the new one, and known again by their hashes.

Owns paths as people write them, temporary names, safe file names, the wording of disk trouble, and the SHA256SUMS that
stand beside weights. Knows nothing of runs or of what a checkpoint holds.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scenario_gen.errors import CheckpointError, StoreError

SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
RESERVED = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")  # device names on Windows
TEMPORARY = ".partial"
SUMS = "SHA256SUMS"  # the format of sha256sum(1): ``sha256sum -c SHA256SUMS`` checks a folder too
SUM = re.compile(r"(?P<hash>[0-9a-f]{64}) [ *](?P<name>.+)")

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


def user_path(written: str | Path) -> Path:
    """Return a path as a person writes it, with ``~`` filled in.

    The one place that does so: Path's own raises for an unknown ``~user``. Such a path stays as it was written, and so
    names no file, as in a shell.
    """
    return Path(os.path.expanduser(written))  # noqa: PTH111


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


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def recorded_by_the_hub(path: Path) -> str:
    """Return the hash by which the Hub's cache files a blob; "" where the system has no links and so no such name."""
    return path.readlink().name if path.is_symlink() else ""


def mismatch(path: Path, recorded: str) -> str:
    """Compare a file with its recorded hash: sha256, or git's blob hash, which the Hub keeps of small files.

    Returns:
        What is wrong, or "". A mirror may send tags that are neither hash; there is nothing to compare then.
    """
    if not is_hash(recorded):
        return ""
    actual = sha256_of(path) if len(recorded) == 64 else _git_hash_of(path)
    return "" if actual == recorded else f"its hash is {actual[:12]}..., not {recorded[:12]}..."


def is_hash(recorded: str) -> bool:
    """Say whether a tag is a hash that :func:`mismatch` can compare."""
    return re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", recorded) is not None


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write SHA256SUMS for files of a folder."""
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def read_sums(folder: Path) -> dict[str, str]:
    """Return the recorded hash of each file that SHA256SUMS names; nothing where there is no such file.

    Raises:
        CheckpointError: the file cannot be read.
    """
    path = folder / SUMS
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    sums = [SUM.fullmatch(line) for line in lines]
    if wrong := [number for number, match in enumerate(sums, 1) if match is None]:
        raise CheckpointError(
            f"{path}: line {wrong[0]} is not a hash and a name",
            expected="what sha256sum writes",
            fix="take the folder again from where it came",
        )
    return {match["name"]: match["hash"] for match in sums if match}


def _git_hash_of(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
