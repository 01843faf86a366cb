"""A batch as tables and one page: what came of each spec, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from scenario_gen.files import write_bytes
from scenario_gen.finding import worst
from scenario_gen.report import words
from scenario_gen.report.drawing.zoom import plain
from scenario_gen.report.numbers import count
from scenario_gen.report.page import environment
from scenario_gen.report.table import Cell, Column, Ref, Row, Table, of_texts
from scenario_gen.report.words import name, plural
from scenario_gen.store.batch import BATCH_PAGE, BatchEntry, BatchRun
from scenario_gen.store.folder import PAGE, RUN

CAPTION = (
    "The base scenario of each run. Brackets and ±: 95% Monte Carlo error, which shrinks with more paths; it says "
    "nothing of whether the paths are right. The verdict does: it is the worst of the checks that can fail a run."
)


def write_batch_page(batch: BatchRun, folder: Path) -> Path:
    """Write index.html of a batch.

    Raises:
        StoreError: the disk refuses.
    """
    path = folder / BATCH_PAGE
    write_bytes(path, batch_page(batch, _earlier(batch, folder)).encode("utf-8"), "folder")
    return path


def _earlier(batch: BatchRun, folder: Path) -> list[str]:
    """Return the run folders beside those of this call: of earlier calls, with other specs."""
    names = {entry.name for entry in batch.entries}
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in names and (path / RUN).is_file() and (path / PAGE).is_file()
    )


def batch_page(batch: BatchRun, earlier: Sequence[str] = ()) -> str:
    """Return the whole page as HTML; ``earlier``: folders of runs that were no specs of this call."""
    done = [entry for entry in batch.entries if entry.state in ("done", "finished before")]
    page: str = (
        environment()
        .get_template("batch.html.j2")
        .render(
            headline=headline(batch),
            label=worst([entry.verdict for entry in done if entry.verdict is not None], "UNTESTABLE"),
            meta=[("Made", batch.created[:16].replace("T", " ") + " UTC"), ("Version", batch.version)],
            tables=batch_tables(batch),
            links=[(name(entry.name, 80), f"{entry.name}/{PAGE}", name(entry.spec, 120)) for entry in done],
            earlier=[(name(other, 80), f"{quote(other)}/{PAGE}") for other in earlier],
            labels=words.LABELS,
            **plain(),
        )
    )
    return page


def headline(batch: BatchRun) -> str:
    """Return what came out, in one sentence."""
    states = [entry.state for entry in batch.entries]
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return f"{plural(len(states), 'spec')}: {', '.join(parts)}; exit code {batch.exit_code}."


def batch_tables(batch: BatchRun) -> list[Table]:
    """Return the table over all runs, and that of the failures where there are any."""
    wrong = [entry for entry in batch.entries if entry.state == "failed"]
    tables = [runs_table(batch)] if any(entry.figures for entry in batch.entries) else []
    return [*tables, failures_table(wrong)] if wrong else tables


def runs_table(batch: BatchRun) -> Table:
    """Return a row per strategy of each run that is finished."""
    columns = (
        Column("Median return", "median_return", "signed percent"),
        Column("5% quantile of return", "low_return", "signed percent"),
        Column("CVaR 95%", "cvar", "percent", unit="loss", half=True),
        Column("Paths that lose", "probability_of_loss", "share"),
    )
    rows: list[Row] = []
    heads = (
        Column("Run", left=True),
        Column("Verdict", left=True, css="l vd"),
        *columns,
        Column("Exit code"),
        Column("Fails", left=True),
    )
    for number, entry in enumerate(batch.entries):
        for figure in Ref(entry, f"entries/{number}").each("figures"):
            strategy = " ".join(filter(None, [figure.value.strategy, figure.value.params]))
            cells = (
                Cell(label=entry.verdict, css="l vd"),
                *(column.cell(figure) for column in columns),
                Cell(text=str(entry.exit_code)),
                Cell(text=", ".join(entry.failing[:4]) + (" ..." if len(entry.failing) > 4 else ""), css="l"),
            )
            unit = f"{name(strategy, 60)}, {count(entry.paths)} paths"
            rows.append(Row(name(entry.name, 60), unit, cells))
    return Table(heads, tuple(rows), title="What came of each.", caption=CAPTION)


def failures_table(wrong: list[BatchEntry]) -> Table:
    """Return what could not be run, why, and what to do."""
    heads = [Column(head, left=True) for head in ("Spec", "What is wrong", "Expected", "To do")]
    rows = [[name(text or "—", 600) for text in (e.spec, e.problem, e.expected, e.fix)] for e in wrong]
    return of_texts(heads, rows, title="What could not be run.")
