"""audit_reference: what a history cannot judge, found before anything is judged by it.

Owns the reasons why a fact is UNTESTABLE, and notes on the history for a person. Knows no generated path.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.candles import Candles, running_volatility
from scenario_gen.market.frequency import DAY, SECOND, long_gaps, nanoseconds, spacing
from scenario_gen.market.inferred import SessionClock, opening_times, tick_size
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.candle import in_whole_sessions
from scenario_gen.realism.facts import FACTS, Fact
from scenario_gen.realism.gauge import windows

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


# --- audit_reference: what a history cannot judge, found before anything is judged by it ---


NO_GAP = 1e-7  # |ln(open / previous close)|: below this the open is a copy of the close
NO_GAP_SHARE = 0.2  # of a year's opens
IDLE_SHARE = 0.01  # bars without volume
FLAT_SHARE = 0.05  # bars whose high is their low
NO_RANGE_SHARE = 0.5  # flat bars from which on a range is no measure of volatility
COARSE_TICKS = 3  # median range in ticks
MIN_OPENS = 30  # session gaps
MIN_SESSIONS = 20  # whole sessions
MIN_SESSION_BARS = 4

# Facts outside the group candle_shape that are made of ranges.
_RANGE_FACTS = frozenset(
    {
        "acf_rng_1_5",
        "acf_rng_6_20",
        "H_lnrange",
        "lev_rng_1_5",
        "lev_har",
        "zumbach",
        "vol_rng_corr",
        "open_mid_rng",
        "close_mid_rng",
    }
)
# Facts of several assets, by a fact of each one that the same data must be able to tell.
_MADE_LIKE = {
    "corr_dv": "dv_acf1",
    "corr_lnrange": "acf_rng_1_5",
    "stress_corr_diff": "acf_rng_1_5",
    "xlev": "lev_rng_1_5",
}


@dataclass(frozen=True)
class Audit:
    """What a reference history can and cannot tell."""

    untestable: dict[str, str]  # fact id to the reason in words
    # further findings about the history, for a person: jumps, time zone, spacing, flags
    notes: list[str] = field(default_factory=list)


def audit_reference(candles: Candles) -> Audit:
    """Find the facts that this history cannot judge, and what else a person should know of it."""
    if len(candles) < 2:
        reason = f"the history has {len(candles)} bars, which show no return"
        return Audit({fact.id: reason for fact in FACTS}, [])
    clock = SessionClock.of(candles.timestamps)
    tick = tick_size(candles)
    bars = windows(candles, len(candles) - 1, 1, tick=tick, clock=clock).bars
    flat = float(np.mean(candles.column("high") == candles.column("low")))
    reasons = (
        (_needing("gaps"), _gap_reason(bars, candles.timestamps[1:])),
        (_needing("volume"), _volume_reason(candles)),
        (_needing("sessions"), _session_reason(bars, clock)),
        (_needing("ticks"), _tick_reason(bars, flat)),
        (_in_group("candle_shape"), _shape_reason(bars, flat)),
        (_made_of_ranges(), _range_reason(flat)),
    )
    untestable = {fact.id: reason for facts, reason in reversed(reasons) if reason for fact in facts}
    ordered = {fact.id: untestable[fact.id] for fact in FACTS if fact.id in untestable}
    return Audit(ordered, history_notes(candles, clock))


def audit_assets(histories: Sequence[Candles]) -> Audit:
    """Find the facts of several assets that these histories cannot judge: what one of them lacks, all lack."""
    untestable: dict[str, str] = {}
    notes: list[str] = []
    for history in histories:
        one = audit_reference(history)
        for fact, like in _MADE_LIKE.items():
            if like in one.untestable:
                reason = f"{history.name}: {one.untestable[like]}"
                untestable |= {name: untestable.get(name, reason) for name in (fact, f"{fact}_sd")}
        notes += [f"{history.name}: {note}" for note in one.notes]
    return Audit(untestable, notes)


def _needing(need: str) -> list[Fact]:
    return [fact for fact in FACTS if need in fact.needs]


def _in_group(group: str) -> list[Fact]:
    return [fact for fact in FACTS if fact.group == group]


def _made_of_ranges() -> list[Fact]:
    return [fact for fact in FACTS if fact.id in _RANGE_FACTS]


def _gap_reason(bars: BarArrays, stamps: pd.DatetimeIndex) -> str:
    """Gaps mean nothing where opens are copies of the close before, in the history or in some of its years."""
    opens = bars.opens_session[0]
    if opens.sum() < MIN_OPENS:
        return f"only {opens.sum()} bars open after a pause in trading; {MIN_OPENS} are needed"
    copied = np.abs(bars.g[0][opens]) < NO_GAP
    years = np.asarray(stamps.year)[opens]
    shares = {int(year): float(copied[years == year].mean()) for year in np.unique(years)}
    bad = {year: share for year, share in shares.items() if share > NO_GAP_SHARE}
    if not bad:
        return ""
    worst = max(bad, key=lambda year: bad[year])
    when = f"in {len(bad)} of {len(shares)} years ({_years(bad)}; {bad[worst]:.0%} in {worst})"
    return f"the open equals the close before it on more than {NO_GAP_SHARE:.0%} of sessions {when}"


def _years(years: Iterable[int]) -> str:
    """Return years as "1999-2006, 2010"."""
    ordered = sorted(years)
    cuts = [0, *(i for i in range(1, len(ordered)) if ordered[i] > ordered[i - 1] + 1), len(ordered)]
    runs = [ordered[a:b] for a, b in pairwise(cuts)]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _volume_reason(candles: Candles) -> str:
    if not candles.has_volume:
        return "the history has no volume"
    volume = candles.column("volume")
    if volume.min() == volume.max():
        return "the volume is the same on every bar"
    idle = float(np.mean(volume == 0))
    return f"the volume is 0 on {idle:.2%} of bars, more than {IDLE_SHARE:.0%}" if idle > IDLE_SHARE else ""


def _session_reason(bars: BarArrays, clock: SessionClock | None) -> str:
    if clock is None:
        return "the bars are daily or longer"
    if bars.bar_of_day is None:
        return "trading has no pause overnight"
    if bars.session_bars < MIN_SESSION_BARS:
        return f"a session has {bars.session_bars} bars; {MIN_SESSION_BARS} are needed"
    whole = int(np.sum(in_whole_sessions(bars) & bars.opens_session))
    return f"only {whole} whole sessions; {MIN_SESSIONS} are needed" if whole < MIN_SESSIONS else ""


def _tick_reason(bars: BarArrays, flat: float) -> str:
    """Unchanged closes are a fact of coarse price grids; elsewhere they are accidents."""
    if _is_coarse(bars, flat):
        return ""
    if bars.tick == 0:
        return "prices stand on no common grid of ticks"
    return f"the median range is {_median_ticks(bars):.0f} ticks: the grid of prices does not show"


def _shape_reason(bars: BarArrays, flat: float) -> str:
    if flat > FLAT_SHARE:
        return f"high equals low on {flat:.2%} of bars, more than {FLAT_SHARE:.0%}"
    if _is_coarse(bars, flat):
        return f"the median range is {_median_ticks(bars):.1f} ticks: a candle's shape is its grid's"
    return ""


def _range_reason(flat: float) -> str:
    return f"high equals low on {flat:.1%} of bars: there is no range" if flat > NO_RANGE_SHARE else ""


def _is_coarse(bars: BarArrays, flat: float) -> bool:
    return flat > FLAT_SHARE or (bars.tick > 0 and _median_ticks(bars) <= COARSE_TICKS + 1e-6)


def _median_ticks(bars: BarArrays) -> float:
    ranges: NDArray[np.float64] = bars.high - bars.low
    return float(np.median(ranges)) / bars.tick
