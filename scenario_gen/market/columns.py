"""Which column is which: names in any case and of any vendor, whose bars they are, and text that should be numbers.

Owns the vocabulary of column names and the reading of numbers. Knows no stamps and no rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.candles import FIELDS, PRICE_FIELDS
from scenario_gen.reading.words import near

TIME_NAMES = ("timestamps", "timestamp", "datetime", "date", "time")
# What vendors call these columns, read where the plain name is not there; of several the first that says something.
# MetaTrader, Stooq, Investing.com, Nasdaq, Alpha Vantage, Binance, Dukascopy, tushare, akshare, short JSON keys.
VENDOR_NAMES: dict[str, tuple[str, ...]] = {
    "date": ("trade date", "日期", "交易日期", "时间", "day", "unix", "open time", "gmt time", "local time", "t"),
    "open": ("1 open", "开盘", "开盘价", "今开", "o"),
    "high": ("2 high", "最高", "最高价", "h"),
    "low": ("3 low", "最低", "最低价", "l"),
    "close": ("4 close", "close/last", "收盘", "收盘价", "price", "last", "c"),
    "volume": ("5 volume", "vol", "real volume", "成交量", "v", "tickvol", "tick volume"),
    "amount": ("成交额", "成交金额", "quote volume", "quote asset volume"),
}
INSTRUMENT_NAMES = (
    "symbol",
    "ticker",
    "instrument",
    "asset",
    "name",
    "ts code",
    "code",
    "股票代码",
    "代码",
    "security",
)
ADJUSTED = "adj close"
_ADJUSTED_NAMES = {"adj close", "adjclose", "adjusted close"}
_QUOTE_VOLUME = re.compile(r"volume \(?[a-z0-9]+\)?")
PATH_NAMES = ("path", "path id")  # "path_id" in a file
_INDEX_NAMES = ("", "unnamed: 0", "index")  # of the index of a frame that was written without a name
_SUFFIXED = re.compile(r"^\$?[+-]?\d+(\.\d+)?[KMBT]?$", re.IGNORECASE)
_SUFFIXES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_THOUSANDS = re.compile(r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$|^[+-]?\d{1,3}([ '.]\d{3})+(,\d+)?$")
_DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+$")


_KNOWN = {
    *FIELDS,
    *TIME_NAMES,
    *(name for names in VENDOR_NAMES.values() for name in names),
    *INSTRUMENT_NAMES,
    *PATH_NAMES,
    "weight",  # of a path
    *_INDEX_NAMES,
    ADJUSTED,
}


def canonical(name: object) -> str:
    """Return a column name as this package calls it: lower case, trimmed, one "adj close"."""
    plain = re.sub(r"[\s_.\-]+", " ", str(name)).strip("<> ").lower()
    return ADJUSTED if plain in _ADJUSTED_NAMES else plain


def tidy_columns(frame: pd.DataFrame, where: str, unread: Iterable[str] = ()) -> pd.DataFrame:
    """Return the frame with canonical column names; names of vendors become ours where ours are not there.

    Columns of two levels, as download libraries give for one symbol, lose the level that says nothing.

    Args:
        frame: as it came.
        where: the source, for the message.
        unread: names of further columns of the source, for the message.

    Raises:
        DataError: two columns have the same name, or a price column is missing.
    """
    names = [canonical(name) for name in _one_level(frame, where)]
    known = {*FIELDS, *TIME_NAMES, ADJUSTED}
    twice = sorted({name for name in names if name in known and names.count(name) > 1})
    if twice:
        raise DataError(
            f"{where} has more than one column called {', '.join(map(repr, twice))}",
            expected="each column once, whatever its case",
            fix="remove or rename all but one of them",
        )
    named = _translated(frame.set_axis(names, axis=1))
    _require_prices([*named.columns, *map(canonical, unread)], [*map(str, frame.columns)], where)
    return named


def speaks_of_bars(names: Iterable[object]) -> bool:
    """Whether these may be a header of bars: at least two of open, high, low and close, by whatever name."""
    plain = {canonical(name) for name in names}
    return sum(bool(plain & {field, *VENDOR_NAMES[field]}) for field in PRICE_FIELDS) >= 2


def counts(name: object) -> bool:
    """Whether a column of that name may be read by anything: a field, a stamp, an instrument, a path or an index."""
    plain = canonical(name)
    return plain in _KNOWN or _QUOTE_VOLUME.fullmatch(plain) is not None


def translations(frame: pd.DataFrame, named: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (name as it came, our field) of the columns that have a vendor's name."""
    pairs = zip(frame.columns, named.columns, strict=True)
    return [(str(old), new) for old, new in pairs if new in VENDOR_NAMES and canonical(old) != new]


