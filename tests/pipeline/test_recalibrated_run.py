"""Recalibration inside a run, a command and a sample: who inherits whose fit, what is kept, judged and told."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import scenario_gen as sg
from scenario_gen.cli.app import app
from scenario_gen.errors import DataError, SpecError
from scenario_gen.finding import RECALIBRATION
from scenario_gen.generators.recalibrated import past_of
from scenario_gen.pipeline.prepared import prepare
from scenario_gen.progress import SilentProgress
from scenario_gen.report.page import build_page
from scenario_gen.spec.loader import spec_from_dict
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import StressRun

HOLD = Path(__file__).parents[2] / "strategies" / "buy_and_hold.py"
FIT = {"origins": 30, "fewest": 20}


def _spec(folder: Path, generator: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "trial",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 64, "horizon": 8},
        "paths": {"count": 40, "seed": 3},
        "generator": dict(generator),
        "checks": {"facts": False, "calibration": {"origins": 32, "paths": 19, "horizon": 5}},
        "strategies": [{"use": f"{HOLD}:BuyAndHold"}],
        "report": {"folder": str(folder)},
        **changes,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> StressRun:
    folder = tmp_path_factory.mktemp("runs") / "run"
    scenarios = [
        {"name": "base"},
        {"name": "hot", "generator": {"volatility": "x1.3"}},
        {"name": "plain", "generator": {"recalibrate": False}},
    ]
    sg.run(_spec(folder, {"kind": "fhs", "recalibrate": FIT}, scenarios=scenarios, baselines=["gbm"]))
    return RunFolder(folder).read_run()


def test_the_base_is_judged_on_origins_that_did_not_fit_it_and_says_so(run: StressRun) -> None:
    base = run.scenarios[0]
    assert base.recalibration is not None
    assert base.calibration is not None
    assert (base.recalibration.status, base.recalibration.origins) == ("calibrated", 62)
    assert (base.calibration.raw, len(base.calibration.origins)) == ("fhs", 32)
    assert base.calibration.generator.name == "fhs, recalibrated"
    assert base.generator["recalibrated_on"] == 62
    (finding,) = RECALIBRATION.of(run.findings)
    assert finding.scenario == "base"
    assert "as sampled, on the same 32 forecasts" in finding.measured


def test_a_louder_scenario_has_the_bases_fit_and_is_louder_path_by_path(run: StressRun) -> None:
    base, hot, plain, gbm = run.scenarios
    assert base.recalibration is not None
    assert hot.recalibration is not None
    assert hot.recalibration.scaling == base.recalibration.scaling
    assert hot.recalibration.status == "uncalibrated"  # nobody judged the stress itself
    ratio = hot.volatility_ratio["0.5"] / base.volatility_ratio["0.5"]
    assert ratio == pytest.approx(1.3, abs=0.02)  # the same draws; the median path may be another one
    assert plain.recalibration is None
    assert gbm.recalibration is not None  # a baseline shares what is done to the base's paths, with a fit of its own
    assert gbm.recalibration.scaling != base.recalibration.scaling


def test_the_page_tells_status_and_parameters(run: StressRun) -> None:
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", build_page(run)))
    assert "Recalibration by past forecasts" in page
    assert "base: calibrated. The volatility and volume make up for how 62 past forecasts of 5 bars erred" in page
    assert "hot: uncalibrated." in page
    assert "levels beyond those judged are not calibrated by it" in page
    assert "Volatility, bars 2 to 5" in page
    assert "fhs, recalibrated" in page


def test_a_temperature_inherits_the_fit_of_the_base_and_another_model_has_its_own(tiny_folder: Path) -> None:
    kronos = {"kind": "kronos", "model": str(tiny_folder), "device": "cpu", "recalibrate": FIT}
    scenarios = [
        {"name": "hot", "generator": {"temperature": 1.3}},
        {"name": "base"},
        {"name": "walk", "generator": {"kind": "gbm", "recalibrate": FIT}},
    ]
    checks = {"facts": False, "calibration": {"origins": 2, "paths": 9, "horizon": 5}}
    loaded = spec_from_dict(_spec(Path("unused"), kronos, scenarios=scenarios, checks=checks))
    hot, base, walk = prepare(loaded.spec.scenarios, loaded.base, SilentProgress())
    pasts = [past_of(ground.generator) for ground in (hot, base, walk)]
    assert pasts[0] == pasts[1] != pasts[2]
    names = [ground.recalibration.fitted_on for ground in (hot, base, walk) if ground.recalibration]
    assert names == ["base", "", ""]
    assert hot.generator.identity["temperature"] == 1.3
    alone = prepare(loaded.spec.scenarios[:1], loaded.base, SilentProgress(), among=loaded.spec.scenarios)
    assert past_of(alone[0].generator) == pasts[1]


@pytest.mark.parametrize(("written", "factor"), [("x1.3", 1.3), ("1.3", 1.3), ("0.5", 0.5), ("x3", 3.0), ("2", 2.0)])
def test_a_volatility_is_written_as_a_factor_or_as_a_number(written: str, factor: float) -> None:
    text = written if written.startswith("x") else float(written)
    loaded = spec_from_dict(_spec(Path("unused"), {"kind": "gbm", "volatility": text}))
    assert loaded.spec.scenarios[0].generator.volatility == factor


@pytest.mark.parametrize("written", ["x0.4", 3.1, "loud", "x", True, "1.3"])
def test_other_volatilities_are_refused_with_what_is_expected(written: Any) -> None:
    with pytest.raises(SpecError, match=r"generator\.volatility: got .*expected a number.*0\.5.*3"):
        spec_from_dict(_spec(Path("unused"), {"kind": "gbm", "volatility": written}))


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("yes please", r"generator\.recalibrate: got 'yes please', expected true or false"),
        ({"origins": 20, "fewest": 30}, "fewest is 30 and origins 20, expected fewest up to origins"),
        ({"origin": 60}, "did you mean 'origins'"),
    ],
)
def test_a_wrong_recalibrate_is_refused_in_words(written: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        spec_from_dict(_spec(Path("unused"), {"kind": "gbm", "recalibrate": written}))


def test_samples_are_recalibrated_on_the_history_that_is_given(sp500: sg.Candles) -> None:
    history = sp500.rows(2000, 2000 + 256 + 70 * 8)
    paths = sg.sample(history, horizon=8, paths=12, model="gbm", recalibrate=True)
    assert paths.provenance["recalibrated_on"] == 70
    few = sg.sample(history, horizon=8, paths=3, model="gbm", recalibrate=True)
    assert np.array_equal(few.values, paths.values[:3])
    assert not np.array_equal(paths.values, sg.sample(history.context(256), horizon=8, paths=12, model="gbm").values)
    with pytest.raises(DataError, match="300 bars leave room for 8 forecasts of 5 bars to recalibrate on"):
        sg.sample(history.context(300), horizon=8, paths=2, model="gbm", recalibrate=True)


def test_the_command_shows_both_on_the_same_forecasts() -> None:
    words = ["calibrate", "--data", "sp500", "--end", "2016-03-31", "--model", "gbm", "--baselines", "none"]
    words += ["--origins", "31", "--paths", "19", "--horizon", "5", "--recalibrate"]
    shown = CliRunner().invoke(app, words)
    text = re.sub(r"\s+", " ", shown.stdout)
    assert "gbm, recalibrated on S&P 500" in text
    assert "gbm (baseline)" in text and "Beside simpler generators." in text
    assert "Recalibration, calibrated, by 91 forecasts" in text
    assert "as sampled, on the same 31 forecasts; CRPS of log volatility" in text
    found = json.loads(CliRunner().invoke(app, [*words, "--json", "--quiet"]).stdout)
    assert found["calibration"]["raw"] == "gbm"
    assert found["verdicts"]["recalibration"] in ("PASS", "WARN")
    assert found["recalibration"]["scaling"]["knots"][0]["width"] <= 1


def test_a_failed_calibration_says_what_may_mend_it() -> None:
    words = ["calibrate", "--data", "sp500", "--end", "2016-03-31", "--model", "gbm", "--baselines", "none"]
    shown = CliRunner().invoke(app, [*words, "--origins", "31", "--paths", "19", "--horizon", "5"])
    assert shown.exit_code == 4
    assert "what may mend it: generator: {recalibrate: true}" in re.sub(r"\s+", " ", shown.stdout)


def test_a_history_that_is_too_short_stops_before_anything_is_sampled(tmp_path: Path) -> None:
    spec = _spec(tmp_path, {"kind": "gbm", "recalibrate": True}, data={"source": "sp500", "end": "1999-08-31"})
    with pytest.raises(DataError, match="to recalibrate on") as refused:
        sg.run(spec)
    assert "at least 30 forecasts, which take 214 bars up to the context's end" in str(refused.value)
