"""What the broker charges, refuses and rounds, on toy paths whose money is counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from scenario_gen.backtest import Signals, run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.errors import SpecError, StrategyError

CONTEXT = np.array([[100.0, 100.0, 100.0, 100.0, 1000.0]] * 3)  # [bar, ohlcv]
FLAT = (100, 100, 100, 100, 1000)


def toy(make_market, *bars):
    """One path of (open, high, low, close, volume) bars after three flat context bars at 100."""
    return make_market(values=[bars], context=CONTEXT)


def wish(bars, *at):
    """Signals [context + path bars, 1], true at these rows; row 2 fills at the path's first open."""
    array = np.zeros((3 + bars, 1), dtype=bool)
    array[list(at)] = True
    return array


def backtest(strategy, market, *, bars_per_year=252, **broker):
    return run_backtest(strategy, market.context, market.paths, Broker(**broker), bars_per_year=bars_per_year)


def test_a_fixed_fee_comes_on_top_and_a_minimum_replaces_a_small_one(make_market, told, loaded):
    market = toy(make_market, FLAT, FLAT, FLAT)
    strategy = loaded(told(wish(3, 2), wish(3, 4)))
    result = backtest(strategy, market, cash=1020, fees=0.01, fee_per_order=10)
    # (1020 - 10) / 1.01 = 1000 buys 10 units; fees 10 + 10 to buy and 10 + 10 to sell.
    assert result.trades.loc[0, ["size", "fees", "pnl"]].tolist() == pytest.approx([10, 40, -40])
    assert result.equity[0].tolist() == [1020, 1000, 1000, 980]
    result = backtest(strategy, market, cash=1020, fees=0.01, fee_minimum=20)
    assert result.trades.loc[0, ["size", "fees", "pnl"]].tolist() == pytest.approx([10, 40, -40])
    result = backtest(strategy, market, cash=10_100, fees=0.01, fee_minimum=20)  # 100 is more than the minimum
    assert result.trades.loc[0, ["size", "fees"]].tolist() == pytest.approx([100, 200])


def test_an_account_smaller_than_the_fee_does_not_trade(make_market, told, loaded):
    market = toy(make_market, FLAT, FLAT)
    result = backtest(loaded(told(wish(2, 2), wish(2))), market, cash=5, fee_minimum=5)
    assert result.trades.empty
    assert result.equity[0].tolist() == [5, 5, 5]


def test_slippage_by_the_range_is_a_share_of_high_less_low(make_market, told, loaded):
    market = toy(make_market, (100, 130, 90, 100, 1000), (100, 105, 95, 100, 1000), FLAT)
    result = backtest(loaded(told(wish(3, 2), wish(3, 3))), market, cash=1100, slippage_range=0.25)
    # Bought at 100 + 40 / 4 = 110, sold at 100 - 10 / 4 = 97.5.
    trade = result.trades.iloc[0]
    assert (trade.entry_price, trade.exit_price, trade["size"]) == pytest.approx((110, 97.5, 10))


def test_an_entry_of_one_asset_is_cut_to_the_net_and_weights_beyond_it_are_refused(make_market, told, loaded):
    market = toy(make_market, FLAT, (100, 110, 100, 110, 1000))
    result = backtest(loaded(told(wish(2, 2), wish(2))), market, cash=1000, net=0.5)
    assert result.equity[0].tolist() == [1000, 1000, 1050]  # 5 units

    class Whole:
        def weights(self, bars):
            return bars.close * 0 + 1.0

    with pytest.raises(StrategyError, match="longs less shorts come to 1 at"):
        backtest(loaded(Whole()), market, net=0.5)


