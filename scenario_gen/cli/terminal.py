"""Standard output and error of the command line: what may be written to them, how work progresses, how they end.

Three promises. A character that the console's encoding lacks is replaced, never an error. A column name, a title or
the name of a file cannot command the terminal: their control characters are written out. Where the output is
closed (``| head``) or full, the work goes on to its own exit code; a full disk is told on stderr. Progress is a bar per
stage on a terminal, a line per stage anywhere else, and all of it on stderr.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as RichProgress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from scenario_gen.errors import printable
from scenario_gen.progress import Progress

INTERRUPTED = 130
OUTPUT_LOST = 2


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
        """Show a bar of ``total`` steps while the stage lasts."""
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
        """Write a line at the start, at each quarter of ``total`` and at the end."""
        began, done, told = self._clock(), 0, 0
        self.note(f"{title} ...")

        def advance(steps: int) -> None:
            nonlocal done, told
            done += steps
            quarter = 4 * done // total if total > 0 else 4
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
        yield lambda steps: None

    def note(self, text: str) -> None:
        """Write the line to stderr."""
        print(printable(text), file=sys.stderr, flush=True)


def choose_progress(*, quiet: bool = False) -> Progress:
    """Return the progress that suits stderr: bars on a terminal, lines elsewhere, notes alone if quiet."""
    if quiet:
        return NotesOnly()
    console = Console(stderr=True)
    return BarProgress(console) if console.is_terminal else LineProgress(sys.stderr)


def _bars(console: Console) -> RichProgress:
    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
