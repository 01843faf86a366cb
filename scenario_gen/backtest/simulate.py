"""The simulated broker: signals or weights in, filled orders out.

What vectorbt simulates goes to vectorbt; a broker with minimum fees, lots, borrowing and the like to the ledger.

vectorbt looks at stops before it looks at signals, once per row, so with one row per bar a position entered
at the open would first be protected on the next bar; and on one row it cannot leave one side and enter the other
with a share of what that left. Signal runs therefore give each bar up to three rows, in the order in which things
happen:

    fill at the next open        fill at the close
    1. leave, at the open        1. stops, between low and high
    2. enter, at the open        2. leave, at the close
    3. stops, between low, high  3. enter, at the close

Without stops there is no row for them, and a run of one side leaves and enters on one row: it cannot do both at
the same bar. Beside stops, the rows of orders carry no close, which keeps the stops asleep on them: comparisons
with NaN are false. Because the position is flat before an entry, vectorbt's share of cash is a share of equity.

Knows arrays [bar, path] and a broker; knows neither strategies nor metrics.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats, Ints, Orders, settle
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.ledger import ledger_signals, ledger_weights
from scenario_gen.backtest.orders import TRADE_COLUMNS, Costs, Outcome, Quotes, SignalOrders, WeightOrders

log = logging.getLogger(__name__)


def run_signals(
    market: Quotes, wanted: SignalOrders, broker: Broker, bars_per_year: float, costs: Costs | None = None
) -> Outcome:
    """Simulate entries, exits and stops on every path: in vectorbt, or in the ledger where it takes one.

    Args:
        market: the bars, [bar, column].
        wanted: what is wanted at each of them.
        broker: of the account.
        bars_per_year: for the cost of borrowing.
        costs: of several assets, whose columns share an account; None: what the broker asks of one. An entry of theirs
            is a share of the whole account's equity, which is the ledger's to know: vectorbt takes shares of cash.
    """
    wished = np.any((wanted.entries | wanted.short_entries) & (wanted.size > 0), axis=0)
    asks = Costs.of(broker) if costs is None else costs
    wanted = wanted.fillable(shorts=asks.shorts).without_entries(market.missed)
    if asks.assets == 1 and broker.simple and not market.limited:
        return _vectorbt_signals(market, wanted, broker).of_wishes(wished)
    return ledger_signals(market, wanted, broker, bars_per_year, costs=asks)[0].outcome().of_wishes(wished)


def run_weights(
    market: Quotes, wanted: WeightOrders, broker: Broker, bars_per_year: float, costs: Costs | None = None
) -> Outcome:
    """Simulate rebalancing to target weights of equity [bar, column], each row filled at that bar.

    Of several assets (``costs``) the columns of a path stand together and share its cash: sales come before purchases.
    """
    wished, market = np.any(np.nan_to_num(wanted.weights) != 0, axis=0), market.without_missed()
    asks = Costs.of(broker) if costs is None else costs
    weights = np.where(asks.shorts, wanted.weights, np.maximum(wanted.weights, 0.0))
    if asks.simple and broker.leverage == 1.0 and not market.limited and wanted.band == 0:
        return _vectorbt_weights(market, replace(wanted, weights=weights), broker, asks).of_wishes(wished)
    kept = replace(wanted, weights=weights)
    return ledger_weights(market, kept, broker, bars_per_year, asks).of_wishes(wished)


class _Row(NamedTuple):
    """What happens on one of a bar's rows."""

    leaves: bool
    enters: bool
    stops: bool


def _rows_of(wanted: SignalOrders, *, guarded: bool, at_open: bool) -> tuple[_Row, ...]:
    """Return the fewest rows per bar that keep the order of events."""
    two_sided = wanted.entries.any() and wanted.short_entries.any()
    fills = (_Row(True, False, False), _Row(False, True, False)) if two_sided else (_Row(True, True, False),)
    if not guarded:
        return fills
    stops = _Row(False, False, True)
    return (*fills, stops) if at_open else (stops, *fills)


