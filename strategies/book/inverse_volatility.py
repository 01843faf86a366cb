"""Hold assets by the inverse of their volatility: risk parity where correlations are alike.

Maillard, Roncalli and Teiletche (2010), The Properties of Equally Weighted Risk Contribution Portfolios, Journal of
Portfolio Management 36: with equal correlations every asset then contributes the same risk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenario_gen.backtest import Bars, Targets


@dataclass(frozen=True)
class InverseVolatility:
    """Weigh each asset by one over the standard deviation of its last returns.

    Attributes:
        window: returns over which volatility is measured.
        every: bars from one rebalancing to the next.
    """

    window: int = 60
    every: int = 21

    def __post_init__(self) -> None:
        if self.window < 2:
            raise ValueError(f"needs window >= 2: window={self.window}")

    def weights(self, bars: Bars) -> Targets:
        """Return weights of sum 1, and nothing before every asset's volatility is known."""
        volatility = bars.close.pct_change().rolling(self.window).std()
        assets = max(len(bars.assets), 1)
        inverse = 1.0 / volatility.where(volatility > 0).to_numpy().reshape(len(bars), -1, assets)
        shares = np.nan_to_num(inverse / inverse.sum(axis=2, keepdims=True)).reshape(bars.close.shape)
        return Targets(bars.close * 0.0 + shares, every=self.every)
