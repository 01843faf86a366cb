"""What a run would do and cost, told before it is done.

Nothing is guessed that can be tried: the whole story, page included, is told once in small, in a folder that is thrown
away, with one scenario of each kind of generator at the run's own block, and twice at a quarter of it. The first of
those takes what only a first time takes; of the other two comes what grows with the paths. Forecasts of the past are
made from a few origins. What is left is arithmetic, and a range, which is wider where other work keeps the machine
busy.

Owns the sample and the arithmetic. Knows no stage: which make up the story, and how it ends, is given.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from scenario_gen.backtest.evidence import MAX_PATHS as MAX_EVIDENCE
from scenario_gen.backtest.findings import ORDERS_PATHS
from scenario_gen.errors import CheckError, StoreError
from scenario_gen.execute.queue import HERE
from scenario_gen.finding import Finding
from scenario_gen.forecasts.origins import rolling_origins
from scenario_gen.pipeline.blocks.work import missing_blocks
from scenario_gen.pipeline.identity import device_of
from scenario_gen.pipeline.plan.foretell import SURE, UNSURE, WEIGHED, Between, blocks_of
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.pipeline.stages import settings_of, to_calibrate
from scenario_gen.pipeline.study import Results, Stage, Study
from scenario_gen.progress import Clock, SilentProgress, peak_memory
from scenario_gen.realism.check import MOST_PATHS as MOST_JUDGED
from scenario_gen.spec.models import CalibrationBudget
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.manifest import other_run

MOST_BUSY, NOTED_BUSY = (
    3.0,
    1.25,
)  # times by the clock over those of a processor: the most that counts, and that is told
ORIGINS = 10  # of a forecast of the past in small
CAPPED = {  # paths beyond which a stage looks at no more of them; others take longer with each
    "compare_with_history": 2 * MOST_JUDGED,  # every path is measured, which takes far less than judging these does
    "hold_against": MAX_EVIDENCE,
    "hold_books_against": MAX_EVIDENCE,
    "probe": ORDERS_PATHS,
    "probe_books": ORDERS_PATHS,
}
FORECASTS = {"forecast_the_past", "forecast_the_book"}
SAMPLING, PAGE = "sample_and_trade", "page"

Finish: TypeAlias = Callable[[Study, Results, list[Finding]], object]


@dataclass(frozen=True)
class PlannedScenario:
    """What a run would do for one scenario, of one asset where it has several."""

    name: str
    role: str  # scenario or baseline
    paths: int
    bars: int  # of each path
    blocks: int
    finished_blocks: int  # that stand in the folder already, of this very run
    seconds_per_block: float  # sampled, checked, traded and saved; of a scenario like it
    bytes_per_block: int  # that it takes on disk
    origins: int  # from which its generator would forecast the past; 0 where another scenario's forecasts serve


@dataclass(frozen=True)
class RunPlan:
    """What a run would do and cost."""

    name: str
    folder: str
    resumes: bool  # whether the folder holds a part of this run
    device: dict[str, str]
    scenarios: list[PlannedScenario]
    strategies: list[str]
    seconds: Between
    seconds_of: dict[str, Between]  # what they are made of: start, blocks, judging, forecasts, page
    disk_bytes: Between  # that the folder holds in the end
    free_bytes: int  # of that disk
    memory_bytes: Between  # of the process, at its peak
    notes: list[str] = field(default_factory=list)


class LookedAt(RunFolder):
    """The run folder of a plan: whose it is is asked, and no run begins in it."""

    def prepare(self, identity: Mapping[str, str], *, overwrite: bool = False) -> bool:
        """Say whether an earlier run would be resumed.

        Raises:
            StoreError: another run lives here, or files of unknown origin bear our names.
        """
        kept = None if overwrite else self.identity()
        if kept is None:
            if not overwrite:
                self._refuse_strangers()
            return False
        if kept != dict(identity):
            raise other_run(self.path, kept, identity)
        return True


@dataclass(frozen=True)
class Tried:
    """One story in small."""

    paths: int  # of each of its scenarios
    seconds: dict[str, float]  # of each stage, by the clock
    worked: dict[str, float]  # of each stage, of a processor: where others are at work these differ less
    of_block: dict[str, float]  # seconds of the block of a scenario, by its name
    block_bytes: dict[str, int]  # that the block of a scenario takes on disk, by its name
    other_bytes: int  # that everything else takes


def plan_of(study: Study, stages: Sequence[Stage[Study, Results]], finish: Finish, workers: int = 1) -> RunPlan:
    """Tell the study's story in small and return what the whole of it would take.

    Args:
        study: as a run has it, its store a :class:`LookedAt`.
        stages: of the run.
        finish: writes what a finished run leaves, the page included.
        workers: that would make blocks and forecasts side by side; at best they share the time evenly.

    Raises:
        ScenarioError: what would stop the run stops its sample.
    """
    start = sum(study.clock.laps.values())
    small = in_small(study)
    count = max(ground.scenario.paths.count for ground in small.grounds)
    block = min(count, max(ground.scenario.paths.block for ground in small.grounds))
    few = max(1, block // 4)
    with study.progress.stage("trying the run in small", 3) as advance:
        tries = []
        for paths, forecasts in ((few, False), (few, False), (block, True)):
            tries.append(tell_in_small(small, stages, finish, paths, forecasts=forecasts))
            advance(1)
    first, quarter, whole = tries
    scenarios = _scenarios(study, small, whole)
    times = _futures(study) / _futures(small)
    once = sum(max(0.0, first.seconds[name] - quarter.seconds[name]) for name in first.seconds)
    left = [(planned.blocks - planned.finished_blocks) * planned.seconds_per_block for planned in scenarios]
    parts = {
        "start": Between.about(start + once, SURE),
        "blocks": _shared(Between.about(sum(left), SURE), workers),
        "judging": _judging(quarter, whole, count, times),
        "forecasts of the past": _shared(Between.about(_forecasts(small, scenarios, whole), UNSURE), workers),
        "page": Between.about(whole.seconds[PAGE], UNSURE),
    }
    busy = busy_of(quarter, whole)
    parts = {name: Between(part.low / busy, part.high * busy) for name, part in parts.items()}
    slope = (whole.other_bytes - quarter.other_bytes) / max(1, block - few)
    disk = times * (whole.other_bytes + slope * (count - block))
    disk += sum(planned.blocks * planned.bytes_per_block for planned in scenarios)
    free = shutil.disk_usage(_existing(study.store.path)).free
    peak = peak_memory()
    plan = RunPlan(
        name=study.spec.name,
        folder=str(study.store.path),
        resumes=any(planned.finished_blocks for planned in scenarios),
        device=device_of([ground.generator for ground in study.grounds]),
        scenarios=scenarios,
        strategies=[strategy.name for strategy in study.strategies],
        seconds=Between(sum(part.low for part in parts.values()), sum(part.high for part in parts.values())),
        seconds_of=parts,
        disk_bytes=Between.about(disk, WEIGHED),
        free_bytes=free,
        memory_bytes=Between.about(peak, WEIGHED),
    )
    return replace(plan, notes=[*_busy_note(busy), *_notes(plan, study, small, workers)])


def in_small(study: Study) -> Study:
    """Return the study with one scenario of each kind: of equal generators but for their dials the first.

    Scenarios that weigh another's paths and replays are left out: they sample next to nothing.
    """
    kinds: dict[tuple[object, ...], str] = {}
    for ground in study.grounds:
        if ground.scenario.reweight is None:
            kinds.setdefault(kind_of(ground), _future(ground))
    chosen = {*kinds.values()}
    grounds = tuple(ground for ground in study.grounds if _future(ground) in chosen and not ground.scenario.reweight)
    books = tuple(book for book in study.books if book.name in chosen)
    return replace(study, grounds=grounds, books=books, replays=(), progress=SilentProgress())


def kind_of(ground: Prepared) -> tuple[object, ...]:
    """Return what the time of a block hangs on; a temperature or a multiple of volatility is none of it."""
    identity, scenario = ground.generator.identity, ground.scenario
    named = tuple(str(identity.get(key, "")) for key in ("kind", "model", "device", "dtype", "weights"))
    return (*named, len(ground.context), len(ground.timestamps), ground.split, ground.jitter is not None, scenario.role)


def tell_in_small(
    study: Study, stages: Sequence[Stage[Study, Results]], finish: Finish, paths: int, *, forecasts: bool
) -> Tried:
    """Tell the story with so many paths of each scenario; return what each stage took."""
    names = [*(stage.__name__ for stage in stages), PAGE]
    with TemporaryDirectory(prefix="scenario-gen-plan-") as folder:
        store = RunFolder(Path(folder) / "run")
        store.prepare(study.identity)
        grounds = {ground.name: _smaller(ground, paths, forecasts=forecasts) for ground in study.grounds}
        books = tuple(
            replace(book, grounds={asset: grounds[of.name] for asset, of in book.grounds.items()})
            for book in study.books
        )
        told = replace(study, grounds=tuple(grounds.values()), books=books, store=store, clock=Clock(), queue=HERE)
        results, findings, stops = Results(), list[Finding](), [(time.monotonic(), time.process_time())]
        for stage in stages:
            results, more = stage(told, results)
            findings += more
            stops.append((time.monotonic(), time.process_time()))
        finish(told, results, findings)
        stops.append((time.monotonic(), time.process_time()))
        seconds, worked = (
            {name: after[kind] - before[kind] for name, (before, after) in zip(names, pairwise(stops), strict=True)}
            for kind in (0, 1)
        )
        laps = {name: told.clock.laps.get(f"scenario {name}", 0.0) for name in grounds}  # to a hundredth of a second
        share = seconds[SAMPLING] / max(sum(laps.values()), 1e-9)
        of_block = {name: lap * share if len(laps) > 1 else seconds[SAMPLING] for name, lap in laps.items()}
        blocks = {name: size_of(store.block_path(name, 0)) for name in grounds}
        return Tried(paths, seconds, worked, of_block, blocks, size_of(store.path) - sum(blocks.values()))


def _smaller(ground: Prepared, paths: int, *, forecasts: bool) -> Prepared:
    """Return a scenario of so many paths in one block, which forecasts the past from a few origins or not at all."""
    scenario, checks = ground.scenario, ground.scenario.checks
    asked = checks.calibration
    if asked and forecasts:
        budget = asked if isinstance(asked, CalibrationBudget) else CalibrationBudget()
        asked = budget.model_copy(update={"origins": min(ORIGINS, budget.origins)})
    count = min(paths, scenario.paths.count)
    size = scenario.paths.block if forecasts else count  # the last block of a run is computed whole and cut
    changed = {
        "paths": scenario.paths.model_copy(update={"count": count, "block": size}),
        "checks": checks.model_copy(update={"calibration": asked if forecasts else False}),
    }
    return replace(ground, scenario=scenario.model_copy(update=changed))


def _scenarios(study: Study, small: Study, whole: Tried) -> list[PlannedScenario]:
    """Return what the run would do, scenario by scenario."""
    like = {kind_of(ground): ground.name for ground in reversed(small.grounds)}
    forecast = {ground.name: origins for ground, origins in to_forecast(study.grounds)}
    planned = []
    for ground in study.grounds:
        paths, own = ground.scenario.paths, ground.scenario.reweight is None
        blocks = blocks_of(ground) if own else 0
        tried = ground.name if ground.name in whole.of_block else like.get(kind_of(ground), "")
        missing = len(missing_blocks(ground, study.alone, study.store)) if own and not ground.split else blocks
        planned.append(
            PlannedScenario(
                name=ground.name,
                role=ground.scenario.role,
                paths=paths.count,
                bars=len(ground.timestamps),
                blocks=blocks,
                finished_blocks=blocks - missing,
                seconds_per_block=whole.of_block[tried] if own else 0.0,
                bytes_per_block=whole.block_bytes[tried] if own else 0,
                origins=forecast.get(ground.name, 0),
            )
        )
    return planned


def to_forecast(grounds: Sequence[Prepared]) -> list[tuple[Prepared, int]]:
    """Return the scenarios whose generator forecasts the past, each question once, and from how many origins."""
    asked, seen = [], list[object]()
    for ground in to_calibrate(grounds):
        settings = settings_of(ground)
        question = (dict(ground.generator.identity), settings, ground.history.sha256())
        if question not in seen:
            seen.append(question)
            asked.append((ground, _origins(ground)))
    return asked


def _origins(ground: Prepared) -> int:
    """Return from how many origins a scenario's generator forecasts; 0 where the history has no room."""
    given = settings_of(ground)
    bars = len(ground.history)
    try:
        rows = rolling_origins(bars, context=given.context, horizon=given.horizon, count=given.origins)
    except CheckError:
        return 0
    return len(rows)


