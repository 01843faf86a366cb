"""The command that forecasts live, and the check of its log: what it prints, and what it leaves with."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from scenario_gen.cli.app import app
from scenario_gen.live.log import LoggedForecast, writing
from scenario_gen.live.step import check_log, live
from scenario_gen.market import Candles, load_candles
from tests.live.test_live import made

ROOT = Path(__file__).parents[2]
CONFIG = """
name: made
data: {file: bars.csv, calendar: 24/7}
generator: {kind: gbm}
context: 64
horizon: 5
paths: 60
baselines: []
folder: out
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a config and its bars, in which the command is given."""
    monkeypatch.chdir(tmp_path)
    Path("live.yaml").write_text(CONFIG, encoding="utf-8")
    made(200).to_csv("bars.csv", index=False)
    return tmp_path


def test_a_forecast_is_told_with_its_log(folder: Path) -> None:
    del folder
    result = CliRunner().invoke(app, ["live", "live.yaml", "--once"])
    assert result.exit_code == 0, result.output
    assert "probability of a rise" in result.output
    assert "UNTESTABLE live_calibration" in result.output
    assert result.output.endswith("page: out/index.html; log: out/log.sqlite\n")


def test_a_log_of_a_generator_that_is_wrong_leaves_with_4(folder: Path) -> None:
    bars = load_candles(made(200), name="made", calendar="24/7")
    _wrong(folder / "log.sqlite", bars)
    result = CliRunner().invoke(app, ["live", "--check", "log.sqlite"])
    assert result.exit_code == 4, result.output
    assert "FAIL live_calibration" in result.output
    assert "too wide" in result.output
    as_json = CliRunner().invoke(app, ["live", "--check", "log.sqlite", "--json"])
    assert as_json.exit_code == 4
    assert json.loads(as_json.stdout)["logs"][0]["test"]["label"] == "FAIL"


def _wrong(path: Path, bars: Candles) -> None:
    """Write a log of forecasts of the next bar that are three times as wide as what comes."""
    rng = np.random.default_rng(3)
    at = bars.timestamps.as_unit("ns").asi8
    with writing(path) as log:
        for row in range(99, 199):
            log.take(bars.rows(0, row + 1), "")
            members = {"return_1": 3 * 0.005 * rng.standard_t(5, 199)}
            log.enter(
                [LoggedForecast(int(at[row]), "wide", 0, "", float(bars.close[row]), at[row + 1 : row + 2], members)],
                {"wide": ("three times too wide", "ours")},
            )
        log.take(bars, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["live"], "expected a config, or --check with a log"),
        (["live", "live.yaml", "--check", "log.sqlite"], "expected a config, or --check with a log"),
        (["live", "live.yaml", "--once", "--every", "1h"], "expected one of both"),
        (["live", "live.yaml", "--every", "soon"], "such as 5m, 1h or 1d"),
        (["live", "--check", "nosuch.sqlite"], "does not exist"),
        (["live", "nosuch.yaml"], "nosuch.yaml"),
    ],
)
def test_a_mistake_is_told_and_leaves_with_2(words: list[str], expected: str, folder: Path) -> None:
    del folder
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert expected in " ".join(result.output.replace("│", " ").split())


# as python -m scenario_gen, but interrupts are heard even where the tests run without them, as behind nohup
FOLLOW = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["scenario-gen", "live", "live.yaml", "--every", "1m", "--quiet"]
runpy.run_module("scenario_gen", run_name="__main__")
"""


def followed() -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", FOLLOW], env=environment, stdout=subprocess.PIPE, text=True)


def bars_in(log: Path) -> int:
    with sqlite3.connect(log) as connection:
        count: int = connection.execute("SELECT count(*) FROM bars").fetchone()[0]
    return count


def test_an_interrupt_ends_with_130_and_what_was_killed_goes_on_with_no_bar_twice(folder: Path) -> None:
    log = folder / "out" / "log.sqlite"
    with followed() as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "page: out/index.html; log: out/log.sqlite\n"  # told at once, into a pipe too
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
    assert check_log(log).logs[0].bars == 200
    made(201).to_csv("bars.csv", index=False)
    with followed() as child:
        while bars_in(log) < 201:
            assert child.poll() is None
            time.sleep(0.01)
        child.kill()  # the bar has just entered; a forecast from it may have or not
    assert child.returncode == -signal.SIGKILL
    made(202).to_csv("bars.csv", index=False)
    reports = [live("live.yaml") for _ in range(2)]
    assert [report.fresh for report in reports] == [True, False]
    with sqlite3.connect(log) as connection:
        stamps = [stamp for (stamp,) in connection.execute("SELECT stamp FROM bars ORDER BY at")]
        anchors = [
            at
            for (at,) in connection.execute(
                "SELECT at FROM forecasts JOIN generators ON sha = generator WHERE role = 'ours'"
            )
        ]
    assert stamps == [stamp.isoformat() for stamp in made(202)["timestamps"]]
    assert len(anchors) == len(set(anchors)) in (2, 3)
