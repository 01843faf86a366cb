"""Facts of several assets: by plain loops and scipy, by what was measured before, and by laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from scenario_gen.market import load_candles
from scenario_gen.market.path_tables import shared_bars
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.facts import FACT, MANY_FACTS, PAIR_FACTS
from scenario_gen.realism.gauge import Gauge, windows
from scenario_gen.realism.panel import Panel, cross_facts, cross_statistics, fisher_z
from tests.realism.facts.made import random_bars

# Per-path means of real windows of 60 bars of the S&P 500 with the NASDAQ, 1999-2018, measured before by other code.
# Two cuts of the same 83 whole windows differ by less than 2 sd / sqrt(83), the tolerance of test_real_windows.
MEASURED = {
    "fisher_corr_r": 1.70,
    "corr_abs_r": 0.85,
    "corr_lnrange": 0.81,
    "corr_dv": 0.78,
    "lowtail_coexc10": 0.74,
    "uptail_coexc10": 0.75,
    "stress_corr_diff": 0.63,
    "leadlag1": 0.016,
    "xlev": -0.125,
}


@pytest.fixture(scope="module")
def real() -> Panel:
    histories = shared_bars([load_candles("sp500"), load_candles("nasdaq")])
    return Panel(("S&P 500", "NASDAQ"), tuple(windows(history, 60, 15).bars for history in histories))


@pytest.mark.parametrize("fact", MEASURED)
def test_real_windows_give_what_was_measured_before(real: Panel, fact: str) -> None:
    found = cross_statistics(real)[fact]
    assert np.isfinite(found).all()
    assert found.mean() == pytest.approx(MEASURED[fact], abs=2 * found.std() / np.sqrt(83))


def test_every_statistic_is_that_of_plain_loops(real: Panel) -> None:
    found = cross_statistics(real)
    assert set(found) == {fact.id for fact in PAIR_FACTS} | {"spread"}
    for row in (0, 100, 331):
        for name, value in naive(*real.bars, row).items():
            assert found[name][row] == pytest.approx(value, rel=1e-9, abs=1e-9), name


def naive(one: BarArrays, other: BarArrays, row: int) -> dict[str, float]:
    """The statistics of one path of two assets, with scipy and loops."""
    r, lr, v, closes = [], [], [], []
    for bars in (one, other):
        close = np.array([bars.anchor_close[row], *bars.close[row]])
        closes.append(close)
        r.append(np.diff(np.log(close)))
        span = np.log(bars.high[row] / bars.low[row])
        lr.append(np.log(span + bars.tick / 2 / bars.close[row]))
        v.append(np.log(bars.volume[row]))
    tails = {}
    for name, sign in (("lowtail_coexc10", 1), ("uptail_coexc10", -1)):
        edges = [np.percentile(sign * x, 10) for x in r]
        both = [t for t in range(60) if sign * r[0][t] < edges[0] and sign * r[1][t] < edges[1]]
        tails[name] = len(both) / 60 / 0.1
    widest = sorted(range(60), key=lambda t: -(lr[0][t] + lr[1][t]))
    parts = [stats.pearsonr(r[0][part], r[1][part]).statistic for part in (widest[:18], widest[18:])]
    return {
        "fisher_corr_r": np.arctanh(stats.pearsonr(*r).statistic),
        "corr_abs_r": stats.pearsonr(*map(np.abs, r)).statistic,
        "corr_lnrange": stats.pearsonr(*lr).statistic,
        "corr_dv": stats.pearsonr(*map(np.diff, v)).statistic,
        **tails,
        "stress_corr_diff": np.arctanh(parts[0]) - np.arctanh(parts[1]),
        "leadlag1": ccf(r[0], r[1], 1) - ccf(r[1], r[0], 1),
        "xlev": np.mean([ccf(r[a], lr[1 - a], k) for a in (0, 1) for k in range(1, 6)]),
        "spread": np.log(closes[0][-1] / closes[0][0]) - np.log(closes[1][-1] / closes[1][0]),
    }


def ccf(x: np.ndarray, y: np.ndarray, lag: int) -> float:
    """corr(x_t, y_{t + lag}) in the 1 / n form."""
    x, y = x - x.mean(), y - y.mean()
    products = [x[t] * y[t + lag] for t in range(len(x) - lag)]
    return float(sum(products) / np.sqrt(np.sum(x**2) * np.sum(y**2)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.floats(0.1, 10))
def test_order_and_price_level_do_not_matter_but_for_the_sign_of_a_lead(seed: int, factor: float) -> None:
    one, other = random_bars(seed, 3, 60), random_bars(seed + 1, 3, 60)
    scaled = replace(
        one, **{name: getattr(one, name) * factor for name in ("open", "high", "low", "close", "anchor_close")}
    )
    there = cross_statistics(Panel(("a", "b"), (one, other)))
    back = cross_statistics(Panel(("b", "a"), (other, scaled)))
    for name, values in there.items():
        sign = -1 if name in ("leadlag1", "spread") else 1
        np.testing.assert_allclose(back[name], sign * values, rtol=1e-6, atol=1e-9, err_msg=name)


def test_an_asset_with_itself_is_at_the_end_of_every_scale() -> None:
    bars = random_bars(1, 4, 60)
    found = cross_statistics(Panel(("a", "b", "c"), (bars, bars, bars)))
    for name in ("corr_abs_r", "corr_lnrange", "corr_dv", "lowtail_coexc10", "uptail_coexc10", "top_eigen_share"):
        np.testing.assert_allclose(found[name], 1.0, atol=1e-9)
    np.testing.assert_allclose(found["fisher_corr_r"], fisher_z(np.ones(4)))
    assert np.isfinite(found["fisher_corr_r"]).all()
    for name in ("leadlag1", "spread", *(f"{fact.id}_sd" for fact in PAIR_FACTS)):
        np.testing.assert_allclose(found[name], 0.0, atol=1e-9)


def test_more_assets_give_mean_and_spread_over_their_pairs_and_the_first_eigenvalue() -> None:
    one, two, three = (random_bars(seed, 5, 60) for seed in (1, 2, 3))
    mixed = two.chained(0.5 * (one.g + two.g), 0.5 * (one.b + two.b), two.hh, two.ll, two.volume)
    found = cross_statistics(Panel(("a", "b", "c"), (one, mixed, three)))
    pairs = [cross_statistics(Panel(("x", "y"), pair)) for pair in ((one, mixed), (one, three), (mixed, three))]
    for fact in PAIR_FACTS:
        each = np.stack([pair[fact.id] for pair in pairs])
        np.testing.assert_allclose(found[fact.id], each.mean(axis=0))
        np.testing.assert_allclose(found[f"{fact.id}_sd"], each.std(axis=0, ddof=1))
    for path in range(5):
        matrix = np.corrcoef([bars.r[path] for bars in (one, mixed, three)])
        assert found["top_eigen_share"][path] == pytest.approx(np.linalg.eigvalsh(matrix)[-1] / 3)
    assert set(found) == {fact.id for fact in cross_facts(Panel(("a", "b", "c"), (one, two, three)))}


def test_of_many_assets_fifty_pairs_are_chosen_and_all_stand_in_them() -> None:
    bars = random_bars(1, 1, 60)
    panel = Panel(tuple(map(str, range(30))), (bars,) * 30)
    assert len(panel.pairs) == 50
    assert {asset for pair in panel.pairs for asset in pair} >= set(range(20))
    assert all(one < other for one, other in panel.pairs)
    assert len(Panel(tuple("abcdefghij"), (bars,) * 10).pairs) == 45


def test_a_broken_price_in_one_asset_leaves_the_whole_path_without_a_value() -> None:
    one, other = random_bars(1, 3, 60), random_bars(2, 3, 60)
    broken = replace(other, close=np.where(np.arange(3)[:, None] == 1, np.nan, other.close))
    for name, values in cross_statistics(Panel(("a", "b"), (one, broken))).items():
        assert np.isnan(values).tolist() == [False, True, False], name


def test_an_asset_without_volume_takes_only_that_fact_away() -> None:
    one, other = random_bars(1, 3, 60), replace(random_bars(2, 3, 60), volume=None)
    assert {fact.id for fact in PAIR_FACTS} - set(cross_statistics(Panel(("a", "b"), (one, other)))) == {"corr_dv"}


def test_an_asset_that_stands_still_has_no_dependence() -> None:
    still = BarArrays.of_arrays(*(np.full((2, 60), 100.0),) * 4, np.full((2, 60), 5.0), anchor_close=100.0)
    found = cross_statistics(Panel(("a", "b", "c"), (still, random_bars(1, 2, 60), random_bars(2, 2, 60))))
    for name in ("fisher_corr_r", "corr_abs_r", "corr_lnrange", "corr_dv", "top_eigen_share"):
        assert np.isnan(found[name]).all(), name


def test_a_shared_time_of_day_is_not_taken_for_dependence() -> None:
    """Two independent assets whose ranges and volumes swell at the same hours, 40 sessions of 24 bars."""
    rng = np.random.default_rng(5)
    stamps = pd.DatetimeIndex(
        [day + pd.Timedelta(minutes=5 * k) for day in pd.bdate_range("2024-01-02 10:00", periods=40) for k in range(24)]
    )
    histories = [seasonal(stamps, rng) for _ in range(2)]
    gauges = [Gauge.of(history) for history in histories]
    cut = [windows(h, 72, 24, tick=g.tick, clock=g.clock).bars for h, g in zip(histories, gauges, strict=True)]
    panel = Panel(("a", "b"), tuple(cut))
    raw, flat = cross_statistics(panel), cross_statistics(panel, gauges=gauges)
    # The pattern alone gives a correlation of log ranges near .8; independent bars one of 0 with a standard error of
    # 1 / sqrt(38 * 72) = .02 over the windows.
    assert raw["corr_lnrange"].mean() > 0.6
    assert abs(flat["corr_lnrange"].mean()) < 0.08


def seasonal(stamps: pd.DatetimeIndex, rng: np.random.Generator):
    from scenario_gen.market import Candles

    swell = np.exp(1.5 * np.cos(np.linspace(0, 2 * np.pi, 24)))
    size = 0.001 * np.tile(swell, len(stamps) // 24)
    steps = rng.normal(0, size)
    close = 100 * np.exp(np.cumsum(steps))
    opened = close * np.exp(-steps)
    wicks = size * rng.exponential(1.0, (2, len(stamps)))
    values = [opened, np.maximum(opened, close) * np.exp(wicks[0]), np.minimum(opened, close) * np.exp(-wicks[1])]
    volume = np.exp(8 + np.log(np.tile(swell, len(stamps) // 24)) + 0.3 * rng.standard_normal(len(stamps)))
    return Candles(stamps, np.column_stack([*values, close, volume]), ("open", "high", "low", "close", "volume"))


def test_every_fact_of_several_assets_has_an_entry_and_a_control() -> None:
    for fact in (*PAIR_FACTS, *MANY_FACTS):
        assert FACT[fact.id] is fact
        assert fact.group == "cross_asset"
        assert fact.number == "19"
        assert fact.control in ("independent", "misaligned")


def test_a_panel_of_one_asset_or_of_two_shapes_is_a_mistake_of_the_caller() -> None:
    bars = random_bars(1, 3, 60)
    for assets, parts in ((("a",), (bars,)), (("a", "b"), (bars, random_bars(1, 3, 50))), (("a",), (bars, bars))):
        with pytest.raises(ValueError, match="names for"):
            Panel(assets, parts)
