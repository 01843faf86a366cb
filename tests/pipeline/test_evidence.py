"""What a run holds each strategy against: chance, holding, history, its own grid; and what it says of that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenario_gen as sg
from scenario_gen.backtest.evidence import choice_label
from scenario_gen.backtest.nulls import BUY_AND_HOLD
from scenario_gen.backtest.overfitting.cscv import Overfitting
from scenario_gen.backtest.overfitting.sharpe import DeflatedSharpe
from scenario_gen.backtest.result import Choice, StrategyResult
from scenario_gen.finding import Label
from scenario_gen.pipeline.given.backtest import backtest_paths
from scenario_gen.stats.estimate import Estimate
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import StressRun

ROOT = Path(__file__).parents[2]
HOLD, SMA = f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold", f"{ROOT}/strategies/sma_cross.py:SmaCross"
END = "2016-03-31"
SEER = """
from dataclasses import dataclass
import pandas as pd
from scenario_gen.backtest import Bars

@dataclass(frozen=True)
class Seer:
    \"\"\"Knows tomorrow: what skill there can be.\"\"\"
    sign: int = 1

    def weights(self, bars: Bars) -> pd.DataFrame:
        ahead = bars.open.shift(-2) / bars.open.shift(-1) - 1  # from the next fill to the one after
        return (self.sign * ahead > 0).astype(float)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[StressRun, Path]:
    folder = tmp_path_factory.mktemp("evidence")
    spec: dict[str, Any] = {
        "name": "evidence",
        "data": {"source": "sp500", "end": END},
        "bars": {"context": 40, "horizon": 24},
        "paths": {"count": 120, "seed": 3, "block": 64},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}],
        "baselines": ["gbm"],
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": HOLD}, {"use": SMA, "params": {"fast": [3, 5], "slow": [10, 15]}}],
        "report": {"folder": str(folder)},
    }
    return sg.run(spec), folder


def test_the_evidence_survives_the_folder(run: tuple[StressRun, Path]) -> None:
    assert RunFolder(run[1]).read_run() == run[0]


def test_every_strategy_stands_beside_random_entries_and_holding(run: tuple[StressRun, Path]) -> None:
    for scenario in run[0].scenarios:
        hold, *rest = scenario.strategies
        assert all(one.nulls is not None and one.nulls.mean.n == 120 for one in scenario.strategies)
        for one in rest:
            beside = [pair for pair in one.paired if pair.against == BUY_AND_HOLD]
            assert [pair.metric for pair in beside] == ["total_return", "sharpe", "max_drawdown"]
        # The shipped rule holds from the first fill to the end: the reference itself, path by path.
        (same,) = [p for p in hold.paired if p.against == BUY_AND_HOLD and p.metric == "total_return"]
        assert (same.wins, same.losses, same.ties) == (0, 0, 120)


def test_a_pair_is_the_difference_of_the_metrics_file(run: tuple[StressRun, Path]) -> None:
    metrics = RunFolder(run[1]).read_metrics()
    base = metrics[metrics["scenario"] == "base"].pivot(index="path_id", columns="strategy", values="total_return")
    for one in run[0].scenarios[0].strategies:
        for pair in one.paired:
            if pair.metric == "total_return" and pair.against in base:
                difference = base[pair.strategy] - base[pair.against]
                assert pair.mean.value == pytest.approx(difference.mean(), abs=1e-15)


def test_the_tail_rests_on_the_paths_of_its_own_scenario(run: tuple[StressRun, Path]) -> None:
    for scenario in run[0].scenarios:
        for one in scenario.strategies:
            assert one.tail is not None
            assert one.tail.paths == 120
            drawdown = next(summary for summary in one.metrics if summary.metric == "max_drawdown")
            assert one.tail.drawdowns.depth.mean.value == pytest.approx(drawdown.mean.value, abs=1e-6)
            tenth = one.tail.ruin[0]
            assert list(tenth.counts) == sorted(tenth.counts)
            assert len(tenth.counts) == 24


def test_history_is_placed_before_and_after_the_anchor(run: tuple[StressRun, Path], sp500: sg.Candles) -> None:
    hold = run[0].scenarios[0].strategies[0]
    assert [marker.stretch for marker in hold.marker] == ["context", "continuation"]
    before, after = sp500.split_at(END)
    by_hand = [before.close[-1] / before.column("open")[-24] - 1, after.close[23] / after.column("open")[0] - 1]
    # float32 prices and equity
    assert [marker.value for marker in hold.marker] == pytest.approx(by_hand, abs=2e-6)
    assert hold.realised is not None
    assert hold.marker[1].value == hold.realised.metrics["total_return"]