def test_a_short_pays_for_what_it_borrows_at_each_close(make_market, told, loaded):
    market = toy(make_market, (100, 110, 100, 110, 1000), (110, 120, 110, 120, 1000), (120, 120, 100, 100, 1000))
    none = wish(3)
    strategy = loaded(told(none, none, wish(3, 2), wish(3, 4)))
    result = backtest(strategy, market, cash=1000, borrow=0.1, bars_per_year=10)
    # 10 units short at 100. At the closes of bars 0 and 1: 1 % of 1100 and of 1200; bought back at 120 at bar 2.
    assert result.equity[0].tolist() == [1000, 900 - 11, 800 - 23, 800 - 23]
    assert result.trades.loc[0, ["fees", "pnl"]].tolist() == pytest.approx([23, -223])
    assert result.metrics.loc[0, "fees"] == pytest.approx(0.023)


def test_a_leveraged_long_pays_for_the_money_it_borrows(make_market, told, loaded):
    market = toy(make_market, (100, 110, 100, 110, 1000), FLAT)
    always = np.ones((5, 1), dtype=bool)
    strategy = loaded(told(always, ~always, extra={"size": 2.0}))
    result = backtest(strategy, market, cash=1000, leverage=2, borrow=0.1, bars_per_year=10)
    # 20 units for 2000, 1000 of them borrowed: 10 at the first close, then 1 % of 1010.
    assert result.equity[0] == pytest.approx([1000, 1200 - 10, 1000 - 20.1], rel=1e-6)
    assert result.exposure[0] == pytest.approx([2200 / 1190, 2000 / 979.9], rel=1e-6)


def test_weights_of_the_whole_leverage_leave_room_for_their_fee(make_market, loaded, weighted):
    market = toy(make_market, FLAT)
    result = backtest(loaded(weighted(np.full((4, 1), 2.0))), market, cash=1010, leverage=2, fees=0.01)
    # 1010 of its own and as much borrowed: 2020 / 1.01 = 2000 buys 20 units, the fee is 20 and 990 are left.
    assert result.trades.loc[0, ["size", "fees"]].tolist() == pytest.approx([20, 20])
    assert result.equity[0].tolist() == [1010, 990]
    assert result.exposure[0] == pytest.approx([2000 / 990], rel=1e-6)


def test_a_size_beyond_the_leverage_is_refused(make_market, told, loaded, weighted):
    market = toy(make_market, FLAT, FLAT)
    with pytest.raises(StrategyError, match=r"size is 2 .*\n.*numbers in \[0, 1\.5\]"):
        backtest(loaded(told(wish(2, 2), wish(2), extra={"size": 2.0})), market, leverage=1.5)
    with pytest.raises(StrategyError, match=r"numbers in \[-1\.5, 1\.5\]"):
        backtest(loaded(weighted(np.full((5, 1), -1.6))), market, leverage=1.5)


def test_orders_are_whole_lots(make_market, told, loaded, weighted):
    market = toy(make_market, FLAT, FLAT, FLAT)
    result = backtest(loaded(told(wish(3, 2), wish(3, 4))), market, cash=1999, lot=10)
    assert result.trades["size"].tolist() == [10]
    assert not result.trades["open"].any()
    assert backtest(loaded(told(wish(3, 2), wish(3, 4))), market, cash=999, lot=10).trades.empty
    weights = np.array([[0], [0], [0.55], [0.58], [0.1], [0.0]])
    result = backtest(loaded(weighted(weights)), market, cash=1000, lot=1)
    # 5 units, then 0.8 more which is no lot, then 4 of the 4 to sell.
    assert result.exposure[0] == pytest.approx([0.5, 0.5, 0.1])


@pytest.mark.parametrize("side", [1, -1])
def test_a_trailing_stop_follows_the_best_price_since_the_entry(make_market, told, loaded, side):
    # A long from 100 sees 120, so that it is left at 108; a short sees 80 and is left at 88.
    best, later = ((100, 120, 100, 120, 1000), (118, 119, 105, 110, 1000))
    if side < 0:
        best, later = ((100, 100, 80, 80, 1000), (82, 95, 81, 90, 1000))
    market = toy(make_market, FLAT, best, later, FLAT)
    none, entry = wish(4), wish(4, 2)
    signals = (entry, none) if side > 0 else (none, none, entry, none)
    result = backtest(loaded(told(*signals, extra={"trailing_stop": 0.1})), market, cash=1000, lot=1)
    trade = result.trades.iloc[0]
    assert (trade.exit_bar, trade.exit_price) == (2, pytest.approx(108 if side > 0 else 88))
    assert trade.pnl == pytest.approx(80 if side > 0 else 120)


