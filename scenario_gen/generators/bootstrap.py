"""Stationary block bootstrap of whole candles: the first baseline.

Politis and Romano 1994, "The stationary bootstrap": blocks of geometric length, wrapped around the context's end.
A bar travels whole: gap, body, both wicks as log ratios, and its volume. The mean block length is chosen on the
absolute returns of the context (Politis and White 2004, corrected by Patton et al. 2009), so that volatility
clusters survive where the context shows them; on returns themselves it would be about one bar. A calm context of 256
bars often shows none (a mean block below 1.5 in a quarter to a half of them): name ``mean_block`` where clusters must
stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.generators.base import Advance, ignore, relative_bars, require_bars, to_path_set
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.walks import BarTail, ChainWalk, DrawnTail
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import Floats, PathSet

NO_BAR = -1.0  # before the first bar of a path, which begins a block


@dataclass(frozen=True)
class StationaryBootstrap:
    """Resample the context's own bars in blocks."""

    mean_block: float | None = None  # mean block length in bars; None chooses it from the context

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind and the mean block length that was asked for."""
        return {"kind": "bootstrap", "mean_block": self.mean_block}

    @property
    def trained_until(self) -> None:
        """None: it is fitted to the context alone."""

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return bootstrap paths float32 [path, bar, field]; fields as the context's, without amount.

        Raises:
            DataError: the context is shorter than 32 bars.
        """
        require_bars(context)
        mean_block = self.mean_block or optimal_mean_block(context.close)
        relative, volume = relative_bars(context)
        uniforms = draws.uniforms(len(timestamps), 2)
        index = block_indices(uniforms, len(relative), mean_block)
        advance(len(timestamps))
        drawn = None if volume is None else volume[index]
        provenance = {"generator": "bootstrap", "mean_block": round(mean_block, 2)}
        return to_path_set(context, timestamps, draws, relative[index], drawn, provenance)

    def bar_bounds(self, context: Candles) -> tuple[float, float]:
        """Return the context's own lowest and highest log return."""
        returns = np.diff(np.log(context.close))
        return float(returns.min()), float(returns.max())

    def start(self, context: Candles, timestamps: pd.DatetimeIndex, rows: int) -> ChainWalk:
        """Return paths before their first bar; the same errors are raised."""
        require_bars(context)
        new_block = 1.0 / (self.mean_block or optimal_mean_block(context.close))
        relative, volume = relative_bars(context)
        bars = len(relative)

        def next_bar(last: Floats, uniforms: Floats) -> tuple[Floats, Floats | None, Floats]:
            opens = (last == NO_BAR) | (uniforms[:, 0] < new_block)
            at = np.where(opens, (uniforms[:, 1] * bars).astype(np.int64), (last.astype(np.int64) + 1) % bars)
            return relative[at], None if volume is None else volume[at], at.astype(np.float64)

        def tail(sign: float) -> BarTail:
            return BlockTail(DrawnTail.of(sign * relative[:, 3]), new_block)

        return ChainWalk.start(context, len(timestamps), rows, 2, next_bar, state=NO_BAR, tail=tail)


@dataclass(frozen=True, eq=False)
class BlockTail:
    """The tail of the next bar: of the block that goes on, or of one that begins anywhere; see ``walks.BarTail``."""

    bars: DrawnTail
    new_block: float  # chance that a block begins

    def _parts(self, last: Floats, bound: float) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Return the chance of a new block and whether the one that goes on comes to the bound [row]; and how many."""
        begins = np.where(last == NO_BAR, 1.0, self.new_block)
        after = (last.astype(np.int64) + 1) % len(self.bars.returns)
        count = self.bars.count(np.ones(len(last)), bound)
        return begins, (self.bars.returns[after] <= bound).astype(np.float64), count

    def hazard(self, state: Floats, bound: float) -> Floats:
        """Return the chance that the next log return is at most a bound [row]."""
        begins, goes_on, count = self._parts(state, bound)
        return begins * count / len(self.bars.returns) + (1 - begins) * goes_on

    def conditioned(self, state: Floats, uniforms: Floats, inside: NDArray[np.bool_], bound: float) -> Floats:
        """Return uniforms [row, 2] of bars that come there, or do not."""
        begins, goes_on, count = self._parts(state, bound)
        share = count / len(self.bars.returns)
        new = begins * np.where(inside, share, 1 - share)
        old = (1 - begins) * np.where(inside, goes_on, 1 - goes_on)
        opens = uniforms[:, 0] * (new + old) < new
        return np.stack((np.where(opens, 0.0, 1.0), self.bars.drawn(count, uniforms[:, 1], inside)), axis=1)


def optimal_mean_block(close: NDArray[np.float64]) -> float:
    """Return the mean block length for absolute log returns, at least 1 and at most a quarter of the context."""
    from arch.bootstrap import optimal_block_length  # slow to import

    size = np.abs(np.diff(np.log(close)))
    if size.std() == 0:
        return 1.0
    chosen = float(optimal_block_length(size)["stationary"].iloc[0])
    return float(np.clip(chosen if np.isfinite(chosen) else 1.0, 1.0, len(close) / 4))


def block_indices(uniforms: NDArray[np.float64], bars: int, mean_block: float) -> NDArray[np.int64]:
    """Return which bar [path, bar] to take: a new block starts with probability 1 / mean_block.

    Args:
        uniforms: [path, bar, 2]; the first decides on a new block, the second on where it starts.
        bars: how many bars there are to take from.
        mean_block: mean length of a block.
    """
    paths, horizon = uniforms.shape[:2]
    starts = uniforms[..., 0] < 1.0 / mean_block
    starts[:, 0] = True
    steps = np.arange(horizon)
    last_start = np.maximum.accumulate(np.where(starts, steps, 0), axis=1)
    origin = (uniforms[..., 1] * bars).astype(np.int64)[np.arange(paths)[:, None], last_start]
    return (origin + steps - last_start) % bars
