"""The evaluation of a checkpoint on many series: what it is worth out of sample, beside the classical generators.

Origins are set one horizon apart, every generator forecasts from each, and what came is ranked and scored. Scores are
fair CRPS (Ferro 2014), ranks are randomised PITs, facts are the checks' own estimators, taken on the real window and
on every path alike. Knows series, generators and numbers; nothing of strategies or reports.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from scenario_gen.errors import DataError, SpecError
from scenario_gen.forecasts.checkpoint_facts import SeriesGauge, means
from scenario_gen.forecasts.checkpoint_figures import (
    ALL,
    JUDGED,
    STEPS,
    Evaluation,
    GeneratorRows,
    Seen,
    summarise,
    summarise_series,
)
from scenario_gen.forecasts.harness import Forecast, Sampling, observe
from scenario_gen.forecasts.numbers import BY_ID, LogPaths
from scenario_gen.forecasts.origins import Chosen, Origin, SeriesOrigin, Stretch, choose_origins
from scenario_gen.forecasts.spans import METHOD
from scenario_gen.generators.base import Generator
from scenario_gen.generators.sections import KronosGenerator, default_section, open_generator
from scenario_gen.market import candles as validity
from scenario_gen.market.candles import Candles, Scale
from scenario_gen.market.paths import PathSet
from scenario_gen.progress import Progress
from scenario_gen.realism.sample import Measured
from scenario_gen.stats.estimate import Floats
from scenario_gen.stats.ranks import fair_crps, pit
from scenario_gen.training.config import load_config
from scenario_gen.training.data import Series, load_series
from scenario_gen.training.histories import COLUMNS, History, read_histories

PER_SERIES = 20  # origins of each series
# kinds, and the names that tables give them
RIVALS = {"bootstrap": "bootstrap", "gbm": "Gaussian", "fhs": "EWMA-FHS", "gjr": "GJR-FHS"}

Part = Literal["later", "unseen", "both"]


@dataclass(frozen=True)
class Material:
    """What to evaluate on."""

    data: str  # folder, file or built-in history
    # training config whose held-out part is used; None: everything, or what start and share leave
    config: Path | None = None
    part: Part = "both"  # of the config's held-out data
    start: pd.Timestamp | None = None  # first bar that may be forecast
    share: float | None = None  # the last share of every series that may be forecast
    per_series: int | None = PER_SERIES  # origins of each series at most; None for all that there is room for
    per_group: int | None = None  # origins of each (asset class, frequency) at most; None for all

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


def held_out(series: Sequence[Series], part: Part) -> list[Stretch]:
    """Return what a training run kept back: later bars of what it saw, instruments that it never saw, or both.

    Raises:
        DataError: nothing was kept back in that part.
    """
    wanted = {"later": (False,), "unseen": (True,), "both": (False, True)}[part]
    kept = [one for one in series if (one.train_end == 0) in wanted]
    if not kept:
        raise DataError(f"the training config keeps no series back as {part!r}", fix="choose another --part, or none")
    return [Stretch(one.name, one.asset_class, one.frequency, candles_of(one), one.later_start) for one in kept]


def stretches(
    histories: Sequence[History], *, start: pd.Timestamp | None = None, share: float | None = None
) -> list[Stretch]:
    """Return histories with the bars that may be forecast: those from ``start`` on, or the last share; else all."""
    return [
        Stretch(one.name, one.asset_class, one.frequency, candles_of(one), _first(one, start, share))
        for one in histories
    ]


def _first(history: History, start: pd.Timestamp | None, share: float | None) -> int:
    by_date = 0 if start is None else int(np.searchsorted(history.wall_ns, start.as_unit("ns").value))
    by_share = 0 if share is None else int(len(history.values) * (1 - share))
    return max(by_date, by_share)


def candles_of(history: History | Series) -> Candles:
    """Return a history as candles, without the volume where it has none."""
    fields = COLUMNS if history.has_volume else COLUMNS[:4]
    return Candles(
        timestamps=pd.DatetimeIndex(history.wall_ns.astype("datetime64[ns]")),
        values=history.values[:, : len(fields)].astype(np.float64),
        fields=fields,
        name=history.name,
    )


@dataclass(frozen=True)
class Contest:
    """Who forecasts."""

    model: str  # that is judged: a known name, a folder, or a Hub repository
    # the first is judged, or 1 where it is among them; the others make the curve
    temperatures: tuple[float, ...] = (1.0,)
    against: tuple[str, ...] = ()  # other models to be compared with, as the baselines are
    device: str = "auto"  # of the models

    def open(self) -> Iterator[Contestant]:
        """Yield the model at the judged temperature, then at the others, then what it is compared with."""
        first = 1.0 if 1.0 in self.temperatures else self.temperatures[0]
        judged = ""
        for temperature in (first, *(t for t in self.temperatures if t != first)):
            generator = self._kronos(self.model, temperature)
            name = str(generator.identity["model"])
            name = f"{name} T {temperature:g}" if self.temperatures != (1.0,) else name
            judged = judged or name
            yield Contestant(name, temperature, generator)
        for model in self.against:
            generator = self._kronos(model, 1.0)
            name = str(generator.identity["model"])
            yield Contestant(model if name == judged else name, None, generator)
        for kind, title in RIVALS.items():
            yield Contestant(title, None, open_generator(default_section(kind)))

    def _kronos(self, model: str, temperature: float) -> Generator:
        return open_generator(KronosGenerator(model=model, temperature=temperature, device=self.device))


@dataclass(frozen=True)
class Contestant:
    """A generator under the name that tables give it."""

    name: str  # unique among those that are evaluated together
    temperature: float | None  # that it samples at; None for those that others are compared with
    generator: Generator  # samples from a context


@dataclass(frozen=True)
class Truth:
    """What really came after an origin."""

    paths: PathSet  # the real future, one path
    scale: Scale  # units of the context
    numbers: Floats  # the judged numbers of it [N]
    measured: Measured  # every fact of it
    gauge: SeriesGauge  # of the history

    @classmethod
    def of(cls, context: Candles, future: Candles, gauge: SeriesGauge) -> Truth:
        """Measure what came."""
        paths, scale = PathSet.from_history(future, float(context.close[-1])), Scale.of(context)
        numbers = np.array([BY_ID[name].of(LogPaths.of(paths, scale))[0] for name in JUDGED])
        return cls(paths, scale, numbers, gauge.measured(paths), gauge)

    @property
    def units(self) -> Floats:
        """What one of each judged number is measured in [N]."""
        root = [float(np.sqrt(step)) * self.scale.volatility for step in STEPS]
        return np.array([*root, 1.0, root[-1]])


def look_at(forecast: Forecast, truth: Truth, rng: np.random.Generator) -> Seen:
    """Reduce a forecast to the numbers that are kept of it; candles that break a rule are counted as sampled."""
    paths = LogPaths.of(forecast.paths, truth.scale)
    drawn = [BY_ID[name].of(paths) for name in JUDGED]
    came, units = truth.numbers, truth.units
    volatility, measured = JUDGED.index("log_volatility"), truth.gauge.measured(forecast.paths)
    return Seen(
        pits=np.array([pit(x, y, rng) for x, y in zip(drawn, came, strict=True)]),
        crps=np.array([fair_crps(x / u, y / u) for x, y, u in zip(drawn, came, units, strict=True)]),
        drift=np.array([drawn[place].mean() / units[place] for place in range(len(STEPS))]),
        log_ratio=float(np.median(drawn[volatility]) - came[volatility]),
        broken=broken_bars(forecast.sampled),
        dropped=1 - len(forecast.paths) / len(forecast.sampled),
        facts=means(measured),
        ranks=truth.gauge.ranks(measured, truth.measured, rng),
    )


def broken_bars(paths: PathSet) -> Floats:
    """Return the share of bars that break each of RULES, and of those that break any [R + 1]."""
    columns = validity.columns_of(paths.values, paths.fields)
    finite = ~validity.not_finite(columns)
    broken = [
        ~finite,
        finite & validity.too_small(columns),
        finite & validity.high_too_low(columns),
        finite & validity.low_too_high(columns),
        validity.no_quantity(columns, "volume") | validity.no_quantity(columns, "amount"),
    ]
    return np.array([*(flags.mean() for flags in broken), np.any(broken, axis=0).mean()])


def evaluate(contest: Contest, material: Material, sampling: Sampling, *, progress: Progress) -> Evaluation:
    """Evaluate a checkpoint beside the classical generators, on the same origins.

    Args:
        contest: the model, and what it is compared with.
        material: histories.
        sampling: context, horizon, paths and seed.
        progress: who hears of stages.

    Raises:
        CheckpointError: the model cannot be found or read.
        DataError: the data cannot be used, or leave no room for two origins.
    """
    began = time.monotonic()
    contestants = [*contest.open()]
    judged = contestants[0]
    stretches = material.read()
    chosen = choose_origins(
        stretches,
        context=sampling.context,
        horizon=sampling.horizon,
        per_series=material.per_series,
        per_group=material.per_group,
    )
    progress.note(f"{len(stretches)} series, {len(chosen.origins)} origins, {sampling.paths} paths from each")
    truths = real_futures(stretches, chosen.origins, sampling)
    rows, omitted = forecast_all(contestants, chosen.origins, truths, sampling, progress)
    kept = [place for place in range(len(chosen.origins)) if place not in omitted]
    origins = [chosen.origins[place] for place in kept]
    facts = np.array([means(truths[place].measured) for place in kept])
    trained_until = judged.generator.trained_until or ""
    return Evaluation(
        model=judged.name,
        identity=dict(judged.generator.identity),
        data=Path(material.data).name,
        context=sampling.context,
        horizon=sampling.horizon,
        paths=sampling.paths,
        seed=sampling.seed,
        trained_until=trained_until,
        pooled=summarise(stretches, origins, rows, facts),
        groups=[summarise(stretches, origins, rows, facts, *key) for key in _groups(stretches, origins)],
        series=summarise_series(stretches, origins, rows, facts),
        method=METHOD,
        notes=[*_notes(material, chosen, omitted), *_fewer(rows), *_contamination(origins, trained_until)],
        seconds=round(time.monotonic() - began, 1),
    )


def _groups(stretches: Sequence[Stretch], origins: Sequence[SeriesOrigin]) -> list[tuple[str, str]]:
    """Return (asset class, frequency) of the groups, and a class by itself where it has several frequencies."""
    groups = sorted({(stretches[at.stretch].asset_class, stretches[at.stretch].frequency) for at in origins})
    mixed = {name for name, _ in groups if sum(other == name for other, _ in groups) > 1}
    return sorted([*groups, *((name, ALL) for name in mixed)])


def real_futures(stretches: Sequence[Stretch], origins: Sequence[SeriesOrigin], sampling: Sampling) -> list[Truth]:
    """Measure what really came after every origin."""
    gauges = {place: SeriesGauge.of(stretches[place].candles) for place in {at.stretch for at in origins}}
    return [Truth.of(at.context(sampling.context), at.future(sampling.horizon), gauges[at.stretch]) for at in origins]


def forecast_all(
    contestants: Sequence[Contestant],
    origins: Sequence[Origin],
    truths: Sequence[Truth],
    sampling: Sampling,
    progress: Progress,
) -> tuple[list[GeneratorRows], Mapping[int, str]]:
    """Let every generator forecast from every origin.

    Origins that the judged model refuses are left out for all; what others are compared with, by itself: a volatility
    that must be fitted wants more bars than a model that need not.

    Returns:
        What was seen of every generator, a row per origin that is kept; and the places of the others, and why.

    Raises:
        DataError: fewer than two origins are left.
    """

    def look(forecast: Forecast, rng: np.random.Generator) -> Seen:
        return look_at(forecast, truths[forecast.place], rng)

    every = []
    for contestant in contestants:
        with progress.stage(f"evaluating {contestant.name}", len(origins)) as advance:
            every.append(observe(contestant.generator, origins, look, sampling, advance))
    omitted = {
        place: f"{contestant.name}: {why}"
        for contestant, own in zip(contestants, every, strict=True)
        if contestant.temperature is not None
        for place, why in own.omitted.items()
    }
    kept = [place for place in range(len(origins)) if place not in omitted]
    if len(kept) < 2:
        raise DataError(f"{len(kept)} origins are left: {next(iter(omitted.values()))}", fix="evaluate another model")
    absent = Seen.nothing()
    rows = [
        GeneratorRows(one.name, one.temperature, one.temperature is None, [own.seen.get(at, absent) for at in kept])
        for one, own in zip(contestants, every, strict=True)
    ]
    return rows, omitted


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


def _fewer(rows: Sequence[GeneratorRows]) -> Iterator[str]:
    """Say which baselines could not forecast from every origin."""
    for row in rows:
        if not row.known.all():
            yield (
                f"{row.name} could be fitted at {row.known.sum()} of {len(row.known)} origins, and is compared on these"
            )


def _contamination(origins: Sequence[Origin], trained_until: str) -> Iterator[str]:
    """Say how many futures lie in the time of the model's training, be it on other instruments."""
    within = sum(at.first[:10] <= trained_until for at in origins)
    if within:
        yield (
            f"{within} of {len(origins)} futures begin before the model's training data end ({trained_until}): other "
            "instruments of the same time may have told it what came"
        )
