"""Scenarios that ask the probability of an event: islands as blocks, resumed one by one, and what a run says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenario_gen
from scenario_gen.errors import DataError, SpecError
from scenario_gen.finding import Finding
from scenario_gen.pipeline import stages
from scenario_gen.pipeline.blocks import block as blocks
from scenario_gen.pipeline.blocks.work import run_islands
from scenario_gen.pipeline.stress.events import judge_events, summary_of, with_cases
from scenario_gen.pipeline.stress.one_event import replay_path
from scenario_gen.pipeline.study import Results, Study
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import spec_from_dict
from scenario_gen.store.folder import RunFolder
from scenario_gen.stress.splitting import path_name

SPEC: dict[str, Any] = {
    "name": "events",
    "data": {"source": "sp500", "end": "2016-06-30"},
    "bars": {"context": 128, "horizon": 15},
    "paths": {"count": 400, "seed": 1, "block": 512},
    "generator": {"kind": "fhs"},
    "checks": {"facts": False, "calibration": False},
    "scenarios": [
        {
            "name": "crash",
            "event": {"functional": "max_drawdown", "at_least": 0.25},
            "sampler": {"island": 32, "islands": [8, 8], "relative_error": 0.4},
        },
        {"name": "dip", "event": {"functional": "terminal_return", "at_most": -0.005}},
    ],
    "strategies": [{"use": "strategies/buy_and_hold.py:BuyAndHold"}],
    "limits": {"event_probability": {"dip": 0.01, "crash": 0.5}},
}


def _spec(**crash: Any) -> dict[str, Any]:
    return {**SPEC, "scenarios": [{**SPEC["scenarios"][0], **crash}]} | {"limits": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events") / "run"


@pytest.fixture(scope="module")
def run(folder: Path) -> tuple[Results, list[Finding]]:
    """The stages that are about events, without the page and what else is judged."""
    study = with_cases(Study.of(spec_from_dict(SPEC), RunFolder(folder), SilentProgress()))
    results, findings = Results(), list[Finding]()
    for stage in (stages.sample_and_trade, stages.sum_up, judge_events):
        results, more = stage(study, results)
        findings += more
    return results, findings


def test_a_run_tells_probability_interval_models_history_and_what_the_strategy_does_in_the_event(
    run: tuple[Results, list[Finding]],
) -> None:
    crash, dip = (scenario.event for scenario in run[0].scenarios)
    assert crash is not None
    assert dip is not None
    assert (crash.words, crash.sampled.method, dip.sampled.method) == (
        "drawdown of 25 % or more",
        "splitting",
        "rejection",
    )
    assert 0 < (crash.sampled.probability.low or 0) < (crash.sampled.probability.high or 0) < 0.05
    assert [model.generator for model in crash.models] == ["garch", "bootstrap"]
    assert crash.models[0].probability.value
    assert crash.history is not None
    assert crash.history.n == (len(_history_bars()) - 64) // 15
    assert crash.given[0].strategy == "BuyAndHold"
    assert crash.given[0].mean.value is not None
    assert crash.given[0].mean.value < -0.1, "who holds through a fall of a quarter has lost"
    assert run[0].scenarios[0].paths == crash.sampled.paths > 8 * 32


def _history_bars() -> Any:
    from scenario_gen.market import load_candles

    return load_candles("sp500", name=None).split_at("2016-06-30")[0]


def test_findings_name_the_event_and_hold_its_upper_end_against_the_limit(run: tuple[Results, list[Finding]]) -> None:
    labels = {(finding.name, finding.scenario): finding.label for finding in run[1]}
    assert labels["event_probability", "crash"] == "PASS"
    assert labels["event_probability", "dip"] == "FAIL"
    assert labels["event_cross_check", "crash"] == "PASS"
    assert ("event_cross_check", "dip") not in labels, "plain paths are not held against themselves"
    assert {name for name, _ in labels} >= {"event_genealogy", "event_models_agree", "event_in_history"}


def test_a_run_on_islands_is_resumed_island_by_island_with_the_same_bits(
    run: tuple[Results, list[Finding]], folder: Path
) -> None:
    store = RunFolder(folder)
    before = store.load_arrays("crash", 5)
    kept = store.block_path("crash", 2).stat().st_mtime_ns
    shutil.rmtree(store.block_path("crash", 5))
    study = with_cases(Study.of(spec_from_dict(SPEC), RunFolder(folder), SilentProgress()))
    run_islands(study, study.grounds[0])
    after = RunFolder(folder).load_arrays("crash", 5)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert run[0].scenarios[0].event is not None
    assert (
        summary_of(study.grounds[0], blocks.island_records(study.grounds[0], store))
        == run[0].scenarios[0].event.sampled
    )
    assert store.block_path("crash", 2).stat().st_mtime_ns == kept


def test_blocks_of_an_event_are_islands_of_weighted_paths_the_dead_included(
    run: tuple[Results, list[Finding]], folder: Path
) -> None:
    study = with_cases(Study.of(spec_from_dict(SPEC), RunFolder(folder), SilentProgress()))
    parts = list(blocks.paths_of(study.grounds[0], study.store))
    assert [set(part.counts["island"].tolist()) for part in parts] == [{at} for at in range(len(parts))]
    assert all(part.weights is not None and part.weights.sum() == pytest.approx(1.0) for part in parts)
    assert run[0].scenarios[0].event is not None
    assert sum(map(len, parts)) == run[0].scenarios[0].event.sampled.paths


def test_facts_are_not_judged_on_the_paths_of_an_event(tmp_path: Path) -> None:
    spec = {**_spec(), "checks": {"facts": True, "calibration": False}}
    study = Study.of(spec_from_dict(spec), RunFolder(tmp_path / "run"), SilentProgress())
    results, findings = stages.compare_with_history(with_cases(study), Results())
    assert (results.scenarios, findings) == ((), [])


def test_an_event_beyond_the_bars_of_a_bootstrap_is_refused_with_what_it_can_reach(tmp_path: Path) -> None:
    spec = _spec(generator={"kind": "bootstrap"}, event={"functional": "max_drawdown", "at_least": 0.9})
    with pytest.raises(DataError, match=r"(?s)crash: drawdown of 90 % or more is beyond this generator.*at most"):
        scenario_gen.run(spec, folder=tmp_path / "run")


def test_a_model_whose_tail_a_calibration_cut_off_is_refused(tmp_path: Path) -> None:
    spec = _spec(generator={"kind": "kronos", "model": "nano", "top_p": 0.9})
    with pytest.raises(SpecError, match="top_p"):
        scenario_gen.run(spec, folder=tmp_path / "run")


def test_a_path_of_a_run_is_made_anew_alone_by_its_name(run: tuple[Results, list[Finding]], folder: Path) -> None:
    del run
    loaded, store = spec_from_dict(SPEC), RunFolder(folder)
    kept = store.load_arrays("crash", 3)
    number = int(kept["event_ids"][kept["event_happened"]][-1])
    found = replay_path(loaded, "crash", path_name(number), folder, SilentProgress())
    assert found.apart == 0.0
    assert len(found.lineage) > 1
    assert found.lineage[-1][:2] == (number & 0xFFFF, (number >> 16) & 0xFFFF)
    assert found.bars.shape == (15, 5)
    for wrong, words in (("i3.s17", "island, slot and generation"), ("i3.s31.g9999", "has no path")):
        with pytest.raises(SpecError, match=words):
            replay_path(loaded, "crash", wrong, folder, SilentProgress())
