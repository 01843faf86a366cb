"""Tails, ruin, causes and comparisons of weighted paths: whole weights are copies, others are worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scenario_gen.backtest.overfitting.cscv import overfitting_on_paths
from scenario_gen.backtest.overfitting.grids import parameter_stability
from scenario_gen.backtest.skill import compare, compare_each_other
from scenario_gen.backtest.tail.causes import Played, tail_causes
from scenario_gen.backtest.tail.losses import ruin_curves, summarise_drawdowns, tail_losses, worst_bar
from scenario_gen.backtest.tail.marker import historical_marker
from scenario_gen.stats.weights import Weights

PATHS, BARS = 1200, 30
RNG = np.random.default_rng(4)
COPIES = RNG.integers(1, 4, PATHS)
WEIGHTS = Weights.of(COPIES.astype(np.float64))
EQUITY = 1e5 * np.exp(np.cumsum(0.03 * RNG.standard_normal((PATHS, BARS + 1)), axis=1))
EQUITY *= 1e5 / EQUITY[:, :1]
COPIED = np.repeat(EQUITY, COPIES, axis=0)


def test_the_tail_of_the_worst_bar_is_that_of_copies():
    ours = tail_losses(worst_bar(EQUITY), weights=WEIGHTS)
    theirs = tail_losses(worst_bar(COPIED))
    for weighted, copied in zip(ours, theirs, strict=True):
        assert weighted.cvar.value == pytest.approx(copied.cvar.value, rel=1e-9)
        order = np.sort(-worst_bar(COPIED))
        assert weighted.var.value == order[int(np.ceil(round(weighted.level * len(order), 6))) - 1]


def test_drawdowns_of_weighted_paths_are_those_of_copies():
    ours, theirs = summarise_drawdowns(EQUITY, WEIGHTS), summarise_drawdowns(COPIED)
    assert ours.depth.mean.value == pytest.approx(theirs.depth.mean.value, rel=1e-12)
    assert ours.recovered.value == pytest.approx(theirs.recovered.value, rel=1e-12)
    assert ours.recovery["0.25"].value == theirs.recovery["0.25"].value
    assert ours.recovery["0.95"].reason == theirs.recovery["0.95"].reason == "not recovered by the end of the path"
    assert ours.at_risk["0.95"].value == pytest.approx(theirs.at_risk["0.95"].value, rel=1e-9)


def test_ruin_by_each_bar_is_that_of_copies():
    for weighted, copied in zip(ruin_curves(EQUITY, weights=WEIGHTS), ruin_curves(COPIED), strict=True):
        np.testing.assert_allclose(weighted.probability, copied.probability, rtol=1e-12)
        if weighted.final.value is not None:
            assert weighted.final.value == pytest.approx(copied.probability[-1], rel=1e-12)


def test_the_worst_hundredth_is_the_hundredth_that_stands_for_it():
    exposure, nothing = np.full((PATHS, BARS), 0.8), np.zeros((PATHS, BARS))
    prices = EQUITY[:, 1:] / 1e3
    context = 100 * np.exp(np.cumsum(0.01 * np.random.default_rng(1).standard_normal(60)))
    found = tail_causes(Played(EQUITY, exposure, nothing, prices * 0.999, prices, context), 0.05, WEIGHTS)
    losses = 1 - EQUITY[:, -1] / EQUITY[:, 0]
    order = np.argsort(-losses)
    worst = order[: found.worst]
    assert WEIGHTS.shares[worst[:-1]].sum() < 0.05 <= WEIGHTS.shares[worst].sum() + 1e-12
    assert found.loss.value == pytest.approx(np.average(losses[worst], weights=COPIES[worst]), rel=1e-6)


def test_causes_of_a_tail_that_one_path_stands_for_are_refused():
    heavy = np.ones(PATHS)
    heavy[np.argmin(EQUITY[:, -1])] = PATHS / 10
    nothing, prices = np.zeros((PATHS, BARS)), EQUITY[:, 1:]
    played = Played(EQUITY, nothing, nothing, prices, prices, np.array([1.0, 2.0, 1.5]))
    found = tail_causes(played, 0.05, Weights.of(heavy))
    assert found.reason == "not shown, the worst 5% are as many as 1.0 paths alike, needs 10"


def test_the_place_of_history_is_among_what_paths_stand_for():
    values = EQUITY[:, -1] / EQUITY[:, 0] - 1
    stretch = {"stretch": "context", "metric": "Total return", "real_bars": BARS, "path_bars": BARS}
    ours = historical_marker(0.05, values, weights=WEIGHTS, **stretch)
    theirs = historical_marker(0.05, np.repeat(values, COPIES), **stretch)
    assert ours.percentile.value == pytest.approx(theirs.percentile.value, rel=1e-12)
    assert ours.place == "inside"
    assert ours.percentile.low < theirs.percentile.low, "copies of a path are no more paths"


def test_pairs_are_compared_by_what_paths_stand_for():
    ours, theirs = np.random.default_rng(8).standard_normal((2, PATHS)) + np.array([[0.3], [0.0]])
    told = compare(ours, theirs, "total_return", "a", "b", WEIGHTS)
    assert told.mean.value == pytest.approx(np.average(ours - theirs, weights=COPIES), rel=1e-12)
    assert told.win_share.value == pytest.approx(np.average(ours > theirs, weights=COPIES), rel=1e-12)
    assert (told.wins, told.losses) == ((ours > theirs).sum(), (ours < theirs).sum())
    assert told.p_mean < 0.05


def test_a_lead_on_the_paths_that_count_beats_a_majority_of_those_that_do_not():
    ahead = np.arange(200) < 60
    ours, weights = np.where(ahead, 1.0, -1.0), Weights.of(np.where(ahead, 20.0, 1.0))
    told = compare(ours, np.zeros(200), "total_return", "a", "b", weights)
    assert (told.typical, told.label) == ("better", "better")
    assert (told.wins, told.losses) == (60, 140)


def test_pairs_on_few_stories_are_not_judged():
    values = {name: pd.DataFrame({"total_return": np.random.default_rng(3).standard_normal(400)}) for name in "ab"}
    few = Weights.of(np.ones(400), islands=np.arange(400) % 10, roots=np.zeros(400, dtype=np.int64))
    (told,) = compare_each_other(values, ["total_return"], few)
    assert told.reason == "not judged, the paths are as many as 10.0 alike, needs 30"


def test_weighted_paths_are_no_records_to_cross_validate():
    told = overfitting_on_paths(np.ones((20, 40, 3)), weighted=True)
    assert (told.probability.value, told.reason) == (None, "the paths do not all stand for as much")


def test_a_grid_is_compared_by_what_paths_stand_for():
    results = np.random.default_rng(6).standard_normal((3, PATHS)) + np.array([[0.0], [0.4], [0.1]])
    params = [{"fast": step} for step in (5, 10, 20)]
    ours = parameter_stability(params, results, WEIGHTS)
    theirs = parameter_stability(params, results.repeat(COPIES, axis=1))
    assert ours.best == theirs.best == 1
    assert ours.advantage.value == pytest.approx(theirs.advantage.value, rel=1e-12)
