"""Several assets in one account: by hand, against vectorbt, and against what is known of one asset."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vectorbt as vbt

from scenario_gen.backtest import Bars, Signals, Targets
from scenario_gen.backtest.book import BookGround, book_bars, trade_book
from scenario_gen.backtest.broker import AccountRules, Broker, Jitter
from scenario_gen.backtest.engine import equity_of, market_of, trade
from scenario_gen.backtest.orders import WeightOrders
from scenario_gen.backtest.simulate import run_weights
from scenario_gen.errors import SpecError, StrategyError
from scenario_gen.market.book import BookPaths
from scenario_gen.market.section import Market

ASSETS = ("spx", "ndx", "btc")
PLAIN = {name: Broker(cash=1e4) for name in ASSETS}
# Sums of some hundred float64 of the account's size: 1e-16 x 1e2 x 10.
EXACT = {"rtol": 1e-12, "atol": 1e-9}


@dataclass(frozen=True)
class Even:
    """An equal share of everything at every bar."""

    gross: float = 1.0

    def weights(self, bars: Bars) -> pd.DataFrame:
        return bars.close * 0.0 + self.gross / max(len(bars.assets), 1)


@dataclass(frozen=True)
class Seldom:
    """Half of equity now and then, where it is off by a percent."""

    band: float = 0.0

    def weights(self, bars: Bars) -> Targets:
        return Targets(bars.close * 0.0 + 0.5, every=4, band=self.band)


@dataclass(frozen=True)
class Crossing:
    """Long above a moving average, short below it, stopped."""

    stop: float = 0.03

    def signals(self, bars: Bars) -> Signals:
        above = bars.close > bars.close.rolling(5).mean()
        turned = above.shift(1, fill_value=False)
        return Signals(above & ~turned, ~above & turned, ~above & turned, above & ~turned, stop_loss=self.stop)


@dataclass(frozen=True)
class Once:
    """Long of everything at the first fill, with a stop."""

    def signals(self, bars: Bars) -> Signals:
        first = bars.close * 0 > 1
        first.iloc[bars.context_bars - 1] = True
        return Signals(first, first & False, stop_loss=0.04)


@dataclass(frozen=True)
class OwnPortfolio:
    """What ``Even`` does, in the hands of vectorbt."""

    shared: bool = True

    def portfolio(self, bars: Bars, broker: Broker) -> object:
        path = slice(bars.context_bars, None)
        groups = {"group_by": bars.close.columns.get_level_values("path_id"), "cash_sharing": True, "call_seq": "auto"}
        return vbt.Portfolio.from_orders(
            bars.close.iloc[path],
            size=1 / len(bars.assets),
            size_type="targetpercent",
            price=bars.open.iloc[path],
            init_cash=broker.cash,
            **(groups if self.shared else {}),
        )


def test_two_assets_with_different_costs_by_hand(make_book, loaded, given_weights):
    # Flat candles: each bar trades at one price. a: 100, 110, 110; b: 50, 50, 40.
    values = {
        name: np.repeat(np.array([[closes]], dtype=float).reshape(1, 3, 1), 4, axis=2)
        for name, closes in (("a", (100, 110, 110)), ("b", (50, 50, 40)))
    }
    brokers = {"a": Broker(cash=1000), "b": Broker(cash=1000, fees=0.01)}
    book = make_book(brokers, values=values, context=np.full((3, 4), 100.0))
    weights = np.array([[[0.5, 0.4]], [[0.5, 0.4]], [[0.0, 0.0]]])
    backtest = trade_book(loaded(given_weights(weights)), book.ground, book.paths)
    # Bar 0: 5 of a for 500, 8 of b for 400 and a fee of 4: cash 96, equity 996.
    # Bar 1: a at 110: equity 96 + 550 + 400 = 1046. Wanted 523 of a: sell 27 / 110; wanted 418.4 of b: buy 18.4 / 50,
    # fee .184. Cash 96 + 27 - 18.4 - .184 = 104.416, equity 1045.816.
    # Bar 2: b at 40: 418.4 / 50 = 8.368 units; sells of 523 and 334.72, the fee 3.3472. Equity: 104.416 + 523 + 334.72
    # - 3.3472 = 958.7888.
    np.testing.assert_allclose(backtest.result.equity, [[1000, 996, 1045.816, 958.7888]], rtol=1e-7)
    expected = [[[0, -4], [50, -0.184], [0, -83.68 - 3.3472]]]
    np.testing.assert_allclose(backtest.profit, expected, atol=1e-9)
    np.testing.assert_allclose(backtest.holding[0, :2], [[500 / 996, 400 / 996], [523 / 1045.816, 418.4 / 1045.816]])
    np.testing.assert_allclose(backtest.holding[0, 2], 0, atol=1e-12)
    trades = backtest.result.trades
    assert trades["asset"].tolist() == ["a", "b"]
    assert trades["fees"].tolist() == pytest.approx([0, 4 + 0.184 + 3.3472])
    assert trades["pnl"].sum() == pytest.approx(958.7888 - 1000)
    assert backtest.result.metrics["exposure"].iloc[0] == pytest.approx((900 / 996 + 941.4 / 1045.816) / 3)


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("leverage", [1.0, 2.0])
def test_a_book_of_weights_is_what_vectorbt_makes_of_each_path_alone(make_book, loaded, given_weights, fill, leverage):
    fees = np.array([0.0, 0.001, 0.003])
    brokers = {
        name: Broker(cash=1e4, fees=fee, slippage=fee / 2, fill=fill, leverage=leverage)
        for name, fee in zip(ASSETS, fees, strict=True)
    }
    book = make_book(brokers, seed=1)
    rng = np.random.default_rng(1)
    raw = rng.uniform(-1, 1, (20, 6, 3))
    # vectorbt borrows nothing: with a leverage above 1, whose book the ledger fills, no cash may be short
    weights = raw / np.abs(raw).sum(axis=2, keepdims=True) * (1.0 if leverage == 1 else 0.9)
    lag = 1 if fill == "next_open" else 0
    backtest = trade_book(loaded(given_weights(weights, lag)), book.ground, book.paths)
    price = book.future("open" if lag else "close")
    for path in range(6):
        alone = vbt.Portfolio.from_orders(
            book.future("close")[path],
            size=weights[:, path],
            size_type="targetpercent",
            direction="both",
            price=price[path],
            fees=fees[None],
            slippage=fees[None] / 2,
            init_cash=1e4,
            group_by=True,
            cash_sharing=True,
            call_seq="auto",
        )
        value = np.concatenate([[1e4], np.asarray(alone.value()).ravel()])
        np.testing.assert_allclose(backtest.result.equity[path], value, rtol=1e-6)  # float32
        np.testing.assert_allclose(backtest.profit[path].sum(axis=1), np.diff(value), **EXACT)
        held = np.asarray(alone.asset_value(group_by=False)) / value[1:, None]
        np.testing.assert_allclose(backtest.holding[path], held, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_ledger_and_vectorbt_make_the_same_of_a_book(make_book, seed):
    book, rng = make_book(PLAIN, seed=seed, volatility=0.15), np.random.default_rng(seed)
    bars = book_bars(book.ground, book.paths)
    market = market_of(bars, slice(bars.context_bars, None))
    raw = rng.uniform(-1, 1, (20, 6, 3)) * rng.integers(0, 2, (20, 6, 3))
    weights = (raw / np.maximum(np.abs(raw).sum(axis=2, keepdims=True), 1)).reshape(20, -1)
    costs = replace(book.ground.costs(6), fees=np.tile([0.0, 0.002, 0.01], 6))
    theirs = run_weights(market, WeightOrders(weights), book.ground.broker, 252, costs)
    ours = run_weights(market, WeightOrders(weights), book.ground.broker, 252, replace(costs, lot=np.full(18, np.nan)))
    np.testing.assert_allclose(ours.account.equity, theirs.account.equity, rtol=1e-10)
    np.testing.assert_allclose(ours.account.profit, theirs.account.profit, atol=1e-6)  # 1e-10 of the cash
    np.testing.assert_allclose(ours.account.traded, theirs.account.traded, atol=1e-6)
    for column in ("path_id", "side", "entry_bar", "exit_bar", "open"):
        assert ours.trades[column].tolist() == theirs.trades[column].tolist(), column
    np.testing.assert_allclose(ours.trades["pnl"], theirs.trades["pnl"], atol=1e-6)


FULL = {"fees": 0.001, "fee_minimum": 1.0, "slippage_range": 0.1, "borrow": 0.05, "lot": 0.1, "volume_share": 0.5}


@pytest.mark.parametrize("strategy", [Even(), Crossing(), Even(gross=-1.0), Seldom(), Seldom(0.01)])
@pytest.mark.parametrize("more", [{}, {"fees": 0.002, "slippage": 0.001}, {**FULL}, {**FULL, "position": "carried"}])
def test_a_book_of_one_asset_is_that_asset_alone(make_book, loaded, strategy, more):
    book = make_book({"spx": Broker(cash=1e4, **more)}, seed=3)
    rules = AccountRules(max_loss=0.02, target=0.03)
    asset = replace(book.ground.grounds["spx"], account=rules)
    ground, paths = replace(book.ground, account=rules), book.paths.parts["spx"]
    ours, alone = trade_book(loaded(strategy), ground, book.paths), trade(loaded(strategy), asset, paths)
    equity = equity_of(loaded(strategy), asset, paths)
    np.testing.assert_allclose(1e4 + np.cumsum(ours.profit.sum(axis=2), axis=1), equity[:, 1:], rtol=1e-12)
    assert np.array_equal(ours.result.equity, alone.equity)
    pd.testing.assert_frame_equal(ours.result.metrics, alone.metrics, rtol=1e-10, atol=1e-12)
    pd.testing.assert_frame_equal(ours.result.trades.drop(columns="asset"), alone.trades, rtol=1e-10, atol=1e-9)
    pd.testing.assert_frame_equal(ours.result.endings, alone.endings)


def test_weights_are_brought_back_at_every_fourth_bar_and_never_between(make_book, loaded):
    book = make_book({"spx": Broker()}, seed=3)
    for strategy in (Seldom(), Seldom(0.01)):
        alone = trade(loaded(strategy), book.ground.grounds["spx"], book.paths.parts["spx"])
        units = alone.exposure * alone.equity[:, 1:] / book.future("close")[:, :, 0]
        moved = np.abs(np.diff(units, axis=1)) > 1e-3 * units[:, 1:]  # exposure is float32; orders move some percent
        assert not np.delete(moved, [3, 7, 11, 15], axis=1).any()
        assert moved[:, [3, 7, 11, 15]].mean() > (0.8 if strategy.band == 0 else 0.1)
        assert moved.sum() < 24 or strategy.band == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"every": 0}, r"every=0 and band=0\.0"),
        ({"every": True}, "every=True"),
        ({"band": "x"}, "every=1 and band='x'"),
        ({"band": None}, "every=1 and band=None"),
        ({"band": math.nan}, "every=1 and band=nan"),
    ],
)
def test_answers_that_are_no_targets_are_refused(make_book, loaded, more, words):
    @dataclass(frozen=True)
    class Never:
        more: Any

        def weights(self, bars: Bars) -> Targets:
            return Targets(bars.close * 0.0, **self.more)

    book = make_book(PLAIN)
    with pytest.raises(StrategyError, match=rf"returned Targets with {words}"):
        trade_book(loaded(Never(more)), book.ground, book.paths)


def test_every_so_many_bars_may_be_a_whole_number_of_numpys(make_book, loaded):
    @dataclass(frozen=True)
    class Seldom:
        def weights(self, bars: Bars) -> Targets:
            return Targets(bars.close * 0.0, every=np.int64(4), band=np.float32(0.1))

    book = make_book(PLAIN)
    assert (trade_book(loaded(Seldom()), book.ground, book.paths).holding == 0).all()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda bars: bars.close.xs("spx", axis=1, level="asset") * 0.0, r"has \d+ bars x \d+ columns"),
        (lambda bars: bars.close * 0.0 + 0.1j, "holds complex128"),
    ],
)
def test_weights_of_another_shape_or_of_no_real_numbers_are_refused(make_book, loaded, answer, words):
    @dataclass(frozen=True)
    class Odd:
        def weights(self, bars: Bars) -> pd.DataFrame:
            return answer(bars)

    book = make_book(PLAIN)
    with pytest.raises(StrategyError, match=words):
        trade_book(loaded(Odd()), book.ground, book.paths)


def test_signals_entered_once_are_the_even_slices_of_solo_accounts(make_book, loaded):
    costs = {"spx": 0.0, "ndx": 0.001, "btc": 0.01}
    book = make_book({name: Broker(cash=9e3, fees=fee, fee_per_order=1.0) for name, fee in costs.items()}, seed=4)
    backtest = trade_book(loaded(Once()), book.ground, book.paths)
    for place, (name, ground) in enumerate(book.ground.grounds.items()):
        solo = replace(ground, broker=ground.broker.model_copy(update={"cash": 3e3}))
        equity = equity_of(loaded(Once()), solo, book.paths.parts[name])
        np.testing.assert_allclose(backtest.profit[:, :, place], np.diff(equity), **EXACT)
    assert set(backtest.result.trades["asset"]) == set(ASSETS)
    assert not backtest.result.trades["open"].all()  # some were stopped


def test_an_entry_takes_a_slice_of_all_equity_as_far_as_the_cash_goes(make_book, loaded):
    # a rises from 100 to 200 before b is entered: equity 1,500, of which b's slice is 750; there is cash for 500.
    values = {"a": np.array([100.0, 200, 200]), "b": np.array([50.0, 50, 100])}
    grid = {name: np.repeat(closes.reshape(1, 3, 1), 4, axis=2) for name, closes in values.items()}

    @dataclass(frozen=True)
    class OneByOne:
        def signals(self, bars: Bars) -> Signals:
            enter = bars.close * 0 > 1
            enter.iloc[2, 0] = enter.iloc[3, 1] = True
            return Signals(enter, enter & False)

    book = make_book({name: Broker(cash=1000) for name in values}, values=grid, context=np.full((3, 4), 100.0))
    backtest = trade_book(loaded(OneByOne()), book.ground, book.paths)
    np.testing.assert_allclose(backtest.result.equity, [[1000, 1000, 1500, 2000]])
    np.testing.assert_allclose(backtest.profit, [[[0, 0], [500, 0], [0, 500]]])
    levered = {name: Broker(cash=1000, leverage=2) for name in values}
    book = make_book(levered, values=grid, context=np.full((3, 4), 100.0))
    assert trade_book(loaded(OneByOne()), book.ground, book.paths).profit[0, 2, 1] == pytest.approx(750)


@pytest.mark.parametrize("strategy", [Even(), Crossing(), Even(gross=-2.0)])
def test_profits_sum_to_the_change_of_equity_whatever_happens(make_book, loaded, strategy):
    brokers = {
        "spx": Broker(leverage=2, borrow=0.1, fees=0.001),
        "ndx": Broker(leverage=2, fee_minimum=5.0, lot=1.0),
        "btc": Broker(leverage=2, volume_share=1e-3, shorts=False),
    }
    book = make_book(brokers, paths=40, seed=5, volatility=0.25)
    backtest = trade_book(loaded(strategy), book.ground, book.paths)
    equity = 1e5 + np.cumsum(backtest.profit.sum(axis=2), axis=1)
    # float32 of 1e5 is rounded by 4e-3; in full precision the sum is exact to some 1e-9 of the cash
    np.testing.assert_allclose(backtest.result.equity[:, 1:], equity, rtol=1e-6, atol=1e-3)
    ruined = backtest.result.equity[:, -1] == 0
    assert ruined.any() == (strategy == Even(gross=-2.0))
    np.testing.assert_allclose(equity[ruined, -1], 0, atol=1e-6)
    assert (backtest.profit[ruined, -1] == 0).all()
    assert (backtest.holding[:, :, 2] >= 0).all()  # btc is never short
    gained = backtest.result.trades.groupby(["path_id", "asset"])["pnl"].sum()
    by_trade = gained.reindex(pd.MultiIndex.from_product([book.paths.path_ids, ASSETS]), fill_value=0.0)
    whole = backtest.profit.sum(axis=1)[~ruined]
    np.testing.assert_allclose(by_trade.to_numpy().reshape(-1, 3)[~ruined], whole, atol=1e-5)


def test_interest_is_borne_by_what_was_bought_with_the_debt(make_book, loaded, given_weights):
    # 1.5 of equity in still markets: a debt of 500 costs .0005 a bar at .126 per year; two thirds of what is long is a.
    brokers = {name: Broker(cash=1000, leverage=2, borrow=0.126) for name in "ab"}
    still = np.full((1, 1, 4), 100.0)
    book = make_book(brokers, values={"a": still, "b": still}, context=np.full((3, 4), 100.0))
    backtest = trade_book(loaded(given_weights(np.array([[[1.0, 0.5]]]))), book.ground, book.paths)
    np.testing.assert_allclose(backtest.profit, [[[-0.25 * 2 / 3, -0.25 / 3]]])
    short = trade_book(loaded(given_weights(np.array([[[-1.0, 0.5]]]))), book.ground, book.paths)
    np.testing.assert_allclose(short.profit, [[[-0.5, 0.0]]], atol=1e-12)  # the sale paid for b


def test_results_do_not_depend_on_how_many_paths_are_held_at_once(make_book, loaded):
    book = make_book(PLAIN, paths=7, seed=6)
    whole, parts = (trade_book(loaded(Crossing()), book.ground, book.paths, width) for width in (None, 2))
    assert np.array_equal(whole.profit, parts.profit)
    assert np.array_equal(whole.holding, parts.holding)
    pd.testing.assert_frame_equal(whole.result.trades, parts.result.trades)
    pd.testing.assert_frame_equal(whole.result.metrics, parts.result.metrics)


def test_another_order_of_the_assets_changes_nothing_but_the_labels(make_book, loaded):
    fees = {"spx": 0.0, "ndx": 0.001, "btc": 0.002}
    book = make_book({name: Broker(fees=fee, shorts=name != "ndx") for name, fee in fees.items()}, seed=7)
    turned = [*reversed(ASSETS)]
    ground = BookGround.of({name: book.ground.grounds[name] for name in turned})
    paths = BookPaths({name: book.paths.parts[name] for name in turned})
    for strategy in (Crossing(), Even(gross=0.9)):
        ours, other = (trade_book(loaded(strategy), *where) for where in ((book.ground, book.paths), (ground, paths)))
        np.testing.assert_allclose(ours.profit, other.profit[:, :, ::-1], **EXACT)
        np.testing.assert_allclose(ours.holding, other.holding[:, :, ::-1], atol=1e-12)


@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_a_closed_market_keeps_its_close_and_is_not_traded(make_book, loaded, without_bars, fill):
    book = without_bars(make_book({name: Broker(fill=fill) for name in ASSETS}, seed=8), "ndx", [4, 5, 10])
    bars = book_bars(book.ground, book.paths)
    assert bars.assets == ASSETS
    assert bars.context_bars == 40
    shut = bars.close.iloc[44:46].xs("ndx", axis=1, level="asset").to_numpy()
    before = bars.close.iloc[43].xs("ndx", level="asset").to_numpy()
    assert (shut == before).all()
    for strategy in (Even(), Crossing()):
        backtest = trade_book(loaded(strategy), book.ground, book.paths)
        assert (backtest.profit[:, [4, 5, 10], 1] == 0).all()
        trades = backtest.result.trades
        mine = trades[trades["asset"] == "ndx"]
        assert len(mine)
        assert not mine["entry_bar"].isin([4, 5, 10]).any()
        assert not mine["exit_bar"].isin([4, 5, 10]).any()


def test_contexts_of_different_calendars_stand_on_the_stamps_of_both(make_book):
    book = make_book(PLAIN)
    ndx = book.ground.grounds["ndx"]
    kept = np.delete(np.arange(len(ndx.context)), [0, 1, 20])
    shorter = replace(ndx.context, timestamps=ndx.context.timestamps[kept], values=ndx.context.values[kept])
    ground = replace(book.ground, grounds={**book.ground.grounds, "ndx": replace(ndx, context=shorter)})
    bars = book_bars(ground, book.paths)
    assert bars.context_bars == 38  # from where all have a price
    assert bars.open[(0, "ndx")].iloc[18] == ndx.context.close[19]  # closed: the close before
    assert bars.volume[(0, "ndx")].iloc[18] == 0
    assert bars.close[(0, "spx")].iloc[0] == book.ground.grounds["spx"].context.close[2]


def test_a_portfolio_of_the_users_own_is_grouped_by_path(make_book, loaded):
    book = make_book(PLAIN, seed=9)
    ours, theirs = (trade_book(loaded(s), book.ground, book.paths) for s in (Even(), OwnPortfolio()))
    np.testing.assert_allclose(ours.profit, theirs.profit, **EXACT)
    with pytest.raises(StrategyError, match="does not hold the assets of each path in one account"):
        trade_book(loaded(OwnPortfolio(shared=False)), book.ground, book.paths)


def test_weights_beyond_the_leverage_are_refused_with_their_place(make_book, loaded):
    book = make_book(PLAIN)
    with pytest.raises(StrategyError) as error:
        trade_book(loaded(Even(gross=1.5)), book.ground, book.paths)
    assert "the absolute weights sum to 1.5 at 2020-02-25 00:00:00, path 0 (120 such bars and paths)" in str(
        error.value
    )
    assert "at most 1, the broker's leverage, over all assets" in str(error.value)
    wide = {name: Broker(leverage=1.5) for name in ASSETS}
    book = make_book(wide)
    assert trade_book(loaded(Even(gross=1.5)), book.ground, book.paths).holding.sum(axis=2).max() < 1.6


def test_weights_beyond_the_net_are_refused_and_a_long_against_a_short_is_not(make_book, loaded, given_weights):
    book = make_book({name: Broker(net=0.5) for name in "ab"}, paths=4, bars=5)
    even = loaded(given_weights(np.full((5, 4, 2), 0.3)))
    with pytest.raises(StrategyError) as error:
        trade_book(even, book.ground, book.paths)
    assert "longs less shorts come to 0.6" in str(error.value)
    assert "(20 such bars and paths)" in str(error.value)
    assert "between -0.5 and 0.5, the broker's net" in str(error.value)
    opposed = loaded(given_weights(np.full((5, 4, 2), [0.7, -0.3])))  # 0.4 net, all of the leverage
    held = trade_book(opposed, book.ground, book.paths).holding
    np.testing.assert_allclose(held[:, 0].sum(axis=1), 0.4, atol=0.06)  # a bar of 2 % later
    # Where no shorts are opened the long stands alone: 0.7.
    alone = make_book({name: Broker(net=0.5, shorts=False) for name in "ab"}, paths=4, bars=5)
    with pytest.raises(StrategyError, match=r"longs less shorts come to 0\.7"):
        trade_book(opposed, alone.ground, alone.paths)
    with pytest.raises(SpecError, match=r"broker\.net is None for a and 0\.5 for b"):
        make_book({"a": Broker(), "b": Broker(net=0.5)})


@dataclass(frozen=True)
class Entering:
    """Enters asset a, then b, at given bars of the path, long (1) or short (-1), each with its whole slice."""

    at: tuple[int, int]
    sides: tuple[int, int]

    def signals(self, bars: Bars) -> Signals:
        none = bars.close * 0 > 1
        long, short = none.copy(), none.copy()
        for place, (bar, side) in enumerate(zip(self.at, self.sides, strict=True)):
            (long if side > 0 else short).iloc[bars.context_bars - 1 + bar, place] = True
        return Signals(long, none, short, none)


@pytest.mark.parametrize(
    ("at", "sides", "held"),
    [
        ((0, 0), (1, 1), [0.25, 0.25]),  # half of the equity each: cut alike to half of it together
        ((0, 0), (-1, -1), [-0.25, -0.25]),
        ((0, 0), (1, -1), [0.5, -0.5]),  # no net at all
        ((0, 1), (1, 1), [0.5, 0.0]),  # nothing is left for the second
        ((0, 1), (1, -1), [0.5, -0.5]),
    ],
)
def test_entries_beyond_the_net_are_cut(make_book, loaded, at, sides, held):
    flat = np.full((1, 3, 4), 100.0)
    brokers = {name: Broker(cash=1000, net=0.5) for name in "ab"}
    book = make_book(brokers, values={"a": flat, "b": flat}, context=np.full((3, 4), 100.0))
    made = trade_book(loaded(Entering(at, sides)), book.ground, book.paths)
    np.testing.assert_allclose(made.holding[0, -1], held, atol=1e-12)


def test_what_cannot_be_a_book_is_refused(make_book, loaded):
    with pytest.raises(SpecError, match=r"broker\.leverage is 1\.0 for spx and 2\.0 for ndx"):
        make_book({"spx": Broker(), "ndx": Broker(leverage=2)})
    book = make_book({"spx": Broker(), "ndx": Broker(volume_share=0.1)})
    part = book.paths.parts["ndx"]
    silent = replace(part, values=part.values[:, :, :4], fields=part.fields[:4])
    with pytest.raises(SpecError, match="the bars of ndx have no volume"):
        trade_book(loaded(Even()), book.ground, BookPaths({**book.paths.parts, "ndx": silent}))
    sloppy = replace(book.ground.grounds["spx"], jitter=Jitter(slippage=0.001))
    with pytest.raises(SpecError, match="execution is jittered, and spx is traded in a book"):
        trade_book(loaded(Even()), replace(book.ground, grounds={**book.ground.grounds, "spx": sloppy}), book.paths)


def test_no_paths_make_an_empty_result(make_book, loaded):
    book = make_book(PLAIN)
    backtest = trade_book(loaded(Even()), book.ground, book.paths.first(0))
    assert backtest.profit.shape == (0, 20, 3)
    assert backtest.result.metrics.empty
    assert "asset" in backtest.result.trades


def test_rules_of_an_account_look_at_all_its_assets_at_once(make_book, loaded):
    # At one bar a falls by 6 % and recovers, b by 4 %: half of each is a fall by 5 % at worst, none at the close.
    flat = np.full((1, 3, 4), 100.0)
    a, b = flat.copy(), flat.copy()
    a[0, 1, 2], b[0, 1, 2] = 94.0, 96.0
    book = make_book({name: Broker() for name in "ab"}, values={"a": a, "b": b}, context=np.full((3, 4), 100.0))
    endings = {}
    for limit in (0.049, 0.051):
        ground = replace(book.ground, account=AccountRules(max_loss=limit))
        endings[limit] = trade_book(loaded(Even()), ground, book.paths).result.endings["account"].iloc[0]
    assert endings == {0.049: "max_loss", 0.051: "passed"}


class GuardedFromTheStart:
    """Enters every asset at the path's first open, with a stop 3 % below."""

    def signals(self, bars: Bars) -> Signals:
        rows = np.zeros(bars.close.shape, dtype=bool)
        rows[bars.context_bars - 1] = True
        entries = pd.DataFrame(rows, index=bars.close.index, columns=bars.close.columns)
        return Signals(entries, entries & False, stop_loss=0.03)


