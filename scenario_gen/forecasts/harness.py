"""The one loop that forecasts the past: a generator's ensembles at origins, each beside what really came.

A calibration, the choice of a temperature, the value at risk of the next bar and the evaluation of a checkpoint
differ in their origins and in what they read off an ensemble; seeds, batches, repair and omissions are owned here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar, cast

import numpy as np
import pandas as pd

from scenario_gen.candles.check import mend_paths
from scenario_gen.errors import DataError
from scenario_gen.execute.queue import HERE, Queue, in_order
from scenario_gen.forecasts.exceedances import NEXT_BAR
from scenario_gen.forecasts.numbers import Observation, measure
from scenario_gen.forecasts.origins import (
    FEWEST_JUDGED,
    PATHS,
    SEARCHED,
    WANTED,
    Origin,
    Origins,
    default_horizon,
    moves,
    rolling_origins,
)
from scenario_gen.generators.base import Generator, sample_contexts, to_be_fitted
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.recalibrated import past_of
from scenario_gen.market.candles import Candles, Scale
from scenario_gen.market.paths import PathSet
from scenario_gen.progress import Progress, StageSteps
from scenario_gen.realism.by_origin import MIN_PATHS

USUAL_BASELINES = ("bootstrap", "fhs")  # kinds that a generator is compared with, where nothing else is asked for
PATHS_AT_ONCE = 4096  # kept in memory together

T = TypeVar("T")


@dataclass(frozen=True)
class Sampling:
    """How every ensemble is made."""

    context: int  # bars that each forecast sees
    horizon: int  # bars ahead
    paths: int = PATHS  # of each ensemble; 199 make the 5 % and 1 % quantiles exact ranks
    seed: int = 0  # of the paths and of randomised ranks


@dataclass(frozen=True)
class Settings(Sampling):
    """How to calibrate."""

    origins: int = WANTED  # how many at most; the latest that the history has room for are taken
    stride: int | None = None  # bars between origins; None is the horizon, and less is refused
    baselines: tuple[str, ...] = USUAL_BASELINES  # kinds of generators to compare with
    one_step: int = 0  # forecasts of the next bar alone, at each of the last bars, for its value at risk; 0 for none

    @classmethod
    def of_run(cls, history: Candles, context: int, horizon: int, seed: int) -> Settings:
        """Return what a search for settings uses: at most 20 bars ahead, 60 origins, no baselines."""
        ahead = default_horizon(len(history), context, min(horizon, SEARCHED))
        return cls(context, ahead, seed=seed, baselines=())


@dataclass(frozen=True)
class Forecast:
    """One ensemble beside what came."""

    generator: str  # name
    place: int  # of the origin, 0 is the oldest
    context: Candles  # what the ensemble was made from
    sampled: PathSet  # the ensemble as it was sampled
    paths: PathSet  # the ensemble after repair
    real: PathSet  # the real future, one path of the same bars

    @property
    def dropped(self) -> int:
        """Paths that broke a candle rule beyond repair and are not in the ensemble."""
        return len(self.sampled) - len(self.paths)

    @classmethod
    def of(cls, generator: str, place: int, context: Candles, sampled: PathSet, real: PathSet) -> Forecast | str:
        """Repair an ensemble as in a run; or say why there is none: fewer than two paths can be repaired."""
        kept = mend_paths(sampled)
        if len(kept) < 2:
            return f"{len(kept)} of {len(sampled)} paths are left: the others break a candle rule"
        return cls(generator, place, context, sampled, kept, real)


Look = Callable[[Forecast, np.random.Generator], T]  # what is kept of a forecast; the generator breaks ties of ranks


@dataclass(frozen=True)
class Observations(Generic[T]):
    """What was kept of a generator's forecasts."""

    seen: Mapping[int, T]  # by place of the origin, oldest first
    omitted: Mapping[int, str]  # places at which it could not be run, and why
    dropped: int  # paths that are in no ensemble


@dataclass(frozen=True)
class Sight(Generic[T]):
    """What was kept of one forecast, or why there is none."""

    place: int  # of the origin
    kept: T | None
    dropped: int  # paths that are not in the ensemble
    omitted: str = ""


@dataclass(frozen=True, eq=False)
class Looks(Generic[T]):
    """What is done at origins that are sampled together; travels once to each worker."""

    generator: Generator
    origins: Sequence[Origin]
    look: Look[T]
    sampling: Sampling
    advance: StageSteps

    def __call__(self, batch: Sequence[int]) -> list[Sight[T]]:
        """Forecast from each of these origins, and keep what the look makes of it."""
        sights = []
        for place, forecast in _forecast(self.generator, self.origins, batch, self.sampling):
            if isinstance(forecast, str):
                sights.append(Sight[T](place, None, 0, forecast))
            else:
                kept = self.look(forecast, ties(self.sampling.seed, place))
                sights.append(Sight(place, kept, forecast.dropped))
            self.advance(1)
        return sights


def same(kept: T) -> T:
    """Return what a look has kept as it is."""
    return kept


