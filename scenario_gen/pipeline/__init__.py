"""The story on one screen: spec -> prepared scenarios -> blocks -> results -> report.

This room puts the others in order and owns nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from scenario_gen.errors import ScenarioError
from scenario_gen.execute.queue import HERE, Queue, cores
from scenario_gen.execute.section import open_queue, place_of
from scenario_gen.files import read_sums
from scenario_gen.finding import Finding
from scenario_gen.pipeline.book.coupling import Couplings, with_books
from scenario_gen.pipeline.book.events import judge_book_events, refuse_book_events
from scenario_gen.pipeline.book.judge import forecast_the_book, judge_assets, judge_dependence
from scenario_gen.pipeline.book.trade import compare_books, hold_books_against, probe_books, trade_books
from scenario_gen.pipeline.identity import device_of, versions
from scenario_gen.pipeline.opening import sample
from scenario_gen.pipeline.plan.plan import LookedAt, RunPlan, plan_of
from scenario_gen.pipeline.stages import (
    compare_generators,
    compare_with_history,
    cost_of_jitter,
    forecast_the_past,
    hold_against,
    probe,
    sample_and_trade,
    sum_up,
)
from scenario_gen.pipeline.stress.answers import answer_shocks, replay_crises, weigh_by_views
from scenario_gen.pipeline.stress.events import judge_events, with_cases
from scenario_gen.pipeline.stress.shocks import cost_of_shocks, shocked
from scenario_gen.pipeline.study import Results, Stage, Study, booked, tell
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.report.page import write_report
from scenario_gen.spec.loader import LoadedSpec, load_spec, spec_from_dict
from scenario_gen.store.clean import drop_blocks
from scenario_gen.store.folder import RUN as RUN_FILE, RunFolder
from scenario_gen.store.manifest import require_as_written
from scenario_gen.store.remote import run_folder
from scenario_gen.store.results import StressRun

__all__ = ["run", "run_spec", "sample", "shocked"]


RUN: tuple[Stage[Study, Results], ...] = (
    sample_and_trade,
    weigh_by_views,
    booked("summarising", sum_up),
    booked("judging events", judge_events),
    probe,
    hold_against,
    booked("judging strategies", compare_generators),
    cost_of_shocks,
    cost_of_jitter,
    compare_with_history,
    booked("checking realism", forecast_the_past),
    replay_crises,
    answer_shocks,
)


# The same of a book: each asset is sampled and judged as if it had come alone; strategies trade all together.
BOOK_RUN: tuple[Stage[Study, Results], ...] = (
    sample_and_trade,
    booked("summarising", sum_up),
    trade_books,
    booked("judging events", judge_book_events),
    probe_books,
    hold_books_against,
    booked("judging strategies", compare_books),
    compare_with_history,
    judge_dependence,
    booked("checking realism", forecast_the_past),
    judge_assets,
    booked("forecasting the book", forecast_the_book),
)


def run(
    spec: str | Path | Mapping[str, Any],
    *,
    folder: str | Path | None = None,
    overwrite: bool = False,
    on: str | None = None,
) -> StressRun:
    """Run a spec from a YAML file or a mapping, write its run folder and return the result.

    Args:
        spec: the file, or what would stand in it.
        folder: run folder instead of the spec's own.
        overwrite: replace another run that lives in the folder.
        on: where it is computed instead of the spec's ``execute``, such as ``processes:4``; it changes no number.

    Raises:
        ScenarioError: spec, data, model, strategy or folder cannot be used; the message says what to do.
    """
    loaded = spec_from_dict(spec) if isinstance(spec, Mapping) else load_spec(Path(spec))
    return run_spec(
        loaded,
        folder=folder,
        device=None,
        paths=None,
        overwrite=overwrite,
        command=f"scenario_gen.run({loaded.filename!r})",
        progress=SilentProgress(),
        on=on,
    )


def run_spec(
    loaded: LoadedSpec,
    *,
    folder: str | Path | None,
    device: str | None,
    paths: int | None,
    overwrite: bool,
    command: str,
    progress: Progress,
    on: str | None = None,
) -> StressRun:
    """Run a loaded spec: sample, check and backtest every block that is not there yet, then report.

    Args:
        loaded: the spec and where it came from.
        folder: run folder or address instead of the spec's own.
        device: device instead of the spec's own.
        paths: number of paths instead of the spec's own.
        overwrite: replace another run that lives in the folder.
        command: what the user typed, for the report.
        progress: who hears of stages and notes.
        on: where it is computed instead of the spec's own.

    Raises:
        ScenarioError: something the user can mend.
    """
    execute = loaded.spec.execute if on is None else place_of(on)
    store = run_folder(folder or loaded.spec.report.folder, progress.note)
    with store.at_work() as lock, open_queue(execute) as queue:
        if not lock.known:
            progress.note(f"the disk of {store.path} knows no locks: see that no second run writes to it")
        opened = open_study(loaded, store, progress, device=device, paths=paths, overwrite=overwrite, queue=queue)
        if (known := _finished(opened)) is not None:
            return known
        study = with_cases(opened)
        results, findings = tell(BOOK_RUN if study.books else RUN, study, Results())
        return _finish(study, results, findings, loaded, command)


def open_study(
    loaded: LoadedSpec,
    store: RunFolder,
    progress: Progress,
    *,
    device: str | None,
    paths: int | None,
    overwrite: bool,
    queue: Queue = HERE,
) -> Study:
    """Return a study before its first path, with the books of several assets; as :meth:`Study.of`."""
    couple = partial(with_books, couplings=Couplings(loaded.base, loaded.place), progress=progress)
    study = Study.of(
        loaded, store, progress, device=device, paths=paths, overwrite=overwrite, couple=couple, queue=queue
    )
    refuse_book_events(study)
    return study


def plan_spec(
    loaded: LoadedSpec,
    *,
    folder: str | Path | None,
    device: str | None,
    paths: int | None,
    overwrite: bool,
    progress: Progress,
    on: str | None = None,
) -> RunPlan:
    """Say what :func:`run_spec` would do and cost, and begin nothing; arguments as there.

    Raises:
        ScenarioError: as the run itself.
    """
    execute = loaded.spec.execute if on is None else place_of(on)
    store = LookedAt(run_folder(folder or loaded.spec.report.folder).path)
    study = with_cases(open_study(loaded, store, progress, device=device, paths=paths, overwrite=overwrite))
    stages = BOOK_RUN if study.books else RUN
    workers = 1 if execute.kind == "local" else execute.workers or cores()
    return plan_of(study, stages, lambda tried, known, findings: _finish(tried, known, findings, loaded, ""), workers)


def _finished(study: Study) -> StressRun | None:
    """Return the run that was finished here before, where its spec keeps no blocks to go on from; else None."""
    if not study.unkept:
        return None
    study.store.bring_finished()
    if not (study.store.path / RUN_FILE).is_file():
        return None
    try:
        known = study.store.read_run()
        for name in read_sums(study.store.path):  # tables of scenarios that keep theirs, too
            require_as_written(study.store.path, name)
    except (ScenarioError, OSError):  # not as it was written, or gone: all is computed anew
        return None
    study.progress.note(f"the run in {study.store.path} is finished and keeps no paths: nothing is computed again")
    _show(study)
    return known


def _show(study: Study) -> None:
    """Write the page; then remove what the spec says shall not stay."""
    with study.progress.stage("writing the report", 1) as advance:
        write_report(study.store)
        advance(1)
    drop_blocks(study.store, study.unkept)


def _finish(study: Study, results: Results, findings: list[Finding], loaded: LoadedSpec, command: str) -> StressRun:
    """Write metrics, run.json and the page."""
    spec, store = study.spec, study.store
    result = StressRun(
        name=spec.name,
        title=spec.report.title or spec.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        spec=spec.model_dump(mode="json", exclude={"execute"}),
        spec_text=loaded.text,
        limits=spec.limits.declared(),
        identity=study.identity,
        versions=versions(),
        device=device_of([ground.generator for ground in study.grounds]),
        seconds=study.clock.laps,
        scenarios=list(results.scenarios),
        findings=findings,
        agreement=results.agreement,
        replays=list(results.replays),
        book=results.book,
    )
    if tables := [table for name, table in results.metrics.items() if name not in study.unkept]:
        store.write_metrics(tables)
    store.write_run(result)
    _show(study)
    return result.kept_in(store.path)
