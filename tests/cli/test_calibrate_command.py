"""``scenario-gen calibrate``: a spec or a history in, tables or JSON out, mistakes told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Invoke = Callable[..., Any]

STRATEGY = Path(__file__).parents[2] / "strategies" / "buy_and_hold.py"
QUICK = ("--origins", "31", "--paths", "19", "--horizon", "5")

SPEC = f"""\
name: trial
data: {{source: sp500, start: 2012-01-01, end: 2016-03-31}}
bars: {{context: 64, horizon: 10}}
generator: {{kind: fhs}}
scenarios:
  - {{name: base}}
  - {{name: plain, generator: {{kind: gbm}}}}
strategies: [{{use: "{STRATEGY}:BuyAndHold"}}]
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trial.yaml").write_text(SPEC)
    return tmp_path / "trial.yaml"


def test_a_history_is_calibrated_in_tables(invoke: Invoke) -> None:
    result = invoke("calibrate", "--data", "sp500", "--model", "gbm", "--end", "2016-03-31", *QUICK)
    assert result.exit_code == 4, result.stderr
    assert "gbm on S&P 500: FAIL" in result.stdout
    assert result.stdout.rstrip().endswith("fails: calibration")
    assert "Log realised volatility" in result.stdout
    assert "Beside simpler generators." in result.stdout
    assert "nothing after 2016-03-31 was looked at" in result.stdout
    assert "Stylized facts by origin, mode A" in result.stdout
    assert "calibrating gbm" in result.stderr


def test_stylized_facts_of_long_enough_forecasts_are_ranked_and_fail_a_generator(invoke: Invoke) -> None:
    words = ("--model", "gbm", "--baselines", "none", "--horizon", "30", "--origins", "40", "--paths", "49")
    result = invoke("calibrate", "--data", "sp500", "--json", *words)
    assert result.exit_code == 4, result.stderr
    found = json.loads(result.stdout)
    # flat volatility and wickless noise: both are far off at any seed (effects of .2 and .4, BENCHMARKS.md)
    assert found["verdicts"]["scale"] == found["verdicts"]["asymmetry"] == "FAIL"
    assert found["verdicts"]["calibration"] == found["calibration"]["generator"]["label"]
    tails = {"value_at_risk": "INCONCLUSIVE"}  # 40 forecasts: two exceedances are expected at 5 %
    assert found["verdicts"] == {"calibration": "FAIL", **tails, **found["calibration"]["facts"]["groups"]}
    assert found["calibration"]["facts"]["mode"] == "A"


def test_too_few_forecasts_to_judge_are_shown_and_are_no_pass(invoke: Invoke) -> None:
    words = ("--data", "sp500", "--model", "fhs", "--baselines", "none", "--origins", "4", "--paths", "19")
    result = invoke("calibrate", *words, "--horizon", "5")
    assert result.exit_code == 2
    assert "nothing could be judged: 4 forecasts, and 30 are needed" in result.stderr
    assert "Log realised volatility" in result.stdout
    assert result.stdout.rstrip().endswith("nothing was judged")


def test_json_holds_everything_and_nothing_else_is_printed(invoke: Invoke) -> None:
    result = invoke("calibrate", "--data", "sp500", "--model", "fhs", "--baselines", "none", "--json", *QUICK)
    found = json.loads(result.stdout)
    assert result.exit_code == (4 if "FAIL" in found["verdicts"].values() else 0), result.stderr
    assert found["dial"] is None
    assert len(found["calibration"]["origins"]) == 31
    assert found["calibration"]["baselines"] == []
    by_id = {one["functional"]: one for one in found["calibration"]["generator"]["functionals"]}
    assert len(by_id["log_volatility"]["pits"]) == 31
    assert {one["level"] for one in by_id["return_h"]["coverage"]} == {0.5, 0.8, 0.9, 0.95}


