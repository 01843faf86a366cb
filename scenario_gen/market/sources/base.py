"""What a source of bars is, what it is asked, and what it answers.

Owns the shape of an entry of the registry and the words for a client that is not installed. Imports nothing heavy: a
spec is read with the entries. Knows no vendor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from scenario_gen.errors import DataError
from scenario_gen.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

SYMBOL = r"[A-Za-z0-9^][A-Za-z0-9_.^=:/&@-]{0,39}"  # goes into addresses
MINUTES = {"m": 1, "h": 60, "d": 1440, "w": 7 * 1440, "mo": 31 * 1440, "M": 31 * 1440}  # of a timeframe's unit


@dataclass(frozen=True)
class Request:
    """What a source is asked for: the bars of one instrument."""

    source: str
    symbol: str = ""
    exchange: str = ""
    timeframe: str = "1d"
    start: date | datetime | None = None  # None: as far back as the source goes
    as_of: date | datetime | None = None  # nothing after it; a date means the whole of that day
    adjusted: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)  # fields of ``data`` that this source alone knows
    base: Path = Path()  # the spec's folder, for sources on this machine

    def asked(self) -> dict[str, Any]:
        """Return the request as plain values, by which kept bars are known again; no folder of anybody's machine."""
        values = {name: getattr(self, name) for name in ("source", "symbol", "exchange", "timeframe", "adjusted")}
        moments = {name: getattr(self, name) for name in ("start", "as_of")}
        stamps = {name: None if moment is None else moment.isoformat() for name, moment in moments.items()}
        return {name: value for name, value in {**values, **stamps, **self.more}.items() if value not in (None, "")}

    def first(self, default: date) -> date:
        """Return the first day to ask for."""
        start = self.start if self.start is not None else default
        return start.date() if isinstance(start, datetime) else start

    def first_moment(self, default: date) -> datetime:
        """Return the first moment to ask for, in UTC; a start of a day begins where that day first begins anywhere."""
        return _utc(self.start if self.start is not None else default)

    def last_moment(self) -> datetime:
        """Return the last moment to ask for, in UTC: now, or ``as_of``, whose day ends where it last ends anywhere."""
        now = datetime.now(UTC)
        if self.as_of is None:
            return now
        if isinstance(self.as_of, datetime):
            return min(now, _utc(self.as_of) + timedelta(0 if self.as_of.tzinfo else 1))
        return min(now, _utc(self.as_of) + timedelta(days=2))

    def minutes(self) -> int:
        """Return how long a bar is, in minutes; a month counts 31 days."""
        return minutes_of(self.timeframe)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.source, self.exchange, self.symbol, self.timeframe)))


def _utc(moment: date | datetime) -> datetime:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def minutes_of(timeframe: str) -> int:
    """Return the minutes of a timeframe such as 5m, 1h, 1d, 1w or 1mo.

    Raises:
        KeyError: it is none.
    """
    match = re.fullmatch(r"([1-9]\d{0,2})(mo|[mhdwM])", timeframe)
    if match is None:
        raise KeyError(timeframe)
    return int(match[1]) * MINUTES[match[2]]


@dataclass(frozen=True)
class Fetched:
    """What a source answered."""

    frame: pd.DataFrame  # a time column in UTC or the exchange's zone, open, high, low, close; volume where there is
    client: str  # which client fetched it, with its version
    notes: tuple[str, ...] = ()  # sentences for the report: true of these bars whenever they are read again


class Pages(Protocol):
    """Bars that came page by page: what is kept of a fetch that broke off, and where the next page goes."""

    def kept(self) -> pd.DataFrame | None:
        """Return the whole pages of this request that an interrupted fetch left; None where it left none."""
        ...

    def add(self, page: pd.DataFrame) -> None:
        """Keep a whole page, whose stamps come after those of all pages before."""
        ...


@dataclass(frozen=True)
class Vendor:
    """One entry of the registry: a vendor of bars."""

    name: str  # in a spec
    title: str  # for people
    # asks for bars; None for a history that is built in and read as a file is
    fetch: Callable[[Request, Pages, Progress], Fetched] | None = None
    client: str = ""  # the package that speaks with the vendor; "" where none is needed
    extra: str = ""  # of scenario-gen that brings it
    needs: tuple[str, ...] = ("symbol",)  # fields of ``data`` that must be there
    takes: tuple[str, ...] = ("timeframe",)  # others of ``data`` that not every source knows
    timeframes: tuple[str, ...] = ()  # empty: any
    # where adjusted prices come from: a column of its bars, a request of their own, or nowhere
    adjusts: Literal["column", "request", "no"] = "no"
    symbols: str = SYMBOL  # a pattern of its symbols
    symbol_words: str = "a symbol of at most 40 letters, digits and .^=:/&@-"
    calendar: str | None = None  # what its bars keep to, where that is one for all
    zone: str = "UTC"  # of stamps without one, to tell whether a bar is over
    kept: bool = True  # whether its bars are kept in the cache; those of this machine are not
    example: str = ""  # fields of ``data``, for help and messages

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of ``data`` that this source knows and not every other."""
        return (*self.needs, *self.takes)

    def client_version(self) -> str:
        """Return the client's name and version.

        Raises:
            DataError: it is not installed.
        """
        if not self.client:
            return "scenario-gen"
        try:
            return f"{self.client} {version(self.client)}"
        except PackageNotFoundError:
            raise DataError(
                f"source {self.name} needs {self.client}, which is not installed",
                expected=f"the extra {self.extra} of scenario-gen",
                fix=f"pip install 'scenario-gen[{self.extra}]'",
            ) from None
