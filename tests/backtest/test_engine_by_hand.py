"""Toy paths whose money is counted by hand."""

import numpy as np
import pytest
import vectorbt as vbt

from scenario_gen.backtest import run_backtest
from scenario_gen.backtest.broker import Broker

CONTEXT = np.array([[100.0, 100.0, 100.0, 100.0]] * 3)  # [bar, ohlc]


def toy(make_market, *bars):
    """One path of (open, high, low, close) bars after three flat context bars at 100."""
    return make_market(values=[bars], context=CONTEXT)


def wish(bars, *at):
    """Signals [context + path bars, 1], true at these rows."""
    array = np.zeros((3 + bars, 1), dtype=bool)
    array[list(at)] = True
    return array


def backtest(strategy, market, **broker):
    return run_backtest(strategy, market.context, market.paths, Broker(**broker), bars_per_year=252)


def test_a_round_trip_with_fees_and_slippage(make_market, told, loaded):
    market = toy(make_market, (100, 110, 95, 105), (104, 120, 100, 110), (125, 130, 120, 121))
    strategy = loaded(told(wish(3, 2), wish(3, 4), extra={"size": 0.5}))
    result = backtest(strategy, market, cash=1010, fees=0.01, slippage=0.25)
    # Bought at 100 x 1.25 = 125 with half of 1010: 505 / (125 x 1.01) = 4 units, fee 5, cash left 505.
    # Sold at 125 x 0.75 = 93.75: 375 less a fee of 3.75. Equity: 505 + 4 x 105, 505 + 4 x 110, 505 + 371.25.
    assert result.equity[0].tolist() == [1010, 925, 945, 876.25]
    assert result.exposure[0] == pytest.approx([420 / 925, 440 / 945, 0], rel=1e-6)
    trade = result.trades.iloc[0]
    assert (trade.side, trade.entry_bar, trade.exit_bar, trade.open) == ("long", 0, 2, False)
    assert (trade.entry_price, trade.exit_price, trade["size"]) == pytest.approx((125, 93.75, 4))
    assert (trade.pnl, trade.fees) == pytest.approx((-133.75, 8.75))
    row = result.metrics.loc[0]
    assert row["total_return"] == pytest.approx(876.25 / 1010 - 1)
    assert row["fees"] == pytest.approx(8.75 / 1010)
    assert (row["trades"], row["win_rate"]) == (1, 0)
    # Value bought 500 and sold 375, over the mean of the four equities, 252 / 3 times a year.
    assert row["turnover"] == pytest.approx(875 / np.mean([1010, 925, 945, 876.25]) * 84)


def test_the_last_context_bars_signal_fills_at_the_first_open_and_earlier_ones_are_warm_up(make_market, told, loaded):
    market = toy(make_market, (90, 95, 85, 90), (90, 99, 90, 99))
    early = backtest(loaded(told(wish(2, 0, 1), wish(2))), market)
    assert early.trades.empty
    assert early.metrics.loc[0, "total_return"] == 0
    last = backtest(loaded(told(wish(2, 2), wish(2))), market)
    assert last.trades[["entry_bar", "entry_price", "open"]].values.tolist() == [[0, 90, True]]
    assert last.metrics.loc[0, "total_return"] == pytest.approx(0.1)


def test_fills_at_the_close_ignore_the_context_and_may_use_the_last_bar(make_market, told, loaded):
    market = toy(make_market, (90, 95, 85, 92), (90, 99, 90, 99))
    strategy = loaded(told(wish(2, 2, 4), wish(2)))
    result = backtest(strategy, market, fill="close")
    assert result.trades[["entry_bar", "entry_price", "exit_price", "pnl"]].values.tolist() == [[1, 99, 99, 0]]


def test_a_stop_can_be_hit_on_the_bar_of_entry_after_the_entry_at_the_open(make_market, told, loaded):
    market = toy(make_market, (100, 101, 94, 100), (100, 100, 100, 100))
    strategy = loaded(told(wish(2, 2), wish(2), extra={"stop_loss": 0.05}))
    result = backtest(strategy, market, cash=1000)
    assert result.trades[["entry_bar", "exit_bar", "exit_price"]].values.tolist() == [[0, 0, 95]]
    assert result.equity[0].tolist() == [1000, 950, 950]


def test_a_gap_through_the_stop_fills_at_the_open(make_market, told, loaded):
    market = toy(make_market, (100, 101, 99, 100), (80, 82, 79, 81))
    strategy = loaded(told(wish(2, 2), wish(2), extra={"stop_loss": 0.05}))
    assert backtest(strategy, market, cash=1000).equity[0].tolist() == [1000, 1000, 800]


def test_a_stop_loss_comes_before_a_take_profit_in_the_same_bar(make_market, told, loaded):
    market = toy(make_market, (100, 110, 90, 108), (108, 108, 108, 108))
    strategy = loaded(told(wish(2, 2), wish(2), extra={"stop_loss": 0.05, "take_profit": 0.05}))
    assert backtest(strategy, market).trades["exit_price"].tolist() == [95]


