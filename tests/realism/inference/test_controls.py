"""Negative controls: each lacks one property and keeps the others, and all are valid candles."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.planted import (
    HALF_LIVES,
    SPREAD,
    block_bootstrap,
    calmer,
    collapsed,
    copy,
    garch,
    simulate,
    stationary_index,
)
from scenario_gen.market import Candles
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.controls import CONTROLS, PERSISTENCE, STEPS, Relative, brownian_candles, negative_control
from scenario_gen.realism.facts import path_statistics
from scenario_gen.realism.gauge import windows

PATHS = 300


@pytest.fixture(scope="module")
def real(nasdaq: Candles) -> BarArrays:
    return windows(nasdaq.rows(0, 2500), 60, 15).bars


def made(name: str, real: BarArrays, seed: int = 1) -> BarArrays:
    return negative_control(name, real, PATHS, np.random.default_rng(seed))


def assert_valid(bars: BarArrays) -> None:
    assert bars.valid.all()
    slack = 1e-12 * bars.close  # prices are rebuilt from logs
    assert (bars.high >= np.maximum(bars.open, bars.close) - slack).all()
    assert (bars.low <= np.minimum(bars.open, bars.close) + slack).all()
    assert bars.volume is not None
    assert (bars.volume >= 0).all()


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_gives_valid_candles_of_the_wanted_shape(name: str, real: BarArrays) -> None:
    bars = made(name, real)
    assert bars.close.shape == (PATHS, 60)
    assert_valid(bars)
    assert np.array_equal(bars.close, made(name, real).close)  # the seed decides
    assert not np.array_equal(bars.close, made(name, real, seed=2).close)


def test_a_shuffle_keeps_bars_whole_and_forgets_their_order(real: BarArrays) -> None:
    bars, pool = made("shuffle", real), Relative.of(real).flat()
    known = np.unique(np.round(np.column_stack([pool.g, pool.b, pool.hh, pool.ll]), 9), axis=0)
    drawn = np.unique(np.round(np.column_stack([x.ravel() for x in (bars.g, bars.b, bars.hh, bars.ll)]), 9), axis=0)
    assert len(np.unique(np.concatenate([known, drawn]), axis=0)) == len(known)
    # Independent bars: the mean acf over 5 lags has expectation -1/60 and standard error 1/sqrt(5*60*300).
    assert path_statistics(bars)["acf_rng_1_5"].mean() == pytest.approx(-1 / 60, abs=0.01)


def test_random_signs_keep_sizes_in_their_order_and_mirror_candles(real: BarArrays) -> None:
    rng = np.random.default_rng(1)
    template = real.select(rng.integers(len(real), size=PATHS))
    bars = made("signflip", real)
    assert np.allclose(np.abs(bars.b), np.abs(template.b))
    assert np.allclose(bars.R, template.R)
    flipped = np.sign(bars.b) != np.sign(template.b)
    assert np.allclose(bars.hh[flipped & (template.b != 0)], -template.ll[flipped & (template.b != 0)])
    assert flipped.mean() == pytest.approx(0.5, abs=0.02)  # 18,000 coins: standard error .004


def test_backwards_is_the_same_path_read_from_its_end(real: BarArrays) -> None:
    rng = np.random.default_rng(1)
    template = real.select(rng.integers(len(real), size=PATHS))
    bars = made("reverse", real)
    assert np.allclose(bars.open / bars.open[:, :1], template.close[:, ::-1] / template.close[:, -1:])
    assert np.allclose(bars.close / bars.open[:, :1], template.open[:, ::-1] / template.close[:, -1:])
    assert np.allclose(bars.high / bars.open[:, :1], template.high[:, ::-1] / template.close[:, -1:])
    assert bars.volume is not None
    assert template.volume is not None
    assert np.array_equal(bars.volume, template.volume[:, ::-1])


def test_the_ar1_control_carries_15_percent_of_each_return_on(real: BarArrays) -> None:
    rng = np.random.default_rng(1)
    template = real.select(rng.integers(len(real), size=PATHS))
    bars = made("ar1", real)
    assert np.allclose(bars.r[:, 1:] - PERSISTENCE * bars.r[:, :-1], template.r[:, 1:])
    assert np.allclose(bars.R, template.R)


def test_scrambled_wicks_leave_bodies_and_gaps_alone(real: BarArrays) -> None:
    rng = np.random.default_rng(1)
    template = real.select(rng.integers(len(real), size=PATHS))
    bars = made("wicks", real)
    assert np.allclose(bars.g, template.g)
    assert np.allclose(bars.b, template.b)
    assert not np.allclose(bars.R, template.R)


def test_brownian_motion_has_the_references_variances_and_no_tails(real: BarArrays) -> None:
    bars = made("gbm", real)
    assert bars.b.std() == pytest.approx(real.b.std(), rel=0.03)  # 18,000 normals: standard error .5 %
    assert bars.g.std() == pytest.approx(real.g.std(), rel=0.03)
    # L-kurtosis of the normal law: 30/pi atan(sqrt 2) - 9 (Hosking 1990).
    assert path_statistics(bars)["Lkurt"].mean() == pytest.approx(30 / np.pi * np.arctan(np.sqrt(2)) - 9, abs=0.005)


def test_brownian_candles_have_parkinsons_range() -> None:
    b, hh, ll = brownian_candles(np.full((200, 50), 2.0), np.random.default_rng(1))
    assert b.var() == pytest.approx(4, rel=0.05)
    # In continuous time E range = sqrt(8 / pi) and E range^2 = 4 ln 2 standard deviations. The extremes of n steps lie
    # .5826 / sqrt(n) nearer (Broadie, Glasserman and Kou 1997). 10,000 bars: standard error .006 of the log.
    short = 2 * 0.5826 / np.sqrt(STEPS)
    expected = 4 * np.log(2) - 2 * short * np.sqrt(8 / np.pi) + short**2
    assert np.log(np.mean(((hh - ll) / 2) ** 2) / expected) == pytest.approx(0, abs=0.02)


def test_candidates_are_what_they_say(real: BarArrays) -> None:
    rng = np.random.default_rng(3)
    pool = Relative.of(real).flat()
    copies = copy(real, PATHS, rng)
    assert all((real.close == path).all(axis=1).any() for path in copies.close[:20])
    assert len(np.unique(collapsed(real, PATHS, rng).close[:, -1])) == 5
    calm = calmer(real, PATHS, np.random.default_rng(4))
    assert np.allclose(calm.r, 0.8 * copy(real, PATHS, np.random.default_rng(4)).r)
    for bars in (
        block_bootstrap(copies, pool, 20, rng),
        garch(copies, pool, rng),
        garch(copies, pool, rng, leverage=True),
    ):
        assert_valid(bars)


def test_blocks_of_the_bootstrap_have_the_wanted_mean_length() -> None:
    index = stationary_index((400, 500), 10_000, 20, np.random.default_rng(5))
    jumps = np.mean(np.diff(index, axis=1) % 10_000 != 1)
    assert jumps == pytest.approx(1 / 20, rel=0.05)  # 200,000 coins


def test_a_garch_path_is_as_volatile_as_its_reference_and_leverage_shows(nasdaq: Candles) -> None:
    real = windows(nasdaq, 250, 250).bars
    pool = Relative.of(real).flat()
    template = copy(real, 400, np.random.default_rng(6))
    symmetric = garch(template, pool, np.random.default_rng(7))
    asymmetric = garch(template, pool, np.random.default_rng(7), leverage=True)
    assert np.median(symmetric.s) == pytest.approx(np.median(real.s), rel=0.25)
    # No leverage: mean of 400 paths with a standard deviation of .03, so .0015; GJR's was -.05 to -.06 in the study.
    assert path_statistics(symmetric)["lev_rng_1_5"].mean() == pytest.approx(0, abs=0.01)
    assert path_statistics(asymmetric)["lev_rng_1_5"].mean() < -0.03


def test_the_known_market_has_its_stationary_law_and_continues_from_its_state() -> None:
    long = simulate(400, 60, np.random.default_rng(8))
    assert long.states.std(axis=(0, 1)) == pytest.approx(SPREAD, rel=0.1)
    assert long.bars.valid.all()
    wild = simulate(400, 5, np.random.default_rng(9), np.full(4, 2 * SPREAD))
    assert wild.states[:, 0] == pytest.approx(2 * SPREAD)
    decayed = 2 * SPREAD * 0.5 ** (5 / HALF_LIVES)
    assert wild.states[:, 5].mean(axis=0) == pytest.approx(decayed, abs=0.05)  # standard error below .0125
    corr = np.corrcoef(long.bars.r.ravel(), np.diff(long.states, axis=1).sum(axis=2).ravel())[0, 1]
    assert corr < -0.3


def test_a_stretch_of_the_known_market_is_cut_with_the_close_before_it() -> None:
    market = simulate(1, 100, np.random.default_rng(10))
    cut = market.stretch(40, 20)
    assert np.array_equal(cut.close[0], market.bars.close[0, 40:60])
    assert cut.anchor_close[0] == market.bars.close[0, 39]
    assert np.allclose(cut.r, market.bars.r[:, 40:60])
    assert np.allclose(market.scaled(0.5).r, 0.5 * market.bars.r)
