"""Notes on a history that no single fact shows: jumps like corporate actions, spacing, summer time, dead prices.

Owns the sentences. Decides nothing.
"""

from __future__ import annotations

import numpy as np

from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import DAY, SECOND, long_gaps, nanoseconds, spacing
from scenario_gen.market.relative import running_volatility
from scenario_gen.market.sessions import SessionClock, opening_times

JUMP = 0.25  # |ln return|
JUMP_SIGMAS = 8.0  # of the running volatility before it
OFF_STEP = 0.02  # share of bars at another distance than the commonest
STILL_SHARE = 0.2  # share of closes that do not move
SHOWN = 3


def history_notes(candles: Candles, clock: SessionClock | None) -> list[str]:
    """Return what a person should know of a history of two bars or more, one sentence each."""
    notes = [_jumps(candles), _spacing(candles, clock), _openings(candles, clock), _pauses(candles), _still(candles)]
    return [note for note in notes if note]


def _jumps(candles: Candles) -> str:
    """Find moves that look like a split, a spin-off or a bad print rather than a market."""
    returns = np.diff(np.log(candles.close))
    if len(returns) < 20:
        return ""
    before = running_volatility(returns)[:-1]
    rows = np.flatnonzero((np.abs(returns) > JUMP) & (np.abs(returns) > JUMP_SIGMAS * before)) + 1
    if not len(rows):
        return ""
    shown = ", ".join(
        f"{candles.timestamps[row].date()} (x {candles.close[row] / candles.close[row - 1]:.2f})"
        for row in rows[:SHOWN]
    )
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"jumps beyond {JUMP_SIGMAS:.0f} standard deviations: {shown}{more}; unadjusted corporate actions?"


def _spacing(candles: Candles, clock: SessionClock | None) -> str:
    gap = spacing(candles.timestamps)
    if gap.kind == "irregular":
        return "bars stand at irregular distances: lags count bars, not time"
    if clock is None:
        return ""
    distances = np.diff(nanoseconds(candles.timestamps))
    inside = ~clock.opens(candles.timestamps)[1:]
    off = float(np.mean(distances[inside] != gap.step)) if inside.any() else 0.0
    if off <= OFF_STEP:
        return ""
    return f"{off:.1%} of bars do not stand {gap.label} after the bar before: missing bars, or a midday pause"


def _openings(candles: Candles, clock: SessionClock | None) -> str:
    """Tell where sessions do not open at one time: an hour apart, where stamps do not follow summer time."""
    if clock is None or not len(clock.slots):
        return ""
    times, counts = np.unique(opening_times(candles.timestamps, clock), return_counts=True)
    usual = times[counts >= 0.1 * counts.sum()]
    if len(usual) < 2:
        return ""
    told = ", ".join(_clock_time(int(time)) for time in usual[:SHOWN])
    summer = len(usual) == 2 and usual[1] - usual[0] == 3600 * SECOND
    why = "the stamps do not follow summer time" if summer else "no one opening time"
    return f"sessions open at {told}: {why}; places in the session are counted from its first bar"


def _pauses(candles: Candles) -> str:
    rows = long_gaps(candles.timestamps, spacing(candles.timestamps))
    if not len(rows):
        return ""
    first = candles.timestamps[rows[0]].date()
    gaps = "1 long gap" if len(rows) == 1 else f"{len(rows)} long gaps"
    return f"{gaps} without bars, the first before {first}: windows go across"


def _still(candles: Candles) -> str:
    share = float(np.mean(np.diff(candles.close) == 0))
    return f"{share:.0%} of closes equal the one before: hardly traded, or a coarse tick" if share > STILL_SHARE else ""


def _clock_time(time: int) -> str:
    minutes = time % DAY // (60 * SECOND)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
