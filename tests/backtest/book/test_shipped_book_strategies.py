"""The shipped strategies of several assets: by hand, or as others compute them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.covariance import ledoit_wolf

from scenario_gen.backtest import Bars, Targets, expand
from scenario_gen.backtest.book import book_bars, trade_book
from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.probe import probe_causality
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import StrategyError

FOLDER = Path(__file__).parents[3] / "strategies" / "book"
ASSETS = ("spx", "ndx", "btc", "eth")
SHIPPED = {
    "equal_weight.py:EqualWeight": {"every": 5},
    "inverse_volatility.py:InverseVolatility": {"window": 10, "every": 5},
    "minimum_variance.py:MinimumVariance": {"window": 20, "every": 5},
    "top_momentum.py:TopMomentum": {"top": 2, "lookback": 15, "skip": 1, "every": 3},
    "pairs.py:Pairs": {"window": 15, "enter": 1.5, "stop": 3.0},
}


def load(use, **params):
    return expand(StrategyUse(use=use, params=params), FOLDER)[0]


def bars(closes, context=1):
    """One path of several assets, {name: closes}; every other price is the close."""
    names = [*closes]
    columns = pd.MultiIndex.from_product([[0], names], names=["path_id", "asset"])
    close = pd.DataFrame(np.array([*closes.values()], dtype=float).T, columns=columns)
    close.index = pd.bdate_range("2020-01-01", periods=len(close))
    return Bars(close, close, close, close, None, context_bars=context, bars_per_year=252.0)


@pytest.fixture(scope="module")
def book(make_book):
    return make_book({name: Broker(fees=0.001) for name in ASSETS}, paths=12, bars=25, seed=2)


def test_the_list_above_is_complete():
    assert {path.name for path in FOLDER.glob("*.py")} == {use.split(":")[0] for use in SHIPPED}


@pytest.mark.parametrize(("use", "params"), SHIPPED.items())
def test_a_shipped_book_trades_and_does_not_look_ahead(book, use, params):
    strategy = load(use, **params)
    result = trade_book(strategy, book.ground, book.paths).result
    assert result.metrics["trades"].sum() > 0
    assert np.isfinite(result.metrics["total_return"]).all()
    found = probe_causality(strategy, book.ground, book.paths, cuts=12)
    assert found.label == "PASS", found


def test_equal_weights_are_brought_back_when_it_is_time(book):
    held = trade_book(load("equal_weight.py:EqualWeight", every=5), book.ground, book.paths).holding
    # At the close of a rebalancing bar the shares are a quarter but for what that bar moved, 2 % of a quarter or so.
    due = np.abs(held[:, ::5] - 0.25).mean()
    assert due < 0.6 * np.abs(held[:, 4::5] - 0.25).mean()
    traded = trade_book(load("equal_weight.py:EqualWeight", every=30), book.ground, book.paths)
    prices = book.future("close") / book.future("open")[:, :1]
    alone = prices / prices.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(
        traded.holding[:, :, :3] / traded.holding[:, :, 3:], alone[:, :, :3] / alone[:, :, 3:], rtol=0.01
    )


def test_a_band_leaves_small_drifts_alone(make_book, loaded):
    # a rises from 100 to 104 and then 130: its share of half goes to 51.0 % and then 56.5 %, beyond a band of 5 %.
    @dataclass(frozen=True)
    class Banded:
        def weights(self, bars: Bars) -> Targets:
            return Targets(bars.close * 0.0 + 0.5, band=0.05)

    values = {
        name: np.repeat(np.array([[closes]], dtype=float).reshape(1, 3, 1), 4, axis=2)
        for name, closes in (("a", (100, 104, 130)), ("b", (100, 100, 100)))
    }
    small = make_book({name: Broker(cash=1000) for name in "ab"}, values=values, context=np.full((3, 4), 100.0))
    holding = trade_book(loaded(Banded()), small.ground, small.paths).holding[0]
    np.testing.assert_allclose(holding[:, 0], [0.5, 520 / 1020, 0.5])


def test_inverse_volatility_by_hand():
    rule = load("inverse_volatility.py:InverseVolatility", window=2, every=1).instance
    # Returns of a: 10 %, -10 %, of b: 2 %, -2 %: deviations in the ratio 5 to 1.
    weights = rule.weights(bars({"a": [100, 110, 99], "b": [100, 102, 99.96]})).weights
    np.testing.assert_allclose(weights.to_numpy(), [[0, 0], [0, 0], [1 / 6, 5 / 6]])


def test_the_covariance_is_shrunk_as_scikit_learn_does():
    rng = np.random.default_rng(3)
    returns = rng.normal(0, 0.01, (5, 60, 6)) + rng.normal(0, 0.01, (5, 60, 1))
    rule = load("minimum_variance.py:MinimumVariance", window=60).instance
    for path in range(5):
        covariance = ledoit_wolf(returns[path])[0]
        raw = np.linalg.solve(covariance, np.ones(6))
        np.testing.assert_allclose(rule.least_variance(returns)[path], raw / np.abs(raw).sum(), rtol=1e-9)
    still = rule.least_variance(np.zeros((1, 60, 4)))  # assets that never move are held alike
    np.testing.assert_allclose(still, 0.25)


def test_minimum_variance_has_weights_from_the_last_context_bar_on(book):
    shown = load("minimum_variance.py:MinimumVariance", window=20).instance
    weights = shown.weights(book_bars(book.ground, book.paths)).weights.to_numpy()
    gross = np.abs(weights).reshape(len(weights), -1, 4).sum(axis=2)
    assert (gross[:39] == 0).all()
    np.testing.assert_allclose(gross[39:], 1.0)


def test_the_weakest_gives_way_to_the_strongest_that_is_not_held():
    rule = load("top_momentum.py:TopMomentum", top=2, drop=1, lookback=1, skip=0, every=1).instance
    # The rise of the last bar: first c and b lead (3, 2 % against 1, 0). Then d and a lead (4, 3), c and b have 2 and
    # 1: only b goes, for d. Then a leads by far, d and c fall: the worse of the two, c, goes for a.
    rises = {"a": [1, 3, 9], "b": [2, 1, 5], "c": [3, 2, -4], "d": [0, 4, -3]}
    closes = {name: 100 * np.cumprod([1, *(1 + np.array(rise) / 100)]) for name, rise in rises.items()}
    weights = rule.weights(bars(closes, context=2)).weights
    assert weights.to_numpy().tolist() == [[0] * 4, [0, 0.5, 0.5, 0], [0, 0, 0.5, 0.5], [0.5, 0, 0, 0.5]]


def test_what_is_held_is_kept_while_it_is_among_the_best():
    rule = load("top_momentum.py:TopMomentum", top=2, drop=2, lookback=1, skip=0).instance
    held = np.array([[True, True, False, False]])
    # 1 is the best and stays; of 0, 2 and 3 only 2 is better than 0.
    assert rule.exchanged(held, np.array([[2.0, 9.0, 5.0, 1.0]])).tolist() == [[False, True, True, False]]


def test_a_pair_is_opened_closed_and_given_up():
    rule = load("pairs.py:Pairs", window=5, enter=2, stop=3).instance
    apart = np.array([[0.0], [2.1], [1.0], [-0.1], [-2.5], [-3.2], [-2.2], [0.3], [2.0], [3.0], [2.5]])
    # Opened short at 2.1, closed where the mean is crossed, opened long at -2.5, given up at -3.2 and not opened again
    # at -2.2; after the crossing open short at 2.0, given up at 3.0.
    assert rule.sides(apart, 1)[:, 0].tolist() == [0, -1, -1, 0, 1, 0, 0, 0, -1, 0, 0]


def test_a_pair_names_two_assets(book):
    for params in ({"first": "spx", "second": "spx"}, {"first": "dax"}):
        with pytest.raises(StrategyError, match="needs two assets of"):
            trade_book(load("pairs.py:Pairs", **params), book.ground, book.paths)
    named = trade_book(load("pairs.py:Pairs", first="btc", second="eth", window=15), book.ground, book.paths)
    assert (named.holding[:, :, :2] == 0).all()
    assert (named.holding[:, :, 2:] != 0).any()


def test_more_assets_than_there_are_cannot_be_on_top(book):
    with pytest.raises(StrategyError, match="top=5 of 4 assets"):
        trade_book(load("top_momentum.py:TopMomentum", top=5), book.ground, book.paths)
