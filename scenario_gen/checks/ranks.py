"""Where values stand among others: what every rank-based comparison of the checks is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def placements(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each value the share of the others below it, ties counting half, [value].

    The mean over values is the AUC: P(value > other) + P(equal) / 2.
    """
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((below + up_to) / (2 * len(others)))


def pit(ensemble: NDArray[np.float64], real: float, rng: np.random.Generator) -> float:
    """Return u = (#{paths < real} + U (1 + ties)) / (M + 1), in (0, 1): uniform where the ensemble is right.

    Args:
        ensemble: the number on each path [path].
        real: the same number of what really came.
        rng: breaks ties, and spreads the rank over its cell.
    """
    below, ties = int((ensemble < real).sum()), int((ensemble == real).sum())
    return float((below + rng.random() * (1 + ties)) / (len(ensemble) + 1))
