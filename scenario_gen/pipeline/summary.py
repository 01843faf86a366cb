"""From stored blocks to a ScenarioResult: accounts added up, distributions, fans, findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
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
from scenario_gen.backtest.regimes import by_regime, courses
from scenario_gen.backtest.result import (
    NamedPath,
    Realised,
    StrategyResult,
    fan_bars,
    make_fan,
    repair_effects,
    rounded,
)
from scenario_gen.candles.account import CandleAccount, candle_finding, merge_tallies
from scenario_gen.candles.check import none_left
from scenario_gen.finding import Finding
from scenario_gen.forecasts.judge import overlap_finding
from scenario_gen.generators.base import edge_finding
from scenario_gen.market.paths import PathSet, joined
from scenario_gen.pipeline.blocks import FinishedBlock, block_indices, some_paths
from scenario_gen.pipeline.named import named_paths, ranked
from scenario_gen.pipeline.study import Prepared
from scenario_gen.progress import Progress
from scenario_gen.stats.estimate import conditional_value_at_risk, percentile_of, share, summarise_metric, value_at_risk
from scenario_gen.stats.weights import Weights
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import BookScenario, ContextView, ScenarioResult
from scenario_gen.stress.search import ContextInCrisis

# --- One strategy on many paths ---


# of the exceedance curve, together with the user's own limit
DRAWDOWN_STEPS = tuple(step / 100 for step in range(1, 61))
TAIL_LEVELS = ("0.95", "0.99")


def strategy_result(
    strategy: LoadedStrategy,
    metrics: pd.DataFrame,
    equity: NDArray[np.float32],
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
        metrics: one row per path, index path_id, one column per entry of ``METRICS``.
        equity: at the fan points, float32 [path, fan point], in the order of ``metrics``.
        horizon: bars of a path.
        limits: the drawdown that the user declares is counted beside the curve's own steps.
        seed: of the bootstrap of CVaR.
        realised: the same strategy on what really happened.
        named: paths to show bar by bar.
        rules: of the account, where its endings are columns of ``metrics``.
        weights: of the paths, where they do not all stand for as much.
    """
    returns, falls = (metrics[name].to_numpy(dtype=np.float64) for name in ("total_return", "max_drawdown"))
    steps = sorted({*DRAWDOWN_STEPS, *filter(None, [limits.declared().get("max_drawdown")])})
    return StrategyResult(
        name=strategy.name,
        use=strategy.use,
        params=strategy.params,
        metrics=[summarise_metric(metrics[metric.name].to_numpy(), metric.name, weights) for metric in METRICS],
        probability_of_loss=share(returns < 0, weights),
        drawdown_beyond=[(step, share(falls >= step, weights)) for step in steps],
        var={level: value_at_risk(returns, float(level), weights) for level in TAIL_LEVELS},
        cvar={
            level: conditional_value_at_risk(returns, float(level), seed=seed, weights=weights) for level in TAIL_LEVELS
        },
        equity_fan=make_fan(equity.astype(np.float64), metrics.index.to_numpy(), horizon, weights),
        realised=realised,
        named_paths=list(named),
        account=None if rules is None else account_result(rules, metrics, weights),
    )


# --- From stored blocks to a ScenarioResult ---


# Counts of paths; the others are of the context, once per scenario.
ADDED_UP = {"pinned_bars", "pinned_paths", "clipped_own_bars", "shocked_bad_bars"}
NAMED_LIMIT = 60  # strategies x scenarios for which five paths each are kept bar by bar


