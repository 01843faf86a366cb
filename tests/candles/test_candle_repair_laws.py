"""Laws of the repair: it mends everything that can be mended, once is enough, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from scenario_gen.candles import CandleRules, check_candles, mend_paths
from scenario_gen.candles.breaches import Grid
from scenario_gen.market import Candles, PathSet, load_candles
from scenario_gen.market.section import Market

MENDABLE = ("V3", "V4", "V4-lots", "V5", "V6", "V7", "V8")
FIELDS = ("open", "high", "low", "close", "volume", "amount")
PATHS, BARS = 3, 5


def _with_amount(candles: Candles) -> Candles:
    """Bars near 100 with an amount: hypothesis does not take function-scoped fixtures."""
    values = candles.values[:, :5] * [*[100 / candles.close[-1]] * 4, 1]
    amount = values[:, 4] * values[:, :4].mean(axis=1)
    return replace(candles, values=np.column_stack((values, amount)), fields=FIELDS)


CONTEXT = _with_amount(load_candles("sp500").split_at("2012-06-29")[0].context(120))
STAMPS = CandleRules.of(CONTEXT, BARS).calendar.future(BARS)

markets = st.builds(
    Market,
    tick_size=st.sampled_from([None, 0.01, 0.25, 1.0, 3.0]),
    lot_size=st.sampled_from([None, 1.0, 100.0, 0.001]),
    price_limit=st.sampled_from([None, 0.01, 0.1, 0.5]),
)
prices = arrays(np.float32, (PATHS, BARS, 4), elements=st.floats(3, 400, width=32))
quantities = arrays(np.float32, (PATHS, BARS, 2), elements=st.floats(-10, 2.0**30, width=32))


def _paths(four: np.ndarray, two: np.ndarray) -> PathSet:
    values = np.concatenate((four, two), axis=-1)
    return PathSet(values, FIELDS, STAMPS, np.arange(PATHS), float(CONTEXT.close[-1]))


@given(prices, quantities, markets)
@example(np.full((PATHS, BARS, 4), 3.5, np.float32), np.full((PATHS, BARS, 2), 1e-45, np.float32), Market())
@settings(max_examples=150, deadline=None)
def test_repair_mends_every_mendable_rule_and_repairing_twice_changes_nothing(
    four: np.ndarray, two: np.ndarray, market: Market
) -> None:
    rules = CandleRules.of(CONTEXT, BARS, market=market)
    once = rules.repair(_paths(four, two))
    found = rules.find(once)
    assert {rule: int(found[rule].bars.sum()) for rule in MENDABLE if rule in found and found[rule].paths.any()} == {}
    twice = rules.repair(once)
    assert np.array_equal(twice.values, once.values)
    assert twice.timestamps.equals(once.timestamps)


@given(prices, quantities)
@settings(max_examples=50, deadline=None)
def test_without_ticks_and_limit_open_and_close_never_move_and_highs_and_lows_only_outwards(
    four: np.ndarray, two: np.ndarray
) -> None:
    raw = _paths(four, two)
    fixed = CandleRules.of(CONTEXT, BARS).repair(raw)
    assert np.array_equal(fixed.values[..., [0, 3]], raw.values[..., [0, 3]])
    assert (fixed.column("high") >= raw.column("high")).all()
    assert (fixed.column("low") <= raw.column("low")).all()


@given(prices, quantities, st.sampled_from([0.01, 0.25, 1.0]))
@settings(max_examples=50, deadline=None)
def test_valid_candles_move_by_at_most_half_a_tick(four: np.ndarray, two: np.ndarray, tick: float) -> None:
    valid = CandleRules.of(CONTEXT, BARS).repair(_paths(four, np.abs(two)))
    fixed = CandleRules.of(CONTEXT, BARS, market=Market(tick_size=tick)).repair(valid)
    # Half a tick, and what float32 prices near 400 are off by (their spacing is 3e-5).
    assert np.abs(fixed.values[..., :4] - valid.values[..., :4]).max() <= tick / 2 + 4e-5


@given(prices, quantities)
@settings(max_examples=50, deadline=None)
def test_a_limit_keeps_the_log_returns_of_bars_after_a_clipped_close(four: np.ndarray, two: np.ndarray) -> None:
    limit = 0.3
    raw = _paths(four, two)
    fixed = CandleRules.of(CONTEXT, BARS, market=Market(price_limit=limit)).repair(raw)
    before, after = np.log(raw.close.astype(float)), np.log(fixed.close.astype(float))
    kept = np.diff(before, axis=1)
    inside = (kept < np.log1p(limit) - 1e-5) & (kept > np.log1p(-limit) + 1e-5)
    assert np.abs(np.diff(after, axis=1) - kept)[inside].max(initial=0.0) < 1e-5  # float32 prices


@given(st.floats(2.0**-13, 2.0**20, width=32), st.sampled_from([0.01, 0.05, 0.125, 1.0, 100.0]))
@settings(max_examples=300, deadline=None)
def test_a_rounded_value_stands_on_the_grid_whatever_its_size(value: float, step: float) -> None:
    grid = Grid(step)
    values = np.array([value], dtype=np.float32)
    for rounded in (grid.nearest(values), grid.below(values)):
        single = rounded.astype(np.float32)
        assert grid.holds(single).all()
        assert np.array_equal(grid.nearest(single).astype(np.float32), single)
    assert grid.below(values)[0] <= value


def test_off_the_grid_means_off_by_more_than_the_type_can_hold() -> None:
    grid = Grid(0.01)
    assert grid.holds(np.float32([2500.01, 100.0, 0.01])).all()  # float32 of 2500.01 is 2500.010009765625
    assert not grid.holds(np.float32([2500.0105, 100.001])).any()
    assert grid.holds(np.array([2500.01, 0.07, 1e5 + 0.03])).all()  # float64, multiples off by an ulp
    assert not grid.holds(np.array([2500.010001])).any()
    assert grid.is_resolved(10_000.0)
    assert not grid.is_resolved(1_000_000.0)


@given(prices, quantities, st.sampled_from([np.nan, -1.0, np.inf, 50.0]))
@settings(max_examples=50, deadline=None)
def test_mending_without_a_context_is_the_repair_of_a_market_without_rules(
    four: np.ndarray, two: np.ndarray, odd: float
) -> None:
    raw = _paths(four, two)
    raw.values[1, 2, 3] = odd
    checked = check_candles(raw, replace(CONTEXT, fields=(*FIELDS[:5], "turnover")), "repair")  # no amount to judge
    mended = mend_paths(raw)
    assert np.array_equal(mended.values, checked.paths.values)
    assert mended.path_ids.tolist() == checked.paths.path_ids.tolist()


def test_paths_beyond_repair_are_refused_and_not_made_up() -> None:
    raw = _paths(np.full((PATHS, BARS, 4), 100, np.float32), np.ones((PATHS, BARS, 2), np.float32))
    for column in (0, 4):
        values = raw.values.copy()
        values[1, 2, column] = np.nan
        with pytest.raises(ValueError, match="dropped, not repaired"):
            CandleRules.of(CONTEXT, BARS).repair(replace(raw, values=values))
