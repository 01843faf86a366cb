"""A market whose law is known: stochastic volatility on four time scales, with leverage.

For tests and benchmarks: only here can a perfect generator be had, conditional on any context, so only here can
false alarms be counted. Sums of AR(1) processes with spread half-lives have the slowly falling autocorrelation of
real volatility (as the HAR model of Corsi 2009 uses it) and a state from which the future can be sampled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scenario_gen.checks.controls.negative import brownian_candles
from scenario_gen.checks.controls.relative import Floats, Relative
from scenario_gen.checks.facts import Bars
from scenario_gen.market.candles import Candles

HALF_LIVES = np.array([3.0, 15.0, 75.0, 400.0])  # bars
SPREAD = 0.25  # standard deviation of each component of the log volatility
LEVEL = np.log(0.01)  # of the log volatility per bar
LEVERAGE = -0.5  # correlation of a return and the innovation of every component
GAP_SHARE = 0.25  # of a bar's variance
ANCHOR = 100.0


@dataclass(frozen=True, eq=False)
class Simulated:
    """Paths of the known market with its state.

    Attributes:
        bars: the paths.
        states: float64 [path, bar + 1, component], the state before each bar and after the last.
    """

    bars: Bars
    states: Floats

    def stretch(self, start: int, length: int, path: int = 0) -> Bars:
        """Return ``length`` bars of one path from bar ``start`` (at least 1) on, as one path."""
        cut, b = slice(start, start + length), self.bars
        columns = [x[path, cut] for x in (b.open, b.high, b.low, b.close, b.volume) if x is not None]
        return Bars.of_arrays(*columns, anchor_close=b.close[path, start - 1])

    def scaled(self, factor: float) -> Bars:
        """Return the paths with every move multiplied by ``factor``."""
        return Relative.of(self.bars).scaled(factor).onto(self.bars)

    def candles(self, path: int = 0) -> Candles:
        """Return one path as a daily history."""
        b = self.bars
        columns = [x[path] for x in (b.open, b.high, b.low, b.close, b.volume) if x is not None]
        stamps = pd.bdate_range("1990-01-01", periods=b.length)
        return Candles(stamps, np.column_stack(columns), ("open", "high", "low", "close", "volume"), "known market")


def simulate(paths: int, bars: int, rng: np.random.Generator, state: Floats | None = None) -> Simulated:
    """Sample paths, from the stationary law or, given ``state`` [component] or [path, component], conditional on it."""
    decay = 0.5 ** (1 / HALF_LIVES)
    news = SPREAD * np.sqrt(1 - decay**2)
    x = SPREAD * rng.standard_normal((paths, 4)) if state is None else np.broadcast_to(state, (paths, 4))
    unit, highs, lows = brownian_candles(np.ones((paths, bars)), rng)
    gap, noise = rng.standard_normal((2, paths, bars))
    shock = np.sqrt(GAP_SHARE) * gap + np.sqrt(1 - GAP_SHARE) * unit
    states = np.empty((paths, bars + 1, 4))
    states[:, 0] = x
    for t in range(bars):
        own = np.sqrt(1 - LEVERAGE**2) * rng.standard_normal((paths, 4))
        states[:, t + 1] = decay * states[:, t] + news * (LEVERAGE * shock[:, t, None] + own)
    sigma = np.exp(LEVEL + states[:, :-1].sum(axis=2))
    body = sigma * np.sqrt(1 - GAP_SHARE)
    relative = Relative(
        g=np.sqrt(GAP_SHARE) * sigma * gap,
        b=body * unit,
        hh=body * highs,
        ll=body * lows,
        volume=1e6 * np.exp(0.5 * states[:, :-1].sum(axis=2) + 0.25 * np.abs(shock) + 0.2 * noise),
    )
    anchor = np.full(paths, ANCHOR)
    blank = np.ones((paths, bars))
    return Simulated(relative.onto(Bars(blank, blank, blank, blank, blank, anchor)), states)
