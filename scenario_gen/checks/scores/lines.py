"""Scores that are common in papers and blind to common faults: shown beside their yardstick, never judged."""

from __future__ import annotations

import numpy as np

from scenario_gen.checks.scores.points import Floats

LAGS = 20


def w1(x: Floats, y: Floats) -> float:
    """Return the Wasserstein-1 distance of the values of x and y, equally many, in standard deviations of y."""
    spread = float(y.std())
    apart = np.abs(np.sort(x, axis=None) - np.sort(y, axis=None)).mean()
    return float(apart) / spread if spread > 0 else 0.0


def path_normalised(r: Floats) -> Floats:
    """Return each path's returns less their mean, over their standard deviation; 0 where it does not move."""
    spread = r.std(axis=1, keepdims=True)
    return np.asarray((r - r.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, np.inf))


def lagged_products(x: Floats, y: Floats, lags: int = LAGS) -> Floats:
    """Return corr(x_t, y_{t+k}) of each path for k = 1 to ``lags``, [path, lag]; 0 where a path does not move."""
    x, y = path_normalised(x), path_normalised(y)
    bars = x.shape[1]
    return np.stack([np.sum(x[:, : bars - k] * y[:, k:], axis=1) / bars for k in range(1, lags + 1)], axis=1)


def curve_distance(curves: Floats, others: Floats) -> float:
    """Return the Euclidean distance of two mean curves (the ACF and leverage scores of Wiese et al. 2020)."""
    return float(np.linalg.norm(curves.mean(axis=0) - others.mean(axis=0)))
