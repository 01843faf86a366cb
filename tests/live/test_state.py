"""What is odd about the bars that came is found where it was planted, and real bars are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.live.state import compared, find_anomalies, market_state
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import FIELDS, Candles

BARS = 400


def made(seed: int = 1, bars: int = BARS, sizes: float | np.ndarray = 0.004, freq: str = "h") -> Candles:
    rng = np.random.default_rng(seed)
    steps = sizes * rng.standard_normal(bars)
    close = 100 * np.exp(steps.cumsum())
    opened = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    volume = rng.uniform(5, 50, bars)
    stamps = pd.date_range("2024-01-01", periods=bars, freq=freq, tz="UTC")
    return Candles(stamps, np.stack((opened, high, low, close, volume), axis=1), FIELDS[:5], calendar="24/7")


def hours(bars: Candles) -> BarCalendar:
    return BarCalendar.infer(bars.timestamps[: BARS // 2], "24/7")


def kinds(bars: Candles, new: int = 24, now: pd.Timestamp | None = None) -> list[str]:
    return [each.kind for each in find_anomalies(bars, new, hours(bars), now=now)]


def scaled(bars: Candles, row: int, factor: float) -> Candles:
    """Return bars whose prices are a multiple from a row on."""
    values = bars.values.copy()
    values[row:, :4] *= factor
    return replace(bars, values=values)


def test_ordinary_bars_have_no_anomaly():
    bars = made()
    assert kinds(bars, now=bars.timestamps[-1] + pd.Timedelta("1h59min")) == []
    assert kinds(bars, new=0) == []


def test_real_bars_are_called_odd_as_rarely_as_is_claimed(sp500):
    odd = find_anomalies(sp500, 4000, BarCalendar.infer(sp500.timestamps, "XNYS"))
    # of 5,000 bars alike, ln(5) = 1.6 are expected to beat all before them after the first 1,000: here it is the day of
    # the Shanghai fall; exchange holidays, 2001-09-11 and the hurricane of 2012 are no gaps
    assert [(each.kind, each.stamp[:10]) for each in odd] == [("jump", "2007-02-27")]


def test_a_jump_is_what_beats_every_bar_before():
    bars = scaled(made(), BARS - 5, 1.1)
    found = find_anomalies(bars, 24, hours(bars))
    assert [each.kind for each in found] == ["jump"]
    assert found[0].stamp == bars.timestamps[BARS - 5].isoformat()
    assert "+9" in found[0].words or "+10" in found[0].words
    assert kinds(bars, new=4) == []  # it was told when it came
    larger_before = scaled(bars, 300, 1.5)
    assert kinds(larger_before) == []


def test_missing_bars_are_a_gap():
    bars = made()
    keep = np.ones(BARS, dtype=bool)
    keep[[BARS - 10, BARS - 9, BARS - 4]] = False
    holed = replace(bars, timestamps=bars.timestamps[keep], values=bars.values[keep])
    found = find_anomalies(holed, 20, hours(bars))
    assert [(each.kind, each.stamp) for each in found] == [
        ("gap", bars.timestamps[BARS - 8].isoformat()),
        ("gap", bars.timestamps[BARS - 3].isoformat()),
    ]
    assert found[0].words.startswith("2 bars are missing")


def test_a_weekend_is_no_gap_and_makes_nothing_stale():
    days = made(freq="B", bars=BARS)
    bars = replace(days, calendar="")
    calendar = BarCalendar.infer(bars.timestamps)
    monday = next(stamp for stamp in bars.timestamps[::-1] if stamp.day_of_week == 0)
    until = bars.rows(0, int(bars.timestamps.get_loc(monday)))  # ends on a Friday
    assert find_anomalies(until, 24, calendar, now=monday + pd.Timedelta("8h")) == []


def test_a_source_that_has_stopped_is_stale():
    bars = made()
    last = bars.timestamps[-1]
    found = find_anomalies(bars, 0, hours(bars), now=last + pd.Timedelta("5h30min"))
    assert [each.kind for each in found] == ["stale"]
    assert found[0].words == f"the last bar: 5 more were due by {last + pd.Timedelta('5h30min'):%Y-%m-%d %H:%M}"


def test_a_close_that_no_longer_moves_is_still():
    bars = made()
    values = bars.values.copy()
    values[-4:, :4] = values[-5, 3]
    found = find_anomalies(replace(bars, values=values), 24, hours(bars))
    assert [each.kind for each in found] == ["still"]
    assert "for 4 bars" in found[0].words


def test_bars_without_volume_are_told_unless_the_history_is_full_of_them():
    bars = made()
    values = bars.values.copy()
    values[-3, 4] = 0
    assert kinds(replace(bars, values=values)) == ["no_volume"]
    values[::20, 4] = 0
    assert kinds(replace(bars, values=values)) == []


def test_of_many_alike_the_first_are_told_and_the_rest_counted():
    bars = made()
    values = bars.values.copy()
    values[-20:, 4] = 0
    found = find_anomalies(replace(bars, values=values), 24, hours(bars))
    assert len(found) == 6
    assert found[-1].words == "and 15 more of this kind"


def test_bars_that_came_again_with_other_values_and_bars_between_known_ones_are_told():
    bars = made(bars=50)
    values = bars.values.copy()
    values[20, 3] *= 1.0001
    values[21, 3] *= 1 + 1e-9  # rounding
    came = replace(bars, values=values)
    assert compared(bars, bars) == []
    (revised,) = compared(came, bars)
    assert (revised.kind, revised.stamp) == ("revised", bars.timestamps[20].isoformat())
    assert f"close was {bars.close[20]:.8g}" in revised.words
    keep = np.arange(50) != 30
    known = replace(bars, timestamps=bars.timestamps[keep], values=bars.values[keep])
    assert [each.kind for each in compared(bars, known)] == ["order"]


@pytest.mark.parametrize(("last", "regime"), [(0.001, "calm"), (0.02, "turbulent")])
def test_the_regime_is_the_place_of_the_latest_stretch_among_the_others(last, regime):
    sizes = np.full(BARS, 0.004)
    sizes[-24:] = last
    bars = made(sizes=sizes)
    state = market_state(bars, 24, bars.timestamps[-1] + pd.Timedelta("1h"), None, [])
    assert state.regime == regime
    assert state.volatility == pytest.approx(last, rel=0.5)  # three errors of 24 returns: 3 / sqrt(48) = .43
    assert state.percentile in (0.0, 1.0)


def test_a_short_history_has_no_regime():
    bars = made(bars=100)
    state = market_state(bars, 24, bars.timestamps[-1], None, [])
    assert (state.regime, state.percentile) == ("unknown", None)
    assert "4 stretches of 24 bars" in state.words


def test_bars_to_come_within_the_training_data_are_contaminated():
    bars = made()
    first = bars.timestamps[-1] + pd.Timedelta("1h")
    labels = [
        market_state(bars, 24, first, until, []).contamination.label for until in ("2030-01-01", "2020-01-01", "")
    ]
    assert labels == ["WARN", "PASS", "UNTESTABLE"]
