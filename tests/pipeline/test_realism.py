"""Stylized facts and calibration inside a run: who is checked, against what, what is kept, what is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.finding import BY_KEY, Finding, Label, cap, worst
from scenario_gen.forecasts.calibrate import calibrate
from scenario_gen.forecasts.harness import Settings
from scenario_gen.pipeline import run_spec
from scenario_gen.pipeline.blocks.block import block_paths
from scenario_gen.pipeline.prepared import prepare
from scenario_gen.pipeline.stages import settings_of, to_calibrate
from scenario_gen.progress import SilentProgress
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.facts import FACTS, path_statistics
from scenario_gen.realism.gauge import Gauge
from scenario_gen.realism.scores import SCORE_GROUPS
from scenario_gen.report.page import build_page
from scenario_gen.spec.loader import spec_from_dict
from scenario_gen.store.folder import PAGE_MARK, RunFolder
from scenario_gen.store.results import StressRun

HOLD = Path(__file__).parents[2] / "strategies" / "buy_and_hold.py"
BUDGET = {"origins": 40, "paths": 39, "horizon": 20}
Run = tuple[StressRun, Path, dict[str, Any]]


def group(findings: Iterable[Finding], check: str) -> list[Finding]:
    return BY_KEY[check].of(findings)


def _spec(folder: Path, generator: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "trial",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 64, "horizon": 30},
        "paths": {"count": 48, "seed": 3, "block": 32},
        "generator": dict(generator),
        "checks": {"calibration": BUDGET},
        "strategies": [{"use": f"{HOLD}:BuyAndHold"}],
        "limits": {"max_drawdown": 0.5},
        "report": {"folder": str(folder)},
        **changes,
    }


@pytest.fixture(scope="module")
def done(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "done"
    kronos = {"kind": "kronos", "model": str(tiny_folder), "device": "cpu"}
    scenarios = [{"name": "calm", "generator": {"temperature": 0.8}}, {"name": "base"}]
    spec = _spec(folder, kronos, scenarios=scenarios, baselines=["bootstrap"])
    return sg.run(spec), folder, spec


def _prepared(spec: Mapping[str, Any]) -> Any:
    loaded = spec_from_dict(spec)
    return prepare(loaded.spec.scenarios, loaded.base, SilentProgress())


def test_scenarios_and_baselines_are_compared_with_the_history_up_to_the_context_and_no_later_bar(
    done: Run, sp500: sg.Candles
) -> None:
    run, _, _ = done
    before = len(sp500.split_at("2016-03-31")[0])
    for scenario in run.scenarios:
        assert scenario.facts is not None
        assert scenario.facts.mode == "C"
        assert scenario.facts.design.reference_bars == before
        assert scenario.facts.design.paths == 48


def test_every_statistic_of_every_path_is_in_the_folder(done: Run, sp500: sg.Candles) -> None:
    _, folder, spec = done
    kept = pd.read_parquet(folder / "facts.parquet")
    assert list(kept.groupby("scenario", sort=False).size().items()) == [
        ("calm", 48), ("base", 48), ("bootstrap", 48)
    ]  # fmt: skip
    one = next(found for found in _prepared(spec) if found.name == "base")
    paths = block_paths(one, RunFolder(folder), 1)
    gauge = Gauge.of(sp500.split_at("2016-03-31")[0])
    bars = BarArrays.of_paths(paths, tick=gauge.tick, clock=gauge.clock)
    rows = kept[(kept["scenario"] == "base") & kept["path_id"].isin(paths.path_ids)]
    for name, values in path_statistics(bars, gauge=gauge).items():
        np.testing.assert_array_equal(rows[name].to_numpy(), values)


def test_a_scenario_has_one_finding_per_group_with_the_worst_label_of_its_members(done: Run) -> None:
    run, _, _ = done
    for scenario in run.scenarios:
        found = [f for f in group(run.findings, "facts") if f.scenario == scenario.name]
        if scenario.role == "baseline":
            assert found == []  # shown beside, not judged
            continue
        assert scenario.facts is not None
        groups = {fact.group for fact in FACTS if fact.gate and fact.group not in ("scale",)}
        assert {f.name for f in found} == {f"facts.{name}" for name in groups | set(SCORE_GROUPS)}
        labels = {f.name.removeprefix("facts."): f.label for f in found}
        for name, label in labels.items():
            if name in SCORE_GROUPS:
                members = [s.label for s in scenario.facts.scores if s.score in SCORE_GROUPS[name] and s.label]
            else:
                members = [f.label for f in scenario.facts.facts if f.group == name and f.label]
            assert label == worst(members)


def test_random_weights_do_not_pass_for_a_market(done: Run) -> None:
    run, _, _ = done
    labels = {f.label for f in group(run.findings, "facts") if f.scenario == "base"}
    assert "FAIL" in labels
    card = build_page(run).split("Generator: stylized facts</h3>")[1][:400]
    assert 'class="v FAIL"' in card


def test_the_bootstrap_is_not_blamed_for_copying_the_context(done: Run) -> None:
    run, _, _ = done
    scores = {s.score: s for s in run.scenarios[2].facts.scores}  # type: ignore[union-attr]
    assert scores["copies"].label is None
    assert "resample" in scores["copies"].reason


def test_the_base_scenario_is_calibrated_as_the_command_would(done: Run) -> None:
    run, _, spec = done
    assert [scenario.calibration is not None for scenario in run.scenarios] == [False, True, False]
    one = next(found for found in _prepared(spec) if found.name == "base")
    again = calibrate(one.generator, one.history, Settings(64, 20, paths=39, seed=3, origins=40, baselines=()))
    found = run.scenarios[1].calibration
    assert found is not None
    assert found.generator.functionals == again.generator.functionals
    assert [other.name for other in found.baselines] == ["bootstrap", "fhs"]
    (finding,) = group(run.findings, "calibration")
    assert (finding.scenario, finding.label) == ("base", found.generator.label)


def test_the_facts_of_the_forecasts_of_the_past_are_findings_of_their_own(done: Run) -> None:
    run, _, _ = done
    calibration = run.scenarios[1].calibration
    assert calibration is not None
    assert calibration.facts is not None
    assert calibration.facts.mode == "A"
    labels = {f.name: f.label for f in group(run.findings, "facts by origin")}
    assert labels == {f"facts by origin.{name}": label for name, label in calibration.facts.groups.items()}
    # random weights: wicks and volatility of no market
    assert labels["facts by origin.candle_shape"] == "FAIL"
    assert "scale" not in {f.name for f in group(run.findings, "facts")}  # judged in mode A alone
    page = build_page(run)
    assert "What came, among the paths of its own context" in page
    assert "over 40 forecasts of 20 bars" in page


def test_the_drift_of_every_kept_path_is_told_with_its_interval(done: Run) -> None:
    run, folder, spec = done
    assert all(scenario.drift is not None for scenario in run.scenarios)
    one = next(found for found in _prepared(spec) if found.name == "base")
    closes = [block_paths(one, RunFolder(folder), index).close[:, -1] for index in (0, 1)]
    growth = np.concatenate(closes).astype(np.float64) / one.context.close[-1]
    drift = run.scenarios[1].drift
    assert drift is not None
    assert drift.growth == pytest.approx(growth.mean() - 1)
    wide = 1.96 * growth.std(ddof=1) / np.sqrt(48)
    assert (drift.growth_low, drift.growth_high) == pytest.approx((drift.growth - wide, drift.growth + wide), rel=1e-3)
    findings = {f.scenario: f for f in group(run.findings, "drift")}
    assert set(findings) == {"calm", "base"}
    assert f"{drift.growth:+.2%} [{drift.growth_low:+.2%}" in findings["base"].measured
    assert drift.deviations is not None
    sure = drift.log_return_low > 0 or drift.log_return_high < 0
    assert (findings["base"].label == "WARN") == (abs(drift.deviations) > 0.25 and sure)
    assert PAGE_MARK.decode() in build_page(run)[:4096]  # by which a report is known that stands alone


def test_asking_for_all_calibrates_every_scenario_and_no_baseline(done: Run) -> None:
    _, _, spec = done
    every = _prepared({**spec, "checks": {"calibration": "all"}})
    assert [one.name for one in to_calibrate(every)] == ["calm", "base"]
    none = _prepared({**spec, "checks": {"calibration": False}})
    assert to_calibrate(none) == []


def test_scenarios_that_differ_in_nothing_that_matters_share_one_calibration(done: Run) -> None:
    _, _, spec = done
    scenarios = [
        {"name": "base"},
        {"name": "dear", "broker": {"fees": 0.01}},
        {"name": "later", "bars": {"context": 65}},
    ]
    same = _prepared({**spec, "scenarios": scenarios, "baselines": []})
    assert [one.name for one in to_calibrate(same)] == ["base", "dear"]


def test_a_run_forecasts_the_next_bar_as_often_as_its_budget_says(done: Run) -> None:
    _, _, spec = done
    budget = {**BUDGET, "one_step": 100}
    scenarios = [{"name": "base"}, {"name": "more", "checks": {"calibration": budget}}]
    asked = _prepared({**spec, "scenarios": scenarios, "baselines": []})
    assert [settings_of(one).one_step for one in asked] == [0, 100]
    assert [one.name for one in to_calibrate(asked)] == ["base"]  # not the same question


def test_value_at_risk_is_a_finding_of_its_own_that_hides_no_pass(tmp_path: Path) -> None:
    spec = _spec(tmp_path / "run", {"kind": "fhs"}, bars={"context": 64, "horizon": 10})
    spec["checks"] = {"facts": False, "calibration": {"origins": 31, "paths": 19, "one_step": 500}}
    run = sg.run(spec)
    calibration = run.scenarios[0].calibration
    assert calibration is not None
    (whole,), (tails,) = group(run.findings, "calibration"), group(run.findings, "value at risk")
    assert tails.label == calibration.generator.value_at_risk
    assert tails.label != "INCONCLUSIVE"  # 500 forecasts judge both levels
    assert whole.label == calibration.generator.label
    few = [f for f in calibration.generator.exceedances if not f.judged]
    assert {one.functional for one in few} == {"return_h"}


def test_value_at_risk_of_few_forecasts_is_told_with_what_to_set(done: Run) -> None:
    (finding,) = group(done[0].findings, "value at risk")
    assert finding.label == "INCONCLUSIVE"
    assert f"{0.05 * BUDGET['origins']:.1f} exceedances are expected of {BUDGET['origins']}" in finding.measured
    assert "checks: calibration: {one_step: 1000}" in finding.measured
    page = build_page(done[0])
    assert "Value at risk in both tails" in page
    assert (
        f"{BUDGET['origins']} forecasts of the next bar are too few to judge every level (100 for 5%, 500 for 1%)"
        in page
    )


def test_a_resumed_run_reads_what_was_checked_and_ends_the_same(done: Run) -> None:
    run, folder, spec = done
    kept = sorted([*(folder / "facts").glob("*.json"), *(folder / "calibration").glob("*.json")])
    assert len(kept) == 3 + 1
    before = [path.stat().st_mtime_ns for path in kept]
    (folder / "run.json").unlink()
    again = sg.run(spec)
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert again.scenarios == run.scenarios
    assert again.findings == run.findings
    assert RunFolder(folder).read_run() == again


def test_verdicts_that_were_edited_in_the_folder_are_not_believed(done: Run) -> None:
    run, folder, spec = done
    kept = sorted((folder / "facts").glob("*.json"))
    named = (folder / "manifest.txt").read_text().splitlines()
    assert {file.relative_to(folder).as_posix() for file in kept} <= set(named)
    whole = [file.read_bytes() for file in kept]
    for file, content in zip(kept, whole, strict=True):
        edited = re.sub(rb'"label": "[A-Z]+"', b'"label": "PASS"', content)
        assert edited != content
        file.write_bytes(edited)
    again = sg.run(spec)
    assert again.scenarios == run.scenarios
    assert again.findings == run.findings
    assert [file.read_bytes() for file in kept] == whole


def test_a_run_folder_of_before_is_still_read(done: Run, tmp_path: Path) -> None:
    import json

    data = json.loads((done[1] / "run.json").read_text())
    for scenario in data["scenarios"]:
        del scenario["facts"], scenario["calibration"]
    (tmp_path / "run.json").write_text(json.dumps(data))
    old = RunFolder(tmp_path).read_run()
    assert old.scenarios[0].facts is None
    assert "this run compared no paths" in build_page(old)


def test_too_few_paths_and_too_short_a_history_are_told_and_stop_nothing(tmp_path: Path) -> None:
    spec = _spec(tmp_path / "run", {"kind": "fhs"}, paths={"count": 12, "block": 12})
    spec["data"]["start"] = "2016-01-04"  # 61 bars up to the context's end
    spec["bars"] = {"context": 58, "horizon": 20}
    spec["checks"] = {"calibration": True}
    loaded, progress = spec_from_dict(spec), SilentProgress()
    run = run_spec(loaded, folder=None, device=None, paths=None, overwrite=False, command="", progress=progress)
    (facts,) = group(run.findings, "facts")
    assert facts.label == "UNTESTABLE"
    assert "12 paths" in facts.measured
    (calibration,) = group(run.findings, "calibration")
    assert calibration.label == "UNTESTABLE"
    assert "61 bars leave room for 0 origins" in calibration.measured
    assert any("not calibrated: 61 bars" in note for note in progress.notes)
    page = build_page(run)
    for finding in (facts, calibration):
        assert finding.measured[1:60] in page


def test_checks_that_were_not_asked_for_are_not_made_and_hold_labels_down(tmp_path: Path) -> None:
    off = {"facts": False, "calibration": False}
    run = sg.run(_spec(tmp_path / "run", {"kind": "gbm"}, checks=off))
    assert group(run.findings, "facts") == group(run.findings, "calibration") == []
    assert not (tmp_path / "run" / "facts.parquet").exists()
    assert cap("PASS", run.findings, "base", bad_bars=run.scenarios[0].candles.bad_share) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("facts", "calibration", "expected"),
    [((), "PASS", "PASS"), (("facts.tails",), "PASS", "INCONCLUSIVE"), (("facts.volume",), "PASS", "PASS"),
     (("facts by origin.scale",), "PASS", "WARN"), (("facts by origin.volume",), "PASS", "PASS"),
     (("facts by origin.tails", "facts.tails"), "PASS", "WARN"), (("facts.copy",), "PASS", "WARN"),
     (("facts.copy", "facts.tails"), "FAIL", "WARN"), (("facts.tails",), "FAIL", "INCONCLUSIVE"),
     ((), "FAIL", "INCONCLUSIVE")],
)  # fmt: skip
def test_facts_that_decide_how_deep_falls_go_hold_a_favourable_label_down(
    done: Run, facts: tuple[str, ...], calibration: Any, expected: str
) -> None:
    candles = done[0].scenarios[1].candles
    findings = [Finding(name, "FAIL", "", "", "base") for name in facts]
    findings += [Finding("calibration", calibration, "", "", "base"), Finding("facts.tails", "FAIL", "", "", "calm")]
    assert cap("PASS", findings, "base", bad_bars=candles.bad_share) == expected


@pytest.mark.parametrize(("ranked", "expected"), [("PASS", "PASS"), ("WARN", "PASS"), ("INCONCLUSIVE", "INCONCLUSIVE")])
def test_what_came_speaks_before_all_of_history(ranked: Label, expected: str) -> None:
    """A FAIL beside all of history is a doubt, and none where forecasts of the past judge the same group."""
    findings = [
        Finding("calibration", "PASS", "", "", "base"),
        Finding("facts.tails", "FAIL", "", "", "base"),
        Finding("facts by origin.tails", ranked, "", "", "base"),
    ]
    assert cap("PASS", findings, "base", bad_bars=0.0) == expected


@pytest.mark.parametrize("horizon", [1, 2])
def test_horizons_too_short_for_most_facts_run_to_their_end(tmp_path: Path, horizon: int) -> None:
    spec = _spec(tmp_path / "run", {"kind": "fhs"}, bars={"context": 64, "horizon": horizon})
    spec["checks"] = {"calibration": {"origins": 31, "paths": 19}}
    run = sg.run(spec)
    labels = {f.name: f.label for f in group(run.findings, "facts")}
    assert labels["facts.clustering"] == "UNTESTABLE"
    assert run.scenarios[0].calibration is not None
