"""How a long run tells what it is doing: a protocol, and the silent version that the Python API uses.

Knows nothing of terminals: the bars are drawn in :mod:`scenario_gen.cli.progress`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Something that hears of stages and of notes."""

    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Open a stage of ``total`` steps; the function it yields is called with the steps just done."""
        ...

    def note(self, text: str) -> None:
        """Pass on one line that the user should see."""
        ...


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


def _ignore(steps: int) -> None:
    """Take the number of steps done and do nothing with it."""
    del steps
