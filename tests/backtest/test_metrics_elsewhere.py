"""Metrics against the numbers that empyrical's tests state, against vectorbt, and on every kind of poor path."""

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import METRICS
from scenario_gen.backtest.metrics import Tally

NAN = np.nan
# The series of empyrical's test suite (Apache 2.0; tests/test_stats.py), in percent. It leaves out the NaN at the
# head of its daily series everywhere but in the number of years.
DAILY = [1, 10, -4, 2, 3, 2, 1, -10]
PERIODIC = [0, 1, 10, -4, 2, 3, 2, 1, -10]
FALLING = [0, -6, -7, -1, -9, -2, -6, -8, -5]


def tally(equity, bars_per_year=252.0):
    """The tally of an account that trades nothing."""
    equity = np.atleast_2d(np.asarray(equity, dtype=float))
    bars, none = np.zeros((len(equity), equity.shape[1] - 1)), np.zeros(len(equity))
    return Tally(equity, bars, bars, bars, none, none, none, bars_per_year)


def measured(equity, bars_per_year=252.0):
    return {metric.name: float(metric.function(tally(equity, bars_per_year))[0]) for metric in METRICS}


def grown(percent):
    return np.concatenate([[1.0], np.cumprod(1 + np.array(percent) / 100)])


@pytest.mark.parametrize(
    ("name", "percent", "frequency", "expected"),
    [
        ("annual_volatility", DAILY, 252, 0.9136465399704637),
        ("annual_volatility", PERIODIC, 52, 0.38851569394870583),
        ("annual_volatility", PERIODIC, 12, 0.18663690238892558),
        ("annual_return", PERIODIC, 52, 0.24690830513998208),
        ("annual_return", PERIODIC, 12, 0.052242061386048144),
        ("annual_return", PERIODIC, 252, 1.9135925373194231),
        ("sharpe", DAILY, 252, 1.7238613961706866),
        ("sharpe", FALLING, 252, -24.406808633910085),
        ("sortino", DAILY, 252, 2.605531251673693),
        ("sortino", FALLING, 252, -13.532743075043401),
        ("sortino", PERIODIC, 52, 1.1158901056866439),
        ("sortino", PERIODIC, 12, 0.53605626741889756),
        ("calmar", PERIODIC, 252, 19.135925373194233),
        ("calmar", PERIODIC, 52, 2.4690830513998208),
        ("calmar", PERIODIC, 12, 0.52242061386048144),
        ("max_drawdown", PERIODIC, 252, 0.1),
    ],
)
def test_the_numbers_that_empyrical_states(name, percent, frequency, expected):
    assert measured(grown(percent), frequency)[name] == pytest.approx(expected, abs=1e-8)


def test_vectorbt_agrees_where_it_is_right():
    import vectorbt  # noqa: F401  (registers the accessor)

    rng = np.random.default_rng(6)
    returns = 0.01 * rng.standard_normal((120, 5)) + 0.0005  # [bar, path]
    equity = np.column_stack([np.ones(5), np.cumprod(1 + returns, axis=0).T])
    theirs = pd.DataFrame(returns, index=pd.bdate_range("2020-01-01", periods=120)).vbt.returns(
        freq="1D", year_freq="252 days"
    )
    ours = {metric.name: metric.function(tally(equity)) for metric in METRICS}
    for name, values in [
        ("total_return", theirs.total()),
        ("annual_return", theirs.annualized()),
        ("annual_volatility", theirs.annualized_volatility()),
        ("sharpe", theirs.sharpe_ratio()),
        ("sortino", theirs.sortino_ratio()),
        ("max_drawdown", -theirs.max_drawdown()),
        ("calmar", theirs.calmar_ratio()),
    ]:
        assert ours[name] == pytest.approx(values.to_numpy(), rel=1e-9), name


# One column per kind of path: no trade; the same gain at every bar; wiped out; a single bar up; a single bar to zero.
POOR = {
    "no trade": [100, 100, 100],
    "no variance": [100, 110, 121],
    "wiped out": [100, 50, 0, 0],
    "one bar": [100, 110],
    "wiped out at once": [100, 0],
}
EXPECTED = {
    "total_return": [0, 0.21, -1, 0.1, -1],
    "annual_return": [0, 1.1**4 - 1, -1, 1.1**4 - 1, -1],  # four bars a year
    # Wiped out: returns -.5, -1, 0 with squared deviations 0, .25, .25 from -.5; twice a standard deviation of .5.
    "annual_volatility": [0, 0, 1.0, NAN, NAN],
    "sharpe": [NAN, NAN, -2.0, NAN, NAN],
    # Downside deviations sqrt(1.25 / 3), and 1.
    "sortino": [NAN, NAN, -0.5 / np.sqrt(1.25 / 3) * 2, NAN, -2.0],
    "calmar": [NAN, NAN, -1, NAN, -1],
    "max_drawdown": [0, 0, 1, 0, 1],
    "drawdown_bars": [0, 0, 3, 0, 1],
    "time_under_water": [0, 0, 1, 0, 1],
    "win_rate": [NAN] * 5,
    "unfilled": [NAN] * 5,  # nobody counted orders
    "held_sales": [NAN] * 5,
    "waited_orders": [NAN] * 5,
} | {name: [0] * 5 for name in ("trades", "exposure", "turnover", "fees")}


@pytest.mark.parametrize("name", [metric.name for metric in METRICS])
def test_every_metric_has_a_defined_answer_on_every_poor_path(name):
    found = [measured(equity, 4)[name] for equity in POOR.values()]
    assert found == pytest.approx(EXPECTED[name], nan_ok=True, abs=1e-12)


@pytest.mark.parametrize("frequency", [252, 365, 252 * 6.5, 365 * 24 * 60])
def test_only_yearly_figures_hang_on_the_calendar(frequency):
    equity = grown(DAILY)
    here, there = measured(equity, frequency), measured(equity, 1.0)
    yearly = {"annual_return", "annual_volatility", "sharpe", "sortino", "calmar", "turnover"}
    for metric in METRICS:
        if metric.name not in yearly:
            assert here[metric.name] == pytest.approx(there[metric.name], nan_ok=True), metric.name
    for name in ("annual_volatility", "sharpe", "sortino"):
        assert here[name] == pytest.approx(there[name] * np.sqrt(frequency))
