"""Would it pass the account's rules? The whole way of a small run: metrics, run.json, page and terminal."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import scenario_gen as sg
from scenario_gen.backtest.account import ENDINGS
from scenario_gen.cli.show import show_run
from scenario_gen.errors import SpecError
from scenario_gen.report.page import build_page
from scenario_gen.report.table import place, to_rich
from scenario_gen.report.tables.accounts import account_answer
from scenario_gen.store.results import StressRun

ROOT = Path(__file__).parents[2]
RULES = {"target": 0.02, "daily_loss": 0.03, "max_loss": 0.04, "days": 18, "min_days": 2}


def spec(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "funded",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 60, "horizon": 20},
        "paths": {"count": 200, "seed": 3, "block": 100},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}],
        "baselines": ["gbm"],
        "checks": {"facts": False, "calibration": False},
        "strategies": [
            {"use": f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold"},
            {"use": f"{ROOT}/strategies/volatility_target.py:VolatilityTarget", "params": {"window": 10}},
        ],
        "account": RULES,
        "limits": {"pass_probability": 0.05},
        "report": {"folder": str(folder)},
        **changes,
    }


@pytest.fixture(scope="module")
def funded(tmp_path_factory: pytest.TempPathFactory) -> tuple[StressRun, Path]:
    folder = tmp_path_factory.mktemp("funded")
    return sg.run(spec(folder)), folder


def test_the_shares_are_those_of_the_metrics_file_and_add_up(funded: tuple[StressRun, Path]) -> None:
    run, folder = funded
    metrics = pd.read_parquet(folder / "metrics.parquet")
    for scenario in run.scenarios:
        for strategy in scenario.strategies:
            account = strategy.account
            assert account is not None
            rows = metrics[(metrics["scenario"] == scenario.name) & (metrics["strategy"] == strategy.name)]
            counted = rows["account"].value_counts()
            assert set(counted.index) <= set(ENDINGS)
            assert account.passed.count == counted.get("passed", 0)
            assert {rule: share.count for rule, share in account.broken.items()} == {
                rule: counted.get(rule, 0) for rule in ("daily_loss", "max_loss")
            }
            assert account.idle is not None
            assert account.idle.count == counted.get("idle", 0)
            assert account.unfinished.count == counted.get("unfinished", 0)
            assert counted.sum() == account.passed.n == len(rows)
            bars = rows.loc[rows["account"] == "passed", "account_bar"] + 1
            assert account.bars_to_pass.value == (np.median(bars) if len(bars) >= 40 else None)
            assert rows["account_bar"].between(0, 17).all()


def test_holding_reaches_the_target_and_trades_on_too_few_days(funded: tuple[StressRun, Path]) -> None:
    """It orders once: with two days to be traded it never passes, and the run says which rule that was."""
    hold, target = funded[0].scenarios[0].strategies
    assert hold.account is not None and hold.account.passed.count == 0
    assert hold.account.idle is not None and (hold.account.idle.count or 0) > 20
    assert target.account is not None and (target.account.passed.count or 0) > 20
    labels = {finding.strategy: finding.label for finding in funded[0].findings if "pass_probability" in finding.name}
    assert labels == {hold.name: "FAIL", target.name: "PASS"}


def test_every_number_of_the_answer_is_the_one_in_the_run(funded: tuple[StressRun, Path], checks: ModuleType) -> None:
    page = build_page(funded[0])
    assert checks.check_numbers(page, funded[0]) > 200
    words = checks.seen(page)
    for text in (
        "Would it pass the account’s rules?",
        "of the starting cash within a trading day, counted from the last close of the day before",
        "An order on 2 trading days at least is needed to pass.",
        "What ends most paths of",
        "Too few days traded",
        "How long that takes.",
    ):
        assert text in words, text


def test_the_terminal_has_a_row_per_scenario_and_strategy(funded: tuple[StressRun, Path]) -> None:
    console = Console(width=190, record=True)
    show_run(funded[0], console)
    text = console.export_text()
    table = text[text.index("Would it pass the account’s rules? How the paths end") :]
    assert "Passes" in table and "Too few" in table
    assert table.count("BuyAndHold") >= 2


def test_narrow_terminals_break_the_names_of_strategies_and_lose_no_letter_of_them(
    funded: tuple[StressRun, Path],
) -> None:
    """Two sets of a grid that read 'SmaCross(fast...' could not be told apart."""
    console = Console(width=70, record=True)
    placed = place(funded[0])
    answer = account_answer(funded[0], placed, placed[0])
    assert answer is not None
    console.print(to_rich(answer.tables[0]))
    cells = "".join(line.split("│")[1] for line in console.export_text().splitlines() if line.startswith("│"))
    for strategy in funded[0].scenarios[0].strategies:
        assert strategy.name.replace(" ", "") in cells.replace(" ", "")


def test_a_run_without_rules_says_nothing_of_them(full: StressRun, checks: ModuleType) -> None:
    assert "Would it pass" not in checks.seen(build_page(full))


def hours(folder: Path, *, days: int, clock: str = "24/7") -> Path:
    """A made-up hourly history in a file."""
    stamps = pd.date_range("2024-01-01", periods=24 * days, freq="h")
    close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.003, len(stamps))))
    opened = np.concatenate([[100.0], close[:-1]])
    frame = pd.DataFrame({"timestamp": stamps, "open": opened, "close": close})
    frame["high"], frame["low"] = (
        frame[["open", "close"]].max(axis=1) * 1.001,
        frame[["open", "close"]].min(axis=1) * 0.999,
    )
    file = folder / "hours.csv"
    frame.to_csv(file, index=False)
    return file


def test_days_that_no_path_has_are_refused_with_file_line_and_field(tmp_path: Path) -> None:
    """96 hourly bars that begin at midnight are four days: how many is known when the calendar is."""
    file = hours(tmp_path, days=40)
    text = f"""\
name: hourly
data: {{file: {file}}}
bars: {{context: 100, horizon: 96}}
paths: {{count: 8, block: 8}}
generator: {{kind: bootstrap}}
checks: {{facts: false, calibration: false}}
strategies: [{{use: {ROOT}/strategies/buy_and_hold.py:BuyAndHold}}]
report: {{folder: {tmp_path}/run}}
account:
  max_loss: 0.1
  days: 5
"""
    path = tmp_path / "hourly.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(
        SpecError, match=r"hourly.yaml:11: account.days: got 5 trading days, but the paths of 'base' last 4"
    ):
        sg.run(path)
    path.write_text(text.replace("days: 5", "days: 4"), encoding="utf-8")
    run = sg.run(path)
    account = run.scenarios[0].strategies[0].account
    assert account is not None
    assert account.passed.n == 8


def test_a_daily_loss_of_weekly_bars_is_refused(tmp_path: Path) -> None:
    weeks = pd.date_range("2015-01-02", periods=300, freq="W-FRI")
    close = 100 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.02, 300)))
    frame = pd.DataFrame({"date": weeks, "open": close, "high": close * 1.01, "low": close * 0.99, "close": close})
    file = tmp_path / "weeks.csv"
    frame.to_csv(file, index=False)
    asked = spec(tmp_path / "run", data={"file": str(file)}, account={"daily_loss": 0.05}, limits={}, baselines=[])
    with pytest.raises(
        SpecError, match=r"account.daily_loss: asks what happens within a day, but the bars of 'base' are weekly"
    ):
        sg.run(asked)
