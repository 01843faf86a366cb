"""Many tests at once: the probability of a single false alarm, or the share of false alarms, is held down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

Key = TypeVar("Key")


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p values: at a level, those below it hold together with no assumption on dependence.

    Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return p values adjusted so that, of those below a level, that share is expected to be false alarms.

    Benjamini and Hochberg (1995), Controlling the False Discovery Rate, Journal of the Royal Statistical Society B 57.
    """
    if not p_values:
        return {}
    from scipy.stats import false_discovery_control

    return dict(zip(p_values, map(float, false_discovery_control(list(p_values.values()))), strict=True))
