"""Terms that paths bring along: costs of each bar and path, bars at which orders wait, bars that are seen wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scenario_gen.backtest import Bars, Signals, run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.reruns import intrabar_orders
from scenario_gen.errors import StrategyError
from scenario_gen.market.paths import TradingTerms

CONTEXT = np.array([[100.0, 100.0, 100.0, 100.0, 1000.0]] * 3)  # [bar, ohlcv]


def flat(price: float) -> tuple[float, ...]:
    return (price, price, price, price, 1000)


def toy(make_market: Any, *prices: float) -> Any:
    """One path of bars without range at these prices, after three context bars at 100."""
    return make_market(values=[[flat(price) for price in prices]], context=CONTEXT)


def wish(bars: int, *at: int) -> np.ndarray:
    """True at these rows; row 2 is filled at the path's first open, row 3 at its second."""
    array = np.zeros((3 + bars, 1), dtype=bool)
    array[list(at)] = True
    return array


def shut(bars: int, *at: int) -> TradingTerms:
    """No trade at these bars."""
    there = np.isin(np.arange(bars), at)[None]
    return TradingTerms(ceiling=np.where(there, 0.0, np.inf), floor=np.where(there, np.inf, 0.0))


def backtest(strategy: Any, market: Any, terms: TradingTerms | None, **broker: Any) -> Any:
    paths = replace(market.paths, terms=terms)
    return run_backtest(strategy, market.context, paths, Broker(**broker), bars_per_year=252)


COSTS = {"fees": 0.01, "slippage": 0.02}


@pytest.mark.parametrize("more", [{}, {"leverage": 2.0}], ids=["vectorbt", "ledger"])
def test_costs_are_those_of_the_bar_and_the_path(make_market: Any, told: Any, loaded: Any, more: Any) -> None:
    """Bought at bar 0 at the usual costs, sold at bar 2 at three times as much and a slippage of 4 % on top."""
    values = [[flat(100)] * 3] * 2
    market = make_market(values=values, context=CONTEXT)
    times, slippage = np.ones((2, 3)), np.zeros((2, 3))
    times[1, 2], slippage[1, 2] = 3.0, 0.04
    both = np.repeat(wish(3, 2), 2, axis=1), np.repeat(wish(3, 4), 2, axis=1)
    result = backtest(loaded(told(*both)), market, TradingTerms(cost_times=times, slippage=slippage), **COSTS, **more)
    units = 100_000 / 1.01 / 102
    usual, dearer = (units * price * (1 - fee) for price, fee in ((98, 0.01), (90, 0.03)))  # 100 less 3 x 2 % + 4 %
    assert result.equity[:, -1] == pytest.approx([usual, dearer], rel=1e-6)
    assert result.trades["fees"].tolist() == pytest.approx([units * (1.02 + 0.98), units * (1.02 + 2.7)])


def test_a_cost_is_half_of_the_price_at_most(make_market: Any, told: Any, loaded: Any) -> None:
    market = toy(make_market, 100, 100)
    terms = TradingTerms(cost_times=np.full((1, 2), 1000.0))
    for more in ({}, {"leverage": 2.0}):
        result = backtest(loaded(told(wish(2, 2), wish(2, 3))), market, terms, slippage=0.01, **more)
        assert result.trades.loc[0, ["entry_price", "exit_price"]].tolist() == pytest.approx([150, 50])


def test_fixed_and_least_fees_are_multiplied_too(make_market: Any, told: Any, loaded: Any) -> None:
    market = toy(make_market, 100, 100)
    strategy = loaded(told(wish(2, 2), wish(2, 3), extra={"size": 0.5}))
    result = backtest(strategy, market, TradingTerms(cost_times=np.full((1, 2), 3.0)), fee_per_order=10, fee_minimum=50)
    assert result.trades.loc[0, "fees"] == pytest.approx(2 * 150)


@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_vectorbt_and_ledger_charge_the_same_on_random_terms(
    make_market: Any, told: Any, loaded: Any, fill: str
) -> None:
    """A leverage of 2 that nobody uses sends the same orders to the ledger."""
    market = make_market(paths=6, bars=40, seed=3)
    rng = np.random.default_rng(0)
    flags = [rng.random((80, 6)) < 0.15 for _ in range(4)]
    terms = TradingTerms(cost_times=rng.uniform(0, 5, (6, 40)), slippage=rng.uniform(0, 0.01, (6, 40)))
    strategy = loaded(told(*flags, extra={"stop_loss": 0.03, "take_profit": 0.05}))
    ours, theirs = (
        backtest(strategy, market, terms, fees=0.001, slippage=0.0005, fill=fill, **more)
        for more in ({}, {"leverage": 2.0})
    )
    np.testing.assert_allclose(ours.equity, theirs.equity, rtol=1e-6)
    assert len(ours.trades) == len(theirs.trades) > 20


