"""The ``batch`` command: many specs, a run of each, one page and table over all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenario_gen.cli.given import On
from scenario_gen.cli.manners import Argument, AsJson, Optional, Quiet, checked_device, choose_progress, say, say_json
from scenario_gen.spec.models import MAX_PATHS

BATCH_EXIT_CODES = (
    "Exit codes: the worst of the runs. 1 a defect of scenario-gen in one of them; else 2 a spec that could not be run "
    "(listed with what to do), or a mistake in the arguments; else 3 a declared limit is breached; else 4 a strategy "
    "looks ahead; 0 all done; 130 interrupted."
)


def batch(
    specs: Annotated[list[Path], Argument(metavar="SPEC...", help="YAML specs; a shell writes specs/*.yaml out.")],
    folder: Annotated[
        Path, Optional(help="Where all goes, a folder for each run in it; default: reports/batch.")
    ] = Path("reports/batch"),
    device: Annotated[
        str | None, Optional(help="auto, cpu, cuda, cuda:1 or mps, instead of the specs'.", callback=checked_device)
    ] = None,
    paths: Annotated[
        int | None, Optional(min=1, max=MAX_PATHS, help="Paths per scenario instead of paths.count.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Run all anew, and replace other runs in the folders.")
    ] = False,
    on: On = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run many specs, each into a folder of its own, with one page and table over all.

    The folder of each run is called as its file is; report.folder of the specs is
    not used. A spec that cannot be run is listed, and the others go on. Runs that
    are finished are not run again while spec, data, weights, strategies and code
    are the same: an interrupted batch goes on when the same command is given again.
    The page tells of the specs of the latest call, and links runs of earlier ones.

    For example:

      scenario-gen batch specs/*.yaml

      scenario-gen batch specs/*.yaml --folder reports/night --on processes:4

      scenario-gen batch a.yaml b.yaml --paths 64 --json
    """
    from scenario_gen.pipeline.batch import run_batch
    from scenario_gen.report.tables.batch import batch_tables, headline
    from scenario_gen.store.batch import BATCH_PAGE

    ran = run_batch(
        specs, folder, device=device, paths=paths, on=on, overwrite=overwrite, progress=choose_progress(quiet=quiet)
    )
    if as_json:
        say_json(ran)
        raise typer.Exit(ran.exit_code)
    if not quiet:
        from scenario_gen.cli.show import make_console, show

        show(make_console(), *batch_tables(ran), [headline(ran)])
    say(f"report: {Path(ran.folder) / BATCH_PAGE}")
    raise typer.Exit(ran.exit_code)