def one_instrument(frame: pd.DataFrame, symbol: str | None, where: str) -> NDArray[np.int64]:
    """Return the rows of one instrument of a tidy frame, int64 [row]: all of them where it holds no other.

    Args:
        frame: with canonical names.
        symbol: whose bars to keep; None where there is only one.
        where: the source, for the message.

    Raises:
        DataError: several instruments and no symbol, or no bars of that symbol.
    """
    column = next((name for name in INSTRUMENT_NAMES if name in frame), None)
    if column is None:
        if symbol is None:
            return np.arange(len(frame), dtype=np.int64)
        raise DataError(
            f"{where} has no column that names an instrument, so none can be {symbol!r}",
            expected=f"a column called one of {', '.join(INSTRUMENT_NAMES[:4])}",
            fix="leave data.symbol out",
        )
    names = frame[column].astype(str).str.strip().where(frame[column].notna(), "")
    held = sorted(set(names))
    if symbol is None and len(held) > 1:
        shown = ", ".join(held[:5]) + (", ..." if len(held) > 5 else "")
        raise DataError(
            f"the column {column!r} of {where} holds {len(held)} instruments ({shown})",
            expected="the bars of one instrument",
            fix=f"keep one of them: data.symbol: {next(filter(None, held))}",
        )
    rows = np.flatnonzero(names == symbol) if symbol is not None else np.arange(len(frame))
    if not len(rows):
        raise DataError(
            f"{where} has no bars of {symbol!r}",
            expected=f"one of those in its column {column!r}: {', '.join(held[:20])}",
            fix="correct data.symbol",
        )
    return rows.astype(np.int64)


def _translated(frame: pd.DataFrame) -> pd.DataFrame:
    names = list(frame.columns)
    for field, theirs in VENDOR_NAMES.items():
        plain = {*TIME_NAMES} if field == "date" else {field}
        there = [names.index(name) for name in theirs if name in names]
        if plain & set(names) or not there:
            continue
        spoken = [at for at in there if field != "volume" or not _says_nothing(frame.iloc[:, at])]
        names[(spoken or there)[0]] = field
    _translate_quote_volumes(frame, names)
    return frame.set_axis(names, axis=1)


def _says_nothing(column: pd.Series) -> bool:
    """Whether a volume is zero throughout: MetaTrader writes real volume beside ticks, and often has none."""
    return bool((_numeric(column).fillna(0) == 0).all())


def _numeric(column: pd.Series) -> pd.Series:
    """Return a column as numbers, NaN where it has none; whole numbers beyond every float are infinite."""
    try:
        return pd.to_numeric(column, errors="coerce")
    except OverflowError:  # Python's own integers have no end
        return pd.to_numeric(column.astype("str"), errors="coerce")


def _translate_quote_volumes(frame: pd.DataFrame, names: list[str]) -> None:
    """Name "volume btc" and "volume usdt": of two, the one that grows by the price is the amount."""
    mine = [at for at, name in enumerate(names) if _QUOTE_VOLUME.fullmatch(name)]
    if "volume" in names or not mine or len(mine) > 2 or "close" not in names:
        return
    first = mine[0]
    if len(mine) == 2:
        one, other = (_numeric(frame.iloc[:, at]) for at in mine)
        close = _numeric(frame.iloc[:, names.index("close")])
        forth, back = ((a / (b * close) - 1).abs().median() for a, b in ((other, one), (one, other)))
        first, second = mine if not back < forth else mine[::-1]
        names[second] = "amount" if "amount" not in names and min(forth, back) < 0.5 else names[second]
    names[first] = "volume"


