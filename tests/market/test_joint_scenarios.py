"""Joint futures for others: arrays and frames by hand, weights kept, and optimisers that find what is in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from scenario_gen.errors import DataError
from scenario_gen.market.book import BookPaths
from scenario_gen.market.export import Scenarios
from scenario_gen.market.path_tables import read_path_tables
from scenario_gen.market.paths import PathSet


def part_of(closes, anchor, ids=None, days=None, weights=None):
    closes = np.asarray(closes, dtype=np.float64)
    first = pd.Timestamp("2024-01-01")
    stamps = pd.DatetimeIndex([first + pd.Timedelta(days=int(day)) for day in days or range(closes.shape[1])])
    paths = PathSet.of_arrays(
        closes, closes + 1, closes - 1, closes, 10 * closes, timestamps=stamps, anchor_close=anchor
    )
    ids = paths.path_ids if ids is None else np.array(ids, dtype=np.int64)
    return replace(paths, path_ids=ids, weights=weights)


BOOK = BookPaths(
    {
        "coin": part_of([[11, 22, 33], [5, 10, 5]], 10.0, [4, 9]),
        "stock": part_of([[50, 50], [100, 150]], 100.0, [4, 9], [0, 2]),
    }
)


def test_returns_are_by_path_asset_and_bar_and_nothing_moves_in_a_closed_market():
    assert_allclose(BOOK.returns(), [[[0.1, 1, 0.5], [-0.5, 0, 0]], [[-0.5, 1, -0.5], [0, 0, 0.5]]])
    assert_allclose(BOOK.returns("log"), np.log1p(BOOK.returns()))
    with pytest.raises(DataError, match="returns of kind 'net'"):
        BOOK.returns("net")


def test_scenarios_at_a_horizon_are_the_returns_over_so_many_bars():
    week = BOOK.scenarios(horizon=3)
    assert_allclose(week.returns.to_numpy(), [[2.3, -0.5], [-0.5, 0.5]])
    assert (list(week.returns.columns), list(week.returns.index), week.weights) == (["coin", "stock"], [4, 9], None)
    assert_allclose(BOOK.scenarios(2, "log").returns.to_numpy(), np.log([[2.2, 0.5], [1, 1]]))
    with pytest.raises(DataError, match="horizon of 4 bars, of paths of 3"):
        BOOK.scenarios(4)


def test_scenarios_of_every_bar_are_those_of_the_array():
    daily = BOOK.scenarios()
    assert len(daily) == 6
    assert_allclose(daily.returns.loc[9].to_numpy(), BOOK.returns()[1].T)
    assert daily.returns.index.names == ["path_id", "bar"]


def test_weights_go_along():
    weighted = BookPaths({name: replace(part, weights=np.array([1.0, 3.0])) for name, part in BOOK.parts.items()})
    assert_allclose(weighted.scenarios(2).weights, [0.25, 0.75])
    assert_allclose(weighted.scenarios().weights, np.repeat([0.25, 0.75], 3) / 3)
    assert list(weighted.scenarios(2).alike(8).index) == [4] * 2 + [9] * 6
    assert weighted.to_frame()["weight"].tolist()[:3] == [1, 1, 1]


def test_scenarios_alike_repeat_each_as_often_as_it_counts_or_once_more():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(40))
    given = Scenarios(pd.DataFrame({"a": np.arange(40.0)}), shares)
    for count in (10, 40, 333):
        times = np.bincount(given.alike(count)["a"].to_numpy().astype(int), minlength=40)
        assert (np.abs(times - count * shares) < 1).all()
    same = Scenarios(given.returns)
    assert same.alike() is same.returns
    assert len(same.alike(7)) == 7
    with pytest.raises(ValueError, match="at least 1"):
        same.alike(0)


def test_a_long_frame_comes_back_as_the_paths_that_it_was_made_of():
    frame = BOOK.to_frame()
    assert list(frame.columns[:4]) == ["asset", "path_id", "bar", "timestamp"]
    assert frame.loc[frame["asset"] == "stock", "bar"].tolist() == [0, 2, 0, 2]  # closed on the second day
    for name, table in read_path_tables(frame).items():
        assert_array_equal(table.values, BOOK.parts[name].values)
        assert_array_equal(table.path_ids, [4, 9])


# --- Optimisers: the extra ``portfolio`` ---


@pytest.fixture(scope="module")
def calm_and_wild():
    """Two independent assets, of which one moves three times as much."""
    moves = np.random.default_rng(1).normal(0, (0.01, 0.03), (4000, 2)) + 0.0005
    return BookPaths({name: part_of(100 * (1 + moves[:, [at]]), 100.0) for at, name in enumerate(("calm", "wild"))})


def test_without_skfolio_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scenario_gen.market.skfolio_prior", None)
    with pytest.raises(DataError, match="pip install"):
        BOOK.scenarios(1).prior()


def test_skfolio_finds_the_book_of_least_variance(calm_and_wild):
    skfolio = pytest.importorskip("skfolio")
    from skfolio.optimization import MeanRisk

    given = calm_and_wild.scenarios(1)
    model = MeanRisk(risk_measure=skfolio.RiskMeasure.VARIANCE, prior_estimator=given.prior()).fit(given.returns)
    # Of independent assets, shares are as one over the variance: .9 and .1. Of 4000 scenarios a variance has an error
    # of 2.2 %, so the share of .9 one of .9 x .1 x 2.2 % x root 2 = .0028.
    assert_allclose(model.weights_, [0.9, 0.1], atol=3 * 0.0028)
    plain = MeanRisk(risk_measure=skfolio.RiskMeasure.VARIANCE).fit(given.returns)
    assert_allclose(model.weights_, plain.weights_, atol=1e-6)


def test_skfolio_counts_weighted_scenarios_by_their_weights(calm_and_wild):
    skfolio = pytest.importorskip("skfolio")
    from skfolio.optimization import MeanRisk

    # Weights that keep only the paths on which the wild asset hardly moved turn the least CVaR around.
    given = calm_and_wild.scenarios(1)
    quiet = np.abs(given.returns["wild"].to_numpy()) < 0.003
    weighted = Scenarios(given.returns, np.where(quiet, 1.0, 0.0) / quiet.sum())
    model = MeanRisk(risk_measure=skfolio.RiskMeasure.CVAR, prior_estimator=weighted.prior()).fit(given.returns)
    assert model.weights_[1] > 0.9
    only = MeanRisk(risk_measure=skfolio.RiskMeasure.CVAR).fit(given.returns[quiet])
    assert_allclose(model.weights_, only.weights_, atol=1e-3)
    with pytest.raises(DataError, match="scenarios with 4,000 weights"):
        weighted.prior().fit(given.returns.iloc[:100])


def test_riskfolio_takes_the_same_frame(calm_and_wild):
    riskfolio = pytest.importorskip("riskfolio")
    given = calm_and_wild.scenarios()
    book = riskfolio.Portfolio(returns=given.alike())
    book.assets_stats(method_mu="hist", method_cov="hist")
    shares = book.optimization(model="Classic", rm="MV", obj="MinRisk", hist=True)
    assert_allclose(shares["weights"], [0.9, 0.1], atol=3 * 0.0028)
