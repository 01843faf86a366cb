"""Estimates over paths against scipy, closed forms and their own promised coverage."""

import numpy as np
import pytest
from scipy import stats

from scenario_gen.stats.estimate import (
    QUANTILES,
    conditional_value_at_risk,
    mean,
    percentile_of,
    quantile,
    share,
    summarise_metric,
    value_at_risk,
)


def normal(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


@pytest.mark.parametrize(("count", "n"), [(10, 2000), (622, 2000), (1990, 2000), (2000, 2000), (15, 31)])
def test_shares_carry_wilsons_interval(count, n):
    estimate = share(np.arange(n) < count)
    interval = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    assert (estimate.value, estimate.count, estimate.n) == (count / n, count, n)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_no_hit_is_bounded_by_the_rule_of_three():
    estimate = share(np.zeros(2000, dtype=bool))
    assert (estimate.value, estimate.low, estimate.high, estimate.count) == (0, 0, 0.0015, 0)
    assert share(np.zeros(2, dtype=bool)).high == 1


@pytest.mark.parametrize("count", [1, 9])
def test_a_handful_of_hits_is_a_count_and_not_a_rate(count):
    estimate = share(np.arange(2000) < count)
    assert (estimate.value, estimate.count, estimate.reason) == (None, count, "fewer than 10 paths")
    assert estimate.low < count / 2000 < estimate.high


def test_a_share_of_all_paths_lies_within_its_interval():
    # With 10, 13, 25, ... hits of as many Wilson's upper end was 1 less the last bit.
    assert all(share(np.ones(n, dtype=bool)).high == 1 for n in range(1, 300))


def test_no_paths_have_no_share():
    assert share(np.zeros(0, dtype=bool)).reason == "no paths"


def test_a_mean_carries_students_interval():
    values = normal(50) + 3
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    estimate = mean(values)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert estimate.value == pytest.approx(values.mean())


@pytest.mark.parametrize(("level", "n"), [(0.05, 400), (0.5, 40), (0.95, 1000), (0.99, 2000), (0.25, 80)])
def test_quantiles_lie_between_order_statistics_of_the_binomial(level, n):
    interval = stats.quantile_test(normal(n), p=level).confidence_interval(0.95)
    estimate = quantile(normal(n), level)
    assert estimate.value == np.quantile(normal(n), level)
    assert (estimate.low, estimate.high) == (interval.low, interval.high)


@pytest.mark.parametrize(("level", "needed"), [(0.01, 2000), (0.05, 400), (0.25, 80), (0.5, 40), (0.95, 400)])
def test_a_quantile_needs_twenty_paths_beyond_it(level, needed):
    assert quantile(normal(needed), level).value is not None
    refused = quantile(normal(needed - 1), level)
    assert (refused.value, refused.low, refused.n) == (None, None, needed - 1)
    assert refused.reason == f"not shown, needs N >= {needed}"


@pytest.mark.parametrize("level", [0.05, 0.5, 0.99])
def test_intervals_of_quantiles_cover_the_truth_at_least_as_often_as_promised(level):
    truth, runs, n = stats.expon.ppf(level), 400, 2000
    samples = np.random.default_rng(11).standard_exponential((runs, n))
    estimates = [quantile(row, level) for row in samples]
    covered = np.mean([e.low <= truth <= e.high for e in estimates])
    # True coverage is at least .95; three standard errors below: false alarm once in some 700 seeds.
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs)
    # And not by being far too wide: the binomial steps at n = 2000 leave coverage under .97.
    assert covered <= 0.97 + 3 * np.sqrt(0.97 * 0.03 / runs)


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_var_and_cvar_of_normal_returns_meet_their_closed_forms(level):
    location, scale, n = 0.02, 0.1, 200_000
    returns = location + scale * normal(n, seed=5)
    z = stats.norm.ppf(level)
    var, cvar = scale * z - location, scale * stats.norm.pdf(z) / (1 - level) - location
    value, tail = value_at_risk(returns, level), conditional_value_at_risk(returns, level, seed=0)
    # The intervals are 95 % ones, two of each: seeds on which one misses are expected once in ten; this seed is fixed.
    assert value.low <= var <= value.high
    assert tail.low <= cvar <= tail.high
    # Asymptotic errors: VaR sqrt(a(1-a)/n)/density; the CVaR's is of the same order and smaller than 3 x that.
    error = scale * np.sqrt(level * (1 - level) / n) / stats.norm.pdf(z)
    assert value.value == pytest.approx(var, abs=4 * error)
    assert tail.value == pytest.approx(cvar, abs=4 * 3 * error)
    assert tail.value > value.value


