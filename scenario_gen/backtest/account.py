"""From filled orders to an account: equity, exposure, traded value and fees at each bar, and the bar of ruin.

And how far equity swings inside each bar, where positions meet its low and its high. Plain arithmetic on arrays; knows
neither strategies nor vectorbt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

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
    quoted: Floats  # float64 [order], the price before slippage: open, close or a level in between


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
    # float64 [path, bar, asset]: what each asset earned, costs in, of sum the change of equity; and the value held
    # of it at the close over equity, negative when short
    profit: Floats
    holding: Floats

    @property
    def gross(self) -> Floats:
        """The absolute share of equity in the market at each close, all assets together, float64 [path, bar]."""
        return np.asarray(np.abs(self.holding).sum(axis=2))


def settle(orders: Orders, close: Floats, cash: Floats, financing: Floats | None = None, *, assets: int = 1) -> Account:
    """Return the account of every path.

    A column is one asset of a path; those of a path stand together, share its cash and are ruined together.

    Args:
        orders: all fills, of columns.
        close: float64 [column, bar].
        cash: float64 [path], starting cash.
        financing: float64 [column, bar], what borrowing cost at each close; counted among the fees.
        assets: columns of a path.
    """
    bars = close.shape[1]
    value = orders.size * orders.price
    units = np.cumsum(_per_bar(orders, orders.size, close.shape), axis=1)  # [column, bar]
    gross = np.cumsum(_per_bar(orders, np.abs(orders.size), close.shape), axis=1)
    position = np.where(np.abs(units) <= DUST * gross, 0.0, units) * close
    fees = _per_bar(orders, orders.fees, close.shape)
    if financing is not None:
        fees = fees + financing
    spent = np.cumsum(_per_bar(orders, value, close.shape) + fees, axis=1)

    def together(columns: Floats) -> Floats:
        """Sum the columns of each path, float64 [path, bar]."""
        return np.asarray(columns.reshape(-1, assets, bars).sum(axis=1))

    equity = cash[:, None] - together(spent) + together(position)
    ruin = _first_true(equity <= RUINED * cash[:, None])
    alive = np.arange(bars) < ruin[:, None]
    before = np.arange(bars) <= ruin[:, None]  # the bar of ruin itself still traded and paid
    equity = np.column_stack([cash, np.where(alive, equity, 0.0)])
    held = np.divide(
        position.reshape(-1, assets, bars),
        equity[:, None, 1:],
        out=np.zeros((len(cash), assets, bars)),
        where=alive[:, None],
    )
    gained = np.diff((position - spent).reshape(-1, assets, bars), axis=2, prepend=0.0)
    return Account(
        equity=equity,
        exposure=held.sum(axis=1),
        traded=np.where(before, together(_per_bar(orders, np.abs(value), close.shape)), 0.0),
        fees=np.where(before, together(fees), 0.0),
        ruin=ruin,
        profit=_borne(gained, equity, ruin).swapaxes(1, 2),
        holding=held.swapaxes(1, 2),
    )


def _borne(gained: Floats, equity: Floats, ruin: Ints) -> Floats:
    """Return what each asset earned of an account that loses no more than it has, float64 [path, asset, bar].

    At the bar of ruin the losses of the assets are cut alike to what there was; later nothing is earned.
    """
    paths = np.flatnonzero(ruin < gained.shape[2])
    if not len(paths):
        return gained
    earned = np.where(np.arange(gained.shape[2]) <= ruin[:, None, None], gained, 0.0)
    last = earned[paths, :, ruin[paths]]  # [ruined path, asset]
    lost, won = np.minimum(last, 0.0), np.maximum(last, 0.0)
    there = equity[paths, ruin[paths]] + won.sum(axis=1)
    earned[paths, :, ruin[paths]] = won + lost * (there / -lost.sum(axis=1))[:, None]
    return earned


@dataclass(frozen=True)
class Swings:
    """The lowest and the highest equity inside each bar, float64 [path, bar].

    Both ends of a bar are reached by whatever was held then, in whichever order hurts: which came first, a candle
    does not say, nor whether assets of a book met theirs at one moment, as is taken to be. A position that was
    stopped at a level is marked down to that level and no further, one that left at the open at the open alone.
    """

    low: Floats
    high: Floats


ORDER_FIELDS = tuple(field.name for field in fields(Orders))
AT_OPEN, INSIDE, AT_CLOSE = 0, 1, 2  # when in its bar an order was filled
SAME_PRICE = 1e-9  # relative: what undoing slippage in float64 leaves of a price


def swings(orders: Orders, account: Account, bars: Mapping[str, Floats], *, at_close: bool) -> Swings:
    """Return how far the equity of every path swings inside each bar.

    Args:
        orders: all fills, those of a column and bar in the order in which they happened.
        account: what :func:`settle` made of them.
        bars: ``open``, ``high``, ``low`` and ``close``, float64 [column, bar].
        at_close: whether orders are filled at closes: where open and close are one price, that is when.
    """
    closing, (paths, horizon, assets) = account.equity[:, 1:], account.holding.shape
    if assets == 1:
        return _swings_of_columns(orders, account.equity, account.exposure * closing, account.ruin, bars, at_close)
    earned = np.cumsum(account.profit, axis=1).swapaxes(1, 2).reshape(-1, horizon)  # [column, bar]
    position = (account.holding * closing[:, :, None]).swapaxes(1, 2).reshape(-1, horizon)
    equity = np.column_stack([np.zeros(len(earned)), earned])
    each = _swings_of_columns(orders, equity, position, np.repeat(account.ruin, assets), bars, at_close)
    low, high = ((end - earned).reshape(paths, assets, horizon).sum(axis=1) for end in (each.low, each.high))
    return Swings(closing + low, closing + high)


def _swings_of_columns(
    orders: Orders, equity: Floats, position: Floats, ruin: Ints, bars: Mapping[str, Floats], at_close: bool
) -> Swings:
    """Return the swings of the money in each column: its equity [column, bar + 1] and position at closes."""
    closing, shape = equity[:, 1:], bars["close"].shape
    units, cash = position / bars["close"], closing - position  # [path, bar], at the end of each bar
    low, high = (ends.ravel() for ends in _ends(cash, units, bars["low"], bars["high"]))
    if len(orders.path):
        cell = orders.path * shape[1] + orders.bar
        by_cell = np.argsort(cell, kind="stable")
        fills = Orders(*(getattr(orders, name)[by_cell] for name in ORDER_FIELDS))
        cell = cell[by_cell]
        first = np.flatnonzero(np.diff(cell, prepend=-1))
        moment = _moments(fills, cell, bars, at_close=at_close)
        last = np.append(first[1:], len(cell)) - 1
        late = cell[last[moment[last] == AT_CLOSE]]  # what was bought at a close has met nothing of its bar
        low[late] = high[late] = closing.ravel()[late]
        ends = _ends(*_held_before(fills, first, units, cash, equity[:, 0]), *_met(fills, moment, cell, first, bars))
        low[cell[first]] = np.minimum(low[cell[first]], np.minimum.reduceat(ends[0], first))
        high[cell[first]] = np.maximum(high[cell[first]], np.maximum.reduceat(ends[1], first))
    alive = np.arange(shape[1]) <= ruin[:, None]
    low, high = np.minimum(low.reshape(shape), closing), np.maximum(high.reshape(shape), closing)
    return Swings(np.where(alive, low, 0.0), np.where(alive, high, 0.0))


def _ends(cash: Floats, units: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Return the lower and the higher equity at two prices."""
    at_low, at_high = cash + units * low, cash + units * high
    return np.minimum(at_low, at_high), np.maximum(at_low, at_high)


