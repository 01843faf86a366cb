"""Rescaled paths: what they must keep, and what they must change and by how much."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from scenario_gen.candles import check_candles
from scenario_gen.errors import DataError
from scenario_gen.generators.base import Advance, Generator, ignore
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.generators.rescaled import (
    HALF_LIFE,
    LASTING,
    PILOT_PATHS,
    DriftNeutral,
    Rescaled,
    Scaling,
    log_volatility,
    log_volume,
    unit_noise,
    variance_of_mean,
)
from scenario_gen.market import BarCalendar, Candles, PathSet
from scenario_gen.market.candles import Scale, log_steps
from scenario_gen.stats.knots import Knot

STRETCHES = [(0, 1), (1, 5), (5, 20)]
FLAT = Scaling(STRETCHES, [Knot()] * 3, [Knot()] * 3)
LIVELY = Scaling(
    STRETCHES,
    [Knot(0.1, -0.1, -4.6, 0.2), Knot(0.2, -0.1, -4.6, 0.3), Knot(0.3, 0.1, -4.6, 0.4)],
    [Knot(noise=0.2), Knot(-0.2, 0, 0, 0.2), Knot(-0.1, 0, 0, 0.3)],
)


@pytest.fixture(scope="module")
def context(sp500: Candles) -> Candles:
    return sp500.rows(1900, 2156)  # of 2006 and 2007: many a bar opens at the close before


def _sample(generator: Generator, context: Candles, ids: np.ndarray, bars: int = 30, seed: int = 5) -> PathSet:
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(bars)
    return generator.sample(context, stamps, Draws(seed, ids))


def _rescaled(scaling: Scaling, inner: Generator | None = None) -> Rescaled:
    return Rescaled(inner or StationaryBootstrap(), scaling, {"recalibrated_on": 60})


def _steps(paths: PathSet) -> np.ndarray:
    return log_steps(paths.values[..., :4].astype(float), paths.anchor_close)  # [path, bar, 4]


@pytest.mark.parametrize("inner", [StationaryBootstrap(), GbmPaths()])
@pytest.mark.parametrize("scaling", [FLAT, Scaling(), Scaling.of_factor(1.0)])
def test_a_fit_that_found_nothing_changes_no_bit(context: Candles, inner: Generator, scaling: Scaling) -> None:
    ids = np.arange(64)
    assert np.array_equal(_sample(_rescaled(scaling, inner), context, ids).values, _sample(inner, context, ids).values)


@settings(max_examples=10, deadline=None)
@given(path=st.integers(0, 63), seed=st.integers(0, 2**63 - 1), bars=st.integers(1, 25))
def test_a_path_alone_is_the_same_path_among_many(context: Candles, path: int, seed: int, bars: int) -> None:
    generator = _rescaled(LIVELY)
    many = _sample(generator, context, np.arange(64), bars, seed)
    alone = _sample(_rescaled(LIVELY), context, np.array([path]), bars, seed)
    assert np.array_equal(alone.values[0], many.values[path])


def test_the_noise_has_variance_1_lasts_by_half_and_is_extended_by_a_longer_horizon() -> None:
    draws = Draws.block(11, 0, 20_000)
    noise = unit_noise(draws, 12)
    # a correlation of 20000 paths has a standard error of .007, a variance one of .01
    assert noise.mean() == pytest.approx(0.0, abs=0.03)
    assert noise[:, 0].var() == pytest.approx(1.0, abs=0.04)
    assert noise[:, 11].var() == pytest.approx(1.0, abs=0.04)
    after_ten = np.corrcoef(noise[:, 1], noise[:, 11])[0, 1]
    assert HALF_LIFE == 10
    assert after_ten == pytest.approx(LASTING + (1 - LASTING) / 2, abs=0.03)
    assert noise.mean(axis=1).var() == pytest.approx(variance_of_mean(12), abs=0.04)
    np.testing.assert_array_equal(unit_noise(Draws.block(11, 0, 5), 30)[:, :12], noise[:5])
    assert abs(np.corrcoef(noise[:, 0], draws.uniforms(1, 1)[:, 0, 0])[0, 1]) < 0.03  # not the sampler's own numbers


@settings(max_examples=15, deadline=None)
@given(
    knots=st.lists(
        st.builds(Knot, st.floats(-0.7, 0.7), st.floats(-0.4, 0.4), st.just(-4.6), st.floats(0, 0.7)),
        min_size=3,
        max_size=3,
    ),
    width=st.floats(0.3, 1.0),
)
def test_candles_stay_valid_and_none_gains_or_loses_a_gap_or_a_wick(
    context: Candles, knots: list[Knot], width: float
) -> None:
    scaling = Scaling(STRETCHES, [*knots[:2], replace(knots[2], width=width, noise=0.0)], knots)
    ids = np.arange(40)
    sampled, scaled = (_sample(g, context, ids) for g in (StationaryBootstrap(), _rescaled(scaling)))
    assert check_candles(scaled, context, "fail").tally.counts["bad_bars"].sum() == 0

    def exact(paths: PathSet) -> list[np.ndarray]:
        start, high, low, close = (paths.column(name) for name in ("open", "high", "low", "close"))
        return [start[:, 1:] == close[:, :-1], high == np.maximum(start, close), low == np.minimum(start, close)]

    for before, after in zip(exact(sampled), exact(scaled), strict=True):
        assert before.sum() > 10
        assert np.array_equal(after & before, before)  # what was none is none
        assert (after & ~before).mean() < 0.01  # and hardly any falls below what float32 can tell


@pytest.mark.parametrize("factor", [0.5, 1.3, 3.0])
def test_a_dial_of_volatility_scales_every_bar_alike_and_moves_neither_shape_nor_drift(
    sp500: Candles, factor: float
) -> None:
    context = sp500.context(256)
    ids = np.arange(2000)
    before, after = (_sample(g, context, ids) for g in (GbmPaths(), Rescaled.louder(GbmPaths(), factor)))
    quiet, loud = _steps(before), _steps(after)
    for part in (0, 1, 2):  # gap, upper and lower wick; float32 prices err by 1.2e-7 each
        a, b = (_parts(steps)[..., part] for steps in (quiet, loud))
        np.testing.assert_allclose(b, factor * a, atol=2e-6)
    drift = loud[..., 3] - factor * quiet[..., 3]
    assert np.abs(drift - drift[:1]).max() < 2e-6  # of every path the same, so that clustering and signs stay
    growth = [(paths.close.astype(float) / paths.anchor_close).mean(axis=0) for paths in (before, after)]
    deviation = (after.close.astype(float) / after.anchor_close).std(axis=0)
    # means of the same draws differ by what the pilot's and the sample's 256 and 2000 paths leave open
    assert (np.abs(growth[0] - growth[1]) < 4 * deviation * np.sqrt(1 / PILOT_PATHS + 1 / 2000)).all()
    assert np.array_equal(before.values[..., 4], after.values[..., 4])


def _parts(steps: np.ndarray) -> np.ndarray:
    body = np.sort(steps[..., [0, 3]], axis=-1)
    return np.stack((steps[..., 0], steps[..., 1] - body[..., 1], body[..., 0] - steps[..., 2]), axis=-1)


def test_the_generators_own_growth_is_kept_through_a_doubled_volatility(sp500: Candles) -> None:
    """Without the pilot, doubling every log step of a rising market would gain as much again and more."""
    context = sp500.context(256)
    gain = np.exp(0.004 * np.arange(256))[:, None] * np.array([1, 1, 1, 1, 0]) + np.array([0, 0, 0, 0, 1])
    rising = replace(context, values=context.values * gain)
    ids = np.arange(1000)
    own, louder = (
        _sample(g, rising, ids).close[:, -1].astype(float) for g in (GbmPaths(), Rescaled.louder(GbmPaths(), 2))
    )
    error = louder.std() * np.sqrt(1 / PILOT_PATHS + 1 / 1000)
    assert abs(louder.mean() - own.mean()) < 3 * error
    assert own.mean() / rising.close[-1] > 1.1


def test_location_and_noise_arrive_in_log_volatility_and_in_volume(context: Candles) -> None:
    scaling = Scaling(STRETCHES, [Knot(0.2, noise=0.25)] * 3, [Knot(-0.5, noise=0.3)] * 3)
    inner = GbmPaths()
    ids, scale = np.arange(3000), Scale.of(context)
    before, after = (_sample(g, context, ids, 20) for g in (inner, _rescaled(scaling, inner)))
    for (a, b), knot, volume in zip(STRETCHES, scaling.knots, scaling.volume, strict=True):
        was, is_now = (log_volatility(_steps(paths), a, b, 0.0) for paths in (before, after))
        # noise lies on straight lines between knots, and within a stretch a large bar weighs more: a tenth of it
        assert (is_now - was).mean() == pytest.approx(knot.location, abs=0.05)
        assert (is_now - was).std() == pytest.approx(knot.noise, abs=0.05)
        quantity = [log_volume(paths, scale.usual_volume, a, b) for paths in (before, after)]
        assert (quantity[1] - quantity[0]).mean() == pytest.approx(volume.location, abs=0.03)
        assert (quantity[1] - quantity[0]).std() == pytest.approx(volume.noise, abs=0.03)


def test_a_slope_draws_a_context_toward_the_usual_level(context: Candles) -> None:
    calm = Scaling([(0, 20)], [Knot(slope=-0.5, center=-3.0)])
    ids = np.arange(400)
    before, after = (_sample(g, context, ids, 20) for g in (GbmPaths(), _rescaled(calm, GbmPaths())))
    least = Scale.of(context).least_range
    was, is_now = (log_volatility(_steps(paths), 0, 20, least).mean() for paths in (before, after))
    # what is added to a range before its logarithm does not grow with it: a little less arrives
    assert is_now - was == pytest.approx(-0.5 * (was + 3.0), abs=0.06)


def test_a_width_below_1_draws_paths_toward_their_mean(context: Candles) -> None:
    ids = np.arange(400)
    narrowed = Scaling([(0, 20)], [Knot(width=0.5)])
    before, after = (
        _sample(g, context, ids, 20) for g in (StationaryBootstrap(8), _rescaled(narrowed, StationaryBootstrap(8)))
    )
    was, is_now = (log_volatility(_steps(paths), 0, 20, 0.0) for paths in (before, after))
    # the growth that is kept goes through the bodies too, and adds a little to calm paths and loud ones alike
    assert is_now.std() == pytest.approx(was.std() / 2, rel=0.1)
    assert is_now.mean() == pytest.approx(was.mean(), abs=0.02)


@dataclass(frozen=True)
class Broken(GbmPaths):
    """Samples paths of which some have no price."""

    every: int = 3

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Put a price that is no number, and one below zero, into every third path."""
        paths = super().sample(context, timestamps, draws, advance)
        paths.values[:: self.every, 3, 3] = np.nan
        paths.values[1 :: 2 * self.every, 1, 0] = -1.0
        return paths


