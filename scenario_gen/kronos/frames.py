"""Data frames as Kronos users hand them over, read and checked: one frame becomes one context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.kronos.representation import complete_fields
from scenario_gen.kronos.stamps import stamp_features

COLUMNS = ("open", "high", "low", "close", "volume", "amount")
Times: TypeAlias = pd.Series | pd.DatetimeIndex


@dataclass(frozen=True)
class Context:
    """One frame, ready for the model.

    Attributes:
        values: float64 [T, 6] in the order of ``COLUMNS``.
        stamps: int64 [T + H, 5] of the context and of the bars to predict.
        future: [H] times of the bars to predict.
    """

    values: NDArray[np.float64]
    stamps: NDArray[np.int64]
    future: pd.DatetimeIndex


def read_context(df: pd.DataFrame, x_timestamp: Times, y_timestamp: Times, pred_len: int) -> Context:
    """Check a frame and its stamps.

    Raises:
        DataError: a column, a stamp or a number is missing, or lengths do not fit.
    """
    values = read_values(df)
    past, future = _times(x_timestamp, "x_timestamp"), _times(y_timestamp, "y_timestamp")
    if len(past) != len(df) or len(future) != pred_len:
        raise DataError(
            f"{len(df)} rows with {len(past)} stamps, and {len(future)} stamps for pred_len {pred_len}",
            expected="one stamp per row, and pred_len future stamps",
        )
    stamps = np.concatenate([stamp_features(_wall_clock(times)) for times in (past, future)])
    return Context(values, stamps, future)


def read_values(df: pd.DataFrame) -> NDArray[np.float64]:
    """Return a frame's bars float64 [T, 6]; without volume, volume and amount are 0, as upstream has it.

    Raises:
        DataError: a price column is missing, there is no row, or a value is no finite number.
    """
    if not isinstance(df, pd.DataFrame):
        raise DataError(f"the context is a {type(df).__name__}", expected="a pandas DataFrame")
    missing = [name for name in COLUMNS[:4] if name not in df.columns]
    if missing:
        raise DataError(f"the frame has no column {', '.join(missing)}", expected="open, high, low, close")
    fields = [name for name in COLUMNS if name in df.columns]
    fields = fields if "volume" in fields else fields[:4]
    try:
        values: NDArray[Any] = df[fields].to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the frame has a value that is no number: {error}") from None
    if not len(values):
        raise DataError("the frame has no rows", expected="the bars that the model continues")
    if not np.isfinite(values).all():
        raise DataError("the frame has values that are not finite", fix="drop or fill those rows first")
    return np.asarray(complete_fields(values[None])[0])


def _times(times: Times, name: str) -> pd.DatetimeIndex:
    try:
        index = pd.DatetimeIndex(times)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be read as times: {error}") from None
    if index.hasnans:
        raise DataError(f"{name} has {int(index.isna().sum())} empty stamps", fix="fill them first")
    return index


def _wall_clock(times: pd.DatetimeIndex) -> NDArray[np.int64]:
    """Return local times in nanoseconds since 1970 [T]: the model knows hours of the day, not of the world."""
    return np.asarray(times.tz_localize(None).as_unit("ns").asi8)
