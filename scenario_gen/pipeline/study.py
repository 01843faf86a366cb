"""What a run stands on, what is known so far, and the stages that add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from typing import Any, TypeAlias, TypeVar

from scenario_gen.backtest.agreement import Agreement
from scenario_gen.backtest.book import AnyGround, AnyPaths
from scenario_gen.backtest.loader import LoadedStrategy, load_strategies
from scenario_gen.execute.queue import HERE, Queue
from scenario_gen.finding import Finding
from scenario_gen.market.book import BookPaths
from scenario_gen.pipeline.book.histories import PlaceOf
from scenario_gen.pipeline.identity import identity_of, still
from scenario_gen.pipeline.prepared import Book, Couple, Prepared, apart, prepare
from scenario_gen.progress import Clock, Progress
from scenario_gen.spec.loader import LoadedSpec
from scenario_gen.spec.models import ScenarioSpec, override
from scenario_gen.store.columns import MetricTable
from scenario_gen.store.folder import RunFolder, calibration_folder
from scenario_gen.store.results import BookResult, ScenarioResult
from scenario_gen.stress.replay import ReplayResult
from scenario_gen.stress.views import Reweighed

Base = TypeVar("Base")  # what a command stands on, the same for every stage
Known = TypeVar("Known")  # what it knows so far


@dataclass(frozen=True)
class Study:
    """What a run stands on, the same for every stage: nothing in it changes while the story goes on."""

    spec: ScenarioSpec
    grounds: tuple[Prepared, ...]  # scenarios and baselines, in the spec's order; replays are none of them
    strategies: tuple[LoadedStrategy, ...]
    store: RunFolder
    identity: dict[str, str]  # of the run, which decides what is kept
    progress: Progress
    clock: Clock
    place: PlaceOf  # says where a value stands in the spec
    replays: tuple[Prepared, ...] = ()  # of which each has one path, told beside the scenarios
    books: tuple[Book, ...] = ()  # of a spec of several assets, whose grounds are these; strategies trade them together
    queue: Queue = HERE  # where blocks and forecasts are computed

    @property
    def unkept(self) -> set[str]:
        """The scenarios, and those of several assets, of whose paths nothing stays when the run is finished."""
        firsts = {ground.name: ground for ground in self.grounds} | {book.name: book.first for book in self.books}
        return {name for name, first in firsts.items() if first.scenario.paths.keep == "none"}

    @property
    def alone(self) -> tuple[LoadedStrategy, ...]:
        """The strategies that trade each scenario by itself: none of a book."""
        return () if self.spec.assets else self.strategies

    @classmethod
    def of(
        cls,
        loaded: LoadedSpec,
        store: RunFolder,
        progress: Progress,
        *,
        device: str | None = None,
        paths: int | None = None,
        overwrite: bool = False,
        couple: Couple = apart,
        queue: Queue = HERE,
    ) -> Study:
        """Prepare a spec with the command line's own device and number of paths; refuse what cannot run.

        Args:
            loaded: the spec.
            store: where the run goes.
            progress: who hears of stages and notes.
            device: instead of the spec's own.
            paths: instead of the spec's own number.
            overwrite: replace another run that lives in the folder.
            couple: makes books of the scenarios of a spec of several assets, before the run has its identity.
            queue: where blocks and forecasts are computed.

        Raises:
            ScenarioError: spec, data, model, strategy or folder cannot be used; the message says what to do.
        """
        clock = Clock()
        spec = override(loaded.spec, device=device, paths=paths)
        strategies = load_strategies(spec.strategies, loaded.base, progress)
        kept = calibration_folder(store.path)
        sampled = [scenario for scenario in spec.scenarios if scenario.replay is None]
        once = [scenario for scenario in spec.scenarios if scenario.replay is not None]
        opened = prepare(sampled, loaded.base, progress, kept=kept, place=loaded.place, queue=queue)
        grounds = [replace(ground, account=spec.account, jitter=ground.scenario.jitter) for ground in opened]
        for ground in grounds:
            ground.refuse_days_beyond(ground.timestamps, ground.name, partial(loaded.place, "", "account"))
        replays = prepare(once, loaded.base, progress, kept=kept, among=sampled, place=loaded.place) if once else []
        clock.lap("preparing")
        grounds, books = couple(grounds)
        if books:
            clock.lap("coupling")
        every = [*grounds, *replays]
        shown = _shown(grounds, books)
        identity = identity_of(spec, every, [ground.sampler for ground in every], strategies, shown)
        if store.prepare(identity, overwrite=overwrite):
            progress.note(f"going on with the run in {store.place()}")
        store.refuse_foreign_paths(ground.name for ground in grounds if ground.scenario.paths.keep == "paths")
        given = (spec, tuple(grounds), tuple(strategies), store, identity, progress, clock, loaded.place)
        return cls(*given, replays=tuple(replays), books=tuple(books), queue=queue)


def _shown(grounds: Sequence[Prepared], books: Sequence[Book]) -> tuple[AnyGround, AnyPaths]:
    """Return what strategies are shown before the first path: bars that are none."""
    if not books:
        return grounds[0], still(grounds[0], grounds[0].timestamps)
    return books[0].ground, BookPaths({name: still(own, own.timestamps) for name, own in books[0].grounds.items()})


@dataclass(frozen=True)
class Results:
    """What is known so far: it grows as the story goes on."""

    scenarios: tuple[ScenarioResult, ...] = ()  # in the order of the study's grounds
    metrics: Mapping[str, MetricTable] = field(default_factory=dict)  # of every strategy and path, by scenario
    agreement: Agreement | None = None
    reweighed: Mapping[str, Reweighed] = field(default_factory=dict)  # what views did, by the scenario that has them
    replays: tuple[ReplayResult, ...] = ()
    book: BookResult | None = None  # the assets together, where there are several

    def amended(self, parts: Mapping[str, Mapping[str, Any]]) -> Results:
        """Return these results with parts of scenarios set, by the scenario's name and the name of the part."""
        return replace(self, scenarios=tuple(replace(known, **parts.get(known.name, {})) for known in self.scenarios))

    def amended_books(self, parts: Mapping[str, Mapping[str, Any]]) -> Results:
        """Return these results with parts of books set, by the scenario's name as written and the part's name."""
        if self.book is None:
            return self
        scenarios = [replace(known, **parts.get(known.name, {})) for known in self.book.scenarios]
        return replace(self, book=replace(self.book, scenarios=scenarios))


# One step of a story: what a command stands on and what it knows so far -> what it knows then, and findings.
Stage: TypeAlias = Callable[[Base, Known], tuple[Known, list[Finding]]]


def booked(name: str, stage: Stage[Study, Results]) -> Stage[Study, Results]:
    """Return a stage that books its seconds under a name, and with them those of the stages before that book none."""

    @wraps(stage)
    def run(study: Study, results: Results) -> tuple[Results, list[Finding]]:
        told = stage(study, results)
        study.clock.lap(name)
        return told

    return run


def tell(stages: Iterable[Stage[Base, Known]], study: Base, known: Known) -> tuple[Known, list[Finding]]:
    """Go through a story stage by stage; return what is known in the end and all findings, in their order."""
    findings: list[Finding] = []
    for stage in stages:
        known, more = stage(study, known)
        findings += more
    return known, findings
