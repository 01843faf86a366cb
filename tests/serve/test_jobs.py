from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenario_gen.errors import StoreError
from scenario_gen.serve.jobs import Job, JobStore, NoSuchJob, NotNow, TooManyJobs
from scenario_gen.serve.workers import MAX_ATTEMPTS, JobWorkers
from tests.serve.tiny import REPOSITORY, TINY, until

SLOW = "import sys, time; print('sampling: 3 of 10', file=sys.stderr, flush=True); time.sleep(60)"
TOLD = "reading ...\nreading: 1 of 1 in 0.1 s\nspec.yaml:3: bars: wrong"
WRONG = f"import sys; print({TOLD!r}, file=sys.stderr); sys.exit(2)"
FINE = 'print(\'{"findings": [{"label": "PASS"}, {"label": "WARN"}]}\')'
BREACHED = f"{FINE}; raise SystemExit(3)"
BLOCKS = 10
TEN_BLOCKS = TINY.replace("count: 4", f"count: {BLOCKS}").replace("block: 2", "block: 1")
KILLED = "import os; os.kill(os.getpid(), 9)"


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path, most=3)


class Pretended(JobWorkers):
    """JobWorkers whose processes run a line of Python in place of a run."""

    line = FINE

    def command(self, job: Job) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", self.line]


def pretended(line: str) -> Callable[[JobStore], JobWorkers]:
    return lambda store: type("Line", (Pretended,), {"line": line})(store, 1)


def ended(store: JobStore, job: Job) -> Job:
    until(lambda: store.get(job.id).ended is not None, 20)
    return store.get(job.id)


def test_a_job_is_on_the_disk_when_it_is_accepted_and_another_process_reads_it(store: JobStore) -> None:
    job = store.submit(TINY, "tiny")
    again = JobStore(store.root)
    assert again.get(job.id) == job
    assert again.spec_path(job).read_text() == TINY
    assert (job.state, job.attempts, job.verdict) == ("queued", 0, None)
    assert again.run_path(job).parent == store.root


def test_the_job_that_waits_longest_is_taken_first_and_each_once(store: JobStore) -> None:
    first, second = store.submit(TINY, "a"), store.submit(TINY, "b")
    taken = [store.claim(), JobStore(store.root).claim(), store.claim()]
    assert [job and job.id for job in taken] == [first.id, second.id, None]
    assert [job.name for job in store.list()] == ["b", "a"]
    assert store.counts()["running"] == 2


def test_a_full_queue_refuses_a_job_and_keeps_those_that_it_has(store: JobStore) -> None:
    waiting = [store.submit(TINY, "tiny").id for _ in range(3)]
    with pytest.raises(TooManyJobs, match="3 jobs wait already"):
        store.submit(TINY, "tiny")
    assert [job.id for job in store.list()] == waiting[::-1]
    assert len(list(store.folder.glob("*.yaml"))) == 3


def test_a_job_is_called_off_and_resumed_only_in_states_that_allow_it(store: JobStore) -> None:
    job = store.submit(TINY, "tiny")
    with pytest.raises(NotNow, match="is queued"):
        store.resume(job.id)
    assert store.cancel(job.id).state == "cancelled"
    with pytest.raises(NotNow, match="is cancelled"):
        store.cancel(job.id)
    assert store.claim() is None
    assert store.resume(job.id).state == "queued"
    with pytest.raises(NoSuchJob, match="there is no job"):
        store.get("../../etc/passwd")


def test_what_was_running_when_a_server_ended_waits_again_though_the_queue_is_full(store: JobStore) -> None:
    store.submit(TINY, "tiny")
    store.claim()
    for _ in range(3):
        store.submit(TINY, "tiny")
    assert len(store.recover()) == 1
    assert store.counts()["queued"] == 4


def test_a_name_that_is_no_file_name_gives_a_folder_below_the_root(store: JobStore) -> None:
    job = store.submit(TINY, "../../Base ..")
    assert store.run_path(job).resolve().parent == store.root


