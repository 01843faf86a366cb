"""Drift-neutral paths: any generator with its expected gain taken out.

The close of bar t is divided by the mean of close[t] / anchor over a pilot ensemble. Buying and holding then earns
nothing on average, whatever the generator believes about the direction, and what a strategy earns is not the
generator's drift. It goes through the bodies of the bars: gaps and wicks stay, those of zero too (open and previous
close divided by their own numbers would leave no bar without a gap), and so do valid candles and clustering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.generators.base import (
    Advance,
    Generator,
    Order,
    RelativePaths,
    ignore,
    ordered,
    sample_contexts,
    to_be_fitted,
)
from scenario_gen.generators.draws import Draws, plan_blocks
from scenario_gen.market.candles import Candles, shift_bodies
from scenario_gen.market.paths import PathSet

PILOT_PATHS = 1024  # the drift that stays is what these cannot tell from zero: a 32nd of a path's deviation
PILOT_BLOCK = 256
PILOT_FIRST_ID = 2**62  # beyond every path id of a run


@dataclass(frozen=True)
class Pilot:
    """The mean of close / anchor over a pilot ensemble."""

    growth: NDArray[np.float64]  # per bar [bar]
    error: float  # standard error of the last one

    @classmethod
    def of(cls, closes: NDArray[np.floating[Any]], anchor: float) -> Pilot:
        """Read the growth off closes [path, bar]."""
        usable = (np.isfinite(closes) & (closes > 0)).all(axis=1)  # the others are dropped from a run, too
        relative = closes[usable].astype(np.float64) / anchor
        spread = relative[:, -1].std(ddof=1) if len(relative) > 1 else np.nan
        return cls(relative.mean(axis=0), float(spread / np.sqrt(len(relative))))

    @property
    def drift_against(self) -> NDArray[np.float64]:
        """What each bar is to gain more, so that nothing is left of the growth, log units [bar]."""
        return -np.diff(np.log(self.growth), prepend=0.0)


@dataclass(frozen=True)
class DriftNeutral:
    """A generator whose paths are divided, bar by bar, by the mean growth of a pilot ensemble.

    The pilot depends on context, stamps and seed alone, so that path 17 is the same in any number of paths.
    """

    inner: Generator
    pilots: dict[tuple[str, int, int], Pilot] = field(default_factory=dict, compare=False, repr=False)

    @property
    def identity(self) -> Mapping[str, Any]:
        """The inner generator's, and that drift is taken out."""
        return {**self.inner.identity, "drift": "neutral"}

    @property
    def trained_until(self) -> str | None:
        """As of the inner generator."""
        return self.inner.trained_until

    def fitted_to(self, history: Candles) -> DriftNeutral:
        """Return the same around the inner generator fitted to a history, where it is one to be fitted."""
        fitted = to_be_fitted(self.inner)
        return self if fitted is None else DriftNeutral(fitted.fitted_to(history))

    def in_order(self, order: Order) -> DriftNeutral:
        """Return the same around the inner generator with its uniforms in order."""
        return DriftNeutral(ordered(self.inner).in_order(order))

    def cell_bounds(self, history: Candles) -> NDArray[np.float64]:
        """Return those of the inner generator, whose uniforms they are: real bars are not changed back."""
        return ordered(self.inner).cell_bounds(history)

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return the inner generator's paths without their expected growth; the same errors are raised."""
        pilot = self.pilot(context, timestamps, draws.seed)
        return neutralise(self.inner.sample(context, timestamps, draws, advance), pilot)

    def pilot(self, context: Candles, timestamps: pd.DatetimeIndex, seed: int) -> Pilot:
        """Return the growth that is taken out of the paths of a seed; the same errors are raised."""
        key = (context.sha256(), len(timestamps), seed)
        if key not in self.pilots:
            self.pilots[key] = self._pilot(context, timestamps, seed)
        return self.pilots[key]

    def sample_many(
        self, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
    ) -> list[PathSet]:
        """Return one path set per context, each rid of its own mean growth: for many small ensembles."""
        ensembles = sample_contexts(self.inner, contexts, timestamps, draws)
        return [neutralise(paths, Pilot.of(paths.close, paths.anchor_close)) for paths in ensembles]

    def _pilot(self, context: Candles, timestamps: pd.DatetimeIndex, seed: int) -> Pilot:
        closes = []
        for block in plan_blocks(PILOT_PATHS, PILOT_BLOCK):
            draws = Draws.block(seed, PILOT_FIRST_ID + block.start, block.size)
            closes.append(self.inner.sample(context, timestamps, draws).close)
        return Pilot.of(np.concatenate(closes), float(context.close[-1]))


def neutralise(paths: PathSet, pilot: Pilot) -> PathSet:
    """Divide the close of bar t by the pilot's growth there, through the bodies; volume stays."""
    relative = RelativePaths.of(paths)
    drift = pilot.drift_against
    record = {
        "drift": "neutral",
        "growth_removed": round(float(pilot.growth[-1]) - 1.0, 6),
        "growth_error": round(pilot.error, 6),
    }
    return relative.chained(shift_bodies(relative.steps, drift), record)
