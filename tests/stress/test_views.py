"""Views on paths: what each kind asks for is what the weighted paths have, and what cannot be is told."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.errors import CheckError, SpecError
from scenario_gen.stats.weights import Weighting, Weights
from scenario_gen.stress.view import View, contradictions
from scenario_gen.stress.views import (
    Reweighed,
    figure_of,
    functionals,
    moved,
    numbers_of,
    prior_of,
    reach_finding,
    reached,
    relative_entropy,
    reweighted,
)


@pytest.fixture(scope="module")
def paths() -> sg.PathSet:
    """Return 2,000 walks of 40 bars by 1 % each."""
    steps = 0.01 * np.random.default_rng(2).standard_normal((2000, 40))
    close = 100 * np.exp(np.cumsum(steps, axis=1))
    stamps = pd.bdate_range("2020-01-01", periods=40)
    return sg.PathSet.of_arrays(close, close, close, close, timestamps=stamps, anchor_close=100.0)


def viewed(paths: sg.PathSet, *views: dict) -> tuple[np.ndarray, list[View]]:
    return sg.reweight(paths, views, bars_per_year=252), [View.model_validate(view) for view in views]


KINDS = [
    {"mean": "terminal_return", "equals": -0.05},
    {"mean": "max_drawdown", "at_least": 0.09},
    {"mean": "realised_vol", "at_most": 0.15},
    {"std": "terminal_return", "equals": 0.08},
    {"probability": "max_drawdown", "at_least": 0.1, "is": 0.3},
    {"probability": "terminal_return", "at_most": -0.05, "is_at_least": 0.4},
    {"probability": "worst_bar", "at_most": -0.03, "is_at_most": 0.02},
    {"quantile": "terminal_return", "level": 0.05, "equals": -0.15},
    {"quantile": "best_bar", "level": 0.95, "equals": 0.04},
    {"cvar": "terminal_return", "level": 0.95, "equals": 0.18},
    {"cvar": "max_drawdown", "level": 0.9, "equals": 0.16},
]


@pytest.mark.parametrize("view", KINDS, ids=lambda view: f"{next(iter(view))} of {next(iter(view.values()))}")
def test_weighted_paths_have_what_a_view_asks_for(paths, view):
    weights, (asked,) = viewed(paths, view)
    values = functionals(paths, 252)[asked.functional]
    got, (low, high) = figure_of(asked, values, weights), asked.range
    # A quantile is one of the paths' own values: of 2,000 the next one is some 1e-3 away.
    slack = 2e-3 if asked.kind in ("quantile", "cvar") else 1e-9
    assert low - slack <= got <= high + slack
    assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_several_views_hold_at_once(paths):
    views = [KINDS[0], KINDS[4], {"std": "realised_vol", "equals": 0.02}]
    weights, asked = viewed(paths, *views)
    measured = functionals(paths, 252)
    for view in asked:
        assert figure_of(view, measured[view.functional], weights) == pytest.approx(view.range[0], abs=1e-8)


def test_a_deviation_leaves_the_mean_where_it_is_or_where_a_view_puts_it(paths):
    values = functionals(paths, 252)["terminal_return"]
    weights, _ = viewed(paths, {"std": "terminal_return", "equals": 0.08})
    assert weights @ values == pytest.approx(values.mean(), abs=1e-9)
    weights, _ = viewed(paths, {"std": "terminal_return", "equals": 0.08}, {"mean": "terminal_return", "equals": -0.03})
    assert weights @ values == pytest.approx(-0.03, abs=1e-9)


def test_numbers_of_a_path_are_those_of_a_plain_loop(paths):
    measured = functionals(paths, 252)
    for row in range(5):
        closes = [100.0, *map(float, paths.close[row])]
        returns = [after / before - 1 for before, after in pairwise(closes)]
        falls = [1 - close / max(closes[: bar + 1]) for bar, close in enumerate(closes)]
        assert measured["terminal_return"][row] == pytest.approx(closes[-1] / 100 - 1)
        assert measured["max_drawdown"][row] == pytest.approx(max(falls))
        assert measured["worst_bar"][row] == pytest.approx(min(returns))
        assert measured["best_bar"][row] == pytest.approx(max(returns))
        volatility = np.sqrt(252 * np.mean(np.log1p(returns) ** 2))
        assert measured["realised_vol"][row] == pytest.approx(volatility)


def test_a_view_that_holds_already_leaves_every_weight(paths):
    mean = functionals(paths, 252)["terminal_return"].mean()
    weights, _ = viewed(paths, {"mean": "terminal_return", "equals": float(mean)})
    np.testing.assert_allclose(weights, 1 / 2000, rtol=1e-10)


def test_weights_that_paths_have_are_where_the_search_sets_out(paths):
    given = np.random.default_rng(3).exponential(size=2000)
    weighted = replace(paths, weights=given)
    weights, _ = viewed(weighted, {"mean": "terminal_return", "at_least": -1.0})
    np.testing.assert_allclose(weights, given / given.sum(), rtol=1e-12)


def test_rare_paths_with_small_weights_are_what_makes_a_view_on_them_reachable(paths):
    # 200 paths beyond 15 %, each standing for 1/1000 of an ordinary one, as splitting leaves them.
    measured = functionals(paths, 252)["max_drawdown"]
    given = np.where(measured >= 0.12, 1e-3, 1.0)
    view = {"probability": "max_drawdown", "at_least": 0.12, "is": 0.05}
    weights, (asked,) = viewed(replace(paths, weights=given), view)
    assert figure_of(asked, measured, weights) == pytest.approx(0.05, abs=1e-10)
    assert Weights.of(weights).effective > 1000


def test_a_strategys_own_figures_can_be_viewed(paths):
    measured = functionals(paths, 252)
    metrics = {"Rule": pd.DataFrame({"total_return": -measured["terminal_return"], "max_drawdown": 0.1})}
    view = View.model_validate({"mean": "strategy_return", "strategy": "Rule", "equals": 0.02})
    weights, held = reweighted([view], numbers_of(measured, metrics), prior_of(paths))
    np.testing.assert_array_equal(held[:, 0], -measured["terminal_return"])
    assert weights @ measured["terminal_return"] == pytest.approx(-0.02, abs=1e-9)
    other = View.model_validate({"mean": "strategy_return", "strategy": "Rules", "equals": 0.02})
    with pytest.raises(CheckError, match="no strategy is called 'Rules'; did you mean 'Rule'"):
        reweighted([other], numbers_of(measured, metrics), prior_of(paths))


def test_what_no_path_has_is_refused_with_what_can_be_attained(paths):
    values = functionals(paths, 252)["terminal_return"]
    with pytest.raises(CheckError) as refused:
        viewed(paths, {"mean": "terminal_return", "equals": -0.6})
    assert "'mean of the return over the horizon: -60 %'" in str(refused.value)
    assert f"from {100 * values.min():.4g} to {100 * values.max():.4g} %" in str(refused.value)
    assert "use an event or a shock" in str(refused.value)


def test_views_that_fight_over_the_same_paths_are_told_apart(paths):
    with pytest.raises(CheckError) as refused:
        viewed(
            paths,
            {"mean": "terminal_return", "equals": -0.1},
            {"probability": "terminal_return", "at_least": 0.0, "is": 0.99},
        )
    assert refused.value.place == 1
    assert "beside the view before it" in str(refused.value)


CONTRADICTORY = [
    ({"mean": "terminal_return", "equals": 0.1}, {"mean": "terminal_return", "at_most": 0.05}),
    (
        {"probability": "max_drawdown", "at_least": 0.2, "is": 0.1},
        {"probability": "max_drawdown", "at_least": 0.3, "is": 0.2},
    ),
    (
        {"probability": "terminal_return", "at_most": -0.2, "is": 0.3},
        {"quantile": "terminal_return", "level": 0.05, "equals": -0.1},
    ),
    (
        {"quantile": "worst_bar", "level": 0.05, "equals": -0.02},
        {"quantile": "worst_bar", "level": 0.1, "equals": -0.03},
    ),
    ({"std": "realised_vol", "equals": 0.1}, {"std": "realised_vol", "equals": 0.2}),
]
COMPATIBLE = [
    ({"mean": "terminal_return", "equals": 0.1}, {"mean": "max_drawdown", "equals": 0.2}),
    (
        {"probability": "max_drawdown", "at_least": 0.2, "is": 0.2},
        {"probability": "max_drawdown", "at_least": 0.3, "is": 0.1},
    ),
    (
        {"quantile": "worst_bar", "level": 0.05, "equals": -0.03},
        {"quantile": "worst_bar", "level": 0.1, "equals": -0.02},
    ),
    ({"mean": "terminal_return", "at_least": 0.0}, {"mean": "terminal_return", "at_most": 0.1}),
]


@pytest.mark.parametrize("pair", CONTRADICTORY)
def test_views_that_no_paths_at_all_could_have_together_are_told_before_any_is_sampled(pair):
    ((place, words),) = contradictions([View.model_validate(view) for view in pair])
    assert place == 1
    assert words.startswith("contradicts the view '")


@pytest.mark.parametrize("pair", COMPATIBLE)
def test_views_that_some_paths_could_have_together_pass(pair):
    assert contradictions([View.model_validate(view) for view in pair]) == []


MISTAKES = [
    ({"mean": "terminal_retun", "equals": 0.1}, "did you mean 'terminal_return'"),
    ({"mean": "terminal_return"}, "got nothing beside mean, expected one of equals, at_least, at_most"),
    ({"equals": 0.1}, "got a view of nothing, expected one of mean, std, probability, quantile, cvar"),
    ({"mean": "terminal_return", "std": "max_drawdown", "equals": 0.1}, "got mean and std in one view"),
    ({"probability": "max_drawdown", "at_least": 0.2}, "one of is, is_at_least, is_at_most"),
    ({"probability": "max_drawdown", "at_least": 0.2, "is": 1.2}, "views[0].is: got 1.2, expected a number"),
    ({"quantile": "max_drawdown", "equals": 0.2}, "expected level and equals"),
    ({"mean": "strategy_return", "equals": 0.2}, "needs the name of a strategy"),
    ({"mean": "max_drawdown", "equals": 0.2, "strategy": "Rule"}, "is of the market and of no strategy"),
    ({"mean": "max_drawdown", "is": 0.2}, "got is beside mean, expected one of equals, at_least, at_most"),
]


@pytest.mark.parametrize(("view", "words"), MISTAKES)
def test_a_mistake_in_a_view_names_its_field(paths, view, words):
    with pytest.raises(SpecError) as refused:
        sg.reweight(paths, [view])
    assert words in str(refused.value)


def reweighed_to(paths: sg.PathSet, drift: float) -> Reweighed:
    weights, views = viewed(paths, {"mean": "terminal_return", "equals": drift})
    numbers, prior = numbers_of(functionals(paths, 252), {}), prior_of(paths)
    after = Weights.of(weights)
    told = reached(views, numbers, prior, weights)
    figures = moved(functionals(paths, 252), None, after)
    return Reweighed("base", told, figures, relative_entropy(weights, prior), after.summary, len(prior))


@pytest.mark.parametrize(("drift", "label"), [(-0.05, "PASS"), (-0.16, "FAIL")])
def test_a_view_far_from_the_paths_fails_by_how_few_are_left(paths, drift, label):
    # The return has a deviation of 6.3 %: -5 % is .8 of it, where e^{-.64} = .53 of 2,000 paths are left, -16 % is 2.5.
    finding = reach_finding("bearish", reweighed_to(paths, drift))
    assert finding.label == label
    assert finding.measured.startswith("weighted: 2,000 paths, as many as ")
    assert ("use an event or a shock" in finding.measured) == (label == "FAIL")


@pytest.mark.parametrize(
    ("paths", "alike", "largest", "label"),
    [
        (10_000, 500.0, 0.01, "PASS"),
        (10_000, 499.0, 0.01, "WARN"),
        (2000, 200.0, 0.01, "PASS"),
        (2000, 199.0, 0.01, "WARN"),
        (2000, 99.0, 0.01, "FAIL"),
        (2000, 1500.0, 0.051, "FAIL"),
    ],
)
def test_a_view_is_gated_by_paths_alike_and_by_the_heaviest_path(paths, alike, largest, label):
    reweighed = Reweighed("base", (), (), 0.1, Weighting(paths, alike, largest), float(paths))
    assert reach_finding("bearish", reweighed).label == label


def test_a_mild_view_on_few_paths_asks_for_more_of_them_and_for_no_event(paths):
    few = paths.select(paths.path_ids[:64])
    finding = reach_finding("bearish", reweighed_to(few, float(functionals(few, 252)["terminal_return"].mean()) - 0.01))
    assert finding.label == "FAIL"
    assert "raise paths.count" in finding.measured
    assert "use an event" not in finding.measured


def test_what_moved_is_told_before_and_after(paths):
    told = reweighed_to(paths, -0.05)
    assert told.views[0].posterior == pytest.approx(-0.05, abs=1e-9)
    assert told.views[0].prior == pytest.approx(functionals(paths, 252)["terminal_return"].mean())
    drawdown = next(each for each in told.moved if each.functional == "max_drawdown")
    assert drawdown.after["mean"].value > drawdown.before["mean"].value
    assert {*drawdown.after} == {"mean", "0.05", "0.95"}
    assert len(told.moved) == 5


def test_a_seed_gives_the_same_weights_again(paths):
    first, second = (viewed(paths, KINDS[0], KINDS[4])[0] for _ in range(2))
    assert (first == second).all()


def test_what_is_no_set_of_paths_is_refused_by_name():
    with pytest.raises(CheckError, match="paths are str"):
        sg.reweight("sp500", [{"mean": "terminal_return", "equals": 0.0}])


@pytest.mark.parametrize("views", [[], {"mean": "terminal_return", "equals": 0.0}])
def test_no_view_and_a_view_that_is_in_no_list_are_refused_with_an_example(paths, views):
    with pytest.raises(SpecError, match=r"expected: a list of views, such as \[\{"):
        sg.reweight(paths, views)
