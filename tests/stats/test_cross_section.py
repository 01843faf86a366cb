"""Information coefficients and the test of their mean."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from scenario_gen.stats.cross_section import Coefficients, mean_coefficient


def test_coefficients_are_those_of_scipy_over_the_instruments_that_have_both_numbers() -> None:
    rng = np.random.default_rng(4)
    signal, realised = rng.standard_normal((2, 40))
    signal[3], realised[7] = np.nan, np.nan
    signal[10] = signal[11]  # a tie
    both = np.isfinite(signal) & np.isfinite(realised)
    got = Coefficients.of(signal, realised, 10)
    assert got.instruments == 38
    assert got.pearson == pytest.approx(pearsonr(signal[both], realised[both])[0], abs=1e-12)
    assert got.spearman == pytest.approx(spearmanr(signal[both], realised[both])[0], abs=1e-12)


def test_too_few_instruments_or_a_signal_that_never_differs_have_no_coefficient() -> None:
    assert np.isnan(Coefficients.of(np.arange(9.0), np.arange(9.0), 10).spearman)
    assert np.isnan(Coefficients.of(np.ones(12), np.arange(12.0), 10).pearson)


def test_without_overlap_the_mean_is_tested_as_students_t_does() -> None:
    from scipy.stats import ttest_1samp

    series = np.random.default_rng(5).normal(0.05, 0.1, 30)
    got, scipy = mean_coefficient(series, 5, 5), ttest_1samp(series, 0)
    assert (got.t, got.p) == pytest.approx((scipy.statistic, scipy.pvalue), rel=1e-9)
    low, high = scipy.confidence_interval(0.95)
    assert (got.low, got.high) == pytest.approx((low, high), rel=1e-9)
    assert got.spans == 30


@pytest.mark.parametrize(("horizon", "every", "dates"), [(10, 1, 120), (10, 5, 48), (5, 5, 24)])
def test_a_signal_that_never_changes_and_knows_nothing_is_flagged_at_the_nominal_rate(horizon, every, dates) -> None:
    # The hardest case: the coefficient of a date is the sum of what each bar adds, and neighbours share bars. Of 2,000
    # series 5 % are 100, with a standard deviation of 9.7: within 3.2 of them above, and not useless below.
    rng = np.random.default_rng(6)
    bars = rng.standard_normal((2000, dates * every + horizon))
    sums = np.cumsum(bars, axis=1)
    series = sums[:, horizon::every][:, :dates] - sums[:, :-horizon:every][:, :dates]
    rejected = sum(mean_coefficient(row, horizon, every).p < 0.05 for row in series)
    assert 40 <= rejected <= 131
