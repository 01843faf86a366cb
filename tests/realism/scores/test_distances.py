"""Distances between sets of points: energy distance and the neighbour scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats
from scipy.spatial.distance import cdist

from scenario_gen.realism.space import (
    CLIP,
    curve_distance,
    distances,
    energy_distance,
    fact_space,
    kth_neighbour,
    lagged_products,
    path_normalised,
    prdc,
    share_among,
    w1,
)


def energy(x: np.ndarray, y: np.ndarray) -> float:
    return energy_distance(distances(x, x), distances(y, y), distances(x, y))


def neighbours(x: np.ndarray, y: np.ndarray):
    return prdc(distances(x, x), distances(y, y), distances(x, y))


def test_distances_are_scipys() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((30, 5)), rng.standard_normal((20, 5))
    assert distances(x, y) == pytest.approx(cdist(x, y), abs=1e-5)


def test_on_the_line_it_is_scipys_energy_distance_squared() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((200, 1)), rng.standard_normal((150, 1)) + 0.5
    assert energy(x, y) == pytest.approx(stats.energy_distance(x[:, 0], y[:, 0]) ** 2, rel=1e-3)


@given(st.integers(0, 1000), st.integers(2, 20), st.integers(2, 20))
@settings(max_examples=40, deadline=None)
def test_energy_distance_is_symmetric_and_never_negative(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((m, 3))
    assert energy(x, y) >= -1e-5  # float32
    assert energy(x, y) == pytest.approx(energy(y, x), abs=1e-5)
    assert energy(x, x) == pytest.approx(0, abs=1e-3)  # float32 distances of a point to itself


def test_neighbours_by_hand() -> None:
    # Six real points on a line, 1 apart: with k = 5 every ball reaches the farthest other point.
    real = np.arange(6.0)[:, None]
    far = real + 100
    near = real + 0.25
    assert kth_neighbour(distances(real, real)).tolist() == [5, 4, 3, 3, 4, 5]
    inside = neighbours(near, real)
    assert (inside.precision, inside.recall, inside.coverage) == (1, 1, 1)
    outside = neighbours(far, real)
    assert (outside.precision, outside.recall, outside.density, outside.coverage) == (0, 0, 0, 0)


def test_the_share_among_real_points_is_the_precision() -> None:
    rng = np.random.default_rng(6)
    real, some = rng.standard_normal((80, 3)), rng.standard_normal((60, 3)) + 1
    among = share_among(distances(real, real), distances(some, real))
    assert 0 < among < 1
    assert among == neighbours(some, real).precision


def test_density_counts_real_balls_per_neighbour() -> None:
    real = np.arange(6.0)[:, None]
    point = np.full((6, 1), 2.5)  # inside all six balls: 6 / k
    assert neighbours(point, real).density == pytest.approx(6 / 5)


def test_collapse_shows_in_coverage_and_recall_while_precision_stays() -> None:
    rng = np.random.default_rng(3)
    real, good = rng.standard_normal((300, 6)), rng.standard_normal((300, 6))
    few = real[rng.integers(5, size=300)]
    fine, collapsed = neighbours(good, real), neighbours(few, real)
    assert fine.coverage > 0.9
    assert collapsed.coverage < 0.2
    assert collapsed.recall == 0.0
    assert collapsed.precision == 1.0


def test_the_space_of_facts_is_on_the_real_scale_and_bounded() -> None:
    rng = np.random.default_rng(4)
    real = {"a": 5 + 2 * rng.standard_normal(4000), "flat": np.ones(4000), "never": np.full(4000, np.nan)}
    synthetic = {"a": np.array([5.0, 7, 1e9, -np.inf, np.nan]), "flat": np.ones(5), "never": np.ones(5)}
    x, y = fact_space(synthetic, real)
    assert x.shape == (5, 1)  # facts without spread, or without value, are left out
    assert y.std() == pytest.approx(1, abs=0.05)
    assert x[:2, 0] == pytest.approx([0, 1], abs=0.08)
    assert x[2:, 0].tolist() == [CLIP, -CLIP, 0.0]
    assert fact_space({}, {})[0].shape == (0, 0)


def test_the_report_lines_are_what_their_names_say() -> None:
    rng = np.random.default_rng(5)
    r = rng.standard_normal((50, 40))
    other = rng.standard_t(4, (50, 40))
    assert w1(other, r) == pytest.approx(stats.wasserstein_distance(other.ravel(), r.ravel()) / r.std())
    z = path_normalised(r)
    assert z.mean(axis=1) == pytest.approx(0, abs=1e-12)
    assert z.std(axis=1) == pytest.approx(1)
    assert path_normalised(np.ones((1, 5))).tolist() == [[0.0] * 5]
    d = r[0] - r[0].mean()
    assert lagged_products(r, r, 3)[0, 1] == pytest.approx(np.sum(d[:-2] * d[2:]) / np.sum(d**2))
    assert curve_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2))) == 5
