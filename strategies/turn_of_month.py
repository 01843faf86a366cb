"""The turn of the month: long over the last and the first few days, in cash for the rest.

Lakonishok and Smidt (1988), Are Seasonal Anomalies Real? A Ninety-Year Perspective, Review of Financial Studies 1:
the last trading day of a month and the first three of the next. A path that knows no calendar cannot show the
effect: on such paths this is an exposure of a fifth, and a yardstick for luck.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class TurnOfMonth:
    """Hold the last weekdays of a month and the first of the next; a holiday among them shortens the stay.

    Attributes:
        before: weekdays to hold at the end of a month.
        after: weekdays to hold at the beginning of the next.
    """

    before: int = 1
    after: int = 3

    def __post_init__(self) -> None:
        if self.before < 0 or self.after < 0 or not 1 <= self.before + self.after <= 15:
            raise ValueError(f"needs 1 to 15 weekdays in all: before={self.before}, after={self.after}")

    def signals(self, bars: Bars) -> Signals:
        """Be long over the next bar if it lies at the turn; the stamps alone decide, not the prices."""
        day = bars.close.index.tz_localize(None).values.astype("datetime64[D]")  # the bars' own dates, not those of UTC
        month = day.astype("datetime64[M]")
        left = np.busday_count(day + 1, (month + 1).astype("datetime64[D]"))  # weekdays after this one
        gone = np.busday_count(month.astype("datetime64[D]"), day + 1)  # weekdays up to this one
        next_is_late = (left >= 1) & (left <= self.before)
        next_is_early = np.where(left == 0, self.after > 0, gone < self.after)
        turn = next_is_late | next_is_early
        hold = pd.DataFrame(np.repeat(turn[:, None], bars.close.shape[1], axis=1), bars.close.index, bars.close.columns)
        return Signals(entries=hold, exits=~hold)
