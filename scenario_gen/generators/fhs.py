"""Filtered historical simulation of whole candles, driven by a recursion of the variance.

Barone-Adesi, Giannopoulos and Vosper 1999, "VaR without correlations for portfolios of derivative securities":
past bars are divided by the volatility that stood before them, drawn again with replacement, and multiplied by the
volatility that each path has reached. Here the whole bar is drawn and scaled (gap, both wicks and body), so every
candle is valid by construction and its volume travels with it.

:class:`FilteredPaths` is the exponentially weighted (RiskMetrics) form on the context alone. Its variance has no
level to return to, and its median fades over long horizons: :mod:`scenario_gen.generators.garch` has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from scenario_gen.errors import DataError
from scenario_gen.generators.base import Advance, ignore, relative_bars, require_bars, require_movement, to_path_set
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.walks import BarTail, ChainWalk, DrawnTail
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import Floats, PathSet

WARM_UP = 10  # bars whose mean square starts the recursion; they are not resampled themselves
# A bar's variance is expected to grow by so much a bar: one of some 50 deviations among 256 does that to EWMA. Drawn
# twice, such a bar makes paths of a million times the anchor; real markets, crashes included, stay below 1.1.
EXPLOSIVE = 1.5
FLOOR = 0.1  # of the root mean square return: a stretch without trade must not make the next bar a giant


@dataclass(frozen=True)
class VarianceRecursion:
    """The variance of the next bar: h' = omega + (alpha + gamma [r < 0]) r^2 + beta h.

    Covers the running (EWMA) variance with omega = gamma = 0, GARCH(1, 1) with gamma = 0 (Bollerslev 1986) and
    GJR-GARCH (Glosten, Jagannathan and Runkle 1993).
    """

    omega: float
    alpha: float
    gamma: float
    beta: float

    def news(self, returns: Floats) -> Floats:
        """Return what each return adds to the next variance, omega included."""
        return np.asarray(self.omega + (self.alpha + self.gamma * (returns < 0)) * returns**2)

    def step(self, variance: Floats, returns: Floats) -> Floats:
        """Return the next bar's variance [path]."""
        return np.asarray(self.news(returns) + self.beta * variance)

    def filter(self, returns: Floats, start: float) -> Floats:
        """Return the variance [T + 1] that stood before each return [T], and the one after the last."""
        after, _ = lfilter([1.0], [1.0, -self.beta], self.news(returns), zi=[self.beta * start])
        return np.concatenate(([start], after))

    def persistence(self, shocks: Floats) -> float:
        """Return how much of a variance is expected to be left a bar later, under resampled shocks."""
        return float(self.alpha * np.mean(shocks**2) + self.gamma * np.mean(shocks**2 * (shocks < 0)) + self.beta)


@dataclass(frozen=True)
class FilteredBars:
    """Bars in units of the volatility before them, and what is needed to let them run on."""

    units: Floats  # open, high, low, close relative to the previous close, over the volatility [bar, 4]
    recursion: VarianceRecursion  # of the variance
    variance: float  # of the next bar

    def simulate(self, uniforms: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Return relative bars [path, bar, 4] and which bar each was made of, from uniforms [path, bar]."""
        drawn = np.empty(uniforms.shape, dtype=np.int64)
        bars = np.empty((*uniforms.shape, 4))
        variance = np.full(len(uniforms), self.variance)
        for bar in range(uniforms.shape[1]):
            bars[:, bar], drawn[:, bar], variance = self.next_bar(variance, uniforms[:, bar])
        return bars, drawn

    def next_bar(self, variance: Floats, uniforms: Floats) -> tuple[Floats, NDArray[np.int64], Floats]:
        """Return a bar [path, 4], which it was made of, and the variance after, from the variance before it [path]."""
        drawn = (uniforms * len(self.units)).astype(np.int64)
        bars = np.sqrt(variance)[:, None] * self.units[drawn]
        return bars, drawn, self.recursion.step(variance, bars[:, 3])

    def walk(self, context: Candles, bars: int, rows: int, volume: Floats | None) -> ChainWalk:
        """Return paths before their first bar, each bar with the volume of what it was made of."""

        def next_bar(variance: Floats, uniforms: Floats) -> tuple[Floats, Floats | None, Floats]:
            steps, drawn, after = self.next_bar(variance, uniforms[:, 0])
            return steps, None if volume is None else volume[drawn], after

        def tail(sign: float) -> BarTail:
            return DrawnTail.of(sign * self.units[:, 3])

        return ChainWalk.start(context, bars, rows, 1, next_bar, state=self.variance, tail=tail)


@dataclass(frozen=True)
class FilteredPaths:
    """EWMA filtered historical simulation of the context's own candles."""

    decay: float = 0.94  # of the running variance; .94 is RiskMetrics' for daily bars (J.P. Morgan 1996)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind and decay."""
        return {"kind": "fhs", "decay": self.decay}

    @property
    def trained_until(self) -> None:
        """None: it is fitted to the context alone."""

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return paths float32 [path, bar, field]; fields as the context's, without amount.

        Raises:
            DataError: the context is shorter than 32 bars, never moves, or moves after a standstill by so many of its
                deviations that resampling the move would explode.
        """
        filtered, volume = self._filtered(context)
        bars, drawn = filtered.simulate(draws.uniforms(len(timestamps), 1)[..., 0])
        advance(len(timestamps))
        drawn_volume = None if volume is None else volume[drawn]
        return to_path_set(context, timestamps, draws, bars, drawn_volume, {"generator": "fhs", "decay": self.decay})

    def start(self, context: Candles, timestamps: pd.DatetimeIndex, rows: int) -> ChainWalk:
        """Return paths before their first bar; the same errors are raised."""
        filtered, volume = self._filtered(context)
        return filtered.walk(context, len(timestamps), rows, volume)

    def _filtered(self, context: Candles) -> tuple[FilteredBars, Floats | None]:
        """Return the context's bars in units of their volatility, and the volume of each."""
        require_bars(context)
        require_movement(context)
        relative, volume = relative_bars(context)
        filtered = filter_bars(relative, VarianceRecursion(0.0, 1.0 - self.decay, 0.0, self.decay))
        _refuse_explosion(filtered)
        return filtered, None if volume is None else volume[WARM_UP:]


def _refuse_explosion(filtered: FilteredBars) -> None:
    shocks = filtered.units[:, 3]
    growth = filtered.recursion.persistence(shocks)
    if growth > EXPLOSIVE:
        raise DataError(
            f"a close of the context moves by {np.abs(shocks).max():.0f} of the deviations before it: drawn again, "
            f"such moves multiply the variance by {growth:.2f} a bar",
            expected=f"a context whose running volatility foresees its moves (at most {EXPLOSIVE:g} a bar)",
            fix="choose another data.end or a longer bars.context, or take bootstrap, which draws bars as they are",
        )


def filter_bars(relative: Floats, recursion: VarianceRecursion) -> FilteredBars:
    """Divide relative bars [T, 4] by their running volatility; the first ten only start the recursion."""
    returns = relative[:, 3]
    start = float(np.mean(returns[:WARM_UP] ** 2))
    floor = FLOOR**2 * float(np.mean(returns**2))
    variance = np.maximum(recursion.filter(returns[WARM_UP:], start), floor)
    return FilteredBars(relative[WARM_UP:] / np.sqrt(variance[:-1, None]), recursion, float(variance[-1]))
