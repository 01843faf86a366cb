"""What must hold for any strategy and any paths."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import METRICS, run_backtest
from scenario_gen.backtest.broker import Broker

BROKER = Broker(cash=10_000, fees=0.001, slippage=0.0005)


@pytest.fixture
def market(make_market):
    return make_market(paths=12, bars=30, seed=5)


@pytest.fixture
def strategy(market, told, loaded):
    wishes = np.random.default_rng(6).random((4, len(market.context) + 30, 12)) < 0.2
    return loaded(told(*wishes, extra={"trailing_stop": 0.04}))


def run(strategy, market, broker=BROKER, **keywords):
    return run_backtest(strategy, market.context, market.paths, broker, bars_per_year=252, **keywords)


def assert_equal(left, right):
    pd.testing.assert_frame_equal(left.metrics, right.metrics, check_exact=True)
    pd.testing.assert_frame_equal(left.trades, right.trades, check_exact=True)
    assert np.array_equal(left.equity, right.equity)
    assert np.array_equal(left.exposure, right.exposure)


@pytest.mark.parametrize("chunk", [1, 5, 12, 1000])
def test_the_column_chunk_changes_nothing(market, strategy, chunk):
    assert_equal(run(strategy, market, column_chunk=chunk), run(strategy, market))


def test_permuting_the_paths_permutes_the_results(market, strategy):
    order = np.random.default_rng(1).permutation(12)
    shuffled = run(strategy, replace(market, paths=market.paths.select(order)))
    plain = run(strategy, market)
    assert shuffled.metrics.index.tolist() == order.tolist()
    pd.testing.assert_frame_equal(shuffled.metrics, plain.metrics.loc[order], check_exact=True)
    assert np.array_equal(shuffled.equity, plain.equity[order])
    kept = [group for _, group in shuffled.trades.groupby("path_id")]
    pd.testing.assert_frame_equal(pd.concat(kept, ignore_index=True), plain.trades, check_exact=True)


def test_the_unit_of_the_price_changes_nothing_but_prices_and_sizes(market, strategy):
    scaled = replace(
        market,
        context=replace(market.context, values=market.context.values * 4),
        paths=replace(market.paths, values=market.paths.values * np.float32(4)),
    )
    # A power of two scales floats without rounding; sizes and prices then scale exactly too.
    left, right = run(strategy, scaled), run(strategy, market)
    np.testing.assert_allclose(left.metrics, right.metrics, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(left.trades["entry_price"], 4 * right.trades["entry_price"], rtol=1e-12)


def test_higher_costs_never_leave_more_money(make_market, told, loaded):
    # Without shorts and stops the trades are the same whatever they cost.
    market = make_market(paths=50, bars=40, seed=8)
    entries, exits = np.random.default_rng(9).random((2, len(market.context) + 40, 50)) < 0.2
    wealth = [
        run(loaded(told(entries, exits)), market, Broker(fees=cost, slippage=cost)).equity[:, -1]
        for cost in (0.0, 0.0005, 0.002, 0.05)
    ]
    assert (np.diff(wealth, axis=0) <= 0).all()
    traded = run(loaded(told(entries, exits)), market).metrics["trades"].to_numpy() > 0
    assert (np.diff(wealth, axis=0)[:, traded] < 0).all()


def test_weights_of_zero_leave_the_cash_alone(market, weighted, loaded):
    result = run(loaded(weighted(np.zeros((len(market.context) + 30, 12)))), market)
    assert (result.equity == 10_000).all()
    assert (result.exposure == 0).all()
    assert result.trades.empty


def test_a_path_without_a_position_has_exactly_no_exposure(market, strategy):
    result = run(strategy, market)
    held = np.zeros((12, 30), dtype=bool)
    for trade in result.trades.itertuples():
        held[trade.path_id, trade.entry_bar : trade.exit_bar + trade.open] = True
    assert np.array_equal(result.exposure != 0, held)
    assert 0 < held.sum() < held.size


def test_trades_explain_all_of_the_money(market, strategy):
    result = run(strategy, market)
    gains = result.trades.groupby("path_id")["pnl"].sum().reindex(range(12), fill_value=0)
    # Equity is float32 of about 10,000: rounding of 10,000 x 6e-8 = 6e-4.
    np.testing.assert_allclose(gains, result.equity[:, -1] - 10_000.0, atol=2e-3)
    assert result.trades["fees"].sum() == pytest.approx(10_000 * result.metrics["fees"].sum(), rel=1e-9)


def test_results_are_shaped_and_typed_as_promised(market, strategy):
    result = run(strategy, market)
    assert list(result.metrics.columns) == [metric.name for metric in METRICS]
    assert result.metrics.index.name == "path_id"
    assert (result.equity.shape, result.equity.dtype) == ((12, 31), np.float32)
    assert (result.exposure.shape, result.exposure.dtype) == ((12, 30), np.float32)
    assert not np.isinf(result.metrics.to_numpy()).any()
    assert ((result.trades["exit_bar"] >= result.trades["entry_bar"]) & (result.trades["exit_bar"] < 30)).all()


def test_no_paths_give_an_empty_result_of_the_same_shape(market, strategy):
    none = replace(market, paths=market.paths.select(np.array([], dtype=np.int64)))
    result = run(strategy, none)
    assert (result.equity.shape, result.exposure.shape) == ((0, 31), (0, 30))
    assert list(result.metrics.columns) == [metric.name for metric in METRICS]
    assert list(result.trades.columns) == list(run(strategy, market).trades.columns)


def test_buying_and_holding_earns_the_mean_of_the_lognormal(make_market, told, loaded):
    """E[S_T / S_0] = exp(drift T + volatility^2 T / 2) when log returns are normal."""
    paths, bars, volatility, drift = 4000, 20, 0.02, 0.001
    market = make_market(paths=paths, bars=bars, seed=3, volatility=volatility, drift=drift)
    # The open of bar 0 is the anchor's price but for the first gap; start the clock there by opening at the anchor.
    values = market.paths.values.copy()
    values[:, 0, 0] = market.paths.anchor_close
    values[:, 0, 1] = values[:, 0, :4].max(axis=1)
    values[:, 0, 2] = values[:, 0, :4].min(axis=1)
    market = replace(market, paths=replace(market.paths, values=values))
    always = np.ones((len(market.context) + bars, paths), dtype=bool)
    result = run(loaded(told(always, ~always)), market, Broker())
    growth = 1 + result.metrics["total_return"]
    variance = volatility**2 * bars
    expected = np.exp(drift * bars + variance / 2)
    error = expected * np.sqrt((np.exp(variance) - 1) / paths)
    # Four standard errors: false alarm once in some 16,000 seeds.
    assert growth.mean() == pytest.approx(expected, abs=4 * error)
