"""A strategy for scenario-gen: be long while the close is above its moving average."""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class MyStrategy:
    """Long above the moving average of closes, in cash below it.

    The fields are the parameters that a spec may set: params: {window: [50, 100]}.
    """

    window: int = 50

    def signals(self, bars: Bars) -> Signals:
        """Say at each close what to do; orders fill at the next bar's open.

        bars.open, high, low, close and volume are data frames with one row per bar and one column per path.
        Their first rows are the real context, there to warm indicators up; trading starts after it.
        Use only what is known at each bar: rolling(), shift(1) and the like, never shift(-1).
        """
        average = bars.close.rolling(self.window).mean()
        return Signals(entries=bars.close > average, exits=bars.close < average)
