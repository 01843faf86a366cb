"""Processes that train one network together under ``torchrun``: gradients are averaged, the first one writes.

Each rank draws windows of its own (:class:`scenario_gen.training.data.WindowSampler`); weights start alike and stay
alike, because every rank takes the same step. Alone, nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from scenario_gen.errors import SpecError


@dataclass(frozen=True)
class Workers:
    """Place of a process among those that train together."""

    rank: int = 0  # of the process
    count: int = 1  # of processes
    local: int = 0  # its place on its machine, which is its GPU's number

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def share(self, network: nn.Module) -> None:
        """Give every rank the first one's weights, and each a dropout of its own."""
        if self.count == 1:
            return
        for tensor in network.state_dict().values():
            dist.broadcast(tensor, src=0)
        torch.manual_seed(torch.initial_seed() + self.rank)

    def average_gradients(self, network: nn.Module) -> None:
        """Replace every gradient by its mean over the ranks."""
        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        together = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(together)
        together /= self.count
        for gradient, mean in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def total(self, number: float) -> float:
        """Return the sum of the ranks' numbers."""
        if self.count == 1:
            return number
        told = [0.0] * self.count
        dist.all_gather_object(told, number)
        return sum(told)

    def first_ones(self, number: float) -> float:
        """Return the first rank's number: what decides must be the same everywhere."""
        if self.count == 1:
            return number
        told = [number]
        dist.broadcast_object_list(told, src=0)
        return told[0]

    def wait(self) -> None:
        """Wait for all ranks."""
        if self.count > 1:
            dist.barrier()

    def device(self, asked: str) -> str:
        """Return the device of this rank, where a config asks for ``auto`` or ``cuda``."""
        many = self.count > 1 and torch.cuda.is_available() and asked in ("auto", "cuda")
        return f"cuda:{self.local}" if many else asked


@contextmanager
def joined() -> Iterator[Workers]:
    """Join the processes that ``torchrun`` started, by its environment variables; leave them at the end.

    Raises:
        SpecError: the variables are there and are no numbers.
    """
    if "WORLD_SIZE" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        yield Workers()
        return
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    try:
        ranks = Workers(*(int(os.environ[name]) for name in names))
    except (KeyError, ValueError) as error:
        raise SpecError(
            f"the environment says WORLD_SIZE, and {error} is wrong", fix="start the command with torchrun"
        ) from None
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield ranks
    finally:
        dist.destroy_process_group()
