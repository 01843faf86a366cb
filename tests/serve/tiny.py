"""A spec that runs in a few seconds, of built-in history, and a strategy of the repository."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import serve_hostile

REPOSITORY = Path(__file__).parents[2]
TINY = serve_hostile.TINY  # the spec that hostile ones are made from


def until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something happened; fail where it does not."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
