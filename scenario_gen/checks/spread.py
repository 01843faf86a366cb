"""Which of many rows to take, evenly spread: one rule for paths, windows and pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spread_rows(count: int, most: int) -> NDArray[np.int64]:
    """Return at most ``most`` row numbers, evenly spread over ``count``."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
