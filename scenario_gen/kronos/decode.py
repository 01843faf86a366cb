"""The fast decoder: one context, many paths, and nothing computed twice.

The context's keys and values are computed once per context and never copied per path: attention over them is one
matrix product for all its paths. Each path's own suffix lies in preallocated buffers and joins the same softmax.
Only the newest position goes through the heads and the dependency layer. The tokenizer decodes the paths against
the same shared prefix. Equal to :mod:`scenario_gen.kronos.naive` as long as context and horizon fit the window.

Shapes: P contexts, R paths of each, N = P * R paths, T context bars, S new bars, D d_model, H heads, E head dim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.layers import Attention, Block, rotate
from scenario_gen.kronos.sampling import SamplingRule, draw, probabilities

SCORE_LIMIT = 2**26  # numbers in one attention matrix (256 MB in float32) before paths are decoded in chunks


@dataclass(frozen=True)
class KeyValue:
    """Keys and values of one layer: [P, H, T, E] of shared contexts, or [N, H, S, E] of paths' own bars."""

    k: Tensor
    v: Tensor


class FusedBlock:
    """A block with q, k, v in one product and w1, w3 in one; the checkpoint's own tensors stay untouched."""

    def __init__(self, block: Block) -> None:
        attn, ffn = block.self_attn, block.ffn
        self.block = block
        self.attn = attn
        self.qkv_weight = torch.cat([p.weight for p in (attn.q_proj, attn.k_proj, attn.v_proj)])
        self.qkv_bias = torch.cat([p.bias for p in (attn.q_proj, attn.k_proj, attn.v_proj)])
        self.gate_weight = torch.cat((ffn.w1.weight, ffn.w3.weight))

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k, v, each [B, H, S, E], for x [B, S, D]."""
        fused = F.linear(self.block.norm1(x), self.qkv_weight, self.qkv_bias)
        q, k, v = (self.attn.heads(part) for part in fused.chunk(3, dim=-1))
        return q, k, v

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add attention's output [B, H, S, E] and the feed-forward to x [B, S, D]."""
        x = x + self.attn.merge(attended)
        gate, up = F.linear(self.block.norm2(x), self.gate_weight).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.block.ffn.w2.weight)

    def prefill(self, x: Tensor) -> tuple[Tensor, KeyValue]:
        """Run contexts x [P, T, D] through the block; return their output and keys and values."""
        q, k, v = self.qkv(x)
        cos, sin = self.attn.rotary.angles(torch.arange(x.shape[1], device=x.device))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        return self.finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True)), KeyValue(k, v)

    def extend(self, x: Tensor, prefix: KeyValue) -> Tensor:
        """Run whole suffixes x [N, S, D] that follow the prefix; causal among themselves."""
        q, k, v = self.qkv(x)
        steps = x.shape[1]
        cos, sin = self.attn.rotary.angles(torch.arange(steps, device=x.device) + prefix.k.shape[2])
        mask = torch.ones(steps, steps, dtype=torch.bool, device=x.device).triu(1)
        return self.finish(x, attend(rotate(q, cos, sin), prefix, KeyValue(rotate(k, cos, sin), v), mask))


def attend(q: Tensor, prefix: KeyValue, own: KeyValue, mask: Tensor | None = None) -> Tensor:
    """Return attention [N, H, S, E] of q [N, H, S, E] over a shared prefix and each path's own bars.

    One softmax over both: scores are shifted by their common maximum, exponentiated apart and divided by the
    common sum, so nothing is concatenated and the prefix is never expanded to the paths.

    Args:
        q: queries of the N = P * R paths.
        prefix: keys and values of the P contexts [P, H, T, E].
        own: keys and values of the paths' own bars [N, H, S', E].
        mask: True where a query may not see an own bar, [S, S'].
    """
    n, _, steps, dim = q.shape
    contexts = prefix.k.shape[0]
    repeat = n // contexts
    q = q * dim**-0.5
    shared = _group(q, contexts, repeat) @ prefix.k.transpose(-1, -2)  # [P, H, R*S, T]
    private = q @ own.k.transpose(-1, -2)  # [N, H, S, S']
    if mask is not None:
        private = private.masked_fill(mask, -torch.inf)
    peak_shared = shared.amax(-1, keepdim=True)  # [P, H, R*S, 1]
    peak = torch.maximum(_ungroup(peak_shared, repeat, steps), private.amax(-1, keepdim=True))  # [N, H, S, 1]
    shared = shared.sub_(_group(peak, contexts, repeat)).exp_()
    private = private.sub(peak).exp_()
    total = _ungroup(shared.sum(-1, keepdim=True), repeat, steps) + private.sum(-1, keepdim=True)
    mixed = _ungroup(shared @ prefix.v, repeat, steps) + private @ own.v
    return mixed / total


