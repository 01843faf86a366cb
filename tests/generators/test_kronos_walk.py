"""Paths of a checkpoint that are stepped bar by bar and forked are those that their draws give when sampled at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from scenario_gen.errors import SpecError
from scenario_gen.generators.base import Walk, WalkingGenerator
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.kronos import Checkpoint, load_checkpoint
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import BarCalendar, Candles

BARS = 24  # window 64 less a context of 40; more than one page of 16 keys

# One row of keys more or less in a product moves float32 sums in their last digits, and with them prices.
CLOSE = {"rtol": 2e-5}


@pytest.fixture(scope="module")
def context(sp500: Candles) -> Candles:
    return sp500.split_at("2016-03-31")[0].context(40)


@pytest.fixture(params=["increments", "levels"])
def generator(request: pytest.FixtureRequest, tiny_checkpoint: Checkpoint, golden_folder: Path) -> KronosPaths:
    chosen = tiny_checkpoint if request.param == "increments" else load_checkpoint(golden_folder)
    return KronosPaths.of(replace(chosen, max_context=64), SamplingRule(1.0), device="cpu")


def _stamps(context: Candles, bars: int = BARS) -> pd.DatetimeIndex:
    return BarCalendar.infer(context.timestamps, "XNYS").future(bars)


def _walked(generator: KronosPaths, context: Candles, uniforms: NDArray[np.float64]) -> NDArray[np.float32]:
    """All rows together."""
    walk, rows = generator.start(context, _stamps(context), len(uniforms)), np.arange(len(uniforms))
    for bar in range(uniforms.shape[1]):
        walk.step(bar, rows, uniforms[:, bar])
    return walk.values


def test_a_walk_with_the_uniforms_of_draws_gives_the_sampled_paths(generator: KronosPaths, context: Candles) -> None:
    assert isinstance(generator, WalkingGenerator)
    sampled = generator.sample(context, _stamps(context), Draws.block(9, 0, 300))
    walk: Walk = generator.start(context, _stamps(context), 300)
    uniforms = Draws.block(9, 0, 300).uniforms(BARS, walk.per_bar)
    for bar in range(BARS):
        walk.step(bar, np.arange(300), uniforms[:, bar])
    assert np.array_equal(walk.values, sampled.values)  # the same products of the same shapes


def test_rows_that_step_apart_give_the_paths_of_rows_that_step_together(
    generator: KronosPaths, context: Candles
) -> None:
    uniforms = Draws.block(9, 0, 20).uniforms(BARS, 2)
    walk = generator.start(context, _stamps(context), 20)
    odd, even, order = np.arange(1, 20, 2), np.arange(0, 20, 2), np.random.default_rng(1)
    for bar in range(BARS):
        for rows in (odd, even) if bar < 18 else (order.permutation(20),):
            walk.step(bar, rows, uniforms[rows, bar])
    np.testing.assert_allclose(walk.values, _walked(generator, context, uniforms), **CLOSE)


def test_a_child_has_its_parents_bars_to_the_last_bit_and_its_future_for_the_same_draws(
    generator: KronosPaths, context: Candles
) -> None:
    uniforms = Draws.block(9, 0, 8).uniforms(BARS, 2)
    walk = generator.start(context, _stamps(context), 8)
    for bar in range(BARS):
        walk.step(bar, np.arange(8), uniforms[:, bar])
    before = walk.values.copy()
    upto = np.array([0, 1, 17, 20])
    walk.fork(np.array([3, 3, 5, 6]), np.array([0, 1, 2, 4]), upto)
    for child, parent, bars in ((0, 3, 0), (1, 3, 1), (2, 5, 17), (4, 6, 20)):
        assert np.array_equal(walk.values[child, :bars], before[parent, :bars])
    for bar in range(BARS):
        rows = np.array([0, 1, 2, 4])[upto <= bar]
        walk.step(bar, rows, uniforms[[3, 3, 5, 6], bar][upto <= bar])
    np.testing.assert_allclose(walk.values[[0, 1, 2, 4]], before[[3, 3, 5, 6]], **CLOSE)
    assert np.array_equal(walk.values[[3, 5, 6, 7]], before[[3, 5, 6, 7]])
    assert np.array_equal(walk.values[2, :17], before[5, :17])  # also after its own bars were decoded


def _forked_often(
    generator: KronosPaths, context: Candles, rows: int, generations: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Half of all rows get another past, again and again; return the bars and the uniforms that they came from."""
    rng = np.random.default_rng(7)
    own = rng.random((rows, BARS, 2))
    walk = generator.start(context, _stamps(context), rows)
    for bar in range(BARS):
        walk.step(bar, np.arange(rows), own[:, bar])
    for _ in range(generations):
        targets = rng.permutation(rows)[: rows // 2]
        sources = rng.choice(np.setdiff1d(np.arange(rows), targets), len(targets))
        upto = rng.integers(0, BARS + 1, len(targets))
        parents = walk.values[sources].copy()
        walk.fork(sources, targets, upto)
        own[targets] = np.where(np.arange(BARS)[:, None] < upto[:, None, None], own[sources], rng.random((1, BARS, 2)))
        for bar in range(upto.min(), BARS):
            here = targets[upto <= bar]
            walk.step(bar, here, own[here, bar])
        kept = np.arange(BARS) < upto[:, None]
        assert np.array_equal(walk.values[targets][kept], parents[kept])
    return walk.values, own


def test_paths_of_many_generations_are_those_that_their_draws_give(generator: KronosPaths, context: Candles) -> None:
    """600 rows: three chunks of all, and up to two batches of half of them."""
    values, uniforms = _forked_often(generator, context, rows=600, generations=4)
    again = _walked(generator, context, uniforms)
    # A draw within float32's reach of a token's edge may fall on either side: of 600 x 24 x 2 draws with a spread of
    # some 1e-6 in the cumulative probability less than one in a hundred runs of this test has one; allow one path.
    far = ~np.isclose(values, again, **CLOSE).all(axis=(1, 2))
    assert far.sum() <= 1


def test_the_same_forks_give_the_same_bits(tiny_checkpoint: Checkpoint, context: Candles) -> None:
    generator = KronosPaths.of(tiny_checkpoint, SamplingRule(1.0), device="cpu")
    first, second = (_forked_often(generator, context, rows=150, generations=2)[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_the_bits_of_a_row_do_not_depend_on_how_many_step_beside_it(
    tiny_checkpoint: Checkpoint, context: Candles
) -> None:
    """Batches of some rows have places of one number."""
    generator, uniforms = KronosPaths.of(tiny_checkpoint, SamplingRule(1.0), device="cpu"), np.full((64, 2), 0.3)
    few, many = (generator.start(context, _stamps(context), 200) for _ in range(2))
    for bar in range(BARS):
        few.step(bar, np.arange(3), uniforms[:3])
        many.step(bar, np.arange(64), uniforms)
    assert np.array_equal(few.values[:3], many.values[:3])


def test_a_row_may_take_back_its_own_bars(generator: KronosPaths, context: Candles) -> None:
    uniforms = Draws.block(9, 0, 4).uniforms(BARS, 2)
    walk = generator.start(context, _stamps(context), 4)
    for bar in range(BARS):
        walk.step(bar, np.arange(4), uniforms[:, bar])
    before = walk.values.copy()
    walk.fork(np.array([1]), np.array([1]), np.array([5]))
    for bar in range(5, BARS):
        walk.step(bar, np.array([1]), uniforms[[2], bar])
    assert np.array_equal(walk.values[1, :5], before[1, :5])
    spliced = np.concatenate((uniforms[[1], :5], uniforms[[2], 5:]), axis=1)
    np.testing.assert_allclose(walk.values[[1]], _walked(generator, context, spliced), **CLOSE)


def test_bars_at_the_edge_of_the_levels_are_those_of_the_sampled_paths(golden_folder: Path, context: Candles) -> None:
    generator = KronosPaths.of(load_checkpoint(golden_folder), SamplingRule(1.0), device="cpu")
    sampled = generator.sample(context, _stamps(context), Draws.block(9, 0, 16))
    walk = generator.start(context, _stamps(context), 16)
    for bar, uniforms in enumerate(Draws.block(9, 0, 16).uniforms(BARS, 2).swapaxes(0, 1)):
        walk.step(bar, np.arange(16), uniforms)
    assert walk.pinned.sum(axis=1).tolist() == sampled.counts["pinned_bars"].tolist()


def test_what_cannot_be_stepped_or_forked_is_refused(tiny_checkpoint: Checkpoint, context: Candles) -> None:
    generator = KronosPaths.of(tiny_checkpoint, SamplingRule(1.0), device="cpu")
    walk = generator.start(context, _stamps(context), 4)
    walk.step(0, np.arange(4), np.full((4, 2), 0.5))
    with pytest.raises(ValueError, match="bar 2 of row 0, which has 1 bars"):
        walk.step(2, np.arange(4), np.full((4, 2), 0.5))
    with pytest.raises(ValueError, match="2 bars of row 3, which has fewer"):
        walk.fork(np.array([3]), np.array([0]), np.array([2]))
    with pytest.raises(ValueError, match="two pasts"):
        walk.fork(np.array([0, 1]), np.array([1, 2]), np.array([1, 1]))
    for bar in (1, 2):
        walk.step(bar, np.arange(4), np.full((4, 2), 0.5))
    walk.fork(np.array([3]), np.array([0]), np.array([1]))
    with pytest.raises(ValueError, match="bar 2 of row 0, which has 1 bars"):
        walk.step(2, np.array([0]), np.full((1, 2), 0.5))


@pytest.mark.parametrize("window", ["reanchor", "slide"])
def test_a_horizon_that_does_not_fit_beside_the_context_is_refused(
    tiny_checkpoint: Checkpoint, context: Candles, window: str
) -> None:
    generator = KronosPaths.of(tiny_checkpoint, SamplingRule(1.0), window, device="cpu")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="25 bars after 40 of context, to be sampled bar by bar; tiny holds 64"):
        generator.start(context, _stamps(context, 25), 4)
