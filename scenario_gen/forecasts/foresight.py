"""Does the forecast move with the market? Forecasts of volatility beside the volatility that came, origin by origin.

Ranks can be even although every forecast is the same: a generator that always draws from the mix of all years is
calibrated, and blind. The correlation of the ensembles' median log realised volatility with what came tells the two
apart, and so does its difference from that of simpler generators. A figure that is shown; it gets no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from scenario_gen.stats.means import SeriesCorrelation
from scenario_gen.stats.scores import DM_LAG

FEWEST = 10  # origins, below which a correlation says nothing


@dataclass(frozen=True)
class Beside:
    """One generator's correlation less a baseline's, at the origins that both forecast from."""

    baseline: str  # name
    difference: float  # above zero ours follows the market more closely
    p: float  # two-sided, that they are equal
    origins: int


@dataclass(frozen=True)
class Foresight:
    """How a generator's forecasts of log realised volatility move with what came."""

    forecast: list[float]  # median of each ensemble, oldest origin first
    came: list[float]
    correlation: float | None  # None below ten origins, or where either never moves
    low: float | None  # lower end of its 95 % interval, for neighbours that hang together
    high: float | None
    beside: list[Beside] = field(default_factory=list)  # each baseline

    @classmethod
    def of(cls, forecast: Sequence[float], came: Sequence[float]) -> Foresight:
        """Correlate medians of ensembles with what came, one per origin, oldest first."""
        found = None if len(came) < FEWEST else SeriesCorrelation.of(np.array(forecast), np.array(came))
        if found is None or np.isnan(found.value):
            return cls([*forecast], [*came], None, None, None)
        return cls([*forecast], [*came], found.value, *found.interval(DM_LAG))

    def held_against(
        self, baseline: str, theirs: Foresight, ours_at: Sequence[int], theirs_at: Sequence[int]
    ) -> Foresight:
        """Return this with its difference from a baseline's; the places are those of the origins that both have."""
        if self.correlation is None or theirs.correlation is None or len(ours_at) < FEWEST:
            return self
        came = np.array(self.came)[ours_at]
        mine = SeriesCorrelation.of(np.array(self.forecast)[ours_at], came)
        other = SeriesCorrelation.of(np.array(theirs.forecast)[theirs_at], came)
        if np.isnan(mine.value) or np.isnan(other.value):
            return self
        difference, p = mine.less(other, DM_LAG)
        return replace(self, beside=[*self.beside, Beside(baseline, difference, p, len(came))])
