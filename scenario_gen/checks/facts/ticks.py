"""The price step of a history: the grid on which its prices stand."""

from __future__ import annotations

import numpy as np

from scenario_gen.market.candles import PRICE_FIELDS, Candles

# Ticks that markets use: 1, 2, 2.5 or 5 times a power of ten, or binary fractions of a point.
_STEPS = sorted(
    {step * 10.0**power for power in range(-10, 5) for step in (1.0, 2.0, 2.5, 5.0)}
    | {2.0**-power for power in range(1, 8)},
    reverse=True,
)
_SHARE = 0.999  # of the prices that must be multiples
_DECIMALS = 0.02  # of a step: a price may be off its grid by this much,
_FLOAT32 = 6e-8  # and by a float32's rounding, relative to the price
_WIDEST = 0.25  # of a step: with more leeway than this, any price would fit
_FEWEST = 30  # different prices: a random one fits a step with a chance of at most a half


def tick_size(candles: Candles) -> float:
    """Return the largest usual tick whose multiples 99.9 % of the different prices are; 0 where there is none.

    Adjusted prices, and prices computed from others, stand on no grid.
    """
    prices = np.unique(np.concatenate([candles.column(name) for name in PRICE_FIELDS]))
    if len(prices) < _FEWEST:
        return 0.0
    for step in _STEPS:
        leeway = _DECIMALS + _FLOAT32 * prices / step
        if leeway[-1] > _WIDEST:
            break
        multiples = prices / step
        if np.mean(np.abs(multiples - np.round(multiples)) <= leeway) >= _SHARE:
            return step
    return 0.0
