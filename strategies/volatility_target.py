"""Hold as much as a volatility target allows: less in wild markets, more in calm ones.

Moreira and Muir (2017), Volatility-Managed Portfolios, Journal of Finance 72, study the idea; the cap keeps
it free of borrowed money.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from scenario_gen.backtest import Bars


@dataclass(frozen=True)
class VolatilityTarget:
    """Weight the market so that its recent volatility, scaled by the weight, meets the target.

    Attributes:
        target: volatility per year to aim for, 0.10 means 10 %.
        window: bars over which volatility is measured.
        cap: largest weight, at most 1.
    """

    target: float = 0.10
    window: int = 20
    cap: float = 1.0

    def __post_init__(self) -> None:
        if self.target <= 0 or self.window < 2 or not 0 < self.cap <= 1:
            raise ValueError(
                f"needs target > 0, window >= 2 and 0 < cap <= 1: "
                f"target={self.target}, window={self.window}, cap={self.cap}"
            )

    def weights(self, bars: Bars) -> pd.DataFrame:
        """Divide the target by the volatility of the last ``window`` returns; hold nothing before."""
        volatility = bars.close.pct_change().rolling(self.window).std() * np.sqrt(bars.bars_per_year)
        return (self.target / volatility).clip(upper=self.cap).fillna(0.0)
