"""Possible but suspicious bars are kept and flagged with their rows; usual ones are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scenario_gen.market import load_candles


def rules_of(candles):
    return {flag.rule: flag.rows for flag in candles.flags}


def test_clean_bars_carry_no_flag(bars):
    assert load_candles(bars).flags == ()


def test_the_built_in_histories_carry_no_flag_but_what_their_calendar_knows(sp500):
    assert {flag.rule for flag in sp500.flags} <= {"missing sessions"}


def test_a_misplaced_decimal_point_is_flagged_and_kept(bars):
    bars.loc[bars.index[9], "high"] *= 100
    candles = load_candles(bars)
    assert rules_of(candles) == {"ten times the previous close": (9,)}
    assert candles.column("high")[9] == bars["high"].iloc[9]


def test_a_low_below_a_tenth_of_the_previous_close_is_flagged(bars):
    bars.loc[bars.index[9], "low"] = bars["close"].iloc[8] / 11
    assert rules_of(load_candles(bars)) == {"ten times the previous close": (9,)}


@pytest.mark.parametrize(("run", "flagged"), [(4, False), (5, True)])
def test_five_unchanged_bars_in_a_row_are_flagged_and_four_are_not(bars, run, flagged):
    bars.iloc[10 : 10 + run, :4] = bars.iloc[10, :4].to_numpy()
    expected = {"stale prices": tuple(range(10, 10 + run))} if flagged else {}
    assert rules_of(load_candles(bars)) == expected


@pytest.mark.parametrize(("run", "flagged"), [(5, False), (8, True)])
def test_closes_that_rest_for_longer_than_chance_allows_are_a_dead_run(make_bars, run, flagged):
    bars = make_bars(pd.bdate_range("2015-01-01", periods=1000))
    rows = range(400, 400 + run)
    close = bars["close"].iloc[400]
    bars.iloc[rows, 3] = close
    bars.iloc[rows, 1] = np.maximum(bars["high"].iloc[rows], close + 0.01 * np.arange(run))  # the bars themselves move
    bars.iloc[rows, 2] = np.minimum(bars["low"].iloc[rows], close)
    assert rules_of(load_candles(bars)) == ({"dead run": tuple(rows)} if flagged else {})


def test_resting_closes_of_a_coarse_tick_are_no_dead_run(make_bars):
    bars = make_bars(pd.bdate_range("2015-01-01", periods=1000))
    bars["close"] = bars["close"].round(-1)  # ten units: half of the closes rest
    bars["high"], bars["low"] = bars["high"] + 10, bars["low"] - 10
    assert "dead run" not in rules_of(load_candles(bars))


@pytest.mark.parametrize("volume", [True, False])
def test_bars_of_a_single_price_are_flagged(bars, volume):
    bars.iloc[[3, 7], :4] = np.array([[100.0] * 4, [101.0] * 4])
    if volume:
        bars.iloc[7, 4] = 0  # nothing was traded: no locked bar
        assert rules_of(load_candles(bars)) == {"locked bars": (3,)}
    else:
        assert rules_of(load_candles(bars.drop(columns="volume"))) == {"bars without a range": (3, 7)}


def test_a_split_is_flagged_on_daily_bars_and_not_on_hourly_ones(bars, make_bars):
    bars.iloc[30:, :4] *= 0.5
    assert rules_of(load_candles(bars)) == {"jump like a split": (30,)}
    hourly = make_bars(pd.date_range("2020-01-01", periods=60, freq="h"))
    hourly.iloc[30:, :4] *= 0.5
    assert load_candles(hourly).flags == ()


@pytest.mark.parametrize(("ratio", "flagged"), [(2 / 3, True), (0.7, False), (10.0, True)])
def test_an_open_at_a_splits_ratio_is_flagged_even_where_the_jump_is_small(bars, ratio, flagged):
    bars.iloc[30:, :4] *= ratio
    assert ("jump like a split" in rules_of(load_candles(bars))) == flagged


def test_a_range_on_zero_volume_is_flagged(bars):
    bars.loc[bars.index[5], "volume"] = 0
    assert rules_of(load_candles(bars)) == {"range without volume": (5,)}


def test_a_saturday_among_weekdays_is_flagged_and_holidays_are_not(make_bars):
    stamps = pd.bdate_range("2019-01-01", periods=200).delete([40, 41, 90])
    stamps = stamps.append(pd.DatetimeIndex(["2019-06-15"])).sort_values()
    row = int(stamps.get_loc(pd.Timestamp("2019-06-15")))
    assert rules_of(load_candles(make_bars(stamps))) == {"unusual weekday": (row,)}


def test_a_bar_at_an_unusual_time_of_day_is_flagged(make_bars):
    days = pd.bdate_range("2024-01-01", periods=60)
    stamps = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in range(9, 16)])
    late = pd.Timestamp("2024-02-06 22:00")
    stamps = stamps.append(pd.DatetimeIndex([late])).sort_values()
    assert rules_of(load_candles(make_bars(stamps))) == {"unusual time of day": (int(stamps.get_loc(late)),)}


def test_sunday_evenings_of_currencies_are_usual(make_bars):
    hours = pd.date_range("2024-01-01", "2024-06-30", freq="h")
    open_hours = (hours.day_of_week < 4) | ((hours.day_of_week == 4) & (hours.hour < 22))
    open_hours |= (hours.day_of_week == 6) & (hours.hour >= 22)
    assert load_candles(make_bars(hours[open_hours])).flags == ()


def test_24_7_declared_on_weekday_bars_is_flagged_with_the_mondays(bars):
    flag = load_candles(bars, calendar="24/7").flags[0]
    assert flag.rule == "pauses in a 24/7 calendar"
    assert flag.rows == tuple(range(3, 60, 5))  # the first bar is a Wednesday
    assert "fill 71% of the clock (Mon-Fri)" in flag.message


def test_24_7_declared_on_bars_round_the_clock_is_not_flagged_for_an_outage(make_bars):
    hours = pd.date_range("2024-01-01", periods=2000, freq="h").delete(range(500, 560))
    assert load_candles(make_bars(hours), calendar="24/7").flags == ()


def test_flags_follow_their_rows_and_notes_on_the_source_stay(bars):
    bars["Adj Close"] = bars["close"] / 2
    bars.loc[bars.index[5], "volume"] = 0
    cut = load_candles(bars).rows(4, 8)
    assert rules_of(cut) == {"adjusted prices on offer": (), "range without volume": (1,)}
    assert rules_of(cut.rows(2, 4)) == {"adjusted prices on offer": ()}


def test_a_flag_reads_as_a_sentence_with_its_first_bar_and_its_row_in_the_source(bars):
    bars.loc[bars.index[5], "volume"] = 0
    (text,) = load_candles(bars).flag_texts()
    assert text.startswith("range without volume (1 bar at 2020-01-08, row 6): prices move")


def test_rows_are_the_sources_own_after_a_start_a_turn_and_a_cut(bars):
    bars.loc[bars.index[[30, 40, 41, 42]], "volume"] = 0
    newest_first = bars.iloc[::-1]
    candles = load_candles(newest_first, start=bars.index[20])
    (flag,) = [flag for flag in candles.flags if flag.rule == "range without volume"]
    assert flag.rows == (10, 20, 21, 22)
    assert flag.source_rows == (30, 20, 19, 18)  # 60 bars, the newest is row 1
    assert "4 bars, the first at 2020-02-12, rows 30, 20, 19 and 1 more" in candles.flag_texts()[-1]
    (later,) = [flag for flag in candles.rows(15, 40).flags if flag.rule == "range without volume"]
    assert (later.rows, later.source_rows) == ((5, 6, 7), (20, 19, 18))
