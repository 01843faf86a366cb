"""A block counts where this run made it for this place: swapped, foreign and forged ones are computed anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.files import sha256_of
from scenario_gen.generators.draws import plan_blocks
from scenario_gen.pipeline.blocks.block import is_kept
from scenario_gen.pipeline.blocks.work import compute_blocks
from scenario_gen.pipeline.study import Study
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import spec_from_dict
from scenario_gen.store.folder import RunFolder

ROOT = Path(__file__).parents[2]


def _spec(folder: Path, seed: int = 3) -> dict[str, Any]:
    return {
        "name": "trial",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 10},
        "paths": {"count": 20, "seed": seed, "block": 8},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}, {"name": "again"}],
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold"}],
        "report": {"folder": str(folder)},
    }


def _study(folder: Path, seed: int = 3) -> Study:
    study = Study.of(spec_from_dict(_spec(folder, seed)), RunFolder(folder), SilentProgress())
    compute_blocks(study)
    return study


@dataclass(frozen=True)
class Kept:
    """A run's blocks, and what says whether they count."""

    study: Study

    def counts(self, index: int = 1) -> bool:
        ground = self.study.grounds[0]
        block = plan_blocks(20, 8)[index]
        return is_kept(ground, self.study.strategies, RunFolder(self.study.store.path), block)

    def place(self, scenario: str = "base", index: int = 1) -> Path:
        return self.study.store.block_path(scenario, index)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return _study(tmp_path_factory.mktemp("blocks") / "run")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return _study(tmp_path_factory.mktemp("blocks") / "elsewhere", seed=4)


@pytest.fixture
def kept(made: Study) -> Any:
    """Blocks that all count; whatever a test does to block 1 of the base is mended after it."""
    run = Kept(made)
    safe = run.place().with_name("safe")
    shutil.copytree(run.place(), safe)
    assert all(run.counts(index) for index in range(3))
    yield run
    shutil.rmtree(run.place())
    safe.rename(run.place())


def _signed(place: Path, more: dict[str, Any] | None = None) -> None:
    """Give a block sums that hold, as anybody can."""
    done = json.loads((place / "done.json").read_text())
    files = {file.name: sha256_of(file) for file in place.iterdir() if file.name != "done.json"}
    (place / "done.json").write_text(json.dumps({**done, **(more or {}), "files": files}))


def test_a_block_of_another_place_scenario_or_run_is_not_taken(kept: Kept, elsewhere: Study) -> None:
    donors = [kept.place(index=0), kept.place(index=2), kept.place("again"), elsewhere.store.block_path("base", 1)]
    for donor in donors:
        shutil.rmtree(kept.place())
        shutil.copytree(donor, kept.place())
        assert not kept.counts(), donor


def test_a_block_that_lies_about_where_it_is_from_is_not_taken_either(kept: Kept) -> None:
    address = json.loads((kept.place() / "done.json").read_text())
    for donor in (kept.place(index=0), kept.place(index=2)):
        shutil.rmtree(kept.place())
        shutil.copytree(donor, kept.place())
        _signed(kept.place(), {key: address[key] for key in ("run", "scenario", "index")})
        assert not kept.counts(), donor