def test_a_trailing_stop_follows_the_highs_of_earlier_bars(make_market, told, loaded):
    # Bar 0 peaks at 120, so bar 1 is left at 108; a plain stop loss would have waited for 90.
    market = toy(make_market, (100, 120, 100, 115), (115, 116, 105, 110))
    strategy = loaded(told(wish(2, 2), wish(2), extra={"trailing_stop": 0.1}))
    assert backtest(strategy, market).trades["exit_price"].tolist() == pytest.approx([108])


def test_a_short_gains_what_the_price_falls(make_market, told, loaded):
    market = toy(make_market, (100, 100, 90, 90), (90, 90, 80, 80), (80, 80, 80, 80))
    strategy = loaded(told(wish(3), wish(3), wish(3, 2), wish(3, 4)))
    result = backtest(strategy, market, cash=1000)
    assert result.equity[0].tolist() == [1000, 1100, 1200, 1200]
    assert result.exposure[0] == pytest.approx([-900 / 1100, -800 / 1200, 0], rel=1e-6)
    assert result.trades["side"].tolist() == ["short"]


def test_an_opposite_entry_reverses_the_position_at_one_open(make_market, told, loaded):
    market = toy(make_market, (100, 110, 100, 110), (110, 110, 99, 99))
    strategy = loaded(told(wish(2, 2), wish(2), wish(2, 3), wish(2)))
    result = backtest(strategy, market, cash=1000)
    assert result.trades[["side", "entry_bar", "exit_bar"]].values.tolist() == [["long", 0, 1], ["short", 1, 1]]
    assert result.equity[0].tolist() == [1000, 1100, 1210]  # 1100 short at 110 and marked at 99: +10 %


def test_an_entry_and_an_exit_at_the_same_bar_cancel_each_other(make_market, told, loaded):
    market = toy(make_market, (100, 100, 100, 100), (100, 100, 100, 100))
    assert backtest(loaded(told(wish(2, 2), wish(2, 2))), market).trades.empty


def test_weights_are_decided_at_the_close_and_traded_at_the_next_open(make_market, weighted, loaded):
    market = toy(make_market, (100, 120, 100, 120), (120, 120, 60, 60))
    weights = np.array([[0.9], [0.9], [0.5], [-0.5], [0.9]])
    result = backtest(loaded(weighted(weights)), market, cash=1000)
    # 500 long at 100 makes 600 at 120: equity 1100. Then 550 short at 120, which gains half: 1100 + 275.
    assert result.equity[0].tolist() == [1000, 1100, 1375]


def test_a_short_that_doubles_ruins_the_account_for_good(make_market, told, loaded):
    market = toy(make_market, (100, 110, 100, 110), (110, 300, 110, 250), (250, 250, 20, 20), (20, 20, 20, 20))
    strategy = loaded(told(wish(4, 5), wish(4), wish(4, 2), wish(4, 4)))
    result = backtest(strategy, market, cash=1000)
    assert result.equity[0].tolist() == [1000, 900, 0, 0, 0]  # 2000 - 10 x 250 < 0: closed at bar 1
    assert result.exposure[0, 1:].tolist() == [0, 0, 0]
    assert result.trades[["exit_bar", "exit_price", "pnl", "open"]].values.tolist() == [[1, 250, -1500, False]]
    row = result.metrics.loc[0]
    assert (row["total_return"], row["annual_return"], row["max_drawdown"]) == (-1, -1, 1)
    assert np.isfinite(row.drop(["held_sales", "waited_orders"])).all()  # of rules that this broker has not
    # What was bought back and bought after the ruin is not counted: 1000 sold, on a mean equity of 1900 / 5.
    assert row["turnover"] == pytest.approx(1000 / 380 * 252 / 4)


def test_a_strategy_that_never_trades_gives_zeros_and_not_applicable(make_market, told, loaded):
    market = make_market(paths=3, bars=10)
    nothing = np.zeros((len(market.context) + 10, 3), dtype=bool)
    metrics = backtest(loaded(told(nothing, nothing)), market).metrics
    undefined = ["sharpe", "sortino", "calmar", "win_rate", "unfilled", "held_sales", "waited_orders"]
    assert metrics[undefined].isna().all(axis=None)
    assert (metrics.drop(columns=undefined) == 0).all(axis=None)


def test_a_portfolio_of_the_users_own_is_counted_by_our_metrics(make_market, loaded):
    market = toy(make_market, (100, 110, 100, 110), (110, 121, 110, 121))

    class Own:
        def portfolio(self, bars, broker):
            return vbt.Portfolio.from_holding(
                bars.close.iloc[bars.context_bars :], init_cash=broker.cash, engine="rust"
            )

    result = backtest(loaded(Own()), market, cash=1100)
    assert result.equity[0].tolist() == [1100, 1100, 1210]
    assert result.trades[["entry_bar", "open"]].values.tolist() == [[0, True]]
