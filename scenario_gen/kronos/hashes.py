"""Hashes of a checkpoint's files: the Hub's own, and the SHA256SUMS that stand beside our own weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from scenario_gen.errors import CheckpointError

SUMS = "SHA256SUMS"  # the format of sha256sum(1): ``sha256sum -c SHA256SUMS`` checks a folder too
LINE = re.compile(r"(?P<hash>[0-9a-f]{64}) [ *](?P<name>.+)")


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
    found = sha256_of(path) if len(recorded) == 64 else _git_hash_of(path)
    return "" if found == recorded else f"its hash is {found[:12]}..., not {recorded[:12]}..."


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
    found = [LINE.fullmatch(line) for line in lines]
    if wrong := [number for number, match in enumerate(found, 1) if match is None]:
        raise CheckpointError(
            f"{path}: line {wrong[0]} is not a hash and a name",
            expected="what sha256sum writes",
            fix="take the folder again from where it came",
        )
    return {match["name"]: match["hash"] for match in found if match}


def _git_hash_of(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
