"""Shocks in the last bars of a context: what they change, what they leave, and in which units a model reads them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenario_gen.generators.draws import Draws
from scenario_gen.generators.kronos import KronosPaths
from scenario_gen.generators.recalibrated import in_units_of
from scenario_gen.generators.rescaled import DriftNeutral
from scenario_gen.kronos import Checkpoint
from scenario_gen.kronos.sampling import SamplingRule
from scenario_gen.market import Candles, load_candles
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.stress.crises import ContextShock
from scenario_gen.stress.shocked import shocked


@pytest.fixture(scope="module")
def history() -> Candles:
    return load_candles("sp500").split_at("2017-06-30")[0].context(60)


def prices(bars: Candles) -> np.ndarray:
    return bars.values[:, :4]


def test_a_gap_moves_the_bar_that_it_opens_and_all_after_it(history: Candles) -> None:
    after = shocked(history, [ContextShock(kind="gap", size=-0.1, bars_back=3)])
    np.testing.assert_array_equal(after.values[:-3], history.values[:-3])
    np.testing.assert_allclose(prices(after)[-3:], 0.9 * prices(history)[-3:], rtol=1e-12)
    np.testing.assert_array_equal(after.column("volume"), history.column("volume"))


def test_a_gap_and_its_inverse_leave_nothing(history: Candles) -> None:
    pair = [ContextShock(kind="gap", size=-0.2), ContextShock(kind="gap", size=0.25)]
    np.testing.assert_allclose(shocked(history, pair).values, history.values, rtol=1e-12)
    assert shocked(history, []) is history


def test_volatility_multiplies_every_move_and_wick_from_there_on(history: Candles) -> None:
    after = shocked(history, [ContextShock(kind="volatility", times=3.0, bars_back=5)])
    np.testing.assert_allclose(after.log_steps[-5:], 3 * history.log_steps[-5:], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(after.values[:-5], history.values[:-5])
    assert (after.column("volume")[-5:] >= history.column("volume")[-5:]).all()  # it follows ranges
    opened, high, low, close = prices(after).T
    assert (high >= np.maximum(opened, close)).all()
    assert (low <= np.minimum(opened, close)).all()


def test_a_drift_adds_up_to_its_total(history: Candles) -> None:
    after = shocked(history, [ContextShock(kind="drift", total=-0.15, bars_back=10)])
    assert after.close[-1] == pytest.approx(0.85 * history.close[-1])
    np.testing.assert_allclose(after.column("open")[-10], history.column("open")[-10])


def test_liquidity_is_of_volume_alone_and_money_follows(history: Candles) -> None:
    money = history.column("volume") * prices(history).mean(axis=1)
    fields = (*history.fields, "amount")
    rich = replace(history, values=np.column_stack((history.values, money)), fields=fields)
    after = shocked(
        rich, [ContextShock(kind="liquidity", volume=0.2, bars_back=2), ContextShock(kind="gap", size=-0.1)]
    )
    np.testing.assert_allclose(after.column("volume")[-2:], 0.2 * history.column("volume")[-2:])
    np.testing.assert_allclose(after.column("amount")[-2:], money[-2:] * 0.2 * np.array([1, 0.9]), rtol=1e-9)


@pytest.fixture(scope="module")
def kronos(tiny_checkpoint: Checkpoint) -> KronosPaths:
    return KronosPaths.of(tiny_checkpoint, SamplingRule(1.0, 1.0, 0), device="cpu")


def test_frozen_units_are_those_of_the_context_without_the_shock(kronos: KronosPaths, history: Candles) -> None:
    after = shocked(history, [ContextShock(kind="gap", size=-0.1)])
    stamps = BarCalendar.infer(history.timestamps, "XNYS").future(5)
    draws = Draws.block(1, 0, 6)
    refit = kronos.sample(after, stamps, draws).values
    frozen = in_units_of(DriftNeutral(kronos), history)
    assert isinstance(frozen, DriftNeutral)
    calm = frozen.inner.sample(after, stamps, draws).values
    # A jump J among W bars moves their root mean square from s to sqrt(s^2 + J^2 / W): tokens of the same steps differ.
    assert not np.array_equal(calm, refit)
    scale = kronos.checkpoint.representation.fit(history.values[None])
    np.testing.assert_array_equal(frozen.inner._units(after, len(after)).spread, scale.spread)
    jump, usual = np.log(0.9) + history.log_steps[-1, 3], history.volatility
    others = usual**2 - history.log_steps[-1, 3] ** 2 / 59
    assert after.volatility == pytest.approx(np.sqrt(others + jump**2 / 59))


def test_lent_units_are_for_contexts_of_the_same_stamps_alone(kronos: KronosPaths, history: Candles) -> None:
    stamps = BarCalendar.infer(history.timestamps, "XNYS").future(5)
    draws = Draws.block(1, 0, 6)
    own = kronos.sample(history, stamps, draws).values
    np.testing.assert_array_equal(kronos.in_units_of(history).sample(history, stamps, draws).values, own)
    earlier = history.rows(0, 50)
    louder = shocked(history, [ContextShock(kind="volatility", times=5, bars_back=50)])
    ahead = history.timestamps[50:55]
    there = kronos.sample(earlier, ahead, draws).values
    np.testing.assert_array_equal(kronos.in_units_of(louder).sample(earlier, ahead, draws).values, there)


def test_bars_beyond_what_a_model_reads_are_told(kronos: KronosPaths, history: Candles) -> None:
    frozen = kronos.in_units_of(history)
    assert not frozen.unread(history).any()
    # Log volume is cut off at 5 of its spreads: a millionth of it is far beyond in any stretch of the S&P 500.
    dry = shocked(history, [ContextShock(kind="liquidity", volume=1e-6, bars_back=2)])
    np.testing.assert_array_equal(np.flatnonzero(frozen.unread(dry)), [58, 59])
