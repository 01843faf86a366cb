"""Are the paths valid: the candle rules V1 to V12, found on the raw output, counted, and then mended or refused.

    from scenario_gen.candles import check_candles

    checked = check_candles(paths, context, "repair", history=history)

Knows paths, contexts and histories; nothing of generators.
"""

from scenario_gen.candles.account import CandleAccount
from scenario_gen.candles.check import CandleRules, CheckedPaths, check_candles, mend_paths
from scenario_gen.candles.rules import RuleCount

__all__ = ["CandleAccount", "CandleRules", "CheckedPaths", "RuleCount", "check_candles", "mend_paths"]
