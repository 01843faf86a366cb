"""The strategies that come with the package: causal, and faithful to their rules."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import expand, run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import bars_of
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import StrategyError

FOLDER = Path(__file__).parents[2] / "strategies"
SHIPPED = {
    "buy_and_hold.py:BuyAndHold": {},
    "sma_cross.py:SmaCross": {"fast": 5, "slow": 15},
    "donchian_breakout.py:DonchianBreakout": {"entry": 10, "exit": 5, "stop_loss": 0.03},
    "rsi_reversion.py:RsiReversion": {"period": 5, "low": 35, "high": 65},
    "volatility_target.py:VolatilityTarget": {"target": 0.15, "window": 10, "cap": 0.9},
    "bollinger_reversion.py:BollingerReversion": {"window": 10, "width": 1.5},
    "macd_trend.py:MacdTrend": {"fast": 4, "slow": 9, "smooth": 3},
    "time_series_momentum.py:TimeSeriesMomentum": {"lookback": 20, "target": 0.2, "center": 10},
    "turtle.py:Turtle": {"entry": 10, "exit": 5, "period": 8, "risk": 0.005},
    "turn_of_month.py:TurnOfMonth": {"before": 2, "after": 4},
}


def load(use, **params):
    return expand(StrategyUse(use=use, params=params), FOLDER)[0]


def run(strategy, market, **broker):
    return run_backtest(strategy, market.context, market.paths, Broker(**broker), bars_per_year=252)


def bars(market):
    return bars_of(market.ground(), market.paths)


def test_the_list_above_is_complete():
    assert {path.name for path in FOLDER.glob("*.py")} == {use.split(":")[0] for use in SHIPPED}


@pytest.mark.parametrize("use", SHIPPED)
def test_a_shipped_strategy_runs_with_its_defaults_and_trades(make_market, walk, use):
    past = walk(np.random.default_rng(1), 1, 260, 0.02, 0.0, 100.0)[0]
    market = make_market(paths=40, bars=60, seed=1, context=past)
    result = run(load(use), market)
    assert result.metrics["trades"].sum() > 0
    assert np.isfinite(result.metrics["total_return"]).all()


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize(("use", "params"), SHIPPED.items())
def test_bars_after_t_do_not_change_results_up_to_t(make_market, use, params, fill):
    market = make_market(paths=20, bars=40, seed=2)
    values = market.paths.values.copy()
    values[:, 25:] *= np.linspace(0.5, 2.0, 20, dtype=np.float32)[:, None, None]
    other = replace(market, paths=replace(market.paths, values=values))
    before, after = (run(load(use, **params), m, fill=fill, fees=0.001) for m in (market, other))
    assert np.array_equal(before.equity[:, :26], after.equity[:, :26])
    assert np.array_equal(before.exposure[:, :25], after.exposure[:, :25])
    assert not np.array_equal(before.equity, after.equity)  # the change was seen once it was there


def test_buy_and_hold_follows_the_price(make_market):
    market = make_market(paths=5, bars=20, seed=3)
    result = run(load("buy_and_hold.py:BuyAndHold"), market)
    expected = market.future("close") / market.future("open")[:, :1]
    # float32 equity: relative rounding 6e-8.
    np.testing.assert_allclose(result.equity[:, 1:] / 100_000, expected, rtol=2e-7)
    assert (result.metrics["trades"] == 1).all()
    assert result.metrics["exposure"].tolist() == pytest.approx([1] * 5)


def test_the_sma_cross_is_long_exactly_while_the_fast_average_is_above(make_market):
    market = make_market(paths=6, bars=40, seed=4)
    strategy = load("sma_cross.py:SmaCross", fast=3, slow=9)
    close = bars(market).close.to_numpy()
    above = np.stack([close[t - 2 : t + 1].mean(0) > close[t - 8 : t + 1].mean(0) for t in range(39, 79)])
    assert np.array_equal(run(strategy, market).exposure > 0.5, above.T)


def test_the_sma_cross_refuses_averages_in_the_wrong_order():
    with pytest.raises(StrategyError, match="fast must be shorter than slow: fast=50, slow=20"):
        load("sma_cross.py:SmaCross", fast=50, slow=20)


def test_the_donchian_breakout_buys_new_highs_and_sells_new_lows(make_market):
    market = make_market(paths=6, bars=40, seed=5)
    strategy = load("donchian_breakout.py:DonchianBreakout", entry=8, exit=4, stop_loss=0.02)
    frames = bars(market)
    signals = strategy.instance.signals(frames)
    high, low, close = (getattr(frames, name).to_numpy() for name in ("high", "low", "close"))
    for t in range(8, len(frames)):
        assert np.array_equal(signals.entries.to_numpy()[t], close[t] > high[t - 8 : t].max(axis=0))
        assert np.array_equal(signals.exits.to_numpy()[t], close[t] < low[t - 4 : t].min(axis=0))
    assert signals.stop_loss == 0.02


def test_the_relative_strength_index_follows_wilders_recursion():
    strategy = load("rsi_reversion.py:RsiReversion", period=4).instance
    close = np.array([10.0, 11.0, 10.5, 10.5, 12.0, 11.0, 9.0])
    rise = fall = None
    for t, change in enumerate(np.diff(close), start=1):
        up, down = max(change, 0), max(-change, 0)
        rise = up if rise is None else rise + (up - rise) / 4
        fall = down if fall is None else fall + (down - fall) / 4
        expected = 100 - 100 / (1 + rise / fall) if fall else 100
        assert strategy.rsi(pd.DataFrame(close)).iloc[t, 0] == pytest.approx(expected)


def test_rsi_reversion_buys_a_fall_shorts_a_rise_and_rests_where_nothing_moves(make_market):
    steps = np.linspace(1, 15, 15)
    close = np.stack([100 - steps, 100 + steps, np.full(15, 100.0)])
    market = make_market(values=np.repeat(close[:, :, None], 4, axis=2), context=np.full((30, 4), 100.0))
    result = run(load("rsi_reversion.py:RsiReversion"), market)
    assert result.trades["side"].tolist() == ["long", "short"]
    assert result.trades["entry_bar"].tolist() == [1, 1]


def test_the_volatility_target_holds_less_of_wilder_markets(make_market):
    calm, wild = (make_market(paths=50, bars=60, seed=6, volatility=v) for v in (0.01, 0.04))
    strategy = load("volatility_target.py:VolatilityTarget", target=0.1, window=10)
    held = [run(strategy, m).exposure[:, 20:].mean() for m in (calm, wild)]
    # Four times the volatility should hold a quarter; the estimate from 10 bars is noisy but its bias is common.
    assert held[0] / held[1] == pytest.approx(4, rel=0.15)
    assert run(strategy, calm).exposure.max() <= 1.01


def test_the_volatility_target_holds_nothing_before_it_can_measure(make_market):
    strategy = load("volatility_target.py:VolatilityTarget", window=12)
    weights = strategy.instance.weights(bars(make_market(paths=3)))
    assert (weights.iloc[:12] == 0).all(axis=None)  # twelve returns need thirteen closes
    assert (weights.iloc[12:] > 0).all(axis=None)
