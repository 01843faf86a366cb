"""Losses of a portfolio over joint futures: splitting against closed forms and plain joint paths, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from pydantic import ValidationError
from scipy.special import ndtr, ndtri

from scenario_gen.errors import SpecError
from scenario_gen.generators.base import Advance, ignore, to_path_set
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import FilteredPaths
from scenario_gen.generators.walks import ChainWalk
from scenario_gen.joint.copulas import CopulaCoupling, RankBootstrap
from scenario_gen.joint.coupling import Coupled, Coupling, Independent
from scenario_gen.joint.model import JointModel
from scenario_gen.joint.section import Joint
from scenario_gen.joint.walks import BookGenerator
from scenario_gen.market import BarCalendar, Candles, load_candles
from scenario_gen.market.paths import PathSet
from scenario_gen.stress.event import PortfolioEvent, Sampler
from scenario_gen.stress.portfolio import PortfolioScore, sample_portfolio_event

BARS, MEAN, SPREAD = 12, 0.0002, 0.01
MATRIX = np.array([[1.0, 0.7], [0.7, 1.0]])
COUPLED = CopulaCoupling(MATRIX[None])
SPLIT = Sampler(method="splitting", island=256, islands=(8, 8), sweeps=0)


class Normal:
    """Independent normal returns by one uniform a bar, candles without gaps and wicks: cheap enough for many paths."""

    identity = MappingProxyType({"kind": "normal"})
    trained_until = None

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        advance(len(timestamps))
        steps = self.steps(draws.uniforms(len(timestamps), 1))
        volume = np.ones(steps.shape[:2]) if context.has_volume else None
        return to_path_set(context, timestamps, draws, steps, volume, {"generator": "normal"})

    def start(self, context: Candles, timestamps: pd.DatetimeIndex, rows: int) -> ChainWalk:
        def next_bar(state: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            return self.steps(uniforms), np.ones(len(uniforms)), state

        return ChainWalk.start(context, len(timestamps), rows, 1, next_bar)

    @staticmethod
    def steps(uniforms: np.ndarray) -> np.ndarray:
        moved = MEAN + SPREAD * ndtri(np.maximum(uniforms[..., 0], 2.0**-54))
        still = np.zeros_like(moved)
        return np.stack((still, np.maximum(moved, 0), np.minimum(moved, 0), moved), axis=-1)


class Forgetful(RankBootstrap):
    """The planted defect: a bar that is stepped begins a block of its own."""

    def bar(
        self, numbers: np.ndarray, before: np.ndarray, per_bar: Sequence[int]
    ) -> tuple[list[np.ndarray], np.ndarray]:
        return super().bar(numbers, np.full_like(before, -1), per_bar)


def book_of(coupling: Coupling) -> BookGenerator:
    contexts = {name: load_candles(source).context(256) for name, source in (("spx", "sp500"), ("ndx", "nasdaq"))}
    stamps = BarCalendar.infer(contexts["spx"].timestamps).future(BARS)
    generator, grid = Normal(), np.arange(BARS)
    parts = {name: Coupled(generator, coupling, place, stamps, grid) for place, name in enumerate(contexts)}
    return BookGenerator(parts, contexts, 3)


def plain_share(book: BookGenerator, event: PortfolioEvent, paths: int) -> float:
    """The event's share among so many plain joint paths, by a hand of its own."""
    drawn = book.book(book.sample(book.contexts["spx"], book.timestamps, Draws.block(77, 0, paths)))
    weights = event.shares(("spx", "ndx"))
    gains = np.stack([part.close / part.anchor_close - 1 for part in drawn.parts.values()], axis=-1)
    equity = np.concatenate((np.ones((paths, 1)), 1 + gains @ weights), axis=1)
    fall = 1 - equity[:, -1] if event.functional == "portfolio_loss" else 1 - equity / np.maximum.accumulate(equity, 1)
    return float((fall.reshape(paths, -1).max(axis=1) >= event.at_least).mean())


