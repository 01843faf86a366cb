"""The value at risk of the next bar, forecast bar after bar: the one test whose forecasts may follow each other.

One-bar futures do not overlap, so every bar can be an origin: a thousand forecasts, which the 1 % level needs.
"""

from __future__ import annotations

import numpy as np

from scenario_gen.checks.calibration.exceedances import Exceedances
from scenario_gen.checks.calibration.functionals import Scale
from scenario_gen.checks.calibration.judge import judge_exceedances
from scenario_gen.checks.calibration.observe import observe
from scenario_gen.checks.calibration.origins import rolling_origins
from scenario_gen.execute.progress import Progress
from scenario_gen.generators.base import Generator
from scenario_gen.market.candles import Candles
from scenario_gen.pipeline.forecasts import Settings, forecasts, generator_label


def one_step_tails(
    generator: Generator, history: Candles, settings: Settings, count: int, progress: Progress
) -> list[Exceedances]:
    """Judge both tails of the next bar's return at 5 and 1 % over the last ``count`` bars of a history.

    Args:
        generator: samples the next bar.
        history: bars up to the context's end.
        settings: context, paths and seed.
        count: forecasts; fewer where the history is shorter. A level is judged where it lets expect five.
        progress: who hears of stages.

    Raises:
        DataError: the history has no room for two forecasts.
    """
    origins = rolling_origins(len(history), context=settings.context, horizon=1, count=count)
    observations = []
    with progress.stage(
        f"{generator_label(generator)}: value at risk of the next bar", len(origins)
    ) as advance:
        for forecast in forecasts(generator, history, origins, settings):
            rng = np.random.default_rng([settings.seed, forecast.place])
            scale = Scale.of(forecast.context)
            observations.append(observe(forecast.paths, forecast.real, scale, ("return_1",), rng))
            advance(1)
    return judge_exceedances(observations, np.random.default_rng(settings.seed))
