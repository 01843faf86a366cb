"""Estimators on candles: Brownian motion, hand-worked bars, and reflections that must turn the signs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from scenario_gen.realism import candle as cd
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.facts import path_statistics
from tests.realism.facts.made import from_parts, mirrored, random_bars

STEPS = 1000
SHIFT = 0.5826 / np.sqrt(STEPS)  # what a walk's extreme misses of Brownian motion's: Broadie et al. 1997


def brownian_bars(seed: int, bars: int, drift: float) -> BarArrays:
    """One path of gapless bars of a Brownian motion with unit variance per bar, extremes corrected for steps."""
    rng = np.random.default_rng(seed)
    walk = (rng.standard_normal((bars, STEPS)) / np.sqrt(STEPS) + drift / STEPS).cumsum(axis=1)
    body = walk[:, -1]
    high = np.maximum(walk.max(axis=1), 0) + SHIFT
    low = np.minimum(walk.min(axis=1), 0) - SHIFT
    made = from_parts(
        np.zeros((1, bars)),
        0.01 * body[None],
        0.01 * (high - np.maximum(body, 0))[None],
        0.01 * (np.minimum(body, 0) - low)[None],
    )
    assert pytest.approx(0.01 * (high - low)[None]) == made.R
    return made


# Var of each estimator on one bar of unit variance: Parkinson .41, Rogers-Satchell .33, Garman-Klass .27, b^2 2.
# With 5,000 bars a standard error is sqrt(var / 5000): .009, .008, .007. The correction leaves O(1 / steps).
# Tolerance 4 standard errors of the widest: .037.
@pytest.mark.parametrize("estimator", [cd.parkinson, cd.rogers_satchell, cd.garman_klass, cd.yang_zhang])
def test_range_variances_are_unbiased_on_brownian_motion(estimator) -> None:  # type: ignore[no-untyped-def]
    assert estimator(brownian_bars(1, 5000, 0.0))[0] == pytest.approx(1e-4, rel=0.037)


def test_only_rogers_satchell_and_yang_zhang_ignore_the_drift() -> None:
    bars = brownian_bars(2, 5000, 1.5)  # 1.5 standard deviations per bar
    assert cd.rogers_satchell(bars)[0] == pytest.approx(1e-4, rel=0.037)
    assert cd.yang_zhang(bars)[0] == pytest.approx(1e-4, rel=0.037)
    assert cd.parkinson(bars)[0] > 1.4e-4
    assert cd.open_close_variance(bars)[0] == pytest.approx((1 + 1.5**2) * 1e-4, rel=0.08)


def hand_bars(**changed: list[float]) -> BarArrays:
    columns = {
        "open": [100.0, 104.0, 102.0, 102.0],
        "high": [110.0, 104.0, 102.0, 106.0],
        "low": [95.0, 100.0, 102.0, 98.0],
        "close": [105.0, 101.0, 102.0, 102.0],
    } | changed
    return BarArrays.of_arrays(**columns, anchor_close=100.0)


def test_wicks_bodies_and_places_by_hand() -> None:
    bars = hand_bars()
    # The third bar has no range: it is left out of shares, and counted as wickless on both sides.
    assert cd.upper_wickless_share(bars) == pytest.approx([2 / 4])
    assert cd.lower_wickless_share(bars) == pytest.approx([1 / 4])
    places = [(105 - 95) / 15, (101 - 100) / 4, (102 - 98) / 8]
    assert cd.close_place_spread(bars) == pytest.approx([np.std(places, ddof=1)])
    ln = np.log
    bodies = [ln(1.05) / ln(110 / 95), ln(104 / 101) / ln(1.04), 0]
    assert cd.mean_share(np.abs(bars.b), bars.R) == pytest.approx([np.mean(bodies)])
    wicks = [
        (ln(110 / 105) - ln(100 / 95)) / ln(110 / 95),
        -ln(101 / 100) / ln(1.04),
        (ln(106 / 102) - ln(102 / 98)) / ln(106 / 98),
    ]
    assert cd.mean_share(cd.wick_difference(bars), bars.R) == pytest.approx([np.mean(wicks)])
    # Closes 105, 101, 102, 102 from 100: one stands still.
    assert cd.still_share(bars) == pytest.approx([1 / 4])


def test_a_wick_of_less_than_half_a_tick_is_none() -> None:
    bars = hand_bars(high=[105.004, 104.0, 102.0, 106.0])
    assert cd.upper_wickless_share(bars) == pytest.approx([2 / 4])
    assert cd.upper_wickless_share(bars.with_tick(0.01)) == pytest.approx([3 / 4])


def test_gaps_by_hand() -> None:
    bars = hand_bars()
    g = np.log([100 / 100, 104 / 105, 102 / 101, 102 / 102])
    b = np.log([1.05, 101 / 104, 1, 1])
    assert bars.g[0] == pytest.approx(g)
    assert cd.gap_share(bars) == pytest.approx([(g**2).sum() / ((g**2).sum() + (b**2).sum())])


def test_within_a_session_an_open_apart_from_the_close_before_is_no_gap() -> None:
    opens = np.array([True, False, True, False])
    bars = replace(hand_bars(), session_open=opens)
    rest = bars.r[0] - np.where(opens, bars.g[0], 0)
    gaps = bars.g[0][opens]
    assert cd.gap_share(bars) == pytest.approx([(gaps**2).sum() / ((gaps**2).sum() + (rest**2).sum())])
    never = replace(bars, session_open=np.zeros(4, dtype=bool))
    assert np.isnan(cd.gap_share(never)).all()


def test_only_session_gaps_count_and_ten_of_them_are_needed() -> None:
    opens = np.arange(60) % 6 == 0
    bars = replace(random_bars(9, 2, 60), session_open=opens)
    measured = path_statistics(bars, facts=["gap_Lkurt", "gap_body_corr"])
    for row in range(2):
        gaps, bodies = bars.g[row][opens], bars.b[row][opens]
        assert measured["gap_Lkurt"][row] == pytest.approx(stats.lmoment(gaps, order=4, standardize=True))
        assert measured["gap_body_corr"][row] == pytest.approx(np.corrcoef(gaps, bodies)[0, 1])
    nine = replace(bars, session_open=opens & (np.arange(60) > 0))
    assert np.isnan(path_statistics(nine, facts=["gap_Lkurt", "gap_body_corr"])["gap_Lkurt"]).all()
    assert np.isnan(path_statistics(nine, facts=["gap_body_corr"])["gap_body_corr"]).all()


def test_a_mirrored_market_has_the_opposite_asymmetries_and_the_same_rest() -> None:
    bars = random_bars(3, 20, 60)
    before, after = path_statistics(bars), path_statistics(mirrored(bars))
    turned = {"Lskew", "wick_asym", "lev_rng_1_5", "lev_abs_1_10", "lev_har.num", "dd_over_du", "vol_r_corr", "mean_t"}
    # A mirrored close stands at 1 - (c - l) / (h - l) only in logs; wicks change sides; falls become rises.
    apart = {"clv_sd", "no_upper_wick", "no_lower_wick", "mdd_norm"}
    for name in before.keys() - apart:
        sign = -1 if name in turned else 1
        assert after[name] == pytest.approx(sign * before[name], abs=1e-9), name
    assert after["no_upper_wick"] == pytest.approx(before["no_lower_wick"])
    assert after["mdd_norm"] == pytest.approx(before["mdd_norm"] * np.exp(-before["dd_over_du"]))
    assert after["clv_sd"] == pytest.approx(before["clv_sd"], rel=0.05)


def test_a_market_turned_round_in_time_has_the_opposite_zumbach_effect() -> None:
    made = random_bars(4, 20, 60)
    none = np.zeros_like(made.g)
    wicks = made.hh - np.maximum(made.b, 0), np.minimum(made.b, 0) - made.ll
    forth = from_parts(none, made.b, *wicks)
    back = from_parts(none, -made.b[:, ::-1], *(w[:, ::-1] for w in wicks))
    assert cd.zumbach(back) == pytest.approx(-cd.zumbach(forth), abs=1e-9)


def test_volatility_that_follows_moves_has_a_zumbach_effect() -> None:
    # A bar's volatility is set by the move before it: |r_t| tells of w_{t+1}, w_t less of |r_{t+1}|.
    rng = np.random.default_rng(5)
    shocks, wicks = rng.standard_normal((200, 250)), rng.exponential(size=(2, 200, 250))
    body, sigma = np.empty((200, 250)), np.full(200, 0.01)
    up, down = np.empty((2, 200, 250))
    for t in range(250):
        body[:, t] = sigma * shocks[:, t]
        up[:, t], down[:, t] = sigma * wicks[:, :, t]
        sigma = np.sqrt(3e-5 + 0.7 * body[:, t] ** 2)
    effect = cd.zumbach(from_parts(np.zeros((200, 250)), body, up, down))
    assert effect.mean() > 5 * effect.std() / np.sqrt(200)
