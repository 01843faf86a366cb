"""Workers: threads that take jobs from a store and watch over their processes.

A job's process ends with the server, however that ends: it holds the read end of a pipe whose other end dies with the
server. It is killed when the job is cancelled, and started again when something kills it (an out-of-memory killer),
a few times. How far it is is read from the lines of progress that the command line writes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

from scenario_gen.errors import StoreError, printable
from scenario_gen.execute.queue import cores
from scenario_gen.files import locked
from scenario_gen.finding import Label
from scenario_gen.serve.jobs import Job, JobStore
from scenario_gen.serve.told import worst_of

MAX_ATTEMPTS = 3  # of a job whose process is killed from outside
POLL = 0.2  # seconds between looks at a job
PATIENCE = 60.0  # seconds for the process of a killed server to let go of a folder
MAX_ERROR = 4000  # characters
DONE = (0, 3, 4)  # exit codes of what finished: as it should, with a limit breached, with what peeks or fails
_STEPS = re.compile(r"(?P<stage>.+): (?P<done>\d+) of (?P<total>\d+)(?: in [\d.]+ s)?")

# What a job's process runs: the command line, in a process that ends when its standard input does.
WATCHED = """
import os, signal, threading

def end_with_the_server():
    while os.read(0, 64):
        pass
    if hasattr(os, "killpg"):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(137)

threading.Thread(target=end_with_the_server, daemon=True).start()
from scenario_gen.__main__ import main
main()
"""


class JobWorkers:
    """Processes that work on the jobs of a store, ``count`` at a time, while the block lasts.

    Args:
        store: whose jobs are worked on.
        count: jobs at once; default: one per core.
        place: folder in which the processes start: files that a spec names are looked for there.

    Raises:
        StoreError: another process works on the jobs of this root.
    """

    def __init__(self, store: JobStore, count: int | None = None, place: Path | None = None) -> None:
        self.store = store
        self.count = cores() if count is None else count
        self.place = Path.cwd() if place is None else place
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Take the root, queue again what was running when its last server ended, and begin."""
        self._held.enter_context(locked(self.store.folder, "a server", "give another root"))
        self.store.recover()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes; their jobs wait for the next server."""
        self._ending.set()
        for thread in self._threads:
            thread.join()
        self._held.close()

    @property
    def alive(self) -> bool:
        """Whether every worker is at work or waits for it."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def command(self, job: Job) -> list[str]:
        """Return the command line of a job's process, which ends when its standard input does."""
        spec, run = self.store.spec_path(job), self.store.run_path(job)
        words = [str(spec), "--folder", str(run)]
        if job.kind != "run":
            words = json.loads(spec.read_text(encoding="utf-8"))
        return [sys.executable, "-P", "-c", WATCHED, job.kind, "--json", *words]

    def _work(self) -> None:
        while not self._ending.is_set():
            job = self.store.claim()
            if job is None:
                self._ending.wait(POLL)
                continue
            try:
                self._run(job)
            except Exception as error:  # a worker outlives whatever one job meets
                self._end(job, state="failed", error=printable(f"{type(error).__name__}: {error}")[:MAX_ERROR])

    def _run(self, job: Job) -> None:
        """Work on a job until it has ended, is cancelled, or the server ends."""
        if not self._free(job):
            return
        threads = str(max(1, cores() // max(1, self.count)))
        env = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONIOENCODING": "utf-8"}
        with (
            self.store.answer_path(job).open("wb") as answer,
            self.store.log_path(job).open("wb") as log,
            subprocess.Popen(
                self.command(job),
                stdin=subprocess.PIPE,
                stdout=answer,
                stderr=subprocess.PIPE,
                cwd=self.place,
                env=env,
                start_new_session=True,
            ) as process,
        ):
            listener = _Listener(self.store, job, process.stderr, log)
            listener.start()
            code = self._watch(job, process)
            listener.join(timeout=10)
        self._judge(job, code, listener.mistake())

    def _free(self, job: Job) -> bool:
        """Wait until nothing is at work in the job's folder; say whether the job is still to be done then."""
        until = time.monotonic() + PATIENCE
        while not self._ending.is_set() and self.store.get(job.id).state == "running":
            try:
                with locked(self.store.run_path(job), "a job", "cancel the job"):
                    return True
            except StoreError:
                if time.monotonic() > until:
                    raise
                time.sleep(POLL)
        self.store.update(job.id, only="running", state="queued")
        return False

    def _watch(self, job: Job, process: subprocess.Popen[bytes]) -> int | None:
        """Return the exit code of a process; None where it was killed here."""
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(POLL)
            if self._ending.is_set() or self.store.get(job.id).state != "running":
                _kill(process)
                return None

    def _judge(self, job: Job, code: int | None, mistake: str) -> None:
        if code is None:  # killed here: cancelled, which stands in the store, or the server ends
            self.store.update(job.id, only="running", state="queued", attempts=0)
        elif code in DONE:
            self._end(job, state="done", exit_code=code, verdict=self._verdict(job), stage="", note="")
        elif code < 0 and job.attempts < MAX_ATTEMPTS:
            self.store.update(job.id, only="running", state="queued", note=f"killed by signal {-code}; tried again")
        elif code < 0:
            words = f"its process was killed by signal {-code}, {job.attempts} times\n  to do:    see whether memory "
            self._end(job, state="failed", error=f"{words}is short, lower paths.block, then resume it", exit_code=code)
        elif code == 1:
            words = f"a defect of scenario-gen; its lines stand in the server's log of job {job.id}"
            self._end(job, state="failed", error=words, exit_code=code)
        else:
            shown = mistake.replace(str(self.store.spec_path(job)), "spec.yaml")
            for folder in (self.store.run_path(job), self.store.root):
                shown = shown.replace(f"{folder}{os.sep}", "").replace(str(folder), job.folder)
            shown = shown.replace(f"{self.place}{os.sep}", "")
            self._end(job, state="failed", error=shown[-MAX_ERROR:], exit_code=code)

    def _end(self, job: Job, **changes: Any) -> None:
        self.store.update(job.id, only="running", ended=datetime.now(UTC), **changes)

    def _verdict(self, job: Job) -> Label:
        """Return the worst label of what a job found."""
        return worst_of(json.loads(self.store.answer_path(job).read_text(encoding="utf-8")))


class _Listener(threading.Thread):
    """Reads what a run writes on standard error: into its log, and into the job how far it is."""

    def __init__(self, store: JobStore, job: Job, stream: IO[bytes] | None, log: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._store, self._job, self._stream, self._log = store, job, stream, log
        self._since: deque[str] = deque(maxlen=60)  # lines since the last one of progress

    def run(self) -> None:
        """Read to the end."""
        for raw in self._stream or ():
            with suppress(ValueError):  # the log of a process that was killed is closed
                self._log.write(raw)
                self._log.flush()
            line = printable(raw.decode("utf-8", "replace").rstrip("\r\n"))
            steps = _STEPS.fullmatch(line)
            if steps is not None:
                changes = {"stage": steps["stage"], "done": int(steps["done"]), "total": int(steps["total"])}
            elif line.endswith(" ..."):
                changes = {"stage": line.removesuffix(" ..."), "done": 0, "total": 0}
            else:
                self._since.append(line)
                self._store.update(self._job.id, only="running", note=line[:500])
                continue
            self._since.clear()
            self._store.update(self._job.id, only="running", **changes)

    def mistake(self) -> str:
        """Return the last lines that told of no progress: of a run that failed, why."""
        return "\n".join(self._since).strip()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a job's process with all that it started; finished blocks are whole on the disk."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
