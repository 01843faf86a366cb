"""The MACD and its signal line, long only.

Appel (1979), The Moving Average Convergence-Divergence Trading Method: the difference of exponential averages of
12 and 26 closes, and an exponential average of 9 differences as the signal.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class MacdTrend:
    """Be long while the MACD is above its signal line, in cash otherwise.

    Attributes:
        fast: span of the fast average; its weight on the newest close is 2 / (fast + 1).
        slow: span of the slow average; the context should be some three times as long.
        smooth: span of the signal line.
    """

    fast: int = 12
    slow: int = 26
    smooth: int = 9

    def __post_init__(self) -> None:
        if not 1 <= self.fast < self.slow or self.smooth < 1:
            raise ValueError(
                f"needs 1 <= fast < slow and smooth >= 1: fast={self.fast}, slow={self.slow}, smooth={self.smooth}"
            )

    def signals(self, bars: Bars) -> Signals:
        """Enter when the MACD is above its signal line, leave when it is not."""
        histogram = self.histogram(bars.close)
        return Signals(entries=histogram > 0, exits=histogram <= 0)

    def histogram(self, close: pd.DataFrame) -> pd.DataFrame:
        """Return the MACD less its signal line, in the unit of the price."""
        fast, slow = (close.ewm(span=span, adjust=False).mean() for span in (self.fast, self.slow))
        macd = fast - slow
        return macd - macd.ewm(span=self.smooth, adjust=False).mean()
