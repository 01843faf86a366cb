"""Buy and hold: the yardstick beside which every other strategy is read."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class BuyAndHold:
    """Buy with all equity at the first chance and never sell."""

    def signals(self, bars: Bars) -> Signals:
        """Ask to be long at every bar; only the first request is acted on."""
        always = pd.DataFrame(True, index=bars.close.index, columns=bars.close.columns)
        return Signals(entries=always, exits=~always)
