"""Samples to compare: real windows in clusters of time, and paths in clusters of contexts.

Owns the design: how many clusters, which windows, what counts as independent. Knows bars; passes no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from scenario_gen.market.candles import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.facts import FACT, path_statistics
from scenario_gen.realism.gauge import Gauge, windows
from scenario_gen.realism.panel import Panel
from scenario_gen.stats.contrast import Clustered, Ids
from scenario_gen.stats.estimate import Floats

FEWEST_CLUSTERS, MOST_CLUSTERS = 10, 40
SHORTEST_CLUSTER = 125  # bars: half a year of days, below it neighbouring clusters still share their regime
WINDOWS_PER_CLUSTER = 4
OVERLAP = 4  # windows start every length / 4 bars
RANDOM_GROUPS = 20  # of paths that are independent given their context


@dataclass(frozen=True, eq=False)
class Measured:
    """Statistics of paths or windows, and the cluster of each."""

    clusters: Ids  # int64 [path]
    # fact id (id.num and id.den for a pooled ratio) to float64 [path], NaN where undefined
    statistics: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.clusters)

    @property
    def cluster_count(self) -> int:
        """Number of clusters."""
        return len(np.unique(self.clusters))

    def select(self, rows: NDArray[Any] | slice) -> Measured:
        """Return the paths at these positions, in this slice or where a mask is True."""
        return Measured(self.clusters[rows], self._chosen(rows))

    def _chosen(self, rows: NDArray[Any] | slice) -> dict[str, Floats]:
        return {name: values[rows] for name, values in self.statistics.items()}

    def values(self, fact: str) -> Floats:
        """Return one number per path, [path]; of a pooled ratio the path's own ratio, NaN where it is 0/0."""
        if FACT[fact].kind == "P":
            return self.statistics[fact]
        num, den = (self.statistics[f"{fact}.{part}"] for part in ("num", "den"))
        return np.asarray(np.divide(num, den, out=np.full(num.shape, np.nan), where=den > 0))

    def clustered(self, fact: str) -> Clustered:
        """Return the defined values of a fact with their clusters."""
        return Clustered.of(self.values(fact), self.clusters)

    def sums(self, fact: str) -> tuple[Clustered, Clustered]:
        """Return numerators and denominators of a pooled ratio, of the paths where both are defined."""
        num, den = (self.statistics[f"{fact}.{part}"] for part in ("num", "den"))
        known = np.isfinite(num) & np.isfinite(den)
        parts = [Clustered.of(np.where(known, part, np.nan), self.clusters) for part in (num, den)]
        return parts[0], parts[1]


@dataclass(frozen=True, eq=False)
class Sample(Measured):
    """Paths or windows of one asset, measured."""

    bars: BarArrays  # the paths

    @classmethod
    def measure(cls, bars: BarArrays, clusters: Ids, gauge: Gauge | None, facts: Sequence[str] | None = None) -> Sample:
        """Compute these facts, or every one that the bars allow, with the reference's gauge."""
        return cls(clusters, path_statistics(bars, facts=facts, gauge=gauge), bars)

    def select(self, rows: NDArray[Any] | slice) -> Sample:
        """Return the paths at these positions, in this slice or where a mask is True."""
        return Sample(self.clusters[rows], self._chosen(rows), self.bars.select(rows))


