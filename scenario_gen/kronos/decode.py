"""The fast decoder: one context, many paths, and nothing computed twice.

The context's keys and values are computed once per context and never copied per path: attention over them is one
matrix product for all its paths. Each path's own bars lie in buffers of their own and join the same softmax. Only the
newest position goes through the heads and the dependency layer. The tokenizer decodes the paths against the same
shared prefix. Equal to :mod:`scenario_gen.kronos.naive` as long as context and horizon fit the window.

Shapes: P contexts, R paths of each, N = P * R paths, T context bars, H new bars, D d_model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor

from scenario_gen.kronos.attention import PAGE, NewestBars, NoBars, Prefix, WholeSuffix, attend
from scenario_gen.kronos.checkpoint import Checkpoint
from scenario_gen.kronos.device import Dense, Precision, choose_dtype, keep_freed_memory
from scenario_gen.kronos.fused import FusedBlock, FusedDependency, FusedEmbedding
from scenario_gen.kronos.model import Block
from scenario_gen.kronos.sampling import SamplingRule, weights

# Paths that step together, by whether they do so on a GPU. On a processor as many as keep the calls' own cost small
# and what they work on in the caches; their memory then serves the next chunk. A GPU needs more of them to be busy.
PATHS_AT_ONCE = {False: 256, True: 4096}
MEMORY_AT_ONCE = 4 * 2**30  # bytes that the chunks of all threads may hold together
CONTEXTS_AT_ONCE = 32  # in one chunk on a processor
GROUPED = 2  # times as many paths step together where they have several contexts: calls cost more there than caches
Job = TypeVar("Job")
Result = TypeVar("Result")


class StoppedError(Exception):
    """Another chunk failed or was interrupted; this one's work is not wanted any more."""


