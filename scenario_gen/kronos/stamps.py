"""Calendar stamps as the model reads them: minute, hour, weekday (Monday 0), day, month."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stamp_features(wall_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return integer stamps [..., 5] for local wall-clock times in nanoseconds since 1970 [...]."""
    minutes = wall_ns // 60_000_000_000
    days = minutes // 1440
    date = days.astype("datetime64[D]")
    month_start = date.astype("datetime64[M]")
    day = (date - month_start.astype("datetime64[D]")).astype(np.int64) + 1
    month = month_start.astype(np.int64) % 12 + 1
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    return np.stack((minutes % 60, minutes // 60 % 24, weekday, day, month), axis=-1)
