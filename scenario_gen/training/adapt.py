"""Fine-tuning a part of a model: frozen modules, and low-rank products beside frozen weights (LoRA).

Written here rather than taken from peft: that brings transformers and accelerate with it, for what is forty lines on
plain linear layers. Products are merged into the weights when training is over, so a checkpoint looks like any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from scenario_gen.errors import SpecError
from scenario_gen.kronos.model import Kronos
from scenario_gen.training.config import Frozen, Lora, ModelStage

MODULES = {"embedding": ("embedding",), "time": ("time_emb",), "dependency": ("dep_layer",), "head": ("norm", "head")}


class LowRank(nn.Module):
    """A frozen linear layer plus a learned product of rank r: x W' + b + (alpha / r) x A' B'.

    Hu et al. 2021, "LoRA: low-rank adaptation of large language models": A is drawn as a linear layer's weights are,
    B is zero, so that training starts from the layer as it was.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        weight = base.weight
        self.down = nn.Parameter(weight.new_empty(rank, base.in_features))
        self.up = nn.Parameter(weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        return self.base(x) + self.scale * F.linear(F.linear(x, self.down), self.up)

    def merged(self) -> nn.Linear:
        """Return the linear layer with the product added to its weights."""
        self.base.weight.data += self.scale * (self.up.detach() @ self.down.detach())
        return self.base


def adapt(model: Kronos, stage: ModelStage, where: str) -> None:
    """Freeze what the stage freezes and put low-rank products beside the layers that it names, in place.

    Raises:
        SpecError: a name that this model does not have, or nothing is left to train.
    """
    model.requires_grad_(True)
    model.time_emb.requires_grad_(model.config.learn_te)
    if stage.lora is not None:
        model.requires_grad_(False)
        add_products(model, stage.lora, where)
    for entry in stage.freeze:
        for module in frozen_modules(model, entry, where):
            module.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise SpecError(f"{where}: nothing is left to train", fix="freeze less")


def frozen_modules(model: Kronos, entry: Frozen, where: str) -> list[nn.Module]:
    """Return what an entry of ``freeze`` names: a part, or ``{layers: 3}``, ``{layers: 0-5}``.

    Raises:
        SpecError: the model has no such layers.
    """
    if isinstance(entry, str):
        return [getattr(model, name) for name in MODULES[entry]]
    first, _, last = entry["layers"].partition("-")
    span = range(int(first), int(last or first) + 1)
    if span and span[-1] < len(model.transformer):
        return [model.transformer[number] for number in span]
    raise SpecError(
        f"{where}.freeze: got layers: {entry['layers']}",
        expected=f"layers: 0-{len(model.transformer) - 1}, or some of them",
    )


def add_products(model: Kronos, lora: Lora, where: str) -> None:
    """Put a low-rank product beside every linear layer of the blocks whose name is among the targets.

    Raises:
        SpecError: no layer has one of the names.
    """
    found = set()
    for block in model.transformer.modules():
        for name, layer in list(block.named_children()):
            if name in lora.targets and isinstance(layer, nn.Linear):
                setattr(block, name, LowRank(layer, lora.rank, lora.alpha))
                found.add(name)
    if unknown := sorted(set(lora.targets) - found):
        there = {
            name.rpartition(".")[2]
            for name, layer in model.transformer.named_modules()
            if isinstance(layer, nn.Linear) and not name.endswith(".base")
        }
        raise SpecError(
            f"{where}.lora.targets names {', '.join(unknown)}, which the blocks do not have",
            expected=f"some of {', '.join(sorted(there | found))}",
        )


def merge_products(model: Kronos) -> None:
    """Turn every low-rank product back into a plain layer, in place; a model without any stays as it is."""
    for block in list(model.modules()):
        for name, layer in list(block.named_children()):
            if isinstance(layer, LowRank):
                setattr(block, name, layer.merged())


def trained_share(parameters: Sequence[nn.Parameter]) -> tuple[int, int]:
    """Return how many numbers are trained, and of how many."""
    return sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)
