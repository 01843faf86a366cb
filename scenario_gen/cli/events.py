"""The ``event`` command: how rare one event of a spec is, without trading its paths."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenario_gen.cli.manners import Argument, AsJson, Optional, Quiet, checked_device
from scenario_gen.cli.terminal import say

EVENT_EXIT_CODES = (
    "Exit codes: 0 done; 2 a mistake in the arguments, the spec or the data; 3 the event is surely more frequent than "
    "limits.event_probability allows; 130 interrupted."
)


def event(
    spec: Annotated[Path, Argument(metavar="SPEC", help="A YAML spec.")],
    name: Annotated[str, Argument(metavar="NAME", help="A scenario with an event.")],
    device: Annotated[
        str | None, Optional(help="auto, cpu, cuda, cuda:1 or mps, instead of the spec's.", callback=checked_device)
    ] = None,
    path: Annotated[
        str | None, Optional(help="Print one path of a finished run, made anew from its lineage: i3.s17.g9.")
    ] = None,
    folder: Annotated[Path | None, Optional(help="The run of --path, instead of report.folder.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say how rare the event of a scenario is: under its generator, under GARCH and bootstrap, and in history.

    Plain paths come first; where fewer than a hundred show the event, islands of
    branched paths are sampled. No strategy trades and nothing is written.

    For example:

      scenario-gen event my.yaml crash25

      scenario-gen event my.yaml crash25 --json

      scenario-gen event my.yaml crash25 --path i3.s17.g9 > path.csv
    """
    if path is not None:
        _replay(spec, name, path, folder)
        return
    from scenario_gen.cli.manners import leave
    from scenario_gen.cli.terminal import choose_progress
    from scenario_gen.pipeline.one_event import ask_event
    from scenario_gen.spec.loader import load_spec

    report = ask_event(load_spec(spec), name, choose_progress(quiet=quiet or as_json), device=device)
    if as_json:
        import json

        from scenario_gen.values import encode

        say(json.dumps(encode(report), indent=1, allow_nan=False))
    else:
        from scenario_gen.cli.show import show_event

        show_event(report)
    raise typer.Exit(leave(report.findings))


def _replay(spec: Path, name: str, path: str, folder: Path | None) -> None:
    """Print a path as CSV, and how it was made and whether it is the run's on stderr."""
    from scenario_gen.pipeline.one_event import replay_path
    from scenario_gen.progress import SilentProgress
    from scenario_gen.spec.loader import load_spec

    loaded = load_spec(spec)
    found = replay_path(loaded, name, path, folder or Path(loaded.spec.report.folder), SilentProgress())
    say(found.bars.to_csv(index_label="timestamp").rstrip())
    made = ", ".join(f"s{slot}.g{generation} from bar {bar + 1}" for slot, generation, bar in found.lineage)
    same = "its closes are those of the run" if found.apart == 0 else f"its closes differ by {found.apart:.1g} at most"
    say(f"{path}: {made}; {same}", err=True)
