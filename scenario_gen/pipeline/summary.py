"""From merged blocks to a ScenarioResult: distributions, fans, findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import account_result
from scenario_gen.backtest.broker import AccountRules
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.findings import fills_findings
from scenario_gen.backtest.limits import Limits, strategy_findings
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.metrics import METRICS
from scenario_gen.backtest.regimes import by_regime
from scenario_gen.backtest.result import (
    FanPoints,
    NamedPath,
    Realised,
    StrategyResult,
    fan_bars,
    make_fan,
    repair_effect,
    rounded,
)
from scenario_gen.candles.account import candle_finding
from scenario_gen.finding import Finding
from scenario_gen.forecasts.judge import overlap_finding
from scenario_gen.generators.base import edge_finding
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.blocks.block import some_paths
from scenario_gen.pipeline.blocks.merged import COURSE, FanColumns, Merged, Scratches, merge_blocks
from scenario_gen.pipeline.named import named_paths, ranked
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.progress import Progress
from scenario_gen.stats.estimate import (
    ByName,
    conditional_value_at_risk,
    percentile_of,
    share,
    summarise_metric,
    value_at_risk,
)
from scenario_gen.stats.weights import Weights
from scenario_gen.store.columns import MetricTable, NamedTable, Scratch, Under
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import BookScenario, ContextView, ScenarioResult
from scenario_gen.stress.search import ContextInCrisis

# --- One strategy on many paths ---


# of the exceedance curve, together with the user's own limit
DRAWDOWN_STEPS = tuple(step / 100 for step in range(1, 61))
TAIL_LEVELS = ("0.95", "0.99")


def strategy_result(
    strategy: LoadedStrategy,
    metrics: ByName,
    equity: FanPoints,
    path_ids: NDArray[np.int64],
    horizon: int,
    limits: Limits,
    *,
    seed: int,
    realised: Realised | None = None,
    named: Sequence[NamedPath] = (),
    rules: AccountRules | None = None,
    weights: Weights | None = None,
) -> StrategyResult:
    """Sum one strategy up over all paths.

    Args:
        strategy: what was run.
        metrics: one number per path for every entry of ``METRICS``.
        equity: at each fan point, float64 [path], in the order of ``metrics``.
        path_ids: in that order [path].
        horizon: bars of a path.
        limits: the drawdown that the user declares is counted beside the curve's own steps.
        seed: of the bootstrap of CVaR.
        realised: the same strategy on what really happened.
        named: paths to show bar by bar.
        rules: of the account, where its endings are columns of ``metrics``.
        weights: of the paths, where they do not all stand for as much.
    """
    declared = limits.declared().get("max_drawdown")
    return StrategyResult(
        name=strategy.name,
        use=strategy.use,
        params=strategy.params,
        **figures_of(metrics, declared, seed=seed, rules=rules, weights=weights),
        equity_fan=make_fan(equity, path_ids, horizon, weights),
        realised=realised,
        named_paths=list(named),
    )


def figures_of(
    metrics: ByName, drawdown: float | None, *, seed: int, rules: AccountRules | None, weights: Weights | None
) -> dict[str, Any]:
    """Return every figure of a strategy that its metrics alone give, by the name of the part of its result.

    Args:
        metrics: as :func:`strategy_result`.
        drawdown: that the user declares; it is counted beside the curve's own steps.
        seed: of the bootstrap of CVaR.
        rules: of the account, or None.
        weights: of the paths, or None.
    """
    returns, falls = (np.asarray(metrics[name], dtype=np.float64) for name in ("total_return", "max_drawdown"))
    steps = sorted({*DRAWDOWN_STEPS, *filter(None, [drawdown])})
    return {
        "metrics": [summarise_metric(np.asarray(metrics[metric.name]), metric.name, weights) for metric in METRICS],
        "probability_of_loss": share(returns < 0, weights),
        "drawdown_beyond": [(step, share(falls >= step, weights)) for step in steps],
        "var": {level: value_at_risk(returns, float(level), weights) for level in TAIL_LEVELS},
        "cvar": {
            level: conditional_value_at_risk(returns, float(level), seed=seed, weights=weights) for level in TAIL_LEVELS
        },
        "account": None if rules is None else account_result(rules, metrics, weights),
    }


# --- From merged blocks to a ScenarioResult ---


NAMED_LIMIT = 60  # strategies x scenarios for which five paths each are kept bar by bar


def summarise(
    prepared: Sequence[Prepared],
    strategies: Sequence[LoadedStrategy],
    limits: Limits,
    store: RunFolder,
    progress: Progress,
) -> tuple[list[ScenarioResult], dict[str, MetricTable], list[Finding]]:
    """Merge every scenario's blocks; return the results, every path's metrics by scenario, and the findings.

    Raises:
        CheckError: every path of a scenario was rejected.
    """
    scenarios, candles, findings = [], list[NamedTable](), list[Finding]()
    tables: dict[str, MetricTable] = {}
    keep_named = len(prepared) * len(strategies) <= NAMED_LIMIT
    names = [strategy.name for strategy in strategies]
    kept, counted = Scratch(store.path), Scratch(store.path)
    with progress.stage("summarising", len(prepared)) as advance:
        for place, one in enumerate(prepared):
            with Scratch(store.path) as passing:
                merged = merge_blocks(one, names, store, Scratches(kept, counted, passing))
                named = keep_named or place == 0
                scenarios.append(_scenario_result(one, strategies, merged, limits, store, named=named))
                findings += _scenario_findings(one, strategies, merged)
            tables[one.name] = merged.table
            candles += [merged.candles] if one.scenario.paths.keep != "none" else []
            advance(1)
    if candles:
        store.write_candles(candles)
    counted.close()
    findings += limit_findings(scenarios, limits.declared())
    weighed = any(scenario.weighting for scenario in scenarios)
    return scenarios, {name: replace(table, weighed=weighed) for name, table in tables.items()}, findings


def _scenario_findings(ground: Prepared, strategies: Sequence[LoadedStrategy], merged: Merged) -> list[Finding]:
    """Return what is found on the paths of a scenario, before any limit."""
    end = ground.context.timestamps[-1].date().isoformat()
    overlap = overlap_finding(ground.name, end, ground.generator.trained_until)
    findings = [candle_finding(ground.name, merged.account), overlap]
    findings += edge_finding(ground.name, merged.provenance, merged.account.paths)
    if ground.scenario.role == "scenario":
        of_each = ((strategy, merged.metrics(place)) for place, strategy in enumerate(strategies))
        findings += fills_findings(of_each, {"": ground}, ground.name)
    return findings


def _scenario_result(
    prepared: Prepared,
    strategies: Sequence[LoadedStrategy],
    merged: Merged,
    limits: Limits,
    store: RunFolder,
    *,
    named: bool,
) -> ScenarioResult:
    shown = _shown_paths(prepared, strategies, merged, store) if named and strategies else None
    results = [
        _strategy_result(prepared, strategy, place, merged, limits, shown) for place, strategy in enumerate(strategies)
    ]
    ratio, weights, ranks = merged.columns["volatility_ratio"], merged.weights, (0.05, 0.5, 0.95)
    levels = np.quantile(ratio, ranks) if weights is None else weights.quantiles(ratio[:, None], ranks)[:, 0]
    return ScenarioResult(
        name=prepared.name,
        role=prepared.scenario.role,
        generator={**prepared.scenario.generator.model_dump(mode="json"), **merged.provenance},
        context=context_view(prepared),
        horizon=len(prepared.timestamps),
        timestamps=[stamp.isoformat() for stamp in prepared.timestamps],
        paths=merged.account.paths,
        candles=merged.account,
        volatility_ratio={name: float(v) for name, v in zip(("0.05", "0.5", "0.95"), levels, strict=True)},
        price_fan=make_fan(merged.close, merged.path_ids, len(prepared.timestamps), weights),
        realised_close=[float(c) for c in prepared.later.close],
        strategies=results,
        dial=prepared.dial,
        recalibration=prepared.recalibration,
        repair=[
            repair_effect(strategy.name, merged.metrics(place), merged.before(place), weights)
            for place, strategy in enumerate(strategies)
            if any(merged.changed)
        ],
        crisis=_ranked_crisis(prepared, merged),
        weighting=None if weights is None else weights.summary,
    )


def _ranked_crisis(prepared: Prepared, merged: Merged) -> ContextInCrisis | None:
    """Return the crisis that a context ends in, with what happened ranked among the paths at the bars of the fan."""
    bars = fan_bars(len(prepared.timestamps))
    bars = bars[bars <= len(prepared.later)]
    if prepared.crisis is None or len(bars) < 2:
        return prepared.crisis
    happened = np.concatenate(([prepared.anchor_close], prepared.later.close))[bars]
    return prepared.crisis.ranked(int(bars[-1]), [merged.close[point] for point in range(len(bars))], happened)


def _shown_paths(prepared: Prepared, strategies: Sequence[LoadedStrategy], merged: Merged, store: RunFolder) -> PathSet:
    """Return the paths that some strategy has at one of five ranks, from every block once."""
    rows = np.unique([row for place in range(len(strategies)) for row in ranked(merged.returns(place), merged.weights)])
    return some_paths(prepared, store, merged.path_ids[rows], merged.block_of[rows])


def _strategy_result(
    prepared: Prepared, strategy: LoadedStrategy, place: int, merged: Merged, limits: Limits, shown: PathSet | None
) -> StrategyResult:
    ids = merged.path_ids[ranked(merged.returns(place), merged.weights)]
    metrics = merged.metrics(place)
    known = strategy_result(
        strategy,
        metrics,
        FanColumns(merged.columns, f"equity{place}"),
        merged.path_ids,
        len(prepared.timestamps),
        limits,
        seed=prepared.scenario.paths.seed % 2**32,
        realised=_realised(prepared, strategy, place, merged),
        named=[] if shown is None else named_paths(prepared, strategy, ids, shown),
        rules=prepared.account,
        weights=merged.weights,
    )
    return replace(known, regimes=by_regime(Under(merged.columns, COURSE), metrics, merged.weights))


def _realised(prepared: Prepared, strategy: LoadedStrategy, place: int, merged: Merged) -> Realised | None:
    """Run the strategy on what really happened; place its return among the paths over the same bars."""
    if not len(prepared.later):
        return None
    result = trade(strategy, prepared, prepared.real(prepared.later))
    return realised_figures(
        result.metrics, len(prepared.later), merged.columns[f"then{place}"], prepared.broker.cash, merged.weights
    )


def realised_figures(
    metrics: pd.DataFrame, bars: int, equity_then: NDArray[np.float32], cash: float, weights: Weights | None = None
) -> Realised:
    """Return what a strategy made of what really happened, and where that stands among the paths.

    Args:
        metrics: its one row on real bars.
        bars: how many these are.
        equity_then: of every path after as many bars [path].
        cash: that it started with.
        weights: of the paths, where they do not all stand for as much.
    """
    figures = {name: float(value) for name, value in metrics.iloc[0].items()}
    then = equity_then.astype(np.float64) / cash - 1
    return Realised(
        bars=bars,
        metrics={str(name): value if np.isfinite(value) else None for name, value in figures.items()},
        percentile=percentile_of(figures["total_return"], then, weights),
    )


def context_view(prepared: Prepared) -> ContextView:
    """Return what the report shows of the seed: its ends and the bars just before the anchor."""
    context = prepared.context
    shown = context.rows(max(0, len(context) - max(24, 3 * len(prepared.timestamps) // 4)), len(context))
    return ContextView(
        instrument=context.name,
        source=context.source,
        start=context.timestamps[0].isoformat(),
        end=context.timestamps[-1].isoformat(),
        bars=len(context),
        anchor_close=float(context.close[-1]),
        calendar=prepared.calendar.code,
        bars_per_year=float(prepared.bars_per_year),
        timestamps=[stamp.isoformat() for stamp in shown.timestamps],
        **{name: rounded(shown.column(name)) for name in ("open", "high", "low", "close")},
        flags=_flag_texts(prepared),
        sha256=context.sha256(),
    )


def _flag_texts(prepared: Prepared) -> list[str]:
    """Return what is odd about the history and about what the spec says of its market, with what the context has."""
    first = len(prepared.history) - len(prepared.context)
    texts = []
    for flag in (*prepared.history.flags, *prepared.rules.misfits):
        inside = sum(row >= first for row in flag.rows)
        seen = f" ({inside:,} of them in the context)" if flag.rows else ""
        texts.append(prepared.history.flag_text(flag) + seen)
    return texts


def limit_findings(scenarios: Sequence[ScenarioResult | BookScenario], limits: Mapping[str, float]) -> list[Finding]:
    """Return one finding per scenario, strategy and limit; baselines are shown beside and not judged."""
    return [
        finding
        for scenario in scenarios
        if scenario.role == "scenario"
        for strategy in scenario.strategies
        for finding in strategy_findings(strategy, limits, scenario.name)
    ]