def test_paths_without_prices_stay_as_they_are(context: Candles) -> None:
    before, after = (_sample(g, context, np.arange(9)) for g in (Broken(), _rescaled(LIVELY, Broken())))
    lost = ~(np.isfinite(before.values) & (before.values > 0)).all(axis=(1, 2))
    assert 0 < lost.sum() < 9
    assert np.array_equal(after.values[lost], before.values[lost], equal_nan=True)
    assert np.isfinite(after.values[~lost]).all()
    with pytest.raises(DataError, match="none of 256 paths has prices"):
        _sample(_rescaled(LIVELY, Broken(every=1)), context, np.arange(9))


def test_a_broken_candle_is_mended_to_the_same_bar_before_and_after(context: Candles) -> None:
    """Repair commutes with rescaling, so that the account of candles counts what the generator itself broke."""

    class Inverted(StationaryBootstrap):
        def sample(self, context, timestamps, draws, advance=ignore):  # type: ignore[no-untyped-def]
            paths = super().sample(context, timestamps, draws, advance)
            inside = paths.values[..., [0, 3]].mean(axis=-1)
            paths.values[:, 1::6, 1], paths.values[:, 2::6, 2] = inside[:, 1::6], inside[:, 2::6]
            return paths

    class Mended(Inverted):
        def sample(self, context, timestamps, draws, advance=ignore):  # type: ignore[no-untyped-def]
            return check_candles(super().sample(context, timestamps, draws, advance), context, "repair").paths

    ids = np.arange(20)
    mended_after, mended_before = (_sample(_rescaled(LIVELY, g), context, ids) for g in (Inverted(), Mended()))
    repaired = check_candles(mended_after, context, "repair").paths
    np.testing.assert_allclose(repaired.values, mended_before.values, rtol=3e-7)


