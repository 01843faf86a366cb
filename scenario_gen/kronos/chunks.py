"""Chunks of paths: how many are stepped together, by which threads, and how they report progress.

On a processor a chunk is always computed by one thread: threads that meet at the end of every product lose more time
waiting than they win, and lose nearly all of it on a machine that is also doing something else. Neither the size of a
chunk nor the order of its sums depends on the number of threads, so neither do the paths.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

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
