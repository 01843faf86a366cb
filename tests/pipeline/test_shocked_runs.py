"""Shocked scenarios in a run: pairs with the same paths unshocked, alike in any number, resumed and refused."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.backtest.result import ShockReport
from scenario_gen.cli.show import show_run
from scenario_gen.errors import CheckError, SpecError, StoreError, StrategyError
from scenario_gen.market import Candles, PathSet
from scenario_gen.market.candles import columns_of, invalid
from scenario_gen.pipeline import run_spec
from scenario_gen.progress import SilentProgress
from scenario_gen.report.page import choose_base
from scenario_gen.report.table import place
from scenario_gen.spec.loader import spec_from_dict
from scenario_gen.store.folder import RunFolder

STRATEGIES = Path(__file__).parents[2] / "strategies"
GAP = {"kind": "gap", "bar": 5, "size": -0.10}
SHOCKED: dict[str, list[dict[str, Any]]] = {
    "gap": [GAP],
    "volatile": [{"kind": "volatility", "times": 2.0}],
    "dear": [{"kind": "costs", "times": 3.0}],
    "crash": [{"kind": "flash_crash", "bar": 4, "size": -0.2}],
    "halted": [{"kind": "halt", "bar": 2, "bars": 4}],
    "limited": [GAP, {"kind": "limit_moves", "limit": 0.03}],
    "dirty": [{"kind": "data_error", "share": 0.1}],
}


def _spec(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "shocks",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 12},
        "paths": {"count": 50, "seed": 3, "block": 32},
        "generator": {"kind": "bootstrap"},
        "checks": {"facts": False, "calibration": False},
        "broker": {"fees": 0.001, "slippage": 0.0005},
        "scenarios": [{"name": "base"}, *({"name": name, "shocks": shocks} for name, shocks in SHOCKED.items())],
        "strategies": [
            {"use": f"{STRATEGIES}/buy_and_hold.py:BuyAndHold"},
            {
                "use": f"{STRATEGIES}/donchian_breakout.py:DonchianBreakout",
                "params": {"entry": 3, "exit": 2, "stop_loss": 0.02},
            },
        ],
        "report": {"folder": str(folder)},
        **changes,
    }


def _run(spec: dict[str, Any], progress: SilentProgress | None = None, **options: Any) -> sg.StressRun:
    settings = {"folder": None, "device": None, "paths": None, "overwrite": False, "command": "test"} | options
    return run_spec(spec_from_dict(spec), progress=progress or SilentProgress(), **settings)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[sg.StressRun, Path]:
    folder = tmp_path_factory.mktemp("runs") / "shocked"
    spec = _spec(folder)
    spec["paths"] |= {"keep": "paths"}
    return sg.run(spec), folder


def _shocks(run: sg.StressRun) -> dict[str, ShockReport]:
    return {scenario.name: scenario.shocks for scenario in run.scenarios if scenario.shocks is not None}


def _paths(folder: Path, scenario: str) -> np.ndarray:
    """Kept bars [path, bar, field]."""
    frame = pd.read_parquet(folder / "paths" / f"{scenario}.parquet")
    fields = [name for name in ("open", "high", "low", "close", "volume") if name in frame]
    return frame[fields].to_numpy().reshape(frame["path_id"].nunique(), -1, len(fields))


def test_every_difference_is_that_of_the_metrics_file_path_by_path(done: tuple[sg.StressRun, Path]) -> None:
    run, folder = done
    metrics = pd.read_parquet(folder / "metrics.parquet").set_index(["scenario", "strategy", "path_id"]).sort_index()
    reports = _shocks(run)
    assert [*reports] == [*SHOCKED]
    for name, report in reports.items():
        assert report.beside == "base"
        assert report.paths == 50
        for cost in report.costs:
            for figure, error in (("total_return", cost.return_error), ("max_drawdown", cost.drawdown_error)):
                difference = metrics.loc[name, cost.strategy][figure] - metrics.loc["base", cost.strategy][figure]
                estimate = getattr(cost, figure)
                assert estimate.value == pytest.approx(difference.mean(), abs=1e-12)
                assert error == pytest.approx(difference.std() / np.sqrt(50), abs=1e-12)
                # 2.0096 standard errors: Student's t with 49 degrees of freedom
                assert estimate.high - estimate.low == pytest.approx(2 * 2.0096 * (error or 0.0), rel=1e-4, abs=1e-12)


def test_a_gap_costs_a_holder_its_size_and_costs_only_what_is_traded(done: tuple[sg.StressRun, Path]) -> None:
    run, folder = done
    base, gap, dirty, crash = (_paths(folder, name) for name in ("base", "gap", "dirty", "crash"))
    np.testing.assert_array_equal(gap[:, :5], base[:, :5])
    np.testing.assert_allclose(gap[:, 5:, :4], 0.9 * base[:, 5:, :4], rtol=2e-7)
    np.testing.assert_array_equal(dirty, base)  # money and facts see clean bars
    np.testing.assert_array_equal(crash[..., 3], base[..., 3])
    hold = {name: report.costs[0].total_return.value for name, report in _shocks(run).items()}
    closes = base[:, -1, 3] / base[:, 0, 0] / 1.0005 / 1.001  # bought at the first open with slippage and fees
    assert hold["gap"] == pytest.approx(-0.1 * closes.mean(), rel=1e-6)
    dearer = base[:, -1, 3] / base[:, 0, 0] / 1.0015 / 1.003
    assert hold["dear"] == pytest.approx((dearer - closes).mean(), abs=1e-7)  # equity is kept in float32
    assert hold["dirty"] == hold["crash"] == pytest.approx(0.0, abs=1e-12)
    assert hold["limited"] == pytest.approx(hold["gap"], abs=1e-3)  # a tenth in four bars of 3 %


def test_a_breakout_is_stopped_within_a_crash_and_no_trade_is_made_in_a_halt(done: tuple[sg.StressRun, Path]) -> None:
    run, _ = done
    scenarios = {scenario.name: scenario for scenario in run.scenarios}
    shocks = _shocks(run)
    holding, breakout = shocks["crash"].costs
    assert holding.at_level is holding.at_worst is None
    assert breakout.total_return.value is not None
    assert breakout.total_return.value < 0
    assert breakout.at_level is not None
    assert breakout.at_worst is not None
    assert breakout.at_worst < breakout.at_level - 0.01  # the low of the crash is far below the stops
    assert breakout.target_first is None
    assert all(cost.at_level is None for cost in shocks["gap"].costs)
    for strategy in scenarios["halted"].strategies:
        for path in strategy.named_paths:
            bars = {trade.entry_bar for trade in path.trades} | {t.exit_bar for t in path.trades if not t.open}
            assert not bars & {2, 3, 4, 5}


def test_shocked_bars_are_valid_and_counted_and_the_candle_account_is_the_generators(
    done: tuple[sg.StressRun, Path],
) -> None:
    run, folder = done
    scenarios = {scenario.name: scenario for scenario in run.scenarios}
    for name, report in _shocks(run).items():
        values = _paths(folder, name)
        assert int(invalid(columns_of(values, ("open", "high", "low", "close", "volume"))).sum()) == 0
        assert report.bad_bars == 0
        assert scenarios[name].candles == scenarios["base"].candles
        assert scenarios[name].facts is None
        assert scenarios[name].repair == []


def test_the_mean_price_stays_under_double_volatility_to_the_error_of_its_pilot(
    done: tuple[sg.StressRun, Path],
) -> None:
    _, folder = done
    base, volatile = (_paths(folder, name) for name in ("base", "volatile"))
    # Differences of pairs: 50 paths against a pilot of 256; three standard errors, exceeded once in 370 seeds
    difference = volatile[:, -1, 3] / base[:, 0, 0] - base[:, -1, 3] / base[:, 0, 0]
    error = np.sqrt(difference.var() / 50 + difference.var() / 256)
    assert abs(difference.mean()) < 3 * error
    moves = [np.diff(np.log(values[..., 3]), axis=1).std() for values in (base, volatile)]
    assert moves[1] / moves[0] == pytest.approx(2.0, rel=0.02)


def test_skill_is_not_judged_on_shocked_paths(done: tuple[sg.StressRun, Path]) -> None:
    run, _ = done
    for scenario in run.scenarios:
        judged = [strategy.nulls is not None for strategy in scenario.strategies]
        assert all(judged) == (scenario.name == "base")


def test_fewer_paths_are_shocked_alike_and_a_resumed_run_ends_the_same(
    done: tuple[sg.StressRun, Path], tmp_path: Path
) -> None:
    run, folder = done
    many = pd.read_parquet(folder / "metrics.parquet")
    torn = Path(shutil.copytree(folder, tmp_path / "torn"))
    for name in ("volatile", "dirty"):
        shutil.rmtree(RunFolder(torn).block_path(name, 1))
    spec = _spec(torn)
    spec["paths"] |= {"keep": "paths"}
    assert [one.shocks for one in _run(spec).scenarios] == [one.shocks for one in run.scenarios]
    pd.testing.assert_frame_equal(pd.read_parquet(torn / "metrics.parquet"), many, check_exact=True)
    _run(_spec(tmp_path / "few"), paths=20)
    few = pd.read_parquet(tmp_path / "few" / "metrics.parquet")
    first = many[many["path_id"] < 20].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, first, check_exact=True)


def test_without_the_same_paths_in_the_run_they_are_computed_beside(
    done: tuple[sg.StressRun, Path], tmp_path: Path
) -> None:
    """Another broker, and no base at all: the differences of the gap are the same where nothing else differs."""
    scenarios = [{"name": "gap", "shocks": [GAP]}, {"name": "free", "broker": {"fees": 0.0}, "shocks": [GAP]}]
    run = sg.run(_spec(tmp_path / "run", scenarios=scenarios))
    alone, free = _shocks(run).values()
    paired = _shocks(done[0])["gap"]
    assert alone.beside == free.beside == ""
    assert [cost.total_return for cost in alone.costs] == [cost.total_return for cost in paired.costs]
    assert free.costs[0].total_return != paired.costs[0].total_return


def test_another_size_is_another_run(done: tuple[sg.StressRun, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(done[1], tmp_path / "copy"))
    spec = _spec(copy)
    spec["paths"] |= {"keep": "paths"}
    spec["scenarios"][1]["shocks"] = [{**GAP, "size": -0.11}]
    with pytest.raises(StoreError, match="holds another run"):
        sg.run(spec)


def test_ticks_hold_after_a_shock_and_bars_beyond_the_markets_limit_are_counted(tmp_path: Path) -> None:
    market = {"tick_size": 0.05, "price_limit": 0.08}
    scenarios = [{"name": "gap", "shocks": [GAP]}, {"name": "plain"}]  # the unshocked one is sampled first all the same
    spec = _spec(tmp_path / "run", scenarios=scenarios, market=market)
    spec["paths"] |= {"keep": "paths"}
    run = sg.run(spec)
    prices = _paths(tmp_path / "run", "gap")[..., :4].astype(np.float64)
    np.testing.assert_allclose(np.round(prices / 0.05) * 0.05, prices, rtol=1e-7)
    assert _shocks(run)["gap"].beside == choose_base(place(run)).scenario.name == "plain"
    assert _shocks(run)["gap"].bad_bars == 50  # a fall of 10 % on every path where 8 % is allowed
    page = (tmp_path / "run" / "index.html").read_text(encoding="utf-8")
    assert "shocked bars went beyond what this market allows" in page


def test_volume_that_the_history_lacks_cannot_be_shocked(tmp_path: Path, sp500: Candles) -> None:
    file = tmp_path / "plain.csv"
    sp500.frame()[["open", "high", "low", "close"]].to_csv(file, index_label="date")
    spec = _spec(tmp_path / "run", data={"file": str(file), "end": "2016-03-31"})
    spec["scenarios"] = [{"name": "base"}, {"name": "thin", "shocks": [{"kind": "liquidity"}]}]
    with pytest.raises(SpecError, match=r"scenario thin: volume × 0\.1.*needs volume, and the history has none"):
        sg.run(spec)


def test_shocks_beyond_every_price_are_refused(tmp_path: Path) -> None:
    crash = {"kind": "drift", "total": -0.999999}
    spec = _spec(tmp_path / "run", scenarios=[{"name": "base"}, {"name": "end", "shocks": [crash] * 5}])
    with pytest.raises(CheckError, match="the shocks of scenario end lead 32 of 32 paths to prices or volumes"):
        sg.run(spec)


def test_missing_numbers_that_a_strategy_cannot_bear_are_its_own_mistake(tmp_path: Path) -> None:
    strategy = tmp_path / "mine.py"
    strategy.write_text(
        "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Naive:\n"
        "    def weights(self, bars):\n        return bars.close / bars.close.cummax() - 0.5\n",
        encoding="utf-8",
    )
    shocks = [{"kind": "data_error", "error": "missing", "share": 0.5}]
    spec = _spec(tmp_path / "run", scenarios=[{"name": "base"}, {"name": "holes", "shocks": shocks}])
    with pytest.raises(StrategyError, match=r"Naive\.weights: is nan.*\n.*\n.*errors of data on purpose"):
        sg.run({**spec, "strategies": [{"use": f"{strategy}:Naive"}]})


def test_the_page_says_what_run_json_says_of_every_shock(done: tuple[sg.StressRun, Path]) -> None:
    run, folder = done
    checks = _report_checks()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert checks.check_numbers(page, run) > 100
    seen = " ".join(checks.seen(page).split())
    assert "What does each shock cost?" in seen
    assert "7 scenarios of this run put shocks on their paths" in seen
    for report in _shocks(run).values():
        assert "; ".join(report.shocks) in seen
    for cost in (cost for report in _shocks(run).values() for cost in report.costs):
        assert checks.as_text(cost.total_return.value, "change") in page
    assert "Stops at the worst price of the bar" in seen


def _report_checks() -> Any:
    """The checks of the report room, written without its own formatting code."""
    file = Path(__file__).parents[1] / "report" / "checks.py"
    spec = importlib.util.spec_from_file_location("checks_of_the_report", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_terminal_shows_the_paired_differences_with_half_of_their_intervals(
    done: tuple[sg.StressRun, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    show_run(done[0])
    table = capsys.readouterr().out.split("Mean total return, shocked less unshocked.")[1]
    lines = table.split("Mean deepest drawdown")[0].splitlines()
    cells = {row[0].partition(" (")[0]: row[1] for line in lines if len(row := line.strip("│ ").split("│")) > 2}
    (cost,) = [cost for cost in _shocks(done[0])["gap"].costs if cost.strategy == "BuyAndHold"]
    low, high, value = cost.total_return.low, cost.total_return.high, cost.total_return.value
    assert low is not None and high is not None and value is not None
    assert cells["gap"].split() == [f"{100 * value:+.2f}%".replace("-", "−"), f"±{50 * (high - low):.2f}"]
    assert "0.00%" in cells["crash"]


@pytest.fixture(scope="module")
def sampled(sp500: Candles) -> tuple[Candles, PathSet]:
    context = sp500.split_at("2016-03-31")[0]
    return context, sg.sample(context, horizon=12, paths=40, model="bootstrap", seed=3)


def test_paths_are_shocked_in_python_and_their_terms_reach_the_backtest(sampled: tuple[Candles, PathSet]) -> None:
    context, paths = sampled
    use = f"{STRATEGIES}/buy_and_hold.py:BuyAndHold"
    broker = {"fees": 0.001}
    shocked = sg.shocked(paths, [GAP, {"kind": "costs", "times": 3}], context=context)
    np.testing.assert_array_equal(shocked.path_ids, paths.path_ids)
    np.testing.assert_allclose(shocked.close[:, 5:], 0.9 * paths.close[:, 5:], rtol=2e-7)
    plain, dear = (
        sg.backtest_paths(bars, use, context=context, broker=broker).strategies[0].metrics[0].mean.value
        for bars in (paths, shocked)
    )
    growth = paths.close[:, -1].astype(float) / paths.column("open")[:, 0]
    assert plain == pytest.approx((growth / 1.001 - 1).mean(), abs=1e-6)
    assert dear == pytest.approx((0.9 * growth / 1.003 - 1).mean(), abs=1e-6)


def test_paths_with_terms_are_told_where_chance_is_without_them(sampled: tuple[Candles, PathSet]) -> None:
    context, paths = sampled
    halted = sg.shocked(paths, [{"kind": "halt", "bar": 2, "bars": 3}], context=context)
    use = f"{STRATEGIES}/sma_cross.py:SmaCross"
    report = sg.backtest_paths(halted, {"use": use, "params": {"fast": 2, "slow": 5}}, context=context)
    assert any("random entries" in note and "without" in note for note in report.notes)
    plain = sg.backtest_paths(paths, {"use": use, "params": {"fast": 2, "slow": 5}}, context=context)
    assert not any("random entries" in note for note in plain.notes)


@pytest.mark.parametrize(
    ("shocks", "message"),
    [
        ([{"kind": "gapp", "size": 1}], "shocks\\[#1\\].kind: got 'gapp'.*did you mean 'gap'?"),
        ([GAP, {"kind": "gap", "bar": 12, "size": -0.1}], "shocks\\[#2\\].bar: got 12, but a path has 12 bars"),
        ([], "shocks: got an empty list"),
        ([{"kind": "gap", "size": -1}], "shocks\\[#1\\].size: got -1, expected a number above -1"),
    ],
)
def test_mistakes_in_python_are_told_with_their_field(
    sampled: tuple[Candles, PathSet], shocks: list[dict[str, Any]], message: str
) -> None:
    context, paths = sampled
    with pytest.raises(SpecError, match=message):
        sg.shocked(paths, shocks, context=context)


def test_volume_is_needed_in_python_too(sampled: tuple[Candles, PathSet]) -> None:
    context, paths = sampled
    bare = PathSet(paths.values[..., :4], paths.fields[:4], paths.timestamps, paths.path_ids, paths.anchor_close)
    with pytest.raises(SpecError, match="needs volume"):
        sg.shocked(bare, [{"kind": "liquidity"}], context=context)
