"""Many contexts through one checkpoint at once, each with a few paths: what calibrating over rolling origins needs.

Sixty contexts of 199 paths each are some 12,000 paths: enough to keep the matrix products busy, and too many for
the memory at once, so they go in chunks of whole contexts. Knows checkpoints and arrays; nothing of origins.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.decode import FastDecoder
from scenario_gen.kronos.representation import Scale, with_volatility
from scenario_gen.kronos.sampling import SamplingRule

PATHS_AT_ONCE = 1024  # in one pass of the decoder; more are no faster and take memory


def sample_from_contexts(
    decoder: FastDecoder,
    rule: SamplingRule,
    contexts: NDArray[np.float64],
    stamps: Tensor,
    uniforms: NDArray[np.float64],
    keep: int,
) -> NDArray[np.float64]:
    """Return the bars [context, path, bar, field] that follow each context.

    Args:
        decoder: of a checkpoint on its device.
        rule: how tokens are drawn.
        contexts: [context, T, field]; units are read from every row.
        stamps: of contexts and futures, with the marks of time, int64 [context, T + bar, 10].
        uniforms: float64 [context, path, bar, as many as the rule takes].
        keep: how many of the last rows the model sees; with the horizon they must fit its window.
    """
    size = max(1, PATHS_AT_ONCE // uniforms.shape[1])
    parts = []
    for start in range(0, len(contexts), size):
        rows = slice(start, start + size)
        parts.append(_sample_chunk(decoder, rule, contexts[rows], stamps[rows], uniforms[rows], keep))
    return np.concatenate(parts)


def stamps_for(checkpoint: Checkpoint, stamps: Tensor, scale: Scale) -> Tensor:
    """Return stamps as a checkpoint's model reads them, [P, T, 11] with marks, else as they are but for each context.

    Args:
        checkpoint: whose model may read marks.
        stamps: of the contexts, or of all alike, with the marks of time, int64 [P or 1, T, 10].
        scale: units of the contexts.
    """
    if not checkpoint.model.config.marks:
        return stamps.expand(len(scale.spread), -1, -1)
    return torch.from_numpy(with_volatility(stamps.numpy(), scale.spread[:, 0]))


@torch.no_grad()
def _sample_chunk(
    decoder: FastDecoder,
    rule: SamplingRule,
    contexts: NDArray[np.float64],
    stamps: Tensor,
    uniforms: NDArray[np.float64],
    keep: int,
) -> NDArray[np.float64]:
    checkpoint = decoder.checkpoint
    representation, device = checkpoint.representation, next(checkpoint.model.parameters()).device
    count, paths, horizon = uniforms.shape[:3]
    scale = representation.fit(contexts)
    features = torch.from_numpy(representation.encode(contexts, scale)).to(device)
    s1, s2 = (tokens[:, -keep:] for tokens in checkpoint.tokenizer.encode(features))  # [P, keep]
    stamps = stamps_for(checkpoint, stamps[:, -keep - horizon :], scale).to(device)
    drawn = torch.from_numpy(uniforms.reshape(count * paths, horizon, -1)).float().to(device)  # some have no float64
    new1, new2 = decoder.sample_tokens(s1, s2, stamps[:, :keep], stamps[:, keep:], drawn, rule)
    sampled = decoder.decode_tokens(s1, s2, new1, new2).cpu().numpy()  # [P * R, S, d_in]
    return np.stack([_bars_of(checkpoint, contexts, sampled, place, paths) for place in range(count)])


def _bars_of(
    checkpoint: Checkpoint, contexts: NDArray[np.float64], features: NDArray[np.float32], place: int, paths: int
) -> NDArray[np.float64]:
    """Return one context's bars [path, bar, field], in its own units."""
    representation = checkpoint.representation
    own = contexts[place : place + 1]
    anchors = np.full(paths, own[0, -1, 3])
    rows = features[place * paths : (place + 1) * paths]
    return representation.decode(rows, anchors, representation.fit(own))
