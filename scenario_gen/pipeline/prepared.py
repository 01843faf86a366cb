"""A scenario ready to run, or several coupled to a book: what can go wrong with files, dates and models comes first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd

from scenario_gen.backtest.book import BookGround
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.metrics import LEAST_YEARS, shortest_horizon
from scenario_gen.candles.check import CandleRules
from scenario_gen.errors import SpecError
from scenario_gen.execute.queue import HERE, Queue
from scenario_gen.forecasts.dial import DialSearch
from scenario_gen.forecasts.results import Recalibration
from scenario_gen.generators.base import Generator, adapting
from scenario_gen.generators.sections import GeneratorSection, KronosGenerator
from scenario_gen.joint.calendar import Aligned
from scenario_gen.joint.coupling import Coupled
from scenario_gen.joint.response import responds
from scenario_gen.joint.results import CouplingReport
from scenario_gen.market.book import BookPaths, all_stamps
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.pipeline.book.histories import Past, PlaceOf, over
from scenario_gen.pipeline.opening import Histories, Opener, SettingsFor, base_of, calibration_settings, named_place
from scenario_gen.progress import Progress, SharedNotes
from scenario_gen.spec.models import ResolvedScenario
from scenario_gen.stress.moves import Setting
from scenario_gen.stress.rare import Case
from scenario_gen.stress.search import ContextInCrisis
from scenario_gen.stress.shocks import lacks_volume


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared(Ground):
    """One scenario, ready to run: the ground of its context, its future stamps, its generator.

    Its context seeds the generator; paths are judged against its history; ``later`` ends with the horizon.
    """

    calendar: BarCalendar  # where the future stamps come from
    scenario: ResolvedScenario  # the section of the spec
    timestamps: pd.DatetimeIndex  # of the bars to generate
    generator: Generator  # what samples them
    rules: CandleRules  # what every candle is held to, with the thresholds that the history gives
    dial: DialSearch | None = None  # how temperature and top_p were chosen, where the spec says ``auto``
    recalibration: Recalibration | None = None  # of the generator, where the spec asks for it
    crisis: ContextInCrisis | None = None  # that the context ends in, where the spec names or searches one
    calm: tuple[Generator, Candles] | None = None  # generator and history without the shocks on the context
    case: Case | None = None  # the event whose probability is asked, where one is
    aligned: Aligned | None = None  # histories of all assets of its book, up to the end of the context
    coupled: Coupled | None = None  # the generator with the random numbers of one asset of a book, where it is of one

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.name

    @property
    def sampler(self) -> Generator:
        """What samples its paths: the generator, with the numbers of its asset where it is one of a book's."""
        return self.generator if self.coupled is None else self.coupled

    @property
    def responds(self) -> bool:
        """Whether its paths respond to a shock on another asset of the book."""
        return self.coupled is not None and responds(self.coupled.coupling, self.coupled.asset)

    @property
    def hit(self) -> bool:
        """Whether its paths are shocked, or respond to a shock."""
        return bool(self.scenario.shocks) or self.responds

    @property
    def split(self) -> bool:
        """Whether its blocks are islands of weighted paths."""
        return self.case is not None and self.case.method == "splitting"

    @cached_property
    def setting(self) -> Setting:
        """What shocks may know of the scenario."""
        return Setting.of(self.context, self.scenario.paths.seed)


@dataclass(frozen=True, eq=False)
class Book:
    """One scenario of several assets: path k of every asset is the same future."""

    name: str  # the scenario's, as written
    grounds: Mapping[str, Prepared]  # asset to its own scenario, coupled with the others
    coupling: CouplingReport

    @property
    def first(self) -> Prepared:
        """The scenario of its first asset: what is said of paths and account is the same in all."""
        return next(iter(self.grounds.values()))

    @property
    def role(self) -> Literal["scenario", "baseline"]:
        """Whether it is a scenario or a baseline."""
        return self.first.scenario.role

    @cached_property
    def ground(self) -> BookGround:
        """What strategies stand on that trade all assets together."""
        return BookGround.of(self.grounds)

    @property
    def undisturbed(self) -> BookGround:
        """The same with history as it was, where a shock stands on the context."""
        grounds = {
            name: ground if ground.calm is None else replace(ground, history=ground.calm[1])
            for name, ground in self.grounds.items()
        }
        return replace(self.ground, grounds=grounds)

    @cached_property
    def timestamps(self) -> pd.DatetimeIndex:
        """All stamps at which some asset has a generated bar, in order [bar]."""
        return all_stamps([ground.timestamps for ground in self.grounds.values()])

    @cached_property
    def later(self) -> pd.DatetimeIndex:
        """The stamps at which it is known what really happened to all assets, in order [bar]."""
        ends = [ground.later.timestamps[-1] for ground in self.grounds.values() if len(ground.later)]
        known = min(ends) if len(ends) == len(self.grounds) else None
        return self.timestamps[:0] if known is None else self.timestamps[self.timestamps <= known]

    @property
    def real(self) -> BookPaths:
        """What really happened to all assets after the context, as a book of one future."""
        return BookPaths(
            {
                asset: ground.real(ground.later.rows(0, int((ground.later.timestamps <= self.later[-1]).sum())))
                for asset, ground in self.grounds.items()
            }
        )


Couple: TypeAlias = Callable[[Sequence[Prepared]], tuple[list[Prepared], list[Book]]]


def apart(grounds: Sequence[Prepared]) -> tuple[list[Prepared], list[Book]]:
    """Return scenarios as they are, and no book: there is one asset alone."""
    return [*grounds], []


