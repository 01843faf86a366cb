"""Beyond the window: segments fit it, copy no more than they need, and leave no seam in the volatility."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from scenario_gen.generators.draws import Draws
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.generators.windows import own_history, plan_segments
from scenario_gen.kronos.checkpoint import open_checkpoint
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import BarCalendar, Candles

Array = NDArray[np.float64]
CONTEXT, HORIZON, PATHS, AROUND = 432, 752, 48, 24  # a context that leaves a quarter of the window: five seams
CRITICAL = 4.0  # two-sided t with 47 degrees of freedom: one false alarm in 4,500 sets of draws


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(8, 2048))
@settings(max_examples=300, deadline=None)
def test_segments_cover_the_horizon_and_fill_the_window_without_overrunning_it(
    context: int, horizon: int, window: int
) -> None:
    segments = list(plan_segments(context, horizon, window))
    assert segments[0].start == 0
    assert segments[-1].stop == horizon
    assert all(one.stop == other.start for one, other in pairwise(segments))
    for segment in segments:
        bars = segment.stop - segment.start
        assert segment.keep >= 1
        assert segment.keep + bars <= window
        # what is not kept is not needed: either all bars there are, or as many as the window has room for
        assert segment.keep == min(context + segment.start, window - min(window // 4, horizon - segment.start))
    assert len(segments) == 1 or context + horizon > window


def test_a_path_that_is_long_enough_is_looked_at_and_not_copied() -> None:
    bars, context = np.arange(3 * 40 * 5.0).reshape(3, 40, 5), np.zeros((1, 30, 5))
    history = own_history(context, bars, start=25, keep=20)
    assert np.shares_memory(history, bars)
    assert np.array_equal(history, bars[:, 5:25])


@pytest.mark.parametrize("width", [4, 5, 6])
def test_a_shorter_path_reaches_into_the_context(width: int) -> None:
    bars = np.arange(2 * 40 * width, dtype=float).reshape(2, 40, width)
    context = 1 + np.arange(30 * min(width, 5), dtype=float).reshape(1, 30, -1)
    history = own_history(context, bars, start=10, keep=24)
    assert history.shape == (2, 24, width)
    assert np.array_equal(history[:, 14:], bars[:, :10])
    assert np.array_equal(history[:, :14, :4], np.repeat(context[:, 16:, :4], 2, axis=0))


def test_own_history_allocates_just_what_it_returns() -> None:
    bars, context = np.zeros((64, 900, 5)), np.zeros((1, 256, 5))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        history = own_history(context, bars, start=128, keep=288)
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert history.nbytes <= grown < history.nbytes + 4096  # objects around the one array


@pytest.fixture(scope="module")
def long_returns(sp500: Candles) -> tuple[Array, list[int]]:
    """Log returns of the embedded model's long paths [path, bar], and the bars at which they are anchored anew."""
    context = sp500.split_at("2012-06-29")[0].context(CONTEXT)
    checkpoint = open_checkpoint("nano")
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(HORIZON)
    generator = KronosPaths.of(checkpoint, SamplingRule(), device="cpu")
    paths = generator.sample(context, stamps, Draws.block(11, 0, PATHS))
    closes = np.insert(paths.close.astype(np.float64), 0, paths.anchor_close, axis=1)
    seams = [one.start for one in plan_segments(CONTEXT, HORIZON, checkpoint.max_context) if one.start]
    return np.diff(np.log(closes), axis=1), seams


def _change(returns: Array, bar: int) -> Array:
    """Return ln(volatility of the 24 bars from ``bar`` on / of the 24 before) of each path [path]."""
    before, after = returns[:, bar - AROUND : bar], returns[:, bar : bar + AROUND]
    return 0.5 * np.log((after**2).mean(axis=1) / (before**2).mean(axis=1))


def _t(returns: Array, seams: list[int], of: Callable[[Array], Array]) -> tuple[float, float]:
    """Return mean(of(change)) at seams over that elsewhere, and Student's t of their difference over paths."""
    at = [seam for seam in seams if seam + AROUND <= returns.shape[1]]
    elsewhere = [
        bar for bar in range(AROUND, returns.shape[1] - AROUND) if min(abs(bar - seam) for seam in seams) >= AROUND
    ]
    assert len(at) >= 5
    assert len(elsewhere) > 100
    here, there = (np.mean([of(_change(returns, bar)) for bar in bars], axis=0) for bars in (at, elsewhere))
    difference = here - there
    t = difference.mean() / (difference.std(ddof=1) / np.sqrt(len(difference)))
    return float(here.mean() / there.mean()), float(t)


def test_volatility_changes_no_more_at_a_seam_than_elsewhere(long_returns: tuple[Array, list[int]]) -> None:
    ratio, t = _t(*long_returns, np.abs)
    assert abs(t) < CRITICAL, f"|ln volatility| changes {ratio:.2f} times as much at seams, t = {t:.1f}"


def test_volatility_neither_falls_nor_rises_at_a_seam(long_returns: tuple[Array, list[int]]) -> None:
    _, t = _t(*long_returns, lambda change: change)
    assert abs(t) < CRITICAL


def test_a_planted_jump_at_the_seams_is_caught(long_returns: tuple[Array, list[int]]) -> None:
    """Every other segment half as volatile again: what units fitted to the wrong bars would do."""
    returns, seams = long_returns
    wild = np.digitize(np.arange(HORIZON), seams) % 2 == 1
    _, t = _t(np.where(wild, 1.5 * returns, returns), seams, np.abs)
    assert t > CRITICAL


def test_a_planted_sawtooth_is_caught(long_returns: tuple[Array, list[int]]) -> None:
    """Volatility that grows by a quarter within each segment and falls back at its end."""
    returns, seams = long_returns
    edges = np.array([0, *seams, HORIZON])
    segment = np.digitize(np.arange(HORIZON), seams)
    share = (np.arange(HORIZON) - edges[segment]) / (edges[segment + 1] - edges[segment])
    _, t = _t(returns * 1.25**share, seams, lambda change: change)
    assert t < -CRITICAL
