"""Results by the regime of the path: thirds by hand, errors as scipy has them, and a run that can be counted again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import scenario_gen as sg
from scenario_gen.backtest.regimes import REGIMES, by_regime, courses, thirds
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.weights import Weights

ROOT = Path(__file__).parents[2]


def paths_of(closes: Any, anchor: float = 100.0) -> PathSet:
    closes = np.asarray(closes, dtype=float)
    stamps = pd.bdate_range("2024-01-01", periods=closes.shape[1])
    return PathSet.of_arrays(closes, closes, closes, closes, timestamps=stamps, anchor_close=anchor)


def test_a_straight_path_is_all_trend_and_one_that_returns_is_none() -> None:
    numbers = courses(paths_of([[110, 121, 133.1], [110, 100, 100], [100, 100, 100], [90, 81, 72.9]]))
    assert numbers["trend"] == pytest.approx([1.0, 0.0, 0.0, 1.0], abs=1e-6)
    assert numbers["direction"] == pytest.approx([3 * np.log(1.1), 0.0, 0.0, 3 * np.log(0.9)], abs=1e-6)
    assert numbers["volatility"] == pytest.approx(
        [np.log(1.1), np.log(1.1) * np.sqrt(2 / 3), 0.0, -np.log(0.9)], abs=1e-6
    )


def test_thirds_are_by_rank_and_of_what_paths_stand_for() -> None:
    values = np.array([5.0, 1.0, 3.0, 2.0, 6.0, 4.0])
    assert [np.flatnonzero(third).tolist() for third in thirds(values)] == [[1, 3], [2, 5], [0, 4]]
    # the path with 1 stands for two thirds of all: what it lies in the middle of is the lowest third's upper edge
    weights = Weights.of(np.array([1.0, 10.0, 1.0, 1.0, 1.0, 1.0]))
    shares = [float(weights.shares[third].sum()) for third in thirds(values, weights)]
    assert sum(shares) == pytest.approx(1.0)
    assert [np.flatnonzero(third).tolist() for third in thirds(values, weights)] == [[], [1], [0, 2, 3, 4, 5]]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 101])
def test_every_path_is_in_one_third_and_no_third_has_two_more_than_another(count: int) -> None:
    parts = thirds(np.random.default_rng(count).normal(size=count).round(1))
    assert np.sum(parts, axis=0).tolist() == [1] * count
    sizes = [int(part.sum()) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def results(paths: PathSet, returns: np.ndarray, weights: Weights | None = None) -> dict[str, Any]:
    metrics = pd.DataFrame({"total_return": returns, "max_drawdown": np.maximum(-returns, 0.01)})
    return {each.name: each for each in by_regime(courses(paths), metrics, weights)}


@pytest.fixture(scope="module")
def wandering() -> SimpleNamespace:
    rng = np.random.default_rng(4)
    sigma = rng.choice([0.005, 0.03], size=(900, 1))
    closes = 100 * np.exp(np.cumsum(rng.normal(0, sigma, (900, 40)), axis=1))
    return SimpleNamespace(paths=paths_of(closes), held=closes[:, -1] / 100 - 1)


def test_holding_loses_where_the_path_falls_and_hangs_most_on_its_volatility_in_depth(wandering: Any) -> None:
    found = results(wandering.paths, wandering.held)
    assert [each.thirds for each in REGIMES] == [
        ("calm", "middling", "volatile"), ("choppy", "mixed", "trending"), ("falling", "sideways", "rising"),
    ]  # fmt: skip
    assert found["falling"].losing.count == found["falling"].paths == 300
    assert found["rising"].losing.count == 0
    assert found["falling"].mean_return.high < 0 < found["rising"].mean_return.low
    assert found["volatile"].drawdown["0.75"].value > 2 * found["calm"].drawdown["0.75"].value
    assert found["calm"].low < found["calm"].high <= found["middling"].low


def test_the_difference_to_the_others_is_welchs(wandering: Any) -> None:
    for name, regime in results(wandering.paths, wandering.held).items():
        kind = next(each for each in REGIMES if name in each.thirds)
        inside = thirds(courses(wandering.paths)[kind.key])[kind.thirds.index(name)]
        expected = stats.ttest_ind(wandering.held[inside], wandering.held[~inside], equal_var=False)
        interval = expected.confidence_interval(0.95)
        assert regime.beyond_others.low == pytest.approx(interval.low, rel=1e-9)
        assert regime.beyond_others.high == pytest.approx(interval.high, rel=1e-9)


def test_a_strategy_without_regard_to_regimes_differs_in_one_third_of_twenty() -> None:
    """Coin flips on 60 sets of paths: 540 intervals of 95 %, of which 27 +- 3 x 5.1 miss zero (false alarm .3 %)."""
    rng = np.random.default_rng(8)
    missed = 0
    for _ in range(60):
        paths = paths_of(100 * np.exp(np.cumsum(rng.normal(0, 0.01, (90, 10)), axis=1)))
        for each in results(paths, rng.normal(0, 0.05, 90)).values():
            missed += not each.beyond_others.low < 0 < each.beyond_others.high
    assert abs(missed - 27) < 3 * 5.1 + 1


def test_equal_weights_say_what_no_weights_say(wandering: Any) -> None:
    """Weights of 1 and 1 + 1e-12 are no equal weights to the code, and the same to the reader."""
    weights = Weights.of(np.ones(900) + 1e-12 * (np.arange(900) % 2))
    plain, weighted = (results(wandering.paths, wandering.held, each) for each in (None, weights))
    for name in plain:
        assert weighted[name].mean_return.value == pytest.approx(plain[name].mean_return.value)
        assert weighted[name].beyond_others.high == pytest.approx(plain[name].beyond_others.high, rel=1e-2)


def test_a_number_that_all_paths_share_tells_none_apart() -> None:
    """A path of one bar is all trend: nothing is told of its thirds."""
    found = by_regime(
        courses(paths_of(np.array([[101.0], [99.0], [103.0], [98.0]]))),
        pd.DataFrame({"total_return": [0.01, -0.01, 0.03, -0.02], "max_drawdown": 0.0}),
    )
    assert {each.kind for each in found} == {"volatility", "direction"}


def test_a_run_tells_every_strategy_by_regime_and_can_be_counted_again(tmp_path: Path) -> None:
    run = sg.run(
        {
            "name": "regimes",
            "data": {"source": "sp500", "end": "2016-03-31"},
            "bars": {"context": 60, "horizon": 20},
            "paths": {"count": 90, "seed": 3, "block": 32, "keep": "paths"},
            "generator": {"kind": "bootstrap"},
            "checks": {"facts": False, "calibration": False},
            "strategies": [{"use": f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold"}],
            "report": {"folder": str(tmp_path)},
        }
    )
    (strategy,) = run.scenarios[0].strategies
    kept = pd.read_parquet(tmp_path / "paths" / "base.parquet").pivot(index="path_id", columns="bar", values="close")
    metrics = pd.read_parquet(tmp_path / "metrics.parquet").set_index("path_id").loc[kept.index]
    last = kept.iloc[:, -1]
    for name, chosen in (("falling", last <= np.sort(last)[29]), ("rising", last >= np.sort(last)[60])):
        third = next(each for each in strategy.regimes if each.name == name)
        assert third.paths == 30
        assert third.mean_return.value == pytest.approx(metrics.loc[chosen, "total_return"].mean())
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Results by the regime of the path." in page