def _group(x: Tensor, contexts: int, repeat: int) -> Tensor:
    """Turn [N, H, S, E] into [P, H, R*S, E]."""
    return x.unflatten(0, (contexts, repeat)).transpose(1, 2).flatten(2, 3)


def _ungroup(x: Tensor, repeat: int, steps: int) -> Tensor:
    """Turn [P, H, R*S, E] into [N, H, S, E]."""
    return x.unflatten(2, (repeat, steps)).transpose(1, 2).flatten(0, 1)


class DependencyCache:
    """The dependency layer's keys and values over contexts and paths, in either form."""

    def __init__(self, attn: Attention, positioned: bool) -> None:
        self.attn = attn
        self.positioned = positioned

    def key_value(self, states: Tensor, start: int) -> KeyValue:
        """Return keys and values [B, 4, S, E] of states [B, S, D] whose first stands at position ``start``."""
        k, v = self.attn.heads(self.attn.k_proj(states)), self.attn.heads(self.attn.v_proj(states))
        return KeyValue(self.turn(k, start), v)

    def turn(self, x: Tensor, start: int) -> Tensor:
        """Apply rotary positions where the form has them."""
        if not self.positioned:
            return x
        cos, sin = self.attn.rotary.angles(torch.arange(x.shape[2], device=x.device) + start)
        return rotate(x, cos, sin)


@dataclass(frozen=True)
class Prefix:
    """A prefilled batch of contexts: what every path of them shares."""

    layers: list[KeyValue]
    dependency: KeyValue
    last_state: Tensor  # [P, D], normed
    bars: int


class PathBuffers:
    """Preallocated keys and values of the paths' own bars, one pair per layer and one for the dependency layer."""

    def __init__(self, prefix: Prefix, paths: int, horizon: int) -> None:
        def empty(like: KeyValue) -> KeyValue:
            shape = (paths, like.k.shape[1], horizon, like.k.shape[3])
            return KeyValue(like.k.new_empty(shape), like.k.new_empty(shape))

        self.layers = [empty(layer) for layer in prefix.layers]
        self.dependency = empty(prefix.dependency)


def _write(buffer: KeyValue, at: int, k: Tensor, v: Tensor) -> KeyValue:
    """Store one bar's keys and values [N, H, 1, E] and return the view of all bars so far."""
    buffer.k[:, :, at : at + 1] = k
    buffer.v[:, :, at : at + 1] = v
    return KeyValue(buffer.k[:, :, : at + 1], buffer.v[:, :, : at + 1])


