"""``scenario_gen.predict``: bands, counts and warnings are those of its paths, and its past is what calibrate says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import scenario_gen as sg
from scenario_gen.cli.app import app
from scenario_gen.errors import CheckpointError, DataError, SpecError
from scenario_gen.forecasts.calibrate import calibrate
from scenario_gen.forecasts.harness import Settings
from scenario_gen.generators.sections import default_section, open_generator

END = "2016-03-31"


@pytest.fixture(scope="module")
def history(sp500: sg.Candles) -> sg.Candles:
    return sp500.split_at("2016-06-30")[0].context(600)


@pytest.fixture(scope="module")
def prediction(history: sg.Candles) -> sg.Prediction:
    return sg.predict(history, bars=10, context=64, model="bootstrap", paths=99, seed=3, end=END, origins=31)


@pytest.fixture(scope="module")
def made_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five-minute bars with upstream's columns, two sessions a day, made from random numbers."""
    clock = [*pd.date_range("09:35", "11:30", freq="5min"), *pd.date_range("13:05", "15:00", freq="5min")]
    days = pd.bdate_range("2024-06-03", periods=12)
    stamps = [day + (time - time.normalize()) for day in days for time in clock]
    rng = np.random.default_rng(5)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.002, len(stamps))))
    start = np.concatenate(([20.0], close[:-1]))
    high, low = np.maximum(start, close) * 1.001, np.minimum(start, close) * 0.999
    volume = rng.lognormal(7, 0.5, len(stamps)).round()
    columns = {"open": start, "high": high, "low": low, "close": close, "volume": volume, "amount": volume * close}
    file = tmp_path_factory.mktemp("bars") / "made_5min.csv"
    pd.DataFrame({"timestamps": stamps, **columns}).to_csv(file, index=False)
    return file


@pytest.fixture
def invoke() -> Callable[..., Any]:
    return lambda *words: CliRunner().invoke(app, ["predict", *map(str, words)])


def test_paths_are_those_that_sample_gives_of_the_same_context(history: sg.Candles, prediction: sg.Prediction) -> None:
    before, _ = history.split_at(END)
    sampled = sg.sample(before, horizon=10, paths=99, model="bootstrap", seed=3, context_bars=64)
    assert np.array_equal(prediction.paths.values, sampled.values)  # resampled bars need no repair
    assert prediction.report.candles.untouched == 99


def test_bands_are_the_quantiles_of_the_paths_and_rises_are_counted(prediction: sg.Prediction) -> None:
    frame, paths = prediction.frame(), prediction.paths
    for field in ("close", "high", "low", "volume"):
        for level in (5, 25, 50, 75, 95):
            expected = np.percentile(paths.column(field).astype(np.float64), level, axis=0)
            np.testing.assert_allclose(frame[f"{field}_p{level}"], expected, rtol=1e-12)
    rises = [sum(close > prediction.context.close[-1] for close in bar) for bar in paths.close.T.tolist()]
    assert (frame["rise"] * 99).round(9).tolist() == rises
    assert prediction.report.rise.count == rises[-1]
    assert frame.index.equals(paths.timestamps)


def test_the_range_is_the_mean_of_high_less_low_over_the_last_close(prediction: sg.Prediction) -> None:
    ranges = [
        (frame["high"].max() - frame["low"].min()) / prediction.context.close[-1]
        for frame in (prediction.paths.frame(path).astype(float) for path in range(99))
    ]
    assert prediction.report.range.mean.value == pytest.approx(np.mean(ranges), rel=1e-9)


def test_nothing_after_the_end_is_used_and_what_came_is_kept_beside(
    history: sg.Candles, prediction: sg.Prediction
) -> None:
    before, after = history.split_at(END)
    alone = sg.predict(before, bars=10, context=64, model="bootstrap", paths=99, seed=3, origins=None)
    assert np.array_equal(alone.paths.values, prediction.paths.values)
    assert prediction.came.timestamps.equals(after.timestamps)
    assert len(alone.came) == 0


