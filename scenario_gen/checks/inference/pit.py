"""Mode A: the test that what came true ranks evenly among the paths that were sampled from its own context.

Owns the test of the statistic-PITs. Knows arrays of numbers.
"""

from __future__ import annotations

import numpy as np

from scenario_gen.checks.inference.contrast import Contrast, Floats, from_t
from scenario_gen.checks.longrun import neighbours

HAC_LAG = 2  # neighbouring origins share their regime


def location_of_pits(u: Floats) -> Contrast:
    """Test mean(u) = 1/2; positive where the paths lie above what came true, as in every other contrast."""
    return hac_mean(0.5 - u)


def dispersion_of_pits(u: Floats) -> Contrast:
    """Test mean |u - 1/2| = 1/4; positive where the paths are too wide.

    Twice the difference is given, so that all paths on one side of every outcome read -.5, as an AUC would.
    """
    return hac_mean(2 * (0.25 - np.abs(u - 0.5)))


def hac_mean(x: Floats) -> Contrast:
    """Test that the mean of a series is 0 by t with J - 1 degrees of freedom and Newey-West errors, lag 2.

    The long-run variance has Bartlett weights and the factor J / (J - 1); the standard error is at least .25 / J.
    """
    count = len(x)
    d = x - x.mean()
    long_run = float(d @ d) + neighbours(d, HAC_LAG)
    se = max(float(np.sqrt(max(long_run, 0.0) / (count * (count - 1)))), 0.25 / count)
    return from_t(float(x.mean()), se, float(count - 1))
