"""Figures of two samples: scipy's own tests on means, measured rates of false alarms, and what pairing is worth."""

import numpy as np
import pytest
from scipy import stats

from scenario_gen.stats.compared import Statistic, apart, by_intervals, paired
from scenario_gen.stats.estimate import Estimate, conditional_value_at_risk, mean, quantile, rate, share

MEAN = Statistic("mean")
TAIL = Statistic("shortfall", 0.95)
FIGURES = (MEAN, Statistic("quantile", 0.05), Statistic("quantile", 0.5), Statistic("below zero"), TAIL)
NOTHING = (0.0, 0.0)  # values of the figures, which decide no p-value
REPEATS = 300
# A true rate of 5 % gives more than .05 + 3 sqrt(.05 * .95 / 300) = 8.8 % of 300 in one of 400 such tests.
MOST = 0.088


def returns(rng: np.random.Generator, paths: int, shift: float = 0.0) -> np.ndarray:
    """Total returns with the tails of Student's t of four degrees of freedom."""
    return 0.01 + shift + 0.05 * rng.standard_t(4, paths)


def numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(values)), values


def test_means_of_two_samples_are_compared_as_by_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = returns(rng, 300), returns(rng, 300, 0.005)
    gap = apart(MEAN, a, b, (a.mean(), b.mean()))
    theirs = stats.ttest_ind(b, a, equal_var=False)
    low, high = theirs.confidence_interval()
    assert gap.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (gap.difference.low, gap.difference.high) == pytest.approx((low, high), rel=1e-9)


def test_means_of_pairs_are_compared_as_by_scipy() -> None:
    rng = np.random.default_rng(1)
    a = returns(rng, 300)
    b = a + rng.normal(0.001, 0.01, 300)
    gap = paired(MEAN, numbered(a), numbered(b), (a.mean(), b.mean()))
    theirs = stats.ttest_rel(b, a)
    assert gap.p == pytest.approx(theirs.pvalue, rel=1e-9)
    low, high = theirs.confidence_interval()
    assert (gap.difference.low, gap.difference.high) == pytest.approx((low, high), rel=1e-9)


def test_medians_are_compared_as_by_moods_test() -> None:
    rng = np.random.default_rng(2)
    a, b = returns(rng, 400), returns(rng, 400, 0.006)
    theirs = stats.median_test(a, b, correction=False).pvalue
    # Both are the same comparison of shares below the common median; ours has the t quantile and n - 1: 1 % of p.
    assert apart(Statistic("quantile", 0.5), a, b, NOTHING).p == pytest.approx(theirs, rel=0.02)


def test_a_margin_of_a_quantile_is_that_of_its_shares_between_quantiles() -> None:
    rng = np.random.default_rng(3)
    a, b = 10 * returns(rng, 5000), 10 * returns(rng, 5000)
    gap = apart(Statistic("quantile", 0.05), a, b, (np.quantile(a, 0.05), np.quantile(b, 0.05)))
    assert gap.difference.low is not None and gap.difference.high is not None
    half = (gap.difference.high - gap.difference.low) / 2
    # sqrt(2 p (1 - p) / n) / f by the density f of the law; a density read from 250 paths in the tail errs by 1 in 8
    q = stats.t.ppf(0.05, 4)
    law = 1.96 * np.sqrt(2 * 0.05 * 0.95 / 5000) / (stats.t.pdf(q, 4) / 0.5)
    assert half == pytest.approx(law, rel=0.25)


@pytest.mark.parametrize("paths", [400, 2000], ids=["as many", "five times as many"])
def test_samples_of_one_law_are_told_apart_at_the_stated_rate(paths: int) -> None:
    rng = np.random.default_rng(4)
    alarms = np.zeros(len(FIGURES))
    for _ in range(REPEATS):
        a, b = returns(rng, 400), returns(rng, paths)
        alarms += [apart(figure, a, b, NOTHING).p < 0.05 for figure in FIGURES]
    assert alarms.max() / REPEATS <= MOST
    assert alarms.mean() / REPEATS >= 0.02  # and not because nothing is ever found


def test_pairs_of_one_law_are_told_apart_at_the_stated_rate() -> None:
    rng = np.random.default_rng(5)
    alarms = np.zeros(len(FIGURES))
    for _ in range(REPEATS):
        a = returns(rng, 400)
        b = np.where(rng.random(400) < 0.5, a, returns(rng, 400))  # half of the paths are the same in both
        alarms += [paired(figure, numbered(a), numbered(b), NOTHING).p < 0.05 for figure in FIGURES]
    assert alarms.max() / REPEATS <= MOST
    assert alarms.mean() / REPEATS >= 0.02


