"""A checkpoint's weights, folded once for decoding; the published tensors stay as they are.

Folded in: RMSNorm's weights into the product that follows, q with k and v, the scale of the scores into q, token
embeddings into tables that are already projected. Query and key dimensions are reordered so that rotary pairs
lie side by side and a rotation is one complex product; scores do not depend on that order.

Shapes: M = N * S rows (N paths or contexts, S bars of each), D d_model, H heads, E head dim.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scenario_gen.kronos.attention import Own, Prefix, attend
from scenario_gen.kronos.device import Dense
from scenario_gen.kronos.model import Attention, Block, DependencyLayer, Heads, RMSNorm, TokenEmbedding

LOG2E = math.log2(math.e)


class Turns:
    """Rotary angles of bars as complex numbers, repeated for every head of q and k."""

    def __init__(self, attn: Attention) -> None:
        self.attn = attn
        self.known = self._angles(0)  # [positions so far, E/2]

    def at(self, start: int, steps: int, repeats: int) -> Tensor:
        """Return complex64 [S, repeats * E/2] for positions start to start + S."""
        known = self.known
        if len(known) < start + steps:
            known = self.known = self._angles(2 * (start + steps))
        return known[start : start + steps].tile(1, repeats)

    def _angles(self, bars: int) -> Tensor:
        """Return complex64 [bars, E/2] for positions from 0."""
        half, rotary = self.attn.head_dim // 2, self.attn.rotary
        cos, sin = rotary.angles(torch.arange(bars, device=rotary.inv_freq.device))
        return torch.complex(cos[:, :half], sin[:, :half])


def turn(x: Tensor, turns: Tensor) -> None:
    """Rotate pairs in place: x float32 [M, 2 * W] holds W neighbouring pairs per row, turns is complex [S, W]."""
    pairs = x.unflatten(-1, (-1, 2)).unflatten(0, (-1, len(turns)))  # [N, S, W, 2]
    torch.view_as_complex(pairs).mul_(turns)


def neighbours(attn: Attention) -> Tensor:
    """Return the order [D] of output rows that puts the rotary pair (i, i + E/2) of each head side by side."""
    half = attn.head_dim // 2
    order = torch.arange(attn.n_heads * attn.head_dim, device=attn.q_proj.weight.device)
    return order.view(attn.n_heads, 2, half).transpose(1, 2).flatten()


def normed(x: Tensor, eps: float) -> Tensor:
    """Return x [M, D] over its root mean square; the norm's weight lives in the next product."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return x * torch.rsqrt(length.square() / x.shape[-1] + eps)


def _scaled(attn: Attention) -> float:
    return LOG2E / math.sqrt(attn.head_dim)


class FusedBlock:
    """A transformer block whose bars come as rows."""

    def __init__(self, block: Block, dtype: torch.dtype) -> None:
        attn, ffn = block.self_attn, block.ffn
        self.attn, self.eps = attn, block.norm1.eps
        self.turns = Turns(attn)
        order, scale = neighbours(attn), _scaled(attn)
        weights = (attn.q_proj.weight[order] * scale, attn.k_proj.weight[order], attn.v_proj.weight)
        biases = (attn.q_proj.bias[order] * scale, attn.k_proj.bias[order], attn.v_proj.bias)
        self.qkv = Dense(torch.cat(weights) * block.norm1.weight, torch.cat(biases), dtype)
        self.out = Dense(attn.out_proj.weight, attn.out_proj.bias, dtype)
        self.gate = Dense(ffn.w1.weight * block.norm2.weight, dtype=dtype)
        self.up = Dense(ffn.w3.weight * block.norm2.weight, dtype=dtype)
        self.down = Dense(ffn.w2.weight, dtype=dtype)

    def project(self, x: Tensor, turns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k, v, each [H, M, E] with q and k turned, for x [M, D]; turns as of ``2 * H`` heads."""
        mixed = self.qkv(normed(x, self.eps)).float()  # [M, 3D]
        turn(mixed[:, : 2 * x.shape[1]], turns)
        q, k, v = mixed.to(keep_dtype(self.qkv)).unflatten(1, (3, self.attn.n_heads, -1)).permute(1, 2, 0, 3)
        return q.contiguous(), k, v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add attention's output [M, D] and the feed-forward to x [M, D]."""
        x = self.out.plus(attended, x)
        h = normed(x, self.eps)
        h = h.to(self.up.dtype)
        return self.down.plus(self.up.times(h, self.gate.silu(h)), x)

    def prefill(self, x: Tensor, contexts: int) -> tuple[Tensor, Prefix]:
        """Run whole contexts x [P * T, D], causal; return their output and what their paths share."""
        steps = len(x) // contexts
        q, k, v = self.project(x, self.turns.at(0, steps, 2 * self.attn.n_heads))
        q, k, v = (part.unflatten(1, (contexts, steps)).contiguous() for part in (q, k, v))  # [H, P, T, E]
        seen = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1 / LOG2E)
        return self.finish(x, seen.permute(1, 2, 0, 3).flatten(0, 1).flatten(1)), Prefix(k, v, q)


