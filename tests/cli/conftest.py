from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from scenario_gen.backtest.result import Fan, StrategyResult
from scenario_gen.candles.account import CandleAccount
from scenario_gen.cli.app import app
from scenario_gen.finding import Finding
from scenario_gen.stats.estimate import Estimate, MetricSummary
from scenario_gen.store.results import ContextView, ScenarioResult, StressRun


@pytest.fixture
def invoke() -> Callable[..., Any]:
    """Run the command line in this process; returns exit code, stdout, stderr and what escaped."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def metric(name: str, low: Estimate, middle: Estimate, high: Estimate) -> MetricSummary:
    return MetricSummary(name, Estimate(0.0), 0.1, {"0.05": low, "0.5": middle, "0.95": high})


def strategy(name: str) -> StrategyResult:
    return StrategyResult(
        name=name,
        use=f"file.py:{name}",
        params={},
        metrics=[
            metric("total_return", Estimate(-0.0812, -0.09, -0.07), Estimate(0.0123, 0.01, 0.02), Estimate(0.2)),
            metric("max_drawdown", Estimate(0.01), Estimate(0.05), Estimate(0.1567, 0.15, 0.16)),
        ],
        probability_of_loss=Estimate(0.375, 0.33, 0.42, n=512, count=192),
        drawdown_beyond=[],
        var={},
        cvar={"0.95": Estimate(None, reason="fewer than 50 paths in the tail")},
        equity_fan=Fan([], {}, {}, []),
        realised=None,
        named_paths=[],
    )


def scenario(name: str, role: Any) -> ScenarioResult:
    return ScenarioResult(
        name=name,
        role=role,
        generator={},
        context=ContextView("", "", "", "", 0, 1.0, "", 252.0, [], [], [], [], [], [], ""),
        horizon=5,
        timestamps=[],
        paths=512,
        candles=CandleAccount(512, 5, 512, 0, 0, 0, 0, 0, [], 0, 0.0, 0.0, 0.0, "repair", "PASS"),
        volatility_ratio={},
        price_fan=Fan([], {}, {}, []),
        realised_close=[],
        strategies=[strategy("SmaCross")],
    )


@pytest.fixture
def finished_run() -> StressRun:
    """A small run as the pipeline would hand it over."""
    return StressRun(
        name="demo",
        title="A demo",
        created="2020-01-01T00:00:00",
        command="",
        spec={},
        spec_text="",
        limits={},
        identity={},
        versions={},
        device={},
        seconds={},
        scenarios=[scenario("hot", "scenario"), scenario("bootstrap", "baseline")],
        findings=[
            Finding("candles", "PASS", "0 of 512", "none"),
            Finding("dispersion", "WARN", "0.6", "0.8 to 1.25", scenario="hot"),
        ],
    )