def _arrays(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def forge(place: Path) -> None:
        with np.load(place / "arrays.npz") as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez(place / "arrays.npz", **arrays, allow_pickle=True)

    return forge


def _frame(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def forge(place: Path) -> None:
        change(pd.read_parquet(place / name)).to_parquet(place / name)

    return forge


def _notes(**change: Any) -> Callable[[Path], None]:
    def forge(place: Path) -> None:
        notes = json.loads((place / "notes.json").read_text())
        (place / "notes.json").write_text(json.dumps(notes | change))

    return forge


def _file(name: str, content: bytes | None) -> Callable[[Path], None]:
    return lambda place: (place / name).unlink() if content is None else (place / name).write_bytes(content) and None


FORGED = {
    "without its metrics": _file("metrics.parquet", None),
    "without its candles": _file("candles.parquet", None),
    "without unrepaired figures": _file("unrepaired.parquet", None),
    "with metrics of fewer paths": _frame("metrics.parquet", lambda frame: frame.iloc[1:]),
    "with metrics of no path": _frame("metrics.parquet", lambda frame: frame.iloc[:0]),
    "with metrics of paths twice": _frame("metrics.parquet", lambda frame: pd.concat([frame, frame])),
    "with metrics of other paths": _frame("metrics.parquet", lambda frame: frame.assign(path_id=frame["path_id"] + 1)),
    "with metrics of another strategy": _frame("metrics.parquet", lambda frame: frame.assign(strategy=7)),
    "with a metric less": _frame("metrics.parquet", lambda frame: frame.drop(columns="sharpe")),
    "with a metric in words": _frame("metrics.parquet", lambda frame: frame.assign(sharpe="good")),
    "with candles of fewer paths": _frame("candles.parquet", lambda frame: frame.iloc[1:]),
    "with candles of other paths": _frame("candles.parquet", lambda frame: frame.set_index(frame.index + 1)),
    "with candles without counts": _frame("candles.parquet", lambda frame: frame[["rejected"]]),
    "with a path called rejected": _frame("candles.parquet", lambda frame: frame.assign(rejected=frame.index == 9)),
    "with rejections in words": _frame("candles.parquet", lambda frame: frame.assign(rejected="no")),
    "with a table that is none": _file("metrics.parquet", b"PAR1 nonsense"),
    "with arrays that are none": _file("arrays.npz", b"PK\x03\x04 nonsense"),
    "with arrays of nothing": _file("arrays.npz", b""),
    "with a pickle": _arrays(lambda arrays: arrays.update(values=np.array([{}], dtype=object))),
    "without values": _arrays(lambda arrays: arrays.pop("values")),
    "with values of fewer bars": _arrays(lambda arrays: arrays.update(values=arrays["values"][:, 1:])),
    "with values in float64": _arrays(lambda arrays: arrays.update(values=arrays["values"].astype(np.float64))),
    "with a price that is none": _arrays(lambda arrays: arrays["values"].__setitem__((0, 0, 0), np.nan)),
    "with fewer equity curves": _arrays(lambda arrays: arrays.update(equity=arrays["equity"][:, 1:])),
    "with equity in words": _arrays(lambda arrays: arrays.update(equity=np.array(["much"]))),
    "with ids of other paths": _arrays(lambda arrays: arrays.update(path_ids=arrays["path_ids"] + 1)),
    "with notes of nothing": _file("notes.json", b"{}"),
    "with notes that are a list": _file("notes.json", b"[]"),
    "with notes a thousand deep": _file("notes.json", b'{"account": ' + b"[" * 100_000),
    "with reads that are a list": _notes(reads=[1]),
    "with reads of numbers": _notes(reads={"x": 3}),
    "with an account of nothing": _notes(account={}),
    "with provenance of nothing": _notes(provenance=None),
    "with other fields": _notes(provenance={"fields": ["open"]}),
}


@pytest.mark.parametrize("how", list(FORGED))
def test_a_forged_block_whose_sums_hold_is_computed_anew_without_a_traceback(kept: Kept, how: str) -> None:
    FORGED[how](kept.place())
    _signed(kept.place())
    assert not kept.counts()


def test_a_block_that_is_only_signed_anew_still_counts(kept: Kept) -> None:
    _signed(kept.place())  # so the tests above fail for what they forge
    assert kept.counts()


def test_a_run_over_swapped_and_forged_blocks_ends_as_if_they_had_never_been(tmp_path: Path) -> None:
    whole = sg.run(_spec(tmp_path / "run"))
    store = RunFolder(tmp_path / "run")
    first, second, third = (store.block_path("base", index) for index in range(3))
    first.rename(tmp_path / "first")
    second.rename(first)
    (tmp_path / "first").rename(second)
    FORGED["without its metrics"](third)
    _signed(third)
    again = store.block_path("again", 0)
    shutil.rmtree(again)
    again.symlink_to(first, target_is_directory=True)
    resumed = sg.run(_spec(tmp_path / "run"))
    assert resumed.scenarios == whole.scenarios
    assert not again.is_symlink()
    metrics = RunFolder(tmp_path / "run").read_metrics()
    assert len(metrics) == 2 * 20
