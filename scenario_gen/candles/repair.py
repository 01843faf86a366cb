"""The least distorting repair of generated candles: how each rule mends the bars that break it.

Opens and closes move by rounding to ticks or back inside a price limit, and for nothing else; highs and lows move out
to enclose them, because moving open and close in would distort ranges twice as much and dropping paths would keep the
calm ones. The order is that of the rules' list. Applied to its own output, the repair changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.candles.breaches import LIMIT_NOISE, Exchange, View, amount_fits, wrong_stamps
from scenario_gen.market.candles import PRICE_FIELDS
from scenario_gen.market.paths import PathSet

Values = NDArray[np.float32]  # [path, bar, field]
CLOSE = 3  # column of a block of prices
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Mending:
    """Paths on their way through the repair."""

    prices: Values  # [path, bar, 4]
    volume: Values | None
    amount: Values | None
    stamps: pd.DatetimeIndex

    @classmethod
    def of(cls, view: View) -> Mending:
        """Take paths as they are.

        Raises:
            ValueError: a price is not finite and positive, or a volume not finite: such a path cannot be repaired.
        """
        if not (np.isfinite(view.paths.values).all() and (view.prices > 0).all()):
            raise ValueError("paths without finite positive prices are dropped, not repaired")
        prices = view.prices.astype(np.float32)
        volume, amount = (view.paths.column(name) if name in view.columns else None for name in ("volume", "amount"))
        return cls(prices, volume, amount, view.paths.timestamps)

    def onto(self, paths: PathSet) -> PathSet:
        """Return the paths with what was mended."""
        fields = dict(zip(PRICE_FIELDS, np.moveaxis(self.prices, -1, 0), strict=True))
        quantities = {"volume": self.volume, "amount": self.amount}
        fields |= {name: values for name, values in quantities.items() if values is not None}
        return replace(paths, values=np.stack([fields[name] for name in paths.fields], axis=-1), timestamps=self.stamps)


def by_calendar(view: View, bars: Mending) -> Mending:
    """V6: take the calendar's stamps."""
    wrong = wrong_stamps(bars.stamps, view.expected, view.before).any()
    return replace(bars, stamps=view.expected[: view.paths.horizon]) if wrong else bars


def not_negative(view: View, bars: Mending) -> Mending:
    """V4: a negative volume or amount becomes 0."""
    del view
    volume, amount = (None if q is None else np.maximum(q, np.float32(0)) for q in (bars.volume, bars.amount))
    return replace(bars, volume=volume, amount=amount)


def whole_lots(view: View, bars: Mending) -> Mending:
    """V4-lots: round down, since nobody trades a part of a lot."""
    if bars.volume is None or view.exchange.lots is None:
        return bars
    return replace(bars, volume=view.exchange.lots.below(bars.volume).astype(np.float32))


def whole_ticks(view: View, bars: Mending) -> Mending:
    """V7: round each price to the nearest tick; within a price limit that is done bar by bar."""
    if view.exchange.ticks is None or view.exchange.price_limit is not None:
        return bars
    return replace(bars, prices=_on_ticks(bars.prices, view.exchange))


def within_limits(view: View, bars: Mending) -> Mending:
    """V8: clip what is beyond the limit, and let later bars follow."""
    if view.exchange.price_limit is None:
        return bars
    opens = view.exchange.opens(view.before, bars.stamps)
    return replace(bars, prices=_within_limits(bars.prices, opens, view.exchange, view.reference_close))


def enclosed(view: View, bars: Mending) -> Mending:
    """V3: move high and low out to enclose all four prices; open and close stay."""
    del view
    prices = bars.prices.copy()
    prices[..., 1], prices[..., 2] = bars.prices.max(axis=-1), bars.prices.min(axis=-1)
    return replace(bars, prices=prices)


def fitting_amount(view: View, bars: Mending) -> Mending:
    """V5: where the amount fits no price of the bar, take volume times (high + low + 2 close) / 4."""
    unit = view.exchange.unit
    if bars.amount is None or bars.volume is None or unit is None:
        return bars
    columns = {**dict(zip(PRICE_FIELDS, np.moveaxis(bars.prices, -1, 0), strict=True)), "volume": bars.volume}
    high, low, close, volume = (columns[name].astype(np.float64) for name in ("high", "low", "close", "volume"))
    typical = volume * unit * (high + low + 2 * close) / 4
    fits = amount_fits({**columns, "amount": bars.amount}, unit, view.exchange.ticks)
    return replace(bars, amount=np.where(fits, bars.amount, np.minimum(typical, LARGEST)).astype(np.float32))


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
