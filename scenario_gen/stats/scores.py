"""Proper scores of ensembles, and whether one generator's are better than another's.

Lower is better for all. Estimators are those of the scoringrules package (tests hold them equal); they are written
here in a few lines because importing it compiles for four seconds, half of what a whole calibration takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.means import mean_test

DM_LAG = 3
POWER = 0.5  # of the variogram: Scheuerer and Hamill's choice
TITLES = {
    "crps_return_1": "CRPS, return of the next bar",
    "crps_return_h": "CRPS, return over the horizon",
    "crps_log_volatility": "CRPS, log realised volatility",
    "crps_max_drawdown": "CRPS, maximum drawdown",
    "energy": "energy score of the path",
    "variogram_path": "variogram score of the path",
    "variogram_size": "variogram score of |returns|",
}


def fair_crps(ensemble: Floats, real: float) -> float:
    """Return the fair continuous ranked probability score of an ensemble [path], in its own unit.

    E|X - y| - E|X - X'| / 2 with the second mean over different paths, so that it does not depend on their number
    (Ferro 2014, "Fair scores for ensemble forecasts").
    """
    count = len(ensemble)
    ordered = np.sort(ensemble)
    ranks = 2 * np.arange(count) - count + 1
    pairs = 2 * float(ranks @ ordered) / (count * (count - 1))  # E|X - X'| over different paths
    return float(np.abs(ensemble - real).mean() - pairs / 2)


def fair_energy_score(ensemble: Floats, real: Floats) -> float:
    """Return the energy score of paths [path, bar] against the real one [bar]: the CRPS in many dimensions.

    Gneiting and Raftery 2007, with the mean over different paths as in :func:`fair_crps`.
    """
    count = len(ensemble)
    squares = (ensemble**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * ensemble @ ensemble.T
    pairs = np.sqrt(np.maximum(distances, 0.0)).sum() / (count * (count - 1))
    return float(np.linalg.norm(ensemble - real, axis=1).mean() - pairs / 2)


def variogram_score(ensemble: Floats, real: Floats) -> float:
    """Return the variogram score of order 1/2 of paths [path, bar] against the real one [bar].

    Scheuerer and Hamill 2015: the sum over pairs of bars of (|y_i - y_j|^p - mean |x_i - x_j|^p)^2. Sees how bars
    hang together, to which the energy score is nearly blind.
    """
    expected = np.zeros((len(real), len(real)))
    for bar in range(len(real)):  # one bar against all others, so that memory stays [path, bar]
        expected[bar] = (np.abs(ensemble - ensemble[:, bar : bar + 1]) ** POWER).mean(axis=0)
    observed = np.abs(real[:, None] - real) ** POWER
    return float(((observed - expected) ** 2).sum())


@dataclass(frozen=True)
class ScoreSkill:
    """One generator's score against a baseline's on the same origins."""

    score: str  # id of the score
    baseline: str  # name of the baseline
    ours: float  # mean score
    theirs: float  # mean score of the baseline
    skill: float | None  # 1 - ours / theirs; above zero ours is better; None where theirs is zero
    t: float  # Diebold and Mariano's, from the difference ours - theirs; below zero ours is better
    p: float  # two-sided
    origins: int  # that both could be scored on


def compare_scores(score: str, baseline: str, ours: Floats, theirs: Floats) -> ScoreSkill:
    """Compare scores [origin] of two generators by Diebold and Mariano 1995, Newey-West errors up to lag 3."""
    test = mean_test(ours - theirs, DM_LAG)
    mean, reference = float(ours.mean()), float(theirs.mean())
    skill = 1 - mean / reference if reference > 0 else None
    return ScoreSkill(score, baseline, mean, reference, skill, test.t, test.p, len(ours))
