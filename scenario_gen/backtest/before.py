"""Strategies on paths as they were before something was done to them: before repair, or before shocks.

Owns the columns of such results, and what repair made of a strategy's figures. Knows neither rules nor shocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.result import RepairedFigure, RepairEffect
from scenario_gen.errors import StrategyError
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.estimate import mean, quantile
from scenario_gen.stats.weights import Weights

BEFORE = ("path_id", "total_return", "max_drawdown", "strategy")
FIGURES = (("total_return", 0.5), ("total_return", 0.05), ("max_drawdown", 0.95))
COLUMNS = ("total_return", "max_drawdown")


def results_before(
    ground: Ground, strategies: Sequence[LoadedStrategy], paths: PathSet | None, *, or_nothing: bool = False
) -> pd.DataFrame:
    """Return the columns of BEFORE, one row per strategy (its place) and path; none where there are no paths.

    Args:
        ground: of the paths.
        strategies: in the order of their places.
        paths: as they were before.
        or_nothing: NaN where a strategy cannot be run.

    Raises:
        StrategyError: a strategy cannot be run, and ``or_nothing`` is not said.
    """
    if paths is None or not len(paths):
        return pd.DataFrame(columns=[*BEFORE])
    rows = []
    for place, strategy in enumerate(strategies):
        try:
            metrics = trade(strategy, ground, paths).metrics[list(COLUMNS)]
        except StrategyError:
            if not or_nothing:
                raise
            metrics = pd.DataFrame(np.nan, columns=list(COLUMNS), index=pd.Index(paths.path_ids, name="path_id"))
        rows.append(metrics.assign(strategy=place))
    return pd.concat(rows).reset_index()


def repair_effects(
    strategies: Sequence[LoadedStrategy],
    metrics: pd.DataFrame,
    unrepaired: pd.DataFrame,
    weights: Weights | None = None,
) -> list[RepairEffect]:
    """Return each strategy's figures with and without repair; an empty list where nothing was repaired.

    Args:
        strategies: in the order of their places.
        metrics: one row per strategy (its place) and kept path.
        unrepaired: one row per strategy and changed path.
        weights: of the kept paths, in the order of each strategy's metrics, where they do not all stand for as much.
    """
    if unrepaired.empty:
        return []
    return [
        _effect(
            strategy.name, metrics[metrics["strategy"] == place], unrepaired[unrepaired["strategy"] == place], weights
        )
        for place, strategy in enumerate(strategies)
    ]


def _effect(name: str, metrics: pd.DataFrame, unrepaired: pd.DataFrame, weights: Weights | None) -> RepairEffect:
    repaired = metrics.set_index("path_id")[list(COLUMNS)]
    before = unrepaired.set_index("path_id")[list(COLUMNS)]
    raw = repaired.copy()
    raw.loc[before.index] = before
    figures = [
        RepairedFigure(
            metric, level, *(quantile(frame[metric].to_numpy(), level, weights) for frame in (raw, repaired))
        )
        for metric, level in FIGURES
    ]
    moved = (repaired - raw)["total_return"].to_numpy()
    return RepairEffect(
        strategy=name,
        paths=len(before),
        failed=int(before["total_return"].isna().sum()),
        figures=figures,
        difference=mean(moved, weights),
    )
