"""A position carried into the path: the strategy has traded the context, and what it holds goes on.

Knows signals and bars; knows nothing of the path.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.ledger import ledger_signals
from scenario_gen.backtest.orders import Market, SignalOrders


def with_carried(wanted: SignalOrders, before: SignalOrders, context: Market, broker: Broker) -> SignalOrders:
    """Return the path's orders with an entry at the first fill where a position was held at the context's end.

    The account trades the context from flat, stops included. A position that it still holds, and that the first
    orders of the path would neither leave nor turn, is opened at the path's first fill with the size of its own
    entry; its stops start there anew, since the account pays that price. Target weights need none of this: they
    are rebalanced at the first fill as at any other.

    Args:
        wanted: orders [bar of the path, path].
        before: orders filled on the context, [bar, path].
        context: the context's bars.
        broker: costs and limits; free of costs and volume, the same positions would be held.
    """
    lag = len(context.close) - len(before.entries)  # the first bars have no decision before them
    bars = Market(*(getattr(context, name)[lag:] for name in ("open", "high", "low", "close")))
    held = Broker(fill=broker.fill, leverage=broker.leverage)
    before, first = (one.fillable(shorts=broker.shorts) for one in (before, wanted))
    ledger, watch = ledger_signals(bars, before, held, bars_per_year=1.0)
    long = (ledger.units > 0) & ~first.exits[0] & ~first.short_entries[0]
    short = (ledger.units < 0) & ~first.short_exits[0] & ~first.entries[0]
    entries, short_entries, size = first.entries.copy(), first.short_entries.copy(), first.size.copy()
    size[0] = np.where(long | short, watch.size, size[0])
    entries[0] |= long
    short_entries[0] |= short
    return replace(first, entries=entries, short_entries=short_entries, size=size)
