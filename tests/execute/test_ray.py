"""Units of work on a Ray cluster of two nodes of this machine: lost workers, a lost node, refusals, and words."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenario_gen as sg
from scenario_gen.errors import ExecuteError, StrategyError
from scenario_gen.execute.cluster import open_cluster, refuse_unreachable
from scenario_gen.execute.queue import MOST_LOSSES
from scenario_gen.execute.ray import RayWorkers, Terms
from scenario_gen.execute.section import Execute, open_queue

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed"),
    # Ray leaves what it holds of its processes to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

STORE = 80_000_000  # bytes of each node's object store: nearly the least that Ray takes


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a second node with one core each; it asks for a token, which is of this module alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "5" * 64)
        patch.delenv("RAY_ADDRESS", raising=False)
        import ray  # which reads the mode of authentication
        from ray.cluster_utils import Cluster

        quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
        head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False, "_system_config": quick}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        nodes.second = nodes.add_node(num_cpus=1, object_store_memory=STORE)
        ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
        yield nodes
        ray.shutdown()
        nodes.shutdown()


@pytest.fixture(scope="module")
def workers(cluster: Any) -> Iterator[RayWorkers]:
    """Two workers, one on each node."""
    with open_queue(Execute(kind="ray", workers=2)) as queue:
        assert isinstance(queue, RayWorkers)
        yield queue


@pytest.fixture
def free(workers: RayWorkers) -> None:
    """The cores of both nodes are free."""
    workers.dismiss()


def test_every_unit_is_answered_once_and_two_are_done_side_by_side(workers: RayWorkers, tmp_path: Path) -> None:
    weights = np.arange(4.0)

    def work(unit: int) -> float:
        import ray

        (tmp_path / ray.get_runtime_context().get_node_id()).touch()
        while len([*tmp_path.iterdir()]) < 2:  # until the other node has a unit too
            time.sleep(0.01)
        return float(weights @ weights) + unit

    assert dict(workers.answers(work, range(8))) == {place: 14.0 + place for place in range(8)}
    assert len([*tmp_path.iterdir()]) == 2


def test_work_is_opened_once_in_each_worker_and_its_arrays_can_be_written_to(workers: RayWorkers) -> None:
    class Counting:
        def __init__(self) -> None:
            self.scratch = np.zeros(300_000)  # so long that Ray would lend it from the object store
            self.opened = 0

        def __setstate__(self, state: dict[str, Any]) -> None:
            self.__dict__ = state
            self.opened += 1

        def __call__(self, unit: int) -> np.ndarray:
            self.scratch[0] += 1  # one instance lives on, unit after unit
            return np.array([self.opened, self.scratch[0], os.getpid()])

    counts: dict[int, list[float]] = {}
    for _, answer in workers.answers(Counting(), range(12)):
        answer[0] += 0.0  # here too
        counts.setdefault(int(answer[2]), []).append(answer[1])
        assert answer[0] == 1
    assert all(sorted(done) == list(range(1, len(done) + 1)) for done in counts.values())


def test_a_worker_has_as_many_threads_as_cores(workers: RayWorkers) -> None:
    def threads(unit: int) -> set[int]:
        import torch
        from threadpoolctl import threadpool_info

        np.ones((2, 2)) @ np.ones((2, 2))
        return {torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())}

    assert dict(workers.answers(threads, [0])) == {0: {1}}


def test_an_error_of_the_work_comes_back_in_its_own_words(workers: RayWorkers) -> None:
    def work(unit: int) -> int:
        if unit:
            raise StrategyError(f"unit {unit} sold nothing", expected="an order", fix="look at line 3")
        return unit

    done = []
    with pytest.raises(StrategyError) as caught:
        done += workers.answers(work, [0, 7])
    assert str(caught.value) == "unit 7 sold nothing\n  expected: an order\n  to do:    look at line 3"


def test_of_several_errors_the_first_units_is_raised_after_the_units_before_it(workers: RayWorkers) -> None:
    def work(unit: int) -> int:
        time.sleep(0.3 if unit < 2 else 0)
        if unit:
            raise StrategyError(f"unit {unit}")
        return unit

    answers = workers.answers(work, range(6))
    assert next(answers) == (0, 0)
    with pytest.raises(StrategyError, match="unit 1"):
        next(answers)


def test_an_exception_that_cannot_travel_is_told_with_its_traceback(workers: RayWorkers) -> None:
    class AwkwardError(Exception):
        def __init__(self, text: str, *, more: int) -> None:
            super().__init__(text)

    def work(unit: int) -> None:
        raise AwkwardError("no way back", more=unit)

    with pytest.raises(RuntimeError, match="AwkwardError: no way back") as caught:
        list(workers.answers(work, [1]))
    assert 'raise AwkwardError("no way back", more=unit)' in str(caught.value.__cause__)


def test_a_unit_whose_worker_dies_once_is_given_to_another(workers: RayWorkers, tmp_path: Path) -> None:
    def work(unit: int) -> int:
        if unit == 2 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), 9)
        return unit * unit

    assert dict(workers.answers(work, range(4))) == {0: 0, 1: 1, 2: 4, 3: 9}
    assert (tmp_path / "died").exists()


def test_a_unit_that_ends_every_worker_is_named_once_all_others_are_done(workers: RayWorkers, tmp_path: Path) -> None:
    def work(unit: str) -> str:
        if unit == "block 1":
            with (tmp_path / "tries").open("a") as tries:
                tries.write("x")
            os._exit(3)
        return unit

    done = {}
    with pytest.raises(ExecuteError, match=r"3 workers were lost over each of 1 of 4 pieces of work:\n  block 1: "):
        for place, answer in workers.answers(work, [f"block {place}" for place in range(4)]):
            done[place] = answer
    assert done == {0: "block 0", 2: "block 2", 3: "block 3"}
    assert len((tmp_path / "tries").read_text()) == MOST_LOSSES


@pytest.mark.usefixtures("free")
def test_units_of_a_node_that_is_lost_are_done_on_another(cluster: Any) -> None:
    def work(unit: int) -> tuple[int, str]:
        import ray

        time.sleep(0.3)
        return unit + 100, ray.get_runtime_context().get_node_id()

    with open_cluster(None, Terms(workers=2)) as queue:
        answers, where, alive = {}, set(), True
        for place, (answer, node) in queue.answers(work, range(12)):
            answers[place] = answer
            where.add(node)
            if alive and len(where) == 2:  # both have a unit
                cluster.remove_node(cluster.second, allow_graceful=False)
                alive = False
    cluster.second = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    assert not alive
    assert answers == {place: 100 + place for place in range(12)}


def test_a_consumer_that_leaves_early_leaves_workers_for_the_next(workers: RayWorkers) -> None:
    def slow(unit: int) -> int:
        time.sleep(0.0 if unit == 0 else 60.0)
        return unit

    answers = workers.answers(slow, range(4))
    assert next(answers) == (0, 0)
    answers.close()  # as an interruption does
    since = time.monotonic()
    assert dict(workers.answers(lambda unit: unit, [5])) == {0: 5}
    assert time.monotonic() - since < 30  # the sleeper was ended, not waited for


@pytest.mark.usefixtures("free", "cluster")
def test_a_worker_of_another_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenario_gen.execute.ray.VERSION", "9.9.9")  # here; workers import what is installed
    with (
        open_cluster(None, Terms(workers=1)) as queue,
        pytest.raises(ExecuteError, match=r"scenario-gen 0\.1\.0 there, 9\.9\.9 here"),
    ):
        list(queue.answers(str, [1]))


@pytest.mark.usefixtures("cluster")
def test_a_resource_that_no_node_has_is_refused_and_not_waited_for() -> None:
    with (
        open_cluster(None, Terms(workers=1, gpus=1, wait=1.5)) as queue,
        pytest.raises(ExecuteError, match="no node of the Ray cluster has 1 CPU and 1 GPU"),
    ):
        list(queue.answers(str, [1]))


@pytest.mark.usefixtures("cluster", "free")
def test_cores_that_others_hold_are_not_waited_for_for_ever() -> None:
    import ray

    @ray.remote(num_cpus=1)
    class Holder:
        def here(self) -> bool:
            return True

    holders = [Holder.remote() for _ in range(2)]
    assert ray.get([holder.here.remote() for holder in holders]) == [True, True]
    with (
        open_cluster(None, Terms(workers=1, wait=1.5)) as queue,
        pytest.raises(ExecuteError, match=r"gave no worker within 1\.5 seconds: others hold its cores"),
    ):
        list(queue.answers(str, [1]))


RULE = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Rule:
    def weights(self, bars):
        return (bars.close > bars.close.rolling(5).mean()).astype(float)
"""


