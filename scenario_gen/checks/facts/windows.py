"""Windows: real history cut into paths, so that every statistic runs unchanged on both sides.

Owns the cutting. Knows no facts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scenario_gen.checks.facts.bars import Bars
from scenario_gen.errors import DataError
from scenario_gen.market.candles import Candles
from scenario_gen.market.sessions import SessionClock, tick_size


@dataclass(frozen=True, eq=False)
class Windows:
    """Real history cut into windows: the same shape as generated paths.

    Attributes:
        bars: the windows as paths.
        start: int64 [window], the row of each window's first bar in its history.
    """

    bars: Bars
    start: NDArray[np.int64]

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
    bars = Bars(
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
