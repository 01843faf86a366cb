"""Figures per year need a path of some length; on shorter ones they are not applicable, and never absurd."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.backtest.account import Account
from scenario_gen.backtest.metrics import PER_YEAR, Tally, annual_return, measure, shortest_horizon

ROOT = Path(__file__).parents[2]


def metrics(horizon: int, bars_per_year: float, move: float = 0.01) -> dict[str, float]:
    steps = np.where(np.arange(horizon) % 3, move, -move / 2)
    equity = np.concatenate(([1.0], np.cumprod(1 + steps)))[None]  # falls first
    still = np.ones((1, horizon))
    account = Account(
        equity=equity,
        exposure=still,
        traded=still,
        fees=still * 0,
        ruin=np.array([horizon]),
        profit=still[..., None],
        holding=still[..., None],
    )
    trades = pd.DataFrame({"path_id": [0], "open": [False], "pnl": [1.0]})
    tally = Tally.of(account, trades, bars_per_year, *np.zeros((3, 1)))
    return {name: float(values[0]) for name, values in measure(tally).items()}


@pytest.mark.parametrize(("bars_per_year", "shortest"), [(252, 2), (12, 1), (525_600, 2628), (31_536_000, 157_680)])
def test_the_shortest_horizon_is_half_a_percent_of_a_year(bars_per_year: float, shortest: int) -> None:
    assert shortest_horizon(bars_per_year) == shortest


@pytest.mark.parametrize(("horizon", "bars_per_year"), [(20, 525_600), (2627, 525_600), (20, 31_536_000)])
def test_figures_per_year_of_a_shorter_path_are_not_applicable_and_the_others_are(
    horizon: int, bars_per_year: float
) -> None:
    values = metrics(horizon, bars_per_year)
    assert {name for name, value in values.items() if math.isnan(value)} == PER_YEAR


def test_figures_per_year_of_a_path_that_is_long_enough_stay() -> None:
    assert not any(map(math.isnan, metrics(2, 252).values()))
    assert not any(map(math.isnan, metrics(2628, 525_600, 0.00001).values()))


def test_no_annual_return_is_beyond_a_millionfold() -> None:
    equity = np.array([[1.0, 4.0, 16.0], [1.0, 1.01, 1.02]])
    assert np.isnan(annual_return(equity, 252)[0])  # 4^252 has 152 digits
    assert annual_return(equity, 252)[1] == pytest.approx(1.02**126 - 1)


@pytest.mark.parametrize("move", [0.0003, 0.02])
def test_minute_bars_run_to_the_end_and_every_number_is_sober(tmp_path: Path, move: float) -> None:
    stamps = pd.date_range("2025-03-01", periods=1500, freq="1min", tz="UTC")
    close = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, move, len(stamps))))
    opened = np.concatenate(([100.0], close[:-1]))
    bars = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close}
    pd.DataFrame({"timestamp": stamps, **bars}).to_csv(tmp_path / "minutes.csv", index=False)
    run = sg.run(
        {
            "name": "minutes",
            "data": {"file": str(tmp_path / "minutes.csv")},
            "bars": {"context": 128, "horizon": 20},
            "paths": {"count": 64, "seed": 1},
            "generator": {"kind": "bootstrap"},
            "checks": {"calibration": False, "facts": False},
            "strategies": [{"use": f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold"}],
            "report": {"folder": str(tmp_path / "run")},
        }
    )
    by_name = {found.metric: found for found in run.scenarios[0].strategies[0].metrics}
    assert all(by_name[name].mean.value is None and by_name[name].not_applicable == 64 for name in PER_YEAR)
    assert by_name["total_return"].mean.n == 64
