"""Round trips cut loose: put back where they were they make what the engine made; elsewhere, what hands work out."""

import numpy as np
import pytest

from scenario_gen.backtest import run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.nulls import Fills, Holdings

BROKERS = {
    "plain": {},
    "shares of the value": {"fees": 0.001, "slippage": 0.0005},
    "by the range": {"fees": 0.001, "slippage": 0.0005, "slippage_range": 0.1},
    "fixed and borrowed": {"fee_per_order": 3.0, "borrow": 0.04},
}


def backtest(strategy, market, broker):
    return run_backtest(strategy, market.context, market.paths, broker, bars_per_year=252)


def there_and_back(result, market, broker):
    """Total returns of the round trips at their own places."""
    holdings, fills = Holdings.of(result, market.paths, broker), Fills.of(market.paths, broker)
    return holdings.total_return(fills, holdings.start)


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("costs", BROKERS.values(), ids=BROKERS.keys())
def test_round_trips_at_their_own_places_make_what_the_engine_made(make_market, told, loaded, fill, costs):
    market = make_market(paths=30, bars=40, seed=3)
    wishes = np.random.default_rng(4).random((4, len(market.context) + 40, 30)) < 0.15
    size = 0.6
    broker = Broker(cash=10_000, fill=fill, **costs)
    result = backtest(loaded(told(*wishes, extra={"size": size})), market, broker)
    assert result.metrics["trades"].min() > 2
    # The same sums in another order: float64 rounding over some ten trades.
    assert there_and_back(result, market, broker) == pytest.approx(result.metrics["total_return"].to_numpy(), abs=1e-12)


def test_a_round_trip_put_elsewhere_is_worth_what_a_hand_works_out(make_market, told, loaded):
    opens = np.array([100.0, 110.0, 121.0, 110.0, 100.0, 105.0])
    closes = np.array([105.0, 115.0, 115.0, 105.0, 102.0, 108.0])
    bars = np.stack([opens, np.maximum(opens, closes), np.minimum(opens, closes), closes], axis=1)
    market = make_market(values=bars[None])
    rows = len(market.context) + 6
    entries, exits = np.zeros((2, rows, 1), dtype=bool)
    entries[len(market.context) - 1], exits[len(market.context) + 1] = True, True  # open 0 to open 2
    broker = Broker(cash=1000, fees=0.01, slippage=0.0)
    result = backtest(loaded(told(entries, exits)), market, broker)
    holdings, fills = Holdings.of(result, market.paths, broker), Fills.of(market.paths, broker)
    assert (holdings.start.item(), holdings.bars.item(), holdings.closed.item()) == (0, 2, True)
    # All cash with the fee: value 1000 / 1.01 at the entry. From open 2 (121) to open 4 (100), fees on both values.
    value = 1000 / 1.01
    sold = value * 100 / 121
    by_hand = (1000 - value * 1.01 + sold * 0.99) / 1000 - 1
    moved = holdings.total_return(fills, np.array([[2]]))
    assert moved.item() == pytest.approx(by_hand, rel=1e-12)
    # From open 4 the end is the last close.
    last = holdings.total_return(fills, np.array([[4]])).item()
    assert last == pytest.approx((value * 108 / 100 * 0.99) / 1000 - 1, rel=1e-12)


def test_a_position_still_open_pays_no_exit_anywhere(make_market, told, loaded):
    market = make_market(paths=5, bars=20, seed=8)
    entries = np.zeros((len(market.context) + 20, 5), dtype=bool)
    entries[len(market.context) + 9] = True
    broker = Broker(fees=0.01)
    result = backtest(loaded(told(entries, np.zeros_like(entries))), market, broker)
    holdings, fills = Holdings.of(result, market.paths, broker), Fills.of(market.paths, broker)
    opens = market.future("open")
    assert not holdings.closed.any()
    assert (holdings.bars == 10).all()
    start = np.full((5, 1), 3)
    expected = opens[:, 13] / opens[:, 3] / 1.01 - 1
    assert holdings.total_return(fills, start) == pytest.approx(expected, rel=1e-9)


def test_a_stop_inside_a_bar_counts_to_the_next_fill(make_market, told, loaded):
    market = make_market(paths=40, bars=30, seed=2, volatility=0.03)
    entries = np.zeros((len(market.context) + 30, 40), dtype=bool)
    entries[len(market.context) - 1] = True
    broker = Broker()
    result = backtest(loaded(told(entries, np.zeros_like(entries), extra={"stop_loss": 0.04})), market, broker)
    holdings, trades = Holdings.of(result, market.paths, broker), result.trades
    stopped, exit_bar = ~trades["open"].to_numpy(), trades["exit_bar"].to_numpy()
    gapped = trades["exit_price"].to_numpy() == market.future("open")[np.arange(40), exit_bar]
    assert stopped.sum() > 10
    assert (holdings.bars[stopped & ~gapped, 0] == exit_bar[stopped & ~gapped] + 1).all()
    assert (holdings.bars[stopped & gapped, 0] == exit_bar[stopped & gapped]).all()
    assert (holdings.bars[~stopped, 0] == 30).all()


def test_a_rebalanced_position_is_held_at_its_mean_size_with_its_costs(make_market, weighted, loaded):
    market = make_market(paths=12, bars=60, seed=6, volatility=0.01)
    weights = np.random.default_rng(1).uniform(0.4, 0.6, (len(market.context) + 60, 12))
    broker = Broker(fees=0.001, slippage=0.001)
    result = backtest(loaded(weighted(weights)), market, broker)
    holdings = Holdings.of(result, market.paths, broker)
    assert (holdings.bars == 60).all()
    assert (holdings.weight == pytest.approx(0.5, abs=0.1)) and (holdings.weight > 0).all()
    # Every rebalancing costs 20 bp of what it trades, in fees and in slippage alike: all but the first purchase.
    traded = result.metrics["turnover"].to_numpy() / 252 * 60
    assert holdings.costs[:, 0] == pytest.approx(0.002 * (traded - holdings.weight[:, 0]), rel=0.1)


def test_paths_without_a_trade_make_nothing(make_market, told, loaded):
    market = make_market(paths=3, bars=10)
    entries = np.zeros((len(market.context) + 10, 3), dtype=bool)
    entries[-5, 1] = True
    result = backtest(loaded(told(entries, np.zeros_like(entries))), market, Broker())
    made = there_and_back(result, market, Broker())
    assert (made[0], made[2]) == (0, 0)
    assert made[1] == pytest.approx(result.metrics["total_return"].iloc[1], rel=1e-9)


def test_a_ruined_account_stays_ruined(make_market, told, loaded):
    closes = np.array([100.0, 250.0, 260.0, 100.0, 50.0])
    bars = np.repeat(closes[:, None], 4, axis=1)
    market = make_market(values=bars[None])
    nothing = np.zeros((len(market.context) + 5, 1), dtype=bool)
    short = nothing.copy()
    short[len(market.context) - 1] = True
    broker = Broker()
    result = backtest(loaded(told(nothing, nothing, short, nothing)), market, broker)
    assert result.metrics["total_return"].item() == -1
    assert there_and_back(result, market, broker).item() == -1