def observe(
    generator: Generator,
    origins: Sequence[Origin],
    look: Look[T],
    sampling: Sampling,
    advance: Callable[[int], None],
    queue: Queue = HERE,
    take: Callable[[T], T] = same,
) -> Observations[T]:
    """Let a generator forecast from every origin, keep what ``look`` makes of it, and forget the paths.

    Args:
        generator: samples them.
        origins: oldest first; a history's futures do not overlap where anything is to be tested.
        look: reduces a forecast, where it is made.
        sampling: context, horizon, paths and seed. Every origin has draws and ties of its own, the same for every
            generator.
        advance: hears of origins.
        queue: where they are made; origins that are sampled together are one unit.
        take: is given what the look has kept, here and in the order of origins, and returns what of it stays.
    """
    seen: dict[int, T] = {}
    batches, omitted = batches_of(origins, sampling)
    dropped, steps = 0, StageSteps(advance)
    steps.leave_out(len(omitted))
    work = Looks(generator, origins, look, sampling, steps)
    for sights in in_order(queue.answers(work, batches)):
        for sight in sights:
            dropped += sight.dropped
            if sight.omitted:
                omitted[sight.place] = sight.omitted
            else:
                seen[sight.place] = take(cast("T", sight.kept))
        steps.finish(len(sights))
    return Observations(seen, omitted, dropped)


def ties(seed: int, place: int) -> np.random.Generator:
    """Return the random numbers that spread the ranks of one origin over their cells."""
    return np.random.default_rng([seed, place])


def reading(functionals: Collection[str]) -> Look[Observation]:
    """Return a look at numbers of a path, by id."""
    return lambda forecast, rng: measure(forecast.paths, forecast.real, Scale.of(forecast.context), functionals, rng)


def forecasts(
    generator: Generator, origins: Sequence[Origin], sampling: Sampling, omitted: dict[int, str] | None = None
) -> Iterator[Forecast]:
    """Yield a generator's ensembles with what came, in the order of origins.

    Paths that break a candle rule are repaired, and dropped where they cannot be, as in a run.

    Args:
        generator: samples them.
        origins: where from.
        sampling: context, horizon, paths and seed.
        omitted: is told the places of origins that the generator refuses, and why.
    """
    omitted = {} if omitted is None else omitted
    batches, still = batches_of(origins, sampling)
    omitted |= still
    for batch in batches:
        for place, forecast in _forecast(generator, origins, batch, sampling):
            if isinstance(forecast, str):
                omitted[place] = forecast
            else:
                yield forecast