def prepare(
    scenarios: Sequence[ResolvedScenario],
    base: Path,
    progress: Progress,
    *,
    kept: Path | None = None,
    among: Sequence[ResolvedScenario] | None = None,
    settings_for: SettingsFor = calibration_settings,
    place: PlaceOf = named_place,
    queue: Queue = HERE,
) -> list[Prepared]:
    """Load histories and models, cut contexts and lay out the future stamps of every scenario.

    Args:
        scenarios: of a spec.
        base: the spec's folder.
        progress: who hears of stages and notes.
        kept: folder of finished searches for ``auto`` settings and of past forecasts; None keeps none.
        among: all scenarios of the spec, where these are some of them.
        settings_for: how forecasts are made that recalibrate a scenario.
        place: says where a value of a scenario stands in the spec, by the scenario's name and the value's keys.
        queue: where forecasts are made.

    Raises:
        DataError: a history cannot be used or is too short, or has no crisis where a context is to end.
        CheckpointError: a model cannot be found or read.
    """
    every = {scenario.name: scenario for scenario in (*(among or ()), *scenarios)}
    notes = SharedNotes()
    histories = Histories(base, place, tuple(every.values()), notes.add, progress)
    opener = Opener(base_of(scenarios if among is None else among), base, kept, progress, settings_for, queue)
    prepared = []
    with progress.stage("reading history and model", len(scenarios)) as advance:
        for scenario in scenarios:
            ready = _ready(scenario, histories.of(scenario), opener, place)
            _tell_ends(ready, notes)
            prepared.append(ready)
            advance(1)
    notes.tell(progress)
    _tell(prepared, progress)
    return prepared


def _ready(asked: ResolvedScenario, past: Past, opener: Opener, place: PlaceOf) -> Prepared:
    """Cut the context out of a history, open the generator on it and lay out the future stamps."""
    history, later, calendar, ahead = past.history, past.later, past.calendar, past.ahead(asked)
    scenario, horizon = over(asked, len(ahead)), len(ahead)
    context = history.context(scenario.bars.context)
    _refuse_lack_of_volume(scenario, context)
    opened = opener.open(scenario, history)
    calm = (opened.generator, history)
    generator, history = opened.answering(scenario, history, place)
    stressed = history is not calm[1]
    if stressed:  # nothing real comes after bars that never were
        context, later = history.context(scenario.bars.context), later.rows(0, 0)
    return Prepared(
        scenario=_settled(scenario, opened.section),
        context=context,
        history=history,
        later=later.rows(0, min(len(later), horizon)),
        calendar=calendar,
        bars_per_year=calendar.bars_per_year,
        broker=scenario.broker,
        market=scenario.market,
        seed=scenario.paths.seed,
        timestamps=ahead,
        generator=generator,
        rules=CandleRules.of(context, horizon, market=scenario.market, history=history, calendar=calendar),
        dial=opened.dial,
        recalibration=opened.recalibration,
        crisis=past.crisis,
        aligned=past.aligned,
        calm=calm if stressed else None,
    )


def _refuse_lack_of_volume(scenario: ResolvedScenario, context: Candles) -> None:
    """Refuse shocks of a volume that the history does not have."""
    for shock in scenario.shocks:
        if shock.volume_field and not context.has_volume:
            raise SpecError(f"scenario {scenario.name}: {lacks_volume(shock)}")


def _settled(scenario: ResolvedScenario, section: GeneratorSection) -> ResolvedScenario:
    """Return the scenario with the numbers that were chosen for ``auto``."""
    if not isinstance(section, KronosGenerator):
        return scenario
    chosen = {"temperature": section.temperature, "top_p": section.top_p}
    return scenario.model_copy(update={"generator": scenario.generator.model_copy(update=chosen)})


def _tell_ends(ready: Prepared, notes: SharedNotes) -> None:
    """Say what ends too early: an exchange's calendar, the history, paths for figures per year; and what was fitted."""
    scenario, calendar, horizon = ready.scenario, ready.calendar, len(ready.timestamps)
    known = calendar.known_until(horizon)
    if 0 < known < horizon:
        notes.add(
            ready.name, f"{calendar.code} knows the sessions of {known} of {horizon} bars; the rest have no holidays"
        )
    end, last = scenario.data.end, ready.context.timestamps[-1].date()
    day = end.date() if isinstance(end, datetime) else end
    if day is not None and day > last and not len(ready.later) and scenario.context is None:
        notes.add(ready.name, f"the history ends on {last}, before data.end {day}")
    if (adapted := adapting(ready.generator)) is not None:
        notes.add(ready.name, adapted.in_words)
    if horizon < (shortest := shortest_horizon(calendar.bars_per_year)):
        notes.add(
            ready.name,
            f"figures per year (return, volatility, Sharpe, Sortino, Calmar, turnover) are not applicable"
            f" to paths of {horizon} bars, less than {LEAST_YEARS:.1%} of a year; a horizon of {shortest:,} has them",
        )


def _tell(prepared: list[Prepared], progress: Progress) -> None:
    """Pass on what is odd about each history, and about what the spec declares of its market, each note once."""
    by_length = sorted(prepared, key=lambda one: len(one.history))
    flags = {
        (one.history.name, one.history.source, flag.rule, flag.message): one.history.flag_text(flag)
        for one in by_length  # of several cuts of one history the longest is told; a file may have several notes
        for flag in (*one.history.flags, *one.rules.misfits)
    }
    for (name, *_), text in sorted(flags.items()):
        progress.note(f"{name}: {text}")
