"""Stop and target in one bar, by hand and as laws."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import intrabar_orders, run_backtest
from scenario_gen.backtest.broker import Broker

CONTEXT = np.array([[100.0, 100.0, 100.0, 100.0]] * 3)
BROKER = Broker(cash=1000)


def wish(bars, *at):
    array = np.zeros((3 + bars, 1), dtype=bool)
    array[list(at)] = True
    return array


def orders(strategy, market, broker=BROKER, **more):
    return intrabar_orders(strategy, market.ground(broker, **more), market.paths)


def toy(make_market, told, loaded, *bars):
    """A long from the first open at 100, with a stop at 90 and a target at 120."""
    market = make_market(values=[bars], context=CONTEXT)
    strategy = loaded(told(wish(len(bars), 2), wish(len(bars)), extra={"stop_loss": 0.1, "take_profit": 0.2}))
    return orders(strategy, market)


def gains(found):
    return [getattr(found, name)["total_return"].iloc[0] for name in ("worst", "best")]


def test_a_bar_that_holds_both_is_ambiguous(make_market, told, loaded):
    found = toy(make_market, told, loaded, (100, 105, 95, 100), (100, 125, 85, 100))
    assert (found.trades, found.ambiguous, found.share) == (1, 1, 1.0)
    assert gains(found) == pytest.approx([-0.1, 0.2])
    assert found.random["total_return"].iloc[0] in (pytest.approx(-0.1), pytest.approx(0.2))


def test_the_bar_of_the_entry_may_be_ambiguous_too(make_market, told, loaded):
    found = toy(make_market, told, loaded, (100, 125, 85, 100), (100, 100, 100, 100))
    assert found.ambiguous == 1
    assert gains(found) == pytest.approx([-0.1, 0.2])


def test_a_bar_that_holds_one_of_them_is_not(make_market, told, loaded):
    found = toy(make_market, told, loaded, (100, 105, 95, 100), (100, 125, 95, 100))
    assert (found.ambiguous, *gains(found)) == (0, pytest.approx(0.2), pytest.approx(0.2))


def test_an_open_beyond_the_stop_decides_for_it(make_market, told, loaded):
    found = toy(make_market, told, loaded, (100, 105, 95, 100), (80, 125, 75, 100))
    assert (found.ambiguous, *gains(found)) == (0, pytest.approx(-0.2), pytest.approx(-0.2))


def test_an_open_beyond_the_target_decides_for_it_except_in_the_worst_order(make_market, told, loaded):
    found = toy(make_market, told, loaded, (100, 105, 95, 100), (130, 135, 85, 100))
    assert (found.ambiguous, *gains(found)) == (0, pytest.approx(-0.1), pytest.approx(0.3))


def test_strategies_whose_order_cannot_matter_have_no_answer(make_market, told, loaded, weighted):
    market = make_market(paths=2, bars=10)
    always = np.ones((50, 2), dtype=bool)
    assert orders(loaded(weighted(np.zeros((50, 2)))), market) is None
    assert orders(loaded(told(always, ~always)), market) is None
    assert orders(loaded(told(always, ~always, extra={"stop_loss": 0.1})), market) is None


@pytest.fixture
def many(make_market, told, loaded):
    market = make_market(paths=600, bars=30, seed=3, volatility=0.03)
    wishes = np.random.default_rng(4).random((4, 70, 600)) < 0.3
    return loaded(told(*wishes, extra={"stop_loss": 0.02, "take_profit": 0.02})), market


def test_the_worst_order_is_what_a_run_computes(many):
    strategy, market = many
    found = orders(strategy, market, Broker(fees=0.001))
    run = run_backtest(strategy, market.context, market.paths, Broker(fees=0.001), bars_per_year=252)
    pd.testing.assert_frame_equal(found.worst, run.metrics, rtol=1e-9, atol=1e-9)
    assert found.trades == len(run.trades)


def test_the_target_first_earns_more_than_chance_and_chance_more_than_the_stop_first(many):
    strategy, market = many
    found = orders(strategy, market)
    worst, best, chance = (getattr(found, name)["total_return"] for name in ("worst", "best", "random"))
    # Levels of 2 % and bars of 3 %: most trades are ambiguous, and 600 paths leave no doubt.
    assert 0.1 < found.share < 1
    assert worst.mean() < chance.mean() < best.mean()


def test_a_paths_coins_are_its_own(many):
    strategy, market = many
    some = replace(market, paths=market.paths.select(np.array([500, 7, 20])))
    few, all_of_them = orders(strategy, some), orders(strategy, market)
    pd.testing.assert_frame_equal(few.random, all_of_them.random.loc[[500, 7, 20]], check_exact=True)
    again = orders(strategy, some, seed=1)
    assert not again.random.equals(few.random)
    assert again.best.equals(few.best)
