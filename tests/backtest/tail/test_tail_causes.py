"""The causes of losses: single paths worked by hand, the sum that must come out, and what the engine really did."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from scenario_gen.backtest import run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.tail.causes import CAUSES, Played, booked, costs_by_bar, tail_causes, unusual_move

# Log returns of +-1 % around a rising line: a standard deviation of 1 %, so an unusual move is one beyond 2 %.
CONTEXT = 100 * np.exp(np.cumsum(0.001 + 0.01 * np.tile([1.0, -1.0], 20)))
LAST = CONTEXT[-1]


def long_only(opened, close, costs=None, exposure=1.0, context=CONTEXT):
    """One path that holds all its equity from the first open on, prices relative to the context's last close."""
    opened, close = (np.atleast_2d(values) * context[-1] for values in (opened, close))
    before = np.concatenate([opened[:, :1], close[:, :-1]], axis=1)
    costs = np.zeros_like(close) if costs is None else np.atleast_2d(costs)
    change = exposure * (close / before - 1)
    equity = np.ones((len(close), close.shape[1] + 1))
    for bar in range(close.shape[1]):
        equity[:, bar + 1] = equity[:, bar] * (1 + change[:, bar]) - costs[:, bar]
    held = np.full_like(close, exposure)
    return Played(equity, held, costs, opened, close, context)


def taken(played):
    return dict(zip(CAUSES, booked(played)[0].tolist(), strict=True))


def test_the_unusual_move_is_two_standard_deviations_of_the_context():
    assert unusual_move(CONTEXT) == pytest.approx(0.02, rel=0.03)  # ddof 1 of 39 returns
    with pytest.raises(ValueError, match="2 closes"):
        unusual_move(CONTEXT[:2])


def test_a_gap_through_the_night_is_a_gap():
    found = taken(long_only([1.0, 0.9], [1.0, 0.9]))
    assert found == pytest.approx(dict.fromkeys(CAUSES, 0.0) | {"gap": 0.1}, abs=1e-12)


def test_an_ordinary_night_is_not_a_gap():
    found = taken(long_only([1.0, 0.99], [1.0, 0.99]))
    assert found["gap"] == 0
    assert found["trend_reversal"] == pytest.approx(0.01)  # held with the rising trend of the context


def test_a_gap_before_the_position_is_not_its_loss():
    played = long_only([0.9, 0.9], [0.9, 0.9])  # the first open is 10 % down, and bought
    assert sum(taken(played).values()) == pytest.approx(0, abs=1e-12)


def test_a_fall_within_the_day_is_a_volatility_spike():
    found = taken(long_only([1.0, 1.0], [1.0, 0.95]))
    assert found["volatility_spike"] == pytest.approx(0.05)
    assert found["gap"] == found["trend_reversal"] == 0


def test_a_slow_fall_turns_from_reversal_to_holding_against_the_trend():
    close = 1 - 0.005 * np.arange(1, 61)
    found = taken(long_only(np.concatenate([[1.0], close[:-1]]), close))
    # Over 20 bars the context rises by some 2 %; the path falls by half a percent a bar, so that the trend of 20
    # bars turns after some four of them.
    assert 0.01 <= found["trend_reversal"] <= 0.04
    assert found["against_the_trend"] == pytest.approx(0.3 - found["trend_reversal"])
    assert found["gap"] == found["volatility_spike"] == found["costs"] == 0


def test_a_short_position_loses_to_the_mirror_image():
    found = taken(long_only([1.0, 1.1], [1.0, 1.1], exposure=-1.0))
    assert found["gap"] == pytest.approx(0.1)
    against = taken(long_only([1.0, 1.0], [1.01, 1.02], exposure=-1.0))
    assert against["against_the_trend"] > 0 and against["trend_reversal"] == 0


def test_costs_are_costs():
    found = taken(long_only(np.ones(10), np.ones(10), costs=np.full(10, 0.004)))
    assert found == pytest.approx(dict.fromkeys(CAUSES, 0.0) | {"costs": 0.04}, abs=1e-12)


