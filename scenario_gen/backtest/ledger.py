"""A broker in plain arrays: every path's account is moved on together, one event after the other.

It does what vectorbt does not: fees with a minimum, slippage by the bar's range, the cost of borrowing,
leverage, lots, a share of the bar's volume, and either order of stop and target inside a bar. Where both can do
it, the two agree (``tests/backtest/test_ledger_against_vectorbt.py``).

The events of a bar, by the broker's ``fill``:

    next_open: leave at the open, enter at the open, stops between low and high, borrowing paid at the close
    close:     stops between low and high, leave at the close, enter at the close, borrowing paid at the close

An order that the volume cuts short is not repeated when it enters, and goes on at the next bars' fill when it
leaves; nothing is entered meanwhile. Knows arrays and a broker; knows neither strategies nor vectorbt.
"""

from __future__ import annotations

import numpy as np

from scenario_gen.backtest.account import RUINED, Floats, Ints, Orders, settle
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.orders import Bools, Market, Outcome, SignalOrders
from scenario_gen.backtest.round_trips import round_trips
from scenario_gen.backtest.watch import Watch

# An order of less than this share of the account is the rounding of a target that is met already.
NO_ORDER = 1e-9
# Lots are counted up to this share of one: 300 / 100 may come as 2.9999999999.
LOT_ROUNDING = 1e-9


class Ledger:
    """The accounts of all paths at one moment, and every order so far.

    Attributes:
        cash: float64 [path], below 0 where money is borrowed.
        units: float64 [path], negative when short.
    """

    def __init__(self, market: Market, broker: Broker, bars_per_year: float) -> None:
        self.market, self.broker = market, broker
        bars, paths = market.close.shape
        self.cash = np.full(paths, broker.cash)
        self.units = np.zeros(paths)
        self.alive = np.ones(paths, dtype=bool)
        self.financing = np.zeros((bars, paths))
        self._rate = broker.borrow / bars_per_year
        self._room = np.full(paths, np.inf)  # units that this bar's volume still allows
        self._orders: list[tuple[Ints, int, Floats, Floats, Floats, Floats]] = []

    def start(self, bar: int) -> None:
        """Open a bar: its volume may be traded."""
        if self.broker.volume_share is not None and self.market.volume is not None:
            self._room = self.broker.volume_share * self.market.volume[bar]

    def end(self, bar: int) -> None:
        """Close a bar: pay for what is borrowed, and close the accounts that have nothing left."""
        close = self.market.close[bar]
        if self._rate:
            borrowed = np.maximum(-self.units, 0.0) * close + np.maximum(-self.cash, 0.0)
            self.financing[bar] = np.where(self.alive, self._rate * borrowed, 0.0)
            self.cash -= self.financing[bar]
        self.alive &= self.cash + self.units * close > RUINED * self.broker.cash

    def fill_price(self, price: Floats, side: Floats, bar: int) -> Floats:
        """Return the price after slippage for a buy (side 1) or a sale (side -1), [path]; never below 0."""
        fill = price * (1 + side * self.broker.slippage)
        if self.broker.slippage_range:
            fill = fill + side * self.broker.slippage_range * (self.market.high[bar] - self.market.low[bar])
        return np.asarray(np.maximum(fill, 0.0))

    def fee(self, value: Floats) -> Floats:
        """Return what orders of this value cost, [path]."""
        return np.asarray(np.maximum(self.broker.fee_per_order + self.broker.fees * value, self.broker.fee_minimum))

    def affordable(self, budget: Floats, fill: Floats) -> Floats:
        """Return the units whose value and fee together are the budget, [path]; 0 where the fee is more than it."""
        value = (budget - self.broker.fee_per_order) / (1 + self.broker.fees)
        value = np.minimum(value, budget - self.broker.fee_minimum)
        return np.divide(value, fill, out=np.zeros_like(fill), where=(value > 0) & (fill > 0))

    def order(self, asked: Floats, price: Floats, bar: int) -> Floats:
        """Trade these units at this price and slippage, as far as lots and volume allow; return the fill prices.

        Args:
            asked: float64 [path], positive to buy, negative to sell, 0 for no order.
            price: float64 [path], before slippage.
            bar: when.
        """
        side = np.sign(asked)
        fill = self.fill_price(price, side, bar)
        size = self._whole_lots(np.minimum(np.abs(asked), self._room)) * self.alive
        who = np.flatnonzero(size > 0)
        if len(who):
            self._book(who, bar, (side * size)[who], fill[who])
        return fill

    def _whole_lots(self, size: Floats) -> Floats:
        lot = self.broker.lot
        if lot is None:
            return size
        whole = np.floor(size / lot + LOT_ROUNDING) * lot
        return np.where(np.abs(whole - size) <= LOT_ROUNDING * lot, size, whole)  # a position closes to 0 exactly

    def _book(self, who: Ints, bar: int, units: Floats, fill: Floats) -> None:
        value = np.abs(units) * fill
        fees, before = self.fee(value), self.units[who]
        self.cash[who] -= units * fill + fees
        self.units[who] = before + units
        self._room[who] -= np.abs(units)
        self._orders.append((who, bar, units, fill, fees, before))

    def outcome(self) -> Outcome:
        """Return the accounts and round trips of everything that was ordered."""
        orders, before = self._booked()
        close, paths = self.market.close, len(self.cash)
        account = settle(
            orders,
            np.ascontiguousarray(close.T),
            np.full(paths, self.broker.cash),
            financing=np.ascontiguousarray(self.financing.T),
        )
        return Outcome(account, round_trips(orders, before, close, self.financing, account))

    def _booked(self) -> tuple[Orders, Floats]:
        """Return all orders by path and then by time, and the position before each."""
        if not self._orders:
            none = np.empty(0)
            return Orders(none.astype(np.int64), none.astype(np.int64), none, none, none), none
        who, bars, *rest = zip(*self._orders, strict=True)
        path = np.concatenate(who)
        bar = np.repeat(np.array(bars, dtype=np.int64), [len(one) for one in who])
        by_path = np.argsort(path, kind="stable")
        size, price, fees, before = (np.concatenate(parts)[by_path] for parts in rest)
        return Orders(path[by_path], bar[by_path], size, price, fees), before


