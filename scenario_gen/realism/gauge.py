"""Gauge: what both sides of a comparison are measured with, learned from the reference alone.

Owns price step, sessions, time-of-day pattern and the size of a large move. Knows no facts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.candles import Candles
from scenario_gen.market.inferred import SessionClock, tick_size
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.estimators import Array, divide, log


@dataclass(frozen=True, eq=False)
class Windows:
    """Real history cut into windows: the same shape as generated paths."""

    bars: BarArrays  # the windows as paths
    start: NDArray[np.int64]  # int64 [window], the row of each window's first bar in its history

    def __len__(self) -> int:
        return len(self.start)

    def select(self, rows: NDArray[Any] | slice) -> Windows:
        """Return the windows at these positions (or where a mask is True)."""
        return Windows(self.bars.select(rows), self.start[rows])


def windows(
    candles: Candles, length: int, stride: int, *, tick: float | None = None, clock: SessionClock | None = None
) -> Windows:
    """Cut history into windows of ``length`` bars that start every ``stride`` bars, from the second bar on.

    The first bar only serves as the close before the first window. Windows are views: they take no memory.

    Args:
        candles: the history.
        length: bars per window.
        stride: bars between the starts of two windows.
        tick: price step; by default the history's own.
        clock: sessions; by default the history's own.

    Raises:
        DataError: the history is shorter than one window and the close before it.
    """
    if length < 1 or stride < 1:
        raise ValueError(f"windows of {length} bars every {stride} bars: both must be at least 1")
    if len(candles) < length + 1:
        raise DataError(
            f"{candles.name} has {len(candles)} bars, but one window of {length} bars needs {length + 1}",
            expected=f"at least {length + 1} bars: the window and the close before it",
            fix="bring a longer history, or shorten the horizon",
        )
    start = np.arange(1, len(candles) - length + 1, stride, dtype=np.int64)
    clock = clock or SessionClock.of(candles.timestamps)
    cut: Callable[[NDArray[Any]], NDArray[Any]] = lambda x: sliding_window_view(x, length)[start]  # noqa: E731
    places = clock.bar_of_day(candles.timestamps) if clock else None
    bars = BarArrays(
        open=cut(candles.column("open")),
        high=cut(candles.column("high")),
        low=cut(candles.column("low")),
        close=cut(candles.close),
        volume=cut(candles.column("volume")) if candles.has_volume else None,
        anchor_close=candles.close[start - 1],
        session_open=cut(clock.opens(candles.timestamps)) if clock else None,
        bar_of_day=None if places is None else cut(places),
        session_bars=len(clock.slots) if clock else 0,
        tick=tick_size(candles) if tick is None else tick,
    )
    return Windows(bars, start)


# --- Gauge: what both sides of a comparison are measured with, learned from the reference alone ---


LARGE = 0.95  # quantile of absolute returns above which a move counts as large


@dataclass(frozen=True, eq=False)
class Season:
    """The time-of-day pattern of intraday bars: log factors around their middle, by bar of day."""

    gap: Array  # float64 [bar of day], ln of the mean absolute gap
    shape: Array  # float64 [bar of day], mean log range
    volume: Array | None  # float64 [bar of day], mean log volume; None without volume


@dataclass(frozen=True, eq=False)
class Gauge:
    """What a reference history tells about how to measure."""

    tick: float  # its price step; 0 where prices stand on no grid
    clock: SessionClock | None  # its sessions; None for daily and longer bars
    season: Season | None  # its time-of-day pattern; None without sessions
    large_move: float  # absolute return that 5 % of its bars exceed; NaN if unknown

    @classmethod
    def of(cls, reference: Candles) -> Gauge:
        """Learn the gauge from a history of at least two bars.

        Raises:
            DataError: fewer than two bars.
        """
        tick, clock = tick_size(reference), SessionClock.of(reference.timestamps)
        whole = windows(reference, len(reference) - 1, 1, tick=tick, clock=clock).bars
        return cls(tick, clock, season_of(whole), float(np.quantile(whole.abs_r, LARGE)))


def season_of(bars: BarArrays) -> Season | None:
    """Learn the time-of-day pattern from bars in sessions; None where there are no sessions."""
    if bars.bar_of_day is None:
        return None
    return Season(
        gap=_around_middle(log(_mean_by_place(bars, np.abs(bars.g)))),
        shape=_around_middle(_mean_by_place(bars, bars.lr)),
        volume=None if bars.volume is None else _around_middle(_mean_by_place(bars, bars.v)),
    )


def deseasonalise(bars: BarArrays, season: Season) -> BarArrays:
    """Return the bars without the time-of-day pattern, as candles again.

    Gap, body and wicks of each bar are divided by the pattern's factor for its place in the session, volume
    likewise; prices are built up anew from the anchor. Bars off the usual slots stay as they are. The pattern
    comes from the reference alone, for both sides: a pattern fitted to each side would hide a wrong one.

    Raises:
        DataError: the bars' sessions are not those of the pattern.
    """
    places = _places(bars)
    if bars.session_bars != len(season.shape):
        raise DataError(
            f"the bars have sessions of {bars.session_bars} bars, the reference has {len(season.shape)}",
            expected="the same sessions on both sides",
            fix="build the bars with the reference's clock, or bring a reference with these sessions",
        )
    gap, shape = _factor(season.gap, places), _factor(season.shape, places)
    volume = bars.volume
    if volume is not None and season.volume is not None:
        volume = volume / _factor(season.volume, places)
    flat = bars.chained(bars.g / gap, bars.b / shape, bars.hh / shape, bars.ll / shape, volume)
    return replace(flat, least_range=bars.half_tick / shape)


def _places(bars: BarArrays) -> NDArray[np.int64]:
    if bars.bar_of_day is None:
        raise ValueError("these bars have no place in a session")
    return bars.bar_of_day


def _mean_by_place(bars: BarArrays, x: Array) -> Array:
    places = _places(bars)
    known = (places >= 0) & np.isfinite(x)
    sums = np.bincount(places[known], weights=x[known], minlength=bars.session_bars)
    counts = np.bincount(places[known], minlength=bars.session_bars)
    return divide(sums.astype(np.float64), counts.astype(np.float64))


def _around_middle(pattern: Array) -> Array:
    """Return the pattern less its median, 0 at places that tell nothing."""
    known = np.isfinite(pattern)
    if not known.any():
        return np.zeros_like(pattern)
    return np.where(known, pattern - np.median(pattern[known]), 0.0)


def _factor(pattern: Array, places: NDArray[np.int64]) -> Array:
    return np.asarray(np.where(places >= 0, np.exp(pattern[places]), 1.0))
