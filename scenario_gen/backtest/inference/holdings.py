"""What a strategy held, cut loose from where it held it: lengths, sides, sizes and costs of its round trips.

Owns the arithmetic that gives such a round trip a result anywhere on any path. A round trip runs from one fill
to another; fills are the prices at which the broker trades: the opens and then the last close (``next_open``),
or the closes (``close``). Knows arrays; knows neither strategies nor how places are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from scenario_gen.backtest.account import RUINED, Floats, Ints
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import BacktestResult
from scenario_gen.backtest.orders import Bools
from scenario_gen.market.paths import PathSet

# A closed round trip whose exit price is off the open by more than this share left inside the bar, by a stop.
AT_THE_OPEN = 1e-9
# Units are also read from exposure and equity, which are float32: within this share they are the trade's size.
SINGLE_PRECISION = 1e-5


@dataclass(frozen=True)
class Fills:
    """The prices at which the broker trades.

    Attributes:
        price: float64 [path, fill], before slippage.
        span: float64 [path, fill], high less low of the bar; None where slippage does not depend on it.
        slippage: share of the price, per side.
        slippage_range: share of ``span``, per side.
        fees: share of the traded value, per side.
    """

    price: Floats
    span: Floats | None
    slippage: float
    slippage_range: float
    fees: float

    @classmethod
    def of(cls, paths: PathSet, broker: Broker) -> Fills:
        """Return the fills of every path."""
        price = paths.column("open" if broker.fill == "next_open" else "close").astype(np.float64)
        span = None
        if broker.slippage_range:
            span = paths.column("high").astype(np.float64) - paths.column("low")
        if broker.fill == "next_open":  # what is left at the end is marked at the last close
            price = np.column_stack([price, paths.close[:, -1]])
            span = None if span is None else np.column_stack([span, span[:, -1]])
        return cls(price, span, broker.slippage, broker.slippage_range, broker.fees)

    @property
    def steps(self) -> int:
        """How many bars a round trip can last at most."""
        return int(self.price.shape[1]) - 1

    def of_paths(self, rows: slice) -> Fills:
        """Return the fills of some paths."""
        return replace(self, price=self.price[rows], span=None if self.span is None else self.span[rows])

    def slipped(self, at: tuple[Ints, Ints], side: Floats) -> Floats:
        """Return the price after slippage of a buy (side 1) or a sale (side -1), shaped like ``side``; never below 0.

        Args:
            at: row of the path and number of the fill, broadcast against each other.
            side: float64.
        """
        price = self.price[at] * (1 + side * self.slippage)
        if self.span is not None:
            price = price + side * self.slippage_range * self.span[at]
        return np.asarray(np.maximum(price, 0.0))


@dataclass(frozen=True)
class Holdings:
    """The round trips of every path, padded with empty ones: all arrays [path, trade].

    Attributes:
        start: int64, the fill of the entry.
        bars: int64, how many fills later it ends; 0 in an empty one.
        weight: float64, value at the price of the entry over the equity before it, negative when short; the mean
            over its closes where the position was rebalanced; 0 in an empty one.
        closed: bool, whether it paid for an exit.
        costs: float64, costs beyond shares of the traded value (fixed fees, borrowing, rebalancing), over the
            equity before it.
    """

    start: Ints
    bars: Ints
    weight: Floats
    closed: Bools
    costs: Floats

    @classmethod
    def of(cls, result: BacktestResult, paths: PathSet, broker: Broker) -> Holdings:
        """Read the round trips of a backtest.

        A stop inside a bar counts to the next fill. Round trips of a portfolio that did not trade at the broker's
        fills are moved to the fills around them.

        Args:
            result: of these paths.
            paths: in the order of ``result.equity``.
            broker: as it was in the backtest.
        """
        fills, trades = Fills.of(paths, broker), result.trades
        row = pd.Index(paths.path_ids).get_indexer(trades["path_id"])
        entry = trades["entry_bar"].to_numpy(dtype=np.int64)
        order = np.lexsort((entry, row))
        trades, row, entry = trades.iloc[order], row[order], entry[order]
        side = np.where(trades["side"].to_numpy() == "long", 1.0, -1.0)
        is_open = trades["open"].to_numpy(dtype=bool)
        last = np.where(is_open, paths.horizon, trades["exit_bar"].to_numpy(dtype=np.int64))
        end = _end(trades, fills, broker, row, side, last)
        place = (row, np.arange(len(row)) - np.searchsorted(row, row))
        pad = _Padding((len(paths), int(place[1].max(initial=-1)) + 1), place)
        made = np.cumsum(pad.floats(trades["pnl"].to_numpy(dtype=np.float64)), axis=1)
        before = np.column_stack([np.full(len(paths), broker.cash), broker.cash + made])[place]
        solvent = before > RUINED * broker.cash
        per_equity = np.divide(1.0, before, out=np.zeros_like(before), where=solvent)
        units, slipped = _units(trades, _held(result, paths), fills, row, (entry, last))
        return cls(
            start=pad.ints(entry),
            bars=pad.ints(end - entry),
            weight=pad.floats(side * units * fills.price[row, entry] * per_equity),
            closed=pad.ints(~is_open).astype(bool),
            costs=pad.floats((_other_costs(trades, units, broker.fees) + slipped) * per_equity),
        )

    def of_paths(self, rows: Ints) -> Holdings:
        """Return the holdings of these rows, [..., trade]."""
        return Holdings(
            start=self.start[rows],
            bars=self.bars[rows],
            weight=self.weight[rows],
            closed=self.closed[rows],
            costs=self.costs[rows],
        )

    def total_return(self, fills: Fills, start: Ints) -> Floats:
        """Return what an account makes that holds this from other fills on, [path, ...].

        Each round trip takes its weight of the equity of its moment; ruin at its end is final.

        Args:
            fills: of as many paths as there are holdings.
            start: int64 [path, ..., trade].
        """
        row = np.arange(len(start)).reshape(-1, *[1] * (start.ndim - 1))
        side, end = np.sign(self.weight), start + self.bars
        price, paid = fills.price[row, start], fills.slipped((row, start), side)
        received = np.where(self.closed, fills.slipped((row, end), -side), fills.price[row, end])
        fees = fills.fees * (paid + np.where(self.closed, received, 0.0))
        gain = (self.weight * (received - paid) - np.abs(self.weight) * fees) / price - self.costs
        return np.asarray(np.prod(np.maximum(1.0 + gain, 0.0), axis=-1) - 1.0)


class _Padding:
    """Lays a value per trade out as [path, trade], with zeros after the last one of each path."""

    def __init__(self, shape: tuple[int, int], place: tuple[Ints, Ints]) -> None:
        self.shape, self.place = shape, place

    def floats(self, values: Floats) -> Floats:
        laid = np.zeros(self.shape)
        laid[self.place] = values
        return laid

    def ints(self, values: Ints | Bools) -> Ints:
        laid = np.zeros(self.shape, dtype=np.int64)
        laid[self.place] = values
        return laid


def _end(trades: pd.DataFrame, fills: Fills, broker: Broker, row: Ints, side: Floats, last: Ints) -> Ints:
    """Return the fill at which each round trip ends: one later where a stop took it out of the bar."""
    end = np.minimum(last, fills.steps)
    if broker.fill == "close":
        return end
    expected = fills.slipped((row, end), -side)
    inside = np.abs(trades["exit_price"].to_numpy() - expected) > AT_THE_OPEN * expected
    return np.asarray(np.minimum(end + (inside & (last < fills.steps)), fills.steps))


def _held(result: BacktestResult, paths: PathSet) -> Floats:
    """Return the size of the position at each close, float64 [path, bar], to single precision."""
    value = np.abs(result.exposure.astype(np.float64)) * result.equity[:, 1:]
    return np.asarray(value / paths.close, dtype=np.float64)


def _units(
    trades: pd.DataFrame, held: Floats, fills: Fills, row: Ints, closes: tuple[Ints, Ints]
) -> tuple[Floats, Floats]:
    """Return the mean size of each position, and what it slipped while it was rebalanced, in money, both [trade].

    Args:
        trades: round trips.
        held: float64 [path, bar], size of the position at each close.
        fills: of every path.
        row: int64 [trade], its path.
        closes: int64 [trade] each, the first close at which it was held, and the first at which it was not.
    """
    first, last = closes
    size = trades["size"].to_numpy(dtype=np.float64)
    count = last - first
    mean = np.divide(_sum_between(held, row, first, last), count, out=size.copy(), where=count > 0)
    constant = np.abs(mean - size) <= SINGLE_PRECISION * size
    per_unit = fills.slippage * fills.price[:, : held.shape[1]]
    if fills.span is not None:
        per_unit = per_unit + fills.slippage_range * fills.span[:, : held.shape[1]]
    changes = np.abs(np.diff(held, axis=1, prepend=0.0)) * per_unit
    slipped = _sum_between(changes, row, np.minimum(first + 1, last), last)
    return np.where(constant, size, mean), np.where(constant, 0.0, slipped)


def _sum_between(values: Floats, row: Ints, first: Ints, last: Ints) -> Floats:
    """Return the sum of values[row, first:last], [trade]."""
    total = np.column_stack([np.zeros(len(values)), np.cumsum(values, axis=1)])
    return np.asarray(total[row, last] - total[row, first], dtype=np.float64)


def _other_costs(trades: pd.DataFrame, units: Floats, fees: float) -> Floats:
    """Return what each trade paid beyond the fees of buying and selling its units once, [trade]."""
    paid = trades["fees"].to_numpy(dtype=np.float64)
    received = np.where(trades["open"].to_numpy(dtype=bool), 0.0, trades["exit_price"].to_numpy())
    rest = paid - fees * units * (trades["entry_price"].to_numpy() + received)
    return np.where(rest > AT_THE_OPEN * paid, rest, 0.0)
