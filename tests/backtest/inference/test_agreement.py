"""Generators side by side: agreement needs evidence, and so does dependence."""

import json

import numpy as np
import pytest
from scipy import stats

from scenario_gen.backtest.agreement import (
    FIGURES,
    MATERIAL,
    _difference,
    _figures,
    compare_generators,
    generators_side_by_side,
    rank_agreement,
    reversals,
)
from scenario_gen.errors import CheckError
from scenario_gen.values import encode

SHIFT = stats.norm.ppf(0.6)  # standard deviations: a fair coin comes to lose six times in ten


def normal(seed, paths=2000, shift=0.0, scale=0.1):
    return scale * (shift + np.random.default_rng(seed).standard_normal(paths))


def label(*returns):
    return compare_generators("it", {f"generator {k}": one for k, one in enumerate(returns)}).label


def test_differences_of_shares_carry_newcombes_interval():
    # Newcombe (1998), table II, 56/70 - 48/80 by method 10: .0524 to .3339.
    ours, theirs = (np.where(np.arange(n) < k, -1.0, 1.0) for k, n in ((56, 70), (48, 80)))
    one = _difference("probability_of_loss", _figures("a", ours), _figures("b", theirs), MATERIAL)
    assert (round(one.value, 4), round(one.low, 4), round(one.high, 4)) == (0.2, 0.0524, 0.3339)
    assert one.label == "undecided"


def test_differences_of_means_carry_nearly_welchs_interval():
    ours, theirs = normal(1, 500), normal(2, 900, scale=0.2)
    one = _difference("mean", _figures("a", ours), _figures("b", theirs), 0.01)
    welch = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    # Degrees of freedom are the only difference: quantiles of t at 499 and 899 against Welch's some 1300.
    assert (one.low, one.high) == pytest.approx((welch.low, welch.high), rel=0.005)


def test_generators_of_the_same_distribution_agree():
    assert label(normal(1), normal(2), normal(3)) == "agree"


def test_a_shift_that_matters_is_called_dependence():
    found = compare_generators("it", {"kronos": normal(1), "bootstrap": normal(2, shift=0.5)})
    assert found.label == "depends on the generator"
    assert {one.figure for one in found.differences if one.label != "agree"} >= {"mean", "median"}
    assert next(one for one in found.differences if one.figure == "mean").value < 0


def test_a_wilder_tail_alone_is_called_dependence():
    found = compare_generators("it", {"calm": normal(1), "wild": normal(2, scale=0.2)})
    told = {one.figure: one.label for one in found.differences}
    assert told["quantile_05"] == "depends on the generator"
    assert told["probability_of_loss"] == "agree"
    assert found.label == "depends on the generator"


@pytest.mark.parametrize("paths", [50, 399])
def test_few_paths_leave_it_undecided_and_say_why(paths):
    found = compare_generators("it", {"a": normal(1, paths), "b": normal(2, paths)})
    assert found.label == "undecided"
    assert "a: not shown, needs N >= 400" in found.reason


def test_a_difference_near_the_threshold_is_undecided():
    found = compare_generators("it", {"a": normal(1, 5000), "b": normal(2, 5000, shift=SHIFT)})
    assert found.label == "undecided"
    assert "intervals reach over the threshold" in found.reason


def test_equal_generators_are_never_told_apart_and_borderline_ones_rarely():
    runs = 100
    equal = [label(normal([k, 0], 400), normal([k, 1], 400)) for k in range(runs)]
    assert "depends on the generator" not in equal
    border = [label(normal([k, 0], 1000), normal([k, 1], 1000, shift=SHIFT)) for k in range(runs)]
    # One in forty for each of mean, median and probability of loss at most, and they lean on each other; the quantile
    # is well inside. Three standard errors of 100 runs above 7.5 %.
    rate = np.mean([one == "depends on the generator" for one in border])
    assert rate <= 0.075 + 3 * np.sqrt(0.075 * 0.925 / runs)
    assert "agree" not in border or np.mean([one == "agree" for one in border]) <= 0.1