def _moments(fills: Orders, cell: Ints, bars: Mapping[str, Floats], *, at_close: bool) -> Ints:
    """Return when in its bar each order was filled, by the price before slippage [order]."""
    same = [np.abs(fills.quoted / bars[name].ravel()[cell] - 1) <= SAME_PRICE for name in ("open", "close")]
    opened, closed = same[0] & ~(same[1] & at_close), same[1]
    return np.where(opened, AT_OPEN, np.where(closed, AT_CLOSE, INSIDE))


def _held_before(fills: Orders, first: Ints, units: Floats, cash: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Return cash and units before each order [order]: those of the close before, and what its bar traded since."""
    none = np.zeros((len(units), 1))
    group = np.repeat(first, np.diff(np.append(first, len(fills.path))))

    def since(amounts: Floats) -> Floats:
        sums = np.cumsum(amounts) - amounts
        return sums - sums[group]

    earlier = (
        np.column_stack([start, cash])[fills.path, fills.bar],
        np.column_stack([none, units])[fills.path, fills.bar],
    )
    return earlier[0] - since(fills.size * fills.price + fills.fees), earlier[1] + since(fills.size)


def _met(fills: Orders, moment: Ints, cell: Ints, first: Ints, bars: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Return the lowest and the highest price that was met between an order and the one before it [order].

    Before an order at the open that is the open. Before one at a level inside the bar it is the level on its own side
    of the price before, and the bar's end on the other; before one at the close it is both ends.
    """
    opened, low, high = (bars[name].ravel()[cell] for name in ("open", "low", "high"))
    before = np.concatenate([[0.0], fills.quoted[:-1]])
    before[first] = opened[first]
    level, inside = fills.quoted, moment == INSIDE
    lowest = np.where(inside & (level <= before), level, low)
    highest = np.where(inside & (level >= before), level, high)
    at_open = moment == AT_OPEN
    return np.where(at_open, opened, lowest), np.where(at_open, opened, highest)


def _per_bar(orders: Orders, amounts: Floats, shape: tuple[int, ...]) -> Floats:
    """Sum amounts per path and bar, float64 [path, bar]."""
    cell = orders.path * shape[1] + orders.bar
    sums = np.bincount(cell, weights=amounts, minlength=shape[0] * shape[1])
    return np.asarray(sums, dtype=np.float64).reshape(shape)


def _first_true(mask: NDArray[np.bool_]) -> Ints:
    """Return the first true bar of each path, or the number of bars; int64 [path]."""
    return np.asarray(np.where(mask.any(axis=1), mask.argmax(axis=1), mask.shape[1]), dtype=np.int64)
