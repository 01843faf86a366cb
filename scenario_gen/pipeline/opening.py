"""From a scenario's sections to its generator and its bars: folders, searched dials, recalibration, where contexts end.

A scenario that only turns the dials of the base (temperature, top_p, volatility, drift) inherits the base's
recalibration: its own would take out the stress that it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from pydantic import ValidationError

from scenario_gen.errors import DataError, SpecError
from scenario_gen.execute.queue import HERE, Queue
from scenario_gen.forecasts.dial import DialSearch, settle
from scenario_gen.forecasts.harness import Settings
from scenario_gen.forecasts.origins import default_horizon
from scenario_gen.forecasts.recalibrate import past_forecasts, recalibration_of
from scenario_gen.forecasts.results import Recalibration
from scenario_gen.generators.base import Generator, sample_blocks, to_be_fitted
from scenario_gen.generators.recalibrated import in_units_of
from scenario_gen.generators.sections import (
    BASELINES,
    GeneratorSection,
    KronosGenerator,
    RecalibrationBudget,
    default_section,
    open_generator,
)
from scenario_gen.joint.calendar import Aligned
from scenario_gen.kronos.registry import KNOWN_MODELS
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import history_of
from scenario_gen.market.opened import candles_of
from scenario_gen.market.paths import PathSet, joined
from scenario_gen.market.section import Data
from scenario_gen.pipeline.book.histories import Past, PlaceOf, aligned_book, book_pasts
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.reading.words import whole
from scenario_gen.spec.models import (
    MAX_BLOCK,
    MAX_HORIZON,
    MAX_PATHS,
    MAX_SEED,
    BarCounts,
    CalibrationBudget,
    ResolvedScenario,
)
from scenario_gen.stress.search import placed
from scenario_gen.stress.shocked import shocked

KNOWN_NAMES = frozenset(known.name for known in KNOWN_MODELS)

SettingsFor: TypeAlias = Callable[[ResolvedScenario, int], Settings]


@dataclass(frozen=True)
class Opened:
    """A scenario's generator, and how it came about."""

    generator: Generator
    section: GeneratorSection  # temperature and top_p are numbers
    dial: DialSearch | None  # how they were chosen, where the spec says ``auto``
    recalibration: Recalibration | None  # where the spec asks for it

    def answering(self, scenario: ResolvedScenario, history: Candles, place: PlaceOf) -> tuple[Generator, Candles]:
        """Return the generator and its history with the shocks that are written into its end; both as they are without.

        A generator that is fitted is fitted to the shocked history; a Kronos model keeps the units of the other, unless
        the spec says ``refit``.

        Raises:
            DataError: a shock on volume, and there is none.
        """
        stress = scenario.context
        if stress is None or not stress.shocks:
            return self.generator, history
        if not history.has_volume and any(shock.kind == "liquidity" for shock in stress.shocks):
            where = place(scenario.name, "context", "shocks")
            raise DataError(f"{where}: a shock on liquidity, and {history.name} has no volume", fix="leave it out")
        after, generator = shocked(history, stress.shocks), self.generator
        if (fitted := to_be_fitted(generator)) is not None:
            generator = fitted.fitted_to(after)
        if stress.normaliser != "refit":
            generator = in_units_of(generator, history.context(scenario.bars.context))
        return generator, after


