"""What an exchange asks of orders: T+1, duties on sales, and price limits at which nobody takes the other side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vectorbt

from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import run_backtest, trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.ledger import ledger_signals
from scenario_gen.backtest.orders import Outcome, Quotes, SignalOrders, WeightOrders
from scenario_gen.backtest.simulate import run_weights
from scenario_gen.errors import StrategyError
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.market.section import Market

NAN = float("nan")
STILL = np.array([[100.0, 100.0, 100.0, 100.0, 1000.0]] * 3)  # [bar, ohlcv]


def daily(make_market: Any, *bars: tuple[float, float, float, float]) -> Any:
    """One path of daily bars (open, high, low, close) after three still ones at 100."""
    return make_market(values=[[(*bar, 1000.0) for bar in bars]], context=STILL)


def rows(count: int, *at: int) -> np.ndarray:
    """True at these rows; row 2 is filled at the path's first open, row 3 at its second."""
    array = np.zeros((3 + count, 1), dtype=bool)
    array[list(at)] = True
    return array


def traded(result: Any) -> list[tuple[int, float, int, float]]:
    trades = result.trades
    return [
        (int(row.entry_bar), round(row.entry_price, 4), int(row.exit_bar), round(row.exit_price, 4))
        for row in trades[~trades["open"]].itertuples()
    ]


DAYS = ((100, 101, 90, 95), (96, 97, 94, 95), (88, 89, 87, 88))  # the stop at 95 is met at once, and by later gaps


def test_a_stop_in_the_bar_of_purchase_waits_for_the_next_session(make_market: Any, told: Any, loaded: Any) -> None:
    """Bought at 100 with a stop at 97: on T+0 sold at 97 the same day; on T+1 at 96, where the next day opens."""
    market = daily(make_market, *DAYS)
    strategy = loaded(told(rows(3, 2), rows(3), extra={"stop_loss": 0.03}))
    same_day, next_day = (
        run_backtest(strategy, market.context, market.paths, Broker(t_plus=t_plus), bars_per_year=252)
        for t_plus in (0, 1)
    )
    assert traded(same_day) == [(0, 100.0, 0, 97.0)]
    assert traded(next_day) == [(0, 100.0, 1, 96.0)]
    assert same_day.metrics["held_sales"].isna().all()
    assert next_day.metrics["held_sales"].tolist() == [1.0]


def test_a_target_in_the_bar_of_purchase_is_gone_when_the_next_session_does_not_reach_it(
    make_market: Any, told: Any, loaded: Any
) -> None:
    market = daily(make_market, (100, 106, 99, 101), (101, 103, 100, 102), (102, 105, 101, 104))
    strategy = loaded(told(rows(3, 2), rows(3), extra={"take_profit": 0.04}))
    result = run_backtest(strategy, market.context, market.paths, Broker(t_plus=1), bars_per_year=252)
    assert traded(result) == [(0, 100.0, 2, 104.0)]  # not the 106 of the first day, and not before the third
    assert result.metrics["held_sales"].tolist() == [1.0]


def test_what_was_bought_yesterday_may_be_sold_and_bought_back_today(make_market: Any, told: Any, loaded: Any) -> None:
    """Signals of daily bars are a session apart: T+1 changes nothing of them."""
    market = make_market(paths=4, bars=20, seed=3)
    rng = np.random.default_rng(0)
    strategy = loaded(told(*(rng.random((2, len(market.context) + 20, 4)) < 0.3)))
    free, bound = (
        run_backtest(strategy, market.context, market.paths, Broker(t_plus=t, fee_minimum=1e-9), bars_per_year=252)
        for t in (0, 1)
    )
    assert np.array_equal(free.equity, bound.equity)
    assert bound.metrics["held_sales"].tolist() == [0.0] * 4


