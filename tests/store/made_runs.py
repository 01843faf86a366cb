"""Finished runs made of numbers that a test draws, as a pipeline would write them; nothing is sampled or traded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scenario_gen.backtest.metrics import METRICS as MEASURED
from scenario_gen.backtest.result import Fan, StrategyResult
from scenario_gen.candles.account import CandleAccount
from scenario_gen.finding import Finding
from scenario_gen.stats.estimate import conditional_value_at_risk, share, summarise_metric, value_at_risk
from scenario_gen.store.folder import METRICS, RunFolder
from scenario_gen.store.results import ContextView, ScenarioResult, StressRun

Metrics = Mapping[str, Mapping[str, pd.DataFrame]]  # scenario, strategy: a row per path
NO_FAN = Fan([], {}, {}, [])
CONTEXT = ContextView(
    "X", "made", "2020-01-01", "2021-01-01", 64, 100.0, "XNYS", 252.0, ["2021-01-01"], [1.0], [1.0], [1.0], [1.0], [],
    "5" * 64,
)  # fmt: skip
IDENTITY = {"spec": "0", "data": "a" * 64, "weights": "b" * 64, "strategies": "c" * 64, "code": "1", "packages": "d"}


def drawn(rng: np.random.Generator, paths: int, shift: float = 0.0) -> pd.DataFrame:
    """Return metrics of so many paths: heavy tails, a ratio that some paths lack, a count with ties."""
    returns = 0.01 + shift + 0.05 * rng.standard_t(4, paths)
    frame = pd.DataFrame({"total_return": returns, "max_drawdown": np.abs(returns) + rng.exponential(0.02, paths)})
    frame["sharpe"] = np.where(rng.random(paths) < 0.05, np.nan, returns / 0.05 + rng.normal(size=paths))
    frame["trades"] = rng.poisson(4, paths).astype(float)
    return frame.rename_axis("path_id")


def strategy_of(name: str, metrics: pd.DataFrame) -> StrategyResult:
    returns = metrics["total_return"].to_numpy()
    return StrategyResult(
        name=name,
        use=f"rules.py:{name}",
        params={},
        metrics=[summarise_metric(metrics[m.name].to_numpy(), m.name) for m in MEASURED if m.name in metrics],
        probability_of_loss=share(returns < 0),
        drawdown_beyond=[],
        var={level: value_at_risk(returns, float(level)) for level in ("0.95", "0.99")},
        cvar={level: conditional_value_at_risk(returns, float(level), seed=0) for level in ("0.95", "0.99")},
        equity_fan=NO_FAN,
        realised=None,
        named_paths=[],
    )


def scenario_of(name: str, metrics: Mapping[str, pd.DataFrame]) -> ScenarioResult:
    paths = len(next(iter(metrics.values())))
    return ScenarioResult(
        name=name,
        role="scenario",
        generator={"kind": "gbm", "seed": 7},
        context=CONTEXT,
        horizon=5,
        timestamps=["2021-01-02"],
        paths=paths,
        candles=CandleAccount(paths, 5, paths, 0, 0, 0, 0, 0, [], 0, 0.0, 0.0, 0.0, "repair", "PASS"),
        volatility_ratio={},
        price_fan=NO_FAN,
        realised_close=[],
        strategies=[strategy_of(strategy, rows) for strategy, rows in metrics.items()],
    )


def run_of(metrics: Metrics, *, seed: int = 7, findings: list[Finding] | None = None, **spec: Any) -> StressRun:
    """Return a run of these metrics; ``spec`` holds more of every scenario's section."""
    counts = {name: len(next(iter(rows.values()))) for name, rows in metrics.items()}
    sections = [{"name": name, "paths": {"count": n, "seed": seed}, **spec} for name, n in counts.items()]
    return StressRun(
        name="made",
        title="Made",
        created="2026-01-01T00:00:00",
        command="",
        spec={"name": "made", "scenarios": sections, "report": {"folder": "anywhere"}},
        spec_text="",
        limits={},
        identity=IDENTITY,
        versions={"scenario-gen": "1", "numpy": "2"},
        device={"device": "cpu"},
        seconds={},
        scenarios=[scenario_of(name, rows) for name, rows in metrics.items()],
        findings=findings or [],
    )


def table_of(metrics: Metrics) -> pd.DataFrame:
    """Return the same metrics as metrics.parquet has them."""
    rows = [
        frame.reset_index().assign(scenario=scenario, strategy=strategy)
        for scenario, of in metrics.items()
        for strategy, frame in of.items()
    ]
    return pd.concat(rows, ignore_index=True)


def written(folder: Path, run: StressRun, metrics: Metrics | None) -> RunFolder:
    """Write a run into its folder, with the metrics of its paths where there are some."""
    store = RunFolder(folder)
    store.prepare(run.identity)
    if metrics is not None:
        store.claim(store.path / METRICS)
        table_of(metrics).to_parquet(store.path / METRICS, index=False)
    store.write_run(run)
    return store
