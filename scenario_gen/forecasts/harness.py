"""Forecasts of the past: a generator's ensembles at rolling origins, each beside what really came.

What a calibration, the choice of a temperature and the value at risk of the next bar have in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from scenario_gen.candles.check import mend_paths
from scenario_gen.errors import DataError
from scenario_gen.execute.draws import Draws
from scenario_gen.forecasts.exceedances import NEXT_BAR
from scenario_gen.forecasts.numbers import Scale
from scenario_gen.forecasts.observe import Observation, observe
from scenario_gen.forecasts.origins import PATHS, WANTED, Origins, default_horizon, rolling_origins
from scenario_gen.generators.base import FittedGenerator, Generator, sample_contexts
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.market.relative import STILL, volatility
from scenario_gen.progress import Progress

BASELINES = ("bootstrap", "fhs")
PATHS_AT_ONCE = 4096  # kept in memory together


@dataclass(frozen=True)
class Settings:
    """How to calibrate.

    Attributes:
        context: bars that each forecast sees.
        horizon: bars ahead.
        origins: how many at most; the latest that the history has room for are taken.
        paths: of each ensemble; 199 make the 5 % and 1 % quantiles exact ranks.
        seed: of the paths and of randomised ranks.
        stride: bars between origins; None is the horizon, and less is refused.
        baselines: kinds of generators to compare with.
        one_step: forecasts of the next bar alone, at each of the last bars, for its value at risk; 0 for none.
    """

    context: int
    horizon: int
    origins: int = WANTED
    paths: int = PATHS
    seed: int = 0
    stride: int | None = None
    baselines: tuple[str, ...] = BASELINES
    one_step: int = 0

    @classmethod
    def of_run(cls, history: Candles, context: int, horizon: int, seed: int) -> Settings:
        """Return what a search for settings uses: at most 20 bars ahead, 60 origins, no baselines."""
        ahead = default_horizon(len(history), context, horizon)
        return cls(context, ahead, seed=seed, baselines=())


@dataclass(frozen=True)
class Forecast:
    """One ensemble beside what came.

    Attributes:
        generator: name.
        place: of the origin, 0 is the oldest.
        context: what the ensemble was made from.
        paths: the ensemble, after repair.
        real: the real future, one path of the same bars.
        dropped: paths that broke a candle rule beyond repair and are not in the ensemble.
    """

    generator: str
    place: int
    context: Candles
    paths: PathSet
    real: PathSet
    dropped: int


def forecasts(
    generator: Generator, history: Candles, origins: Origins, settings: Settings, omitted: dict[str, str] | None = None
) -> Iterator[Forecast]:
    """Yield a generator's ensembles with what came, oldest origin first.

    Paths that break a candle rule are repaired, and dropped where they cannot be, as in a run.

    Args:
        generator: samples them.
        history: the bars.
        origins: rows of it.
        settings: number of paths, and seed. Every origin has draws of its own, the same for every generator.
        omitted: is told the stamps of origins that the generator refuses, and why.
    """
    omitted = {} if omitted is None else omitted
    batch = max(1, PATHS_AT_ONCE // settings.paths)
    alive = [place for place, row in enumerate(origins.rows) if _moves(history, row, origins.context)]
    for place in sorted(set(range(len(origins))) - set(alive)):
        omitted[_stamp(history, origins, place)] = "the context never moves"
    for start in range(0, len(alive), batch):
        places = alive[start : start + batch]
        for place, sampled in _sample(generator, history, origins, places, settings):
            found = sampled if isinstance(sampled, str) else _beside_the_future(sampled, history, origins, place)
            if isinstance(found, str):
                omitted[_stamp(history, origins, place)] = found
            else:
                yield Forecast(generator_label(generator), place, *found)


def _beside_the_future(
    sampled: PathSet, history: Candles, origins: Origins, place: int
) -> tuple[Candles, PathSet, PathSet, int] | str:
    """Return context, repaired ensemble, real future and dropped paths; or why there is no ensemble."""
    row = origins.rows[place]
    context = history.rows(row - origins.context, row)
    kept = mend_paths(sampled)
    if len(kept) < 2:
        return f"{len(kept)} of {len(sampled)} paths are left: the others break a candle rule"
    real = PathSet.from_history(history.rows(row, row + origins.horizon), float(context.close[-1]))
    return context, kept, real, len(sampled) - len(kept)


def _sample(
    generator: Generator, history: Candles, origins: Origins, places: Sequence[int], settings: Settings
) -> Iterator[tuple[int, PathSet | str]]:
    """Yield each origin's ensemble, or why there is none."""
    rows = [origins.rows[place] for place in places]
    contexts = [history.rows(row - origins.context, row) for row in rows]
    stamps = [history.timestamps[row : row + origins.horizon] for row in rows]
    ids = np.concatenate([place * settings.paths + np.arange(settings.paths) for place in places])
    draws = Draws(settings.seed, ids.astype(np.int64))
    if not isinstance(generator, FittedGenerator):
        yield from zip(places, sample_contexts(generator, contexts, stamps, draws), strict=True)
        return
    shares = np.split(draws.path_ids, len(places))
    for place, row, context, ahead, share in zip(places, rows, contexts, stamps, shares, strict=True):
        own = Draws(settings.seed, share)
        yield place, _fit_and_sample(generator, history.rows(0, row), context, ahead, own)


def _fit_and_sample(
    generator: FittedGenerator, past: Candles, context: Candles, ahead: pd.DatetimeIndex, draws: Draws
) -> PathSet | str:
    """Fit to what was known at an origin and sample; or return why the generator refuses."""
    try:
        return sample_contexts(generator.fitted_to(past), [context], [ahead], draws)[0]
    except DataError as error:
        return error.problem


def generator_label(generator: Generator) -> str:
    """Return a generator's short name: its model, or its kind."""
    return str(generator.identity.get("model", generator.identity["kind"]))


def _moves(history: Candles, row: int, context: int) -> bool:
    closes = history.close[row - context : row]
    return bool(volatility(closes) >= STILL)


def _stamp(history: Candles, origins: Origins, place: int) -> str:
    return str(history.timestamps[origins.rows[place] - 1].isoformat())


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
    return NextBars(observations, omitted, _told(name, len(observations), omitted, settings.one_step))


def _told(name: str, seen: int, omitted: Mapping[str, str], wanted: int) -> list[str]:
    if seen == wanted:
        return []
    why = f": {next(iter(omitted.values()))}" if omitted else ", for which the history has room"
    instead = "" if seen else ", so the origins stand in for them"
    return [f"{name}: the next bar was forecast {seen} times, not {wanted}{why}{instead}"]
