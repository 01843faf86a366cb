"""Choosing temperature and top_p by calibration: the rule, and the curve that it was applied to.

The score is the fair CRPS of log realised volatility, because the score of returns alone prefers too little
volatility. Among settings that hold their promises the best is not taken for its own sake: differences within one
standard error are noise, and the setting nearest to the model as trained is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.calibration.coverage import central_coverage
from scenario_gen.checks.calibration.scores import DM_LAG
from scenario_gen.checks.longrun import mean_test
from scenario_gen.forecasts.judge import FAIL_COVERAGE, FAIL_MEAN, JUDGED_LEVEL
from scenario_gen.forecasts.numbers import Observation

Floats = NDArray[np.float64]

SCORE, ALSO_COVERED = "log_volatility", "return_h"
RULE = (
    "least CRPS of log realised volatility among settings whose 90 % band of it holds 80 to 97 % of what came and "
    "whose PIT mean is within .1 of .5; of those within one standard error of that, the nearest to 1"
)


@dataclass(frozen=True)
class DialPoint:
    """One setting on the curve.

    Attributes:
        temperature: of sampling.
        top_p: of sampling.
        crps: mean fair CRPS of log realised volatility over the origins.
        worse_by: its difference to the least CRPS of the curve; 0 at the least.
        error: standard error of that difference, paired by origin.
        pit_mean: of log realised volatility; below .5 the paths are too volatile.
        coverage: share of the origins inside the 90 % band of log realised volatility.
        return_coverage: the same of the return over the horizon.
        holds: whether coverage and PIT mean are within their limits.
    """

    temperature: float
    top_p: float
    crps: float
    worse_by: float
    error: float
    pit_mean: float
    coverage: float
    return_coverage: float
    holds: bool


@dataclass(frozen=True)
class DialSearch:
    """A search for temperature, top_p or both.

    Attributes:
        searched: "temperature", "top_p" or "temperature, top_p".
        temperature: chosen, or given.
        top_p: chosen, or given.
        points: every setting that was tried, in the order of temperature, then top_p.
        rule: how the choice was made.
        note: what else a reader must know; "" if nothing.
        origins: how many.
        first: ISO stamp of the first of them.
        last: ISO stamp of the last future's last bar.
        horizon: bars.
        paths: per origin.
    """

    searched: str
    temperature: float
    top_p: float
    points: list[DialPoint]
    rule: str
    note: str
    origins: int
    first: str
    last: str
    horizon: int
    paths: int


@dataclass(frozen=True)
class Trial:
    """A setting and what was observed with it, oldest origin first."""

    temperature: float
    top_p: float
    observations: Sequence[Observation]

    @property
    def crps(self) -> Floats:
        """Of log realised volatility [origin]."""
        return np.array([one.crps[SCORE] for one in self.observations])

    def pits(self, functional: str) -> Floats:
        """Of one functional [origin]."""
        return np.array([one.pits[functional] for one in self.observations])


def curve(trials: Sequence[Trial]) -> list[DialPoint]:
    """Return every trial as a point, compared with the one of least CRPS; all on the same origins."""
    best = min((trial.crps for trial in trials), key=lambda crps: float(crps.mean()))
    return sorted((_point(trial, best) for trial in trials), key=lambda p: (p.temperature, p.top_p))


def _point(trial: Trial, best: Floats) -> DialPoint:
    difference = mean_test(trial.crps - best, DM_LAG)
    pits = trial.pits(SCORE)
    covered, of_return = _covered(pits), _covered(trial.pits(ALSO_COVERED))
    low, high = FAIL_COVERAGE
    return DialPoint(
        temperature=trial.temperature,
        top_p=trial.top_p,
        crps=float(trial.crps.mean()),
        worse_by=difference.mean,
        error=difference.error,
        pit_mean=float(pits.mean()),
        coverage=covered,
        return_coverage=of_return,
        holds=low <= covered <= high and abs(float(pits.mean()) - 0.5) < FAIL_MEAN,
    )


def _covered(pits: Floats) -> float:
    return next(one.share for one in central_coverage(pits) if one.level == JUDGED_LEVEL)


def choose_point(trials: Sequence[Trial]) -> tuple[DialPoint, str]:
    """Return the chosen setting, and a note where none holds its promises.

    Distance to the model as trained counts in factors: a temperature of .5 is as far from 1 as 2.
    """
    points = curve(trials)
    holding = [point for point in points if point.holds]
    note = "" if holding else "no setting holds its promises on these origins: the one of least CRPS was taken"
    kept = {(point.temperature, point.top_p) for point in holding or points}
    best = min(
        (trial for trial in trials if (trial.temperature, trial.top_p) in kept),
        key=lambda trial: float(trial.crps.mean()),
    )
    # compared anew with the best of those that may be taken, which need not be the least of the whole curve
    again = [_point(trial, best.crps) for trial in trials if (trial.temperature, trial.top_p) in kept]
    near = [point for point in again if point.worse_by <= (point.error if holding else 0.0)]
    chosen = min(near, key=lambda point: abs(log(point.temperature)) + abs(log(point.top_p)))
    place = (chosen.temperature, chosen.top_p)
    return next(point for point in points if (point.temperature, point.top_p) == place), note
