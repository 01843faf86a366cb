"""The least distorting repair of generated candles, in the order V6, V4, V7, V8, V3, V5.

Paths without finite positive prices are beyond repair (V1, V2): they are dropped before, never imputed. Opens and
closes move by rounding to ticks or back inside a price limit, and for nothing else; highs and lows move out to enclose
them, because moving open and close in would distort ranges twice as much and dropping paths would keep the calm ones.
Applied to its own output, the repair changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.checks.breaches import LIMIT_NOISE, Exchange, amount_fits, wrong_stamps
from scenario_gen.market.candles import PRICE_FIELDS
from scenario_gen.market.paths import PathSet
from scenario_gen.market.validity import columns_of, not_finite, too_small

Values = NDArray[np.float32]  # [path, bar, field]
OPEN, HIGH, LOW, CLOSE = range(4)  # columns of a block of prices
LARGEST = float(np.finfo(np.float32).max)


def repair_paths(
    paths: PathSet, exchange: Exchange, reference_close: float, expected: pd.DatetimeIndex, before: pd.Timestamp
) -> PathSet:
    """Return the paths as the exchange could have traded them; arguments as for ``find_breaches``.

    Raises:
        ValueError: a price is not finite and positive, or a volume not finite: such a path cannot be repaired.
    """
    columns = columns_of(paths.values, paths.fields)
    prices = np.stack([columns[name] for name in PRICE_FIELDS], axis=-1)  # [path, bar, 4]
    if not (np.isfinite(paths.values).all() and (prices > 0).all()):
        raise ValueError("paths without finite positive prices are dropped, not repaired")
    wrong = wrong_stamps(paths.timestamps, expected, before).any()
    stamps = expected[: paths.horizon] if wrong else paths.timestamps
    volume = _mended_volume(columns["volume"], exchange) if "volume" in columns else None
    if exchange.price_limit is not None:
        opens = exchange.opens(before, stamps)
        prices = _within_limits(prices, opens, exchange, reference_close)
    elif exchange.ticks is not None:
        prices = _on_ticks(prices, exchange)
    prices = _enclosed(prices)
    mended = dict(zip(PRICE_FIELDS, np.moveaxis(prices, -1, 0), strict=True))
    if volume is not None:
        mended["volume"] = volume
    if "amount" in columns:
        mended["amount"] = _mended_amount({**columns, **mended}["amount"], mended, exchange)
    return replace(paths, values=np.stack([mended[name] for name in paths.fields], axis=-1), timestamps=stamps)


def mend_paths(paths: PathSet) -> PathSet:
    """Return the paths that have prices, their candles in order: the part of a repair that needs no context.

    For ensembles of which no account is kept, such as those of a calibration: V1 to V4 as ``repair_paths`` mends them,
    without a calendar, a market or thresholds.
    """
    columns = columns_of(paths.values, paths.fields)
    lost = not_finite(columns) | too_small(columns) | ~np.isfinite(paths.values).all(axis=-1)
    kept = paths.select(paths.path_ids[~lost.any(axis=1)])
    before = paths.timestamps[0] - pd.Timedelta(1, unit="ns")
    free = Exchange(ticks=None, lots=None, price_limit=None, unit=None, clock=None, unjudged={})
    return repair_paths(kept, free, paths.anchor_close, paths.timestamps, before)


def _mended_volume(volume: Values, exchange: Exchange) -> Values:
    """V4: negative volume becomes 0; lots are rounded down, since nobody trades a part of one."""
    mended = np.maximum(volume, np.float32(0))
    return mended if exchange.lots is None else exchange.lots.below(mended).astype(np.float32)


def _on_ticks(prices: NDArray[np.floating], exchange: Exchange) -> Values:
    """V7: round each price to the nearest tick, and to no less than one."""
    if exchange.ticks is None:
        return prices.astype(np.float32)
    return np.maximum(exchange.ticks.nearest(prices), exchange.ticks.step).astype(np.float32)


def _within_limits(prices: Values, opens: NDArray[np.bool_], exchange: Exchange, reference_close: float) -> Values:
    """V7 and V8, bar by bar: clip what is beyond the limit; later bars follow from a clipped close.

    From a clipped close on, the path is scaled by what the close lost: its later returns stay what they were.
    """
    out = np.empty_like(prices)
    scale = np.ones(len(prices))
    reference = last = np.full(len(prices), reference_close)
    for bar in range(prices.shape[1]):
        if opens[bar]:
            reference = last
        raw = prices[:, bar].astype(np.float64)
        moved = np.where((scale == 1.0)[:, None], raw, raw * scale[:, None]).astype(np.float32)
        ticked = _on_ticks(moved, exchange)
        out[:, bar] = _clipped(ticked, exchange, reference)
        cut = out[:, bar, CLOSE] != ticked[:, CLOSE]
        scale = np.where(cut, out[:, bar, CLOSE] / raw[:, CLOSE], scale)
        last = out[:, bar, CLOSE].astype(np.float64)
    return out


def _clipped(bar: Values, exchange: Exchange, reference: NDArray[np.float64]) -> Values:
    """Return prices [path, 4] inside the band around the last session's close; those within stay as they are."""
    low, high = (edge[:, None] for edge in exchange.band(reference))
    noise = LIMIT_NOISE * high + exchange.leeway
    clipped = np.where(bar > high + noise, high, np.where(bar < low - noise, low, bar))
    return clipped.astype(np.float32)


def _enclosed(prices: Values) -> Values:
    """V3: move high and low out to enclose all four prices; open and close stay."""
    out = prices.copy()
    out[..., HIGH] = prices.max(axis=-1)
    out[..., LOW] = prices.min(axis=-1)
    return out


def _mended_amount(amount: Values, columns: dict[str, Values], exchange: Exchange) -> Values:
    """V5: where the amount fits no price of the bar, take volume times (high + low + 2 close) / 4."""
    mended = np.maximum(amount, np.float32(0))
    if exchange.unit is None or "volume" not in columns:
        return mended
    high, low, close, volume = (columns[name].astype(np.float64) for name in ("high", "low", "close", "volume"))
    typical = volume * exchange.unit * (high + low + 2 * close) / 4
    fits = amount_fits({**columns, "amount": mended}, exchange.unit, exchange.ticks)
    return np.where(fits, mended, np.minimum(typical, LARGEST)).astype(np.float32)
