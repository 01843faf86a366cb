"""Horizons beyond the window: how they are cut into segments, and what each segment is sampled from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.kronos.representation import complete_fields


@dataclass(frozen=True)
class Segment:
    """Bars ``start`` to ``stop`` of the horizon, sampled from the last ``keep`` bars before them."""

    start: int
    stop: int
    keep: int


def plan_segments(context: int, horizon: int, window: int) -> Iterator[Segment]:
    """Cut a horizon so that context and segment always fit the window.

    One segment where everything fits; else segments of up to a quarter window, after the bars that still fit.
    """
    quarter = max(1, window // 4)
    start = 0
    while start < horizon:
        keep = min(context + start, window - min(quarter, horizon - start))
        stop = min(horizon, start + window - keep)
        yield Segment(start, stop, keep)
        start = stop


def own_history(context: NDArray[np.float64], bars: NDArray[np.float64], start: int, keep: int) -> NDArray[np.float64]:
    """Return the last ``keep`` bars of every path before bar ``start``, [N, keep, F].

    A view of the paths once they are long enough; until then a copy of just these bars, which begins in the context.

    Args:
        context: the bars that all paths share [1, T, F'].
        bars: the paths [N, H, F], of which bars 0 to ``start`` are sampled.
        start: the bar to be sampled next.
        keep: how many bars to return.
    """
    missing = keep - start
    if missing <= 0:
        return bars[:, start - keep : start]
    paths, _, width = bars.shape
    last = context[:, -missing:]
    history = np.empty((paths, keep, width))
    history[:, :missing] = complete_fields(last) if width == 6 else last[..., :width]
    history[:, missing:] = bars[:, :start]
    return history
