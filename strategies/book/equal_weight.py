"""Hold the same share of every asset.

DeMiguel, Garlappi and Uppal (2009), Optimal Versus Naive Diversification: How Inefficient is the 1/N Portfolio
Strategy?, Review of Financial Studies 22: hardly any estimated portfolio beats it out of sample.
"""

from __future__ import annotations

from dataclasses import dataclass

from scenario_gen.backtest import Bars, Targets


@dataclass(frozen=True)
class EqualWeight:
    """Divide equity evenly, and bring it back now and then.

    Attributes:
        every: bars from one rebalancing to the next.
        band: share of equity by which a weight may be off before it is brought back.
    """

    every: int = 21
    band: float = 0.0

    def weights(self, bars: Bars) -> Targets:
        """Return 1 / number of assets everywhere."""
        return Targets(bars.close * 0.0 + 1.0 / max(len(bars.assets), 1), every=self.every, band=self.band)
