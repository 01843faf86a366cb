"""Value at risk against published examples, closed forms and the rate of false alarms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from scenario_gen.forecasts.exceedances import (
    VAR_LEVELS,
    Exceedances,
    christoffersen_independence,
    conditional_coverage,
    count_exceedances,
    exact_binomial,
    excess,
    expected_shortfall,
    group_label,
    judged_together,
    kupiec,
    shortfall_test,
)


def hits_of(calm: int, entries: int, stays: int) -> np.ndarray:
    """Return hits with so many transitions 0 -> 0, 0 -> 1 (and as many back), and 1 -> 1."""
    runs = [np.concatenate((np.ones(1 + (stays if first else 0)), [0])) for first in [True] + [False] * (entries - 1)]
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
    assert stats.chi2.isf(christoffersen_independence(hits_of(218, 14, 6)), 1) == pytest.approx(9.53, abs=5e-3)


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
    values = np.arange(200.0)  # 5 % are ten, 1 % are two
    assert expected_shortfall(values, "lower", 0.05) == np.mean(np.arange(10))
    assert expected_shortfall(values, "upper", 0.01) == np.mean([198.0, 199.0])
    assert expected_shortfall(values[:150], "lower", 0.01) == pytest.approx((0 + 0.5 * 1) / 1.5)  # one and a half
    assert expected_shortfall(values[:50], "lower", 0.01) == 0.0  # never less than one
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
    found = [count_exceedances("return_1", "lower", 0.05, *_outcomes(rng, 1000, 1.0), rng).label for _ in range(200)]
    # the smaller of two p-values, doubled: 5 %; four errors of 200 are .062
    assert np.mean([label in ("WARN", "FAIL") for label in found]) < 0.112
    assert found.count("FAIL") <= 7  # 1 % of 200, four errors


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


def _hits(paths: int, level: float, forecasts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ensembles and outcomes of one law of which the outcome lies in the lower tail."""
    rng = np.random.default_rng(7)
    ensembles, came = rng.standard_t(5, size=(forecasts, paths)), rng.standard_t(5, size=forecasts)
    hit = (ensembles < came[:, None]).sum(axis=1) < round(level * (paths + 1))
    return ensembles[hit], came[hit]


@pytest.mark.parametrize(("paths", "level"), [(99, 0.05), (199, 0.05), (199, 0.01), (399, 0.01)])
def test_of_a_right_forecast_the_mean_excess_is_zero_whatever_the_number_of_paths(paths: int, level: float) -> None:
    found = [excess(ens, one, "lower", level) for ens, one in zip(*_hits(paths, level, 20_000), strict=True)]
    assert len(found) > 150
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))
    pairs = zip(*_hits(paths, level, 20_000), strict=True)
    assert [excess(-ens, -one, "upper", level) for ens, one in pairs] == pytest.approx(found)


def test_the_tail_of_the_paths_alone_would_call_a_right_forecast_too_mild() -> None:
    ensembles, came = _hits(99, 0.01, 5000)
    naive = [expected_shortfall(ens, "lower", 0.01) - one for ens, one in zip(ensembles, came, strict=True)]
    assert len(naive) > 30
    assert min(naive) > 0  # beyond the lowest path and beyond its mean are the same thing


def test_a_tail_of_one_path_has_no_size_to_judge() -> None:
    ensembles, came = _hits(99, 0.01, 5000)
    sizes = np.array([excess(ens, one, "lower", 0.01) for ens, one in zip(ensembles, came, strict=True)])
    assert not sizes.any()  # the outcome is the whole tail of paths and outcome together
    pits = np.concatenate((np.full(20, 0.005), np.full(1980, 0.5)))[np.random.default_rng(8).permutation(2000)]
    found = count_exceedances("return_1", "lower", 0.01, pits, np.zeros(2000), np.random.default_rng(8))
    assert (found.hits, found.excess, found.p_excess, found.label) == (20, None, None, "PASS")


def _group(rng: np.random.Generator, scale: float = 1.0, forecasts: int = 1000) -> list[Exceedances]:
    """Return both tails at both levels of normal outcomes against an exact normal forecast."""
    real = rng.standard_normal(forecasts)
    pits = stats.norm.cdf(real / scale)
    found = []
    for level in VAR_LEVELS:
        shortfall = scale * stats.norm.pdf(stats.norm.ppf(level)) / level
        for tail, side in (("lower", -1), ("upper", 1)):
            sizes = (side * real - shortfall) / scale
            found.append(count_exceedances("return_1", tail, level, pits, sizes, rng))  # type: ignore[arg-type]
    return judged_together(found)


def test_the_group_of_a_right_forecast_is_flagged_at_the_stated_rate() -> None:
    rng = np.random.default_rng(9)
    labels = [group_label(_group(rng)) for _ in range(100)]
    # 5 % of groups by adjusted p-values, 1 % of them FAIL; four errors of 100 are 8.7 and 4
    assert sum(label != "PASS" for label in labels) <= 13
    assert labels.count("FAIL") <= 5


def test_the_group_of_too_calm_a_forecast_fails() -> None:
    rng = np.random.default_rng(10)
    assert {group_label(_group(rng, scale=0.8)) for _ in range(10)} == {"FAIL"}


def test_p_values_are_adjusted_over_the_tests_that_can_be_judged() -> None:
    found = _group(np.random.default_rng(11), forecasts=400)  # 4 expected at 1 %: not judged
    judged = [one for one in found if one.judged]
    assert [one.level for one in judged] == [0.05, 0.05]
    low, high = sorted(one.p for one in judged if one.p is not None)
    assert sorted(one.q for one in judged if one.q is not None) == pytest.approx([min(2 * low, high), high])
    assert all(one.q is None and one.label == "INCONCLUSIVE" for one in found if not one.judged)


def _labelled(**labels: str) -> list[Exceedances]:
    """Return tests with labels: n5 and n1 of the next bar at 5 and 1 %, h5 and h1 of the horizon."""
    (like, *_) = _group(np.random.default_rng(12))
    spans = {"n": "return_1", "h": "return_h"}
    return [
        replace(like, functional=spans[key[0]], level=int(key[1]) / 100, label=label,
                expected=1.0 if label == "INCONCLUSIVE" else 50.0)  # type: ignore[arg-type]
        for key, label in labels.items()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "whole"),
    [
        ({"n5": "PASS", "n1": "PASS", "h5": "INCONCLUSIVE", "h1": "INCONCLUSIVE"}, "PASS"),
        ({"n5": "PASS", "n1": "PASS", "h5": "FAIL", "h1": "INCONCLUSIVE"}, "FAIL"),
        ({"n5": "PASS", "n1": "INCONCLUSIVE", "h5": "PASS", "h1": "INCONCLUSIVE"}, "INCONCLUSIVE"),
        ({"n5": "WARN", "n1": "INCONCLUSIVE", "h5": "PASS", "h1": "INCONCLUSIVE"}, "WARN"),
        ({"n5": "INCONCLUSIVE", "n1": "INCONCLUSIVE"}, "INCONCLUSIVE"),
        ({}, "UNTESTABLE"),
    ],
)
def test_a_pass_takes_both_levels_of_the_next_bar_and_none_of_the_horizon(labels: dict[str, str], whole: str) -> None:
    assert group_label(_labelled(**labels)) == whole


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
