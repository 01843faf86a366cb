"""The sliding window: the naive decoder's tokens whatever fits, several contexts at once, each bar told once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from scenario_gen.errors import SpecError
from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.naive import decode_tokens_naively, sample_features, sample_tokens_naively
from scenario_gen.kronos.sampling import SamplingRule

HORIZON, CONTEXTS, PATHS = 14, 3, 12
# contexts under a window of 24: all bars fit; some do; the context fills the window; it overflows
LENGTHS = (10, 16, 24, 40)


def _inputs(checkpoint: Checkpoint, bars: int) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(bars)
    config = checkpoint.model.config
    s1 = torch.randint(2**config.s1_bits, (CONTEXTS, bars), generator=g)
    s2 = torch.randint(2**config.s2_bits, (CONTEXTS, bars), generator=g)
    limits = torch.tensor([60, 24, 7, 28, 12])
    stamps = (torch.rand(CONTEXTS, bars + HORIZON, 5, generator=g) * limits).long()
    return s1, s2, stamps[:, :bars], stamps[:, bars:], torch.rand(PATHS, HORIZON, 2, generator=g)


def _naive(checkpoint: Checkpoint, inputs: tuple[torch.Tensor, ...], rule: SamplingRule) -> torch.Tensor:
    s1, s2, *rest = inputs
    new = sample_tokens_naively(checkpoint, s1, s2, *rest, rule)
    whole = [
        torch.cat((old.repeat_interleave(PATHS // CONTEXTS, 0), fresh), 1)
        for old, fresh in zip((s1, s2), new, strict=True)
    ]
    return decode_tokens_naively(checkpoint, *whole, HORIZON)


@pytest.mark.parametrize("bars", LENGTHS)
@pytest.mark.parametrize("at_once", [1, 2**25])
def test_features_are_the_naive_decoders_and_every_bar_is_told_once(
    golden_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, bars: int, at_once: int
) -> None:
    monkeypatch.setattr("scenario_gen.kronos.naive.STATES_AT_ONCE", at_once)  # 1: path after path
    checkpoint, rule = replace(golden_checkpoint, max_context=24), SamplingRule(1.2, top_p=0.95)
    inputs, told = _inputs(checkpoint, bars), list[int]()
    features = sample_features(FastDecoder(checkpoint, "float32"), *inputs, rule, told.append)
    # one other token would differ by tenths; float32 sums of another order by 1e-6
    torch.testing.assert_close(features, _naive(checkpoint, inputs, rule), atol=1e-4, rtol=1e-4)
    assert sum(told) == HORIZON


def test_a_horizon_longer_than_the_window_is_refused(golden_checkpoint: Checkpoint) -> None:
    checkpoint = replace(golden_checkpoint, max_context=HORIZON - 1)
    with pytest.raises(SpecError, match="a horizon of 14 bars under a sliding window of 13"):
        sample_features(FastDecoder(checkpoint, "float32"), *_inputs(checkpoint, 5), SamplingRule())
