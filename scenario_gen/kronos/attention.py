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
SAFE = (2.0**-100, 2.0**100)  # a sum of exponentials between these has lost nothing to the ends of float32
ASKED = 64  # of a context's bars are asked how large scores are


class Part(Protocol):
    """Some heads of a shared prefix."""

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

    One softmax over both: scores are exponentiated apart and divided by the common sum, so nothing is concatenated and
    the prefix is never expanded to the paths. A prefix that knows how large its scores usually are has taken that off
    them; what is left needs no shift by its maximum while all sums are ``SAFE``, and is done again with one otherwise.
    """
    mixed, total = _summed(q, prefix, own, shifted=prefix.usual is None)
    if prefix.usual is not None:
        least, most = torch.aminmax(total)
        if not (least > SAFE[0] and most < SAFE[1]):  # also where one is no number
            mixed, total = _summed(q, prefix, own, shifted=True)
    return mixed.div_(total).transpose(0, 1).flatten(1)


def _summed(q: Tensor, prefix: Prefix, own: Own, *, shifted: bool) -> tuple[Tensor, Tensor]:
    """Return the sum of the values [H, M, E] times the exponentials of their scores, and the sum of those [H, M, 1]."""
    private = own.scores(q)
    if prefix.usual is not None:
        private -= prefix.usual
    peaks = private.amax(-1, keepdim=True) if shifted else q[..., :1]  # [H, M, 1]; unused without a shift
    tops, totals, mixed = [], [], []
    for part, mine, peak in zip(prefix.parts, q.split(prefix.together), peaks.split(prefix.together), strict=True):
        shared = part.scores(mine)
        if shifted:
            tops.append(torch.maximum(shared.amax(-1, keepdim=True), peak))
            shared -= tops[-1]
        totals.append(shared.exp2_().sum(-1, keepdim=True))
        mixed.append(part.mix(shared))
    if shifted:
        private -= torch.cat(tops)
    total = torch.cat(totals).add_(private.exp2_().sum(-1, keepdim=True))
    return torch.cat(mixed).add_(own.mix(private)), total


class Prefix:
    """Keys and values [H, P, T, E] of contexts, held once for all their paths.

    A single context on a processor is laid out per head for packed products, so that a head's scores are made, turned
    into weights and used while they are in the cache. Otherwise all heads go together.

    Args:
        k: keys.
        v: values.
        queries: the contexts' own [H, P, T, E], from which how large scores usually are is learned; else 0 is taken.
    """

    def __init__(self, k: Tensor, v: Tensor, queries: Tensor | None = None) -> None:
        heads, contexts = k.shape[:2]
        self.k = k
        self.usual: Tensor | None = None  # [H, 1, 1], taken off all scores
        self.together = heads  # in one part
        self.parts: list[Part]
        if contexts == 1 and packs(k.device):
            self.usual = k.new_zeros(heads, 1, 1) if queries is None else _usual(queries[:, 0, -ASKED:], k[:, 0])
            self.together = 1
            self.parts = [_PackedHead(*each) for each in zip(k[:, 0], v[:, 0], self.usual, strict=True)]
        else:
            self.parts = [_AllHeads(k, v)]


def _usual(queries: Tensor, k: Tensor) -> Tensor:
    """Return the middle of the largest scores [H, 1, 1] of queries [H, S, E] over keys [H, T, E]."""
    largest = (queries @ k.transpose(-1, -2)).amax(-1, keepdim=True)  # [H, S, 1]
    return (largest.amax(1, keepdim=True) + largest.amin(1, keepdim=True)) / 2


class _PackedHead:
    """One head of one context: its keys and values as fixed weights, and what is taken off its scores."""

    def __init__(self, k: Tensor, v: Tensor, usual: Tensor) -> None:
        self.keys, self.values = Dense(k, -usual[0].expand(len(k)).contiguous()), Dense(v.T)

    def scores(self, q: Tensor) -> Tensor:
        return self.keys(q[0])[None]

    def mix(self, weights: Tensor) -> Tensor:
        return self.values(weights[0])[None]


class _AllHeads:
    """All heads of all contexts as batched products."""

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
        parts = list(zip(rows.split(PAGE, -1), (values for _, values in self._filled()), strict=True))
        if self.like.dtype != torch.float32:  # pages are added up in more digits than they come in
            return torch.stack([part @ values for part, values in parts]).sum(0).squeeze(-2)
        first, values = parts[0]
        mixed = first @ values  # [H, N, 1, E]
        together = mixed.flatten(0, 1)
        for part, values in parts[1:]:
            together.baddbmm_(part.flatten(0, 1), values.flatten(0, 1))
        return mixed.squeeze(-2)


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
