"""Hold the portfolio of least variance, by a covariance matrix that is shrunk.

Ledoit and Wolf (2004), A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices, Journal of Multivariate
Analysis 88: the sample covariance is pulled towards equal variances without correlation, as far as its own noise asks
for. Jagannathan and Ma (2003), Journal of Finance 58, show what such portfolios are good for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest import Bars, Targets

LEAST = 1e-30  # variance of an asset that never moves


@dataclass(frozen=True)
class MinimumVariance:
    """Weigh assets by the inverse of their shrunk covariance matrix; shorts are part of it.

    Attributes:
        window: returns from which the covariances are estimated.
        every: bars from one rebalancing to the next.
        gross: what the absolute weights sum to.
    """

    window: int = 120
    every: int = 21
    gross: float = 1.0

    def __post_init__(self) -> None:
        if self.window < 2 or self.gross <= 0:
            raise ValueError(f"needs window >= 2 and gross > 0: window={self.window}, gross={self.gross}")

    def weights(self, bars: Bars) -> Targets:
        """Return weights from the last context bar on, and nothing while there are fewer returns than the window."""
        assets = max(len(bars.assets), 1)
        returns = bars.close.pct_change().to_numpy().reshape(len(bars), -1, assets)
        held = np.zeros(returns.shape)
        for row in range(max(bars.context_bars - 1, self.window), len(bars)):
            held[row] = self.least_variance(returns[row - self.window + 1 : row + 1].swapaxes(0, 1))
        return Targets(bars.close * 0.0 + held.reshape(bars.close.shape), every=self.every)

    def least_variance(self, returns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return weights [path, asset] of returns [path, bar, asset]."""
        raw = np.linalg.solve(shrunk(returns), np.ones((*returns.shape[::2], 1)))[..., 0]
        return np.asarray(self.gross * raw / np.abs(raw).sum(axis=1, keepdims=True))


def shrunk(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance matrices [path, asset, asset] of returns [path, bar, asset], shrunk by Ledoit and Wolf."""
    bars, assets = returns.shape[1:]
    centred = returns - returns.mean(axis=1, keepdims=True)
    sample = centred.swapaxes(1, 2) @ centred / bars
    mean = np.trace(sample, axis1=1, axis2=2)[:, None, None] / assets
    target = mean * np.eye(assets)
    apart = ((sample - target) ** 2).sum(axis=(1, 2))
    noise = ((centred**2).sum(axis=2) ** 2).sum(axis=1) - bars * (sample**2).sum(axis=(1, 2))
    share = np.divide(np.minimum(noise / bars**2, apart), apart, out=np.ones_like(apart), where=apart > 0)[
        :, None, None
    ]
    least = LEAST * np.eye(assets)
    return np.asarray(share * target + (1 - share) * sample + least)
