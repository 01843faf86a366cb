"""Candles: one instrument's history, checked once at the door and trusted from then on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.relative import log_steps, volatility
from scenario_gen.market.times import as_bound

PRICE_FIELDS = ("open", "high", "low", "close")
FIELDS = (*PRICE_FIELDS, "volume", "amount")
SHOWN_ROWS = 3
USUAL_BARS = 64  # the last bars of a context, whose mean is the usual volume
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
