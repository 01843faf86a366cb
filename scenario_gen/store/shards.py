"""Shards of a run: parts of its blocks, each computed in a folder of its own, and put together again.

    <run>/shards/2-of-8/            a run folder: identity.json, manifest.txt, blocks/, calibration/, a lock of its own
    <run>/shards/2-of-8/shard.json  which shard it is, of which spec, and the blocks that it owes

Shards share no file, so that any number of them can be at work below one folder, on one machine or on many. Owns what
a shard says of itself, and whether shards make up one run. Does not know how blocks are dealt or computed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from scenario_gen.errors import StoreError
from scenario_gen.files import LOCK, atomic, disk_trouble, sha256_of, write_bytes
from scenario_gen.store.address import Address, address_of, inside
from scenario_gen.store.folder import DONE, IDENTITY, RunFolder, calibration_folder
from scenario_gen.store.remote import open_folder

SHARDS, NOTE = "shards", "shard.json"
NEVER = "never finished"
MOST_NAMED = 12  # blocks of a scenario in a message


@dataclass(frozen=True)
class ShardNote:
    """What a shard says of itself."""

    number: int  # from 1
    of: int
    spec: str  # the spec's file, absolute; "" where it was a mapping
    written: str  # the same as the user wrote it
    device: str | None  # of the command line
    paths: int | None
    blocks: int  # that are dealt to all shards
    due: dict[str, list[int]]  # the blocks of this shard, by scenario

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"shard {self.number} of {self.of}"

    def save(self, store: RunFolder) -> None:
        """Write the note into the shard's folder, of which the run is at work.

        Raises:
            StoreError: the disk refuses.
        """
        store.claim(store.path / NOTE)
        write_bytes(store.path / NOTE, (json.dumps(asdict(self), indent=1) + "\n").encode("ascii"))

    @classmethod
    def load(cls, folder: Path) -> ShardNote:
        """Read the note of a shard's folder.

        Raises:
            StoreError: it cannot be read, or no shard wrote it.
        """
        path = folder / NOTE
        with disk_trouble("read", path):
            content = path.read_bytes()
        try:
            return TypeAdapter(cls).validate_json(content)
        except ValidationError:
            raise StoreError(
                f"{path} is not what a shard writes",
                expected="a file that is left as it is",
                fix="run that shard again",
            ) from None


@dataclass(frozen=True, eq=False)
class StoredShard:
    """A shard's folder and its note."""

    store: RunFolder
    note: ShardNote
    identity: dict[str, str]  # of the run that it is a part of
    run: str | Path  # the folder or address that it was given, as far as that is known


def shard_folder(run: str | Path, number: int, of: int) -> str | Path:
    """Return where a shard of a run keeps what it computes."""
    return inside(run, f"{SHARDS}/{number}-of-{of}")


def shards_of(folders: Iterable[str | Path]) -> list[StoredShard]:
    """Return the shards that lie in folders or at addresses, or are such a folder themselves, in their order.

    Raises:
        StoreError: a folder is none or holds no shard, shards are of different runs or splits, or one is there twice.
    """
    shards = [_opened(place, folder) for folder in folders for place in _places(_here(folder))]
    first = shards[0]
    for other in shards[1:]:
        _refuse_other_run(first, other)
        if other.note.of != first.note.of:
            raise StoreError(
                f"{first.store.path} is {first.note.name}, and {other.store.path} is {other.note.name}",
                expected="the shards of one split of the run",
                fix="name the folders of one split alone, or delete those of the other",
            )
    by_number: dict[int, StoredShard] = {}
    for shard in shards:
        if (before := by_number.setdefault(shard.note.number, shard)) is not shard:
            raise StoreError(
                f"{shard.note.name} is there twice: {before.store.path} and {shard.store.path}",
                expected="each shard once",
                fix="leave one of the two folders out",
            )
    return [by_number[number] for number in sorted(by_number)]


def _here(folder: str | Path) -> Path:
    """Return a folder; of an address a copy of the shards there, none of which is at work.

    Raises:
        StoreError: one is at work, or the address cannot be reached.
    """
    if (address := address_of(folder)) is None:
        return RunFolder(folder).path
    if locks := sorted(name for name in Address(address).names() if PurePosixPath(name).name == LOCK):
        raise StoreError(
            f"{address} is in use: there is {locks[0]}",
            expected="shards that have ended",
            fix=f"wait until that shard has ended; if it was killed, delete {address}/{locks[0]} and run it again",
        )
    return open_folder(address, SHARDS, NOTE, "blocks", "calibration").path


