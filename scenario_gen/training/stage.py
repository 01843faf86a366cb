"""One training stage: warm-up and cosine decay, averaged weights, early stop, resumable, a JSON line per report.

Knows a loss function of (batch, step) and a network; not what they mean. Held-out figures are those of the averaged
weights, which are what a stage leaves.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scenario_gen.errors import CheckpointError
from scenario_gen.files import atomic, write_bytes
from scenario_gen.training.config import StageConfig
from scenario_gen.training.workers import Workers

BLOCKS = frozenset({"transformer", "encoder", "decoder", "dep_layer"})  # modules whose matrices Muon takes


def rate_share(config: StageConfig, step: int) -> float:
    """Return the share of the peak rate at a step.

    A linear warm-up, then a cosine down to ``final_rate`` at the last step, or at ``cosine_steps``, which it leaves at
    ``cool_from`` for a straight line that ends at the last step.
    """
    if step < config.warmup:
        return (step + 1) / config.warmup
    reached = step if config.cool_from is None else min(step, config.cool_from)
    done = (reached - config.warmup) / max(1, (config.cosine_steps or config.steps) - config.warmup)
    share = config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    cooled = (step - reached) / max(1, config.steps - reached)
    return share + (config.final_rate - share) * cooled


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


# Copies of the trained weights beside the network: their running average, and the best average so far


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


# --- One training stage ---


LossFunction = Callable[[int], dict[str, Tensor]]
Validation = Callable[[], dict[str, float]]
REPORT_EVERY = 50  # steps
METRICS = "metrics.jsonl"
HELD_OUT_LOSS = "later_loss"  # the figure of a validation that an early stop goes by


@dataclass(frozen=True)
class StageFiles:
    """Where a stage writes: its state for resuming, and its metrics."""

    state: Path
    metrics: Path

    @classmethod
    def under(cls, folder: Path, stage: str) -> StageFiles:
        """Name the files of a stage inside a training folder."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder / f"{stage}.state.pt", folder / METRICS)


@dataclass(frozen=True)
class StageResult:
    """How a stage ended."""

    seconds: float  # of processor time, of all processes
    steps: int  # that were done
    kept: int  # finished steps at the weights that were kept: fewer than done after an early stop


def run_stage(
    stage: str,
    network: nn.Module,
    config: StageConfig,
    losses: LossFunction,
    validate: Validation,
    files: StageFiles,
    *,
    resume: bool,
    advance: Callable[[int], None],
    ranks: Workers | None = None,
) -> StageResult:
    """Train ``network`` in place and leave it with its averaged weights.

    With ``patience`` the stage ends after so many judgements without a lower held-out loss and leaves the averaged
    weights of the lowest, perhaps those before the first step. On a CPU a run that was stopped and resumed ends
    with the same bits as one that was not.

    Args:
        stage: name, for messages and metrics.
        network: its parameters that require gradients are trained.
        config: how.
        losses: ``losses(step)`` gives named scalar tensors; ``loss`` is the one that is minimised.
        validate: held-out figures; an early stop goes by ``later_loss``.
        files: where to write.
        resume: go on from the saved state, if there is one.
        advance: is told of finished steps.
        ranks: processes that train together; the first one writes.

    Raises:
        CheckpointError: the saved state cannot be used, or the loss is not finite.
        StoreError, OSError: the disk refuses; what was saved before is still there.
    """
    ranks = ranks or Workers()
    run = _Run(network, config)
    start, spent = _restore(files.state, run) if resume else (0, 0.0)
    if ranks.first:
        _drop_later_lines(files.metrics, stage, start)
    advance(start)
    began, done = time.process_time(), start
    if run.best is not None and done == 0:
        run.judge(validate, 0, ranks)
    while done < config.steps and not run.has_waited_enough:
        parts = losses(done)
        parts["loss"].backward()
        ranks.average_gradients(network)
        norm = run.step(stage, done)
        done += 1
        advance(1)
        last = done == config.steps
        judged = run.judge(validate, done, ranks) if done % config.validate_every == 0 or last else {}
        told, saved = judged or done % REPORT_EVERY == 0, done % config.save_every == 0 or last or run.has_waited_enough
        if told or saved:  # the same steps on every rank: they add up their times together
            seconds = spent + ranks.total(time.process_time() - began)
        if ranks.first and told:
            line = {"stage": stage, "step": done, "cpu_seconds": round(seconds, 1)}
            _report(files.metrics, line, _figures(parts, judged, norm, config, done))
        if ranks.first and saved:
            _save(files.state, run, done, seconds)
    return StageResult(spent + ranks.total(time.process_time() - began), done, run.keep(done))


