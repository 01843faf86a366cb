"""Strategies that are watched: what is promised of them, what came, and that a log says so without their code."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenario_gen.errors import SpecError, StoreError
from scenario_gen.live.log import reading_log, writing
from scenario_gen.live.page import live_page
from scenario_gen.live.results import LiveReport
from scenario_gen.live.step import check_log, live
from tests.live.test_live import config_of, made, step_at

# holds on paths; on what comes it buys and sells in turns, and pays each time
CODE = """
from dataclasses import dataclass
import numpy as np
import pandas as pd
from scenario_gen.backtest import Signals

@dataclass(frozen=True)
class Holds:
    def signals(self, bars):
        turns = np.arange(len(bars.close))[:, None] % 2 == 0
        real = isinstance(self, Churns) and bars.close.shape[1] == 1
        buys = pd.DataFrame(turns | (not real) | (bars.close.to_numpy() < 0), bars.close.index, bars.close.columns)
        return Signals(entries=buys, exits=~buys)

@dataclass(frozen=True)
class Churns(Holds):
    loss: int = 0
"""
FEES, FIRST, STEPS = 0.01, 300, 9
WATCHED: dict[str, Any] = {
    "paths": 99,
    "broker": {"fees": "100bp"},
    "baselines": [],
    "strategies": [{"use": "rules.py:Holds"}, {"use": "rules.py:Churns"}],
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[LiveReport]]:
    """A folder in which nine bars were followed with two strategies, and the report of each step."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "rules.py").write_text(CODE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, [step_at(folder, FIRST + more, **WATCHED) for more in range(STEPS)]


