"""Geometric Brownian motion against its closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import zeta

from scenario_gen.generators.draws import Draws
from scenario_gen.generators.gbm import GbmPaths, bridge_extremes
from scenario_gen.market import BarCalendar, Candles

N = 40_000


@pytest.fixture(scope="module")
def extremes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    move = 0.02 * rng.standard_normal(N)
    high, low = bridge_extremes(move, 0.02, 1 - rng.random(N), 1 - rng.random(N))
    return move / 0.02, high / 0.02, low / 0.02


def within(sample: np.ndarray, expected: float) -> bool:
    """Whether the mean lies within five standard errors: false alarm below 1e-6."""
    return abs(sample.mean() - expected) < 5 * sample.std() / np.sqrt(len(sample))


def test_the_range_has_the_moments_of_brownian_motion(extremes: tuple[np.ndarray, ...]) -> None:
    # Feller 1951 and Parkinson 1980: E R = sqrt(8 / pi), E R^2 = 4 ln 2, E R^4 = 9 zeta(3)
    _, high, low = extremes
    spread = high - low
    assert within(spread, np.sqrt(8 / np.pi))
    assert within(spread**2, 4 * np.log(2))
    assert within(spread**4, 9 * zeta(3))


def test_extremes_drawn_apart_would_be_noticed(extremes: tuple[np.ndarray, ...]) -> None:
    """The planted defect: a minimum that ignores the maximum has the right law of its own and a wrong range."""
    _, high, low = extremes
    stranger = np.random.default_rng(2).permutation(low)
    assert not within((high - stranger) ** 2, 4 * np.log(2))


def test_rogers_and_satchell_estimate_the_variance(extremes: tuple[np.ndarray, ...]) -> None:
    # Rogers and Satchell 1991: E[h (h - c) + l (l - c)] = 1
    move, high, low = extremes
    assert within(high * (high - move) + low * (low - move), 1.0)


def test_maximum_and_minimum_have_the_law_of_a_reflected_normal(extremes: tuple[np.ndarray, ...]) -> None:
    # the maximum of Brownian motion is |N(0, 1)|, and so is minus the minimum; p below 1e-6 by chance at 1e-6
    _, high, low = extremes
    assert stats.kstest(high, stats.halfnorm.cdf).pvalue > 1e-6
    assert stats.kstest(-low, stats.halfnorm.cdf).pvalue > 1e-6


def test_minimum_given_move_and_maximum_is_that_of_simulated_bridges() -> None:
    # 4000 bridges of 4000 steps; discrete extremes miss .58 of a step's deviation (Asmussen et al. 1995)
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.standard_normal((4000, 4000)) / np.sqrt(4000), axis=1)
    time = np.arange(1, 4001) / 4000
    bridge = walk - (walk[:, -1:] - 0.5) * time
    miss = 0.5826 / np.sqrt(4000)
    high, low = bridge_extremes(np.full(4000, 0.5), 1.0, 1 - rng.random(4000), 1 - rng.random(4000))
    ours = np.stack((high, low))
    theirs = np.stack((np.maximum(bridge.max(axis=1), 0) + miss, np.minimum(bridge.min(axis=1), 0) - miss))
    assert stats.ks_2samp(high - low, theirs[0] - theirs[1]).pvalue > 1e-4
    # Fisher's z of two correlations of 4000 pairs: standard error sqrt(2 / 3997)
    z = np.arctanh(np.corrcoef(ours)[0, 1]) - np.arctanh(np.corrcoef(theirs)[0, 1])
    assert abs(z) < 4 * np.sqrt(2 / 3997)


def test_extremes_enclose_both_ends_and_a_still_bridge_stays() -> None:
    rng = np.random.default_rng(5)
    move = rng.standard_normal(2000) * 3
    high, low = bridge_extremes(move, 1.0, rng.random(2000), rng.random(2000))
    assert (high >= np.maximum(move, 0)).all()
    assert (low <= np.minimum(move, 0)).all()
    high, low = bridge_extremes(np.array([0.0, 0.3, -0.2]), 0.0, np.full(3, 0.5), np.full(3, 0.5))
    assert high.tolist() == [0.0, 0.3, 0.0]
    assert low.tolist() == [0.0, 0.0, -0.2]


def test_returns_are_normal_with_the_contexts_mean_and_deviation(sp500: Candles) -> None:
    context = sp500.split_at("2017-06-30")[0].context(256)
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(30)
    paths = GbmPaths().sample(context, stamps, Draws.block(8, 0, 400))
    closes = np.concatenate((np.full((400, 1), paths.anchor_close), paths.close.astype(float)), axis=1)
    returns, real = np.diff(np.log(closes), axis=1).ravel(), np.diff(np.log(context.close))
    assert stats.kstest((returns - real.mean()) / real.std(), stats.norm.cdf).pvalue > 1e-4
    assert np.isin(paths.values[..., 4], context.column("volume").astype(np.float32)).all()
