"""Sloppy execution: drawn from each path's own numbers, filled as told, and set beside the plain run pair by pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import scenario_gen as sg
from scenario_gen.backtest import Bars
from scenario_gen.backtest.broker import Broker, Jitter
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.jitter import cost_of, jittered, set_of_each, variants
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.errors import SpecError
from scenario_gen.report.page import build_page
from scenario_gen.report.words import FORBIDDEN
from scenario_gen.spec import spec_from_dict
from scenario_gen.store.results import StressRun

ROOT = Path(__file__).parents[2]
BARS, PATHS = 30, 200


@pytest.fixture(scope="module")
def market(make_market: Any) -> Any:
    return make_market(paths=PATHS, bars=BARS, seed=9)


@pytest.fixture(scope="module")
def hold(market: Any, told: Any, loaded: Any) -> LoadedStrategy:
    """Wants to buy at the first open, and nothing else."""
    entries = np.zeros((len(market.context) + BARS, PATHS), dtype=bool)
    entries[len(market.context) - 1] = True
    return loaded(told(entries, np.zeros_like(entries)))


def test_a_path_is_executed_alike_in_any_company_and_over_any_horizon(market: Any) -> None:
    jitter = Jitter(slippage=0.01, spread=0.005, delay=0.2, missed=0.1, parameters=0.1)
    whole = jittered(jitter, market.paths, 7).terms.arrays()
    few = market.paths.select(np.array([17, 3]))
    for name, values in jittered(jitter, few, 7).terms.arrays().items():
        assert np.array_equal(values, whole[name][[17, 3]])
    short = replace(market.paths, values=market.paths.values[:, :10], timestamps=market.paths.timestamps[:10])
    assert np.array_equal(jittered(jitter, short, 7).terms.missed, whole["missed"][:, :10])
    assert (
        set_of_each(jitter, np.array([17, 3]), 7).tolist()
        == set_of_each(jitter, market.paths.path_ids, 7)[[17, 3]].tolist()
    )
    assert not np.array_equal(jittered(jitter, market.paths, 8).terms.missed, whole["missed"])


def test_as_many_bars_wait_and_entries_are_missed_as_declared(market: Any) -> None:
    """6,000 bars: 4 standard errors of shares of .2 and .1 are .021 and .015."""
    terms = jittered(Jitter(delay=0.2, missed=0.1), market.paths, 7).terms
    assert abs(terms.missed.mean() - 0.1) < 0.015
    assert abs((terms.ceiling == 0).mean() - 0.2) < 0.021
    assert ((terms.ceiling == 0) == (terms.floor == np.inf)).all()


def test_a_wider_spread_costs_what_the_brokers_slippage_would(market: Any, hold: LoadedStrategy) -> None:
    """The spread of a path is a number: a broker with that much more slippage fills the same path the same."""
    broker = Broker(cash=1e4, slippage=0.001, fees=0.0005)
    ground = market.ground(broker, seed=7)
    sloppy = trade(hold, replace(ground, jitter=Jitter(spread=0.01)), market.paths)
    more = jittered(Jitter(spread=0.01), market.paths, 7).terms.slippage
    assert (more == more[:, :1]).all()
    for path in (0, 50, 199):
        dearer = replace(ground, broker=broker.model_copy(update={"slippage": 0.001 + float(more[path, 0])}))
        alone = trade(hold, dearer, market.paths.select(np.array([path])))
        np.testing.assert_allclose(sloppy.equity[path], alone.equity[0], rtol=1e-6)


def test_orders_wait_until_a_bar_that_does_not(market: Any, hold: LoadedStrategy) -> None:
    jitter = Jitter(delay=0.4)
    waits = jittered(jitter, market.paths, 7).terms.ceiling == 0
    trades = trade(hold, market.ground(Broker(cash=1e4), seed=7, jitter=jitter), market.paths).trades
    assert trades["path_id"].tolist() == list(range(PATHS))
    assert trades["entry_bar"].tolist() == np.argmin(waits, axis=1).tolist()
    assert (np.argmin(waits, axis=1) > 1).sum() > 20  # some wait twice


def test_a_missed_entry_is_lost_and_the_others_are_filled(market: Any, hold: LoadedStrategy) -> None:
    jitter = Jitter(missed=0.3)
    missed = jittered(jitter, market.paths, 7).terms.missed[:, 0]
    trades = trade(hold, market.ground(Broker(cash=1e4), seed=7, jitter=jitter), market.paths).trades
    assert trades["path_id"].tolist() == np.flatnonzero(~missed).tolist()
    assert (trades["entry_bar"] == 0).all()
    assert 20 < missed.sum() < PATHS - 20


def test_no_weight_is_changed_at_a_bar_that_is_missed(market: Any, weighted: Any, loaded: Any) -> None:
    weights = np.random.default_rng(2).uniform(0, 1, (len(market.context) + BARS, PATHS))
    jitter = Jitter(missed=0.3)
    ground = market.ground(Broker(cash=1e4), seed=7, jitter=jitter)
    ran = trade(loaded(weighted(weights)), ground, market.paths)
    missed = jittered(jitter, market.paths, 7).terms.missed
    close = market.future("close")
    units = ran.exposure * ran.equity[:, 1:] / close
    still = np.isclose(units[:, 1:], units[:, :-1], rtol=1e-4)
    assert still[missed[:, 1:]].all()
    assert still[~missed[:, 1:]].mean() < 0.01


def test_real_bars_are_traded_as_the_broker_says(market: Any, told: Any, loaded: Any) -> None:
    entries = np.ones((len(market.context) + BARS, 1), dtype=bool)
    strategy = loaded(told(entries, np.zeros_like(entries)))
    real = replace(market.paths.select(np.array([0])), provenance={"generator": "history"})
    ground = market.ground(Broker(cash=1e4), seed=7)
    sloppy = replace(ground, jitter=Jitter(slippage=0.1, delay=0.9))
    assert np.array_equal(trade(strategy, sloppy, real).equity, trade(strategy, ground, real).equity)


# --- Parameters ---


@dataclass(frozen=True)
class Cross:
    """A crossing of averages that refuses a fast one that is not the faster."""

    fast: int = 10
    slow: int = 12
    width: float = 1.0
    on: bool = True
    kind: str = "simple"

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError("fast must be below slow")

    def weights(self, bars: Bars) -> pd.DataFrame:
        close = bars.close
        above = close.rolling(self.fast).mean() > close.rolling(self.slow).mean()
        return above * min(self.width, 1.0)


def crossing(**changes: Any) -> LoadedStrategy:
    rule = Cross(**changes)
    return LoadedStrategy("Cross", "here.py:Cross", dict(vars(rule)), rule, Path(__file__))


def test_parameters_stay_near_their_own_whole_where_they_were_and_accepted_by_the_strategy() -> None:
    sets = variants(crossing(), Jitter(parameters=0.2, sets=32), seed=3)
    assert len(sets) == 32
    for each in sets:
        params = each.params
        assert isinstance(params["fast"], int)
        assert isinstance(params["slow"], int)
        assert 8 <= params["fast"] <= 12
        assert 10 <= params["slow"] <= 14
        assert 0.8 <= params["width"] <= 1.2
        assert params["fast"] < params["slow"]  # a fast 12 beside a slow 10 is refused and drawn anew
        assert (params["on"], params["kind"]) == (True, "simple")
        assert vars(each.instance) == params
    assert len({tuple(each.params.values()) for each in sets}) > 25
    assert [each.params for each in variants(crossing(), Jitter(parameters=0.2, sets=32), seed=3)] == [
        each.params for each in sets
    ]


def test_the_condition_of_an_entry_holds_for_every_set() -> None:
    bound = replace(crossing(fast=10, slow=20), where="fast * 2 == slow")
    sets = variants(bound, Jitter(parameters=0.2, sets=16), seed=3)
    assert all(each.params["fast"] * 2 == each.params["slow"] for each in sets)
    assert len({each.params["fast"] for each in sets}) > 2


def test_a_strategy_that_refuses_every_change_keeps_its_own_set() -> None:
    never = replace(crossing(), where="width == 1.0")
    assert [each.params["width"] for each in variants(never, Jitter(parameters=0.1), seed=3)] == [1.0] * 8


def test_every_path_is_traded_with_its_own_set_and_results_keep_their_order(market: Any) -> None:
    jitter = Jitter(parameters=0.2, sets=4)
    ground = market.ground(Broker(cash=1e4, fees=0.001), seed=5, jitter=jitter)
    ran = trade(crossing(), ground, market.paths)
    assert ran.metrics.index.tolist() == list(range(PATHS))
    sets, chosen = variants(crossing(), jitter, 5), set_of_each(jitter, market.paths.path_ids, 5)
    assert set(chosen) == {0, 1, 2, 3}
    for path in (0, 1, 2, 77, 199):
        alone = trade(sets[chosen[path]], replace(ground, jitter=None), market.paths.select(np.array([path])))
        pd.testing.assert_frame_equal(alone.metrics, ran.metrics.loc[[path]])
        assert np.array_equal(alone.equity[0], ran.equity[path])
        own = ran.trades[ran.trades["path_id"] == path].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, alone.trades)
    assert ran.trades["path_id"].is_monotonic_increasing


# --- Pairs ---


def test_the_cost_is_the_mean_over_pairs_with_students_interval() -> None:
    rng = np.random.default_rng(1)
    plain = pd.DataFrame({"total_return": rng.normal(0.02, 0.1, 80), "max_drawdown": rng.uniform(0, 0.3, 80)})
    sloppy = plain - 0.001 * rng.random((80, 2))
    cost = cost_of(sloppy, plain, [])
    test = stats.ttest_rel(sloppy["total_return"], plain["total_return"])
    interval = test.confidence_interval(0.95)
    assert cost.total_return.low == pytest.approx(interval.low)
    assert cost.total_return.high == pytest.approx(interval.high)
    assert cost.worse.count == 80
    assert cost.sloppy.value - cost.plain.value == pytest.approx(cost.total_return.value)


def spec(folder: Path, **jitter: Any) -> dict[str, Any]:
    return {
        "name": "sloppy",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 60, "horizon": 20},
        "paths": {"count": 100, "seed": 3, "block": 64},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}, {"name": "sloppy", "jitter": jitter}],
        "checks": {"facts": False, "calibration": False},
        "strategies": [
            {"use": f"{ROOT}/strategies/buy_and_hold.py:BuyAndHold"},
            {
                "use": f"{ROOT}/strategies/sma_cross.py:SmaCross",
                "params": {"fast": 5, "slow": 20},
                "where": "fast < slow",
            },
        ],
        "report": {"folder": str(folder)},
    }


@pytest.fixture(scope="module")
def sloppy(tmp_path_factory: pytest.TempPathFactory) -> tuple[StressRun, Path]:
    folder = tmp_path_factory.mktemp("sloppy")
    return sg.run(spec(folder, slippage=0.004, delay=0.1, missed=0.1, parameters=0.1)), folder


def test_a_run_sets_a_sloppy_scenario_beside_the_same_paths(sloppy: tuple[StressRun, Path]) -> None:
    """The base has the same seed, so the same paths: what it made is the plain run of the sloppy one."""
    run, folder = sloppy
    metrics = pd.read_parquet(folder / "metrics.parquet")
    both = {name: rows.set_index(["strategy", "path_id"])["total_return"] for name, rows in metrics.groupby("scenario")}
    for strategy in run.scenarios[1].strategies:
        cost = strategy.jitter
        assert cost is not None
        expected = (both["sloppy"] - both["base"]).loc[strategy.name]
        assert cost.total_return.value == pytest.approx(expected.mean())
        assert cost.total_return.n == 100
        assert cost.total_return.high < 0
    assert run.scenarios[0].strategies[0].jitter is None
    assert len(run.scenarios[1].strategies[1].jitter.sets) > 2


def test_the_page_answers_with_the_numbers_of_the_run(sloppy: tuple[StressRun, Path]) -> None:
    import importlib.util

    found = importlib.util.spec_from_file_location("report_checks", ROOT / "tests" / "report" / "checks.py")
    assert found is not None
    assert found.loader is not None
    checks: ModuleType = importlib.util.module_from_spec(found)
    found.loader.exec_module(checks)
    page = build_page(sloppy[0])
    assert checks.check_numbers(page, sloppy[0]) > 100
    words = checks.seen(page)
    answer = words[words.index("Does it survive sloppy execution?") :][:3000]
    assert "an order slips by up to 0.4% of the price more; on 10% of the bars all orders wait" in answer.replace(
        "  ", " "
    )
    assert [word for word in FORBIDDEN if f" {word} " in answer.lower()] == []


@pytest.mark.parametrize(
    ("jitter", "message"),
    [
        ({}, "expected at least one of slippage, spread, delay, missed and parameters above 0"),
        ({"delay": 1.0}, "delay: got 1.0, expected a number of at least 0 and below 1"),
        ({"missed": -0.1}, "missed: got -0.1, expected a number of at least 0 and below 1"),
        ({"parameters": 0.6}, "parameters: got 0.6, expected a number from 0 to 0.5"),
        ({"slippage": "2bp"}, "slippage: got '2bp', expected a number of at least 0 and below 0.5"),
        ({"sets": 1, "parameters": 0.1}, "sets: got 1, expected a whole number from 2 to 32"),
        ({"slipage": 0.1}, "slipage: unknown key; did you mean 'slippage'?"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_field(tmp_path: Path, jitter: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_from_dict(spec(tmp_path, **jitter))
    assert f"scenarios[sloppy].jitter{'.' if ':' in message else ': '}{message}" in str(caught.value)


def test_jitter_of_the_base_is_refused(tmp_path: Path) -> None:
    wrong = {**spec(tmp_path, delay=0.1), "jitter": {"delay": 0.1}}
    with pytest.raises(SpecError, match="jitter: unknown key"):
        spec_from_dict(wrong)
