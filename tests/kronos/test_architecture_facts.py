"""Facts about the published architecture, each as a law that a wrong reading of it would break."""

from __future__ import annotations

import pytest
import torch

from scenario_gen.kronos import Checkpoint, Kronos, ModelConfig
from scenario_gen.kronos.model import DependencyForm, causal_attention
from scenario_gen.kronos.naive import sample_tokens_naively
from scenario_gen.kronos.sampling import SamplingRule

BARS = 20


def _tokens(checkpoint: Checkpoint, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    config = checkpoint.model.config
    s1 = torch.randint(2**config.s1_bits, (1, BARS), generator=g)
    s2 = torch.randint(2**config.s2_bits, (1, BARS), generator=g)
    stamps = (torch.rand(1, BARS, 5, generator=g) * torch.tensor([60, 24, 7, 28, 12])).long()
    return s1, s2, stamps


@torch.no_grad()
def test_token_t_depends_on_bars_up_to_t_and_decoded_bar_t_on_tokens_up_to_t(golden_checkpoint: Checkpoint) -> None:
    tokenizer = golden_checkpoint.tokenizer
    x = torch.randn(1, BARS, 6, generator=torch.Generator().manual_seed(2))
    changed = x.clone()
    changed[:, 12:] += 1
    # float32 sums of another order differ by 1e-6 of order one
    latent, other = tokenizer.latent(x), tokenizer.latent(changed)
    torch.testing.assert_close(latent[:, :12], other[:, :12], atol=1e-5, rtol=0)
    assert (latent[:, 12:] - other[:, 12:]).abs().min(-1).values.max() > 1e-3
    s1, s2, _ = _tokens(golden_checkpoint)
    bars, more = tokenizer.decode(s1, s2), tokenizer.decode(s1[:, :12], s2[:, :12])
    torch.testing.assert_close(bars[:, :12], more, atol=1e-5, rtol=0)


@torch.no_grad()
def test_states_are_causal_and_positions_count_from_the_window(golden_checkpoint: Checkpoint) -> None:
    model, (s1, s2, stamps) = golden_checkpoint.model, _tokens(golden_checkpoint)
    whole, part = model.states(s1, s2, stamps), model.states(s1[:, :12], s2[:, :12], stamps[:, :12])
    torch.testing.assert_close(whole[:, :12], part, atol=1e-5, rtol=0)
    cut = model.states(s1[:, 1:], s2[:, 1:], stamps[:, 1:])
    assert (whole[:, -1] - cut[:, -1]).abs().max() > 1e-3  # a bar that left the window is forgotten


@torch.no_grad()
def test_the_decode_form_has_no_order_and_the_training_form_has_one(golden_checkpoint: Checkpoint) -> None:
    """Only the last state keeps its place: it is also added to what was attended to."""
    model, (s1, s2, stamps) = golden_checkpoint.model, _tokens(golden_checkpoint)
    states, first = model.states(s1, s2, stamps), torch.tensor([3])
    mixed = torch.cat((states[:, torch.arange(BARS - 2, -1, -1)], states[:, -1:]), 1)
    decode, train = (model.s2_logits(states, first, form) for form in ("decode", "train"))  # type: ignore[arg-type]
    torch.testing.assert_close(model.s2_logits(mixed, first, "decode"), decode, atol=1e-5, rtol=0)
    assert (model.s2_logits(mixed, first, "train") - train).abs().max() > 1e-4
    assert (decode - train).abs().max() > 1e-4


@torch.no_grad()
def test_the_dependency_layers_query_is_the_bare_embedding_of_s1(golden_checkpoint: Checkpoint) -> None:
    """Written out: softmax(q k / sqrt(E)) v over all states in 4 heads, residual, norm, head; no sqrt(D) on s1."""
    model, (s1, s2, stamps) = golden_checkpoint.model, _tokens(golden_checkpoint)
    states, attn = model.states(s1, s2, stamps), model.dep_layer.cross_attn
    query = model.embedding.emb_s1.weight[7]
    q = (attn.q_proj.weight @ query + attn.q_proj.bias).view(4, -1)
    k = (states[0] @ attn.k_proj.weight.T + attn.k_proj.bias).view(BARS, 4, -1)
    v = (states[0] @ attn.v_proj.weight.T + attn.v_proj.bias).view(BARS, 4, -1)
    weights = (torch.einsum("he,the->ht", q, k) / q.shape[1] ** 0.5).softmax(-1)
    seen = attn.out_proj(torch.einsum("ht,the->he", weights, v).flatten())
    x = states[0, -1] + seen
    normed = x * torch.rsqrt(x.square().mean() + 1e-5) * model.dep_layer.norm.weight
    expected = model.head.proj_s2.weight @ normed + model.head.proj_s2.bias
    logits = model.s2_logits(states, torch.tensor([7]), "decode")[0]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("heads", [2, 8])
def test_the_dependency_layer_has_four_heads_whatever_the_model_has(heads: int) -> None:
    assert Kronos(ModelConfig(1, 64, heads, 64, 4, 4)).dep_layer.cross_attn.n_heads == 4


@torch.no_grad()
def test_s2_follows_from_the_s1_that_was_drawn_and_not_from_the_likeliest(golden_checkpoint: Checkpoint) -> None:
    model, (s1, s2, stamps) = golden_checkpoint.model, _tokens(golden_checkpoint)
    uniforms = torch.rand(200, 1, 2, generator=torch.Generator().manual_seed(4))
    uniforms[:, :, 1] = 0.5
    new1, new2 = sample_tokens_naively(golden_checkpoint, s1, s2, stamps, stamps[:, -1:], uniforms, SamplingRule())
    states = model.states(s1, s2, stamps)
    assert len(new1.unique()) > 5
    medians = set()
    for drawn in new1.unique():
        weights = model.s2_logits(states, drawn[None], "decode")[0].softmax(-1)
        median = int((weights.cumsum(-1) > 0.5).int().argmax())
        assert set(new2[new1 == drawn].tolist()) == {median}
        medians.add(median)
    assert len(medians) > 1  # s1 does matter


@pytest.mark.parametrize("bars", [1, 3, 77, 128])
def test_attention_by_blocks_of_queries_is_pytorchs_attention(bars: int) -> None:
    """In float32 to rounding (sums of 128 terms of order one); the training's bfloat16 form is the same code."""
    g = torch.Generator().manual_seed(bars)
    ours = [torch.randn(2, 3, bars, 8, generator=g, requires_grad=True) for _ in range(3)]
    theirs = [x.detach().clone().requires_grad_() for x in ours]
    a = causal_attention(*ours)
    b = torch.nn.functional.scaled_dot_product_attention(*theirs, is_causal=True)
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    weight = torch.randn(a.shape, generator=g)
    for x, y in zip(
        torch.autograd.grad((a * weight).sum(), ours), torch.autograd.grad((b * weight).sum(), theirs), strict=True
    ):
        torch.testing.assert_close(x, y, atol=1e-4, rtol=1e-4)


def test_the_loss_is_the_weighted_mean_over_the_judged_bars(golden_checkpoint: Checkpoint) -> None:
    """Only judged rows go through the heads; the sum over all rows, most of them times zero, says the same."""
    model, (s1, s2, stamps) = golden_checkpoint.model, _tokens(golden_checkpoint)
    weight = torch.zeros(1, BARS - 1)
    weight[0, 9:] = torch.linspace(0.5, 1, BARS - 10)
    with torch.no_grad():
        logits = model(s1[:, :-1], s2[:, :-1], stamps[:, :-1], s1[:, 1:])
        nll = [
            -torch.log_softmax(x, -1).gather(-1, y[:, 1:, None])[..., 0] for x, y in zip(logits, (s1, s2), strict=True)
        ]
        expected = [(x * weight).sum() / weight.sum() for x in nll]
        for x, y in zip(model.loss(s1, s2, stamps, weight), expected, strict=True):
            torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", ["train", "decode"])
def test_all_bars_at_once_have_the_logits_that_each_has_as_the_newest(
    golden_checkpoint: Checkpoint, form: DependencyForm
) -> None:
    model, g = golden_checkpoint.model, torch.Generator().manual_seed(3)
    s1, s2 = torch.randint(32, (2, 1, 9), generator=g)
    stamps = torch.ones(1, 9, 5, dtype=torch.int64)
    first, second = model(s1[:, :-1], s2[:, :-1], stamps[:, :-1], s1[:, 1:], form)
    for bar in range(1, 9):
        states = model.states(s1[:, :bar], s2[:, :bar], stamps[:, :bar])
        torch.testing.assert_close(first[:, bar - 1], model.s1_logits(states), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(second[:, bar - 1], model.s2_logits(states, s1[:, bar], form), rtol=1e-4, atol=1e-5)
