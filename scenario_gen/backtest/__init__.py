"""Backtests: strategies loaded from files, filled by vectorbt over every path, measured and summed up.

A strategy file imports :class:`Bars` and :class:`Signals` from here, which costs no more than pandas. Every name is
loaded when it is first asked for, the engine (and vectorbt with it) too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenario_gen.backtest.engine import BacktestResult, run_backtest
    from scenario_gen.backtest.ground import Ground
    from scenario_gen.backtest.inference.agreement import Agreement, generators_side_by_side
    from scenario_gen.backtest.inference.nulls import RandomEntries, buy_and_hold, random_entries
    from scenario_gen.backtest.inference.paired import PairedComparison, compare_each_other, compare_with
    from scenario_gen.backtest.inference.skill import Skill, judge_together, skill
    from scenario_gen.backtest.intrabar import IntrabarOrders, intrabar_orders
    from scenario_gen.backtest.loader import Dropped, Expansion, LoadedStrategy, expand, load_strategy
    from scenario_gen.backtest.metrics import METRICS, Metric
    from scenario_gen.backtest.overfitting import (
        DeflatedSharpe,
        Overfitting,
        Stability,
        deflate_best,
        overfitting_on_paths,
        overfitting_probability,
        parameter_stability,
    )
    from scenario_gen.backtest.probe import CausalityProbe, Leak, probe_causality
    from scenario_gen.backtest.strategy import Bars, Signals, Strategy
    from scenario_gen.backtest.tail import (
        Drawdowns,
        Marker,
        RuinCurve,
        TailCauses,
        TailLoss,
        historical_marker,
        ruin_curves,
        summarise_drawdowns,
        tail_causes,
        tail_losses,
    )
    from scenario_gen.backtest.warming import WarmUp, warm_up

__all__ = [
    "METRICS",
    "Agreement",
    "BacktestResult",
    "Bars",
    "CausalityProbe",
    "DeflatedSharpe",
    "Drawdowns",
    "Dropped",
    "Expansion",
    "Ground",
    "IntrabarOrders",
    "Leak",
    "LoadedStrategy",
    "Marker",
    "Metric",
    "Overfitting",
    "PairedComparison",
    "RandomEntries",
    "RuinCurve",
    "Signals",
    "Skill",
    "Stability",
    "Strategy",
    "TailCauses",
    "TailLoss",
    "WarmUp",
    "buy_and_hold",
    "compare_each_other",
    "compare_with",
    "deflate_best",
    "expand",
    "generators_side_by_side",
    "historical_marker",
    "intrabar_orders",
    "judge_together",
    "load_strategy",
    "overfitting_on_paths",
    "overfitting_probability",
    "parameter_stability",
    "probe_causality",
    "random_entries",
    "ruin_curves",
    "run_backtest",
    "skill",
    "summarise_drawdowns",
    "tail_causes",
    "tail_losses",
    "warm_up",
]


# Where to find each name.
LATER = {
    "Dropped": "loader",
    "Expansion": "loader",
    "Ground": "ground",
    "LoadedStrategy": "loader",
    "expand": "loader",
    "load_strategy": "loader",
    "METRICS": "metrics",
    "Metric": "metrics",
    "Bars": "strategy",
    "Signals": "strategy",
    "Strategy": "strategy",
    "Drawdowns": "tail",
    "Marker": "tail",
    "RuinCurve": "tail",
    "TailCauses": "tail",
    "TailLoss": "tail",
    "historical_marker": "tail",
    "ruin_curves": "tail",
    "summarise_drawdowns": "tail",
    "tail_causes": "tail",
    "tail_losses": "tail",
    "DeflatedSharpe": "overfitting",
    "Overfitting": "overfitting",
    "Stability": "overfitting",
    "deflate_best": "overfitting",
    "overfitting_on_paths": "overfitting",
    "overfitting_probability": "overfitting",
    "parameter_stability": "overfitting",
    "BacktestResult": "engine",
    "run_backtest": "engine",
    "RandomEntries": "inference.nulls",
    "buy_and_hold": "inference.nulls",
    "random_entries": "inference.nulls",
    "Agreement": "inference.agreement",
    "generators_side_by_side": "inference.agreement",
    "PairedComparison": "inference.paired",
    "compare_each_other": "inference.paired",
    "compare_with": "inference.paired",
    "Skill": "inference.skill",
    "judge_together": "inference.skill",
    "skill": "inference.skill",
    "CausalityProbe": "probe",
    "IntrabarOrders": "intrabar",
    "intrabar_orders": "intrabar",
    "Leak": "probe",
    "probe_causality": "probe",
    "WarmUp": "warming",
    "warm_up": "warming",
}


def __getattr__(name: str) -> Any:
    if name in LATER:
        return getattr(import_module(f"scenario_gen.backtest.{LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
