"""The decoder-only model over token pairs, with the dependency-aware layer between s1 and s2.

Owns also the building blocks that tokenizer and model share: RMSNorm, rotary attention, gated feed-forward, block.
Parameter names are those of the published checkpoints. Shapes: B batch, T bars, D d_model, H heads, E head dim.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenario_gen.kronos.config import ModelConfig
from scenario_gen.kronos.representation import MARK_FIELDS
from scenario_gen.kronos.weights import Stored, made


class RMSNorm(nn.Module):
    """Root-mean-square norm in float32, eps 1e-5 (Zhang and Sennrich 2019)."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension."""
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return wide.type_as(x) * self.weight


class Rotary(nn.Module):
    """Rotary positions, theta 10000, half-split (Su et al. 2021). Angles stay in float32."""

    inv_freq: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", made(lambda: inverse_frequencies(head_dim), (head_dim + 1) // 2))

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine, each float32 [T, E], for float or integer positions [T]."""
        half = torch.outer(positions.float(), self.inv_freq.float())  # [T, E/2]
        full = torch.cat((half, half), dim=-1)
        return full.cos(), full.sin()


def inverse_frequencies(head_dim: int) -> Tensor:
    """Return the angle by which each pair of features turns from bar to bar, float32 [E / 2]."""
    exponent = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    return 10000.0**-exponent


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn x [..., T, E] by the given angles [T, E]."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (x * cos + turned * sin).type_as(x)


def causal_attention(q: Tensor, k: Tensor, v: Tensor, parts: int = 4) -> Tensor:
    """Return softmax(q k' / sqrt(E)) v under a causal mask, [B, H, T, E] each, as plain products.

    For bfloat16 training on a CPU, where it takes half the time of PyTorch's fused attention, forward and backward
    (16 x 4 x 512 x 32: 47 against 102 ms). ``parts`` query blocks pass over the keys that come after them.
    """
    batch, heads, bars, width = q.shape
    q, k, v = (x.reshape(batch * heads, bars, width) for x in (q * width**-0.5, k, v))
    hidden = torch.full((bars, bars), float("-inf"), dtype=q.dtype, device=q.device).triu(1)
    step = -(-bars // parts)
    out = []
    for start in range(0, bars, step):
        end = min(start + step, bars)
        mask = hidden[start:end, :end].expand(batch * heads, -1, -1)
        scores = torch.baddbmm(mask, q[:, start:end], k[:, :end].transpose(1, 2))
        out.append(F.softmax(scores, dim=-1) @ v[:, :end])
    return torch.cat(out, dim=1).unflatten(0, (batch, heads))


class Attention(nn.Module):
    """Multi-head attention with separate q, k, v, out projections (all with bias)."""

    def __init__(self, d_model: int, n_heads: int, attn_dropout: float = 0.0, resid_dropout: float = 0.0) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.head_dim = d_model // n_heads
        self.attn_dropout = attn_dropout
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)
        self.rotary = Rotary(self.head_dim)
        self.resid_dropout = nn.Dropout(resid_dropout)

    def heads(self, x: Tensor) -> Tensor:
        """Split [B, T, D] into [B, H, T, E]."""
        return x.unflatten(-1, (self.n_heads, self.head_dim)).transpose(1, 2)

    def merge(self, x: Tensor) -> Tensor:
        """Join [B, H, T, E] to [B, T, D] and project out."""
        return self.resid_dropout(self.out_proj(x.transpose(1, 2).flatten(2)))

    def forward(self, query: Tensor, states: Tensor, *, positions: bool = True, causal: bool = True) -> Tensor:
        """Let ``query`` [B, S, D] attend to ``states`` [B, T, D].

        With ``positions`` both get rotary angles from 0; with ``causal`` row t sees states 0..t (then S = T).
        """
        q, k, v = (
            self.heads(self.q_proj(query)),
            self.heads(self.k_proj(states)),
            self.heads(self.v_proj(states)),
        )  # [B, H, S|T, E]
        if positions:
            cos, sin = self.rotary.angles(torch.arange(states.shape[1], device=states.device))
            q, k = rotate(q, cos[: query.shape[1]], sin[: query.shape[1]]), rotate(k, cos, sin)
        dropout = self.attn_dropout if self.training else 0.0
        if causal and not dropout and q.dtype == torch.bfloat16 and q.device.type == "cpu":
            return self.merge(causal_attention(q, k, v))
        return self.merge(F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=dropout))


class FeedForward(nn.Module):
    """Gated feed-forward: w2(silu(w1 x) * w3 x), no bias (Shazeer 2020)."""

    def __init__(self, d_model: int, ff_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.w1 = nn.Linear(d_model, ff_dim, bias=False)
        self.w3 = nn.Linear(d_model, ff_dim, bias=False)
        self.w2 = nn.Linear(ff_dim, d_model, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., D] to [..., D]."""
        return self.dropout(self.w2(F.silu(self.w1(x)) * self.w3(x)))


class Block(nn.Module):
    """Pre-norm residual block with causal rotary self-attention."""

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        ff_dim: int,
        ffn_dropout: float = 0.0,
        attn_dropout: float = 0.0,
        resid_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = RMSNorm(d_model)
        self.self_attn = Attention(d_model, n_heads, attn_dropout, resid_dropout)
        self.norm2 = RMSNorm(d_model)
        self.ffn = FeedForward(d_model, ff_dim, ffn_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        h = self.norm1(x)
        x = x + self.self_attn(h, h)
        return x + self.ffn(self.norm2(x))


# --- The model ---


DependencyForm = Literal["decode", "train"]
STAMP_FIELDS = (("minute", 60), ("hour", 24), ("weekday", 7), ("day", 32), ("month", 13))


class TokenEmbedding(nn.Module):
    """One vector per token pair: a projection of both embeddings, each scaled by sqrt(D)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.emb_s1 = nn.Embedding(2**config.s1_bits, config.d_model)
        self.emb_s2 = nn.Embedding(2**config.s2_bits, config.d_model)
        self.fusion_proj = nn.Linear(2 * config.d_model, config.d_model)
        self.scale = math.sqrt(config.d_model)
        for table in (self.emb_s1, self.emb_s2):
            nn.init.normal_(table.weight, std=config.d_model**-0.5)

    def forward(self, s1: Tensor, s2: Tensor) -> Tensor:
        """Return [..., D] for token ids [...]."""
        pair = torch.cat((self.emb_s1(s1), self.emb_s2(s2)), dim=-1) * self.scale
        return self.fusion_proj(pair)


class FixedEmbedding(nn.Module):
    """Sine and cosine table that is not learned (``learn_te: false``)."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(count, dim)
        self.emb.weight = nn.Parameter(made(lambda: sine_table(count, dim), count, dim), requires_grad=False)

    def forward(self, index: Tensor) -> Tensor:
        """Return [..., D] for indices [...]."""
        return self.emb(index).detach()


def sine_table(count: int, dim: int) -> Tensor:
    """Return sines and cosines in turn, float32 [count, dim] (Vaswani et al. 2017)."""
    rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    angles = torch.outer(torch.arange(count).float(), rates)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


class TimeEmbedding(nn.Module):
    """Sum of the embeddings of minute, hour, weekday (Monday 0), day and month, and of marks if the model has them."""

    def __init__(self, d_model: int, learned: bool, marks: bool = False) -> None:
        super().__init__()
        for name, count in STAMP_FIELDS:
            table = nn.Embedding(count, d_model) if learned else FixedEmbedding(count, d_model)
            if isinstance(table, nn.Embedding):
                nn.init.normal_(table.weight, std=0.02)
            self.add_module(f"{name}_embed", table)
        for name, count in MARK_FIELDS if marks else ():  # always learned: nothing published has them
            table = nn.Embedding(count, d_model)
            nn.init.normal_(table.weight, std=0.02)
            self.add_module(f"{name}_embed", table)
        self.names = [name for name, _ in (*STAMP_FIELDS, *(MARK_FIELDS if marks else ()))]

    def forward(self, stamps: Tensor) -> Tensor:
        """Return [..., D] for integer stamps [..., 5], and marks after them [..., 11] if the model has them."""
        parts = [getattr(self, f"{name}_embed")(stamps[..., i]) for i, name in enumerate(self.names)]
        return torch.stack(parts).sum(0)


class DependencyLayer(nn.Module):
    """Let the chosen s1 look back at the states before s2 is predicted; always 4 heads.

    Two forms: ``train`` is causal with rotary positions; ``decode`` sees every state and no position. Published
    checkpoints were trained in the first and sampled in the second; ours use the first in both.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.cross_attn = Attention(d_model, 4)
        self.norm = RMSNorm(d_model)

    def forward(self, states: Tensor, sibling: Tensor, form: DependencyForm = "train") -> Tensor:
        """Map states [B, T, D] and embeddings of the next s1 [B, T, D] to [B, T, D]; a row sees those up to it."""
        return self.norm(states + self.cross_attn(sibling, states, positions=form == "train"))

    def last(self, states: Tensor, sibling: Tensor, form: DependencyForm) -> Tensor:
        """Return the last row only, [B, D], for states [B, T, D] and the sibling's embedding [B, D]."""
        attn = self.cross_attn
        if form == "decode":
            seen = attn(sibling[:, None], states, positions=False, causal=False)[:, 0]
        else:
            padded = torch.cat((torch.zeros_like(states[:, :-1]), sibling[:, None]), dim=1)
            seen = attn(padded, states)[:, -1]
        return self.norm(states[:, -1] + seen)


class Heads(nn.Module):
    """The two output projections."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.proj_s1 = nn.Linear(config.d_model, 2**config.s1_bits)
        self.proj_s2 = nn.Linear(config.d_model, 2**config.s2_bits)


class Kronos(Stored[ModelConfig]):
    """Autoregressive model: p(s1_t | past) and p(s2_t | past, s1_t)."""

    config_kind = ModelConfig

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.embedding = TokenEmbedding(config)
        self.time_emb = TimeEmbedding(config.d_model, config.learn_te, config.marks)
        self.token_drop = nn.Dropout(config.token_dropout_p)
        self.transformer = nn.ModuleList(
            Block(
                config.d_model,
                config.n_heads,
                config.ff_dim,
                config.ffn_dropout_p,
                config.attn_dropout_p,
                config.resid_dropout_p,
            )
            for _ in range(config.n_layers)
        )
        self.norm = RMSNorm(config.d_model)
        self.dep_layer = DependencyLayer(config.d_model)
        self.head = Heads(config)

    def states(self, s1: Tensor, s2: Tensor, stamps: Tensor) -> Tensor:
        """Return the normed states [B, T, D] for tokens [B, T] and stamps [B, T, 5]."""
        x = self.token_drop(self.embedding(s1, s2) + self.time_emb(stamps))
        for block in self.transformer:
            x = block(x)
        return self.norm(x)

    def forward(
        self, s1: Tensor, s2: Tensor, stamps: Tensor, next_s1: Tensor, form: DependencyForm = "train"
    ) -> tuple[Tensor, Tensor]:
        """Return logits of the next s1 [B, T, V1] and, given ``next_s1`` [B, T], of the next s2, after every bar."""
        states = self.states(s1, s2, stamps)
        dependent = self.dep_layer(states, self.embedding.emb_s1(next_s1), form)
        return self.head.proj_s1(states), self.head.proj_s2(dependent)

    def s1_logits(self, states: Tensor) -> Tensor:
        """Return logits of the next s1 [B, V1] from the last of the states [B, T, D]."""
        return self.head.proj_s1(states[:, -1])

    def s2_logits(self, states: Tensor, s1: Tensor, form: DependencyForm) -> Tensor:
        """Return logits of the next s2 [B, V2], given the next s1 [B] and states [B, T, D]."""
        dependent = self.dep_layer.last(states, self.embedding.emb_s1(s1), form)
        return self.head.proj_s2(dependent)

    def loss(self, s1: Tensor, s2: Tensor, stamps: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean negative log likelihood of the next s1 and of the next s2, in nats per bar.

        Args:
            s1: token ids [B, T + 1].
            s2: token ids [B, T + 1].
            stamps: integer stamps [B, T + 1, 5].
            weight: weight of each predicted bar [B, T].
        """
        judged = weight > 0  # the heads are a third of the work, and nothing is asked of the other rows
        next_s1, next_s2 = s1[:, 1:], s2[:, 1:]
        states = self.states(s1[:, :-1], s2[:, :-1], stamps[:, :-1])
        dependent = self.dep_layer(states, self.embedding.emb_s1(next_s1))
        logits1, logits2 = self.head.proj_s1(states[judged]), self.head.proj_s2(dependent[judged])
        w = weight[judged] / weight.sum()
        nll1 = F.cross_entropy(logits1.float(), next_s1[judged], reduction="none")
        nll2 = F.cross_entropy(logits2.float(), next_s2[judged], reduction="none")
        return (nll1 * w).sum(), (nll2 * w).sum()
