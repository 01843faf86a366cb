"""A finished run made small: what it needs to be resumed goes, and as much more as is asked for.

The words are those of ``paths.keep``: ``paths`` leaves tables and kept paths, ``metrics`` the tables alone, ``none``
neither. run.json stays, and with it the page. Removes files that the run's manifest names and no others, and nothing
through a link. Does not know what the files hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from scenario_gen.errors import StoreError
from scenario_gen.files import SUMS, read_sums, safe_name, write_bytes
from scenario_gen.store.address import address_of
from scenario_gen.store.folder import CANDLES, FACTS, METRICS, RUN, RunFolder
from scenario_gen.store.manifest import Manifest, digest, unlisted

Keep = Literal["none", "metrics", "paths"]
KEEPS: tuple[Keep, ...] = get_args(Keep)
Part = Literal["blocks", "paths", "tables"]
PARTS: Mapping[Keep, tuple[Part, ...]] = {
    "paths": ("blocks",),
    "metrics": ("blocks", "paths"),
    "none": ("blocks", "paths", "tables"),
}  # what goes
FOLDERS: Mapping[str, Part] = {"blocks": "blocks", "facts": "blocks", "paths": "paths"}  # of the run folder


@dataclass(frozen=True)
class Cleaned:
    """What was freed of a run, or would be."""

    folder: str
    keep: Keep
    dry_run: bool  # nothing was removed
    files: int  # that went
    freed: dict[str, int]  # bytes by part: blocks (with the cache of finished checks), paths, tables
    kept: int  # bytes of the run's files that stay


def clean_run(folder: Path | str, keep: Keep = "metrics", *, dry_run: bool = False) -> Cleaned:
    """Free what a finished run no longer needs.

    Args:
        folder: of the run.
        keep: what stays beside run.json and the page.
        dry_run: count and remove nothing.

    Raises:
        StoreError: it is an address, holds no finished run, or one at work; run.json was edited, its list of files is
            missing, or the disk refuses.
    """
    if address_of(folder) is not None:
        raise StoreError(
            f"{folder} is an address, and clean removes files of this machine alone",
            expected="the folder of a finished run",
            fix="say paths: {keep: none} in the spec of a run at an address, or remove its blocks there",
        )
    store = RunFolder(folder)
    identity = store.identity()
    if identity is None or not (store.path / RUN).is_file():
        raise _unfinished(store.path, begun=identity is not None)
    with store.at_work():
        store.read_run()  # whole and as it was written: the page can be made of it again
        manifest = Manifest.of(store.path, digest(identity))
        if manifest is None:
            raise unlisted(store.path)
        sizes = manifest.sizes()
        going = {name: part for name in sizes if (part := _part(name)) in PARTS[keep]}
        gone = {name for name in manifest.names if _part(name) in PARTS[keep]}  # those that a kill had removed, too
        if not dry_run:
            manifest.drop(gone)
            _forget_sums(store.path, gone)
    freed: dict[str, int] = {
        str(part): sum(sizes[name] for name in going if going[name] == part) for part in PARTS[keep]
    }
    return Cleaned(
        folder=str(store.path),
        keep=keep,
        dry_run=dry_run,
        files=len(going),
        freed=freed,
        kept=sum(size for name, size in sizes.items() if name not in going),
    )


def drop_blocks(store: RunFolder, scenarios: Collection[str]) -> None:
    """Remove the blocks of scenarios from the folder of a run that is at work and finished.

    Raises:
        StoreError: the disk refuses.
    """
    manifest = Manifest.of(store.path, digest(store.identity() or {})) if scenarios else None
    if manifest is not None:
        starts = tuple(f"blocks/{safe_name(scenario)}/" for scenario in scenarios)
        gone = [name for name in manifest.names if name.startswith(starts)]
        manifest.drop(gone)
        store.forget(gone)


def _part(name: str) -> Part | None:
    """Return what a file is a part of; None where it always stays."""
    if name in (METRICS, CANDLES, FACTS):
        return "tables"
    top, slash, _ = name.partition("/")
    return FOLDERS.get(top) if slash else None


def _forget_sums(folder: Path, gone: set[str]) -> None:
    """Take files that went out of SHA256SUMS; the sums of the others stay as they were written."""
    sums = read_sums(folder)
    if gone & sums.keys():
        lines = [f"{known}  {name}\n" for name, known in sums.items() if name not in gone]
        write_bytes(folder / SUMS, "".join(lines).encode())


def _unfinished(folder: Path, *, begun: bool) -> StoreError:
    if begun:
        return StoreError(
            f"the run in {folder} is not finished: it has no {RUN}",
            expected="a finished run; of an unfinished one everything is needed to go on",
            fix="give its run command again to finish it, or delete the folder",
        )
    return StoreError(f"{folder} holds no run", expected="the folder of a finished run", fix="check the path")
