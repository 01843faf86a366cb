"""The manifest of a run folder: every file that the run made, named before it is written.

    manifest.txt    the run's hash in the first line, then one name a line

Owns which files of a folder are a run's own: those are replaced and removed, all others are let alone, and nothing is
reached through a link. Owns whether one is as it was written. Does not know what the files hold.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from scenario_gen.errors import StoreError
from scenario_gen.files import SUMS, TEMPORARY, disk_trouble, read_sums, sha256_of, write_bytes
from scenario_gen.values import hash_of

MANIFEST = "manifest.txt"
NAME = re.compile(r"[^/\\:\0]+(/[^/\\:\0]+)*")  # of a file below the folder, with forward slashes


class Manifest:
    """The files that one run made in its folder."""

    def __init__(self, folder: Path, run: str, names: Iterable[str] = ()) -> None:
        """Take what is known; :meth:`begin` and :meth:`of` are what to call."""
        self._folder, self._run = folder, run
        self._names = dict.fromkeys(names)

    @classmethod
    def begin(cls, folder: Path, run: str) -> Manifest:
        """Write the manifest of a run that has no file yet; ``run`` is the hash of its identity.

        Raises:
            StoreError: the disk refuses.
        """
        made = cls(folder, run)
        made._write()
        return made

    @classmethod
    def of(cls, folder: Path, run: str) -> Manifest | None:
        """Read the manifest of a run; None where there is none, or that of another run."""
        try:
            first, *names = (folder / MANIFEST).read_bytes().decode("ascii").split("\n")
        except (OSError, ValueError):
            return None
        if first != f"run {run}":
            return None
        return cls(folder, run, [name for name in names[:-1] if is_below(name)])  # the last was cut off by a kill

    def claim(self, *paths: Path) -> None:
        """Name files before they are written.

        Raises:
            StoreError: a file that this run did not make stands there, or a link where its folder should be; or the
                disk refuses.
        """
        for path in paths:
            self._clear_the_way(PurePosixPath(path.relative_to(self._folder).as_posix()))
        names = self.refuse_foreign(*paths)
        if new := [name for name in names if name not in self._names]:
            with disk_trouble("write", self._folder / MANIFEST), (self._folder / MANIFEST).open("ab") as stream:
                stream.write("".join(f"{name}\n" for name in new).encode("ascii"))
                stream.flush()
                os.fsync(stream.fileno())
            self._names |= dict.fromkeys(new)

    def refuse_foreign(self, *paths: Path) -> list[str]:
        """See that no file stands in these places that this run did not make; return their names.

        Raises:
            StoreError: one does.
        """
        names = [path.relative_to(self._folder).as_posix() for path in paths]
        for name in names:
            if name not in self._names and os.path.lexists(self._folder / name):
                raise _strange(self._folder / name, "is there already, and this run did not make it")
        return names

    def remove(self, *, but: str) -> None:
        """Remove every file that is named, then the folders that are left empty; the file ``but`` goes last of all.

        Raises:
            StoreError: the disk refuses.
        """
        self.sweep()
        with disk_trouble("clear", self._folder):
            self._unlink(name for name in self._names if name != but)
            for last in (but, MANIFEST):  # a removal cut short can be repeated
                (self._folder / last).unlink(missing_ok=True)

    def drop(self, names: Iterable[str]) -> None:
        """Remove some of the files that are named, the folders that are left empty, and then their names.

        Raises:
            StoreError: the disk refuses.
        """
        gone = {name for name in names if name in self._names}
        self.sweep()
        with disk_trouble("clear", self._folder):
            self._unlink(gone)
        self._names = {name: None for name in self._names if name not in gone}
        self._write()

    @property
    def names(self) -> tuple[str, ...]:
        """Every file that the run named, whether it is there or not."""
        return tuple(self._names)

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of every file that is named and there; of what lies behind a link nothing.

        Raises:
            StoreError: the disk refuses.
        """
        with disk_trouble("read", self._folder):
            own = [name for name in self._names if not self._links_to(PurePosixPath(name).parent)]
            return {name: (self._folder / name).lstat().st_size for name in own if (self._folder / name).is_file()}

    def _unlink(self, names: Iterable[str]) -> None:
        inner = {PurePosixPath(name) for name in names}
        for name in inner:
            self._clear_the_way(name)
            path = self._folder / name
            if path.is_symlink() or path.is_file():
                path.unlink()
        around = {folder for name in inner for folder in name.parents if folder.parts}
        for folder in sorted(around, key=lambda folder: len(folder.parts), reverse=True):
            with suppress(OSError):  # somebody's own file is in it
                (self._folder / folder).rmdir()

    def sweep(self) -> None:
        """Remove what killed writes of the named files left, and what a kill left of the manifest's last line.

        Raises:
            StoreError: the disk refuses.
        """
        ends: dict[PurePosixPath, list[str]] = {PurePosixPath(): [MANIFEST]}
        for name in map(PurePosixPath, self._names):
            ends.setdefault(name.parent, []).append(name.name)
        with disk_trouble("clear", self._folder):
            for inner, files in ends.items():
                if self._links_to(inner) or not (self._folder / inner).is_dir():
                    continue
                ours = re.compile(rf"\.(?:{'|'.join(map(re.escape, files))})\.[0-9]+{re.escape(TEMPORARY)}")
                for partial in sorted((self._folder / inner).glob(f".*{TEMPORARY}")):
                    if ours.fullmatch(partial.name) and (partial.is_symlink() or partial.is_file()):
                        partial.unlink()
        self._write()

    def _write(self) -> None:
        lines = "".join(f"{line}\n" for line in (f"run {self._run}", *self._names))
        write_bytes(self._folder / MANIFEST, lines.encode("ascii"))

    def _links_to(self, inner: PurePosixPath) -> list[PurePosixPath]:
        """Return a folder and those that it lies in, as far as they are links; the outermost first."""
        ways = [way for way in (*reversed(inner.parents), inner) if way.parts]
        return [way for way in ways if (self._folder / way).is_symlink()]

    def _clear_the_way(self, name: PurePosixPath) -> None:
        """Remove a link that stands where this run made a folder; what it leads to is let alone.

        Raises:
            StoreError: it stands where this run made none.
        """
        for link in self._links_to(name.parent)[:1]:  # those beyond it are somebody else's
            if not any(known.startswith(f"{link}/") for known in self._names):
                raise _strange(self._folder / link, "is a link, and a run keeps its files in folders of its own")
            with disk_trouble("clear", self._folder):
                (self._folder / link).unlink()


