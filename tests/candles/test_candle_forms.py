"""V4 to V8 with what a market declares: ticks, lots, price limit, amount. Expected prices are worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.candles import CandleAccount, CandleRules, check_candles
from scenario_gen.candles.account import merge_tallies
from scenario_gen.errors import CheckError
from scenario_gen.market import Candles
from scenario_gen.market.section import Market

FLAT = [100.0, 100.0, 100.0, 100.0, 1000.0]


def _ending(candles: Candles, close: float) -> Candles:
    """The same bars with another last close, enclosed by its bar."""
    values = candles.values.copy()
    values[-1, :4] = close
    return replace(candles, values=values)


def _account(paths, context: Candles, market: Market, **options) -> CandleAccount:
    return merge_tallies([check_candles(paths, context, "repair", market=market, **options).tally])


def _row(account: CandleAccount, rule: str):
    return next(row for row in account.rules if row.rule == rule)


def test_prices_are_rounded_to_the_nearest_tick_and_go_on_enclosing(daily: Candles, make_paths) -> None:
    context = _ending(daily, 100.0)
    raw = make_paths(context, [[100.004, 100.011, 99.986, 100.007, 1000.0]])
    fixed = check_candles(raw, context, "fail", market=Market(tick_size=0.01)).paths
    assert fixed.values[0, 0, :4].tolist() == np.float32([100.00, 100.01, 99.99, 100.01]).tolist()


def test_rounding_is_counted_and_is_no_bad_bar(daily: Candles, make_paths) -> None:
    context = _ending(daily, 100.0)
    raw = make_paths(context, [FLAT, [100.0, 100.123456, 100.0, 100.0, 1000.0]], n=5)
    account = _account(raw, context, Market(tick_size=0.01))
    row = _row(account, "V7")
    assert (row.bars, row.paths, row.left_bars, row.kind) == (5, 5, 0, "form")
    assert (account.bad_bars, account.rounded, account.repaired) == (0, 5, 0)
    assert account.changed_bars == 0  # by no more than rounding does
    assert account.label == "PASS"


def test_a_price_below_one_tick_costs_the_path_and_one_above_it_is_never_rounded_to_zero(
    daily: Candles, make_paths
) -> None:
    context = _ending(daily, 2.0)
    raw = make_paths(context, [[2.0, 2.0, 1.2, 2.0, 1.0]], n=2)
    raw.values[1, 0, 2] = 0.9
    checked = check_candles(raw, context, "repair", market=Market(tick_size=1.0))
    assert checked.paths.path_ids.tolist() == [0]
    assert checked.paths.values[0, 0, 2] == 1.0
    assert _row(merge_tallies([checked.tally]), "V2").bars == 1


def test_ticks_that_a_float32_cannot_hold_are_not_judged_and_the_reason_is_told(daily: Candles, make_paths) -> None:
    context = _ending(daily, 65_000.0)  # float32 moves in steps of 0.0039 there, coarser than a quarter of a tick
    raw = make_paths(context, [[65_000.0, 65_001.003, 64_999.0, 65_000.0, 1.0]])
    checked = check_candles(raw, context, "repair", market=Market(tick_size=0.01))
    assert "cannot hold ticks of 0.01 at a price of 65,000" in _row(merge_tallies([checked.tally]), "V7").action
    assert np.array_equal(checked.paths.values, raw.values)
    fine = _account(raw, context, Market(tick_size=0.05))
    assert _row(fine, "V7").bars == 1


@pytest.mark.parametrize(("volume", "expected"), [(1250.0, 1200.0), (99.9, 0.0), (1200.0, 1200.0), (-5.0, 0.0)])
def test_volume_is_rounded_down_to_lots_and_a_negative_one_becomes_zero(
    daily: Candles, make_paths, volume: float, expected: float
) -> None:
    raw = make_paths(_ending(daily, 100.0), [[*FLAT[:4], volume]])
    fixed = check_candles(raw, _ending(daily, 100.0), "repair", market=Market(lot_size=100)).paths
    assert fixed.column("volume")[0, 0] == expected


def test_a_range_on_zero_volume_is_flagged_and_warned_of_beyond_historys_own_share(daily: Candles, make_paths) -> None:
    context = _ending(daily, 100.0)
    raw = make_paths(context, [FLAT] * 9 + [[100.0, 101.0, 99.0, 100.5, 0.0]], n=20)
    account = _account(raw, context, Market())
    assert _row(account, "V4-idle").bars == 20
    assert account.label == "WARN"  # a tenth of the bars
    values = context.values.copy()
    values[::5, 4] = 0  # a fifth of history's bars
    assert _account(raw, replace(context, values=values), Market()).label == "PASS"


@pytest.mark.parametrize(
    ("close", "limit", "tick", "low", "high"),
    [
        (10.15, 0.10, 0.01, 9.14, 11.17),  # 9.135 and 11.165: half up
        (10.05, 0.10, 0.01, 9.05, 11.06),
        (33.33, 0.20, 0.01, 26.66, 40.00),  # 26.664 and 39.996
        (0.04, 0.10, 0.01, 0.03, 0.05),  # less than a tick away: one tick
        (0.01, 0.10, 0.01, 0.01, 0.02),  # never below one tick
        (100.0, 0.07, 0.0, 93.0, 107.0),
    ],
)
def test_limit_prices_are_the_exchanges(
    daily: Candles, close: float, limit: float, tick: float, low: float, high: float
) -> None:
    market = Market(price_limit=limit, tick_size=tick or None)
    exchange = CandleRules.of(_ending(daily, close), 5, market=market).exchange
    found = exchange.band(np.array([close], dtype=np.float32))
    assert [float(edge[0]) for edge in found] == pytest.approx([low, high], rel=1e-6)  # of a float32 close


def test_bars_beyond_the_limit_are_clipped_and_later_returns_stay(daily: Candles, make_paths) -> None:
    context = _ending(daily, 100.0)
    rows = [[100.0, 130.0, 98.0, 120.0, 1.0], [120.0, 123.0, 119.0, 121.0, 1.0], [121.0, 122.0, 120.0, 120.5, 1.0]]
    raw = make_paths(context, rows)
    checked = check_candles(raw, context, "repair", market=Market(price_limit=0.10))
    fixed = checked.paths.values[0].astype(float)
    assert fixed[0, :4] == pytest.approx([100.0, 110.0, 98.0, 110.0], rel=1e-6)
    scale = 110 / 120  # what the first close lost
    assert fixed[1, :4] == pytest.approx(np.array([120.0, 123.0, 119.0, 121.0]) * scale, rel=1e-6)
    assert fixed[2, 3] / fixed[1, 3] == pytest.approx(120.5 / 121, rel=1e-6)
    account = merge_tallies([checked.tally])
    assert (_row(account, "V8").bars, _row(account, "V8").left_bars, account.bad_bars) == (1, 0, 1)


def test_an_open_or_close_inside_the_limit_is_not_moved_with_a_clipped_wick(daily: Candles, make_paths) -> None:
    context = _ending(daily, 100.0)
    raw = make_paths(context, [[101.0, 125.0, 80.0, 102.0, 1.0], [102.0, 103.0, 101.0, 102.5, 1.0]])
    fixed = check_candles(raw, context, "repair", market=Market(price_limit=0.10)).paths.values[0]
    assert fixed[0, :4].tolist() == pytest.approx([101.0, 110.0, 90.0, 102.0])
    assert np.array_equal(fixed[1], raw.values[0, 1])


@pytest.mark.parametrize("policy", ["reject", "fail"])
def test_a_price_beyond_the_limit_is_a_breach_for_the_other_policies_too(
    daily: Candles, make_paths, policy: str
) -> None:
    context = _ending(daily, 100.0)
    raw = make_paths(context, [[100.0, 130.0, 98.0, 120.0, 1.0]], n=3)
    raw.values[:2, 0, [1, 3]] = 101.0
    market = Market(price_limit=0.10)
    if policy == "fail":
        with pytest.raises(CheckError, match=r"V8 .*: 1 bars in 1 paths"):
            check_candles(raw, context, "fail", market=market)
    else:
        assert check_candles(raw, context, "reject", market=market).paths.path_ids.tolist() == [0, 1]


def _hourly(make_candles) -> Candles:
    """Twelve sessions of five hourly bars, the last of them three bars long."""
    days = pd.bdate_range("2024-01-01", periods=12)
    stamps = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in range(10, 15)])[:-2]
    return make_candles(stamps)


def test_intraday_limits_count_from_the_close_of_the_session_before(make_candles, make_paths) -> None:
    context = _hourly(make_candles)
    values = context.values.copy()
    values[-4, :4] = 100.0  # the last bar of the session before
    values[-3:, :4] = 108.0  # the running session has used up most of its 10 %
    context = replace(context, values=values)
    bar = [108.0, 111.0, 108.0, 109.0, 5.0]
    raw = make_paths(context, [bar, bar, bar])  # the third bar opens the next session: from 109 on, 111 is allowed
    checked = check_candles(raw, context, "repair", market=Market(price_limit=0.10))
    assert _row(merge_tallies([checked.tally]), "V8").bars == 2
    assert checked.paths.column("high")[0].tolist() == pytest.approx([110.0, 110.0, 111.0])


def test_inside_a_session_the_limit_does_not_move_with_its_bars(make_candles, make_paths) -> None:
    context = _hourly(make_candles)
    values = context.values.copy()
    values[-4:, :4] = 100.0
    context = replace(context, values=values)
    calm, up = [100.0, 100.0, 100.0, 100.0, 5.0], [100.0, 108.0, 100.0, 108.0, 5.0]
    # the third bar opens a session: from 100 on, 110 is allowed in all its bars, and 115 no nearer to 108 than to 100
    raw = make_paths(context, [calm, calm, up, [108.0, 115.0, 108.0, 109.0, 5.0], [109.0, 110.0, 109.0, 109.0, 5.0]])
    checked = check_candles(raw, context, "repair", market=Market(price_limit=0.10))
    row = _row(merge_tallies([checked.tally]), "V8")
    assert (row.bars, row.left_bars) == (1, 0)
    assert checked.paths.column("high")[0].tolist() == pytest.approx([100.0, 100.0, 108.0, 110.0, 110.0])


def test_a_limit_needs_sessions_and_is_not_judged_round_the_clock(make_candles, make_paths) -> None:
    context = make_candles(pd.date_range("2024-01-01", periods=300, freq="h"))
    raw = make_paths(context, [[float(context.close[-1])] * 4 + [5.0]])
    row = _row(_account(raw, context, Market(price_limit=0.10)), "V8")
    assert row.bars == -1
    assert "no sessions" in row.action


@pytest.mark.parametrize("unit", [1.0, 100.0])
def test_what_volume_counts_is_found_from_the_history(make_candles, make_paths, unit: float) -> None:
    context = make_candles(pd.bdate_range("2020-01-01", periods=200), unit=unit)
    price = float(context.close[-1])
    good = [price, price * 1.01, price * 0.99, price, 50.0, 50.0 * unit * price]
    bad = [*good[:5], 3 * good[5]]
    checked = check_candles(make_paths(context, [good, bad]), context, "fail")
    row = _row(merge_tallies([checked.tally]), "V5")
    assert (row.bars, row.left_bars, row.history) == (1, 0, 0.0)
    typical = price * (1.01 + 0.99 + 2) / 4
    assert checked.paths.column("amount")[0].tolist() == pytest.approx([good[5], 50 * unit * typical], rel=1e-6)


def test_a_recomputed_amount_counts_the_close_twice(make_candles, make_paths) -> None:
    context = make_candles(pd.bdate_range("2020-01-01", periods=200), unit=1.0)
    raw = make_paths(context, [[100.0, 108.0, 98.0, 101.0, 50.0, 1.0]])
    fixed = check_candles(raw, context, "repair").paths
    assert fixed.column("amount")[0].tolist() == pytest.approx([50 * (108 + 98 + 2 * 101) / 4])


def test_an_amount_that_fits_no_unit_is_not_judged(make_candles, make_paths) -> None:
    context = make_candles(pd.bdate_range("2020-01-01", periods=200), unit=7.0)
    raw = make_paths(context, [[100.0, 100.0, 100.0, 100.0, 1.0, 1.0]])
    assert "set market.volume_unit" in _row(_account(raw, context, Market()), "V5").action
    assert _row(_account(raw, context, Market(volume_unit=7.0)), "V5").bars == 1


def test_amounts_that_do_not_follow_are_a_warning_and_no_bad_bar(daily: Candles, make_paths) -> None:
    account = _account(make_paths(daily, [[100.0, 100.0, 100.0, 100.0, 5.0, 1.0]], n=4), daily, Market())
    assert (account.bad_bars, account.rounded, account.label) == (0, 4, "WARN")


def test_a_declaration_that_history_contradicts_is_flagged_with_the_share_of_bars(daily: Candles) -> None:
    fitting = CandleRules.of(daily, 5, market=Market(tick_size=0.01, lot_size=1, price_limit=0.2))
    assert fitting.misfits == ()
    wrong = CandleRules.of(daily, 5, market=Market(tick_size=0.25, lot_size=100, price_limit=0.005))
    assert [flag.rule for flag in wrong.misfits] == ["market.lot_size", "market.tick_size", "market.price_limit"]
    assert all(len(flag.rows) > 200 for flag in wrong.misfits)
    assert "0.25 is declared, but 100% of the history's bars" in wrong.misfits[1].message