@pytest.mark.parametrize("paths", [400, 2000], ids=["as many", "five times as many"])
def test_intervals_of_one_law_are_told_apart_no_more_often(paths: int) -> None:
    """The tail of a small sample beside a large one: by the bootstrap's intervals alone 13 % were told apart."""
    rng = np.random.default_rng(6)
    alarms = np.zeros(4)
    for number in range(REPEATS // 2):
        a, b = returns(rng, 400), returns(rng, paths)
        pairs = [(mean(x), quantile(x, 0.05), share(x < 0)) for x in (a, b)]
        tails = [conditional_value_at_risk(x, 0.95, seed=number) for x in (a, b)]
        gaps = [by_intervals(*pair) for pair in (*zip(*pairs, strict=True), tuple(tails))]
        alarms += [gap is not None and gap.p < 0.05 for gap in gaps]
    rates = alarms / (REPEATS // 2)
    assert rates.max() <= 0.104  # as above, of 150
    assert rates.mean() >= 0.01


@pytest.mark.parametrize("figure", FIGURES, ids=[f"{figure.kind} {figure.level}" for figure in FIGURES])
def test_a_shift_of_a_deviation_is_found_in_every_figure(figure: Statistic) -> None:
    rng = np.random.default_rng(7)
    a, b = returns(rng, 1000), returns(rng, 1000, -0.07)
    assert apart(figure, a, b, NOTHING).p < 1e-3
    assert paired(figure, numbered(a), numbered(a - 0.07), NOTHING).p < 1e-9


def test_pairing_finds_a_shift_that_independent_samples_would_hide() -> None:
    rng = np.random.default_rng(8)
    a = returns(rng, 400)
    b = a - 0.0005 * rng.exponential(size=400)  # a hundredth of a deviation
    assert paired(MEAN, numbered(a), numbered(b), NOTHING).p < 1e-9
    assert apart(MEAN, a, b, NOTHING).p > 0.5


def test_a_path_that_one_sample_lacks_adds_to_the_error_of_the_other_alone() -> None:
    rng = np.random.default_rng(9)
    a = returns(rng, 500)
    b = a + rng.normal(0.001, 0.002, 500)
    b[::50] = np.nan  # ten paths without the number
    gap = paired(MEAN, numbered(a), (np.arange(500), b), (a.mean(), np.nanmean(b)))
    # The means differ by what 10 paths that are in one alone make of it, .07 sqrt(10) / 500 = .0004 or so, beside the
    # shift of .001; the error covers both.
    assert gap.difference.low is not None and gap.difference.high is not None
    assert gap.difference.low < np.nanmean(b) - a.mean() < gap.difference.high
    whole = paired(MEAN, numbered(a), numbered(a + rng.normal(0.001, 0.002, 500)), NOTHING)
    assert whole.difference.low is not None and whole.difference.high is not None
    assert gap.difference.high - gap.difference.low > 2 * (whole.difference.high - whole.difference.low)


def test_a_mean_of_half_of_the_paths_has_the_error_of_the_paths_that_it_lacks() -> None:
    a = returns(np.random.default_rng(11), 500)
    b = np.where(np.arange(500) % 2, a, np.nan)
    gap = paired(MEAN, numbered(a), numbered(b), (a.mean(), np.nanmean(b)))
    assert gap.difference.low is not None and gap.difference.high is not None
    # var = s^2 / 250 - s^2 / 500 of a mean and that of a half of it; s of either half differs by a tenth or so
    half = (gap.difference.high - gap.difference.low) / 2
    assert half == pytest.approx(1.965 * a.std(ddof=1) / np.sqrt(500), rel=0.15)


def test_the_same_numbers_in_another_order_of_addition_are_the_same() -> None:
    a = returns(np.random.default_rng(10), 400)
    for figure in FIGURES:
        assert paired(figure, numbered(a), numbered(a * (1 + 1e-15)), NOTHING).p == 1.0


def test_a_count_of_few_paths_is_compared_as_the_share_that_it_is() -> None:
    few, none = Estimate(None, 0.001, 0.02, n=400, count=3, reason="fewer than 10 paths"), Estimate(None, reason="no")
    assert (rate(few), rate(none)) == (3 / 400, None)
    gap = by_intervals(few, Estimate(0.3, 0.26, 0.34, n=400, count=120))
    assert gap is not None and gap.p < 1e-6
    assert by_intervals(few, none) is None
