"""Other futures for the same past: bars after a cut replaced by bars of another kind, prices still plausible.

A bar is taken apart into log ratios to the close before it; the ratios of other bars, chained to the close at
the cut, make the new future. Valid candles stay valid: a ratio scaled by a positive number keeps its order,
and a mirrored bar swaps its high and its low.

Knows arrays of bars; knows no strategies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.account import Floats, Ints
from scenario_gen.backtest.strategy import Bars
from scenario_gen.market.relative import chain, log_steps

PRICES = ("open", "high", "low", "close")
MIRRORED = [0, 2, 1, 3]  # high and low change places

WILDER = 3.0  # the wild future's volatility, in that of the bars it replaces
VOLUME = 10.0  # and its volume
STEP = 0.5  # its drift per bar, in standard deviations of a bar; up in one column, down in the next
FARTHEST = math.log(5.0)  # what the drift adds up to, at most
LEAST_SPREAD = 1e-3  # standard deviation to work with where no price moves


@dataclass(frozen=True)
class Futures:
    """Bars taken apart, ready to be continued otherwise after any bar.

    Attributes:
        prices: float64 [price, bar, path], open, high, low, close.
        volume: float64 [bar, path]; None where there is none.
    """

    prices: Floats
    volume: Floats | None

    @classmethod
    def of(cls, bars: Bars) -> Futures:
        """Take the arrays out of frames."""
        prices = np.stack([getattr(bars, name).to_numpy(dtype=np.float64) for name in PRICES])
        return cls(prices, None if bars.volume is None else bars.volume.to_numpy(dtype=np.float64))

    def replaced(self, cuts: Ints, wild: NDArray[np.bool_], rng: np.random.Generator) -> Futures:
        """Return the same bars up to each column's cut, and other bars after it.

        The others are those of the next column, from another time on; ``wild`` ones are mirrored, three times
        as volatile and ten times as heavily traded, and they drift far from the level at the cut.

        Args:
            cuts: int64 [path], the last bar to keep; at least 0.
            wild: bool [path].
            rng: chooses times and noise.
        """
        _, bars, columns = self.prices.shape
        steps = log_steps(self.prices.T).T  # [price, bar - 1, path]
        donor = np.roll(np.arange(columns), -1)
        rows = (np.arange(bars - 1)[:, None] + rng.integers(1, max(2, bars - 1), columns)) % (bars - 1)
        other = steps[:, rows, donor]
        other = np.where(wild, self._wild(other, rng), other)
        late = np.arange(1, bars)[:, None] > cuts  # [bar - 1, path]
        prices = self.prices.copy()
        then = chain(np.where(late, other, 0.0).T, prices[3, cuts, np.arange(columns)]).T
        prices[:, 1:] = np.where(late, then, prices[:, 1:])
        return Futures(prices, self._volume(rows, donor, wild, late))

    def _wild(self, steps: Floats, rng: np.random.Generator) -> Floats:
        _, bars, columns = steps.shape
        spread = max(float(np.std(steps[3])), LEAST_SPREAD)
        drift = min(STEP * spread, FARTHEST / bars) * np.where(np.arange(columns) % 2, 1.0, -1.0)
        return np.asarray(-WILDER * steps[MIRRORED] + rng.normal(0.0, spread, (bars, columns)) + drift)

    def _volume(self, rows: Ints, donor: Ints, wild: NDArray[np.bool_], late: NDArray[np.bool_]) -> Floats | None:
        if self.volume is None:
            return None
        volume = self.volume.copy()
        other = self.volume[1:][rows, donor] * np.where(wild, VOLUME, 1.0)
        volume[1:] = np.where(late, other, volume[1:])
        return volume
