"""The same run on any number of worker processes, in any order, over a lost worker: the same bits as in one process."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

import scenario_gen as sg
from scenario_gen import pipeline
from scenario_gen.errors import StrategyError
from scenario_gen.execute.processes import Processes
from scenario_gen.execute.queue import HERE, Here, Queue
from scenario_gen.pipeline import open_study, run_spec
from scenario_gen.pipeline.blocks.work import compute_blocks
from scenario_gen.pipeline.book.trade import run_book
from scenario_gen.pipeline.stress.events import with_cases
from scenario_gen.pipeline.study import Study
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import spec_from_dict
from scenario_gen.store.folder import RunFolder
from tests.pipeline.test_books_in_a_run import spec_in

ROOT = Path(__file__).parents[2]

Unit = TypeVar("Unit")
Answer = TypeVar("Answer")

STRATEGY = """
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from helpers import above


@dataclass(frozen=True)
class Above:
    bars: int = 5

    def weights(self, bars):
        share = float((Path(__file__).parent / "share.txt").read_text())
        return share * above(bars.close, self.bars)
"""
HELPERS = """
def above(close, bars):
    return (close > close.rolling(bars).mean()).astype(float)
"""
# right until it sees a generated bar: what is asked before the first path shows it nothing
MISTAKEN = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Above:
    bars: int = 5

    def weights(self, bars):
        if bars.close.nunique().max() > 45:
            raise KeyError("mine")
        return (bars.close > 0).astype(float)
"""


def _spec(folder: Path, strategy: Path) -> dict[str, Any]:
    return {
        "name": "trial",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 6},
        "paths": {"count": 11, "seed": 3, "block": 4},
        "generator": {"kind": "kronos", "model": "nano", "device": "cpu"},
        "scenarios": [{"name": "base"}, {"name": "gap", "shocks": [{"kind": "gap", "bar": 3, "size": -0.1}]}],
        "baselines": ["bootstrap"],
        "checks": {"facts": False, "calibration": {"origins": 3, "paths": 20, "horizon": 5}},
        "strategies": [{"use": f"{strategy}:Above", "params": {"bars": [3, 5]}}],
        "report": {"folder": str(folder)},
    }


@pytest.fixture(scope="module")
def strategy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A strategy in a file of its own, which reads a module and a text beside it."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "above.py").write_text(STRATEGY)
    (folder / "helpers.py").write_text(HELPERS)
    (folder / "share.txt").write_text("0.5")
    return folder / "above.py"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, strategy: Path) -> Path:
    """The folder of the run in one process."""
    folder = tmp_path_factory.mktemp("runs") / "here"
    sg.run(_spec(folder, strategy))
    return folder


@pytest.fixture(scope="module")
def three() -> Iterator[Processes]:
    """Three workers for all runs of this file: starting them is what takes the time."""
    with Processes(3) as queue:
        yield queue


@dataclass
class Disturbed:
    """A queue that hands units out in another order, or whose first worker is killed over a unit."""

    inner: Queue
    order: Callable[[int], list[int]]
    mark: Path | None = None  # there once a worker was killed
    workers: int = 3
    asked: list[int] = field(default_factory=list)  # numbers of units

    def answers(self, work: Callable[[Unit], Answer], units: Sequence[Unit]) -> Iterator[tuple[int, Answer]]:
        """Answer as the inner one, in another order."""
        self.asked.append(len(units))
        places = self.order(len(units))
        mark = self.mark

        def deadly(unit: Unit) -> Answer:
            if mark is not None and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return work(unit)

        for place, answer in self.inner.answers(deadly, [units[at] for at in places]):
            yield places[place], answer


def _run(spec: dict[str, Any], queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    class Open:
        def __enter__(self) -> Queue:
            return queue

        def __exit__(self, *error: object) -> None:
            pass

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "open_queue", lambda section: Open())
        run_spec(
            spec_from_dict(spec),
            folder=None,
            device=None,
            paths=None,
            overwrite=False,
            command="scenario_gen.run('')",
            progress=SilentProgress(),
        )


def _plain(values: Any, folder: Path) -> Any:
    """Return the values of a run.json without when, where and how long."""
    if isinstance(values, dict):
        return {key: _plain(value, folder) for key, value in values.items() if key not in ("created", "seconds")}
    if isinstance(values, list):
        return [_plain(value, folder) for value in values]
    return values.replace(str(folder), "") if isinstance(values, str) else values


def _same(folder: Path, other: Path) -> None:
    """See that two folders hold the same run, and that the first names the files of its blocks as its own."""
    names = [sorted(str(file.relative_to(of)) for file in of.rglob("*") if file.is_file()) for of in (folder, other)]
    assert names[0] == names[1]
    named = {*(folder / "manifest.txt").read_text().split("\n")}
    assert {name for name in names[0] if name.startswith("blocks/")} <= named
    timed = {"run.json", "index.html", "SHA256SUMS", "manifest.txt"}
    for name in names[0]:
        if name not in timed and not name.startswith("calibration"):
            assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    runs = [_plain(json.loads((of / "run.json").read_text()), of) for of in (folder, other)]
    assert runs[0] == runs[1]


