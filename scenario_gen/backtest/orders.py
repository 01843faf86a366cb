"""What a strategy asks for and what the broker sees, as arrays, and the round trips that came of it.

Shared by both simulators. Everything between flat and flat is one trade. Knows shapes; knows neither strategies nor
how anything is filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Account, Floats, Ints, Orders
from scenario_gen.backtest.broker import COSTS, Broker

Bools: TypeAlias = NDArray[np.bool_]

MOST_COST = 0.5  # of the price, or of the traded value: what a spec's own costs stay below

TRADE_COLUMNS = ("path_id", "side", "entry_bar", "entry_price", "exit_bar", "exit_price", "size", "pnl", "fees", "open")


@dataclass(frozen=True)
class Quotes:
    """Bars as the broker sees them: float64 [bar, path] each; volume is None where there is none."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats | None = None
    cost_times: Floats | None = (
        None  # the terms of the paths, see ``market.paths.TradingTerms``; None for the broker's own
    )
    slippage: Floats | None = None
    ceiling: Floats | None = None
    floor: Floats | None = None
    missed: Bools | None = None
    opens: Bools | None = None  # bool [bar, path], which bars open a session; None: each is a session of its own

    @property
    def limited(self) -> bool:
        """Whether orders may have to wait for another price or another bar."""
        return self.ceiling is not None or self.floor is not None

    def cost(self, usual: Floats | float, more: Floats | None = None) -> Floats | float:
        """Return a cost as a share of price or value on these terms, with what is added: [bar, path], at most half."""
        if self.cost_times is None and more is None:
            return usual
        times = 1.0 if self.cost_times is None else self.cost_times
        return np.minimum(usual * times + (0.0 if more is None else more), MOST_COST)

    def without_missed(self) -> Quotes:
        """Return the market in which nobody trades at the bars that are missed: no weight is changed there."""
        if self.missed is None:
            return self
        ceiling, floor = (
            (np.inf if self.ceiling is None else self.ceiling),
            (-np.inf if self.floor is None else self.floor),
        )
        return replace(
            self, ceiling=np.where(self.missed, 0.0, ceiling), floor=np.where(self.missed, np.inf, floor), missed=None
        )

    def waits(self, price: Floats, side: Floats, bar: int) -> Bools:
        """Return which accounts find nobody to buy from (side 1) or to sell to (side -1) at a price, bool [path]."""
        buys = False if self.ceiling is None else (side > 0) & (price >= self.ceiling[bar])
        sells = False if self.floor is None else (side < 0) & (price <= self.floor[bar])
        return np.broadcast_to(np.asarray(buys | sells), price.shape)


@dataclass(frozen=True)
class Costs:
    """What orders cost and which there may be: a number for all columns, or float64 [column].

    Of several assets the columns of a path stand together: one for each asset, in the order of the assets.
    """

    fees: Floats | float
    fee_per_order: Floats | float
    fee_minimum: Floats | float
    sell_fees: Floats | float
    slippage: Floats | float
    slippage_range: Floats | float
    borrow: Floats | float  # on the value of shorts
    debit: float  # on cash below 0
    lot: Floats | float | None
    volume_share: Floats | float | None
    shorts: Bools | bool
    t_plus: Ints | int = 0  # sessions after a purchase before which it is not sold
    assets: int = 1  # columns of a path

    @classmethod
    def of(cls, broker: Broker) -> Costs:
        """Return what a broker asks of one asset."""
        named = {name: getattr(broker, name) for name in COSTS_AND_LIMITS}
        return cls(**named, debit=broker.borrow)

    @property
    def simple(self) -> bool:
        """Whether orders cost shares of the price alone and may be of any size: what vectorbt fills itself."""
        costs = (self.fee_per_order, self.fee_minimum, self.sell_fees, self.slippage_range, self.borrow, self.debit)
        if np.any(self.t_plus):
            return False
        return not any(np.any(cost) for cost in costs) and self.lot is None and self.volume_share is None

    @classmethod
    def of_assets(cls, broker: Broker, brokers: Sequence[Broker], paths: int) -> Costs:
        """Return what orders of several assets cost, [column], whose account is held with one broker.

        Args:
            broker: of the account, which lends the money.
            brokers: what each asset's orders cost.
            paths: how many there are.
        """
        free = {"lot": np.nan, "volume_share": np.inf}  # whatever size, however little is traded

        def tiled(name: str) -> Floats | bool | None:
            values = [getattr(each, name) for each in brokers]
            if name in free and all(value is None for value in values):
                return None
            return np.tile([free[name] if value is None else value for value in values], paths)

        named = {name: tiled(name) for name in COSTS_AND_LIMITS}
        return cls(**named, debit=broker.borrow, assets=len(brokers))  # type: ignore[arg-type]  # by name

    def of_columns(self, accounts: Any) -> Any:
        """Return numbers of accounts, [path], for each of their columns, [column]."""
        return accounts if self.assets == 1 else np.repeat(accounts, self.assets)

    def of_accounts(self, columns: Any) -> Any:
        """Return the sums of each account's columns, [path]; of flags how many there are."""
        return columns if self.assets == 1 else columns.reshape(-1, self.assets).sum(axis=1)

    def turns(self, asked: Bools, value: Floats) -> Iterator[Bools]:
        """Yield which columns order one after the other, for they share cash: at most one of each path at a time.

        Args:
            asked: bool [column], who orders.
            value: float64 [column], of each order, negative where it sells: the smaller ones come first.
        """
        if self.assets == 1:
            yield asked
            return
        keys = np.where(asked, value, np.inf).reshape(-1, self.assets)
        order = np.argsort(keys, axis=1, kind="stable") + np.arange(len(keys))[:, None] * self.assets
        for columns in order.T:
            turn = np.zeros(len(asked), dtype=bool)
            turn[columns] = asked[columns]
            if not turn.any():
                return
            yield turn


