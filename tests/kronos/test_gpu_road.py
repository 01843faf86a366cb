"""What a GPU takes and a processor does not, run on the processor: batched attention, bfloat16 keys, large chunks.

Only the product that PyTorch has on CUDA alone (bfloat16 factors, float32 result) is replaced by its definition.
"""

from __future__ import annotations

import pytest
import torch

from scenario_gen.kronos import Checkpoint, attention, device as dense, fused
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.naive import decode_tokens_naively, sample_tokens_naively
from scenario_gen.kronos.sampling import SamplingRule


@pytest.fixture
def inputs(golden_checkpoint: Checkpoint) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(2)
    c = golden_checkpoint.model.config
    s1, s2 = (torch.randint(2**bits, (2, 20), generator=g) for bits in (c.s1_bits, c.s2_bits))
    stamps = torch.randint(7, (2, 30, 5), generator=g)
    return s1, s2, stamps[:, :20], stamps[:, 20:], torch.rand(80, 10, 2, generator=g)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (attention, dense):
        monkeypatch.setattr(module, "packs", lambda device: False)
    monkeypatch.setattr(attention, "product32", lambda a, b: a.float() @ b.float())


def test_in_float32_it_draws_what_the_naive_decoder_draws(
    golden_checkpoint: Checkpoint, inputs: tuple[torch.Tensor, ...], as_on_a_gpu: None
) -> None:
    fast = FastDecoder(golden_checkpoint, "float32").sample_tokens(*inputs, SamplingRule())
    naive = sample_tokens_naively(golden_checkpoint, *inputs, SamplingRule())
    assert torch.equal(torch.stack(fast), torch.stack(naive))


def test_bfloat16_keys_and_products_stay_near_float32(
    golden_checkpoint: Checkpoint, inputs: tuple[torch.Tensor, ...], as_on_a_gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenario_gen.kronos.decode.choose_dtype", lambda *_: torch.bfloat16)
    monkeypatch.setattr(fused, "keep_dtype", lambda layer: torch.bfloat16)
    decoder = FastDecoder(golden_checkpoint)
    s1, s2, past, ahead, uniforms = inputs
    prefix = decoder.prefill(s1, s2, past)
    assert prefix.layers[0].k.dtype == torch.bfloat16
    assert prefix.last_state.dtype == torch.float32
    new = torch.stack(decoder.sample_tokens(s1, s2, past, ahead, uniforms, SamplingRule()))
    naive = torch.stack(sample_tokens_naively(golden_checkpoint, *inputs, SamplingRule()))
    # The first bar has seen no other draw: at most a few of 80 pairs lie within bfloat16's reach of a boundary
    # (distributions .01 apart move 1 draw in 100; 8 of 80 has a chance under 1e-4).
    assert (new[:, :, 0] != naive[:, :, 0]).any(0).sum() < 8
    features = decoder.decode_tokens(s1, s2, new[0], new[1])
    whole = [torch.cat((old.repeat_interleave(40, 0), one), 1) for old, one in zip((s1, s2), new, strict=True)]
    exact = decode_tokens_naively(golden_checkpoint, whole[0], whole[1], 10)
    assert features.dtype == torch.float32
    # three blocks of products with a relative error of 2^-8 each, on features of size about 1
    assert (features - exact).abs().max() < 0.1
