"""What makes a candle valid: one definition for the door, for training data and for generated paths.

Every rule takes columns of one shape ([bar], [path, bar], ...) and returns which bars break it. Knows no rows,
no stamps and no remedies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenario_gen.market.candles import PRICE_FIELDS

# What a history may hold. vectorbt takes prices and sizes below 1e-12 for zero, and float32, which paths are kept in,
# ends at 3e38: a path may fall to a hundredth of the lowest price or rise a thousandfold from the highest, and an
# amount (volume x price) still has room.
LOWEST, HIGHEST = 1e-9, 1e12  # prices of a history
TOO_LOW, TOO_HIGH = 1e-11, 1e15  # prices of paths and of training data
MOST = 1e24  # volume and amount
FLOAT_NOISE = 1e-9  # relative; what arithmetic on float64 leaves
FLOAT32_NOISE = 5e-7  # four units in the last place: what a generator's arithmetic on float32 leaves

Columns = Mapping[str, NDArray[np.floating[Any]]]
Flags = NDArray[np.bool_]


def columns_of(values: NDArray[np.floating[Any]], fields: Sequence[str]) -> Columns:
    """Return the columns [...] of values [..., field], by name."""
    return {name: values[..., place] for place, name in enumerate(fields)}


def not_finite(columns: Columns) -> Flags:
    """Return bars with a price that is missing, no number or infinite (rule V1)."""
    return np.asarray(~np.all([np.isfinite(columns[name]) for name in PRICE_FIELDS], axis=0))


def too_large(columns: Columns) -> Flags:
    """Return bars with a price that is finite and beyond what can be reckoned with (rule V1)."""
    with np.errstate(invalid="ignore"):
        prices = np.stack([columns[name] for name in PRICE_FIELDS])
        return np.asarray((np.isfinite(prices) & (prices > TOO_HIGH)).any(axis=0))


def too_small(columns: Columns, least: float = 0.0) -> Flags:
    """Return bars with a price of zero or less, or below ``least`` where that is above zero (rule V2)."""
    return np.asarray(np.any([(columns[name] <= 0) | (columns[name] < least) for name in PRICE_FIELDS], axis=0))


def high_too_low(columns: Columns) -> Flags:
    """Return bars whose high is below their open, low or close, beyond float noise (rule V3)."""
    top = np.fmax.reduce([columns[name] for name in ("open", "low", "close")])
    return np.asarray(columns["high"] < top * (1 - _noise(top)))


def low_too_high(columns: Columns) -> Flags:
    """Return bars whose low is above their open or close, beyond float noise (rule V3)."""
    bottom = np.fmin(columns["open"], columns["close"])
    return np.asarray(columns["low"] > bottom * (1 + _noise(bottom)))


def _noise(prices: NDArray[np.floating[Any]]) -> float:
    """Return by how much, relatively, prices of one bar may differ that are meant to be the same."""
    return FLOAT32_NOISE if prices.dtype == np.float32 else FLOAT_NOISE


def no_quantity(columns: Columns, name: str) -> Flags:
    """Return bars whose volume or amount is missing, infinite or negative (rule V4); none without the column."""
    if name not in columns:
        return np.zeros(columns["close"].shape, dtype=bool)
    return np.asarray(~(np.isfinite(columns[name]) & (columns[name] >= 0)))


def invalid(columns: Columns) -> Flags:
    """Return bars that break any rule of a single candle: V1, V2, V3, and V4 where there is a volume."""
    return (
        not_finite(columns)
        | too_large(columns)
        | too_small(columns, TOO_LOW)
        | high_too_low(columns)
        | low_too_high(columns)
        | no_quantity(columns, "volume")
        | no_quantity(columns, "amount")
    )