def test_the_account_of_the_past_is_that_of_the_calibration(history: sg.Candles, prediction: sg.Prediction) -> None:
    before, _ = history.split_at(END)
    settings = Settings(64, 10, paths=99, seed=3, origins=31, baselines=())
    expected = calibrate(open_generator(default_section("bootstrap")), before, settings).generator
    held = prediction.report.calibration
    assert held is not None
    assert held.calibration.generator.functionals == expected.functionals
    assert held.calibration.generator.band == expected.band
    html = prediction._repr_html_()
    covered = expected.functional("return_h").coverage_at(0.9)
    assert covered is not None
    assert f"How such bands held: {expected.label}" in html
    assert f"{100 * covered.share:.1f}%" in html


def test_a_history_without_room_for_the_past_says_that_it_was_not_held_to_account(history: sg.Candles) -> None:
    short = history.context(70)
    found = sg.predict(short, bars=10, context=64, model="bootstrap", paths=9)
    assert found.report.calibration is None
    assert "70 bars leave room for" in found.report.uncalibrated
    assert "NOT HELD TO ACCOUNT" in found._repr_html_()


def test_a_model_that_may_have_seen_what_comes_is_told(history: sg.Candles) -> None:
    found = sg.predict(history, bars=2, context=400, paths=4, end=END, origins=None, device="cpu")
    assert any("training data end: it may have seen them" in text for text in found.report.warnings)


