"""The classifier two-sample test against scipy's optimiser and cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from scenario_gen.realism.space import FOLDS, Points, cluster_folds, fit_logistic, out_of_fold_auc


@pytest.mark.parametrize("penalty", [0.05, 1.0, 100.0])
def test_the_fit_is_the_minimum_that_scipy_finds(penalty: float) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((200, 6)) * np.array([1, 1, 2, 0.1, 1, 5])
    y = (rng.random(200) < expit(x @ np.array([1.0, -1, 0.3, 0, 0.5, 0.1]) + 0.7)).astype(float)

    def objective(w: np.ndarray) -> float:
        z = x @ w[:-1] + w[-1]
        return 0.5 * w[:-1] @ w[:-1] + penalty * np.sum(np.logaddexp(0, z) - y * z)

    best = minimize(objective, np.zeros(7), method="BFGS", options={"gtol": 1e-7})
    ours = fit_logistic(x, y, penalty)
    assert objective(ours) <= best.fun + 1e-6
    assert ours == pytest.approx(best.x, abs=1e-3)


def test_separable_classes_give_finite_weights() -> None:
    x = np.concatenate([np.full((50, 1), -1e3), np.full((50, 1), 1e3)])
    w = fit_logistic(x, np.repeat([0.0, 1.0], 50))
    assert np.isfinite(w).all()
    assert w[0] > 0


@given(st.lists(st.integers(1, 30), min_size=FOLDS, max_size=25), st.randoms())
@settings(max_examples=60, deadline=None)
def test_folds_hold_whole_clusters_and_are_even(sizes: list[int], random: object) -> None:
    clusters = np.repeat(np.arange(len(sizes)) * 3, sizes)
    folds = cluster_folds(clusters)
    assert all(len(set(folds[clusters == c])) == 1 for c in np.unique(clusters))
    load = np.bincount(folds, minlength=FOLDS)
    assert (load > 0).all()
    # Longest-first filling: no fold is fuller than the mean by more than one cluster.
    assert load.max() <= load.mean() + max(sizes)


def test_fewer_than_five_clusters_are_refused() -> None:
    with pytest.raises(ValueError, match="4 clusters do not fill 5 folds"):
        cluster_folds(np.repeat(np.arange(4), 10))


def points(rng: np.random.Generator, shift: float, clusters: int = 20, size: int = 15) -> Points:
    x = rng.standard_normal((clusters * size, 8))
    x[:, 0] += shift
    return Points(x, np.repeat(np.arange(clusters), size))


def test_a_shift_is_told_and_none_is_not() -> None:
    rng = np.random.default_rng(2)
    assert out_of_fold_auc(points(rng, 0.0), points(rng, 0.0)) == pytest.approx(0.5, abs=0.08)  # se of AUC: .024
    # One feature apart by 2: the best rule has AUC Phi(2 / sqrt 2) = .921.
    assert out_of_fold_auc(points(rng, 2.0), points(rng, 0.0)) == pytest.approx(0.921, abs=0.04)


def test_copies_in_other_clusters_are_taken_for_what_was_seen() -> None:
    rng = np.random.default_rng(3)
    centres = 3 * rng.standard_normal((20, 8))
    real = Points(np.repeat(centres, 15, axis=0) + 0.1 * rng.standard_normal((300, 8)), np.repeat(np.arange(20), 15))
    copies = Points(real.x.copy(), rng.permutation(real.clusters))
    assert out_of_fold_auc(copies, real) < 0.4
