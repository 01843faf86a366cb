"""Reversion to the mean from outside the Bollinger bands, long and short.

Bollinger (2001), Bollinger on Bollinger Bands: an average of 20 closes and two of their standard deviations
(with the divisor n) to either side.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class BollingerReversion:
    """Buy a close below the lower band and short one above the upper band, until the average is back.

    Attributes:
        window: bars of the average and of the standard deviation.
        width: standard deviations from the average to a band.
    """

    window: int = 20
    width: float = 2.0

    def __post_init__(self) -> None:
        if self.window < 2 or self.width <= 0:
            raise ValueError(f"needs window >= 2 and width > 0: window={self.window}, width={self.width}")

    def signals(self, bars: Bars) -> Signals:
        """Enter outside the bands, leave at the average."""
        average = bars.close.rolling(self.window).mean()
        spread = self.width * bars.close.rolling(self.window).std(ddof=0)
        return Signals(
            entries=bars.close < average - spread,
            exits=bars.close >= average,
            short_entries=bars.close > average + spread,
            short_exits=bars.close <= average,
        )