def batches_of(origins: Sequence[Origin], sampling: Sampling) -> tuple[list[tuple[int, ...]], dict[int, str]]:
    """Return the places of origins that are sampled together, and of those at which nothing can be, with the reason."""
    context = sampling.context
    alive = [place for place, at in enumerate(origins) if moves(at.history, at.row - context, at.row)]
    still = dict.fromkeys(sorted(set(range(len(origins))) - set(alive)), "the context never moves")
    kinds = [len(origins[place].history.fields) for place in alive]  # those sampled together have the same fields
    runs = _batches(kinds, max(1, PATHS_AT_ONCE // sampling.paths))
    return [tuple(alive[n] for n in run) for run in runs], still


def _forecast(
    generator: Generator, origins: Sequence[Origin], batch: Sequence[int], sampling: Sampling
) -> Iterator[tuple[int, Forecast | str]]:
    """Yield the forecasts of origins that are sampled together, by place; or why there is none."""
    name = generator_label(generator)
    for place, sampled in _sample(generator, origins, batch, sampling):
        yield place, sampled if isinstance(sampled, str) else _beside(name, place, origins[place], sampled, sampling)


def _beside(name: str, place: int, origin: Origin, sampled: PathSet, sampling: Sampling) -> Forecast | str:
    context = origin.context(sampling.context)
    real = PathSet.from_history(origin.future(sampling.horizon), float(context.close[-1]))
    return Forecast.of(name, place, context, sampled, real)


def _batches(kinds: Sequence[int], size: int) -> Iterator[range]:
    """Yield the places of a list in runs of one kind, at most so many at a time."""
    start = 0
    for place in range(1, len(kinds) + 1):
        if place == len(kinds) or kinds[place] != kinds[start] or place - start == size:
            yield range(start, place)
            start = place


def _sample(
    generator: Generator, origins: Sequence[Origin], places: Sequence[int], sampling: Sampling
) -> Iterator[tuple[int, PathSet | str]]:
    """Yield each origin's ensemble, or why there is none."""
    chosen = [origins[place] for place in places]
    contexts = [origin.context(sampling.context) for origin in chosen]
    stamps = [origin.history.timestamps[origin.row : origin.row + sampling.horizon] for origin in chosen]
    ids = np.concatenate([place * sampling.paths + np.arange(sampling.paths) for place in places])
    draws = Draws(sampling.seed, ids.astype(np.int64))
    if to_be_fitted(generator) is None:
        try:
            together = sample_contexts(generator, contexts, stamps, draws)
        except DataError:
            pass  # it refuses one of them, or more: asked one by one, it says which
        else:
            yield from zip(places, together, strict=True)
            return
    shares = np.split(draws.path_ids, len(places))
    for place, origin, context, ahead, share in zip(places, chosen, contexts, stamps, shares, strict=True):
        yield place, _sample_alone(generator, origin, context, ahead, draws.share(share))


def _sample_alone(
    generator: Generator, origin: Origin, context: Candles, ahead: pd.DatetimeIndex, draws: Draws
) -> PathSet | str:
    """Sample one origin, by a generator fitted to what was known there if it needs that; or return why it refuses."""
    try:
        if (to_fit := to_be_fitted(generator)) is not None:
            generator = to_fit.fitted_to(origin.history.rows(0, origin.row))
        return sample_contexts(generator, [context], [ahead], draws)[0]
    except DataError as error:
        return error.problem


def generator_label(generator: Generator) -> str:
    """Return a generator's short name: its model, or its kind."""
    identity = generator.identity
    name = str(identity.get("model", identity["kind"]))
    louder = f", volatility x{identity['volatility']:g}" if "volatility" in identity else ""
    fitted = "".join(f", {word}" for word in ("adapted", "recalibrated") if word in identity)
    return name + louder + fitted


def later_origins(generator: Generator, origins: Origins, history: Candles) -> Origins:
    """Return the origins that a recalibrated generator may be judged on: those after as many others as only fit.

    All of them for a generator that is not recalibrated.
    """
    past = past_of(generator)
    if past is None:
        return origins
    ended = past.ended_by(history.timestamps)
    return replace(origins, rows=tuple(row for row in origins.rows if ended[row - 1] >= past.first))


@dataclass(frozen=True)
class NextBars:
    """Forecasts of the next bar beside what came."""

    observations: Sequence[Observation] = ()  # oldest first
    omitted: Mapping[int, str] = field(default_factory=dict)  # bars at which the generator could not be run, and why
    notes: Sequence[str] = ()  # where there are fewer than were asked for


def next_bars(
    generator: Generator, history: Candles, settings: Settings, progress: Progress, queue: Queue = HERE
) -> NextBars:
    """Forecast each of the last ``settings.one_step`` bars of a history from the bars before it.

    The one test whose forecasts may follow each other: one-bar futures do not overlap, so every bar can be an origin,
    and the 1 % level needs a thousand. Fewer where the history is shorter or the generator refuses; none where none
    are asked for.

    Args:
        generator: samples the next bar.
        history: bars up to the context's end.
        settings: number of forecasts, context, paths and seed.
        progress: who hears of stages.
        queue: where the forecasts are made.

    Raises:
        DataError: the history has no room for two forecasts.
    """
    if not settings.one_step:
        return NextBars()
    name = generator_label(generator)
    rolling = rolling_origins(len(history), context=settings.context, horizon=1, count=settings.one_step)
    origins = later_origins(generator, rolling, history).of(history)
    with progress.stage(f"{name}: value at risk of the next bar", len(origins)) as advance:
        next_bar = replace(settings, horizon=1)
        kept = observe(generator, origins, reading((NEXT_BAR,)), next_bar, advance, queue)
    return NextBars([*kept.seen.values()], kept.omitted, _fewer(name, len(kept.seen), kept.omitted, settings.one_step))


def _fewer(name: str, seen: int, omitted: Mapping[int, str], wanted: int) -> list[str]:
    if seen == wanted:
        return []
    why = f": {next(iter(omitted.values()))}" if omitted else ", for which the history has room"
    instead = "" if seen else ", so the origins stand in for them"
    return [f"{name}: the next bar was forecast {seen} times, not {wanted}{why}{instead}"]


class Given(Protocol):
    """Paths from outside, and the number of a history's bars before them."""

    @property
    def paths(self) -> PathSet:
        """The paths, after repair, with their anchor close."""

    @property
    def end(self) -> int:
        """Number of bars before them."""


def known_futures(ensembles: Sequence[Given], history: Candles, *, known: int, context: int) -> list[Forecast]:
    """Return given ensembles as forecasts beside what came; none where there are fewer than 30, too few to calibrate.

    An origin is a context with at least 19 paths whose future, bar for bar at the stamps of the paths, is in the
    history, and begins after that of the origin before it has ended.

    Args:
        ensembles: one per context, in the order of time, after repair.
        history: the whole reference.
        known: bars of it that may be looked at.
        context: bars before the paths that say what volatility they continue.
    """
    beside = list(_known(ensembles, history.rows(0, known), context))
    return beside if len(beside) >= FEWEST_JUDGED else []


def _known(ensembles: Sequence[Given], history: Candles, context: int) -> Iterator[Forecast]:
    free = place = 0  # first bar that no origin has used, and how many have
    for given in ensembles:
        stop = given.end + given.paths.horizon
        if given.end < free or stop > len(history) or len(given.paths) < MIN_PATHS:
            continue
        future = history.rows(given.end, stop)
        if future.timestamps.equals(given.paths.timestamps):
            real = PathSet.from_history(future, float(history.close[given.end - 1]))
            before = history.rows(max(given.end - context, 0), given.end)
            yield Forecast("the given paths", place, before, given.paths, given.paths, real)
            free, place = stop, place + 1