@dataclass(frozen=True)
class Opener:
    """Opens the generators of a spec."""

    base: ResolvedScenario | None  # whose recalibration others inherit
    folder: Path  # of the spec
    kept: Path | None  # folder of finished searches and passes; None keeps none
    progress: Progress
    settings_for: SettingsFor  # how forecasts are made that recalibrate a scenario, by the bars of its history
    queue: Queue = HERE  # where they are made

    def open(self, scenario: ResolvedScenario, history: Candles) -> Opened:
        """Open a scenario's generator on its history, which ends with the context.

        Raises:
            DataError: the history is too short for what is asked of it.
            CheckpointError: the model cannot be found or read.
        """
        section, dial = self._settled(scenario, scenario.generator, history)
        budget = section.recalibration
        if budget is None:
            return Opened(open_generator(section, history), section, dial, None)
        source, fitted_on = self._source(scenario, section, history)
        settings = self.settings_for(scenario, len(history))
        raw, kept = open_generator(source.alone()), self.kept
        past = past_forecasts(raw, history, settings, budget, cache=kept, progress=self.progress, queue=self.queue)
        generator = open_generator(section, history, past)
        return Opened(generator, section, dial, recalibration_of(generator, history, fitted_on))

    def _settled(
        self, scenario: ResolvedScenario, section: GeneratorSection, history: Candles
    ) -> tuple[GeneratorSection, DialSearch | None]:
        settings = Settings.of_run(history, scenario.bars.context, scenario.bars.horizon, scenario.paths.seed)
        beside = beside_the_spec(section, self.folder)
        return settle(beside, history, settings, cache=self.kept, progress=self.progress, queue=self.queue)

    def _source(
        self, scenario: ResolvedScenario, section: GeneratorSection, history: Candles
    ) -> tuple[GeneratorSection, str]:
        """Return whose forecasts recalibrate a scenario, and the base's name where these are not its own."""
        base = self.base
        if base is None or base.generator.recalibration is None or not scenario.generator.inherits(base.generator):
            return section, ""
        source, _ = self._settled(scenario, base.generator, history)
        return source, base.name if source.alone() != section.alone() else ""


def base_of(scenarios: Sequence[ResolvedScenario]) -> ResolvedScenario | None:
    """Return the scenario that others are stresses of: named base, else the first with a Kronos model, else the first.

    Shocked scenarios come last; None where there are baselines only.
    """
    own = [scenario for scenario in scenarios if scenario.role == "scenario" and scenario.reweight is None]
    own.sort(key=lambda scenario: bool(scenario.shocks))
    kronos = [scenario for scenario in own if isinstance(scenario.generator, KronosGenerator)]
    return next((scenario for scenario in own if scenario.name == "base"), next(iter(kronos or own), None))


def beside_the_spec(section: GeneratorSection, folder: Path) -> GeneratorSection:
    """Return the section with model and tokenizer folders looked for beside the spec first."""
    if not isinstance(section, KronosGenerator):
        return section
    there = {
        key: str(folder / value)
        for key, value in (("model", section.model), ("tokenizer", section.tokenizer))
        if value is not None and value not in KNOWN_NAMES and (folder / value).is_dir()
    }
    return section.model_copy(update=there)


def calibration_settings(scenario: ResolvedScenario, bars: int) -> Settings:
    """Return how a scenario's generator is calibrated: as the spec says, else by the bars of its history."""
    asked = scenario.checks.calibration
    budget = asked if isinstance(asked, CalibrationBudget) else CalibrationBudget()
    context, fits = scenario.bars.context, scenario.generator.recalibration is not None
    return Settings(
        context=context,
        horizon=budget.horizon or default_horizon(bars, context, scenario.bars.horizon, fits=fits),
        origins=budget.origins,
        paths=budget.paths,
        seed=scenario.paths.seed,
        one_step=budget.one_step,
    )


# --- Without a spec: what ``scenario_gen.sample`` does, blocks joined in memory ---


DEFAULT_BLOCK = 512


