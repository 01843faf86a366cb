"""An order of tokens says which uniform draws which token, and changes nothing of how often each is drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.checkpoint import open_checkpoint
from scenario_gen.kronos.order import SHIPPED, Kind, Ranking, returns_of, token_order
from scenario_gen.kronos.sampling import BINS, LevelOrder, SamplingRule, TokenOrder
from scenario_gen.market import Candles

KINDS: tuple[Kind, ...] = ("return", "nested")


@pytest.fixture(scope="module")
def nano() -> Checkpoint:
    return open_checkpoint("nano")


@pytest.fixture(scope="module", params=KINDS)
def order(request: pytest.FixtureRequest, nano: Checkpoint) -> TokenOrder:
    return token_order(nano, request.param)


def weights_of(rows: int, tokens: int = 1024) -> torch.Tensor:
    """Unequal weights, some of them zero, as top_k leaves them [rows, tokens]."""
    drawn = torch.randn(rows, tokens, generator=torch.Generator().manual_seed(2)).mul(2).exp()
    return drawn * (drawn > 0.5)


def test_every_token_stands_once_in_an_order(order: TokenOrder) -> None:
    for level in order.levels:
        assert torch.equal(level.tokens.sort(-1).values, torch.arange(1024).expand_as(level.tokens))
        if level.within is not None:
            assert torch.equal(level.within.sort(-1).values, torch.arange(1024).expand_as(level.within))


@pytest.mark.parametrize("rows", [1, 12], ids=["one order", "an order for each s1"])
@pytest.mark.parametrize("nested", [False, True], ids=["return", "nested"])
def test_a_token_is_drawn_as_often_as_without_an_order(rows: int, nested: bool) -> None:
    """All points of a fine grid of uniforms, so that nothing is left to chance."""
    shuffled = torch.stack([torch.randperm(12, generator=torch.Generator().manual_seed(k)) for k in range(2 * rows)])
    level = LevelOrder(shuffled[:rows], shuffled[rows:] if nested else None, bins=3 if nested else 1)
    unscaled = weights_of(1, 12)
    share = (unscaled / unscaled.sum())[0].double()
    side = 200
    axis = (torch.arange(side) + 0.5) / side
    grid = torch.cartesian_prod(axis, axis) if nested else axis[:, None]
    drawn = level.drawn(unscaled.expand(len(grid), -1), grid, torch.full((len(grid),), 5))
    got = torch.bincount(drawn, minlength=12).double() / len(grid)
    # An interval of length x holds x * side points to within one; a token is an interval, or in a nested order the
    # product of two, a and b, each right to 1 / side: a b is right to (a + b) / side and a bit
    assert ((got - share).abs() <= (2 / side + 1 / side**2 if nested else 1 / side)).all()
    assert (got[share > 2.1 / side] > 0).all()
    assert not (got[share == 0] > 0).any()


def test_a_uniform_lies_between_the_bounds_of_the_token_that_it_draws(order: TokenOrder) -> None:
    uniforms = torch.rand(500, order.per_level, generator=torch.Generator().manual_seed(4))
    for level, first in zip(order.levels, (None, torch.arange(500)), strict=True):
        unscaled = weights_of(500)
        drawn = level.drawn(unscaled, uniforms, first)
        bounds = level.bounds(unscaled, drawn, first)
        rounding = 1e-5  # 1,024 sums in float32 against float64
        assert (bounds[..., 0] - rounding <= uniforms).all()
        assert (uniforms <= bounds[..., 1] + rounding).all()
        # a point in a cell of probability p lies in it with the rest: the cells of one row fill [0, 1]
        assert (bounds[..., 1] > bounds[..., 0]).all()


def test_a_token_that_is_never_drawn_has_a_point_of_the_return_order(nano: Checkpoint) -> None:
    unscaled = torch.ones(1, 1024)
    lowest, middle = token_order(nano, "return").levels[0].tokens[0, [0, 512]]
    unscaled[0, middle] = 0.0
    bounds = token_order(nano, "return").levels[0].bounds(unscaled, middle[None])
    assert bounds.tolist() == [[[512 / 1023, 512 / 1023]]]
    assert token_order(nano, "return").levels[0].bounds(unscaled, lowest[None]).tolist() == [[[0.0, 1 / 1023]]]


def test_bins_of_a_nested_order_have_equal_mass_and_rise_with_return_and_volume_within(nano: Checkpoint) -> None:
    ordered, nested = token_order(nano, "return").levels[0], token_order(nano, "nested").levels[0]
    unscaled = torch.ones(4000, 1024)
    uniforms = torch.rand(4000, 2, generator=torch.Generator().manual_seed(5))
    place = ordered.tokens[0].argsort()[nested.drawn(unscaled, uniforms)]  # by return
    assert torch.equal(place // 128, (uniforms[:, 0] * BINS[0]).long())  # equal weights: eight bins of 128 tokens
    assert nested.within is not None
    loudness = nested.within[0].argsort()[place]
    for bin_ in range(BINS[0]):
        mine = place // 128 == bin_
        assert spearmanr(uniforms[mine, 1], loudness[mine])[0] > 0.999


def test_bins_are_of_equal_mass_where_tokens_are_not_as_likely(nano: Checkpoint) -> None:
    nested = token_order(nano, "nested").levels[0]
    unscaled = torch.empty(1, 1024)
    unscaled[0, nested.tokens[0]] = torch.exp(-torch.arange(1024) / 100)  # the lowest 128 returns have 72 % of the mass
    uniforms = torch.rand(2000, 2, generator=torch.Generator().manual_seed(6))
    drawn = nested.drawn(unscaled.expand(2000, -1), uniforms)
    below = nested.bounds(unscaled.expand(2000, -1), drawn)[:, 0]
    ordered = unscaled[0, nested.tokens[0]].double() / unscaled.sum()
    middle = (ordered.cumsum(0) - ordered / 2)[nested.tokens[0].argsort()[drawn]]
    assert ((middle - uniforms[:, 0]).abs() < 1 / BINS[0] + float(ordered.max())).all()
    assert ((below[:, 1] - below[:, 0] - 1 / BINS[0]).abs() < float(ordered.max()) + 1e-6).all()


def test_higher_places_decode_to_higher_returns_of_real_bars(nano: Checkpoint, sp500: Candles) -> None:
    """Spearman's rho over 20 stretches of 128 bars of the S&P 500; measured .96."""
    bars = np.stack([sp500.values[start : start + 160] for start in range(0, 4000, 200)])
    features = nano.representation.encode(bars, nano.representation.fit(bars))
    s1, s2 = nano.tokenizer.encode(torch.from_numpy(features))
    returns = returns_of(nano.representation, nano.tokenizer.decode(s1, s2).numpy())[:, 32:]
    first, second = (level.tokens.argsort(-1) for level in token_order(nano, "return").levels)
    place = (first[0][s1] + second[s1, s2] / 1024)[:, 32:]
    assert spearmanr(place.flatten(), returns.ravel())[0] > 0.93
    assert abs(spearmanr(s1[:, 32:].flatten(), returns.ravel())[0]) < 0.6  # numbers of tokens have no such order


