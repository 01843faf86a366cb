"""Made histories of markets that are open at different times."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scenario_gen.market import Candles, load_candles
from scenario_gen.market.exchange import load_sessions
from tests.market.conftest import draw_bars


def candles(stamps: pd.DatetimeIndex, name: str, *, seed: int = 1, calendar: str = "", volume: bool = True) -> Candles:
    """Valid bars at some stamps."""
    bars = draw_bars(stamps, seed)
    return load_candles(bars if volume else bars.drop(columns="volume"), name=name, calendar=calendar)


def sessions(code: str, first: str, last: str) -> pd.DatetimeIndex:
    """Dates of an exchange's sessions."""
    start, end = (pd.Timestamp(day).as_unit("ns").value for day in (first, last))
    dates = pd.DatetimeIndex(load_sessions(code, start, end).dates)
    return dates[dates <= pd.Timestamp(last)]


def exchange(code: str, first: str, last: str, *, seed: int = 1) -> Candles:
    """Daily bars of an exchange, stamped by date."""
    return candles(sessions(code, first, last), code.lower(), seed=seed, calendar=code)


def coin(first: str, last: str, *, seed: int = 2) -> Candles:
    """Daily bars without a pause, stamped at midnight UTC."""
    return candles(pd.date_range(first, last, tz="UTC"), "coin", seed=seed, calendar="24/7")


def walks(stamps: pd.DatetimeIndex, returns: np.ndarray) -> dict[str, Candles]:
    """Bars whose log returns [bar, asset] are given, named a, b, ..."""
    made = {}
    for name, steps in zip("abcdefgh", returns.T, strict=False):
        close = 100 * np.exp(np.cumsum(steps))
        before = np.concatenate(([100.0], close[:-1]))
        bars = np.stack((before, np.maximum(before, close), np.minimum(before, close), close), axis=1)
        made[name] = Candles(stamps, bars, ("open", "high", "low", "close"), name=name)
    return made
