"""The story of an evaluation: histories, origins, every generator on every origin, figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scenario_gen.errors import SpecError
from scenario_gen.generators.base import open_generator
from scenario_gen.generators.sections import (
    BootstrapGenerator,
    FhsGenerator,
    GbmGenerator,
    GeneratorSection,
    KronosGenerator,
)
from scenario_gen.pipeline.evaluation.clustered import METHOD
from scenario_gen.pipeline.evaluation.forecast import Contestant, Settings, forecast_all, real_futures
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
from scenario_gen.pipeline.evaluation.summarise import summarise
from scenario_gen.progress import Progress
from scenario_gen.training.data import load_series
from scenario_gen.training.histories import read_histories
from scenario_gen.training.read_config import load_config

BASELINES: dict[str, GeneratorSection] = {
    "bootstrap": BootstrapGenerator(),
    "Gaussian": GbmGenerator(),
    "EWMA-FHS": FhsGenerator(),
}


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
    truths = real_futures(found, chosen.origins, settings.context)
    seen = forecast_all([judged, *curve, *rivals], found, chosen.origins, truths, settings, progress)
    origins = [chosen.origins[place] for place in seen.kept]
    facts = np.array([truths[place].facts for place in seen.kept])
    trained_until = judged.generator.trained_until or ""
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
        trained_until=trained_until,
        pooled=summarise(found, origins, seen.columns, facts),
        groups=[summarise(found, origins, seen.columns, facts, *key) for key in keys],
        method=METHOD,
        notes=[*_notes(material, chosen, seen.omitted), *_contamination(found, origins, trained_until)],
        seconds=round(time.monotonic() - began, 1),
    )


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


def _notes(material: Material, chosen: Chosen, omitted: Mapping[int, str]) -> list[str]:
    """Say what was held out, and what was left out and why."""
    if material.config is not None:
        part = {"later": "later bars", "unseen": "unseen instruments", "both": "later bars and unseen instruments"}
        notes = [f"held out: {part[material.part]} of {material.config.name}; contexts may reach back further"]
    elif material.start is not None or material.share is not None:
        since = (
            f"from {material.start.date()} on" if material.start else f"the last {material.share:.0%} of every series"
        )
        notes = [f"held out: {since}; contexts may reach back further"]
    else:
        notes = ["nothing was held out here: whether the model was trained on these bars is for you to know"]
    if chosen.short:
        notes.append(f"{chosen.short} series are too short for one origin")
    if chosen.still:
        notes.append(f"{chosen.still} origins left out: context or future does not move, so there is no unit")
    if omitted:
        notes.append(f"{len(omitted)} origins left out for all generators, the first by {next(iter(omitted.values()))}")
    return notes


def _contamination(found: Sequence[Stretch], origins: Sequence[Origin], trained_until: str) -> Iterator[str]:
    """Say how many futures lie in the time of the model's training, be it on other instruments."""
    firsts = [found[one.stretch].candles.timestamps[one.row].isoformat()[:10] for one in origins]
    within = sum(first <= trained_until for first in firsts)
    if within:
        yield (
            f"{within} of {len(firsts)} futures begin before the model's training data end ({trained_until}): other "
            "instruments of the same time may have told it what came"
        )
