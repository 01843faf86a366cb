"""What a spec says of where its work is done, and the queue that it opens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from pydantic import Field

from scenario_gen.execute.queue import Here, Queue
from scenario_gen.reading.section import Section


class Execute(Section):
    """Where blocks of paths and origins of calibrations are computed; it changes no number of a run."""

    kind: Literal["local", "processes", "ray"] = "local"
    workers: int | None = Field(default=None, ge=1, le=4096, description="side by side; default: as many as cores")


@contextmanager
def open_queue(section: Execute) -> Iterator[Queue]:
    """Open the place that a spec names, and leave it when the run ends."""
    if section.kind != "local":
        raise NotImplementedError(section.kind)
    yield Here()
