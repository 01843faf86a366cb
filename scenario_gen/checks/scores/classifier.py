"""Classifier two-sample test: how well a logistic regression tells paths from real windows.

Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests". Out-of-fold AUC near 1/2 means no; far below
1/2 means that the paths are copies of windows that the classifier has seen as real.
"""

from __future__ import annotations

import numpy as np

from scenario_gen.checks.scores.points import Floats, Ids, Points
from scenario_gen.progress import one_blas_thread
from scenario_gen.stats.ranks import placements

PENALTY = 0.05  # weight of the likelihood against |w|^2 / 2
FOLDS = 5
NEWTON_STEPS, TOLERANCE = 25, 1e-8


def out_of_fold_auc(synthetic: Points, real: Points) -> float:
    """Return the AUC of scores given to points by classifiers that have not seen their cluster.

    Raises:
        ValueError: a side has fewer than five clusters.
    """
    folds = np.concatenate([cluster_folds(side.clusters) for side in (synthetic, real)])
    x = np.concatenate([synthetic.x, real.x])
    y = np.concatenate([np.ones(len(synthetic)), np.zeros(len(real))])
    scores = np.empty(len(y))
    with one_blas_thread():
        for fold in range(FOLDS):
            held_out = folds == fold
            mean, sd = x[~held_out].mean(axis=0), x[~held_out].std(axis=0)
            scaled = (x - mean) / np.where(sd > 0, sd, 1.0)
            w = fit_logistic(scaled[~held_out], y[~held_out])
            scores[held_out] = scaled[held_out] @ w[:-1] + w[-1]
    return float(placements(scores[y == 1], scores[y == 0]).mean())


def cluster_folds(clusters: Ids) -> Ids:
    """Return the fold of each point, [path]: whole clusters, the largest first into the emptiest fold."""
    numbers, index, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    if len(numbers) < FOLDS:
        raise ValueError(f"{len(numbers)} clusters do not fill {FOLDS} folds")
    load = np.zeros(FOLDS)
    fold_of = np.empty(len(numbers), dtype=np.int64)
    for cluster in np.argsort(-sizes, kind="stable"):
        fold_of[cluster] = np.argmin(load)
        load[fold_of[cluster]] += sizes[cluster]
    return fold_of[index]


def fit_logistic(x: Floats, y: Floats, penalty: float = PENALTY) -> Floats:
    """Return weights and intercept [fact + 1] that minimise |w|^2 / 2 + penalty * sum log loss, by Newton.

    The intercept is not penalised. A step that does not lower the objective is halved.
    """
    design = np.column_stack([x, np.ones(len(x))])
    ridge = np.append(np.ones(x.shape[1]), 0.0)
    w = np.zeros(design.shape[1])

    def objective(w: Floats) -> float:
        z = design @ w
        return float(0.5 * ridge @ w**2 + penalty * np.sum(np.logaddexp(0.0, z) - y * z))

    current = objective(w)
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ w, -500, 500)))
        gradient = ridge * w + penalty * design.T @ (p - y)
        hessian = penalty * (design.T * np.maximum(p * (1 - p), 1e-12)) @ design + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (new := objective(w - size * step)) > current and size > 1e-6:
            size /= 2
        w = w - size * step
        if current - new <= TOLERANCE * abs(current):
            return w
        current = new
    return w
