"""The training story: data, tokenizer stage, cell volumes, model stage, held-out figures, card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scenario_gen.errors import CheckpointError
from scenario_gen.execute.progress import Progress
from scenario_gen.kronos.checkpoint import Checkpoint, save_checkpoint
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
from scenario_gen.kronos.device import choose_device
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.representation import Increments, Levels, Representation
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.training.card import write_card
from scenario_gen.training.config import StageConfig, TrainConfig, load_config
from scenario_gen.training.data import Part, Series, WindowSampler, feature_moments, load_series
from scenario_gen.training.record import cell_log_volumes, describe_series
from scenario_gen.training.shapes import distance_of_shapes
from scenario_gen.training.stage import StageFiles, run_stage

VALIDATION_BATCHES = 4
CONFIG_COPY = "config.yaml"


def train(
    config_path: Path, *, out: Path | None, data: Path | None, resume: bool, progress: Progress
) -> Checkpoint:
    """Train a checkpoint from scratch and write it, its metrics and its card to a folder.

    Args:
        config_path: YAML training config.
        out: folder to write; default ``runs/<name>``.
        data: folder with the manifest; default: the config's own, relative to the config file.
        resume: go on from the last saved step of each stage.
        progress: who is told of stages and steps.

    Raises:
        SpecError: the config is wrong, or its device is not on this machine.
        DataError: the data cannot be used.
        CheckpointError: the folder holds a finished or begun training and ``resume`` is off, or it was begun with
            another config, or cannot be written; or the loss is no longer finite.
    """
    config, digest = load_config(config_path)
    device = choose_device(config.device, f"{config.name}: device")
    folder = out or Path("runs") / config.name
    text = config_path.read_bytes()
    _refuse_to_overwrite(folder, text, resume)
    source = config.data.model_copy(update={"folder": str(data.resolve())}) if data else config.data
    series = load_series(source, config_path.parent, config.window.bars)
    progress.note(f"{len(series)} series, {sum(len(s.values) for s in series):,} bars")
    samplers = _samplers(config, series)
    _make_folder(folder, text)
    with _torch_set_up(config, device):
        checkpoint = _learn(config, digest, series, samplers, folder, resume, device, progress)
    save_checkpoint(checkpoint, folder)
    write_card(folder, checkpoint)
    return checkpoint


def _learn(
    config: TrainConfig,
    digest: str,
    series: list[Series],
    samplers: dict[str, WindowSampler],
    folder: Path,
    resume: bool,
    device: torch.device,
    progress: Progress,
) -> Checkpoint:
    """Train both stages, one after the other, and measure what came out."""
    tokenizer, tokenizer_seconds = _train_tokenizer(config, samplers, folder, resume, device, progress)
    model, model_seconds = _train_model(config, tokenizer, samplers, folder, resume, device, progress)
    return Checkpoint(
        name=config.name,
        model=model,
        tokenizer=tokenizer,
        representation=samplers["train"].representation,
        max_context=config.window.bars,
        dependency_form="train",
        cell_log_volume=cell_log_volumes(tokenizer, samplers["train"], config.tokenizer.batch),
        provenance={
            "config_sha256": digest,
            "seed": config.seed,
            "trained_on": describe_series(series),
            "tokenizer_cpu_seconds": round(tokenizer_seconds),
            "model_cpu_seconds": round(model_seconds),
            "held_out_nats": held_out_nats(model, tokenizer, samplers, config),
        },
    )


def _products_in(stage: StageConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=stage.dtype == "bfloat16")


@contextmanager
def _torch_set_up(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Seed initial weights and dropout and set the threads, and leave both as they were for the caller."""
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(config.seed)  # batches do not depend on it
            yield
    finally:
        torch.set_num_threads(threads)


def _refuse_to_overwrite(folder: Path, text: bytes, resume: bool) -> None:
    """Let nothing replace a training run, nor go on with it under another config."""
    if not any((folder / name).exists() for name in ("scenario_gen.json", "tokenizer.state.pt")):
        return
    if not resume:
        raise CheckpointError(
            f"{folder} already holds a training run",
            fix="pass --resume to go on with it, or --out with another folder",
        )
    kept = folder / CONFIG_COPY
    if not kept.exists() or kept.read_bytes() != text:
        raise CheckpointError(
            f"{folder} was begun with another config: {kept} {'differs' if kept.exists() else 'is missing'}",
            expected="the config that the run was begun with, byte for byte",
            fix=f"train from {kept}, or pass --out with another folder",
        )


def _make_folder(folder: Path, text: bytes) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_COPY).write_bytes(text)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be written: {error}", fix="pass --out with a writable folder"
        ) from None


def _samplers(config: TrainConfig, series: list[Series]) -> dict[str, WindowSampler]:
    """Return a sampler per part; a part without room for a window is found out now, not after training.

    Raises:
        DataError: no series is long enough for a part.
    """
    representation = _fit_representation(config, series)
    parts: list[Part] = ["train", "later"]
    if any(one.train_end == 0 for one in series):
        parts.append("unseen")
    samplers: dict[str, WindowSampler] = {
        part: WindowSampler(series, config.window, representation, part, config.data.group_power, config.seed)
        for part in parts
    }
    for sampler in samplers.values():
        sampler.weights()
    return samplers


