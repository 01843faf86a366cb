"""Copy test: planted copies are found whatever is done to them, and new paths are not accused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.planted import calmer, copy, simulate
from scenario_gen.market import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.copying import STRETCH, Copies, Library, copies, path_shapes
from scenario_gen.realism.gauge import windows

MARKET = simulate(1, 3000, np.random.default_rng(1))
HISTORY = MARKET.candles()
WINDOWS = windows(HISTORY, 60, 7).bars


def found(paths: BarArrays, history: Candles = HISTORY, known: Candles = HISTORY) -> Copies:
    result = copies(paths, history, Library.of([known], 0.0))
    assert result is not None
    return result


def noisy(paths: BarArrays, share: float, rng: np.random.Generator) -> BarArrays:
    """Add noise of this share of each path's volatility to every close, candles kept in order."""
    close = paths.close * np.exp(share * paths.s[:, None] * rng.standard_normal(paths.close.shape))
    return replace(paths, close=close, high=np.maximum(paths.high, close), low=np.minimum(paths.low, close))


def test_new_paths_of_the_same_law_are_not_accused() -> None:
    fresh = simulate(300, 60, np.random.default_rng(2)).bars
    # .1 % by construction; 2700 stretches with a few ties among neighbours: below the 1 % of a WARN.
    assert found(fresh).share < 0.01


@pytest.mark.parametrize(("spoil", "least"), [("copy", 1.0), ("calmer", 1.0), ("noise", 0.95), ("far noise", 0.7)])
def test_copies_are_found_also_scaled_and_with_noise(spoil: str, least: float) -> None:
    rng = np.random.default_rng(3)
    planted = {
        "copy": lambda: copy(WINDOWS, 200, rng),
        "calmer": lambda: calmer(WINDOWS, 200, rng),
        "noise": lambda: noisy(copy(WINDOWS, 200, rng), 0.2, rng),
        "far noise": lambda: noisy(copy(WINDOWS, 200, rng), 0.4, rng),
    }[spoil]()
    assert found(planted).share >= least


def test_five_copies_among_a_hundred_show() -> None:
    fresh = simulate(100, 60, np.random.default_rng(4)).bars
    columns = {name: getattr(fresh, name).copy() for name in ("open", "high", "low", "close")}
    anchors = fresh.anchor_close.copy()
    for name, values in columns.items():
        values[:5] = getattr(WINDOWS, name)[:5]
    anchors[:5] = WINDOWS.anchor_close[:5]
    assert found(replace(fresh, **columns, anchor_close=anchors)).share == pytest.approx(0.05, abs=0.012)


def test_what_history_is_compared_with_leaves_out_its_own_time() -> None:
    result = found(simulate(50, 60, np.random.default_rng(5)).bars)
    assert result.threshold < 0.95  # with its own time in, every stretch would find itself: 1
    elsewhere = simulate(1, 3000, np.random.default_rng(6)).candles()
    stamps = pd.bdate_range("1960-01-01", periods=3000)  # another time: nothing to leave out
    other = replace(elsewhere, timestamps=stamps)
    assert found(WINDOWS.select(slice(0, 50)), known=other).threshold == pytest.approx(result.threshold, abs=0.05)


def test_copies_of_the_training_series_are_found_beside_another_history() -> None:
    series = replace(
        simulate(1, 1500, np.random.default_rng(7)).candles(), timestamps=pd.bdate_range("1970-01-01", periods=1500)
    )
    learnt = windows(series, 60, 10).bars
    library = Library.of([HISTORY, series], 0.0)
    result = copies(learnt, HISTORY, library)
    assert result is not None
    assert result.share > 0.9
    assert found(learnt).share < 0.02  # without the series in the library nobody knows


def test_stretches_are_unit_vectors_without_level_and_scale() -> None:
    shapes = path_shapes(WINDOWS.select(slice(0, 3)))
    assert shapes.shape == (3 * len(range(0, 60 - STRETCH + 1, 5)), 2 * STRETCH)
    assert np.linalg.norm(shapes, axis=1) == pytest.approx(1, abs=1e-5)
    assert shapes[:, :STRETCH].sum(axis=1) == pytest.approx(0, abs=1e-5)


def test_what_is_too_short_to_compare_gives_none() -> None:
    library = Library.of([HISTORY], 0.0)
    assert copies(windows(HISTORY, 19, 50).bars, HISTORY, library) is None
    assert copies(WINDOWS, HISTORY.rows(0, 100), library) is None
    assert copies(WINDOWS, HISTORY, Library.of([HISTORY.rows(0, 15)], 0.0)) is None
    flat = np.full((5, 60), 100.0)
    assert copies(BarArrays(flat, flat, flat, flat, None, np.full(5, 100.0)), HISTORY, library) is None


def test_only_the_rows_of_ones_own_time_may_overlap() -> None:
    library = Library.of([HISTORY], 0.0)
    begin, end = library.same_time(library.first[[500]], library.last[[500]])
    overlap = (library.first <= library.last[500]) & (library.last >= library.first[500])
    assert np.array_equal(np.flatnonzero(overlap), np.arange(begin[0], end[0]))
