"""Which column is which: names in any case, and text that should be numbers.

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
ADJUSTED = "adj close"
_ADJUSTED_NAMES = {"adj close", "adjclose", "adjusted close"}
_THOUSANDS = re.compile(r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$|^[+-]?\d{1,3}([ '.]\d{3})+(,\d+)?$")
_DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+$")


def canonical(name: object) -> str:
    """Return a column name as this package calls it: lower case, trimmed, one "adj close"."""
    plain = re.sub(r"[\s_.\-]+", " ", str(name)).strip("<> ").lower()
    return ADJUSTED if plain in _ADJUSTED_NAMES else plain


def tidy_columns(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the frame with canonical column names.

    Columns of two levels, as download libraries give for one symbol, lose the level that says nothing.

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
    _require_prices(names, where)
    return frame.set_axis(names, axis=1)


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
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_complex_dtype(column):
        raise _no_numbers(where, name, f"holds {column.dtype} values")
    if pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan)), ()
    if pd.api.types.is_datetime64_any_dtype(column):
        raise _no_numbers(where, name, "holds dates")
    values = np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
    texts = column.where(column.notna(), "").astype(str).str.strip()
    wrong = np.flatnonzero(np.isnan(values) & (texts != "").to_numpy())
    for at in wrong:
        _refuse_separators(texts.iloc[at], int(at), name, where)
    return values, tuple((name, int(at), repr(texts.iloc[at])) for at in wrong)


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


def _require_prices(names: list[str], where: str) -> None:
    missing = [name for name in PRICE_FIELDS if name not in names]
    if not missing:
        return
    found = [name for name in names if name]
    if found and all(re.fullmatch(r"[-+\d.:/ e]+", name) for name in found):
        raise DataError(
            f"the first line of {where} holds values, not column names: {', '.join(found[:6])}",
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
