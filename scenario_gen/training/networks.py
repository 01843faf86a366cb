"""The two stages: what the tokenizer and the model learn from a batch, and what they are worth on held-out ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.representation import Increments, Representation
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.progress import Progress
from scenario_gen.training.adapt import adapt, merge_products, trained_share
from scenario_gen.training.config import ModelStage, StageConfig, TokenizerStage, TrainConfig
from scenario_gen.training.data import WindowSampler
from scenario_gen.training.stage import StageFiles, StageResult, run_stage
from scenario_gen.training.start import Start
from scenario_gen.training.workers import Workers

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
