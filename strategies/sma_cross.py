"""Moving-average cross, long only: the oldest trend rule there is.

Brock, Lakonishok and LeBaron (1992), Simple Technical Trading Rules and the Stochastic Properties of Stock
Returns, Journal of Finance 47, test it as the "variable-length moving average".
"""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class SmaCross:
    """Be long while the fast average of closes is above the slow one, in cash otherwise.

    Attributes:
        fast: bars of the fast average.
        slow: bars of the slow average; the context should be at least as long.
    """

    fast: int = 20
    slow: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.fast < self.slow:
            raise ValueError(f"fast must be shorter than slow: fast={self.fast}, slow={self.slow}")

    def signals(self, bars: Bars) -> Signals:
        """Enter when the fast average is above the slow one, leave when it is not."""
        fast = bars.close.rolling(self.fast).mean()
        slow = bars.close.rolling(self.slow).mean()
        return Signals(entries=fast > slow, exits=fast <= slow)
