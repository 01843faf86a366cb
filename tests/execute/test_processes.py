"""Worker processes: same answers as one process, a lost worker costs its unit alone, nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from scenario_gen.errors import DataError, ExecuteError
from scenario_gen.execute.processes import Processes
from scenario_gen.execute.worker import RaisedThereError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    """Two workers for all tests of this file: they outlive what goes wrong in their work."""
    with Processes(2) as queue:
        yield queue
        assert _children() == []


def _children() -> list[int]:
    """Return child processes that have ended and that nobody waited for (Linux)."""
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return []
    return [pid] if pid else []


def _square(unit: int) -> int:
    return unit * unit


def _kill_first(mark: Path, how: str, unit: int) -> int:
    """End the worker over unit 3 as often as the mark has not enough lines."""
    if unit == 3:
        with mark.open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        if len(mark.read_text().split()) < 2:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(7)
    return unit * unit


def test_every_unit_is_answered_once_at_its_place(two: Processes) -> None:
    assert dict(two.answers(_square, range(20))) == {unit: unit * unit for unit in range(20)}
    assert [*two.answers(_square, [])] == []


def test_what_is_defined_inside_a_function_travels_by_value(two: Processes) -> None:
    offset = 5

    def shifted(unit: int) -> int:
        return unit + offset

    assert dict(two.answers(shifted, [1])) == {0: 6}


@pytest.mark.parametrize("how", ["killed", "left"])
def test_the_unit_of_a_lost_worker_is_given_to_another(two: Processes, tmp_path: Path, how: str) -> None:
    mark = tmp_path / "pids"
    done = dict(two.answers(partial(_kill_first, mark, how), range(6)))
    assert done == {unit: unit * unit for unit in range(6)}
    first, second = mark.read_text().split()
    assert first != second


def test_a_unit_that_ends_three_workers_is_named_when_all_others_are_done(two: Processes) -> None:
    def deadly(unit: int) -> int:
        if unit == 1:
            os._exit(9)
        return unit

    done = []
    with pytest.raises(ExecuteError) as raised:
        for _, answer in two.answers(deadly, range(5)):
            done.append(answer)
    assert sorted(done) == [0, 2, 3, 4]
    assert "lost over each of 1 of 5 pieces of work:\n  1: it left with exit code 9" in str(raised.value)


def test_work_that_no_worker_can_open_is_given_up_after_three(two: Processes) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
            return os._exit, (4,)

        def __call__(self, unit: int) -> int:
            return unit

    with pytest.raises(ExecuteError, match=r"3 workers ended, one after the other, before .* exit code 4"):
        [*two.answers(Trap(), range(50))]


def test_a_users_mistake_comes_back_as_it_was_raised(two: Processes) -> None:
    def mistaken(unit: int) -> int:
        raise DataError(f"row {unit} is odd", expected="even rows", fix="drop it")

    with pytest.raises(DataError) as raised:
        [*two.answers(mistaken, [7])]
    assert str(raised.value) == str(DataError("row 7 is odd", expected="even rows", fix="drop it"))
    assert raised.value.__cause__ is None


def test_of_several_mistakes_the_first_units_is_raised_whichever_comes_first(two: Processes) -> None:
    def mistaken(unit: int) -> int:
        if unit == 0:
            time.sleep(0.2)
        raise DataError(f"unit {unit}")

    with pytest.raises(DataError, match="unit 0"):
        [*two.answers(mistaken, range(4))]


def test_a_defect_keeps_the_lines_it_was_raised_at(two: Processes) -> None:
    def defective(unit: int) -> float:
        return 1 / unit

    with pytest.raises(ZeroDivisionError) as raised:
        [*two.answers(defective, [0])]
    assert isinstance(raised.value.__cause__, RaisedThereError)
    assert "return 1 / unit" in str(raised.value.__cause__) or "in defective" in str(raised.value.__cause__)


def test_an_exception_that_cannot_travel_is_told_in_words(two: Processes) -> None:
    def defective(unit: int) -> int:
        raise RuntimeError(threading.Lock())

    with pytest.raises(RuntimeError, match="RuntimeError: <unlocked"):
        [*two.answers(defective, [0])]


def test_answers_that_nobody_takes_hold_the_workers_up(two: Processes, tmp_path: Path) -> None:
    def noted(unit: int) -> int:
        (tmp_path / str(unit)).touch()
        return unit

    answers = two.answers(noted, range(50))
    next(answers)
    time.sleep(0.5)
    assert len([*tmp_path.iterdir()]) <= 5  # four answered or at work, and the one that was taken
    answers.close()


def _has_ended(pid: int) -> bool:
    """Return whether a process of nobody's has ended, within a few seconds; whoever adopted it may not have noticed."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_at_once_with_whoever_asked(how: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "asks.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "from scenario_gen.execute.processes import Processes\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # what runs in the background may ignore it
        "def work(unit):\n"
        "    print(os.getpid(), file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "with Processes(1) as queue:\n"
        "    list(queue.answers(work, [1]))\n"
    )
    asks = subprocess.Popen(
        [sys.executable, str(script)], stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert asks.stderr is not None
    worker = int(asks.stderr.readline())
    asks.send_signal(how)
    left = asks.communicate(timeout=30)[1]  # read to its end: the worker too has let go of it
    assert asks.returncode == -how
    assert _has_ended(worker)
    assert left.count(b"Traceback") == (how == signal.SIGINT)  # of the script, which does not catch it
    assert b"semaphore" not in left
