"""One training stage: AdamW, warm-up and cosine decay, averaged weights, resumable, a JSON line per report.

Knows a loss function of (batch, step) and a network; not what they mean.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scenario_gen.errors import CheckpointError
from scenario_gen.training.config import StageConfig

LossFunction = Callable[[int], dict[str, Tensor]]
BLOCKS = frozenset({"transformer", "encoder", "decoder", "dep_layer"})  # modules whose matrices Muon takes


@dataclass(frozen=True)
class StageFiles:
    """Where a stage writes: its state for resuming, and its metrics."""

    state: Path
    metrics: Path

    @classmethod
    def under(cls, folder: Path, stage: str) -> StageFiles:
        """Name the files of a stage inside a training folder."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder / f"{stage}.state.pt", folder / "metrics.jsonl")


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
            (
                torch.optim.AdamW(others, config.learning_rate, (0.9, 0.95), weight_decay=decay),
                config.learning_rate,
            )
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


class WeightAverage:
    """Running average of the weights, with the bias of its start removed by a growing decay."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in network.named_parameters()}

    def update(self, network: nn.Module, step: int) -> None:
        """Fold in the network's present weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, p in network.named_parameters():
                self.values[name].lerp_(p.detach(), 1 - decay)

    def copy_to(self, network: nn.Module) -> None:
        """Overwrite the network's weights by the average."""
        with torch.no_grad():
            for name, p in network.named_parameters():
                p.copy_(self.values[name])


def run_stage(
    stage: str,
    network: nn.Module,
    config: StageConfig,
    losses: LossFunction,
    validate: Callable[[], dict[str, float]],
    files: StageFiles,
    *,
    resume: bool,
    advance: Callable[[int], None],
) -> float:
    """Train ``network`` in place and leave it with its averaged weights; return the seconds of processor time.

    ``losses(step)`` gives named scalar tensors; ``loss`` is the one that is minimised. ``advance(n)`` is told of
    finished steps. On a CPU a run that was stopped and resumed ends with the same bits as one that was not.

    Raises:
        CheckpointError: the saved state cannot be used, or the loss is not finite.
    """
    optimizer = Optimizer(network, config)
    average = WeightAverage(network, config.average)
    start, spent = _restore(files.state, network, optimizer, average) if resume else (0, 0.0)
    _drop_later_lines(files.metrics, stage, start)
    advance(start)
    began = time.process_time()
    for step in range(start, config.steps):
        parts = losses(step)
        parts["loss"].backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        _stop_if_lost(stage, step, norm)
        optimizer.step(step)
        average.update(network, step)
        advance(1)
        _report(
            stage,
            step,
            config,
            parts,
            norm,
            files.metrics,
            spent + time.process_time() - began,
            lambda: _judge(network, validate),
        )
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            _save(files.state, network, optimizer, average, step + 1, spent + time.process_time() - began)
    average.copy_to(network)
    return spent + time.process_time() - began


def _judge(network: nn.Module, validate: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Run the validation without dropout, which also leaves the random state as it was."""
    network.eval()
    try:
        return validate()
    finally:
        network.train()


def _stop_if_lost(stage: str, step: int, norm: Tensor) -> None:
    if not bool(torch.isfinite(norm)):
        raise CheckpointError(
            f"the {stage} stage: loss or gradient is not finite at step {step + 1}",
            expected="a loss that falls",
            fix=f"lower {stage}.learning_rate or {stage}.clip_norm, and train without --resume in a new folder",
        )


def _drop_later_lines(metrics: Path, stage: str, start: int) -> None:
    """Remove lines of steps that are about to be done again, and a line that a kill cut short."""
    if not metrics.exists():
        return
    kept = []
    for text in metrics.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if line["stage"] != stage or line["step"] <= start:
            kept.append(text + "\n")
    metrics.write_text("".join(kept), encoding="utf-8")


def _report(
    stage: str,
    step: int,
    config: StageConfig,
    parts: dict[str, Tensor],
    norm: Tensor,
    metrics: Path,
    seconds: float,
    validate: Callable[[], dict[str, float]],
) -> None:
    """Append a JSON line every 50 steps, with held-out figures every ``validate_every`` and at the end."""
    last = step + 1 == config.steps
    if (step + 1) % 50 and not last:
        return
    line: dict[str, Any] = {"stage": stage, "step": step + 1, "cpu_seconds": round(seconds, 1)}
    line |= {name: round(float(value.detach()), 5) for name, value in parts.items()}
    line |= {
        "grad_norm": round(float(norm), 4),
        "learning_rate": config.learning_rate * rate_share(config, step),
    }
    if (step + 1) % config.validate_every == 0 or last:
        line |= {name: round(value, 5) for name, value in validate().items()}
    with metrics.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def _save(
    path: Path,
    network: nn.Module,
    optimizer: Optimizer,
    average: WeightAverage,
    step: int,
    seconds: float,
) -> None:
    state = {
        "network": network.state_dict(),
        "optimizer": optimizer.state(),
        "average": average.values,
        "step": step,
        "seconds": seconds,
        "random": torch.get_rng_state(),  # dropout draws from it
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def _restore(
    path: Path, network: nn.Module, optimizer: Optimizer, average: WeightAverage
) -> tuple[int, float]:
    """Return the next step and the processor time spent so far; (0, 0) where nothing was saved."""
    if not path.exists():
        return 0, 0.0
    try:
        state = torch.load(path, weights_only=True, map_location=next(network.parameters()).device)
        network.load_state_dict(state["network"])
        optimizer.restore(state["optimizer"])
        average.values = state["average"]
        torch.set_rng_state(state["random"].cpu())
    except Exception as error:  # a torn or foreign file can raise nearly anything
        raise CheckpointError(
            f"{path} cannot be resumed: {error}",
            fix="delete it to start the stage again, or train without --resume",
        ) from None
    return int(state["step"]), float(state["seconds"])
