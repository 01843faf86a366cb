"""Files: written so that a reader sees the old content or the new one, and known again by their hashes.

Owns paths as people write them, temporary names, safe file names, the wording of disk trouble, the lock on a folder
that a process works in, and the SHA256SUMS that stand beside weights. Knows nothing of runs or of what a checkpoint
holds.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scenario_gen.errors import CheckpointError, StoreError

SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
RESERVED = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")  # device names on Windows
TEMPORARY = ".partial"
LOCK = ".scenario-gen.lock"  # there while a process works in the folder; a kill leaves it, without the lock
SUMS = "SHA256SUMS"  # the format of sha256sum(1): ``sha256sum -c SHA256SUMS`` checks a folder too
SUM = re.compile(r"(?P<hash>[0-9a-f]{64}) [ *](?P<name>.+)")

_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space or choose another {place}; what is finished is kept"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or choose another {place}; what is finished is kept"),
    errno.EFBIG: ("the file is too large for this disk or for its limit", "raise the limit or choose another {place}"),
    errno.EACCES: ("permission denied", "choose a {place} that you may write to"),
    errno.EPERM: ("permission denied", "choose a {place} that you may write to"),
    errno.EROFS: ("the disk is read-only", "choose a {place} on a disk that can be written"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter {place}"),
    errno.ENOTDIR: ("a part of the path is a file", "choose a {place} whose parents are folders"),
    errno.EEXIST: ("a file stands where a folder is needed", "choose another {place}"),
    errno.EISDIR: ("a folder stands where a file is needed", "move it away"),
    errno.ELOOP: ("it is a link", "move it away"),
    errno.ENOENT: ("there is no such file", "check the path of the {place}"),
}


@contextmanager
def disk_trouble(doing: str, path: Path, place: str = "report.folder") -> Iterator[None]:
    """Turn an OSError inside the block into a StoreError that says what to do; ``place``: what the user may change.

    Raises:
        StoreError: the operating system refused.
    """
    try:
        yield
    except OSError as error:
        reason, fix = _REASONS.get(error.errno or 0, (error.strerror or str(error), "check the disk and the path"))
        if error.errno == errno.ENOENT and (doing, place) == ("read", "report.folder"):
            fix = "check the path, or run the spec first"
        raise StoreError(f"cannot {doing} {path}: {reason}", fix=fix.format(place=place)) from error


@contextmanager
def atomic(path: Path, place: str = "report.folder") -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block succeeds, and is gone when it fails.

    Raises:
        StoreError: the disk is full, or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with disk_trouble("write", path, place):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


def write_bytes(path: Path, content: bytes, place: str = "report.folder") -> None:
    """Write a file atomically, down to the disk.

    Raises:
        StoreError: the disk is full, or the folder cannot be written.
    """
    with atomic(path, place) as partial, partial.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def user_path(written: str | Path) -> Path:
    """Return a path as a person writes it, with ``~`` filled in.

    The one place that does so: Path's own raises for an unknown ``~user``. Such a path stays as it was written, and so
    names no file, as in a shell.
    """
    return Path(os.path.expanduser(written))  # noqa: PTH111


def cache_folder(use: str) -> Path:
    """Return where this machine keeps what can be had again: in the user's cache, in a folder for that use."""
    home = Path.home()
    if sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        cache = home / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return cache / "scenario-gen" / use


# --- A folder in which one process at a time is at work ---


@dataclass(frozen=True)
class FolderLock:
    """A folder that this process has to itself; the lock ends with the process, however that ends."""

    folder: Path
    work: str  # what the process does there: "a run"
    handle: int  # of the open lock file
    known: bool  # whether the disk knows locks; some network disks do not

    def check(self) -> None:
        """See that the folder is still the one that was locked.

        Raises:
            StoreError: somebody deleted, moved or replaced it.
        """
        with suppress(OSError):
            if os.path.samestat(os.fstat(self.handle), (self.folder / LOCK).stat()):
                return
        raise StoreError(
            f"{self.folder} was deleted, moved or replaced while {self.work} was at work in it",
            expected="a folder that is left alone until the end",
            fix="give the same command again",
        )


def remove_partials(path: Path) -> None:
    """Remove what killed writes of a file left beside it; for a process that has the folder to itself."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9]+{re.escape(TEMPORARY)}")
    for partial in sorted(path.parent.glob(f".*{TEMPORARY}")):
        if ours.fullmatch(partial.name) and (partial.is_symlink() or partial.is_file()):
            partial.unlink()


@contextmanager
def locked(folder: Path, work: str, fix: str) -> Iterator[FolderLock]:
    """Have a folder, made where it is missing, for this process alone until the end of the block.

    Args:
        folder: to work in; where nothing was left in a new one, it goes again.
        work: what is done there: "a run", "a training".
        fix: what to do instead of waiting, where another process is at work in the folder.

    Raises:
        StoreError: another process is at work there, the disk refuses, or the folder was deleted meanwhile.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    with disk_trouble("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with disk_trouble("lock", folder):
            handle, known = _take(folder, work, fix)
        try:
            lock = FolderLock(folder, work, handle, known)
            yield lock
            lock.check()
        finally:
            with suppress(StoreError, OSError):
                lock.check()
                (folder / LOCK).unlink()
            if handle in _HANDLES:  # a forked child has closed it
                _HANDLES.discard(handle)
                os.close(handle)
    finally:
        for place in made:
            with suppress(OSError):  # there is something in it, as there should be
                place.rmdir()


def _take(folder: Path, work: str, fix: str) -> tuple[int, bool]:
    """Open, lock and sign the lock file; return its handle, and whether the disk knows locks."""
    path = folder / LOCK
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            known = _lock(handle)
            if known is None:
                raise _at_work(folder, work, fix, os.read(handle, 4096))
            with suppress(FileNotFoundError):  # its holder removed it between the two lines above
                if os.path.samestat(os.fstat(handle), path.stat()):
                    mine = {"pid": os.getpid(), "host": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
                    os.ftruncate(handle, 0)
                    os.write(handle, json.dumps(mine).encode())
                    _HANDLES.add(handle)
                    return handle, known
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int) -> bool | None:
    """Return whether a lock was got; None where another process has it, False where the disk knows none."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond what is written: others may read who it is
            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK) else False
    return True


def _at_work(folder: Path, work: str, fix: str, signed: bytes) -> StoreError:
    try:
        holder = json.loads(signed)
        who = f"process {int(holder['pid'])} on {holder['host']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):  # it is just signing
        who = "another process"
    return StoreError(
        f"{folder} is in use: {work} is at work in it ({who})",
        expected="a folder in which nothing else is at work",
        fix=f"wait until that process has ended or stop it, then give the same command again; or {fix}",
    )


_HANDLES: set[int] = set()  # of the locks that this process has


def _let_go() -> None:
    """Close the locks of the parent in a forked child, which may outlive it."""
    for handle in _HANDLES:
        with suppress(OSError):
            os.close(handle)
    _HANDLES.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


# --- Names and hashes ---


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
    """Write SHA256SUMS for files of a folder.

    Raises:
        StoreError: the disk refuses.
    """
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in names]
    write_bytes(folder / SUMS, "".join(lines).encode(), "folder")


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
