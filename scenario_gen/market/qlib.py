"""A Qlib provider's folder, read without Qlib: calendars, instruments, and a file of float32 per field.

Owns that layout. ``calendars/<freq>.txt`` has a stamp a line; ``instruments/<market>.txt`` lines of instrument, first
and last day; ``features/<instrument>/<field>.<freq>.bin`` little-endian float32, of which the first is the line of the
calendar that the others begin at. Written after ``scripts/dump_bin.py`` and ``qlib/data/storage/file_storage.py``.

What Qlib stores is adjusted, "normalized to 1 on the first trading day" (its docs, component/data): factor = adjusted
price / traded price, so price / factor is the traded one, and volume x factor the traded volume. Fields are NaN on days
of suspension.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.files import user_path
from scenario_gen.market.candles import PRICE_FIELDS
from scenario_gen.market.parquet import MAX_ROWS
from scenario_gen.market.times import Bound, as_bound
from scenario_gen.reading.words import near

AMOUNTS = ("amount", "money")  # what collectors call the traded value, which needs no adjustment
MAX_TEXT = 2**28  # bytes of a calendar or a list of instruments
_NAME = re.compile(r"[A-Za-z0-9_^=&$#-][A-Za-z0-9._^=&$#-]{0,63}")  # of an instrument or a frequency: no way out
_DEVICE = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]", re.IGNORECASE)  # which Qlib puts "_qlib_" before


def is_provider(folder: Path) -> bool:
    """Return whether a folder is laid out as a provider's."""
    return (folder / "features").is_dir() and any((folder / "calendars").glob("*.txt"))


