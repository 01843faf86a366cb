"""Per-path random numbers: path 17 draws the same numbers in any block, order, process or run.

The contract: the numbers of one path are a function of (seed, path id) and nothing else. Two scenarios with
the same seed therefore use common random numbers and can be compared path by path; give a scenario its own
``paths.seed`` for independent draws. A longer horizon extends a path's stream and leaves its beginning as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


def stream_uniforms(
    seed: int, path_ids: NDArray[np.int64], count: int, counter: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> NDArray[np.float64]:
    """Return independent uniforms in [0, 1) of each path's own stream, float64 [path, count].

    Counter-based Philox streams keyed by (seed, path id): Salmon et al. 2011, "Parallel random numbers: as easy as
    1, 2, 3". One generator is set to the start of each stream in turn: a new one asks the system for entropy that a
    key makes useless, which takes four times as long as the numbers of a path.

    Args:
        seed: first word of the key.
        path_ids: second word of the key, int64 [path].
        count: numbers per path; more of them extend a stream and leave its beginning as it was.
        counter: where the streams begin, least word first: 2^64 numbers lie between two values of its second word.
    """
    out = np.empty((len(path_ids), count))
    bits = np.random.Philox(key=0)
    generator, state = np.random.Generator(bits), bits.state
    state["state"]["counter"] = np.array(counter, dtype=np.uint64)
    for row, path_id in enumerate(path_ids):
        state["state"]["key"] = np.array([seed, path_id], dtype=np.uint64)
        bits.state = state
        generator.random(out=out[row])
    return out


@dataclass(frozen=True)
class Draws:
    """The uniforms of a block of paths."""

    seed: int  # the spec's ``paths.seed``
    path_ids: NDArray[np.int64]  # int64 [path]

    def uniforms(self, bars: int, per_bar: int) -> NDArray[np.float64]:
        """Return independent uniforms in [0, 1), float64 [path, bars, per_bar]."""
        return stream_uniforms(self.seed, self.path_ids, bars * per_bar).reshape(len(self.path_ids), bars, per_bar)

    def share(self, path_ids: NDArray[np.int64]) -> Draws:
        """Return the draws of some of the paths."""
        return replace(self, path_ids=path_ids)

    @classmethod
    def block(cls, seed: int, start: int, size: int) -> Draws:
        """Return the draws of paths ``start`` to ``start + size`` (exclusive)."""
        return cls(seed, np.arange(start, start + size, dtype=np.int64))


# --- Blocks of paths: the unit of work, of randomness, of resuming and of distribution ---


@dataclass(frozen=True)
class Block:
    """Path ids ``start`` to ``start + size``, of which the first ``take`` are wanted.

    The last block of a run is computed whole and cut: matrix products depend on their shape, so a shorter block
    would change the last digits of its paths.
    """

    index: int
    start: int
    size: int
    take: int


def plan_blocks(count: int, size: int) -> list[Block]:
    """Cut ``count`` paths into blocks of ``size``; the last one may take fewer than it computes."""
    return [Block(index, start, size, min(size, count - start)) for index, start in enumerate(range(0, count, size))]
