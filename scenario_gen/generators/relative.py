"""Bars relative to the bar before them: what every resampling generator takes apart and puts together again.

A bar is four logs (open, high, low, close) from the previous close. Multiplied by a positive number they are still
a valid bar, and chained they are a path, so that candles are valid by construction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.execute.draws import Draws
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet

Floats = NDArray[np.float64]

MIN_BARS = 32
STILL = 1e-6  # log units per bar: below any tick of any market, above float noise


def relative_bars(bars: Candles) -> tuple[Floats, Floats | None]:
    """Return open, high, low and close as logs from the previous close [T - 1, 4], and volume [T - 1]."""
    logs = np.log(bars.values[:, :4])
    return logs[1:] - logs[:-1, 3:4], bars.column("volume")[1:] if bars.has_volume else None


def chain(relative: Floats, anchor: float) -> Floats:
    """Return prices [path, bar, 4] from logs relative to the previous close [path, bar, 4]."""
    close = np.cumsum(relative[..., 3], axis=1)
    previous = np.concatenate((np.zeros((len(close), 1)), close[:, :-1]), axis=1)
    return np.asarray(anchor * np.exp(previous[..., None] + relative))


def to_path_set(
    context: Candles,
    timestamps: pd.DatetimeIndex,
    draws: Draws,
    relative: Floats,
    volume: Floats | None,
    provenance: dict[str, Any],
) -> PathSet:
    """Chain relative bars [path, bar, 4] onto the context; volume [path, bar] where the context has it."""
    anchor = float(context.close[-1])
    values = chain(relative, anchor)
    if volume is not None:
        values = np.concatenate((values, volume[..., None]), axis=-1)
    return PathSet(
        values=values.astype(np.float32),
        fields=context.fields[: values.shape[-1]],
        timestamps=timestamps,
        path_ids=draws.path_ids,
        anchor_close=anchor,
        provenance={**provenance, "seed": draws.seed},
    )


def require_bars(context: Candles, fewest: int = MIN_BARS) -> None:
    """Refuse a context that is too short to resample, or whose close never moves.

    Raises:
        DataError: with the number of bars that there are and that there should be.
    """
    if len(context) < fewest:
        raise DataError(
            f"the context has {len(context)} bars",
            expected=f"at least {fewest} to resample",
            fix="lengthen bars.context, or move data.end to a later date",
        )


def require_movement(context: Candles) -> None:
    """Refuse a context whose close never moves: it has no unit of volatility.

    Raises:
        DataError: with what to do.
    """
    if np.sqrt(np.mean(np.diff(np.log(context.close)) ** 2)) < STILL:
        raise DataError(
            f"the close moves by less than {STILL:g} per bar over the whole context",
            expected="a context with price changes: its volatility is the unit of every generated bar",
            fix="choose another data.end or a longer bars.context",
        )