def apart(book: BookGenerator, event: PortfolioEvent, paths: int) -> float:
    """By how many standard errors splitting and plain joint paths differ."""
    probability, error = split(book, event)
    share = plain_share(book, event, paths)
    assert share * paths > 30
    return float(abs(probability - share) / np.hypot(error, np.sqrt(share * (1 - share) / paths)))


def split(book: BookGenerator, event: PortfolioEvent) -> tuple[float, float]:
    """Its probability by splitting, and the standard error of that."""
    found = sample_portfolio_event(book, event, sampler=SPLIT, paths=256, block=256).sampled
    assert found.method == "splitting"
    assert found.probability.value is not None
    assert found.relative_error is not None
    return found.probability.value, found.probability.value * found.relative_error


def test_a_portfolio_of_one_asset_has_the_probability_of_its_normal_returns() -> None:
    exact = float(ndtr((np.log(0.9) - BARS * MEAN) / (SPREAD * np.sqrt(BARS))))
    event = PortfolioEvent(functional="portfolio_loss", at_least=0.1, weights={"spx": 1.0})
    probability, error = split(book_of(COUPLED), event)
    assert 5e-4 < exact < 2e-3
    assert abs(probability - exact) < 4.5 * error  # t of 7 degrees of freedom: 1 in 350


@pytest.mark.parametrize("functional", ["portfolio_loss", "portfolio_drawdown"])
def test_splitting_joint_futures_finds_what_plain_joint_paths_find(functional: str) -> None:
    event = PortfolioEvent.model_validate({"functional": functional, "at_least": 0.085})
    assert apart(book_of(COUPLED), event, 20_000) < 4.0


def test_a_book_that_is_long_and_short_is_lost_by_what_both_do_together() -> None:
    event = PortfolioEvent(functional="portfolio_loss", at_least=0.075, weights={"spx": 1.0, "ndx": -1.0})
    assert apart(book_of(COUPLED), event, 20_000) < 4.0


def test_dated_ranks_that_go_on_in_blocks_are_split_without_bias() -> None:
    """Ranks of a market that falls for days on end: a branch that began another block would find it far too rare."""
    days = np.repeat(np.random.default_rng(5).random((80, 1, 1)), 5, axis=0)
    ranks = RankBootstrap.of(np.clip(days + 0.02 * np.random.default_rng(6).random((400, 2, 1)), 0, 1), mean_block=6.0)
    event = PortfolioEvent(functional="portfolio_loss", at_least=0.12)
    assert apart(book_of(ranks), event, 20_000) < 4.0
    assert apart(book_of(Forgetful(ranks.cells, ranks.mean_block)), event, 20_000) > 6.0


def test_a_coupled_book_loses_more_often_than_one_whose_assets_are_apart() -> None:
    event = PortfolioEvent(functional="portfolio_loss", at_least=0.06)
    together, alone = (plain_share(book_of(coupling), event, 20_000) for coupling in (COUPLED, Independent()))
    assert together > 1.5 * alone


def test_a_frequent_event_is_counted_on_the_plain_joint_paths() -> None:
    book, event = book_of(COUPLED), {"functional": "portfolio_loss", "at_least": 0.01}
    found = sample_portfolio_event(book, event, paths=600, block=200)
    assert found.sampled.method == "rejection"
    assert found.weights is None
    assert found.paths.path_ids.tolist() == list(range(600))
    gains = np.stack([part.close[:, -1] / part.anchor_close - 1 for part in found.paths.parts.values()])
    assert_allclose(found.loss, -gains.mean(axis=0), atol=1e-6)  # closes are float32
    assert np.array_equal(found.happened, found.loss >= 0.01)


