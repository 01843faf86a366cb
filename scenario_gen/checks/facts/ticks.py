"""The price step of a history: the grid on which its prices stand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenario_gen.market.candles import PRICE_FIELDS, Candles

# Ticks that markets use: 1, 2, 2.5 or 5 times a power of ten, or binary fractions of a point.
_STEPS = sorted(
    {float(f"{step}e{power}") for power in range(-10, 5) for step in (1, 2, 2.5, 5)}
    | {2.0**-power for power in range(1, 8)},
    reverse=True,
)
_SHARE = 0.999  # of the prices that must be multiples
_LEEWAY = 0.02  # of a step: a price may be off its grid by this much,
_ROUNDING = (1e-12, 6e-8)  # and by its number's rounding, relative to the price: float64, then float32
_WIDEST = 0.25  # of a step: with more leeway than this, any price would fit
_FEWEST = 30  # different prices: a random one fits a step with a chance of at most a half


def tick_size(candles: Candles) -> float:
    """Return the largest usual tick whose multiples 99.9 % of the different prices are; 0 where there is none.

    Adjusted prices, and prices computed from others, stand on no grid.
    """
    prices = np.unique(np.concatenate([candles.column(name) for name in PRICE_FIELDS]))
    if len(prices) < _FEWEST:
        return 0.0
    return max(_widest_step(prices, rounding) for rounding in _ROUNDING)


def _widest_step(prices: NDArray[np.float64], rounding: float) -> float:
    for step in _STEPS:
        if _LEEWAY + rounding * prices[-1] / step > _WIDEST:
            break
        if _on_grid(prices, step, rounding):
            return step
    return 0.0


def _on_grid(prices: NDArray[np.float64], step: float, rounding: float) -> bool:
    multiples = prices / step
    nearest = np.round(multiples)
    # On a step as wide as the prices' differences many share a multiple: that is no grid of theirs.
    if len(np.unique(nearest)) < 0.5 * len(prices):
        return False
    fits = np.abs(multiples - nearest) <= _LEEWAY + rounding * multiples
    return bool(np.mean(fits) >= _SHARE)
