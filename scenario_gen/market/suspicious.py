"""Bars that are possible but seldom real: kept, and flagged with their rows.

Every flag says what is odd and asks what it may mean; none of them decides. Knows valid bars and their stamps.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.candles import PRICE_FIELDS, Flag
from scenario_gen.market.frequency import DAY, Spacing, wall_nanoseconds
from scenario_gen.market.inferred import describe_weekdays

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

STALE_BARS = 5
SPLIT_JUMP = 0.4
SPLITS = (3 / 2, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0)  # shares after for each before; and their inverses
SPLIT_NOISE = 0.015  # how far an opening after a split is from the exact ratio
CHANCE = 1e-3  # of a run as long as this in as many bars, were unmoved closes independent of each other
RARE_DAY = 0.1  # of the dates of the fullest weekday
RARE_CLOCK = 0.02  # of the bars of the typical time of day
OPEN_SHARE = 0.9  # of the clock that bars declared as 24/7 must fill


def suspicious_bars(frame: pd.DataFrame, gap: Spacing | None) -> tuple[Flag, ...]:
    """Flag bars that are possible but seldom real.

    Args:
        frame: valid bars indexed by their stamps.
        gap: their spacing; None where there are too few bars to have one.
    """
    found = [_flag_wild(frame), _flag_stale(frame), _flag_still(frame), _flag_locked(frame), _flag_idle(frame)]
    if gap is not None and gap.kind == "daily":
        found.append(_flag_split(frame))
    return tuple(flag for flag in found if flag is not None)


def off_session_flags(timestamps: pd.DatetimeIndex, gap: Spacing) -> tuple[Flag, ...]:
    """Flag bars on weekdays or at times of day that the history itself hardly knows; no exchange is named."""
    if gap.kind not in ("daily", "intraday"):
        return ()
    wall = wall_nanoseconds(timestamps)
    weekday = (wall // DAY + 3) % 7  # 1970-01-01 was a Thursday
    counts = np.bincount((np.unique(wall // DAY) + 3) % 7, minlength=7)  # days, not bars: Sunday evenings are usual
    rare = counts < RARE_DAY * counts.max()
    usual = describe_weekdays(np.flatnonzero(~rare))
    what = f"bars on other days than {usual}, which hardly ever have one: is the date right?"
    flags = [_flag("unusual weekday", np.flatnonzero(rare[weekday]), what)]
    if gap.kind == "intraday":
        _, clock, times = np.unique(wall % DAY, return_inverse=True, return_counts=True)
        late = times < RARE_CLOCK * np.median(times)
        what = "bars at times of day that hardly ever have one: is the time right, or does it lie outside the session?"
        flags.append(_flag("unusual time of day", np.flatnonzero(late[clock] & ~rare[weekday]), what))
    return tuple(flag for flag in flags if flag is not None)


def always_open_flags(timestamps: pd.DatetimeIndex, gap: Spacing) -> tuple[Flag, ...]:
    """Flag pauses in bars that are declared to be traded round the clock, where they are more than outages."""
    if gap.kind not in ("daily", "intraday"):
        return ()
    wall = wall_nanoseconds(timestamps)
    filled = len(wall) / ((wall[-1] - wall[0]) // gap.step + 1)
    if filled >= OPEN_SHARE:
        return ()
    rows = np.flatnonzero(2 * np.diff(wall) > 3 * gap.step) + 1
    days = describe_weekdays(np.unique((wall // DAY + 3) % 7))
    what = (
        f"calendar 24/7 is declared, but the bars fill {filled:.0%} of the clock ({days}): paths would be given bars "
        "when nothing trades, and a year too many of them; leave the calendar out, or name the exchange"
    )
    flag = _flag("pauses in a 24/7 calendar", rows, what)
    return (flag,) if flag is not None else ()


def _flag_wild(frame: pd.DataFrame) -> Flag | None:
    before = frame["close"].to_numpy()[:-1]
    wild = (frame["high"].to_numpy()[1:] > 10 * before) | (frame["low"].to_numpy()[1:] < before / 10)
    what = "a high above ten times or a low below a tenth of the previous close: a misplaced decimal point?"
    return _flag("ten times the previous close", np.flatnonzero(wild) + 1, what)


def _stale(frame: pd.DataFrame) -> Flags:
    prices = frame[list(PRICE_FIELDS)].to_numpy()
    same = np.concatenate([[False], np.all(prices[1:] == prices[:-1], axis=1)])
    run = np.cumsum(~same)  # number of the run that each bar belongs to
    return np.asarray(np.bincount(run)[run] >= STALE_BARS)


def _flag_stale(frame: pd.DataFrame) -> Flag | None:
    what = f"no price changes for {STALE_BARS} and more bars: no trading, or a feed that hung?"
    return _flag("stale prices", np.flatnonzero(_stale(frame)), what)


def _flag_still(frame: pd.DataFrame) -> Flag | None:
    """Flag runs of unmoved closes that are too long to be chance, given how often this market's closes rest."""
    close = frame["close"].to_numpy()
    still = np.concatenate([[False], close[1:] == close[:-1]])
    rate = float(still.mean())
    if not 0 < rate < 1:
        return None
    longest = max(STALE_BARS, int(np.ceil(np.log(CHANCE / len(close)) / np.log(rate))))
    run = np.cumsum(~still)  # a run begins with the bar that moved
    dead = (np.bincount(run)[run] > longest) & ~_stale(frame)
    what = f"the close does not move for more than {longest} bars in a row: a dead market, or a feed that hung?"
    return _flag("dead run", np.flatnonzero(dead), what)


def _flag_locked(frame: pd.DataFrame) -> Flag | None:
    prices = frame[list(PRICE_FIELDS)].to_numpy()
    single = (prices == prices[:, :1]).all(axis=1)
    if "volume" in frame:
        what = "open, high, low and close are one price although something traded: locked at a limit, or one print?"
        return _flag("locked bars", np.flatnonzero(single & (frame["volume"].to_numpy() > 0)), what)
    what = "open, high, low and close are one price: were highs and lows recorded?"
    return _flag("bars without a range", np.flatnonzero(single), what)


def _flag_idle(frame: pd.DataFrame) -> Flag | None:
    if "volume" not in frame:
        return None
    idle = (frame["volume"] == 0) & (frame["high"] > frame["low"])
    what = "prices move on zero volume: is the volume recorded?"
    return _flag("range without volume", np.flatnonzero(idle.to_numpy()), what)


def _flag_split(frame: pd.DataFrame) -> Flag | None:
    close, opened = frame["close"].to_numpy(), frame["open"].to_numpy()
    jump = np.abs(close[1:] / close[:-1] - 1) > SPLIT_JUMP
    ratios = np.log(np.array([*SPLITS, *(1 / ratio for ratio in SPLITS)]))
    gap = np.log(opened[1:] / close[:-1])
    split = (np.abs(gap[:, None] - ratios) < SPLIT_NOISE).any(axis=1)
    what = (
        f"a close more than {SPLIT_JUMP:.0%} away from the one before, or an open at a split's ratio to it: an "
        "unadjusted split?"
    )
    return _flag("jump like a split", np.flatnonzero(jump | split) + 1, what)


def _flag(rule: str, rows: Rows, what: str) -> Flag | None:
    return Flag(rule, what, tuple(rows.tolist())) if len(rows) else None
