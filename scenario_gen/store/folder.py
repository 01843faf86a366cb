"""RunFolder: everything a run leaves on disk, so that it can be resumed and its page rebuilt.

    identity.json                       what was run: hashes of spec, data, weights and code
    manifest.txt                        every file that the run made; --overwrite removes these and no others
    blocks/<scenario>/<block>/          finished blocks: arrays.npz, <name>.parquet, notes.json, done.json
    run.json                            the StressRun
    metrics.parquet                     one row per scenario, strategy and path
    candles.parquet                     one row per scenario and path, rejected ones too: counts of every candle rule
    facts.parquet                       one row per scenario and kept path: every statistic of the stylized facts
    SHA256SUMS                          of run.json, the tables and kept paths, as sha256sum writes and checks them
    facts/, calibration/                finished checks, read again when the run is resumed
    paths/<scenario>.parquet            every path, where the spec says paths.keep: paths
    index.html                          the report

Owns names, formats, atomic writes and whose folder it is. Does not know how a number came about or what a page looks
like.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import StoreError
from scenario_gen.files import (
    SUMS,
    FolderLock,
    atomic,
    disk_trouble,
    locked,
    remove_partials,
    safe_name,
    sha256_of,
    user_path,
    write_bytes,
    write_sums,
)
from scenario_gen.market.path_tables import PathsWriter
from scenario_gen.store.columns import Frames, write_frames
from scenario_gen.store.formats import check_block, json_bytes, read_json, read_parquet
from scenario_gen.store.manifest import MANIFEST, Manifest, digest, is_strange, other_run, require_as_written, unlisted
from scenario_gen.store.results import StressRun
from scenario_gen.values import decode, encode

SCHEMA = 1
PAGE_MARK = b'<meta name="generator" content="scenario-gen">'  # in the head of every report
IDENTITY, RUN, METRICS, PAGE = "identity.json", "run.json", "metrics.parquet", "index.html"
CANDLES, FACTS = "candles.parquet", "facts.parquet"
ARRAYS, NOTES, DONE = "arrays.npz", "notes.json", "done.json"  # of a block
BLOCK_FILE = re.compile(r"[a-z0-9_-]+\.(npz|json|parquet)")
OWN_FILES = (IDENTITY, RUN, METRICS, CANDLES, FACTS, SUMS, PAGE)
METRIC_KEYS = ("scenario", "strategy", "path_id")


def calibration_folder(run: Path) -> Path:
    """Return where a run folder keeps its calibrations."""
    return run / "calibration"


class RunFolder:
    """A folder that holds one run; ``~`` is the user's home. Constructing it touches nothing."""

    everywhere = False  # whether workers of other machines reach its blocks without this disk

    def __init__(self, path: Path | str) -> None:
        self.path = user_path(path)
        self._whole: dict[Path, list[tuple[int, int, int]]] = {}  # blocks whose sums held, by their files' stamps
        self._lock: FolderLock | None = None  # while a run is at work
        self._manifest: Manifest | None = None  # of the run that is at work
        self._run = ""  # hash of the identity of the run that lives here, once it is asked for

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process may know that makes blocks of the same run, whose names are claimed here."""
        return {"path": self.path.absolute(), "_whole": {}, "_lock": None, "_manifest": None, "_run": self._run}

    def place(self, name: str = "") -> str:
        """Return what users are told of where a file lies, or the whole run."""
        return str(self.path / name)

    # --- identity: whose folder is this? ---------------------------------------------------------------

    @contextmanager
    def at_work(self) -> Iterator[FolderLock]:
        """Have the folder for one run alone; whatever ends the process ends that.

        Raises:
            StoreError: another run is at work here, the disk refuses, or the folder was deleted meanwhile.
        """
        with locked(self.path, "a run", "choose another report.folder (--folder)") as lock:
            self._lock = lock
            try:
                yield lock
            except StoreError:
                lock.check()  # what is missing may be missing because the folder is
                raise
            finally:
                self._lock = None

    def prepare(self, identity: Mapping[str, str], *, overwrite: bool = False) -> bool:
        """Make the folder ready for a run and say whether an earlier one is being resumed.

        Args:
            identity: hashes or versions of spec, data, weights and code.
            overwrite: remove what an earlier run wrote here, or a report that stands alone; other files stay.

        Raises:
            StoreError: another run lives here, files of unknown origin bear our names, or the disk refuses.
        """
        with disk_trouble("create", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        kept = self.identity()
        if kept is None:
            if overwrite and self._is_report_alone():
                with disk_trouble("clear", self.path):
                    (self.path / PAGE).unlink()
            self._refuse_strangers()
        else:
            known = Manifest.of(self.path, digest(kept))
            if known is None:
                raise unlisted(self.path)
            if not overwrite and kept != dict(identity):
                raise other_run(self.path, kept, identity)
            known.refuse_foreign(*(self.path / name for name in OWN_FILES))
            if overwrite:
                known.remove(but=IDENTITY)
                kept = None
            else:
                known.sweep()
                self._manifest = known
        self._run = digest(identity)
        if kept is None:
            self._manifest = Manifest.begin(self.path, self._run)
            self.claim(self.path / IDENTITY)
            write_bytes(self.path / IDENTITY, json_bytes(dict(identity)))
        return kept is not None

    def refuse_foreign_paths(self, kept: Iterable[str]) -> None:
        """See that the paths of these scenarios can be written, before hours go into a run that could not end.

        Raises:
            StoreError: a file that no run made stands in the place of one.
        """
        if self._manifest is not None:
            self._manifest.refuse_foreign(*map(self.paths_path, kept))

    def claim(self, *paths: Path) -> None:
        """Name files in the manifest of the run that is at work, before they are written.

        Raises:
            StoreError: the folder was deleted meanwhile, a file of another origin stands there, or the disk refuses.
        """
        if self._lock is not None:
            self._lock.check()
        if self._manifest is not None:
            self._manifest.claim(*paths)

    def identity(self) -> dict[str, str] | None:
        """Return the identity of the run that lives here, or None.

        Raises:
            StoreError: the file is there and cannot be read.
        """
        path = self.path / IDENTITY
        if not path.exists():
            return None
        try:
            return {str(key): str(value) for key, value in read_json(path).items()}
        except StoreError as error:  # whose folder this is cannot be told, so not even --overwrite clears it
            error.fix = "delete this run folder, or choose another report.folder"
            raise

    def _strangers(self) -> list[str]:
        names = [name for name in (*OWN_FILES, "blocks", "paths") if os.path.lexists(self.path / name)]
        return names + ([MANIFEST] if is_strange(self.path) else [])

    def _is_report_alone(self) -> bool:
        """Say whether a report is all that is here of a run, as where only the page was committed or sent on."""
        if self._strangers() != [PAGE]:
            return False
        with disk_trouble("read", self.path / PAGE), (self.path / PAGE).open("rb") as page:
            return PAGE_MARK in page.read(4096)

    def _refuse_strangers(self) -> None:
        strangers = self._strangers()
        if strangers:
            raise StoreError(
                f"{self.path} already holds {', '.join(strangers)}, but no {IDENTITY}: no run made them",
                expected="an empty or new folder, or one made by an earlier run",
                fix="choose another report.folder, or move these files away",
            )

    # --- results ---------------------------------------------------------------------------------------

    def write_run(self, run: StressRun) -> Path:
        """Write run.json: the same run gives the same bytes.

        Raises:
            StoreError: a number is infinite, or the disk refuses.
        """
        content = json_bytes(encode(run))
        self.claim(self.path / RUN, self.path / SUMS, self.path / PAGE)  # the page is made of it
        write_bytes(self.path / RUN, content)
        kept = [self.paths_path(scenario.name).relative_to(self.path).as_posix() for scenario in run.scenarios]
        write_sums(self.path, [name for name in (RUN, METRICS, CANDLES, FACTS, *kept) if (self.path / name).is_file()])
        return self.path / RUN

    def read_run(self) -> StressRun:
        """Read run.json back.

        Raises:
            StoreError: it is missing, cut off, of another schema, breaks a type, or is not what was written.
        """
        data = read_json(self.path / RUN)
        if data.get("schema") != SCHEMA:
            raise StoreError(
                f"{self.path / RUN} has schema {data.get('schema')!r}",
                expected=f"schema {SCHEMA}, which this version writes and reads",
                fix="run the spec again with --overwrite, or use the version that wrote it",
            )
        run = decode(StressRun, data)
        require_as_written(self.path, RUN)
        return run.kept_in(self.path)

    def write_metrics(self, tables: Sequence[Frames]) -> Path:
        """Write metrics.parquet: one row per scenario, strategy and path; each table is read part by part.

        Raises:
            StoreError: the disk refuses.
            ValueError: a key column is missing (a defect of the caller).
        """
        return self._write_tables(METRICS, tables, METRIC_KEYS)

    def write_candles(self, counts: Sequence[Frames]) -> Path:
        """Write candles.parquet: one row per scenario and generated path, rejected ones included; as the metrics."""
        return self._write_tables(CANDLES, counts)

    def write_facts(self, statistics: Sequence[Frames]) -> Path:
        """Write facts.parquet: one row per scenario and kept path; as the metrics."""
        return self._write_tables(FACTS, statistics)

    def _write_tables(self, name: str, tables: Sequence[Frames], keys: Sequence[str] = ()) -> Path:
        self.claim(self.path / name)
        with atomic(self.path / name) as partial:
            write_frames(partial, tables, keys)
        return self.path / name

    def read_metrics(self) -> pd.DataFrame:
        """Read metrics.parquet back.

        Raises:
            StoreError: it is missing or unreadable.
        """
        return read_parquet(self.path / METRICS)

    # --- whole paths -----------------------------------------------------------------------------------

    def paths_path(self, scenario: str) -> Path:
        """Return where a scenario's paths are kept."""
        return self.path / "paths" / f"{safe_name(scenario)}.parquet"

    @contextmanager
    def paths_writer(self, scenario: str) -> Iterator[PathsWriter]:
        """Yield a writer that takes blocks of paths one after the other; the file appears when all are in.

        Raises:
            StoreError: the disk refuses.
        """
        self.claim(self.paths_path(scenario))
        with atomic(self.paths_path(scenario)) as partial:
            writer = PathsWriter(partial)
            try:
                yield writer
            finally:
                writer.close()

    # --- blocks: scratch for resuming ------------------------------------------------------------------

    def block_path(self, scenario: str, index: int) -> Path:
        """Return the folder of one block."""
        return self.path / "blocks" / safe_name(scenario) / f"{index:06d}"

    def block_files(self, scenario: str, index: int, frames: Iterable[str]) -> list[Path]:
        """Return the files of a block with these frames; the last one makes it count."""
        names = (ARRAYS, NOTES, *(f"{name}.parquet" for name in frames), DONE)
        return [self.block_path(scenario, index) / name for name in names]

    def drop_block(self, scenario: str, index: int) -> None:
        """Remove the files of a block that this run made, where there is one.

        Raises:
            StoreError: the disk refuses.
        """
        folder = self.block_path(scenario, index)
        if not self.has_block(scenario, index):
            return
        names = [DONE, *self._sums(scenario, index)]
        with disk_trouble("clear", folder):
            for name in names:
                (folder / name).unlink()
            with suppress(OSError):  # something of somebody else's is in it
                folder.rmdir()

    def has_block(self, scenario: str, index: int) -> bool:
        """Say whether a block is there, whole and this run's; one cut off, altered or from elsewhere is not."""
        folder = self.block_path(scenario, index)
        try:
            sums = self._sums(scenario, index)
            files = [(folder / name).stat() for name in (DONE, *sums)]
            stamps = [(file.st_ino, file.st_size, file.st_mtime_ns) for file in files]
            if self._whole.get(folder) == stamps:  # summed before, and nobody has touched it since
                return True
            whole = {ARRAYS, NOTES} <= sums.keys()
            if whole := whole and all(sha256_of(folder / name) == digest for name, digest in sums.items()):
                self._whole[folder] = stamps
            return whole
        except (StoreError, OSError):
            return False

    def _address(self, scenario: str, index: int) -> dict[str, Any]:
        """Return what a block says of itself: the run, and its place in it."""
        if not self._run:
            self._run = digest(self.identity() or {})
        return {"run": self._run, "scenario": scenario, "index": index}

    def _sums(self, scenario: str, index: int) -> dict[str, str]:
        """Return the sums of a block's files; none where it was made for another run or another place."""
        done = read_json(self.block_path(scenario, index) / DONE)
        sums = done.pop("files", None)
        if done != self._address(scenario, index) or not isinstance(sums, dict):
            return {}
        return sums if all(BLOCK_FILE.fullmatch(name) for name in sums) else {}

    def save_block(
        self,
        scenario: str,
        index: int,
        arrays: Mapping[str, NDArray[Any]],
        frames: Mapping[str, pd.DataFrame],
        notes: Mapping[str, Any],
    ) -> None:
        """Write one block; done.json, with its address and the others' sums, comes last and makes it count.

        Args:
            scenario: its name.
            index: of the block.
            arrays: of numbers, by name.
            frames: tables, by name.
            notes: everything else, as JSON has it.

        Raises:
            StoreError: the disk refuses.
            ValueError: an array of objects, or a frame name that is no file name (defects of the caller).
        """
        check_block(arrays, frames)
        folder = self.block_path(scenario, index)
        *names, _ = [path.name for path in self.block_files(scenario, index, frames)]
        self.claim(*self.block_files(scenario, index, frames))
        for name in (*names, DONE) if folder.is_dir() else ():
            remove_partials(folder / name)  # of a process that was killed while it wrote this block
        with disk_trouble("write", folder):
            (folder / DONE).unlink(missing_ok=True)
        with atomic(folder / ARRAYS) as partial, partial.open("wb") as handle:
            np.savez(handle, **dict(arrays))  # type: ignore[arg-type]  # stub takes allow_pickle for an array
        for name, frame in frames.items():
            with atomic(folder / f"{name}.parquet") as partial:
                frame.to_parquet(partial)
        write_bytes(folder / NOTES, json_bytes(dict(notes)))
        sums = {name: sha256_of(folder / name) for name in names}
        write_bytes(folder / DONE, json_bytes({**self._address(scenario, index), "files": sums}))

    def forget(self, names: Iterable[str]) -> None:
        """Hear which files of this folder were removed, so that no copy elsewhere stays."""

    def bring_finished(self) -> None:
        """Bring a finished run's result from elsewhere, where it lies there alone."""

    def load_arrays(self, scenario: str, index: int, *names: str) -> dict[str, NDArray[Any]]:
        """Read arrays of one block, all of them where none is named; a named one that it lacks is left out.

        Raises:
            StoreError: the block is missing or not whole.
        """
        folder = self.block_path(scenario, index)
        if not self.has_block(scenario, index):
            raise StoreError(
                f"block {index} of {scenario} is missing or damaged in {self.path}",
                expected="a block that was written to its end",
                fix="run the spec again: missing blocks are computed anew",
            )
        with (folder / ARRAYS).open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files if not names or name in names}

    def load_notes(self, scenario: str, index: int) -> dict[str, Any]:
        """Read the notes of one block.

        Raises:
            StoreError: they are missing or unreadable.
        """
        return read_json(self.block_path(scenario, index) / NOTES)

    def load_block(
        self, scenario: str, index: int
    ) -> tuple[dict[str, NDArray[Any]], dict[str, pd.DataFrame], dict[str, Any]]:
        """Read one block: its arrays, its frames and its notes.

        Raises:
            StoreError: the block is missing or not whole.
        """
        arrays, folder = self.load_arrays(scenario, index), self.block_path(scenario, index)
        names = [Path(name) for name in self._sums(scenario, index) if name.endswith(".parquet")]
        frames = {name.stem: read_parquet(folder / name) for name in names}
        return arrays, frames, self.load_notes(scenario, index)
