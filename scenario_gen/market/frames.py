"""Frames of several instruments side by side, as libraries hand them out, as one table with an instrument per row.

Owns the shapes: columns of two levels, frames by symbol, frames by field, and vectorbt's data classes, which are known
by their names, as this room imports no vectorbt. Chooses no instrument: ``symbol`` does, as in a file of several.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from scenario_gen.errors import DataError
from scenario_gen.market.candles import PRICE_FIELDS
from scenario_gen.market.columns import VENDOR_NAMES, canonical, speaks_of_bars

MAX_INSTRUMENTS = 10_000


def side_by_side(source: Any) -> pd.DataFrame | None:
    """Return a table with the columns date, symbol and those of bars; None where the source holds no such frames.

    Args:
        source: a vectorbt data object, frames by symbol or by field, or a frame with columns of two levels.

    Raises:
        DataError: the frames cannot be laid side by side, or no level of their columns speaks of bars.
    """
    if _is_vectorbt(source):
        source = {symbol: source.data[symbol] for symbol in source.symbols}
    if isinstance(source, Mapping):
        source = _joined(source)
    if not isinstance(source, pd.DataFrame) or source.columns.nlevels != 2:
        return None
    levels = [source.columns.get_level_values(level).unique() for level in (0, 1)]
    fields = next((level for level in (0, 1) if speaks_of_bars(levels[level])), None)
    if fields is None or len(levels[1 - fields]) > MAX_INSTRUMENTS:
        return None
    tables = []
    for symbol in levels[1 - fields]:
        bars = source.xs(symbol, axis=1, level=1 - fields)
        prices = [name for name in bars if _is_price(name)]
        # side by side, days of one instrument alone are empty lines of the others
        tables.append(
            bars[bars[prices].notna().any(axis=1)].rename_axis("date").reset_index().assign(symbol=str(symbol))
        )
    return pd.concat(tables, ignore_index=True)


def _is_vectorbt(source: Any) -> bool:
    return any(kind.__name__ == "Data" and kind.__module__.startswith("vectorbt.") for kind in type(source).__mro__)


def _is_price(name: object) -> bool:
    return any(canonical(name) in (field, *VENDOR_NAMES[field]) for field in PRICE_FIELDS)


def _joined(frames: Mapping[Any, Any]) -> pd.DataFrame:
    wrong = next((key for key, frame in frames.items() if not isinstance(frame, pd.DataFrame)), None)
    if not frames or wrong is not None:
        came = "no frames" if not frames else f"a {type(frames[wrong]).__name__} under {wrong!r}"
        raise DataError(
            f"the frames hold {came}", expected="a data frame by symbol, or by field", fix="pass {symbol: frame}"
        )
    try:
        return pd.concat(dict(frames), axis=1, sort=True)
    except (
        ValueError,
        TypeError,
        pd.errors.InvalidIndexError,
    ) as error:  # a stamp twice, or stamps that do not compare
        raise DataError(
            f"the frames cannot be laid side by side: {str(error)[:160]}",
            expected="stamps of one kind, each once in a frame",
            fix="pass the frame of one instrument",
        ) from error
