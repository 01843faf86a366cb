"""The story of an evaluation: histories, origins, every generator on every origin, figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scenario_gen.checks.facts.ticks import tick_size
from scenario_gen.errors import DataError, SpecError
from scenario_gen.execute.draws import Draws
from scenario_gen.execute.progress import Progress
from scenario_gen.generators.base import Generator, open_generator, sample_contexts
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.evaluation.clustered import METHOD
from scenario_gen.pipeline.evaluation.observe import Seen, Truth, observe
from scenario_gen.pipeline.evaluation.origins import (
    HORIZON,
    Chosen,
    Origin,
    Part,
    Stretch,
    choose_origins,
    held_out,
    stretches,
)
from scenario_gen.pipeline.evaluation.results import ALL, Evaluation
from scenario_gen.pipeline.evaluation.summarise import Column, summarise
from scenario_gen.spec.models import (
    BootstrapGenerator,
    FhsGenerator,
    GbmGenerator,
    GeneratorSection,
    KronosGenerator,
)
from scenario_gen.training.data import load_series
from scenario_gen.training.histories import read_histories
from scenario_gen.training.read_config import load_config

BASELINES: dict[str, GeneratorSection] = {
    "bootstrap": BootstrapGenerator(),
    "Gaussian": GbmGenerator(),
    "EWMA-FHS": FhsGenerator(),
}
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
class Material:
    """What to evaluate on.

    Attributes:
        data: folder, file or built-in history.
        config: training config whose held-out part is used; None: everything, or what start and share leave.
        part: of the config's held-out data.
        start: first bar that may be forecast.
        share: the last share of every series that may be forecast.
    """

    data: str
    config: Path | None = None
    part: Part = "both"
    start: pd.Timestamp | None = None
    share: float | None = None

    def read(self) -> list[Stretch]:
        """Read the histories.

        Raises:
            DataError: they cannot be used.
            SpecError: the config is wrong, or contradicts the other options.
        """
        if self.config is None:
            return stretches(read_histories(self.data), start=self.start, share=self.share)
        if self.start is not None or self.share is not None:
            raise SpecError(
                "the training config says what was held out, and so do --start or --holdout-share",
                fix="give one of them",
            )
        config, _ = load_config(self.config)
        source = config.data.at(self.data).model_copy(update={"mix": ()})
        return held_out(load_series(source, Path(), config.window.bars), self.part)


def evaluate(model: str, material: Material, settings: Settings, *, progress: Progress) -> Evaluation:
    """Evaluate a checkpoint beside the classical generators, on the same origins.

    Args:
        model: a known name, a folder, or a Hub repository.
        material: histories.
        settings: how.
        progress: who hears of stages.

    Raises:
        CheckpointError: the model cannot be found or read.
        DataError: the data cannot be used, or leave no room for two origins.
    """
    began = time.monotonic()
    judged, *curve = _generators(model, settings)
    rivals = [*_others(settings, judged.name), *_baselines()]
    found = material.read()
    chosen = choose_origins(
        found, context=settings.context, per_series=settings.per_series, per_group=settings.per_group
    )
    progress.note(f"{len(found)} series, {len(chosen.origins)} origins, {settings.paths} paths from each")
    truths = _truths(found, chosen.origins, settings.context)
    columns, omitted = _columns([judged, *curve, *rivals], found, chosen, truths, settings, progress)
    kept = [place for place in range(len(chosen.origins)) if place not in omitted]
    origins = [chosen.origins[place] for place in kept]
    facts = np.array([truths[place].facts for place in kept])
    groups = sorted({(found[one.stretch].asset_class, found[one.stretch].frequency) for one in origins})
    mixed = sorted({one for one, _ in groups if sum(other == one for other, _ in groups) > 1})
    keys = sorted([*groups, *((asset_class, ALL) for asset_class in mixed)])
    return Evaluation(
        model=judged.name,
        identity=dict(judged.generator.identity),
        data=Path(material.data).name,
        context=settings.context,
        horizon=HORIZON,
        paths=settings.paths,
        seed=settings.seed,
        trained_until=judged.generator.trained_until or "",
        pooled=summarise(found, origins, columns, facts),
        groups=[summarise(found, origins, columns, facts, *key) for key in keys],
        method=METHOD,
        notes=_notes(material, chosen, omitted),
        seconds=round(time.monotonic() - began, 1),
    )


@dataclass(frozen=True)
class Contestant:
    """A generator under the name that tables give it."""

    name: str
    temperature: float | None
    generator: Generator


def _generators(model: str, settings: Settings) -> Iterator[Contestant]:
    """Yield the model at the judged temperature, then at the others."""
    first = 1.0 if 1.0 in settings.temperatures else settings.temperatures[0]
    for temperature in (first, *(t for t in settings.temperatures if t != first)):
        section = KronosGenerator(model=model, temperature=temperature, device=settings.device)
        generator = open_generator(section)
        name = str(generator.identity["model"])
        yield Contestant(
            f"{name} T {temperature:g}" if settings.temperatures != (1.0,) else name, temperature, generator
        )


def _others(settings: Settings, judged: str) -> Iterator[Contestant]:
    """Yield the models to be compared with, at temperature 1."""
    for model in settings.against:
        generator = open_generator(KronosGenerator(model=model, device=settings.device))
        name = str(generator.identity["model"])
        yield Contestant(model if name == judged else name, None, generator)


def _baselines() -> list[Contestant]:
    return [Contestant(name, None, open_generator(section)) for name, section in BASELINES.items()]


def _truths(found: Sequence[Stretch], origins: Sequence[Origin], context: int) -> list[Truth]:
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


def _columns(
    contestants: Sequence[Contestant],
    found: Sequence[Stretch],
    chosen: Chosen,
    truths: Sequence[Truth],
    settings: Settings,
    progress: Progress,
) -> tuple[list[Column], dict[int, str]]:
    """Let every generator forecast from every origin; those that one of them cannot do are left out for all."""
    seen: list[dict[int, Seen]] = []
    omitted: dict[int, str] = {}
    for one in contestants:
        with progress.stage(f"evaluating {one.name}", len(chosen.origins)) as advance:
            mine: dict[int, Seen] = {}
            for places, ensembles in _forecasts(one.generator, found, chosen.origins, settings):
                for place, ensemble in zip(places, ensembles, strict=True):
                    rng = np.random.default_rng([settings.seed, place])
                    numbers = observe(ensemble, truths[place], rng)
                    if isinstance(numbers, str):
                        omitted[place] = f"{one.name}: {numbers}"
                    else:
                        mine[place] = numbers
                advance(len(places))
            seen.append(mine)
    kept = [place for place in range(len(chosen.origins)) if place not in omitted]
    if len(kept) < 2:
        raise DataError(f"no origin is left: {next(iter(omitted.values()))}", fix="evaluate another model")
    columns = [
        Column(one.name, one.temperature, one.temperature is None, [mine[place] for place in kept])
        for one, mine in zip(contestants, seen, strict=True)
    ]
    return columns, omitted


def _forecasts(
    generator: Generator, found: Sequence[Stretch], origins: Sequence[Origin], settings: Settings
) -> Iterator[tuple[list[int], list[PathSet]]]:
    """Yield ensembles of some origins at a time; those sampled together have the same fields."""
    size = max(1, PATHS_AT_ONCE // settings.paths)
    for places in _batches([len(found[one.stretch].candles.fields) for one in origins], size):
        mine = [origins[place] for place in places]
        contexts = [_context(found, one, settings.context) for one in mine]
        stamps = [found[one.stretch].candles.timestamps[one.row : one.row + HORIZON] for one in mine]
        ids = np.concatenate([place * settings.paths + np.arange(settings.paths) for place in places])
        yield places, sample_contexts(generator, contexts, stamps, Draws(settings.seed, ids.astype(np.int64)))


def _batches(kinds: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield the places of a list in runs of one kind, at most so many at a time."""
    run: list[int] = []
    for place, kind in enumerate(kinds):
        if run and (kind != kinds[run[0]] or len(run) == size):
            yield run
            run = []
        run.append(place)
    yield run


def _notes(material: Material, chosen: Chosen, omitted: dict[int, str]) -> list[str]:
    """Say what was held out, and what was left out and why."""
    if material.config is not None:
        part = {
            "later": "later bars",
            "unseen": "unseen instruments",
            "both": "later bars and unseen instruments",
        }
        notes = [
            f"held out: {part[material.part]} of {material.config.name}; contexts may reach back further"
        ]
    elif material.start is not None or material.share is not None:
        since = (
            f"from {material.start.date()} on"
            if material.start
            else f"the last {material.share:.0%} of every series"
        )
        notes = [f"held out: {since}; contexts may reach back further"]
    else:
        notes = ["nothing was held out here: whether the model was trained on these bars is for you to know"]
    if chosen.short:
        notes.append(f"{chosen.short} series are too short for one origin")
    if chosen.still:
        notes.append(f"{chosen.still} origins left out: context or future does not move, so there is no unit")
    if omitted:
        notes.append(
            f"{len(omitted)} origins left out for all generators, the first by {next(iter(omitted.values()))}"
        )
    return notes