@dataclass(frozen=True)
class Merged:
    """All blocks of one scenario, without the whole paths."""

    path_ids: NDArray[np.int64]  # [path] of the kept paths
    metrics: pd.DataFrame  # one row per strategy (its place in the list) and path
    unrepaired: pd.DataFrame  # total return and drawdown before repair, one row per strategy (its place), changed path
    candles: pd.DataFrame  # the counts of every candle rule, one row per raw path
    equity: NDArray[np.float32]  # [strategy, path, fan point]
    equity_then: NDArray[np.float32]  # [strategy, path] where the real continuation ends; no rows without one
    close: NDArray[np.float64]  # [path, fan point], the anchor first
    volatility_ratio: NDArray[np.float64]  # [path]
    account: CandleAccount  # of the candles
    provenance: dict[str, Any]  # of the first block; counts are added up
    block_of: NDArray[np.int64]  # the block that each kept path lies in [path]
    courses: dict[str, NDArray[np.float64]]  # the numbers by which regimes tell paths apart, [path] each
    weights: Weights | None = None  # of the kept paths; None where all stand for as much

    def returns(self, place: int) -> NDArray[np.float64]:
        """Return the total returns of the strategy at this place [path]."""
        return np.asarray(self.metrics.loc[self.metrics["strategy"] == place, "total_return"], dtype=np.float64)


def summarise(
    prepared: Sequence[Prepared],
    strategies: Sequence[LoadedStrategy],
    limits: Limits,
    store: RunFolder,
    progress: Progress,
) -> tuple[list[ScenarioResult], pd.DataFrame, list[Finding]]:
    """Merge every scenario's blocks; return the results, all per-path metrics and the findings.

    Raises:
        CheckError: every path of a scenario was rejected.
    """
    scenarios, metrics, candles, findings = [], [], [], []
    keep_named = len(prepared) * len(strategies) <= NAMED_LIMIT
    with progress.stage("summarising", len(prepared)) as advance:
        for place, one in enumerate(prepared):
            merged = merge_blocks(one, store)
            named = keep_named or place == 0
            scenarios.append(_scenario_result(one, strategies, merged, limits, store, named=named))
            metrics.append(_weighed_metrics(one.name, strategies, merged))
            candles.append(merged.candles.assign(scenario=one.name))
            end = one.context.timestamps[-1].date().isoformat()
            overlap = overlap_finding(one.name, end, one.generator.trained_until)
            findings += [candle_finding(one.name, merged.account), overlap]
            findings += edge_finding(one.name, merged.provenance, merged.account.paths)
            findings += (
                fills_findings(strategies, merged.metrics, {"": one}, one.name)
                if one.scenario.role == "scenario"
                else []
            )
            advance(1)
    store.write_candles(pd.concat(candles, ignore_index=True))
    findings += limit_findings(scenarios, limits.declared())
    return scenarios, _without_equal_weights(pd.concat(metrics, ignore_index=True), scenarios), findings


def merge_blocks(prepared: Prepared, store: RunFolder) -> Merged:
    """Read a scenario's blocks one after the other; whole paths pass through and, if asked, to Parquet."""
    paths = prepared.scenario.paths
    fan = fan_bars(len(prepared.timestamps))[1:] - 1
    parts: list[FinishedBlock] = []
    closes, numbers, block_of = [], [], []
    writer = store.paths_writer(prepared.name) if paths.keep else nullcontext()
    with writer as out:
        for index in block_indices(prepared, store):
            part = FinishedBlock.load(prepared, store, index)
            if out is not None:
                out.write(part.paths)
            closes.append(part.paths.close[:, fan])
            numbers.append(courses(part.paths))
            block_of.append(np.full(len(part.paths), index))
            parts.append(part.without_bars())
    path_ids = np.concatenate([part.paths.path_ids for part in parts])
    if not len(path_ids):
        raise none_left(paths.count, prepared.name)
    anchor = np.full((len(path_ids), 1), prepared.anchor_close)
    provenance = parts[0].provenance
    for name in ADDED_UP & provenance.keys():
        provenance[name] = sum(part.provenance[name] for part in parts)
    return Merged(
        path_ids=path_ids,
        metrics=_joined([part.metrics for part in parts]),
        unrepaired=_joined([part.unrepaired for part in parts]),
        candles=pd.concat([part.tally.counts for part in parts]).reset_index(),
        equity=np.concatenate([part.equity for part in parts], axis=1),
        equity_then=np.concatenate([part.equity_then for part in parts], axis=1),
        close=np.concatenate((anchor, np.concatenate(closes)), axis=1),
        courses={key: np.concatenate([each[key] for each in numbers]) for key in numbers[0]},
        volatility_ratio=np.concatenate([part.volatility_ratio for part in parts]),
        account=merge_tallies([part.tally for part in parts]),
        provenance=provenance,
        block_of=np.concatenate(block_of),
        weights=joined([part.paths for part in parts]).weighting,
    )


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return frames one below the other; empty ones, which know no types, are left out where there are others."""
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def _weighed_metrics(scenario: str, strategies: Sequence[LoadedStrategy], merged: Merged) -> pd.DataFrame:
    """Return the metrics with their scenario, the strategy's name and what each path stands for, of sum 1."""
    metrics, paths = merged.metrics, len(merged.path_ids)
    shares = np.full(paths, 1 / paths) if merged.weights is None else merged.weights.shares
    metrics = metrics.assign(weight=metrics["path_id"].map(pd.Series(shares, index=merged.path_ids)))
    return named_metrics(scenario, strategies, metrics)


