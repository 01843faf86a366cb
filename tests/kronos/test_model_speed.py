"""The benchmark counts what it should, and says what it cannot do."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel  # its plain form is the one that the counter knows
from torch.utils.flop_counter import FlopCounterMode

from scenario_gen.errors import CheckpointError, SpecError
from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.device import has_bfloat16
from scenario_gen.kronos.model import Block
from scenario_gen.kronos.model_speed import (
    Closeness,
    Size,
    _block,
    agreement,
    flops_per_bar,
    measure,
    model_for_timing,
    random_checkpoint,
)


def test_a_blocks_arithmetic_is_what_pytorch_counts() -> None:
    bars, block = 24, Block(32, 4, 48).eval()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        block(torch.randn(1, bars, 32))
    assert counter.get_total_flops() == 2 * bars * _block(32, 48, context=bars)


def test_the_whole_count_leaves_out_only_what_is_looked_up(tiny_checkpoint: Checkpoint) -> None:
    """The naive step over T bars, less T - 1 bars of it, less the fusing projection and the sibling's query."""
    model, bars = tiny_checkpoint.model, 24
    d, tokenizer = model.config.d_model, tiny_checkpoint.tokenizer
    s1, s2 = (torch.zeros(1, bars, dtype=torch.int64) for _ in range(2))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model(s1, s2, torch.zeros(1, bars, 5, dtype=torch.int64), s1)
        tokenizer.decode(s1, s2)
    looked_up = bars * 2 * (2 * d * d + d * d)
    assert counter.get_total_flops() - looked_up == bars * flops_per_bar(tiny_checkpoint, context=bars)


def test_the_figures_of_a_bench_hang_together(tiny_checkpoint: Checkpoint) -> None:
    found = measure(tiny_checkpoint, "random", Size(64, 8, 6), dtype="float32", rounds=1)
    assert found.path_bars_per_second == pytest.approx(64 * 6 / found.size.seconds)
    assert found.ratio_to_naive == pytest.approx(found.path_bars_per_second / found.naive_path_bars_per_second)
    flops = flops_per_bar(tiny_checkpoint, 8 + 6 / 2) * found.path_bars_per_second
    assert found.share_of_ceiling == pytest.approx(flops / (found.ceiling_gflops * 1e9))
    assert found.peak_memory_bytes > 50_000_000  # torch alone takes more
    assert [(one.paths, one.context, one.horizon) for one in found.growth] == [
        (16, 8, 6),
        (32, 8, 6),
        (64, 4, 6),
        (64, 8, 3),
    ]
    assert found.agreement is None


def test_bars_that_do_not_fit_the_window_are_refused(tiny_checkpoint: Checkpoint) -> None:
    too_many = tiny_checkpoint.max_context
    with pytest.raises(SpecError, match=r"bars; .* holds"):
        measure(tiny_checkpoint, "random", Size(1, too_many, 1))


def test_a_published_model_that_is_not_here_is_timed_with_random_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    checkpoint, weights = model_for_timing("mini")
    assert weights == "random"
    assert sum(p.numel() for p in checkpoint.model.parameters()) == 4_108_032  # kronos.md's table
    assert model_for_timing("nano")[1] == "real"
    with pytest.raises(CheckpointError, match="mni"):
        model_for_timing("mni")
    with pytest.raises(CheckpointError, match="huge"):
        random_checkpoint("huge", 512)


@pytest.mark.skipif(not has_bfloat16(torch.device("cpu")), reason="no bfloat16 instructions")
def test_bfloat16_stays_near_float32_on_the_embedded_model() -> None:
    checkpoint, _ = model_for_timing("nano")
    found = agreement(checkpoint, Size(64, 128, 16))
    assert isinstance(found, Closeness)
    # Logits of some 10 nats carry a relative error of 2^-9 per product, averaged over the sums of many: a few
    # hundredths of a nat, so distributions move by about a hundredth. Unrelated distributions are .5 and more apart.
    assert 0 < found.s1_distance < 0.03
    assert found.largest_s1_distance < 0.15
    # A path that has drawn one other token goes on with others: at a hundredth a draw .99^32 = .72 of 16 bars are left
    assert found.same_tokens > 0.65
