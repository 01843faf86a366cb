"""Probabilistic and deflated Sharpe ratios against the numbers printed in the papers, and against simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import integrate, stats

from scenario_gen.backtest.overfitting.sharpe import (
    SharpeRecord,
    annualised,
    deflated_sharpe,
    expected_maximum,
    expected_maximum_sharpe,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
)

# Bailey and Lopez de Prado (2014), numerical example: 2.5 a year from five years of 250 daily returns.
PAPER = SharpeRecord(sharpe=2.5 / math.sqrt(250), bars=1250, skewness=-3.0, kurtosis=10.0)


def test_the_numerical_example_of_the_deflated_sharpe_paper():
    variance = 0.5 / 250  # of the trials' ratios: 1/2 in yearly units, so 1/2 / 250 per day
    assert expected_maximum_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PAPER, 100, variance) == pytest.approx(0.9004, abs=5e-5)


def test_excess_kurtosis_in_place_of_raw_would_miss_the_papers_number():
    wrong = SharpeRecord(PAPER.sharpe, PAPER.bars, PAPER.skewness, PAPER.kurtosis - 3)
    assert abs(deflated_sharpe(wrong, 100, 0.5 / 250) - 0.9004) > 1e-3


@pytest.mark.parametrize(("skewness", "kurtosis", "expected"), [(0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)])
def test_the_two_years_of_monthly_returns_of_the_probabilistic_sharpe_paper(skewness, kurtosis, expected):
    # Bailey and Lopez de Prado (2012), section on the probabilistic Sharpe ratio: .458 a month over 24 months.
    record = SharpeRecord(0.458, 24, skewness, kurtosis)
    assert probabilistic_sharpe(record) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("frequency", "skewness", "kurtosis", "years"),
    [(250, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_minimum_track_records_of_the_paper(frequency, skewness, kurtosis, years):
    # Ibid.: a yearly ratio of 2 is shown to be above 1 at 95 % after so many years of daily, weekly, monthly data.
    record = SharpeRecord(2 / math.sqrt(frequency), 10, skewness, kurtosis)
    bars = minimum_track_record(record, benchmark=1 / math.sqrt(frequency))
    assert bars / frequency == pytest.approx(years, abs=0.005)


def test_the_minimum_track_record_is_where_the_probability_reaches_the_confidence():
    needed = minimum_track_record(PAPER, 0.05, confidence=0.9)
    long = SharpeRecord(PAPER.sharpe, math.ceil(needed), PAPER.skewness, PAPER.kurtosis)
    short = SharpeRecord(PAPER.sharpe, math.floor(needed), PAPER.skewness, PAPER.kurtosis)
    assert probabilistic_sharpe(short, 0.05) < 0.9 <= probabilistic_sharpe(long, 0.05)


def test_no_length_shows_a_ratio_that_is_not_above_the_benchmark():
    assert minimum_track_record(PAPER, PAPER.sharpe) == math.inf
    assert minimum_track_record(SharpeRecord(-0.1, 500, 0, 3)) == math.inf


@pytest.mark.parametrize(("trials", "tolerance"), [(10, 0.025), (100, 0.01), (1000, 0.005)])
def test_the_expected_maximum_is_that_of_normal_numbers(trials, tolerance):
    def density(x: float) -> float:
        return x * trials * stats.norm.pdf(x) * stats.norm.cdf(x) ** (trials - 1)

    exact, _ = integrate.quad(density, -10, 10)
    assert expected_maximum(trials) == pytest.approx(exact, rel=tolerance)


def test_the_backtest_lengths_of_the_paper():
    # Bailey et al. (2014): the best of 10 trials is expected at 1.57; five years carry 45 trials and not more.
    assert expected_maximum(10) == pytest.approx(1.57, abs=0.005)
    assert minimum_backtest_years(45) <= 5 < minimum_backtest_years(46)


def test_one_trial_is_no_choice():
    assert expected_maximum(1) == 0
    assert deflated_sharpe(PAPER, 1, 0.1) == probabilistic_sharpe(PAPER)
    with pytest.raises(ValueError, match="0 trials"):
        expected_maximum(0)


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_more_trials_never_expect_less(one, other):
    few, many = sorted((one, other))
    assert 0 <= expected_maximum(few) <= expected_maximum(many) + 1e-12


def test_a_record_is_measured_like_scipy_measures_it():
    returns = np.random.default_rng(4).standard_t(5, 400) * 0.01 + 0.001
    record = SharpeRecord.of(returns)
    assert record.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert record.skewness == pytest.approx(stats.skew(returns))
    assert record.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))
    assert annualised(record.sharpe, 252) == pytest.approx(record.sharpe * math.sqrt(252))


@pytest.mark.parametrize("returns", [[], [0.1], [0.1, -0.1], [0.0] * 50, [0.01] * 50, [0.1, np.nan, 0.2, 0.1]])
def test_returns_without_variance_or_numbers_have_no_record(returns):
    assert SharpeRecord.of(np.array(returns)) is None


@pytest.mark.parametrize("name", ["normal", "skewed"])
def test_the_standard_error_is_the_spread_of_many_records(name):
    rng, runs, bars = np.random.default_rng(8), 2000, 500
    draws = rng.standard_normal((runs, bars)) if name == "normal" else 1 - rng.standard_gamma(4.0, (runs, bars)) / 4
    returns = 0.2 * draws.std() + draws
    ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    error = np.mean([SharpeRecord.of(row).error for row in returns[:200]])
    # A standard deviation of 2000 runs has a relative error of 1 / sqrt(4000) = 1.6 % (nearly normal ratios);
    # four of these, and 2 % for terms of order 1 / bars: false alarm below once in 10,000 seeds.
    assert error == pytest.approx(ratios.std(), rel=0.085)


def test_without_skill_the_probability_is_uniform():
    returns = np.random.default_rng(3).standard_normal((2000, 250))
    probabilities = [probabilistic_sharpe(SharpeRecord.of(row)) for row in returns]
    # A perfect test statistic fails this one for one seed in a hundred; the seed is fixed.
    assert stats.kstest(probabilities, "uniform").pvalue > 0.01