def _vectorbt_signals(market: Quotes, wanted: SignalOrders, broker: Broker) -> Outcome:
    at_open = broker.fill == "next_open"
    guarded = not (np.isnan(wanted.stop_loss).all() and np.isnan(wanted.take_profit).all())
    rows = _rows_of(wanted, guarded=guarded, at_open=at_open)
    price = market.open if at_open else market.close
    nothing, none = np.full_like(price, np.nan), np.zeros_like(price, dtype=bool)

    def on(chosen: Sequence[bool], values: NDArray[Any], others: NDArray[Any]) -> NDArray[Any]:
        """Return values on the chosen rows of each bar and others on the rest, [rows * bar, path]."""
        if len(rows) == 1:
            return values if chosen[0] else others
        picked = [values if one else others for one in chosen]
        return np.stack(picked, axis=1).reshape(-1, price.shape[1])

    leaves, enters, stops = ([row[event] for row in rows] for event in range(3))
    everywhere = [True] * len(rows)

    def always(values: Floats) -> Floats | float:
        """Return values on every row; one number where all are the same, which spares memory."""
        first = values[0, 0]
        same = (values == first).all() or np.isnan(values).all()
        return float(first) if same else on(everywhere, values, nothing)

    costs = _costs(Costs.of(broker), market)
    guards: dict[str, Any] = {}
    if guarded:
        guards = {
            "open": on(stops, market.open, nothing),
            "high": on(stops, market.high, nothing),
            "low": on(stops, market.low, nothing),
            "sl_stop": always(wanted.stop_loss),
            "sl_trail": wanted.trailing,
            "tp_stop": always(wanted.take_profit),
            "stop_entry_price": "fillprice",
            "stop_exit_price": "stopmarket",
        }
    portfolio = _vectorbt().Portfolio.from_signals(
        on(stops if guarded else everywhere, market.close, nothing),
        entries=on(enters, wanted.entries, none),
        exits=on(leaves, wanted.exits | wanted.short_entries, none),
        short_entries=on(enters, wanted.short_entries, none),
        short_exits=on(leaves, wanted.short_exits | wanted.entries, none),
        price=on(everywhere, price, nothing),
        size=always(wanted.size),
        size_type="percent",
        upon_opposite_entry="ignore",  # only a short that could not be bought back is still there at an entry
        **guards,
        **{name: values if np.isscalar(values) else on(everywhere, values, nothing) for name, values in costs.items()},
        init_cash=broker.cash,
        engine=_engine(),
    )
    return outcome_of(portfolio, market.close, rows_per_bar=len(rows), slippage=costs["slippage"])


def _vectorbt_weights(market: Quotes, wanted: WeightOrders, broker: Broker, asks: Costs) -> Outcome:
    costs = _costs(asks, market)
    paths = market.close.shape[1] // asks.assets
    shared = {"group_by": np.repeat(np.arange(paths), asks.assets), "cash_sharing": True, "call_seq": "auto"}
    portfolio = _vectorbt().Portfolio.from_orders(
        market.close,
        size=wanted.weights,
        size_type="targetamount" if wanted.units else "targetpercent",
        direction="both",
        price=market.open if broker.fill == "next_open" else market.close,
        **costs,
        **(shared if asks.assets > 1 else {}),
        init_cash=broker.cash,
        engine=_engine(),
    )
    return outcome_of(portfolio, market.close, slippage=costs["slippage"], assets=asks.assets)


