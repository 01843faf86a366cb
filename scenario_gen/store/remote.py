"""Run folders at addresses: s3://bucket/runs/a, gs://, memory://, file://, and whatever else fsspec reaches.

A run works in a mirror on this machine, below the user's cache folder, and everything else of this package sees that
alone. Finished blocks are sent as they are finished, ``done.json`` last; a run that goes on elsewhere takes them from
the address, where they are of the same run. At the end the result is sent. Owns what lies where, and the lock at the
address. Does not know what the files hold.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scenario_gen.errors import StoreError
from scenario_gen.files import LOCK, SUMS, FolderLock, cache_folder, disk_trouble, read_sums, safe_name, sha256_of
from scenario_gen.store.address import Address, address_of
from scenario_gen.store.folder import BLOCK_FILE, DONE, IDENTITY, OWN_FILES, PAGE, RUN, RunFolder, calibration_folder
from scenario_gen.store.manifest import MANIFEST, other_run

RESUMED = ("facts/", "events/", "calibration/")  # finished checks, each of which holds its own sum
LATE = (RUN, SUMS, MANIFEST)  # sent last, in this order: who finds the last has all


def run_folder(written: str | Path, note: Callable[[str], None] | None = None) -> RunFolder:
    """Return the run folder that lies in a folder or at an address; nothing is touched or reached yet.

    Args:
        written: by the user.
        note: hears of blocks that could not be sent when they were finished.
    """
    address = address_of(written)
    return RunFolder(written) if address is None else RemoteFolder(address, note)


def place_of(written: str | Path) -> str:
    """Return a folder or an address as users are told of it."""
    return run_folder(written).place()


def page_of(written: str | Path) -> str:
    """Return where users find the page of a run."""
    return run_folder(written).place(PAGE)


def mirror_of(address: str, use: str = "runs") -> Path:
    """Return where this machine keeps what lies at an address."""
    return cache_folder(use) / safe_name(address)


# --- A run at an address ---


class RemoteFolder(RunFolder):
    """A run folder whose files are a mirror of those at an address."""

    everywhere = True

    def __init__(self, address: str, note: Callable[[str], None] | None = None) -> None:
        super().__init__(mirror_of(address))
        self.address = address
        self._note = note
        self._there = Address(address)
        self._shared = False  # other processes make blocks of it too, perhaps on other machines

    def __getstate__(self) -> dict[str, Any]:
        """Return what a process may know that makes blocks of the same run."""
        self._shared = True
        own = {"address": self.address, "_note": None, "_there": Address(self.address), "_shared": True}
        return {**super().__getstate__(), **own}

    def place(self, name: str = "") -> str:
        """Return what users are told of where a file lies, or the whole run."""
        return f"{self.address}/{name}".rstrip("/")

    @contextmanager
    def at_work(self) -> Iterator[FolderLock]:
        """Have mirror and address for one run alone; send what it made when it ends well.

        Raises:
            StoreError: another run is at work at either, or the address cannot be reached; the mirror stays.
        """
        with super().at_work() as lock, self._locked():
            for name in sorted(self._there.names("calibration")):
                if not (self.path / name).exists():
                    self._there.get(name, self.path / name)
            yield lock
            try:
                self._send_all()
            except StoreError as error:
                error.problem += f"\n  everything that the run made is in {self.path}"
                error.fix += "; give the same command again to send it"
                raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Sign the lock at the address; a kill leaves it, and who has the mirror's lock may take that over."""
        mine = {
            "host": platform.node(),
            "mirror": str(self.path),
            "pid": os.getpid(),
            "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
            "token": os.urandom(8).hex(),
        }
        content = json.dumps(mine).encode()
        if (held := self._there.read(LOCK)) is not None:
            self._refuse_holder(held, mine)
        self._there.write(LOCK, content)
        if self._there.read(LOCK) != content:  # somebody else signed after us
            raise self._in_use("another process")
        try:
            yield
        finally:
            with suppress(StoreError):  # it says who it was; the next one is told
                if self._there.read(LOCK) == content:
                    self._there.remove([LOCK])

    def _refuse_holder(self, held: bytes, mine: Mapping[str, Any]) -> None:
        try:
            holder = dict(json.loads(held))
            if all(holder[key] == mine[key] for key in ("host", "mirror")):
                return  # whose process is dead: this one has the mirror's lock
            age = datetime.now(UTC) - datetime.fromisoformat(f"{holder['since']}+00:00")
            who = f"process {int(holder['pid'])} on {holder['host']}, for {age.total_seconds() / 60:,.0f} minutes"
        except (ValueError, KeyError, TypeError):
            who = "another process"
        raise self._in_use(who)

    def _in_use(self, who: str) -> StoreError:
        return StoreError(
            f"{self.address} is in use: a run is at work there ({who})",
            expected="an address at which nothing else is at work",
            fix=f"wait until it has ended, or choose another report.folder; if it was killed, delete the lock that it "
            f"left, {self.address}/{LOCK}, and give the same command again",
        )

    def prepare(self, identity: Mapping[str, str], *, overwrite: bool = False) -> bool:
        """Make mirror and address ready for a run; as :meth:`RunFolder.prepare`.

        Raises:
            StoreError: another run lives there, or files of unknown origin.
        """
        kept = self._identity_there()
        names = self._there.names()
        if kept is None:
            if strange := sorted(name for name in names if name in OWN_FILES or name.startswith(("blocks/", "paths/"))):
                raise StoreError(
                    f"{self.address} already holds {', '.join(strange[:5])}, but no {IDENTITY}: no run made them",
                    expected="an address with nothing at it, or one where an earlier run was at work",
                    fix="choose another report.folder, or remove these files",
                )
        elif kept != dict(identity) and not overwrite:
            raise other_run(self.address, kept, identity)
        if kept is not None and overwrite:
            self._there.remove(sorted(self._own(names), key=lambda name: name == IDENTITY))
            kept = None
        stale = kept is not None and self.identity() not in (None, kept)  # a mirror of what was there before
        resumed = super().prepare(identity, overwrite=overwrite or stale)
        if kept is None:
            self._there.put(self.path / IDENTITY, IDENTITY)
            return resumed
        self._fetch_blocks(names)
        return True

    def _identity_there(self) -> dict[str, str] | None:
        content = self._there.read(IDENTITY)
        if content is None:
            return None
        try:
            return {str(key): str(value) for key, value in json.loads(content).items()}
        except (ValueError, AttributeError) as error:
            raise StoreError(
                f"{self.address}/{IDENTITY} is not what a run writes", fix="remove it, or choose another report.folder"
            ) from error

    def _own(self, names: set[str]) -> list[str]:
        """Return the files at the address that a run made: those that it lists, and blocks that it had no time to."""
        listed = (self._there.read(MANIFEST) or b"").decode("ascii", "replace").split("\n")[1:]
        return [name for name in names if name in {*listed, *OWN_FILES, MANIFEST} or _of_block(name)]

    def _fetch_blocks(self, names: set[str]) -> None:
        """Bring what a run that goes on can use; a block that was not sent whole does not count here either."""
        for name in sorted(names):
            if name.startswith(RESUMED):
                self._bring(name)
        whole = {name.removesuffix(DONE) for name in names if _of_block(name) and name.endswith(f"/{DONE}")}
        for block in sorted(whole):
            self._fetch_block([name for name in names if name.startswith(block) and _of_block(name)])

    def _fetch_block(self, names: Iterable[str]) -> None:
        ordered = sorted(names, key=lambda name: name.endswith(f"/{DONE}"))
        if ordered and not (self.path / ordered[-1]).exists():
            self.claim(*(self.path / name for name in ordered))
            for name in ordered:
                self._there.get(name, self.path / name)

    def has_block(self, scenario: str, index: int) -> bool:
        """As :meth:`RunFolder.has_block`; one that another machine made of a run at work is brought here."""
        if super().has_block(scenario, index):
            return True
        done = self.block_path(scenario, index) / DONE
        if not self._shared or done.exists() or not self._there.has(done.relative_to(self.path).as_posix()):
            return False
        self._fetch_block(self._there.names(done.parent.relative_to(self.path).as_posix()))
        return super().has_block(scenario, index)

    def save_block(self, scenario: str, index: int, *content: Any, **named: Any) -> None:
        """Write one block and send it; what cannot be sent now is sent when the run ends."""
        super().save_block(scenario, index, *content, **named)
        try:
            self._send_block(self.block_path(scenario, index))
        except StoreError as error:
            if self._lock is None:  # in a worker, which sees the end of no run
                raise
            if self._note is not None:
                self._note(f"{error.problem}: the block is kept in {self.path}, and sent when the run ends")

    def forget(self, names: Iterable[str]) -> None:
        """Remove at the address what was removed here; as :meth:`RunFolder.forget`."""
        self._there.remove(names)

    def bring_finished(self) -> None:
        """As :meth:`RunFolder.bring_finished`: another machine may have finished the run."""
        names = self._there.names()
        if not names.issuperset(LATE):  # nobody has
            return
        for name in (RUN, SUMS):
            self._bring(name)
        for name in {PAGE, *read_sums(self.path)} & names:
            self._bring(name)

    def _bring(self, name: str) -> None:
        if not (self.path / name).exists():
            self.claim(self.path / name)
            self._there.get(name, self.path / name)

    def _send_block(self, folder: Path) -> None:
        names = [path for path in folder.iterdir() if BLOCK_FILE.fullmatch(path.name)]
        for path in sorted(names, key=lambda path: path.name == DONE):
            self._there.put(path, path.relative_to(self.path).as_posix())

    def _send_all(self) -> None:
        """Send blocks that are not there yet, and everything else anew; the list of files comes last."""
        if self._manifest is None:  # nothing was made ready, so nothing was made
            return
        names = self._there.names()
        for done in sorted((self.path / "blocks").glob(f"*/*/{DONE}")):
            if done.relative_to(self.path).as_posix() not in names:
                self._send_block(done.parent)
        listed = (self.path / MANIFEST).read_text("ascii").split("\n")[1:]
        listed += [path.relative_to(self.path).as_posix() for path in calibration_folder(self.path).glob("*.json")]
        rest = [name for name in listed if name and not _of_block(name) and name not in LATE]
        for name in [*rest, *LATE]:
            if (self.path / name).is_file():
                self._there.put(self.path / name, name)
        if (self.path / RUN).is_file():  # a finished run keeps what paths.keep says, there as here
            self._there.remove(sorted(name for name in names - {*listed} if _of_block(name)))


