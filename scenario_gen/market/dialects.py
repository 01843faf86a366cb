"""Whose file is this: how vendors and programs write bars, known from what stands in the file.

Owns what the general rules cannot know: the names of columns that have no header, what a vendor's stamps mean, prices
that are scaled. Everything else, numbers, stamps and names, is read by the same rules as any table. To add one: an
entry in ``DIALECTS``, its name in ``section.Format``, a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from scenario_gen.errors import DataError
from scenario_gen.market.candles import PRICE_FIELDS
from scenario_gen.market.columns import canonical

PLAIN = "plain"  # the format that asks for the general rules alone
_NUMBER = r"(?:-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|-?inf|nan|NaN|)"  # also one that is missing: the rules judge it
_NUMBERS = f"(?:,{_NUMBER})"
_LEAN_DATE = re.compile(r"^(\d{8})_(?:(.+?)_(?:tick|second|minute)_)?(trade|quote|openinterest)")
_LEAN_TIME = r"(?:0|\d{1,5}000|\d{8} \d\d:\d\d)"  # milliseconds since midnight, of whole seconds; or a date
_LEAN_SCALED, _LEAN_PLAIN = ("equity", "option"), ("crypto", "cryptofuture", "forex", "cfd", "index", "future")
_ZONE_NAMED = re.compile(r"^(\d{8}\s+\d{2}:\d{2}:\d{2})\s+([A-Za-z][\w/+-]*)$")


@dataclass(frozen=True)
class SeenText:
    """What a file shows of itself."""

    names: tuple[str, ...]  # of its header, as written; empty where it has none
    rows: tuple[tuple[str, ...], ...]  # its first lines of values, as text
    places: tuple[str, ...]  # its path and, in a zip, its name there, as parts: a file's name may say what it holds
    kind: str = "text"  # text, json, or binary, whose columns have types

    @property
    def first(self) -> str:
        """The first row, its cells joined by commas."""
        return ",".join(self.rows[0]) if self.rows else ""


@dataclass(frozen=True)
class Shape:
    """A table without a header: what its rows look like, and what its columns are."""

    row: re.Pattern[str]  # of a row, its cells joined by commas
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dialect:
    """One way of writing bars."""

    name: str  # in ``data.format``
    title: str  # with its article: "a MetaTrader export"
    says: str  # what its stamps are, as a clause
    shapes: tuple[Shape, ...] = ()  # without a header
    header: Callable[[SeenText], bool] = lambda seen: False  # whether a header is its own
    # Makes a table that the general rules read; returns it with what else there is to say.
    tidy: Callable[[pd.DataFrame, SeenText, str], tuple[pd.DataFrame, str]] = lambda frame, seen, where: (frame, "")

    def shape_of(self, seen: SeenText) -> Shape | None:
        """Return the shape that every row shown has; None where none fits or there is a header."""
        if seen.names or not seen.rows:
            return None
        fits = (shape for shape in self.shapes if all(shape.row.fullmatch(",".join(row)) for row in seen.rows))
        return next(fits, None)

    def fits(self, seen: SeenText) -> bool:
        """Whether the file may be of this kind."""
        return self.header(seen) if seen.names else self.shape_of(seen) is not None


# --- What is special of each ---


def _is_metatrader(seen: SeenText) -> bool:
    """Whether the names stand in brackets, without the instrument that Stooq and Finam write there."""
    return "<OPEN>" in seen.names and "<TICKER>" not in seen.names


def _is_tradingview(seen: SeenText) -> bool:
    """Whether lower-case prices are followed by studies, of which the volume has a capital; or stamps are its own."""
    if seen.names[:5] != ("time", "open", "high", "low", "close"):
        return False
    stamp = seen.rows[0][0] if seen.rows else ""
    own_stamp = re.fullmatch(r"\d{9,10}|\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:Z|[+-]\d{2}:\d{2})", stamp) is not None
    return "volume" not in seen.names[5:] and (own_stamp or "Volume" in seen.names)


def _is_binance(seen: SeenText) -> bool:
    names = {canonical(name) for name in seen.names}
    return {"open time", "close time"} <= names and bool(names & {"quote volume", "quote asset volume"})


def _is_kraken(seen: SeenText) -> bool:
    return seen.names == ("time", "open", "high", "low", "close", "volume", "trades")


def _is_dukascopy(seen: SeenText) -> bool:
    return re.fullmatch(r"(gmt|local|etc) time|time \([\w/+-]+\)", seen.names[0].lower()) is not None


def _is_ibkr(seen: SeenText) -> bool:
    names = {name.lower() for name in seen.names}
    return "barcount" in names and bool(names & {"average", "wap"})


def _is_freqtrade(seen: SeenText) -> bool:
    return (
        seen.kind == "binary"
        and seen.names == ("date", "open", "high", "low", "close", "volume")
        and re.match(r".+-\d+[smhdwM](-\w+)?\.(feather|parquet)$", seen.places[-1]) is not None
    )


def _dukascopy(frame: pd.DataFrame, seen: SeenText, where: str) -> tuple[pd.DataFrame, str]:
    """Write 31.01.2024 00:00:00.000 GMT+0100 as ISO: its day comes first, whatever the first rows hold."""
    del where
    name = seen.names[0]
    stamps = frame.iloc[:, 0]
    if not pd.api.types.is_numeric_dtype(stamps):
        text = stamps.astype("str").str.strip()
        text = text.str.replace(r"^(\d{2})\.(\d{2})\.(\d{4})", r"\3-\2-\1", regex=True)
        text = text.str.replace(r"^(\d{4})\.(\d{2})\.(\d{2})", r"\1-\2-\3", regex=True)
        text = text.str.replace(r" GMT([+-]\d{2}):?(\d{2})$", r"\1:\2", regex=True)
        in_utc = re.search(r"gmt|utc", name.lower()) is not None
        stamps = (text + "+00:00").where(text.str.contains(r":\d{2}(?:\.\d+)?$"), text) if in_utc else text
    tidy = frame.set_axis(["date", *frame.columns[1:]], axis=1)
    tidy["date"] = stamps.where(frame.iloc[:, 0].notna())
    return tidy, f"its column {name!r} says whose clock they are"


def _ibkr(frame: pd.DataFrame, seen: SeenText, where: str) -> tuple[pd.DataFrame, str]:
    """Read "20240102 09:30:00 US/Eastern"; a volume of -1 says that there is none, as of midpoints."""
    del seen
    frame = frame.copy()
    date = next((name for name in frame.columns if str(name).lower() in ("date", "time")), None)
    if date is not None and not pd.api.types.is_numeric_dtype(frame[date]):
        parts = frame[date].astype("str").str.strip().str.extract(_ZONE_NAMED)
        zones = parts[1].dropna().unique()
        if len(zones) == 1 and parts[1].notna().all():
            try:
                stamps = pd.DatetimeIndex(pd.to_datetime(parts[0].str.replace(r"\s+", " ", regex=True)))
                frame[date] = stamps.tz_localize(zones[0], ambiguous="infer")
            except (ValueError, KeyError, OSError) as error:  # no such zone, or an hour that is there twice or never
                raise DataError(
                    f"the stamps of {where} are no times of {zones[0]}: {str(error)[:120]}",
                    expected="times that its clock showed once",
                    fix="ask for formatDate=2 (seconds since 1970), which is never ambiguous",
                ) from error
    volume = next((name for name in frame.columns if str(name).lower() == "volume"), None)
    if volume is None or not bool((pd.to_numeric(frame[volume], errors="coerce") == -1).all()):
        return frame, "volume of US shares may count lots of 100"
    return frame.drop(columns=[volume]), "volume is -1 on every bar, which says that there is none"


def _lean(frame: pd.DataFrame, seen: SeenText, where: str) -> tuple[pd.DataFrame, str]:
    """Add the day of the file's name to milliseconds since midnight, and undo the scale of shares."""
    frame = frame.copy()
    parts = [part.lower() for place in seen.places for part in re.split(r"[/\\]", place)]
    time = frame.columns[0]
    if pd.api.types.is_numeric_dtype(frame[time]):
        day = next((match[1] for part in parts if (match := _LEAN_DATE.match(part))), "")
        midnight = pd.to_datetime(day, format="%Y%m%d", errors="coerce")
        if not isinstance(midnight, pd.Timestamp):
            raise DataError(
                f"{where} counts milliseconds since midnight, and no name says of which day",
                expected="a name as Lean gives it: 20131007_trade.zip, or in it 20131007_spy_minute_trade.csv",
                fix="give the file its name back",
            )
        frame[time] = midnight + pd.to_timedelta(frame[time], unit="ms")
    else:
        frame[time] = pd.to_datetime(frame[time].astype("str"), format="%Y%m%d %H:%M", errors="coerce")
    known = next((part for part in parts if part in (*_LEAN_SCALED, *_LEAN_PLAIN)), "")
    prices = frame[list(PRICE_FIELDS)].apply(pd.to_numeric, errors="coerce")
    whole = bool((prices.dropna() % 1 == 0).to_numpy().all())
    scaled = known in _LEAN_SCALED or (not known and whole)
    if scaled:
        frame[list(PRICE_FIELDS)] = prices / 10_000
    if known in ("crypto", "cryptofuture"):
        frame[time] = frame[time].dt.tz_localize("UTC")
    why = f"it lies below {known}/" if known else ("all are whole" if whole else "not all are whole")
    prices_say = f"prices are {'ten-thousandths, as of shares' if scaled else 'as they are written'} ({why})"
    quotes = "; bars are those of bids" if "ask open" in frame.columns else ""
    return frame, prices_say + quotes


