"""Paths as points in the space of their facts, on the scale of the real windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

CLIP = 6.0  # robust standard deviations: one wild path must not decide a distance
NORMAL_IQR = 1.349  # interquartile range of the standard normal law


@dataclass(frozen=True, eq=False)
class Points:
    """Paths as points.

    Attributes:
        x: float64 [path, fact].
        clusters: int64 [path]; points of one cluster may depend on each other.
    """

    x: Floats
    clusters: Ids

    def __len__(self) -> int:
        return len(self.clusters)

    def select(self, rows: NDArray[Any]) -> Points:
        """Return the points at these positions (or where a mask is True)."""
        return Points(self.x[rows], self.clusters[rows])


def fact_space(synthetic: Mapping[str, Floats], real: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Return both sides as points [path, fact] in robust standard deviations of the real windows.

    Median and interquartile range are the real ones; values beyond 6 are cut to 6. A value that is not defined
    becomes the real median: undefined shares are judged with the facts. Facts whose real interquartile range is
    0, or undefined, are left out.
    """
    columns: list[tuple[Floats, Floats]] = []
    for name, theirs in real.items():
        defined = theirs[np.isfinite(theirs)]
        if not len(defined):
            continue
        low, middle, high = np.quantile(defined, [0.25, 0.5, 0.75])
        if high <= low:
            continue
        scale = (high - low) / NORMAL_IQR
        columns.append((_scaled(synthetic[name], middle, scale), _scaled(theirs, middle, scale)))
    sides = [np.column_stack(side) for side in zip(*columns, strict=True)] if columns else [np.empty((0, 0))] * 2
    return sides[0], sides[1]


def _scaled(values: Floats, middle: float, scale: float) -> Floats:
    return np.clip(np.nan_to_num((values - middle) / scale, nan=0.0, posinf=CLIP, neginf=-CLIP), -CLIP, CLIP)
