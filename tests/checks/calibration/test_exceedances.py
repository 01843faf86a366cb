"""Value at risk against published examples, closed forms and the rate of false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scenario_gen.checks.calibration.exceedances import (
    christoffersen_independence,
    conditional_coverage,
    count_exceedances,
    exact_binomial,
    expected_shortfall,
    kupiec,
    shortfall_test,
)


def hits_of(calm: int, entries: int, stays: int) -> np.ndarray:
    """Return hits with so many transitions 0 -> 0, 0 -> 1 (and as many back), and 1 -> 1."""
    runs = [
        np.concatenate((np.ones(1 + (stays if first else 0)), [0]))
        for first in [True] + [False] * (entries - 1)
    ]
    return np.concatenate(([0], *runs, np.zeros(calm))).astype(bool)


def test_kupiec_and_christoffersen_are_those_of_published_examples() -> None:
    # MathWorks, Risk Management Toolbox, varbacktest: EquityIndex, Normal95; transitions 932, 53, 53, 4
    example = hits_of(932, 53, 4)
    assert (len(example), example.sum()) == (1043, 57)
    assert kupiec(example, 0.05) == pytest.approx(0.49694, abs=5e-6)
    assert christoffersen_independence(example) == pytest.approx(0.61104, abs=5e-6)
    # Jorion 2007, Value at Risk, chapter 6: 6 of 252 days at 1 % give 3.498; 20 of 252 at 5 % give 3.91
    assert stats.chi2.isf(kupiec(np.arange(252) < 6, 0.01), 1) == pytest.approx(3.498, abs=1e-3)
    assert stats.chi2.isf(kupiec(np.arange(252) < 20, 0.05), 1) == pytest.approx(3.91, abs=5e-3)
    # and table 6.5: transitions 218, 14, 14, 6 give 9.53
    assert stats.chi2.isf(christoffersen_independence(hits_of(218, 14, 6)), 1) == pytest.approx(
        9.53, abs=5e-3
    )


def test_conditional_coverage_adds_both_ratios() -> None:
    hits = hits_of(218, 14, 6)
    ratios = sum(stats.chi2.isf(p, 1) for p in (kupiec(hits, 0.05), christoffersen_independence(hits)))
    assert conditional_coverage(hits, 0.05) == pytest.approx(stats.chi2.sf(ratios, 2), rel=1e-9)


def test_no_hits_and_nothing_but_hits_are_no_crash() -> None:
    none, all_hit = np.zeros(300, bool), np.ones(300, bool)
    assert kupiec(none, 0.05) == pytest.approx(stats.chi2.sf(-600 * np.log(0.95), 1))
    assert kupiec(all_hit, 0.05) == 0.0
    assert christoffersen_independence(none) == 1.0
    assert exact_binomial(none, 0.05) == pytest.approx(stats.binomtest(0, 300, 0.05).pvalue)


def test_expected_shortfall_is_the_mean_of_the_tail() -> None:
    ensemble = np.arange(199.0)  # 5 % of 200 ranks are ten, 1 % are two
    assert expected_shortfall(ensemble, "lower", 0.05) == np.mean(np.arange(10))
    assert expected_shortfall(ensemble, "upper", 0.01) == np.mean([197.0, 198.0])
    rng = np.random.default_rng(1)
    normal = expected_shortfall(rng.standard_normal(199_999), "lower", 0.05)
    # closed form phi(z) / .05; the mean of 10,000 tail values of deviation .42
    assert normal == pytest.approx(-stats.norm.pdf(stats.norm.ppf(0.05)) / 0.05, abs=5 * 0.42 / 100)


def _outcomes(rng: np.random.Generator, forecasts: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return PITs and excesses of normal outcomes against an exact normal forecast of deviation ``scale``."""
    real = rng.standard_normal(forecasts)
    shortfall = -scale * stats.norm.pdf(stats.norm.ppf(0.05)) / 0.05
    return stats.norm.cdf(real / scale), (shortfall - real) / scale


def test_right_forecasts_pass_at_the_stated_rate() -> None:
    rng = np.random.default_rng(2)
    found = [
        count_exceedances("return_1", "lower", 0.05, *_outcomes(rng, 1000, 1.0), rng).label
        for _ in range(200)
    ]
    # the smaller of two p-values at 5 %: at most 10 %; four errors of 200 are .085
    assert np.mean([label in ("WARN", "FAIL") for label in found]) < 0.185
    assert found.count("FAIL") <= 10  # 2 % of 200, four errors


def test_too_small_a_volatility_and_clustered_hits_fail() -> None:
    rng = np.random.default_rng(3)
    narrow = count_exceedances("return_1", "lower", 0.05, *_outcomes(rng, 1000, 0.7), rng)
    assert narrow.label == "FAIL"
    assert narrow.hits > 100
    assert not narrow.exact
    pits = np.full(1000, 0.5)
    pits[400:450] = 0.01  # exactly 5 %, all in one stretch
    clustered = count_exceedances("return_1", "lower", 0.05, pits, np.zeros(1000), rng)
    assert clustered.p_count == pytest.approx(1.0)
    assert clustered.p_independence is not None
    assert clustered.p_independence < 1e-6
    assert clustered.label == "FAIL"


def test_the_upper_tail_looks_up() -> None:
    rng = np.random.default_rng(4)
    found = count_exceedances("return_1", "upper", 0.05, np.full(400, 0.99), np.zeros(400), rng)
    assert found.share == 1.0
    assert count_exceedances("return_1", "lower", 0.05, np.full(400, 0.99), np.zeros(400), rng).hits == 0


def test_few_expected_exceedances_are_counted_and_not_judged() -> None:
    rng = np.random.default_rng(5)
    pits = np.concatenate(([0.001, 0.001, 0.001], np.full(57, 0.5)))
    found = count_exceedances("return_1", "lower", 0.01, pits, np.zeros(60), rng)
    assert found.label == "INCONCLUSIVE"
    assert found.exact
    assert found.hits == 3
    assert "0.6 exceedances are expected of 60" in found.reason
    assert found.p_excess is None


def test_a_shortfall_forecast_too_small_is_seen_and_a_right_one_is_not() -> None:
    rng = np.random.default_rng(6)
    tail = rng.exponential(size=(300, 40)) - 1.0  # mean zero: right forecasts
    rejected = np.mean([shortfall_test(row, rng) < 0.05 for row in tail])
    assert rejected < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)  # right-skewed excesses reject less, never more
    assert shortfall_test(tail[0] + 1.0, rng) < 0.001
