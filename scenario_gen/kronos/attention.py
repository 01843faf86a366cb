"""Attention of many paths over a context that they share and over bars of their own, in one softmax.

Scores arrive in units of log 2 (queries are scaled by log2(e) / sqrt(E) when weights are prepared), because exp2 is
the faster exponential. A row is one query: a path's newest bar, or every bar of every path of a whole suffix.
Shapes: H heads, P contexts, R rows of each, M = P * R rows, N paths, T context bars, C own bars, E head dim.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from scenario_gen.kronos.device import Dense, packs

PAGE = 16  # own bars that lie together


class Part(Protocol):
    """Some heads of a shared prefix."""

    heads: slice

    def scores(self, q: Tensor) -> Tensor:
        """Return float32 scores [h, M, T] of queries [h, M, E]."""
        ...

    def mix(self, weights: Tensor) -> Tensor:
        """Return the weighted sum of values [h, M, E] for weights [h, M, T]."""
        ...


class Own(Protocol):
    """Keys and values of the paths' own bars."""

    def scores(self, q: Tensor) -> Tensor:
        """Return float32 scores [H, M, C] of queries [H, M, E], -inf where a bar may not be seen."""
        ...

    def mix(self, weights: Tensor) -> Tensor:
        """Return the weighted sum of values [H, M, E] for weights [H, M, C]."""
        ...


def attend(q: Tensor, prefix: Prefix, own: Own) -> Tensor:
    """Return attention [M, H * E] of queries [H, M, E] over the shared prefix and the paths' own bars.

    One softmax over both: scores are shifted by their common maximum, exponentiated apart and divided by the common
    sum, so nothing is concatenated and the prefix is never expanded to the paths.
    """
    heads, rows, dim = q.shape
    private = own.scores(q)
    peak = private.amax(-1, keepdim=True)  # [H, M, 1]
    total = torch.empty_like(peak)
    mixed = q.new_empty(heads, rows, dim, dtype=torch.float32)
    for part in prefix.parts:
        shared = part.scores(q[part.heads])
        top = torch.maximum(shared.amax(-1, keepdim=True), peak[part.heads], out=peak[part.heads])
        shared.sub_(top).exp2_()
        torch.sum(shared, -1, keepdim=True, out=total[part.heads])
        mixed[part.heads] = part.mix(shared)
    private.sub_(peak).exp2_()
    total += private.sum(-1, keepdim=True)
    mixed += own.mix(private)
    return mixed.div_(total).transpose(0, 1).flatten(1)


class Prefix:
    """Keys and values [H, P, T, E] of contexts, held once for all their paths.

    A single context on a processor is laid out per head for packed products, so that a head's scores are made, turned
    into weights and used while they are in the cache. Otherwise all heads go together.
    """

    def __init__(self, k: Tensor, v: Tensor) -> None:
        heads, contexts = k.shape[:2]
        self.k = k
        self.parts: list[Part]
        if contexts == 1 and packs(k.device):
            self.parts = [_PackedHead(i, k[i, 0], v[i, 0]) for i in range(heads)]
        else:
            self.parts = [_AllHeads(k, v)]


class _PackedHead:
    """One head of one context: its keys and values as fixed weights."""

    def __init__(self, head: int, k: Tensor, v: Tensor) -> None:
        self.heads = slice(head, head + 1)
        self.keys, self.values = Dense(k), Dense(v.T)

    def scores(self, q: Tensor) -> Tensor:
        return self.keys(q[0])[None]

    def mix(self, weights: Tensor) -> Tensor:
        return self.values(weights[0])[None]


class _AllHeads:
    """All heads of all contexts as batched products."""

    heads = slice(None)

    def __init__(self, k: Tensor, v: Tensor) -> None:
        self.k, self.v = k, v

    def scores(self, q: Tensor) -> Tensor:
        grouped = q.unflatten(1, (self.k.shape[1], -1))  # [H, P, R, E]
        return product32(grouped, self.k.transpose(-1, -2)).flatten(1, 2)

    def mix(self, weights: Tensor) -> Tensor:
        grouped = weights.unflatten(1, (self.v.shape[1], -1))
        return (grouped.to(self.v.dtype) @ self.v).flatten(1, 2)


