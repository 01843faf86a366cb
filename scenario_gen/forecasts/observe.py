"""One origin: an ensemble beside what really came, reduced to the numbers that a calibration keeps of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.checks.calibration.coverage import largest_deviation
from scenario_gen.checks.calibration.scores import fair_crps, fair_energy_score, variogram_score
from scenario_gen.checks.ranks import pit
from scenario_gen.forecasts.exceedances import TAILS, VAR_LEVELS, Tail, excess
from scenario_gen.forecasts.numbers import BY_ID, FUNCTIONALS, Futures, Scale
from scenario_gen.market.paths import PathSet

Floats = NDArray[np.float64]

SCORED = ("return_1", "return_h", "log_volatility", "max_drawdown")  # whose CRPS is a score of the generator
TAIL_FUNCTIONALS = ("return_1", "return_h")


@dataclass(frozen=True)
class Observation:
    """What is kept of one origin of one generator.

    Attributes:
        pits: by functional.
        crps: by functional, each in its own unit.
        scores: energy and variogram scores of the path, in context deviations.
        band_pit: PIT of the path's largest deviation from the ensemble.
        excesses: by (functional, tail, level): how far beyond the expected shortfall the outcome lay, in deviations.
        generated: mean log return over the horizon, in context deviations.
        realised: the log return that came, in the same.
    """

    pits: dict[str, float]
    crps: dict[str, float]
    scores: dict[str, float]
    band_pit: float
    excesses: dict[tuple[str, Tail, float], float]
    generated: float
    realised: float


def observe(
    paths: PathSet, real: PathSet, scale: Scale, functionals: Collection[str], rng: np.random.Generator
) -> Observation:
    """Set an ensemble beside the one real future of the same bars.

    Args:
        paths: at least two paths.
        real: a path set of one path, from the same anchor.
        scale: units of the context.
        functionals: ids to compute.
        rng: of the randomised ranks.

    Raises:
        ValueError: the stamps of paths and future differ, or a path is not finite: a path that broke a rule is no
            forecast, and must be repaired or dropped before.
    """
    if len(real) != 1 or not paths.timestamps.equals(real.timestamps):
        raise ValueError(f"{len(real)} real futures, or of other bars than the {paths.horizon} that were sampled")
    if not np.isfinite(paths.values).all():
        raise ValueError("the ensemble has values that are no finite numbers")
    ours, theirs = Futures.of(paths, scale), Futures.of(real, scale)
    drawn = {f.id: (f.of(ours), float(f.of(theirs)[0])) for f in FUNCTIONALS if f.id in functionals}
    unit = scale.volatility * np.sqrt(paths.horizon)
    away, real_away = largest_deviation(ours.close[:, 1:], theirs.close[0, 1:])
    return Observation(
        pits={name: pit(ensemble, came, rng) for name, (ensemble, came) in drawn.items()},
        crps={name: fair_crps(ensemble, came) for name, (ensemble, came) in drawn.items()},
        scores=_path_scores(ours, theirs, scale.volatility),
        band_pit=pit(away, real_away, rng),
        excesses={
            (name, tail, level): excess(*drawn[name], tail, level)
            for name in TAIL_FUNCTIONALS
            if name in drawn
            for tail in TAILS
            for level in VAR_LEVELS
        },
        generated=float(ours.close[:, -1].mean() / unit),
        realised=float(theirs.close[0, -1] / unit),
    )


def _path_scores(ours: Futures, theirs: Futures, volatility: float) -> dict[str, float]:
    """Return the scores of whole paths in units of the context's volatility."""
    paths, real = ours.close[:, 1:] / volatility, theirs.close[0, 1:] / volatility
    if len(real) < BY_ID["log_volatility"].min_bars:
        return {}
    sizes, real_sizes = np.abs(ours.returns) / volatility, np.abs(theirs.returns[0]) / volatility
    return {
        "energy": fair_energy_score(paths, real),
        "variogram_path": variogram_score(paths, real),
        "variogram_size": variogram_score(sizes, real_sizes),
    }