@pytest.fixture(scope="module")
def hourly() -> tuple[Ground, PathSet]:
    """Sessions of three bars; a path of two sessions after a context of three: prices 1 higher each bar from 100 on."""
    days = pd.bdate_range("2024-01-01", periods=5)
    stamps = pd.DatetimeIndex([day + pd.Timedelta(hours=hour) for day in days for hour in (10, 11, 12)])
    price = np.concatenate([np.full(9, 100.0), 100.0 + np.arange(6)])
    bars = np.stack([price] * 4, axis=1)
    context = Candles(stamps[:9], bars[:9], ("open", "high", "low", "close"))
    paths = PathSet(
        bars[None, 9:].astype(np.float32), ("open", "high", "low", "close"), stamps[9:], np.zeros(1, np.int64), 100.0
    )
    ground = Ground.of(context, bars_per_year=756.0, broker=Broker(t_plus=1))
    return replace(ground, calendar=BarCalendar.infer(stamps[:9])), paths


def at(*bars: int) -> np.ndarray:
    """True where an order is filled at these bars of the path, after a context of nine."""
    array = np.zeros((15, 1), dtype=bool)
    array[[8 + bar for bar in bars]] = True
    return array


def test_an_intraday_exit_goes_on_at_the_first_fill_of_the_next_session(
    hourly: tuple[Ground, PathSet], told: Any, loaded: Any
) -> None:
    """Bought at bar 0 for 100; the exit of bar 1 (101) is filled at bar 3 (103), which opens the next session."""
    ground, paths = hourly
    strategy = loaded(told(at(0), at(1)))
    free = trade(strategy, replace(ground, broker=Broker()), paths)
    bound = trade(strategy, ground, paths)
    assert traded(free) == [(0, 100.0, 1, 101.0)]
    assert traded(bound) == [(0, 100.0, 3, 103.0)]
    assert bound.metrics["held_sales"].tolist() == [1.0]  # counted once, though it waited for two bars
    assert bound.equity[0].tolist() == pytest.approx([1e5, 1e5, 1.01e5, 1.02e5, 1.03e5, 1.03e5, 1.03e5])


def by_weights(weights: list[float]) -> Outcome:
    """Rebalance at the opens of two sessions of three bars, 100 to 105, under T+1; NaN leaves a position as it is."""
    price = (100.0 + np.arange(6))[:, None]
    opens = np.array([True, False, False] * 2)[:, None]
    quotes = Quotes(price, price, price, price, opens=opens)
    return run_weights(quotes, WeightOrders(np.array(weights)[:, None]), Broker(t_plus=1), 252)


def test_weights_sell_only_what_was_there_before_the_session() -> None:
    """500 units are bought at bar 0 and 485.44 more at bar 3, for all of 101,500; bar 4 sells the 500 alone."""
    outcome = by_weights([0.5, NAN, NAN, 1.0, 0.0, NAN])
    assert outcome.orders.bar.tolist() == [0, 3, 4]
    assert outcome.orders.size.tolist() == pytest.approx([500, 101_500 / 103 - 500, -500])
    assert outcome.held is not None
    assert outcome.held.tolist() == [1.0]


def test_a_sale_of_weights_that_was_held_back_is_made_when_the_next_session_opens() -> None:
    """1000 units bought at bar 0; their sale is wanted at bar 1 and made at bar 3, though nothing is wanted there."""
    outcome = by_weights([1.0, 0.0, NAN, NAN, NAN, NAN])
    assert outcome.orders.bar.tolist() == [0, 3]
    assert outcome.orders.size.tolist() == [1000, -1000]
    assert outcome.account.equity[0, -1] == 103_000
    assert outcome.held is not None
    assert outcome.held.tolist() == [1.0]


def test_a_sale_that_was_held_back_is_forgotten_when_something_else_is_wanted() -> None:
    assert by_weights([1.0, 0.0, 1.0, NAN, NAN, NAN]).orders.bar.tolist() == [0]


def test_a_short_may_be_bought_back_the_same_day(make_market: Any, told: Any, loaded: Any) -> None:
    """T+1 is about selling what was bought: a stop of a short is a purchase."""
    market = daily(make_market, (100, 104, 99, 101), (101, 103, 100, 102))
    none = rows(2)
    strategy = loaded(told(none, none, rows(2, 2), none, extra={"stop_loss": 0.03}))
    result = run_backtest(strategy, market.context, market.paths, Broker(t_plus=1), bars_per_year=252)
    assert traded(result) == [(0, 100.0, 0, 103.0)]


