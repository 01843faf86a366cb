"""Long work: how it tells what it is doing, and one thread for numpy's linear algebra where matrices are small.

Owns a protocol and the silent version of it that the Python API uses, the clock that books seconds, and how much memory
a process held. Knows nothing of terminals (the bars are drawn in :mod:`scenario_gen.cli.manners`) and nothing of torch,
which has threads of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


class Progress(Protocol):
    """Something that hears of stages and of notes."""

    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Open a stage of ``total`` steps; the function it yields is called with the steps just done."""
        ...

    def note(self, text: str) -> None:
        """Pass on one line that the user should see."""
        ...


class Clock:
    """Wall-clock seconds per stage; laps of one name add up."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """Book the time since the last lap under a name."""
        now = time.monotonic()
        self.laps[name] = round(self.laps.get(name, 0.0) + now - self._last, 2)
        self._last = now


class SilentProgress:
    """A Progress that says nothing and keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Open a stage that shows nothing."""
        del title, total
        yield _ignore

    def note(self, text: str) -> None:
        """Keep the line in ``notes``."""
        self.notes.append(text)


class StageSteps:
    """A stage's steps: told one by one where the work is done here, and unit by unit where it is done elsewhere."""

    def __init__(self, advance: Callable[[int], None] | None = None) -> None:
        """Take what hears of steps."""
        self._advance, self._here = advance or _ignore, 0

    def __call__(self, steps: int) -> None:
        """Tell of steps of the unit at work."""
        self._here += steps
        self._advance(steps)

    def leave_out(self, steps: int) -> None:
        """Tell of steps that need not be done."""
        self._advance(steps)

    def finish(self, steps: int) -> None:
        """Tell of a finished unit of so many steps, as far as they were not told."""
        self._advance(max(0, steps - self._here))
        self._here = 0

    def __reduce__(self) -> tuple[type[StageSteps], tuple[()]]:
        """In another process nobody hears."""
        return StageSteps, ()


def _ignore(steps: int) -> None:
    """Take the number of steps done and do nothing with it."""
    del steps


MOST_NAMED = 3  # in front of a note


class SharedNotes:
    """Notes about scenarios: what is the same of several is passed on once, with their names."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, name: str, text: str) -> None:
        """Note a line about a scenario."""
        names = self._names.setdefault(text, [])
        if name not in names:
            names.append(name)

    def tell(self, progress: Progress) -> None:
        """Pass every line on, in the order in which they came."""
        for text, names in self._names.items():
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            progress.note(f"{', '.join(names[:MOST_NAMED])}{more}: {text}")


def peak_memory() -> int:
    """Return the most bytes that this process has held in memory so far."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold numpy's linear algebra to one thread; what it was before comes back.

    OpenBLAS splits even a product of 1000 x 40 numbers, and its threads wait for each other by spinning: on two idle
    cores that gains nothing, and beside other work on them 500 logistic fits took 40 s instead of .7 s.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # looks through the loaded libraries: some milliseconds
