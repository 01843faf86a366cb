"""A spec that runs in a few seconds, of built-in history, and a strategy of the repository."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TINY = """\
name: tiny
data: {source: sp500, end: 2017-06-30}
bars: {context: 64, horizon: 5}
paths: {count: 4, seed: 7, block: 2}
generator: {kind: bootstrap}
checks: {facts: false, calibration: false}
strategies:
  - use: strategies/buy_and_hold.py:BuyAndHold
"""


def until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something happened; fail where it does not."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