def _judging(quarter: Tried, whole: Tried, count: int, times: float) -> Between:
    """Return the seconds of every stage but sampling and forecasts of the past: what grows with the paths, and not."""
    names = whole.seconds.keys() - FORECASTS - {SAMPLING, PAGE}
    apart, worked = max(1, whole.paths - quarter.paths), 0.0
    for name in names:
        more = max(0, min(count, CAPPED.get(name, count)) - whole.paths)
        worked += whole.worked[name] + more * max(0.0, whole.worked[name] - quarter.worked[name]) / apart
    busy = sum(whole.seconds[name] for name in names) / max(sum(whole.worked[name] for name in names), 1e-9)
    return Between.about(times * worked * busy, UNSURE)


def busy_of(*tries: Tried) -> float:
    """Return how much longer stages took by the clock than by the processor, from 1 to MOST_BUSY.

    That much faster a run can be where other work ends, and that much slower where as much again begins.
    """
    clock = sum(sum(tried.seconds.values()) for tried in tries)
    worked = sum(sum(tried.worked.values()) for tried in tries)
    return min(MOST_BUSY, max(1.0, clock / max(worked, 1e-9)))


def _busy_note(busy: float) -> list[str]:
    if busy < NOTED_BUSY:
        return []
    return [
        f"other work runs on this machine, or its disk is slow: times are a factor of {busy:.1f} less sure both ways"
    ]