def test_an_exit_that_the_volume_cuts_short_goes_on_and_an_entry_does_not(make_market, told, loaded):
    thin = (100, 100, 100, 100, 40)
    market = toy(make_market, thin, FLAT, thin, thin, FLAT)
    result = backtest(loaded(told(wish(5, 2, 3), wish(5, 4))), market, cash=1000, volume_share=0.1)
    # 4 of 10 units are bought at bar 0, and not the others; bar 2 sells 4.
    assert result.trades.loc[0, ["size", "exit_bar"]].tolist() == [4, 2]
    market = toy(make_market, FLAT, thin, thin, (80, 80, 80, 80, 40), FLAT)
    result = backtest(loaded(told(wish(5, 2), wish(5, 3))), market, cash=1000, volume_share=0.1)
    # 10 units; 4, 4 and 2 are sold at 100, 100 and 80.
    trade = result.trades.iloc[0]
    assert (trade["size"], trade.exit_bar, trade.exit_price, trade.pnl) == pytest.approx((10, 3, 96, -40))
    assert result.exposure[0].tolist() == pytest.approx([1, 0.6, 2 * 100 / 1000, 0, 0])


def test_a_share_of_a_volume_that_is_not_there_is_refused(make_market, told, loaded):
    market = make_market(values=[[FLAT[:4]] * 2], context=CONTEXT[:, :4])
    with pytest.raises(SpecError, match=r"broker\.volume_share is 0.1, but the bars have no volume"):
        backtest(loaded(told(wish(2, 2), wish(2))), market, volume_share=0.1)


def test_without_shorts_a_short_entry_only_closes_the_long(make_market, told, loaded, weighted):
    market = toy(make_market, FLAT, (100, 110, 100, 110, 1000), (110, 110, 50, 50, 1000), FLAT)
    strategy = loaded(told(wish(4, 2), wish(4), wish(4, 4), wish(4)))
    result = backtest(strategy, market, cash=1000, shorts=False)
    assert result.trades[["side", "exit_bar", "exit_price"]].values.tolist() == [["long", 2, 110]]
    weights = np.array([[0], [0], [0.5], [-0.5], [-0.5], [0.5], [0]])
    assert (backtest(loaded(weighted(weights)), market, shorts=False).exposure >= 0).all()


def test_a_leveraged_account_is_ruined_when_its_equity_is_gone(make_market, told, loaded):
    market = toy(make_market, (100, 100, 100, 100, 1000), (60, 60, 60, 60, 1000), FLAT)
    always = np.ones((6, 1), dtype=bool)
    result = backtest(loaded(told(always, ~always, extra={"size": 3.0})), market, cash=1000, leverage=3)
    # 30 units, 2000 borrowed: 30 x 60 - 2000 < 0.
    assert result.equity[0].tolist() == [1000, 1000, 0, 0]
    assert result.trades[["exit_bar", "exit_price", "open"]].values.tolist() == [[1, 60, False]]


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("lot", [None, 0.001])
def test_a_position_held_at_the_end_of_the_context_is_carried_into_the_path(make_market, told, loaded, fill, lot):
    market = toy(make_market, (110, 121, 110, 121, 1000), FLAT)
    early = loaded(told(wish(2, 0), wish(2), extra={"size": 0.5}))
    assert backtest(early, market, fill=fill, lot=lot).trades.empty
    result = backtest(early, market, fill=fill, lot=lot, position="carried", cash=1100)
    at = 110 if fill == "next_open" else 121
    assert result.trades[["side", "entry_bar"]].values.tolist() == [["long", 0]]
    assert result.trades["entry_price"].iloc[0] == pytest.approx(at)
    assert result.trades["size"].iloc[0] == pytest.approx(550 / at, abs=0.001)