class Chunks:
    """Runs chunks of paths and tells of finished bars.

    Args:
        advance: told of a bar when every chunk has finished one more, from whichever thread finished it.
        count: chunks.
    """

    def __init__(self, advance: Callable[[int], None], count: int) -> None:
        self._advance, self._count = advance, count
        self._steps = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def step(self) -> None:
        """Count one finished bar of one chunk.

        Raises:
            StoppedError: the work was broken off elsewhere.
        """
        if self._stop.is_set():
            raise StoppedError
        with self._lock:
            self._steps += 1
            if self._steps % self._count == 0:
                self._advance(1)

    def run(
        self, work: Callable[[Job], Result], jobs: Sequence[Job], device: torch.device, bytes_each: int = 1
    ) -> list[Result]:
        """Return the results in the order of the jobs.

        On a processor as many threads as PyTorch was given work side by side, each on a chunk of its own, or as many
        as ``MEMORY_AT_ONCE`` has room for when each holds ``bytes_each``; a GPU gets one chunk after the other.
        """
        if device.type != "cpu":
            return [work(job) for job in jobs]
        threads = torch.get_num_threads()
        fitting = max(1, MEMORY_AT_ONCE // bytes_each)
        pool = ThreadPoolExecutor(
            min(threads, len(jobs), fitting),
            initializer=torch.set_num_threads,
            initargs=(1,),
            thread_name_prefix="chunk",
        )
        try:
            futures = [pool.submit(work, job) for job in jobs]
            return [future.result() for future in futures]
        except BaseException:
            self._stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # the workers' setting is also the default of new threads


def plan_chunks(contexts: int, repeat: int, device: torch.device, most: int) -> tuple[list[tuple[slice, slice]], int]:
    """Cut ``repeat`` paths of each context into chunks of contexts and of their paths.

    A context with more paths than a chunk holds is cut as evenly as can be into as few chunks as possible; contexts
    with fewer are taken together: a step of one context costs its calls, however few its paths are.

    Args:
        contexts: P.
        repeat: paths of each context.
        device: where they are computed; a GPU takes all contexts together.
        most: paths of a chunk, at most.

    Returns:
        The chunks, each (slice of contexts, slice of their paths), and the paths of each context in a full chunk. The
        last chunk of a context may hold fewer.
    """
    group = max(1, most // repeat)
    group = group if device.type == "cuda" else min(group, CONTEXTS_AT_ONCE)
    size = -(-repeat // max(1, -(-repeat // most)))
    return [
        (slice(first, min(first + group, contexts)), slice(start, min(start + size, repeat)))
        for first in range(0, contexts, group)
        for start in range(0, repeat, size)
    ], size


def together(jobs: Sequence[tuple[slice, slice]]) -> list[slice]:
    """Return the groups of contexts that the chunks take, each once."""
    return list({which.start: which for which, _ in jobs}.values())


# --- The fast decoder: one context, many paths, and nothing computed twice ---


Shared = TypeVar("Shared")
SCORES_AT_ONCE = 2**22  # numbers in one attention matrix of the tokenizer (16 MB in float32)


@dataclass(frozen=True)
class Prefilled:
    """A batch of contexts that has been run: what every path of them shares."""

    layers: list[Prefix]
    dependency: Prefix
    last_state: Tensor  # [P, D], normed
    bars: int


class FastDecoder:
    """Sample many paths of a few contexts with one checkpoint.

    Args:
        checkpoint: model, tokenizer and sampling form.
        dtype: of the products with weights: ``float32``, ``bfloat16`` or ``auto``. Norms, rotary angles, softmax,
            the residual stream and the logits stay in float32.

    Raises:
        CheckpointError: bfloat16 is asked for and the hardware has no instructions for it.
    """

    @torch.no_grad()
    def __init__(self, checkpoint: Checkpoint, dtype: Precision = "auto") -> None:
        self.checkpoint = checkpoint
        model = checkpoint.model
        self.device = model.embedding.emb_s1.weight.device
        self.dtype = choose_dtype(dtype, self.device)
        self.paths_at_once = PATHS_AT_ONCE[self.device.type == "cuda"]
        keep_freed_memory()
        self.embedding = FusedEmbedding(model.embedding)
        self.blocks = [FusedBlock(cast(Block, block), self.dtype) for block in model.transformer]
        self.dependency = FusedDependency(
            model.dep_layer,
            model.head,
            model.norm,
            model.embedding.emb_s1.weight,
            positioned=checkpoint.dependency_form == "train",
        )
        tokenizer = checkpoint.tokenizer
        self.tokenizer_blocks = [FusedBlock(cast(Block, block), self.dtype) for block in tokenizer.decoder]
        self.features = Dense(tokenizer.head.weight, tokenizer.head.bias)
        self._buffers: list[list[NewestBars]] = []  # of finished chunks, for the next ones

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

        Paths are stepped chunk after chunk (:mod:`scenario_gen.kronos.decode`), so memory does not grow with them.

        Raises:
            ValueError: context and horizon do not fit the window.
        """
        n, horizon = uniforms.shape[:2]
        if s1.shape[1] + horizon > self.checkpoint.max_context:
            raise ValueError(f"{s1.shape[1]} + {horizon} bars exceed the window {self.checkpoint.max_context}")
        contexts = len(s1)
        time = self.checkpoint.model.time_emb(future_stamps)  # [P, H, D]
        draws = uniforms.unflatten(0, (contexts, n // contexts))  # [P, R, H, U]
        most = self.paths_at_once * (GROUPED if contexts > 1 else 1)
        jobs, size = plan_chunks(contexts, n // contexts, self.device, most)
        chunks = Chunks(advance, len(jobs))
        prefixes = self._shared(chunks, jobs, lambda which: self.prefill(s1[which], s2[which], stamps[which]))
        out = s1.new_empty((2, contexts, n // contexts, horizon))

        def work(job: tuple[slice, slice]) -> None:
            which, rows = job
            mine = draws[which, rows]
            whole = torch.cat((mine, mine[:, : size - mine.shape[1]]), 1)  # products depend on their shape
            tokens = self._steps(prefixes[which.start], time[which], whole.flatten(0, 1), rule, chunks)
            out[:, which, rows] = tokens.unflatten(1, whole.shape[:2])[:, :, : mine.shape[1]]

        paths = size * (jobs[0][0].stop - jobs[0][0].start)
        chunks.run(work, jobs, self.device, self._bytes_of_own_bars(paths, horizon))
        return out[0].flatten(0, 1), out[1].flatten(0, 1)

    def _shared(
        self, chunks: Chunks, jobs: Sequence[tuple[slice, slice]], prefill: Callable[[slice], Shared]
    ) -> dict[int, Shared]:
        """Return what the paths of each group of contexts share, by the group's first context."""
        groups = together(jobs)
        run = chunks.run(prefill, groups, self.device)
        return {which.start: shared for which, shared in zip(groups, run, strict=True)}

    @torch.no_grad()
    def prefill(self, s1: Tensor, s2: Tensor, stamps: Tensor) -> Prefilled:
        """Run the contexts [P, T] once."""
        contexts, bars = s1.shape
        x = self.embedding(s1.flatten(), s2.flatten()) + self.checkpoint.model.time_emb(stamps).flatten(0, 1)
        layers = []
        for block in self.blocks:
            x, shared = block.prefill(x, contexts)
            layers.append(shared)
        states = self.dependency.state(x)
        k, v = (part.unflatten(1, (contexts, bars)).contiguous() for part in self.dependency.keys(states, 0, bars))
        return Prefilled(layers, Prefix(k, v), states.unflatten(0, (contexts, bars))[:, -1], bars)

    @torch.no_grad()
    def _steps(self, prefix: Prefilled, time: Tensor, uniforms: Tensor, rule: SamplingRule, chunks: Chunks) -> Tensor:
        """Return tokens [2, N, H] of the paths whose uniforms [N, H, U] are given."""
        n, horizon = uniforms.shape[:2]
        buffers = self._borrow(prefix, n)
        tokens = torch.empty((2, n, horizon), dtype=torch.int64, device=uniforms.device)
        for bar in range(horizon):
            newest = tokens[:, :, bar - 1]
            tokens[:, :, bar] = self.step(prefix, buffers, bar, newest, time, uniforms[:, bar], rule)
            chunks.step()
        self._buffers.append(buffers)
        return tokens

    @torch.no_grad()
    def step(
        self,
        prefix: Prefilled,
        buffers: list[NewestBars],
        bar: int,
        newest: Tensor,
        time: Tensor,
        uniforms: Tensor,
        rule: SamplingRule,
    ) -> Tensor:
        """Return one bar's tokens [2, N] of paths whose earlier bars stand.

        Args:
            prefix: what the paths share.
            buffers: of :meth:`buffers`, with keys and values of the bars before the newest; the newest is added.
            bar: its number, from 0.
            newest: tokens of the bar before [2, N]; without meaning for bar 0.
            time: of the bars to be sampled [P, H, D].
            uniforms: as many as the rule takes [N, U].
            rule: how tokens are drawn.
        """
        repeat = len(uniforms) // len(prefix.last_state)
        own, own_states = buffers[:-1], buffers[-1]
        position = prefix.bars + bar - 1  # of the newest bar
        if bar > 0:
            x = self.embedding(newest[0], newest[1]).unflatten(0, (-1, repeat)) + time[:, bar - 1, None]
            state = self._step(x.flatten(0, 1), position, prefix, own, own_states)
        else:
            state = prefix.last_state.repeat_interleave(repeat, 0)  # [N, D]
        logits = self.dependency.s1_logits(state)
        s1 = rule.drawn(weights(logits, rule, self.checkpoint.cell_log_volume), uniforms)
        seen = own_states if bar else NoBars()
        logits = self.dependency.s2_logits(state, s1, position, prefix.dependency, seen)
        return torch.stack((s1, rule.drawn(weights(logits, rule), uniforms, s1)))

    def _bytes_of_own_bars(self, paths: int, horizon: int) -> int:
        """Return what the buffers of a chunk take: keys and values of every layer and the dependency layer."""
        config = self.checkpoint.model.config
        return 2 * 4 * (config.n_layers + 1) * config.d_model * paths * -(-horizon // PAGE) * PAGE

    def _borrow(self, prefix: Prefilled, paths: int) -> list[NewestBars]:
        """Return empty buffers for every layer and the dependency layer, used ones where they fit."""
        while self._buffers:
            buffers = self._buffers.pop()
            if buffers[0].shape[1] == paths:
                for buffer in buffers:
                    buffer.clear()
                return buffers
        return self.buffers(prefix, paths)

    def buffers(self, prefix: Prefilled, paths: int) -> list[NewestBars]:
        """Return new buffers of so many paths' own bars, for every layer and the dependency layer."""
        return [NewestBars(shared, paths) for shared in (*prefix.layers, prefix.dependency)]

    def _step(
        self, x: Tensor, position: int, prefix: Prefilled, own: list[NewestBars], own_states: NewestBars
    ) -> Tensor:
        """Run every path's newest bar, embedded [N, D], and return its normed state [N, D]."""
        attn = self.blocks[0].attn
        turns = self.blocks[0].turns.at(position, 1, 2 * attn.n_heads)
        for block, shared, mine in zip(self.blocks, prefix.layers, own, strict=True):
            q, k, v = block.project(x, turns)
            mine.append(k, v)
            x = block.finish(x, attend(q, shared, mine))
        state = self.dependency.state(x)
        own_states.append(*self.dependency.keys(state, position, 1))
        return state

    @torch.no_grad()
    def decode_tokens(self, context_s1: Tensor, context_s2: Tensor, s1: Tensor, s2: Tensor) -> Tensor:
        """Return features [N, H, d_in] of path tokens [N, H] that follow context tokens [P, T]."""
        contexts, bars = context_s1.shape
        n, horizon = s1.shape
        repeat = n // contexts
        most = min(self.paths_at_once, max(1, SCORES_AT_ONCE // (horizon * (bars + horizon))))
        jobs, _ = plan_chunks(contexts, repeat, self.device, most)
        chunks = Chunks(lambda _: None, len(jobs))
        shared = self._shared(chunks, jobs, lambda which: self._prefill_tokenizer(context_s1[which], context_s2[which]))
        tokens = torch.stack((s1, s2)).unflatten(1, (contexts, repeat))
        width = self.checkpoint.tokenizer.config.d_in
        out = torch.empty((contexts, repeat, horizon, width), device=s1.device)

        def work(job: tuple[slice, slice]) -> None:
            which, rows = job
            first, second = tokens[:, which, rows].flatten(1, 2)
            decoded = self._decode_suffixes(first, second, bars, shared[which.start])
            out[which, rows] = decoded.unflatten(0, (which.stop - which.start, -1))

        chunks.run(work, jobs, self.device)
        return out.flatten(0, 1)

    @torch.no_grad()
    def _prefill_tokenizer(self, s1: Tensor, s2: Tensor) -> list[Prefix]:
        """Run the contexts' tokens [P, T] through the tokenizer's decoder once."""
        tokenizer = self.checkpoint.tokenizer
        z = tokenizer.post_quant_embed(tokenizer.tokenizer.from_tokens(s1, s2)).flatten(0, 1)
        shared = []
        for block in self.tokenizer_blocks:
            z, prefix = block.prefill(z, len(s1))
            shared.append(prefix)
        return shared

    @torch.no_grad()
    def _decode_suffixes(self, s1: Tensor, s2: Tensor, bars: int, shared: list[Prefix]) -> Tensor:
        """Return features [N, H, d_in] of tokens [N, H] that stand at positions ``bars`` and after."""
        tokenizer = self.checkpoint.tokenizer
        paths, horizon = s1.shape
        x = tokenizer.post_quant_embed(tokenizer.tokenizer.from_tokens(s1, s2)).flatten(0, 1)
        for block, prefix in zip(self.tokenizer_blocks, shared, strict=True):
            turns = block.turns.at(bars, horizon, 2 * block.attn.n_heads)
            q, k, v = block.project(x, turns)
            own = WholeSuffix(*(part.unflatten(1, (paths, horizon)).contiguous() for part in (k, v)))
            x = block.finish(x, attend(q, prefix, own))
        return self.features(x).unflatten(0, (paths, horizon))
