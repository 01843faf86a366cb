"""The commands about finished runs: ``diff`` compares two, ``clean`` makes one small."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from scenario_gen.cli.manners import GATE_FAILED, Argument, AsJson, say, say_json

DIFF_EXIT_CODES = (
    "Exit codes: 0 compared, whatever differs; with --fail-on-change 4 where a figure moved, a finding fails that did "
    "not, or the second run lacks a scenario or strategy of the first; 2 a mistake in the arguments, or a folder that "
    "holds no finished run; 1 a defect of scenario-gen (with a traceback)."
)


def diff(
    first: Annotated[Path, Argument(metavar="FIRST", help="Folder of a finished run, the older one.")],
    second: Annotated[Path, Argument(metavar="SECOND", help="Folder of another, whose figures count positive.")],
    fail_on_change: Annotated[
        bool, typer.Option("--fail-on-change", help="Leave with 4 where results changed, for CI.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what differs between two runs, and which figures moved beyond their Monte Carlo error.

    Fields of the spec, data, model, strategies, code, packages and device; findings
    with another label; figures of every strategy. Runs with the same seed, number
    of paths and context are compared path by path, which sees small changes;
    others as independent samples. All p-values are adjusted together (Holm): two
    runs of the same law show any moved figure in at most 5 % of comparisons.

    For example:

      scenario-gen diff reports/main reports/branch

      scenario-gen diff reports/main reports/branch --fail-on-change --json
    """
    from scenario_gen.store.diff import diff_runs

    difference = diff_runs(first, second)
    if as_json:
        say_json(difference)
    else:
        from scenario_gen.cli.show import make_console, show
        from scenario_gen.report.tables.diff import diff_lines, diff_tables

        show(make_console(), *diff_tables(difference), diff_lines(difference))
    if fail_on_change and difference.changed:
        raise typer.Exit(GATE_FAILED)


CLEAN_EXIT_CODES = (
    "Exit codes: 0 done; 2 a mistake in the arguments, or a folder without a finished run, or with one at work; 1 a "
    "defect of scenario-gen (with a traceback)."
)


def clean(
    run: Annotated[str, Argument(metavar="RUN", help="Folder of a finished run.")],
    keep: Annotated[
        Literal["none", "metrics", "paths"],
        typer.Option(help="What stays beside run.json and the page: tables, tables and kept paths, or neither."),
    ] = "metrics",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Free what a finished run no longer needs: its blocks, and on demand its tables and paths.

    The words are those of paths.keep in a spec. Only files that the run made are
    removed; run.json and the page stay. Afterwards the run cannot be resumed, and without
    its tables diff compares it by the intervals of run.json.

    For example:

      scenario-gen clean reports/quickstart --dry-run

      scenario-gen clean reports/quickstart --keep none
    """
    from scenario_gen.store.clean import clean_run

    cleaned = clean_run(run, keep, dry_run=dry_run)
    if as_json:
        say_json(cleaned)
        return
    parts = ", ".join(f"{part} {_size(size)}" for part, size in cleaned.freed.items())
    verb = "would free" if dry_run else "freed"
    say(f"{verb} {_size(sum(cleaned.freed.values()))} in {cleaned.files:,} files ({parts}); {_size(cleaned.kept)} stay")


def _size(size: int) -> str:
    """Return bytes in the unit that suits them."""
    return f"{size:,} bytes" if size < 10_000 else f"{size / 1e6:,.2f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"