@pytest.mark.parametrize(
    ("line", "state", "code", "verdict"), [(FINE, "done", 0, "WARN"), (BREACHED, "done", 3, "WARN")]
)
def test_a_run_that_finished_is_done_with_the_worst_label_of_its_findings(
    store: JobStore, line: str, state: str, code: int, verdict: str
) -> None:
    with pretended(line)(store):
        job = ended(store, store.submit(TINY, "tiny"))
    assert (job.state, job.exit_code, job.verdict) == (state, code, verdict)


def test_a_users_mistake_fails_the_job_in_the_words_of_the_command_line(store: JobStore) -> None:
    with pretended(WRONG)(store):
        job = ended(store, store.submit(TINY, "tiny"))
    assert (job.state, job.exit_code, job.error) == ("failed", 2, "spec.yaml:3: bars: wrong")


def test_a_process_that_is_killed_again_and_again_is_given_up(store: JobStore) -> None:
    with pretended(KILLED)(store):
        job = ended(store, store.submit(TINY, "tiny"))
    assert (job.state, job.exit_code, job.attempts) == ("failed", -9, MAX_ATTEMPTS)
    assert "killed by signal 9" in job.error


def test_a_cancelled_job_is_killed_and_one_that_a_server_leaves_waits_for_the_next(store: JobStore) -> None:
    with pretended(SLOW)(store):
        job = store.submit(TINY, "tiny")
        until(lambda: store.get(job.id).total == 10)
        assert (store.get(job.id).stage, store.get(job.id).done) == ("sampling", 3)
        store.cancel(job.id)
        other = store.submit(TINY, "tiny")
        until(lambda: store.get(other.id).total == 10)  # the one worker is free again
    assert store.get(job.id).state == "cancelled"
    assert (store.get(other.id).state, store.get(other.id).attempts) == ("queued", 0)


def test_one_process_alone_works_on_the_jobs_of_a_root(store: JobStore) -> None:
    with pretended(FINE)(store), pytest.raises(StoreError, match="is in use"), JobWorkers(JobStore(store.root), 1):
        pass


SERVER = """
import sys, time
from pathlib import Path
from scenario_gen.serve.jobs import JobStore
from scenario_gen.serve.workers import JobWorkers
with JobWorkers(JobStore(Path(sys.argv[1])), 1):
    time.sleep(120)
"""


class Killing(JobWorkers):
    """Workers that kill the process of a job (-9) as soon as it has a whole block more than before, once."""

    victim = ""

    def _watch(self, job: Job, process: subprocess.Popen[bytes]) -> int | None:
        if job.id == self.victim and job.attempts == 1:
            before = len(blocks_of(self.store, job))
            until(lambda: len(blocks_of(self.store, job)) > before or process.poll() is not None, 120)
            process.kill()
        return super()._watch(job, process)


def blocks_of(store: JobStore, job: Job) -> dict[str, Any]:
    """Return the hashes of the whole blocks of a job."""
    done = store.run_path(job).glob("blocks/*/*/done.json")
    return {path.parent.name: json.loads(path.read_text())["files"] for path in done}


def test_a_job_comes_to_the_same_bits_after_a_kill_of_its_server_and_one_of_its_own_process(tmp_path: Path) -> None:
    """The one test with real runs in processes: each kill -9 between two blocks, and a run that nothing disturbed."""
    store = JobStore(tmp_path)
    job = store.submit(TEN_BLOCKS, "tiny")
    command = [sys.executable, "-c", SERVER, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=REPOSITORY, env=env) as server:
        until(lambda: len(blocks_of(store, job)) > 0, 120)
        server.send_signal(signal.SIGKILL)
    assert store.get(job.id).state == "running"
    undisturbed = store.submit(TEN_BLOCKS, "tiny")
    killing = Killing(store, 2, REPOSITORY)
    killing.victim = job.id
    with killing:
        until(lambda: store.counts()["done"] == 2, 240)
    assert store.get(job.id).attempts == 2
    ours, other = store.run_path(job), store.run_path(undisturbed)
    for table in ("metrics.parquet", "candles.parquet"):
        assert (ours / table).read_bytes() == (other / table).read_bytes()
    assert len(blocks_of(store, job)) == BLOCKS
    assert blocks_of(store, job) == blocks_of(store, undisturbed)
    assert json.loads((ours / "run.json").read_text())["name"] == "tiny"
    assert store.get(job.id).verdict is not None
