"""The rules of the newer shipped strategies on toy paths, worked by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import Bars, expand, run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import StrategyError

FOLDER = Path(__file__).parents[2] / "strategies"


def load(use, **params):
    return expand(StrategyUse(use=use, params=params), FOLDER)[0]


def bars(close, *, high=None, low=None, opened=None, stamps=None):
    """One path without context; what is not given is the close."""
    index = pd.bdate_range("2020-01-01", periods=len(close)) if stamps is None else stamps
    frames = [
        pd.DataFrame(np.asarray(close if one is None else one, dtype=float)[:, None], index=index)
        for one in (opened, high, low)
    ]
    last = pd.DataFrame(np.asarray(close, dtype=float)[:, None], index=index)
    return Bars(*frames, close=last, volume=None, context_bars=1, bars_per_year=252.0)


def flags(frame):
    return frame[0].astype(int).tolist()


def test_bollinger_bands_are_left_and_entered_where_counted():
    rule = load("bollinger_reversion.py:BollingerReversion", window=4, width=1.5).instance
    # Of 10, 10, 10, 6 the mean is 9 and the deviation sqrt(3) = 1.73: the band ends at 6.40, above 6.
    # Of 10, 10, 6, 9: mean 8.75, deviation 1.64: inside, and back at the average. Of 10, 6, 9, 14: 9.75, 2.86: the
    # upper band ends at 14.04, above 14; of 6, 9, 14, 20: 12.25, 5.31: 20.2, above 20.
    signals = rule.signals(bars([10, 10, 10, 6, 9, 14, 20]))
    assert flags(signals.entries) == [0, 0, 0, 1, 0, 0, 0]
    assert flags(signals.exits) == [0, 0, 0, 0, 1, 1, 1]
    assert flags(signals.short_entries) == [0] * 7
    assert flags(rule.signals(bars([10, 10, 10, 14])).short_entries) == [0, 0, 0, 1]


def test_the_macd_is_the_difference_of_averages_less_its_own_average():
    rule = load("macd_trend.py:MacdTrend", fast=1, slow=3, smooth=3)
    # Weights 1 and 1/2. Closes 8, 8, 12, 8: slow 8, 8, 10, 9; MACD 0, 0, 2, -1; signal 0, 0, 1, 0.
    histogram = rule.instance.histogram(bars([8, 8, 12, 8]).close)
    assert histogram[0].tolist() == [0, 0, 1, -1]
    signals = rule.instance.signals(bars([8, 8, 12, 8]))
    assert (flags(signals.entries), flags(signals.exits)) == ([0, 0, 1, 0], [1, 1, 0, 1])


def test_momentum_holds_the_sign_of_the_past_return_up_to_the_cap():
    rule = load("time_series_momentum.py:TimeSeriesMomentum", lookback=2, target=1e9, center=1, cap=0.8).instance
    assert rule.weights(bars([10, 11, 12, 9, 12]))[0].tolist() == [0, 0, 0.8, -0.8, 0]


def test_momentum_scales_by_the_weighted_volatility():
    rule = load("time_series_momentum.py:TimeSeriesMomentum", lookback=2, target=0.1, center=1).instance
    # Returns 10 % and -10 % with weights 1/3 and 2/3: mean -1/30, variance 2/3 x 1/3 x .2^2 = .04 x 2/9; unbiased
    # by 1 / (1 - (1/9 + 4/9)): .04 / 2. A year has 252 bars; the past return is -1 %.
    weight = rule.weights(bars([100, 110, 99]))[0].iloc[-1]
    assert weight == pytest.approx(-0.1 / np.sqrt(0.02 * 252))


def test_the_turtle_breaks_out_with_a_unit_of_equal_risk():
    rule = load("turtle.py:Turtle", entry=3, exit=2, period=2, risk=0.01, stop=2)
    shown = bars(
        [10, 10, 10, 13, 9, 6], opened=[10, 10, 10, 11, 12, 8], high=[11, 11, 11, 13, 12, 8], low=[9, 9, 9, 11, 9, 6]
    )
    signals = rule.instance.signals(shown)
    assert flags(signals.entries) == [0, 0, 0, 1, 0, 0]  # 13 > 11
    assert flags(signals.short_entries) == [0, 0, 0, 0, 0, 1]  # 6 < 9; 9 is not below 9
    assert flags(signals.exits) == [0, 0, 0, 0, 0, 1]  # below the lower of 11 and 9; 9 is not below 9
    assert flags(signals.short_exits) == [0, 0, 0, 1, 0, 0]
    # True ranges 2, 2, 2, 3 (from 10 to 13), 4 (from 13 to 9), 3 (from 9 to 6); each average moves half the way.
    assert rule.instance.average_range(shown)[0].tolist() == [2, 2, 2, 2.5, 3.25, 3.125]
    assert signals.size[0].iloc[3] == pytest.approx(0.01 * 13 / 2.5)
    assert signals.trailing_stop[0].iloc[3] == pytest.approx(2 * 2.5 / 13)


def test_the_turtle_survives_a_market_that_does_not_move(make_market):
    market = make_market(values=np.full((1, 10, 4), 100.0), context=np.full((30, 4), 100.0))
    result = run_backtest(load("turtle.py:Turtle"), market.context, market.paths, Broker(), bars_per_year=252)
    assert result.trades.empty


def test_the_turn_of_the_month_is_held_from_the_last_open_to_the_fourth():
    stamps = pd.bdate_range("2021-06-24", "2021-07-08")
    signals = load("turn_of_month.py:TurnOfMonth").instance.signals(bars([10] * len(stamps), stamps=stamps))
    held = stamps[signals.entries[0]]
    # The close of 29 June buys the open of the 30th; the close of 5 July, the third weekday, sells the open of the 6th.
    assert [f"{stamp:%m-%d}" for stamp in held] == ["06-29", "06-30", "07-01", "07-02"]
    assert (signals.exits == ~signals.entries).all(axis=None)


def test_the_turn_of_the_month_may_be_one_sided():
    stamps = pd.bdate_range("2021-06-24", "2021-07-08")
    shown = bars([10] * len(stamps), stamps=stamps)
    for params, days in (({"before": 0, "after": 1}, ["06-30"]), ({"before": 2, "after": 0}, ["06-28", "06-29"])):
        signals = load("turn_of_month.py:TurnOfMonth", **params).instance.signals(shown)
        assert [f"{stamp:%m-%d}" for stamp in stamps[signals.entries[0]]] == days


@pytest.mark.parametrize(
    ("use", "params"),
    [
        ("bollinger_reversion.py:BollingerReversion", {"window": 1}),
        ("macd_trend.py:MacdTrend", {"fast": 30}),
        ("time_series_momentum.py:TimeSeriesMomentum", {"cap": 1.5}),
        ("turtle.py:Turtle", {"exit": 30}),
        ("turn_of_month.py:TurnOfMonth", {"before": 0, "after": 0}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(use, params):
    with pytest.raises(StrategyError, match="needs"):
        load(use, **params)
