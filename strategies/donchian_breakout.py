"""Donchian channel breakout with a stop loss, long only.

Richard Donchian's four-week rule, in the form that the Turtle traders made known: enter on a new high of some
weeks, leave on a new low of fewer weeks (Faith 2007, Way of the Turtle).
"""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class DonchianBreakout:
    """Buy a close above the highest high of the bars before, sell a close below the lowest low of fewer bars.

    Attributes:
        entry: bars of the channel to break upwards.
        exit: bars of the channel to break downwards.
        stop_loss: fall from the fill price at which to leave inside a bar, 0.05 means 5 %.
    """

    entry: int = 20
    exit: int = 10
    stop_loss: float = 0.05

    def __post_init__(self) -> None:
        if not 1 <= self.exit <= self.entry:
            raise ValueError(f"exit must not be longer than entry: entry={self.entry}, exit={self.exit}")

    def signals(self, bars: Bars) -> Signals:
        """Compare each close with the channel of the bars before it: shift(1) keeps the bar itself out."""
        ceiling = bars.high.rolling(self.entry).max().shift(1)
        floor = bars.low.rolling(self.exit).min().shift(1)
        return Signals(entries=bars.close > ceiling, exits=bars.close < floor, stop_loss=self.stop_loss)
