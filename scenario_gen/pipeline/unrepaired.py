"""What the repair of candles did to the strategies: the repaired paths once more, as the generator gave them.

Only paths that the repair changed are run twice; on all others the results are the same by construction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.candles.check import CheckedPaths
from scenario_gen.errors import StrategyError
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.prepare import Prepared
from scenario_gen.stats.estimate import mean, quantile
from scenario_gen.store.results import RepairedFigure, RepairEffect

FIGURES = (("total_return", 0.5), ("total_return", 0.05), ("max_drawdown", 0.95))
COLUMNS = ("total_return", "max_drawdown")


def run_unrepaired(prepared: Prepared, strategies: Sequence[LoadedStrategy], checked: CheckedPaths) -> pd.DataFrame:
    """Return total return and drawdown of every strategy on each changed path before repair.

    NaN where a strategy cannot be run on raw candles: a high below the close may be more than it stands.
    """
    raw = checked.raw.select(checked.changed)
    if not len(raw):
        return pd.DataFrame(columns=["path_id", *COLUMNS, "strategy"])
    rows = [_one(prepared, strategy, raw).assign(strategy=place) for place, strategy in enumerate(strategies)]
    return pd.concat(rows).reset_index()


def _one(prepared: Prepared, strategy: LoadedStrategy, raw: PathSet) -> pd.DataFrame:
    try:
        result = trade(strategy, prepared, raw)
    except StrategyError:
        nothing = np.full((len(raw), len(COLUMNS)), np.nan)
        return pd.DataFrame(nothing, columns=list(COLUMNS), index=pd.Index(raw.path_ids, name="path_id"))
    return result.metrics[list(COLUMNS)]


def repair_effects(
    strategies: Sequence[LoadedStrategy], metrics: pd.DataFrame, unrepaired: pd.DataFrame
) -> list[RepairEffect]:
    """Return each strategy's figures with and without repair; an empty list where nothing was repaired.

    Args:
        strategies: in the order of their places.
        metrics: one row per strategy (its place) and kept path.
        unrepaired: one row per strategy and changed path.
    """
    if unrepaired.empty:
        return []
    return [
        _effect(strategy.name, metrics[metrics["strategy"] == place], unrepaired[unrepaired["strategy"] == place])
        for place, strategy in enumerate(strategies)
    ]


def _effect(name: str, metrics: pd.DataFrame, unrepaired: pd.DataFrame) -> RepairEffect:
    repaired = metrics.set_index("path_id")[list(COLUMNS)]
    before = unrepaired.set_index("path_id")[list(COLUMNS)]
    raw = repaired.copy()
    raw.loc[before.index] = before
    figures = [
        RepairedFigure(metric, level, *(quantile(frame[metric].to_numpy(), level) for frame in (raw, repaired)))
        for metric, level in FIGURES
    ]
    moved = (repaired - raw)["total_return"].to_numpy()
    return RepairEffect(
        strategy=name,
        paths=len(before),
        failed=int(before["total_return"].isna().sum()),
        figures=figures,
        difference=mean(moved),
    )
