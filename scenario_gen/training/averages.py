"""Copies of the trained weights beside the network: their running average, and the best average so far."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """Running average of the trained weights, with the bias of its start removed by a growing decay."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in _trained(network)}

    def update(self, network: nn.Module, step: int) -> None:
        """Fold in the network's present weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, p in _trained(network):
                self.values[name].lerp_(p.detach(), 1 - decay)

    def copy_to(self, network: nn.Module) -> None:
        """Overwrite the network's weights by the average."""
        _copy(self.values, network)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """Let the network have the averaged weights, without dropout, for a while."""
        own = {name: p.detach().clone() for name, p in _trained(network)}
        self.copy_to(network)
        network.eval()
        try:
            yield
        finally:
            network.train()
            _copy(own, network)


class Best:
    """The averaged weights at the lowest held-out loss so far, and how often they have not been beaten since.

    Attributes:
        loss: lowest held-out loss; infinite before the first judgement.
        since: judgements since.
        step: finished steps at the lowest loss.
        values: the weights.
    """

    def __init__(self) -> None:
        self.loss, self.since, self.step = math.inf, 0, 0
        self.values: dict[str, Tensor] = {}

    def see(self, loss: float, step: int, average: WeightAverage) -> None:
        """Take note of a judgement after so many steps."""
        self.since += 1
        if loss < self.loss:
            self.loss, self.since, self.step = loss, 0, step
            self.values = {name: value.clone() for name, value in average.values.items()}

    def copy_to(self, network: nn.Module) -> None:
        """Overwrite the network's weights by the best."""
        _copy(self.values, network)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` takes."""
        return dict(vars(self))

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        vars(self).update(state)


def _trained(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in network.named_parameters() if p.requires_grad)


def _copy(values: dict[str, Tensor], network: nn.Module) -> None:
    with torch.no_grad():
        for name, p in _trained(network):
            p.copy_(values[name])
