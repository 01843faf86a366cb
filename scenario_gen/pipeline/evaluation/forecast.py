"""Every generator forecasts from every origin, many contexts at a time; what it gives is observed and forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scenario_gen.errors import DataError
from scenario_gen.execute.draws import Draws
from scenario_gen.generators.base import Generator, sample_contexts
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.market.sessions import tick_size
from scenario_gen.pipeline.evaluation.observe import Seen, Truth, observe
from scenario_gen.pipeline.evaluation.origins import HORIZON, Origin, Stretch
from scenario_gen.pipeline.evaluation.summarise import Column
from scenario_gen.progress import Progress

PATHS_AT_ONCE = 4096  # kept in memory together


@dataclass(frozen=True)
class Settings:
    """How to evaluate.

    Attributes:
        context: bars that each forecast sees.
        paths: of each ensemble.
        per_series: origins of each series at most; None for all that there is room for.
        per_group: origins of each (asset class, frequency) at most; None for all.
        temperatures: the first is judged, or 1 where it is among them; the others make the curve.
        seed: of the paths and of randomised ranks.
        device: of the models.
        against: other models to be compared with, as the baselines are.
    """

    context: int = 256
    paths: int = 200
    per_series: int | None = 20
    per_group: int | None = None
    temperatures: tuple[float, ...] = (1.0,)
    seed: int = 0
    device: str = "auto"
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contestant:
    """A generator under the name that tables give it.

    Attributes:
        name: unique among those that are evaluated together.
        temperature: that it samples at; None for those that others are compared with.
        generator: samples from a context.
    """

    name: str
    temperature: float | None
    generator: Generator


@dataclass(frozen=True)
class Forecasts:
    """What was seen of every generator on the same origins.

    Attributes:
        columns: one per generator, a row per origin that is kept.
        kept: places of the origins that every generator could forecast from.
        omitted: places of the others, and why.
    """

    columns: list[Column]
    kept: list[int]
    omitted: Mapping[int, str]


def real_futures(found: Sequence[Stretch], origins: Sequence[Origin], context: int) -> list[Truth]:
    """Measure what really came after every origin."""
    ticks = {place: tick_size(found[place].candles) for place in {one.stretch for one in origins}}
    return [
        Truth.of(
            _context(found, one, context),
            found[one.stretch].candles.rows(one.row, one.row + HORIZON),
            ticks[one.stretch],
        )
        for one in origins
    ]


def _context(found: Sequence[Stretch], origin: Origin, context: int) -> Candles:
    return found[origin.stretch].candles.rows(origin.row - context, origin.row)


def forecast_all(
    contestants: Sequence[Contestant],
    found: Sequence[Stretch],
    origins: Sequence[Origin],
    truths: Sequence[Truth],
    settings: Settings,
    progress: Progress,
) -> Forecasts:
    """Let every generator forecast from every origin; those that one of them cannot do are left out for all.

    Raises:
        DataError: fewer than two origins are left.
    """
    seen: list[list[Seen | str]] = []
    for one in contestants:
        with progress.stage(f"evaluating {one.name}", len(origins)) as advance:
            mine: list[Seen | str] = []
            for place, ensemble in enumerate(_ensembles(one.generator, found, origins, settings)):
                mine.append(observe(ensemble, truths[place], np.random.default_rng([settings.seed, place])))
                advance(1)
            seen.append(mine)
    omitted = {
        place: f"{one.name}: {numbers}"
        for one, mine in zip(contestants, seen, strict=True)
        for place, numbers in enumerate(mine)
        if isinstance(numbers, str)
    }
    kept = [place for place in range(len(origins)) if place not in omitted]
    if len(kept) < 2:
        raise DataError(f"{len(kept)} origins are left: {next(iter(omitted.values()))}", fix="evaluate another model")
    columns = [
        Column(
            one.name,
            one.temperature,
            one.temperature is None,
            [numbers for place, numbers in enumerate(mine) if place not in omitted and isinstance(numbers, Seen)],
        )
        for one, mine in zip(contestants, seen, strict=True)
    ]
    return Forecasts(columns, kept, omitted)


def _ensembles(
    generator: Generator, found: Sequence[Stretch], origins: Sequence[Origin], settings: Settings
) -> Iterator[PathSet]:
    """Yield the ensemble of every origin; those sampled together have the same fields."""
    size = max(1, PATHS_AT_ONCE // settings.paths)
    for places in _batches([len(found[one.stretch].candles.fields) for one in origins], size):
        mine = [origins[place] for place in places]
        contexts = [_context(found, one, settings.context) for one in mine]
        stamps = [found[one.stretch].candles.timestamps[one.row : one.row + HORIZON] for one in mine]
        ids = np.concatenate([place * settings.paths + np.arange(settings.paths) for place in places])
        yield from sample_contexts(generator, contexts, stamps, Draws(settings.seed, ids.astype(np.int64)))


def _batches(kinds: Sequence[int], size: int) -> Iterator[range]:
    """Yield the places of a list in runs of one kind, at most so many at a time."""
    start = 0
    for place in range(1, len(kinds) + 1):
        if place == len(kinds) or kinds[place] != kinds[start] or place - start == size:
            yield range(start, place)
            start = place
