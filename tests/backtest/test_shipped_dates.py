"""Shipped rules that read dates read the bars' own, whatever their zone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import Bars
from scenario_gen.backtest.loader import expand
from scenario_gen.backtest.uses import StrategyUse

FOLDER = Path(__file__).parents[2] / "strategies"


@pytest.mark.parametrize("zone", ["Europe/Paris", "Asia/Tokyo", "America/New_York", "UTC"])
def test_the_turn_of_the_month_falls_on_the_same_days_in_every_zone(zone: str) -> None:
    rule = expand(StrategyUse(use="turn_of_month.py:TurnOfMonth"), FOLDER)[0].instance
    naive = pd.bdate_range("2024-01-01", periods=120)

    def entries(index: pd.DatetimeIndex) -> list[bool]:
        still = pd.DataFrame(np.ones((len(index), 1)), index=index)
        bars = Bars(open=still, high=still, low=still, close=still, volume=None, context_bars=20, bars_per_year=252.0)
        return [bool(entry) for entry in rule.signals(bars).entries[0]]

    assert entries(naive.tz_localize(zone)) == entries(naive)
    held = naive[np.flatnonzero(entries(naive)) + 1]  # decided at the close before
    assert [str(day.date()) for day in held if day.month in (4, 5)][3:7] == [
        "2024-04-30", "2024-05-01", "2024-05-02", "2024-05-03"
    ]  # fmt: skip