class _Run:
    """What changes while a stage runs, and is saved and restored together."""

    def __init__(self, network: nn.Module, config: StageConfig) -> None:
        self.network = network
        self.patience, self.clip_norm = config.patience, config.clip_norm
        self.optimizer = Optimizer(network, config)
        self.average = WeightAverage(network, config.average)
        self.best = None if config.patience is None else Best()

    @property
    def has_waited_enough(self) -> bool:
        """Whether so many judgements have passed without a better one."""
        return self.best is not None and self.patience is not None and self.best.since >= self.patience

    def step(self, stage: str, done: int) -> Tensor:
        """Move the weights along the gradients that stand, clipped; return their norm before that."""
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        _stop_if_lost(stage, done, norm)
        self.optimizer.step(done)
        self.average.update(self.network, done)
        return norm

    def judge(self, validate: Validation, done: int, ranks: Workers) -> dict[str, float]:
        """Return the held-out figures of the averaged weights; the random state stays as it was."""
        with self.average.applied(self.network):
            judged = validate()
        if self.best is not None:
            self.best.see(ranks.first_ones(judged[HELD_OUT_LOSS]), done, self.average)
        return judged

    def keep(self, done: int) -> int:
        """Leave the network with its averaged or best weights; return the finished steps at them."""
        (self.best or self.average).copy_to(self.network)
        return done if self.best is None else self.best.step


def _stop_if_lost(stage: str, step: int, norm: Tensor) -> None:
    if not bool(torch.isfinite(norm)):
        raise CheckpointError(
            f"the {stage} stage: loss or gradient is not finite at step {step + 1}",
            expected="a loss that falls",
            fix=f"lower {stage}.learning_rate or {stage}.clip_norm, and train without --resume in a new folder",
        )


def _drop_later_lines(metrics: Path, stage: str, start: int) -> None:
    """Remove lines of steps that are about to be done again, and those that cannot be read, as a kill leaves one."""
    kept = [
        text + "\n"
        for text, line in _lines(metrics)
        if line is not None and (line["stage"] != stage or line["step"] <= start)
    ]
    if metrics.exists():
        write_bytes(metrics, "".join(kept).encode("utf-8"), "--out")


def damaged_lines(metrics: Path) -> int:
    """Return how many lines of a metrics file cannot be read, less the last one, which a kill may have cut short."""
    return sum(line is None for _, line in _lines(metrics)[:-1])


def _lines(metrics: Path) -> list[tuple[str, dict[str, Any] | None]]:
    """Return every line with what it holds; None where that is not what a stage reports."""
    if not metrics.exists():
        return []
    texts = metrics.read_text(encoding="utf-8", errors="replace").splitlines()
    return [(text, _line_of(text)) for text in texts]


def _line_of(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not isinstance(line.get("stage"), str) or type(line.get("step")) is not int:
        return None
    return line if all(isinstance(figure, int | float) for name, figure in line.items() if name != "stage") else None


def _figures(
    parts: dict[str, Tensor], judged: dict[str, float], norm: Tensor, config: StageConfig, done: int
) -> dict[str, float]:
    """Return what is reported of the last of so many steps."""
    figures = {name: float(value.detach()) for name, value in parts.items()} | judged
    return figures | {"grad_norm": float(norm), "learning_rate": config.learning_rate * rate_share(config, done - 1)}


def _report(metrics: Path, line: dict[str, Any], figures: dict[str, float]) -> None:
    """Append a JSON line."""
    line |= {name: value if name == "learning_rate" else round(value, 5) for name, value in figures.items()}
    with metrics.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def _save(path: Path, run: _Run, step: int, seconds: float) -> None:
    state = {
        "network": run.network.state_dict(),
        "optimizer": run.optimizer.state(),
        "average": run.average.values,
        "best": None if run.best is None else run.best.state(),
        "step": step,
        "seconds": seconds,
        "random": torch.get_rng_state(),  # dropout draws from it
    }
    with atomic(path, "--out") as partial, partial.open("wb") as handle:
        try:
            torch.save(state, handle)
        except RuntimeError as error:  # torch's writer says where it was, not what the disk said
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None
        handle.flush()
        os.fsync(handle.fileno())


def _restore(path: Path, run: _Run) -> tuple[int, float]:
    """Return the next step and the processor time spent so far; (0, 0) where nothing was saved."""
    if not path.exists():
        return 0, 0.0
    try:
        state = torch.load(path, weights_only=True, map_location=next(run.network.parameters()).device)
        run.network.load_state_dict(state["network"])
        run.optimizer.restore(state["optimizer"])
        run.average.values = state["average"]
        if run.best is not None:
            run.best.restore(state["best"])
        torch.set_rng_state(state["random"].cpu())
    except Exception as error:  # a torn or foreign file can raise nearly anything
        raise CheckpointError(
            f"{path} cannot be resumed: {error}", fix="delete it to start the stage again, or train without --resume"
        ) from None
    return int(state["step"]), float(state["seconds"])
