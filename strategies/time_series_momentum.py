"""Time-series momentum: follow a market's own past return, by as much as a volatility target allows.

Moskowitz, Ooi and Pedersen (2012), Time Series Momentum, Journal of Financial Economics 104: the sign of the
return over twelve months, a target of 40 % a year over an exponentially weighted volatility. They rebalance
monthly and hold a diversified portfolio of futures; this holds one market, rebalances at every bar, aims lower and
caps the weight, so that it needs no borrowed money.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scenario_gen.backtest import Bars


@dataclass(frozen=True)
class TimeSeriesMomentum:
    """Hold the sign of the past return, weighted by target volatility over recent volatility.

    Attributes:
        lookback: bars of the past return; the context must be longer.
        target: volatility per year to aim for, 0.15 means 15 %.
        center: centre of mass of the volatility's weights, in bars (the paper's is 60).
        cap: largest weight to either side, at most 1.
    """

    lookback: int = 252
    target: float = 0.15
    center: int = 60
    cap: float = 1.0

    def __post_init__(self) -> None:
        if self.lookback < 1 or self.target <= 0 or self.center < 1 or not 0 < self.cap <= 1:
            raise ValueError(
                f"needs lookback >= 1, target > 0, center >= 1 and 0 < cap <= 1: lookback={self.lookback}, "
                f"target={self.target}, center={self.center}, cap={self.cap}"
            )

    def weights(self, bars: Bars) -> pd.DataFrame:
        """Weigh the sign of the past return; hold nothing before there is one."""
        returns = bars.close.pct_change()
        volatility = returns.ewm(com=self.center).std() * np.sqrt(bars.bars_per_year)
        direction = np.sign(bars.close.pct_change(self.lookback))
        return (direction * (self.target / volatility).clip(upper=self.cap)).fillna(0.0)
