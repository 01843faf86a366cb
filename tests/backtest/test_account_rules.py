"""The rules of an account on paths whose end is known: by hand, by the gambler's ruin, by laws."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from scenario_gen.backtest.account import (
    AT,
    ENDING,
    IDLE,
    PASSED,
    UNFINISHED,
    Account,
    Orders,
    Swings,
    account_result,
    judge_account,
    settle,
    swings,
)
from scenario_gen.backtest.broker import LOSS_RULES, AccountRules, Broker
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.ledger import ledger_signals
from scenario_gen.backtest.orders import Quotes, SignalOrders
from scenario_gen.backtest.simulate import run_signals
from scenario_gen.stats.weights import Weights

CASH = 100.0


def account_of(equity, traded=None):
    """An account whose equity at each close is known, float [path, bar + 1]."""
    equity = np.asarray(equity, dtype=float)
    bars = equity[:, 1:]
    traded = np.zeros(bars.shape) if traded is None else np.asarray(traded, dtype=float)
    ruin = np.full(len(equity), bars.shape[1])
    nothing = np.zeros(bars.shape)
    each = nothing[..., None]
    return Account(equity, nothing, traded, nothing, ruin, profit=each, holding=each)


def ends(rules, closes, *, low=None, high=None, day=None, traded=None):
    """How one account ends: closes from the first bar on, starting with 100; low and high default to the closes."""
    closes = np.asarray(closes, dtype=float)[None]
    low, high = (closes if given is None else np.asarray(given, dtype=float)[None] for given in (low, high))
    equity = np.column_stack([[CASH], closes])
    day = np.arange(closes.shape[1]) if day is None else np.asarray(day)
    inside = Swings(np.minimum(low, closes), np.maximum(high, closes))
    found = judge_account(rules, account_of(equity, None if traded is None else [traded]), inside, day)
    return str(found.ending[0]), int(found.bar[0])


# --- By hand ---


def test_the_target_is_reached_at_a_close_and_not_at_a_high():
    rules = AccountRules(target=0.10, max_loss=0.10)
    assert ends(rules, [104, 109, 110, 90], high=[104, 130, 112, 110]) == ("passed", 2)


def test_a_loss_inside_a_bar_ends_the_account_though_its_close_passes():
    rules = AccountRules(target=0.10, max_loss=0.10)
    assert ends(rules, [99, 112], low=[95, 90]) == ("max_loss", 1)
    assert ends(rules, [99, 112], low=[95, 90.01]) == ("passed", 1)


def test_the_daily_loss_is_counted_from_the_last_close_of_the_day_before():
    rules = AccountRules(target=0.5, daily_loss=0.05)
    # three bars a day: the second day opens with 104, so its floor is 99; 99.5 is no loss of the first day's floor 95
    assert ends(rules, [101, 103, 104, 101, 100, 99.5], day=[0, 0, 0, 1, 1, 1]) == (UNFINISHED, 5)
    assert ends(rules, [101, 103, 104, 101, 100, 99.0], day=[0, 0, 0, 1, 1, 1]) == ("daily_loss", 5)
    assert ends(rules, [101, 103, 104, 101, 99.5, 99.2], day=[0, 0, 0, 1, 1, 2]) == (UNFINISHED, 5)


def test_the_gap_over_night_belongs_to_the_day_that_it_opens():
    rules = AccountRules(target=0.5, daily_loss=0.05)
    assert ends(rules, [100, 100, 96], low=[100, 100, 94.9], day=[0, 0, 1]) == ("daily_loss", 2)


def test_losses_are_shares_of_the_start_or_of_what_there_is_now():
    # The day opens with 120: five per cent of the start are 5, of the day's opening 6.
    for loss_of, end in (("start", ("daily_loss", 1)), ("current", (UNFINISHED, 1))):
        assert ends(AccountRules(target=0.5, daily_loss=0.05, loss_of=loss_of), [120, 114.5]) == end
    # From a peak of 120: ten per cent of the start are 10, of the peak 12.
    for loss_of, end in (("start", ("trailing_drawdown", 1)), ("current", (UNFINISHED, 1))):
        assert ends(AccountRules(target=0.5, trailing_drawdown=0.10, loss_of=loss_of), [120, 109]) == end


def test_the_trailing_drawdown_falls_from_the_highest_equity_inside_a_bar_or_from_a_days_last_close():
    falls = {"closes": [104, 101, 100], "high": [112, 104, 101], "low": [102.5, 101, 100]}
    assert ends(AccountRules(target=0.5, trailing_drawdown=0.10), **falls) == ("trailing_drawdown", 1)
    at_ends = AccountRules(target=0.5, trailing_drawdown=0.10, trail="end_of_day")
    assert ends(at_ends, **falls) == (UNFINISHED, 2)
    # within one day the floor stays where the start put it; a day later it has followed the close of 104
    assert ends(at_ends, [104, 93.5], day=[0, 0]) == (UNFINISHED, 1)
    assert ends(at_ends, [104, 93.5], day=[0, 1]) == ("trailing_drawdown", 1)


def test_the_worst_order_inside_a_bar_puts_its_high_before_its_low():
    rules = AccountRules(target=0.5, trailing_drawdown=0.10)
    assert ends(rules, [102], high=[106], low=[96]) == ("trailing_drawdown", 0)
    assert ends(rules, [102], high=[106], low=[96.5]) == (UNFINISHED, 0)


def test_a_locked_floor_stops_at_the_start():
    rules = AccountRules(target=0.5, trailing_drawdown=0.10, trail_lock=True)
    assert ends(rules, [130, 105, 100.5]) == (UNFINISHED, 2)
    assert ends(rules, [130, 105, 100]) == ("trailing_drawdown", 2)
    assert ends(replace_rules(rules, trail_lock=False), [130, 105, 100.5]) == ("trailing_drawdown", 1)


def replace_rules(rules, **changes):
    return AccountRules(**{**rules.model_dump(), **changes})


def test_of_two_rules_that_one_bar_breaks_the_higher_floor_is_named():
    rules = AccountRules(target=0.5, daily_loss=0.05, max_loss=0.10)
    assert ends(rules, [100, 80]) == ("daily_loss", 1)  # floors 95 and 90
    assert ends(rules, [97, 94, 80]) == ("max_loss", 2)  # the day opens with 94: floors 89 and 90


def test_days_end_the_trial_and_are_trading_days():
    rules = AccountRules(target=0.10, max_loss=0.10, days=2)
    assert ends(rules, [105, 108, 109, 111], day=[0, 0, 1, 2]) == (UNFINISHED, 2)
    assert ends(rules, [105, 108, 110, 80], day=[0, 0, 1, 2]) == (PASSED, 2)


def test_without_a_target_keeping_the_rules_to_the_end_passes():
    rules = AccountRules(trailing_drawdown=0.10, days=3)
    assert ends(rules, [95, 97, 93, 50]) == (PASSED, 2)
    assert ends(rules, [95, 89, 99, 120]) == ("trailing_drawdown", 1)


def test_days_without_an_order_do_not_count_as_traded():
    rules = AccountRules(target=0.10, max_loss=0.10, min_days=3)
    closes, day = [110, 111, 112, 113, 114], [0, 0, 1, 2, 3]
    assert ends(rules, closes, day=day, traded=[1, 1, 1, 0, 1]) == (PASSED, 4)
    assert ends(rules, closes, day=day, traded=[0, 1, 1, 1, 0]) == (PASSED, 3)
    assert ends(rules, closes, day=day, traded=[1, 1, 1, 0, 0]) == (IDLE, 4)
    assert ends(rules, [109] * 5, day=day, traded=[1, 1, 1, 0, 0]) == (UNFINISHED, 4)


# --- How far equity swings inside a bar ---

BARS = {
    "open": [100.0, 102.0, 101.0],
    "high": [104.0, 105.0, 103.0],
    "low": [97.0, 100.0, 95.0],
    "close": [102.0, 101.0, 96.0],
}


def swung(*orders, cash=1000.0, at_close=False):
    """Low and high of the equity in the three bars above; orders are (bar, units, quoted price)."""
    bars = {name: np.array([values]) for name, values in BARS.items()}
    bar, size, price = (np.array(values, dtype=float) for values in zip(*orders, strict=True))
    filled = Orders(np.zeros(len(bar), dtype=int), bar.astype(int), size, price, np.zeros(len(bar)), price)
    account = settle(filled, bars["close"], np.array([cash]))
    inside = swings(filled, account, bars, at_close=at_close)
    return inside.low[0].tolist(), inside.high[0].tolist()


def test_a_position_bought_at_the_open_meets_both_ends_of_its_bar():
    low, high = swung((0, 2.0, 100.0))
    assert low == [1000 - 2 * 3, 1000 + 2 * 0, 1000 - 2 * 5]
    assert high == [1000 + 2 * 4, 1000 + 2 * 5, 1000 + 2 * 3]


def test_a_short_position_is_worst_at_the_high():
    low, high = swung((0, -2.0, 100.0))
    assert low == [1000 - 2 * 4, 1000 - 2 * 5, 1000 - 2 * 3]
    assert high == [1000 + 2 * 3, 1000 - 2 * 0, 1000 + 2 * 5]


def test_a_position_left_at_the_open_meets_the_open_alone():
    low, high = swung((0, 2.0, 100.0), (2, -2.0, 101.0))
    assert (low[2], high[2]) == (1002.0, 1002.0)


def test_a_stop_ends_the_fall_at_its_level_after_the_high():
    """Bought at 100, stopped at 99 in the first bar: the low of 97 is met by nobody, the high of 104 may have been."""
    assert [ends[0] for ends in swung((0, 2.0, 100.0), (0, -2.0, 99.0))] == [998.0, 1008.0]


def test_a_target_ends_the_rise_at_its_level_after_the_low():
    assert [ends[0] for ends in swung((0, 2.0, 100.0), (0, -2.0, 103.0))] == [994.0, 1006.0]
    assert [ends[0] for ends in swung((0, -2.0, 100.0), (0, 2.0, 98.0))] == [992.0, 1004.0]


def test_a_stop_that_the_open_is_beyond_meets_the_open_alone():
    assert [ends[1] for ends in swung((0, 2.0, 100.0), (1, -2.0, 102.0))] == [1004.0, 1004.0]


def test_a_position_bought_at_the_close_has_met_nothing_of_its_bar():
    low, high = swung((0, 2.0, 102.0), at_close=True)
    assert (low[0], high[0]) == (1000.0, 1000.0)
    assert (low[1], high[1]) == (1000 - 2 * 2, 1000 + 2 * 3)


def test_a_position_sold_at_the_close_has_met_all_of_its_bar():
    low, high = swung((0, 2.0, 102.0), (1, -2.0, 101.0), at_close=True)
    assert (low[1], high[1]) == (996.0, 1006.0)


def test_turning_a_position_at_the_open_leaves_the_new_one_in_the_bar():
    low, high = swung((0, 2.0, 100.0), (1, -2.0, 102.0), (1, -3.0, 102.0))
    assert (low[1], high[1]) == (1004.0 - 3 * 3, 1004.0 + 3 * 2)


def test_what_a_volume_cuts_is_held_through_the_bar():
    """Stopped at 99, of which one of two units was sold: the other meets the low of 97."""
    low, _ = swung((0, 2.0, 100.0), (0, -1.0, 99.0))
    assert low[0] == 1000 - 1 - 3


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("slippage", [0.0, 0.002])
def test_both_simulators_swing_alike_and_around_every_close(make_market, fill, slippage):
    """vectorbt's orders carry prices after slippage, the ledger's before: undone, both say the same of each moment."""
    market = make_market(paths=40, bars=40, seed=3)
    quotes = {name: market.future(name) for name in ("open", "high", "low", "close")}
    bars = Quotes(**{name: values.T.copy() for name, values in quotes.items()})
    wishes = np.random.default_rng(1).random((4, 40, 40)) < 0.15
    levels = [np.full((40, 40), level) for level in (1.0, 0.02, 0.03)]
    wanted = SignalOrders(*wishes, *levels, trailing=False)
    broker = Broker(cash=1e4, slippage=slippage, fees=0.001, fill=fill)
    outcomes = [
        run_signals(bars, wanted, broker, 252.0),
        ledger_signals(bars, wanted.fillable(shorts=True), broker, 252.0)[0].outcome(),
    ]
    both = [swings(each.orders, each.account, quotes, at_close=fill == "close") for each in outcomes]
    assert len(outcomes[0].orders.path) > 300
    np.testing.assert_allclose(both[0].low, both[1].low, rtol=1e-9)
    np.testing.assert_allclose(both[0].high, both[1].high, rtol=1e-9)
    closing = outcomes[0].account.equity[:, 1:]
    assert (both[0].low <= closing).all() and (both[0].high >= closing).all()
    idle = outcomes[0].account.exposure == 0
    untouched = idle & (outcomes[0].account.traded == 0)
    assert untouched.any() and (both[0].low == both[0].high)[untouched].all()


# --- The gambler's ruin ---


def test_holding_a_driftless_market_passes_as_often_as_the_gambler_wins():
    """A martingale stopped at U or L has P(U) = (1 - L) / (U - L) by optional stopping.

    Seen at closes it overshoots each level by a factor exp(+-.5826 sigma) (Siegmund 1979), which leaves terms of
    sigma^2: 1e-4 here. 4,000 paths have a standard error of .0077 at most: 4 of them and that leave .032, a false alarm
    in 16,000 seeds. 2,500 bars of 1 % leave nearly no path unfinished between -10 and +20 %.
    """
    sigma, bars, paths = 0.01, 2500, 4000
    rng = np.random.default_rng(11)
    closes = np.empty((paths, bars), dtype=np.float32)
    np.cumsum(rng.normal(-(sigma**2) / 2, sigma, (paths, bars)), axis=1, out=closes, dtype=np.float32)
    equity = 100.0 * np.exp(np.column_stack([np.zeros(paths), closes]).astype(np.float64))
    for target, loss in ((0.10, 0.10), (0.20, 0.10), (0.10, 0.05)):
        rules = AccountRules(target=target, max_loss=loss)
        inside = Swings(equity[:, 1:], equity[:, 1:])
        found = judge_account(rules, account_of(equity), inside, np.arange(bars))
        over = np.exp(0.5826 * sigma)
        upper, lower = (1 + target) * over, (1 - loss) / over
        assert (found.ending == UNFINISHED).mean() < 0.001
        assert abs((found.ending == PASSED).mean() - (1 - lower) / (upper - lower)) < 0.032


def test_bars_that_show_their_lows_lose_as_often_as_the_market_that_never_stops(make_market, told, loaded):
    """Lows of the Brownian bridge meet the lower level itself, closes the upper one .5826 sigma too late.

    So P = (1 - L) / (U exp(.5826 sigma) - L), the terms of sigma^2 as above; 4 standard errors of 2,000 paths are .045.
    A strategy that buys at the first open and holds goes the whole way through the engine.
    """
    sigma, bars, paths = 0.01, 1500, 2000
    rng = np.random.default_rng(5)
    steps = rng.normal(-(sigma**2) / 2, sigma, (paths, bars))
    ends_at = np.cumsum(steps, axis=1)
    starts = ends_at - steps
    low = (steps - np.sqrt(steps**2 - 2 * sigma**2 * np.log(rng.random((paths, bars))))) / 2  # of the bridge
    high = np.maximum(steps, 0.0)
    values = 100.0 * np.exp(np.stack([starts, starts + high, starts + low, ends_at], axis=-1))
    market = make_market(values=values)
    market = replace(market, paths=replace(market.paths, anchor_close=100.0))
    entries = np.zeros((len(market.context) + bars, paths), dtype=bool)
    entries[len(market.context) - 1] = True
    strategy = loaded(told(entries, np.zeros_like(entries)))
    rules = AccountRules(target=0.10, max_loss=0.10)
    ran = trade(strategy, market.ground(Broker(cash=1e5), account=rules), market.paths)
    assert ran.endings is not None
    upper, lower = 1.1 * np.exp(0.5826 * sigma), 0.9
    result = account_result(rules, ran.endings)
    assert abs(result.passed.value - (1 - lower) / (upper - lower)) < 0.045
    assert result.passed.count + result.broken["max_loss"].count + result.unfinished.count == paths


# --- Laws ---

shares = st.floats(0.01, 0.4)
random_rules = st.builds(
    lambda target, daily, most, trailing, days, of, trail: AccountRules(
        target=target, daily_loss=daily, max_loss=most, trailing_drawdown=trailing, days=days, loss_of=of, trail=trail
    ),
    st.one_of(st.none(), shares),
    shares,
    st.one_of(st.none(), shares),
    shares,
    st.one_of(st.none(), st.integers(1, 10)),
    st.sampled_from(["start", "current"]),
    st.sampled_from(["intraday", "end_of_day"]),
)


def random_accounts(seed, paths=60, bars=24):
    """Accounts that wander, with swings around their closes, three bars a day."""
    rng = np.random.default_rng(seed)
    equity = CASH * np.exp(np.column_stack([np.zeros(paths), np.cumsum(rng.normal(0, 0.03, (paths, bars)), axis=1)]))
    wide = np.exp(np.abs(rng.normal(0, 0.02, (2, paths, bars))))
    inside = Swings(
        np.minimum(equity[:, :-1], equity[:, 1:]) / wide[0], np.maximum(equity[:, :-1], equity[:, 1:]) * wide[1]
    )
    traded = (rng.random((paths, bars)) < 0.5).astype(float)
    return account_of(equity, traded), inside, np.arange(bars) // 3


@settings(max_examples=60, deadline=None)
@given(random_rules, st.integers(0, 10_000), st.sampled_from(["target", *LOSS_RULES]), st.floats(0.1, 1.0))
def test_a_tighter_rule_never_lets_a_path_pass_that_a_wider_one_ended(rules, seed, name, factor):
    """A lower loss level, or a higher target: whoever passes under it passes under the wider rule."""
    level = getattr(rules, name)
    if level is None:
        return
    tighter = replace_rules(rules, **{name: level / factor if name == "target" else level * factor})
    account, inside, day = random_accounts(seed)
    wide, tight = (judge_account(each, account, inside, day) for each in (rules, tighter))
    assert not ((tight.ending == PASSED) & (wide.ending != PASSED)).any()


@settings(max_examples=60, deadline=None)
@given(random_rules, st.integers(0, 10_000))
def test_every_path_has_one_end_within_its_days_and_what_ended_it_is_declared(rules, seed):
    account, inside, day = random_accounts(seed)
    found = judge_account(rules, account, inside, day)
    assert set(found.ending) <= {PASSED, UNFINISHED, *rules.declared}
    assert (day[found.bar] < (rules.days or 99)).all()
    result = account_result(rules, pd.DataFrame({ENDING: found.ending, AT: found.bar}))
    counts = [result.passed.count, result.unfinished.count, *(share.count for share in result.broken.values())]
    assert sum(counts) == len(found.ending)


@settings(max_examples=40, deadline=None)
@given(random_rules, st.integers(0, 10_000))
def test_the_rules_agree_with_a_plain_loop(rules, seed):
    account, inside, day = random_accounts(seed, paths=12)
    found = judge_account(rules, account, inside, day)
    for path in range(12):
        expected = looped(rules, account.equity[path], inside.low[path], inside.high[path], day)
        assert (str(found.ending[path]), int(found.bar[path])) == expected


def looped(rules, equity, low, high, day):
    """One account, bar by bar, written as the rules are told."""
    start = peak = opening = equity[0]
    counted = np.flatnonzero(day < (rules.days or 99))
    for bar in counted:
        if bar == 0 or day[bar] != day[bar - 1]:
            opening = equity[bar]
            if rules.trail == "end_of_day":
                peak = max(peak, opening)
        if rules.trail == "intraday":
            peak = max(peak, high[bar])
        floors = {}
        if rules.daily_loss is not None:
            floors["daily_loss"] = opening - rules.daily_loss * (opening if rules.loss_of == "current" else start)
        if rules.max_loss is not None:
            floors["max_loss"] = start * (1 - rules.max_loss)
        if rules.trailing_drawdown is not None:
            floors["trailing_drawdown"] = peak - rules.trailing_drawdown * (
                peak if rules.loss_of == "current" else start
            )
        broken = {rule: floor for rule, floor in floors.items() if low[bar] <= floor + 1e-7}
        if broken:
            return max(broken, key=broken.get), bar
        if rules.target is not None and equity[bar + 1] >= start * (1 + rules.target) - 1e-7:
            return PASSED, bar
    return (PASSED if rules.target is None else UNFINISHED), counted[-1]


def test_weights_count_paths_by_what_they_stand_for():
    """Two paths of three pass, and stand for a tenth each: a fifth of all passes."""
    paths = pd.DataFrame({ENDING: [PASSED, PASSED, "max_loss"] * 40, AT: [3, 5, 7] * 40})
    weights = Weights.of(np.array([1.0, 1.0, 8.0] * 40))
    result = account_result(AccountRules(max_loss=0.1), paths, weights)
    assert result.passed.value == pytest.approx(0.2)
    assert result.broken["max_loss"].value == pytest.approx(0.8)
    assert result.bars_to_loss.value == 8
    assert account_result(AccountRules(max_loss=0.1), paths).passed.value == pytest.approx(2 / 3)


def test_no_result_depends_on_how_many_paths_are_held_at_once(make_market, told, loaded):
    market = make_market(paths=12, bars=30, seed=5, volatility=0.04)
    wishes = np.random.default_rng(6).random((4, len(market.context) + 30, 12)) < 0.2
    strategy = loaded(told(*wishes, extra={"trailing_stop": 0.04}))
    ground = market.ground(Broker(cash=1e4), account=AccountRules(target=0.05, daily_loss=0.05, trailing_drawdown=0.1))
    whole, chunked = (trade(strategy, ground, market.paths, width).endings for width in (None, 5))
    assert whole is not None and chunked is not None
    pd.testing.assert_frame_equal(whole, chunked)
