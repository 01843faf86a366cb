"""Where vectorbt and the ledger can both simulate a broker, they agree."""

import numpy as np
import pandas as pd
from hypothesis import example, given, settings, strategies as st

from scenario_gen.backtest import simulate
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.ledger import ledger_signals, ledger_weights
from scenario_gen.backtest.orders import Quotes, SignalOrders, WeightOrders

PATHS, BARS = 6, 30


def market_of(market):
    return Quotes(*(np.ascontiguousarray(market.future(name).T) for name in ("open", "high", "low", "close")))


def assert_same(ours, theirs, cash):
    # Both are float64; some hundred fills of the account's size are summed in another order: 1e-16 x 1e2 x 10.
    np.testing.assert_allclose(ours.account.equity, theirs.account.equity, rtol=1e-10)
    np.testing.assert_allclose(ours.account.exposure, theirs.account.exposure, atol=1e-10)
    np.testing.assert_allclose(ours.account.fees, theirs.account.fees, atol=1e-10 * cash)
    np.testing.assert_allclose(ours.account.traded, theirs.account.traded, atol=1e-8 * cash)
    assert np.array_equal(ours.account.ruin, theirs.account.ruin)
    left, right = ours.trades, theirs.trades
    assert len(left) == len(right)
    for column in ("path_id", "side", "entry_bar", "exit_bar", "open"):
        assert left[column].tolist() == right[column].tolist(), column
    for column in ("entry_price", "exit_price", "size"):
        np.testing.assert_allclose(left[column], right[column], rtol=1e-8, err_msg=column)
    np.testing.assert_allclose(left["pnl"], right["pnl"], atol=1e-8 * cash)
    np.testing.assert_allclose(left["fees"], right["fees"], atol=1e-8 * cash)
    if len(left):
        pd.testing.assert_series_equal(left.dtypes, right.dtypes)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    often=st.sampled_from([0.05, 0.2, 0.6]),
    fill=st.sampled_from(["next_open", "close"]),
    fees=st.sampled_from([0.0, 0.003]),
    slippage=st.sampled_from([0.0, 0.002]),
    shorts=st.booleans(),
    trailing=st.booleans(),
    stopped=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_signals(make_market, seed, often, fill, fees, slippage, shorts, trailing, stopped):
    rng, shape = np.random.default_rng(seed), (BARS, PATHS)
    market = market_of(make_market(paths=PATHS, bars=BARS, seed=seed))
    wanted = SignalOrders(
        *(rng.random((4, *shape)) < often),
        size=rng.choice([0.0, 0.4, 1.0], shape),
        stop_loss=np.where(rng.random(shape) < stopped, rng.uniform(0.002, 0.05, shape), np.nan),
        take_profit=np.where(rng.random(shape) < stopped, rng.uniform(0.002, 0.08, shape), np.nan),
        trailing=trailing,
    )
    broker = Broker(cash=1e4, fees=fees, slippage=slippage, fill=fill, shorts=shorts)
    theirs = simulate.run_signals(market, wanted, broker, 252)
    ours = ledger_signals(market, wanted.fillable(shorts=shorts), broker, 252)[0].outcome()
    assert_same(ours, theirs, broker.cash)
    if not shorts:
        assert (theirs.account.exposure >= 0).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    fill=st.sampled_from(["next_open", "close"]),
    fees=st.sampled_from([0.0, 0.003]),
    shorts=st.booleans(),
    volatility=st.sampled_from([0.02, 0.2]),
)
# a short whose price opens above what the account is worth: there is nothing to rebalance any more
@example(seed=1299, fill="next_open", fees=0.0, shorts=True, volatility=0.2)
def test_weights(make_market, seed, fill, fees, shorts, volatility):
    rng = np.random.default_rng(seed)
    market = market_of(make_market(paths=PATHS, bars=BARS, seed=seed, volatility=volatility))
    weights = np.round(rng.uniform(-1, 1, (BARS, PATHS)), 1)
    broker = Broker(cash=1e4, fees=fees, slippage=fees / 2, fill=fill, shorts=shorts)
    theirs = simulate.run_weights(market, WeightOrders(weights), broker, 252)
    ours = ledger_weights(market, WeightOrders(weights if shorts else np.maximum(weights, 0)), broker, 252)
    assert_same(ours, theirs, broker.cash)
