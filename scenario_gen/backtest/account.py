"""From filled orders to an account: equity, exposure, traded value and fees at each bar, and the bar of ruin.

Plain arithmetic on arrays; knows neither strategies nor vectorbt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A position this small against everything ever traded on the path is rounding left by adding and subtracting
# the same number: float64 carries 16 digits, of which some hundreds of orders spoil three at most.
DUST = 1e-12

# An account left with less than this share of its starting cash is ruined.
RUINED = 1e-9


@dataclass(frozen=True)
class Orders:
    """Filled orders of many paths."""

    path: Ints  # int64 [order], column number
    bar: Ints  # int64 [order], from 0 at the first generated bar
    size: Floats  # float64 [order], units, positive bought and negative sold
    price: Floats  # float64 [order], fill price with slippage
    fees: Floats  # float64 [order], in quote currency


@dataclass(frozen=True)
class Account:
    """What the orders made of the starting cash.

    A path is ruined at the first close at which its equity is below a billionth of the starting cash. The
    account is closed there: equity, exposure, traded value and fees are zero from then on.
    """

    equity: Floats  # float64 [path, bar + 1]; the starting cash and then the equity at each close, never negative
    exposure: Floats  # float64 [path, bar], position value over equity at the close, negative when short
    traded: Floats  # float64 [path, bar], value bought plus value sold
    fees: Floats  # float64 [path, bar], the cost of borrowing included
    ruin: Ints  # int64 [path], the bar of ruin, or the number of bars where there is none


def settle(orders: Orders, close: Floats, cash: Floats, financing: Floats | None = None) -> Account:
    """Return the account of every path.

    Args:
        orders: all fills.
        close: float64 [path, bar].
        cash: float64 [path], starting cash.
        financing: float64 [path, bar], what borrowing cost at each close; counted among the fees.
    """
    value = orders.size * orders.price
    units = np.cumsum(_per_bar(orders, orders.size, close.shape), axis=1)  # [path, bar]
    gross = np.cumsum(_per_bar(orders, np.abs(orders.size), close.shape), axis=1)
    position = np.where(np.abs(units) <= DUST * gross, 0.0, units) * close
    fees = _per_bar(orders, orders.fees, close.shape)
    if financing is not None:
        fees = fees + financing
    spent = np.cumsum(_per_bar(orders, value, close.shape) + fees, axis=1)
    equity = cash[:, None] - spent + position
    ruin = _first_true(equity <= RUINED * cash[:, None])
    alive = np.arange(close.shape[1]) < ruin[:, None]
    before = np.arange(close.shape[1]) <= ruin[:, None]  # the bar of ruin itself still traded and paid
    equity = np.where(alive, equity, 0.0)
    return Account(
        equity=np.column_stack([cash, equity]),
        exposure=np.divide(position, equity, out=np.zeros_like(equity), where=alive),
        traded=np.where(before, _per_bar(orders, np.abs(value), close.shape), 0.0),
        fees=np.where(before, fees, 0.0),
        ruin=ruin,
    )


def _per_bar(orders: Orders, amounts: Floats, shape: tuple[int, ...]) -> Floats:
    """Sum amounts per path and bar, float64 [path, bar]."""
    cell = orders.path * shape[1] + orders.bar
    sums = np.bincount(cell, weights=amounts, minlength=shape[0] * shape[1])
    return np.asarray(sums, dtype=np.float64).reshape(shape)


def _first_true(mask: NDArray[np.bool_]) -> Ints:
    """Return the first true bar of each path, or the number of bars; int64 [path]."""
    return np.asarray(np.where(mask.any(axis=1), mask.argmax(axis=1), mask.shape[1]), dtype=np.int64)
