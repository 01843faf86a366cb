"""The two stages: what the tokenizer and the model learn from a batch, and what they are worth on held-out ones.

Fine-tuning may take a part of a model: frozen modules, and low-rank products beside frozen weights (LoRA). Written here
rather than taken from peft: that brings transformers and accelerate with it, for what is forty lines on plain linear
layers. Products are merged into the weights when training is over, so a checkpoint looks like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenario_gen.errors import SpecError
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.representation import Increments, Representation
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.progress import Progress
from scenario_gen.training.config import Frozen, Lora, ModelStage, StageConfig, TokenizerStage, TrainConfig
from scenario_gen.training.data import WindowSampler
from scenario_gen.training.stage import StageFiles, StageResult, run_stage
from scenario_gen.training.start import Start
from scenario_gen.training.workers import Workers

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


LARGEST = 6.0  # asinh units: a step of 200 volatilities; beyond it sinh gives gradients without bounds


def distance_of_shapes(decoded: Tensor, real: Tensor, representation: Representation) -> Tensor:
    """Return the mean squared distance between sorted features over windows and features, a scalar.

    Args:
        decoded: features [B, T, d].
        real: features [B, T, d] that they were decoded for.
        representation: with ``increments`` the bar's whole return counts as one feature more, since the errors of
            gap and body could add up in it.
    """
    difference = _shape(decoded, representation) - _shape(real, representation)
    return difference.square().mean()


def _shape(features: Tensor, representation: Representation) -> Tensor:
    if isinstance(representation, Increments):
        features = torch.cat((features, _bar_return(features, representation)), dim=-1)
    return features.sort(dim=1).values


def _bar_return(features: Tensor, representation: Increments) -> Tensor:
    """Return asinh of gap plus body in volatilities [B, T, 1], in the unit of a body feature."""
    mean, std = (features.new_tensor(x[:2]) for x in (representation.mean, representation.std))
    raw = (features[..., :2] * std + mean).clamp(-LARGEST, LARGEST)
    length = (raw[..., 0].abs() - representation.gapless).clamp_min(0)
    total = torch.sinh(length) * raw[..., 0].sign() + torch.sinh(raw[..., 1])
    return (torch.asinh(total) / std[1]).unsqueeze(-1)


# --- The two stages ---


VALIDATION_BATCHES = 4
NATS_BATCHES = 8
Samplers = dict[str, WindowSampler]


@dataclass(frozen=True)
class Workshop:
    """Where and with what a run trains."""

    config: TrainConfig  # of the run
    samplers: Samplers  # of training and held-out windows, by part
    folder: Path  # where state and metrics go
    resume: bool  # go on from saved states
    device: torch.device  # of networks and batches
    ranks: Workers  # processes that train together
    progress: Progress  # who hears of stages and steps

    def products_in(self, stage: StageConfig) -> torch.autocast:
        """Return the context in which products of a stage have its dtype."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=stage.dtype == "bfloat16")

    def train(
        self,
        name: str,
        network: Kronos | KronosTokenizer,
        stage: StageConfig,
        parts: Callable[[WindowSampler, int], dict[str, Tensor]],
    ) -> StageResult:
        """Run one stage on ``parts`` of its batches and leave the network frozen."""
        mine = replace(self.samplers["train"], rank=self.ranks.rank, ranks=self.ranks.count)
        self.ranks.share(network)
        with self.progress.stage(f"training the {name}", stage.steps) as advance:
            outcome = run_stage(
                name,
                network,
                stage,
                lambda step: parts(mine, step),
                lambda: _means(lambda step: parts(self.samplers["later"], step), "later_"),
                StageFiles.under(self.folder, name),
                resume=self.resume,
                advance=advance,
                ranks=self.ranks,
            )
        if stage.patience is not None:
            self.progress.note(
                f"{name}: {outcome.steps} steps, kept the weights after {outcome.kept}, which held-out bars like best"
            )
        network.eval().requires_grad_(False)
        return outcome


@torch.no_grad()
def _means(parts: Callable[[int], dict[str, Tensor]], prefix: str) -> dict[str, float]:
    """Average a loss over the first held-out batches."""
    rows = [parts(step) for step in range(VALIDATION_BATCHES)]
    return {prefix + name: float(np.mean([float(row[name]) for row in rows])) for name in rows[0]}


def train_tokenizer(shop: Workshop, stage: TokenizerStage, start: Start) -> tuple[KronosTokenizer, StageResult]:
    """Train a tokenizer, a new one or the one to start from."""
    where = f"{shop.config.name}: tokenizer.shape"
    tokenizer = start.tokenizer or KronosTokenizer(TokenizerConfig.from_mapping(stage.shape or {}, where))
    tokenizer.to(shop.device).requires_grad_(True).train()

    def parts(sampler: WindowSampler, step: int) -> dict[str, Tensor]:
        x = torch.from_numpy(sampler.batch(step, stage.batch).features).to(shop.device)
        with shop.products_in(stage):
            loss = tokenizer.loss(x)
        parts = {"loss": loss.total, "coarse_mse": loss.coarse, "fine_mse": loss.fine}
        if stage.match:
            parts["match"] = distance_of_shapes(loss.decoded, x, sampler.representation)
            parts["loss"] = parts["loss"] + stage.match * parts["match"]
        return parts

    return tokenizer, shop.train("tokenizer", tokenizer, stage, parts)


def train_model(
    shop: Workshop, stage: ModelStage, tokenizer: KronosTokenizer, start: Start
) -> tuple[Kronos, StageResult]:
    """Train a model, a new one or the one to start from, whole or in part."""
    where = f"{shop.config.name}: model"
    model = start.model or Kronos(ModelConfig.from_mapping(stage.shape or {}, f"{where}.shape"))
    adapt(model, stage, where)
    model.to(shop.device).train()
    trained, whole = trained_share(list(model.parameters()))
    if trained < whole:
        shop.progress.note(f"{trained:,} of {whole:,} numbers of the model are trained")

    def parts(sampler: WindowSampler, step: int) -> dict[str, Tensor]:
        with shop.products_in(stage):
            s1, s2 = model_losses(model, tokenizer, sampler, step, stage.batch)
        return {"loss": s1 + s2, "s1_nats": s1.detach(), "s2_nats": s2.detach()}

    outcome = shop.train("model", model, stage, parts)
    merge_products(model)
    return model, outcome


def model_losses(
    model: Kronos, tokenizer: KronosTokenizer, sampler: WindowSampler, step: int, size: int
) -> tuple[Tensor, Tensor]:
    """Return nats per bar of s1 and s2 on the sampler's batch of this step, in the training form."""
    device = next(model.parameters()).device
    batch = sampler.batch(step, size)
    # in float32: a bit near its border must not depend on the training's dtype
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        s1, s2 = tokenizer.encode(torch.from_numpy(batch.features).to(device))
    stamps, weight = (torch.from_numpy(x).to(device) for x in (batch.stamps, batch.weight))
    return model.loss(s1, s2, stamps, weight)


@torch.no_grad()
def held_out_nats(model: Kronos, tokenizer: KronosTokenizer, samplers: Samplers, batch: int) -> dict[str, float]:
    """Return nats per bar on later bars, on unseen instruments if any are held out, and at a uniform guess."""
    out = {"uniform": float(np.log(2.0) * (model.config.s1_bits + model.config.s2_bits))}
    for part in sorted(set(samplers) - {"train"}):
        pairs = [model_losses(model, tokenizer, samplers[part], step, batch) for step in range(NATS_BATCHES)]
        out[part] = round(float(np.mean([float(s1 + s2) for s1, s2 in pairs])), 4)
    return out
