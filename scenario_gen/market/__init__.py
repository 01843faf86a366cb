"""One instrument's history: its candles, the rules they keep, and the calendar that goes on after them.

Owns Candles and PathSet, loading and checking of bars, and future stamps. Knows nothing of models, strategies
or reports.
"""

from scenario_gen.market.calendar import BarCalendar, calendar_flags
from scenario_gen.market.candles import FIELDS, PRICE_FIELDS, Candles, Flag
from scenario_gen.market.frequency import frequency
from scenario_gen.market.load import load_candles
from scenario_gen.market.paths import PathSet

__all__ = [
    "FIELDS",
    "PRICE_FIELDS",
    "BarCalendar",
    "Candles",
    "Flag",
    "PathSet",
    "calendar_flags",
    "frequency",
    "load_candles",
]