class InSession:
    """What came to each column in the session that is on, and what the session kept from being filled.

    Attributes:
        binds: whether T+1 holds for some column: what was bought in a session is not sold in it.
        held: float64 [path], sales that it held back, a column once in a session.
        waited: float64 [path], orders that found nobody to trade with, likewise.
        late: bool [column], whether it has cut the latest order.
    """

    def __init__(self, costs: Costs, columns: int) -> None:
        self._costs, self.binds = costs, bool(np.any(costs.t_plus))
        paths = columns // costs.assets
        self.held, self.waited = np.zeros(paths), np.zeros(paths)
        self.late = np.zeros(columns, dtype=bool)
        self._bought = np.zeros(columns)  # units, where a position is long
        self._held, self._waited = np.zeros(columns, dtype=bool), np.zeros(columns, dtype=bool)  # counted already

    def start(self, market: Quotes, bar: int) -> None:
        """Forget the session before where a bar opens one."""
        goes_on = False if market.opens is None else ~market.opens[bar]
        self._bought = np.where(goes_on, self._bought, 0.0)
        self._held, self._waited = self._held & goes_on, self._waited & goes_on

    def take(self, who: Ints, before: Floats, units: Floats) -> None:
        """Note that these columns, which held ``before``, were given units: what is long of them came now."""
        self._bought[who] += np.maximum(np.maximum(before + units, 0.0) - np.maximum(before, 0.0), 0.0)

    def sellable(self, asked: Floats, units: Floats, alive: Bools) -> Floats:
        """Return orders [column] with sales cut to what was held before this session."""
        rest = units - self._bought
        free = np.where(rest > SAME_UNITS * np.abs(units), rest, 0.0)
        late = self.hold_back((asked < -free) & alive)
        self.late = np.where(asked != 0, late, self.late)
        return np.where(late, -free, asked)

    def hold_back(self, sales: Bools) -> Bools:
        """Count and return the sales, bool [column], of units that were bought in this session."""
        late = np.asarray(sales & (self._bought > 0) & (np.asarray(self._costs.t_plus) > 0))
        self.held += self._costs.of_accounts(late & ~self._held)
        self._held = self._held | late
        return late

    def find_nobody(self, orders: Bools) -> None:
        """Count the orders, bool [column], that nobody takes the other side of."""
        self.waited += self._costs.of_accounts(orders & ~self._waited)
        self._waited = self._waited | orders


SAME_UNITS = 1e-9  # of a position: what adding and subtracting the same units leaves
COSTS_AND_LIMITS = (*COSTS, "lot", "volume_share", "shorts", "t_plus")  # of the broker: what may differ by asset


