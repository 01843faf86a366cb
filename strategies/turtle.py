"""The Turtles' first system: breakouts, sized and stopped by the average true range, long and short.

Faith (2007), Way of the Turtle: enter on a break of the 20-bar channel, leave on a break of the 10-bar channel the
other way; a unit is so large that one average true range ("N", Wilder's, 20 bars) moves the account by 1 %; leave two
N from the price. Here the stop trails, one unit is held at a time, and a size beyond all equity is cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class Turtle:
    """Trade breakouts of the channel of the bars before, by units of equal risk.

    Attributes:
        entry: bars of the channel to break for a position.
        exit: bars of the channel whose break the other way ends it.
        period: bars of Wilder's smoothing of the true range.
        risk: share of equity that a move of one average true range wins or loses.
        stop: average true ranges from the best price at which to leave.
    """

    entry: int = 20
    exit: int = 10
    period: int = 20
    risk: float = 0.01
    stop: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.exit <= self.entry or self.period < 1 or not 0 < self.risk < 1 or self.stop <= 0:
            raise ValueError(
                f"needs 1 <= exit <= entry, period >= 1, 0 < risk < 1 and stop > 0: entry={self.entry}, "
                f"exit={self.exit}, period={self.period}, risk={self.risk}, stop={self.stop}"
            )

    def signals(self, bars: Bars) -> Signals:
        """Compare each close with the channels of the bars before it."""
        share = self.average_range(bars) / bars.close
        return Signals(
            entries=bars.close > bars.high.rolling(self.entry).max().shift(1),
            exits=bars.close < bars.low.rolling(self.exit).min().shift(1),
            short_entries=bars.close < bars.low.rolling(self.entry).min().shift(1),
            short_exits=bars.close > bars.high.rolling(self.exit).max().shift(1),
            size=(self.risk / share).clip(upper=1.0),
            trailing_stop=(self.stop * share).clip(1e-4, 0.99),  # where nothing moves, and where all does
        )

    def average_range(self, bars: Bars) -> pd.DataFrame:
        """Return Wilder's average of the true range: from the close before to the farther end of the bar."""
        before = bars.close.shift(1).fillna(bars.open)
        true_range = np.maximum(bars.high, before) - np.minimum(bars.low, before)
        return true_range.ewm(alpha=1 / self.period, adjust=False).mean()