def test_drift_neutral_sees_rescaled_paths(sp500: Candles) -> None:
    context = sp500.context(256)
    ids = np.arange(2000)
    paths = _sample(DriftNeutral(Rescaled.louder(GbmPaths(), 2.0)), context, ids)
    growth = paths.close.astype(float) / paths.anchor_close
    error = growth.std(axis=0) * np.sqrt(1 / 1024 + 1 / 2000)
    assert (np.abs(growth.mean(axis=0) - 1) < 4 * error).all()


def test_many_small_ensembles_are_each_their_own_pilot(context: Candles) -> None:
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(20)
    generator = _rescaled(LIVELY)
    many = generator.sample_many([context] * 2, [stamps] * 2, Draws.block(5, 0, 80))
    raw = StationaryBootstrap().sample(context, stamps, Draws.block(5, 0, 80))
    assert [one.path_ids.tolist() for one in many] == [list(range(40)), list(range(40, 80))]
    for place, ensemble in enumerate(many):
        own = raw.close[40 * place : 40 * place + 40].astype(float).mean(axis=0)
        np.testing.assert_allclose(ensemble.close.astype(float).mean(axis=0), own, rtol=1e-6)
    assert generator.identity == {"kind": "bootstrap", "mean_block": None, "recalibrated_on": 60}
    assert many[0].provenance["recalibrated_on"] == 60
