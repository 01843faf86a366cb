"""What a strategy asks for and what the broker sees, as arrays; shared by both simulators.

Knows shapes; knows neither strategies nor how anything is filled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Account, Floats

Bools: TypeAlias = NDArray[np.bool_]

TRADE_COLUMNS = ("path_id", "side", "entry_bar", "entry_price", "exit_bar", "exit_price", "size", "pnl", "fees", "open")


@dataclass(frozen=True)
class Quotes:
    """Bars as the broker sees them: float64 [bar, path] each; volume is None where there is none."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats | None = None


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

    def fillable(self, *, shorts: bool) -> SignalOrders:
        """Return what a broker fills: without conflicts, and where it allows no shorts long only."""
        return self.without_conflicts() if shorts else self.without_conflicts().long_only()

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

    def long_only(self) -> SignalOrders:
        """Open no shorts: what was a short entry only closes a long. Conflicts must be dropped before."""
        nothing = np.zeros_like(self.entries)
        return replace(self, exits=self.exits | self.short_entries, short_entries=nothing, short_exits=nothing)


@dataclass(frozen=True)
class Outcome:
    """What happened to each account, and its round trips (``TRADE_COLUMNS``; path_id is a column number)."""

    account: Account
    trades: pd.DataFrame
    # share of its orders that were cut or refused, float64 [path]; NaN where none is known to have been wanted
    unfilled: Floats | None = None

    def of_wishes(self, wished: Bools) -> Outcome:
        """Return the same, seen beside whether anything was ever wanted on a path, bool [path].

        A wish on a path without an order was refused. Where nothing counts orders, none of those filled was cut.
        """
        traded = self.account.traded.any(axis=1)
        counted = np.full(len(wished), np.nan) if self.unfilled is None else self.unfilled
        return replace(
            self, unfilled=np.where(np.isnan(counted), np.where(traded, 0.0, np.where(wished, 1.0, np.nan)), counted)
        )
