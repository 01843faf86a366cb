"""path_statistics as a whole: the naive second writing, laws, blocks, memory and degenerate paths."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from scenario_gen.errors import DataError
from scenario_gen.market import Candles, PathSet
from scenario_gen.realism import facts as stat, panel as cross_asset
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.facts import FACT, FACTS, MANY_FACTS, PAIR_FACTS, path_statistics
from scenario_gen.realism.gauge import Gauge, windows
from tests.realism.facts.made import random_bars, stretched
from tests.realism.facts.naive import naive_statistics

DAILY = [f for f in FACTS if "sessions" not in f.needs and f.id != "exceedances"]
SCALE_FREE = {name for f in DAILY if f.group != "scale" for name in stat.entries(f)}


def test_every_fact_has_a_statistic_and_every_statistic_a_fact() -> None:
    names = {name for fact in FACTS for name in stat.entries(fact)}
    assert names - stat.STATISTICS.keys() == {"exceedances"}
    assert stat.STATISTICS.keys() <= names
    assert cross_asset.PAIR_STATISTICS.keys() == {fact.id for fact in PAIR_FACTS}
    assert len(FACT) == len(FACTS) + len(PAIR_FACTS) + len(MANY_FACTS) + 1  # and the spread


def test_every_judged_fact_but_those_of_scale_has_a_control() -> None:
    for fact in FACTS:
        assert (fact.control == "") == (fact.group == "scale"), fact.id


@pytest.mark.parametrize(("length", "tick"), [(60, 0.0), (60, 0.01), (61, 0.5), (250, 0.0)])
def test_the_statistics_are_those_of_the_naive_writing(length: int, tick: float) -> None:
    bars = random_bars(1, 4, length, tick=tick)
    fast = path_statistics(bars)
    for row in range(len(bars)):
        slow = naive_statistics(bars, row)
        assert slow.keys() == fast.keys()
        for name, value in slow.items():
            assert fast[name][row] == pytest.approx(value, rel=1e-8, abs=1e-10), name


def test_the_naive_writing_agrees_on_real_windows_too(sp500: Candles) -> None:
    real = windows(sp500.rows(2500, 5031), 60, 500).bars
    fast = path_statistics(real)
    for row in range(len(real)):
        for name, value in naive_statistics(real, row).items():
            assert fast[name][row] == pytest.approx(value, rel=1e-8, abs=1e-10), name


def test_a_set_of_paths_is_measured_as_its_parts() -> None:
    bars = random_bars(2, 50, 40)
    whole = path_statistics(bars)
    parts = [path_statistics(bars.select(rows)) for rows in (slice(0, 1), slice(1, 33), slice(33, 50))]
    for name, values in whole.items():
        joined = np.concatenate([part[name] for part in parts])
        # Matrix products may round differently in other shapes: a few units in the last place.
        assert joined == pytest.approx(values, rel=1e-12, abs=1e-13, nan_ok=True), name


def test_memory_grows_by_the_results_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stat, "_BLOCK", 60 * 200)
    bars = random_bars(3, 4000, 60)

    def peak(paths: int) -> int:
        some = bars.select(slice(0, paths))
        tracemalloc.start()
        path_statistics(some)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    entries = len(DAILY) + 2  # hill_std2 and lev_har have two
    results = (4000 - 1000) * entries * 8
    checks = (4000 - 1000) * 60 * 4  # finite and positive prices: flags of one byte
    assert peak(4000) - peak(1000) < 1.2 * (results + checks)


@given(st.floats(0.05, 10), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
@settings(max_examples=25, deadline=None)
def test_scale_free_facts_see_neither_volatility_nor_currency_nor_lots(
    volatility: float, currency: float, lots: float
) -> None:
    bars = random_bars(4, 5, 60)
    other = stretched(bars, volatility)
    prices = {name: currency * getattr(other, name) for name in ("open", "high", "low", "close", "anchor_close")}
    other = replace(other, **prices, volume=lots * bars.volume)
    before, after = path_statistics(bars), path_statistics(other)
    # A place in the range is one of prices, not of logs: it bends a little with the range.
    for name in SCALE_FREE - {"clv_sd", "no_upper_wick", "no_lower_wick"}:
        assert after[name] == pytest.approx(before[name], rel=1e-6, abs=1e-7), name
    assert after["log_sd"] == pytest.approx(before["log_sd"] + np.log(volatility), abs=1e-7)
    assert after["mean_t"] == pytest.approx(before["mean_t"], abs=1e-6)


def test_path_sets_and_history_are_measured_alike(sp500: Candles) -> None:
    part = sp500.rows(3000, 3061)
    paths = PathSet.from_history(part.rows(1, 61), float(part.close[0]))
    made = path_statistics(BarArrays.of_paths(paths, tick=0.01))
    real = path_statistics(windows(part, 60, 60, tick=0.01).bars)
    for name, values in real.items():
        # float32 prices are off by 6e-8, a thousandth of a basis point of a 1 % bar: moments move by 1e-4 at most.
        assert made[name] == pytest.approx(values, abs=2e-4), name


def test_what_bars_lack_is_left_out_or_undefined_when_asked_for() -> None:
    bars = replace(random_bars(5, 3, 60), volume=None)
    given = path_statistics(bars)
    assert not given.keys() & {f.id for f in FACTS if f.needs & {"volume", "sessions"}}
    assert "exceedances" not in given
    asked = path_statistics(bars, facts=["vol_acf_1_5", "open_mid_rng", "exceedances", "Lkurt"])
    assert [np.isnan(values).all() for values in asked.values()] == [True, True, True, False]


def test_large_moves_are_large_for_the_reference(sp500: Candles) -> None:
    gauge = Gauge.of(sp500)
    whole = path_statistics(windows(sp500, 5030, 1).bars, facts=["exceedances"], gauge=gauge)
    assert whole["exceedances"] == pytest.approx([0.05], abs=1 / 5030)


def one_price(close: np.ndarray, volume: np.ndarray) -> BarArrays:
    return BarArrays.of_arrays(close, close, close, close, volume, anchor_close=100.0)


def with_close(wrong: float) -> BarArrays:
    bars = random_bars(6, 3, 60)
    close = bars.close.copy()
    close[1, 7] = wrong
    return replace(bars, close=close)


GOOD = random_bars(6, 3, 60)
GROWTH = 100 * 1.01 ** np.arange(1.0, 61)[None]
DEGENERATE = {
    "constant": one_price(np.full((3, 60), 100.0), np.full((3, 60), 7.0)),
    "steady growth": one_price(GROWTH, np.exp(np.arange(60.0))[None]),
    "one jump": one_price(np.where(np.arange(60) < 30, 100.0, 120.0)[None], np.ones((1, 60))),
    "no ranges": replace(GOOD, open=GOOD.close, high=GOOD.close, low=GOOD.close),
    "no volume traded": replace(GOOD, volume=np.zeros((3, 60))),
    "no paths": GOOD.select(slice(0, 0)),
    **{f"{length} bars": random_bars(6, 3, length) for length in (1, 2, 3, 9, 11)},
    **{f"a price {wrong}": with_close(wrong) for wrong in (np.nan, np.inf, 0.0, -1.0)},
}


@pytest.mark.parametrize("tick", [0.0, 0.01])
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_paths_are_undefined_never_infinite_and_never_warn(name: str, tick: float) -> None:
    bars = DEGENERATE[name].with_tick(tick)
    for fact, values in path_statistics(bars).items():
        assert values.shape == (len(bars),), fact
        assert not np.isinf(values).any(), fact


def test_a_constant_path_has_no_moments_at_all() -> None:
    defined = {k for k, v in path_statistics(DEGENERATE["constant"]).items() if np.isfinite(v).any()}
    assert defined == {"no_upper_wick", "no_lower_wick", "zero_ret_share"}


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.0, -1.0])
def test_a_broken_price_undoes_its_own_path_only(wrong: float) -> None:
    good, broken = path_statistics(GOOD), path_statistics(with_close(wrong))
    for fact, values in broken.items():
        assert np.isnan(values[1]), fact
        assert values[[0, 2]] == pytest.approx(good[fact][[0, 2]]), fact


def test_bars_without_volume_are_left_out_of_volume_facts() -> None:
    bars = random_bars(7, 2, 60)
    volume = bars.volume.copy()
    volume[0, 13] = 0
    volume[1, :40] = 0
    measured = path_statistics(replace(bars, volume=volume), facts=["vol_rng_corr", "vol_acf_1_5"])
    keep = np.arange(60) != 13
    known = np.log(volume[0, keep])
    line = np.polyfit(np.flatnonzero(keep), known, 1)
    left = known - np.polyval(line, np.flatnonzero(keep))
    assert measured["vol_rng_corr"][0] == pytest.approx(np.corrcoef(left, bars.lr[0, keep])[0, 1])
    assert np.isfinite(measured["vol_acf_1_5"]).tolist() == [True, False]


possible = st.floats(50, 200) | st.floats(1e-30, 1e30) | st.sampled_from([1e-30, 1e30, 100.0])
anything = possible | st.floats()
prices = arrays(np.float64, (2, 12), elements=possible) | arrays(np.float64, (2, 12), elements=anything)


@given(prices, prices, prices, prices, prices, st.sampled_from([0.0, 0.01]))
@settings(max_examples=100, deadline=None)
def test_no_numbers_whatever_make_a_warning_or_an_infinity(
    o: np.ndarray, h: np.ndarray, low: np.ndarray, c: np.ndarray, volume: np.ndarray, tick: float
) -> None:
    bars = BarArrays.of_arrays(o, h, low, c, volume, anchor_close=[100.0, c[0, 0]], tick=tick)
    for fact, values in path_statistics(bars).items():
        assert not np.isinf(values).any(), fact
        assert np.isnan(values[~bars.valid]).all(), fact


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"open": np.ones((2, 4))}, "different shapes: open \\(2, 4\\), high \\(2, 5\\)"),
        ({"close": np.ones((2, 5, 1))}, "close has 3 dimensions"),
        ({"low": np.full((2, 5), "x")}, "low cannot be read as numbers"),
        ({"anchor_close": np.ones(3)}, "anchor_close has shape \\(3,\\)"),
    ],
)
def test_arrays_that_are_no_paths_are_refused(columns: dict[str, np.ndarray], message: str) -> None:
    good = {name: np.ones((2, 5)) for name in ("open", "high", "low", "close")}
    with pytest.raises(DataError, match=message):
        BarArrays.of_arrays(**({**good, "anchor_close": 1.0} | columns))


def test_windows_hold_the_bars_after_their_anchor(sp500: Candles) -> None:
    cut = windows(sp500, 60, 15)
    assert cut.start[:2].tolist() == [1, 16]
    assert cut.start[-1] + 60 <= len(sp500) < cut.start[-1] + 60 + 15
    k, row = 7, int(cut.start[7])
    assert np.array_equal(cut.bars.close[k], sp500.close[row : row + 60])
    assert cut.bars.anchor_close[k] == sp500.close[row - 1]
    assert len(cut.select(cut.start > 4000)) == int((cut.start > 4000).sum())


def test_a_history_shorter_than_a_window_is_refused_with_its_length(sp500: Candles) -> None:
    with pytest.raises(DataError, match="has 60 bars, but one window of 60 bars needs 61"):
        windows(sp500.rows(0, 60), 60, 15)
    assert len(windows(sp500.rows(0, 61), 60, 15)) == 1


def test_bars_of_daily_and_intraday_paths_know_their_sessions() -> None:
    values = np.full((2, 3, 4), 100, dtype=np.float32)
    fields = ("open", "high", "low", "close")
    daily = PathSet(values, fields, pd.bdate_range("2024-01-01", periods=3), np.arange(2), 100.0)
    assert BarArrays.of_paths(daily).session_open is None
    assert BarArrays.of_paths(daily).opens_session.all()
    hourly = replace(daily, timestamps=pd.date_range("2024-01-01", periods=3, freq="1h"))
    assert not BarArrays.of_paths(hourly).opens_session.any()
