"""The numbers of a path, by hand and by the laws that they owe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.stattools import acf

from scenario_gen.forecasts.numbers import BY_ID, FUNCTIONALS, LEAST_VOLUME, LogPaths, measure, untestable
from scenario_gen.market import Candles, PathSet
from scenario_gen.market.candles import Scale

FIELDS = ("open", "high", "low", "close", "volume")


def _paths(bars: list[list[float]], anchor: float = 100.0) -> PathSet:
    values = np.array([bars], dtype=np.float32)
    stamps = pd.date_range("2020-01-01", periods=len(bars))
    return PathSet(values, FIELDS[: values.shape[2]], stamps, np.zeros(1, np.int64), anchor)


BY_HAND = [
    [100, 104, 99, 102, 10],
    [102, 103, 90, 91, 20],
    [91, 95, 91, 95, 0],
    [95, 99, 94, 98, 40],
    [98, 98, 97, 97, 10],
    [97, 110, 97, 108, 20],
]


@pytest.fixture
def futures() -> LogPaths:
    return LogPaths.of(_paths(BY_HAND), Scale(0.02, 0.001, 20.0))


def _of(name: str, futures: LogPaths) -> float:
    return float(BY_ID[name].of(futures)[0])


def test_every_functional_is_what_a_hand_makes_of_it(futures: LogPaths) -> None:
    close = np.log([102, 91, 95, 98, 97, 108])
    returns = np.diff(np.log([100, 102, 91, 95, 98, 97, 108]))
    ranges = np.log([104 / 99, 103 / 90, 95 / 91, 99 / 94, 98 / 97, 110 / 97])
    expected = {
        "return_1": np.log(1.02),
        "log_range_1": np.log(ranges[0] + 0.001),
        "return_5": np.log(0.97),
        "return_h": np.log(1.08),
        "log_volatility": np.log(np.sqrt(np.mean(returns**2))),
        "max_drawdown": np.log(102 / 91),
        "max_run_up": np.log(108 / 91),
        "path_range": np.log(110 / 90),
        "mean_log_range": np.mean(np.log(ranges + 0.001)),
        "mean_log_volume": np.mean(np.log([0.5, 1, LEAST_VOLUME, 2, 0.5, 1])),
    }
    assert close[-1] - np.log(100) == pytest.approx(expected["return_h"])
    for name, value in expected.items():
        assert _of(name, futures) == pytest.approx(value, abs=1e-6), name  # float32 prices
    assert set(expected) | {"acf_log_range"} == {functional.id for functional in FUNCTIONALS}


def test_the_range_of_a_path_holds_the_price_that_it_sets_out_from() -> None:
    scale = Scale(0.01, 0.001, 0.0)
    above, below = ([[p, p + 2, p - 1, p + 1] for p in range(first, first + 3)] for first in (105, 90))
    assert _of("path_range", LogPaths.of(_paths(above), scale)) == pytest.approx(np.log(109 / 100), abs=1e-6)
    assert _of("path_range", LogPaths.of(_paths(below), scale)) == pytest.approx(np.log(100 / 89), abs=1e-6)


def test_drifts_are_mean_returns_in_context_deviations_of_the_horizon() -> None:
    real = _paths([[100, 121, 100, 110]] * 4)
    values = np.repeat(real.values, 2, axis=0)
    values[1] /= 1.1  # ends where it began
    paths = replace(real, values=values, path_ids=np.arange(2))
    seen = measure(paths, real, Scale(0.02, 0.001, 0.0), ["return_h"], np.random.default_rng(1))
    unit = 0.02 * np.sqrt(4)  # four bars: twice a bar's volatility
    assert seen.realised == pytest.approx(np.log(1.1) / unit)
    assert seen.generated == pytest.approx(np.log(1.1) / 2 / unit)


def test_returns_of_checkpoints_alone_are_read_at_their_bar() -> None:
    rising = [[p, p + 1, p, p + 1] for p in range(100, 160)]
    paths = LogPaths.of(_paths(rising), Scale(0.01, 0.001, 0.0))
    assert _of("return_20", paths) == pytest.approx(np.log(1.20))
    assert _of("return_60", paths) == _of("return_h", paths) == pytest.approx(np.log(1.60))
    assert {name for name, number in BY_ID.items() if not number.calibrated} == {"return_20", "return_60"}


def test_clustering_is_the_mean_autocorrelation_of_statsmodels(sp500: Candles) -> None:
    real = PathSet.from_history(sp500.rows(2000, 2040), float(sp500.close[1999]))
    futures = LogPaths.of(real, Scale.of(sp500.rows(1744, 2000)))
    expected = acf(futures.log_range[0], nlags=3, fft=False)[1:].mean()
    assert _of("acf_log_range", futures) == pytest.approx(expected, abs=1e-9)


def test_a_path_that_only_rises_has_no_drawdown_and_one_that_only_falls_no_run_up() -> None:
    rising = [[p, p + 1, p, p + 1] for p in range(100, 108)]
    falling = [[p, p, p - 1, p - 1] for p in range(100, 92, -1)]
    scale = Scale(0.01, 0.001, 0.0)
    up, down = (LogPaths.of(_paths(bars), scale) for bars in (rising, falling))
    assert _of("max_drawdown", up) == 0
    assert _of("max_run_up", down) == 0
    assert up.log_volume is None


def test_prices_in_another_unit_change_nothing(sp500: Candles) -> None:
    context, future = sp500.rows(1000, 1256), sp500.rows(1256, 1276)
    scaled = [replace(part, values=part.values * [8, 8, 8, 8, 1]) for part in (context, future)]
    for functional in FUNCTIONALS:
        values = [
            functional.of(LogPaths.of(PathSet.from_history(after, float(before.close[-1])), Scale.of(before)))
            for before, after in ((context, future), scaled)
        ]
        assert values[0] == pytest.approx(values[1], abs=1e-9), functional.id


def test_still_paths_dead_bars_and_broken_prices_give_numbers() -> None:
    bars = [[100, 100, 100, 100, 0]] * 12
    scale = Scale(0.01, 0.001, 5.0)
    for paths in (_paths(bars), _paths([*bars[:5], [100, 90, 95, -1, 3], *bars[6:]])):
        futures = LogPaths.of(paths, scale)
        assert all(np.isfinite(functional.of(futures)).all() for functional in FUNCTIONALS)


def test_what_the_history_or_the_horizon_cannot_say_is_told(sp500: Candles) -> None:
    bare = replace(sp500, values=sp500.values[:, :4], fields=sp500.fields[:4])
    flat = replace(bare, values=np.repeat(bare.values[:, 3:], 4, axis=1))
    assert untestable(BY_ID["mean_log_volume"], sp500, 20) == ""
    assert "no volume" in untestable(BY_ID["mean_log_volume"], bare, 20)
    assert "no range" in untestable(BY_ID["mean_log_range"], flat, 20)
    assert untestable(BY_ID["return_h"], flat, 20) == ""
    assert "needs 5" in untestable(BY_ID["log_volatility"], sp500, 3)
    assert [f.id for f in FUNCTIONALS if not untestable(f, sp500, 1)] == ["return_1", "log_range_1", "mean_log_volume"]


def test_units_come_from_the_context(sp500: Candles) -> None:
    context = sp500.rows(1000, 1256)
    scale = Scale.of(context)
    assert scale.volatility == pytest.approx(np.sqrt(np.mean(np.diff(np.log(context.close)) ** 2)))
    assert scale.usual_volume == pytest.approx(context.column("volume")[-64:].mean())
    still = replace(context, values=np.ones_like(context.values))
    assert Scale.of(still).least_range > 0
