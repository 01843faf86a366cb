"""The ``run`` command's work: load the spec, call the pipeline, show what came out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from scenario_gen.cli.progress import choose_progress
from scenario_gen.cli.show import show_run
from scenario_gen.finding import Finding, exit_code, failed
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
) -> int:
    """Run a spec file, print its results and the report's place, and return the exit code; ``quiet``: only the place.

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
    return leave(result.findings)


def leave(findings: Sequence[Finding]) -> int:
    """Return 3 where a declared limit is breached, else 4 where a strategy looks ahead, else 0; say which on stderr."""
    if ahead := failed(findings, "strategy"):
        names = ", ".join(dict.fromkeys(finding.strategy for finding in ahead))
        typer.echo(f"{names}: decides by what it cannot know yet; its results mean nothing", err=True)
    if broken := failed(findings, "limit"):
        names = ", ".join(dict.fromkeys(finding.part for finding in broken))
        typer.echo(f"limits breached: {names} ({len(broken)} judgements)", err=True)
    return exit_code(findings, "limit", "strategy")
