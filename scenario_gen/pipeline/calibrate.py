"""Calibration of a generator on the user's own history: forecasts from the past, set beside what came.

Puts the rooms in order: origins before the context's end, ensembles from the generator and from baselines, candle
rules, statistics. A finished calibration is kept under the hash of all that decides it, so asking again is free.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scenario_gen import __version__
from scenario_gen.checks.calibration.contamination import contamination
from scenario_gen.checks.calibration.functionals import FUNCTIONALS, Scale, untestable
from scenario_gen.checks.calibration.judge import judge_generator, with_skills
from scenario_gen.checks.calibration.observe import Observation, observe
from scenario_gen.checks.calibration.origins import PATHS, WANTED, Origins, default_horizon, rolling_origins
from scenario_gen.checks.calibration.pit import smallest_mean
from scenario_gen.checks.calibration.results import Calibration, GeneratorCalibration
from scenario_gen.checks.repair import mend_paths
from scenario_gen.errors import CheckError, DataError
from scenario_gen.execute.draws import Draws
from scenario_gen.execute.progress import Progress, SilentProgress
from scenario_gen.generators.base import FittedGenerator, Generator, open_generator, sample_contexts
from scenario_gen.generators.relative import STILL
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.spec.scenarios import GENERATORS
from scenario_gen.store.cache import cached

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
    """

    context: int
    horizon: int
    origins: int = WANTED
    paths: int = PATHS
    seed: int = 0
    stride: int | None = None
    baselines: tuple[str, ...] = BASELINES

    @classmethod
    def of_run(cls, history: Candles, context: int, horizon: int, seed: int) -> Settings:
        """Return what a run uses by default: at most 20 bars ahead, 60 origins, 199 paths, no baselines."""
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


Witness = Callable[[Forecast], None]


def unseen(forecast: Forecast) -> None:
    """Look at a forecast and do nothing."""
    del forecast


def calibrate(
    generator: Generator,
    history: Candles,
    settings: Settings,
    *,
    witness: Witness | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Calibrate a generator and its baselines on rolling origins of a history.

    Args:
        generator: what is calibrated.
        history: bars up to the end of the run's context: nothing later is looked at.
        settings: how.
        witness: is shown every forecast, generator by generator, oldest origin first (the statistic-PIT of the
            stylized facts needs whole paths). A cached result is then not used.
        cache: folder of finished calibrations.
        progress: who hears of stages.

    Raises:
        DataError: the history has no room for two origins, or the generator can be run at fewer than two.
        CheckError: the stride is below the horizon, or fewer than two paths.
    """
    if settings.paths < 2:
        raise CheckError(f"an ensemble of {settings.paths} paths", expected="at least 2, better 199")
    origins = rolling_origins(
        len(history),
        context=settings.context,
        horizon=settings.horizon,
        count=settings.origins,
        stride=settings.stride,
    )
    others = [open_generator(GENERATORS[kind]()) for kind in settings.baselines]  # type: ignore[arg-type]
    others = [one for one in others if one.identity["kind"] != generator.identity["kind"]]
    progress = progress or SilentProgress()

    def compute() -> Calibration:
        return _calibrate([generator, *others], history, origins, settings, witness or unseen, progress)

    key = {
        "what": "calibration",
        "generators": [dict(one.identity) for one in (generator, *others)],
        "history": history.sha256(),
        "code": __version__,
        "settings": settings,
    }
    return compute() if cache is None or witness is not None else cached(cache, key, Calibration, compute)


def _calibrate(
    generators: Sequence[Generator],
    history: Candles,
    origins: Origins,
    settings: Settings,
    witness: Witness,
    progress: Progress,
) -> Calibration:
    began = time.monotonic()
    stamps = [history.timestamps[row - 1].isoformat() for row in origins.rows]
    judged = [_run_and_judge(one, history, origins, settings, witness, progress) for one in generators]
    ours, *others = judged
    return Calibration(
        instrument=history.name,
        context=origins.context,
        horizon=origins.horizon,
        stride=origins.stride,
        origins=stamps,
        paths=settings.paths,
        seed=settings.seed,
        smallest_mean=smallest_mean(len(origins)),
        generator=with_skills(ours, others, stamps),
        baselines=others,
        notes=_notes(generators[0], history, origins, settings),
        seconds=round(time.monotonic() - began, 2),
    )


def _run_and_judge(
    generator: Generator,
    history: Candles,
    origins: Origins,
    settings: Settings,
    witness: Witness,
    progress: Progress,
) -> GeneratorCalibration:
    name = generator_label(generator)
    why = {f.id: untestable(f, history, origins.horizon) for f in FUNCTIONALS}
    asked = [functional for functional, reason in why.items() if not reason]
    observations: list[Observation] = []
    omitted: dict[str, str] = {}
    dropped = 0
    with progress.stage(f"calibrating {name}", len(origins)) as advance:
        for forecast in forecasts(generator, history, origins, settings, omitted):
            rng = np.random.default_rng([settings.seed, forecast.place])
            scale = Scale.of(forecast.context)
            observations.append(observe(forecast.paths, forecast.real, scale, asked, rng))
            witness(forecast)
            dropped += forecast.dropped
            advance(1)
        advance(len(omitted))
    if len(observations) < 2:
        raise DataError(
            f"{name} could be run at {len(observations)} of {len(origins)} origins: {_first(omitted)}",
            expected="at least 2",
            fix="bring another history, or calibrate another generator",
        )
    futures = [history.timestamps[row].isoformat() for row in origins.rows]
    return judge_generator(
        name,
        generator.identity,
        observations,
        {functional: reason for functional, reason in why.items() if reason},
        contamination(generator.trained_until, futures),
        omitted=omitted,
        dropped=dropped,
        seed=settings.seed,
    )


def forecasts(
    generator: Generator,
    history: Candles,
    origins: Origins,
    settings: Settings,
    omitted: dict[str, str] | None = None,
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
            found = (
                sampled if isinstance(sampled, str) else _beside_the_future(sampled, history, origins, place)
            )
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
    return bool(np.sqrt(np.mean(np.diff(np.log(closes)) ** 2)) >= STILL)


def _stamp(history: Candles, origins: Origins, place: int) -> str:
    return str(history.timestamps[origins.rows[place] - 1].isoformat())


def _first(omitted: Mapping[str, str]) -> str:
    return next(iter(omitted.values()), "no reason was given")


def _notes(generator: Generator, history: Candles, origins: Origins, settings: Settings) -> list[str]:
    """Say what a reader must know of how this was done."""
    first, last = (history.timestamps[origins.rows[place]].date().isoformat() for place in (0, -1))
    notes = [
        f"{len(origins)} origins from {first} to {last}, {origins.stride} bars apart, {origins.horizon} bars ahead, "
        f"{settings.paths} paths each; nothing after {history.timestamps[-1].date().isoformat()} was looked at"
    ]
    if len(origins) < settings.origins:
        notes.append(f"the history has room for {len(origins)} origins, not for {settings.origins}")
    if generator.identity.get("drift") == "neutral":
        notes.append("drift neutral: every ensemble is rid of its own mean growth, a run's of its pilot's")
    return notes
