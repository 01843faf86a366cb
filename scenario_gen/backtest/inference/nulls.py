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

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scenario_gen.backtest.account import Floats, Ints
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import BacktestResult, trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.inference.holdings import Fills, Holdings
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.strategy import Bars, Signals
from scenario_gen.errors import SpecError
from scenario_gen.execute.draws import Draws
from scenario_gen.market.paths import PathSet

DRAWS = 20
BUY_AND_HOLD = "buy and hold"
CELLS = 1_000_000  # paths x draws x trades at a time: some dozen arrays of 8 MB
# Sets the places apart from the paths, which may be drawn from the same seed and path ids.
PLACES, PARTNERS = 0x6E756C6C, 0x70616972


@dataclass(frozen=True)
class RandomEntries:
    """Total returns of random entries matched to one strategy.

    Attributes:
        returns: float64 [path, draw], on the paths in the order given.
        owner: int64 [path, draw], row of the path whose round trips were put here.
    """

    returns: Floats
    owner: Ints

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
    owner = _owners(paths.path_ids, seed, draws)
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


def _owners(path_ids: Ints, seed: int, draws: int) -> Ints:
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
