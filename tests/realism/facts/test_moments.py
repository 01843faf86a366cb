"""L-moments, autocorrelations and correlations against scipy, statsmodels, closed forms and each other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy import signal, stats
from statsmodels.tsa.stattools import acf as acf_of

from scenario_gen.realism.estimators import correlation, detrended, l_ratios, log_spread, mean_acf, mean_ccf

series = arrays(np.float64, (3, 30), elements=st.integers(-(10**6), 10**6).map(lambda i: i / 1000))


# Closed forms: Hosking 1990, table 1. Tolerance: 200 samples of 5,000, so the mean's standard error is
# sd / sqrt(200) with sd < 1.5 / sqrt(5000) for the exponential's t3, the widest: .0015; 4 of them are .006.
@pytest.mark.parametrize(
    ("draw", "t3", "t4"),
    [
        ("standard_normal", 0.0, 0.1226),
        ("random", 0.0, 0.0),
        ("standard_exponential", 1 / 3, 1 / 6),
        ("standard_gumbel", 0.1699, 0.1504),
    ],
)
def test_l_moments_of_known_distributions(draw: str, t3: float, t4: float) -> None:
    rng = np.random.default_rng(11)
    x = rng.gumbel(size=(200, 5000)) if draw == "standard_gumbel" else getattr(rng, draw)((200, 5000))
    skew, kurt = l_ratios(x)
    assert skew.mean() == pytest.approx(t3, abs=0.006)
    assert kurt.mean() == pytest.approx(t4, abs=0.006)


def test_l_moments_are_hoskings_averages_over_all_subsets() -> None:
    x = np.random.default_rng(3).standard_t(3, (4, 9))

    def by_subsets(row: np.ndarray, signs: tuple[int, ...]) -> float:
        r = len(signs)
        return float(np.mean([np.dot(signs, sorted(part)) for part in combinations(row, r)]) / r)

    t3, t4 = l_ratios(x)
    for i, row in enumerate(x):
        l2 = by_subsets(row, (-1, 1))
        assert t3[i] == pytest.approx(by_subsets(row, (1, -2, 1)) / l2)
        assert t4[i] == pytest.approx(by_subsets(row, (-1, 3, -3, 1)) / l2)


def test_l_moments_agree_with_scipy_far_from_zero() -> None:
    x = 1e6 + np.random.default_rng(4).standard_t(3, (20, 61))
    t3, t4 = l_ratios(x)
    assert t3 == pytest.approx(stats.lmoment(x, axis=1, order=3, standardize=True), abs=1e-8)
    assert t4 == pytest.approx(stats.lmoment(x, axis=1, order=4, standardize=True), abs=1e-8)


@given(series)
@settings(max_examples=100, deadline=None)
def test_l_moments_keep_hoskings_bounds_or_are_undefined(x: np.ndarray) -> None:
    t3, t4 = l_ratios(x)
    known = np.isfinite(t3)
    assert np.array_equal(known, np.isfinite(t4))
    assert np.array_equal(known, x.max(axis=1) > x.min(axis=1))
    assert np.all(np.abs(t3[known]) <= 1 + 1e-9)
    # The lower bound holds for populations; unbiased estimates from 30 values fall below it by O(1/n).
    assert np.all(t4[known] >= (5 * t3[known] ** 2 - 1) / 4 - 0.1)
    assert np.all(t4[known] <= 1 + 1e-9)


@given(series, st.floats(0.01, 100), st.floats(-100, 100))
@settings(max_examples=50, deadline=None)
def test_level_and_scale_do_not_matter(x: np.ndarray, scale: float, level: float) -> None:
    assume(np.all(x.std(axis=1) > 1e-3))  # else the level drowns the series
    moved = scale * x + level
    for before, after in (
        (l_ratios(x)[0], l_ratios(moved)[0]),
        (l_ratios(x)[1], l_ratios(moved)[1]),
        (mean_acf(x, [1, 2, 3]), mean_acf(moved, [1, 2, 3])),
        (mean_ccf(x, x**2, [1, 2]), mean_ccf(moved, x**2, [1, 2])),
        (correlation(x, np.roll(x, 1)), correlation(moved, np.roll(x, 1))),
    ):
        assert after == pytest.approx(before, abs=1e-6, nan_ok=True)


def test_autocorrelations_are_those_of_statsmodels() -> None:
    x = np.random.default_rng(5).standard_normal((5, 60)).cumsum(axis=1)
    for lag in (1, 5, 20):
        ours = mean_acf(x, [lag])
        assert ours == pytest.approx([acf_of(row, nlags=20, fft=False)[lag] for row in x])


def test_a_cross_correlation_looks_forward_from_the_first_series_to_the_second() -> None:
    x = np.random.default_rng(6).standard_normal((1, 2000))
    later = np.concatenate([np.zeros((1, 3)), x[:, :-3]], axis=1)  # y_{t+3} = x_t
    assert mean_ccf(x, later, [3])[0] == pytest.approx(1, abs=0.01)  # 3 of 2,000 bars are missing
    assert abs(mean_ccf(later, x, [3])[0]) < 4 / np.sqrt(2000)


def test_the_autocorrelation_is_the_cross_correlation_with_itself() -> None:
    x = np.random.default_rng(7).standard_normal((4, 50))
    assert mean_ccf(x, x, [1, 4]) == pytest.approx(mean_acf(x, [1, 4]))


def test_missing_values_are_left_out() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((2, 6, 40))
    x[:, 5] = np.nan
    y[:, 9] = np.inf
    keep = [t for t in range(40) if t not in (5, 9)]
    assert correlation(x, y) == pytest.approx(correlation(x[:, keep], y[:, keep]))
    without = np.delete(x, 5, axis=1)
    assert l_ratios(x)[1] == pytest.approx(l_ratios(without)[1])
    assert log_spread(x) == pytest.approx(np.log(without.std(axis=1, ddof=1)))
    # A hole only takes its products out: at most 2 of 39 terms, each below 10 / 39 here.
    assert mean_acf(x, [1]) == pytest.approx(mean_acf(without, [1]), abs=0.3)


def test_series_with_many_holes_have_no_autocorrelation() -> None:
    x = np.random.default_rng(9).standard_normal((2, 40))
    x[0, :4] = np.nan  # 10 %
    x[1, :5] = np.nan
    assert np.isfinite(mean_acf(x, [1])).tolist() == [True, False]


def test_a_line_is_taken_off_as_scipy_does() -> None:
    x = np.random.default_rng(10).standard_normal((5, 30)).cumsum(axis=1) + 0.3 * np.arange(30)
    assert detrended(x) == pytest.approx(signal.detrend(x, axis=1), abs=1e-9)
    x[0, 3] = np.nan
    known = ~np.isnan(x[0])
    line = np.polyfit(np.flatnonzero(known), x[0, known], 1)
    assert detrended(x)[0, known] == pytest.approx(x[0, known] - np.polyval(line, np.flatnonzero(known)), abs=1e-9)
    assert np.isnan(detrended(x)[0, 3])


@pytest.mark.parametrize("level", [0.0, 1.0, 0.1, 1e-9, 1e12, -3.7])
def test_a_series_that_stands_still_tells_nothing(level: float) -> None:
    x = np.full((1, 60), level)
    other = np.random.default_rng(1).standard_normal((1, 60))
    for value in (*l_ratios(x), mean_acf(x, [1]), mean_ccf(x, other, [1]), correlation(other, x), log_spread(x)):
        assert np.isnan(value).all()
    straight = level * np.arange(60.0)[None]
    assert np.isnan(mean_acf(detrended(straight), [1])).all()


def test_short_series_are_undefined_without_a_warning() -> None:
    for bars in (0, 1, 2, 3):
        x = np.random.default_rng(2).standard_normal((2, bars))
        assert np.isnan(l_ratios(x)[1]).all()
        assert np.isnan(mean_acf(x, [3])).all()
        assert np.isnan(correlation(x, x)).all()