def test_stamps_of_a_file_are_those_after_the_context(made_csv: Path, history: sg.Candles) -> None:
    stamps = pd.DatetimeIndex(pd.read_csv(made_csv)["timestamps"])
    settings: dict[str, Any] = {"bars": 30, "context": 400, "model": "bootstrap", "paths": 5, "origins": None}
    inferred = sg.predict(str(made_csv), end=str(stamps[399]), **settings)
    given = sg.predict(str(made_csv), end=str(stamps[399]), timestamps=made_csv, **settings)
    assert given.paths.timestamps.equals(stamps[400:430])
    assert inferred.paths.timestamps.equals(stamps[400:430])  # the calendar knows both sessions
    with pytest.raises(DataError, match=r"stamps after .*, and 30 bars"):
        sg.predict(str(made_csv), timestamps=made_csv, **settings)
    with pytest.raises(DataError, match="that do not rise"):
        sg.predict(history, bars=2, context=64, model="bootstrap", timestamps=stamps[[1, 0]], origins=None)


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"context": 601}, DataError, "has 600 bars, and a context of 601"),
        ({"context": 31}, SpecError, "context is 31"),
        ({"bars": 0}, SpecError, "bars is 0"),
        ({"bars": 10_001}, SpecError, "from 1 to 10000"),
        ({"paths": 0}, SpecError, "paths is 0"),
        ({"origins": 1}, SpecError, "origins is 1"),
        ({"model": "no/such"}, CheckpointError, "no/such"),
        ({"temperature": -1.0}, SpecError, "temperature"),
    ],
)
def test_mistakes_are_refused_in_words(
    history: sg.Candles, asked: dict[str, Any], kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    usual: dict[str, Any] = {"bars": 5, "context": 64, "paths": 3, "origins": None}
    with pytest.raises(kind, match=words):
        sg.predict(history, **(usual | asked))


def test_the_command_prints_writes_and_draws(invoke: Callable[..., Any], made_csv: Path, tmp_path: Path) -> None:
    bands, paths, plot = (tmp_path / name for name in ("bands.csv", "paths.parquet", "plot.png"))
    quick = ("--bars", 12, "--model", "bootstrap", "--paths", 50, "--context", 100, "--origins", 31)
    done = invoke(made_csv, *quick, "--out", bands, "--paths-out", paths, "--plot", plot)
    assert done.exit_code == 0, done.stderr
    assert "made_5min: 12 bars after 2024-06-18T15:00:00, 50 paths" in done.stdout
    assert "How such bands held" in done.stdout
    table, every = pd.read_csv(bands), pd.read_parquet(paths)
    assert table["timestamp"].iloc[0] == "2024-06-19 09:35:00"
    by_bar = every.groupby("bar")["close"]
    np.testing.assert_allclose(table["close_p50"], by_bar.median(), rtol=1e-6)  # of float32
    assert plot.read_bytes().startswith(b"\x89PNG")
    again = invoke(made_csv, *quick, "--json")
    report = json.loads(again.stdout)
    np.testing.assert_allclose(report["bands"]["close"]["0.5"], table["close_p50"], rtol=1e-12)
    assert report["calibration"]["calibration"]["context"] == 100


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("missing.csv",), "missing.csv"),
        (("sp500", "--paths", "0"), "--paths"),
        (("sp500", "--bars", "10001"), "--bars"),
        (("sp500", "--model", "no/such", "--no-calibration"), "no/such"),
        (("sp500", "--plot", "plot.exe"), "expected a name that ends with .png or .svg or .pdf"),
        (("sp500", "--end", "1999-06-01", "--model", "bootstrap"), "and a context of 400 was asked for"),
    ],
)
def test_a_mistake_leaves_with_2(
    invoke: Callable[..., Any], words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = invoke(*words)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr


def test_the_page_for_kronos_users_runs_as_it_stands(
    made_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "from-kronos.md").read_text(encoding="utf-8")
    (block,) = [part.partition("```")[0] for part in page.split("```python\n")[1:]]
    (tmp_path / "my_5min.csv").write_bytes(made_csv.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    known: dict[str, Any] = {}
    quick = block.replace("paths=512", "paths=16").replace("= 400, 120", "= 400, 30")
    exec(compile(quick, "from-kronos.md", "exec"), known)
    forecast, averaged = known["forecast"], known["averaged"]
    stamps = pd.DatetimeIndex(pd.read_csv(made_csv)["timestamps"])
    assert averaged.index.equals(stamps[400:430].rename("timestamp"))
    np.testing.assert_allclose(averaged["close"], forecast.paths.close.mean(axis=0), rtol=1e-5)  # of float32
    assert [*known["paths"].columns[3:]] == ["open", "high", "low", "close", "volume"]
    assert any(line.get_label() == "what came" for line in known["ax"].lines)
    assert "NOT HELD TO ACCOUNT" in forecast._repr_html_()
    assert "close_p50" in capsys.readouterr().out


def test_commands_of_the_page_have_these_options() -> None:
    page = (Path(__file__).parents[2] / "docs" / "from-kronos.md").read_text(encoding="utf-8")
    lines = [line.partition("#")[0] for line in page.splitlines() if line.startswith("$ scenario-gen predict")]
    known = {option for parameter in get_command(app).commands["predict"].params for option in parameter.opts}  # type: ignore[attr-defined]
    assert lines
    assert {word for line in lines for word in line.split() if word.startswith("--")} <= known


def test_two_processes_forecast_the_past_to_the_same_numbers(history: sg.Candles, invoke: Callable[..., Any]) -> None:
    asked: dict[str, Any] = {"context": 64, "horizon": 5, "origins": 4, "paths": 9, "seed": 3, "baselines": ()}
    here = sg.calibrate(history, model="bootstrap", **asked)
    away = sg.calibrate(history, model="bootstrap", on="processes:2", **asked)
    assert len(here.calibration.origins) == 4
    assert replace(away.calibration, seconds=0.0) == replace(here.calibration, seconds=0.0)
    refused = invoke("sp500", "--on", "elsewhere:2")
    assert refused.exit_code == 2
    assert "elsewhere" in refused.stderr


def test_what_sg_calibrate_gives_is_what_calibrate_gives(history: sg.Candles) -> None:
    report = sg.calibrate(history, model="fhs", context=64, horizon=5, origins=31, paths=19, seed=3, baselines=["gbm"])
    own = Settings(context=64, horizon=5, origins=31, paths=19, seed=3, baselines=("gbm",))
    expected = calibrate(open_generator(default_section("fhs")), history, own)
    assert report.calibration.generator == expected.generator
    assert report.calibration.baselines == expected.baselines
    assert set(report.verdicts.values()) <= {"PASS", "WARN", "FAIL", "INCONCLUSIVE", "UNTESTABLE"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"baselines": ["gmb"]}, "got the baseline 'gmb'"),
        ({"paths": 1}, "paths"),
        ({"horizon": 0}, "horizon"),
        ({"model": "garch", "temperature": 0.5}, "garch generator knows no temperature"),
        ({"on": "moon:3"}, "moon"),
    ],
)
def test_settings_that_sg_calibrate_cannot_use_are_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        sg.calibrate("sp500", **asked)
