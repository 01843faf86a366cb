"""Paths of several assets as an outsider would hand them over: real windows of both indices, together or apart."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scenario_gen.market import Candles, load_candles
from scenario_gen.realism.assets import cross_control
from scenario_gen.realism.gauge import windows
from scenario_gen.realism.panel import Panel
from tests.pipeline.given import table

END = "2014-12-31"
Histories = dict[str, Candles]


def indices() -> Histories:
    """The S&P 500 and the NASDAQ."""
    return {"SPX": load_candles("sp500"), "IXIC": load_candles("nasdaq")}


def windows_before(end: str, histories: Histories) -> Panel:
    """Windows of 60 bars of the years up to a date."""
    cut = [windows(history.split_at(end)[0], 60, 7).bars for history in histories.values()]
    return Panel(tuple(histories), tuple(cut))


def rows_of(panel: Panel, histories: Histories, end: str = END) -> pd.DataFrame:
    """Paths of all assets behind one bar of their histories, in one table."""
    parts = []
    for name, bars in zip(panel.assets, panel.bars, strict=True):
        before, after = histories[name].split_at(end)
        rows = table(bars, after.timestamps[:60].to_numpy(), float(before.close[-1]))
        parts.append(rows.assign(asset=name))
    return pd.concat(parts, ignore_index=True)


def real_rows(past: Panel, histories: Histories, count: int = 120) -> pd.DataFrame:
    chosen = np.random.default_rng(1).choice(len(past), size=count, replace=False)
    return rows_of(past.select(chosen), histories)


def apart_rows(past: Panel, histories: Histories, count: int = 120) -> pd.DataFrame:
    return rows_of(cross_control("independent", past, count, np.random.default_rng(1)), histories)