@given(st.integers(0, 10_000), st.integers(2, 60))
def test_the_causes_add_up_to_the_loss(seed, context_bars):
    rng = np.random.default_rng(seed)
    context = 100 * np.exp(np.cumsum(0.02 * rng.standard_normal(context_bars + 1)))
    prices = 100 * np.exp(np.cumsum(0.03 * rng.standard_normal((3, 5, 12)), axis=2))
    equity = np.maximum(1000 + 300 * rng.standard_normal((5, 13)), 0)
    equity[:, 0] = 1000
    played = Played(equity, rng.uniform(-1, 1, (5, 12)), rng.uniform(0, 5, (5, 12)), prices[0], prices[1], context)
    assert booked(played).sum(axis=1) == pytest.approx(1 - equity[:, -1] / 1000, abs=1e-9)


def crowd(n=1000, crashed=15):
    """Ordinary paths that lose little, and some whose second open is 30 % down."""
    rng = np.random.default_rng(0)
    close = 1 + np.cumsum(0.002 * rng.standard_normal((n, 10)), axis=1)
    opened = np.concatenate([np.ones((n, 1)), close[:, :-1]], axis=1)
    close[:crashed, 1:] *= 0.7
    opened[:crashed, 1:] *= 0.7
    opened[:crashed, 2:] = close[:crashed, 1:-1]
    return long_only(opened, close)


def test_the_planted_cause_leads_among_the_worst_paths():
    found = tail_causes(crowd())
    assert (found.worst, found.reason) == (10, "")
    first = found.causes[0]
    assert (first.name, first.title, first.leads.value, first.leads.count) == ("gap", "Gaps", 1.0, 10)
    assert first.loss.value == pytest.approx(0.3, abs=0.01)
    assert abs(first.elsewhere.value) < 0.01
    assert found.loss.value == pytest.approx(sum(cause.loss.value for cause in found.causes))
    assert {cause.name for cause in found.causes} == set(CAUSES)


def test_another_planted_cause_is_not_called_the_same():
    played = crowd()
    at_open = played.opened.copy()
    at_open[:15, 1] /= 0.7  # the same closes, but the fall comes within the bar
    assert tail_causes(dataclasses.replace(played, opened=at_open)).causes[0].name == "volatility_spike"


def test_few_paths_have_no_causes_but_the_number_needed():
    found = tail_causes(crowd(999))
    assert found.causes == () and found.worst == 9
    assert found.reason == "not shown, needs N >= 1000: 10 paths among the worst 1%"
    assert tail_causes(crowd(200), fraction=0.05).worst == 10


def test_the_pieces_of_many_paths_are_the_paths():
    played = crowd(2100)
    one = dataclasses.replace(
        played, **{f: getattr(played, f)[2050:2051] for f in ("equity", "exposure", "costs", "opened", "close")}
    )
    assert np.array_equal(booked(played)[2050], booked(one)[0])


def test_fees_go_to_the_bars_of_entry_and_exit():
    trades = pd.DataFrame(
        {
            "path_id": [7, 7, 9],
            "entry_bar": [0, 4, 2],
            "entry_price": [100.0, 50.0, 10.0],
            "exit_bar": [3, 5, 5],
            "exit_price": [300.0, 50.0, 12.0],
            "fees": [4.0, 2.0, 1.0],
            "open": [False, False, True],
        }
    )
    costs = costs_by_bar(trades, np.array([7, 9]), 6)
    assert costs.tolist() == [[1, 0, 0, 3, 1, 1], [0, 0, 1, 0, 0, 0]]


def test_what_the_engine_did_is_booked_in_full(make_market, told, loaded):
    market = make_market(paths=6, bars=30, seed=3)
    rng, shape = np.random.default_rng(1), (40 + 30, 6)
    strategy = told(entries=rng.random(shape) < 0.3, exits=rng.random(shape) < 0.2)
    result = run_backtest(
        loaded(strategy), market.context, market.paths, Broker(fees=0.002, slippage=0), bars_per_year=252
    )
    played = Played(
        result.equity,
        result.exposure,
        costs_by_bar(result.trades, market.paths.path_ids, 30),
        market.paths.column("open"),
        market.paths.column("close"),
        market.context.column("close"),
    )
    amounts = booked(played)
    # The result is in single precision: relative errors of 6e-8.
    assert amounts.sum(axis=1) == pytest.approx(-result.metrics["total_return"].to_numpy(), abs=1e-6)
    assert amounts[:, 0] == pytest.approx(result.metrics["fees"].to_numpy(), abs=1e-9)