def sample(
    context: Candles | pd.DataFrame | str,
    *,
    horizon: int,
    paths: int,
    model: str = "nano",
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    tokenizer: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    window: str = "reanchor",
    block: int = DEFAULT_BLOCK,
    recalibrate: bool = False,
    adapt: bool = False,
    context_bars: int | None = None,
    timestamps: pd.DatetimeIndex | None = None,
) -> PathSet:
    """Sample alternative futures of a context.

    Args:
        context: candles, a frame or a file, whose last bars seed the model. Our own checkpoints use the bars that fit
            their window (``provenance["context_bars"]``), published ones all.
        horizon: bars to generate.
        paths: how many futures.
        model: ``nano``, ``mini``, ``small``, ``base``, a folder, a Hub name, or the kind of a classical generator
            (``BASELINES``): ``bootstrap``, or ``garch`` and ``gjr``, which are fitted to all of the candles.
        temperature: 1 is the model as trained; lower is calmer, higher is wilder.
        top_p: keep the likeliest tokens up to this probability; below 1 narrows every path.
        top_k: keep the k likeliest tokens; 0 keeps all.
        seed: of the per-path random numbers: path 17 is the same in any number of paths.
        tokenizer: for a model that does not bring its own.
        device: ``auto``, ``cpu``, ``cuda``, ...
        dtype: of the products with weights, ``float32`` or ``bfloat16``; ``auto`` is bfloat16 on a GPU.
        window: what to do past the model's window, ``reanchor`` or ``slide``.
        block: paths per matrix product; part of what decides the last digits.
        recalibrate: let the generator forecast the past of the candles first, and make up for how it erred. Paths then
            continue the last 256 bars (or ``context_bars``), as such forecasts do.
        adapt: fit the model's heads to bars before the context; ``provenance["adaptation"]`` says what came of it.
        context_bars: continue these last bars alone; None gives the generator all.
        timestamps: stamps of the generated bars, [horizon]; None takes the calendar's next ones.

    Returns:
        Raw paths, float32 ``values`` [path, bar, (open, high, low, close, volume, ...)]; volume only where the
        context has it. Not repaired: see :func:`scenario_gen.candles.check_candles`.

    Raises:
        ScenarioError: context, model or a setting cannot be used.
    """
    horizon, paths = whole("horizon", horizon, 1, MAX_HORIZON), whole("paths", paths, 1, MAX_PATHS)
    block, seed = whole("block", block, 1, MAX_BLOCK), whole("seed", seed, 0, MAX_SEED)
    candles = history_of(context)
    drawing = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "window": window}
    made = {"model": model, "tokenizer": tokenizer, "device": device, "dtype": dtype, "adapt": adapt}
    section = named_generator({**made, **drawing})
    stamps = _stamps_after(candles, horizon, timestamps)
    generator, candles = _continuing(section, candles, horizon, seed, context_bars, recalibrate=recalibrate)
    return joined(list(sample_blocks(generator, candles, stamps, seed=seed, count=paths, size=block)))


def _stamps_after(candles: Candles, horizon: int, given: pd.DatetimeIndex | None) -> pd.DatetimeIndex:
    """Return the stamps of the bars to come: those given, where they can follow the candles, else the calendar's."""
    if given is None:
        return BarCalendar.infer(candles.timestamps, candles.calendar).future(horizon)
    last = candles.timestamps[-1]
    if (given.tz is None) != (last.tzinfo is None):
        raise DataError(
            f"the stamps to come and those of {candles.name} do not both have a time zone",
            expected="both with one, or both without",
            fix="write both in the same way",
        )
    rising = bool((given[1:] > given[:-1]).all())
    if len(given) != horizon or not rising or (horizon and not given[0] > last):
        raise DataError(
            f"{len(given)} stamps to come, from {given[0] if len(given) else 'none'} on"
            f"{'' if rising else ', that do not rise'}",
            expected=f"{horizon} rising stamps after {last}, the last bar of {candles.name}",
            fix="give one stamp per bar, or leave them out: the calendar then says when the next bars are",
        )
    return given if last.tzinfo is None else given.tz_convert(last.tzinfo)


def _continuing(
    section: GeneratorSection, history: Candles, horizon: int, seed: int, bars: int | None, *, recalibrate: bool
) -> tuple[Generator, Candles]:
    """Return the generator and the context that it samples from: recalibrated, as long as those it forecast from."""
    if not recalibrate:
        return open_generator(section, history), history if bars is None else history.context(bars)
    context, silent = bars or BarCounts().context, SilentProgress()
    settings = Settings.of_run(history, context, horizon, seed)
    past = past_forecasts(
        open_generator(section), history, settings, RecalibrationBudget(), cache=None, progress=silent
    )
    return open_generator(section, history, past), history.context(context)


def named_generator(settings: dict[str, Any]) -> GeneratorSection:
    """Return the section of a model, or of the kind of a classical generator, with settings by their keys in a spec.

    Raises:
        SpecError: a setting cannot be used.
    """
    return _classical(settings) if settings["model"] in BASELINES else _section(settings)


def _classical(settings: dict[str, Any]) -> GeneratorSection:
    """Return a classical generator's section; what only a Kronos model obeys must not be asked of it."""
    default = {name: field.default for name, field in KronosGenerator.model_fields.items()}
    ignored = [name for name, value in settings.items() if value != default[name]]
    ignored = [name for name in ignored if name not in ("model", "device", "dtype")]
    if ignored:
        raise SpecError(
            f"the {settings['model']} generator knows no {', '.join(ignored)}",
            expected="such settings with a Kronos model only",
        )
    return default_section(settings["model"])


