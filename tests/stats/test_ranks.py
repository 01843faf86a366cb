"""The rank transform is exactly uniform, and the tests of uniformity have their level, their power and a source."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, stats

from scenario_gen.stats.means import mean_test
from scenario_gen.stats.ranks import (
    HAC_LAG,
    _uniform_moment,
    berkowitz_dependence,
    histogram,
    histogram_band,
    knueppel,
    pit,
    smallest_mean,
    uniformity,
)

NUMBERS = st.floats(-10, 10).map(round)  # few values: many ties


@given(arrays(float, st.integers(1, 30), elements=NUMBERS), NUMBERS, st.integers(0, 1000))
def test_a_pit_lies_in_its_cells(ensemble: np.ndarray, real: float, seed: int) -> None:
    u, cells = pit(ensemble, real, np.random.default_rng(seed)), len(ensemble) + 1
    assert (ensemble < real).sum() / cells <= u < ((ensemble <= real).sum() + 1) / cells


def test_pits_of_one_more_draw_are_uniform_for_few_paths_and_with_ties() -> None:
    rng = np.random.default_rng(1)
    for draw in (rng.standard_normal, lambda n: rng.integers(0, 3, n).astype(float)):
        pits = [pit((drawn := draw(5))[:4], float(drawn[4]), rng) for _ in range(5000)]
        assert stats.kstest(pits, "uniform").pvalue > 1e-4


def test_moments_of_the_uniform_are_its_integrals() -> None:
    for power in range(1, 9):
        exact, _ = integrate.quad(lambda u, k=power: (np.sqrt(12) * (u - 0.5)) ** k, 0, 1)
        assert _uniform_moment(np.array(power)) == pytest.approx(exact, abs=1e-12)


def test_knueppels_statistic_is_the_quadratic_form_of_a_large_sample() -> None:
    # an evenly spaced sample has the moments of the uniform but for 1 / n^2: nothing to reject
    assert knueppel((np.arange(1000) + 0.5) / 1000) > 0.9999
    # shifted by 1 / 100 of the range: the first moment alone gives n * 12 * .01^2 = 12 of a chi-squared with 4
    shifted = 0.01 + 0.99 * (np.arange(10_000) + 0.5) / 10_000
    assert knueppel(shifted) < stats.chi2.sf(10_000 * 12 * 0.005**2, 1)


def test_dependence_is_the_likelihood_ratio_of_a_regression() -> None:
    rng = np.random.default_rng(2)
    z = rng.standard_normal(80)
    z[1:] += 0.4 * z[:-1]
    pits = stats.norm.cdf(z)
    with_slope = sm.OLS(z[1:], sm.add_constant(z[:-1])).fit().llf
    without = sm.OLS(z[1:], np.ones(79)).fit().llf
    assert berkowitz_dependence(pits) == pytest.approx(stats.chi2.sf(2 * (with_slope - without), 1), rel=1e-6)


def test_uniform_pits_are_rejected_at_the_level_by_every_test() -> None:
    rng = np.random.default_rng(3)
    tests = [uniformity(rng.random(60)) for _ in range(2000)]
    # four errors of 2000 at 5 % are .0195: above it by chance once in 30,000, for each of five
    for name in ("p", "p_ks", "p_moments", "p_dependence"):
        assert np.mean([getattr(test, name) < 0.05 for test in tests]) < 0.05 + 0.0195, name
    assert np.mean([test.p < 0.05 for test in tests]) > 0.02  # Bonferroni of three dependent tests, not silence


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("mean", lambda u: u**0.6),
        ("spread", lambda u: 0.5 + np.sign(u - 0.5) * np.sqrt(np.abs(u - 0.5) / 2)),
        ("spread", lambda u: 0.5 + 0.6 * (u - 0.5)),
    ],
    ids=["too low", "too narrow", "too wide"],
)
def test_wrong_pits_are_caught_by_the_test_that_is_made_for_them(name: str, wrong: object) -> None:
    u = wrong(np.random.default_rng(4).random(200))  # type: ignore[operator]
    found = uniformity(u)
    assert getattr(found, name).p < 0.001
    assert found.p < 0.01


def test_the_sign_says_which_way_the_paths_are_wrong() -> None:
    rng = np.random.default_rng(5)
    real, paths = rng.standard_normal(300), rng.standard_normal((300, 99))
    too_low = uniformity(np.array([pit(p - 1, y, rng) for p, y in zip(paths, real, strict=True)]))
    narrow = uniformity(np.array([pit(p / 2, y, rng) for p, y in zip(paths, real, strict=True)]))
    assert too_low.mean.mean > 0.1
    assert narrow.spread.mean > 0.05


def test_dependent_origins_are_seen_and_independent_ones_are_not() -> None:
    rng = np.random.default_rng(6)
    z = rng.standard_normal(200)
    assert uniformity(stats.norm.cdf(z)).p_dependence > 0.01  # type: ignore[operator]
    for i in range(1, 200):
        z[i] = 0.5 * z[i - 1] + np.sqrt(0.75) * z[i]
    assert uniformity(stats.norm.cdf(z)).p_dependence < 1e-6  # type: ignore[operator]
    assert uniformity(rng.random(5)).p_dependence is None


def test_a_constant_series_of_pits_is_no_crash() -> None:
    found = uniformity(np.full(40, 0.999))
    assert found.p < 1e-9
    assert found.p_dependence == 1.0


def test_bins_of_calibrated_pits_lie_in_their_band() -> None:
    low, high = histogram_band(60)
    assert (low, high) == (2, 11)  # R: qbinom(c(.025, .975), 60, .1)
    rng = np.random.default_rng(7)
    outside = np.mean([[not low <= n <= high for n in histogram(rng.random(60))] for _ in range(500)])
    assert 0.005 < outside < 0.05  # 2.7 % of such binomials; the rest is the discreteness


def test_the_smallest_mean_is_found_with_a_power_of_eighty_percent() -> None:
    rng = np.random.default_rng(8)
    off = smallest_mean(60)
    assert off == pytest.approx(0.105, abs=0.001)
    found = [mean_test(rng.random(60) - 0.5 + off, HAC_LAG).p < 0.05 for _ in range(1000)]
    # a shifted uniform keeps its deviation; the larger of two errors costs some 2 %, four errors of 1000 are .05
    assert 0.72 < np.mean(found) < 0.86
