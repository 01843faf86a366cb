"""Prices of any size: what is done with them does not depend on their unit, up to bounds that the door names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest.broker import Broker, in_numbers
from scenario_gen.backtest.engine import run_backtest
from scenario_gen.backtest.loader import expand
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.candles.check import CandleRules, mend_paths
from scenario_gen.errors import DataError, SpecError
from scenario_gen.generators.bootstrap import StationaryBootstrap
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.filtered import FilteredPaths
from scenario_gen.kronos.representation import Levels, Scale
from scenario_gen.market import load_candles
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.reading.section import section_of

ROOT = Path(__file__).parents[2]

TINY = 2.0**-38  # of prices near 2,500: 9e-9; a power of two, so that only exponents change


def scaled(context: Candles, unit: float) -> Candles:
    return load_candles(context.frame().assign(**{name: context.column(name) * unit for name in context.fields[:4]}))


def paths_of(context: Candles, horizon: int = 40) -> PathSet:
    stamps = BarCalendar.infer(context.timestamps).future(horizon)
    return StationaryBootstrap().sample(context, stamps, Draws.block(7, 0, 64))


@pytest.fixture(scope="module")
def context() -> Candles:
    return load_candles("sp500").split_at("2017-12-29")[0].context(256)


@pytest.mark.parametrize("rule", ["sma_cross.py:SmaCross", "turtle.py:Turtle", "volatility_target.py:VolatilityTarget"])
@pytest.mark.parametrize("broker", [Broker(fees=0.001, slippage=0.0005), Broker(fees=0.001, leverage=2.0, borrow=0.05)])
def test_a_backtest_earns_the_same_in_any_unit_of_price(context: Candles, rule: str, broker: Broker) -> None:
    strategy = expand(StrategyUse(use=str(ROOT / "strategies" / rule)), ROOT)[0]
    large, small = (
        run_backtest(strategy, bars, paths_of(bars), broker, bars_per_year=252).metrics
        for bars in (context, scaled(context, TINY))
    )
    assert large["trades"].sum() > 0
    # paths are float32: a power of two moves their exponent alone
    pd.testing.assert_frame_equal(small, large, rtol=1e-6, atol=1e-9)


def test_published_price_levels_are_not_drowned_by_what_is_added_to_the_deviation(context: Candles) -> None:
    levels = Levels()
    large, small = (bars.values[None, :, :4] for bars in (context, scaled(context, TINY)))
    ours = levels.encode(small, levels.fit(small))[..., :4]
    theirs = levels.encode(large, levels.fit(large))[..., :4]
    # what is added is under 1e-5 / .1 of the deviation of the rescaled prices, as it is of prices from 1 to 10
    np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3)
    assert 0.9 < ours[..., 3].std() < 1.1
    back = levels.decode(ours, small[:, -1, 3], prices_of(levels.fit(small)))
    np.testing.assert_allclose(back[..., :4], small, rtol=1e-5)


def prices_of(scale: Scale) -> Scale:
    return replace(scale, center=scale.center[:, :4], spread=scale.spread[:, :4], least=scale.least[:, :4])


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e5])
def test_usual_prices_are_encoded_as_upstream_does(context: Candles, unit: float) -> None:
    values = (context.values[None, :, :4] * unit).astype(np.float32)
    scale = Levels().fit(values)
    np.testing.assert_array_equal(scale.least, np.full((1, 6), np.float32(1e-5)))


def test_paths_that_fall_or_rise_beyond_reckoning_are_rejected_and_counted(context: Candles) -> None:
    paths = paths_of(context)
    values = paths.values.copy()
    values[3, 20:, :4] = 1e-12
    values[5, 20:, :4] = 1e38
    checked = CandleRules.of(context, paths.horizon).check(replace(paths, values=values), "repair", measured=0)
    rows = {row.rule: row for row in checked.tally.rules}
    assert set(paths.path_ids.tolist()) - set(checked.paths.path_ids.tolist()) == {3, 5}
    assert len(mend_paths(replace(paths, values=values))) == len(paths) - 2
    assert rows["V1"].title == "every price is a finite number, at most 1e+15"
    assert rows["V2"].title == "every price is above zero, at least 1e-11"


def test_one_move_in_a_still_series_is_no_ground_for_filtered_simulation() -> None:
    close = np.full(256, 100.0)
    close[200:] = 101.0
    stamps = pd.bdate_range("2017-01-02", periods=256)
    candles = load_candles(pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close), index=stamps))
    with pytest.raises(DataError, match=r"moves by \d+ of the deviations before it"):
        FilteredPaths().sample(candles, pd.bdate_range("2018-01-01", periods=40), Draws.block(0, 0, 8))


def test_filtered_simulation_takes_markets_with_their_crashes() -> None:
    history = load_candles("sp500")
    for end in range(400, len(history), 250):
        FilteredPaths().sample(
            history.rows(end - 256, end), history.timestamps[end - 2 : end], Draws.block(0, 0, 2)
        )  # none is refused


@pytest.mark.parametrize(("cash", "fees"), [(1e-46, 0), (0, 0), (1e16, 0), (1000, 10**400)])
def test_money_beyond_reckoning_is_refused_where_it_is_written(cash: float, fees: int) -> None:
    with pytest.raises(SpecError, match=r"broker\.(cash|fees): got .*, expected a number"):
        section_of(Broker, {"cash": float(cash), "fees": fees}, "broker")


def test_a_cost_that_no_float_holds_is_left_to_be_refused() -> None:
    assert in_numbers({"fees": "x2"}, {"fees": 10**400}) == {"fees": "x2"}