def test_paths_of_islands_describe_the_whole_law_with_their_weights() -> None:
    book = book_of(COUPLED)
    found = sample_portfolio_event(
        book, {"functional": "portfolio_loss", "at_least": 0.08}, sampler=SPLIT, paths=256, block=256
    )
    assert found.weights is not None
    assert found.sampled.probability.value is not None
    assert_allclose(found.weights.shares @ found.happened, found.sampled.probability.value)
    assert (found.loss[found.happened] >= 0.08).all()
    spx = found.paths.parts["spx"]
    assert spx.weights is not None
    ends = np.log(spx.close[:, -1] / spx.anchor_close)
    # the mean return over 12 bars of 2,048 first paths and their branches: the error of plain ones, twice
    error = 2 * SPREAD * np.sqrt(BARS / 2048)
    assert abs(found.weights.shares @ ends - BARS * MEAN) < 4 * error


def test_a_portfolio_is_worth_its_holdings_and_its_cash() -> None:
    book = book_of(COUPLED)
    score = PortfolioScore.of(PortfolioEvent(functional="portfolio_loss", at_least=0.1, weights={"ndx": 0.5}), book)
    values = np.zeros((1, 1, 10), dtype=np.float32)
    values[0, 0, book.closes] = (
        np.float32(book.contexts["spx"].close[-1]),
        np.float32(0.9 * book.contexts["ndx"].close[-1]),
    )
    assert_allclose(score.equity(values), [[0.95]], rtol=1e-6)


def test_weights_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="weights of size 0 in all"):
        PortfolioEvent(functional="portfolio_loss", at_least=0.1, weights={"spx": 0.0})
    with pytest.raises(SpecError, match="names dax, no asset of the book"):
        sample_portfolio_event(
            book_of(COUPLED), {"functional": "portfolio_loss", "at_least": 0.1, "weights": {"dax": 1.0}}
        )


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"functional": "portfolio_loss", "at_least": 2}, "event.at_least: got 2, expected a number above 0"),
        ({"functional": "loss", "at_least": 0.1}, "event.functional: got 'loss', expected portfolio_loss or"),
        ({"functional": "portfolio_loss"}, "event.at_least: missing"),
        ({"functional": "portfolio_loss", "at_least": 0.1, "weights": {"spx": np.nan}}, "event.weights"),
        ({"functional": "portfolio_loss", "at_least": 0.1, "weights": [1.0]}, "event.weights: got a list of 1"),
        (
            {"functional": "portfolio_loss", "at_least": 0.1, "weights": {"spx": 0.0}},
            "event.weights: weights of size 0 in all",
        ),
        (None, "event: got nothing, expected a mapping"),
    ],
)
def test_an_event_that_is_none_is_refused_as_in_a_spec(event: Any, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        sample_portfolio_event(book_of(COUPLED), event)
    assert words in str(caught.value)


def test_coupled_assets_are_asked_together_for_the_futures_that_they_are_sampled_as() -> None:
    histories = {name: load_candles(source).context(600) for name, source in (("spx", "sp500"), ("ndx", "nasdaq"))}
    model = JointModel.of(histories, lambda history: FilteredPaths(), Joint(), seed=0)
    book = model.together(6, seed=4)
    asked = sample_portfolio_event(book, {"functional": "portfolio_loss", "at_least": 0.005}, paths=600, block=512)
    assert asked.sampled.method == "rejection"
    for name, paths in model.sample(6, 600, seed=4).items():
        assert np.array_equal(asked.paths.parts[name].values, paths.values)
    rare = {"functional": "portfolio_loss", "at_least": 0.1}
    found = sample_portfolio_event(book, rare, sampler=SPLIT, paths=512, block=512).sampled
    assert found.method == "splitting"
    assert found.relative_error is not None
    assert found.probability.value is not None
    share = plain_share(book, PortfolioEvent.model_validate(rare), 20_000)
    error = np.hypot(found.probability.value * found.relative_error, np.sqrt(share / 20_000))
    assert share > 30 / 20_000
    assert abs(found.probability.value - share) < 4.5 * error
