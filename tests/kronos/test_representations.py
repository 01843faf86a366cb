"""Candles to features and back: exact where they can be, valid whatever the features."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from scenario_gen.errors import CheckpointError, DataError
from scenario_gen.kronos.representation import Increments, Levels, complete_fields, representation_from, stamp_features


def _bars(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    open_ = close * np.exp(rng.normal(0, 0.01, n))
    high = np.maximum(open_, close) * np.exp(rng.exponential(0.01, n) * (rng.random(n) > 0.3))
    low = np.minimum(open_, close) * np.exp(-rng.exponential(0.01, n) * (rng.random(n) > 0.3))
    return np.stack((open_, high, low, close, rng.lognormal(10, 0.5, n)), axis=-1)[None]


def test_increments_decode_what_they_encode() -> None:
    bars = _bars(80, seed=1)
    representation = Increments((0.1, 0.0, 0.4, 0.4, 0.0), (0.3, 0.7, 0.3, 0.3, 1.1))
    scale = representation.fit(bars[:, :50])
    features = representation.encode(bars, scale)[:, 50:]
    decoded = representation.decode(features, bars[:, 49, 3], scale)
    # features are float32 (6e-8 relative), prices accumulate thirty of them
    np.testing.assert_allclose(decoded[..., :4], bars[:, 50:, :4], rtol=1e-5)
    np.testing.assert_allclose(decoded[..., 4], bars[:, 50:, 4], rtol=1e-5)


@given(wickless=st.floats(0, 2), gapless=st.floats(0, 0.5), seed=st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_bars_without_wick_or_gap_come_back_without(wickless: float, gapless: float, seed: int) -> None:
    """Whatever room the atoms are given, bars survive the round trip, and nothing stays exactly nothing."""
    bars = _bars(80, seed)
    bars[0, 1::3, 0] = bars[0, :-1:3, 3]  # opens at the last close
    bars[..., 1] = np.maximum(bars[..., 1], bars[..., 0])
    bars[..., 2] = np.minimum(bars[..., 2], bars[..., 0])
    representation = Increments(
        (0.1, 0.0, 0.4, 0.4, 0.0), (0.3, 0.7, 0.3, 0.3, 1.1), wickless=wickless, gapless=gapless
    )
    scale = representation.fit(bars[:, :50])
    features = representation.encode(bars, scale)
    o, h, l, c, _ = np.moveaxis(representation.decode(features[:, 50:], bars[:, 49, 3], scale)[0], -1, 0)  # noqa: E741
    real = bars[0, 50:]
    np.testing.assert_allclose(np.stack((o, h, l, c), -1), real[:, :4], rtol=1e-5)  # float32, see above
    if wickless > 1e-5:  # room beyond the rounding of float32 features
        assert np.array_equal(h <= np.maximum(o, c), real[:, 1] <= real[:, [0, 3]].max(1))
        assert np.array_equal(l >= np.minimum(o, c), real[:, 2] >= real[:, [0, 3]].min(1))
    if gapless > 1e-5:
        previous = np.concatenate((bars[0, 49:50, 3], c[:-1]))
        none = real[:, 0] == bars[0, 49:-1, 3]
        assert (np.abs(np.log(o / previous)[none]) < 1e-12).all()
        assert (np.abs(np.log(o / previous)[~none]) > 0).all()


@given(arrays(np.float32, (2, 6, 5), elements=st.floats(-10, 10, width=32)))
@settings(max_examples=200, deadline=None)
def test_increments_give_valid_candles_for_any_features(features: np.ndarray) -> None:
    bars = _bars(60, seed=2)
    representation = Increments(
        (0.0, 0.0, 0.4, 0.4, 0.0), (0.3, 0.7, 0.3, 0.3, 1.1), wickless=0.5, gapless=0.15
    )  # the size of real features
    scale = representation.fit(bars)
    out = representation.decode(features, np.repeat(bars[:, -1, 3], 2), scale)
    o, h, l, c, v = np.moveaxis(out, -1, 0)  # noqa: E741
    assert np.isfinite(out).all()
    assert (l > 0).all()
    assert (v > 0).all()
    assert (h >= np.maximum(o, c) * (1 - 1e-12)).all()
    assert (l <= np.minimum(o, c) * (1 + 1e-12)).all()


@given(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))
@settings(max_examples=50, deadline=None)
def test_increments_do_not_see_the_units_of_price_and_volume(price: float, volume: float) -> None:
    bars = _bars(60, seed=3)
    scaled = bars * np.array([price, price, price, price, volume])
    representation = Increments()
    a = representation.encode(bars, representation.fit(bars))
    b = representation.encode(scaled, representation.fit(scaled))
    np.testing.assert_allclose(
        a, b, atol=2e-4
    )  # sqrt of a wick of rounding size (1e-16 / 0.02) is 1e-7; asinh keeps it


def test_volatility_is_the_root_mean_square_of_log_returns_around_zero_and_volume_spreads_around_its_mean() -> None:
    close = np.array([100.0, 110.0, 121.0, 121.0, 110.0])  # ln 1.1 twice, 0, and back by ln 1.1: a mean above zero
    volume = np.exp([1.0, 2.0, 3.0, 4.0, 5.0])
    bars = np.stack((close, close, close, close, volume), axis=-1)[None]
    scale = Increments().fit(bars)
    volatility = np.log(1.1) * np.sqrt((1 + 1 + 0 + 1) / 4)
    np.testing.assert_allclose(scale.spread, [[volatility, np.sqrt((4 + 1 + 0 + 1 + 4) / 5)]])
    np.testing.assert_allclose(scale.center, [[3.0]])


def test_a_context_that_never_moves_is_refused() -> None:
    with pytest.raises(DataError, match="over the whole context"):
        Increments().fit(np.full((1, 40, 5), 7.0))


def test_levels_are_float32_z_scores_of_population_moments_clipped_at_five() -> None:
    bars = complete_fields(_bars(70, seed=4)).astype(np.float32)
    bars[0, -1, 4] *= 1000
    z = Levels().encode(bars, Levels().fit(bars))
    expected = (bars[0, :, 0] - bars[0, :, 0].mean()) / (bars[0, :, 0].std() + np.float32(1e-5))
    np.testing.assert_allclose(z[0, :, 0], expected, atol=1e-4)  # float32 means of numbers of size 50
    assert z.max() == 5.0


def test_prices_beyond_nine_tenths_of_the_clip_are_pinned_to_the_edge_and_volume_is_not() -> None:
    features = np.zeros((1, 6, 6), dtype=np.float32)
    features[0, 1, 0], features[0, 2, 2], features[0, 3, 3] = 4.45, -4.55, 4.55  # of a clip at 5: the edge is 4.5
    features[0, 4, 4:] = 5.0
    assert Levels().pinned(features).tolist() == [[False, False, True, True, False, False]]
    assert not Increments().pinned(100 * features).any()


def test_bars_beyond_the_clip_are_said_to_be_cut_off() -> None:
    bars = complete_fields(_bars(70, seed=4)).astype(np.float32)
    scale = Levels().fit(bars)
    for field, off in ((3, 4.9), (3, -5.1), (4, 5.1)):
        moved = bars.copy()
        moved[0, 10, field] = scale.center[0, field] + off * scale.spread[0, field]
        if field == 4:
            moved[0, 10, 5] = scale.center[0, 5]
        clipped = Levels().clipped(moved, scale)[0]
        assert np.flatnonzero(clipped).tolist() == ([10] if abs(off) > 5 else [])


def test_a_missing_amount_is_volume_times_the_mean_price() -> None:
    bars = _bars(40, seed=5)
    full = complete_fields(bars)
    np.testing.assert_allclose(full[..., 5], bars[..., 4] * bars[..., :4].mean(-1))
    assert (complete_fields(bars[..., :4])[..., 4:] == 0).all()


def test_stamps_agree_with_pandas() -> None:
    times = pd.date_range("1998-12-25 22:17", periods=4000, freq="13h7min").as_unit("ns")
    expected = np.stack([times.minute, times.hour, times.day_of_week, times.day, times.month], axis=-1)
    assert np.array_equal(stamp_features(times.asi8), expected)


def test_an_unknown_representation_is_an_error_that_names_it() -> None:
    with pytest.raises(CheckpointError, match="wavelets"):
        representation_from({"kind": "wavelets"}, "x.json")
