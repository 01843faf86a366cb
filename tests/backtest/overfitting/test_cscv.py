"""Probability of backtest overfitting: a case worked by hand, a plain loop, noise, skill and planted overfitting."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from scenario_gen.backtest.overfitting.cscv import (
    _BlockSums,
    chosen_in_splits,
    overfitting_on_paths,
    overfitting_probability,
)


def noise(bars, sets, seed=0):
    return 0.01 * np.random.default_rng(seed).standard_normal((bars, sets))


def test_four_blocks_of_one_bar_worked_by_hand():
    # Two bars a and b have the Sharpe ratio (a + b) / (sqrt 2 |a - b|). Times sqrt 2, with sets A and B in percent:
    #   A: 3 2 1 -2    B: -2 1 2 3
    # bars  12       13       14       23       24       34
    #   A   5/1 = 5  4/2 = 2  1/5      3/1 = 3  0/4 = 0  -1/3
    #   B  -1/3      0/4 = 0  1/5      3/1 = 3  4/2 = 2  5/1 = 5
    # Chosen inside 12: A, outside (34) -1/3 against 5: rank 1 of 2. 13: A, 0 against 2 (24): rank 1.
    # 14: tie, A as the first; outside (23) 3 against 3: rank 1 1/2. 23: tie, A; outside (14) tie: rank 1 1/2.
    # 24: B, outside (13) 0 against 2: rank 1. 34: B, outside (12) -1/3 against 5: rank 1.
    returns = np.array([[3, -2], [2, 1], [1, 2], [-2, 3]]) / 100
    splits = chosen_in_splits(_BlockSums.of(returns, 4))
    root = math.sqrt(2)
    assert splits.inside * root == pytest.approx([5, 2, 1 / 5, 3, 2, 5])
    assert splits.outside * root == pytest.approx([-1 / 3, 0, 3, 1 / 5, 0, -1 / 3], abs=1e-9)
    assert splits.rank * 3 == pytest.approx([1, 1, 1.5, 1.5, 1, 1])
    assert splits.logit == pytest.approx([-math.log(2)] * 2 + [0, 0] + [-math.log(2)] * 2, abs=1e-12)


def test_the_figures_of_the_hand_worked_case_with_each_bar_twice():
    # Each bar twice leaves means, orders and signs as they are: 4 of 6 splits below the median and 2 on it,
    # 2 of 6 with a loss outside, four logits of -ln 2 out of six.
    returns = np.repeat(np.array([[3, -2], [2, 1], [1, 2], [-2, 3]]) / 100, 2, axis=0)
    found = overfitting_probability(returns, blocks=4)
    assert found.probability.value == pytest.approx(4 / 6 + 1 / 6)
    assert found.probability_of_loss.value == pytest.approx(2 / 6)
    assert found.median_logit.value == pytest.approx(-math.log(2))
    assert found.ranks == pytest.approx([0, 0, 0, 4 / 6, 0, 2 / 6, 0, 0, 0, 0])


def plain_loop(returns, blocks):
    """The definition, one split after the other, on the bars themselves."""
    parts = np.array_split(returns, blocks)
    below = loss = 0.0
    inside, outside = [], []
    halves = list(itertools.combinations(range(blocks), blocks // 2))
    for half in halves:
        first = np.concatenate([parts[k] for k in half])
        second = np.concatenate([parts[k] for k in range(blocks) if k not in half])
        ratio = [part.mean(axis=0) / part.std(axis=0, ddof=1) for part in (first, second)]
        best = ratio[0].argmax()
        rank = stats.rankdata(ratio[1])[best] / (returns.shape[1] + 1)
        below += 1.0 if rank < 0.5 else 0.5 if rank == 0.5 else 0.0
        loss += ratio[1][best] < 0
        inside.append(ratio[0][best])
        outside.append(ratio[1][best])
    return below / len(halves), loss / len(halves), stats.linregress(inside, outside).slope


@pytest.mark.parametrize(("sets", "blocks"), [(2, 4), (5, 6), (8, 8)])
def test_block_sums_give_what_a_plain_loop_over_bars_gives(sets, blocks):
    returns = noise(blocks * 12, sets, seed=sets)
    found = overfitting_probability(returns, blocks)
    below, loss, slope = plain_loop(returns, blocks)
    assert found.probability.value == pytest.approx(below, abs=1e-12)
    assert found.probability_of_loss.value == pytest.approx(loss, abs=1e-12)
    assert found.slope.value == pytest.approx(slope)


def test_sixteen_blocks_have_12870_splits_and_the_oldest_bars_are_left_out():
    returns = noise(255, 3)
    assert len(chosen_in_splits(_BlockSums.of(returns, 16)).rank) == 12_870
    found = overfitting_probability(returns)
    assert (found.bars, found.dropped, found.sets, found.blocks) == (240, 15, 3, 16)
    assert found == overfitting_probability(np.concatenate([noise(1, 3, seed=9), returns])[1:])
    youngest = overfitting_probability(returns[15:])
    assert found.probability == youngest.probability


@pytest.mark.parametrize("sets", [4, 5])
def test_worthless_sets_are_drawn_by_lots(sets):
    found = [overfitting_probability(noise(160, sets, seed), blocks=8).probability for seed in range(400)]
    values = np.array([one.value for one in found])
    # Each split's halves are independent of each other, so the expectation is 1/2 exactly; four standard errors of
    # the mean of 400 independent records: false alarm once in 16,000 seeds.
    assert values.mean() == pytest.approx(0.5, abs=4 * values.std(ddof=1) / 20)
    # The docstring promises 88 times in a hundred, and says that it is approximate: at most 48 of 400 miss 1/2.
    assert sum(not one.low <= 0.5 <= one.high for one in found) <= 48


def test_a_median_rank_that_counted_as_overfit_would_be_caught():
    # With three sets one split in three lies on the median: the paper's count would give 2/3 on worthless sets.
    ranks = [chosen_in_splits(_BlockSums.of(noise(80, 3, seed), 4)).rank for seed in range(300)]
    assert np.mean(np.concatenate(ranks) <= 0.5) > 0.6


def test_a_truly_better_set_is_hardly_overfit():
    returns = noise(1000, 20)
    returns[:, 7] += 0.004  # 9 standard errors in either half of 500 bars
    found = overfitting_probability(returns)
    assert found.probability.value < 0.01
    assert found.probability_of_loss.value < 0.01
    assert 0 < found.probability.high <= 0.25  # 16 blocks do not show that it is zero
    assert found.median_logit.value == pytest.approx(math.log(20))  # always the best outside


def test_planted_overfitting_is_found():
    # Each set is good in a block of its own and bad elsewhere: the best of one half is the worst of the other.
    returns = noise(640, 16, seed=2)
    for place in range(16):
        returns[:, place] -= 0.002
        returns[40 * place : 40 * (place + 1), place] += 0.032
    found = overfitting_probability(returns)
    assert found.probability.value > 0.95
    assert found.probability.low > 0.5
    assert found.slope.value < 0


def test_copies_of_one_set_lie_on_the_median():
    found = overfitting_probability(np.repeat(noise(160, 1), 6, axis=1), blocks=8)
    assert (found.probability.value, found.median_logit.value) == (0.5, 0.0)


def test_sets_that_never_trade_have_a_ratio_of_zero():
    returns = np.column_stack([np.zeros(160), np.full(160, 0.01), 0.01 + noise(160, 1)[:, 0]])
    found = overfitting_probability(returns, blocks=8)  # neither of the first two varies, so neither is chosen
    assert found.probability.value == 0
    flat = overfitting_probability(np.zeros((160, 3)), blocks=8)
    assert flat.probability.value == 0.5
    assert flat.slope.value is None and flat.slope.reason == "not defined in every half"


def test_paths_are_judged_one_by_one_and_averaged():
    returns = np.stack([noise(64, 5, seed) for seed in range(120)])
    found = overfitting_on_paths(returns)
    each = [overfitting_probability(path, blocks=8).probability.value for path in returns]
    expected = stats.ttest_1samp(each, 0).confidence_interval(0.95)
    assert found.probability.value == pytest.approx(np.mean(each))
    assert (found.probability.low, found.probability.high) == pytest.approx((expected.low, expected.high))
    assert (found.paths, found.probability.n) == (120, 120)
    assert found.probability.low < 0.5 < found.probability.high  # worthless sets; the seed is fixed


def test_paths_that_agree_leave_a_third_of_a_share():
    returns = np.stack([noise(64, 3, seed) for seed in range(30)])
    returns[:, :, 1] += 0.05
    found = overfitting_on_paths(returns)
    assert (found.probability.value, found.probability.low) == (0, 0)
    assert found.probability.high == pytest.approx(3 / 30)


@pytest.mark.parametrize(
    ("bars", "sets", "words"), [(200, 1, "nothing to choose"), (31, 5, "31 bars are too few for 16")]
)
def test_what_cannot_be_cross_validated_says_why(bars, sets, words):
    found = overfitting_probability(noise(bars, sets))
    assert found.probability.value is None
    assert words in found.reason
    assert words in found.probability.reason


def test_no_paths_and_odd_blocks_are_refused():
    assert overfitting_on_paths(np.empty((0, 64, 3))).reason == "there are no paths"
    for blocks in (2, 7):
        with pytest.raises(ValueError, match="cannot be halved"):
            overfitting_probability(noise(100, 2), blocks)
