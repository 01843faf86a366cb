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


def own_history(seed: NDArray[np.float64], done: list[NDArray[np.float64]], keep: int) -> NDArray[np.float64]:
    """Return the last ``keep`` bars of every path [N, keep, F], reaching into the context [1, T, F] where it must."""
    paths, _, width = done[0].shape
    missing = keep - sum(part.shape[1] for part in done)
    if missing <= 0:
        return np.concatenate(done, axis=1)[:, -keep:]
    last = complete_fields(seed[:, -missing:]) if width == 6 else seed[:, -missing:, :width]
    return np.concatenate([np.broadcast_to(last, (paths, missing, width)), *done], axis=1)