@dataclass(frozen=True)
class SignalOrders:
    """What a signal strategy wants, one row per bar at which it may be filled."""

    entries: Bools  # bool [bar, path], with ``exits``, ``short_entries`` and ``short_exits``
    exits: Bools
    short_entries: Bools
    short_exits: Bools
    size: Floats  # share of equity, float64 [bar, path]
    stop_loss: Floats  # float64 [bar, path], NaN for none; with ``take_profit``
    take_profit: Floats
    trailing: bool  # whether ``stop_loss`` follows the best price

    def without_entries(self, missed: Bools | None) -> SignalOrders:
        """Leave out the entries that are lost, bool [bar, path]."""
        if missed is None:
            return self
        return replace(self, entries=self.entries & ~missed, short_entries=self.short_entries & ~missed)

    def fillable(self, *, shorts: Bools | bool) -> SignalOrders:
        """Return what a broker fills: without conflicts, and where it allows no shorts (bool [path]) long only."""
        return self.without_conflicts() if np.all(shorts) else self.without_conflicts().long_only(shorts)

    def without_conflicts(self) -> SignalOrders:
        """Drop entry and exit of the same side at the same bar, then entries of both sides at the same bar."""
        enter_long, leave_long = self.entries & ~self.exits, self.exits & ~self.entries
        enter_short, leave_short = (self.short_entries & ~self.short_exits, self.short_exits & ~self.short_entries)
        both = enter_long & enter_short
        return replace(
            self,
            entries=enter_long & ~both,
            exits=leave_long,
            short_entries=enter_short & ~both,
            short_exits=leave_short,
        )

    def long_only(self, shorts: Bools | bool = False) -> SignalOrders:
        """Open no shorts but where there may be: a short entry only closes a long. Conflicts must be dropped before."""
        leave = self.exits | (self.short_entries & ~np.asarray(shorts))
        return replace(
            self, exits=leave, short_entries=self.short_entries & shorts, short_exits=self.short_exits & shorts
        )


@dataclass(frozen=True)
class WeightOrders:
    """Target weights, one row per bar at which they may be filled."""

    weights: Floats  # shares of equity (or ``units``), float64 [bar, column]; NaN leaves a position as it is
    band: float = 0.0  # share of equity by which a weight may be off before it is brought back
    units: bool = False  # the numbers are units to hold


@dataclass(frozen=True)
class Outcome:
    """What happened to each account, and its round trips (``TRADE_COLUMNS``; path_id is a column number).

    Of several assets the columns of a path stand together, here and in the orders.
    """

    account: Account
    trades: pd.DataFrame
    orders: Orders  # all fills, those of a path and bar in the order in which they happened
    # share of its orders that were cut or refused, float64 [path]; NaN where none is known to have been wanted
    unfilled: Floats | None = None
    # how many sales T+1 held back, and how many orders found nobody at a price limit or in a halt, float64 [path];
    # None where there is no such rule. Both count an asset once in a session
    held: Floats | None = None
    waited: Floats | None = None

    def of_wishes(self, wishes: Bools) -> Outcome:
        """Return the same, seen beside whether anything was ever wanted of a column, bool [column].

        A wish on a path without an order was refused. Where nothing counts orders, none of those filled was cut.
        """
        traded: Bools = np.asarray(self.account.traded.any(axis=1))
        wished = wishes.reshape(len(traded), -1).any(axis=1)
        counted = np.full(len(traded), np.nan) if self.unfilled is None else self.unfilled
        return replace(
            self, unfilled=np.where(np.isnan(counted), np.where(traded, 0.0, np.where(wished, 1.0, np.nan)), counted)
        )


# --- From orders to round trips ---


@dataclass(frozen=True)
class _Legs:
    """Orders split where they cross zero: each leg either opens or closes. All arrays [leg], by path and time."""

    path: Ints
    bar: Ints
    size: Floats
    price: Floats
    fees: Floats
    opens: Floats  # 1 where the leg adds to the position, else 0
    trade: Ints  # number of the round trip

    def total(self, amounts: Floats, trades: int) -> Floats:
        return np.asarray(np.bincount(self.trade, weights=amounts, minlength=trades), dtype=np.float64)


