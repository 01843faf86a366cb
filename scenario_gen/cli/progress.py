"""Progress for people: a bar per stage on a terminal, a line per stage anywhere else; all of it on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
