"""Tail losses against closed forms, the coherent estimator elsewhere in the room, and their promised coverage."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from scenario_gen.backtest.metrics import bar_returns
from scenario_gen.backtest.tail.losses import expected_shortfall, tail_losses, terminal_returns, worst_bar
from scenario_gen.stats.estimate import conditional_value_at_risk, value_at_risk


def normal(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


@given(st.integers(400, 900), st.integers(0, 1000))
def test_the_mean_of_the_tail_is_the_coherent_one(n, seed):
    returns = normal(n, seed)
    other = conditional_value_at_risk(returns, 0.95, seed=0)
    assert expected_shortfall(-returns, 0.95).value == pytest.approx(other.value, abs=1e-12)


def test_the_interval_agrees_with_that_of_the_bootstrap():
    returns = normal(4000)
    ours, bootstrap = expected_shortfall(-returns, 0.95), conditional_value_at_risk(returns, 0.95, seed=1)
    # Widths of 1000 resamples have an error of some 3 %; ten times that would be another formula.
    assert ours.high - ours.low == pytest.approx(bootstrap.high - bootstrap.low, rel=0.1)


@pytest.mark.parametrize(("level", "n"), [(0.95, 1000), (0.99, 4000)])
def test_the_interval_of_a_normal_tail_covers_the_closed_form(level, n):
    truth = stats.norm.pdf(stats.norm.ppf(level)) / (1 - level)
    runs = 400
    found = [expected_shortfall(-row, level) for row in np.random.default_rng(2).standard_normal((runs, n))]
    covered = np.mean([one.low <= truth <= one.high for one in found])
    # 50 and 40 paths in the tail: the normal approximation may cost some 2 points of the 95; three standard errors
    # of 400 runs (1.1 points each) below that.
    assert covered >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / runs)
    assert covered <= 0.95 + 3 * np.sqrt(0.95 * 0.05 / runs)


def test_several_losses_of_one_path_are_one_draw():
    # Every path has the same loss at all of its 25 bars: as many draws as paths, whatever the bars.
    losses = normal(2000, 3)
    once, often = (expected_shortfall(losses, 0.95), expected_shortfall(np.repeat(losses[:, None], 25, axis=1), 0.95))
    assert often.value == pytest.approx(once.value)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    wrong = expected_shortfall(np.repeat(losses, 25), 0.95)  # bars taken as draws: an interval five times too narrow
    assert wrong.high - wrong.low == pytest.approx((once.high - once.low) / 5, rel=1e-3)


def test_both_figures_at_both_levels_with_what_n_allows():
    many, few = tail_losses(normal(2000)), tail_losses(normal(1999))
    assert [one.level for one in many] == [0.95, 0.99]
    assert many[1].var == value_at_risk(normal(2000), 0.99)
    assert many[1].cvar.value > many[1].var.value > many[0].var.value
    assert few[1].var.reason == few[1].cvar.reason == "not shown, needs N >= 2000"
    assert few[0].cvar.value is not None
    assert tail_losses(np.empty(0))[0].cvar.reason == "no paths"


def test_the_worst_bar_and_the_whole_path_by_hand():
    equity = np.array([[100, 120, 90, 108], [100, 101, 101, 101], [100, 50, 0, 0]], dtype=np.float32)
    assert worst_bar(equity) == pytest.approx([-0.25, 0, -1])
    assert terminal_returns(equity) == pytest.approx([0.08, 0.01, -1])


def test_pieces_change_nothing():
    equity = 100 + normal(2500 * 5).reshape(2500, 5).astype(np.float32)  # three pieces
    assert np.array_equal(worst_bar(equity), bar_returns(equity.astype(np.float64)).min(axis=1))
    assert worst_bar(np.empty((0, 5), dtype=np.float32)).shape == (0,)
