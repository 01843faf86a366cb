"""Paths from a checkpoint: reproducible, extendable, valid, beyond the window, with and without volume."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from scenario_gen.candles import check_candles
from scenario_gen.candles.account import merge_tallies
from scenario_gen.errors import SpecError
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.kronos import Checkpoint, load_checkpoint
from scenario_gen.kronos.naive import decode_tokens_naively, sample_tokens_naively
from scenario_gen.kronos.representation import stamp_features
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import BarCalendar, Candles, PathSet

GOLDEN = Path(__file__).parents[1] / "kronos" / "golden"


@pytest.fixture(scope="module")
def context(sp500: Candles) -> Candles:
    return sp500.split_at("2016-03-31")[0].context(40)


def _sample(
    checkpoint: Checkpoint, context: Candles, bars: int, paths: int = 8, first: int = 0, **settings: object
) -> PathSet:
    generator = KronosPaths.of(checkpoint, SamplingRule(1.0), device="cpu", **settings)  # type: ignore[arg-type]
    stamps = BarCalendar.infer(context.timestamps, "XNYS").future(bars)
    return generator.sample(context, stamps, Draws.block(9, first, paths))


def test_the_same_draws_give_the_same_paths_bit_for_bit(tiny_checkpoint: Checkpoint, context: Candles) -> None:
    a, b = (_sample(tiny_checkpoint, context, 15) for _ in range(2))
    assert np.array_equal(a.values, b.values)


def test_blocks_in_any_order_give_the_same_paths(tiny_checkpoint: Checkpoint, context: Candles) -> None:
    late_first = [_sample(tiny_checkpoint, context, 10, paths=4, first=i) for i in (8, 0, 4)]
    in_order = [_sample(tiny_checkpoint, context, 10, paths=4, first=i) for i in (0, 4, 8)]
    assert np.array_equal(late_first[0].values, in_order[2].values)
    assert np.array_equal(late_first[1].values, in_order[0].values)
    assert in_order[2].path_ids.tolist() == [8, 9, 10, 11]


def test_paths_of_increments_are_valid_without_repair(tiny_checkpoint: Checkpoint, context: Candles) -> None:
    paths = _sample(tiny_checkpoint, context, 20, paths=64)
    account = merge_tallies([check_candles(paths, context, "fail").tally])
    assert account.bad_bars == 0
    assert paths.fields == ("open", "high", "low", "close", "volume")
    assert paths.values.dtype == np.float32


def test_levels_of_random_weights_break_rules_and_are_counted_not_hidden(context: Candles) -> None:
    golden = load_checkpoint(GOLDEN)
    paths = _sample(golden, context, 20, paths=32)
    assert paths.fields == ("open", "high", "low", "close", "volume", "amount")
    assert merge_tallies([check_candles(paths, context, "repair").tally]).bad_bars > 0


@pytest.mark.parametrize("bars", [24, 25, 100])
def test_a_horizon_beyond_the_window_is_sampled_in_segments(
    tiny_checkpoint: Checkpoint, context: Candles, bars: int
) -> None:
    paths = _sample(tiny_checkpoint, context, bars, paths=5)  # window 64, context 40
    assert paths.values.shape == (5, bars, 5)
    assert np.isfinite(paths.values).all()
    first = paths.column("open")[:, 0] / paths.anchor_close
    assert np.abs(np.log(first)).max() < 0.5


def test_slide_and_the_fast_decoder_agree_where_everything_fits(tiny_checkpoint: Checkpoint, context: Candles) -> None:
    fast, slow = (_sample(tiny_checkpoint, context, 20, window=w) for w in ("reanchor", "slide"))
    # equal tokens; features differ by float32 reordering (1e-5 of a standard deviation of 1 %)
    np.testing.assert_allclose(fast.values, slow.values, rtol=1e-5)


def test_without_volume_in_the_context_there_is_none_in_the_paths(
    tiny_checkpoint: Checkpoint, context: Candles
) -> None:
    bare = replace(context, values=context.values[:, :4], fields=context.fields[:4])
    assert _sample(tiny_checkpoint, bare, 30).fields == ("open", "high", "low", "close")


def test_the_price_level_of_the_context_does_not_matter(tiny_checkpoint: Checkpoint, context: Candles) -> None:
    scaled = replace(context, values=context.values * np.array([8, 8, 8, 8, 1]))  # a power of two: exact in float
    a, b = _sample(tiny_checkpoint, context, 12), _sample(tiny_checkpoint, scaled, 12)
    np.testing.assert_allclose(b.close, 8 * a.close, rtol=1e-5)


def test_a_context_beyond_the_window_gives_the_paths_of_its_last_bars(
    tiny_checkpoint: Checkpoint, sp500: Candles
) -> None:
    history = sp500.split_at("2016-03-31")[0]
    long, short = (
        _sample(tiny_checkpoint, history.context(900), 12),
        _sample(tiny_checkpoint, history.context(52), 12),
    )
    assert long.provenance["context_bars"] == 52  # window 64 less 12 bars
    assert np.array_equal(long.values, short.values)


def test_published_levels_take_their_statistics_from_every_row(sp500: Candles) -> None:
    history, golden = sp500.split_at("2016-03-31")[0], load_checkpoint(GOLDEN)
    long, short = (_sample(replace(golden, max_context=64), history.context(n), 12) for n in (900, 52))
    assert long.provenance["context_bars"] == 900
    assert not np.array_equal(long.values, short.values)


def _quieter(golden: Checkpoint) -> Checkpoint:
    """The golden checkpoint, whose random weights run to the edge, with its tokenizer's output a tenth as large."""
    tokenizer = deepcopy(golden.tokenizer)
    with torch.no_grad():
        tokenizer.head.weight *= 0.1
        tokenizer.head.bias *= 0.1
    return replace(golden, tokenizer=tokenizer)


