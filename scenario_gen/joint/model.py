"""JointModel: several assets fitted to one another, to be sampled for any horizon and number of futures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scenario_gen.generators.base import Generator, sample_blocks
from scenario_gen.joint.calendar import Aligned, align, calibration_rows, refuse_unfit
from scenario_gen.joint.coupling import Coupled, coupled_on
from scenario_gen.joint.fit import Fit, fit_coupling
from scenario_gen.joint.given import checked_correlation
from scenario_gen.joint.pilot import BARS, BookAsset
from scenario_gen.joint.results import CouplingReport
from scenario_gen.joint.section import Joint
from scenario_gen.joint.walks import BookGenerator
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet, joined
from scenario_gen.reading.words import whole
from scenario_gen.stats.estimate import Floats

MOST_BARS, MOST_PATHS, MOST_SEED = 10_000, 1_000_000, 2**63 - 1
BLOCK = 512  # paths per matrix product


@dataclass(frozen=True, eq=False)
class JointModel:
    """Assets whose futures hang together as their common history did."""

    aligned: Aligned  # histories on common dates; each asset's paths continue the whole of its bars
    fit: Fit

    @classmethod
    def of(
        cls,
        histories: Mapping[str, Candles],
        opened: Callable[[Candles], Generator],
        joint: Joint,
        *,
        seed: int,
        correlation: Floats | None = None,
    ) -> JointModel:
        """Couple assets.

        Args:
            histories: asset to its bars.
            opened: returns a generator for a history.
            joint: how they are to hang together; its ``correlation`` and ``calibrate.crisis`` are not read.
            seed: of pilot paths.
            correlation: to be aimed at, instead of that of the common bars [asset, asset].

        Raises:
            DataError: the histories cannot be coupled, or the correlation is none.
        """
        aligned = align(histories, joint.calendar)
        past, _ = aligned.split_at(None)
        refuse_unfit(past, 1)
        if correlation is not None:
            checked_correlation(correlation, list(histories))
        chosen, ahead = calibration_rows(past, joint.calibrate), past.future(BARS)
        members = {
            asset: BookAsset(opened(part), part, past.rows[asset][chosen.rows], part, ahead[asset])
            for asset, part in past.parts.items()
        }
        return cls(past, fit_coupling(members, joint, seed, correlation))

    @property
    def report(self) -> CouplingReport:
        """What was aimed at, what was used, what pilot paths have, and what is not reproduced."""
        return self.fit.report

    def sample(self, horizon: int, paths: int, seed: int = 0) -> dict[str, PathSet]:
        """Sample futures: path k of every asset is the same one.

        Args:
            horizon: dates of the book's grid; an asset that is closed on some has fewer bars.
            paths: how many futures.
            seed: of their random numbers: future 17 is the same in any number of them.

        Returns:
            Asset to its raw paths, float32 ``values`` [path, bar, field].

        Raises:
            ScenarioError: a number is out of its range, or an asset has no bar within the horizon.
        """
        horizon = whole("horizon", horizon, 1, MOST_BARS)
        paths, seed = whole("paths", paths, 1, MOST_PATHS), whole("seed", seed, 0, MOST_SEED)
        out = {}
        for asset, coupled in self._coupled(horizon).items():
            context, stamps = self.aligned.parts[asset], coupled.timestamps
            out[asset] = joined(list(sample_blocks(coupled, context, stamps, seed=seed, count=paths, size=BLOCK)))
        return out

    def together(self, horizon: int, seed: int = 0) -> BookGenerator:
        """Return all assets as one generator, whose joint futures can be stepped and branched: for rare events.

        Args:
            horizon: dates of the book's grid.
            seed: of the random numbers: plain futures are those of :meth:`sample`.

        Raises:
            ScenarioError: a number is out of its range, or an asset has no bar within the horizon.
        """
        horizon, seed = whole("horizon", horizon, 1, MOST_BARS), whole("seed", seed, 0, MOST_SEED)
        return BookGenerator(self._coupled(horizon), self.aligned.parts, seed)

    def _coupled(self, horizon: int) -> dict[str, Coupled]:
        """Return the generator of every asset for the bars to come."""
        return coupled_on(self.aligned.future(horizon), self.fit.generators, self.fit.coupling)