def test_what_never_loses_is_compared_by_its_bound():
    found = compare_generators("it", {"a": 1 + normal(1), "b": 1 + normal(2)})
    loss = next(one for one in found.differences if one.figure == "probability_of_loss")
    assert (loss.value, loss.label) == (0, "agree")
    assert found.label == "agree"


def test_what_never_trades_agrees_with_itself():
    assert label(np.zeros(500), np.zeros(500)) == "agree"


def test_the_unit_of_returns_and_the_order_of_generators_change_no_verdict():
    a, b, c = normal(1, 600), normal(2, 600, shift=0.3), normal(3, 600, scale=0.13)
    assert label(a, b, c) == label(c, a, b) == label(4 * a, 4 * b, 4 * c)


def test_one_generator_has_nothing_beside_it():
    found = generators_side_by_side({"kronos": {"a": normal(1), "b": normal(2)}})
    assert [one.label for one in found.strategies] == ["not judged"] * 2
    assert (found.ranks, found.reversals) == ((), ())


def test_every_figure_of_every_pair_of_generators_is_compared():
    returns = {name: {"s": normal(k), "t": normal(9 + k)} for k, name in enumerate("abc")}
    found = generators_side_by_side(returns)
    assert [one.strategy for one in found.strategies] == ["s", "t"]
    assert len(found.strategies[0].differences) == 3 * len(FIGURES)
    assert len(found.ranks) == 3
    json.dumps(encode(found), allow_nan=False)


def test_ranks_are_correlated_as_scipy_and_a_hand_do():
    def of(means):
        return {f"s{k}": np.full(5, one) for k, one in enumerate(means)}

    same = rank_agreement("a", "b", of([1, 2, 3, 4]), of([10, 20, 30, 40]))
    assert (same.tau, same.strategies) == (1, 4)
    assert rank_agreement("a", "b", of([1, 2, 3]), of([3, 2, 1])).tau == -1
    # One of six pairs is the other way round: (5 - 1) / 6; exact p for four items: 8 of 24 orders are as far out.
    one_off = rank_agreement("a", "b", of([1, 2, 3, 4]), of([1, 2, 4, 3]))
    assert (one_off.tau, one_off.p) == pytest.approx((4 / 6, 8 / 24))
    assert rank_agreement("a", "b", of([1, 2]), of([1, 2])).reason == "2 strategies are no ranking, needs 3"
    assert rank_agreement("a", "b", of([1, 1, 1]), of([1, 2, 3])).tau is None


def test_an_order_that_two_generators_reverse_is_found_and_only_that():
    market, other = normal(1), normal(2)
    noise = [normal(k, scale=0.01) for k in range(10, 16)]
    trending = {"trend": market + 0.02 + noise[0], "revert": market - 0.02 + noise[1], "hold": market + noise[2]}
    choppy = {"trend": other - 0.01 + noise[3], "revert": other + 0.01 + noise[4], "hold": other - 0.03 + noise[5]}
    found = reversals("kronos", "bootstrap", trending, choppy)
    assert {(one.better, one.worse) for one in found} == {("trend", "revert"), ("hold", "revert")}
    assert all(one.lead > 0 > one.lead_against for one in found)


def test_orders_within_their_error_are_not_reversed():
    alarms = 0
    for run in range(100):
        ours, theirs = ({name: normal([run, side, k], 200) for k, name in enumerate("abcd")} for side in (0, 1))
        alarms += bool(reversals("a", "b", ours, theirs))
    # Both orders must be significant by chance at once: .05 x .05 / 2 of the runs; three in a hundred are out of reach.
    assert alarms < 3


def test_few_paths_reverse_nothing():
    ours = {"s": np.arange(20.0), "t": -np.arange(20.0)}
    assert reversals("a", "b", ours, {"s": ours["t"], "t": ours["s"]}) == []


def test_generators_with_other_strategies_are_refused():
    with pytest.raises(CheckError, match="'b' has the strategies t; 'a' has s"):
        generators_side_by_side({"a": {"s": normal(1)}, "b": {"t": normal(2)}})


def test_strategies_on_other_paths_of_one_generator_are_refused():
    with pytest.raises(CheckError, match="on 2000, 500 paths of 'a'"):
        generators_side_by_side({"a": {"s": normal(1), "t": normal(2, 500)}})
