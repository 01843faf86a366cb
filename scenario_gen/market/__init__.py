"""One instrument's history: its candles, the rules they keep, and the calendar that goes on after them.

Owns Candles and PathSet, loading and checking of bars, future stamps, and what a spec says of an instrument. Knows
nothing of models, strategies or reports. Nothing heavy is imported until a name is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenario_gen.market.calendar import BarCalendar, calendar_flags
    from scenario_gen.market.candles import FIELDS, PRICE_FIELDS, Candles, Flag
    from scenario_gen.market.load import load_candles
    from scenario_gen.market.paths import PathSet

__all__ = ["FIELDS", "PRICE_FIELDS", "BarCalendar", "Candles", "Flag", "PathSet", "calendar_flags", "load_candles"]

_HOMES = {"BarCalendar": "calendar", "calendar_flags": "calendar", "load_candles": "load", "PathSet": "paths"}


def __getattr__(name: str) -> Any:
    """Import the home of a public name when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'candles')}"), name)
