"""What a batch of runs came to: batch.json, one to one. Its runs stand in folders of their own below it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from scenario_gen.files import write_bytes
from scenario_gen.finding import Label
from scenario_gen.stats.estimate import Estimate
from scenario_gen.values import encode

BATCH, BATCH_PAGE = "batch.json", "index.html"

State = Literal["waiting", "done", "finished before", "failed"]
WORST_FIRST = (1, 2, 3, 4)  # exit codes: a defect, a mistake, a limit, a strategy that looks ahead


@dataclass(frozen=True)
class BatchFigure:
    """One strategy in the base scenario of a run, every number with its error."""

    strategy: str
    params: str  # in one line
    median_return: Estimate  # total return over the horizon
    low_return: Estimate  # its 5 % quantile
    cvar: Estimate  # of 95 %; a loss is positive
    probability_of_loss: Estimate


@dataclass(frozen=True)
class BatchEntry:
    """One spec of a batch."""

    spec: str  # its file
    name: str  # its folder below the batch's
    state: State
    exit_code: int | None = None  # as run leaves with; None while it waits
    seconds: float = 0.0  # that it took now
    scenario: str = ""  # whose figures these are
    paths: int = 0
    verdict: Label | None = None  # the worst of the checks that can fail a run
    failing: list[str] = field(default_factory=list)  # findings with FAIL, each by its name
    figures: list[BatchFigure] = field(default_factory=list)
    problem: str = ""  # why it failed
    expected: str = ""
    fix: str = ""


@dataclass(frozen=True)
class BatchRun:
    """Many specs, each run into a folder of its own."""

    folder: str
    created: str  # ISO, UTC
    version: str
    entries: list[BatchEntry]  # in the order that was asked for

    @property
    def exit_code(self) -> int:
        """The worst of the runs' exit codes: 1, then 2, 3, 4; 0 where nothing went wrong or waits."""
        codes = {entry.exit_code for entry in self.entries}
        return next((code for code in WORST_FIRST if code in codes), 0)


def write_batch(batch: BatchRun, folder: Path) -> None:
    """Write batch.json.

    Raises:
        StoreError: the disk refuses.
    """
    write_bytes(folder / BATCH, json.dumps(encode(batch), indent=1, allow_nan=False).encode(), "folder")
