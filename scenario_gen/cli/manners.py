"""What the command line keeps to: what it writes and how, how work progresses, how it meets mistakes and how it ends.

Three promises. A character that the console's encoding lacks is replaced, never an error. A column name, a title or
the name of a file cannot command the terminal: their control characters are written out. Where the output is
closed (``| head``) or full, the work goes on to its own exit code; a full disk is told on stderr. Progress is a bar per
stage on a terminal, a line per stage anywhere else, and all of it on stderr.
"""

from __future__ import annotations

import errno
import io
import os
import re
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as RichProgress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from typer.core import TyperGroup

from scenario_gen.cli import manner
from scenario_gen.cli.manner import Manner
from scenario_gen.errors import ScenarioError, lacks_memory, out_of_memory, printable
from scenario_gen.finding import Finding, exit_code, failed
from scenario_gen.market.section import moment_of
from scenario_gen.progress import Progress
from scenario_gen.version import VERSION

INTERRUPTED, OUTPUT_LOST = 130, 2


def say(text: str, *, err: bool = False) -> None:
    """Print a line, or several, with nothing in them that could command a terminal."""
    print(printable(text), file=sys.stderr if err else sys.stdout, flush=True)


def say_json(result: object) -> None:
    """Print a result as ``--json`` has it."""
    import json

    from scenario_gen.values import encode

    say(json.dumps(encode(result), indent=1, allow_nan=False))


class Outlet(io.TextIOWrapper):
    """A standard stream that replaces what it cannot encode, and falls silent where it can no longer be written."""

    trouble: OSError | None = None  # why it fell silent

    def write(self, text: str) -> int:
        """Write the text, or nothing any more once writing failed."""
        if self.trouble is None:
            try:
                return super().write(text)
            except OSError as error:
                self._fall_silent(error)
        return len(text)

    def flush(self) -> None:
        """Flush; what could not be written is dropped."""
        try:
            super().flush()
        except OSError as error:
            self._fall_silent(error)

    def _fall_silent(self, error: OSError) -> None:
        """Let the rest go nowhere: what the buffer still holds would fail again, at the latest when Python leaves."""
        self.trouble = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def outlet(stream: object) -> Outlet | None:
    """Return a standard stream as an :class:`Outlet`; None for what stands in its place, such as a test's buffer."""
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, Outlet):
        return None
    stream.flush()
    lines = stream.line_buffering or stream.isatty()
    return Outlet(stream.buffer, stream.encoding, "replace", line_buffering=lines, write_through=stream.write_through)


def use_outlets() -> None:
    """Put outlets in the place of this process's standard output and error."""
    sys.stdout = outlet(sys.stdout) or sys.stdout
    sys.stderr = outlet(sys.stderr) or sys.stderr


def told_losses(code: object) -> object:
    """Return the exit code of a command that left with ``code``, after a word on output that could not be written.

    A closed pipe is no mistake of anybody's. Output that is full is: the command then leaves with 2 at least.
    """
    sys.stdout.flush()
    trouble = sys.stdout.trouble if isinstance(sys.stdout, Outlet) else None
    if trouble is None or trouble.errno in (errno.EPIPE, errno.EINVAL):  # Windows says EINVAL of a closed pipe
        return code
    say(
        f"what was to be printed could not be written: {trouble.strerror}\n"
        "  to do:    free some space, or print to another place; files that were written are whole",
        err=True,
    )
    return code or OUTPUT_LOST


class Interruption:
    """Ctrl-C: remembers that it came, since libraries that are being imported turn it into errors of their own."""

    came = False

    @classmethod
    def listen(cls) -> None:
        """Take interruptions from now on as KeyboardInterrupt; leave them ignored where they are (nohup)."""
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, cls._note)

    @classmethod
    def _note(cls, number: int, frame: FrameType | None) -> None:
        del number, frame
        cls.came = True
        raise KeyboardInterrupt


# --- Progress for people ---


class BarProgress:
    """One bar per stage; a finished bar stays on the screen. Stages may be nested."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: RichProgress | None = None

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar of ``total`` steps while the stage lasts; none of a stage without steps."""
        if total <= 0:
            yield _unshown
            return
        outermost = self._live is None
        live = self._live or _bars(self._console)
        self._live = live
        if outermost:
            live.start()
        task = live.add_task(printable(title), total=total)
        try:
            yield lambda steps: live.update(task, advance=steps)
        finally:
            if outermost:
                live.stop()
                self._live = None

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._console.print(printable(text), markup=False, highlight=False)