def test_t_plus_1_and_the_price_limit_are_each_asset_s_own(make_book, loaded):
    """Both fall from 100 to 95 on the day of purchase; T+1 holds in a alone, which is sold where the next day opens."""
    context = np.array([[100.0, 100.0, 100.0, 100.0, 1000.0]] * 3)
    values = [[(100, 101, 90, 95, 1000), (96, 97, 94, 95, 1000)]]
    brokers = {"a": Broker(t_plus=1), "b": Broker()}
    book = make_book(brokers, values={"a": values, "b": values}, context=context)
    traded = trade_book(loaded(GuardedFromTheStart()), book.ground, book.paths).result
    told = traded.trades.sort_values("asset")[["asset", "exit_bar", "exit_price"]]
    assert told.values.tolist() == [["a", 1, 96.0], ["b", 0, 97.0]]
    assert traded.metrics["held_sales"].tolist() == [1.0]
    # at a limit of 10 % nobody sells a at 110, where it opens, and b is bought
    up = [[(110, 110, 110, 110, 1000), (111, 111, 111, 111, 1000)]]
    book = make_book({"a": Broker(at_limit="wait"), "b": Broker()}, values={"a": up, "b": up}, context=context)
    limited = {**book.ground.grounds, "a": replace(book.ground.grounds["a"], market=Market(price_limit=0.1))}
    traded = trade_book(loaded(GuardedFromTheStart()), replace(book.ground, grounds=limited), book.paths).result
    assert traded.trades.sort_values("asset")[["asset", "entry_bar"]].values.tolist() == [["a", 1], ["b", 0]]
    assert traded.metrics["waited_orders"].tolist() == [1.0]


def test_a_portfolio_of_several_assets_is_refused_under_t_plus_1(make_book, loaded):
    class Own:
        def portfolio(self, bars, broker):
            raise AssertionError("it is refused before it is asked")

    book = make_book({"a": Broker(), "b": Broker(t_plus=1)})
    with pytest.raises(StrategyError, match="fills its own orders"):
        trade_book(loaded(Own()), book.ground, book.paths)
