"""The historical marker: an exact percentile, its coverage, and words that accuse nobody on a percentile alone."""

import re

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from scenario_gen.backtest.tail.marker import historical_marker


def mark(value, values, stretch="context", bars=(20, 20)):
    return historical_marker(
        value,
        np.asarray(values, dtype=float),
        stretch=stretch,
        metric="Total return",
        real_bars=bars[0],
        path_bars=bars[1],
    )


@pytest.mark.parametrize("below", [0, 1, 37, 199, 200])
def test_the_interval_is_the_exact_one(below):
    found = mark(below - 0.5, np.arange(200))
    interval = stats.binomtest(below, 200).proportion_ci(0.95, method="exact")
    assert found.percentile.value == below / 200
    assert (found.percentile.low, found.percentile.high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_ties_count_half_and_widen_the_interval():
    found = mark(0.0, [-1] * 50 + [0] * 100 + [1] * 50)
    assert found.percentile.value == 0.5
    assert found.percentile.low == pytest.approx(stats.binomtest(50, 200).proportion_ci(0.95).low)
    assert found.percentile.high == pytest.approx(stats.binomtest(150, 200).proportion_ci(0.95).high)


@pytest.mark.parametrize("true", [0.5, 0.95, 0.995])
def test_the_interval_covers_the_percentile_of_many_more_paths(true):
    value, rng, runs = stats.norm.ppf(true), np.random.default_rng(1), 500
    found = [mark(value, rng.standard_normal(300)).percentile for _ in range(runs)]
    covered = np.mean([one.low <= true <= one.high for one in found])
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs)  # false alarm once in 700 seeds


@pytest.mark.parametrize(
    ("value", "place"), [(500, "inside"), (999.5, "high"), (-0.5, "low"), (970, "undecided"), (30, "undecided")]
)
def test_the_place_follows_the_whole_interval(value, place):
    assert mark(value, np.arange(1000)).place == place


def test_ten_paths_cannot_call_anything_extreme():
    found = mark(1e9, np.arange(10))
    assert found.place == "undecided"
    assert "Too few paths" in found.text


@given(
    st.floats(-1e6, 1e6),
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=300),
    st.sampled_from(["context", "continuation"]),
    st.sampled_from([(20, 20), (256, 20)]),
)
def test_no_percentile_is_ever_called_overfitting(value, values, stretch, bars):
    text = mark(value, values, stretch, bars).text.lower()
    assert not re.search(r"over-?\s?fit|curve.?fit|data.?min|skill|luck", text)


def test_an_extreme_percentile_names_the_other_explanations():
    text = mark(1e9, np.arange(2000)).text
    for words in ("unusual", "unlike the market", "parameters were chosen", "alone does not tell"):
        assert words in text
    assert "higher than on nearly all paths" in text


@pytest.mark.parametrize(("value", "stretch"), [(-1e9, "context"), (-1e9, "continuation"), (1e9, "continuation")])
def test_nobody_chooses_parameters_for_losses_or_on_bars_that_came_after(value, stretch):
    text = mark(value, np.arange(2000), stretch).text
    assert "parameters were chosen" not in text
    assert "unusual, or the paths are unlike the market" in text


def test_the_text_says_figure_and_interval():
    assert mark(499.5, np.arange(1000)).text.startswith(
        "Total return on the context, the real bars before the paths: 499.5, above 50.0% of 1000 paths "
        "(95 % interval 46.9% to 53.1%)."
    )


@pytest.mark.parametrize(
    ("value", "values", "bars", "reason"),
    [
        (0.1, [0.2], (256, 20), "it covers 256 bars and the paths 20; compare equal lengths"),
        (np.nan, [0.2], (20, 20), "it is not defined on the real bars"),
        (0.1, [np.nan], (20, 20), "it is not defined on any path"),
        (0.1, [], (20, 20), "it is not defined on any path"),
    ],
)
def test_what_cannot_be_placed_says_why(value, values, bars, reason):
    found = mark(value, values, bars=bars)
    assert (found.percentile.value, found.place) == (None, "none")
    assert found.percentile.reason == reason
    assert reason in found.text
