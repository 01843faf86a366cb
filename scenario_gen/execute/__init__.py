"""Execution: blocks of path ids, per-path random numbers, and how progress is told.

Knows numbers and ids; nothing of candles, models or strategies.
"""

from __future__ import annotations

from scenario_gen.execute.blocks import Block, plan_blocks
from scenario_gen.execute.draws import Draws
from scenario_gen.execute.progress import Progress, SilentProgress

__all__ = ["Block", "Draws", "Progress", "SilentProgress", "plan_blocks"]
