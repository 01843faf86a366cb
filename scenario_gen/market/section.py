"""What a spec may say of one instrument: where its history comes from, and what its exchange allows.

Owns both sections. Opens no file and imports nothing heavy: a spec is read with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from scenario_gen.market.presets import PRESETS
from scenario_gen.market.sources import SOURCES
from scenario_gen.market.sources.base import minutes_of
from scenario_gen.market.sources.qlib import timeframe_of
from scenario_gen.reading.section import Section
from scenario_gen.reading.words import FIRST_YEAR, LAST_YEAR, YEARS, nearest, one_of, shown


def moment_of(value: Any) -> Any:
    """Read ISO text as a date, or as a datetime where it names a time; leave the rest to be refused.

    Raises:
        ValueError: a year that no bar can be stamped in.
    """
    moment = value
    if isinstance(value, str):
        try:
            moment = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(moment, date) and not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"got {shown(str(value))}, expected {YEARS}")
    return moment


Moment = Annotated[date | datetime | None, BeforeValidator(moment_of)]

# The dialects of market.dialects, and "plain": the names of columns alone.
Format = Literal[
    "metatrader", "tradingview", "binance", "kraken", "dukascopy", "ibkr", "lean", "freqtrade", "histdata", "plain"
]  # fmt: skip

if TYPE_CHECKING:
    SourceName = str
else:  # one of the registry
    SourceName = Literal[tuple(SOURCES)]


@dataclass(frozen=True)
class Place:
    """A key of ``data`` that says where the bars are: exactly one of these is given."""

    key: str
    words: str  # what it holds
    # fields that mean something beside it, of those that do not beside every other; of a source, its entry says them
    takes: tuple[str, ...] = ()


PLACES = (
    Place("source", ", ".join(SOURCES)),
    Place("file", "a CSV or Parquet file", takes=("symbol", "adjusted", "format")),
    Place("sql", "a query over files", takes=("symbol", "adjusted", "folder")),
)  # fmt: skip

# Fields of ``data`` that say whose bars they are.
INSTRUMENT = (*(place.key for place in PLACES), "symbol", "exchange", "provider_uri")


class Data(Section):
    """Where the history comes from and where the context ends."""

    # ``source`` and the other places come first: what comes after them is judged beside them.
    source: SourceName | None = Field(
        default=None, description="a vendor of bars, or a built-in daily history 1999-2018: sp500, nasdaq"
    )
    file: str | None = Field(default=None, description="CSV or Parquet file, relative to the spec's folder")
    sql: str | None = Field(
        default=None,
        max_length=100_000,
        description="one SELECT that DuckDB answers over files below the spec's folder: "
        "select * from read_parquet('bars/*.parquet') where symbol = 'SPY' order by date",
    )
    folder: str | None = Field(default=None, description="one more folder whose files the query may read")
    format: Format | None = Field(
        default=None, description="how the file is written; default: what it shows, which a note says"
    )
    end: Moment = Field(default=None, description="last bar of the context; default: the last bar there is")
    start: Moment = Field(default=None, description="first bar to read")
    calendar: str | None = Field(
        default=None, description="exchange calendar (XNYS, 24/7, ...); default: inferred from the history's own stamps"
    )
    timezone: str | None = Field(default=None, description="time zone to convert the stamps to, e.g. America/New_York")
    adjusted: bool = Field(
        default=False, description="scale prices by Adj Close / Close where the file has that column"
    )
    symbol: str | None = Field(
        default=None,
        description="whose bars to fetch, in the source's own words, or to take from a file of several instruments",
    )
    exchange: str | None = Field(default=None, description="of a source that knows many: binance, kraken, ...")
    timeframe: str | None = Field(
        default=None, description="how long a bar of a source is: 5m, 1h, 1d, 1w, 1mo, ...; default: 1d"
    )
    provider_uri: str | None = Field(
        default=None, description="folder of a Qlib provider, as qlib.init takes it, relative to the spec's folder"
    )
    freq: str | None = Field(default=None, description="of a Qlib provider's bars: day (the default), 1min, 5min, ...")
    as_of: Moment = Field(
        default=None,
        description="nothing that was not known then reaches a context or a reference; fetched bars are kept as of it",
    )
    partial: Literal["drop", "keep"] = Field(
        default="drop", description="drop leaves out a last bar that is still forming, and says so; keep takes it"
    )
    volume: Literal["auto", "drop", "require"] = Field(
        default="auto",
        description="auto leaves volume out where some bars have none, and says so; require refuses such a file; "
        "drop never uses it",
    )
    name: str | None = Field(default=None, description="what to call the instrument in the report")

    @property
    def place(self) -> str:
        """Where the history comes from, in a few words."""
        named = [self.source, *(getattr(self, place.key) for place in PLACES[1:])]
        return " ".join(filter(None, (*named, self.exchange, self.symbol, self.timeframe)))

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if sum(getattr(self, place.key) is not None for place in PLACES) != 1:
            listed = [f"'{place.key}' ({place.words})" for place in PLACES]
            raise ValueError(f"give exactly one of {', '.join(listed[:-1])} and {listed[-1]}")
        if self.source is not None:
            lacking = [name for name in SOURCES[self.source].needs if getattr(self, name) is None]
            if lacking:
                example = f", e.g. {{{SOURCES[self.source].example}}}" if SOURCES[self.source].example else ""
                raise ValueError(f"{' and '.join(lacking)} missing, which source {self.source} needs{example}")
        return self

    @field_validator("*", mode="before")
    @classmethod
    def _of_this_place(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a field that means nothing beside the source, or the file, that is named."""
        name, given = str(info.field_name), info.data
        place = next((place for place in PLACES if given.get(place.key) is not None), None)
        if value in (None, False) or place is None or name not in OF_SOME:
            return value
        if place.key != "source":
            if name not in place.takes:
                raise ValueError(f"got {shown(value)} beside '{place.key}', expected it with {_those_with(name)} only")
            return value
        source = SOURCES[given["source"]]
        if name == "adjusted":
            if source.adjusts == "no":
                raise ValueError(f"got true, and source {source.name} has no adjusted prices; leave it out")
        elif name not in source.fields:
            words = f"got {shown(value)} beside source {source.name}, expected it with"
            raise ValueError(f"{words} {_those_with(name)} only")
        return value

    @field_validator("symbol")
    @classmethod
    def _a_symbol(cls, symbol: str | None, info: ValidationInfo) -> str | None:
        source = SOURCES.get(info.data.get("source") or "")
        if symbol is not None and source is not None and not re.fullmatch(source.symbols, symbol):
            raise ValueError(f"got {shown(symbol)}, expected {source.symbol_words} of source {source.name}")
        return symbol

    @field_validator("freq")
    @classmethod
    def _a_frequency(cls, freq: str | None) -> str | None:
        if freq is not None:
            timeframe_of(freq)
        return freq

    @field_validator("timeframe")
    @classmethod
    def _a_timeframe(cls, timeframe: str | None, info: ValidationInfo) -> str | None:
        source = SOURCES.get(info.data.get("source") or "")
        if timeframe is None or source is None:
            return timeframe
        known = source.timeframes
        if known and timeframe not in known:
            words = f"expected {one_of(known)} of source {source.name}"
            raise ValueError(f"got {shown(timeframe)}, {words}")
        try:
            minutes_of(timeframe)
        except KeyError:
            raise ValueError(f"got {shown(timeframe)}, expected such as 5m, 1h, 1d, 1w or 1mo") from None
        return timeframe


