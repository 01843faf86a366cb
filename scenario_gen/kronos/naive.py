"""The naive decoder: the whole window anew for every path and bar, as upstream does it.

Slow and obvious on purpose. Tests and benchmarks compare :mod:`scenario_gen.kronos.decode` with it, and
``window: slide`` runs on it, because a rolling cache is not equal to a sliding window.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.sampling import SamplingRule, draw, weights


@torch.no_grad()
def sample_tokens_naively(
    checkpoint: Checkpoint,
    s1: Tensor,
    s2: Tensor,
    stamps: Tensor,
    future_stamps: Tensor,
    uniforms: Tensor,
    rule: SamplingRule,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[Tensor, Tensor]:
    """Return sampled tokens (s1, s2), int64 [N, H].

    Args:
        checkpoint: model and sampling form.
        s1: context tokens [P, T]; N is a multiple of P, and path n belongs to context n // (N / P).
        s2: context tokens [P, T].
        stamps: context stamps [P, T, 5].
        future_stamps: stamps of the bars to sample [P, H, 5].
        uniforms: one pair per path and bar [N, H, 2].
        rule: temperature and filters.
        advance: told of each finished bar.
    """
    n, horizon = uniforms.shape[:2]
    repeat = n // len(s1)
    s1, s2, stamps, ahead = (x.repeat_interleave(repeat, 0) for x in (s1, s2, stamps, future_stamps))
    model, window = checkpoint.model, checkpoint.max_context
    for bar in range(horizon):
        states = model.states(s1[:, -window:], s2[:, -window:], stamps[:, -window:])
        first = draw(weights(model.s1_logits(states), rule, checkpoint.cell_log_volume), uniforms[:, bar, 0])
        logits = model.s2_logits(states, first, checkpoint.dependency_form)
        second = draw(weights(logits, rule), uniforms[:, bar, 1])
        s1, s2 = torch.cat((s1, first[:, None]), 1), torch.cat((s2, second[:, None]), 1)
        stamps = torch.cat((stamps, ahead[:, bar : bar + 1]), 1)
        advance(1)
    return s1[:, -horizon:], s2[:, -horizon:]


@torch.no_grad()
def decode_tokens_naively(checkpoint: Checkpoint, s1: Tensor, s2: Tensor, horizon: int) -> Tensor:
    """Return features [N, H, d_in] of the last ``horizon`` tokens, decoding the last window of [N, T + H]."""
    window = checkpoint.max_context
    return checkpoint.tokenizer.decode(s1[:, -window:], s2[:, -window:])[:, -horizon:]