class QlibProvider:
    """A folder that ``qlib.init(provider_uri=...)`` takes.

    Args:
        uri: the folder; ``~`` is filled in.
        freq: of the bars, as in the names of files: day, 1min, 5min.

    Raises:
        DataError: no such folder, or it has no calendar of that frequency.
    """

    def __init__(self, uri: str | Path, freq: str = "day") -> None:
        self.uri, self.freq = user_path(uri), freq.lower()
        calendars = sorted(path.stem for path in (self.uri / "calendars").glob("*.txt"))
        known = [name for name in calendars if not name.endswith("_future")]
        if not known:
            raise DataError(
                f"{uri} is no Qlib provider: it has no calendars/*.txt",
                expected="a folder with calendars, instruments and features, as qlib.init takes it",
                fix="correct provider_uri; a spec's paths are relative to its own folder",
            )
        if self.freq not in known:
            raise DataError(
                f"{uri} has no calendar of {freq!r} bars", expected=f"one of {', '.join(known)}", fix="correct freq"
            )

    @cached_property
    def calendar(self) -> pd.DatetimeIndex:
        """Stamps of all bars of the provider, naive, in the exchange's own time.

        Raises:
            DataError: a line is no date, or lines do not rise.
        """
        path = self.uri / "calendars" / f"{self.freq}.txt"
        lines = [line.strip() for line in _text(path).splitlines() if line.strip()]
        stamps = pd.DatetimeIndex(pd.to_datetime(pd.Series(lines, dtype=str), format="ISO8601", errors="coerce"))
        wrong = np.flatnonzero(stamps.isna() | np.append(False, np.diff(stamps.asi8) <= 0))
        if len(wrong) or not lines:
            came = f"line {wrong[0] + 1} of {path} is {lines[wrong[0]][:40]!r}" if lines else f"{path} is empty"
            raise DataError(came, expected="one date a line, each later than the one before", fix="dump it again")
        return stamps.as_unit("ns")

    def markets(self) -> list[str]:
        """Return the names that :meth:`instruments` takes: all, csi300, ..."""
        return sorted(path.stem for path in (self.uri / "instruments").glob("*.txt"))

    def instruments(self, market: str = "all") -> pd.DataFrame:
        """Return who belongs to a market, and when.

        Returns:
            Columns instrument, start and end (both days belong), one row per stay: an instrument that left and came
            back has two.

        Raises:
            DataError: no such market, or a line that is no instrument and two dates.
        """
        known = self.markets()
        if market.lower() not in known:
            raise DataError(
                f"{self.uri} has no market {market!r}",
                expected=f"one of {', '.join(known[:30]) or 'instruments/*.txt, of which there are none'}",
                fix="correct the market",
            )
        path = self.uri / "instruments" / f"{market.lower()}.txt"
        rows = [line.split("\t")[:3] for line in _text(path).splitlines() if line.strip()]
        short = [number for number, row in enumerate(rows, 1) if len(row) < 3 or not row[0].strip()]
        frame = pd.DataFrame(
            [row if len(row) == 3 else ["", "", ""] for row in rows], columns=["instrument", "start", "end"]
        )
        for side in ("start", "end"):
            frame[side] = pd.to_datetime(frame[side].str.strip(), format="ISO8601", errors="coerce")
        wrong = sorted({*short, *(np.flatnonzero(frame[["start", "end"]].isna().any(axis=1)) + 1)})
        if wrong:
            raise DataError(
                f"line {wrong[0]} of {path} is {rows[wrong[0] - 1]!r}",
                expected="an instrument, its first and its last day, with tabs between them",
                fix="mend that line",
            )
        return frame.assign(instrument=frame["instrument"].str.strip())

    def fields(self, instrument: str) -> list[str]:
        """Return the fields that an instrument has files of.

        Raises:
            DataError: no such instrument.
        """
        ending = f".{self.freq}.bin"
        return sorted(path.name.removesuffix(ending) for path in self._folder(instrument).glob(f"*{ending}"))

    def bars(
        self, instrument: str, start: Bound | None = None, end: Bound | None = None, *, adjusted: bool = False
    ) -> pd.DataFrame:
        """Return the bars of an instrument, without the days that it was suspended on.

        Args:
            instrument: SH600000, in any case.
            start: first bar; default: the first there is.
            end: last bar; a date means the whole of that day.
            adjusted: prices and volume as Qlib keeps them; else as they were traded, where there is a ``factor`` (and
                as they are stored where there is none, as of indices and coins).

        Returns:
            float64 with the index ``date`` and the columns open, high, low, close, and volume and amount where they
            are stored. Values were float32: seven digits are right. ``attrs["suspended"]`` is how many bars between
            the first and the last were left out, ``attrs["factor"]`` whether there is one.

        Raises:
            DataError: no such instrument or field, a file that is damaged or goes beyond the calendar, or a bar
                whose factor is not known.
        """
        there = self.fields(instrument)
        if missing := [field for field in PRICE_FIELDS if field not in there]:
            raise DataError(
                f"{instrument} has no {', '.join(missing)} of {self.freq} bars in {self.uri}",
                expected=f"open, high, low and close; there are: {', '.join(there[:20]) or 'none'}",
                fix="dump these fields (dump_bin.py --include_fields open,high,low,close,volume,factor)",
            )
        amount = [name for name in AMOUNTS if name in there][:1]
        wanted = [*PRICE_FIELDS, *(name for name in ("volume", "factor") if name in there), *amount]
        frame = pd.concat({field: self.series(instrument, field) for field in wanted}, axis=1, sort=True)
        if start is not None:
            frame = frame[frame.index >= as_bound(start, self.calendar, is_end=False)]
        if end is not None:
            frame = frame[frame.index <= as_bound(end, self.calendar, is_end=True)]
        traded = frame[frame[list(PRICE_FIELDS)].notna().any(axis=1)].rename(columns=dict.fromkeys(amount, "amount"))
        span = frame.loc[traded.index[0] : traded.index[-1]] if len(traded) else traded
        has_factor = "factor" in traded and bool(traded["factor"].notna().any())
        bars = traded.drop(columns="factor", errors="ignore")
        if has_factor and not adjusted:
            bars = self._as_traded(bars, traded["factor"], instrument)
        bars.attrs = {"suspended": len(span) - len(traded), "factor": has_factor}
        return bars.rename_axis("date")

    def series(self, instrument: str, field: str) -> pd.Series:
        """Return a field as it is stored, float64, by the calendar's stamps; NaN where it has no value.

        Raises:
            DataError: no such file, or it is damaged or goes beyond the calendar.
        """
        path = self._folder(instrument) / f"{_safe(field)}.{self.freq}.bin"
        try:
            size = path.stat().st_size
            stored: NDArray[np.float32] = np.fromfile(path, dtype="<f4", count=min(size // 4, MAX_ROWS))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}", fix="correct the field, or dump it") from error
        first = float(stored[0]) if len(stored) else np.nan
        last = first + len(stored) - 1
        if size % 4 or size // 4 > MAX_ROWS or not (first >= 0 and first == np.floor(first)):
            begins = f" and begin with {first:g}" if len(stored) else ""
            raise DataError(
                f"{path} is no field of Qlib's: {size:,} bytes{begins}",
                expected="float32 values, the first of them a line of the calendar",
                fix="dump the field again",
            )
        if last > len(self.calendar):
            raise DataError(
                f"{path} reaches to line {last:.0f} of a calendar of {len(self.calendar):,}",
                expected=f"values for the stamps of calendars/{self.freq}.txt",
                fix="dump calendar and fields together",
            )
        stamps = self.calendar[int(first) : int(last)]
        return pd.Series(stored[1:].astype(np.float64), index=stamps, name=field)

    def _as_traded(self, bars: pd.DataFrame, factor: pd.Series, instrument: str) -> pd.DataFrame:
        unknown = bars.index[~(factor > 0)]
        if len(unknown):
            raise DataError(
                f"{instrument} has no factor on {len(unknown)} of its {len(bars)} bars, first {unknown[0].isoformat()}",
                expected="a positive factor on every bar, to find the traded price with",
                fix="take the prices as they are stored: adjusted: true",
            )
        prices = bars[list(PRICE_FIELDS)].div(factor, axis=0)
        return bars.assign(**prices, **({"volume": bars["volume"] * factor} if "volume" in bars else {}))

    def _folder(self, instrument: str) -> Path:
        name = _safe(instrument)
        prefixed = f"_qlib_{name}" if _DEVICE.fullmatch(name) else name
        places = [self.uri / "features" / spelled for spelled in (prefixed, prefixed.lower(), prefixed.upper())]
        if place := next((place for place in places if place.is_dir()), None):
            return place
        features = self.uri / "features"
        others = [path.name.upper() for path in features.iterdir()] if features.is_dir() else []
        close = near(instrument.upper(), others, most=3) or sorted(others)[:5]
        raise DataError(
            f"{self.uri} has no instrument {instrument!r}",
            expected=f"one of its {len(others):,} instruments, such as {', '.join(close)}" if others else "features/",
            fix="correct the symbol",
        )


def _safe(name: str) -> str:
    if _NAME.fullmatch(name):
        return name
    raise DataError(f"{name[:80]!r} is no name in a provider", expected="a name such as SH600000", fix="correct it")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TEXT:
            raise DataError(f"{path} is larger than {MAX_TEXT // 2**20} MB", expected="a date or a name a line")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", expected="UTF-8 text", fix="dump it again") from error