def _forecasts(small: Study, planned: Sequence[PlannedScenario], whole: Tried) -> float:
    """Return the seconds of all forecasts of the past, by those of a few."""
    tried = sum(min(origins, ORIGINS) for _, origins in to_forecast(small.grounds))
    seconds = sum(whole.seconds.get(name, 0.0) for name in FORECASTS)
    return seconds * sum(scenario.origins for scenario in planned) / tried if tried else 0.0


def _shared(seconds: Between, workers: int) -> Between:
    """Return what is left of the seconds where workers share them: evenly at best, and at worst not at all."""
    return Between(seconds.low / workers, seconds.high)


def _notes(plan: RunPlan, study: Study, small: Study, workers: int) -> list[str]:
    notes = []
    if workers > 1:
        notes.append(
            f"tried in one process: the shorter times are those of {workers} workers with cores of their own, "
            "and each takes as much memory"
        )
    if plan.disk_bytes.high > plan.free_bytes:
        notes.append(f"the disk has {plan.free_bytes / 2**30:.1f} GiB free: the run may not fit")
    left_out = [ground.name for ground in study.grounds if ground.scenario.reweight is not None]
    left_out += [ground.name for ground in study.replays]
    if left_out:
        notes.append(f"not tried, and cheap beside the others: {', '.join(left_out)}")
    if rare := [ground.name for ground in small.grounds if ground.split]:
        notes.append(
            f"{', '.join(rare)}: islands of an event are sampled until it is known well enough, or a budget ends"
        )
    return notes


def _future(ground: Prepared) -> str:
    return ground.scenario.future if ground.scenario.asset else ground.name


def _futures(study: Study) -> int:
    """Return how many scenarios are judged: of several assets each counts once."""
    return len({_future(ground) for ground in study.grounds})


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _existing(path: Path) -> Path:
    """Return the nearest folder that is there.

    Raises:
        StoreError: none is.
    """
    for folder in (path, *path.absolute().parents):
        if folder.is_dir():
            return folder
    raise StoreError(f"{path} lies in no folder", fix="choose another report.folder")