class FastDecoder:
    """Sample many paths of a few contexts with one checkpoint."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.model = checkpoint.model
        self.blocks = [FusedBlock(block) for block in _blocks(self.model.transformer)]
        self.dependency = DependencyCache(
            self.model.dep_layer.cross_attn, positioned=checkpoint.dependency_form == "train"
        )
        self.tokenizer_blocks = [FusedBlock(block) for block in _blocks(checkpoint.tokenizer.decoder)]

    @torch.no_grad()
    def sample_tokens(
        self,
        s1: Tensor,
        s2: Tensor,
        stamps: Tensor,
        future_stamps: Tensor,
        uniforms: Tensor,
        rule: SamplingRule,
        advance: Callable[[int], None] = lambda _: None,
    ) -> tuple[Tensor, Tensor]:
        """Return sampled tokens (s1, s2), int64 [N, H]; arguments as in ``sample_tokens_naively``.

        Raises:
            ValueError: context and horizon do not fit the window.
        """
        n, horizon = uniforms.shape[:2]
        if s1.shape[1] + horizon > self.checkpoint.max_context:
            raise ValueError(
                f"{s1.shape[1]} + {horizon} bars exceed the window {self.checkpoint.max_context}"
            )
        repeat = n // len(s1)
        prefix = self.prefill(s1, s2, stamps)
        buffers = PathBuffers(prefix, n, horizon)
        time = self.model.time_emb(future_stamps).repeat_interleave(repeat, 0)  # [N, H, D]
        state = prefix.last_state.repeat_interleave(repeat, 0)  # [N, D]
        out = s1.new_empty((2, n, horizon))
        for bar in range(horizon):
            if bar > 0:
                state = self._step(out[:, :, bar - 1], time[:, bar - 1], prefix, buffers, bar - 1)
            out[:, :, bar] = self._draw_pair(state, prefix, buffers, bar, uniforms[:, bar], rule)
            advance(1)
        return out[0], out[1]

    def prefill(self, s1: Tensor, s2: Tensor, stamps: Tensor) -> Prefix:
        """Run the contexts [P, T] once."""
        x = self.model.embedding(s1, s2) + self.model.time_emb(stamps)
        layers = []
        for block in self.blocks:
            x, kv = block.prefill(x)
            layers.append(kv)
        states = self.model.norm(x)  # [P, T, D]
        return Prefix(layers, self.dependency.key_value(states, 0), states[:, -1], s1.shape[1])

    def _step(self, tokens: Tensor, time: Tensor, prefix: Prefix, buffers: PathBuffers, at: int) -> Tensor:
        """Run every path's newest bar, tokens [2, N], time embedding [N, D]; return its normed state [N, D]."""
        x = (self.model.embedding(tokens[0], tokens[1]) + time)[:, None]  # [N, 1, D]
        position = torch.tensor([prefix.bars + at], device=x.device)
        for block, shared, buffer in zip(self.blocks, prefix.layers, buffers.layers, strict=True):
            q, k, v = block.qkv(x)
            cos, sin = block.attn.rotary.angles(position)
            own = _write(buffer, at, rotate(k, cos, sin), v)
            x = block.finish(x, attend(rotate(q, cos, sin), shared, own))
        state: Tensor = self.model.norm(x)
        kv = self.dependency.key_value(state, prefix.bars + at)
        _write(buffers.dependency, at, kv.k, kv.v)
        return state[:, 0]

    def _draw_pair(
        self,
        state: Tensor,
        prefix: Prefix,
        buffers: PathBuffers,
        bar: int,
        uniforms: Tensor,
        rule: SamplingRule,
    ) -> Tensor:
        """Return the next token pair [2, N], s2 given the drawn s1."""
        head, volume = self.model.head, self.checkpoint.cell_log_volume
        s1 = draw(probabilities(head.proj_s1(state), rule, volume), uniforms[:, 0])
        attn = self.dependency.attn
        q = attn.heads(attn.q_proj(self.model.embedding.emb_s1(s1)[:, None]))  # [N, 4, 1, E]
        q = self.dependency.turn(q, prefix.bars + bar - 1)
        own = KeyValue(buffers.dependency.k[:, :, :bar], buffers.dependency.v[:, :, :bar])
        seen = attn.merge(attend(q, prefix.dependency, own) if bar else _attend_prefix(q, prefix.dependency))
        dependent = self.model.dep_layer.norm(state + seen[:, 0])
        s2 = draw(probabilities(head.proj_s2(dependent), rule), uniforms[:, 1])
        return torch.stack((s1, s2))

    @torch.no_grad()
    def decode_tokens(self, context_s1: Tensor, context_s2: Tensor, s1: Tensor, s2: Tensor) -> Tensor:
        """Return features [N, H, d_in] of path tokens [N, H] that follow context tokens [P, T]."""
        tokenizer = self.checkpoint.tokenizer
        z = tokenizer.post_quant_embed(tokenizer.tokenizer.from_tokens(context_s1, context_s2))
        shared = []
        for block in self.tokenizer_blocks:
            z, kv = block.prefill(z)
            shared.append(kv)
        chunk = self._paths_per_chunk(len(context_s1), len(s1), s1.shape[1], context_s1.shape[1])
        parts = []
        for start in range(0, len(s1), chunk):
            rows = slice(start, start + chunk)
            x = tokenizer.post_quant_embed(tokenizer.tokenizer.from_tokens(s1[rows], s2[rows]))
            for block, kv in zip(self.tokenizer_blocks, shared, strict=True):
                x = block.extend(x, kv if len(kv.k) == 1 else KeyValue(kv.k[rows], kv.v[rows]))
            parts.append(tokenizer.head(x))
        return torch.cat(parts)

    def _paths_per_chunk(self, contexts: int, paths: int, horizon: int, bars: int) -> int:
        """Return how many paths to decode at once; several contexts with several paths each are not chunked."""
        if contexts not in (1, paths):
            return paths
        row = self.checkpoint.tokenizer.config.n_heads * horizon * (bars + horizon)
        return max(1, SCORE_LIMIT // row)


def _attend_prefix(q: Tensor, prefix: KeyValue) -> Tensor:
    """Attend [N, H, 1, E] to the prefix alone, before a path has bars of its own."""
    contexts = prefix.k.shape[0]
    repeat = len(q) // contexts
    grouped = _group(q * q.shape[-1] ** -0.5, contexts, repeat)
    weights = (grouped @ prefix.k.transpose(-1, -2)).softmax(-1)
    return _ungroup(weights @ prefix.v, repeat, q.shape[2])


def _blocks(modules: Iterable[torch.nn.Module]) -> list[Block]:
    return [module for module in modules if isinstance(module, Block)]
