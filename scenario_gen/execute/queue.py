"""The queue of a run: units of work that need nothing of each other, done wherever the user has room for them.

Owns the contract that every place keeps, and the simplest of them, this process. Knows nothing of what a unit is: a
block of paths, an origin of a calibration. What all units of one kind share (a model, a context, strategies) is part
of the work, which travels once to each worker; units and answers are small. A unit's answer depends on the work and
the unit alone, so neither the place nor the order changes a bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Unit = TypeVar("Unit")
Answer = TypeVar("Answer")


class Queue(Protocol):
    """A place where units of work are done."""

    @property
    def workers(self) -> int:
        """How many units are done side by side."""
        ...

    def answers(self, work: Callable[[Unit], Answer], units: Sequence[Unit]) -> Iterator[tuple[int, Answer]]:
        """Yield the place of each unit in ``units`` and its answer, in the order in which they are finished.

        Only so many units are in flight as keep the workers busy. A unit whose worker was lost is given to another;
        one that loses every worker it is given to is named in an error once all others are done, so that what they
        left is found by a resumed run.

        Args:
            work: what to do with a unit; sent to each worker once. Whatever it needs beside the unit is in it.
            units: small, and picklable.

        Raises:
            ScenarioError: of ``work``, as it was raised there; or a unit could not be done anywhere.
        """
        ...


class Here:
    """The process that asks: one unit after the other."""

    @property
    def workers(self) -> int:
        """One."""
        return 1

    def answers(self, work: Callable[[Unit], Answer], units: Sequence[Unit]) -> Iterator[tuple[int, Answer]]:
        """Yield each unit's place and answer, in the order of the units."""
        for place, unit in enumerate(units):
            yield place, work(unit)


HERE = Here()


def in_order(answers: Iterator[tuple[int, Answer]]) -> Iterator[Answer]:
    """Yield answers in the order of their units: one that comes early waits for those before it."""
    waiting: dict[int, Answer] = {}
    following = 0
    for place, answer in answers:
        waiting[place] = answer
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