def _places(folder: Path) -> list[Path]:
    """Return the folders of shards that a folder is, or holds."""
    if (folder / NOTE).is_file():
        return [folder]
    inside = folder / SHARDS
    with disk_trouble("read", folder):
        places = sorted(place for place in inside.iterdir() if (place / NOTE).is_file()) if inside.is_dir() else []
    if places:
        return places
    if not folder.is_dir():
        problem = "is no folder"
    elif (folder / IDENTITY).exists():
        problem = "is a run of its own, and holds no shard"
    else:
        problem = f"holds no shard: there is no {SHARDS}/*/{NOTE} in it"
    raise StoreError(
        f"{folder} {problem}",
        expected="a folder in which scenario-gen run SPEC --shard 1/8 was at work",
        fix="name the folders that the shards were given with --folder",
    )


def _opened(folder: Path, given: str | Path) -> StoredShard:
    store = RunFolder(folder)
    if (identity := store.identity()) is None:
        raise StoreError(f"{folder} has lost its {IDENTITY}", expected="a whole shard", fix="run that shard again")
    inner = folder.parent.name == SHARDS and address_of(given) is None
    return StoredShard(store, ShardNote.load(folder), identity, folder.parents[1] if inner else given)


def _refuse_other_run(first: StoredShard, other: StoredShard) -> None:
    """Refuse a shard of another run, and say what they differ in."""
    here, there = first.identity, other.identity
    if differing := [key for key in sorted({*here, *there}) if here.get(key) != there.get(key)]:
        parts = [f"{key} ({here.get(key, 'none')[:12]}, {there.get(key, 'none')[:12]})" for key in differing]
        raise StoreError(
            f"{first.store.path} and {other.store.path} are shards of two runs; they differ in {', '.join(parts)}",
            expected="shards of the same spec, data, weights, strategies, code and packages",
            fix="run the shard that differs again with --overwrite, where all of these are as for the others",
        )


# --- Do they make up the run? ---


def missing_from(shards: Sequence[StoredShard]) -> list[str]:
    """Say which shards are missing, and which blocks of those that are there; [] where everything is whole."""
    of, blocks, there = shards[0].note.of, shards[0].note.blocks, {shard.note.number for shard in shards}
    absent = [str(number) for number in range(1, min(of, blocks) + 1) if number not in there]  # others owe nothing
    missing = [f"shard{'s' * (len(absent) > 1)} {_listed(absent)} of {of}"] if absent else []
    for shard in shards:
        for name, due in shard.note.due.items():
            bad = {index: words for index in due if (words := _damage(shard.store, name, index))}
            if never := [str(index) for index, words in bad.items() if words == NEVER]:
                plural = "s" * (len(never) > 1)
                missing.append(f"{shard.note.name}: block{plural} {_listed(never)} of {name}, never finished")
            for index, words in bad.items():
                if words != NEVER:
                    missing.append(f"{shard.note.name}: block {index} of {name}, {words}")
    return missing


def _damage(store: RunFolder, scenario: str, index: int) -> str:
    """Say why a block cannot be used, or ""."""
    if store.has_block(scenario, index):
        return ""
    folder = store.block_path(scenario, index)
    if not (folder / DONE).exists():
        return NEVER
    try:
        sums = json.loads((folder / DONE).read_bytes())["files"]
        edited = [name for name, sum_ in sums.items() if sha256_of(folder / PurePosixPath(name).name) != sum_]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        edited = []
    return f"whose {edited[0] if edited else DONE} is not what was written"


def _listed(names: Sequence[str]) -> str:
    """Return names with commas, of many the first ones."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


# --- Put together ---


def adopt(store: RunFolder, shards: Sequence[StoredShard], *, overwrite: bool = False) -> int:
    """Take the blocks of shards that are whole into the folder of a run that is at work; return how many.

    Files are linked where the disk can, so that they take no room twice, else copied; ``done.json`` comes last.

    Args:
        store: the run's folder.
        shards: of it.
        overwrite: replace another run that lives in the folder.

    Raises:
        StoreError: another run lives there, or the disk refuses.
    """
    store.prepare(shards[0].identity, overwrite=overwrite)
    taken = 0
    for shard in shards:
        for name, due in shard.note.due.items():
            for index in due:
                if shard.store.has_block(name, index) and not store.has_block(name, index):
                    _adopt_block(store, shard.store, name, index)
                    taken += 1
        for path in sorted(calibration_folder(shard.store.path).glob("*.json")):  # each holds its own sum
            if not (place := calibration_folder(store.path) / path.name).exists():
                _link(path, place)
    return taken


def _adopt_block(store: RunFolder, source: RunFolder, scenario: str, index: int) -> None:
    here, there = store.block_path(scenario, index), source.block_path(scenario, index)
    names = [*json.loads((there / DONE).read_bytes())["files"], DONE]
    store.claim(*(here / name for name in names))
    with disk_trouble("write", here):
        (here / DONE).unlink(missing_ok=True)
    for name in names:
        _link(there / name, here / name)


def _link(source: Path, place: Path) -> None:
    with atomic(place) as partial:
        try:
            os.link(source, partial)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, partial)
