"""Replaced bars are other bars, but bars: valid candles that set out from the close at the cut."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scenario_gen.backtest.engine import bars_of
from scenario_gen.backtest.probe import Futures


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), volatility=st.sampled_from([0.0, 0.001, 0.02, 0.3]), paths=st.integers(1, 5))
def test_the_past_keeps_its_bits_and_the_future_is_valid_and_different(make_market, seed, volatility, paths):
    market = make_market(paths=paths, bars=20, seed=seed, volatility=volatility)
    bars = bars_of(market.ground(), market.paths)
    rng = np.random.default_rng(seed)
    cuts, wild = rng.integers(0, 59, paths), rng.random(paths) < 0.5
    before = Futures.of(bars)
    after = before.replaced(cuts, wild, rng)
    opened, high, low, close = after.prices
    # exp of a sum of logs rounds in its last digits; the market's own prices are float32.
    assert (high >= np.maximum(opened, close) * (1 - 1e-6)).all()
    assert (low <= np.minimum(opened, close) * (1 + 1e-6)).all()
    assert np.isfinite(after.prices).all()
    assert (after.prices > 0).all()
    assert (after.volume >= 0).all()
    for path, cut in enumerate(cuts):
        kept = slice(0, cut + 1)
        assert np.array_equal(after.prices[:, kept, path], before.prices[:, kept, path])
        assert np.array_equal(after.volume[kept, path], before.volume[kept, path])
        if volatility or wild[path]:
            assert not np.array_equal(after.prices[:, cut + 1 :, path], before.prices[:, cut + 1 :, path])


def test_a_wild_future_is_three_times_as_volatile_and_drifts_off(make_market):
    market = make_market(paths=40, bars=200, seed=1)
    before = Futures.of(bars_of(market.ground(), market.paths))
    cuts = np.full(40, 39)
    likely, wild = (
        np.diff(np.log(before.replaced(cuts, np.full(40, on), np.random.default_rng(2)).prices[3, 39:]), axis=0)
        for on in (False, True)
    )
    # Mirrored and trebled steps with noise of one standard deviation: sqrt(9 + 1) times. 8,000 returns: +-2 %.
    assert wild.std() / likely.std() == pytest.approx(np.sqrt(10), rel=0.05)
    ends = wild.sum(axis=0)
    assert ends[1::2].mean() > 0.5 > -0.5 > ends[::2].mean()
