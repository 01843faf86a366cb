"""From logits to one token: temperature, top_k, top_p and inverse-CDF sampling from given uniforms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LOG2E = math.log2(math.e)


@dataclass(frozen=True)
class SamplingRule:
    """How a token is drawn."""

    temperature: float = 1.0  # divides the logits; 0 takes the token that the limit of ever lower temperatures takes
    top_p: float = 1.0  # keep the likeliest tokens until their probability crosses it; 1 keeps all
    top_k: int = 0  # keep the k likeliest tokens; 0 keeps all
    upstream: bool = False  # follow the published sampler, in which top_k > 0 silences top_p. Ours applies both.


def probabilities(logits: Tensor, rule: SamplingRule, log_volume: Tensor | None = None) -> Tensor:
    """Return the sampling probabilities float32 [N, V]: :func:`weights` over their sum."""
    unscaled = weights(logits, rule, log_volume)
    return unscaled / unscaled.sum(-1, keepdim=True)


def weights(logits: Tensor, rule: SamplingRule, log_volume: Tensor | None = None) -> Tensor:
    """Return what the sampling probabilities are proportional to, float32 [N, V], for logits [N, V].

    With ``log_volume`` [V] the density over the cells' volume is tempered instead of the code: the weights are
    exp(logits / T + (1 - 1/T) log v). At T = 1 both rules are the untempered model; as T falls to 0 the first
    takes the densest cell, and the plain rule the likeliest.
    """
    logits = logits.float()
    if rule.temperature == 0:
        peak = logits if log_volume is None else logits - log_volume
        return torch.zeros_like(logits).scatter_(-1, peak.argmax(-1, keepdim=True), 1.0)
    if rule.temperature != 1:
        logits = logits / rule.temperature
        if log_volume is not None:
            logits = logits + (1 - 1 / rule.temperature) * log_volume
    if rule.top_k > 0:
        kth = logits.topk(min(rule.top_k, logits.shape[-1]), dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if rule.top_p < 1 and not (rule.upstream and rule.top_k > 0):
        logits = _nucleus(logits, rule.top_p)
    return ((logits - logits.amax(-1, keepdim=True)) * LOG2E).exp2_()  # exp2 is the faster exponential


def _nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Silence what lies after the token whose cumulative probability crosses ``top_p``."""
    ordered, order = logits.sort(dim=-1, descending=True)
    before = ordered.softmax(-1).cumsum(-1)
    drop = before.roll(1, dims=-1) > top_p
    drop[..., 0] = False
    return logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)


def draw(unscaled: Tensor, uniforms: Tensor) -> Tensor:
    """Return the token [N] at which the cumulative probability first exceeds the uniform [N] in [0, 1).

    ``unscaled`` [N, V] are probabilities up to a factor. A token of probability 0 is never drawn, whatever the
    rounding.
    """
    cumulative = unscaled.cumsum(-1)
    total = cumulative[:, -1:]
    target = torch.minimum(uniforms.to(total.dtype)[:, None] * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target, right=True).squeeze(-1)
