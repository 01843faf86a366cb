"""Risk of a book and who brings it: closed forms of elliptical laws, books worked by hand, sums that are exact."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binom, norm

from scenario_gen.backtest import Bars
from scenario_gen.backtest.book import trade_book
from scenario_gen.backtest.book_losses import SENSES, BookLosses, fall_edges
from scenario_gen.backtest.book_risk import LEVELS, BookRisk, book_risk
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.tail.losses import summarise_drawdowns, tail_losses, terminal_returns, worst_bar
from scenario_gen.market.export import returns_of
from scenario_gen.stats.estimate import conditional_value_at_risk, value_at_risk
from scenario_gen.stats.weights import Weights
from scenario_gen.values import decode_json, encode

CASH = 1e5
NAMES = ("spx", "ndx", "gold")
HELD = np.array([0.5, 0.8, -0.3])
DEVIATIONS = np.array([0.02, 0.01, 0.03])
COVARIANCE = np.array([[1, 0.5, 0.2], [0.5, 1, 0.3], [0.2, 0.3, 1]]) * np.outer(DEVIATIONS, DEVIATIONS)


def equity_of(profit, cash=CASH):
    start = np.full((len(profit), 1), cash)
    return np.concatenate((start, cash + np.cumsum(profit.sum(axis=2), axis=1)), axis=1)


def drawn(paths, bars=1, seed=0):
    """Return profits of a book whose parts hold a fixed amount, and the returns of its assets."""
    returns = np.random.default_rng(seed).multivariate_normal(np.zeros(3), COVARIANCE, size=(paths, bars))
    return CASH * HELD * returns, returns


PROFIT, RETURNS = drawn(2000, 12)
EQUITY = equity_of(PROFIT)
LOSSES = BookLosses.of(PROFIT, EQUITY, NAMES, holding=np.broadcast_to(HELD, PROFIT.shape), returns=RETURNS)
RISK = book_risk(LOSSES)


def deviation_of(estimate, truth):
    """Return how many standard errors an estimate is off."""
    return (estimate.value - truth) / ((estimate.high - estimate.low) / (2 * norm.ppf(0.975)))


def test_contributions_of_a_normal_book_are_those_of_the_closed_form():
    # The ES of w'R is a multiple of its deviation s, so that of asset a is w_a (Sigma w)_a / s times that multiple, and
    # the VaR likewise (McNeil, Frey and Embrechts 2015, Quantitative Risk Management, 8.5). 18 figures within 3
    # errors: a false alarm in at most 5 % of seeds.
    profit, _ = drawn(20_000, seed=3)
    risk = book_risk(BookLosses.of(profit, equity_of(profit), NAMES, holding=np.broadcast_to(HELD, profit.shape)))
    deviation = np.sqrt(HELD @ COVARIANCE @ HELD)
    by_asset = HELD * (COVARIANCE @ HELD) / deviation
    for level in LEVELS:
        factor = norm.pdf(norm.ppf(level)) / (1 - level)
        tail = risk.tail("terminal", level)
        for part, truth, held in zip(tail.parts, by_asset, np.abs(HELD), strict=True):
            assert abs(deviation_of(part.es, truth * factor)) < 3
            assert abs(deviation_of(part.var, truth * norm.ppf(level))) < 3
            assert part.marginal.value == pytest.approx(part.es.value / held, rel=1e-9)
        alone = np.abs(HELD) * DEVIATIONS
        assert abs(deviation_of(tail.diversification, deviation / alone.sum())) < 3
        assert abs(deviation_of(tail.concentration, np.sum((by_asset / deviation) ** 2))) < 3


def test_intervals_of_contributions_cover_as_often_as_they_say():
    # 60 books of 1000 paths, 50 of them in the tail; a normal interval of so few may cost two points of the 95 (as for
    # the whole in test_tail_losses), and three errors of 60 runs are 9.9: errors half as large (67 %) are seen.
    runs, level = 60, 0.95
    deviation = np.sqrt(HELD @ COVARIANCE @ HELD)
    truth = HELD * (COVARIANCE @ HELD) / deviation
    factor = norm.pdf(norm.ppf(level)) / (1 - level)
    covered = np.zeros(4)
    for seed in range(runs):
        profit, _ = drawn(1000, seed=seed)
        tail = book_risk(BookLosses.of(profit, equity_of(profit), NAMES), levels=(level,)).tail("terminal", level)
        first = tail.parts[0]
        targets = (truth[0] * factor, truth[0] * norm.ppf(level), truth[0] / deviation)
        figures = (first.es, first.var, first.share)
        covered[:3] += [figure.low <= target <= figure.high for figure, target in zip(figures, targets, strict=True)]
        ratio = deviation / (np.abs(HELD) * DEVIATIONS).sum()
        covered[3] += tail.diversification.low <= ratio <= tail.diversification.high
    assert (covered / runs >= 0.93 - 0.099).all(), covered / runs


@pytest.mark.parametrize(("sense", "level"), list(product(SENSES, LEVELS)))
@pytest.mark.parametrize("weighted", [False, True])
def test_contributions_add_up_to_the_whole(sense, level, weighted):
    weights = Weights.of(np.random.default_rng(1).uniform(0.5, 2, len(PROFIT))) if weighted else None
    tail = book_risk(LOSSES, weights, (level,)).tail(sense, level) if weighted else RISK.tail(sense, level)
    assert sum(part.es.value for part in tail.parts) == pytest.approx(tail.es.value, rel=1e-12)
    assert sum(part.var.value for part in tail.parts) == pytest.approx(tail.var.value, rel=1e-12)
    assert sum(part.share.value for part in tail.parts) == pytest.approx(1, rel=1e-12)


def test_the_whole_is_what_the_tail_of_the_account_says():
    for level, sense in product(LEVELS, ("terminal", "worst_bar")):
        returns = terminal_returns(EQUITY) if sense == "terminal" else worst_bar(EQUITY)
        (whole,) = tail_losses(returns, (level,))
        tail = RISK.tail(sense, level)
        assert (tail.var.value, tail.es.value) == pytest.approx((whole.var.value, whole.cvar.value), rel=1e-9)
        assert (tail.es.low, tail.es.high) == pytest.approx((whole.cvar.low, whole.cvar.high), rel=1e-9)
    depth = summarise_drawdowns(EQUITY).depth
    assert RISK.tail("drawdown", 0.95).var.value == pytest.approx(depth.quantiles["0.95"].value, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_book_of_one_part_has_the_errors_of_the_whole(weighted):
    weights = Weights.of(np.random.default_rng(1).uniform(0.5, 2, len(PROFIT))) if weighted else None
    alone = BookLosses.of(PROFIT.sum(axis=2, keepdims=True), EQUITY, ("all",))
    for tail in book_risk(alone, weights).tails:
        (part,) = tail.parts
        assert part.var.high - part.var.low == pytest.approx(tail.var.high - tail.var.low, rel=1e-9)
        # The whole's ES has a normal interval and this one Student's: 2000 paths apart, by less than a thousandth. Its
        # VaR is an order statistic, and here one between two.
        assert part.es.high - part.es.low == pytest.approx(tail.es.high - tail.es.low, rel=0.02)
        assert (part.share.value, part.share.high - part.share.low) == pytest.approx((1, 0))
        assert (tail.diversification.value, tail.concentration.value) == pytest.approx((1, 1))


def test_a_fall_is_shared_out_by_hand():
    # 100, 120, 110, 120, 90, 96: the fall of a quarter starts at the second visit to 120; of its 30, a lost 10 and b
    # 20. Its worst bar is the same one. Over the whole path a made 16 and b lost 20.
    profit = np.array([[[16, 4], [0, -10], [10, 0], [-10, -20], [0, 6]]], dtype=float)
    losses = BookLosses.of(profit, equity_of(profit, 100), ("a", "b"))
    assert_allclose(losses.drawdown.parts, [[10 / 120, 20 / 120]])
    assert_allclose(losses.worst_bar.parts, [[10 / 120, 20 / 120]])
    assert_allclose(losses.terminal.parts, [[-16 / 100, 20 / 100]])
    # b alone: 100, 104, 94, 94, 74, 80; without b that is a alone: 100, 116, 116, 126, 116, 116.
    assert_allclose(losses.drawdown.alone, [[10 / 126, 30 / 104]])
    assert_allclose(losses.drawdown.without, [[30 / 104, 10 / 126]])
    assert_allclose(losses.worst_bar.alone, [[10 / 120, 20 / 120]])


def test_a_part_that_earns_in_the_tail_is_a_hedge():
    # 400 paths, of which 20 lose 10 % by asset a; b makes 2 % on these and nothing else.
    profit = np.zeros((400, 1, 2))
    profit[:20, 0] = [-10_000, 2_000]
    tail = book_risk(BookLosses.of(profit, equity_of(profit), ("a", "b"))).tail("terminal", 0.95)
    a, b = tail.parts
    assert (a.es.value, b.es.value, tail.es.value) == pytest.approx((0.10, -0.02, 0.08))
    assert (a.share.value, b.share.value) == pytest.approx((1.25, -0.25))
    assert (b.saved.value, a.alone.value) == pytest.approx((-0.02, 0.10))
    assert tail.concentration.value == pytest.approx(1)
    assert (tail.tail_paths, tail.half_paths) == (20, 10)


def test_whole_weights_are_copies_of_paths():
    copies = np.random.default_rng(2).integers(1, 4, len(PROFIT))
    whole = book_risk(LOSSES, Weights.of(copies.astype(float)))
    repeated = [np.repeat(values, copies, axis=0) for values in (PROFIT, EQUITY, RETURNS)]
    edges = LOSSES.joint.edges
    copied = book_risk(BookLosses.of(repeated[0], repeated[1], NAMES, returns=repeated[2], edges=edges))
    for ours, theirs in zip(whole.tails, copied.tails, strict=True):
        assert_allclose([p.es.value for p in ours.parts], [p.es.value for p in theirs.parts], rtol=1e-9)
        assert ours.diversification.value == pytest.approx(theirs.diversification.value, rel=1e-9)
        assert ours.concentration.value == pytest.approx(theirs.concentration.value, rel=1e-9)
        # The kernel sees as many paths, of which some stand in for two or three: nearly the same regression.
        errors = [(p.var.high - p.var.low) / 4 for p in theirs.parts]
        assert (
            np.abs([a.var.value - b.var.value for a, b in zip(ours.parts, theirs.parts, strict=True)]) < errors
        ).all()
    assert whole.joint.loss.value == pytest.approx(copied.joint.loss.value, rel=1e-9)
    assert whole.joint.bars.value == pytest.approx(copied.joint.bars.value, rel=1e-9)
    assert whole.weighting.paths == len(PROFIT)


@dataclass(frozen=True)
class Levered:
    """Long of the first asset on credit, short of the second."""

    def weights(self, bars: Bars) -> pd.DataFrame:
        shares = np.array([1.6, -0.4])[np.tile([0, 1], bars.close.shape[1] // 2)]
        return bars.close * 0.0 + shares


def test_the_risk_of_a_traded_book_is_that_of_its_account(make_book, loaded):
    # Costs, interest on what is borrowed and a short leg: all of it is in the profits, and the tail is the account's.
    brokers = {name: Broker(fees=fees, leverage=2, borrow=0.05) for name, fees in (("spx", 1e-4), ("ndx", 1e-3))}
    book = make_book(brokers, paths=400, bars=15)
    traded = trade_book(loaded(Levered()), book.ground, book.paths)
    returns = returns_of(book.paths.closes, "simple")
    losses = BookLosses.of(traded.profit, traded.result.equity, traded.assets, holding=traded.holding, returns=returns)
    tail = book_risk(losses, levels=(0.95,)).tail("terminal", 0.95)
    account = traded.result.metrics["total_return"].to_numpy()
    # The account's equity at the end is a float64 behind the metrics: sums of 30 profits differ by rounding alone.
    assert tail.var.value == pytest.approx(value_at_risk(account, 0.95).value, rel=1e-9)
    assert tail.es.value == pytest.approx(conditional_value_at_risk(account, 0.95, seed=0).value, rel=1e-9)
    assert sum(part.es.value for part in tail.parts) == pytest.approx(tail.es.value, rel=1e-12)
    # Held are 1.6 and .4 of equity at each open, and at each close what the bar made of that.
    assert [part.es.value / part.marginal.value for part in tail.parts] == pytest.approx([1.6, 0.4], rel=0.05)


def test_a_tail_of_few_paths_is_refused_and_says_how_many_it_needs():
    risk = book_risk(BookLosses.of(PROFIT[:799], EQUITY[:799], NAMES))
    assert risk.tail("terminal", 0.95).es.value is not None
    refused = risk.tail("terminal", 0.975)
    assert (refused.parts, refused.es.reason) == ((), "not shown, needs N >= 800")
    assert refused.diversification.reason == refused.es.reason
    assert book_risk(BookLosses.of(PROFIT[:0], EQUITY[:0], NAMES)).tail("drawdown", 0.95).es.value is None


def test_the_components_of_another_strategy_are_refused():
    other, _ = drawn(2000, 12, seed=5)
    with pytest.raises(ValueError, match="not those of the book"):
        BookLosses.of(other, EQUITY, NAMES)
    with pytest.raises(ValueError, match="do not fit"):
        BookLosses.of(PROFIT[:, :, :2], EQUITY[1:], NAMES)


def test_an_asset_that_is_never_held_has_no_marginal_contribution():
    held = np.broadcast_to(HELD * [1, 1, 0], PROFIT.shape)
    tail = book_risk(BookLosses.of(PROFIT, EQUITY, NAMES, holding=held), levels=(0.95,)).tails[0]
    assert tail.parts[-1].marginal.reason == "nothing of it is held"
    assert tail.parts[0].marginal.value == RISK.tail("terminal", 0.95).parts[0].marginal.value


def test_the_equity_between_start_and_end_is_what_the_profits_make_of_it():
    assert book_risk(BookLosses.of(PROFIT, EQUITY[:, [0, -1]], NAMES, returns=RETURNS)) == book_risk(
        BookLosses.of(PROFIT, EQUITY, NAMES, returns=RETURNS)
    )


def test_bars_at_which_most_assets_fall_are_counted_by_hand():
    # Three assets, two of which are most; at the third bar only two trade, and both must fall.
    returns = np.array([[[-5, -5, 0], [-5, 0, 0], [-5, -5, 0]], [[0, 0, 0], [-5, -5, -5], [-5, 0, -5]]]) / 100
    open_bars = np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0]], dtype=bool)
    profit = returns * 100
    losses = BookLosses.of(
        profit, equity_of(profit, 100), NAMES, returns=returns, open_bars=open_bars, edges=np.full(3, -0.04)
    )
    joint = losses.joint
    assert_array_equal(joint.hits, [2, 1])
    assert_array_equal(joint.at, [2, 1])
    assert_array_equal(joint.fallen, [2, 3])
    assert_allclose(joint.worst, [10 / 85, 15 / 100])
    assert_allclose(joint.loss, [10 / 100 + 10 / 85, 15 / 100])
    by_chance = 2 * binom.sf(1, 3, 0.05) + 0.05**2
    assert_allclose(joint.expected, by_chance)
    told = book_risk(losses).joint
    assert told.loss.value == pytest.approx((10 / 100 + 10 / 85 + 15 / 100) / 3)
    assert [(bar.path_id, bar.bar, bar.fallen) for bar in told.worst] == [(1, 1, 3), (0, 2, 2)]


def test_assets_that_fall_by_themselves_fall_together_as_often_as_chance_has_it():
    returns = np.random.default_rng(6).standard_normal((2000, 20, 3)) / 100
    profit = returns * CASH / 3
    joint = book_risk(BookLosses.of(profit, equity_of(profit), NAMES, returns=returns)).joint
    assert abs(deviation_of(joint.bars, joint.expected)) < 3  # a false alarm in 0.3 % of seeds
    assert RISK.joint.bars.low > 1.5 * RISK.joint.expected  # of correlated ones, more often


def test_strategies_that_share_the_capital_are_parts_of_a_book():
    same = book_risk(BookLosses.of_strategies({"a": EQUITY, "b": EQUITY})).tail("terminal", 0.95)
    assert (same.diversification.value, same.concentration.value) == pytest.approx((1, 0.5))
    other = equity_of(drawn(2000, 12, seed=9)[0])
    risk = book_risk(BookLosses.of_strategies({"a": EQUITY, "b": other}))
    (whole,) = tail_losses(terminal_returns((EQUITY + other) / 2), (0.975,))
    tail = risk.tail("terminal", 0.975)
    assert tail.es.value == pytest.approx(whole.cvar.value, rel=1e-9)
    assert tail.diversification.high < 0.8  # of two independent ones alike: the root of a half
    # Half of the capital each: alone, each has half the loss that it has by itself.
    by_itself = tail_losses(terminal_returns(EQUITY), (0.975,))[0].cvar.value
    assert tail.parts[0].alone.value == pytest.approx(by_itself / 2, rel=1e-9)


def test_blocks_of_paths_that_are_joined_say_what_all_of_them_say():
    edges = fall_edges(RETURNS)
    blocks = [
        BookLosses.of(
            PROFIT[rows], EQUITY[rows], NAMES, returns=RETURNS[rows], edges=edges, path_ids=np.arange(2000)[rows]
        )
        for rows in (slice(0, 700), slice(700, 2000))
    ]
    kept = [BookLosses.of_arrays(block.names, block.arrays()) for block in blocks]
    whole = book_risk(BookLosses.of(PROFIT, EQUITY, NAMES, returns=RETURNS))
    assert book_risk(BookLosses.joined(kept)) == whole
    moved = BookLosses.of(PROFIT[:9], EQUITY[:9], NAMES, returns=RETURNS[:9])
    with pytest.raises(ValueError, match="different edges"):
        BookLosses.joined([kept[0], moved])


def test_an_account_that_holds_nothing_has_a_tail_of_nothing():
    nothing = np.zeros((500, 4, 2))
    risk = book_risk(BookLosses.of(nothing, equity_of(nothing), ("a", "b"), returns=nothing))
    tail = risk.tail("drawdown", 0.95)
    assert [part.es.value for part in tail.parts] == [0, 0]
    assert tail.parts[0].share.reason == "the book loses nothing there"
    assert (tail.half_paths, tail.diversification.value) == (None, None)


def test_a_ruined_account_is_shared_out_to_the_end():
    profit = np.zeros((1, 4, 2))
    profit[0, 0], profit[0, 1] = [-60, 0], [-10, -30]
    losses = BookLosses.of(profit, equity_of(profit, 100), ("a", "b"))
    assert_allclose(losses.terminal.parts, [[0.7, 0.3]])
    assert_allclose(losses.drawdown.parts, [[0.7, 0.3]])
    assert_allclose(losses.worst_bar.parts, [[0.25, 0.75]])


def test_the_example_of_the_readme_runs():
    readme = Path(__file__).parents[3] / "README.md"
    blocks = readme.read_text(encoding="utf-8").split("```python\n")
    (example,) = [block.split("```")[0] for block in blocks if "book_risk(" in block]
    names = {"profit": PROFIT[:, :, :2], "equity": equity_of(PROFIT[:, :, :2])}
    exec(example, names)
    assert [part.name for part in names["risk"].tail("terminal", 0.975).parts] == ["spx", "ndx"]


def test_risk_comes_back_from_json_as_it_went():
    import json

    assert decode_json(BookRisk, json.dumps(encode(RISK)).encode()) == RISK