def is_below(name: str) -> bool:
    """Say whether a line names something below the folder, whoever wrote it."""
    return NAME.fullmatch(name) is not None and not {".", ".."} & set(name.split("/"))


def _strange(path: Path, problem: str) -> StoreError:
    return StoreError(
        f"{path} {problem}", expected="nothing in its place", fix="move it away, or choose another report.folder"
    )


# --- Whose folder is this? ---


def digest(identity: Mapping[str, str]) -> str:
    """Return the hash of an identity, by which blocks and manifest know their run."""
    return hash_of(dict(identity))


def is_strange(folder: Path) -> bool:
    """Say whether something stands in the manifest's place that no run wrote."""
    try:
        with (folder / MANIFEST).open("rb") as stream:
            return re.fullmatch(rb"run [0-9a-f]{64}\n", stream.read(69)) is None
    except FileNotFoundError:
        return (folder / MANIFEST).is_symlink()
    except OSError:
        return True


def unlisted(path: Path) -> StoreError:
    """Return the refusal of a folder whose own files are not known."""
    return StoreError(
        f"{path} holds a run without a list of its files: {MANIFEST} is missing, damaged or another run's",
        expected="a folder of this version of scenario-gen, in which every file of the run is known",
        fix="delete this run folder, or choose another report.folder",
    )


def other_run(path: Path | str, present: Mapping[str, str], wanted: Mapping[str, str]) -> StoreError:
    """Return the refusal of a folder in which another run lives."""
    differing = [key for key in sorted({*present, *wanted}) if present.get(key) != wanted.get(key)]
    parts = [
        f"{key} ({present.get(key, 'absent')[:12]} there, {wanted.get(key, 'absent')[:12]} now)" for key in differing
    ]
    return StoreError(
        f"{path} holds another run; it differs in {', '.join(parts)}",
        expected="a new folder, or the same spec, data, weights and code to resume with",
        fix="choose another report.folder, or give --overwrite to replace that run",
    )


def require_as_written(folder: Path, name: str) -> None:
    """See that a file of a folder has the sum that SHA256SUMS there gives; folders of before have none.

    Raises:
        StoreError: it has not.
    """
    if (sums := read_sums(folder)) and sums.get(name) != sha256_of(folder / name):
        raise StoreError(
            f"{folder / name} is not what was written: it was edited, or its sum in {SUMS} was",
            expected="a file that is left as it is: its parts must fit together",
            fix="run the spec again; finished blocks are kept",
        )