def _fit_representation(config: TrainConfig, series: list[Series]) -> Representation:
    """Standardise raw features over training windows with volume; levels need nothing of the kind."""
    if config.representation == "levels":
        return Levels()
    window = config.window.model_copy(update={"volume_dropout": 0.0})
    priced = [s for s in series if s.has_volume and s.train_end > window.bars]
    atoms = config.atoms.model_dump()
    raw = WindowSampler(
        priced or series, window, Increments(**atoms), "train", config.data.group_power, config.seed
    )
    mean, std = feature_moments(raw, batches=16, size=32)
    return Increments(mean, std, **atoms)


def _train_tokenizer(
    config: TrainConfig,
    samplers: dict[str, WindowSampler],
    folder: Path,
    resume: bool,
    device: torch.device,
    progress: Progress,
) -> tuple[KronosTokenizer, float]:
    stage = config.tokenizer
    where = f"{config.name}: tokenizer.shape"
    tokenizer = KronosTokenizer(TokenizerConfig.from_mapping(stage.shape, where)).to(device).train()

    def parts(sampler: WindowSampler, step: int) -> dict[str, Tensor]:
        x = torch.from_numpy(sampler.batch(step, stage.batch).features).to(device)
        with _products_in(stage, device):
            loss = tokenizer.loss(x)
        parts = {"loss": loss.total, "coarse_mse": loss.coarse, "fine_mse": loss.fine}
        if stage.match:
            parts["match"] = distance_of_shapes(loss.decoded, x, sampler.representation)
            parts["loss"] = parts["loss"] + stage.match * parts["match"]
        return parts

    seconds = _train_network("tokenizer", tokenizer, stage, parts, samplers, folder, resume, progress)
    return tokenizer, seconds


def _train_model(
    config: TrainConfig,
    tokenizer: KronosTokenizer,
    samplers: dict[str, WindowSampler],
    folder: Path,
    resume: bool,
    device: torch.device,
    progress: Progress,
) -> tuple[Kronos, float]:
    stage = config.model
    shape = ModelConfig.from_mapping(stage.shape, f"{config.name}: model.shape")
    model = Kronos(shape).to(device).train()

    def parts(sampler: WindowSampler, step: int) -> dict[str, Tensor]:
        with _products_in(stage, device):
            s1, s2 = model_losses(model, tokenizer, sampler, step, stage.batch)
        return {"loss": s1 + s2, "s1_nats": s1.detach(), "s2_nats": s2.detach()}

    seconds = _train_network("model", model, stage, parts, samplers, folder, resume, progress)
    return model, seconds


def _train_network(
    name: str,
    network: Kronos | KronosTokenizer,
    stage: StageConfig,
    parts: Callable[[WindowSampler, int], dict[str, Tensor]],
    samplers: dict[str, WindowSampler],
    folder: Path,
    resume: bool,
    progress: Progress,
) -> float:
    """Run one stage on ``parts`` of its batches, leave the network frozen, and return the processor time."""
    with progress.stage(f"training the {name}", stage.steps) as advance:
        seconds = run_stage(
            name,
            network,
            stage,
            lambda step: parts(samplers["train"], step),
            lambda: _means(lambda step: parts(samplers["later"], step), "later_"),
            StageFiles.under(folder, name),
            resume=resume,
            advance=advance,
        )
    network.eval().requires_grad_(False)
    return seconds


def model_losses(
    model: Kronos, tokenizer: KronosTokenizer, sampler: WindowSampler, step: int, size: int
) -> tuple[Tensor, Tensor]:
    """Return nats per bar of s1 and s2 on the sampler's batch of this step."""
    device = next(model.parameters()).device
    batch = sampler.batch(step, size)
    # in float32: a bit near its border must not depend on the training's dtype
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        s1, s2 = tokenizer.encode(torch.from_numpy(batch.features).to(device))
    stamps, weight = (torch.from_numpy(x).to(device) for x in (batch.stamps, batch.weight))
    return model.loss(s1, s2, stamps, weight)


@torch.no_grad()
def _means(parts: Callable[[int], dict[str, Tensor]], prefix: str) -> dict[str, float]:
    """Average a loss over the first held-out batches."""
    rows = [parts(step) for step in range(VALIDATION_BATCHES)]
    return {prefix + name: float(np.mean([float(row[name]) for row in rows])) for name in rows[0]}


@torch.no_grad()
def held_out_nats(
    model: Kronos, tokenizer: KronosTokenizer, samplers: dict[str, WindowSampler], config: TrainConfig
) -> dict[str, float]:
    """Return nats per bar on later bars, on unseen instruments if any are held out, and at a uniform guess."""
    out = {"uniform": float(np.log(2.0) * (model.config.s1_bits + model.config.s2_bits))}
    for part in sorted(set(samplers) - {"train"}):
        pairs = [
            model_losses(model, tokenizer, samplers[part], step, config.model.batch) for step in range(8)
        ]
        out[part] = round(float(np.mean([float(s1 + s2) for s1, s2 in pairs])), 4)
    return out