def test_a_scenario_of_a_spec_is_calibrated_and_kept_in_its_run_folder(spec: Path, invoke: Invoke) -> None:
    first = invoke("calibrate", spec, "--json", *QUICK)
    again = invoke("calibrate", spec, "--json", *QUICK)
    assert first.exit_code in (0, 4), first.stderr
    assert again.stdout == first.stdout  # its seconds too: it was read
    assert len(list((spec.parent / "reports/trial/calibration").glob("*.json"))) == 1
    assert json.loads(first.stdout)["calibration"]["generator"]["name"] == "fhs"
    assert json.loads(first.stdout)["calibration"]["origins"][-1] < "2016-03-31"
    other = invoke("calibrate", spec, "--scenario", "plain", "--json", *QUICK)
    assert json.loads(other.stdout)["calibration"]["generator"]["name"] == "gbm"


def test_next_bar_tails_are_judged_when_asked_for(invoke: Invoke) -> None:
    words = ("--data", "sp500", "--model", "gbm", "--baselines", "none", "--one-step", "120", *QUICK)
    result = invoke("calibrate", *words)
    assert result.exit_code == 4, result.stderr
    assert re.search(r"Next bar, lower[^\n]+120[ │]+6\.0 ", result.stdout)


def test_value_at_risk_that_fails_is_a_failure_of_its_own(invoke: Invoke, tmp_path: Path) -> None:
    # a year of calm says nothing of the autumn of 2008: 1 % of losses came with 25 of 600 days
    words = ("--model", "bootstrap", "--end", "2009-06-30", "--baselines", "none", "--one-step", "500", *QUICK)
    result = invoke("calibrate", "--data", "sp500", *words, "--junit", tmp_path / "junit.xml")
    assert result.exit_code == 4, result.stderr
    cases = ElementTree.parse(tmp_path / "junit.xml").iter("testcase")
    failures = {case.get("name"): case.find("failure") for case in cases if case.find("failure") is not None}
    assert [*failures] == ["calibration", "value_at_risk"]
    assert all(failure is not None and failure.get("message") for failure in failures.values())
    assert "FAIL         value at risk, both tails together" in result.stdout
    assert result.stdout.rstrip().endswith("fails: calibration, value_at_risk")


def test_the_curve_of_auto_is_shown(tiny_folder: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenario_gen.forecasts.dial.SEARCH_PATHS", 9)
    result = invoke(
        *("calibrate", "--data", "sp500", "--model", tiny_folder, "--context", "40", "--top-p", "auto"),
        *("--baselines", "none", "--device", "cpu", *QUICK),
    )
    assert result.exit_code == 4, result.stderr  # random weights
    assert "Choosing top_p" in result.stdout
    assert "chosen" in result.stdout
    assert "which flatters them a little" in result.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "give a spec, or a history"),
        (("--data", "nothing.csv"), "nothing.csv"),
        (("--data", "sp500", "--model", "nanoo"), "nanoo"),
        (("--data", "sp500", "--baselines", "garhc"), "did you mean 'garch'"),
        (("--data", "sp500", "--temperature", "hot"), "a temperature from 0 to 10"),
        (("--data", "sp500", "--top-p", "0"), "a top_p above 0"),
        (("--data", "sp500", "--model", "gbm", "--temperature", "2"), "gbm knows no temperature"),
        (("--data", "sp500", "--end", "1999-03-01", "--model", "gbm"), "room for 0 origins"),
        (("trial.yaml", "--scenario", "none"), "one of base, plain"),
        (("trial.yaml", "--model", "gbm"), "a spec says its own"),
        (("trial.yaml", "--context", "64"), "a spec says its own"),
        (("missing.yaml",), "no such file"),
    ],
)
def test_mistakes_are_told_without_a_traceback(spec: Path, invoke: Invoke, words: tuple[str, ...], told: str) -> None:
    result = invoke("calibrate", *words)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert spec.exists()