def a_run(folder: Path, rule: Path) -> dict[str, Any]:
    return {
        "name": "trial",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 5},
        "paths": {"count": 10, "seed": 3, "block": 4},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}, {"name": "gap", "shocks": [{"kind": "gap", "bar": 3, "size": -0.1}]}],
        "baselines": ["gbm"],
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": f"{rule}:Rule"}],
        "report": {"folder": str(folder)},
    }


def numbers_of(folder: Path) -> dict[str, bytes]:
    """Return what a run computed, by file; run.json and the page tell of time, place and seconds too."""
    files = [file for file in folder.rglob("*") if file.suffix in {".npz", ".npy", ".parquet"}]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_a_run_on_a_cluster_is_that_of_one_process_to_the_bit(workers: RayWorkers, tmp_path: Path) -> None:
    workers.dismiss()
    (tmp_path / "rule.py").write_text(RULE)
    sg.run(a_run(tmp_path / "here", tmp_path / "rule.py"))
    sg.run(a_run(tmp_path / "there", tmp_path / "rule.py"), on="ray:2")
    here, there = numbers_of(tmp_path / "here"), numbers_of(tmp_path / "there")
    assert sum("blocks" in name for name in here) >= 9  # three scenarios of three blocks
    assert here == there


OTHER_PROCESS = """
import sys
import scenario_gen as sg
from scenario_gen.errors import ExecuteError
from scenario_gen.execute.section import Execute, open_queue
try:
    with open_queue(Execute.model_validate(eval(sys.argv[1]))) as queue:
        print(sorted(queue.answers(lambda unit: unit * unit, range(3))))
except ExecuteError as error:
    sys.exit(str(error))
"""


