"""What a run says of the strategies themselves: look-ahead, warm-up, limits and the exit code that follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

import scenario_gen as sg
from scenario_gen.cli.app import app
from scenario_gen.cli.manners import leave
from scenario_gen.errors import DataError, SpecError
from scenario_gen.finding import Finding
from scenario_gen.pipeline.given.backtest import backtest_paths
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.reports import BacktestReport
from scenario_gen.store.results import StressRun

ROOT = Path(__file__).parents[2]
HOLD, SMA = f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold", f"{ROOT}/strategies/sma_cross.py:SmaCross"
AHEAD = """
from dataclasses import dataclass
import pandas as pd
from scenario_gen.backtest import Bars

@dataclass(frozen=True)
class WholeSample:
    def weights(self, bars: Bars) -> pd.DataFrame:
        z = (bars.close - bars.close.mean()) / bars.close.std()
        return (z < 0).astype(float)
"""


def _spec(folder: Path, **changes: Any) -> dict[str, Any]:
    (folder / "ahead.py").write_text(AHEAD, encoding="utf-8")
    return {
        "name": "asked",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 60, "horizon": 20},
        "paths": {"count": 64, "seed": 3, "block": 32, "keep": "paths"},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}, {"name": "dear", "broker": {"fees": 0.01}}],
        "checks": {"facts": False, "calibration": False},
        "strategies": [
            {"use": HOLD},
            {"use": SMA, "params": {"fast": 5, "slow": 50}},
            {"use": f"{folder}/ahead.py:WholeSample"},
        ],
        "limits": {"max_drawdown": 0.5},
        "report": {"folder": str(folder / "run")},
        **changes,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("asked")


@pytest.fixture(scope="module")
def run(folder: Path) -> StressRun:
    return sg.run(_spec(folder))


def of(run: StressRun | BacktestReport, name: str) -> dict[str, Finding]:
    return {found.strategy: found for found in run.findings if found.name == name}


def test_every_strategy_is_probed_once_and_the_one_that_looks_ahead_fails(run: StressRun) -> None:
    found = of(run, "look_ahead")
    labels = {name: finding.label for name, finding in found.items()}
    assert labels == {"BuyAndHold": "PASS", "SmaCross(fast=5, slow=50)": "PASS", "WholeSample": "FAIL"}
    (leak,) = found["WholeSample"].evidence
    assert (leak["kind"], leak["field"]) == ("reads the whole sample", "weights")
    assert 0 <= leak["column"] < 64
    assert {finding.scenario for finding in found.values()} == {"base"}


def test_the_warm_up_of_every_strategy_is_in_the_first_scenario(run: StressRun, folder: Path) -> None:
    read = RunFolder(folder / "run").read_run()
    assert read == run
    hold, sma, _ = (strategy.warm_up for strategy in read.scenarios[0].strategies)
    assert hold is not None
    assert (hold.less, hold.more, hold.context_bars) == (0.0, 0.0, 60)
    # 45 bars do not fill a mean of 50, so some decisions on the first bars of the path are others; 75 bars do.
    assert sma is not None
    assert sma.less is not None
    assert sma.less > 0.0
    assert sma.more == 0.0
    assert of(run, "warm_up")["SmaCross(fast=5, slow=50)"].label == "PASS"
    assert all(strategy.warm_up is None for strategy in read.scenarios[1].strategies)


RARE = """
from dataclasses import dataclass
from scenario_gen.backtest import Bars, Signals

@dataclass(frozen=True)
class BuysCrashes:
    def signals(self, bars: Bars) -> Signals:
        crash = bars.close.pct_change() < -0.06
        return Signals(entries=crash & (bars.close.shift(-1) > bars.close), exits=~crash)
