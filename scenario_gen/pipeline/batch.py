"""Many specs, each run into a folder of its own: a failure of one is listed, and ends none of the others."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from scenario_gen.errors import ScenarioError, SpecError, StoreError, lacks_memory, out_of_memory
from scenario_gen.files import locked, safe_name, user_path
from scenario_gen.finding import exit_code, worst
from scenario_gen.pipeline import open_study, run_spec
from scenario_gen.pipeline.plan.plan import LookedAt
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.report import cards
from scenario_gen.report.table import PlacedScenario, choose_base, place, place_books
from scenario_gen.report.tables.batch import write_batch_page
from scenario_gen.spec.loader import LoadedSpec, load_spec
from scenario_gen.stats.estimate import Estimate
from scenario_gen.store.batch import BatchEntry, BatchFigure, BatchRun, write_batch
from scenario_gen.store.folder import PAGE, RUN
from scenario_gen.store.results import StressRun
from scenario_gen.version import VERSION

DEFECT, MISTAKE = 1, 2  # exit codes


@dataclass(frozen=True)
class BatchOrder:
    """What is asked of a batch beside its specs."""

    folder: Path
    device: str | None = None  # instead of the specs' own, as for a run
    paths: int | None = None
    on: str | None = None
    overwrite: bool = False


def run_batch(
    specs: Sequence[str | Path],
    folder: str | Path,
    *,
    device: str | None = None,
    paths: int | None = None,
    on: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BatchRun:
    """Run each spec into its own folder below one, and sum all up in batch.json and index.html there.

    A spec that cannot be run is listed with what to do, and the others go on. A run that is finished in its folder,
    with the same identity (spec, data, weights, strategies, code), is not run again: the same call goes on where an
    interrupted one stopped. What is written tells of the specs of this call; the page links runs of earlier ones.

    Args:
        specs: YAML files; each folder is called as its file is, without the ending.
        folder: where all goes; report.folder of the specs is not used.
        device: instead of the specs' own.
        paths: per scenario, instead of the specs' own.
        on: where each is computed, such as ``processes:4``.
        overwrite: run all anew, and replace other runs in the folders.
        progress: who hears of stages and notes; default: nobody.

    Raises:
        SpecError: two files have the same name.
        StoreError: the folder cannot be written, or another batch is at work in it.
    """
    order = BatchOrder(user_path(folder), device, paths, on, overwrite)
    heard = progress or SilentProgress()
    files = [user_path(spec) for spec in specs]
    waiting = [BatchEntry(str(file), name, "waiting") for file, name in zip(files, _names(files), strict=True)]
    batch = BatchRun(str(order.folder), datetime.now(UTC).isoformat(timespec="seconds"), VERSION, waiting)
    with locked(order.folder, "a batch", "name another --folder"):
        for number, entry in enumerate(waiting):
            heard.note(f"{number + 1} of {len(waiting)}: {entry.spec}")
            done = [*batch.entries]
            done[number] = _run_entry(entry, order, heard)
            batch = replace(batch, entries=done)
            write_batch(batch, order.folder)
            write_batch_page(batch, order.folder)
    return batch


def _names(files: Sequence[Path]) -> list[str]:
    """Return the folder of each spec.

    Raises:
        SpecError: two would have the same.
    """
    names = [safe_name(file.stem) for file in files]
    twice = [name for name, many in Counter(names).items() if many > 1]
    if twice:
        same = ", ".join(str(file) for file, name in zip(files, names, strict=True) if name in twice)
        raise SpecError(
            f"specs of the same name: {same}",
            expected="files of different names, since each names the folder of its run",
            fix="rename one of them, or give them to two batches",
        )
    return names


def _run_entry(entry: BatchEntry, order: BatchOrder, progress: Progress) -> BatchEntry:
    """Run a spec; whatever goes wrong with it is its own."""
    began = time.monotonic()
    try:
        loaded = load_spec(Path(entry.spec))
        folder = order.folder / entry.name
        known = None if order.overwrite else _finished_before(loaded, folder, order)
        if known is not None:
            progress.note(f"{entry.spec}: finished before, not run again")
            return _told(entry, known, began, before=True)
        run = run_spec(
            loaded, folder=folder, device=order.device, paths=order.paths, overwrite=order.overwrite,
            command=f"scenario-gen batch {entry.spec} --folder {order.folder}", progress=progress, on=order.on,
        )  # fmt: skip
        return _told(entry, run, began)
    except ScenarioError as error:
        progress.note(str(error))
        return _failed(entry, MISTAKE, began, error)
    except Exception as error:  # the others go on; the exit code says that it is ours
        if _interrupted(error):
            raise KeyboardInterrupt from error
        if lacks_memory(error):
            lacking = out_of_memory(error)
            progress.note(str(lacking))
            return _failed(entry, MISTAKE, began, lacking)
        progress.note("".join(traceback.format_exception(error)).rstrip())
        defect = ScenarioError(
            f"a defect of scenario-gen: {type(error).__name__}: {error}", fix="report it, with the traceback on stderr"
        )
        return _failed(entry, DEFECT, began, defect)


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: libraries make errors of their own of it, and none is a spec's."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _finished_before(loaded: LoadedSpec, folder: Path, order: BatchOrder) -> StressRun | None:
    """Return the run that is finished in a folder, where it is this spec's to the last hash; else None.

    Raises:
        ScenarioError: as the run itself; also where another run lives in the folder.
    """
    store = LookedAt(folder)
    if not (folder / RUN).is_file() or not (folder / PAGE).is_file():
        return None
    try:
        known = store.read_run()
    except StoreError:  # not as it was written: it is run again
        return None
    study = open_study(loaded, store, SilentProgress(), device=order.device, paths=order.paths, overwrite=False)
    return known if study.identity == known.identity else None


def _failed(entry: BatchEntry, code: int, began: float, error: ScenarioError) -> BatchEntry:
    mistake = replace(entry, problem=error.problem, expected=error.expected, fix=error.fix)
    return replace(mistake, state="failed", exit_code=code, seconds=time.monotonic() - began)


def _told(entry: BatchEntry, run: StressRun, began: float, *, before: bool = False) -> BatchEntry:
    """Return a spec's line with what its run came to."""
    placed = place(run)
    base = choose_base(place_books(run) or placed)
    gates = (card.label for card in cards.cards(run, placed, choose_base(placed)) if card.check.gate is not None)
    return replace(
        entry,
        state="finished before" if before else "done",
        exit_code=exit_code(run.findings, "limit", "strategy"),
        seconds=time.monotonic() - began,
        scenario=base.scenario.name,
        paths=base.scenario.paths,
        verdict=worst(gates),
        failing=list(dict.fromkeys(finding.name for finding in run.findings if finding.label == "FAIL")),
        figures=_figures(base),
    )


def _figures(base: PlacedScenario) -> list[BatchFigure]:
    figures = []
    for placed in base.strategies():
        strategy = placed.strategy
        returns = next((each for each in strategy.metrics if each.metric == "total_return"), None)
        none = Estimate(None, reason="not computed")
        median, low = (none if returns is None else returns.quantiles.get(level, none) for level in ("0.5", "0.05"))
        cvar = strategy.cvar.get("0.95", none)
        figures.append(BatchFigure(strategy.name, placed.parameters, median, low, cvar, strategy.probability_of_loss))
    return figures