def round_trips(orders: Orders, before: Floats, close: Floats, financing: Floats, ruined: Ints) -> pd.DataFrame:
    """Return one row per round trip, by path and then by time, with ``TRADE_COLUMNS``.

    Prices are means weighted by size; ``fees`` hold the cost of borrowing, too. An open trade is marked at the
    last close, and one on a ruined account is closed at the close of its ruin.

    Args:
        orders: [order] by path and then by time; none after a path's ruin.
        before: float64 [order], position before each.
        close: float64 [bar, path].
        financing: float64 [bar, path], cost of borrowing paid at each close.
        ruined: int64 [path], the bar of ruin, or the number of bars.
    """
    if not len(before):
        return pd.DataFrame({name: [] for name in TRADE_COLUMNS}, columns=list(TRADE_COLUMNS)).astype(_DTYPES)
    legs = _legs(orders, before)
    count = int(legs.trade[-1]) + 1
    first = np.flatnonzero(np.diff(legs.trade, prepend=-1))
    last = np.append(first[1:], len(legs.trade)) - 1
    path, opening, closing = legs.path[first], legs.opens, 1 - legs.opens
    side = np.sign(legs.size[first])
    size = legs.total(np.abs(legs.size) * opening, count)
    sold = legs.total(np.abs(legs.size) * closing, count)
    is_open = _left(legs, before, orders, last)
    ruin = ruined[path]
    end = np.minimum(ruin, len(close) - 1)
    mark, remainder = close[end, path], np.where(is_open, size - sold, 0.0)
    received = legs.total(np.abs(legs.size) * legs.price * closing, count) + remainder * mark
    paid = legs.total(np.abs(legs.size) * legs.price * opening, count)
    entry_bar, exit_bar = legs.bar[first], np.where(is_open, end, legs.bar[last])
    fees = legs.total(legs.fees, count) + _borrowing(financing, path, entry_bar, np.where(is_open, end + 1, exit_bar))
    columns = {
        "path_id": path,
        "side": np.where(side > 0, "long", "short"),
        "entry_bar": entry_bar,
        "entry_price": paid / size,
        "exit_bar": exit_bar,
        "exit_price": received / (sold + remainder),
        "size": size,
        "pnl": side * (received - paid) - fees,
        "fees": fees,
        "open": is_open & (ruin == len(close)),
    }
    return pd.DataFrame(columns, columns=list(TRADE_COLUMNS)).astype(_DTYPES)


_DTYPES = {
    "path_id": np.int64,
    "side": "str",
    "entry_bar": np.int64,
    "entry_price": np.float64,
    "exit_bar": np.int64,
    "exit_price": np.float64,
    "size": np.float64,
    "pnl": np.float64,
    "fees": np.float64,
    "open": bool,
}


def _legs(orders: Orders, before: Floats) -> _Legs:
    """Split the orders that turn a long into a short, or a short into a long."""
    after = before + orders.size
    crosses = before * after < 0
    copies = np.where(crosses, 2, 1)
    at = np.repeat(np.arange(len(before)), copies)
    second = np.zeros(len(at), dtype=bool)
    second[np.cumsum(copies)[crosses] - 1] = True
    split = crosses[at]
    size = np.where(split, np.where(second, after[at], -before[at]), orders.size[at])
    position = np.where(second, 0.0, before[at])
    share = np.divide(size, orders.size[at])
    return _Legs(
        path=orders.path[at],
        bar=orders.bar[at],
        size=size,
        price=orders.price[at],
        fees=orders.fees[at] * share,
        opens=(position * size >= 0).astype(np.float64),
        trade=np.cumsum(position == 0) - 1,
    )


def _left(legs: _Legs, before: Floats, orders: Orders, last: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return whether each trade is open: it is the last of its path and its last order left something."""
    final = np.append(orders.path[1:] != orders.path[:-1], True)
    open_paths = orders.path[final][(before + orders.size)[final] != 0]
    ends_path = np.append(legs.path[last][1:] != legs.path[last][:-1], True)
    return np.asarray(ends_path & np.isin(legs.path[last], open_paths))


def _borrowing(financing: Floats, path: Ints, start: Ints, stop: Ints) -> Floats:
    """Return what was paid at the closes of bars ``start`` to ``stop`` (exclusive), [trade]."""
    paid = np.concatenate([np.zeros((1, financing.shape[1])), np.cumsum(financing, axis=0)])
    return np.asarray(paid[stop, path] - paid[start, path])
