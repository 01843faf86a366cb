"""Real windows that followed markets like the context: what facts of scale are shown beside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.facts import Gauge, windows
from scenario_gen.market.candles import Candles
from scenario_gen.stats.contrast import Ids
from scenario_gen.stats.estimate import Floats

LOOK_BACK = 20  # bars before a window that tell what market it follows
NEAREST = 0.25  # share of windows that count as like the context


def like_context(starts: Ids, history: Candles, context: Candles, gauge: Gauge) -> NDArray[np.bool_] | None:
    """Return which windows followed the quarter of markets nearest to the context, [window].

    Near means in the mean log range of the 20 bars before. None where the context is shorter than that.

    Args:
        starts: int64 [window], nanoseconds of each window's first bar.
        history: where the windows were cut from.
        context: the bars before the paths.
        gauge: price step to measure with.
    """
    if len(context) < LOOK_BACK + 1 or len(history) < LOOK_BACK + 1:
        return None
    now = float(_log_ranges(context, gauge)[-LOOK_BACK:].mean())
    sums = np.cumsum(np.concatenate([[0.0], _log_ranges(history, gauge)]))
    before = np.searchsorted(history.timestamps.as_unit("ns").asi8, starts) - 1  # log ranges start at row 1
    known = before >= LOOK_BACK
    distance = np.full(len(starts), np.inf)
    distance[known] = np.abs((sums[before[known]] - sums[before[known] - LOOK_BACK]) / LOOK_BACK - now)
    return np.asarray(known & (distance <= np.quantile(distance, NEAREST)))


def _log_ranges(candles: Candles, gauge: Gauge) -> Floats:
    """Return the log range of every bar but the first, with the smallest known one where there is none."""
    lr = windows(candles, len(candles) - 1, 1, tick=gauge.tick, clock=gauge.clock).bars.lr[0]
    known = np.isfinite(lr)
    return np.where(known, lr, lr[known].min() if known.any() else 0.0)
