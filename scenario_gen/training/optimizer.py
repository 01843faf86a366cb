"""The optimiser of a stage and its learning rate: AdamW, or Muon for the matrices inside blocks."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from scenario_gen.training.config import StageConfig

BLOCKS = frozenset({"transformer", "encoder", "decoder", "dep_layer"})  # modules whose matrices Muon takes


def rate_share(config: StageConfig, step: int) -> float:
    """Return the share of the peak rate at a step: linear warm-up, then a cosine down to ``final_rate``."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Optimizer:
    """AdamW, or Muon for the matrices inside blocks and AdamW for embeddings, heads, norms and biases."""

    def __init__(self, network: nn.Module, config: StageConfig) -> None:
        self.config = config
        with_muon = config.optimizer == "muon"
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, p in network.named_parameters():
            inside = with_muon and p.ndim == 2 and BLOCKS.intersection(name.split("."))
            if p.requires_grad:
                (matrices if inside else others).append(p)
        decay = config.weight_decay
        self.parts: list[tuple[torch.optim.Optimizer, float]] = [
            (torch.optim.AdamW(others, config.learning_rate, (0.9, 0.95), weight_decay=decay), config.learning_rate)
        ]
        if matrices:
            muon = torch.optim.Muon(matrices, lr=config.muon_rate, weight_decay=decay)
            self.parts.append((muon, config.muon_rate))

    def step(self, step: int) -> None:
        """Take one step at the rate of this step, and forget the gradients."""
        for optimizer, peak in self.parts:
            for group in optimizer.param_groups:
                group["lr"] = peak * rate_share(self.config, step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        """Return what :meth:`restore` takes."""
        return [optimizer.state_dict() for optimizer, _ in self.parts]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Go on from a saved state."""
        for (optimizer, _), state in zip(self.parts, states, strict=True):
            optimizer.load_state_dict(state)
