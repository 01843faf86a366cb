"""A run is a list of stages of one shape: in order, with their seconds, each adding to what is known."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import scenario_gen as sg
from scenario_gen import pipeline
from scenario_gen.finding import CANDLES
from scenario_gen.pipeline.study import tell
from scenario_gen.progress import Clock
from scenario_gen.store import folder as store

SPEC = {
    "name": "stages",
    "data": {"source": "sp500", "end": "2016-06-30"},
    "bars": {"context": 64, "horizon": 10},
    "paths": {"count": 8, "seed": 1},
    "generator": {"kind": "bootstrap"},
    "scenarios": [{"name": "base"}, {"name": "walk", "generator": {"kind": "gbm"}}],
    "checks": {"facts": False, "calibration": False},
    "strategies": [{"use": "strategies/buy_and_hold.py:BuyAndHold"}],
}


def test_the_seconds_of_a_run_are_booked_under_the_names_of_its_stages(tmp_path: Path) -> None:
    sg.run({**SPEC, "report": {"folder": str(tmp_path / "run")}})
    seconds = json.loads((tmp_path / "run" / "run.json").read_text())["seconds"]
    of_scenarios = ["scenario base", "scenario walk"]
    judged = ["summarising", "judging events", "judging strategies", "checking realism"]
    assert list(seconds) == ["preparing", *of_scenarios, *judged]


def test_stages_run_in_order_and_their_findings_stand_in_that_order(tmp_path: Path, monkeypatch) -> None:
    order = []

    def noted(stage):
        def run(study, results):
            order.append(stage.__name__)
            return stage(study, results)

        return run

    monkeypatch.setattr(pipeline, "RUN", tuple(map(noted, pipeline.RUN)))
    result = sg.run({**SPEC, "report": {"folder": str(tmp_path / "run")}})
    assert order[:4] == ["sample_and_trade", "weigh_by_views", "sum_up", "judge_events"]
    assert order[4:9] == ["probe", "hold_against", "compare_generators", "cost_of_shocks", "cost_of_jitter"]
    assert order[9:] == ["compare_with_history", "forecast_the_past", "replay_crises", "answer_shocks"]
    names = [finding.name for finding in result.findings]
    assert names.index("candles") < names.index("look_ahead") < names.index("nulls")


def test_a_story_hands_what_is_known_from_stage_to_stage_and_gathers_findings_in_order() -> None:
    def add(study: int, known: tuple[int, ...]):
        return (*known, study + len(known)), [CANDLES.finding("PASS", f"after {len(known)}")]

    known, findings = tell((add, add, add), 10, ())
    assert known == (10, 11, 12)
    assert [finding.measured for finding in findings] == ["after 0", "after 1", "after 2"]
    assert tell((), 10, known) == (known, [])


@pytest.mark.parametrize("strategies", [["BuyAndHold"], ["BuyAndHold", "SmaCross", "SmaSlow"]], ids=len)
def test_blocks_are_read_once_by_each_stage_however_many_strategies_there_are_and_summed_once(
    tmp_path: Path, monkeypatch, strategies: list[str]
) -> None:
    """Stages look at whole paths: summing up, those shown, regimes, probing, holding against chance and history."""
    uses = {
        "BuyAndHold": {"use": "strategies/buy_and_hold.py:BuyAndHold"},
        "SmaCross": {"use": "strategies/sma_cross.py:SmaCross", "params": {"fast": 3, "slow": 8}},
        "SmaSlow": {"use": "strategies/sma_cross.py:SmaCross", "params": {"fast": 5, "slow": 20}},
    }
    summed: Counter[str] = Counter()
    read: Counter[tuple[str, int]] = Counter()
    sum_of, load = store.sha256_of, store.RunFolder.load_arrays

    def counted_sum(path: Path) -> str:
        summed[str(path)] += 1
        return sum_of(path)

    def counted_load(self, scenario: str, index: int, *names: str):
        read[scenario, index] += not names or "values" in names
        return load(self, scenario, index, *names)

    monkeypatch.setattr(store, "sha256_of", counted_sum)
    monkeypatch.setattr(store.RunFolder, "load_arrays", counted_load)
    paths = {"count": 8, "block": 4, "seed": 1}
    chosen = [uses[name] for name in strategies]
    sg.run({**SPEC, "paths": paths, "strategies": chosen, "report": {"folder": str(tmp_path / "run")}})
    assert {block for block in read if block[0] == "base"} == {("base", 0), ("base", 1)}
    assert max(read.values()) <= 5
    of_blocks = {path: times for path, times in summed.items() if f"{tmp_path / 'run' / 'blocks'}" in path}
    assert len(of_blocks) >= 2 * 2 * 2  # scenarios, blocks, arrays and notes
    assert set(of_blocks.values()) == {2}  # as it is written, and as it is first read


def test_laps_of_one_name_add_up() -> None:
    clock = Clock()
    clock.lap("a")
    clock.laps["a"] = 2.0
    clock.lap("a")
    assert clock.laps["a"] >= 2.0
    assert list(clock.laps) == ["a"]
