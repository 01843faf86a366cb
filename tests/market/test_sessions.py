"""Sessions read from stamps, and the time-of-day pattern taken off: made days of known shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import DataError
from scenario_gen.market import PathSet
from scenario_gen.market.frequency import SECOND
from scenario_gen.market.inferred import SessionClock
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.candle import in_whole_sessions, session_contrast
from scenario_gen.realism.facts import path_statistics
from scenario_gen.realism.gauge import Gauge, deseasonalise, season_of, windows
from tests.realism.facts.made import candles_of, random_bars, trading_days, with_pattern

MINUTE = 60 * SECOND


US = trading_days(60, [("09:30", "16:00")])  # 13 bars a day


def test_a_day_session_is_read_from_its_nights() -> None:
    clock = SessionClock.of(US)
    assert clock is not None
    assert clock.slots.tolist() == [30 * MINUTE * i for i in range(13)]
    assert clock.opening == (9 * 60 + 30) * MINUTE
    assert np.array_equal(clock.opens(US), np.arange(len(US)) % 13 == 0)
    assert np.array_equal(clock.bar_of_day(US), np.arange(len(US)) % 13)


def test_a_lunch_break_does_not_end_a_session() -> None:
    stamps = trading_days(30, [("09:30", "11:30"), ("13:00", "15:00")])
    clock = SessionClock.of(stamps)
    assert clock is not None
    assert np.array_equal(clock.bar_of_day(stamps), np.arange(len(stamps)) % 8)
    assert clock.opens(stamps).sum() == 30


def test_stamps_without_summer_time_keep_their_places() -> None:
    local = trading_days(60, [("09:30", "16:00")], start="2024-02-15").tz_localize("America/New_York")
    utc = local.tz_convert("UTC")
    clock = SessionClock.of(utc)
    assert clock is not None
    assert np.array_equal(clock.bar_of_day(utc), np.arange(len(utc)) % 13)
    assert np.array_equal(clock.opens(utc), np.arange(len(utc)) % 13 == 0)


@pytest.mark.parametrize(
    "stamps",
    [
        pd.date_range("2024-01-01", periods=24 * 30, freq="1h"),  # never closes
        trading_days(60, [("00:00", "17:00"), ("18:00", "23:59:59")], "1h"),  # an hour's pause: a futures day
    ],
)
def test_markets_without_nights_have_no_sessions(stamps: pd.DatetimeIndex) -> None:
    clock = SessionClock.of(stamps)
    assert clock is not None
    assert clock.bar_of_day(stamps) is None
    weekends = int(np.sum(np.diff(stamps.asi8) > 10 * 3600 * 10**9 * (stamps.unit == "ns" or 1e-3)))
    assert clock.opens(stamps).sum() in (0, weekends)


def test_daily_bars_are_sessions_of_their_own() -> None:
    assert SessionClock.of(pd.bdate_range("2024-01-01", periods=30)) is None
    assert SessionClock.of(pd.DatetimeIndex(["2024-01-01"])) is None


def test_half_days_and_holes_are_off_the_slots_or_not_whole() -> None:
    short = US.delete(range(13 * 5 + 7, 13 * 6))  # the sixth day ends after seven bars
    clock = SessionClock.of(short)
    assert clock is not None
    candles = candles_of(short)
    bars = windows(candles, len(short) - 1, 1).bars
    whole = in_whole_sessions(bars)
    # The first day lacks its first bar, which is the anchor; the sixth is short.
    assert whole.sum() == 13 * 58
    odd = short.insert(20, short[19] + pd.Timedelta("7min"))
    places = clock.bar_of_day(odd)
    assert places is not None
    assert places[20] == -1
    learned = SessionClock.of(odd)
    assert learned is not None
    assert np.array_equal(learned.slots, clock.slots)  # a bar of one day is no place of every day


def test_a_path_that_begins_within_a_session_goes_by_the_references_clock() -> None:
    clock = SessionClock.of(US)
    future = trading_days(3, [("09:30", "16:00")], start="2024-06-03")[4:]
    values = np.full((2, len(future), 4), 100, dtype=np.float32)
    paths = PathSet(values, ("open", "high", "low", "close"), future, np.arange(2), 100.0)
    bars = BarArrays.of_paths(paths, clock=clock)
    assert bars.session_bars == 13
    assert np.array_equal(bars.bar_of_day[0], (np.arange(len(future)) + 4) % 13)
    assert not bars.opens_session[0, 0]
    assert bars.opens_session[0].sum() == 2
    assert in_whole_sessions(bars)[0].sum() == 26
    from_open = BarArrays.of_paths(replace(paths, timestamps=future[9:], values=values[:, 9:]), clock=clock)
    assert from_open.opens_session[0, 0]


def test_contrasts_read_the_planted_pattern() -> None:
    candles = with_pattern()
    bars = windows(candles, 13 * 58, 1).bars.select(slice(0, 1))
    # An eighth of 13 bars is the first one; some 58 days of ranges with sd .7 and six middle bars: .1; 4 of them.
    assert session_contrast(bars, bars.lr, early=True) == pytest.approx([0.8], abs=0.4)
    assert session_contrast(bars, bars.lr, early=False) == pytest.approx([0.0], abs=0.4)
    # Log volume has sd 1: 1 / sqrt(58) = .13.
    assert session_contrast(bars, bars.v, early=True) == pytest.approx([1.2], abs=0.55)


def test_contrasts_use_whole_sessions_only() -> None:
    bars = windows(with_pattern(), 20, 1).bars
    whole = in_whole_sessions(bars).any(axis=1)
    contrast = session_contrast(bars, bars.lr, early=True)
    assert np.array_equal(np.isfinite(contrast), whole)
    assert whole.any()
    assert not whole.all()


def test_contrasts_by_hand() -> None:
    places = np.arange(16)[None] % 8
    bars = replace(random_bars(2, 1, 16), session_open=places[0] == 0, bar_of_day=places, session_bars=8)
    x = np.arange(16.0)[None]
    # One bar of eight at either edge (0 and 8; 7 and 15), the middle half is bars 2 to 5 and 10 to 13.
    assert session_contrast(bars, x, early=True) == pytest.approx([4.0 - 7.5])
    assert session_contrast(bars, x, early=False) == pytest.approx([11.0 - 7.5])


def test_the_pattern_is_taken_off_and_the_bars_stay_candles() -> None:
    gauge = Gauge.of(with_pattern())
    assert gauge.season is not None
    # Fresh bars with the same pattern: the reference's pattern must fit them too.
    bars = windows(with_pattern(seed=2), 13 * 58, 1, tick=gauge.tick, clock=gauge.clock).bars.select(slice(0, 1))
    flat = deseasonalise(bars, gauge.season)
    left, before = season_of(flat), season_of(bars)
    assert left is not None
    assert before is not None
    # A slot's mean over 59 days: sd of a log range .7 / sqrt(59) = .09, twice (reference and fresh): .13; 4 of them.
    assert before.shape[:2] == pytest.approx([0.8, 0.8], abs=0.5)
    assert left.shape[:2] == pytest.approx([0, 0], abs=0.5)
    # Each pattern is taken around its own median, so they differ by one number for all places.
    assert np.ptp(before.volume - left.volume - gauge.season.volume) < 1e-9
    assert np.all(flat.high >= np.maximum(flat.open, flat.close) * (1 - 1e-12))
    assert np.all(flat.low <= np.minimum(flat.open, flat.close) * (1 + 1e-12))


def test_taking_off_a_pattern_divides_each_bar_by_its_factor() -> None:
    candles = with_pattern()
    gauge = Gauge.of(candles)
    bars = windows(candles, 26, 26, tick=0.001, clock=gauge.clock).bars
    flat = deseasonalise(bars, gauge.season)
    shape = gauge.season.shape[bars.bar_of_day]
    assert flat.lr == pytest.approx(bars.lr - shape)
    assert flat.b == pytest.approx(bars.b * np.exp(-shape), abs=1e-12)
    assert flat.g == pytest.approx(bars.g * np.exp(-gauge.season.gap[bars.bar_of_day]), abs=1e-12)


def test_only_facts_of_memory_are_measured_without_the_pattern() -> None:
    candles = with_pattern()
    gauge = Gauge.of(candles)
    bars = windows(candles, 65, 65, tick=gauge.tick, clock=gauge.clock).bars
    raw, flat = path_statistics(bars), path_statistics(bars, gauge=gauge)
    # A louder start every 13 bars is a false memory: lag 13 lies in 6-20, and lags 1-5 lose by it.
    for name in ("acf_rng_1_5", "acf_rng_6_20", "acf_r_1", "ext_cluster"):
        assert not np.allclose(raw[name], flat[name], equal_nan=True), name
    for name in ("open_mid_rng", "Lkurt", "body_frac", "log_sd"):
        assert np.array_equal(raw[name], flat[name], equal_nan=True), name


def test_bars_of_other_sessions_than_the_patterns_are_refused() -> None:
    gauge = Gauge.of(with_pattern())
    bars = windows(candles_of(trading_days(20, [("09:30", "11:30")])), 30, 1).bars
    with pytest.raises(DataError, match="sessions of 4 bars, the reference has 13"):
        deseasonalise(bars, gauge.season)
    with pytest.raises(ValueError, match="no place in a session"):
        deseasonalise(random_bars(1, 2, 30), gauge.season)
