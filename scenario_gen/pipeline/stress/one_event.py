"""One event without a run: the command ``event``, and ``scenario_gen.sample_event``.

Owns what both return. Trades nothing and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.loader import load_strategies
from scenario_gen.errors import SpecError
from scenario_gen.finding import Finding
from scenario_gen.generators.sections import open_generator
from scenario_gen.generators.walks import start_walk
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import history_of
from scenario_gen.market.paths import Floats, PathSet, joined
from scenario_gen.pipeline.opening import named_generator
from scenario_gen.pipeline.prepared import prepare
from scenario_gen.pipeline.stress.events import case_of, event_result, open_case, summary_of, with_case
from scenario_gen.progress import Progress
from scenario_gen.reading.section import section_of
from scenario_gen.reading.words import whole
from scenario_gen.spec.loader import LoadedSpec
from scenario_gen.spec.models import MAX_HORIZON, MAX_PATHS, MAX_SEED, Paths, override
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.remote import open_folder
from scenario_gen.stress.event import Event, Sampler
from scenario_gen.stress.exceedance import Level
from scenario_gen.stress.rare import (
    ISLAND_ARRAYS,
    Asked,
    Case,
    Genealogy,
    IslandRecord,
    Sampled,
    by_rejection,
    islands_of,
    summed_up,
)
from scenario_gen.stress.splitting import (
    GENERATION_BITS,
    SLOT_BITS,
    IslandDraws,
    island_of,
    lineage_of,
    path_number,
    replay,
)
from scenario_gen.stress.verdicts import EventResult, event_findings


@dataclass(frozen=True)
class EventReport:
    """What the command ``event`` shows."""

    scenario: str
    generator: str  # what sampled the paths
    context_end: str  # ISO stamp of the last real bar
    event: EventResult
    findings: list[Finding]
    seconds: float


def ask_event(loaded: LoadedSpec, name: str, progress: Progress, *, device: str | None = None) -> EventReport:
    """Return what is said of the event of one scenario of a spec, without trading its paths.

    Raises:
        SpecError: the spec has no such scenario, or it asks for no event.
        ScenarioError: as a run would raise.
    """
    started = monotonic()
    spec = override(loaded.spec, device=device, paths=None)
    asking = {scenario.name: scenario for scenario in spec.scenarios if scenario.event and not scenario.reweight}
    if name not in asking:
        there = f"one of {', '.join(asking)}" if asking else "a scenario with event: {functional: max_drawdown, ...}"
        if any(scenario.portfolio is not None and scenario.future == name for scenario in spec.scenarios):
            raise SpecError(f"{name} asks for an event of several assets", fix="see it with scenario-gen run")
        raise SpecError(f"{loaded.filename or 'the spec'} has no event called {name}", expected=there)
    prepared = prepare([asking[name]], loaded.base, progress, among=spec.scenarios)[0]
    asked = asking[name].event
    strategies = load_strategies(spec.strategies, loaded.base, progress) if asked and asked.of_strategy else ()
    ground = with_case(prepared, None, progress, strategies, loaded.place)
    records: list[IslandRecord] = []
    if ground.split:
        case = case_of(ground)
        with progress.stage(f"{name}: islands", case.sampler.islands[1]) as heard:
            islands = islands_of(case.asked, case.sampler, case.score, case.plain, heard)
            records = [IslandRecord.of(island) for island in islands]
    with progress.stage("events under other generators and in history", 1) as heard:
        result = event_result(ground, summary_of(ground, records), None)
        heard(1)
    return EventReport(
        scenario=name,
        generator=ground.scenario.generator.in_words,
        context_end=ground.context.timestamps[-1].isoformat(),
        event=result,
        findings=event_findings(name, result, spec.limits.event_probability.get(name)),
        seconds=round(monotonic() - started, 2),
    )


@dataclass(frozen=True, eq=False)
class ReplayedPath:
    """A path of an event's island, made anew and alone from its lineage."""

    bars: pd.DataFrame  # raw, by stamp
    lineage: list[tuple[int, int, int]]  # slot, generation and first bar of each stretch
    apart: float  # largest relative distance of its closes from those that the run kept; nan where it rejected the path


def replay_path(loaded: LoadedSpec, name: str, path: str, folder: Path, progress: Progress) -> ReplayedPath:
    """Make one path of a finished run anew, without the other paths of its island.

    Args:
        loaded: the run's spec.
        name: of the scenario.
        path: such as ``i3.s17.g9``: island, slot and generation.
        folder: of the run.
        progress: who hears of stages.

    Raises:
        SpecError: the scenario has no event, or the path is none of its islands'.
        StoreError: the run has no such island.
    """
    asking = [each for each in loaded.spec.scenarios if each.name == name and each.event is not None]
    if not asking:
        raise SpecError(f"{loaded.filename or 'the spec'} has no event called {name}", expected="one that has")
    try:
        number = path_number(path)
    except ValueError as error:
        raise SpecError(str(error)) from None
    index = island_of(number)
    block = RunFolder("").block_path(name, index).as_posix()
    kept = open_folder(folder, block).load_arrays(name, index, *ISLAND_ARRAYS, "path_ids", "values")
    rows = np.flatnonzero(kept["event_ids"] == number) if "event_ids" in kept else np.empty(0)
    if not len(rows):
        raise SpecError(f"island {index} of {name} has no path {path}", expected="a path of the island")
    owners = kept["event_owners"][rows[0]].astype(np.int64)
    lineage = lineage_of(owners, number % 2 ** (SLOT_BITS + GENERATION_BITS))
    ground = prepare(asking, loaded.base, progress, among=loaded.spec.scenarios)[0]
    walk = start_walk(ground.generator, ground.context, ground.timestamps, 1, ground.seed)
    bars = replay(walk, IslandDraws(ground.seed, name, index), lineage, len(ground.timestamps))
    same = np.flatnonzero(kept["path_ids"] == number)
    closes = kept["values"][same[0], :, 3] if len(same) else np.full(len(bars), np.nan)
    frame = pd.DataFrame(bars, index=ground.timestamps, columns=list(ground.context.fields[: bars.shape[1]]))
    return ReplayedPath(frame, lineage, float(np.abs(bars[:, 3].astype(np.float64) / closes - 1).max()))