def named_metrics(scenario: str, strategies: Sequence[LoadedStrategy], metrics: pd.DataFrame) -> pd.DataFrame:
    """Return metrics of strategies by their place with the scenario and the strategy's name, keys first."""
    names = np.array([strategy.name for strategy in strategies], dtype=object)
    named = metrics.assign(scenario=scenario, strategy=names[metrics["strategy"].to_numpy()])
    first = ["scenario", "strategy", "path_id"]
    return named[[*first, *(column for column in named.columns if column not in first)]]


def _without_equal_weights(metrics: pd.DataFrame, scenarios: Sequence[ScenarioResult]) -> pd.DataFrame:
    """Leave out the column of weights where no scenario of the run has any."""
    return metrics if any(scenario.weighting for scenario in scenarios) else metrics.drop(columns="weight")


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
    ratio, weights, ranks = merged.volatility_ratio, merged.weights, (0.05, 0.5, 0.95)
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
        repair=repair_effects(strategies, merged.metrics, merged.unrepaired, weights),
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
    return prepared.crisis.ranked(int(bars[-1]), merged.close[:, : len(bars)], happened)


def _shown_paths(prepared: Prepared, strategies: Sequence[LoadedStrategy], merged: Merged, store: RunFolder) -> PathSet:
    """Return the paths that some strategy has at one of five ranks, from every block once."""
    rows = np.unique([row for place in range(len(strategies)) for row in ranked(merged.returns(place), merged.weights)])
    return some_paths(prepared, store, merged.path_ids[rows], merged.block_of[rows])


def _strategy_result(
    prepared: Prepared, strategy: LoadedStrategy, place: int, merged: Merged, limits: Limits, shown: PathSet | None
) -> StrategyResult:
    ids = merged.path_ids[ranked(merged.returns(place), merged.weights)]
    metrics = merged.metrics[merged.metrics["strategy"] == place].set_index("path_id")
    known = strategy_result(
        strategy,
        metrics,
        merged.equity[place],
        len(prepared.timestamps),
        limits,
        seed=prepared.scenario.paths.seed % 2**32,
        realised=_realised(prepared, strategy, place, merged),
        named=[] if shown is None else named_paths(prepared, strategy, ids, shown),
        rules=prepared.account,
        weights=merged.weights,
    )
    return replace(known, regimes=by_regime(merged.courses, metrics, merged.weights))


def _realised(prepared: Prepared, strategy: LoadedStrategy, place: int, merged: Merged) -> Realised | None:
    """Run the strategy on what really happened; place its return among the paths over the same bars."""
    if not len(prepared.later):
        return None
    result = trade(strategy, prepared, prepared.real(prepared.later))
    return realised_figures(
        result.metrics, len(prepared.later), merged.equity_then[place], prepared.broker.cash, merged.weights
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