def test_what_was_left_or_turned_in_the_context_is_not_carried(make_market, told, loaded):
    market = toy(make_market, FLAT, FLAT)
    none = wish(2)
    left = loaded(told(wish(2, 0), wish(2, 1)))
    assert backtest(left, market, position="carried").trades.empty
    at_once = loaded(told(wish(2, 0), wish(2, 2)))  # the first order of the path would leave it
    assert backtest(at_once, market, position="carried").trades.empty
    turned = loaded(told(wish(2, 0), none, wish(2, 1), none))
    assert backtest(turned, market, position="carried").trades["side"].tolist() == ["short"]
    assert backtest(turned, market, position="carried", shorts=False).trades.empty


def test_what_was_stopped_in_the_context_is_not_carried(make_market, told, loaded):
    falls = CONTEXT.copy()
    falls[2] = (100, 100, 80, 85, 1000)
    market = make_market(values=[[FLAT] * 2], context=falls)
    for stop, sides in ((0.1, []), (0.3, ["long"])):
        strategy = loaded(told(wish(2, 0), wish(2), extra={"stop_loss": stop}))
        assert backtest(strategy, market, position="carried").trades["side"].tolist() == sides


def test_carrying_does_not_ask_for_sizes_while_indicators_warm_up(make_market, loaded):
    class Sized:
        def signals(self, bars):
            size = bars.close.rolling(3).mean() / 200
            return Signals(bars.close > 0, bars.close < 0, size=size)

    market = toy(make_market, FLAT, FLAT)
    result = backtest(loaded(Sized()), market, position="carried")
    assert result.trades["size"].tolist() == [500]


def test_weights_are_the_same_flat_or_carried(make_market, weighted, loaded):
    market = make_market(paths=3, bars=10)
    strategy = loaded(weighted(np.random.default_rng(1).uniform(-1, 1, (50, 3))))
    one, other = (backtest(strategy, market, position=position) for position in ("flat", "carried"))
    assert np.array_equal(one.equity, other.equity)


def test_a_dearer_broker_is_never_better(make_market, told, loaded):
    market = make_market(paths=40, bars=40, seed=8)
    entries, exits = np.random.default_rng(9).random((2, len(market.context) + 40, 40)) < 0.2
    plain = Broker(lot=0.01)
    dearer = {"fees": 0.002, "fee_per_order": 5.0, "fee_minimum": 20.0, "slippage": 0.002, "slippage_range": 0.1}
    base = run_backtest(loaded(told(entries, exits)), market.context, market.paths, plain, bars_per_year=252)
    for name, value in dearer.items():
        broker = plain.model_copy(update={name: value})
        result = run_backtest(loaded(told(entries, exits)), market.context, market.paths, broker, bars_per_year=252)
        # Without shorts and stops the trades are the same; a lot of a hundredth is worth a dollar at most.
        assert (result.equity[:, -1] <= base.equity[:, -1] + 2).all(), name
        assert result.equity[:, -1].mean() < base.equity[:, -1].mean(), name


def test_permuting_paths_permutes_the_results_of_the_ledger(make_market, told, loaded):
    market = make_market(paths=12, bars=30, seed=5)
    wishes = np.random.default_rng(6).random((4, len(market.context) + 30, 12)) < 0.2
    strategy, order = (loaded(told(*wishes, extra={"trailing_stop": 0.04})), np.random.default_rng(1).permutation(12))
    broker = {"lot": 1.0, "fee_minimum": 5.0, "borrow": 0.2, "volume_share": 0.01}
    plain = backtest(strategy, market, **broker)
    shuffled = backtest(strategy, replace(market, paths=market.paths.select(order)), **broker)
    assert np.array_equal(shuffled.equity, plain.equity[order])
    assert shuffled.metrics.loc[range(12)].equals(plain.metrics)