def naive(bars: np.ndarray, entries: np.ndarray, exits: np.ndarray, stop: float, broker: Broker) -> float:
    """Return the last equity of one path, written anew without the ledger: next open, long only, daily bars, T+1."""
    cash, units, entry, bought = broker.cash, 0.0, 0.0, -1

    def sell(price: float) -> None:
        nonlocal cash, units
        value = units * price
        cash += value - max(broker.fees * value, broker.fee_minimum) - broker.sell_fees * value
        units = 0.0

    for bar, (opened, _, low, _) in enumerate(bars):
        enter, leave = entries[bar] and not exits[bar], exits[bar] and not entries[bar]
        if units and leave and bar > bought:
            sell(opened)
        if not units and enter:
            value = max(min(cash / (1 + broker.fees), cash - broker.fee_minimum), 0.0)
            units, entry, bought = value / opened, opened, bar
            cash -= value + max(broker.fees * value, broker.fee_minimum)
        if units and bar > bought and low <= entry * (1 - stop):
            sell(min(opened, entry * (1 - stop)))
    return float(cash + units * bars[-1][3])


@pytest.mark.parametrize("seed", range(3))
def test_t_plus_1_with_a_minimum_fee_and_a_duty_is_what_a_plain_loop_makes_of_it(
    make_market: Any, told: Any, loaded: Any, seed: int
) -> None:
    market = make_market(paths=12, bars=40, seed=seed, volatility=0.04)
    rng, shape = np.random.default_rng(seed), (len(market.context) + 40, 12)
    entries, exits = rng.random(shape) < 0.4, rng.random(shape) < 0.1
    broker = Broker(cash=1e4, fees=0.0003, fee_minimum=5.0, sell_fees=0.0005, t_plus=1)
    strategy = loaded(told(entries, exits, extra={"stop_loss": 0.02}))
    result = run_backtest(strategy, market.context, market.paths, broker, bars_per_year=252)
    filled = slice(len(market.context) - 1, -1)
    bars = np.stack([market.future(name) for name in ("open", "high", "low", "close")], axis=2)
    expected = [naive(bars[p], entries[filled, p], exits[filled, p], 0.02, broker) for p in range(12)]
    assert result.metrics["held_sales"].sum() > 0
    np.testing.assert_allclose(result.equity[:, -1], expected, rtol=2e-7)  # equity is kept as float32


def test_a_duty_on_sales_costs_what_vectorbt_takes_at_the_bars_of_sales(make_market: Any) -> None:
    """vectorbt takes fees by bar: 0.0003 where it buys, 0.0008 where it sells, on the same entries and exits."""
    market = make_market(paths=6, bars=40, seed=5)
    opened, close = (np.ascontiguousarray(market.future(name).T) for name in ("open", "close"))
    entries, exits = np.zeros((2, 40, 6), dtype=bool)
    entries[::6], exits[3::6] = True, True
    nan = np.full(close.shape, np.nan)
    wanted = SignalOrders(entries, exits, *np.zeros((2, 40, 6), dtype=bool), np.ones(close.shape), nan, nan, False)
    broker = Broker(fees=0.0003, sell_fees=0.0005)
    quotes = Quotes(opened, *(np.ascontiguousarray(market.future(name).T) for name in ("high", "low")), close)
    ours = ledger_signals(quotes, wanted, broker, 252)[0].outcome().account
    theirs = vectorbt.Portfolio.from_signals(
        pd.DataFrame(close), entries, exits, price=opened, fees=np.where(exits, 0.0008, 0.0003), init_cash=broker.cash
    )
    np.testing.assert_allclose(ours.equity[:, 1:], theirs.value().to_numpy().T, rtol=1e-12)


