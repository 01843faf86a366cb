"""Per-path random numbers: path 17 draws the same numbers in any block, order, process or run.

The contract: the numbers of one path are a function of (seed, path id) and nothing else. Two scenarios with
the same seed therefore use common random numbers and can be compared path by path; give a scenario its own
``paths.seed`` for independent draws. A longer horizon extends a path's stream and leaves its beginning as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Draws:
    """The uniforms of a block of paths.

    Attributes:
        seed: the spec's ``paths.seed``.
        path_ids: int64 [path].
    """

    seed: int
    path_ids: NDArray[np.int64]

    def uniforms(self, bars: int, per_bar: int) -> NDArray[np.float64]:
        """Return independent uniforms in [0, 1), float64 [path, bars, per_bar].

        Counter-based Philox streams keyed by (seed, path id): Salmon et al. 2011,
        "Parallel random numbers: as easy as 1, 2, 3".
        """
        out = np.empty((len(self.path_ids), bars, per_bar))
        for row, path_id in enumerate(self.path_ids):
            bits = np.random.Philox(key=np.array([self.seed, path_id], dtype=np.uint64))
            out[row] = np.random.Generator(bits).random((bars, per_bar))
        return out

    @classmethod
    def block(cls, seed: int, start: int, size: int) -> Draws:
        """Return the draws of paths ``start`` to ``start + size`` (exclusive)."""
        return cls(seed, np.arange(start, start + size, dtype=np.int64))
