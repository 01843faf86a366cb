"""What a spec says of where its work is done, and the queue that it opens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from pydantic import Field, model_validator

from scenario_gen.errors import SpecError
from scenario_gen.execute.queue import HERE, Queue, cores
from scenario_gen.reading.section import Section
from scenario_gen.reading.words import nearest, shown

Kind = Literal["local", "processes", "ray"]
MAX_WORKERS = 4096
PLACES = "local, processes, processes:4, ray or ray:8"  # as they are typed

OF_RAY = ("address", "cpus", "gpus", "wait")  # fields that have a meaning on a cluster alone


class Execute(Section):
    """Where blocks of paths and origins of calibrations are computed; it changes no number of a run."""

    kind: Kind = Field(default="local", description="one process, so many processes of this machine, or a Ray cluster")
    workers: int | None = Field(
        default=None, ge=1, le=MAX_WORKERS, description="side by side; default: as many as cores"
    )
    address: str | None = Field(
        default=None,
        min_length=1,
        description="of a Ray cluster: ray://host:10001, host:6379, auto for this machine's; default: RAY_ADDRESS, "
        "else a cluster of this machine is started",
    )
    cpus: int = Field(default=1, ge=1, le=1024, description="cores of a worker on a Ray cluster, and its threads")
    gpus: float = Field(default=0, ge=0, le=64, description="GPUs of a worker on a Ray cluster; 0.5: two share one")
    wait: float = Field(default=60, gt=0, le=86_400, description="seconds to wait for a worker of a Ray cluster")

    @model_validator(mode="after")
    def _of_ray_alone(self) -> Execute:
        fields = type(self).model_fields  # a resolved section, read back, has all of them
        given = [name for name in OF_RAY if getattr(self, name) != fields[name].default]
        if given and self.kind != "ray":
            raise ValueError(f"got {given[0]} and kind: {self.kind}; expected kind: ray, where alone it has a meaning")
        return self

    @model_validator(mode="after")
    def _gpus_as_ray_counts_them(self) -> Execute:
        if self.gpus != round(self.gpus, 4 if self.gpus < 1 else 0):
            raise ValueError(
                f"got gpus: {self.gpus:g}; expected a share of one with at most four digits, or a whole number"
            )
        return self

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
    if count.startswith("//"):
        fix = "give --on ray, and the address as RAY_ADDRESS or as execute: {kind: ray, address: ...} in the spec"
        raise SpecError(f"got {shown(text)}, an address", expected=PLACES, fix=fix)
    if colon and (kind == "local" or workers is None or not 1 <= workers <= MAX_WORKERS):
        wanted = "no number: it is one process" if kind == "local" else f"a whole number from 1 to {MAX_WORKERS}"
        raise SpecError(f"got {shown(text)}", expected=f"{kind} with {wanted}; one of {PLACES}")
    return Execute.model_validate({"kind": kind, "workers": workers})


@contextmanager
def open_queue(section: Execute) -> Iterator[Queue]:
    """Open the place that a spec names, and leave it when the run ends.

    Raises:
        ExecuteError: it cannot be used, or it is a cluster that cannot be reached or lacks what a worker needs.
    """
    if section.kind == "ray":
        from scenario_gen.execute.cluster import open_cluster
        from scenario_gen.execute.ray import Terms

        terms = Terms(section.workers, section.cpus, section.gpus, section.wait)
        with open_cluster(section.address, terms) as cluster:
            yield cluster
        return
    if section.kind == "local":
        yield HERE
        return
    from scenario_gen.execute.processes import Processes

    with Processes(section.workers or cores()) as queue:
        yield queue
