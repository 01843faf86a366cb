"""Diversity test: whether the paths differ from one another.

Two questions. Which paths are the same to the eye (correlation above .99)? And how many pairs move together bar by bar,
as paths made from a few windows do under any noise? The second needs a yardstick, and has one that holds for one
context as for many: what returns do next cannot be foretold, so two paths of a good generator agree in them no more
than two real windows of different times, however much volatility and regime they share.

The mean distance in the space of facts (``spread``) cannot see such a collapse: 30 % of noise on one window moves its
facts so far apart that most pass. Nor can the distance to the nearest neighbour, or the share of close pairs: windows
of one real year, which overlap, lie as close as five windows under 20 % of noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from scenario_gen.checks.facts import Bars
from scenario_gen.checks.scores.points import Floats, Ids

SAME = 0.99  # correlation of returns above which two paths count as one
FEWEST_BARS = 20  # below, independent paths come that close by chance
ONE_PAIR_IN = 1000  # pairs of independent windows moves together
ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class Alike:
    """How many pairs of paths move together.

    Attributes:
        share: share of all pairs of paths above the threshold.
        threshold: rank correlation of returns that one pair in 1000 of independent windows reaches.
    """

    share: float
    threshold: float

    @property
    def modes(self) -> float:
        """As many equally likely windows, drawn again and again, give this share of pairs alike."""
        return 1 / self.share if self.share else np.inf


def alike_pairs(paths: Bars, real: Bars, clusters: Ids) -> Alike:
    """Measure how many pairs of paths move together more than pairs of independent windows do.

    The threshold is the 99.9 % quantile of Spearman's correlation over pairs of real windows of different clusters of
    time, and at least that of independent bars, 3.09 / sqrt(bars - 1): short histories have few such pairs. Ranks, so
    that one large bar which all paths share, an overnight gap or an announced shock, does not make them alike.

    Args:
        paths: at least two paths.
        real: real windows of the same length.
        clusters: int64 [window], the stretch of time of each real window.
    """
    ranks = _unit(rankdata(real.r, axis=1))[0]
    apart = np.triu(clusters[:, None] != clusters[None, :])
    apart_ones = (ranks @ ranks.T)[apart]
    threshold = float(norm.isf(1 / ONE_PAIR_IN) / np.sqrt(paths.length - 1))
    if len(apart_ones):
        threshold = max(threshold, float(np.quantile(apart_ones, 1 - 1 / ONE_PAIR_IN)))
    return Alike(_share_above(_unit(rankdata(paths.r, axis=1))[0], threshold), threshold)


def _share_above(shapes: Floats, threshold: float) -> float:
    """Return the share of pairs of different rows with a product above a threshold."""
    above = 0
    for start in range(0, len(shapes), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(shapes)))
        earlier = np.arange(len(shapes))[None, :] < rows[:, None]
        above += int(np.sum((shapes[rows] @ shapes.T > threshold) & earlier))
    return above / max(len(shapes) * (len(shapes) - 1) // 2, 1)


def distinct_share(paths: Bars) -> float:
    """Return the share of paths that are not nearly the same as a path before them.

    Nearly the same are returns with a correlation above .99; of paths that do not move at all, the first counts.
    """
    shapes, moves = _unit(paths.r)
    repeats = np.zeros(len(shapes), dtype=bool)
    repeats[np.flatnonzero(~moves)[1:]] = True
    moving = np.flatnonzero(moves)
    for start in range(0, len(moving), ROWS_AT_ONCE):
        rows = moving[start : start + ROWS_AT_ONCE]
        close = shapes[rows] @ shapes[moving].T > SAME
        earlier = moving[None, :] < rows[:, None]
        repeats[rows] = (close & earlier).any(axis=1)
    return float(1 - repeats.mean())


def _unit(values: Floats) -> tuple[Floats, np.ndarray]:
    """Return each row without its mean as a unit vector, 0 where it does not move, and which rows move."""
    centred = values - values.mean(axis=1, keepdims=True)
    size = np.sqrt(np.sum(centred**2, axis=1))
    moves = np.isfinite(size) & (size > 1e-12)
    return np.where(moves[:, None], centred / np.where(moves, size, 1.0)[:, None], 0.0), moves
