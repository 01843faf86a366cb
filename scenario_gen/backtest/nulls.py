"""Null strategies: what anybody would have made of the same paths without knowing when to trade.

``flat`` holds nothing, ``buy_and_hold`` everything, and ``random_entries`` trades as often, as long, on the same
sides and with the same sizes and costs as a strategy, but at random times.

The round trips that are put on a path come from *another* path. A path's own would carry its future: who buys
falls and waits for the recovery holds longest where none came, and so even on a random walk beats his own holding
times put elsewhere on the same path. Those of another path say as much about the strategy, and nothing about this
path. On independent increments, a strategy and its random entries then have the same mean.
``tests/backtest/inference`` shows both.

Randomness is keyed by seed and path id, apart from the random numbers of the paths themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from scenario_gen.backtest.account import RUINED, Floats, Ints
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import BacktestResult, trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.orders import Bools
from scenario_gen.backtest.strategy import Bars, Signals
from scenario_gen.errors import SpecError
from scenario_gen.generators.draws import Draws
from scenario_gen.market.paths import PathSet

# A closed round trip whose exit price is off the open by more than this share left inside the bar, by a stop.
AT_THE_OPEN = 1e-9
# Units are also read from exposure and equity, which are float32: within this share they are the trade's size.
SINGLE_PRECISION = 1e-5


@dataclass(frozen=True)
class Fills:
    """The prices at which the broker trades."""

    price: Floats  # float64 [path, fill], before slippage
    span: Floats | None  # float64 [path, fill], high less low of the bar; None where slippage does not depend on it
    slippage: float  # share of the price, per side
    slippage_range: float  # share of ``span``, per side
    fees: float  # share of the traded value, per side

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
    """The round trips of every path, padded with empty ones: all arrays [path, trade]."""

    start: Ints  # int64, the fill of the entry
    bars: Ints  # int64, how many fills later it ends; 0 in an empty one
    # float64, value at the price of the entry over the equity before it, negative when short; the mean over its closes
    # where the position was rebalanced; 0 in an empty one
    weight: Floats
    closed: Bools  # bool, whether it paid for an exit
    # float64, costs beyond shares of the traded value (fixed fees, borrowing, rebalancing), over the equity before it
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
    """Return the mean size of each position, and what it slipped while it was rebalanced, in money, both [trade]."""
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


# --- Null strategies: what anybody would have made of the same paths without knowing when to trade ---


DRAWS = 20
BUY_AND_HOLD = "buy and hold"
CELLS = 1_000_000  # paths x draws x trades at a time: some dozen arrays of 8 MB
# Sets the places apart from the paths, which may be drawn from the same seed and path ids.
PLACES, PARTNERS = 0x6E756C6C, 0x70616972


@dataclass(frozen=True)
class RandomEntries:
    """Total returns of random entries matched to one strategy."""

    returns: Floats  # float64 [path, draw], on the paths in the order given
    owner: Ints  # int64 [path, draw], row of the path whose round trips were put here

    def by_owner(self) -> Floats:
        """Return the same numbers by the path whose round trips they are, float64 [path, draw]."""
        sorted_rows = np.empty_like(self.returns)
        np.put_along_axis(sorted_rows, self.owner, self.returns, axis=0)
        return sorted_rows


def flat(paths: PathSet) -> Floats:
    """Return the total return of holding nothing, float64 [path]."""
    return np.zeros(len(paths))


def buy_and_hold(ground: Ground, paths: PathSet) -> BacktestResult:
    """Backtest buying with all equity at the first fill and never selling, by the same engine and broker."""
    strategy = LoadedStrategy(BUY_AND_HOLD, "", {}, _BuyAndHold(), Path(__file__))
    return trade(strategy, ground, paths)


def random_entries(
    result: BacktestResult, paths: PathSet, broker: Broker, *, seed: int, draws: int = DRAWS
) -> RandomEntries:
    """Return what the strategy's round trips make at random times of other paths.

    In each draw the round trips of every path go to another path, those of one path together. There they take
    random, not overlapping places in random order: each falls independently and uniformly between two idle bars.
    So trade count, holding times, sides, exposure, fees and slippage are the strategy's, and the times are not.
    A position that was rebalanced is held at its mean size, with the costs of rebalancing; a stop inside a bar
    counts to the next fill.

    The result depends on the set of paths, and not on their order or on how many are computed at once.

    Args:
        result: the strategy's backtest on these paths.
        paths: at least two, in the order of ``result.equity``.
        broker: as it was in the backtest.
        seed: of the run.
        draws: how many per path.

    Raises:
        SpecError: fewer than two paths.
    """
    if len(paths) < 2:
        raise SpecError(
            f"{len(paths)} paths came, but random entries take the round trips of other paths",
            expected="at least 2 paths, better some hundred",
            fix="raise paths.count",
        )
    owner = partners(paths.path_ids, seed, draws)
    holdings, fills = Holdings.of(result, paths, broker), Fills.of(paths, broker)
    return RandomEntries(place(holdings, fills, owner, Draws(_key(seed, PLACES), paths.path_ids)), owner)


def place(holdings: Holdings, fills: Fills, owner: Ints, numbers: Draws) -> Floats:
    """Return the total return of holdings at random places of other paths, float64 [path, draw].

    Args:
        holdings: of every path.
        fills: of every path.
        owner: int64 [path, draw], whose holdings go where.
        numbers: of every path.
    """
    draws, trades = owner.shape[1], holdings.bars.shape[1]
    returns = np.zeros(owner.shape)
    at_once = max(1, CELLS // max(1, draws * trades))
    for first in range(0, len(owner), at_once):
        rows = slice(first, first + at_once)
        theirs = holdings.of_paths(owner[rows])  # [path, draw, trade]
        some = Draws(numbers.seed, numbers.path_ids[rows])
        uniforms = some.uniforms(trades, draws).transpose(0, 2, 1)
        returns[rows] = theirs.total_return(fills.of_paths(rows), random_starts(theirs, fills.steps, uniforms))
    return returns


def random_starts(holdings: Holdings, steps: int, uniforms: Floats) -> Ints:
    """Return where each round trip starts: not overlapping, in random order, int64 [..., trade].

    Args:
        holdings: [..., trade], padded.
        steps: bars there are.
        uniforms: float64 [..., trade] in [0, 1).
    """
    real = holdings.weight != 0
    idle = np.maximum(steps - holdings.bars.sum(axis=-1, keepdims=True), 0)
    # One number decides both: the idle bars before a round trip, and by its fraction who comes first there.
    order = np.argsort(np.where(real, uniforms, np.inf), axis=-1)
    bars = np.take_along_axis(holdings.bars, order, axis=-1)
    idle_before = np.floor(np.take_along_axis(uniforms, order, axis=-1) * (idle + 1)).astype(np.int64)
    starts = np.empty_like(order)
    np.put_along_axis(starts, order, idle_before + np.cumsum(bars, axis=-1) - bars, axis=-1)
    return np.where(real, np.clip(starts, 0, steps - holdings.bars), 0)


def partners(path_ids: Ints, seed: int, draws: int) -> Ints:
    """Return in each draw another path for every path, each once: the paths by id, rotated; int64 [path, draw]."""
    paths = len(path_ids)
    rng = np.random.default_rng([_key(seed, PARTNERS), paths])
    shifts = 1 + rng.permutation(paths - 1)[:draws]
    if len(shifts) < draws:  # so few paths that partners come again
        shifts = rng.integers(1, paths, draws)
    by_id = np.argsort(path_ids, kind="stable")
    rank = np.empty_like(by_id)
    rank[by_id] = np.arange(paths)
    return np.asarray(by_id[(rank[:, None] + shifts) % paths])


def _key(seed: int, purpose: int) -> int:
    """Return a key of its own for each purpose."""
    return int(np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class _BuyAndHold:
    def signals(self, bars: Bars) -> Signals:
        always = pd.DataFrame(True, index=bars.close.index, columns=bars.close.columns)
        return Signals(entries=always, exits=~always)
