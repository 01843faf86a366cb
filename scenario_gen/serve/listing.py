"""The finished runs of a root, each in a line: what a list of them shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, Field

from scenario_gen.finding import SEVERITY, Label, worst

MOST_RUNS = 500  # in a list


class ListedRun(BaseModel):
    """A finished run."""

    name: str = Field(description="of its folder below the root")
    title: str
    made: str = Field(description="ISO date and time, UTC")
    verdict: Label | None = Field(description="worst label of its findings; null where they cannot be read")
    findings: dict[str, int] = Field(description="how many findings have each label")
    scenarios: list[str]
    strategies: list[str]
    lacks: list[str] = Field(
        description="fields of its run.json that are missing or of another shape; what they would tell is left empty"
    )


def list_runs(root: Path) -> list[ListedRun]:
    """Return the runs of a root, the newest first; links are no runs."""
    stamped = []
    for folder in root.resolve().iterdir():
        file = folder / "run.json"
        if folder.name.startswith(".") or folder.is_symlink() or not file.is_file() or file.is_symlink():
            continue
        about = file.stat()
        stamped.append((about.st_mtime_ns, about.st_size, file))
    return [_listed(file, stamp, size) for stamp, size, file in sorted(stamped, reverse=True)[:MOST_RUNS]]


@lru_cache(maxsize=MOST_RUNS)
def _listed(file: Path, stamp: int, size: int) -> ListedRun:
    """Return a run in a line, read again when its file changes.

    A run of another version, or another program's file, is listed as far as it can be read, with what it lacks.
    """
    del stamp, size
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        run = None
    lacks: list[str] = []
    labels: list[Label] = _told(lacks, "findings", lambda: [_label(each["label"]) for each in run["findings"]], [])
    return ListedRun(
        name=file.parent.name,
        title=_told(lacks, "title", lambda: str(run["title"]), ""),
        made=_told(lacks, "created", lambda: str(run["created"]), ""),
        verdict=None if "findings" in lacks else worst(labels, "UNTESTABLE"),
        findings={label: labels.count(label) for label in dict.fromkeys(labels)},
        scenarios=_told(lacks, "scenarios", lambda: [str(each["name"]) for each in run["scenarios"]], []),
        strategies=_told(lacks, "scenarios.strategies", lambda: [*dict.fromkeys(_strategies(run))], []),
        lacks=lacks,
    )


def _label(value: Any) -> Label:
    if value not in SEVERITY:
        raise ValueError(value)
    return cast("Label", value)


def _strategies(run: Any) -> Iterator[str]:
    return (str(each["name"]) for scenario in run["scenarios"] for each in scenario["strategies"])


def _told(lacks: list[str], field: str, read: Callable[[], Any], none: Any) -> Any:
    """Return what is read of a run; where it is not of that shape, note the field and return ``none``."""
    try:
        return read()
    except (KeyError, TypeError, ValueError):
        lacks.append(field)
        return none
