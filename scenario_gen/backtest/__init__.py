"""Backtests: strategies loaded from files, filled by vectorbt over every path, measured and summed up.

A strategy file imports :class:`Bars` and :class:`Signals` from here, which costs no more than pandas. Every name is
loaded when it is first asked for, the engine (and vectorbt with it) too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_gen.lazy import public_names

if TYPE_CHECKING:
    from scenario_gen.backtest.agreement import (
        Agreement as Agreement,
        generators_side_by_side as generators_side_by_side,
    )
    from scenario_gen.backtest.book_losses import BookLosses as BookLosses, fall_edges as fall_edges
    from scenario_gen.backtest.book_risk import BookRisk as BookRisk
    from scenario_gen.backtest.engine import BacktestResult as BacktestResult, run_backtest as run_backtest
    from scenario_gen.backtest.ground import Ground as Ground
    from scenario_gen.backtest.loader import (
        Dropped as Dropped,
        Expansion as Expansion,
        LoadedStrategy as LoadedStrategy,
        expand as expand,
        load_strategy as load_strategy,
    )
    from scenario_gen.backtest.metrics import METRICS as METRICS, Metric as Metric
    from scenario_gen.backtest.nulls import (
        RandomEntries as RandomEntries,
        buy_and_hold as buy_and_hold,
        random_entries as random_entries,
    )
    from scenario_gen.backtest.overfitting.cscv import (
        Overfitting as Overfitting,
        overfitting_on_paths as overfitting_on_paths,
        overfitting_probability as overfitting_probability,
    )
    from scenario_gen.backtest.overfitting.grids import (
        Stability as Stability,
        parameter_stability as parameter_stability,
    )
    from scenario_gen.backtest.overfitting.sharpe import DeflatedSharpe as DeflatedSharpe, deflate_best as deflate_best
    from scenario_gen.backtest.probe import (
        CausalityProbe as CausalityProbe,
        Leak as Leak,
        probe_causality as probe_causality,
    )
    from scenario_gen.backtest.reruns import (
        IntrabarOrders as IntrabarOrders,
        WarmUp as WarmUp,
        intrabar_orders as intrabar_orders,
        warm_up as warm_up,
    )
    from scenario_gen.backtest.skill import (
        PairedComparison as PairedComparison,
        Skill as Skill,
        compare_each_other as compare_each_other,
        compare_with as compare_with,
        judge_together as judge_together,
    )
    from scenario_gen.backtest.strategy import (
        Bars as Bars,
        Signals as Signals,
        Strategy as Strategy,
        Targets as Targets,
    )
    from scenario_gen.backtest.tail.causes import TailCauses as TailCauses, tail_causes as tail_causes
    from scenario_gen.backtest.tail.losses import (
        Drawdowns as Drawdowns,
        RuinCurve as RuinCurve,
        TailLoss as TailLoss,
        ruin_curves as ruin_curves,
        summarise_drawdowns as summarise_drawdowns,
        tail_losses as tail_losses,
    )
    from scenario_gen.backtest.tail.marker import Marker as Marker, historical_marker as historical_marker
    from scenario_gen.stats.estimate import (
        Estimate as Estimate,
        MetricSummary as MetricSummary,
        conditional_value_at_risk as conditional_value_at_risk,
        percentile_of as percentile_of,
        share as share,
        summarise_metric as summarise_metric,
        value_at_risk as value_at_risk,
    )
else:
    __getattr__, __dir__ = public_names(__name__)