class LineProgress:
    """A line when a stage begins, one at every quarter, one when it ends: for logs and pipes."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Write a line at the start, at each quarter of ``total`` and at the end; none of a stage without steps."""
        if total <= 0:
            yield _unshown
            return
        began, done, told = self._clock(), 0, 0
        self.note(f"{title} ...")

        def advance(steps: int) -> None:
            nonlocal done, told
            done += steps
            quarter = 4 * done // total
            if told < quarter < 4:
                told = quarter
                self.note(f"{title}: {done} of {total}")

        yield advance
        self.note(f"{title}: {done} of {total} in {self._clock() - began:.1f} s")

    def note(self, text: str) -> None:
        """Write the line."""
        print(printable(text), file=self._stream, flush=True)


class NotesOnly:
    """No progress, but notes: what ``--quiet`` leaves."""

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Open a stage that shows nothing."""
        del title, total
        yield _unshown

    def note(self, text: str) -> None:
        """Write the line to stderr."""
        print(printable(text), file=sys.stderr, flush=True)


def _unshown(steps: int) -> None:
    """Take the number of steps done and show nothing of it."""
    del steps


def choose_progress(*, quiet: bool = False) -> Progress:
    """Return the progress that suits stderr: bars on a terminal, lines elsewhere and if verbose, notes if quiet."""
    if quiet or Manner.quiet:
        return NotesOnly()
    console = Console(stderr=True)
    lines = Manner.verbose or not console.is_terminal
    return LineProgress(sys.stderr) if lines else BarProgress(console)


def _bars(console: Console) -> RichProgress:
    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


# --- How the command line meets mistakes: a user's without a traceback, ours with one, an interruption with advice ---


USER_MISTAKE = 2
GATE_FAILED = 4
Optional = partial(typer.Option, show_default=False)  # an option whose default its help tells, or that has none
Argument = partial(typer.Argument, show_default=False)
Quiet = manner.Quiet
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
AFTER_INTERRUPTION = {
    "run": "run the same command again to resume",
    "merge": "run the same command again to go on",
    "batch": "run the same command again to go on",
    "fetch": "run the same command again to go on after the whole pages",
    "rank": "run the same command again to go on",
    "models": "run the same command again to resume",
    "serve": "its jobs wait for the next server of this root",
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
            if Manner.verbose:
                say("".join(traceback.format_tb(error.__traceback__)).rstrip(), err=True)
            say(str(error), err=True)
            raise typer.Exit(USER_MISTAKE) from None
        except KeyboardInterrupt:
            raise _interrupted(ctx) from None
        except Exception as error:
            if isinstance(error, typer.Exit):
                raise
            if lacks_memory(error):
                say(str(out_of_memory(error)), err=True)
                raise typer.Exit(USER_MISTAKE) from None
            if Interruption.came:  # a library that was being imported made an error of its own of it
                raise _interrupted(ctx) from None
            if isinstance(quoted := getattr(error, "message", None), str):  # wrong usage, which quotes what was given
                with suppress(AttributeError):  # a library's own error, whose message cannot be set
                    error.message = printable(quoted)  # type: ignore[attr-defined]
            error.add_note(DEFECT_NOTE)
            raise


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


def command_line(command: str, *files: str | Path, **options: object) -> str:
    """Return the command as it could be typed again; options that were not given are left out."""
    words = ["scenario-gen", command, *map(str, files)]
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


def leave(findings: Sequence[Finding]) -> int:
    """Return 3 where a declared limit is breached, else 4 where a strategy looks ahead, else 0; say which on stderr."""
    if ahead := failed(findings, "strategy"):
        names = ", ".join(dict.fromkeys(finding.strategy for finding in ahead))
        say(f"{names}: decides by what it cannot know yet; its results mean nothing", err=True)
    if broken := failed(findings, "limit"):
        names = ", ".join(dict.fromkeys(finding.part or finding.name for finding in broken))
        say(f"limits breached: {names} ({len(broken)} judgements)", err=True)
    return exit_code(findings, "limit", "strategy")
