"""The queue of a run: units of work that need nothing of each other, done wherever the user has room for them.

Owns the contract that every place keeps, and the simplest of them, this process. Knows nothing of what a unit is: a
block of paths, an origin of a calibration. What all units of one kind share (a model, a context, strategies) is part
of the work, which travels once to each worker; units and answers are small. A unit's answer depends on the work and
the unit alone, so neither the place nor the order changes a bit.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from scenario_gen.errors import ExecuteError

Unit = TypeVar("Unit")
Answer = TypeVar("Answer")

MOST_LOSSES = 3  # workers over one unit, or one after the other before any is ready for its first
MOST_GIVEN_UP = 5  # units one after the other, none done between: it is not the unit then


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


class Standing:
    """How the units of one call stand, wherever they are done: which wait, which are out, what was lost and raised.

    Keeps what the contract says of lost workers and of errors. Several threads must take turns with it.
    """

    def __init__(self, units: Sequence[object], *, expected: str, fix: str) -> None:
        """Take the units, and the words for those that can be done nowhere."""
        self.units, self._expected, self._fix = units, expected, fix
        self.waiting = deque(range(len(units)))
        self._out: set[int] = set()  # units that a worker has
        self._losses: dict[int, list[str]] = {}  # how each worker was lost over a unit
        self._in_a_row = 0  # units given up, none done between
        self._error: tuple[int, BaseException] | None = None  # of the first unit that has one

    def __len__(self) -> int:
        """How many units a worker has."""
        return len(self._out)

    def take(self) -> int:
        """Return the place of the next unit, which is out from now on."""
        place = self.waiting.popleft()
        self._out.add(place)
        return place

    def put_back(self, place: int) -> None:
        """Let a unit wait again, before all others: nothing was done with it."""
        self._out.discard(place)
        self.waiting.appendleft(place)

    def done(self, place: int) -> None:
        """Note that a unit was answered."""
        self._out.discard(place)
        self._in_a_row = 0

    def failed(self, place: int, error: BaseException) -> None:
        """Keep the error of the first unit, as one process that takes them in order would: those after it are left.

        Before all units, at -1, stands what ends the call.
        """
        self._out.discard(place)
        if self._error is None or place < self._error[0]:
            self._error = place, error
        last = self._error[0]
        self.waiting = deque(waiting for waiting in self.waiting if waiting < last)

    def lost(self, place: int, how: str) -> None:
        """Note that a unit's worker was lost; it is given to another after those that wait, if too many were not."""
        self._out.discard(place)
        losses = self._losses.setdefault(place, [])
        losses.append(how)
        if len(losses) < MOST_LOSSES:
            self.waiting.append(place)
            return
        self._in_a_row += 1
        if self._in_a_row >= MOST_GIVEN_UP:
            self.failed(-1, self._poisoned())

    @property
    def over(self) -> bool:
        """Whether nothing more comes that counts: after an error, the units before it."""
        last = len(self.units) if self._error is None else self._error[0]
        return not self.waiting and not any(place < last for place in self._out)

    def refuse(self) -> None:
        """Raise what was raised, or name what could be done nowhere, once nothing else is left."""
        if self._error is not None:
            raise self._error[1]
        if any(len(losses) >= MOST_LOSSES for losses in self._losses.values()):
            raise self._poisoned()

    def _poisoned(self) -> ExecuteError:
        """Return the units that every worker was lost over, each with how the last was."""
        named = [
            f"{self.units[place]}: {losses[-1]}"
            for place, losses in sorted(self._losses.items())
            if len(losses) >= MOST_LOSSES
        ]
        more = f"\n  and {len(named) - 5} more" if len(named) > 5 else ""
        return ExecuteError(
            f"{MOST_LOSSES} workers were lost over each of {len(named)} of {len(self.units)} pieces of work:\n  "
            + "\n  ".join(named[:5])
            + more,
            expected=self._expected,
            fix=self._fix,
        )


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
