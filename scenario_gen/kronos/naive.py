"""The naive decoder: the whole window anew for every path and bar, as upstream does it.

Slow and obvious on purpose. Tests and benchmarks compare :mod:`scenario_gen.kronos.decode` with it, and
``window: slide`` runs on it, because a rolling cache is not equal to a sliding window.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scenario_gen.errors import SpecError
from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.sampling import SamplingRule, weights


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
        uniforms: per path and bar as many as the rule takes [N, H, U]: 2 without an order.
        rule: temperature, filters and order.
        advance: told of each finished bar.
    """
    n, horizon = uniforms.shape[:2]
    repeat = n // len(s1)
    s1, s2, stamps, ahead = (x.repeat_interleave(repeat, 0) for x in (s1, s2, stamps, future_stamps))
    model, window = checkpoint.model, checkpoint.max_context
    for bar in range(horizon):
        states = model.states(s1[:, -window:], s2[:, -window:], stamps[:, -window:])
        first = rule.drawn(weights(model.s1_logits(states), rule, checkpoint.cell_log_volume), uniforms[:, bar])
        logits = model.s2_logits(states, first, checkpoint.dependency_form)
        second = rule.drawn(weights(logits, rule), uniforms[:, bar], first)
        s1, s2 = torch.cat((s1, first[:, None]), 1), torch.cat((s2, second[:, None]), 1)
        stamps = torch.cat((stamps, ahead[:, bar : bar + 1]), 1)
        advance(1)
    return s1[:, -horizon:], s2[:, -horizon:]


@torch.no_grad()
def decode_tokens_naively(checkpoint: Checkpoint, s1: Tensor, s2: Tensor, horizon: int) -> Tensor:
    """Return features [N, H, d_in] of the last ``horizon`` tokens, decoding the last window of [N, T + H]."""
    window = checkpoint.max_context
    return checkpoint.tokenizer.decode(s1[:, -window:], s2[:, -window:])[:, -horizon:]


# --- Upstream's sliding window, exactly, and fast for as long as nothing slides ---


STATES_AT_ONCE = 2**25  # numbers in one hidden state of the naive decoder (128 MB in float32)


def _check_horizon(horizon: int, window: int) -> None:
    """Refuse a horizon of which upstream would decode the last window alone."""
    if horizon > window:
        raise SpecError(
            f"a horizon of {horizon} bars under a sliding window of {window}: its tokens are decoded together",
            expected=f"at most {window} bars",
            fix="ask for fewer bars; a generator can also go on with window: reanchor",
        )


@torch.no_grad()
def sample_features(
    decoder: FastDecoder,
    s1: Tensor,
    s2: Tensor,
    stamps: Tensor,
    future_stamps: Tensor,
    uniforms: Tensor,
    rule: SamplingRule,
    advance: Callable[[int], None] = lambda _: None,
) -> Tensor:
    """Return sampled and decoded features [N, H, d_in] of contexts of any length [P, T].

    Tokens equal those of :func:`scenario_gen.kronos.naive.sample_tokens_naively`, which explains
    the arguments, for decoders in float32.

    Raises:
        SpecError: the horizon is longer than the window.
    """
    checkpoint = decoder.checkpoint
    window, horizon = checkpoint.max_context, uniforms.shape[1]
    _check_horizon(horizon, window)
    s1, s2, stamps = (x[:, -window:] for x in (s1, s2, stamps))  # no bar ever sees more
    fits = min(window - s1.shape[1], horizon)
    new1, new2 = s1.new_empty((2, len(uniforms), 0))
    if fits > 0:
        first = future_stamps[:, :fits], uniforms[:, :fits]
        new1, new2 = decoder.sample_tokens(s1, s2, stamps, *first, rule, advance)
    if fits == horizon:
        return decoder.decode_tokens(s1, s2, new1, new2)
    repeat = len(uniforms) // len(s1)
    old1, old2 = (torch.cat((old.repeat_interleave(repeat, 0), new), 1) for old, new in ((s1, new1), (s2, new2)))
    past = torch.cat((stamps, future_stamps[:, :fits]), 1).repeat_interleave(repeat, 0)
    ahead = future_stamps[:, fits:].repeat_interleave(repeat, 0)
    size = max(1, STATES_AT_ONCE // (window * checkpoint.model.config.d_model))
    parts = []
    for start in range(0, len(uniforms), size):
        rows = slice(start, start + size)
        tell = _ignore if start else advance  # a bar is finished once, not once per chunk
        inputs = (old1[rows], old2[rows], past[rows], ahead[rows], uniforms[rows, fits:])
        new1, new2 = sample_tokens_naively(checkpoint, *inputs, rule, tell)
        whole1, whole2 = torch.cat((old1[rows], new1), 1), torch.cat((old2[rows], new2), 1)
        parts.append(decode_tokens_naively(checkpoint, whole1, whole2, horizon))
    return torch.cat(parts)


def _ignore(steps: int) -> None:
    del steps