def test_a_grid_is_judged_once_and_stands_under_each_of_its_sets(run: tuple[StressRun, Path]) -> None:
    hold, *grid = run[0].scenarios[0].strategies
    assert hold.overfitting is not None
    assert (hold.overfitting.sets, hold.overfitting.history.probability.value) == (1, None)
    assert len({one.overfitting.deflated.sharpe for one in grid if one.overfitting}) == 1
    choice = grid[0].overfitting
    assert choice is not None
    assert (choice.sets, choice.history_bars, choice.deflated.trials) == (4, 2520, 4)
    assert choice.paths.paths == 120
    assert choice.shape in ("plateau", "peak", "flat", "undecided")
    assert (hold.overfitting.shape, hold.overfitting.kept) == ("none", None)
    findings = [one for one in run[0].findings if one.name == "overfitting"]
    assert [one.strategy for one in findings] == ["BuyAndHold", "SmaCross"]


def test_findings_are_of_scenarios_and_not_of_baselines(run: tuple[StressRun, Path]) -> None:
    judged = [one for one in run[0].findings if one.name in ("nulls", "overfitting") or one.name[:6] == "marker"]
    assert {one.scenario for one in judged} == {"base"}
    assert len([one for one in judged if one.name == "nulls"]) == 5


def test_foresight_is_called_skill_and_its_opposite_worse(tmp_path: Path, sp500: sg.Candles) -> None:
    """A planted effect that cannot be missed: knowing the next day, and betting against that knowledge."""
    (tmp_path / "seer.py").write_text(SEER, encoding="utf-8")
    before = sp500.split_at(END)[0]
    paths = sg.sample(before.context(250), horizon=24, paths=120, model="bootstrap", seed=5)
    use = {"use": f"{tmp_path}/seer.py:Seer", "params": {"sign": [1, -1]}}
    found = backtest_paths(paths, use, context=before, context_bars=40)
    labels = {one.strategy: one.label for one in found.findings if one.name == "nulls"}
    assert labels == {"Seer(sign=1)": "PASS", "Seer(sign=-1)": "WARN"}
    ahead = {one.label for one in found.findings if one.name == "look_ahead"}
    assert ahead == {"FAIL"}


def test_without_a_context_there_is_no_history_to_judge(sp500: sg.Candles) -> None:
    paths = sg.sample(sp500, horizon=20, paths=40, model="bootstrap")
    (one,) = backtest_paths(paths, SMA).strategies
    assert one.marker == []
    assert one.overfitting is not None
    assert (one.overfitting.history_bars, one.overfitting.deflated.sharpe) == (0, None)
    assert one.tail is not None
    assert one.tail.causes is None


def _choice(low: float | None, high: float | None, deflated: float | None) -> Choice:
    nothing = Estimate(None)
    middle = None if low is None or high is None else (low + high) / 2
    found = Overfitting(Estimate(middle, low, high), nothing, nothing, nothing)
    return Choice(4, 100, DeflatedSharpe(deflated=deflated), found, found)


@pytest.mark.parametrize(
    ("low", "high", "deflated", "label"),
    [
        (0.6, 0.9, 0.99, "FAIL"),
        (0.1, 0.4, 0.96, "PASS"),
        (0.1, 0.4, 0.94, "INCONCLUSIVE"),
        (0.1, 0.4, None, "INCONCLUSIVE"),
        (0.2, 0.7, 0.99, "INCONCLUSIVE"),
        (None, None, 0.99, "UNTESTABLE"),
    ],
)
def test_a_choice_needs_both_tests_to_pass_and_fails_when_it_is_worse_than_drawing_lots(
    low: float | None, high: float | None, deflated: float | None, label: Label
) -> None:
    assert choice_label(_choice(low, high, deflated)) == label


def test_results_of_many_strategies_are_compared_with_holding_alone(sp500: sg.Candles) -> None:
    paths = sg.sample(sp500, horizon=20, paths=40, model="bootstrap")
    use = {"use": SMA, "params": {"fast": [2, 3, 4, 5, 6, 7, 8], "slow": [10, 12]}}
    found: list[StrategyResult] = backtest_paths(paths, use, context=sp500, context_end="2018-12-31").strategies
    assert {pair.against for one in found for pair in one.paired} == {BUY_AND_HOLD}
    assert all(np.isfinite(one.nulls.z or 0.0) for one in found if one.nulls)
    assert replace(found[0]) == found[0]