def _section(settings: dict[str, Any]) -> KronosGenerator:
    try:
        return KronosGenerator.model_validate(settings)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors())
        raise SpecError(wrong, fix="see help(scenario_gen.sample)") from None


# --- From a scenario's data section to its bars, split where its context ends ---


def named_place(scenario: str, *keys: str) -> str:
    """Say where a value stands in a spec that has no text."""
    return ".".join((*([f"scenarios[{scenario}]"] if scenario else []), *map(str, keys)))


@dataclass(frozen=True)
class Histories:
    """The bars of scenarios; each file is read once."""

    base: Path  # the spec's folder
    place: PlaceOf = named_place
    among: Sequence[ResolvedScenario] = ()  # all scenarios of the spec: those of one future are a book
    note: Callable[[str, str], object] = str.join  # hears, by scenario, what common dates leave out of histories
    progress: Progress = field(default_factory=SilentProgress, repr=False)  # hears of bars that are fetched
    read: dict[Data, Candles] = field(default_factory=dict, repr=False)
    aligned: dict[tuple[Any, ...], Aligned] = field(default_factory=dict, repr=False)
    books: dict[str, dict[str, Past]] = field(default_factory=dict, repr=False)

    def of(self, scenario: ResolvedScenario) -> Past:
        """Return a scenario's bars split where its context ends; those of an asset as the other assets let them be.

        Raises:
            DataError: the bars cannot be used, or have no crisis where the context is to end.
        """
        if scenario.asset:
            return self._book(scenario)[scenario.asset]
        candles = self._whole(scenario)
        if scenario.context is None or not scenario.context.moves_end:
            return _history(candles, scenario.data)
        return _in_crisis(candles, scenario, self.place)

    def _whole(self, scenario: ResolvedScenario) -> Candles:
        data = scenario.data.model_copy(update={"end": None})
        if data not in self.read:
            self.read[data] = candles_of(data, self.base, self.progress)
        return self.read[data]

    def _book(self, scenario: ResolvedScenario) -> Mapping[str, Past]:
        if scenario.future not in self.books:
            own = [other for other in self.among if other.asset and other.future == scenario.future]
            how = None if own[0].joint is None else own[0].joint.calendar
            key = (tuple(each.data.model_copy(update={"end": None}) for each in own), how)
            if key not in self.aligned:
                self.aligned[key] = aligned_book(own, [self._whole(each) for each in own], self.place)
            self.books[scenario.future], notes = book_pasts(own, self.aligned[key], self.place)
            for note in notes:
                self.note(scenario.future, note)
        return self.books[scenario.future]


def _history(candles: Candles, data: Data) -> Past:
    """Return the bars up to ``data.end``, the bars after it, and the calendar that both follow."""
    history, later = candles.split_at(None if data.end is None else pd.Timestamp(data.end))
    if not len(history):
        first, last = (stamp.date().isoformat() for stamp in (candles.timestamps[0], candles.timestamps[-1]))
        raise DataError(
            f"{candles.name} has no bar up to data.end {data.end}",
            expected=f"a date between {first} and {last}",
            fix="move data.end into the history",
        )
    return Past(history, later, BarCalendar.infer(history.timestamps, candles.calendar))


def _in_crisis(candles: Candles, scenario: ResolvedScenario, place: PlaceOf) -> Past:
    """Return a history split where its context ends in a crisis, and the crisis."""
    stress = scenario.context
    if stress is None:
        raise ValueError(f"{scenario.name} names no crisis")
    try:
        row, crisis = placed(candles, stress, scenario.bars.context, scenario.bars.horizon)
    except DataError as error:
        key = "search" if stress.search is not None else "crisis"
        where = place(scenario.name, "context", key)
        raise DataError(f"{where}: {error.problem}", expected=error.expected, fix=error.fix) from None
    history = candles.rows(0, row + 1)
    calendar = BarCalendar.infer(history.timestamps, candles.calendar)
    return Past(history, candles.rows(row + 1, len(candles)), calendar, crisis)
