"""Hold the assets that rose most, and change only a few of them at a time.

Jegadeesh and Titman (1993), Returns to Buying Winners and Selling Losers, Journal of Finance 48, for momentum across
assets. That at most ``drop`` of the ``top`` are exchanged at once is the rule of TopkDropout in Yang et al. (2020),
Qlib: An AI-oriented Quantitative Investment Platform: it bounds turnover.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest import Bars, Targets


@dataclass(frozen=True)
class TopMomentum:
    """Hold the strongest assets in equal shares.

    Attributes:
        top: how many are held.
        drop: how many of them may be exchanged at a rebalancing.
        lookback: bars over which the rise is measured.
        skip: latest bars that are left out of it.
        every: bars from one rebalancing to the next.
    """

    top: int = 3
    drop: int = 1
    lookback: int = 120
    skip: int = 5
    every: int = 21

    def __post_init__(self) -> None:
        if not 1 <= self.drop <= self.top or not 0 <= self.skip < self.lookback:
            raise ValueError(
                f"needs 1 <= drop <= top and 0 <= skip < lookback: top={self.top}, drop={self.drop}, "
                f"lookback={self.lookback}, skip={self.skip}"
            )

    def weights(self, bars: Bars) -> Targets:
        """Return 1 / top for what is held from the last context bar on; nothing while the rise is not known."""
        assets = max(len(bars.assets), 1)
        if self.top > assets:
            raise ValueError(f"top={self.top} of {assets} assets, expected {assets} at most: set params: {{top: ...}}")
        rise = bars.close.shift(self.skip) / bars.close.shift(self.lookback)
        scores = rise.to_numpy().reshape(len(bars), -1, assets)
        held, start = np.zeros(scores.shape, dtype=bool), bars.context_bars - 1
        for row in range(start, len(bars)):
            held[row] = held[row - 1] if row > start else False
            known = ~np.isnan(scores[row]).any(axis=1)
            if (row - start) % self.every == 0:
                held[row, known] = self.exchanged(held[row, known], scores[row, known])
        return Targets(bars.close * 0.0 + held.reshape(bars.close.shape) / self.top, every=self.every)

    def exchanged(self, held: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return what is held next, bool [path, asset]: the worst of the held give way to better ones."""
        free = self.top - held.sum(axis=1, keepdims=True)
        best_first = _rank(np.where(held, -np.inf, scores))  # of what is not held
        candidates = ~held & (best_first < self.drop + free)
        among = held | candidates
        worst_first = _rank(np.where(among, -scores, -np.inf))
        sold = held & (worst_first < self.drop)
        bought = candidates & (best_first < sold.sum(axis=1, keepdims=True) + free)
        return np.asarray((held & ~sold) | bought)


def _rank(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of values, the largest first, [path, asset]."""
    return np.asarray(np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1, kind="stable"))
