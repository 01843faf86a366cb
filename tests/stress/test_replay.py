"""Crises in the bars of another market: units, candles, dates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.errors import DataError, SpecError
from scenario_gen.market import Candles, load_candles
from scenario_gen.stress.crises import LIBRARY, Replay
from scenario_gen.stress.replay import Replayed, recent_volatility, together


@pytest.fixture(scope="module")
def sp500() -> Candles:
    return load_candles("sp500")


@pytest.fixture(scope="module")
def nasdaq() -> Candles:
    return load_candles("nasdaq")


def hourly(count: int = 300, volatility: float = 0.01, seed: int = 5) -> Candles:
    """Bars around the clock with volume and the money that changed hands."""
    rng = np.random.default_rng(seed)
    close = 40_000 * np.exp(np.cumsum(rng.normal(0, volatility, count)))
    opened = np.concatenate((close[:1], close[:-1]))
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    volume = np.exp(rng.normal(8, 0.3, count))
    amount = volume * (opened + high + low + close) / 4
    stamps = pd.date_range("2024-02-01", periods=count, freq="h", tz="UTC")
    fields = ("open", "high", "low", "close", "volume", "amount")
    values = np.stack((opened, high, low, close, volume, amount), axis=1)
    return Candles(stamps, values, fields, "coin", calendar="24/7")


@pytest.mark.parametrize("crisis", [crisis.id for crisis in LIBRARY])
def test_a_crisis_replayed_in_its_own_market_is_what_happened(crisis: str, sp500: Candles) -> None:
    # Its own volatility is its unit, its own volume its mean, its own sessions the calendar: the same bars again.
    dates = next(one for one in LIBRARY if one.id == crisis)
    history, later = sp500.split_at(dates.before)
    bars = sg.replay(history, crisis)
    np.testing.assert_allclose(bars.values[:, :4], later.values[: len(bars), :4], rtol=1e-12)
    np.testing.assert_allclose(bars.values[:, 4], later.values[: len(bars), 4], rtol=1e-9)
    assert bars.timestamps.equals(later.timestamps[: len(bars)])


def test_returns_are_the_same_number_of_volatilities_in_both_markets(sp500: Candles) -> None:
    history, later = sp500.split_at("2008-09-12")
    coin = hourly()
    bars = sg.replay(coin, "lehman")
    theirs = np.diff(np.log(later.close[:49]), prepend=np.log(history.close[-1])) / recent_volatility(history)
    ours = np.diff(np.log(bars.close), prepend=np.log(coin.close[-1])) / recent_volatility(coin)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_every_crisis_of_both_indices_is_valid_candles_in_any_market(sp500: Candles) -> None:
    for source in ("sp500", "nasdaq"):
        for crisis in LIBRARY:
            for history in (hourly(), sp500):
                values = sg.replay(history, crisis.id, source=source).values  # type: ignore[arg-type]
                opened, high, low, close = values[:, :4].T
                assert np.isfinite(values).all()
                assert (low > 0).all()
                assert (high >= np.maximum(opened, close)).all()
                assert (low <= np.minimum(opened, close)).all()
                assert (values[:, 4] > 0).all()


def test_raw_leaves_returns_as_they_were(nasdaq: Candles) -> None:
    later = nasdaq.split_at("2008-09-12")[1]
    bars = sg.replay(hourly(), "lehman", source="nasdaq", scale="raw")
    np.testing.assert_allclose(bars.close[1:] / bars.close[:-1], later.close[1:49] / later.close[:48], rtol=1e-12)


@pytest.mark.parametrize(("volatility", "factor"), [(0.2, 4.0), (0.0005, 0.25)])
def test_the_factor_is_held_between_a_quarter_and_four_and_says_so(volatility: float, factor: float) -> None:
    replayed = Replayed.of(Replay(crisis="lehman"), hourly(volatility=volatility))
    assert (replayed.factor, replayed.capped) == (factor, True)
    assert not Replayed.of(Replay(crisis="lehman"), hourly()).capped


def test_volume_keeps_its_distance_from_its_own_mean(sp500: Candles) -> None:
    history, later = sp500.split_at("2008-09-12")
    coin = hourly()
    bars = sg.replay(coin, "lehman")
    theirs = np.log(later.column("volume")[:49]) - np.log(history.column("volume")[-60:]).mean()
    ours = np.log(bars.column("volume")) - np.log(coin.column("volume")[-60:]).mean()
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    money = bars.column("volume") * bars.values[:, :4].mean(axis=1)
    np.testing.assert_allclose(bars.column("amount"), money, rtol=1e-9)  # as in its own history


def test_without_volume_there_is_none(sp500: Candles) -> None:
    prices = replace(sp500, values=sp500.values[:, :4], fields=sp500.fields[:4])
    assert sg.replay(prices, "brexit").fields == ("open", "high", "low", "close")


def test_dates_are_those_of_the_users_calendar(sp500: Candles) -> None:
    coin = hourly()
    assert sg.replay(coin, "brexit").timestamps.equals(pd.date_range(coin.timestamps[-1], periods=3, freq="h")[1:])
    independence = sg.replay(sp500.split_at("2017-06-30")[0], "brexit").timestamps
    assert [stamp.isoformat()[:10] for stamp in independence] == ["2017-07-03", "2017-07-05"]


def test_declared_moves_are_closes_without_gaps_or_wicks() -> None:
    moves = (-0.076, 0.049, -0.049, -0.095, 0.093)
    coin = hourly()
    replayed = Replayed.of(Replay(moves=moves), coin)
    bars = replayed.after(coin, pd.date_range(coin.timestamps[-1], periods=6, freq="h")[1:])
    np.testing.assert_allclose(bars.close, coin.close[-1] * np.cumprod(1 + np.array(moves)), rtol=1e-12)
    np.testing.assert_allclose(bars.column("open")[1:], bars.close[:-1], rtol=1e-12)
    np.testing.assert_allclose(bars.column("high"), np.maximum(bars.column("open"), bars.close), rtol=1e-12)
    usual = np.exp(np.log(coin.column("volume")[-60:]).mean())
    np.testing.assert_allclose(bars.column("volume"), usual, rtol=1e-12)


def test_a_history_and_its_replay_are_one_history() -> None:
    coin = hourly()
    bars = sg.replay(coin, "brexit")
    both = together(coin, bars)
    assert len(both) == 302
    np.testing.assert_array_equal(both.values[-2:], bars.values)


def test_a_market_that_stands_still_has_no_unit() -> None:
    still = hourly()
    still = replace(still, values=np.repeat(still.values[:1], len(still), axis=0))
    with pytest.raises(DataError, match="the last 60 returns of coin move by less than"):
        sg.replay(still, "lehman")
    assert len(sg.replay(still, "lehman", scale="raw")) == 49


def test_mistakes_of_python_are_told_as_those_of_a_spec() -> None:
    with pytest.raises(SpecError, match=r"replay\.crisis: got 'lehmann'.*did you mean 'lehman'\?"):
        sg.replay(hourly(), "lehmann")
    with pytest.raises(SpecError, match=r"replay\.source: got 'dax', expected sp500 or nasdaq"):
        sg.replay(hourly(), "lehman", source="dax")  # type: ignore[arg-type]
