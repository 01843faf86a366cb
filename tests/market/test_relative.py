"""Log steps, the chain of them and volatility: by hand, and beside pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scenario_gen.market.candles import (
    SETTLED,
    chain,
    continue_ewma,
    log_steps,
    running_volatility,
    shift_bodies,
    volatility,
)

# open, high, low, close; the first close is 100, the last falls by half
BARS = np.array([[90.0, 110.0, 80.0, 100.0], [120.0, 125.0, 100.0, 110.0], [110.0, 121.0, 50.0, 55.0]])


def test_steps_are_logs_from_the_close_before() -> None:
    expected = np.log([[1.2, 1.25, 1.0, 1.1], [1.0, 1.1, 50 / 110, 0.5]])
    np.testing.assert_allclose(log_steps(BARS), expected, atol=1e-15)
    first = np.log(BARS[:1] / 95)
    np.testing.assert_allclose(log_steps(BARS, 95.0), np.concatenate((first, expected)), atol=1e-15)
    np.testing.assert_allclose(log_steps(BARS[None], np.array([95.0]))[0, 0], first[0], atol=1e-15)


def test_chained_steps_are_the_prices_again_from_any_anchor() -> None:
    np.testing.assert_allclose(chain(log_steps(BARS[None], 95.0), 95.0)[0], BARS)
    np.testing.assert_allclose(chain(log_steps(BARS[None], 95.0), 190.0)[0], 2 * BARS)
    anchors = np.array([95.0, 190.0])
    np.testing.assert_allclose(chain(log_steps(np.stack((BARS, 2 * BARS)), anchors), anchors)[1], 2 * BARS)


def test_volatility_is_the_root_mean_square_of_log_returns_around_zero() -> None:
    closes = np.array([100.0, 110.0, 55.0, 55.0])
    expected = np.sqrt((np.log(1.1) ** 2 + np.log(0.5) ** 2 + 0) / 3)
    np.testing.assert_allclose(volatility(closes), expected)
    np.testing.assert_allclose(volatility(np.stack((closes, 7 * closes))), [expected, expected])


def test_the_running_volatility_before_a_return_does_not_know_it() -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, 60)
    running = running_volatility(returns)
    assert running.shape == (61,)
    start = np.mean(returns[:SETTLED] ** 2)
    pandas = pd.Series([start, *returns**2]).ewm(alpha=0.06, adjust=False).mean()
    np.testing.assert_allclose(running, np.sqrt(pandas))
    later = returns.copy()
    later[40:] *= 9
    np.testing.assert_array_equal(running_volatility(later)[:41], running[:41])
    assert running_volatility(later)[41] > running[41]
    np.testing.assert_allclose(continue_ewma(np.array([2.0]), np.array([[4.0, 0.0]])), [[2.0, 2.12, 0.94 * 2.12]])


def test_a_drift_goes_from_open_to_close_and_wicks_go_with_the_body() -> None:
    steps = np.array([[[0.01, 0.05, -0.02, 0.03], [0.0, 0.0, -0.04, -0.04]]])
    moved = shift_bodies(steps, np.array([0.02, 0.06]))
    # a body of .02 becomes .04; one of -.04 without wicks becomes .02 without wicks
    np.testing.assert_allclose(moved, [[[0.01, 0.07, -0.02, 0.05], [0.0, 0.02, 0.0, 0.02]]], atol=1e-15)
