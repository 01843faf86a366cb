"""How the command line meets mistakes: a user's without a traceback, ours with one, an interruption with advice."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from scenario_gen.cli.terminal import INTERRUPTED, Interruption, choose_progress, say
from scenario_gen.errors import ScenarioError, printable
from scenario_gen.finding import Finding, exit_code, failed
from scenario_gen.market.section import moment_of
from scenario_gen.spec.loader import load_spec
from scenario_gen.version import VERSION

USER_MISTAKE = 2
GATE_FAILED = 4
Optional = partial(typer.Option, show_default=False)  # an option whose default its help tells, or that has none
Argument = partial(typer.Argument, show_default=False)
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
AFTER_INTERRUPTION = {
    "run": "run the same command again to resume",
    "models": "run the same command again to resume",
    "train": "add --resume to the same command to go on",
    "finetune": "add --resume to the same command to go on",
}
DEFECT_NOTE = "\nThis is a defect of scenario-gen, not a mistake of yours: please report it with the lines above."


class PoliteGroup(TyperGroup):
    """A group of commands that turns exceptions into messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; print a user's mistake to stderr and leave with 2, an interruption with 130."""
        try:
            answer = super().invoke(ctx)
            if Interruption.came:  # and was swallowed: it must not pass for an end of the command's own
                raise KeyboardInterrupt
            return answer
        except ScenarioError as error:
            say(str(error), err=True)
            raise typer.Exit(USER_MISTAKE) from None
        except KeyboardInterrupt:
            raise _interrupted(ctx) from None
        except Exception as error:
            if isinstance(error, typer.Exit):
                raise
            if lacks_memory(error):
                say(out_of_memory(error), err=True)
                raise typer.Exit(USER_MISTAKE) from None
            if Interruption.came:  # a library that was being imported made an error of its own of it
                raise _interrupted(ctx) from None
            if isinstance(quoted := getattr(error, "message", None), str):  # wrong usage, which quotes what was given
                error.message = printable(quoted)  # type: ignore[attr-defined]
            error.add_note(DEFECT_NOTE)
            raise


def lacks_memory(error: BaseException) -> bool:
    """Whether memory was asked for and not there: numpy and Arrow say so, torch in words of its own."""
    torch_says = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and torch_says)


def out_of_memory(error: BaseException) -> str:
    """Return the words for memory that was asked for and not there: what was needed, and what to lower."""
    needed = str(error).strip().rstrip(".") or "more than this machine or its limit (ulimit, a container) allows"
    return str(
        ScenarioError(
            f"there is not enough memory: {needed[:200]}",
            expected="memory for one block of paths, its bars and the strategies' orders over them",
            fix="lower paths.block (half of it takes about half the memory), bars.horizon or the lists of params; "
            "of given paths or a history, cut the file down",
        )
    )


def _interrupted(ctx: Any) -> typer.Exit:
    """Say that the command was interrupted and what to do; return what leaves with 130."""
    again = AFTER_INTERRUPTION.get(ctx.invoked_subcommand, "nothing was kept: run it again from its beginning")
    say(f"interrupted; {again}", err=True)
    return typer.Exit(INTERRUPTED)


def checked_device(value: str | None) -> str | None:
    """Refuse the name of a device that no machine has.

    Raises:
        typer.BadParameter: the name is not one of those that a spec accepts.
    """
    if value is not None and not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        raise typer.BadParameter(f"got {value!r}, expected auto, cpu, cuda, cuda:1 or mps")
    return value


def checked_moment(value: datetime | None) -> datetime | None:
    """Refuse a date of a year that no bar can be stamped in.

    Raises:
        typer.BadParameter: with the years that can.
    """
    try:
        moment_of(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return value


Moment = partial(Optional, formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], callback=checked_moment)  # an option


def command_line(command: str, spec: Path, **options: object) -> str:
    """Return the command as it could be typed again; options that were not given are left out."""
    words = ["scenario-gen", command, str(spec)]
    for name, value in options.items():
        if value is True:
            words.append(f"--{name}")
        elif value is not None and value is not False:
            words += [f"--{name}", str(value)]
    return printable(shlex.join(words))


def print_version(wanted: bool) -> None:
    """Print the version and leave, if asked to."""
    if wanted:
        say(f"scenario-gen {VERSION}")
        raise typer.Exit


# --- The ``run`` command's work: load the spec, call the pipeline, show what came out ---


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
    from scenario_gen.cli.show import show_run
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
    say(f"report: {RunFolder(folder or loaded.spec.report.folder).path / PAGE}")
    return leave(result.findings)


def leave(findings: Sequence[Finding]) -> int:
    """Return 3 where a declared limit is breached, else 4 where a strategy looks ahead, else 0; say which on stderr."""
    if ahead := failed(findings, "strategy"):
        names = ", ".join(dict.fromkeys(finding.strategy for finding in ahead))
        say(f"{names}: decides by what it cannot know yet; its results mean nothing", err=True)
    if broken := failed(findings, "limit"):
        names = ", ".join(dict.fromkeys(finding.part or finding.name for finding in broken))
        say(f"limits breached: {names} ({len(broken)} judgements)", err=True)
    return exit_code(findings, "limit", "strategy")
