"""``scenario-gen run SPEC --shard 2/8``, and the command ``merge``: a run in parts, for job arrays."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenario_gen.cli.given import Junit, On, tell_ci
from scenario_gen.cli.manners import Argument, AsJson, Optional, choose_progress, command_line, leave, say, say_json
from scenario_gen.spec.loader import load_spec

if TYPE_CHECKING:
    from scenario_gen.store.results import StressRun


def run_part(
    spec: Path,
    text: str,
    folder: str | None,
    device: str | None,
    paths: int | None,
    *,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    on: str | None,
) -> None:
    """Compute the blocks of a shard, and say which they are and what to do when all shards are done.

    Raises:
        ScenarioError: the user can mend what went wrong.
    """
    loaded = load_spec(spec)
    from scenario_gen.pipeline.blocks.shards import Shard, run_shard

    done = run_shard(
        loaded,
        Shard.read(text),
        folder=folder,
        device=device,
        paths=paths,
        overwrite=overwrite,
        progress=choose_progress(quiet=quiet),
        on=on,
    )
    if as_json:
        from scenario_gen.cli.answers import ShardAnswer

        say_json(ShardAnswer(done.note.name, str(done.run), str(done.store.place()), done.note.due))
        return
    owed = "; ".join(f"{name}: {', '.join(map(str, blocks))}" for name, blocks in done.note.due.items())
    many = sum(map(len, done.note.due.values()))
    if not quiet:
        say(f"{done.note.name}: {many} block{'s' * (many != 1)}{f' ({owed})' * bool(owed)}, no report yet")
        say(f"when all shards are done: scenario-gen merge {shlex.quote(str(done.run))}")
    say(f"shard: {done.store.place()}")


def merge(
    folders: Annotated[list[str], Argument(metavar="FOLDER...", help="Folders or addresses that shards were given.")],
    folder: Annotated[
        str | None,
        Optional(help="Where the run goes; default: the folder that all shards were given, else report.folder."),
    ] = None,
    spec: Annotated[Path | None, Optional(help="The spec, where it no longer lies where the shards found it.")] = None,
    compute_missing: Annotated[
        bool, typer.Option("--compute-missing", help="Compute here what shards or blocks are missing or damaged.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another run in the folder.")] = False,
    on: On = None,
    junit: Junit = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only where the report is.")] = False,
) -> None:
    """Put the shards of a run together, and complete it: the result is that of one run, to the bit.

    Shards are made by scenario-gen run SPEC --shard 2/8. What hangs on all blocks is
    computed here: views, islands of events, trades of several assets, calibrations.

    For example:

      scenario-gen merge reports/mine

      scenario-gen merge part1 part2 part3 --folder reports/mine
    """
    from scenario_gen.pipeline.blocks.shards import merge_shards

    options = {"folder": folder, "spec": spec, "compute-missing": compute_missing, "overwrite": overwrite, "on": on}
    result, place = merge_shards(
        folders,
        folder=folder,
        loaded=None if spec is None else load_spec(spec),
        compute_missing=compute_missing,
        overwrite=overwrite,
        command=command_line("merge", *folders, **options),
        progress=choose_progress(quiet=quiet),
        on=on,
    )
    tell_ci(junit, result.name, result)
    raise typer.Exit(tell_run(result, place, quiet=quiet, as_json=as_json))


def tell_run(run: StressRun, page: str, *, quiet: bool, as_json: bool) -> int:
    """Print what a run says and where its report is, as JSON where that is asked; return the exit code."""
    if as_json:
        from scenario_gen.cli.answers import RunAnswer

        code = leave(run.findings)
        say_json(RunAnswer.of(run, page, code))
        return code
    if not quiet:
        from scenario_gen.cli.show import show_run

        show_run(run)
    say(f"report: {page}")
    return leave(run.findings)
