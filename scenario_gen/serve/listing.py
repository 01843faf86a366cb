"""The finished runs of a root, each in a line: what a list of them shows."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, Field

from scenario_gen.finding import Label, worst

MOST_RUNS = 500  # in a list


class ListedRun(BaseModel):
    """A finished run."""

    name: str = Field(description="of its folder below the root")
    title: str
    made: str = Field(description="ISO date and time, UTC")
    verdict: Label = Field(description="worst label of its findings")
    findings: dict[str, int] = Field(description="how many findings have each label")
    scenarios: list[str]
    strategies: list[str]


def list_runs(root: Path) -> list[ListedRun]:
    """Return the runs whose run.json can be read, the newest first; links are no runs."""
    stamped = []
    for folder in root.resolve().iterdir():
        file = folder / "run.json"
        if folder.name.startswith(".") or folder.is_symlink() or not file.is_file() or file.is_symlink():
            continue
        about = file.stat()
        stamped.append((about.st_mtime_ns, about.st_size, file))
    listed = [_listed(file, stamp, size) for stamp, size, file in sorted(stamped, reverse=True)[:MOST_RUNS]]
    return [run for run in listed if run is not None]


@lru_cache(maxsize=MOST_RUNS)
def _listed(file: Path, stamp: int, size: int) -> ListedRun | None:
    """Return a run in a line, read again when its file changes; None where it cannot be read as one."""
    del stamp, size
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
        labels = [finding["label"] for finding in run["findings"]]
        strategies = dict.fromkeys(each["name"] for scenario in run["scenarios"] for each in scenario["strategies"])
        return ListedRun(
            name=file.parent.name,
            title=run["title"],
            made=run["created"],
            verdict=worst(labels, "UNTESTABLE"),
            findings={label: labels.count(label) for label in dict.fromkeys(labels)},
            scenarios=[scenario["name"] for scenario in run["scenarios"]],
            strategies=[*strategies],
        )
    except (OSError, ValueError, KeyError, TypeError):  # another program's, or of another version
        return None
