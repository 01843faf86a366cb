"""What a spec says of where its work is done, and the queue that it opens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from pydantic import Field, model_validator

from scenario_gen.errors import SpecError
from scenario_gen.execute.queue import Here, Queue, cores
from scenario_gen.reading.section import Section
from scenario_gen.reading.words import nearest, shown

Kind = Literal["local", "processes", "ray"]
MAX_WORKERS = 4096
PLACES = "local, processes, processes:4, ray or ray:8"  # as they are typed


class Execute(Section):
    """Where blocks of paths and origins of calibrations are computed; it changes no number of a run."""

    kind: Kind = "local"
    workers: int | None = Field(
        default=None, ge=1, le=MAX_WORKERS, description="side by side; default: as many as cores"
    )

    @model_validator(mode="after")
    def _workers_elsewhere(self) -> Execute:
        if self.kind == "local" and self.workers is not None:
            raise ValueError(
                f"got workers: {self.workers} and kind: local, which is one process; expected kind: processes or ray"
            )
        return self


def place_of(text: str) -> Execute:
    """Read where work is to be done as it is typed: ``local``, ``processes``, ``processes:4``, ``ray:8``.

    Raises:
        SpecError: it is none of these.
    """
    kind, colon, count = text.partition(":")
    workers = int(count) if re.fullmatch(r"[0-9]{1,6}", count) else None
    if kind not in get_args(Kind):
        raise SpecError(f"got {shown(text)}{nearest(kind, get_args(Kind))}", expected=PLACES)
    if colon and (kind == "local" or workers is None or not 1 <= workers <= MAX_WORKERS):
        wanted = "no number: it is one process" if kind == "local" else f"a whole number from 1 to {MAX_WORKERS}"
        raise SpecError(f"got {shown(text)}", expected=f"{kind} with {wanted}; one of {PLACES}")
    return Execute.model_validate({"kind": kind, "workers": workers})


@contextmanager
def open_queue(section: Execute) -> Iterator[Queue]:
    """Open the place that a spec names, and leave it when the run ends.

    Raises:
        ExecuteError: it cannot be used.
    """
    if section.kind == "ray":
        raise NotImplementedError(section.kind)
    if section.kind == "local":
        yield Here()
        return
    from scenario_gen.execute.processes import Processes

    with Processes(section.workers or cores()) as queue:
        yield queue