def cluster_count(bars: int, length: int) -> int:
    """Return into how many stretches of time a history is cut.

    bars / max(4 length, 125), between 10 and 40; fewer where a stretch would not hold one window.
    """
    wanted = bars // max(WINDOWS_PER_CLUSTER * length, SHORTEST_CLUSTER)
    return min(max(FEWEST_CLUSTERS, min(wanted, MOST_CLUSTERS)), bars // length)


@dataclass(frozen=True, eq=False)
class Reference:
    """Real windows with their clusters, numbered in the order of time."""

    bars: BarArrays  # the windows, start every length / 4 bars, none crosses the edge of a cluster
    clusters: Ids  # int64 [window]
    starts: Ids  # int64 [window], nanoseconds of each window's first bar
    bars_of_time: int  # distinct stamps of the histories: what their length counts as

    @property
    def cluster_count(self) -> int:
        """Number of clusters that hold a window."""
        return len(np.unique(self.clusters))


def cut_reference(
    histories: Sequence[Candles], length: int, gauge: Gauge, *, first_place: int | None = None
) -> Reference | None:
    """Cut histories into windows inside contiguous clusters of time; None where not even two windows fit.

    Several histories share the clusters of the calendar: what happens at one time is one cluster. The first bar
    of each history only serves as the close before its first window.

    Args:
        histories: the asset's own, and any that are pooled with it.
        length: bars per window.
        gauge: tick and sessions to cut with.
        first_place: intraday, the bar of the session at which windows must begin; None: at any.
    """
    stamps = np.unique(np.concatenate([_nanoseconds(h)[1:] for h in histories]))
    count = cluster_count(len(stamps), length)
    if count < 2:
        return None
    edges = np.append(stamps[np.arange(count) * len(stamps) // count], stamps[-1] + 1)
    cut = [
        (windows_cut, start, cluster)
        for history in histories
        for cluster in range(count)
        for windows_cut, start in _cluster_windows(history, edges[cluster : cluster + 2], length, gauge, first_place)
    ]
    if not cut:
        return None
    return Reference(
        bars=concatenate([bars for bars, _, _ in cut]),
        clusters=np.concatenate([np.full(len(bars), cluster) for bars, _, cluster in cut]),
        starts=np.concatenate([start for _, start, _ in cut]),
        bars_of_time=len(np.unique(np.concatenate([_nanoseconds(h) for h in histories]))),
    )


def _cluster_windows(
    history: Candles, edges: Ids, length: int, gauge: Gauge, first_place: int | None
) -> list[tuple[BarArrays, Ids]]:
    """Return the windows of one history inside one cluster with their first stamps; none where it is short."""
    stamps = _nanoseconds(history)
    low, high = np.searchsorted(stamps, edges)
    low = max(int(low), 1)
    if high - low < length:
        return []
    stretch = history.rows(low - 1, int(high))
    stride = max(1, length // OVERLAP)
    cut = windows(stretch, length, 1 if first_place is not None else stride, tick=gauge.tick, clock=gauge.clock)
    if first_place is not None and cut.bars.bar_of_day is not None:
        cut = cut.select(_spaced(np.flatnonzero(cut.bars.bar_of_day[:, 0] == first_place), stride))
    return [(cut.bars, stamps[low - 1 + cut.start])] if len(cut) else []


def _spaced(rows: Ids, stride: int) -> Ids:
    """Return the rows that keep a distance of at least ``stride`` from the one kept before."""
    kept: list[int] = []
    for row in rows:
        if not kept or row - kept[-1] >= stride:
            kept.append(int(row))
    return np.asarray(kept, dtype=np.int64)


def _nanoseconds(candles: Candles) -> Ids:
    return np.asarray(candles.timestamps.as_unit("ns").asi8)


def concatenate(parts: Sequence[BarArrays]) -> BarArrays:
    """Join bars of one length into one set of paths; volume stays only where all have it."""
    joined = {}
    for f in fields(BarArrays):
        values = [getattr(part, f.name) for part in parts]
        if not isinstance(values[0], np.ndarray):
            joined[f.name] = values[0]
        elif f.name == "session_open":
            joined[f.name] = np.concatenate([part.opens_session for part in parts])
        else:
            joined[f.name] = None if any(v is None for v in values) else np.concatenate(values)
    return BarArrays(**joined)


def path_clusters(paths: BarArrays | Panel, context_ids: Ids | None, rng: np.random.Generator) -> Ids:
    """Return the cluster of each path, [path].

    Paths of one context are one cluster. Without contexts paths are exchangeable and fall into 20 random groups.
    Identical paths always share a cluster: a copy brings no news.
    """
    same = identical(paths)
    if context_ids is None:
        order = rng.permutation(int(same.max()) + 1)
        return np.asarray(order[same] % RANDOM_GROUPS, dtype=np.int64)
    _, contexts = np.unique(context_ids, return_inverse=True)
    size = int(contexts.max()) + 1 + int(same.max()) + 1
    links = coo_array((np.ones(len(same)), (contexts, contexts.max() + 1 + same)), shape=(size, size))
    _, component = connected_components(links, directed=False)
    return np.asarray(component[contexts], dtype=np.int64)


def identical(paths: BarArrays | Panel) -> Ids:
    """Return a number per path that identical paths share, [path]: equal relative candles to 1e-6, of all assets."""
    every = paths.bars if isinstance(paths, Panel) else (paths,)
    relative = np.concatenate([part for bars in every for part in (bars.g, bars.b, bars.hh, bars.ll)], axis=1)
    rounded = np.round(np.nan_to_num(relative, nan=np.inf, posinf=np.inf, neginf=-np.inf), 6) + 0.0
    _, numbered = np.unique(rounded, axis=0, return_inverse=True)
    return np.asarray(numbered, dtype=np.int64).ravel()


# Real windows that followed markets like the context: what facts of scale are shown beside


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


# --- What several checks against one reference share ---


T = TypeVar("T")


class Once:
    """Keeps what was measured of a reference; forgets it when another reference or seed comes.

    Everything kept depends on the reference, the seed and its key alone, so a check with a filled one gives the
    same report as a check without.
    """

    def __init__(self) -> None:
        self._whose: Hashable = None
        self._kept: dict[Hashable, Any] = {}

    def of(self, histories: Sequence[Candles], seed: int) -> Once:
        """Return itself, emptied unless it was filled with these histories and this seed."""
        whose = (tuple(history.sha256() for history in histories), seed)
        if whose != self._whose:
            self._whose, self._kept = whose, {}
        return self

    def measured(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept under a key, or make and keep it."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: T = self._kept[key]
        return kept