def _of_block(name: str) -> bool:
    """Say whether a name is that of a block's file."""
    top, _, rest = name.partition("/")
    parts = rest.split("/")
    return top == "blocks" and len(parts) == 3 and parts[1].isdigit() and BLOCK_FILE.fullmatch(parts[2]) is not None


# --- Reading ---


def open_folder(written: str | Path, *below: str) -> RunFolder:
    """Return a run folder to read, of an address a copy: run.json and its sums, and whatever lies below some names.

    Args:
        written: a folder or an address.
        below: what else is wanted, by name or by the folder that it lies in.

    Raises:
        StoreError: the address cannot be reached.
    """
    address = address_of(written)
    if address is None:
        return RunFolder(written)
    there, copy = Address(address), mirror_of(address, "copies")
    with disk_trouble("create", copy):
        copy.mkdir(parents=True, exist_ok=True)
    names = there.names()
    for name in (IDENTITY, RUN, SUMS, MANIFEST):  # of the same run as what else comes
        (copy / name).unlink(missing_ok=True)
        if name in names:
            there.get(name, copy / name)
    sums = read_sums(copy)
    present = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    for name in sorted(present | names):
        if name in (IDENTITY, RUN, SUMS, MANIFEST, LOCK) or not any(f"{name}/".startswith(f"{top}/") for top in below):
            continue
        if name not in names:
            (copy / name).unlink()
        elif name not in present or sums.get(name) != sha256_of(copy / name):
            there.get(name, copy / name)
    return RunFolder(copy)