def test_an_order_waits_for_the_end_of_a_halt_and_is_filled_at_its_open(
    make_market: Any, told: Any, loaded: Any
) -> None:
    """Wanted at bar 1; bars 1 and 2 are halted; filled at the open of bar 3, with the size and stop of its own wish."""
    market = toy(make_market, 100, 100, 100, 90, 70, 95)
    strategy = loaded(told(wish(6, 3), wish(6), extra={"size": 0.5, "stop_loss": 0.1}))
    (trade,) = backtest(strategy, market, shut(6, 1, 2)).trades.itertuples()
    assert (trade.entry_bar, trade.entry_price) == (3, 90)
    assert trade.size == pytest.approx(50_000 / 90)
    assert (trade.exit_bar, trade.exit_price) == (4, 70)  # below 90 x .9 at the open already


def test_an_exit_waits_likewise_and_an_exit_meanwhile_ends_a_waiting_entry(
    make_market: Any, told: Any, loaded: Any
) -> None:
    market = toy(make_market, 100, 100, 100, 120, 130, 140)
    (held,) = backtest(loaded(told(wish(6, 2), wish(6, 3))), market, shut(6, 1, 2)).trades.itertuples()
    assert (held.entry_bar, held.exit_bar, held.exit_price) == (0, 3, 120)
    nothing = backtest(loaded(told(wish(6, 3), wish(6, 4))), market, shut(6, 1, 2))
    assert nothing.trades.empty


def test_a_reversal_within_a_halt_turns_after_it(make_market: Any, told: Any, loaded: Any) -> None:
    market = toy(make_market, 100, 100, 100, 120, 130)
    strategy = loaded(told(wish(5, 2), wish(5), wish(5, 3), wish(5)))
    trades = backtest(strategy, market, shut(5, 1, 2)).trades
    assert trades[["side", "entry_bar", "exit_bar"]].to_numpy().tolist() == [["long", 0, 3], ["short", 3, 4]]


def test_a_stop_on_a_bar_locked_at_its_limit_sells_at_the_next_open_that_is_not(
    make_market: Any, told: Any, loaded: Any
) -> None:
    """Bought at 100 with a stop of 5 %; bars 1 and 2 are locked limit down at 90 and 81, bar 3 opens at 80 inside."""
    market = toy(make_market, 100, 90, 81, 80)
    floor = np.array([[0.0, 90.0, 81.0, 72.9]])
    strategy = loaded(told(wish(4, 2), wish(4), extra={"stop_loss": 0.05}))
    (trade,) = backtest(strategy, market, TradingTerms(floor=floor)).trades.itertuples()
    assert (trade.exit_bar, trade.exit_price) == (3, 80)
    (free,) = backtest(strategy, market, None).trades.itertuples()
    assert (free.exit_bar, free.exit_price) == (1, 90)


def test_at_limit_up_nobody_buys_and_everybody_may_sell(make_market: Any, told: Any, loaded: Any) -> None:
    market = toy(make_market, 100, 110, 105)
    ceiling = np.array([[110.0, 110.0, 121.0]])
    (bought,) = backtest(loaded(told(wish(3, 3), wish(3))), market, TradingTerms(ceiling=ceiling)).trades.itertuples()
    assert (bought.entry_bar, bought.entry_price) == (2, 105)
    (sold,) = backtest(loaded(told(wish(3, 2), wish(3, 3))), market, TradingTerms(ceiling=ceiling)).trades.itertuples()
    assert (sold.exit_bar, sold.exit_price) == (1, 110)


def test_weights_wait_too(make_market: Any, weighted: Any, loaded: Any) -> None:
    market = toy(make_market, 100, 100, 100, 120)
    weights = np.array([[0.0]] * 3 + [[1.0]] * 3 + [[0.0]])
    (trade,) = backtest(loaded(weighted(weights)), market, shut(4, 1, 2)).trades.itertuples()
    assert (trade.entry_bar, trade.entry_price) == (3, 120)


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("seed", range(5))
def test_no_fill_lies_inside_a_halt_whatever_is_wanted(
    make_market: Any, told: Any, loaded: Any, fill: str, seed: int
) -> None:
    market = make_market(paths=8, bars=30, seed=seed, volatility=0.05)
    rng = np.random.default_rng(seed)
    flags = [rng.random((70, 8)) < 0.2 for _ in range(4)]
    halted = np.array([9, 10, 11, 12, 20])
    there = np.broadcast_to(np.isin(np.arange(30), halted), (8, 30))
    terms = TradingTerms(ceiling=np.where(there, 0.0, np.inf), floor=np.where(there, np.inf, 0.0))
    strategy = loaded(told(*flags, extra={"stop_loss": 0.02, "take_profit": 0.03}))
    trades = backtest(strategy, market, terms, fill=fill).trades
    assert len(trades) > 20
    assert not trades["entry_bar"].isin(halted).any()
    assert not trades.loc[~trades["open"], "exit_bar"].isin(halted).any()
    free = backtest(strategy, market, None, fill=fill).trades
    assert free["entry_bar"].isin(halted).any()


