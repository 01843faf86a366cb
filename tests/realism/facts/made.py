"""Made bars: random candles, and the same candles mirrored, scaled or turned round in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from scenario_gen.market import Candles
from scenario_gen.realism.bars import BarArrays


def random_bars(seed: int, paths: int, length: int, *, tick: float = 0.0, tails: float = 4.0) -> BarArrays:
    """Candles with gaps, wicks, heavy tails and volume; independent bars."""
    rng = np.random.default_rng(seed)
    shape = (paths, length)
    gap, body = 0.004 * rng.standard_t(tails, shape), 0.008 * rng.standard_t(tails, shape)
    up, down = 0.005 * rng.exponential(size=(2, *shape))
    return from_parts(gap, body, up, down, np.exp(10 + rng.standard_normal(shape)), tick=tick)


def from_parts(
    gap: np.ndarray,
    body: np.ndarray,
    up: np.ndarray,
    down: np.ndarray,
    volume: np.ndarray | None = None,
    *,
    tick: float = 0.0,
) -> BarArrays:
    """Build candles from log gaps, bodies and wicks [path, bar], from an anchor of 100."""
    close = np.cumsum(gap + body, axis=1)
    opened = close - body
    logs = (opened, np.maximum(opened, close) + up, np.minimum(opened, close) - down, close)
    o, h, l, c = (100 * np.exp(x) for x in logs)  # noqa: E741
    h, l = np.maximum.reduce([h, o, c]), np.minimum.reduce([l, o, c])  # noqa: E741
    return BarArrays.of_arrays(o, h, l, c, volume, anchor_close=np.full(len(c), 100.0), tick=tick)


def mirrored(bars: BarArrays) -> BarArrays:
    """Turn every rise into the same fall."""
    return replace(
        bars,
        open=1 / bars.open,
        high=1 / bars.low,
        low=1 / bars.high,
        close=1 / bars.close,
        anchor_close=1 / bars.anchor_close,
    )


def stretched(bars: BarArrays, factor: float) -> BarArrays:
    """Multiply all log moves by a factor: the same path at another volatility."""
    anchor = bars.anchor_close[:, None]

    def moved(prices: np.ndarray) -> np.ndarray:
        return anchor * (prices / anchor) ** factor

    return replace(bars, open=moved(bars.open), high=moved(bars.high), low=moved(bars.low), close=moved(bars.close))


def shuffled(bars: BarArrays, seed: int) -> BarArrays:
    """Put the bars of each path in a random order, whole candles at once: independent bars."""
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.broadcast_to(np.arange(bars.length), bars.close.shape), axis=1)
    gap, body, hh, ll, volume = (
        np.take_along_axis(x, order, axis=1) for x in (bars.g, bars.b, bars.hh, bars.ll, bars.volume)
    )
    up, down = hh - np.maximum(body, 0), np.minimum(body, 0) - ll
    return from_parts(gap, body, up, down, volume, tick=bars.tick)


def candles_of(stamps: pd.DatetimeIndex, seed: int = 1, *, tick: float = 0.01, **columns: np.ndarray) -> Candles:
    """Valid candles on given stamps, prices on a grid of ``tick``; named columns replace the made ones."""
    made = random_bars(seed, 1, len(stamps))
    values = {name: getattr(made, name)[0] for name in ("open", "high", "low", "close", "volume")} | columns
    for name in ("open", "high", "low", "close"):
        values[name] = np.round(values[name] / tick) * tick
    values["high"] = np.maximum.reduce([values[n] for n in ("open", "high", "low", "close")])
    values["low"] = np.minimum.reduce([values[n] for n in ("open", "low", "close")])
    return Candles(stamps, np.column_stack(list(values.values())), tuple(values))


def trading_days(
    days: int, hours: list[tuple[str, str]], step: str = "30min", start: str = "2024-01-01"
) -> pd.DatetimeIndex:
    """Bars of the given hours on weekdays, the end of each stretch left out."""
    stamps = [
        stamp
        for day in pd.bdate_range(start, periods=days)
        for first, last in hours
        for stamp in pd.date_range(f"{day.date()} {first}", f"{day.date()} {last}", freq=step, inclusive="left")
    ]
    return pd.DatetimeIndex(stamps)


def with_pattern(seed: int = 1, days: int = 60) -> Candles:
    """Half-hour bars whose moves are e^.8 times as large in the first two bars of 13, volume e^1.2 times."""
    stamps = trading_days(days, [("09:30", "16:00")])
    made = random_bars(seed, 1, len(stamps), tails=30)
    early = np.arange(len(stamps)) % 13 < 2
    louder = np.where(early, np.exp(0.8), 1.0)
    close = np.cumsum((made.g + made.b)[0] * louder)
    opened = close - made.b[0] * louder
    parts = {"open": opened, "high": opened + made.hh[0] * louder, "low": opened + made.ll[0] * louder, "close": close}
    columns = {name: 100 * np.exp(x) for name, x in parts.items()}
    return candles_of(stamps, tick=1e-6, volume=made.volume[0] * np.where(early, np.exp(1.2), 1.0), **columns)
