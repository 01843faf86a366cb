"""The engine and a plain loop over bars must agree on equity, exposure and trades, whatever is asked of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from scenario_gen.backtest import run_backtest
from scenario_gen.backtest.broker import Broker

# Results are float32 (relative rounding 6e-8); the two sides sum some hundred fills in another order in
# float64 (1e-16 each), so ten float32 roundings are generous.
TOLERANCE = 6e-7


def play(market, broker, wishes, share, stops, account_type):
    """Run the plain loop on every path; return equity [path, bar + 1], exposure and trades."""
    context, (paths, bars) = len(market.context), market.future("close").shape
    opened, high, low, close, volume = (market.future(name) for name in ("open", "high", "low", "close", "volume"))
    lag = 1 if broker.fill == "next_open" else 0
    equity, exposure, trades = np.empty((paths, bars + 1)), np.empty((paths, bars)), []
    for p in range(paths):
        account = account_type(broker, broker.cash, **stops)
        equity[p, 0] = broker.cash
        for t in range(bars):
            row = context + t - lag
            wish = tuple(bool(frame[row, p]) for frame in wishes)
            account.span = high[p, t] - low[p, t]
            account.room = np.inf if broker.volume_share is None else broker.volume_share * volume[p, t]
            if lag:
                account.decide(t, opened[p, t], wish, share)
            account.watch(t, opened[p, t], high[p, t], low[p, t])
            if not lag:
                account.decide(t, close[p, t], wish, share)
            account.borrow(close[p, t], 252)
            equity[p, t + 1] = account.cash + account.units * close[p, t]
            exposure[p, t] = account.units * close[p, t] / equity[p, t + 1]
        account.mark(close[p, -1], bars - 1)
        trades += [{"path_id": p, **trade} for trade in account.trades]
    return equity, exposure, pd.DataFrame(trades)


def assert_same_trades(ours: pd.DataFrame, loop: pd.DataFrame, cash: float) -> None:
    assert len(ours) == len(loop)
    for column in ("path_id", "side", "entry_bar", "exit_bar", "open"):
        assert ours[column].tolist() == loop[column].tolist(), column
    for column in ("entry_price", "exit_price", "size", "fees"):
        np.testing.assert_allclose(ours[column], loop[column], rtol=1e-9, err_msg=column)
    # A profit is a difference of values of the size of the account: an absolute tolerance.
    np.testing.assert_allclose(ours["pnl"], loop["pnl"], atol=1e-9 * cash)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    often=st.sampled_from([0.05, 0.2, 0.6]),
    fill=st.sampled_from(["next_open", "close"]),
    fees=st.sampled_from([0.0, 0.001, 0.02]),
    slippage=st.sampled_from([0.0, 0.0005, 0.01]),
    share=st.sampled_from([1.0, 0.35]),
    stop=st.sampled_from([None, 0.004, 0.03]),
    take=st.sampled_from([None, 0.005, 0.06]),
    trailing=st.booleans(),
    shorts=st.booleans(),
)
def test_signals_with_costs_shorts_and_stops_agree_with_the_loop(
    make_market, told, loaded, loop_account, seed, often, fill, fees, slippage, share, stop, take, trailing, shorts
):
    market = make_market(paths=5, bars=25, seed=seed, volatility=0.02)
    rng = np.random.default_rng(seed)
    wishes = rng.random((4, len(market.context) + 25, 5)) < often
    if not shorts:
        wishes[2:] = False
    broker = Broker(cash=50_000, fees=fees, slippage=slippage, fill=fill)
    trailing = trailing and stop is not None
    extra = {"size": share, "take_profit": take, "trailing_stop" if trailing else "stop_loss": stop}
    result = run_backtest(loaded(told(*wishes, extra=extra)), market.context, market.paths, broker, bars_per_year=252)
    stops = {"stop": stop, "take": take, "trailing": trailing}
    equity, exposure, trades = play(market, broker, wishes, share, stops, loop_account)
    assert (equity > 0).all()  # ruin has its own test
    np.testing.assert_allclose(result.equity, equity, rtol=TOLERANCE)
    np.testing.assert_allclose(result.exposure, exposure, rtol=TOLERANCE, atol=TOLERANCE)
    if len(trades):
        assert_same_trades(result.trades, trades, broker.cash)
    else:
        assert result.trades.empty


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("seed", range(3))
def test_weights_agree_with_the_loop(make_market, weighted, loaded, loop_account, fill, seed):
    market = make_market(paths=6, bars=40, seed=seed)
    rng = np.random.default_rng(seed)
    weights = np.round(rng.uniform(-1, 1, (len(market.context) + 40, 6)), 2)
    weights[rng.random(weights.shape) < 0.2] = 1.0
    broker = Broker(cash=1000, fees=0.002, slippage=0.001, fill=fill)
    result = run_backtest(loaded(weighted(weights)), market.context, market.paths, broker, bars_per_year=252)
    price = market.future("open" if fill == "next_open" else "close")
    first = len(market.context) - (fill == "next_open")
    for p in range(6):
        account, equity = loop_account(broker, broker.cash), [broker.cash]
        for t in range(40):
            account.rebalance(price[p, t], weights[first + t, p])
            account.borrow(market.future("close")[p, t], 252)
            equity.append(account.cash + account.units * market.future("close")[p, t])
        assert min(equity) > 0
        np.testing.assert_allclose(result.equity[p], equity, rtol=TOLERANCE)
        assert result.metrics["fees"][p] == pytest.approx(account.paid / broker.cash, rel=1e-9)
        turnover = account.traded / np.mean(equity) * 252 / 40
        assert result.metrics["turnover"][p] == pytest.approx(turnover, rel=1e-9)


def test_stops_and_sizes_may_differ_by_bar_and_path(make_market, told, loaded, loop_account):
    market = make_market(paths=2, bars=20, seed=4)
    shape = (len(market.context) + 20, 2)
    rng = np.random.default_rng(4)
    wishes = rng.random((4, *shape)) < 0.3
    stamps = market.context.timestamps.append(market.paths.timestamps)
    stops = pd.DataFrame(np.tile([0.01, 0.05], (shape[0], 1)), index=stamps)
    sizes = pd.DataFrame(np.tile([1.0, 0.5], (shape[0], 1)), index=stamps)
    strategy = loaded(told(*wishes, extra={"size": sizes, "stop_loss": stops}))
    broker = Broker(fees=0.001)
    result = run_backtest(strategy, market.context, market.paths, broker, bars_per_year=252)
    for p, (share, stop) in enumerate([(1.0, 0.01), (0.5, 0.05)]):
        equity, _, _ = play(market, broker, wishes, share, {"stop": stop}, loop_account)
        np.testing.assert_allclose(result.equity[p], equity[p], rtol=TOLERANCE)


BROKERS = st.builds(
    Broker,
    cash=st.just(50_000.0),
    fees=st.sampled_from([0.0, 0.002]),
    fee_per_order=st.sampled_from([0.0, 7.0]),
    fee_minimum=st.sampled_from([0.0, 25.0]),
    slippage=st.sampled_from([0.0, 0.001]),
    slippage_range=st.sampled_from([0.0, 0.05]),
    fill=st.sampled_from(["next_open", "close"]),
    borrow=st.sampled_from([0.0, 0.5]),
    leverage=st.sampled_from([1.0, 2.0]),
    lot=st.sampled_from([None, 0.1, 10.0, 100.0]),
    volume_share=st.sampled_from([None, 0.0005, 0.002]),  # of 1e5 to 1e6 units, for an account of some 500
)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    broker=BROKERS,
    stop=st.sampled_from([None, 0.004, 0.03]),
    take=st.sampled_from([None, 0.005, 0.06]),
    trailing=st.booleans(),
)
def test_a_demanding_broker_agrees_with_the_loop(
    make_market, told, loaded, loop_account, seed, broker, stop, take, trailing
):
    market = make_market(paths=5, bars=25, seed=seed, volatility=0.02)
    wishes = np.random.default_rng(seed).random((4, len(market.context) + 25, 5)) < 0.25
    trailing = trailing and stop is not None
    share = 0.8 * broker.leverage
    extra = {"size": share, "take_profit": take, "trailing_stop" if trailing else "stop_loss": stop}
    result = run_backtest(loaded(told(*wishes, extra=extra)), market.context, market.paths, broker, bars_per_year=252)
    stops = {"stop": stop, "take": take, "trailing": trailing}
    equity, exposure, trades = play(market, broker, wishes, share, stops, loop_account)
    assert (equity > 0).all()
    np.testing.assert_allclose(result.equity, equity, rtol=TOLERANCE)
    np.testing.assert_allclose(result.exposure, exposure, rtol=TOLERANCE, atol=TOLERANCE)
    if len(trades):
        assert_same_trades(result.trades, trades, broker.cash)
    else:
        assert result.trades.empty


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), broker=BROKERS)
def test_weights_with_a_demanding_broker_agree_with_the_loop(make_market, weighted, loaded, loop_account, seed, broker):
    market = make_market(paths=3, bars=30, seed=seed)
    rng = np.random.default_rng(seed)
    weights = broker.leverage * np.round(rng.uniform(-1, 1, (len(market.context) + 30, 3)), 2)
    result = run_backtest(loaded(weighted(weights)), market.context, market.paths, broker, bars_per_year=252)
    price, first = (
        market.future("open" if broker.fill == "next_open" else "close"),
        len(market.context) - (broker.fill == "next_open"),
    )
    high, low, close, volume = (market.future(name) for name in ("high", "low", "close", "volume"))
    for p in range(3):
        account, equity = loop_account(broker, broker.cash), [broker.cash]
        for t in range(30):
            account.span = high[p, t] - low[p, t]
            account.room = np.inf if broker.volume_share is None else broker.volume_share * volume[p, t]
            account.rebalance(price[p, t], weights[first + t, p])
            account.borrow(close[p, t], 252)
            equity.append(account.cash + account.units * close[p, t])
        if min(equity) > 0:  # ruin has its own test
            np.testing.assert_allclose(result.equity[p], equity, rtol=TOLERANCE)
            assert result.metrics["fees"][p] == pytest.approx(account.paid / broker.cash, rel=1e-9)