def outcome_of(
    portfolio: Any, close: Floats, *, rows_per_bar: int = 1, slippage: Floats | float = 0.0, assets: int = 1
) -> Outcome:
    """Return the accounts and round trips of a finished ``vectorbt.Portfolio``.

    Args:
        portfolio: one ungrouped column per path; of several assets, one group of columns per path.
        close: float64 [bar, column].
        rows_per_bar: how many rows of the portfolio make one bar.
        slippage: share of the price that orders paid, [bar, column], [1, column] or one number; of a portfolio that a
            strategy made itself it is not known.
        assets: columns of a path, which share its cash.
    """
    records = portfolio.order_records
    cash = np.broadcast_to(np.asarray(portfolio.init_cash, dtype=np.float64), (close.shape[1] // assets,))
    orders = _orders(records, rows_per_bar, np.broadcast_to(slippage, close.shape))
    account = settle(orders, np.ascontiguousarray(close.T), cash, assets=assets)
    ruin = np.repeat(account.ruin, assets)
    # A ruined account is closed: no order after the bar of ruin counts, and positions are marked at that bar.
    alive = records["idx"] // rows_per_bar <= ruin[records["col"]]
    last = np.minimum(np.arange(len(close))[:, None], ruin)  # [bar, column]
    marks = np.repeat(np.take_along_axis(close, last, axis=0), rows_per_bar, axis=0)
    return Outcome(account, _round_trips(_positions(records[alive], marks), rows_per_bar, ruin, len(close)), orders)


def _positions(orders: NDArray[Any], close: Floats) -> NDArray[Any]:
    """Return vectorbt's position records of some order records, open ones marked at the last close.

    What ``Portfolio.positions`` computes, without the cost of building and copying its wrappers.
    """
    from vectorbt.portfolio import dispatch

    def by_column(records: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the order of records by column, and how many each column has."""
        return np.argsort(records["col"], kind="stable"), np.bincount(records["col"], minlength=close.shape[1])

    trades = dispatch.get_exit_trades(orders, close, by_column(orders), engine=_engine())
    return np.asarray(dispatch.get_positions(trades, by_column(trades), engine=_engine()))


def is_portfolio(answer: object) -> bool:
    """Whether an object is a ``vectorbt.Portfolio``."""
    return isinstance(answer, _vectorbt().Portfolio)


def _costs(asks: Costs, market: Quotes) -> Mapping[str, Any]:
    """Return fees and slippage: numbers, or [bar, column] where assets or the market's terms differ ([1, column])."""
    shares = {"fees": market.cost(asks.fees), "slippage": market.cost(asks.slippage, market.slippage)}
    return {name: value if np.ndim(value) == 0 else np.atleast_2d(value) for name, value in shares.items()}


def _orders(records: NDArray[Any], rows_per_bar: int, slippage: Floats) -> Orders:
    """Return order records, those of a path and bar in the order in which they were filled."""
    path, bar = records["col"].astype(np.int64), (records["idx"] // rows_per_bar).astype(np.int64)
    paid = slippage[bar, path]
    sign = np.where(records["side"] == 0, 1.0, -1.0)  # vectorbt: 0 buys, 1 sells
    price = records["price"].astype(np.float64)
    return Orders(
        path=path,
        bar=bar,
        size=records["size"] * sign,
        price=price,
        fees=records["fees"].astype(np.float64),
        quoted=price / (1 + sign * paid),
    )


def _round_trips(records: NDArray[Any], rows_per_bar: int, ruins: Ints, bars: int) -> pd.DataFrame:
    """Turn vectorbt's position records (from flat to flat) into our trades; ruins are bars, int64 [column]."""
    ruin = ruins[records["col"]]
    exit_bar = np.minimum(records["exit_idx"] // rows_per_bar, ruin)
    ruined = ruin < bars
    columns = {
        "path_id": records["col"].astype(np.int64),
        "side": np.where(records["direction"] == 0, "long", "short"),
        "entry_bar": (records["entry_idx"] // rows_per_bar).astype(np.int64),
        "entry_price": records["entry_price"],
        "exit_bar": exit_bar.astype(np.int64),
        "exit_price": records["exit_price"],
        "size": records["size"],
        "pnl": records["pnl"],
        "fees": records["entry_fees"] + records["exit_fees"],
        "open": (records["status"] == 0) & ~ruined,
    }
    return pd.DataFrame(columns, columns=list(TRADE_COLUMNS))


class _NoExchanges:
    """Refuses ccxt to the thread that imports vectorbt: only a type of its own sources of bars; it takes .6 s."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Refuse that one package, and that to this thread alone."""
        if name == "ccxt" and threading.get_ident() == self.thread:
            raise ModuleNotFoundError(name)


@functools.cache
def _vectorbt() -> Any:
    finder = _NoExchanges()
    sys.meta_path.insert(0, finder)
    try:
        import vectorbt
    finally:
        sys.meta_path.remove(finder)
    return vectorbt


@functools.cache
def _engine() -> str:
    """Return ``rust``, or say why the slow start of numba must be endured."""
    from vectorbt._engine import is_rust_available

    if is_rust_available():
        return "rust"
    log.warning(
        "vectorbt-rust is missing or of another version than vectorbt: backtests fall back to numba, which "
        "compiles for some 20 s in every new process; install 'vectorbt[rust]'"
    )
    return "numba"


# --- A position carried into the path: the strategy has traded the context, and what it holds goes on ---


def with_carried(
    wanted: SignalOrders, before: SignalOrders, context: Quotes, broker: Broker, costs: Costs | None = None
) -> SignalOrders:
    """Return the path's orders with an entry at the first fill where a position was held at the context's end.

    The account trades the context from flat, stops included. A position that it still holds, and that the first
    orders of the path would neither leave nor turn, is opened at the path's first fill with the size of its own
    entry; its stops start there anew, since the account pays that price. Target weights need none of this: they
    are rebalanced at the first fill as at any other.

    Args:
        wanted: orders [bar of the path, path].
        before: orders filled on the context, [bar, path].
        context: the context's bars.
        broker: costs and limits; free of costs, volume and T+1, the same positions would be held.
        costs: of several assets, whose columns stand together; None: what the broker asks of one.
    """
    lag = len(context.close) - len(before.entries)  # the first bars have no decision before them
    bars = Quotes(*(getattr(context, name)[lag:] for name in ("open", "high", "low", "close")))
    held = Broker(fill=broker.fill, leverage=broker.leverage, net=broker.net)
    costs = Costs.of(broker) if costs is None else costs
    before, first = (each.fillable(shorts=costs.shorts) for each in (before, wanted))
    free = replace(Costs.of(held), assets=costs.assets)
    ledger, watch = ledger_signals(bars, before, held, bars_per_year=1.0, costs=free)
    long = (ledger.units > 0) & ~first.exits[0] & ~first.short_entries[0]
    short = (ledger.units < 0) & ~first.short_exits[0] & ~first.entries[0]
    entries, short_entries, size = first.entries.copy(), first.short_entries.copy(), first.size.copy()
    size[0] = np.where(long | short, watch.size, size[0])
    entries[0] |= long
    short_entries[0] |= short
    return replace(first, entries=entries, short_entries=short_entries, size=size)
