"""Named paths: the worst, the best and three between, bar by bar with the strategy's fills on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.engine import BacktestResult, trade
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.blocks import some_paths
from scenario_gen.pipeline.prepare import Prepared
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import NamedPath, Trade

RANKS = (("worst", 0.0), ("5 % quantile", 0.05), ("median", 0.5), ("95 % quantile", 0.95), ("best", 1.0))


def named_paths(
    one: Prepared,
    strategy: LoadedStrategy,
    returns: NDArray[np.float64],
    path_ids: NDArray[np.int64],
    block_of: NDArray[np.int64],
    store: RunFolder,
) -> list[NamedPath]:
    """Return the paths at five ranks of total return, backtested once more to have every trade.

    Args:
        one: the scenario.
        strategy: whose returns rank the paths.
        returns: total return [path].
        path_ids: ids in the same order.
        block_of: the block of each path.
        store: where the blocks are.
    """
    order = np.argsort(returns, kind="stable")
    rows = [int(order[round(rank * (len(order) - 1))]) for _, rank in RANKS]
    distinct = some_paths(one, store, path_ids[rows], block_of[rows])
    result = trade(strategy, one, distinct)
    return [
        _named(label, strategy.name, distinct, int(path_ids[row]), result)
        for (label, _), row in zip(RANKS, rows, strict=True)
    ]


def _named(label: str, strategy: str, paths: PathSet, path_id: int, result: BacktestResult) -> NamedPath:
    row = int(np.flatnonzero(paths.path_ids == path_id)[0])
    trades = result.trades[result.trades["path_id"] == path_id]
    prices = {name: _digits(paths.column(name)[row], 7) for name in ("open", "high", "low", "close")}
    return NamedPath(
        label=label,
        path_id=path_id,
        strategy=strategy,
        total_return=float(result.metrics.loc[path_id, "total_return"]),
        timestamps=[stamp.isoformat() for stamp in paths.timestamps],
        **prices,
        equity=_digits(result.equity[row], 8),
        exposure=_digits(result.exposure[row], 4),
        trades=[
            Trade(
                side=trade.side,
                entry_bar=int(trade.entry_bar),
                entry_price=float(trade.entry_price),
                exit_bar=int(trade.exit_bar),
                exit_price=float(trade.exit_price),
                size=float(trade.size),
                pnl=float(trade.pnl),
                fees=float(trade.fees),
                open=bool(trade.open),
            )
            for trade in trades.itertuples()
        ],
    )


def _digits(values: NDArray[np.float32], digits: int) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values]
