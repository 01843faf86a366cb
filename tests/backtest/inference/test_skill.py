"""Skill: nobody is called skilled by chance more often than stated, and foresight is."""

import functools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from scenario_gen.backtest import run_backtest
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.nulls import RandomEntries, random_entries
from scenario_gen.backtest.skill import FEWEST_PATHS, LEVEL, judge_together, skill
from scenario_gen.values import encode

PATHS, BARS, DRAWS = 120, 60, 8


def walks(rng, paths=PATHS, drift=0.0, sd=0.02):
    return rng.normal(drift - sd**2 / 2, sd, (paths, BARS))


@functools.cache
def sp500():
    import arch.data.sp500

    return np.diff(np.log(arch.data.sp500.load()["Adj Close"].to_numpy()))


def real_blocks(rng, paths=PATHS):
    """Blocks of 10 real days of the S&P 500 in random order: clustered volatility and fat tails."""
    real = sp500()
    starts = rng.integers(0, len(real) - 10, (paths, BARS // 10, 1))
    return real[starts + np.arange(10)].reshape(paths, BARS)


def random_traders(make_fills, make_holdings, make_null, market, runs, seed):
    """Skills of traders who draw all they do, paths and all anew in every run."""
    judged = []
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        fills, held = make_fills(market(rng), fees=0.001), make_holdings(rng, PATHS, BARS)
        returns = held.total_return(fills, held.start)
        judged.append(skill(returns, make_null(held, fills, run, DRAWS)))
    return judged


def rule_follower(log_returns, buys, sells):
    """Hold from where a log price relative to its 10-bar mean says buy until it says sell: no skill on a walk."""
    paths, bars = log_returns.shape
    price = np.concatenate([np.zeros((paths, 1)), np.cumsum(log_returns, axis=1)], axis=1)
    mean = np.stack([price[:, max(0, b - 9) : b + 1].mean(axis=1) for b in range(bars + 1)], axis=1)
    away, inside = price - mean, np.zeros(paths, dtype=bool)
    position = np.zeros((paths, bars), dtype=bool)  # held from fill b to fill b + 1
    for bar in range(bars):
        inside = np.where(inside, ~sells(away[:, bar]), buys(away[:, bar]))
        position[:, bar] = inside
    return position


def holdings_from(position, template):
    """Round trips of positions [path, bar] of weight 1."""
    edges = np.diff(np.pad(position.astype(int), ((0, 0), (1, 1))), axis=1)
    row, start = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    nth = np.arange(len(row)) - np.searchsorted(row, row)
    shape = (len(position), int(nth.max()) + 1)
    starts, bars, weight = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape)
    starts[row, nth], bars[row, nth], weight[row, nth] = start, end - start, 1.0
    return replace(template, start=starts, bars=bars, weight=weight, closed=weight > 0, costs=np.zeros(shape))


RULES = {
    "buys falls": (lambda away: away < -0.03, lambda away: away > 0.0),
    "follows trends": (lambda away: away > 0.02, lambda away: away < -0.01),
}


def rule_skills(make_fills, make_holdings, make_null, rule, runs, *, own=False):
    judged = []
    for run in range(runs):
        rng = np.random.default_rng([77, run])
        returns = walks(rng, drift=0.0005)
        fills = make_fills(returns)
        held = holdings_from(rule_follower(returns, *RULES[rule]), make_holdings(rng, 2, BARS))
        made = held.total_return(fills, held.start)
        judged.append(skill(made, make_null(held, fills, run, DRAWS, own=own)))
    return judged


def assert_rate(judged, label):
    """Three standard errors around the stated rate: a false alarm of this test once in some 370 seeds."""
    rate, runs = LEVEL / 2, len(judged)
    found = np.mean([one.label == label for one in judged])
    assert abs(found - rate) <= 3 * np.sqrt(rate * (1 - rate) / runs)


@pytest.mark.parametrize("market", [walks, real_blocks], ids=["random walks", "blocks of the S&P 500"])
def test_a_random_strategy_is_called_skilled_at_the_stated_rate(make_fills, make_holdings, make_null, market):
    judged = random_traders(make_fills, make_holdings, make_null, market, 300, seed=1)
    assert all(one.false_alarms == LEVEL / 2 for one in judged)
    for label in ("skilled", "worse"):
        assert_rate(judged, label)


def test_z_has_unit_variance_where_paths_and_round_trips_differ_widely_under_a_drift(
    make_fills, make_holdings, make_null
):
    runs = 250
    judged = random_traders(make_fills, make_holdings, make_null, lambda rng: walks(rng, drift=0.004), runs, seed=2)
    z = np.array([one.z for one in judged])
    # The sample variance of normal z is chi-square; .999 two-sided. Eight draws count their noise a little twice.
    low, high = stats.chi2.ppf([0.0005, 0.9995], runs - 1) / (runs - 1)
    assert low - 0.05 < z.var(ddof=1) < high
    assert abs(z.mean()) < 3.3 / np.sqrt(runs)


@pytest.mark.parametrize("rule", RULES)
def test_rules_that_wait_for_prices_are_not_skilled_on_a_random_walk(make_fills, make_holdings, make_null, rule):
    judged = rule_skills(make_fills, make_holdings, make_null, rule, 250)
    for label in ("skilled", "worse"):
        assert_rate(judged, label)


def test_round_trips_of_the_same_path_would_call_who_buys_falls_skilled_on_a_random_walk(
    make_fills, make_holdings, make_null
):
    """The defect that taking another path's round trips prevents: nearly every run would be a false alarm."""
    buyers = rule_skills(make_fills, make_holdings, make_null, "buys falls", 40, own=True)
    followers = rule_skills(make_fills, make_holdings, make_null, "follows trends", 40, own=True)
    assert np.mean([one.label == "skilled" for one in buyers]) > 0.5
    assert np.mean([one.label == "worse" for one in followers]) > 0.5


@pytest.mark.parametrize(("rule", "persistence"), [("follows trends", 0.3), ("buys falls", -0.3)])
def test_a_rule_is_skilled_where_returns_do_what_it_waits_for(make_fills, make_holdings, make_null, rule, persistence):
    rng = np.random.default_rng(6)
    noise, returns = walks(rng, 1000), np.zeros((1000, BARS))
    for bar in range(BARS):
        returns[:, bar] = noise[:, bar] + persistence * returns[:, bar - 1] * (bar > 0)
    fills = make_fills(returns)
    right, wrong = (
        holdings_from(rule_follower(returns, *RULES[name]), make_holdings(rng, 2, BARS))
        for name in (rule, next(other for other in RULES if other != rule))
    )
    for held, label in ((right, "skilled"), (wrong, "worse")):
        judged = skill(held.total_return(fills, held.start), make_null(held, fills, 0, 20))
        assert judged.label == label
        assert judged.mean.low <= judged.mean.value <= judged.mean.high
        assert judged.mean.value == pytest.approx(judged.strategy_mean - judged.null_mean)


@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_stops_are_no_skill_on_bars_of_a_continuous_random_walk(make_market, told, loaded, fill):
    rng = np.random.default_rng(3)
    paths, sd = 3000, 0.02
    body = walks(rng, paths, sd=sd)
    # The lowest point of a Brownian bridge, exactly: Karatzas and Shreve (1991), Brownian Motion, 4.3.40.
    low = (body - np.sqrt(body**2 - 2 * sd**2 * np.log(rng.random(body.shape)))) / 2
    close = 100 * np.exp(np.cumsum(body, axis=1))
    opened = close * np.exp(-body)
    values = np.stack([opened, np.maximum(opened, close), opened * np.exp(low), close], axis=2)
    values[..., 2] = np.minimum(values[..., 2], np.minimum(opened, close))
    market = make_market(values=values, context=np.full((40, 4), 100.0))
    wishes = rng.random((40 + BARS, paths))
    strategy = loaded(told(wishes < 0.2, wishes > 0.95, extra={"stop_loss": 0.02}))
    broker = Broker(fill=fill)
    result = run_backtest(strategy, market.context, market.paths, broker, bars_per_year=252)
    judged = skill(result.metrics["total_return"].to_numpy(), random_entries(result, market.paths, broker, seed=1))
    assert result.metrics["trades"].mean() > 5
    assert abs(judged.z) < 3.3  # normal: a false alarm once in a thousand seeds


def test_the_interval_of_the_median_difference_covers_none_as_often_as_promised(make_fills, make_holdings, make_null):
    judged = random_traders(make_fills, make_holdings, make_null, lambda rng: walks(rng, drift=0.002), 200, seed=3)
    covered = np.mean([one.median.low <= 0 <= one.median.high for one in judged])
    # Three standard errors of 200 runs, and two points for the density estimated from 120 paths.
    assert abs(covered - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 200) + 0.02


def test_random_entries_beside_each_other_are_called_skilled_at_the_stated_rate(make_fills, make_holdings, make_null):
    judged = random_traders(make_fills, make_holdings, make_null, walks, 100, seed=4)
    called = sum(one.random_called_skilled.count for one in judged)
    # Draws of one run lean on each other; counted as 100 clusters of 8, whose standard error is read off them.
    counts = np.array([one.random_called_skilled.count for one in judged])
    assert called / (100 * DRAWS) == pytest.approx(LEVEL / 2, abs=3.5 * counts.std() / DRAWS / np.sqrt(100))


def test_equal_round_trips_everywhere_leave_the_paired_t_test(make_fills, make_holdings, make_null):
    rng = np.random.default_rng(8)
    fills = make_fills(walks(rng))
    held = holdings_from(np.arange(BARS)[None] < np.full((PATHS, 1), 20), make_holdings(rng, 2, BARS))
    returns, null = held.total_return(fills, held.start), make_null(held, fills, 0, 400 // 4)
    judged = skill(returns, null)
    paired = stats.ttest_1samp(returns - null.returns.mean(axis=1), 0)
    # What is left to the owners is noise of 100 places each, a hundredth of the variance.
    assert judged.standard_error == pytest.approx(abs(judged.mean.value / paired.statistic), rel=0.05)


def test_who_never_trades_is_not_judged():
    nothing = RandomEntries(np.zeros((50, 3)), np.repeat((np.arange(50) + 1)[:, None] % 50, 3, axis=1))
    judged = skill(np.zeros(50), nothing)
    assert (judged.label, judged.reason, judged.p) == ("not judged", "it never traded", None)


def test_few_paths_are_not_judged(make_fills, make_holdings, make_null):
    rng = np.random.default_rng(1)
    few = FEWEST_PATHS - 1
    fills, held = make_fills(walks(rng, few)), make_holdings(rng, few, BARS)
    judged = skill(held.total_return(fills, held.start), make_null(held, fills, 0, 5))
    assert (judged.label, judged.reason) == ("not judged", f"not judged, needs N >= {FEWEST_PATHS}")
    assert judge_together({"it": judged}) == {"it": judged}


def test_always_being_in_is_its_own_null(make_fills, make_holdings, make_null):
    rng = np.random.default_rng(1)
    fills = make_fills(walks(rng))
    held = holdings_from(np.ones((PATHS, BARS), dtype=bool), make_holdings(rng, 2, BARS))
    judged = skill(held.total_return(fills, held.start), make_null(held, fills, 0, 20))
    assert (judged.label, judged.z) == ("not told apart", 0.0)
    assert judged.mean.value == pytest.approx(0, abs=1e-12)


def test_strategies_judged_together_need_more_to_be_called_skilled(make_fills, make_holdings, make_null):
    one = random_traders(make_fills, make_holdings, make_null, walks, 1, seed=5)[0]
    near = replace(one, p=0.04, p_adjusted=0.04, label="skilled", mean=replace(one.mean, value=0.01))
    together = judge_together({"a": near, "b": replace(near, p=0.001), "c": replace(near, p=0.9)})
    assert [together[name].label for name in "abc"] == ["not told apart", "skilled", "not told apart"]
    assert [together[name].p_adjusted for name in "abc"] == pytest.approx([0.08, 0.003, 0.9])
    assert judge_together({"a": near})["a"].label == "skilled"


def test_a_judgement_becomes_plain_values(make_fills, make_holdings, make_null):
    import json

    one = random_traders(make_fills, make_holdings, make_null, walks, 1, seed=5)[0]
    assert json.loads(json.dumps(encode(one)))["draws"] == DRAWS
