"""Diversity test: whether the paths differ from one another."""

from __future__ import annotations

import numpy as np

from scenario_gen.checks.facts import Bars
from scenario_gen.checks.scores.points import Floats

SAME = 0.99  # correlation of returns above which two paths count as one
FEWEST_BARS = 20  # below, independent paths come that close by chance
ROWS_AT_ONCE = 500


def distinct_share(paths: Bars) -> float:
    """Return the share of paths that are not nearly the same as a path before them.

    Nearly the same are returns with a correlation above .99; of paths that do not move at all, the first counts.
    """
    shapes, moves = _unit_returns(paths.r)
    repeats = np.zeros(len(shapes), dtype=bool)
    repeats[np.flatnonzero(~moves)[1:]] = True
    moving = np.flatnonzero(moves)
    for start in range(0, len(moving), ROWS_AT_ONCE):
        rows = moving[start : start + ROWS_AT_ONCE]
        close = shapes[rows] @ shapes[moving].T > SAME
        earlier = moving[None, :] < rows[:, None]
        repeats[rows] = (close & earlier).any(axis=1)
    return float(1 - repeats.mean())


def _unit_returns(r: Floats) -> tuple[Floats, np.ndarray]:
    centred = r - r.mean(axis=1, keepdims=True)
    size = np.sqrt(np.sum(centred**2, axis=1))
    moves = np.isfinite(size) & (size > 1e-12)
    return np.where(moves[:, None], centred / np.where(moves, size, 1.0)[:, None], 0.0), moves
