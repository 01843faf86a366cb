"""A plan says what a run would do and cost, begins nothing, and is held against runs that then are made."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scenario_gen.errors import DataError, StoreError
from scenario_gen.pipeline import plan_spec, run_spec
from scenario_gen.pipeline.plan.foretell import Between, Foretelling, lasting
from scenario_gen.pipeline.plan.plan import MOST_BUSY, RunPlan, Tried, busy_of, size_of
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import spec_from_dict
from scenario_gen.store.folder import RunFolder

STRATEGIES = Path(__file__).parents[2] / "strategies"


def _spec(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "trial",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 20},
        "paths": {"count": 640, "seed": 3, "block": 64},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}, {"name": "wild", "generator": {"volatility": "x1.3"}}],
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": f"{STRATEGIES}/buy_and_hold.py:BuyAndHold"}],
        "report": {"folder": str(folder)},
        **changes,
    }


def _planned(spec: dict[str, Any], **options: Any) -> RunPlan:
    given = {"folder": None, "device": None, "paths": None, "overwrite": False, "progress": SilentProgress()}
    return plan_spec(spec_from_dict(spec), **(given | options))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunPlan, Path, RunPlan]:
    """A plan, the folder of the run that then was made and lost a block, and the plan of going on with it."""
    spec = _spec(tmp_path_factory.mktemp("planned") / "run")
    before, folder = _planned(spec), Path(spec["report"]["folder"])
    assert not folder.exists()
    run_spec(
        spec_from_dict(spec),
        folder=None,
        device=None,
        paths=None,
        overwrite=False,
        command="",
        progress=SilentProgress(),
    )
    (RunFolder(folder).block_path("wild", 3) / "done.json").unlink()
    return before, folder, _planned(spec)


def test_it_tells_scenarios_blocks_and_strategies_and_begins_nothing(both: tuple[RunPlan, Path, RunPlan]) -> None:
    plan = both[0]
    assert [(s.name, s.paths, s.bars, s.blocks, s.finished_blocks, s.origins) for s in plan.scenarios] == [
        ("base", 640, 20, 10, 0, 0),
        ("wild", 640, 20, 10, 0, 0),
    ]
    assert plan.strategies == ["BuyAndHold"]
    assert not plan.resumes
    assert plan.device["device"] == "cpu"


def test_the_disk_of_the_run_lies_in_its_range(both: tuple[RunPlan, Path, RunPlan]) -> None:
    plan, folder, _ = both
    assert plan.disk_bytes.low < size_of(folder) < plan.disk_bytes.high


def test_finished_blocks_are_left_out_of_the_time(both: tuple[RunPlan, Path, RunPlan]) -> None:
    again = both[2]
    assert [scenario.finished_blocks for scenario in again.scenarios] == [10, 9]
    assert again.resumes
    one_block = again.scenarios[1].seconds_per_block
    assert again.seconds_of["blocks"].low < one_block < again.seconds_of["blocks"].high


def test_the_parts_of_the_time_add_up(both: tuple[RunPlan, Path, RunPlan]) -> None:
    plan = both[0]
    assert plan.seconds.low == pytest.approx(sum(part.low for part in plan.seconds_of.values()))
    assert plan.seconds.high == pytest.approx(sum(part.high for part in plan.seconds_of.values()))
    assert all(0 <= part.low <= part.high for part in plan.seconds_of.values())
    assert plan.seconds_of["blocks"].high > 20 * 0.5 * min(s.seconds_per_block for s in plan.scenarios)
    assert plan.memory_bytes.high > 100_000_000  # pandas alone takes as much


@pytest.mark.parametrize(
    ("clock", "busy"),
    [(2.0, 1.0), (1.0, 1.0), (3.0, 1.5), (40.0, MOST_BUSY)],  # of 2 s of a processor; with threads the clock has less
)
def test_a_busy_machine_makes_times_less_sure(clock: float, busy: float) -> None:
    tries = [Tried(8, {"a": clock / 4, "b": clock / 4}, {"a": 0.8, "b": 0.2}, {}, {}, 0) for _ in range(2)]
    assert busy_of(*tries) == pytest.approx(busy)


def test_a_folder_of_another_run_is_refused_as_by_the_run(both: tuple[RunPlan, Path, RunPlan]) -> None:
    _, folder, _ = both
    before = (folder / "identity.json").read_bytes()
    other = _spec(folder, paths={"count": 64, "seed": 4, "block": 64})
    with pytest.raises(StoreError, match="holds another run"):
        _planned(other)
    _planned({**other, "strategies": other["strategies"]}, overwrite=True)
    assert (folder / "identity.json").read_bytes() == before
    assert RunFolder(folder).read_run().name == "trial"


def test_what_would_stop_the_run_stops_the_plan(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        _planned(_spec(tmp_path / "run", data={"source": "sp500", "end": "1980-01-01"}))


def test_forecasts_of_the_past_are_counted_once_for_scenarios_that_share_them(tmp_path: Path) -> None:
    checks = {"facts": False, "calibration": {"origins": 12, "paths": 20}}
    two = [{"name": "base"}, {"name": "gap", "shocks": [{"kind": "gap", "bar": 5, "size": -0.1}]}]
    plan = _planned(_spec(tmp_path / "run", checks=checks, scenarios=two, paths={"count": 64, "block": 64}))
    assert [scenario.origins for scenario in plan.scenarios] == [12, 0]
    assert plan.seconds_of["forecasts of the past"].high > 0


# --- A long run says so by itself ---


def _ground(name: str, count: int) -> Any:
    paths = SimpleNamespace(count=count, block=64)
    scenario = SimpleNamespace(paths=paths, reweight=None)
    return SimpleNamespace(name=name, scenario=scenario, split=False, timestamps=range(20))


@pytest.mark.parametrize(("seconds", "notes"), [(0.1, 0), (30.0, 1)])
def test_a_run_tells_once_how_long_it_takes_where_that_is_long(seconds: float, notes: int) -> None:
    now = [0.0]
    heard = SilentProgress()
    grounds = [_ground("base", 640), _ground("wild", 640)]
    run = Foretelling(heard, grounds, clock=lambda: now[0])
    for _ in grounds:
        run.begin(2)  # two blocks are there
        for _ in range(8):
            now[0] += seconds
            run.finish()
    assert len(heard.notes) == notes
    if notes:  # 17 of 20 blocks are left when the first is done: 17 x 30 s x .75 to 1.35
        assert "the first of 18 blocks took 30.0 s: sampling and backtesting take 6 to 11 minutes" in heard.notes[0]


def test_workers_share_what_is_left() -> None:
    now, heard, grounds = [0.0], SilentProgress(), [_ground("base", 640), _ground("wild", 640)]
    run = Foretelling(heard, grounds, workers=4, clock=lambda: now[0])
    run.begin(0)
    now[0] = 60.0
    run.finish()
    assert "take 3.6 to 6.4 minutes more" in heard.notes[0]  # 19 x 60 s / 4 x .75 to 1.35


@pytest.mark.parametrize("on", [None, "processes:1"])
def test_the_stages_of_a_run_are_those_that_it_listens_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: str | None
) -> None:
    monkeypatch.setattr("scenario_gen.pipeline.plan.foretell.LONG", 0.0)
    heard = SilentProgress()
    spec = spec_from_dict(_spec(tmp_path / "run", paths={"count": 16, "block": 4}))
    run_spec(spec, folder=None, device=None, paths=None, overwrite=False, command="", progress=heard, on=on)
    assert [note for note in heard.notes if note.startswith("the first of 8 blocks took")] != []


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.4, 0.9, "0.4 to 0.9 seconds"),
        (75, 130, "1.2 to 2.2 minutes"),
        (3600, 9000, "1.0 to 2.5 hours"),
        (20, 40, "20 to 40 seconds"),
        (90_000, 200_000, "1.0 to 2.3 days"),
    ],
)
def test_a_span_is_told_in_its_own_unit(low: float, high: float, words: str) -> None:
    assert lasting(Between(low, high)) == words
