"""Copy test: whether stretches of the paths repeat the history that the generator could know.

Passing every fact does not mean good: a generator that replays its training windows passes all of them. Each
stretch of 20 bars, as its returns and log ranges without level and scale, is compared with every stretch of the
known histories. How close real history comes to itself, own time left out, says what is too close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from scenario_gen.market.candles import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.gauge import windows
from scenario_gen.realism.space import Floats, Ids

STRETCH, STRIDE = 20, 5  # bars
TOO_CLOSE = 0.999  # quantile of how close held-out history comes
FEWEST = 200  # stretches of history below which that quantile says nothing
MOST = 5000  # stretches of either side that are compared, evenly spread: the share is known to .4 % by then
AT_ONCE = 8_000_000  # correlations held in memory: 32 MB

Shapes = NDArray[np.float32]  # [stretch, 40]: unit vectors, so that a product is a correlation


@dataclass(frozen=True, eq=False)
class Library:
    """Every stretch of the histories that a generator could know, in the order of their first bars."""

    shapes: Shapes  # float32 [stretch, 40]
    first: Ids  # int64 [stretch], nanoseconds of the first bar, not falling
    last: Ids  # int64 [stretch], nanoseconds of the last bar

    @classmethod
    def of(cls, histories: Sequence[Candles], tick: float) -> Library:
        """Cut histories into all their stretches; those without a shape (no movement) are left out."""
        parts = [_stretches(history, tick) for history in histories if len(history) > STRETCH]
        if not parts:
            return cls(np.empty((0, 2 * STRETCH), np.float32), np.empty(0, np.int64), np.empty(0, np.int64))
        shapes, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(first, kind="stable")
        return cls(shapes[order], first[order], last[order])

    def __len__(self) -> int:
        return len(self.shapes)

    def same_time(self, first: Ids, last: Ids) -> tuple[Ids, Ids]:
        """Return start and stop [stretch] of the rows that may overlap in time with the given stretches."""
        ended = np.maximum.accumulate(self.last)
        return np.searchsorted(ended, first, side="left"), np.searchsorted(self.first, last, side="right")


@dataclass(frozen=True)
class Copies:
    """How much of the paths is copied."""

    share: float  # share of stretches that are closer to the library than nearly all held-out history is
    threshold: float  # the correlation above which that is so
    median: float  # median over the paths' stretches of the highest correlation
    real_median: float  # the same for held-out history


def copies(paths: BarArrays, history: Candles, library: Library) -> Copies | None:
    """Measure how much of the paths repeats the library; None where a side has too few stretches.

    Args:
        paths: the paths.
        history: real bars that say how close history comes to itself, its own time left out.
        library: what the generator could know.
    """
    real = Library.of([history], paths.tick)
    made = path_shapes(paths)
    if len(real) < FEWEST or len(library) < FEWEST or not len(made):
        return None
    rows = _spread(len(real))
    held_out = _closest(real.shapes[rows], library, library.same_time(real.first[rows], real.last[rows]))
    held_out = held_out[np.isfinite(held_out)]
    if len(held_out) < FEWEST:
        return None
    threshold = float(np.quantile(held_out, TOO_CLOSE))
    closest = _closest(made[_spread(len(made))], library)
    return Copies(float(np.mean(closest > threshold)), threshold, float(np.median(closest)), float(np.median(held_out)))


def path_shapes(paths: BarArrays, stride: int = STRIDE) -> Shapes:
    """Return the shapes of the paths' stretches, one every ``stride`` bars, [stretch, 40]."""
    if paths.length < STRETCH:
        return np.empty((0, 2 * STRETCH), np.float32)
    cut = [sliding_window_view(x, STRETCH, axis=1)[:, ::stride].reshape(-1, STRETCH) for x in (paths.r, paths.lr)]
    shapes, usable = _unit(cut[0], cut[1])
    return shapes[usable]


def _stretches(history: Candles, tick: float) -> tuple[Shapes, Ids, Ids]:
    whole = windows(history, len(history) - 1, 1, tick=tick).bars
    cut = [sliding_window_view(x[0], STRETCH) for x in (whole.r, whole.lr)]
    shapes, usable = _unit(cut[0], cut[1])
    stamps = history.timestamps.as_unit("ns").asi8[1:]
    return shapes[usable], stamps[: len(usable)][usable], stamps[STRETCH - 1 :][usable]


