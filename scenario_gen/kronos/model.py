"""The decoder-only model over token pairs, with the dependency-aware layer between s1 and s2."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenario_gen.kronos.config import ModelConfig
from scenario_gen.kronos.layers import Attention, Block, RMSNorm
from scenario_gen.kronos.representation import MARK_FIELDS
from scenario_gen.kronos.weights import Stored

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
        rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
        angles = torch.outer(torch.arange(count).float(), rates)
        self.emb = nn.Embedding(count, dim)
        self.emb.weight = nn.Parameter(
            torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1), requires_grad=False
        )

    def forward(self, index: Tensor) -> Tensor:
        """Return [..., D] for indices [...]."""
        return self.emb(index).detach()


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

    def forward(self, states: Tensor, sibling: Tensor) -> Tensor:
        """Train form: states [B, T, D] and embeddings of the next s1 [B, T, D] to [B, T, D]."""
        return self.norm(states + self.cross_attn(sibling, states))

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

    def forward(self, s1: Tensor, s2: Tensor, stamps: Tensor, next_s1: Tensor) -> tuple[Tensor, Tensor]:
        """Training form: return logits of the next s1 and, given ``next_s1`` [B, T], of the next s2."""
        states = self.states(s1, s2, stamps)
        dependent = self.dep_layer(states, self.embedding.emb_s1(next_s1))
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
