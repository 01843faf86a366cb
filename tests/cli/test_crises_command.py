"""The crises command, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from scenario_gen.cli.app import app

RUNNER = CliRunner()


def test_the_crises_of_a_built_in_history_are_listed_by_name_and_by_search() -> None:
    result = RUNNER.invoke(app, ["crises", "sp500"])
    assert result.exit_code == 0
    lehman = next(line for line in result.stdout.splitlines() if "│ lehman " in line)
    assert [word in lehman for word in ("2008-09-12", "2008-11-20", "-39.9%", "2008-10-06")] == [True] * 4
    assert "drawdown_1" in result.stdout
    assert "5,031 bars from 1999-01-04 to 2018-12-31" in result.stdout


def test_a_file_of_ones_own_is_searched_and_told_as_json(tmp_path: Path) -> None:
    import scenario_gen as sg

    history = sg.load_candles("sp500").rows(2200, 2900)
    history.frame().to_csv(tmp_path / "mine.csv", index_label="date")
    words = ["crises", str(tmp_path / "mine.csv"), "--score", "drawdown", "--window", "20", "--json"]
    result = RUNNER.invoke(app, words)
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["bars"] == 700
    spanned = ["lehman", "gfc_second_leg", "rebound_2009", "flash_crash", "euro_2010"]
    assert [crisis["id"] for crisis in told["by_name"]] == spanned
    assert told["by_search"][0]["id"] == "drawdown_1"
    assert told["by_search"][0]["ranks"] == {"drawdown": 1}


def test_mistakes_leave_with_two_and_say_what_was_expected(tmp_path: Path) -> None:
    assert RUNNER.invoke(app, ["crises", "nosuch.csv"]).exit_code == 2
    assert RUNNER.invoke(app, ["crises", "sp500", "--window", "1"]).exit_code == 2
    result = RUNNER.invoke(app, ["crises", "sp500", "--window", "9000"])
    assert result.exit_code == 2
    assert "a window of 9000 bars is longer than the history" in result.stderr
