"""The value at risk of the next bar, forecast bar after bar: the one test whose forecasts may follow each other.

One-bar futures do not overlap, so every bar can be an origin: a thousand forecasts, which the 1 % level needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scenario_gen.checks.calibration.exceedances import NEXT_BAR
from scenario_gen.checks.calibration.functionals import Scale
from scenario_gen.checks.calibration.observe import Observation, observe
from scenario_gen.checks.calibration.origins import rolling_origins
from scenario_gen.execute.progress import Progress
from scenario_gen.generators.base import Generator
from scenario_gen.market.candles import Candles
from scenario_gen.pipeline.forecasts import Settings, forecasts, generator_label


@dataclass(frozen=True)
class NextBars:
    """Forecasts of the next bar beside what came.

    Attributes:
        observations: oldest first.
        omitted: ISO stamps of bars at which the generator could not be run, and why.
        notes: where there are fewer than were asked for.
    """

    observations: Sequence[Observation] = ()
    omitted: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def next_bars(generator: Generator, history: Candles, settings: Settings, progress: Progress) -> NextBars:
    """Forecast each of the last ``settings.one_step`` bars of a history from the bars before it.

    Fewer where the history is shorter or the generator refuses; none where none are asked for.

    Args:
        generator: samples the next bar.
        history: bars up to the context's end.
        settings: number of forecasts, context, paths and seed.
        progress: who hears of stages.

    Raises:
        DataError: the history has no room for two forecasts.
    """
    if not settings.one_step:
        return NextBars()
    name = generator_label(generator)
    origins = rolling_origins(len(history), context=settings.context, horizon=1, count=settings.one_step)
    observations: list[Observation] = []
    omitted: dict[str, str] = {}
    with progress.stage(f"{name}: value at risk of the next bar", len(origins)) as advance:
        for forecast in forecasts(generator, history, origins, settings, omitted):
            rng = np.random.default_rng([settings.seed, forecast.place])
            scale = Scale.of(forecast.context)
            observations.append(observe(forecast.paths, forecast.real, scale, (NEXT_BAR,), rng))
            advance(1)
        advance(len(omitted))
    return NextBars(observations, omitted, _notes(name, len(observations), omitted, settings.one_step))


def _notes(name: str, seen: int, omitted: Mapping[str, str], wanted: int) -> list[str]:
    if seen == wanted:
        return []
    why = f": {next(iter(omitted.values()))}" if omitted else ", for which the history has room"
    instead = "" if seen else ", so the origins stand in for them"
    return [f"{name}: the next bar was forecast {seen} times, not {wanted}{why}{instead}"]