@pytest.mark.parametrize("window", ["reanchor", "slide"])
def test_bars_at_the_edge_of_the_levels_are_counted_path_by_path(context: Candles, window: str) -> None:
    golden = load_checkpoint(GOLDEN)
    calm, wild = (_sample(one, context, 20, paths=16, window=window) for one in (_quieter(golden), golden))
    assert calm.provenance["pinned_bars"] == 0
    prices = context.values[:, :4].astype(np.float32)
    z = (wild.values[..., :4] - prices.mean(0)) / (prices.std(0) + 1e-5)
    pinned = (np.abs(z) > 4.5).any(-1).sum(1)
    assert 0 < pinned.sum() < 16 * 20
    assert wild.counts["pinned_bars"].tolist() == pinned.tolist()
    assert wild.provenance["pinned_bars"] == pinned.sum()
    some = wild.select(wild.path_ids[3:5])
    assert some.provenance["pinned_bars"] == pinned[3:5].sum()


def test_bars_at_the_edge_are_counted_over_all_segments(context: Candles) -> None:
    """Window 64, context 40: the first 24 bars are one segment, of the rest each has 16 at most."""
    golden = replace(load_checkpoint(GOLDEN), max_context=64)
    first, whole = (_sample(golden, context, bars, paths=16) for bars in (24, 100))
    assert np.array_equal(first.values, whole.values[:, :24])
    assert (whole.counts["pinned_bars"] >= first.counts["pinned_bars"]).all()
    assert whole.counts["pinned_bars"].max() > 24


def test_a_context_whose_features_are_clipped_is_counted(context: Candles) -> None:
    golden = load_checkpoint(GOLDEN)
    assert _sample(golden, context, 5).provenance["clipped_context_bars"] == 0
    spike = np.where(np.arange(40)[:, None] == 30, [1, 1, 1, 1, 1000.0], 1)
    assert _sample(golden, replace(context, values=context.values * spike), 5).provenance["clipped_context_bars"] == 1


def test_increments_pin_nothing_and_count_what_they_clip(tiny_checkpoint: Checkpoint, context: Candles) -> None:
    quiet = np.where(np.arange(40)[:, None] == 30, [1, 1, 1, 1, 1e-9], 1)  # 20 log units below the others
    paths = _sample(tiny_checkpoint, replace(context, values=context.values * quiet), 100)
    assert paths.provenance["pinned_bars"] == 0
    assert paths.provenance["clipped_context_bars"] == 1
    assert paths.counts["clipped_own_bars"].shape == (8,)


@pytest.mark.parametrize("bars", [30, 64])
def test_slide_past_the_window_draws_what_the_naive_decoder_draws(
    tiny_checkpoint: Checkpoint, context: Candles, bars: int
) -> None:
    """Window 64, context 40: bars 24 and later slide. A checkpoint without room for the fast part is the reference."""
    paths = _sample(tiny_checkpoint, context, bars, window="slide")
    uniforms = torch.from_numpy(Draws.block(9, 0, 8).uniforms(bars, 2))
    representation = tiny_checkpoint.representation
    scale = representation.fit(context.values[None])
    s1, s2 = tiny_checkpoint.tokenizer.encode(torch.from_numpy(representation.encode(context.values[None], scale)))
    stamps = context.timestamps.append(paths.timestamps).tz_localize(None).as_unit("ns").asi8
    steps = torch.from_numpy(stamp_features(stamps))[None]
    new = sample_tokens_naively(tiny_checkpoint, s1, s2, steps[:, :40], steps[:, 40:], uniforms, SamplingRule(1.0))
    whole = (torch.cat((old.expand(8, -1), fresh), 1) for old, fresh in zip((s1, s2), new, strict=True))
    features = decode_tokens_naively(tiny_checkpoint, *whole, bars).numpy()
    expected = representation.decode(features, np.full(8, context.close[-1]), scale)
    # equal tokens; features differ by float32 reordering (1e-5 of a standard deviation of 1 %), 64 of them add up
    np.testing.assert_allclose(paths.values, expected, rtol=3e-5)


def test_slide_refuses_a_horizon_that_its_window_cannot_decode(tiny_checkpoint: Checkpoint, context: Candles) -> None:
    with pytest.raises(SpecError, match="a horizon of 65 bars under a sliding window of 64"):
        _sample(tiny_checkpoint, context, 65, window="slide")


@pytest.mark.parametrize("name", ["within_context", "sliding_window", "truncated_context"])
def test_a_sliding_window_gives_upstreams_numbers(name: str) -> None:
    with np.load(GOLDEN / f"{name}.npz") as stored:
        case = dict(stored)
    fields = ("open", "high", "low", "close", "volume", "amount")
    context = Candles(pd.DatetimeIndex(pd.to_datetime(case["context_ts"])), case["context"], fields)
    checkpoint = replace(load_checkpoint(GOLDEN), max_context=int(case["max_context"]))
    generator = KronosPaths.of(checkpoint, SamplingRule(temperature=0), "slide", "cpu")
    stamps = pd.DatetimeIndex(pd.to_datetime(case["future_ts"]))
    paths = generator.sample(context, stamps, Draws.block(0, 0, 3))
    assert paths.fields == fields
    for values in paths.values:  # greedy: every path is the same
        np.testing.assert_allclose(values, case["greedy"], rtol=1e-4)  # upstream's own stated agreement
