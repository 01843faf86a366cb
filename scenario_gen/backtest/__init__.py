"""Backtests: strategies loaded from files, filled by vectorbt over every path, measured and summed up.

A strategy file imports :class:`Bars` and :class:`Signals` from here, which costs no more than pandas. The
engine (and vectorbt with it) is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scenario_gen.backtest.distribution import (
    Estimate,
    MetricSummary,
    conditional_value_at_risk,
    percentile_of,
    share,
    summarise_metric,
    value_at_risk,
)
from scenario_gen.backtest.loader import Dropped, Expansion, LoadedStrategy, expand, load_strategy
from scenario_gen.backtest.metrics import METRICS, Metric
from scenario_gen.backtest.strategy import Bars, Signals, Strategy

if TYPE_CHECKING:
    from scenario_gen.backtest.engine import BacktestResult, run_backtest

__all__ = [
    "METRICS",
    "BacktestResult",
    "Bars",
    "Dropped",
    "Estimate",
    "Expansion",
    "LoadedStrategy",
    "Metric",
    "MetricSummary",
    "Signals",
    "Strategy",
    "conditional_value_at_risk",
    "expand",
    "load_strategy",
    "percentile_of",
    "run_backtest",
    "share",
    "summarise_metric",
    "value_at_risk",
]


def __getattr__(name: str) -> Any:
    if name in ("BacktestResult", "run_backtest"):
        from scenario_gen.backtest import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
