"""Reversion to the mean by the relative strength index, long and short.

Wilder (1978), New Concepts in Technical Trading Systems: the index, its smoothing of 1 / period and the
levels 30 and 70.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class RsiReversion:
    """Buy what fell too fast and short what rose too fast, until the index is back at 50.

    Attributes:
        period: bars of Wilder's smoothing.
        low: buy when the index is below.
        high: short when the index is above.
    """

    period: int = 14
    low: float = 30.0
    high: float = 70.0

    def __post_init__(self) -> None:
        if self.period < 1 or not 0 < self.low < 50 < self.high < 100:
            raise ValueError(
                f"needs period >= 1 and 0 < low < 50 < high < 100: "
                f"period={self.period}, low={self.low}, high={self.high}"
            )

    def signals(self, bars: Bars) -> Signals:
        """Enter beyond the levels, leave at the middle."""
        index = self.rsi(bars.close)
        return Signals(
            entries=index < self.low, exits=index >= 50, short_entries=index > self.high, short_exits=index <= 50
        )

    def rsi(self, close: pd.DataFrame) -> pd.DataFrame:
        """Return Wilder's index in [0, 100]: the smoothed rises as a share of all smoothed moves.

        Where nothing moved at all the share is 0 / 0: neither strong nor weak, 50.
        """
        change = close.diff()
        rises = change.clip(lower=0).ewm(alpha=1 / self.period, adjust=False).mean()
        falls = (-change).clip(lower=0).ewm(alpha=1 / self.period, adjust=False).mean()
        return (100 * rises / (rises + falls)).fillna(50.0)