class Above:
    """In where the last close is above 105."""

    def signals(self, bars: Bars) -> Signals:
        above = bars.close > 105
        return Signals(above, ~above)


def test_a_strategy_decides_on_the_bars_that_it_sees_and_is_filled_on_those_that_are(
    make_market: Any, loaded: Any
) -> None:
    market = toy(make_market, 100, 100, 101, 102)
    seen = market.paths.values.copy()
    seen[0, 1, [1, 3]] = 1000.0  # a bad print of the second close
    seen[0, 2, [0, 2]] = 50.0  # and of the open after it, at which the order is filled
    result = backtest(loaded(Above()), market, TradingTerms(seen=seen))
    (trade,) = result.trades.itertuples()
    assert (trade.entry_bar, trade.entry_price) == (2, 101)  # the next open as it is
    assert (trade.exit_bar, trade.exit_price) == (3, 102)
    assert result.equity[0].tolist() == pytest.approx([100_000, 100_000, 100_000, 100_000, 100_000 * 102 / 101])
    assert backtest(loaded(Above()), market, None).trades.empty


def test_terms_go_with_their_paths(make_market: Any) -> None:
    market = make_market(paths=5, bars=4)
    times = np.arange(20.0).reshape(5, 4)
    paths = replace(market.paths, terms=TradingTerms(cost_times=times))
    chosen = paths.select(np.array([3, 1])).terms
    assert chosen is not None
    np.testing.assert_array_equal(chosen.cost_times, times[[3, 1]])
    halves = [paths.select(np.array(ids)).terms for ids in ([0, 1], [2, 3, 4])]
    np.testing.assert_array_equal(TradingTerms.joined(halves).cost_times, times)
    with pytest.raises(ValueError, match="do not match 5 paths"):
        replace(market.paths, terms=TradingTerms(floor=times[:3]))


def test_results_do_not_depend_on_how_many_paths_are_held_at_once(make_market: Any, told: Any, loaded: Any) -> None:
    market = make_market(paths=7, bars=20)
    rng = np.random.default_rng(1)
    flags = [rng.random((60, 7)) < 0.2 for _ in range(2)]
    seen = market.paths.values * np.float32(1.01)
    terms = TradingTerms(seen=seen, cost_times=rng.uniform(0, 3, (7, 20)), floor=np.full((7, 20), 50.0))
    paths, strategy = replace(market.paths, terms=terms), loaded(told(*flags))
    whole, pieces = (
        run_backtest(strategy, market.context, paths, Broker(fees=0.01), bars_per_year=252, column_chunk=chunk)
        for chunk in (None, 3)
    )
    np.testing.assert_array_equal(whole.equity, pieces.equity)


def test_a_strategy_that_fills_its_own_orders_is_refused(make_market: Any, loaded: Any) -> None:
    class Own:
        def portfolio(self, bars: Bars, broker: Broker) -> Any:
            raise AssertionError("not asked")

    with pytest.raises(StrategyError, match=r"fills its own orders \(portfolio\)"):
        backtest(loaded(Own()), toy(make_market, 100, 100), TradingTerms(cost_times=np.ones((1, 2))))


def test_both_orders_within_a_bar_are_tried_on_the_same_terms(make_market: Any, told: Any, loaded: Any) -> None:
    """A bar from 80 to 120 meets stop and target of a position bought at 100; every sale slips by a tenth."""
    market = make_market(values=[[flat(100), (100, 120, 80, 100, 1000)]], context=CONTEXT)
    strategy = loaded(told(wish(2, 2), wish(2), extra={"stop_loss": 0.05, "take_profit": 0.05}))
    paths = replace(market.paths, terms=TradingTerms(slippage=np.array([[0.0, 0.1]])))
    orders = intrabar_orders(strategy, market.ground(), paths)
    assert orders is not None
    worst, best = (frame["total_return"].iloc[0] for frame in (orders.worst, orders.best))
    assert (worst, best) == pytest.approx((0.95 * 0.9 - 1, 1.05 * 0.9 - 1))
