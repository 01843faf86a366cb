"""One strategy summed up over its paths: which paths count as losing, how deep is deep enough, and what a fan holds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest import METRICS
from scenario_gen.backtest.limits import Limits
from scenario_gen.backtest.result import StrategyResult, make_fan
from scenario_gen.pipeline.summary import strategy_result

PATHS = 400


def _result(returns: np.ndarray, falls: np.ndarray, limits: Limits) -> StrategyResult:
    metrics = pd.DataFrame(dict.fromkeys([metric.name for metric in METRICS], np.zeros(PATHS)))
    metrics = metrics.assign(total_return=returns, max_drawdown=falls)
    strategy = SimpleNamespace(name="rule", use="rule.py:Rule", params={"n": 5})
    equity = np.stack((np.ones(PATHS), 1 + returns))
    return strategy_result(strategy, metrics, equity, np.arange(PATHS), 1, limits, seed=1)


def test_losing_is_below_zero_and_a_drawdown_reaches_its_limit() -> None:
    returns = np.repeat([-0.1, 0.0, 0.2], [100, 60, 240])
    falls = np.repeat([0.25, 0.123, 0.1, 0.0], [40, 20, 40, 300])
    found = _result(returns, falls, Limits(max_drawdown=0.123))
    assert found.probability_of_loss.value == 100 / 400  # nothing gained is nothing lost
    beyond = {depth: (share.count, share.n) for depth, share in found.drawdown_beyond}
    assert [beyond[depth] for depth in (0.1, 0.11, 0.123, 0.13, 0.25, 0.26)] == [
        (100, 400), (60, 400), (60, 400), (40, 400), (40, 400), (0, 400)
    ]  # fmt: skip
    assert list(beyond) == sorted(beyond)
    assert len(_result(returns, falls, Limits()).drawdown_beyond) == len(beyond) - 1


def test_value_at_risk_is_of_losses_and_its_tail_is_the_worst_paths() -> None:
    returns = np.linspace(-0.399, 0.399, PATHS)  # in steps of .002
    found = _result(returns[::-1], np.zeros(PATHS), Limits())
    # 95 % of the paths lose no more than what the 20th and the 21st worst do: .361 and .359
    assert 0.359 <= found.var["0.95"].value <= 0.361
    assert found.cvar["0.95"].value == pytest.approx(0.38)  # the mean of .399 to .361
    assert found.var["0.99"].reason == "not shown, needs N >= 2000"
    assert (found.name, found.params) == ("rule", {"n": 5})


def test_a_fan_has_quantiles_of_every_point_and_paths_by_their_last_value() -> None:
    last = np.random.default_rng(1).permutation(101.0 + np.arange(101))
    values = np.stack((np.full(101, 100.0), last), axis=1)
    fan = make_fan(values.T, 1000 + np.arange(101), 1)
    assert fan.bars == [0, 1]
    assert fan.quantiles == {
        "0.05": [100, 106], "0.25": [100, 126], "0.5": [100, 151], "0.75": [100, 176], "0.95": [100, 196]
    }  # fmt: skip
    # ranks 12, 45 and 83 %, each under its own id
    assert {int(name): row[1] for name, row in fan.examples.items()} == {
        1000 + int(np.flatnonzero(last == value)[0]): value for value in (113.0, 146.0, 184.0)
    }
    assert (len(fan.dots), fan.dots[0], fan.dots[-1]) == (50, 102.0, 200.0)