"""


def test_a_rule_that_enters_in_a_later_scenario_alone_is_probed_there(tmp_path: Path) -> None:
    (tmp_path / "rare.py").write_text(RARE, encoding="utf-8")
    use = [{"use": f"{tmp_path}/rare.py:BuysCrashes"}]
    crash = {"name": "crash", "data": {"end": "2008-11-28"}}  # days of -9 % among its last sixty
    calm = sg.run(_spec(tmp_path, strategies=use, scenarios=[{"name": "base"}], report={"folder": f"{tmp_path}/calm"}))
    assert of(calm, "look_ahead")["BuysCrashes"].label == "UNTESTABLE"
    assert "never enters on the 64 paths looked at" in of(calm, "look_ahead")["BuysCrashes"].measured
    both = sg.run(_spec(tmp_path, strategies=use, scenarios=[{"name": "base"}, crash]))
    found = of(both, "look_ahead")["BuysCrashes"]
    assert (found.label, found.scenario) == ("FAIL", "crash")


def test_a_lot_dearer_than_the_cash_is_told_on_page_terminal_and_in_the_files(tmp_path: Path) -> None:
    spec = _spec(tmp_path, broker={"cash": 1000, "lot": 1}, scenarios=[{"name": "base"}], strategies=[{"use": HOLD}])
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    result = CliRunner().invoke(app, ["run", str(tmp_path / "scenario.yaml")])
    assert result.exit_code == 0, result.stderr
    text = (
        "no wanted order could be filled on any of 64 paths (one lot of 1 is worth 2,060, and the account holds 1,000)"
    )
    assert text in " ".join(result.stdout.split())
    read = RunFolder(tmp_path / "run").read_run()
    assert of(read, "fills")["BuyAndHold"].measured == text
    limit = of(read, "limits: max_drawdown")["BuyAndHold"]
    assert (limit.label, limit.measured.endswith("; no order that it wanted was filled")) == ("UNTESTABLE", True)
    page = (tmp_path / "run" / "index.html").read_text(encoding="utf-8")
    assert text in page
    assert "no wanted order could be filled on any path" in page.partition('class="lead"')[2].partition("</p>")[0]
    table = pd.read_parquet(tmp_path / "run" / "metrics.parquet")
    assert (table["unfilled"] == 1.0).all()


def test_a_context_too_short_for_an_indicator_is_told(folder: Path, sp500: sg.Candles) -> None:
    before = sp500.split_at("2016-03-31")[0]
    paths = sg.sample(before, horizon=20, paths=30, model="bootstrap")
    use = {"use": SMA, "params": {"fast": 5, "slow": 50}}
    short = backtest_paths(paths, use, context=before, context_bars=40)
    found = of(short, "warm_up")["SmaCross(fast=5, slow=50)"]
    assert found.label == "WARN"
    assert "with a quarter more of 40 bars of context" in found.measured


Words = list[tuple[str, str]]


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([("limits: max_drawdown", "PASS"), ("limits: cvar_95", "INCONCLUSIVE")], 0),
        ([("limits: cvar_95", "FAIL")], 3),
        ([("look_ahead", "FAIL")], 4),
        ([("look_ahead", "FAIL"), ("limits: cvar_95", "FAIL")], 3),
        ([("calibration", "FAIL"), ("candles", "FAIL"), ("warm_up", "WARN")], 0),
        ([("look_ahead", "UNTESTABLE"), ("limits: cvar_95", "UNTESTABLE")], 0),
    ],
)
def test_only_a_breached_limit_leaves_with_three_and_only_looking_ahead_with_four(findings: Words, code: int) -> None:
    made = [Finding(name, label, "", "", strategy="Rule") for name, label in findings]  # type: ignore[arg-type]
    assert leave(made) == code


def test_a_run_leaves_with_three_when_a_limit_is_breached(tmp_path: Path) -> None:
    spec = _spec(tmp_path, limits={"max_drawdown": 0.001}, scenarios=[{"name": "base"}])
    spec["strategies"] = spec["strategies"][:1]
    (tmp_path / "scenario.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    result = CliRunner().invoke(app, ["run", str(tmp_path / "scenario.yaml"), "--quiet"])
    assert result.exit_code == 3, result.stderr
    assert "limits breached: max_drawdown (1 judgements)" in result.stderr
    assert (tmp_path / "run" / "index.html").exists()


def test_paths_that_a_run_kept_give_the_run_s_own_figures(run: StressRun, folder: Path, sp500: sg.Candles) -> None:
    """The command and the run are two ways to the same numbers, to the last bit."""
    kept = RunFolder(folder / "run").paths_path("base")
    context = sp500.split_at("2016-03-31")[0]
    found = backtest_paths(
        kept, [HOLD, {"use": SMA, "params": {"fast": 5, "slow": 50}}], context=context, context_bars=60
    )
    for ours, theirs in zip(found.strategies, run.scenarios[0].strategies, strict=False):
        assert ours.metrics == theirs.metrics
        assert ours.equity_fan == theirs.equity_fan


def test_frames_sets_and_files_of_paths_are_the_same(sp500: sg.Candles) -> None:
    before = sp500.split_at("2016-03-31")[0]
    paths = sg.sample(before, horizon=10, paths=25, model="bootstrap")
    table = paths.to_pandas()
    one, other = (backtest_paths(given, HOLD, context=before) for given in (paths, table))
    assert one.strategies == other.strategies


def test_without_a_context_holding_earns_the_last_close_over_the_first_open(sp500: sg.Candles) -> None:
    paths = sg.sample(sp500.split_at("2016-03-31")[0], horizon=10, paths=25, model="bootstrap")
    (found,) = backtest_paths(paths.to_pandas(), HOLD).strategies
    by_hand = paths.close[:, -1].astype(float) / paths.column("open")[:, 0] - 1
    mean = next(one.mean.value for one in found.metrics if one.metric == "total_return")
    assert mean == pytest.approx(by_hand.mean(), rel=1e-6)  # float32 prices


def test_paths_of_several_contexts_are_refused(sp500: sg.Candles) -> None:
    before = sp500.split_at("2016-03-31")[0]
    table = sg.sample(before, horizon=10, paths=4, model="bootstrap").to_pandas()
    late = table["path_id"] > 1
    table.loc[late, "timestamp"] += pd.Timedelta(days=7)
    for context in (None, before):
        with pytest.raises(DataError, match="2 different sets of stamps"):
            backtest_paths(table, HOLD, context=context)


def test_paths_that_set_out_from_different_prices_need_a_context(sp500: sg.Candles) -> None:
    table = sg.sample(sp500.context(100), horizon=10, paths=4, model="bootstrap").to_pandas()
    table.loc[table["path_id"] > 1, ["open", "high", "low", "close"]] *= 3
    with pytest.raises(DataError, match="no one price precedes them"):
        backtest_paths(table, HOLD)


def test_one_bar_shows_no_frequency(sp500: sg.Candles) -> None:
    table = sg.sample(sp500.context(100), horizon=1, paths=25, model="bootstrap").to_pandas()
    with pytest.raises(DataError, match="one bar, which shows no frequency"):
        backtest_paths(table, HOLD)
    assert backtest_paths(table, HOLD, bars_per_year=252).bars_per_year == 252


def test_no_strategy_is_a_mistake(sp500: sg.Candles) -> None:
    with pytest.raises(SpecError, match="no strategy was given"):
        backtest_paths(sg.sample(sp500, horizon=5, paths=3, model="bootstrap"), [])
