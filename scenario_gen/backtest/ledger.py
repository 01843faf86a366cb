"""A broker in plain arrays: every path's account is moved on together, one event after the other.

It does what vectorbt does not: fees with a minimum, slippage by the bar's range, the cost of borrowing,
leverage, lots, a share of the bar's volume, and either order of stop and target inside a bar. Where both can do
it, the two agree (``tests/backtest/test_ledger_against_vectorbt.py``).

The events of a bar, by the broker's ``fill``:

    next_open: leave at the open, enter at the open, stops between low and high, borrowing paid at the close
    close:     stops between low and high, leave at the close, enter at the close, borrowing paid at the close

An order that the volume cuts short is not repeated when it enters, and goes on at the next bars' fill when it
leaves; nothing is entered meanwhile. Where a halt or a price limit leaves nobody to trade with, entries wait as well.
Under T+1 (``broker.t_plus``) what was bought in a session is not sold in it: an exit goes on at the first fill of the
next session, a stop or target does not fire before it, and what weights ask to be sold is sold then.
Knows arrays and a broker; knows neither strategies nor vectorbt.
"""

from __future__ import annotations

import numpy as np

from scenario_gen.backtest.account import RUINED, Floats, Ints, Orders, settle
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.orders import (
    MOST_COST,
    Bools,
    Costs,
    InSession,
    Outcome,
    Quotes,
    SignalOrders,
    WeightOrders,
    round_trips,
)


class Watch:
    """What each account remembers of its entry: price, best price since, size, stop and target.

    Attributes:
        both: int64 [path], how many positions met stop and target in one bar, the open between them.
    """

    def __init__(self, ledger: Ledger, wanted: SignalOrders, target_first: Bools | None, *, at_worst: bool) -> None:
        paths = len(ledger.units)
        self.ledger, self.wanted, self.target_first, self.at_worst = ledger, wanted, target_first, at_worst
        self.entry, self.best = np.zeros(paths), np.zeros(paths)
        self.stop, self.target = np.full(paths, np.nan), np.full(paths, np.nan)
        self.size = np.zeros(paths)
        self.leaving = np.zeros(paths, dtype=bool)  # an exit that the volume cut short, or that found nobody
        self.waiting = np.zeros(paths)  # side of an entry that found nobody yet
        self.since = np.zeros(paths, dtype=np.int64)  # when it was wanted
        self.both = np.zeros(paths, dtype=np.int64)
        self._unguarded = bool(np.isnan(wanted.stop_loss).all() and np.isnan(wanted.take_profit).all())

    def leave(self, bar: int, price: Floats) -> None:
        """Close what is to be left, or what an entry of the other side closes."""
        wanted, units = self.wanted, self.ledger.units
        long = (units > 0) & (wanted.exits[bar] | wanted.short_entries[bar] | self.leaving)
        short = (units < 0) & (wanted.short_exits[bar] | wanted.entries[bar] | self.leaving)
        self._close(long | short, price, bar)

    def enter(self, bar: int, price: Floats) -> None:
        """Open positions on accounts that are flat."""
        wanted, ledger = self.wanted, self.ledger
        side = np.where(wanted.entries[bar], 1.0, np.where(wanted.short_entries[bar], -1.0, 0.0))
        since = (np.full(len(side), bar), np.arange(len(side)))  # when and by whom the entry was wanted
        if ledger.market.limited:
            side, since = self._in_turn(bar, side, price)
        side = np.where(ledger.units == 0, side, 0.0)
        if not side.any():
            return
        size = wanted.size[since]
        fill = ledger.fill_price(price, side, bar)
        units = ledger.affordable(np.abs(ledger.budget(side * size, price)), fill, bar, sold=side < 0)
        ledger.order(side * units, price, bar, refused=(side != 0) & (size > 0) & (units == 0))
        opened = (side != 0) & (ledger.units != 0)
        self.entry = np.where(opened, fill, self.entry)
        self.best = np.where(opened, fill, self.best)
        self.size = np.where(opened, size, self.size)
        self.stop = np.where(opened, wanted.stop_loss[since], self.stop)
        self.target = np.where(opened, wanted.take_profit[since], self.target)

    def _in_turn(self, bar: int, side: Floats, price: Floats) -> tuple[Floats, tuple[Ints, Ints]]:
        """Return the sides to enter on now, entries that waited included, and when and by whom each was wanted.

        A wish waits while nobody takes the other side, if the account is flat or on its way out; a newer wish takes its
        place, and an exit of its side ends it.
        """
        wanted, ledger = self.wanted, self.ledger
        ended = ((self.waiting > 0) & wanted.exits[bar]) | ((self.waiting < 0) & wanted.short_exits[bar])
        self.since = np.where(side != 0, bar, self.since)
        self.waiting = np.where(side != 0, side, np.where(ended, 0.0, self.waiting))
        later = ledger.market.waits(price, self.waiting, bar)
        ledger.session.find_nobody(later & ((ledger.units == 0) | self.leaving))
        now, since = np.where(later, 0.0, self.waiting), (self.since, np.arange(len(side)))
        self.waiting = np.where(later & ((ledger.units == 0) | self.leaving), self.waiting, 0.0)
        return now, since

    def stops(self, bar: int) -> None:
        """Leave where the bar reaches a level; a gap through it fills at the open.

        A stop that the open is beyond has come first in any case. A target that the open is beyond has, too,
        but vectorbt looks at the stop before it, and so does the default order.
        """
        units, market = self.ledger.units, self.ledger.market
        if self._unguarded or not units.any():
            return
        side = np.sign(units)
        opened, high, low = market.open[bar], market.high[bar], market.low[bar]
        worst, peak = (np.where(side > 0, *pair) for pair in ((low, high), (high, low)))
        from_price = self.best if self.wanted.trailing else self.entry
        stop, target = from_price * (1 - side * self.stop), self.entry * (1 + side * self.target)
        # NaN levels compare false: no such stop.
        stopped = (side != 0) & (side * worst <= side * stop)
        reached = (side != 0) & (side * peak >= side * target)
        held = self.ledger.session.hold_back((stopped | reached) & (side > 0))
        stopped, reached = stopped & ~held, reached & ~held
        at_once = side * opened <= side * stop
        between = stopped & reached & ~at_once
        self.both += between & ~(side * opened >= side * target) & ~self.leaving
        if self.target_first is not None:
            stopped &= ~(between & (self.target_first[bar] | (side * opened >= side * target)))
        stop_price = worst if self.at_worst else side * np.minimum(side * opened, side * stop)
        target_price = side * np.maximum(side * opened, side * target)
        price = np.where(stopped, stop_price, np.where(reached, target_price, opened))
        self._close(stopped | reached, price, bar)
        self.best = np.where(side > 0, np.maximum(self.best, high), np.minimum(self.best, low))

    def _close(self, who: Bools, price: Floats, bar: int) -> None:
        units = self.ledger.units
        if who.any():
            self.ledger.order(np.where(who, -units, 0.0), price, bar)
        self.leaving = (self.leaving | who) & (self.ledger.units != 0)