def test_cvar_is_the_mean_of_the_worst_share_with_the_last_path_counted_in_part():
    returns = -np.arange(410.0)  # the tail holds 20.5 paths: 20 whole ones and half of the 21st
    worst = np.arange(409.0, 389.0, -1)
    expected = (worst.sum() + 0.5 * 389) / 20.5
    assert conditional_value_at_risk(returns, 0.95, seed=0).value == pytest.approx(expected)


def test_the_bootstrap_of_cvar_agrees_with_a_plain_one():
    returns = np.random.default_rng(2).uniform(size=400)
    picks = np.random.default_rng(3).integers(0, 400, (16_000, 400))
    plain = -np.partition(returns[picks], 20, axis=1)[:, :20].mean(axis=1)
    ours = [conditional_value_at_risk(returns, 0.95, seed=seed) for seed in range(25)]
    # A 2.5 % quantile of m draws has a standard error of sqrt(.025 x .975 / m) / density, with a normal density of
    # .058 / sd there 2.7 sd / sqrt(m): m is 25,000 for ours and 16,000 for the plain one. Four of both together.
    tolerance = 4 * 2.7 * np.sqrt(1 / 25_000 + 1 / 16_000) * plain.std()
    low, high = np.quantile(plain, [0.025, 0.975])
    assert np.mean([estimate.low for estimate in ours]) == pytest.approx(low, abs=tolerance)
    assert np.mean([estimate.high for estimate in ours]) == pytest.approx(high, abs=tolerance)


def test_the_bootstrap_is_a_function_of_its_seed():
    returns = normal(500)
    first, again, other = (conditional_value_at_risk(returns, 0.95, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert (first.value, first.low) != (other.value, other.low)


def test_tails_of_few_paths_are_refused():
    assert value_at_risk(normal(1999), 0.99).reason == "not shown, needs N >= 2000"
    assert conditional_value_at_risk(normal(399), 0.95, seed=0).reason == "not shown, needs N >= 400"


def test_a_summary_leaves_out_what_does_not_apply_and_says_how_much():
    values = np.concatenate([normal(450), np.full(50, np.nan)])
    summary = summarise_metric(values, "win_rate")
    assert (summary.metric, summary.not_applicable, summary.mean.n) == ("win_rate", 50, 450)
    assert summary.std == pytest.approx(np.std(values[:450], ddof=1))
    assert list(summary.quantiles) == [str(level) for level in QUANTILES]
    assert summary.quantiles["0.05"].value == np.quantile(values[:450], 0.05)
    assert summary.quantiles["0.01"].value is None


def test_a_metric_that_never_applies_has_no_numbers_but_a_reason():
    summary = summarise_metric(np.full(500, np.nan), "win_rate")
    assert (summary.mean.value, summary.std, summary.not_applicable) == (None, None, 500)
    assert {e.reason for e in [summary.mean, *summary.quantiles.values()]} == {"not applicable on any path"}


def test_one_path_has_a_mean_without_an_interval():
    summary = summarise_metric(np.array([0.5]), "sharpe")
    assert (summary.mean.value, summary.mean.low, summary.std) == (0.5, None, None)


def test_the_percentile_is_the_share_of_paths_strictly_below():
    values = np.arange(100.0)
    assert percentile_of(30.0, values).value == 0.3
    assert percentile_of(30.5, values).value == 0.31
    assert percentile_of(-1.0, values).count == 0
    assert percentile_of(1e9, values).value == 1
    assert percentile_of(5.0, np.full(100, np.nan)).reason == "no paths"
