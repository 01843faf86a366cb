"""Fixtures of the candles room: a real history, and made bars that a test then breaks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from scenario_gen.market import BarCalendar, Candles, PathSet, load_candles

MakeCandles = Callable[..., Candles]
MakePaths = Callable[..., PathSet]


def made_candles(
    stamps: pd.DatetimeIndex, *, seed: int = 1, price: float = 100.0, unit: float | None = None, tick: float = 0.0
) -> Candles:
    """A Gaussian walk with gaps and wicks; ``unit`` adds an amount, ``tick`` rounds prices."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.01, (len(stamps), 2))
    close = price * np.exp(np.cumsum(steps.sum(axis=1)))
    opened = close * np.exp(-steps[:, 1])
    wicks = rng.exponential(0.004, (2, len(stamps)))
    top, floor = np.maximum(opened, close) * np.exp(wicks[0]), np.minimum(opened, close) * np.exp(-wicks[1])
    prices = np.stack((opened, top, floor, close), axis=1)
    if tick:
        prices = np.round(prices / tick) * tick
    volume = rng.integers(1_000, 9_000, len(stamps)).astype(float)
    columns = [prices, volume[:, None]]
    fields = ("open", "high", "low", "close", "volume")
    if unit is not None:
        columns.append((volume * unit * prices.mean(axis=1))[:, None])
        fields += ("amount",)
    return Candles(stamps, np.concatenate(columns, axis=1), fields, name="made")


def paths_after(context: Candles, rows: list[list[float]] | np.ndarray, n: int = 1) -> PathSet:
    """The same bars [bar, field] on ``n`` paths, stamped by the context's own calendar."""
    bars = np.asarray(rows, dtype=np.float32)
    stamps = BarCalendar.infer(context.timestamps, context.calendar).future(len(bars))
    values = np.broadcast_to(bars, (n, *bars.shape)).copy()
    return PathSet(values, context.fields[: bars.shape[1]], stamps, np.arange(n), float(context.close[-1]))


@pytest.fixture(scope="session")
def nasdaq() -> Candles:
    """The real NASDAQ composite, daily, 1999-2018."""
    return load_candles("nasdaq")


@pytest.fixture(scope="session")
def make_candles() -> MakeCandles:
    return made_candles


@pytest.fixture(scope="session")
def make_paths() -> MakePaths:
    return paths_after


@pytest.fixture(scope="session")
def daily() -> Candles:
    """300 made daily bars, Monday to Friday, prices near 100 with two decimals and an amount in the price's unit."""
    return made_candles(pd.bdate_range("2020-01-01", periods=300), unit=1.0, tick=0.01)
