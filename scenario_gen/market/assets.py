"""Tables of several assets: cut into one table per asset, and histories brought to the bars that all of them share.

Owns the column that names the asset. Knows no paths and no rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.candles import Candles
from scenario_gen.market.frequency import nanoseconds
from scenario_gen.market.read import RawTable

ASSET_NAMES = ("asset", "symbol", "ticker", "instrument")
MOST_ASSETS = 100
SHOWN = 3


def split_assets(table: RawTable) -> dict[str, RawTable]:
    """Return the rows of each asset as a table of its own, in the order in which they appear.

    A table without a column that names the asset comes back whole, under "".

    Raises:
        DataError: more than one such column, rows without an asset, or more than 100 assets.
    """
    frame = table.frame
    found = [name for name in frame.columns if str(name).strip().lower() in ASSET_NAMES]
    if not found:
        return {"": table}
    if len(found) > 1:
        raise DataError(
            f"{table.where} has more than one column that names the asset: {', '.join(map(repr, found))}",
            expected=f"one of {', '.join(ASSET_NAMES)}",
            fix="remove the others",
        )
    codes, labels = pd.factorize(frame[found[0]])
    _refuse_unnamed(codes, table.where)
    if len(labels) > MOST_ASSETS:
        raise DataError(
            f"{table.where} holds {len(labels):,} assets in its column {found[0]!r}",
            expected=f"at most {MOST_ASSETS}",
            fix="check a part of them at a time",
        )
    rest = frame.drop(columns=found)
    return {str(label): _part(table, rest, np.flatnonzero(codes == at), str(label)) for at, label in enumerate(labels)}


def _refuse_unnamed(codes: NDArray[np.int64], where: str) -> None:
    if (codes < 0).any():
        raise DataError(
            f"{where} has {int((codes < 0).sum()):,} rows without an asset, the first is row "
            f"{int(np.argmax(codes < 0)) + 1}",
            expected="an asset on every row",
            fix="fill the column in, or remove these rows",
        )


def _part(table: RawTable, frame: pd.DataFrame, rows: NDArray[np.int64], asset: str) -> RawTable:
    return replace(
        table,
        frame=frame.iloc[rows],
        where=f"{table.where}, asset {asset}",
        name=asset,
        lines=table.lines[rows] if len(table.lines) else table.lines,
    )


def shared_bars(histories: Sequence[Candles]) -> list[Candles]:
    """Return each history with only the bars at stamps that all have; flags go, as their rows no longer stand.

    Raises:
        DataError: some histories have a time zone and some have none, or not two bars are shared.
    """
    naive = {history.timestamps.tz is None for history in histories}
    if len(naive) > 1:
        told = ", ".join(f"{one.name}: {one.timestamps.tz or 'none'}" for one in histories[:SHOWN])
        raise DataError(
            f"some histories have a time zone and some have none ({told})",
            expected="all with a time zone, or all without",
            fix="write all stamps in the same way",
        )
    stamps = [nanoseconds(history.timestamps) for history in histories]
    common = reduce(np.intersect1d, stamps)
    if len(common) < 2:
        names = ", ".join(history.name for history in histories[:SHOWN])
        raise DataError(
            f"the histories share {len(common)} stamps: {names}",
            expected="histories of the same time, with bars at the same stamps",
            fix="bring histories that overlap; stamps must mean the same moment in all of them",
        )
    return [
        one if len(common) == len(one) else _at(one, np.flatnonzero(np.isin(ours, common)))
        for one, ours in zip(histories, stamps, strict=True)
    ]


def _at(history: Candles, rows: NDArray[np.int64]) -> Candles:
    return replace(history, timestamps=history.timestamps[rows], values=history.values[rows], flags=())