def _unit(r: Floats, lr: Floats) -> tuple[Shapes, NDArray[np.bool_]]:
    """Return both series without mean and scale as one unit vector, and which of them move, [stretch]."""
    parts = []
    usable = np.ones(len(r), dtype=bool)
    for series in (r, lr):
        centred = series - series.mean(axis=1, keepdims=True)
        size = np.sqrt(np.sum(centred**2, axis=1))
        moves = np.isfinite(size) & (size > 1e-12)
        usable &= moves
        parts.append(centred / np.where(moves, size, 1.0)[:, None])
    return (np.concatenate(parts, axis=1) / np.sqrt(2)).astype(np.float32), usable


def _spread(count: int) -> Ids:
    return np.unique(np.linspace(0, count - 1, min(count, MOST)).astype(np.int64))


def _closest(shapes: Shapes, library: Library, but: tuple[Ids, Ids] | None = None) -> NDArray[np.float32]:
    """Return the highest correlation of each stretch with the library, [stretch].

    Rows of the library from the first to the second of ``but`` are left out; -inf where nothing remains.
    """
    out = np.empty(len(shapes), dtype=np.float32)
    step = max(1, AT_ONCE // len(library))
    for start in range(0, len(shapes), step):
        rows = slice(start, start + step)
        correlation = shapes[rows] @ library.shapes.T
        if but is not None:
            for row, begin, end in zip(correlation, but[0][rows], but[1][rows], strict=True):
                row[begin:end] = -np.inf
        out[rows] = correlation.max(axis=1)
    return out


# --- Diversity test: whether the paths differ from one another ---


SAME = 0.99  # correlation of returns above which two paths count as one
FEWEST_BARS = 20  # below, independent paths come that close by chance
ONE_PAIR_IN = 1000  # pairs of independent windows moves together
ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class Alike:
    """How many pairs of paths move together."""

    share: float  # share of all pairs of paths above the threshold
    threshold: float  # rank correlation of returns that one pair in 1000 of independent windows reaches

    @property
    def modes(self) -> float:
        """As many equally likely windows, drawn again and again, give this share of pairs alike."""
        return 1 / self.share if self.share else np.inf


def alike_pairs(paths: BarArrays, real: BarArrays, clusters: Ids) -> Alike:
    """Measure how many pairs of paths move together more than pairs of independent windows do.

    The threshold is the 99.9 % quantile of Spearman's correlation over pairs of real windows of different clusters of
    time, and at least that of independent bars, 3.09 / sqrt(bars - 1): short histories have few such pairs. Ranks, so
    that one large bar which all paths share, an overnight gap or an announced shock, does not make them alike.

    Args:
        paths: at least two paths.
        real: real windows of the same length.
        clusters: int64 [window], the stretch of time of each real window.
    """
    ranks = _unit_length(rankdata(real.r, axis=1))[0]
    apart = np.triu(clusters[:, None] != clusters[None, :])
    apart_ones = (ranks @ ranks.T)[apart]
    threshold = float(norm.isf(1 / ONE_PAIR_IN) / np.sqrt(paths.length - 1))
    if len(apart_ones):
        threshold = max(threshold, float(np.quantile(apart_ones, 1 - 1 / ONE_PAIR_IN)))
    return Alike(_share_above(_unit_length(rankdata(paths.r, axis=1))[0], threshold), threshold)


def _share_above(shapes: Floats, threshold: float) -> float:
    """Return the share of pairs of different rows with a product above a threshold."""
    above = 0
    for start in range(0, len(shapes), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(shapes)))
        earlier = np.arange(len(shapes))[None, :] < rows[:, None]
        above += int(np.sum((shapes[rows] @ shapes.T > threshold) & earlier))
    return above / max(len(shapes) * (len(shapes) - 1) // 2, 1)


def distinct_share(paths: BarArrays) -> float:
    """Return the share of paths that are not nearly the same as a path before them.

    Nearly the same are returns with a correlation above .99; of paths that do not move at all, the first counts.
    """
    shapes, moves = _unit_length(paths.r)
    repeats = np.zeros(len(shapes), dtype=bool)
    repeats[np.flatnonzero(~moves)[1:]] = True
    moving = np.flatnonzero(moves)
    for start in range(0, len(moving), ROWS_AT_ONCE):
        rows = moving[start : start + ROWS_AT_ONCE]
        close = shapes[rows] @ shapes[moving].T > SAME
        earlier = moving[None, :] < rows[:, None]
        repeats[rows] = (close & earlier).any(axis=1)
    return float(1 - repeats.mean())


def _unit_length(values: Floats) -> tuple[Floats, np.ndarray]:
    """Return each row without its mean as a unit vector, 0 where it does not move, and which rows move."""
    centred = values - values.mean(axis=1, keepdims=True)
    size = np.sqrt(np.sum(centred**2, axis=1))
    moves = np.isfinite(size) & (size > 1e-12)
    return np.where(moves[:, None], centred / np.where(moves, size, 1.0)[:, None], 0.0), moves
