"""Joint futures that are stepped bar by bar are those that the same numbers give when each asset is sampled at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.generators.walks import sample_walk
from scenario_gen.joint.copulas import TOGETHER, WITHIN, CopulaCoupling, RankBootstrap, stream
from scenario_gen.joint.coupling import Coupled, Coupling, Dated, Independent, seed_of
from scenario_gen.joint.walks import BarCoupling, BookGenerator
from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import BarCalendar, load_candles

BARS, PATHS = 8, 24
DRAWS = Draws(3, np.arange(PATHS, dtype=np.int64))
MATRIX = np.array([[1.0, 0.6], [0.6, 1.0]])


def book_of(generator, coupling: Coupling, *, closed: tuple[int, ...] = ()) -> BookGenerator:  # type: ignore[no-untyped-def]
    """Two assets; the second is closed on some of the first one's dates."""
    contexts = {name: load_candles(source).context(200) for name, source in (("spx", "sp500"), ("ndx", "nasdaq"))}
    stamps = BarCalendar.infer(contexts["spx"].timestamps).future(BARS)
    dates = [np.arange(BARS), np.setdiff1d(np.arange(BARS), closed)]
    parts = {
        name: Coupled(generator, coupling, place, pd.DatetimeIndex(stamps[dates[place]]), dates[place])
        for place, name in enumerate(contexts)
    }
    return BookGenerator(parts, contexts, 3)


def sampled(book: BookGenerator) -> np.ndarray:
    return book.sample(book.contexts["spx"], book.timestamps, DRAWS).values


def walked(book: BookGenerator, numbers: np.ndarray) -> np.ndarray:
    return sample_walk(book.start(book.contexts["spx"], book.timestamps, len(numbers)), numbers)


def own(asset: int, count: int, bars: int = BARS) -> np.ndarray:
    return Draws(seed_of(3, asset), DRAWS.path_ids).uniforms(bars, count)


@pytest.mark.parametrize("degrees", [None, 4.0], ids=["gaussian", "t"])
def test_a_copula_gives_the_same_futures_bar_by_bar(degrees: float | None) -> None:
    book = book_of(GbmPaths().in_order("return"), CopulaCoupling(np.stack([MATRIX, MATRIX]), degrees), closed=(2, 5))
    numbers = [stream(DRAWS, BARS, 5), own(0, 3)[:, :BARS], own(1, 3)]
    np.testing.assert_allclose(walked(book, np.concatenate(numbers, axis=-1)), sampled(book), rtol=1e-6)


def test_dated_ranks_give_the_same_futures_bar_by_bar() -> None:
    ranks = RankBootstrap.of(np.random.default_rng(1).random((300, 2, 2)))
    book = book_of(GbmPaths().in_order("return"), ranks)
    within = [stream(Draws(seed_of(3, asset), DRAWS.path_ids), BARS, 2, WITHIN) for asset in (0, 1)]
    numbers = [stream(DRAWS, BARS, 2, TOGETHER), *within, own(0, 3), own(1, 3)]
    np.testing.assert_allclose(walked(book, np.concatenate(numbers, axis=-1)), sampled(book), rtol=1e-6)


def test_assets_apart_and_assets_that_draw_the_same_dates_give_the_same_futures_bar_by_bar() -> None:
    apart = book_of(StationaryBootstrap(5.0), Independent())
    numbers = np.concatenate((own(0, 2), own(1, 2)), axis=-1)
    np.testing.assert_allclose(walked(apart, numbers), sampled(apart), rtol=1e-6)
    together = book_of(StationaryBootstrap(5.0), Dated())
    np.testing.assert_allclose(walked(together, DRAWS.uniforms(BARS, 2)), sampled(together), rtol=1e-6)


def test_a_checkpoints_futures_are_those_of_its_walk(tiny_checkpoint: Checkpoint) -> None:
    generator = KronosPaths.of(tiny_checkpoint, SamplingRule(1.0), device="cpu").in_order("nested")
    book = book_of(generator, CopulaCoupling(np.stack([MATRIX] * 4)), closed=(3,))
    assert all(isinstance(coupling, BarCoupling) for coupling in (book.parts["spx"].coupling, Dated(), Independent()))
    np.testing.assert_allclose(walked(book, stream(DRAWS, BARS, 9)), sampled(book), rtol=1e-5)


def test_a_branch_has_its_parents_bars_in_every_asset_and_goes_on_in_its_block() -> None:
    ranks = RankBootstrap.of(np.random.default_rng(1).random((300, 2, 2)), mean_block=1e9)  # blocks never end
    book = book_of(GbmPaths().in_order("return"), ranks, closed=(2,))
    numbers = np.random.default_rng(2).random((6, BARS, 2 + 4 + 6))
    walk, rows = book.start(book.contexts["spx"], book.timestamps, 6), np.arange(6)
    for bar in range(BARS):
        walk.step(bar, rows, numbers[:, bar])
    before, upto = walk.values.copy(), np.array([4, 3])
    walk.fork(np.array([0, 1]), np.array([4, 5]), upto)
    for bar in range(3, BARS):
        going = np.array([4, 5])[upto <= bar]
        walk.step(bar, going, numbers[going - 4, bar])
    for child, parent in ((4, 0), (5, 1)):  # the parents' own numbers again: the whole future is theirs
        assert np.array_equal(walk.values[child], before[parent])
    assert np.array_equal(walk.values[:4], before[:4])


def test_joint_paths_are_taken_apart_again() -> None:
    book = book_of(GbmPaths(), Independent(), closed=(2, 5))
    whole = book.sample(book.contexts["spx"], book.timestamps, DRAWS)
    assert whole.fields[:5] == ("spx.open", "spx.high", "spx.low", "spx.close", "spx.volume")
    assert [whole.fields[place] for place in book.closes] == ["spx.close", "ndx.close"]
    parts = book.book(whole).parts
    for name, part in book.parts.items():
        alone = part.sample(book.contexts[name], part.timestamps, DRAWS)
        assert np.array_equal(parts[name].values, alone.values)
    closed = whole.values[:, [2, 5], 5:]
    assert np.array_equal(closed[..., 3], whole.values[:, [1, 4], 8])
    assert (closed[..., 4] == 0).all()
