"""Uniforms in order: a higher one is a higher return, the law of the paths stays, and real bars have uniforms too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import stats

from scenario_gen.generators.base import Generator, OrderedGenerator, ordered
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.gbm import GbmPaths
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.generators.rescaled import DriftNeutral, Rescaled
from scenario_gen.generators.windows import FEWEST_BEFORE, plan_windows
from scenario_gen.kronos.checkpoint import open_checkpoint
from scenario_gen.kronos.sampling import LevelOrder, SamplingRule, TokenOrder
from scenario_gen.market import BarCalendar, Candles
from scenario_gen.market.paths import PathSet

BARS, PATHS = 6, 320


@pytest.fixture(scope="module")
def nano() -> KronosPaths:
    return KronosPaths.of(open_checkpoint("nano"), SamplingRule(1.0), device="cpu")


@pytest.fixture(scope="module")
def context(sp500: Candles) -> Candles:
    return sp500.split_at("2016-03-31")[0].context(256)


def ahead(context: Candles, bars: int) -> pd.DatetimeIndex:
    return BarCalendar.infer(context.timestamps, "XNYS").future(bars)


def facts(paths: PathSet) -> dict[str, np.ndarray]:
    """Numbers of each path that a law of paths decides [path]."""
    values = paths.values.astype(np.float64)
    closes = np.concatenate((np.full((len(values), 1), paths.anchor_close), values[..., 3]), axis=1)
    returns = np.diff(np.log(closes), axis=1)
    ranges, volumes = np.log(values[..., 1] / values[..., 2]).mean(axis=1), np.log(values[..., 4])
    return {
        "terminal": returns.sum(axis=1),
        "volatility": returns.std(axis=1),
        "first": returns[:, 0],
        "worst": returns.min(axis=1),
        "range": ranges,
        "gap": np.abs(np.log(values[..., 0] / closes[:, :-1])).mean(axis=1),
        "volume": volumes.mean(axis=1),
        "volume and move": (volumes * np.abs(returns)).mean(axis=1),
    }


def same_law(one_way: PathSet, other: PathSet) -> bool:
    """Whether no fact tells them apart: 8 tests of Kolmogorov and Smirnov at 1e-4, together 1 false alarm in 1,250."""
    first, second = facts(one_way), facts(other)
    return all(stats.ks_2samp(first[name], second[name]).pvalue > 1e-4 for name in first)


def is_in_order(generator: Generator, context: Candles, least: float) -> bool:
    """Whether the first uniform of a bar ranks its return."""
    paths = generator.sample(context, ahead(context, 1), Draws.block(2, 0, PATHS))
    first = Draws.block(2, 0, PATHS).uniforms(1, 2)[:, 0, 0]
    return float(stats.spearmanr(first, paths.close[:, 0]).statistic) > least


@pytest.mark.parametrize("order", ["return", "nested"])
def test_paths_of_a_checkpoint_have_one_law_in_any_order(nano: KronosPaths, context: Candles, order: str) -> None:
    plain = nano.sample(context, ahead(context, BARS), Draws.block(1, 0, PATHS))
    turned = nano.in_order(order).sample(context, ahead(context, BARS), Draws.block(5, 0, PATHS))  # type: ignore[arg-type]
    assert same_law(plain, turned)
    louder = Rescaled.louder(nano, 1.4).sample(context, ahead(context, BARS), Draws.block(5, 0, PATHS))
    assert not same_law(plain, louder)  # what is judged can be told apart


def test_paths_of_brownian_motion_have_one_law_in_any_order(context: Candles) -> None:
    plain = GbmPaths().sample(context, ahead(context, BARS), Draws.block(1, 0, 4000))
    turned = GbmPaths().in_order("return").sample(context, ahead(context, BARS), Draws.block(5, 0, 4000))
    assert same_law(plain, turned)


def test_a_higher_uniform_is_a_higher_return(nano: KronosPaths, context: Candles) -> None:
    assert is_in_order(nano.in_order("return"), context, 0.9)
    assert not is_in_order(nano, context, 0.7)
    assert is_in_order(GbmPaths().in_order("return"), context, 0.9999)
    for wrapped in (DriftNeutral(GbmPaths()), Rescaled.louder(GbmPaths(), 1.5)):
        assert is_in_order(wrapped.in_order("return"), context, 0.9999)
        assert not is_in_order(wrapped, context, 0.9)


def test_a_nested_order_ranks_volume_within_bins_of_return(nano: KronosPaths, context: Candles) -> None:
    draws = Draws.block(2, 0, PATHS)
    paths = nano.in_order("nested").sample(context, ahead(context, 1), draws)
    drawn = draws.uniforms(1, 4)[:, 0]
    assert stats.spearmanr(drawn[:, 0], paths.close[:, 0]).statistic > 0.85
    assert stats.spearmanr(drawn[:, 1], paths.column("volume")[:, 0]).statistic > 0.5
    assert abs(stats.spearmanr(drawn[:, 1], paths.close[:, 0]).statistic) < 0.2  # 1 / sqrt(320) is .056


def test_assets_with_the_same_uniforms_move_together_and_a_reversed_order_is_noticed(
    nano: KronosPaths, context: Candles
) -> None:
    """The planted defect: the order of one asset runs from the highest return to the lowest."""
    other = context.rows(0, 200)
    right = nano.in_order("return")
    assert right.rule.order is not None
    flipped = tuple(LevelOrder(level.tokens.flip(-1)) for level in right.rule.order.levels)
    wrong = replace(right, rule=replace(right.rule, order=TokenOrder("return", (flipped[0], flipped[1]))))
    first, second, defect = (
        np.diff(np.log(generator.sample(bars, ahead(bars, BARS), Draws.block(2, 0, 256)).close), axis=1).ravel()
        for generator, bars in ((right, context), (right, other), (wrong, other))
    )
    # of 1,280 returns; identical uniforms, states that differ: the error of a correlation near 0 is .028
    assert np.corrcoef(first, second)[0, 1] > 0.7
    assert np.corrcoef(first, defect)[0, 1] < -0.5


def test_a_walk_takes_the_uniforms_of_the_order(nano: KronosPaths, context: Candles) -> None:
    generator = nano.in_order("nested")
    sampled = generator.sample(context, ahead(context, 3), Draws.block(9, 0, 16))
    walk = generator.start(context, ahead(context, 3), 16)
    assert walk.per_bar == 4
    for bar, uniforms in enumerate(Draws.block(9, 0, 16).uniforms(3, 4).swapaxes(0, 1)):
        walk.step(bar, np.arange(16), uniforms)
    assert np.array_equal(walk.values, sampled.values)


# --- Real bars ---


@given(st.integers(1, 3000), st.integers(2, 2048))
@settings(max_examples=200, deadline=None)
def test_windows_forecast_every_bar_after_the_first_once_and_fit(bars: int, window: int) -> None:
    windows = list(plan_windows(bars, window))
    covered = [bar for _, first, stop in windows for bar in range(first, stop)]
    assert covered == list(range(min(FEWEST_BEFORE, window // 2), bars))
    for start, first, stop in windows:
        assert stop - start <= window
        assert first - start == min(first, window // 2)


@pytest.mark.parametrize("order", ["return", "nested"])
def test_bounds_of_a_models_own_paths_hold_uniforms(nano: KronosPaths, context: Candles, order: str) -> None:
    """Three paths of 256 bars after the context that gives their units: 768 bars of each uniform."""
    generator = nano.in_order(order)  # type: ignore[arg-type]
    stamps = ahead(context, 256)
    paths = generator.sample(context, stamps, Draws.block(3, 0, 3))
    rng, drawn = np.random.default_rng(1), []
    for path in paths.values.astype(np.float64):
        history = Candles(
            context.timestamps.append(stamps), np.concatenate((context.values[:, :5], path)), context.fields
        )
        bounds = generator.cell_bounds(history)
        assert np.isnan(bounds[:32]).all()
        mine = bounds[256:]
        assert ((mine[..., 0] >= 0) & (mine[..., 0] < mine[..., 1]) & (mine[..., 1] <= 1 + 1e-9)).all()
        drawn.append(mine[..., 0] + rng.random(mine.shape[:2]) * (mine[..., 1] - mine[..., 0]))
    # A decoded bar is encoded to its own token more often than not, else to a neighbour: uniform to a percent or two
    for uniforms in np.concatenate(drawn).T:
        assert stats.kstest(uniforms, "uniform").statistic < 0.07  # by chance alone .049 once in 20
        assert abs(np.corrcoef(uniforms[1:], uniforms[:-1])[0, 1]) < 5 / np.sqrt(768)


def test_bounds_honour_temperature_and_top_p(nano: KronosPaths, context: Candles) -> None:
    warm, cold, cut = (
        KronosPaths.of(nano.checkpoint, rule, device="cpu").in_order("return").cell_bounds(context)[32:]
        for rule in (SamplingRule(1.0), SamplingRule(0.5), SamplingRule(1.0, top_p=0.5))
    )
    widths = [float(np.diff(bounds[:, 0], axis=-1).mean()) for bounds in (warm, cold, cut)]
    assert widths[1] > 1.5 * widths[0]  # cells of likely tokens grow
    assert (np.diff(cut[:, 0], axis=-1) == 0).mean() > 0.2  # real tokens that it would never draw
    assert np.isfinite(cut).all()


def test_uniforms_of_brownian_motion_are_those_that_drew_the_bar(context: Candles) -> None:
    generator, draws = GbmPaths().in_order("return"), Draws.block(4, 0, 10)
    stamps = ahead(context, 1)
    paths, uniforms = generator.sample(context, stamps, draws), draws.uniforms(1, 5)[:, 0]
    for path, drawn in zip(paths.values.astype(np.float64), uniforms, strict=True):
        history = Candles(
            context.timestamps.append(stamps), np.concatenate((context.values[:, :5], path)), context.fields
        )
        lower, upper = generator.cell_bounds(history)[-1].T
        # prices are float32: 1e-7 of a deviation of some 1e-2; high and low follow from differences of them
        np.testing.assert_allclose(lower[:4], drawn[:4], atol=2e-3)
        assert np.array_equal(lower[:4], upper[:4])
        assert lower[4] <= drawn[4] + 1 / 250
        assert upper[4] >= drawn[4] - 1 / 250


def test_a_uniform_that_decides_nothing_may_have_been_any(context: Candles) -> None:
    silent = Candles(context.timestamps, context.values[:, :4], context.fields[:4])
    assert GbmPaths().in_order("return").cell_bounds(silent)[-1, 4].tolist() == [0.0, 1.0]


def test_what_is_put_around_a_generator_hands_its_bounds_on(context: Candles) -> None:
    inner = GbmPaths().in_order("return")
    wrapped = DriftNeutral(Rescaled.louder(GbmPaths(), 1.5)).in_order("return")
    assert np.array_equal(wrapped.cell_bounds(context), inner.cell_bounds(context), equal_nan=True)
    assert wrapped.identity["order"] == "return"


def test_generators_of_dated_rows_have_no_order(context: Candles) -> None:
    assert isinstance(GbmPaths(), OrderedGenerator)
    assert not isinstance(StationaryBootstrap(5.0), OrderedGenerator)
    with pytest.raises(TypeError, match="have no order"):
        ordered(StationaryBootstrap(5.0))


def test_a_checkpoint_sampled_by_the_number_of_its_tokens_has_bounds_in_that_order(
    nano: KronosPaths, context: Candles
) -> None:
    by_number, by_return = (generator.cell_bounds(context)[32:] for generator in (nano, nano.in_order("return")))
    widths = (np.diff(bounds, axis=-1) for bounds in (by_number, by_return))
    np.testing.assert_allclose(*widths, atol=1e-12)  # as likely, elsewhere
    assert not np.allclose(by_number, by_return)
    assert torch.get_num_threads() >= 1
