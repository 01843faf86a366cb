"""The design of a comparison: clusters of time, windows that keep to them, paths that share a cluster."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from benchmarks.planted import simulate
from scenario_gen.market import Candles
from scenario_gen.realism.bars import spread_rows
from scenario_gen.realism.gauge import Gauge
from scenario_gen.realism.sample import (
    cluster_count,
    concatenate,
    cut_reference,
    identical,
    like_context,
    path_clusters,
)

HISTORY = simulate(1, 2600, np.random.default_rng(1)).candles()


@pytest.mark.parametrize(
    ("bars", "length", "clusters"),
    [(5000, 60, 20), (2500, 60, 10), (2500, 30, 20), (100_000, 60, 40), (5000, 250, 10), (900, 60, 10), (300, 63, 4)],
)
def test_the_number_of_clusters_follows_the_rule(bars: int, length: int, clusters: int) -> None:
    assert cluster_count(bars, length) == clusters


@given(st.integers(200, 2600), st.integers(1, 130))
@settings(max_examples=40, deadline=None)
def test_no_window_crosses_the_edge_of_its_cluster(bars: int, length: int) -> None:
    history = HISTORY.rows(0, bars)
    cut = cut_reference([history], length, Gauge.of(history))
    if cut is None:
        assert cluster_count(bars - 1, length) < 2
        return
    count = cluster_count(bars - 1, length)
    edges = 1 + np.arange(count + 1) * (bars - 1) // count  # rows; the first bar is only a close before
    first = np.searchsorted(history.timestamps.as_unit("ns").asi8, cut.starts)
    assert (first >= edges[cut.clusters]).all()
    assert (first + length <= edges[cut.clusters + 1]).all()
    assert (np.diff(cut.clusters) >= 0).all()


def test_windows_are_the_history_and_start_a_quarter_apart() -> None:
    cut = cut_reference([HISTORY], 60, Gauge.of(HISTORY))
    assert cut is not None
    rows = np.searchsorted(HISTORY.timestamps.as_unit("ns").asi8, cut.starts)
    assert np.array_equal(cut.bars.close[5], HISTORY.close[rows[5] : rows[5] + 60])
    assert np.array_equal(cut.bars.anchor_close, HISTORY.close[rows - 1])
    same = np.diff(cut.clusters) == 0
    assert (np.diff(rows)[same] == 15).all()


def test_pooled_histories_share_the_clusters_of_the_calendar() -> None:
    other = replace(simulate(1, 1300, np.random.default_rng(2)).candles(), name="other")
    late = replace(other, timestamps=HISTORY.timestamps[1300:])
    cut = cut_reference([HISTORY, late], 60, Gauge.of(HISTORY))
    alone = cut_reference([HISTORY], 60, Gauge.of(HISTORY))
    assert cut is not None
    assert alone is not None
    assert cut.cluster_count == alone.cluster_count
    assert cut.bars_of_time == len(HISTORY)
    for cluster in range(cut.cluster_count - 1):
        now, after = (alone.starts[alone.clusters == k].min() for k in (cluster, cluster + 1))
        ours = cut.starts[cut.clusters == cluster]
        assert now <= ours.min()
        assert ours.max() < after
    assert (np.bincount(cut.clusters)[6:] > np.bincount(alone.clusters)[6:]).all()


def test_intraday_windows_begin_where_the_paths_begin() -> None:
    days = pd.bdate_range("2024-01-01", periods=40)
    stamps = pd.DatetimeIndex([day + pd.Timedelta(minutes=570 + 5 * k) for day in days for k in range(48)])
    base = simulate(1, len(stamps), np.random.default_rng(3)).candles()
    history = replace(base, timestamps=stamps)
    cut = cut_reference([history], 48, Gauge.of(history), first_place=0)
    assert cut is not None
    assert cut.bars.bar_of_day is not None
    assert (cut.bars.bar_of_day[:, 0] == 0).all()
    assert len(cut.clusters) >= 30  # one a day, but for days cut by an edge


def test_a_reference_that_holds_no_two_windows_is_none() -> None:
    assert cut_reference([HISTORY.rows(0, 100)], 60, Gauge.of(HISTORY)) is None


def test_paths_without_context_fall_into_twenty_groups() -> None:
    bars = simulate(200, 20, np.random.default_rng(4)).bars
    clusters = path_clusters(bars, None, np.random.default_rng(5))
    assert np.bincount(clusters).tolist() == [10] * 20


def test_identical_paths_share_a_cluster_whatever_their_price_level() -> None:
    bars = simulate(4, 20, np.random.default_rng(6)).bars
    again = bars.select(np.repeat(np.arange(4), 50))
    doubled = replace(
        again, **{name: 2 * getattr(again, name) for name in ("open", "high", "low", "close", "anchor_close")}
    )
    both = concatenate([again, doubled])
    assert len(np.unique(identical(both))) == 4
    assert len(np.unique(path_clusters(both, None, np.random.default_rng(7)))) == 4


def test_contexts_that_share_a_path_are_one_cluster() -> None:
    bars = simulate(6, 20, np.random.default_rng(8)).bars.select(np.array([0, 1, 2, 3, 4, 0]))
    clusters = path_clusters(bars, np.array([0, 0, 1, 1, 2, 2]), np.random.default_rng(9))
    assert clusters[0] == clusters[1] == clusters[4] == clusters[5]
    assert clusters[2] == clusters[3] != clusters[0]


def test_rows_are_spread_evenly_and_once() -> None:
    assert spread_rows(5, 10).tolist() == [0, 1, 2, 3, 4]
    rows = spread_rows(100_000, 2000)
    assert len(rows) == 2000
    assert np.ptp(np.diff(rows)) <= 1


def test_joined_bars_keep_every_path() -> None:
    one, two = (simulate(3, 10, np.random.default_rng(k)).bars for k in (1, 2))
    both = concatenate([one, two])
    assert len(both) == 6
    assert np.array_equal(both.select(np.arange(3, 6)).close, two.close)
    assert concatenate([one, replace(two, volume=None)]).volume is None


def test_windows_like_the_context_are_the_quarter_that_followed_such_markets(nasdaq: Candles) -> None:
    gauge = Gauge.of(nasdaq)
    cut = cut_reference([nasdaq], 60, gauge)
    assert cut is not None
    crisis = like_context(cut.starts, nasdaq, nasdaq.rows(2400, 2470), gauge)  # autumn 2008
    assert crisis is not None
    assert 0.2 < crisis.mean() < 0.3
    spread = cut.bars.s
    assert np.median(spread[crisis]) > 1.5 * np.median(spread[~crisis])
    assert like_context(cut.starts, nasdaq, nasdaq.rows(2400, 2415), gauge) is None
