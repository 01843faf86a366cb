"""Whether a mean over paths differs from 0.

Knows numbers per path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.distribution import CONFIDENCE, Estimate

# Results that differ by less are the same: two ways of adding the same numbers differ in the order only.
NO_DIFFERENCE = 1e-9


@dataclass(frozen=True)
class MeanTest:
    """Student's t test that a mean is 0.

    Attributes:
        mean: of the contributions.
        error: its standard error.
        z: ``mean`` over ``error``; 0 where nothing differs from 0 by more than rounding.
        p: two-sided.
        n: how many paths.
    """

    mean: float
    error: float
    z: float
    p: float
    n: int

    @classmethod
    def of(cls, contributions: Floats) -> MeanTest:
        """Test the contributions of at least two paths, float64 [path]."""
        from scipy.stats import t

        n, mean = len(contributions), float(contributions.mean())
        error = float(contributions.std(ddof=1)) / math.sqrt(n)
        if abs(mean) < NO_DIFFERENCE and error < NO_DIFFERENCE:
            return cls(mean, error, 0.0, 1.0, n)
        z = mean / max(error, NO_DIFFERENCE)
        return cls(mean, error, z, float(2 * t.sf(abs(z), n - 1)), n)

    def estimate(self) -> Estimate:
        """Return the mean with Student's t interval."""
        from scipy.stats import t

        margin = float(t.ppf(0.5 + CONFIDENCE / 2, self.n - 1)) * self.error
        return Estimate(self.mean, self.mean - margin, self.mean + margin, n=self.n)
