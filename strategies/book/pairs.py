"""Trade two assets against each other when they drift apart, and give up when they drift farther.

Gatev, Goetzmann and Rouwenhorst (2006), Pairs Trading: Performance of a Relative-Value Arbitrage Rule, Review of
Financial Studies 19: open at two standard deviations of the spread, close when prices cross. The stop, and that spread
and deviation are those of the last bars, are added here.

A model of joint bars that does not know that two prices belong together (cointegration) lets pairs drift apart: what
this rule makes on such paths says little about the pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scenario_gen.backtest import Bars


@dataclass(frozen=True)
class Pairs:
    """Long the cheaper and short the dearer of two assets.

    Attributes:
        first: name of an asset; empty: the first of the book.
        second: name of the other; empty: the second of the book.
        window: bars over which the usual spread and its deviation are measured.
        enter: deviations at which the pair is opened.
        stop: deviations at which it is given up, until the spread has been usual again.
        gross: what the absolute weights of both sum to while it is open.
    """

    first: str = ""
    second: str = ""
    window: int = 60
    enter: float = 2.0
    stop: float = 4.0
    gross: float = 1.0

    def __post_init__(self) -> None:
        if self.window < 3 or not 0 < self.enter < self.stop or self.gross <= 0:
            raise ValueError(
                f"needs window >= 3, 0 < enter < stop and gross > 0: window={self.window}, enter={self.enter}, "
                f"stop={self.stop}, gross={self.gross}"
            )

    def weights(self, bars: Bars) -> pd.DataFrame:
        """Return half of ``gross`` of each side while the pair is open, from the last context bar on."""
        names = [self.first or "".join(bars.assets[:1]), self.second or "".join(bars.assets[1:2])]
        if names[0] == names[1] or not set(names) <= set(bars.assets):
            raise ValueError(f"needs two assets of {bars.assets}: first={names[0]!r}, second={names[1]!r}")
        places = [bars.assets.index(name) for name in names]
        logs = np.log(bars.close.to_numpy()).reshape(len(bars), -1, len(bars.assets))
        spread = pd.DataFrame(logs[:, :, places[0]] - logs[:, :, places[1]])
        usual = spread.rolling(self.window)
        apart = ((spread - usual.mean()) / usual.std()).to_numpy()  # [bar, path]; NaN before it is known
        side = self.sides(apart, bars.context_bars - 1)
        held = np.zeros(logs.shape)
        held[:, :, places[0]], held[:, :, places[1]] = self.gross / 2 * side, -self.gross / 2 * side
        return bars.close * 0.0 + held.reshape(bars.close.shape)

    def sides(self, apart: np.ndarray, start: int) -> np.ndarray:
        """Return 1 where the first is held against the second, -1 the other way round, 0 for neither, [bar, path]."""
        side = np.zeros(apart.shape)
        stopped = np.zeros(apart.shape[1])  # the side that was given up, until the spread has crossed its mean
        for row in range(start, len(apart)):
            deviation = np.nan_to_num(apart[row])
            before = side[row - 1] if row > start else np.zeros_like(stopped)
            stopped = np.where(stopped * deviation >= 0, 0.0, stopped)
            open_still = (before != 0) & (before * deviation < 0)
            given_up = open_still & (np.abs(deviation) >= self.stop)
            stopped = np.where(given_up, before, stopped)
            wide = (np.abs(deviation) >= self.enter) & (np.abs(deviation) < self.stop) & (stopped == 0)
            opened = np.where(wide, -np.sign(deviation), 0.0)
            side[row] = np.where(open_still & ~given_up, before, opened)
        return side
