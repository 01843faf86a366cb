"""The errors that a user can cause, one tree.

    ScenarioError
    ├── SpecError         the YAML spec is wrong (file, line, field)
    ├── DataError         the history breaks a rule (rows, rule)
    ├── CheckpointError   a model cannot be found, read or trusted
    ├── CheckError        generated paths break a rule and the spec says ``fail``
    ├── StrategyError     the user's strategy raised or returned something unusable
    ├── StoreError        a run folder cannot be read or written
    └── ExecuteError      workers cannot be had, or are lost over a piece of work

Every message says what came, what was expected and what to do. The CLI prints it without a traceback and
exits with 2. Anything outside this tree is a defect of ours and keeps its traceback. Messages quote names and values
from files, so what they quote is made printable here.
"""

from __future__ import annotations

import re

# Control characters but tab and line feed (ESC and C1 begin a terminal's commands), marks that turn the direction of
# text, and halves of surrogate pairs, which no encoding can write.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return text in which nothing can command a terminal: what could is written out, escaped as in Python."""
    return _UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text)


class ScenarioError(Exception):
    """A mistake that the user can mend.

    Args:
        problem: what came and why it cannot be used.
        expected: what would have been accepted.
        fix: what to do now.
    """

    def __init__(self, problem: str, *, expected: str = "", fix: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.problem]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.fix:
            lines.append(f"  to do:    {self.fix}")
        return printable("\n".join(lines))


class SpecError(ScenarioError):
    """The spec is wrong: the message names file, line and field."""


class DataError(ScenarioError):
    """The history breaks the Candles contract: the message names rows and rule."""


class CheckpointError(ScenarioError):
    """A checkpoint cannot be found, read or trusted."""


class CheckError(ScenarioError):
    """Generated candles break a rule and the spec asks to stop on that."""


class StrategyError(ScenarioError):
    """A user's strategy cannot be loaded, raised, or returned something unusable."""


class StoreError(ScenarioError):
    """A run folder cannot be read or written."""


class ExecuteError(ScenarioError):
    """The place where work is done cannot be used, or every worker that was given a piece of it was lost."""


def lacks_memory(error: BaseException) -> bool:
    """Whether memory was asked for and not there: numpy and Arrow say so, torch in words of its own."""
    torch_says = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and torch_says)


def out_of_memory(error: BaseException) -> ScenarioError:
    """Return the mistake behind memory that was asked for and not there: what was needed, and what to lower."""
    needed = str(error).strip().rstrip(".") or "more than this machine or its limit (ulimit, a container) allows"
    return ScenarioError(
        f"there is not enough memory: {needed[:200]}",
        expected="memory for one block of paths, its bars and the strategies' orders over them",
        fix="lower paths.block (half of it takes about half the memory), bars.horizon or the lists of params; "
        "of given paths or a history, cut the file down",
    )
