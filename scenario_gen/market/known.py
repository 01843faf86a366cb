"""When a bar is over, and so what was known at a moment.

A stamp may be the beginning of a bar or its end; both are used. Here it is taken for the beginning, as a bar is then
over later: where it was the end, the last bar before a moment is lost, and nothing from after it ever comes through.
"""

from __future__ import annotations

import re
from datetime import date, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.frequency import Spacing, spacing
from scenario_gen.market.times import as_bound

MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
DAYS = {"daily": 1, "weekly": 7}


def over_by(stamps: pd.DatetimeIndex, moment: date | datetime | str, timeframe: str = "") -> NDArray[np.bool_]:
    """Say which bars were over at a moment, bool [T].

    Args:
        stamps: in time order.
        moment: a date means the end of that day on the stamps' own clock; a time is of that clock where it has no zone,
            and midnight is the beginning of its day.
        timeframe: of the bars, such as 5m, 1d or 1mo; where it is empty, the stamps show how far apart they are.
    """
    if not len(stamps):
        return np.zeros(0, dtype=bool)
    bound = as_bound(moment, stamps, is_end=not isinstance(moment, datetime))
    ends = _ends_of_timeframe(stamps, timeframe) if timeframe else _ends(stamps)
    before = np.asarray(stamps <= bound)
    if not isinstance(moment, datetime):
        bound += pd.Timedelta(1, "ns")  # the end of a day is where the next one begins
    return np.asarray(before & np.asarray(ends <= bound), dtype=bool)


def _ends_of_timeframe(stamps: pd.DatetimeIndex, timeframe: str) -> pd.DatetimeIndex:
    count, unit = re.fullmatch(r"(\d+)(\w+)", timeframe).groups()  # type: ignore[union-attr]
    if unit in ("m", "h"):
        return stamps + pd.Timedelta(int(count), {"m": "min", "h": "h"}[unit])
    days = {"d": 1, "w": 7}.get(unit)
    return stamps.normalize() + _period(int(count) * days if days else 0, 0 if days else int(count))


def _ends(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return when each bar is over by the distance between all; of irregular bars, when the next one begins."""
    gap = spacing(stamps) if len(stamps) > 1 else Spacing("irregular", "irregular", 0)
    if gap.kind == "irregular":
        return pd.DatetimeIndex([*stamps[1:], pd.NaT], tz=stamps.tz)
    if gap.kind == "intraday":
        return stamps + pd.Timedelta(gap.step, "ns")
    return stamps.normalize() + _period(DAYS.get(gap.kind, 0), MONTHS.get(gap.kind, 0))


def _period(days: int, months: int) -> pd.DateOffset:
    return pd.DateOffset(months=months) if months else pd.DateOffset(days=days)
