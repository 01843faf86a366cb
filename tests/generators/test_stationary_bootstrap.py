"""The bootstrap baseline: whole candles, geometric blocks, the context's own moments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arch.bootstrap import optimal_block_length
from scipy import stats

from scenario_gen.candles import check_candles
from scenario_gen.candles.account import merge_tallies
from scenario_gen.errors import DataError
from scenario_gen.generators.bootstrap import StationaryBootstrap, block_indices, optimal_mean_block
from scenario_gen.generators.draws import Draws
from scenario_gen.market import BarCalendar, Candles


@pytest.fixture(scope="module")
def context(sp500: Candles) -> Candles:
    return sp500.split_at("2012-06-29")[0].context(400)


def _paths(context: Candles, n: int, bars: int, mean_block: float | None = 10.0) -> np.ndarray:
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(bars)
    return StationaryBootstrap(mean_block).sample(context, stamps, Draws.block(1, 0, n)).values


def test_every_generated_bar_is_a_bar_of_the_context(context: Candles) -> None:
    values = _paths(context, 20, 30).astype(np.float64)
    close = np.concatenate([np.full((20, 1), context.close[-1]), values[:, :, 3]], axis=1)
    made = np.log(values[:, :, :4]) - np.log(close[:, :-1, None])
    real = np.log(context.values[1:, :4]) - np.log(context.close[:-1, None])
    distance = np.abs(made.reshape(-1, 1, 4) - real[None]).max(-1).min(1)
    assert distance.max() < 1e-6  # float32 prices: 6e-8 relative, of two of them
    assert np.isin(values[:, :, 4], context.column("volume").astype(np.float32)).all()


def test_blocks_by_hand() -> None:
    starts = [0.9, 0.1, 0.9, 0.2, 0.9, 0.9, 0.24]  # a new block below 1 / 4, and at the first bar in any case
    wheres = [0.35, 0.72, 0.0, 0.99, 0.0, 0.0, 0.5]  # of ten bars
    index = block_indices(np.stack((starts, wheres), axis=-1)[None], bars=10, mean_block=4.0)
    assert index.tolist() == [[3, 7, 8, 9, 0, 1, 5]]


def test_later_blocks_begin_anywhere_in_the_context() -> None:
    index = block_indices(Draws.block(7, 0, 400).uniforms(50, 2), bars=100, mean_block=8.0)
    begins = index[:, 1:][(index[:, 1:] - index[:, :-1]) % 100 != 1]
    # some 2,400 begins over 100 bars: chi-squared, false alarm 1e-3 at this fixed seed
    assert stats.chisquare(np.bincount(begins, minlength=100)).pvalue > 1e-3


def test_blocks_have_geometric_length_and_wrap_around() -> None:
    u = Draws.block(2, 0, 400).uniforms(500, 2)
    index = block_indices(u, bars=100, mean_block=8.0)
    continues = (index[:, 1:] - index[:, :-1]) % 100 == 1
    # a new block starts with probability 1/8 and continues by chance with 1/100 of those
    expected = 1 - (1 / 8) * 0.99
    error = np.sqrt(expected * (1 - expected) / continues.size)
    assert abs(continues.mean() - expected) < 5 * error  # false alarm below 1e-6
    assert index.min() == 0
    assert index.max() == 99
    assert ((index[:, :-1] == 99) & (index[:, 1:] == 0)).any()


def test_the_mean_return_is_the_contexts_within_its_error(context: Candles) -> None:
    values = _paths(context, 2000, 20, mean_block=1.0).astype(np.float64)
    total = np.log(values[:, -1, 3] / context.close[-1])
    returns = np.diff(np.log(context.close))
    # independent draws: mean 20 m, standard error s sqrt(20 / 2000); five of those, false alarm below 1e-6
    assert abs(total.mean() - 20 * returns.mean()) < 5 * returns.std() * np.sqrt(20 / 2000)


def test_the_mean_block_is_archs_optimum_for_absolute_returns(context: Candles) -> None:
    expected = optimal_block_length(np.abs(np.diff(np.log(context.close))))["stationary"].iloc[0]
    assert optimal_mean_block(context.close) == pytest.approx(min(expected, 100))
    assert optimal_mean_block(np.full(50, 3.0)) == 1.0


def test_bootstrap_paths_need_no_repair(context: Candles) -> None:
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(40)
    paths = StationaryBootstrap().sample(context, stamps, Draws.block(1, 0, 100))
    account = merge_tallies([check_candles(paths, context, "repair").tally])
    assert account.bad_bars == 0
    assert account.untouched == 100


def test_without_volume_in_the_context_there_is_none_in_the_paths(context: Candles) -> None:
    bare = replace(context, values=context.values[:, :4], fields=context.fields[:4])
    assert _paths(bare, 3, 5).shape == (3, 5, 4)


def test_a_short_context_is_refused(context: Candles) -> None:
    with pytest.raises(DataError, match="at least 32"):
        _paths(context.rows(0, 20), 2, 5)