def test_a_run_on_processes_is_that_of_one_process_to_the_bit(here: Path, strategy: Path, tmp_path: Path) -> None:
    """Of two workers here; of one, which is killed with its run, in tests/cli/test_processes.py; of three below."""
    sg.run(_spec(tmp_path / "run", strategy), on="processes:2")
    _same(tmp_path / "run", here)


def test_any_order_of_the_blocks_makes_the_same_run(
    here: Path, strategy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(1)
    queue = Disturbed(Here(), lambda count: rng.sample(range(count), count))
    _run(_spec(tmp_path / "run", strategy), queue, monkeypatch)
    assert queue.asked[:2] == [6, 3]  # base and bootstrap together, then the shocked blocks
    _same(tmp_path / "run", here)


def test_three_workers_that_begin_at_the_end_one_of_which_is_killed_make_the_same_run(
    here: Path, strategy: Path, three: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Disturbed(three, lambda count: [*range(count)][::-1], tmp_path / "mark")
    _run(_spec(tmp_path / "run", strategy), queue, monkeypatch)
    assert (tmp_path / "mark").exists()  # the worker that had come first to a block was killed over it
    _same(tmp_path / "run", here)


def test_a_strategys_mistake_has_the_words_that_it_has_here(
    strategy: Path, three: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(MISTAKEN)
    spec = _spec(tmp_path / "run", wrong) | {"scenarios": [{"name": "base"}], "baselines": []}
    spec["paths"] = {"count": 4, "seed": 3, "block": 4}  # one block: workers at others would be ended, and made again
    with pytest.raises(StrategyError) as raised_here:
        sg.run(spec | {"report": {"folder": str(tmp_path / "here")}})
    with pytest.raises(StrategyError) as raised_there:
        _run(spec, three, monkeypatch)
    assert str(raised_there.value) == str(raised_here.value)
    assert "KeyError: 'mine'" in str(raised_here.value)


def test_the_place_is_no_part_of_a_runs_identity(strategy: Path, tmp_path: Path, here: Path) -> None:
    spec = _spec(tmp_path / "run", strategy) | {"execute": {"kind": "processes", "workers": 2}}
    assert "execute" not in json.loads((here / "run.json").read_text())["spec"]
    assert spec_from_dict(spec).spec.execute.workers == 2
    known = RunFolder(here).identity()
    assert sg.run(spec, on="local").identity == known


def _blocks(of: Path) -> dict[str, bytes]:
    return {str(file.relative_to(of)): file.read_bytes() for file in (of / "blocks").rglob("*") if file.is_file()}


def test_books_traded_on_processes_leave_the_blocks_of_one_process(three: Processes, tmp_path: Path) -> None:
    spec = spec_from_dict(spec_in(tmp_path / "mine", baselines=[]))
    folders = {"here": HERE, "there": three}
    for name, queue in folders.items():
        store, silent = RunFolder(tmp_path / name), SilentProgress()
        study = open_study(spec, store, silent, device=None, paths=None, overwrite=False, queue=queue)
        compute_blocks(study)
        run_book(study.books[0], study)
    assert _blocks(tmp_path / "there") == _blocks(tmp_path / "here")
    assert len({name.split("/")[1] for name in _blocks(tmp_path / "here")}) == 3  # two assets, and their book


def test_islands_beyond_the_one_that_stops_are_removed(three: Processes, tmp_path: Path) -> None:
    """Three are wanted at least and made at once, and then three more: the fourth reaches the error asked for."""
    sampler = {"method": "splitting", "island": 32, "islands": [3, 12], "relative_error": 0.5, "budget": 100}
    mapping = {
        "name": "events",
        "data": {"source": "sp500", "end": "2016-06-30"},
        "bars": {"context": 128, "horizon": 10},
        "paths": {"count": 64, "seed": 1, "block": 64},
        "generator": {"kind": "fhs"},
        "checks": {"facts": False, "calibration": False},
        "scenarios": [{"name": "crash", "event": {"functional": "max_drawdown", "at_least": 0.12}, "sampler": sampler}],
        "strategies": [{"use": f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold"}],
    }
    for name, queue in {"here": HERE, "there": three}.items():
        study = Study.of(spec_from_dict(mapping), RunFolder(tmp_path / name), SilentProgress(), queue=queue)
        compute_blocks(with_cases(study))
    assert _blocks(tmp_path / "there") == _blocks(tmp_path / "here")
    assert {name.split("/")[2] for name in _blocks(tmp_path / "here")} == {f"{index:06d}" for index in range(4)}
