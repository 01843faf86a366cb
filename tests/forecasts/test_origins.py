"""Where forecasts begin: never overlapping, never past the end, and the reason why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from scenario_gen.errors import CheckError, DataError
from scenario_gen.forecasts.origins import default_horizon, not_as_far, rolling_origins
from scenario_gen.market import Candles


@given(st.integers(10, 3000), st.integers(2, 300), st.integers(1, 60), st.integers(2, 100), st.integers(0, 30))
def test_futures_do_not_overlap_and_end_with_the_history(
    bars: int, context: int, horizon: int, count: int, extra: int
) -> None:
    try:
        origins = rolling_origins(bars, context=context, horizon=horizon, count=count, stride=horizon + extra)
    except DataError:
        assert bars < context + 2 * horizon + extra
        return
    assert 2 <= len(origins) <= count
    assert origins.rows[0] >= context
    assert origins.rows[-1] + horizon == bars
    assert set(np.diff(origins.rows)) == {horizon + extra}
    if len(origins) < count:  # as many as there is room for
        assert origins.rows[0] - context < horizon + extra


def test_a_context_ends_with_the_bar_before_its_future(sp500: Candles) -> None:
    first, *_, last = rolling_origins(len(sp500), context=256, horizon=20, count=60).of(sp500)
    for origin in (first, last):
        context, future = origin.context(256), origin.future(20)
        assert (len(context), len(future)) == (256, 20)
        both = context.timestamps.append(future.timestamps)
        assert both.equals(sp500.timestamps[origin.row - 256 : origin.row + 20])
        assert origin.stamp == context.timestamps[-1].isoformat()
        assert (origin.first, origin.last(20)) == (both[256].isoformat(), both[275].isoformat())
    assert last.future(20).timestamps[-1] == sp500.timestamps[-1]


def test_overlapping_futures_are_refused_with_the_reason() -> None:
    with pytest.raises(CheckError, match="same surprise") as caught:
        rolling_origins(5000, context=256, horizon=20, count=60, stride=1)
    assert "at least the horizon, 20" in caught.value.expected


def test_the_reason_is_true() -> None:
    """A perfectly calibrated forecast of 20-bar sums is rejected at stride 1 and not at stride 20."""
    rng = np.random.default_rng(1)
    rejected = {1: 0, 20: 0}
    for _ in range(200):
        sums = np.convolve(rng.standard_normal(2019), np.ones(20), mode="valid") / np.sqrt(20)
        for stride in rejected:
            rejected[stride] += stats.kstest(stats.norm.cdf(sums[::stride]), "uniform").pvalue < 0.05
    assert rejected[1] > 140  # 84 to 97 %
    assert rejected[20] < 23  # 5 % and four errors of 200


def test_a_history_without_room_says_how_much_it_needs() -> None:
    with pytest.raises(DataError, match="room for 1 origins") as caught:
        rolling_origins(280, context=256, horizon=20, count=60)
    assert "at least 296 bars" in caught.value.expected
    assert len(rolling_origins(296, context=256, horizon=20, count=60)) == 2


@pytest.mark.parametrize(
    ("bars", "horizon", "expected"),
    [(5000, 63, 63), (5000, 126, 63), (5000, 10, 10), (1000, 63, 18), (420, 42, 5), (300, 63, 5), (5000, 1, 1)],
)
def test_the_default_horizon_is_the_runs_own_where_forty_forecasts_have_room(
    bars: int, horizon: int, expected: int
) -> None:
    assert default_horizon(bars, 256, horizon) == expected
    if expected >= 5 and bars > 500:
        assert len(rolling_origins(bars, context=256, horizon=expected, count=60)) >= 40


def test_forecasts_that_reach_less_far_than_the_run_are_told_with_the_bars_that_would_do() -> None:
    assert not_as_far(5000, 256, 63) == []
    (longer,) = not_as_far(5000, 256, 126)
    assert longer == "the run's paths have 126 bars, the forecasts at most 63"
    (short,) = not_as_far(1000, 256, 63)
    assert "1,000 bars have room for 11 forecasts of 63 bars; the 40 " in short
    assert "take 2,776 bars up to the context's end; so forecasts reach 18 bars here" in short
    assert not_as_far(2776, 256, 63) == []
    assert len(not_as_far(2775, 256, 63)) == 1


def test_a_recalibrated_generator_wants_room_for_twice_as_many_forecasts():
    """4,650 bars less a context of 256 are 80 forecasts of 54 bars, half of which only fit; 63 bars take 5,296."""
    assert default_horizon(4650, 256, 63, fits=True) == 54
    assert default_horizon(4650, 256, 63) == 63
    (short,) = not_as_far(4650, 256, 63, fits=True)
    assert "the 80, 40 of which only recalibrate, from which on facts are judged by what came take 5,296 bars" in short
    assert not_as_far(5296, 256, 63, fits=True) == []