def test_a_short_sale_pays_the_duty_out_of_its_budget(make_market: Any, told: Any, loaded: Any) -> None:
    """Value and fee of 10,000: 10,000 / 1.02 sold for 98.039 units at 100; bought back at 90 without a duty."""
    market = daily(make_market, (100, 100, 100, 100), (90, 90, 90, 90))
    none = rows(2)
    strategy = loaded(told(none, none, rows(2, 2), rows(2, 3)))
    broker = Broker(cash=10_000, fees=0.01, sell_fees=0.01)
    result = run_backtest(strategy, market.context, market.paths, broker, bars_per_year=252)
    units = 10_000 / 1.02 / 100
    assert result.equity[0, -1] == pytest.approx(10_000 + units * (10 - 0.02 * 100 - 0.01 * 90), rel=1e-7)


def limited(market: Any, broker: Broker, limit: float = 0.1, tick: float | None = 0.01) -> Ground:
    return replace(market.ground(broker), market=Market(price_limit=limit, tick_size=tick))


WAIT = Broker(at_limit="wait")


def test_nobody_sells_at_the_upper_limit_and_an_entry_waits_for_another_price(
    make_market: Any, told: Any, loaded: Any
) -> None:
    """110 and 121 are limits up after 100 and 110; the third day opens at 125, within 10 % of 121."""
    market = daily(make_market, (110,) * 4, (121,) * 4, (125,) * 4)  # type: ignore[arg-type]
    strategy = loaded(told(rows(3, 2), rows(3)))
    result = trade(strategy, limited(market, WAIT), market.paths)
    assert result.trades["entry_bar"].tolist() == [2]
    assert result.trades["entry_price"].tolist() == [125.0]
    assert result.metrics["waited_orders"].tolist() == [2.0]
    assert trade(strategy, limited(market, Broker()), market.paths).trades["entry_bar"].tolist() == [0]


def test_nobody_buys_at_the_lower_limit_and_a_stop_waits(make_market: Any, told: Any, loaded: Any) -> None:
    """Bought at 100; two days locked at 90 and 81, the fourth opens at 78: there alone the stop at 95 is filled."""
    market = daily(make_market, (100,) * 4, (90,) * 4, (81,) * 4, (78,) * 4)  # type: ignore[arg-type]
    strategy = loaded(told(rows(4, 2), rows(4), extra={"stop_loss": 0.05}))
    result = trade(strategy, limited(market, WAIT), market.paths)
    assert traded(result) == [(0, 100.0, 3, 78.0)]
    assert result.metrics["waited_orders"].tolist() == [2.0]


def test_the_limit_is_rounded_half_up_to_whole_ticks(make_market: Any, told: Any, loaded: Any) -> None:
    """10 % up from 100.05 is 110.055, which is 110.06: at 110.05 there is somebody who sells."""
    for price, bar in ((110.05, 1), (110.06, 2)):
        market = daily(make_market, (100.05,) * 4, (price,) * 4, (100.0,) * 4)  # type: ignore[arg-type]
        result = trade(loaded(told(rows(3, 3), rows(3))), limited(market, WAIT), market.paths)
        assert result.trades["entry_bar"].tolist() == [bar]


def test_intraday_limits_are_those_of_the_session(hourly: tuple[Ground, PathSet], told: Any, loaded: Any) -> None:
    """2 % from 100 on the first day: bar 2 opens at 102, the limit; bar 3 at 103, within 2 % of the close at 102."""
    ground, paths = hourly
    ground = replace(ground, broker=WAIT, market=Market(price_limit=0.02))
    result = trade(loaded(told(at(2), at())), ground, paths)
    assert result.trades["entry_bar"].tolist() == [3]


@pytest.mark.parametrize("broker", [Broker(t_plus=1), WAIT], ids=["t_plus", "at_limit"])
def test_a_strategy_that_fills_its_own_orders_is_refused(make_market: Any, loaded: Any, broker: Broker) -> None:
    class Own:
        def portfolio(self, bars: Any, broker: Any) -> Any:
            raise AssertionError("it is refused before it is asked")

    market = make_market(paths=2, bars=5)
    with pytest.raises(StrategyError, match="fills its own orders") as refused:
        trade(loaded(Own()), limited(market, broker), market.paths)
    assert "broker.t_plus: 0" in str(refused.value)