def in_another_process(section: dict[str, Any], **environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    arguments = [sys.executable, "-W", "error", "-c", OTHER_PROCESS, repr(section)]
    return subprocess.run(arguments, env=known | environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.usefixtures("free")
def test_a_running_cluster_is_joined_with_its_token_and_left_running(cluster: Any, workers: RayWorkers) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5" * 64}
    done = in_another_process({"kind": "ray"}, RAY_ADDRESS=cluster.address, **token)
    assert (done.stdout, done.stderr, done.returncode) == ("[(0, 0), (1, 1), (2, 4)]\n", "", 0)
    assert dict(workers.answers(str, [4])) == {0: "4"}


def test_a_cluster_whose_token_is_another_does_not_let_a_run_join(cluster: Any) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "6" * 64}
    done = in_another_process({"kind": "ray", "address": cluster.address}, **token)
    assert done.returncode == 1
    assert f"no Ray cluster can be reached at {cluster.address}" in done.stderr
    assert "token" in done.stderr


@pytest.mark.parametrize("form", ["ray://{}", "{}"])
def test_an_address_where_nobody_is_is_refused_within_seconds(form: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = form.format(f"127.0.0.1:{closed.getsockname()[1]}")
    since = time.monotonic()
    with pytest.raises(ExecuteError, match=rf"can be reached at {address}: \[Errno \d+\] Connection refused"):
        refuse_unreachable(address)
    assert time.monotonic() - since < 10


def test_fields_of_a_cluster_have_a_meaning_with_ray_alone() -> None:
    with pytest.raises(ValueError, match="got gpus and kind: processes; expected kind: ray"):
        Execute.model_validate({"kind": "processes", "gpus": 0.5})