class NewestBars:
    """The paths' own bars so far, one of which is added per step; every path's newest bar asks.

    They lie in pages of ``PAGE`` bars [H, N, PAGE, E]: a batched product runs at the memory's speed only over
    contiguous bars, and nothing is ever moved. Bars not yet there score -inf. :meth:`clear` makes room for the next
    paths without giving memory back: memory that is touched for the first time can cost as much as the arithmetic.
    """

    def __init__(self, like: Prefix, paths: int) -> None:
        heads, _, _, dim = like.k.shape
        self.count = 0
        self.shape = (heads, paths, PAGE, dim)
        self.like = like.k.new_empty(0)
        self.pages: list[tuple[Tensor, Tensor]] = []

    def clear(self) -> None:
        """Forget all bars."""
        self.count = 0

    def append(self, k: Tensor, v: Tensor) -> None:
        """Add one bar's keys and values [H, N, E]."""
        page, row = divmod(self.count, PAGE)
        keys, values = self._page(page)
        keys[:, :, row] = k
        values[:, :, row] = v
        self.count += 1

    def receive(self, rows: Tensor, source: NewestBars, source_rows: Tensor, page: int) -> None:
        """Write one page of some rows [n] over those of others, of another batch of the same layer or of this one."""
        to, where = _lines(rows, self.shape), _lines(source_rows, source.shape)
        for mine, theirs in zip(self._page(page), source.pages[page], strict=True):
            ours, others = (x.view(-1, PAGE * self.shape[-1]) for x in (mine, theirs))
            if mine.device.type == "cpu":  # NumPy copies such lines three times as fast, and never waits for a thread
                ours.numpy()[to] = others.numpy()[where]
            else:
                ours.index_copy_(0, to, others.index_select(0, where))

    def _page(self, page: int) -> tuple[Tensor, Tensor]:
        while page >= len(self.pages):
            # zeros, not garbage: a weight of 0 times a stray NaN would be NaN
            self.pages.append((self.like.new_zeros(self.shape), self.like.new_zeros(self.shape)))
        return self.pages[page]

    def _filled(self) -> list[tuple[Tensor, Tensor]]:
        return self.pages[: -(-self.count // PAGE)]

    def scores(self, q: Tensor) -> Tensor:
        """See :class:`Own`."""
        column = q[..., None, :].transpose(-1, -2)  # with these strides MKL takes its fast matrix-vector kernel
        scores = torch.cat([product32(keys, column) for keys, _ in self._filled()], -2).squeeze(-1)
        scores[..., self.count :] = -torch.inf
        return scores  # [H, N, C]

    def mix(self, weights: Tensor) -> Tensor:
        """See :class:`Own`."""
        rows = weights[..., None, :].to(self.like.dtype)
        parts = [part @ values for part, (_, values) in zip(rows.split(PAGE, -1), self._filled(), strict=True)]
        return torch.stack(parts).sum(0).squeeze(-2) if len(parts) > 1 else parts[0].squeeze(-2)


def _lines(rows: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """Return where the lines of some rows [n] lie, of all heads: a line is a page of one head of one row."""
    heads, paths = shape[:2]
    return (torch.arange(heads, device=rows.device)[:, None] * paths + rows).flatten()


class NoBars:
    """No own bars yet."""

    def scores(self, q: Tensor) -> Tensor:
        """See :class:`Own`: one column that nobody may see."""
        return q.new_full((*q.shape[:-1], 1), -torch.inf, dtype=torch.float32)

    def mix(self, weights: Tensor) -> Tensor:
        """See :class:`Own`."""
        return weights.new_zeros(())


class WholeSuffix:
    """All own bars [H, N, S, E] at once, causal; every bar of every path asks, M = N * S."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        self.k, self.v = k, v
        steps = k.shape[2]
        self.later = torch.ones(steps, steps, dtype=torch.bool, device=k.device).triu(1)

    def scores(self, q: Tensor) -> Tensor:
        """See :class:`Own`."""
        grouped = q.unflatten(1, self.k.shape[1:3])  # [H, N, S, E]
        scores = product32(grouped, self.k.transpose(-1, -2))
        return scores.masked_fill_(self.later, -torch.inf).flatten(1, 2)

    def mix(self, weights: Tensor) -> Tensor:
        """See :class:`Own`."""
        grouped = weights.unflatten(1, self.v.shape[1:3])
        return (grouped.to(self.v.dtype) @ self.v).flatten(1, 2)


def product32(a: Tensor, b: Tensor) -> Tensor:
    """Return the batched product a @ b in float32, whatever the dtype of the factors."""
    if a.dtype == torch.float32:
        return a @ b
    lead = a.shape[:-2]
    flat: Tensor = torch.ops.aten.bmm.dtype(a.flatten(0, -3), b.flatten(0, -3), torch.float32)
    return flat.unflatten(0, lead)
