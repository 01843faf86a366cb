"""Candles: a history, checked at the door and trusted from then on; what makes a candle valid; candles as log steps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.lazy import lent
from scenario_gen.market.times import as_bound

Floats = NDArray[np.float64]

PRICE_FIELDS = ("open", "high", "low", "close")
FIELDS = (*PRICE_FIELDS, "volume", "amount")
SHOWN_ROWS = 3
USUAL_BARS = 64  # the last bars of a context, whose mean is the usual volume
STILL = 1e-6  # log units per bar: below any tick of any market, above float noise
EWMA = 0.94
SETTLED = 10  # bars after which the running volatility no longer shows how it was started
LEAST_RANGE = 1e-9  # stands for a log range where a context has none


@dataclass(frozen=True)
class Flag:
    """A possible but suspicious bar (or bars) that was kept: shown to the user, never hidden."""

    rule: str  # short name of what is suspicious
    message: str  # the same as a sentence, true for any part of the history
    rows: tuple[int, ...]  # 0-based rows of the bars concerned; none for a note on the whole source
    source_rows: tuple[int, ...] = ()  # the same bars as the source counts them, from 1; none where there is no source

    def within(self, start: int, stop: int) -> Flag:
        """Return the flag for bars ``start`` to ``stop`` (exclusive), counted anew from 0."""
        kept = [at for at, row in enumerate(self.rows) if start <= row < stop]
        return replace(
            self,
            rows=tuple(self.rows[at] - start for at in kept),
            source_rows=tuple(self.source_rows[at] for at in kept) if self.source_rows else (),
        )


@dataclass(frozen=True)
class Candles:
    """Valid OHLC(V)(A) bars of one instrument in time order.

    Built by :func:`scenario_gen.load_candles`, which enforces the contract: sorted unique timestamps,
    positive finite prices with ``low <= open, close <= high``, volume finite and >= 0 or absent.
    """

    timestamps: pd.DatetimeIndex  # [T] bar stamps; naive means the exchange's local time
    values: NDArray[np.float64]  # float64 [T, F], columns in the order of ``fields``; prices in quote currency
    fields: tuple[str, ...]  # open, high, low, close and then, where the source has them, volume and amount
    name: str = "history"  # what to call the instrument in a report
    source: str = ""  # where the bars came from, for a person to read
    calendar: str = ""  # exchange calendar code (``XNYS``), ``24/7``, or ``""`` to infer one from the stamps
    flags: tuple[Flag, ...] = field(default=())  # suspicious bars that were kept

    def __len__(self) -> int:
        return len(self.timestamps)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one field as float64 [T]."""
        return self.values[:, self.fields.index(name)]

    @property
    def close(self) -> NDArray[np.float64]:
        """Closing prices, float64 [T]."""
        return self.column("close")

    @property
    def log_steps(self) -> NDArray[np.float64]:
        """Open, high, low and close as logs from the previous close, float64 [T - 1, 4]."""
        return log_steps(self.values[:, :4])

    @property
    def volatility(self) -> float:
        """Root mean square of the log returns; no number for a single bar."""
        return float(volatility(self.close))

    @property
    def has_volume(self) -> bool:
        """Whether the source had a volume column."""
        return "volume" in self.fields

    def frame(self) -> pd.DataFrame:
        """Return the bars as a data frame indexed by timestamp."""
        return pd.DataFrame(self.values, index=self.timestamps, columns=list(self.fields))

    @lent("scenario_gen.report.notebook:plot_candles")
    def plot(self, *, ax: Any = None) -> Any:
        """Draw the bars, as a line of closes where there are more than 250, and return the matplotlib axes."""

    @lent("scenario_gen.report.notebook:html_of_candles")
    def _repr_html_(self) -> str:  # type: ignore[empty-body]  # it is lent
        """Return name, span, the last bars and the flags."""

    def rows(self, start: int, stop: int) -> Candles:
        """Return bars ``start`` to ``stop`` (exclusive); flags keep to those rows, notes on the source stay."""
        flags = ((flag, flag.within(start, stop)) for flag in self.flags)
        return replace(
            self,
            timestamps=self.timestamps[start:stop],
            values=self.values[start:stop],
            flags=tuple(kept for flag, kept in flags if kept.rows or not flag.rows),
        )

    def split_at(self, end: date | str | None) -> tuple[Candles, Candles]:
        """Split into bars up to and including ``end``, and the bars after it.

        A date without a time of day means the whole of that day. ``None`` puts everything on the left.

        Raises:
            DataError: ``end`` has a time zone and the bars have none.
        """
        if end is None:
            return self, self.rows(len(self), len(self))
        stamp = as_bound(end, self.timestamps, is_end=True)
        cut = int(self.timestamps.as_unit("ns").searchsorted(stamp, side="right"))  # the end of a day has nanoseconds
        return self.rows(0, cut), self.rows(cut, len(self))

    def context(self, bars: int) -> Candles:
        """Return the last ``bars`` bars.

        Raises:
            DataError: fewer bars are there, or none are asked for.
        """
        if bars < 1:
            raise DataError(f"a context of {bars} bars was asked for", expected="a number of at least 1")
        if len(self) < bars:
            last = self.timestamps[-1].date().isoformat() if len(self) else "the requested end"
            raise DataError(
                f"{self.name} has {len(self)} bars up to {last}, but the context needs {bars}",
                expected=f"at least {bars} bars before the context's end",
                fix="shorten bars.context, move data.end to a later date, or bring a longer history",
            )
        return self.rows(len(self) - bars, len(self))

    def flag_texts(self) -> list[str]:
        """Return the flags as sentences, with the number of bars, their rows in the source and the first stamp."""
        return [self.flag_text(flag) for flag in self.flags]

    def flag_text(self, flag: Flag) -> str:
        """Return one flag as a sentence."""
        if not flag.rows:
            return f"{flag.rule}: {flag.message}"
        many = f"{len(flag.rows):,} bars, the first" if len(flag.rows) > 1 else "1 bar"
        at = self.timestamps[flag.rows[0]]
        stamp = at.date() if at == at.normalize() else at
        rows = f", {row_list(flag.source_rows)}" if flag.source_rows else ""
        return f"{flag.rule} ({many} at {stamp}{rows}): {flag.message}"

    def sha256(self) -> str:
        """Return a hash of stamps, fields and values, for the report's identity block."""
        digest = hashlib.sha256(",".join(self.fields).encode())
        digest.update(np.ascontiguousarray(self.timestamps.as_unit("ns").asi8).tobytes())
        digest.update(np.ascontiguousarray(self.values).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Scale:
    """What a context says about units."""

    volatility: float  # root mean square of its log returns
    least_range: float  # half its smallest range above zero, in logs: added before ranges pass a logarithm
    usual_volume: float  # mean volume of its last bars; 0 without volume

    @classmethod
    def of(cls, context: Candles) -> Scale:
        """Read the units off a context."""
        ranges = np.log(context.column("high") / context.column("low"))
        positive = ranges[ranges > 0]
        volume = context.column("volume")[-USUAL_BARS:].mean() if context.has_volume else 0.0
        return cls(
            volatility=context.volatility,
            least_range=float(positive.min() / 2) if len(positive) else LEAST_RANGE,
            usual_volume=float(volume),
        )


def row_list(rows: tuple[int, ...]) -> str:
    """Return rows as "row 17" or "rows 3, 4, 5 and 9 more"."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    shown = ", ".join(map(str, rows[:SHOWN_ROWS]))
    more = f" and {len(rows) - SHOWN_ROWS:,} more" if len(rows) > SHOWN_ROWS else ""
    return f"rows {shown}{more}"


# --- What makes a candle valid: one definition for the door, for training data and for generated paths ---


# What a history may hold. vectorbt takes prices and sizes below 1e-12 for zero, and float32, which paths are kept in,
# ends at 3e38: a path may fall to a hundredth of the lowest price or rise a thousandfold from the highest, and an
# amount (volume x price) still has room.
LOWEST, HIGHEST = 1e-9, 1e12  # prices of a history
TOO_LOW, TOO_HIGH = 1e-11, 1e15  # prices of paths and of training data
MOST = 1e24  # volume and amount
FLOAT_NOISE = 1e-9  # relative; what arithmetic on float64 leaves
FLOAT32_NOISE = 5e-7  # four units in the last place: what a generator's arithmetic on float32 leaves

Columns = Mapping[str, NDArray[np.floating[Any]]]
Flags = NDArray[np.bool_]


def columns_of(values: NDArray[np.floating[Any]], fields: Sequence[str]) -> Columns:
    """Return the columns [...] of values [..., field], by name."""
    return {name: values[..., place] for place, name in enumerate(fields)}


def not_finite(columns: Columns) -> Flags:
    """Return bars with a price that is missing, no number or infinite (rule V1)."""
    return np.asarray(~np.all([np.isfinite(columns[name]) for name in PRICE_FIELDS], axis=0))


def too_large(columns: Columns) -> Flags:
    """Return bars with a price that is finite and beyond what can be reckoned with (rule V1)."""
    with np.errstate(invalid="ignore"):
        prices = np.stack([columns[name] for name in PRICE_FIELDS])
        return np.asarray((np.isfinite(prices) & (prices > TOO_HIGH)).any(axis=0))


def too_small(columns: Columns, least: float = 0.0) -> Flags:
    """Return bars with a price of zero or less, or below ``least`` where that is above zero (rule V2)."""
    return np.asarray(np.any([(columns[name] <= 0) | (columns[name] < least) for name in PRICE_FIELDS], axis=0))


def high_too_low(columns: Columns) -> Flags:
    """Return bars whose high is below their open, low or close, beyond float noise (rule V3)."""
    top = np.fmax.reduce([columns[name] for name in ("open", "low", "close")])
    return np.asarray(columns["high"] < top * (1 - _noise(top)))


def low_too_high(columns: Columns) -> Flags:
    """Return bars whose low is above their open or close, beyond float noise (rule V3)."""
    bottom = np.fmin(columns["open"], columns["close"])
    return np.asarray(columns["low"] > bottom * (1 + _noise(bottom)))


def _noise(prices: NDArray[np.floating[Any]]) -> float:
    """Return by how much, relatively, prices of one bar may differ that are meant to be the same."""
    return FLOAT32_NOISE if prices.dtype == np.float32 else FLOAT_NOISE


def no_quantity(columns: Columns, name: str) -> Flags:
    """Return bars whose volume or amount is missing, infinite or negative (rule V4); none without the column."""
    if name not in columns:
        return np.zeros(columns["close"].shape, dtype=bool)
    return np.asarray(~(np.isfinite(columns[name]) & (columns[name] >= 0)))


def invalid(columns: Columns) -> Flags:
    """Return bars that break any rule of a single candle: V1, V2, V3, and V4 where there is a volume."""
    return (
        not_finite(columns)
        | too_large(columns)
        | too_small(columns, TOO_LOW)
        | high_too_low(columns)
        | low_too_high(columns)
        | no_quantity(columns, "volume")
        | no_quantity(columns, "amount")
    )


# --- Candles as log steps from the close before, and the volatility that such steps are measured in ---


def log_steps(prices: NDArray[np.floating[Any]], anchor: float | Floats | None = None) -> Floats:
    """Return open, high, low and close as logs from the previous close.

    Args:
        prices: [..., bar, 4].
        anchor: the close before the first bar, one or [...]; without it the first bar only precedes the second, and
            the steps are those of the others, [..., bar - 1, 4].
    """
    logs = np.log(prices, dtype=np.float64)
    before = logs[..., :-1, 3:4]
    if anchor is None:
        return np.asarray(logs[..., 1:, :] - before)
    first = np.broadcast_to(np.log(anchor)[..., None, None], (*logs.shape[:-2], 1, 1))
    return np.asarray(logs - np.concatenate((first, before), axis=-2))


def chain(steps: Floats, anchor: float | Floats) -> Floats:
    """Return prices [path, bar, 4] from steps [path, bar, 4] that set out from an anchor, one or [path]."""
    close = np.cumsum(steps[..., 3], axis=1)
    previous = np.concatenate((np.zeros((len(close), 1)), close[:, :-1]), axis=1)
    return np.asarray(np.asarray(anchor)[..., None, None] * np.exp(previous[..., None] + steps))


def shift_bodies(steps: Floats, drift: Floats) -> Floats:
    """Return steps [path, bar, 4] whose bars gain ``drift`` [bar] more from open to close; gap and wicks stay.

    A gap or a wick of zero stays zero, a valid bar valid, and a bar that breaks a rule breaks it by as much.
    """
    start, high, low, close = np.moveaxis(steps, -1, 0)
    upper, lower = high - np.maximum(start, close), np.minimum(start, close) - low
    close = close + drift
    return np.stack((start, np.maximum(start, close) + upper, np.minimum(start, close) - lower, close), axis=-1)


def volatility(close: NDArray[np.floating[Any]]) -> Floats:
    """Return the root mean square of log returns of closes [..., bar], the first of which is the anchor."""
    return np.asarray(np.sqrt(np.mean(np.diff(np.log(close), axis=-1) ** 2, axis=-1)))


def deepest_fall(returns: Floats) -> Floats:
    """Return the deepest fall along log returns [path, bar] from the highest close so far, as a fraction [path].

    The close that the returns set out from counts among the closes.
    """
    level = np.cumsum(returns, axis=1)
    return np.asarray(-np.expm1((level - np.maximum(np.maximum.accumulate(level, axis=1), 0.0)).min(axis=1)))


def running_volatility(returns: Floats) -> Floats:
    """Return the EWMA volatility (decay .94) known before each return and after the last, [..., T + 1].

    It starts from the mean square of the first ten returns, and never falls below a millionth (RiskMetrics 1996).

    Args:
        returns: log returns [..., T].
    """
    squares = np.atleast_2d(returns) ** 2
    variance = continue_ewma(np.mean(squares[:, :SETTLED], axis=1), squares)
    return np.sqrt(np.maximum(variance, 1e-12)).reshape(*returns.shape[:-1], -1)


def continue_ewma(start: Floats, squares: Floats) -> Floats:
    """Return the EWMA of squares [path, T] from a start [path], itself first: [path, T + 1]."""
    from scipy.signal import lfilter

    later, _ = lfilter([1 - EWMA], [1.0, -EWMA], squares, axis=1, zi=EWMA * start[:, None])
    return np.concatenate((start[:, None], later), axis=1)
