"""Entries, exits and stops of a signal strategy on a ledger. Knows the events of a bar, not their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.orders import Bools, SignalOrders

if TYPE_CHECKING:
    from scenario_gen.backtest.ledger import Ledger


class Watch:
    """What each account remembers of its entry: price, best price since, size, stop and target.

    Attributes:
        both: int64 [path], how many positions met stop and target in one bar, the open between them.
    """

    def __init__(self, ledger: Ledger, wanted: SignalOrders, target_first: Bools | None) -> None:
        paths = len(ledger.cash)
        self.ledger, self.wanted, self.target_first = ledger, wanted, target_first
        self.entry, self.best = np.zeros(paths), np.zeros(paths)
        self.stop, self.target = np.full(paths, np.nan), np.full(paths, np.nan)
        self.size = np.zeros(paths)
        self.leaving = np.zeros(paths, dtype=bool)  # an exit that the volume cut short
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
        side = np.where(ledger.units == 0, side, 0.0)
        if not side.any():
            return
        fill = ledger.fill_price(price, side, bar)
        ledger.order(side * ledger.affordable(wanted.size[bar] * ledger.cash, fill), price, bar)
        opened = (side != 0) & (ledger.units != 0)
        self.entry = np.where(opened, fill, self.entry)
        self.best = np.where(opened, fill, self.best)
        self.size = np.where(opened, wanted.size[bar], self.size)
        self.stop = np.where(opened, wanted.stop_loss[bar], self.stop)
        self.target = np.where(opened, wanted.take_profit[bar], self.target)

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
        at_once = side * opened <= side * stop
        between = stopped & reached & ~at_once
        self.both += between & ~(side * opened >= side * target) & ~self.leaving
        if self.target_first is not None:
            stopped &= ~(between & (self.target_first[bar] | (side * opened >= side * target)))
        stop_price = side * np.minimum(side * opened, side * stop)
        target_price = side * np.maximum(side * opened, side * target)
        price = np.where(stopped, stop_price, np.where(reached, target_price, opened))
        self._close(stopped | reached, price, bar)
        self.best = np.where(side > 0, np.maximum(self.best, high), np.minimum(self.best, low))

    def _close(self, who: Bools, price: Floats, bar: int) -> None:
        units = self.ledger.units
        if who.any():
            self.ledger.order(np.where(who, -units, 0.0), price, bar)
        self.leaving = (self.leaving | who) & (self.ledger.units != 0)
