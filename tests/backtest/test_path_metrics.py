"""Metrics of single paths against numbers counted by hand, and their behaviour at the edges."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from scenario_gen.backtest import METRICS, metrics
from scenario_gen.backtest.account import Account
from scenario_gen.backtest.metrics import Tally


def tally(equity, bars_per_year=252.0, **changed):
    """A tally of a path that holds, pays and trades nothing but what is named."""
    equity = np.atleast_2d(np.asarray(equity, dtype=float))
    bars = np.zeros((len(equity), equity.shape[1] - 1))
    none = np.zeros(len(equity))
    fields = dict.fromkeys(("exposure", "traded", "fees"), bars) | dict.fromkeys(("trades", "closed", "won"), none)
    return Tally(equity=equity, bars_per_year=bars_per_year, **{**fields, **changed})


def measure(name, *arguments, **keywords):
    metric = next(metric for metric in METRICS if metric.name == name)
    return metric.function(tally(*arguments, **keywords))


# Equity 100, 120, 90, 108: returns +20 %, -25 %, +20 %.
TOY = [100.0, 120.0, 90.0, 108.0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("total_return", 0.08),
        ("annual_return", 1.08**2 - 1),
        # Mean .05; deviations .15, -.30, .15: sum of squares .135, over 2 degrees of freedom.
        ("annual_volatility", np.sqrt(0.0675 * 6)),
        ("sharpe", 0.05 / np.sqrt(0.0675) * np.sqrt(6)),
        # Downside: sqrt(.25^2 / 3).
        ("sortino", 0.05 / np.sqrt(0.0625 / 3) * np.sqrt(6)),
        ("calmar", (1.08**2 - 1) / 0.25),
        ("max_drawdown", 0.25),
        ("drawdown_bars", 2),  # from the peak at bar 1 to the end, not recovered
        ("time_under_water", 2 / 3),
    ],
)
def test_a_toy_path_of_three_bars_in_half_a_year(name, expected):
    assert measure(name, TOY, bars_per_year=6) == pytest.approx([expected], rel=1e-12)


@pytest.mark.parametrize(
    ("equity", "bars", "share"),
    [
        ([10, 11, 12, 13], 0, 0),
        ([10, 10, 10, 10], 0, 0),
        ([10, 9, 8, 10], 3, 2 / 3),  # recovers at the third bar after the peak
        ([10, 9, 8, 9], 3, 1),  # does not recover
        ([10, 11, 9, 12, 11], 2, 2 / 4),
        ([10, 10, 9, 10, 10, 9, 9, 9, 10], 4, 4 / 8),
    ],
)
def test_the_longest_drawdown_runs_from_peak_to_recovery_or_end(equity, bars, share):
    assert measure("drawdown_bars", equity) == [bars]
    assert measure("time_under_water", equity) == pytest.approx([share])


def test_win_rate_counts_closed_round_trips_only():
    counts = {"trades": np.array([3.0, 1.0, 0.0]), "closed": np.array([2.0, 0.0, 0.0]), "won": np.array([1.0, 0, 0])}
    equity = np.full((3, 4), 100.0)
    assert measure("win_rate", equity, **counts).tolist() == pytest.approx([0.5, np.nan, np.nan], nan_ok=True)
    assert measure("trades", equity, **counts).tolist() == [3, 1, 0]


def test_a_round_trip_is_won_with_a_profit_after_fees_once_it_is_closed():
    trades = pd.DataFrame(
        {"path_id": [0, 0, 0, 2, 2], "pnl": [5.0, 0.0, -1.0, 3.0, 9.0], "open": [False, False, False, True, False]}
    )
    flat = np.zeros((3, 4))
    account = Account(np.full((3, 5), 100.0), flat, flat, flat, np.full(3, 4), flat[..., None], flat[..., None])
    counted = Tally.of(account, trades, 252)
    assert counted.trades.tolist() == [3, 0, 2]
    assert counted.closed.tolist() == [3, 0, 1]
    assert counted.won.tolist() == [1, 0, 1]  # nothing gained is nothing won, and an open trade may yet lose


def test_exposure_turnover_and_fees():
    path = {"exposure": np.array([[1.0, -0.5, 0.0]]), "traded": np.array([[100.0, 150.0, 0.0]])}
    assert measure("exposure", TOY, **path) == pytest.approx([0.5])
    # 250 traded on a mean equity of 104.5, twice a year.
    assert measure("turnover", TOY, bars_per_year=6, **path) == pytest.approx([250 / 104.5 * 2])
    assert measure("fees", TOY, fees=np.array([[1.0, 0.5, 0.0]])) == pytest.approx([0.015])


def test_a_flat_account_returns_zero_and_its_ratios_do_not_apply():
    for name in ("total_return", "annual_return", "annual_volatility", "max_drawdown", "turnover"):
        assert measure(name, [100, 100, 100]) == [0]
    for name in ("sharpe", "sortino", "calmar", "win_rate"):
        assert np.isnan(measure(name, [100, 100, 100])).all()


def test_a_constant_gain_has_no_variance_and_no_sharpe_ratio():
    assert np.isnan(measure("sharpe", 100 * 1.01 ** np.arange(50))).all()


def test_one_bar_has_a_return_but_no_volatility():
    assert measure("total_return", [100, 90]) == pytest.approx([-0.1])
    assert np.isnan(measure("annual_volatility", [100, 90])).all()
    assert np.isnan(measure("sharpe", [100, 90])).all()


def test_a_ruined_account_lost_everything_once():
    ruined = [100, 50, 0, 0, 0]
    assert measure("total_return", ruined) == [-1]
    assert measure("annual_return", ruined) == [-1]
    assert measure("max_drawdown", ruined) == [1]
    assert metrics.bar_returns(np.array([ruined], dtype=float)).tolist() == [[-0.5, -1, 0, 0]]


def test_an_annual_return_beyond_all_numbers_does_not_apply():
    # 20 % in one minute, compounded over the 525,600 minutes of a year.
    assert np.isnan(measure("annual_return", [100, 120], bars_per_year=525_600)).all()
    assert measure("annual_return", [100, 80], bars_per_year=525_600) == [-1]


@given(
    hnp.arrays(float, st.tuples(st.integers(1, 4), st.integers(2, 12)), elements=st.just(0.0) | st.floats(1e-3, 1e9)),
    st.sampled_from([1.0, 252.0, 525_600.0]),
)
def test_no_metric_is_infinite_or_out_of_range_on_any_equity(equity, bars_per_year):
    equity[:, 0] += 1  # the starting cash is positive
    equity = np.where(np.minimum.accumulate(equity, axis=1) > 0, equity, 0.0)  # ruined for good
    values = {metric.name: metric.function(tally(equity, bars_per_year)) for metric in METRICS}
    for name, column in values.items():
        assert column.shape == (len(equity),), name
        assert not np.isinf(column).any(), name
    assert (values["total_return"] >= -1).all()
    assert ((values["max_drawdown"] >= 0) & (values["max_drawdown"] <= 1)).all()
    assert (values["drawdown_bars"] <= equity.shape[1] - 1).all()
    assert ((values["time_under_water"] > 0) == (values["max_drawdown"] > 0)).all()


def test_every_metric_says_what_it_is():
    assert len({metric.name for metric in METRICS}) == len(METRICS) == 17
    units = {"fraction", "fraction/year", "ratio", "bars", "count", "1/year"}
    for metric in METRICS:
        assert metric.title and metric.formula and metric.source
        assert metric.unit in units
        assert metric.form in ("percent", "signed percent", "number", "count")