@dataclass(frozen=True, eq=False)
class EventPaths:
    """The paths that say how probable an event is, and what they say."""

    paths: PathSet  # with weights: all together describe the whole law, those in the event its rare part
    happened: NDArray[np.bool_]  # [path]: whether the event happens there
    sampled: Sampled

    @property
    def weights(self) -> Floats:
        """Share of each path in the law, which sum to 1 [path]."""
        raw = np.ones(len(self.paths)) if self.paths.weights is None else self.paths.weights
        return np.asarray(raw / raw.sum())

    @property
    def probability(self) -> float | None:
        """The generator's probability of the event."""
        return self.sampled.probability.value

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """Its 95 % interval; None without an end."""
        return self.sampled.probability.low, self.sampled.probability.high

    @property
    def levels(self) -> list[Level]:
        """Where paths were killed, and how probable it is to come so far."""
        return self.sampled.levels

    @property
    def genealogy(self) -> Genealogy | None:
        """Who the paths in the event descend from; None for plain paths."""
        return self.sampled.genealogy


def sample_event(
    context: Candles | pd.DataFrame | str,
    event: Event | Mapping[str, Any],
    *,
    horizon: int,
    model: str = "nano",
    islands: int | tuple[int, int] = (8, 16),
    island: int = 512,
    paths: int = 2000,
    method: str = "auto",
    kill: float = 0.5,
    relative_error: float = 0.15,
    budget: float = 40.0,
    temperature: float = 1.0,
    seed: int = 0,
    device: str = "auto",
) -> EventPaths:
    """Sample the paths of an event and how probable it is, by plain paths or, where those are too few, by splitting.

    Args:
        context: candles whose last bars seed the model; a frame or a file is loaded first.
        event: an Event, or a mapping with its keys: ``{"functional": "max_drawdown", "at_least": 0.25}``.
        horizon: bars within which it is to happen.
        model: as for :func:`scenario_gen.sample`.
        islands: how many independent populations, or at least and at most so many; 8 or more have an interval.
        island: paths of one of them at a time.
        paths: plain paths that come first.
        method: ``auto``, ``splitting`` or ``rejection`` (plain paths alone).
        kill: share of paths that each level gives up.
        relative_error: no more islands are run once it is reached.
        budget: bars sampled at most beyond the first islands, over those of the plain paths.
        temperature: of the model.
        seed: of every random number.
        device: ``auto``, ``cpu``, ``cuda``, ...

    Returns:
        Raw paths with their weights, probability with interval, levels and genealogy.

    Raises:
        ScenarioError: context, event, model or a setting cannot be used.
    """
    horizon = whole("horizon", horizon, 1, MAX_HORIZON)
    paths, seed = whole("paths", paths, 1, MAX_PATHS), whole("seed", seed, 0, MAX_SEED)
    asked_for = section_of(Event, event, "event")
    span = (islands, islands) if isinstance(islands, int) else islands
    told = {"method": method, "island": island, "islands": list(span), "kill": kill}
    sampler = section_of(Sampler, {**told, "relative_error": relative_error, "budget": budget}, "sampler")
    candles = history_of(context)
    section = named_generator({"model": model, "temperature": temperature, "device": device})
    generator, calendar = open_generator(section, candles), BarCalendar.infer(candles.timestamps, candles.calendar)
    asked = Asked(generator, candles, calendar.future(horizon), seed, "event")
    plan = Paths(count=paths, seed=seed)
    return _paths_of(open_case(asked, asked_for, sampler, calendar.bars_per_year, plan), asked, sampler, plan)


def _paths_of(case: Case, asked: Asked, sampler: Sampler, plan: Paths) -> EventPaths:
    """Return the plain paths of an event that is frequent enough, else those of islands."""
    if case.method == "rejection":
        inside = np.isin(np.arange(plan.count), case.plain.inside)
        plain = joined(list(asked.plain_paths(plan.count, plan.block)))
        return EventPaths(plain, inside, by_rejection(case.plain))
    split = list(islands_of(asked, sampler, case.score, case.plain))
    records = [IslandRecord.of(each) for each in split]
    return EventPaths(
        joined([asked.paths_of(each) for each in split]),
        np.concatenate([record.happened for record in records]),
        summed_up(records, sampler, case.plain, len(asked.timestamps)),
    )
