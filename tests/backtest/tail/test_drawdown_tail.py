"""Drawdowns, their recovery and ruin: worked by hand, by a plain loop, and against the closed form of a walk."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from scenario_gen.backtest.tail.losses import (
    conditional_drawdown_at_risk,
    expected_shortfall,
    recovery_bars,
    ruin_curves,
    summarise_drawdowns,
)


@pytest.mark.parametrize(
    ("equity", "bars"),
    [
        ([10, 9, 8, 10], 1),  # bottom at bar 2, back at bar 3
        ([10, 8, 9, 10, 11], 2),
        ([10, 9, 10, 6, 8], np.inf),
        ([10, 11, 12], np.nan),
        ([10, 10, 10], np.nan),
        ([10, 9, 8, 8, 10], 2),  # from the first of equal bottoms
        ([10, 5, 0, 0], np.inf),
        ([10, 9, 11, 10, 11], 1),  # 10 % at bar 1 is deeper than 1/11 at bar 3
    ],
)
def test_recovery_runs_from_the_bottom_of_the_deepest_drawdown(equity, bars):
    assert recovery_bars(np.array([equity], dtype=float)).tolist() == pytest.approx([bars], nan_ok=True)


def many(recover_after, n):
    """n paths that fall at the first bar and recover after so many more, of a horizon of 9."""
    equity = np.full((n, 10), 90.0, dtype=np.float32)
    equity[:, 0] = 100
    for path, bars in enumerate(recover_after):
        equity[path, 1 + int(bars) :] = 100
    return equity


def test_paths_that_do_not_recover_are_longer_than_all_others():
    found = summarise_drawdowns(many([2] * 65, 100))
    assert found.recovered.value == 0.65
    assert found.recovery["0.25"].value == 2
    assert found.recovery["0.75"].value is None
    assert found.recovery["0.75"].reason == "not recovered by the end of the path"
    assert found.recovery["0.95"].reason == "not shown, needs N >= 400"
    assert found.recovery["0.5"].value == 2
    assert found.recovery["0.5"].low == 2
    assert found.recovery["0.5"].high == 2  # its interval ends at the 61st of 100
    close = summarise_drawdowns(many([2] * 52, 100)).recovery["0.5"]
    assert (close.value, close.high) == (2, None)
    assert close.reason == "upper end not recovered by the end of the path"


def test_depth_length_and_paths_without_a_drawdown():
    equity = np.concatenate([many([3] * 80, 80), np.full((20, 10), 100, dtype=np.float32)])
    found = summarise_drawdowns(equity)
    assert found.without == 20
    assert found.recovered.n == 80
    assert found.depth.metric == "max_drawdown"
    assert found.depth.quantiles["0.5"].value == pytest.approx(0.1)
    assert found.length.quantiles["0.5"].value == 4  # one bar down and three to come back
    assert summarise_drawdowns(equity[80:]).recovered.reason == "no path has a drawdown"


def test_no_paths_have_no_drawdowns_but_reasons():
    found = summarise_drawdowns(np.empty((0, 10), dtype=np.float32))
    assert found.recovered.value is None
    assert found.at_risk["0.95"].reason == "no paths"
    assert found.depth.mean.reason == "not applicable on any path"


def test_conditional_drawdown_at_risk_of_one_bar_is_the_shortfall_of_its_falls():
    returns = np.random.default_rng(0).normal(0, 0.02, 5000)
    equity = np.column_stack([np.ones(5000), 1 + returns])
    expected = expected_shortfall(np.maximum(-returns, 0), 0.95)
    found = conditional_drawdown_at_risk(equity, 0.95)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_conditional_drawdown_at_risk_by_hand():
    # 40 paths of 10 bars whose drawdown is 0.5 at one bar and 0.1 at the others: the worst 5 % of 400 are 20 times 0.5.
    equity = np.full((40, 11), 90.0)
    equity[:, 0], equity[:, 4] = 100, 50
    assert conditional_drawdown_at_risk(equity, 0.95).value == pytest.approx(0.5)


def test_a_tail_of_few_paths_is_refused_though_it_has_many_bars():
    equity = np.full((400, 101), 100.0)
    equity[:10, 1:] = np.linspace(99, 40, 100)  # 2.5 % of the bars, all of ten paths
    equity[10:20, 1:] = np.linspace(99, 70, 100)
    found = conditional_drawdown_at_risk(equity, 0.99)
    assert found.value is None
    assert found.reason == "not shown, 10 paths reach the worst 1%; about N >= 800 would do"


def test_ruin_by_hand():
    equity = np.array([[100, 95, 85, 95], [100, 70, 100, 100], [100, 100, 100, 49]], dtype=np.float32)
    curves = {curve.loss: curve for curve in ruin_curves(equity)}
    assert curves[0.1].counts == (1, 2, 3)  # having lost it once is enough
    assert curves[0.2].counts == (1, 1, 2)
    assert curves[0.3].counts == (1, 1, 2)  # 70 of 100 has lost 30 %
    assert curves[0.5].counts == (0, 0, 1)
    assert curves[0.5].high[0] == 1.0  # the rule of three on three paths
    assert curves[0.1].probability == (1 / 3, 2 / 3, 1.0)
    assert curves[0.5].final.reason == "fewer than 10 paths"


def test_ruin_has_wilsons_interval_at_every_bar():
    equity = np.where(np.arange(400)[:, None] < [0, 15, 90, 300], 80.0, 100.0)
    curve = ruin_curves(equity, (0.2,))[0]
    for bar, count in enumerate((15, 90, 300)):
        interval = stats.binomtest(count, 400).proportion_ci(0.95, method="wilson")
        assert (curve.low[bar], curve.high[bar]) == pytest.approx((interval.low, interval.high))
    assert curve.final.value == 0.75


def test_ruin_of_a_random_walk_meets_the_reflection_principle():
    # A walk of n steps of +-1 touches -k by step n with P(S <= -k) + P(S < -k): Feller, An Introduction to
    # Probability, III.7. One step is 1 % of the starting cash.
    paths, steps, k = 20_000, 60, 10
    walk = np.cumsum(np.random.default_rng(5).choice([-1, 1], (paths, steps)), axis=1)
    equity = np.column_stack([np.full(paths, 100), 100 + walk]).astype(np.float32)
    final = ruin_curves(equity, (0.1,))[0].final
    heads = stats.binom(steps, 0.5)  # S = 2 heads - n
    truth = heads.cdf((steps - k) // 2) + heads.cdf((steps - k) // 2 - 1)
    assert final.value == pytest.approx(truth, abs=4 * np.sqrt(truth * (1 - truth) / paths))


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(2, 9)), elements=st.floats(1, 200, width=32)))
def test_ruin_never_heals_and_a_larger_loss_is_never_likelier(equity):
    curves = ruin_curves(equity)
    for curve in curves:
        assert list(curve.counts) == sorted(curve.counts)
        assert all(low <= p <= high for low, p, high in zip(curve.low, curve.probability, curve.high, strict=True))
    for smaller, larger in pairwise(curves):
        assert all(a >= b for a, b in zip(smaller.counts, larger.counts, strict=True))
