"""Candles as log steps from the close before: the form in which controls are made and chained into prices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.facts import Bars

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Relative:
    """Bars without a price level, each array [..., bar].

    Attributes:
        g: gap, ln(open / close before).
        b: body, ln(close / open).
        hh: ln(high / open), at least max(b, 0).
        ll: ln(low / open), at most min(b, 0).
        volume: as it was, or None.
    """

    g: Floats
    b: Floats
    hh: Floats
    ll: Floats
    volume: Floats | None

    @classmethod
    def of(cls, bars: Bars) -> Relative:
        """Return the bars of each path, [path, bar]."""
        return cls(bars.g, bars.b, bars.hh, bars.ll, bars.volume)

    def flat(self) -> Relative:
        """Return all bars in one row, [path * bar]."""
        return self._each(np.ravel)

    def take(self, index: NDArray[Any]) -> Relative:
        """Return the bars at ``index`` of a flat row, in the shape of ``index``."""
        return self._each(lambda values: values[index])

    def scaled(self, factor: float) -> Relative:
        """Return the bars with every move multiplied by ``factor``."""
        return replace(self, g=self.g * factor, b=self.b * factor, hh=self.hh * factor, ll=self.ll * factor)

    def rolled(self, bars: int) -> Relative:
        """Return the bars of each path so many later; those that fall off its end come first."""
        return self._each(lambda values: np.roll(values, bars, axis=1))

    def onto(self, template: Bars) -> Bars:
        """Chain the bars [path, bar] into prices from the template's anchors, with its sessions and tick."""
        return template.chained(self.g, self.b, self.hh, self.ll, self.volume)

    def _each(self, change: Any) -> Relative:
        volume = None if self.volume is None else change(self.volume)
        return Relative(change(self.g), change(self.b), change(self.hh), change(self.ll), volume)
