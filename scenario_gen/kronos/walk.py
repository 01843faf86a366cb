"""Paths of one context that are stepped bar by bar, and of which one may be given the past of another.

Owns which rows step together and where the keys and values of their own bars lie; those of the context are shared and
never copied. All rows together step in the chunks of :meth:`FastDecoder.sample_tokens`. Some rows are brought together
in batches of one size: products depend on their shape, so the bits of a path depend on what was asked of the walk
and not on how many rows step beside it. Knows tokens and features; nothing of why rows are forked.

Shapes: N rows of the walk, n of a batch, H bars.

Below, whole contexts are sampled together, each with a few paths: what calibrating over rolling origins needs. Sixty
contexts of 199 paths each are some 12,000 paths: enough to keep the matrix products busy, and too many for the memory
at once, so they go in chunks of whole contexts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenario_gen.kronos.attention import PAGE, NewestBars
from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.decode import Chunks, FastDecoder, plan_chunks
from scenario_gen.kronos.representation import Representation, Scale, with_volatility
from scenario_gen.kronos.sampling import SamplingRule

Rows = NDArray[np.int64]

# Places of a batch of some rows: a quarter of all, so that the half that steps again after it was given other pasts
# keeps two threads busy. A step of nano takes 13 ms with 64 places, 20 with 128, 30 with 256.
FEWEST_PLACES, MOST_PLACES = 64, {False: 256, True: 4096}  # by whether on a GPU
DECODED = 64  # rows that are decoded to features are a multiple of this, or all


@dataclass
class _Batch:
    """Rows that step together, in the first of its places."""

    buffers: list[NewestBars]  # keys and values of the rows' own bars, layer by layer
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))  # of the walk [n]

    @property
    def size(self) -> int:
        """Places."""
        return self.buffers[0].shape[1]

    def receive(self, places: Rows, other: _Batch, theirs: Rows, first: Rows, stop: Rows) -> None:
        """Copy pages ``first`` to ``stop`` (exclusive), each [n], of places of another batch, or of this, to these."""
        for page in range(int(first.min(initial=0)), int(stop.max(initial=0))):
            which = (first <= page) & (page < stop)
            for mine, source in zip(self.buffers, other.buffers, strict=True):
                to, where = (torch.from_numpy(rows[which]).to(mine.like.device) for rows in (places, theirs))
                mine.receive(to, source, where, page)


class TokenWalk:
    """Tokens of the paths of one context.

    Args:
        decoder: of a checkpoint on its device.
        context: s1 and s2 of the context [2, 1, T].
        stamps: of context and horizon, as the model reads them [1, T + H, ..].
        rule: how tokens are drawn.
        rows: N.

    Raises:
        ValueError: context and horizon do not fit the window.
    """

    @torch.no_grad()
    def __init__(self, decoder: FastDecoder, context: Tensor, stamps: Tensor, rule: SamplingRule, rows: int) -> None:
        bars = context.shape[2]
        horizon, window = stamps.shape[1] - bars, decoder.checkpoint.max_context
        if bars + horizon > window:
            raise ValueError(f"{bars} + {horizon} bars exceed the window {window}")
        self._decoder, self._context, self.rule = decoder, context, rule
        self._prefix = decoder.prefill(context[0], context[1], stamps[:, :bars])
        self._time = decoder.checkpoint.model.time_emb(stamps[:, bars:])  # [1, H, D]
        jobs, self._chunk = plan_chunks(1, rows, decoder.device, decoder.paths_at_once)
        self._home = [_Batch(self._new_buffers(self._chunk), np.arange(rows)[part]) for _, part in jobs]
        most = MOST_PLACES[decoder.device.type == "cuda"]
        self._places = min(most, -(-rows // (4 * FEWEST_PLACES)) * FEWEST_PLACES)
        self._away: list[_Batch] = []  # batches of some rows; what they have changed is not at home yet
        self._changed = np.full(rows, horizon)  # first page of each row that is not
        self._spare: list[list[NewestBars]] = []  # memory that is touched for the first time costs much
        self.tokens = torch.zeros((2, rows, horizon), dtype=torch.int64, device=decoder.device)
        self.lengths = np.zeros(rows, dtype=np.int64)  # bars that each row has

    @torch.no_grad()
    def step(self, bar: int, rows: Rows, uniforms: Tensor) -> None:
        """Draw bar ``bar`` of some rows, each once, from uniforms float32 [n, U]; what they had after it is forgotten.

        Raises:
            ValueError: a row has not come to this bar.
        """
        if len(short := rows[self.lengths[rows] < bar]):
            raise ValueError(f"bar {bar} of row {short[0]}, which has {self.lengths[short[0]]} bars")
        batches = self._together(rows, _pages(bar))
        order = np.empty(len(self.lengths), dtype=np.int64)
        order[rows] = np.arange(len(rows))

        def work(batch: _Batch) -> None:
            n, which = len(batch.rows), torch.from_numpy(batch.rows).to(self.tokens.device)
            draws, newest = (
                uniforms.new_full((batch.size, uniforms.shape[1]), 0.5),
                self.tokens.new_zeros((2, batch.size)),
            )
            draws[:n] = uniforms[torch.from_numpy(order[batch.rows]).to(uniforms.device)]
            newest[:, :n] = self.tokens[:, which, bar - 1]
            for buffer in batch.buffers:
                buffer.count = max(bar - 1, 0)
            drawn = self._decoder.step(self._prefix, batch.buffers, bar, newest, self._time, draws, self.rule)
            self.tokens[:, which, bar] = drawn[:, :n]

        Chunks(lambda _: None, len(batches)).run(work, batches, self._decoder.device)
        self.lengths[rows] = bar + 1

    @torch.no_grad()
    def fork(self, sources: Rows, targets: Rows, upto: Rows) -> None:
        """Give each target the first ``upto`` bars of its source, all [n]; a row may be its own source.

        Raises:
            ValueError: a source has fewer bars, or would be overwritten before another has read it.
        """
        if len(short := np.flatnonzero(self.lengths[sources] < upto)):
            raise ValueError(f"{upto[short[0]]} bars of row {sources[short[0]]}, which has fewer")
        other = sources != targets
        if len(np.unique(targets)) < len(targets) or np.isin(targets[other], sources).any():
            raise ValueError("a row is given two pasts, or is the source of another while it is given one")
        self._come_home()
        pages = _pages(upto)
        for ours, theirs in ((ours, theirs) for ours in self._home for theirs in self._home):
            which = np.flatnonzero(other & np.isin(targets, ours.rows) & np.isin(sources, theirs.rows))
            places, others = targets[which] % self._chunk, sources[which] % self._chunk
            ours.receive(places, theirs, others, np.zeros_like(which), pages[which])
        to, where = (torch.from_numpy(rows).to(self.tokens.device) for rows in (targets, sources))
        self.tokens[:, to] = self.tokens[:, where]
        self.lengths[targets] = upto

    def features(self, rows: Rows) -> Tensor:
        """Return the features [n, S, d_in] of the first S bars of some rows, S the bars of the longest of them."""
        bars = int(self.lengths[rows].max())
        most = len(self.lengths) if len(rows) == len(self.lengths) else -(-len(rows) // DECODED) * DECODED
        which = torch.from_numpy(np.resize(rows, most)).to(self.tokens.device)
        s1, s2 = self.tokens[:, which, :bars]
        return self._decoder.decode_tokens(self._context[0], self._context[1], s1, s2)[: len(rows)]

    def _together(self, rows: Rows, pages: int) -> list[_Batch]:
        """Return batches that hold the rows and no others, with so many pages of their own bars."""
        if len(rows) == len(self.lengths):
            self._come_home()
            return self._home
        if not all(np.isin(batch.rows, rows).all() for batch in self._away):
            self._come_home()
        gone = np.concatenate([rows[:0], *(batch.rows for batch in self._away)])
        coming = rows[~np.isin(rows, gone)]
        while len(coming):
            if not self._away or len(self._away[-1].rows) == self._away[-1].size:
                self._away.append(_Batch(self._spare.pop() if self._spare else self._new_buffers(self._places)))
            batch = self._away[-1]
            new, coming = np.split(coming, [batch.size - len(batch.rows)])
            self._copy(batch, len(batch.rows) + np.arange(len(new)), new, pages)
            batch.rows = np.concatenate((batch.rows, new))
        self._changed[rows] = np.minimum(self._changed[rows], max(pages - 1, 0))
        return self._away

    def _copy(self, batch: _Batch, places: Rows, rows: Rows, pages: int) -> None:
        """Copy the first pages of rows from home to places of a batch."""
        for home in self._home:
            which = np.isin(rows, home.rows)
            ends = np.full(which.sum(), pages)
            batch.receive(places[which], home, rows[which] % self._chunk, np.zeros_like(ends), ends)

    def _come_home(self) -> None:
        """Copy the pages that batches have changed to where all rows lie, and let the batches go."""
        for batch in self._away:
            for home in self._home:
                places = np.flatnonzero(np.isin(batch.rows, home.rows))
                rows = batch.rows[places]
                home.receive(rows % self._chunk, batch, places, self._changed[rows], _pages(self.lengths[rows]))
            self._spare.append(batch.buffers)
        self._away = []
        self._changed[:] = self.tokens.shape[2]

    def _new_buffers(self, places: int) -> list[NewestBars]:
        return self._decoder.buffers(self._prefix, places)


def _pages(bars: Any) -> Any:
    """Return how many pages the keys and values of so many bars fill, a number or an array: the newest has none yet."""
    return (np.maximum(bars - 1, 0) + PAGE - 1) // PAGE


class BarWalk:
    """Bars of the paths of one context: a walk as :mod:`scenario_gen.generators.base` has it.

    Tokens are decoded when the bars are read: all that are new since, each path whole, so that reading them is cheap
    once many bars have been stepped and dear after every one.

    Args:
        tokens: before their first bar.
        representation: of the checkpoint.
        scale: of the context.
        anchor: the context's last close.
        width: fields of a path's bars.
    """

    def __init__(
        self, tokens: TokenWalk, representation: Representation, scale: Scale, anchor: float, width: int
    ) -> None:
        self._tokens, self._representation, self._scale, self._anchor = tokens, representation, scale, anchor
        _, rows, bars = tokens.tokens.shape
        self._values = np.zeros((rows, bars, width), dtype=np.float32)
        self._pinned = np.zeros((rows, bars), dtype=bool)
        self._decoded = np.zeros(rows, dtype=np.int64)  # bars of each row that stand in the values

    @property
    def per_bar(self) -> int:
        """Uniforms that a bar takes."""
        return self._tokens.rule.per_bar

    @property
    def values(self) -> NDArray[np.float32]:
        """The bars so far [row, bar, field]; later bars mean nothing."""
        self._decode()
        return self._values

    def _decode(self) -> None:
        """Decode the bars that are new."""
        rows = np.flatnonzero(self._decoded < self._tokens.lengths)
        if len(rows):
            features = self._tokens.features(rows).cpu().numpy()
            bars = self._representation.decode(features, np.full(len(rows), self._anchor), self._scale)
            count = np.arange(bars.shape[1])
            new = (self._decoded[rows, None] <= count) & (count < self._tokens.lengths[rows, None])
            row, bar = np.nonzero(new)
            self._values[rows[row], bar] = bars[row, bar, : self._values.shape[2]]
            self._pinned[rows[row], bar] = self._representation.pinned(features)[row, bar]
            self._decoded[rows] = self._tokens.lengths[rows]

    @property
    def pinned(self) -> NDArray[np.bool_]:
        """Which of the bars so far have a price at the edge of what the representation can express [row, bar]."""
        self._decode()
        return self._pinned

    def step(self, bar: int, rows: Rows, uniforms: NDArray[np.float64]) -> None:
        """Draw bar ``bar`` of some rows from uniforms [row, per_bar]; what they had after it is forgotten.

        Raises:
            ValueError: a row has not come to this bar.
        """
        self._tokens.step(bar, rows, torch.from_numpy(uniforms).float().to(self._tokens.tokens.device))
        self._decoded[rows] = np.minimum(self._decoded[rows], bar)

    def fork(self, sources: Rows, targets: Rows, upto: Rows) -> None:
        """Give each target row the first ``upto`` bars of its source row; a row may be its own source.

        Raises:
            ValueError: a source has fewer bars, or would be overwritten before another has read it.
        """
        values = self.values  # a child has its parent's bars to the last bit
        self._tokens.fork(sources, targets, upto)
        values[targets], self._pinned[targets] = values[sources], self._pinned[sources]
        self._decoded[targets] = upto


# --- Many contexts through one checkpoint at once, each with a few paths ---


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
