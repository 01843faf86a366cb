"""Laws of temperature, filters and inverse-CDF sampling."""

from __future__ import annotations

import random

import torch
from hypothesis import assume, given, settings, strategies as st

from scenario_gen.kronos.sampling import SamplingRule, draw, probabilities

logit_rows = st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=40)


def test_the_inverse_cdf_takes_the_token_whose_slice_holds_the_uniform() -> None:
    probs = torch.tensor([[0.2, 0.5, 0.3]]).expand(5, 3)
    tokens = draw(probs, torch.tensor([0.0, 0.19, 0.2001, 0.69, 0.71]))
    assert tokens.tolist() == [0, 0, 1, 1, 2]


@given(logit_rows, st.floats(0, 1, exclude_max=True), st.floats(0.05, 1))
@settings(max_examples=200, deadline=None)
def test_a_filtered_token_is_never_drawn(row: list[float], u: float, top_p: float) -> None:
    probs = probabilities(torch.tensor([row]), SamplingRule(top_p=top_p))
    token = int(draw(probs, torch.tensor([u])))
    assert probs[0, token] > 0


def test_the_last_slice_is_reached_but_not_overrun_at_the_largest_uniform() -> None:
    probs = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    assert draw(probs, torch.tensor([1.0])).tolist() == [1]


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_of_many_tokens_the_one_is_drawn_whose_slice_holds_the_uniform(seed: int, silenced: float) -> None:
    """Many are summed in runs; most of them, some runs whole, may have no probability."""
    g = torch.Generator().manual_seed(seed)
    unscaled = torch.randn(8, 1024, generator=g).mul_(4).exp_()
    unscaled[torch.rand(8, 1024, generator=g) < silenced] = 0
    unscaled[:, 32:64] = 0
    unscaled[:, 500] = 1e-3  # one at least
    uniforms = torch.cat((torch.tensor([0.0, 1 - 2**-24]), torch.rand(6, generator=g)))
    tokens = draw(unscaled, uniforms)
    drawn = unscaled.double().gather(1, tokens[:, None])[:, 0]
    ends = unscaled.double().cumsum(-1)
    upper = ends.gather(1, tokens[:, None])[:, 0] / ends[:, -1]
    lower = upper - drawn / ends[:, -1]
    # sums of 32 numbers, of at most 32 sums, and their difference: fewer than 100 roundings of 2^-24, of at most 1 each
    near = 100 * 2.0**-24
    assert (drawn > 0).all()
    assert ((lower <= uniforms + near) & (uniforms - near < upper)).all()


@given(logit_rows, st.floats(0.1, 4))
@settings(max_examples=100, deadline=None)
def test_equal_cell_volumes_change_nothing(row: list[float], temperature: float) -> None:
    logits = torch.tensor([row])
    plain = probabilities(logits, SamplingRule(temperature))
    tempered = probabilities(logits, SamplingRule(temperature), torch.full((len(row),), 1.7))
    torch.testing.assert_close(plain, tempered, rtol=1e-4, atol=1e-6)


@given(logit_rows)
@settings(max_examples=100, deadline=None)
def test_temperature_one_is_the_untempered_model_whatever_the_volumes(row: list[float]) -> None:
    logits = torch.tensor([row])
    volumes = torch.linspace(-3, 3, len(row))
    tempered = probabilities(logits, SamplingRule(1.0), volumes)
    assert torch.equal(tempered, probabilities(logits, SamplingRule(1.0)))
    torch.testing.assert_close(tempered, logits.softmax(-1))  # exp2 and exp differ in the last place


def test_a_high_temperature_weighs_cells_by_their_volume() -> None:
    volumes = torch.tensor([0.1, 1.0, 10.0])
    probs = probabilities(torch.zeros(1, 3), SamplingRule(1e9), volumes.log())
    torch.testing.assert_close(probs[0], volumes / volumes.sum(), rtol=1e-5, atol=1e-6)


def test_top_p_keeps_the_token_that_crosses_it_and_nothing_after() -> None:
    probs = torch.tensor([[0.05, 0.5, 0.15, 0.3]])
    kept = probabilities(probs.log(), SamplingRule(top_p=0.7))  # .5 is below .7, .5 + .3 crosses it
    torch.testing.assert_close(kept, torch.tensor([[0.0, 0.5 / 0.8, 0.0, 0.3 / 0.8]]))
    kept = probabilities(probs.log(), SamplingRule(top_p=0.4))  # the first crosses it alone
    torch.testing.assert_close(kept, torch.tensor([[0.0, 1.0, 0.0, 0.0]]))


def test_ours_applies_top_k_and_top_p_and_upstreams_rule_lets_top_k_silence_top_p() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    both = probabilities(logits, SamplingRule(top_k=3, top_p=0.5))
    silenced = probabilities(logits, SamplingRule(top_k=3, top_p=0.5, upstream=True))
    assert int((both > 0).sum()) == 1
    assert int((silenced > 0).sum()) == 3


def test_draws_follow_their_probabilities() -> None:
    probs = torch.tensor([0.1, 0.2, 0.3, 0.4])
    n = 100_000
    u = torch.rand(n, generator=torch.Generator().manual_seed(3))
    share = torch.bincount(draw(probs.expand(n, 4), u), minlength=4) / n
    # four binomial shares at five standard errors: false alarm below 3e-6 at this fixed seed
    assert torch.all((share - probs).abs() < 5 * (probs * (1 - probs) / n).sqrt())


@given(logit_rows, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_temperature_zero_is_the_limit_of_low_temperatures(row: list[float], rng: random.Random) -> None:
    volumes = torch.tensor([[rng.uniform(-3, 3) for _ in row]])
    logits = torch.tensor([row])
    best = (logits - volumes).topk(2).values[0]
    assume(best[0] - best[1] > 0.01)  # at T = 0.001 the runner-up then has less than exp(-10) of the weight
    frozen = probabilities(logits, SamplingRule(0.0), volumes[0])
    cold = probabilities(logits, SamplingRule(0.001), volumes[0])
    assert int(frozen.argmax()) == int(cold.argmax())
    assert float(frozen.max()) == 1.0


def test_without_cell_volumes_temperature_zero_takes_the_likeliest_token() -> None:
    assert probabilities(torch.tensor([[0.0, 2.0, 1.0]]), SamplingRule(0.0)).tolist() == [[0.0, 1.0, 0.0]]