def keep_dtype(dense: Dense) -> torch.dtype:
    """Return the dtype of queries, keys and values: that of the products on a GPU, float32 on a processor."""
    return torch.float32 if dense.weight.device.type == "cpu" else dense.dtype


class FusedEmbedding:
    """Token pair to vector by two lookups: the fusing projection is applied to both tables beforehand."""

    def __init__(self, embedding: TokenEmbedding) -> None:
        weight = embedding.fusion_proj.weight * embedding.scale
        d = weight.shape[0]
        self.first = embedding.emb_s1.weight @ weight[:, :d].T + embedding.fusion_proj.bias  # [V1, D]
        self.second = embedding.emb_s2.weight @ weight[:, d:].T

    def __call__(self, s1: Tensor, s2: Tensor) -> Tensor:
        """Return [M, D] for token ids [M]."""
        return self.first[s1].add_(self.second[s2])


class FusedDependency:
    """The dependency layer and both heads: from a normed state to the logits of s1, and with s1 to those of s2.

    Args:
        layer: the checkpoint's layer.
        heads: its output projections.
        norm: the norm that comes before them.
        siblings: embeddings of s1 [V1, D]; their queries are computed beforehand.
        positioned: the train form, with rotary positions; else the decode form, without.
    """

    def __init__(
        self, layer: DependencyLayer, heads: Heads, norm: RMSNorm, siblings: Tensor, *, positioned: bool
    ) -> None:
        attn = layer.cross_attn
        self.attn, self.norm, self.own_norm = attn, norm, layer.norm
        self.turns = Turns(attn) if positioned else None
        order = neighbours(attn) if positioned else slice(None)
        queries = attn.q_proj(siblings) * _scaled(attn)
        self.queries = queries[:, order].contiguous()  # [V1, D]
        self.kv = Dense(
            torch.cat((attn.k_proj.weight[order], attn.v_proj.weight)),
            torch.cat((attn.k_proj.bias[order], attn.v_proj.bias)),
        )
        self.out = Dense(attn.out_proj.weight, attn.out_proj.bias)
        # float32 whatever the dtype of the other products: their results are logits
        self.to_s1 = Dense(heads.proj_s1.weight, heads.proj_s1.bias)
        self.to_s2 = Dense(heads.proj_s2.weight * layer.norm.weight, heads.proj_s2.bias)

    def state(self, x: Tensor) -> Tensor:
        """Return the normed state [M, D] of the blocks' output, float32."""
        return normed(x.float(), self.norm.eps) * self.norm.weight

    def keys(self, states: Tensor, start: int, steps: int) -> tuple[Tensor, Tensor]:
        """Return k and v, each [4, M, E], of states [N * S, D] that stand at positions start to start + S."""
        both = self.kv(states)  # [M, 2D]
        if self.turns is not None:
            turn(both[:, : states.shape[1]], self.turns.at(start, steps, self.attn.n_heads))
        k, v = both.unflatten(1, (2, self.attn.n_heads, -1)).permute(1, 2, 0, 3)
        return k, v

    def s1_logits(self, state: Tensor) -> Tensor:
        """Return [N, V1] for states [N, D]."""
        return self.to_s1(state)

    def s2_logits(self, state: Tensor, s1: Tensor, position: int, prefix: Prefix, own: Own) -> Tensor:
        """Return [N, V2] for the newest states [N, D] at ``position`` and the drawn s1 [N]."""
        q = self.queries[s1]
        if self.turns is not None:
            turn(q, self.turns.at(position, 1, self.attn.n_heads))
        q = q.unflatten(1, (self.attn.n_heads, -1)).transpose(0, 1).contiguous()
        dependent = self.out.plus(attend(q, prefix, own), state)
        return self.to_s2(normed(dependent, self.own_norm.eps))
