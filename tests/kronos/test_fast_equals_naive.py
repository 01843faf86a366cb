"""The fast decoder draws what the naive one draws, for any weights, prefix batch and sampling rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.naive import sample_tokens_naively
from scenario_gen.kronos.order import Kind, token_order
from scenario_gen.kronos.sampling import SamplingRule

CONTEXT, HORIZON = 20, 12


def _inputs(checkpoint: Checkpoint, contexts: int, paths: int) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(11)
    c = checkpoint.model.config
    s1 = torch.randint(2**c.s1_bits, (contexts, CONTEXT), generator=g)
    s2 = torch.randint(2**c.s2_bits, (contexts, CONTEXT), generator=g)
    limits = torch.tensor([60, 24, 7, 28, 12])
    stamps = (torch.rand(contexts, CONTEXT + HORIZON, 5, generator=g) * limits).long()
    return s1, s2, stamps[:, :CONTEXT], stamps[:, CONTEXT:], torch.rand(paths, HORIZON, 2, generator=g)


@pytest.mark.parametrize("contexts", [1, 3])
@pytest.mark.parametrize(
    "rule",
    [SamplingRule(), SamplingRule(1.4, top_p=0.9), SamplingRule(0.7, top_k=5), SamplingRule(temperature=0)],
    ids=["plain", "top_p", "top_k", "greedy"],
)
def test_fast_and_naive_give_the_same_tokens_for_the_same_uniforms(
    tiny_checkpoint: Checkpoint, rule: SamplingRule, contexts: int
) -> None:
    inputs = _inputs(tiny_checkpoint, contexts, paths=6 * contexts)
    fast = FastDecoder(tiny_checkpoint).sample_tokens(*inputs, rule)
    naive = sample_tokens_naively(tiny_checkpoint, *inputs, rule)
    assert torch.equal(fast[0], naive[0])
    assert torch.equal(fast[1], naive[1])


@pytest.mark.parametrize("kind", ["return", "nested"])
@pytest.mark.parametrize("contexts", [1, 3])
def test_they_agree_when_tokens_have_an_order(tiny_checkpoint: Checkpoint, kind: Kind, contexts: int) -> None:
    rule = SamplingRule(1.2, top_k=9, order=token_order(tiny_checkpoint, kind))
    *inputs, _ = _inputs(tiny_checkpoint, contexts, paths=6 * contexts)
    uniforms = torch.rand(6 * contexts, HORIZON, rule.per_bar, generator=torch.Generator().manual_seed(3))
    fast = FastDecoder(tiny_checkpoint).sample_tokens(*inputs, uniforms, rule)
    naive = sample_tokens_naively(tiny_checkpoint, *inputs, uniforms, rule)
    assert torch.equal(torch.stack(fast), torch.stack(naive))


def test_they_agree_in_the_decode_form_of_the_dependency_layer(golden_checkpoint: Checkpoint) -> None:
    inputs = _inputs(golden_checkpoint, 1, paths=6)
    fast = FastDecoder(golden_checkpoint).sample_tokens(*inputs, SamplingRule())
    naive = sample_tokens_naively(golden_checkpoint, *inputs, SamplingRule())
    assert torch.equal(torch.stack(fast), torch.stack(naive))


def test_the_two_forms_of_the_dependency_layer_differ(golden_checkpoint: Checkpoint) -> None:
    inputs = _inputs(golden_checkpoint, 1, paths=32)
    other = replace(golden_checkpoint, dependency_form="train")
    a = FastDecoder(golden_checkpoint).sample_tokens(*inputs, SamplingRule())
    b = FastDecoder(other).sample_tokens(*inputs, SamplingRule())
    assert not torch.equal(a[1], b[1])


@pytest.mark.parametrize("contexts", [1, 4])
def test_decoding_the_paths_against_the_shared_prefix_equals_decoding_them_whole(
    tiny_checkpoint: Checkpoint, contexts: int
) -> None:
    inputs = _inputs(tiny_checkpoint, contexts, paths=4)
    new1, new2 = FastDecoder(tiny_checkpoint).sample_tokens(*inputs, SamplingRule())
    shared = FastDecoder(tiny_checkpoint).decode_tokens(inputs[0], inputs[1], new1, new2)
    repeat = 4 // contexts
    whole1 = torch.cat((inputs[0].repeat_interleave(repeat, 0), new1), 1)
    whole2 = torch.cat((inputs[1].repeat_interleave(repeat, 0), new2), 1)
    whole = tiny_checkpoint.tokenizer.decode(whole1, whole2)[:, CONTEXT:]
    # the same sums in another order, in float32, on numbers of order one
    torch.testing.assert_close(shared, whole, rtol=1e-4, atol=1e-5)


def test_a_horizon_beyond_the_window_is_refused(tiny_checkpoint: Checkpoint) -> None:
    inputs = _inputs(tiny_checkpoint, 1, paths=2)
    with pytest.raises(ValueError, match="exceed the window"):
        FastDecoder(replace(tiny_checkpoint, max_context=31)).sample_tokens(*inputs, SamplingRule())
