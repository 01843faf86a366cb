"""Checks of generated candles: which rules they break, how often, and what was done about it.

Everything is counted on the raw output, before any repair. Knows paths and a context; nothing of generators.
"""

from __future__ import annotations

from scenario_gen.checks.account import CandleAccount, RuleCount
from scenario_gen.checks.candles import CandleRules, CheckedPaths, check_candles
from scenario_gen.checks.repair import mend_paths

__all__ = ["CandleAccount", "CandleRules", "CheckedPaths", "RuleCount", "check_candles", "mend_paths"]
