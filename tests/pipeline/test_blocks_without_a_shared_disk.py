"""Workers of a machine that does not see the folder of the run: their blocks arrive all the same, to the bit."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import scenario_gen as sg
from scenario_gen import pipeline
from scenario_gen.errors import StoreError
from scenario_gen.pipeline.blocks.work import SEEN, Delivered
from scenario_gen.store.folder import RunFolder

HOLD = Path(__file__).parents[2] / "strategies" / "buy_and_hold.py"


@dataclass
class OtherMachine:
    """A queue whose workers have the run's folder at no place, as on a disk of their own; ``spoil`` edits answers."""

    spoil: Callable[[Any], Any] = lambda answer: answer
    answered: list[Any] = field(default_factory=list)
    workers: int = 2

    def answers(self, work: Any, units: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Do every unit, the last one first."""
        there: Delivered = pickle.loads(cloudpickle.dumps(work))
        nowhere = RunFolder("/nowhere/on/this/machine")
        nowhere._run = there.blocks.store._run  # what a folder tells when it travels
        there = replace(there, blocks=replace(there.blocks, store=nowhere))
        for place in reversed(range(len(units))):
            answer = self.spoil(pickle.loads(cloudpickle.dumps(there(units[place]))))
            self.answered.append(answer)
            yield place, answer


def _spec(folder: Path) -> dict[str, Any]:
    return {
        "name": "apart",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 5},
        "paths": {"count": 10, "seed": 3, "block": 4},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}, {"name": "gap", "shocks": [{"kind": "gap", "bar": 3, "size": -0.1}]}],
        "baselines": [],
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": f"{HOLD}:BuyAndHold"}],
        "report": {"folder": str(folder)},
    }


def _numbers(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.suffix in {".npz", ".parquet"} or file.name == "done.json"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_blocks_that_workers_cannot_save_are_saved_by_whoever_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sg.run(_spec(tmp_path / "here"))
    queue = OtherMachine()
    monkeypatch.setattr(pipeline, "open_queue", lambda section: nullcontext(queue))
    sg.run(_spec(tmp_path / "there"))
    assert [answer and sorted(answer[1])[:1] for answer in queue.answered] == [["arrays.npz"]] * 3 + [None] * 3
    here = _numbers(tmp_path / "here")
    assert len([name for name in here if name.endswith("done.json")]) == 6
    assert here == _numbers(tmp_path / "there")
    assert not (tmp_path / "there" / SEEN).exists()
    assert not (tmp_path / "here" / SEEN).exists()


def test_a_block_that_does_not_come_back_whole_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(answer: Any) -> Any:
        kept, files = answer
        return kept, files | {"metrics.parquet": files["metrics.parquet"][:-1]}

    monkeypatch.setattr(pipeline, "open_queue", lambda section: nullcontext(OtherMachine(spoil)))
    with pytest.raises(StoreError, match="block 2 of base came back from a worker and is not whole"):
        sg.run(_spec(tmp_path / "run"))
