"""Null strategies: random places are places, uniformly drawn, and what is put there is the strategy's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from scenario_gen.backtest import expand, nulls, run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.nulls import Holdings, buy_and_hold, flat, random_entries, random_starts
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import SpecError
from scenario_gen.generators.draws import Draws

FOLDER = Path(__file__).parents[3] / "strategies"
BROKER = Broker(fees=0.001, slippage=0.0005)


def holdings_of(lengths):
    bars = np.array(lengths, dtype=np.int64)
    there = bars > 0
    return Holdings(np.zeros_like(bars), bars, np.where(there, 1.0, 0.0), there, np.zeros(bars.shape))


@pytest.fixture(scope="module")
def traded(make_market, told, loaded):
    market = make_market(paths=25, bars=40, seed=3)
    wishes = np.random.default_rng(4).random((4, len(market.context) + 40, 25)) < 0.15
    strategy = loaded(told(*wishes))
    return market, strategy, run_backtest(strategy, market.context, market.paths, BROKER, bars_per_year=252)


@given(
    lengths=st.lists(st.integers(1, 12), min_size=0, max_size=8),
    idle=st.integers(0, 30),
    padding=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_random_places_lie_on_the_path_and_never_overlap(lengths, idle, padding, seed):
    steps = sum(lengths) + idle
    held = holdings_of([lengths + [0] * padding] * 5)
    starts = random_starts(held, steps, np.random.default_rng(seed).random((5, len(lengths) + padding)))
    for row in starts[:, : len(lengths)]:
        busy = np.zeros(steps, dtype=int)
        for start, bars in zip(row, lengths, strict=True):
            assert 0 <= start <= steps - bars
            busy[start : start + bars] += 1
        assert busy.max(initial=0) <= 1


def test_a_single_round_trip_falls_on_every_place_equally_often():
    runs, places = 20_000, 11
    held = holdings_of(np.full((runs, 1), 10))
    starts = random_starts(held, 20, np.random.default_rng(0).random((runs, 1)))
    observed = np.bincount(starts[:, 0], minlength=places)
    assert len(observed) == places
    assert stats.chisquare(observed).pvalue > 1e-3  # a false alarm once in a thousand seeds; this one is fixed


def test_round_trips_come_in_every_order_equally_often():
    runs = 30_000
    held = holdings_of(np.tile([1, 2, 3], (runs, 1)))
    starts = random_starts(held, 12, np.random.default_rng(1).random((runs, 3)))
    _, observed = np.unique(np.argsort(starts, axis=1), axis=0, return_counts=True)
    assert len(observed) == 6
    assert stats.chisquare(observed).pvalue > 1e-3  # likewise


def test_every_draw_gives_every_paths_round_trips_to_exactly_one_other_path(traded):
    market, _, result = traded
    null = random_entries(result, market.paths, BROKER, seed=1, draws=20)
    assert null.returns.shape == (25, 20)
    assert (np.sort(null.owner, axis=0) == np.arange(25)[:, None]).all()
    assert (null.owner != np.arange(25)[:, None]).all()
    assert len(np.unique(null.owner[0])) == 20  # and to another one in each draw
    assert null.by_owner()[null.owner[3, 5], 5] == null.returns[3, 5]


def test_on_prices_that_stand_still_random_entries_lose_the_strategys_own_costs(make_market, told, loaded):
    market = make_market(values=np.full((6, 30, 4), 100.0))
    wishes = np.random.default_rng(2).random((4, len(market.context) + 30, 6)) < 0.3
    result = run_backtest(loaded(told(*wishes)), market.context, market.paths, BROKER, bars_per_year=252)
    null = random_entries(result, market.paths, BROKER, seed=0, draws=4)
    lost = result.metrics["total_return"].to_numpy()
    assert lost.max() < -0.01
    assert null.by_owner() == pytest.approx(np.repeat(lost[:, None], 4, axis=1), abs=1e-12)


def test_random_entries_on_a_random_walk_earn_its_drift_for_as_long_as_they_are_in(make_fills, make_null):
    paths, bars, length, drift, sd = 4000, 40, 10, 0.004, 0.02
    returns = np.random.default_rng(5).normal(drift - sd**2 / 2, sd, (paths, bars))
    null = make_null(holdings_of(np.full((paths, 1), length)), make_fills(returns), seed=3, draws=10)
    by_path = null.returns.mean(axis=1)
    # E exp(sum of 10 normals) = exp(10 drift); four standard errors of a mean over independent paths.
    assert by_path.mean() == pytest.approx(np.expm1(length * drift), abs=4 * by_path.std() / np.sqrt(paths))


@pytest.mark.parametrize("cells", [1, 300, 10**6])
def test_how_many_are_computed_at_once_changes_nothing(traded, monkeypatch, cells):
    market, _, result = traded
    whole = random_entries(result, market.paths, BROKER, seed=1, draws=5)
    monkeypatch.setattr(nulls, "CELLS", cells)
    again = random_entries(result, market.paths, BROKER, seed=1, draws=5)
    assert np.array_equal(whole.returns, again.returns)


def test_permuting_the_paths_permutes_the_random_entries(traded):
    market, strategy, result = traded
    order = np.random.default_rng(9).permutation(25)
    shuffled = market.paths.select(order)
    again = run_backtest(strategy, market.context, shuffled, BROKER, bars_per_year=252)
    plain, permuted = (
        random_entries(one, paths, BROKER, seed=1, draws=5)
        for one, paths in ((result, market.paths), (again, shuffled))
    )
    assert np.array_equal(permuted.returns, plain.returns[order])
    assert np.array_equal(order[permuted.owner], plain.owner[order])


def test_random_entries_are_a_function_of_the_seed(traded):
    market, _, result = traded
    first, again, other = (random_entries(result, market.paths, BROKER, seed=s, draws=3).returns for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_places_are_drawn_apart_from_the_random_numbers_of_the_paths():
    ids = np.arange(2000)
    of_paths = Draws(7, ids).uniforms(1, 1).ravel()
    of_places = Draws(nulls._key(7, nulls.PLACES), ids).uniforms(1, 1).ravel()
    # Independent uniforms correlate with a standard error of 1 / sqrt(2000) = .022: four of them.
    assert abs(np.corrcoef(of_paths, of_places)[0, 1]) < 4 / np.sqrt(2000)


def test_one_path_has_no_other_to_take_round_trips_from(traded):
    market, strategy, _ = traded
    one = market.paths.select(np.array([3]))
    result = run_backtest(strategy, market.context, one, BROKER, bars_per_year=252)
    with pytest.raises(SpecError, match="1 paths came"):
        random_entries(result, one, BROKER, seed=0)


def test_two_paths_are_each_others_partners(traded):
    market, strategy, _ = traded
    two = market.paths.select(np.array([3, 4]))
    result = run_backtest(strategy, market.context, two, BROKER, bars_per_year=252)
    assert (random_entries(result, two, BROKER, seed=0, draws=6).owner == [[1], [0]]).all()


def test_buying_and_holding_is_the_shipped_strategy_and_the_growth_of_the_path(make_market):
    market = make_market(paths=10, bars=30, seed=1)
    shipped = expand(StrategyUse(use="buy_and_hold.py:BuyAndHold"), FOLDER).strategies[0]
    ours = buy_and_hold(market.ground(BROKER), market.paths)
    theirs = run_backtest(shipped, market.context, market.paths, BROKER, bars_per_year=252)
    assert ours.metrics.equals(theirs.metrics)
    growth = market.future("close")[:, -1] / market.future("open")[:, 0]
    expected = growth / (1 + BROKER.slippage) / (1 + BROKER.fees) - 1
    assert ours.metrics["total_return"].to_numpy() == pytest.approx(expected, rel=1e-9)


def test_holding_nothing_makes_nothing(make_market):
    paths = make_market(paths=4).paths
    assert np.array_equal(flat(replace(paths)), np.zeros(4))
