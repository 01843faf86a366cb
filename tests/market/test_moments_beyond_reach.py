"""Dates that nanoseconds cannot hold, and paths of users that are not there."""

import ast
import os
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from scenario_gen.cli.app import app
from scenario_gen.errors import CheckpointError, DataError, ScenarioError, SpecError
from scenario_gen.files import user_path
from scenario_gen.kronos.hub import find_place
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.load import load_candles
from scenario_gen.market.section import Data
from scenario_gen.reading.section import section_of
from scenario_gen.training.config import load_config
from scenario_gen.training.histories import read_histories

ROOT = Path(__file__).parents[2]
NOBODY = "~no-such-user/x"
FAR = ["1500-01-01", "1677-09-20", "2262-04-12", "9999-12-31", "0001-01-01", "9999-12-31T23:59:59+00:00"]


@pytest.mark.parametrize("moment", FAR)
@pytest.mark.parametrize("field", ["start", "end"])
def test_a_spec_refuses_years_that_no_bar_has(field: str, moment: str) -> None:
    with pytest.raises(SpecError, match=rf"data.{field}: got '.*', expected a year from 1700 to 2200"):
        section_of(Data, {"source": "sp500", field: moment}, "data")
    with pytest.raises(SpecError, match="1700 to 2200"):
        section_of(Data, {"source": "sp500", field: datetime.fromisoformat(moment).date()}, "data")


@pytest.mark.parametrize("moment", [*FAR, date(1500, 1, 1), pd.Timestamp("9999-01-01")])
def test_a_history_is_not_cut_at_years_that_no_bar_has(moment: str) -> None:
    candles = load_candles("sp500")
    for action in (
        lambda: load_candles("sp500", start=moment),
        lambda: load_candles("sp500", end=moment),
        lambda: candles.split_at(moment),
    ):
        with pytest.raises(DataError, match="1700 to 2200"):
            action()


@pytest.mark.parametrize(
    "words", [("calibrate", "--data", "sp500", "--end"), ("evaluate", "nano", "--data", "sp500", "--start")]
)
def test_the_commands_refuse_years_that_no_bar_has(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "9999-01-01"])
    assert result.exit_code == 2
    assert "1700 to 2200" in " ".join(result.output.replace("│", "").split())


@pytest.mark.parametrize("day", ["9999-12-31", "2020-02-30", "86400", "[]", "2020-01-01T10:00"])
def test_a_training_config_refuses_what_is_no_day_of_a_bar(tmp_path: Path, day: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"name: x\ninit: nano\ndata: {{source: sp500, start: {day}}}\nmodel: {{steps: 1}}\n")
    with pytest.raises(SpecError, match=r"config.yaml:3: data.start: got .*, expected a (date like|year from)"):
        load_config(config)


def bars(stamps: pd.DatetimeIndex) -> BarCalendar:
    return BarCalendar.infer(stamps)


@pytest.mark.parametrize(
    ("stamps", "most"),
    [
        (pd.date_range("1960", "2018", freq="YE"), 240),
        (pd.date_range("1990-01-31", "2018-12-31", freq="ME"), 240 * 12),
        (pd.bdate_range("2017-01-02", "2018-12-31"), 240 * 261),
        (pd.date_range("2018-01-01", "2018-12-31", freq="7D"), 240 * 52),
        (pd.date_range("2018-01-01", "2018-12-31", freq="D"), 240 * 365),
    ],
)
def test_a_horizon_that_leaves_the_calendar_of_nanoseconds_is_refused(stamps: pd.DatetimeIndex, most: int) -> None:
    calendar = bars(stamps)
    far = calendar.future(most)
    assert bool((np.diff(far.asi8) > 0).all())  # nothing wrapped around
    assert far[-1].year in (2257, 2258, 2259)
    with pytest.raises(DataError, match="reach beyond the year 2260"):
        calendar.future(int(most * 1.02) + 2)


def test_an_unknown_user_is_no_home_and_no_crash(tmp_path: Path) -> None:
    assert str(user_path(NOBODY)) == NOBODY
    assert user_path("~") == Path.home()
    for action in (
        lambda: load_candles(f"{NOBODY}.csv"),
        lambda: read_histories(NOBODY),
        lambda: find_place(f"{NOBODY}/y", "model"),
        lambda: find_place("~no-such-user", "model"),
    ):
        with pytest.raises((DataError, CheckpointError)):
            action()
    training = tmp_path / "config.yaml"
    for data in (f"folder: {NOBODY}", f"files: [{NOBODY}.csv]"):
        training.write_text(f"name: x\ninit: {NOBODY}/y\ndata: {{{data}}}\nmodel: {{steps: 1}}\n")
        config, _ = load_config(training)
        from scenario_gen.training.data import load_series

        with pytest.raises(ScenarioError):
            load_series(config.data, tmp_path, 384)


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_a_cache_of_an_unknown_user_holds_no_models(variable: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scenario_gen", "models", "list"],
        env={**os.environ, variable: NOBODY}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_homes_are_filled_in_at_one_place() -> None:
    """Path.expanduser raises for an unknown user: only files.py fills a home in."""
    for path in (ROOT / "scenario_gen").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not {"expanduser", "home"} & calls or path.name == "files.py", path
