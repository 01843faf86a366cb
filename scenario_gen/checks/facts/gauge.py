"""Gauge: what both sides of a comparison are measured with, learned from the reference alone.

Owns price step, sessions, time-of-day pattern and the size of a large move. Knows no facts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.facts.bars import Bars
from scenario_gen.checks.facts.moments import Array, divide, log
from scenario_gen.checks.facts.windows import windows
from scenario_gen.errors import DataError
from scenario_gen.market.candles import Candles
from scenario_gen.market.sessions import SessionClock, tick_size

LARGE = 0.95  # quantile of absolute returns above which a move counts as large


@dataclass(frozen=True, eq=False)
class Season:
    """The time-of-day pattern of intraday bars: log factors around their middle, by bar of day.

    Attributes:
        gap: float64 [bar of day], ln of the mean absolute gap.
        shape: float64 [bar of day], mean log range.
        volume: float64 [bar of day], mean log volume; None without volume.
    """

    gap: Array
    shape: Array
    volume: Array | None


@dataclass(frozen=True, eq=False)
class Gauge:
    """What a reference history tells about how to measure.

    Attributes:
        tick: its price step; 0 where prices stand on no grid.
        clock: its sessions; None for daily and longer bars.
        season: its time-of-day pattern; None without sessions.
        large_move: absolute return that 5 % of its bars exceed; NaN if unknown.
    """

    tick: float
    clock: SessionClock | None
    season: Season | None
    large_move: float

    @classmethod
    def of(cls, reference: Candles) -> Gauge:
        """Learn the gauge from a history of at least two bars.

        Raises:
            DataError: fewer than two bars.
        """
        tick, clock = tick_size(reference), SessionClock.of(reference.timestamps)
        whole = windows(reference, len(reference) - 1, 1, tick=tick, clock=clock).bars
        return cls(tick, clock, season_of(whole), float(np.quantile(whole.abs_r, LARGE)))


def season_of(bars: Bars) -> Season | None:
    """Learn the time-of-day pattern from bars in sessions; None where there are no sessions."""
    if bars.bar_of_day is None:
        return None
    return Season(
        gap=_around_middle(log(_mean_by_place(bars, np.abs(bars.g)))),
        shape=_around_middle(_mean_by_place(bars, bars.lr)),
        volume=None if bars.volume is None else _around_middle(_mean_by_place(bars, bars.v)),
    )


def deseasonalise(bars: Bars, season: Season) -> Bars:
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


def _places(bars: Bars) -> NDArray[np.int64]:
    if bars.bar_of_day is None:
        raise ValueError("these bars have no place in a session")
    return bars.bar_of_day


def _mean_by_place(bars: Bars, x: Array) -> Array:
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
