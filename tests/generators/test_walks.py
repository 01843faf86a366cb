"""Walks: bar by bar the paths of ``sample``, and a forked path is its parent up to the bar where it branched."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import DataError
from scenario_gen.generators.base import Generator
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import FilteredPaths, GarchPaths
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.generators.rescaled import COUNTER, DriftNeutral, Rescaled, Scaling
from scenario_gen.generators.walks import sample_walk, start_walk
from scenario_gen.market import BarCalendar, Candles
from scenario_gen.stats.knots import Knot

ROWS, BARS, SEED = 24, 15, 5
NOISY = Scaling([(0, 1), (1, 5), (5, 15)], [Knot(0.1, noise=0.2)] * 3, [Knot(0.05, noise=0.1)] * 3)
WALKED: dict[str, Generator] = {
    "gbm": GbmPaths(),
    "garch": GarchPaths(),
    "gjr": GarchPaths(asymmetric=True),
    "fhs": FilteredPaths(),
    "bootstrap": StationaryBootstrap(5.0),
    "louder": Rescaled.louder(StationaryBootstrap(5.0), 1.5),
    "neutral": DriftNeutral(FilteredPaths()),
    "louder and neutral": DriftNeutral(Rescaled.louder(GbmPaths(), 0.7)),
}


@pytest.fixture(scope="module")
def context(sp500: Candles) -> Candles:
    return sp500.split_at("2011-06-30")[0].context(300)


@pytest.fixture(scope="module")
def stamps(context: Candles) -> pd.DatetimeIndex:
    return BarCalendar.infer(context.timestamps, "XNYS").future(BARS)


def _same(walked: np.ndarray, sampled: np.ndarray) -> None:
    # both are the same float64 operations rounded once to float32; logs of already rounded prices (what is put around
    # a generator) are another 6e-8 apart per bar
    np.testing.assert_allclose(walked, sampled, rtol=2e-6)


@pytest.mark.parametrize("name", WALKED)
def test_bars_stepped_with_the_uniforms_of_draws_are_the_paths_of_sample(
    name: str, context: Candles, stamps: pd.DatetimeIndex
) -> None:
    draws = Draws.block(SEED, 100, ROWS)
    walk = start_walk(WALKED[name], context, stamps, ROWS, SEED)
    walked = sample_walk(walk, draws.uniforms(BARS, walk.per_bar))
    _same(walked, WALKED[name].sample(context, stamps, draws).values)


def test_a_recalibrated_walk_fed_the_noise_of_sample_is_its_paths(context: Candles, stamps: pd.DatetimeIndex) -> None:
    generator, draws = Rescaled(FilteredPaths(), NOISY, {}), Draws.block(SEED, 100, ROWS)
    walk = start_walk(generator, context, stamps, ROWS, SEED)
    assert walk.per_bar == 3
    noise = np.array(
        [
            np.random.Generator(
                np.random.Philox(key=np.array([SEED, path], dtype=np.uint64), counter=[*COUNTER])
            ).random(BARS + 1)
            for path in draws.path_ids
        ]
    )
    lasting = np.broadcast_to(noise[:, :1], (ROWS, BARS))
    uniforms = np.concatenate((draws.uniforms(BARS, 1), np.stack((lasting, noise[:, 1:]), axis=-1)), axis=-1)
    _same(sample_walk(walk, uniforms), generator.sample(context, stamps, draws).values)


@pytest.mark.parametrize("name", WALKED)
def test_a_forked_row_keeps_the_past_of_its_parent_bit_by_bit_and_goes_on_from_its_state(
    name: str, context: Candles, stamps: pd.DatetimeIndex
) -> None:
    walk = start_walk(WALKED[name], context, stamps, ROWS, SEED)
    uniforms = Draws.block(SEED, 0, ROWS).uniforms(BARS, walk.per_bar)
    before = sample_walk(walk, uniforms).copy()
    sources, targets, upto = np.array([3, 3, 9]), np.array([0, 1, 2]), np.array([1, 7, BARS])
    walk.fork(sources, targets, upto)
    for bar in range(BARS):  # all rows that branch before this bar, together, as splitting does
        rows = upto <= bar
        walk.step(bar, targets[rows], uniforms[sources[rows], bar])
    # fed the parent's own uniforms, the child is the parent: whatever decides the next bar came with the fork
    assert np.array_equal(walk.values[targets], before[sources])
    walk.fork(sources, targets, upto)
    for bar in range(BARS):
        rows = upto <= bar
        walk.step(bar, targets[rows], uniforms[targets[rows], bar])
    for source, target, bars in zip(sources, targets, upto, strict=True):
        assert np.array_equal(walk.values[target, :bars], before[source, :bars])
        assert bars == BARS or not np.array_equal(walk.values[target], before[source])
    others = np.setdiff1d(np.arange(ROWS), targets)
    assert np.array_equal(walk.values[others], before[others])


def test_rows_do_not_depend_on_their_number_or_order(context: Candles, stamps: pd.DatetimeIndex) -> None:
    uniforms = Draws.block(SEED, 0, ROWS).uniforms(BARS, 1)
    all_rows = sample_walk(GarchPaths().start(context, stamps, ROWS), uniforms)
    alone = GarchPaths().start(context, stamps, 1)
    assert np.array_equal(sample_walk(alone, uniforms[7:8])[0], all_rows[7])


def test_a_recalibration_that_narrows_by_what_comes_later_is_refused(
    context: Candles, stamps: pd.DatetimeIndex
) -> None:
    narrow = Rescaled(GbmPaths(), Scaling([(0, 5)], [Knot(width=0.8)]), {})
    with pytest.raises(DataError, match=r"(?s)cannot be branched before it has ended.*recalibrate: false"):
        start_walk(narrow, context, stamps, ROWS, SEED)


def test_a_generator_without_a_walk_is_refused_by_name(context: Candles, stamps: pd.DatetimeIndex) -> None:
    class Black:
        trained_until = None

        def __init__(self) -> None:
            self.identity = {"kind": "blackbox"}

        def sample(self, *_: object) -> None: ...

    with pytest.raises(DataError, match=r"(?s)blackbox cannot be branched.*rejection"):
        start_walk(Black(), context, stamps, ROWS, SEED)  # type: ignore[arg-type]
