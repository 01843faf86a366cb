"""Forced tails: exact for independent bars, as brute force for clustered ones, and left where they do not lead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from scenario_gen.generators.base import WalkingGenerator
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.filtered import FilteredPaths, GarchPaths
from scenario_gen.generators.gbm import GbmLaw, GbmPaths
from scenario_gen.generators.walks import ChainWalk, sample_walk
from scenario_gen.market import BarCalendar, Candles
from scenario_gen.stress.event import Event, Sampler
from scenario_gen.stress.events import BarScore, Outset
from scenario_gen.stress.exceedance import standard_error
from scenario_gen.stress.rare import Asked

BARS, SAMPLER = 10, Sampler(island=512, islands=(8, 8))
MOST_APART = 4.5  # standard errors, of eight islands beside plain paths: at fixed seeds


@pytest.fixture(scope="module")
def context(sp500: Candles) -> Candles:
    return sp500.split_at("2016-06-30")[0].context(300)


@pytest.fixture(scope="module")
def stamps(context: Candles) -> pd.DatetimeIndex:
    return BarCalendar.infer(context.timestamps, "XNYS").future(BARS)


def _event(bound: float) -> Event:
    return Event(functional="bar_return", **{"at_most" if bound < 0 else "at_least": bound})  # type: ignore[arg-type]


def _asked(
    generator: WalkingGenerator, context: Candles, stamps: pd.DatetimeIndex, bound: float
) -> tuple[Asked, BarScore]:
    return Asked(generator, context, stamps, 7, "bar"), BarScore(_event(bound), Outset.of(context, BARS, 252.0))


@pytest.mark.parametrize("bound", [-0.04, 0.04])
def test_independent_bars_give_the_exact_probability(context: Candles, stamps: pd.DatetimeIndex, bound: float) -> None:
    asked, score = _asked(GbmPaths(), context, stamps, bound)
    found = np.array([asked.island(at, score, SAMPLER).probability for at in range(3)])
    assert list(score.led.values()) == [True]
    law = GbmLaw.of(context)
    mean, deviation = law.gap[0] + law.body[0], float(np.hypot(law.gap[1], law.body[1]))
    of_a_bar = ndtr(-abs(np.log1p(bound) - mean) / deviation)
    exact = 1 - (1 - of_a_bar) ** BARS
    # every path that is led once weighs nearly the same: three islands of 512 know it to well below 2 %
    assert found.mean() == pytest.approx(exact, rel=0.02)


GENERATORS = {
    "garch": (GarchPaths(), -0.05),
    "fhs": (FilteredPaths(), -0.07),
    "bootstrap": (StationaryBootstrap(2.0), -0.037),
    "bootstrap up": (StationaryBootstrap(2.0), 0.034),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_clustered_bars_give_the_probability_of_brute_force(
    name: str, context: Candles, stamps: pd.DatetimeIndex
) -> None:
    generator, bound = GENERATORS[name]
    asked, score = _asked(generator, context, stamps, bound)
    islands = [asked.island(at, score, SAMPLER) for at in range(8)]
    found = np.array([island.probability for island in islands])
    walk = generator.start(context, stamps, 30_000)
    plain = score(sample_walk(walk, np.random.default_rng(3).random((30_000, BARS, walk.per_bar)))).happened
    assert 30 < plain.sum() < 15_000
    error = np.hypot(standard_error(found), np.sqrt(plain.mean() / len(plain)))
    assert abs(found.mean() - plain.mean()) < MOST_APART * error
    assert list(score.led.values()) == [True]
    # the weights of importance sampling add up to 1 on average, not in each island
    assert np.mean([island.weights.sum() for island in islands]) == pytest.approx(1.0, abs=0.2)


def test_a_tail_that_lies_in_the_volatility_before_is_split(context: Candles, stamps: pd.DatetimeIndex) -> None:
    asked, score = _asked(GarchPaths(), context, stamps, -0.15)
    island = asked.island(0, score, SAMPLER)
    assert list(score.led.values()) == [False]
    assert len(island.levels) > 3


def test_uniforms_led_inside_or_outside_make_bars_that_are(context: Candles, stamps: pd.DatetimeIndex) -> None:
    rng = np.random.default_rng(1)
    for generator, bound in ((GbmPaths(), -0.02), (FilteredPaths(), -0.02), (StationaryBootstrap(4.0), -0.02)):
        for sign in (1.0, -1.0):
            walk = generator.start(context, stamps, 200)
            assert isinstance(walk, ChainWalk)
            assert walk.tail is not None
            rows, inside = np.arange(200), rng.random(200) < 0.5
            walk.step(0, rows, rng.random((200, walk.per_bar)))
            led = walk.tail(sign).conditioned(walk.state[rows, 1], rng.random((200, walk.per_bar)), inside, bound)
            chance = walk.tail(sign).hazard(walk.state[rows, 1], bound)
            walk.step(1, rows, led)
            made = sign * np.diff(walk.level[:, 1:3], axis=1)[:, 0]
            possible = np.where(inside, chance > 0, chance < 1)
            assert np.array_equal((made <= bound)[possible], inside[possible])
            assert possible.sum() > 100