# Fields that some places know and others do not.
OF_SOME = frozenset(
    name
    for names in (*(source.fields for source in SOURCES.values()), *(place.takes for place in PLACES))
    for name in names
)


def _those_with(name: str) -> str:
    """Name the sources and other places that know a field."""
    sources = [source.name for source in SOURCES.values() if name in source.fields]
    return one_of([*sources, *(place.key for place in PLACES if name in place.takes)])


class Market(Section):
    """What the exchange allows: generated candles are held to it. What is left out is not a rule."""

    tick_size: float | None = Field(
        default=None, gt=0.0, le=1e9, description="price step, e.g. 0.01; generated prices are rounded to it"
    )
    lot_size: float | None = Field(
        default=None, gt=0.0, le=1e12, description="step of the volume column; generated volume is rounded down"
    )
    price_limit: float | None = Field(
        default=None, gt=0.0, lt=1.0, description="0.10: no price further than 10 % from the previous session's close"
    )
    volume_unit: float | None = Field(
        default=None,
        gt=0.0,
        le=1e12,
        description="amount = volume x volume_unit x price, e.g. 100 where volume counts lots; "
        "default: 1 or 100, whichever the history shows",
    )
    preset: Annotated[str, Field(json_schema_extra={"enum": list(PRESETS)})] | None = Field(
        default=None,
        description="rules of a market by name, for each field of data, market and broker that is left out",
    )

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, written: Any) -> Any:
        name = written.get("preset") if isinstance(written, Mapping) else None
        if not isinstance(name, str) or name not in PRESETS:
            return written  # told by the field
        return {**PRESETS[name].fills("market", {}), **written}

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
            raise ValueError(f"got {shown(name)}, expected {one_of(PRESETS)}{nearest(name, PRESETS)}")
        return name


class Filled(Section):
    """A field that a preset filled in a scenario: its value, and who says so since when."""

    field: str  # e.g. broker.lot
    value: float | int | str | bool
    dated: str  # since or as of a date
    source: str

    @property
    def in_words(self) -> str:
        """The field as a spec would write it, with date and source."""
        value = str(self.value).lower() if isinstance(self.value, bool) else self.value
        return f"{self.field} {f'{value:.10g}' if isinstance(value, float) else value}, {self.dated}: {self.source}"