@pytest.fixture
def copied(watched: tuple[Path, list[LiveReport]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, in which one stands."""
    shutil.copytree(watched[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_came_is_the_equity_of_the_same_account_bar_by_bar(watched: tuple[Path, list[LiveReport]]) -> None:
    bars = made(FIRST + STEPS)
    for more, report in enumerate(watched[1][:7]):
        holds = report.strategies[0]
        assert (holds.bars, holds.since) == (more, "2024-01-13T11:00:00+00:00")
        # all cash buys at the first open, fees on top; a promise is of bars after the 300th, which has row 299
        closes = bars["close"].to_numpy()[FIRST : FIRST + more]
        expected = closes / bars["open"][FIRST] / (1 + FEES)
        assert holds.equity == pytest.approx([1.0, *expected], rel=1e-6)  # paths are float32, so is what came


def test_a_promise_begins_where_the_last_one_ends(watched: tuple[Path, list[LiveReport]]) -> None:
    counted = [(each.strategies[0].promises, each.strategies[0].bars) for each in watched[1]]
    # at the sixth bar the next promise begins, and the one whose last bar came is shown once more
    assert counted == [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 6), (2, 1), (2, 2)]
    with reading_log(watched[0] / "out" / "log.sqlite") as log:
        held = log.promises(next(iter(log.generators("ours"))), log.watched()[0].sha)
    assert [each.growth.shape for each in held] == [(99, 7), (99, 7)]
    assert [len(each.realised) for each in held] == [7, 3]
    # fees of one side are lost at once on every path that holds
    assert np.median(held[0].growth[:, 1]) == pytest.approx(1 / (1 + FEES), abs=0.005)


def test_a_strategy_whose_fills_lose_a_percent_each_is_outside_and_one_as_promised_is_not(
    watched: tuple[Path, list[LiveReport]],
) -> None:
    report = watched[1][6]
    assert [each.course for each in report.strategies] == ["consistent", "outside"]
    by_strategy = {(each.name, each.strategy): each.label for each in report.findings}
    assert by_strategy["live_strategy", "Holds"] == "PASS"
    assert by_strategy["live_strategy", "Churns(loss=0)"] == "FAIL"
    assert report.exit_code == 4
    page = live_page(report)
    assert "Churns(loss=0)" in page
    assert '<span class="v FAIL">' in page.partition('id="strategies"')[2]
    assert report.strategies[1].words in page


def test_a_log_says_the_same_without_the_code(copied: Path, watched: tuple[Path, list[LiveReport]]) -> None:
    (copied / "rules.py").unlink()
    checked = check_log(copied / "out" / "log.sqlite")
    assert checked.strategies == watched[1][-1].strategies
    from_bars = ("live_input", "training overlap")  # which only a step sees
    assert checked.findings == [each for each in watched[1][-1].findings if each.name not in from_bars]


def test_a_step_again_enters_nothing_and_other_code_is_another_strategy(
    copied: Path, watched: tuple[Path, list[LiveReport]]
) -> None:
    log = copied / "out" / "log.sqlite"
    before = tables(log)
    again = step_at(copied, FIRST + STEPS - 1, **WATCHED)
    assert again.strategies == watched[1][-1].strategies
    assert tables(log) == before
    (copied / "rules.py").write_text(CODE + "\n# mended\n", encoding="utf-8")
    other = step_at(copied, FIRST + STEPS - 1, **WATCHED)
    assert [(each.promises, each.bars) for each in other.strategies] == [(1, 0), (1, 0)]
    assert "it is another strategy" in other.notes[0]
    assert [finding.label for finding in other.findings if finding.name == "live_strategy"] == ["UNTESTABLE"] * 2


def tables(log: Path) -> list[list[Any]]:
    """Return all that a log holds of forecasts and strategies."""
    names = ("bars", "forecasts", "ensembles", "strategies", "promises", "realised")
    with sqlite3.connect(log) as connection:
        return [connection.execute(f"SELECT * FROM {name}").fetchall() for name in names]


def test_bars_that_came_at_once_are_realised_and_one_that_is_missing_cuts_a_promise_short(copied: Path) -> None:
    bars = made(FIRST + STEPS + 3).drop(index=FIRST + STEPS)  # two more came after the ninth, and then not the next
    bars.to_csv(copied / "bars.csv", index=False)
    report = live(config_of(copied, **WATCHED))
    holds = report.strategies[0]
    assert (holds.promises, holds.finished, holds.bars) == (3, 2, 3)
    assert {each.strategy for each in report.strategies} == {"Holds", "Churns(loss=0)"}


def test_a_log_of_schema_1_is_judged_and_goes_on_and_one_of_a_later_version_is_refused(copied: Path) -> None:
    log = copied / "out" / "log.sqlite"
    with sqlite3.connect(log) as connection:
        connection.executescript("DROP TABLE realised; DROP TABLE promises; DROP TABLE strategies;")
        connection.execute("DELETE FROM about WHERE key = 'watched'")
        connection.execute("UPDATE about SET value = '1' WHERE key = 'schema'")
    assert check_log(log).strategies == []
    assert [each.promises for each in step_at(copied, FIRST + STEPS, **WATCHED).strategies] == [1, 1]
    assert check_log(log).settings["schema"] == "2"
    with sqlite3.connect(log) as connection:
        connection.execute("UPDATE about SET value = '3' WHERE key = 'schema'")
    for opened in (reading_log, writing):
        with pytest.raises(StoreError, match="schema is 3, this version reads 1 and 2"), opened(log):
            pass


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"paths": 98}, "paths: got 98, expected at least 99 where strategies are watched"),
        ({"strategies": [{"use": "rules.py:Hold"}]}, "Holds"),
        ({"strategies": [{"use": "rules.py:Churns", "params": {"loss": [*range(21)]}}]}, "got 21 strategies"),
        ({"strategies": [{"positions": "book.csv"}]}, "book.csv"),
        ({"broker": {"fee": 0.1}}, "broker.fee"),
    ],
)
def test_a_mistake_in_what_is_watched_is_told_with_its_field(wrong: dict[str, Any], words: str, copied: Path) -> None:
    with pytest.raises(SpecError, match=words):
        config_of(copied, **WATCHED | wrong)
