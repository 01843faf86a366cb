"""The ``run`` command's work: load the spec, call the pipeline, show what came out."""

from __future__ import annotations

from pathlib import Path

import typer

from scenario_gen.cli.progress import choose_progress
from scenario_gen.cli.tables import show_run
from scenario_gen.spec.loader import load_spec


def run_and_show(
    spec: Path,
    folder: Path | None,
    device: str | None,
    paths: int | None,
    *,
    overwrite: bool,
    quiet: bool,
    command: str,
) -> None:
    """Run a spec file and print its results and the report's place; ``quiet`` leaves only the place.

    Raises:
        ScenarioError: the user can mend what went wrong.
    """
    loaded = load_spec(spec)  # first: a mistake in the spec must not wait for heavy imports
    from scenario_gen.pipeline import run_spec
    from scenario_gen.store.folder import PAGE, RunFolder

    result = run_spec(
        loaded,
        folder=folder,
        device=device,
        paths=paths,
        overwrite=overwrite,
        command=command,
        progress=choose_progress(quiet=quiet),
    )
    if not quiet:
        show_run(result)
    typer.echo(f"report: {RunFolder(folder or loaded.spec.report.folder).path / PAGE}")
