"""The paths at five ranks of a strategy's returns, shown bar by bar: what came, what was filled, what it was worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.book import BookGround, trade_book
from scenario_gen.backtest.engine import BacktestResult, trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.result import NamedPath, Trade
from scenario_gen.market.book import BookPaths
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.weights import Weights

RANKS = (("worst", 0.0), ("5 % quantile", 0.05), ("median", 0.5), ("95 % quantile", 0.95), ("best", 1.0))


def ranked(returns: NDArray[np.float64], weights: Weights | None = None) -> list[int]:
    """Return the rows of the paths at five ranks of total return [path]; of weighted ones, of what they stand for."""
    if weights is not None:
        return weights.rows_at(returns, tuple(rank for _, rank in RANKS))
    order = np.argsort(returns, kind="stable")
    return [int(order[round(rank * (len(order) - 1))]) for _, rank in RANKS]


def named_paths(ground: Ground, strategy: LoadedStrategy, ids: NDArray[np.int64], paths: PathSet) -> list[NamedPath]:
    """Return the paths at five ranks, backtested once more to have every trade.

    Args:
        ground: of the scenario.
        strategy: whose returns rank the paths.
        ids: of the paths, from the worst to the best.
        paths: those, and others.
    """
    distinct = paths.select(np.unique(ids))
    result = trade(strategy, ground, distinct)
    return [
        _named(label, strategy.name, distinct, int(path), result) for (label, _), path in zip(RANKS, ids, strict=True)
    ]


def _named(label: str, strategy: str, paths: PathSet, path_id: int, result: BacktestResult) -> NamedPath:
    row = int(np.flatnonzero(paths.path_ids == path_id)[0])
    candles = {name: digits(paths.column(name)[row], 7) for name in ("open", "high", "low", "close")}
    return NamedPath(
        label=label,
        path_id=path_id,
        strategy=strategy,
        total_return=float(result.metrics.loc[path_id, "total_return"]),
        timestamps=[stamp.isoformat() for stamp in paths.timestamps],
        open=candles["open"],
        high=candles["high"],
        low=candles["low"],
        close=candles["close"],
        equity=digits(result.equity[row], 8),
        exposure=digits(result.exposure[row], 4),
        trades=trades_of(result, path_id),
    )


def trades_of(result: BacktestResult, path_id: int) -> list[Trade]:
    """Return every round trip on one path; in a book, with the asset that was traded."""
    return [
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
            asset=str(getattr(trade, "asset", "")),
        )
        for trade in result.trades[result.trades["path_id"] == path_id].itertuples()
    ]


def digits(values: NDArray[np.floating[Any]], count: int) -> list[float]:
    """Return numbers with so many significant digits."""
    return [float(f"{value:.{count}g}") for value in values]


def named_futures(
    strategy: LoadedStrategy, ground: BookGround, ids: NDArray[np.int64], paths: BookPaths
) -> list[NamedPath]:
    """Return the futures of a book at five ranks; as :func:`named_paths`, with the close of every asset."""
    result = trade_book(strategy, ground, paths).result
    closes = paths.on_grid("close")  # [path, bar, asset]
    told = []
    for (label, _), path_id in zip(RANKS, ids, strict=True):
        row = int(np.flatnonzero(paths.path_ids == path_id)[0])
        told.append(
            NamedPath(
                label=label,
                path_id=int(path_id),
                strategy=strategy.name,
                total_return=float(result.metrics.loc[path_id, "total_return"]),
                timestamps=[stamp.isoformat() for stamp in paths.timestamps],
                open=[],
                high=[],
                low=[],
                close=[],
                equity=digits(result.equity[row], 8),
                exposure=digits(result.exposure[row], 4),
                trades=trades_of(result, int(path_id)),
                closes={asset: digits(closes[row, :, at], 7) for at, asset in enumerate(paths.assets)},
            )
        )
    return told
