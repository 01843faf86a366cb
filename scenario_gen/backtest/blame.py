"""Turning an exception out of a user's strategy file into a message that shows the user's own line.

Knows tracebacks and files; knows nothing of strategies.
"""

from __future__ import annotations

import linecache
import os
import traceback
from pathlib import Path

from scenario_gen.errors import StrategyError


def shown(file: Path) -> str:
    """Return a path as a person would write it: relative to the current directory where it lies below it."""
    try:
        return file.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(file)


def user_error(error: BaseException, file: Path, doing: str, *, fix: str = "") -> StrategyError:
    """Return a StrategyError that names the exception and the last line of ``file`` that led to it.

    Args:
        error: what the user's code raised.
        file: the user's strategy file.
        doing: what was going on, e.g. ``"SmaCross.signals raised"``.
        fix: what to do, where it is not to mend that line.
    """
    line, source = _last_line_in(file, error)
    where = f"{shown(file)}, line {line}" if line else shown(file)
    problem = f"{doing} {type(error).__name__}: {error}\n  at {where}"
    if source:
        problem += f"\n    {source}"
    mend = "mend that line and run again" if source else f"mend {shown(file)} and run again"
    return StrategyError(problem, fix=fix or mend)


def _last_line_in(file: Path, error: BaseException) -> tuple[int | None, str]:
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno, (error.text or "").strip()
    linecache.checkcache(str(file))
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if os.path.normcase(frame.filename) == os.path.normcase(str(file))]
    return (mine[-1].lineno, (mine[-1].line or "").strip()) if mine else (None, "")
