"""A strategy for scenario-gen: be long while the close is above its moving average, with a stop loss."""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class MyStrategy:
    """Long above the moving average of closes, in cash below it.

    The fields are the parameters that a spec may set, each checked against its type:
    params: {window: [50, 100]}. A list of values is a grid: every combination runs.
    """

    window: int = 50  # bars of the average; the context (bars.context in the spec) should be longer
    stop_loss: float = 0.10  # leave inside a bar at 10 % below the fill price

    def __post_init__(self) -> None:
        """Refuse values that make no sense; of a grid, such combinations are left out."""
        if self.window < 2:
            raise ValueError(f"window must be at least 2: window={self.window}")

    def signals(self, bars: Bars) -> Signals:
        """Say at each close what to do; orders fill at the next bar's open.

        bars.open, high, low, close and volume are data frames with one row per bar and one column per path.
        Their first rows are the real context, there to warm indicators up; trading starts after it.
        Use only what is known at each bar, and only the path's own column: rolling(), ewm(), shift(1) and the
        like, never shift(-1), a mean over all rows, or a mean over the paths. Every run probes for that.
        """
        average = bars.close.rolling(self.window).mean()  # NaN until the window is full: no signal there
        return Signals(
            entries=bars.close > average,
            exits=bars.close < average,
            # short_entries=..., short_exits=...: the other side; frames of booleans like the two above
            # size=0.5: the share of equity to commit; a number, or a frame read at the bar of the entry
            stop_loss=self.stop_loss,
            # trailing_stop=0.10 instead of stop_loss: from the best price since entry
            # take_profit=0.20: leave at 20 % above the fill price
        )

    # Instead of signals, a strategy may say what share of equity to hold; it is rebalanced at every bar:
    #
    # def weights(self, bars: Bars) -> pd.DataFrame:
    #     return (bars.close > bars.close.rolling(self.window).mean()).astype(float)