def unused_columns(names: Iterable[str], used: Iterable[str]) -> list[str]:
    """Return the columns that nothing reads, in their order; unnamed row numbers are not worth a word."""
    taken = {*used, *FIELDS, ADJUSTED}
    return [name for name in names if name not in taken and not name.startswith("unnamed:") and name != "index"]


def read_numbers(
    column: pd.Series, name: str, where: str
) -> tuple[NDArray[np.float64], tuple[tuple[str, int, str], ...]]:
    """Return a column as float64 [T], with (field, position, text) of the values that are no numbers.

    Raises:
        DataError: the numbers are written with thousands separators or decimal commas, or are of no numeric
        type.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.dtype.categories.dtype)
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_complex_dtype(column):
        raise _no_numbers(where, name, f"holds {column.dtype} values")
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan)), ()
    if pd.api.types.is_datetime64_any_dtype(column):
        raise _no_numbers(where, name, "holds dates")
    values = np.array(_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan))
    texts = column.where(column.notna(), "").astype(str).str.strip()
    short = np.flatnonzero(np.isnan(values) & texts.str.match(_SUFFIXED).to_numpy())
    values[short] = [_suffixed(text) for text in texts.iloc[short]]
    wrong = np.flatnonzero(np.isnan(values) & (texts != "").to_numpy())
    for at in wrong:
        _refuse_separators(texts.iloc[at], int(at), name, where)
    return values, tuple((name, int(at), repr(texts.iloc[at])) for at in wrong)


def _suffixed(text: str) -> float:
    """Return 1.25M as 1,250,000 and $3.50 as 3.5."""
    plain = text.removeprefix("$").upper()
    return float(plain.rstrip("KMBT")) * _SUFFIXES.get(plain[-1], 1.0)


def _one_level(frame: pd.DataFrame, where: str) -> list[object]:
    columns = frame.columns
    if columns.nlevels == 1:
        return list(columns)
    spoken = [level for level in range(columns.nlevels) if columns.get_level_values(level).nunique() > 1]
    if len(spoken) > 1:
        raise DataError(
            f"{where} has columns of {columns.nlevels} levels with several symbols",
            expected="the bars of one instrument, one column per field",
            fix="select one symbol before loading, e.g. frame.xs('SPY', axis=1, level=1)",
        )
    return list(columns.get_level_values(spoken[0] if spoken else 0))


def _require_prices(names: list[str], written: list[str], where: str) -> None:
    missing = [name for name in PRICE_FIELDS if name not in names]
    if not missing:
        return
    found = [name for name in names if name]
    if found and all(re.fullmatch(r"[-+\d.:/ e]+", name) for name in found):
        raise DataError(
            f"the first line of {where} holds values, not column names: {', '.join(written[:6])}",
            expected="a header: date,open,high,low,close,volume",
            fix="put such a line on top of the file",
        )
    close = {name: near(name, found, cutoff=0.5) for name in missing}
    hints = [f"{names[0]!r} looks like {name}" for name, names in close.items() if names and names[0] not in FIELDS]
    there = ", ".join(map(repr, names[:20])) or "none"
    raise DataError(
        f"{where} has no column {', '.join(map(repr, missing))}; it has: {there}"
        + (f" ({'; '.join(hints)})" if hints else ""),
        expected="a time column and open, high, low, close; volume and amount where there are any",
        fix="rename the columns, and make sure that the first line is the header",
    )


def _refuse_separators(text: str, at: int, name: str, where: str) -> None:
    if _THOUSANDS.match(text):
        problem = "thousands separators"
    elif _DECIMAL_COMMA.match(text):
        problem = "a decimal comma"
    else:
        return
    raise DataError(
        f"{where} writes numbers with {problem}: {name} {text!r} in row {at + 1}",
        expected="plain numbers with a decimal point, such as 1234.56",
        fix="export the file again without thousands separators and with a decimal point",
    )


def _no_numbers(where: str, name: str, what: str) -> DataError:
    return DataError(f"the column {name!r} of {where} {what}", expected="numbers", fix="check which column is which")