# A broker in plain arrays: every path's account is moved on together, one event after the other


# An order of less than this share of the account is the rounding of a target that is met already.
NO_ORDER = 1e-9
# What an order leaves unfilled counts from this share of the account on: below it is the rounding of lots.
MATERIAL = 0.05
# Lots are counted up to this share of one: 300 / 100 may come as 2.9999999999.
LOT_ROUNDING = 1e-9


class Ledger:
    """The accounts of all paths at one moment, and every order so far.

    A column is one asset of a path. The columns of a path stand together and share its cash; of one asset they are the
    paths.

    Attributes:
        cash: float64 [path], below 0 where money is borrowed.
        units: float64 [column], negative when short.
        wanted: int64 [path], how many orders were wanted.
        unfilled: int64 [path], how many of them were refused, or cut by more than 5 % of the account.
        session: what was bought in it, and what it kept from being filled.
    """

    def __init__(self, market: Quotes, broker: Broker, bars_per_year: float, costs: Costs | None = None) -> None:
        self.market, self.broker = market, broker
        self.costs = Costs.of(broker) if costs is None else costs
        bars, columns = market.close.shape
        paths = columns // self.costs.assets
        self.cash = np.full(paths, broker.cash)
        self.units = np.zeros(columns)
        self.alive = np.ones(paths, dtype=bool)
        self.financing = np.zeros((bars, columns))
        self.wanted, self.unfilled = np.zeros(paths, dtype=np.int64), np.zeros(paths, dtype=np.int64)
        self.session = InSession(self.costs, columns)
        self._rate, self._debit = self.costs.borrow / bars_per_year, self.costs.debit / bars_per_year
        self._room = np.full(columns, np.inf)  # units that this bar's volume still allows
        self._fees = np.broadcast_to(market.cost(self.costs.fees), (bars, columns))
        self._slippage = np.broadcast_to(market.cost(self.costs.slippage, market.slippage), (bars, columns))
        self._times = np.broadcast_to(1.0 if market.cost_times is None else market.cost_times, (bars, columns))
        self._orders: list[tuple[Ints, int, Floats, Floats, Floats, Floats, Floats]] = []

    def worth(self, price: Floats) -> Floats:
        """Return the equity of each account at prices [column], float64 [path]."""
        return np.asarray(self.cash + self.costs.of_accounts(self.units * price))

    def budget(self, size: Floats, price: Floats) -> Floats:
        """Return the money that each column's entry takes, [column]: its share of equity, negative for a short's.

        All positions of an account are worth its leverage in shares of equity, at most: entries of one moment that
        would go beyond are cut alike. A single asset that enters is flat. Beyond the broker's net those of the side
        that is too large are cut alike; before costs.
        """
        worth = self.worth(price)
        signed = self._within_leverage(size * self.costs.of_columns(np.maximum(worth, 0.0)), worth, price)
        most, now = (self.broker.net or 0.0) * worth, self.costs.of_accounts(self.units * price)
        for side in () if self.broker.net is None else (1.0, -1.0):
            total = self.costs.of_accounts(np.maximum(side * signed, 0.0))
            room = np.maximum(most - side * (now + self.costs.of_accounts(signed)) + total, 0.0)
            cut = np.divide(room, total, out=np.ones_like(total), where=total > room)
            signed = np.where(side * signed > 0, signed * self.costs.of_columns(cut), signed)
        return np.asarray(signed)

    def _within_leverage(self, wanted: Floats, worth: Floats, price: Floats) -> Floats:
        if self.costs.assets == 1:
            return wanted
        left = np.maximum(self.broker.leverage * worth - self.costs.of_accounts(np.abs(self.units) * price), 0.0)
        total = self.costs.of_accounts(np.abs(wanted))
        cut = np.divide(left, total, out=np.ones_like(total), where=total > left)
        return np.asarray(wanted * self.costs.of_columns(cut))

    def start(self, bar: int) -> None:
        """Open a bar: its volume may be traded, and in a new session what was bought in the one before."""
        self.session.start(self.market, bar)
        share = self.costs.volume_share
        if share is not None and self.market.volume is not None:
            volume = self.market.volume[bar]
            self._room = np.where(np.isinf(share), np.inf, np.minimum(share, 1.0) * volume)

    def end(self, bar: int) -> None:
        """Close a bar: pay for what is borrowed, and close the accounts that have nothing left."""
        close = self.market.close[bar]
        if self._debit or np.any(self._rate):
            short, debit = np.maximum(-self.units, 0.0) * close, np.maximum(-self.cash, 0.0)
            cost = self._rate * short + self._debit * self._for_what(debit, close)
            self.financing[bar] = np.where(self.costs.of_columns(self.alive), cost, 0.0)
            self.cash -= self.costs.of_accounts(self.financing[bar])
        self.alive &= self.worth(close) > RUINED * self.broker.cash

    def _for_what(self, debit: Floats, close: Floats) -> Floats:
        """Return the money that each column has borrowed, [column]: what is long shares the account's debt by value."""
        if self.costs.assets == 1:
            return debit
        long = np.maximum(self.units, 0.0) * close
        total = self.costs.of_columns(self.costs.of_accounts(long))
        alike = np.full_like(long, 1 / self.costs.assets)
        return np.asarray(self.costs.of_columns(debit) * np.divide(long, total, out=alike, where=total > 0))

    def fill_price(self, price: Floats, side: Floats, bar: int) -> Floats:
        """Return the price after slippage for a buy (side 1) or a sale (side -1), [path]; never below 0."""
        fill = price * (1 + side * self._slippage[bar])
        if np.any(self.costs.slippage_range):
            ranged = self.costs.slippage_range * self._times[bar]
            fill = fill + side * ranged * (self.market.high[bar] - self.market.low[bar])
        return np.asarray(np.maximum(fill, 0.0))

    def fee(self, value: Floats, bar: int, who: Ints) -> Floats:
        """Return what orders of this value, negative where they sell, cost some paths at a bar, as long as ``who``."""
        costs = (self.costs.fee_per_order, self.costs.fee_minimum)
        fixed, least = ((cost * self._times[bar])[who] for cost in costs)
        fees = np.maximum(fixed + self._fees[bar, who] * np.abs(value), least)
        return np.asarray(
            fees + self._duty(bar)[who] * np.maximum(-value, 0.0) if np.any(self.costs.sell_fees) else fees
        )

    def _duty(self, bar: int) -> Floats:
        return np.asarray(np.minimum(self.costs.sell_fees * self._times[bar], MOST_COST))

    def affordable(self, budget: Floats, fill: Floats, bar: int, sold: Bools | bool = False) -> Floats:
        """Return the units whose value and fee together are the budget, [column]; 0 where the fee is more than it."""
        duty = np.where(sold, self._duty(bar), 0.0) if np.any(self.costs.sell_fees) else 0.0
        value = (budget - self.costs.fee_per_order * self._times[bar]) / (1 + self._fees[bar] + duty)
        value = np.minimum(value, (budget - self.costs.fee_minimum * self._times[bar]) / (1 + duty))
        return np.asarray(np.divide(value, fill, out=np.zeros_like(fill), where=(value > 0) & (fill > 0)))

    def order(self, asked: Floats, price: Floats, bar: int, *, refused: Bools | bool = False) -> Floats:
        """Trade these units at this price and slippage, as far as lots and volume allow; return the fill prices.

        Args:
            asked: float64 [column], positive to buy, negative to sell, 0 for no order.
            price: float64 [column], before slippage.
            bar: when.
            refused: bool [column], where an order was wanted of which the cash pays for nothing: counted alone.
        """
        side = np.sign(asked)
        if self.market.limited:
            waits = self.market.waits(price, side, bar)
            self.session.find_nobody(waits & (asked != 0) & self.costs.of_columns(self.alive))
            asked = np.where(waits, 0.0, asked)
        if self.session.binds:
            asked = self.session.sellable(asked, self.units, self.costs.of_columns(self.alive))
        fill = self.fill_price(price, side, bar)
        size = self._whole_lots(np.minimum(np.abs(asked), self._room)) * self.costs.of_columns(self.alive)
        self._count(np.abs(asked), size, price, refused)
        who = np.flatnonzero(size > 0)
        if len(who):
            self._book(who, bar, (side * size)[who], fill[who], price[who])
        return fill

    def _count(self, asked: Floats, size: Floats, price: Floats, refused: Bools | bool) -> None:
        """Count the orders and those that are not filled; a change of a position may round to no lot."""
        left = (asked - size) * price > MATERIAL * self.costs.of_columns(self.worth(price))
        nothing = (size == 0) & (asked >= np.abs(self.units))  # neither opened nor closed
        self.wanted += self.costs.of_accounts((asked > 0) | refused) * self.alive
        self.unfilled += self.costs.of_accounts((asked > 0) & (left | nothing) | refused) * self.alive

    def _whole_lots(self, size: Floats) -> Floats:
        lot = self.costs.lot
        if lot is None:
            return size
        whole = np.floor(size / lot + LOT_ROUNDING) * lot
        exact = np.isnan(lot) | (np.abs(whole - size) <= LOT_ROUNDING * lot)  # a position closes to 0 exactly
        return np.where(exact, size, whole)

    def _book(self, who: Ints, bar: int, units: Floats, fill: Floats, quoted: Floats) -> None:
        fees, before = self.fee(units * fill, bar, who), self.units[who]
        paid = units * fill + fees
        if self.costs.assets == 1:
            self.cash[who] -= paid
        else:
            self.cash -= np.bincount(who // self.costs.assets, weights=paid, minlength=len(self.cash))
        self.units[who] = before + units
        self.session.take(who, before, units)
        self._room[who] -= np.abs(units)
        self._orders.append((who, bar, units, fill, fees, quoted, before))

    def outcome(self) -> Outcome:
        """Return the accounts and round trips of everything that was ordered."""
        orders, before = self._booked()
        close, paths = self.market.close, len(self.cash)
        account = settle(
            orders,
            np.ascontiguousarray(close.T),
            np.full(paths, self.broker.cash),
            financing=np.ascontiguousarray(self.financing.T),
            assets=self.costs.assets,
        )
        unfilled = np.divide(self.unfilled, self.wanted, out=np.full(paths, np.nan), where=self.wanted > 0)
        trades = round_trips(orders, before, close, self.financing, self.costs.of_columns(account.ruin))
        held = self.session.held if self.session.binds else None
        return Outcome(account, trades, orders, unfilled, held, self.session.waited if self.market.limited else None)

    def _booked(self) -> tuple[Orders, Floats]:
        """Return all orders by column and then by time, and the position before each."""
        if not self._orders:
            none = np.empty(0)
            return Orders(none.astype(np.int64), none.astype(np.int64), none, none, none, none), none
        who, bars, *rest = zip(*self._orders, strict=True)
        path = np.concatenate(who)
        bar = np.repeat(np.array(bars, dtype=np.int64), [len(one) for one in who])
        by_path = np.argsort(path, kind="stable")
        size, price, fees, quoted, before = (np.concatenate(parts)[by_path] for parts in rest)
        return Orders(path[by_path], bar[by_path], size, price, fees, quoted), before


def ledger_weights(
    market: Quotes, wanted: WeightOrders, broker: Broker, bars_per_year: float, costs: Costs | None = None
) -> Outcome:
    """Rebalance to target weights of equity [bar, column], each row at that bar's fill.

    Several assets order one after the other: sales first, then purchases while the cash lasts, small before large.
    """
    ledger = Ledger(market, broker, bars_per_year, costs)
    prices, row = market.open if broker.fill == "next_open" else market.close, np.full_like(ledger.units, np.nan)
    for bar, price in enumerate(prices):
        ledger.start(bar)
        again = ledger.session.late & np.isnan(wanted.weights[bar])  # what T+1 held back is asked again
        row = np.where(again, row, wanted.weights[bar])
        worth = ledger.worth(price)
        equity = ledger.costs.of_columns(worth)
        # an account that a gap has left with less than nothing has no weights to hold: it is ruined at this close
        target = row if wanted.units else row * equity / price
        off = np.nan_to_num(target - ledger.units)  # nothing where it is left alone
        asked = np.where((equity > 0) & (np.abs(off) * price >= wanted.band * equity), off, 0.0)
        asked = np.where(again, np.minimum(asked, 0.0), asked)
        ledger.session.late &= asked < 0
        for turn in ledger.costs.turns(asked != 0, asked * price):
            _rebalance(ledger, np.where(turn, asked, 0.0), worth, price, bar)
        ledger.end(bar)
    return ledger.outcome()


def _rebalance(ledger: Ledger, asked: Floats, worth: Floats, price: Floats, bar: int) -> None:
    """Sell, and buy as far as cash and leverage go: at most one column of each path."""
    broker = ledger.broker
    fill = ledger.fill_price(price, np.sign(asked), bar)
    most = ledger.affordable(ledger.costs.of_columns(ledger.cash + (broker.leverage - 1) * worth), fill, bar)
    least = NO_ORDER * broker.cash
    refused = (asked * price > least) & (most == 0) & (ledger.units == 0)
    asked = np.minimum(asked, most)
    ledger.order(np.where(np.abs(asked) * price > least, asked, 0.0), price, bar, refused=refused)


def ledger_signals(
    market: Quotes,
    wanted: SignalOrders,
    broker: Broker,
    bars_per_year: float,
    target_first: Bools | None = None,
    *,
    at_worst: bool = False,
    costs: Costs | None = None,
) -> tuple[Ledger, Watch]:
    """Enter, leave and be stopped on every path; return the accounts and what they remember at the end.

    Args:
        market: the bars.
        wanted: without conflicts.
        broker: costs and limits.
        bars_per_year: for the cost of borrowing.
        target_first: bool [bar, path], where stop and target lie in one bar, whether the target came first;
            None: never, as vectorbt has it.
        at_worst: fill stops at the low (a short's: at the high) of the bar that reaches them, not at their level.
        costs: of several assets, whose columns stand together; None: what the broker asks of one.
    """
    ledger = Ledger(market, broker, bars_per_year, costs)
    watch = Watch(ledger, wanted, target_first, at_worst=at_worst)
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
