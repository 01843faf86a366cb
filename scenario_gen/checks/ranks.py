"""Placements: where values stand among others. What every rank-based comparison of the checks is made of."""

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
