"""Jobs: runs, checks and calibrations, kept in SQLite, each worked on in a process of its own, and never lost.

    root/NAME-ID/             the run folder of a job
    root/.jobs/jobs.sqlite    the jobs; every change is on the disk before it is answered
    root/.jobs/ID.yaml        the spec, as it came; of a check or a calibration the words of its command line
    root/.jobs/ID.log         what its process wrote on standard error
    root/.jobs/ID.json        its answer, as ``run --json``, ``check --json`` or ``calibrate --json`` prints it

Several processes may submit to one root, and one alone works on it. The process of a run is ``scenario-gen run``,
whose folder resumes: after a kill of the job or of the server it goes on at its last whole block, to the same bits;
checks and calibrations begin again. Knows nothing of HTTP, nor of what a spec may name.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from scenario_gen.errors import StoreError
from scenario_gen.files import disk_trouble, safe_name, write_bytes
from scenario_gen.finding import Label

Kind = Literal["run", "check", "calibrate"]  # which command works on it
State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
JOBS = ".jobs"  # below the root
MAX_QUEUED = 32


class NoSuchJob(StoreError):  # noqa: N818  a name that callers agreed on
    """No job has that id."""


class TooManyJobs(StoreError):  # noqa: N818  a name that callers agreed on
    """The queue is full: what waits is bounded, so that a caller hears at once that there is no room."""


class NotNow(StoreError):  # noqa: N818  a name that callers agreed on
    """The job is in a state in which this cannot be done."""


class Job(BaseModel):
    """A run, a check or a calibration that was asked for."""

    id: str = Field(description="of the job", examples=["20261130-101500-3f9c2a"])
    kind: Kind = Field(default="run", description="what is done")
    name: str = Field(description="of the spec; or what is checked or calibrated", examples=["quickstart"])
    state: State = Field(default="queued", description="done: it finished, whatever its verdict says")
    spec: str = Field(description="what was asked: the YAML, as it came; or what a check or a calibration is of")
    folder: str = Field(
        description='name of the run below the root; "" where it leaves none',
        examples=["quickstart-20261130-101500-3f9c2a"],
    )
    made: datetime = Field(description="when it was asked for, UTC")
    begun: datetime | None = Field(default=None, description="when its last attempt began, UTC")
    ended: datetime | None = Field(default=None, description="UTC")
    attempts: int = Field(default=0, description="times that its process was started since it was queued by a person")
    stage: str = Field(default="", description="what is being done now", examples=["sampling base"])
    done: int = Field(default=0, description="steps of that stage that are done, told at its quarters")
    total: int = Field(default=0, description="steps of that stage")
    note: str = Field(default="", description="the last line that the run told")
    exit_code: int | None = Field(default=None, description="0, 2 a mistake, 3 a limit, 4 looks ahead or fails")
    error: str = Field(default="", description="why it failed, in the words of the command line")
    verdict: Label | None = Field(default=None, description="worst label of what it found; null before it is done")


class JobStore:
    """The jobs of a root folder, for any number of threads and processes.

    Args:
        root: folder of the runs; made where it is missing.
        most: jobs that may wait at once.

    Raises:
        StoreError: the folder cannot be written, or its jobs cannot be read.
    """

    def __init__(self, root: Path, most: int = MAX_QUEUED) -> None:
        self.root, self.most = root.resolve(), most
        self.folder = self.root / JOBS
        with disk_trouble("create", self.folder, "root"):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        try:
            self._open = sqlite3.connect(
                self.folder / "jobs.sqlite", timeout=30, check_same_thread=False, isolation_level=None
            )
            self._open.execute("pragma journal_mode = wal")
            self._open.execute("pragma synchronous = full")
            self._open.execute(
                "create table if not exists jobs "
                "(place integer primary key autoincrement, id text unique not null, state text not null, "
                "body text not null)"
            )
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.folder / 'jobs.sqlite'}: {error}", expected="the jobs of this root", fix="name another root"
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def spec_path(self, job: Job) -> Path:
        """Return where the spec of a job lies."""
        return self.folder / f"{job.id}.yaml"

    def log_path(self, job: Job) -> Path:
        """Return where what a job wrote on standard error lies."""
        return self.folder / f"{job.id}.log"

    def answer_path(self, job: Job) -> Path:
        """Return where the answer of a job lies."""
        return self.folder / f"{job.id}.json"

    def run_path(self, job: Job) -> Path:
        """Return the run folder of a job; where it leaves none, a folder that is its own while it is at work."""
        return self.root / job.folder if job.folder else self.folder / job.id

    def submit(self, spec: str, name: str, kind: Kind = "run", words: Sequence[str] = ()) -> Job:
        """Queue a job; it is on the disk when this returns.

        Args:
            spec: YAML that was found valid.
            name: of the spec, or of what is checked or calibrated.
            kind: what is to be done.
            words: of a check or a calibration the command line after its name, which was found harmless.

        Raises:
            TooManyJobs: as many as may wait do.
            StoreError: the disk refuses.
        """
        now = datetime.now(UTC)
        number = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        folder = f"{safe_name(name)}-{number}" if kind == "run" else ""
        job = Job(id=number, kind=kind, name=name, spec=spec, folder=folder, made=now)
        kept = spec if kind == "run" else json.dumps(list(words))
        with self._change() as database:
            self._refuse_full(database)
            write_bytes(self.spec_path(job), kept.encode("utf-8", "surrogatepass"), "root")
            row = (job.id, job.state, job.model_dump_json())
            database.execute("insert into jobs (id, state, body) values (?, ?, ?)", row)
        return job

    def claim(self) -> Job | None:
        """Take the job that waits longest, which is running from now on; None where none waits."""
        with self._change() as database:
            row = database.execute("select body from jobs where state = 'queued' order by place limit 1").fetchone()
            if row is None:
                return None
            job = Job.model_validate_json(row[0])
            begun = {"state": "running", "begun": datetime.now(UTC), "ended": None, "attempts": job.attempts + 1}
            return self._write(database, job, begun)

    def update(self, number: str, *, only: State | None = None, **changes: Any) -> Job:
        """Change fields of a job; with ``only``, none unless it is in that state.

        Raises:
            NoSuchJob: there is none.
        """
        with self._change() as database:
            job = self._read(database, number)
            return job if only not in (None, job.state) else self._write(database, job, changes)

    def get(self, number: str) -> Job:
        """Return a job.

        Raises:
            NoSuchJob: there is none.
        """
        with self._lock:
            return self._read(self._open, number)

    def list(self, state: State | None = None, most: int = 100) -> list[Job]:
        """Return the newest jobs first, in one state or in any."""
        where, given = ("where state = ?", (state, most)) if state else ("", (most,))
        with self._lock:
            rows = self._open.execute(f"select body from jobs {where} order by place desc limit ?", given).fetchall()
        return [Job.model_validate_json(body) for (body,) in rows]

    def counts(self) -> dict[State, int]:
        """Return how many jobs are in each state."""
        with self._lock:
            rows = self._open.execute("select state, count(*) from jobs group by state").fetchall()
        known: dict[State, int] = dict.fromkeys(("queued", "running", *ENDED), 0)
        return known | dict(rows)

    def cancel(self, number: str) -> Job:
        """Call a job off; its process is killed within a second, and what it finished is kept.

        Raises:
            NoSuchJob: there is none.
            NotNow: it has ended.
        """
        with self._change() as database:
            job = self._read(database, number)
            if job.state in ENDED:
                raise NotNow(
                    f"job {number} is {job.state}", expected="one that is queued or running", fix="leave it as it is"
                )
            return self._write(database, job, {"state": "cancelled", "ended": datetime.now(UTC)})

    def resume(self, number: str) -> Job:
        """Queue a job again that failed or was cancelled; it goes on where it stopped.

        Raises:
            NoSuchJob: there is none.
            NotNow: it neither failed nor was cancelled.
            TooManyJobs: as many as may wait do.
        """
        with self._change() as database:
            job = self._read(database, number)
            if job.state not in ("failed", "cancelled"):
                fix = "wait for it" if job.state in ("queued", "running") else "ask for a new run"
                raise NotNow(f"job {number} is {job.state}", expected="one that failed or was cancelled", fix=fix)
            self._refuse_full(database)
            again = {"state": "queued", "ended": None, "error": "", "exit_code": None, "attempts": 0, "note": ""}
            return self._write(database, job, again)

    def recover(self) -> tuple[Job, ...]:
        """Queue what was running when the server ended; for the process that works on the jobs, before it begins.

        The queue may then hold more than it takes: nothing that was accepted is lost.
        """
        with self._change() as database:
            rows = database.execute("select body from jobs where state = 'running' order by place").fetchall()
            jobs = [Job.model_validate_json(body) for (body,) in rows]
            return tuple(self._write(database, job, {"state": "queued", "attempts": 0}) for job in jobs)

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """Have the file for one change, which is whole on the disk in the end, or did not happen."""
        with self._lock:
            self._open.execute("begin immediate")
            try:
                yield self._open
            except BaseException:
                self._open.execute("rollback")
                raise
            self._open.execute("commit")

    def _refuse_full(self, database: sqlite3.Connection) -> None:
        waiting = database.execute("select count(*) from jobs where state = 'queued'").fetchone()[0]
        if waiting >= self.most:
            raise TooManyJobs(
                f"{waiting} jobs wait already", expected=f"fewer than {self.most}", fix="try again when some have ended"
            )

    @staticmethod
    def _read(database: sqlite3.Connection, number: str) -> Job:
        row = database.execute("select body from jobs where id = ?", (number,)).fetchone()
        if row is None:
            raise NoSuchJob(f"there is no job {number[:60]!r}", expected="the id of a job", fix="list the jobs")
        return Job.model_validate_json(row[0])

    @staticmethod
    def _write(database: sqlite3.Connection, job: Job, changes: dict[str, Any]) -> Job:
        changed = job.model_copy(update=changes)
        row = (changed.state, changed.model_dump_json(), job.id)
        database.execute("update jobs set state = ?, body = ? where id = ?", row)
        return changed
