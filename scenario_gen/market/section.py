"""What a spec may say of one instrument: where its history comes from, and what its exchange allows.

Owns both sections. Opens no file and imports nothing heavy: a spec is read with it.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scenario_gen.reading.section import Section
from scenario_gen.reading.words import FIRST_YEAR, LAST_YEAR, YEARS, shown


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


class Data(Section):
    """Where the history comes from and where the context ends."""

    source: Literal["sp500", "nasdaq"] | None = Field(default=None, description="built-in daily history 1999-2018")
    file: str | None = Field(default=None, description="CSV or Parquet file, relative to the spec's folder")
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
        default=None, description="whose bars to take from a file that holds several instruments"
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

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if (self.source is None) == (self.file is None):
            raise ValueError("give exactly one of 'source' (sp500, nasdaq) and 'file' (a CSV or Parquet file)")
        return self


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