def ledger_weights(market: Market, weights: Floats, broker: Broker, bars_per_year: float) -> Outcome:
    """Rebalance to target weights of equity [bar, path], each row at that bar's fill."""
    ledger = Ledger(market, broker, bars_per_year)
    prices = market.open if broker.fill == "next_open" else market.close
    for bar, price in enumerate(prices):
        ledger.start(bar)
        equity = ledger.cash + ledger.units * price
        asked = weights[bar] * equity / price - ledger.units
        fill = ledger.fill_price(price, np.sign(asked), bar)
        most = ledger.affordable(ledger.cash + (broker.leverage - 1) * equity, fill)
        asked = np.minimum(asked, most)
        ledger.order(np.where(np.abs(asked) * price > NO_ORDER * broker.cash, asked, 0.0), price, bar)
        ledger.end(bar)
    return ledger.outcome()


def ledger_signals(
    market: Market, wanted: SignalOrders, broker: Broker, bars_per_year: float, target_first: Bools | None = None
) -> tuple[Ledger, Watch]:
    """Enter, leave and be stopped on every path; return the accounts and what they remember at the end.

    Args:
        market: the bars.
        wanted: without conflicts.
        broker: costs and limits.
        bars_per_year: for the cost of borrowing.
        target_first: bool [bar, path], where stop and target lie in one bar, whether the target came first;
            None: never, as vectorbt has it.
    """
    ledger = Ledger(market, broker, bars_per_year)
    watch = Watch(ledger, wanted, target_first)
    at_open = broker.fill == "next_open"
    for bar, price in enumerate(market.open if at_open else market.close):
        ledger.start(bar)
        if not at_open:
            watch.stops(bar)
        watch.leave(bar, price)
        watch.enter(bar, price)
        if at_open:
            watch.stops(bar)
        ledger.end(bar)
    return ledger, watch