def test_the_order_of_levels_is_by_close(golden_checkpoint: Checkpoint) -> None:
    features = np.zeros((3, 6), dtype=np.float32)
    features[:, 3] = (-1.0, 2.0, 0.5)
    assert returns_of(golden_checkpoint.representation, features).tolist() == [-1.0, 2.0, 0.5]
    first, second = token_order(golden_checkpoint, "return").levels
    assert first.tokens.shape == (1, 32)
    assert second.tokens.shape == (32, 32)


def test_a_checkpoint_that_brings_no_order_is_asked_for_it(tiny_checkpoint: Checkpoint) -> None:
    by_return, by_volume = Ranking.measured(tiny_checkpoint)
    for ranking in (by_return, by_volume):
        for tokens in ranking.places():
            assert np.array_equal(np.sort(tokens, axis=-1), np.broadcast_to(np.arange(16), tokens.shape))
    assert not np.array_equal(by_return.first, by_volume.first)


def test_the_embedded_checkpoint_brings_what_it_says_of_itself(nano: Checkpoint) -> None:
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    assert shipped["tokenizer_sha256"] == nano.provenance["tokenizer_sha256"]
    assert token_order(nano, "return").levels[0].tokens[0].tolist() == shipped["return"]["s1"]


def test_increments_tell_their_return_as_they_decode_it(nano: Checkpoint, sp500: Candles) -> None:
    bars = sp500.values[None, :100]
    scale = nano.representation.fit(bars)
    features = nano.representation.encode(bars, scale)
    real = np.diff(np.log(bars[0, :, 3]))
    # features are float32, and asinh of a gap is undone: six digits of a return
    np.testing.assert_allclose(returns_of(nano.representation, features)[0, 1:] * scale.spread[0, 0], real, atol=1e-6)


def test_each_token_of_a_bar_has_uniforms_of_its_own() -> None:
    unscaled = torch.ones(3, 4)
    uniforms = torch.tensor([[0.1, 0.9], [0.6, 0.3], [0.9, 0.1]])
    first = SamplingRule().drawn(unscaled, uniforms)
    assert first.tolist() == [0, 2, 3]
    assert SamplingRule().drawn(unscaled, uniforms, first).tolist() == [3, 1, 0]
    reversed_ = LevelOrder(torch.tensor([[3, 2, 1, 0]]))
    rule = SamplingRule(order=TokenOrder("return", (reversed_, LevelOrder(torch.arange(4)[None]))))
    assert rule.drawn(unscaled, uniforms).tolist() == [3, 1, 0]
    assert rule.drawn(unscaled, uniforms, first).tolist() == [3, 1, 0]
