"""The Candles contract as rules: which bars are refused, with their rows and what to do, and which are only flagged.

What is valid is defined in ``validity``. All rules are run before anything is refused, so that one message tells the
whole truth about a file. Bars that are possible but seldom real are kept: every flag says what is odd and asks what it
may mean; none of them decides. Knows rows, lines and stamps, not file formats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market import candles as validity
from scenario_gen.market.candles import PRICE_FIELDS, SHOWN_ROWS, Flag
from scenario_gen.market.frequency import DAY, Spacing, nanoseconds, wall_nanoseconds
from scenario_gen.market.inferred import describe_weekdays

Rows = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class RawBars:
    """Bars as they came, before anything is promised about them."""

    stamps: pd.DatetimeIndex  # [T] NaT where a stamp could not be read
    columns: dict[str, Values]  # field to float64 [T]; NaN where a value is missing or could not be read
    where: str  # the file as given, "the data frame" or the built-in's name
    rows: Rows  # int64 [T], 1-based data row of each bar in its source
    lines: Rows  # int64 [T], line of each bar in a text file; empty for other sources
    stamp_text: NDArray[np.object_]  # [T] stamps as they were written
    unreadable: tuple[tuple[str, int, str], ...] = ()  # (field, position, text) of values that are no numbers

    def take(self, keep: Rows) -> RawBars:
        """Return the bars at these positions, in this order."""
        place = {int(old): new for new, old in enumerate(keep)} if self.unreadable else {}
        return RawBars(
            stamps=self.stamps[keep],
            columns={name: values[keep] for name, values in self.columns.items()},
            where=self.where,
            rows=self.rows[keep],
            lines=self.lines[keep] if len(self.lines) else self.lines,
            stamp_text=self.stamp_text[keep],
            unreadable=tuple((name, place[at], text) for name, at, text in self.unreadable if at in place),
        )


@dataclass(frozen=True)
class DoorRule:
    """One rule of the contract."""

    title: str  # the violation in plain words
    find: Callable[[RawBars], Rows]  # returns the offending positions
    fields: tuple[str, ...]  # the values to show with an offending bar
    fix: str  # what the user can do


def unreadable_stamps(bars: RawBars) -> Rows:
    """Return bars whose stamp is missing or is no date."""
    return np.flatnonzero(np.asarray(bars.stamps.isna()))


def unsorted_stamps(bars: RawBars) -> Rows:
    """Return bars that are earlier than the bar before them."""
    known, order = _known(bars)
    return known[1:][np.diff(order) < 0]


def repeated_stamps(bars: RawBars) -> Rows:
    """Return bars whose stamp came before."""
    known, order = _known(bars)
    repeated: NDArray[np.bool_] = pd.Series(order).duplicated().to_numpy()
    return known[repeated]


def missing_prices(bars: RawBars) -> Rows:
    """Return bars with a price that is missing, no number or infinite."""
    return np.flatnonzero(validity.not_finite(bars.columns))


def nonpositive_prices(bars: RawBars) -> Rows:
    """Return bars with a price of zero or less."""
    return np.flatnonzero(validity.too_small(bars.columns))


def absurd_prices(bars: RawBars) -> Rows:
    """Return bars with a finite price from which paths would leave what can be reckoned with."""
    prices = np.array([bars.columns[name] for name in PRICE_FIELDS])
    wild = np.isfinite(prices) & ((prices > validity.HIGHEST) | ((prices > 0) & (prices < validity.LOWEST)))
    return np.flatnonzero(wild.any(axis=0))


def high_too_low(bars: RawBars) -> Rows:
    """Return bars whose high is below their open, low or close, beyond float noise."""
    return np.flatnonzero(validity.high_too_low(bars.columns))


def low_too_high(bars: RawBars) -> Rows:
    """Return bars whose low is above their open or close, beyond float noise."""
    return np.flatnonzero(validity.low_too_high(bars.columns))


def bad_amounts(field: str) -> Callable[[RawBars], Rows]:
    """Return the rule for volume or amount: finite and >= 0 on every bar, where there is such a column."""
    return lambda bars: np.flatnonzero(validity.no_quantity(bars.columns, field))


def absurd_amounts(field: str) -> Callable[[RawBars], Rows]:
    """Return the rule for a volume or amount that is finite and beyond what can be reckoned with."""

    def find(bars: RawBars) -> Rows:
        values = bars.columns.get(field, np.empty(0))
        return np.flatnonzero(np.isfinite(values) & (values > validity.MOST))

    return find


_SCALE = (
    "multiply all prices by one power of ten, such as 1e6 for prices of 5e-13 (or divide very high ones), and divide "
    "volume by it: returns stay what they are"
)
_REDOWNLOAD = "correct these bars at their source or remove them"
_COUNT = "count it in a larger unit: divide the column by a power of ten, or leave it out (data.volume: drop)"
_START = "or start after them (data.start in a spec)"
RULES: tuple[DoorRule, ...] = (
    DoorRule(
        "the stamp is missing or is no date", unreadable_stamps, (),
        "write stamps as ISO dates: 2020-01-31 or 2020-01-31 09:35",
    ),
    DoorRule(
        "the stamp is earlier than the one before", unsorted_stamps, (),
        "sort the file by time (oldest first, or exactly newest first)",
    ),
    DoorRule(
        "the stamp repeats an earlier one", repeated_stamps, (),
        "keep one bar per stamp; where a clock change repeats an hour, write stamps with their offset",
    ),
    DoorRule("a price is missing or no finite number", missing_prices, PRICE_FIELDS, f"{_REDOWNLOAD}, {_START}"),
    DoorRule("a price is zero or negative", nonpositive_prices, PRICE_FIELDS, f"{_REDOWNLOAD}, {_START}"),
    DoorRule(
        f"a price is above {validity.HIGHEST:g} or below {validity.LOWEST:g}",
        absurd_prices,
        PRICE_FIELDS,
        f"{_SCALE}; or correct these bars at their source",
    ),
    DoorRule("the high is below open, low or close", high_too_low, PRICE_FIELDS, f"{_REDOWNLOAD}, {_START}"),
    DoorRule("the low is above open or close", low_too_high, PRICE_FIELDS, f"{_REDOWNLOAD}, {_START}"),
    DoorRule(
        "volume is missing, negative or not finite", bad_amounts("volume"), ("volume",),
        "fill the volume in, write 0 where nothing traded, or leave the column out (data.volume: drop in a spec)",
    ),
    DoorRule(f"volume is above {validity.MOST:g}", absurd_amounts("volume"), ("volume",), _COUNT),
    DoorRule(f"amount is above {validity.MOST:g}", absurd_amounts("amount"), ("amount",), _COUNT),
    DoorRule(
        "amount is missing, negative or not finite", bad_amounts("amount"), ("amount",),
        "fill the amount in, write 0 where nothing traded, or leave the column out (data.volume: drop in a spec)",
    ),
    DoorRule(
        "the adjusted close is missing, zero, negative or not finite",
        lambda bars: np.flatnonzero(
            ~(np.isfinite(bars.columns["adj close"]) & (bars.columns["adj close"] > 0))
        ) if "adj close" in bars.columns else np.empty(0, dtype=np.int64),
        ("close", "adj close"),
        "load the prices as they are: adjusted: false",
    ),
)  # fmt: skip


def judge(bars: RawBars, rules: Iterable[DoorRule] = RULES) -> None:
    """Run every rule, then refuse the bars when any was broken.

    Raises:
        DataError: names the source and, per broken rule, how many bars break it and the first few of them.
    """
    broken = [(rule, rows) for rule in rules if len(rows := rule.find(bars))]
    if not broken:
        return
    count = "a rule" if len(broken) == 1 else f"{len(broken)} rules"
    lines = [f"{bars.where} breaks {count} for price history ({len(bars.stamps):,} bars read)"]
    for rule, rows in broken:
        lines.append(f"  {rule.title}: {len(rows):,} bar{'s' if len(rows) > 1 else ''}")
        lines += [f"    {_describe(bars, int(row), rule.fields)}" for row in rows[:SHOWN_ROWS]]
        if len(rows) > SHOWN_ROWS:
            lines.append(f"    and {len(rows) - SHOWN_ROWS:,} more")
    raise DataError(
        "\n".join(lines),
        expected="rising stamps, finite positive prices, low <= open, close <= high, volume >= 0 or absent",
        fix="; ".join(dict.fromkeys(rule.fix for rule, _ in broken)),
    )


def _known(bars: RawBars) -> tuple[Rows, Rows]:
    known = np.flatnonzero(~np.asarray(bars.stamps.isna()))
    return known, nanoseconds(bars.stamps[known])


def _describe(bars: RawBars, row: int, fields: tuple[str, ...]) -> str:
    line = f" (line {bars.lines[row]})" if len(bars.lines) else ""
    texts = {name: text for name, at, text in bars.unreadable if at == row}
    values = [f"{name} {texts.get(name) or _number(bars.columns[name][row])}" for name in fields]
    return f"row {bars.rows[row]}{line}, {_stamp(bars, row)}" + (f": {', '.join(values)}" if values else "")


def _stamp(bars: RawBars, row: int) -> str:
    text = str(bars.stamp_text[row]).strip()
    if text.lower() in ("", "nan", "nat", "none"):
        return "no stamp"
    return text if bars.stamps[row] is not pd.NaT else repr(text)


def _number(value: float) -> str:
    return "missing" if np.isnan(value) else f"{value:.10g}"


# --- Possible but seldom real: kept, and flagged ---

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
