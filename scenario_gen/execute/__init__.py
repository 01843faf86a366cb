"""Execution: blocks of path ids and per-path random numbers.

Knows numbers and ids; nothing of candles, models or strategies.
"""

from __future__ import annotations

from scenario_gen.execute.blocks import Block, plan_blocks
from scenario_gen.execute.draws import Draws

__all__ = ["Block", "Draws", "plan_blocks"]