def _histdata(frame: pd.DataFrame, seen: SeenText, where: str) -> tuple[pd.DataFrame, str]:
    del seen, where
    parts = r"^(\d{4})(\d\d)(\d\d) (\d\d)(\d\d)(\d\d)$"
    text = frame["date"].astype("str").str.strip()
    return frame.assign(date=text.str.replace(parts, r"\1-\2-\3T\4:\5:\6-05:00", regex=True)), ""


_METATRADER = (*PRICE_FIELDS, "tick volume")
_BINANCE = (
    "open time", *PRICE_FIELDS, "volume", "close time", "quote volume", "count", "taker buy volume",
    "taker buy quote volume", "ignore",
)  # fmt: skip
_QUOTE = (*PRICE_FIELDS, "bid size", "ask open", "ask high", "ask low", "ask close", "ask size")

# Every dialect; a row fits the shapes of one at most.
DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        "metatrader",
        "a MetaTrader export",
        "stamps are the broker's time",
        (
            Shape(
                re.compile(rf"\d{{4}}\.\d\d\.\d\d,\d\d:\d\d(?::\d\d)?{_NUMBERS}{{5}}"), ("date", "time", *_METATRADER)
            ),
            Shape(re.compile(rf"\d{{4}}\.\d\d\.\d\d(?: \d\d:\d\d(?::\d\d)?)?{_NUMBERS}{{5}}"), ("date", *_METATRADER)),
        ),
        _is_metatrader,
    ),
    Dialect("tradingview", "a TradingView export", "stamps are when bars open", (), _is_tradingview),
    Dialect(
        "binance",
        "Binance klines",
        "stamps are when bars open, in UTC",
        (Shape(re.compile(rf"(?:\d{{13}}|\d{{16}}){_NUMBERS}{{5}},(?:\d{{13}}|\d{{16}}){_NUMBERS}{{5}}"), _BINANCE),),
        _is_binance,
    ),
    Dialect(
        "kraken",
        "Kraken's OHLCVT",
        "stamps are when bars open, in UTC; bars without a trade are not there",
        (Shape(re.compile(rf"\d{{9,10}}{_NUMBERS}{{5}},\d+"), ("time", *PRICE_FIELDS, "volume", "trades")),),
        _is_kraken,
    ),
    Dialect("dukascopy", "a Dukascopy export", "stamps are when bars open", (), _is_dukascopy, _dukascopy),
    Dialect("ibkr", "historical bars of Interactive Brokers", "stamps are when bars open", (), _is_ibkr, _ibkr),
    Dialect(
        "lean",
        "a Lean data file",
        "stamps are when bars open, in its market's data time zone",
        (
            Shape(re.compile(rf"{_LEAN_TIME}{_NUMBERS}{{5}}"), ("date", *PRICE_FIELDS, "volume")),
            Shape(re.compile(rf"{_LEAN_TIME}{_NUMBERS}{{10}}"), ("date", *_QUOTE)),
        ),
        tidy=_lean,
    ),
    Dialect(
        "freqtrade",
        "candles of freqtrade",
        "stamps are when bars open, in UTC",
        (Shape(re.compile(rf"\d{{13}}{_NUMBERS}{{5}}"), ("date", *PRICE_FIELDS, "volume")),),
        _is_freqtrade,
    ),
    Dialect(
        "histdata",
        "bars of HistData",
        "stamps are New York's winter time throughout the year",
        (Shape(re.compile(rf"\d{{8}} \d{{6}}{_NUMBERS}{{5}}"), ("date", *PRICE_FIELDS, "volume")),),
        tidy=_histdata,
    ),
)
BY_NAME = {dialect.name: dialect for dialect in DIALECTS}


