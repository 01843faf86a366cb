"""A run is a list of stages of one shape: in order, with their seconds, each adding to what is known."""

from __future__ import annotations

import json
from pathlib import Path

import scenario_gen as sg
from scenario_gen import pipeline
from scenario_gen.pipeline.study import Clock

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
    assert list(seconds) == ["preparing", *of_scenarios, "summarising", "judging strategies", "checking realism"]


def test_stages_run_in_order_and_their_findings_stand_in_that_order(tmp_path: Path, monkeypatch) -> None:
    order = []

    def noted(stage):
        def run(study, results):
            order.append(stage.__name__)
            return stage(study, results)

        return run

    monkeypatch.setattr(pipeline, "RUN", tuple((lap, noted(stage)) for lap, stage in pipeline.RUN))
    result = sg.run({**SPEC, "report": {"folder": str(tmp_path / "run")}})
    assert order[:4] == ["sample_and_trade", "sum_up", "probe", "hold_against"]
    assert order[4:] == ["compare_generators", "compare_with_history", "forecast_the_past"]
    names = [finding.name for finding in result.findings]
    assert names.index("candles") < names.index("look_ahead") < names.index("nulls")


def test_laps_of_one_name_add_up() -> None:
    clock = Clock()
    clock.lap("a")
    clock.laps["a"] = 2.0
    clock.lap("a")
    assert clock.laps["a"] >= 2.0
    assert list(clock.laps) == ["a"]
