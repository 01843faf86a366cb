"""Reverse stress: what paths in an event share is found where it was planted, and a few paths stand for the others."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_gen.stats.weights import Weights
from scenario_gen.stress.reverse import TRAITS, Steps, medoids, reverse_stress


def _bars(gap: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Valid bars from 100, [path, bar, 4]."""
    close = np.cumsum(gap + body, axis=1)
    opened = close - body
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return 100 * np.exp(np.stack([opened, high, low, close], axis=-1))


def _normal(paths: int, bars: int, seed: int, volatility: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.3 * volatility, (paths, bars)), rng.normal(0, volatility, (paths, bars))


def test_traits_are_what_they_say_on_a_path_worked_by_hand() -> None:
    steps = Steps(np.array([[0.0, 0.03, 0.0, 0.0]]), np.array([[0.01, -0.07, 0.02, 0.02]]), 252.0)
    returns = np.array([0.01, -0.04, 0.02, 0.02])
    size = np.sum(returns**2)
    by_hand = {
        "volatility": np.sqrt(size / 4 * 252),
        "gap_share": 0.0009 / (0.0009 + 0.0001 + 0.0049 + 0.0008),
        "trend": 0.01 / np.sqrt(size),
        "turns": 2 / 3,
        "persistence": (-0.0004 - 0.0008 + 0.0004) / size,
        "first_half": np.expm1(-0.03),
        "second_half": np.expm1(0.04),
        "louder": 0.5 * np.log(0.0008 / 0.0017),
        "worst_bar": np.expm1(-0.04),
        "deepest_fall": -np.expm1(-0.04),
    }
    for name, number in TRAITS.items():
        assert number(steps)[0] == pytest.approx(by_hand[name]), name
    assert by_hand.keys() == TRAITS.keys()


def test_what_was_planted_in_the_event_stands_first_and_the_rest_is_near_zero() -> None:
    gap, body = _normal(2000, 40, seed=1)
    inside = np.arange(2000) < 200
    gap[inside] *= 4  # the paths that break it have gaps
    found = reverse_stress(_bars(gap, body), 100.0, inside, np.arange(2000), weights=None, bars_per_year=252.0)
    assert found.traits[0].name == "gap_share"
    shifts = {trait.name: trait.apart for trait in found.traits}
    assert (shifts["gap_share"].low or 0) > 1
    for name in ("trend", "turns", "persistence", "first_half", "second_half"):
        # standard errors of 1 / sqrt(200) = .07: beyond 4 of them by chance once in 3,000 such tests
        assert abs(shifts[name].value or 0) < 0.3, name
    usual = next(trait.usual for trait in found.traits if trait.name == "gap_share")
    values = TRAITS["gap_share"](Steps(gap, body, 252.0))
    assert usual == pytest.approx(values.mean())
    assert (shifts["gap_share"].value or 0) == pytest.approx((values[:200].mean() - values.mean()) / values.std())


def test_weighted_paths_stand_for_the_law_that_they_were_weighted_to() -> None:
    """A path given twice the weight counts as if it were there twice."""
    gap, body = _normal(600, 30, seed=2)
    bars, inside = _bars(gap, body), np.arange(600) % 3 == 0
    counts = np.where(np.arange(600) < 300, 2, 1)
    islands = np.arange(600) % 10
    weights = Weights.of(counts.astype(np.float64), islands)
    weighted = reverse_stress(bars, 100.0, inside, np.arange(600), weights=weights, bars_per_year=252.0)
    twice = np.repeat(np.arange(600), counts)
    plain = reverse_stress(bars[twice], 100.0, inside[twice], twice, weights=None, bars_per_year=252.0)
    np.testing.assert_allclose(weighted.inside, plain.inside)
    np.testing.assert_allclose(weighted.usual, plain.usual)
    shifts = {trait.name: trait.apart.value for trait in plain.traits}
    for trait in weighted.traits:
        assert trait.apart.value == pytest.approx(shifts[trait.name], abs=1e-9)
        assert trait.apart.low is not None  # ten islands show an error


def test_the_average_paths_are_exponentials_of_mean_logs() -> None:
    gap, body = _normal(300, 10, seed=3)
    inside = np.arange(300) < 50
    found = reverse_stress(_bars(gap, body), 100.0, inside, np.arange(300), weights=None, bars_per_year=252.0)
    assert found.bars == list(range(11))
    logs = np.cumsum(gap + body, axis=1)
    np.testing.assert_allclose(found.inside[1:], np.exp(logs[:50].mean(axis=0)))
    np.testing.assert_allclose(found.usual[1:], np.exp(logs.mean(axis=0)))
    assert found.inside[0] == 1.0


def test_two_kinds_of_paths_are_told_by_their_medoids_with_their_sizes() -> None:
    rng = np.random.default_rng(4)
    falls, slides = rng.normal(0, 0.002, (2, 90, 40))
    falls[:, 5] -= 0.3
    slides[:30] -= 0.3 / 40
    body = np.concatenate((falls, slides[:30], rng.normal(0, 0.002, (400, 40))))
    inside = np.arange(len(body)) < 120
    found = reverse_stress(
        _bars(0 * body, body), 100.0, inside, 1000 + np.arange(len(body)), weights=None, bars_per_year=252.0
    )
    assert len(found.stories) == 5
    sudden = sum(story.share for story in found.stories if story.path_id < 1090)
    assert sudden == pytest.approx(0.75)
    assert sum(story.share for story in found.stories) == pytest.approx(1.0)
    assert all(1000 <= story.path_id < 1120 for story in found.stories)


def test_medoids_are_points_of_least_distance_in_one_dimension_worked_by_hand() -> None:
    points = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]])
    chosen, member = medoids(points, np.ones(6), 2)
    assert sorted(chosen.tolist()) == [1, 4]
    assert len(np.unique(member[:3])) == len(np.unique(member[3:])) == 1
    alone, _ = medoids(points, np.array([9.0, 1, 1, 1, 1, 1]), 1)
    assert alone.tolist() == [0]  # so heavy a point is the median itself
    few, _ = medoids(points[:2], np.ones(2), 5)
    assert sorted(few.tolist()) == [0, 1]


def test_many_paths_are_thinned_by_their_weights() -> None:
    gap, body = _normal(3000, 12, seed=5)
    body[:1000] -= 0.02
    weights = Weights.of(np.where(np.arange(3000) < 1000, 4.0, 1.0))
    inside = np.ones(3000, dtype=bool)
    found = reverse_stress(_bars(gap, body), 100.0, inside, np.arange(3000), weights=weights, bars_per_year=252.0)
    falling = sum(story.share for story in found.stories if story.path_id < 1000)
    # two thirds of the weight, and the kinds lie far apart
    assert falling == pytest.approx(2 / 3, abs=0.01)


def test_a_handful_of_paths_says_nothing() -> None:
    gap, body = _normal(50, 12, seed=6)
    found = reverse_stress(
        _bars(gap, body), 100.0, np.arange(50) < 9, np.arange(50), weights=None, bars_per_year=252.0, strategy="Hold"
    )
    assert found.reason == "9 paths are too few to say what they share"
    assert found.traits == []
    assert found.stories == []