def dialect_of(seen: SeenText, asked: str | None, where: str) -> Dialect | None:
    """Return how a file is written: as asked for, or as it shows; None where the general rules are to read it.

    Raises:
        DataError: no such format, or the file is not of the format that was asked for.
    """
    if asked == PLAIN:
        return None
    fitting = [dialect for dialect in DIALECTS if dialect.fits(seen)]
    if asked is None:
        return fitting[0] if fitting else None
    if asked not in BY_NAME:
        raise DataError(
            f"there is no format {asked[:40]!r}", expected=f"one of {', '.join(formats())}", fix="correct data.format"
        )
    if BY_NAME[asked] in fitting:
        return BY_NAME[asked]
    came = f"its columns are {', '.join(seen.names[:12])}" if seen.names else f"it begins with {seen.first[:80]!r}"
    looks = f"; it looks like {fitting[0].title}" if fitting else ""
    raise DataError(
        f"{where} is not {BY_NAME[asked].title}: {came}{looks}",
        expected=f"a file as {asked} writes it, since data.format says so",
        fix=f"data.format: {fitting[0].name if fitting else PLAIN}, or leave it out",
    )


def formats() -> Sequence[str]:
    """Return every name that ``data.format`` takes."""
    return (*BY_NAME, PLAIN)


def as_read(frame: pd.DataFrame, dialect: Dialect, seen: SeenText, where: str) -> tuple[pd.DataFrame, str]:
    """Return a table for the general rules, and the sentence that says how it was read.

    Raises:
        DataError: a stamp or a name that the dialect needs is not there.
    """
    tidy, more = dialect.tidy(frame, seen, where)
    says = "; ".join(filter(None, (dialect.says, more)))
    return tidy, f"read as {dialect.title}: {says} (data.format says otherwise)"
