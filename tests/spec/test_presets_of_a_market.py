"""Market rules by name: what a preset fills, what stays as it was written, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import run_backtest
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.strategy import Bars, Signals
from scenario_gen.cli.specs import summary
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.market.presets import PRESETS, a_share_limit, fx_tick
from scenario_gen.market.section import Data, Market
from scenario_gen.spec import LoadedSpec
from scenario_gen.spec.loader import spec_schema

Load = Callable[[str], LoadedSpec]
SECTIONS = {"data": Data, "market": Market, "broker": Broker}


@pytest.mark.parametrize("name", PRESETS)
def test_every_rule_of_a_preset_is_a_field_and_a_value_that_it_takes(load: Load, start: str, name: str) -> None:
    (only,) = load(start + f"market: {{preset: {name}}}\n").spec.scenarios
    told = {each.field: each.value for each in only.filled}
    assert [*told] == [f"{rule.section}.{rule.field}" for rule in PRESETS[name].rules]
    for rule in PRESETS[name].rules:
        assert getattr(getattr(only, rule.section), rule.field) == told[f"{rule.section}.{rule.field}"]
    assert all(each.source and each.dated[-10:] <= PRESETS[name].as_of for each in only.filled)


def test_a_share_is_what_shanghai_and_shenzhen_ask(load: Load, start: str) -> None:
    (only,) = load(start + "market: {preset: a_share}\n").spec.scenarios
    assert only.data.calendar == "XSHG"
    assert only.market == Market(preset="a_share", tick_size=0.01, price_limit=0.1)
    assert only.broker == Broker(
        fees=0.00031, fee_minimum=5, sell_fees=0.0005, lot=100, t_plus=1, at_limit="wait", shorts=False
    )


def test_what_is_written_stays_and_null_takes_a_rule_away(load: Load, start: str) -> None:
    text = start.replace("end:", "calendar: XNYS, end:") + "market: {preset: a_share, price_limit: null}\n"
    text += "broker: {t_plus: 0, lot: null, fees: 2bp}\n"
    (only,) = load(text).spec.scenarios
    assert (only.data.calendar, only.market.price_limit, only.broker.lot) == ("XNYS", None, None)
    assert (only.broker.t_plus, only.broker.fees, only.broker.sell_fees) == (0, 0.0002, 0.0005)
    written = {"data.calendar", "market.price_limit", "broker.lot", "broker.t_plus", "broker.fees"}
    assert written.isdisjoint(each.field for each in only.filled)


def test_a_scenario_has_its_own_preset_and_multiplies_what_the_base_s_filled(load: Load, start: str) -> None:
    text = start + "market: {preset: a_share}\nscenarios: [{name: a},\n"
    text += "  {name: dear, broker: {fees: x3, sell_fees: x2}}, {name: us, market: {preset: us_equity}},\n"
    text += "  {name: other, data: {source: nasdaq}}]\n"
    a, dear, us, other = load(text).spec.scenarios
    assert (a.broker.fees, dear.broker.fees, dear.broker.sell_fees) == (0.00031, 0.00093, 0.001)
    assert (us.market.preset, us.market.price_limit, us.broker) == ("us_equity", None, Broker(sell_fees=0.0000206))
    assert (other.market, other.broker, other.filled) == (Market(), Broker(), ())  # another history has its own market


def test_assets_have_presets_of_their_own(load: Load, start: str) -> None:
    text = start.replace("data: {source: sp500, end: 2017-06-30}", "data: {end: 2017-06-30}")
    text += "assets: [{name: a, source: sp500, market: {preset: a_share}}, {name: b, source: nasdaq}]\n"
    a, b = load(text).spec.scenarios
    assert (a.broker.t_plus, a.broker.lot, a.data.calendar) == (1, 100, "XSHG")
    assert (b.broker, b.market, b.data.calendar) == (Broker(), Market(), None)


def test_without_a_preset_nothing_is_filled(load: Load, start: str) -> None:
    (only,) = load(start + "market: {tick_size: 0.01}\n").spec.scenarios
    assert (only.filled, only.broker, only.data.calendar) == ((), Broker(), None)


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        ({"symbol": "600519"}, 0.1),
        ({"symbol": "sh688981"}, 0.2),
        ({"symbol": "300750.SZ"}, 0.2),
        ({"name": "SZ301001"}, 0.2),
        ({"file": "bars/920819.BJ.csv"}, 0.3),
        ({"file": "bars/20240101.csv"}, 0.1),  # eight digits are a date
        ({}, 0.1),
    ],
)
def test_the_price_limit_is_that_of_the_board(data: Mapping[str, Any], limit: float) -> None:
    assert a_share_limit(data) == limit


@pytest.mark.parametrize(
    ("symbol", "tick"),
    [("EURUSD", 1e-5), ("USD/JPY", 1e-3), ("EURJPY=X", 1e-3), ("JPY=X", 1e-3), ("JPYUSD", 1e-5), ("", 1e-5)],
)
def test_a_pair_in_yen_has_a_larger_tick(symbol: str, tick: float) -> None:
    assert fx_tick({"symbol": symbol}) == tick


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "market: {preset: a_shares}",
            "demo.yaml:4: market.preset: got 'a_shares', expected a_share, us_equity, binance_spot or fx; did you mean "
            "'a_share'?",
        ),
        ("market: {preset: 1}", "demo.yaml:4: market.preset: got 1, expected text"),
        ("market: {preset: fx, tick_size: -1}", "demo.yaml:4: market.tick_size: got -1, expected a number above 0"),
        ("market: {preset: fx}\nbroker: {t_plus: 2}", "demo.yaml:5: broker.t_plus: got 2, expected 0 or 1"),
        ("broker: {at_limit: wait}", "demo.yaml:4: broker.at_limit: got wait, and there is no market.price_limit"),
        ("broker: {sell_fees: x2}", "demo.yaml:4: broker.sell_fees: got 'x2', which multiplies the base's cost"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    mistakes: Callable[[str], list[str]], start: str, lines: str, message: str
) -> None:
    (told,) = mistakes(start + lines + "\n")
    assert told.startswith(message)


def test_validate_shows_what_was_filled_with_date_and_source(load: Load, start: str) -> None:
    told = summary(load(start + "market: {preset: a_share, tick_size: 0.001}\n"))
    assert "  market    a_share: rules of shares of Shanghai, Shenzhen and Beijing, looked up on 2026-11-30\n" in told
    duty = "            broker.sell_fees 0.0005, since 2023-08-28: Ministry of Finance: stamp duty of 0.05 % on sales\n"
    assert duty in told
    assert "left out: no limit in the first five days of a listing" in told
    assert "tick_size" not in told
    assert "market    " not in summary(load(start))


def test_the_schema_lists_the_presets() -> None:
    assert spec_schema()["$defs"]["Market"]["properties"]["preset"]["anyOf"][0]["enum"] == [*PRESETS]


class DayTrader:
    """In at the first bar of each day, out at the second."""

    def signals(self, bars: Bars) -> Signals:
        hour = pd.DatetimeIndex(bars.close.index).hour.to_numpy()
        wish = {at: pd.DataFrame(np.tile((hour == at)[:, None], bars.close.shape[1])) for at in (10, 12)}
        frames = [each.set_axis(bars.close.index).set_axis(bars.close.columns, axis=1) for each in wish.values()]
        return Signals(frames[1], frames[0])  # filled at the bar after: at 10 and at 11


def test_who_trades_by_the_day_is_held_back_by_a_share_and_not_by_us_equity(load: Load, start: str) -> None:
    """Three bars a day: bought at each day's first, to be sold at its second, which T+1 makes the next day's first."""
    text = start + "scenarios: [{name: a, market: {preset: a_share, price_limit: null}, broker: {at_limit: fill}},\n"
    text += "  {name: us, market: {preset: us_equity}}]\n"
    a, us = load(text).spec.scenarios
    days = pd.bdate_range("2024-01-01", periods=7)
    stamps = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in (10, 11, 12)])
    price = np.full((21, 4), 10.0)
    fields = ("open", "high", "low", "close")
    context = Candles(stamps[:9], price[:9], fields)
    paths = PathSet(price[None, 9:].astype(np.float32), fields, stamps[9:], np.zeros(1, dtype=np.int64), 10.0)
    trader = LoadedStrategy("DayTrader", "here.py:DayTrader", {}, DayTrader(), None)  # type: ignore[arg-type]
    held, free = (run_backtest(trader, context, paths, one.broker, bars_per_year=756) for one in (a, us))
    assert free.trades[["entry_bar", "exit_bar"]].values.tolist() == [[bar, bar + 1] for bar in (0, 3, 6, 9)]
    assert free.metrics["held_sales"].isna().all()
    # sold at bar 3, where it is bought anew, to be held back anew
    assert held.trades[["entry_bar", "exit_bar"]].values.tolist()[:3] == [[0, 3], [3, 6], [6, 9]]
    assert held.metrics["held_sales"].tolist() == [4.0]
