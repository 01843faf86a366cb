"""One instrument's history: its candles, the rules they keep, and the calendar that goes on after them.

Owns Candles and PathSet, loading and checking of bars, future stamps, and what a spec says of an instrument. Knows
nothing of models, strategies or reports. Nothing heavy is imported until a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_gen.lazy import public_names

if TYPE_CHECKING:
    from scenario_gen.market.calendar import BarCalendar as BarCalendar, calendar_flags as calendar_flags
    from scenario_gen.market.candles import (
        FIELDS as FIELDS,
        PRICE_FIELDS as PRICE_FIELDS,
        Candles as Candles,
        Flag as Flag,
    )
    from scenario_gen.market.load import load_candles as load_candles
    from scenario_gen.market.paths import PathSet as PathSet
else:
    __getattr__, __dir__ = public_names(__name__)
