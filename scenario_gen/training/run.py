"""The training story: data, tokenizer stage, cell volumes, model stage, held-out figures, card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scenario_gen.errors import CheckpointError
from scenario_gen.execute.progress import Progress
from scenario_gen.kronos.checkpoint import Checkpoint, save_checkpoint
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.representation import Increments, Levels, Representation
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.training.card import write_card
from scenario_gen.training.config import TrainConfig, load_config
from scenario_gen.training.data import Series, WindowSampler, feature_moments, load_series
from scenario_gen.training.stage import StageFiles, run_stage

VALIDATION_BATCHES = 4


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
        SpecError: the config is wrong.
        DataError: the data cannot be used.
        CheckpointError: the folder holds a finished or begun training and ``resume`` is off.
    """
    config, digest = load_config(config_path)
    folder = out or Path("runs") / config.name
    _refuse_to_overwrite(folder, resume)
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)  # the only use: initial weights
    device = torch.device("cuda" if config.device == "auto" and torch.cuda.is_available() else "cpu")
    if config.device not in ("auto", device.type):
        device = torch.device(config.device)
    source = config.data.model_copy(update={"folder": str(data.resolve())}) if data else config.data
    series = load_series(source, config_path.parent, config.window.bars)
    progress.note(f"{len(series)} series, {sum(len(s.values) for s in series):,} bars")

    representation = _fit_representation(config, series)
    samplers = {part: _sampler(config, series, representation, part) for part in ("train", "later", "unseen")}
    tokenizer, tokenizer_seconds = _train_tokenizer(config, samplers, folder, resume, device, progress)
    model, model_seconds = _train_model(config, tokenizer, samplers, folder, resume, device, progress)
    checkpoint = Checkpoint(
        name=config.name,
        model=model,
        tokenizer=tokenizer,
        representation=representation,
        max_context=config.window.bars,  # positions beyond it were never trained
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
    save_checkpoint(checkpoint, folder)
    write_card(folder, checkpoint)
    (folder / "config.yaml").write_text(config_path.read_text(encoding="utf-8"), encoding="utf-8")
    return checkpoint


def _refuse_to_overwrite(folder: Path, resume: bool) -> None:
    if resume or not any((folder / name).exists() for name in ("scenario_gen.json", "tokenizer.state.pt")):
        return
    raise CheckpointError(
        f"{folder} already holds a training run",
        fix="pass --resume to go on with it, or --out with another folder",
    )


def _fit_representation(config: TrainConfig, series: list[Series]) -> Representation:
    """Standardise raw features over training windows with volume; levels need nothing of the kind."""
    if config.representation == "levels":
        return Levels()
    window = config.window.model_copy(update={"volume_dropout": 0.0})
    priced = [s for s in series if s.has_volume]
    raw = WindowSampler(priced, window, Increments(), "train", config.data.group_power, config.seed)
    mean, std = feature_moments(raw, batches=16, size=32)
    return Increments(mean, std)


def _sampler(
    config: TrainConfig, series: list[Series], representation: Representation, part: str
) -> WindowSampler:
    return WindowSampler(series, config.window, representation, part, config.data.group_power, config.seed)  # type: ignore[arg-type]


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
        loss = tokenizer.loss(torch.from_numpy(sampler.batch(step, stage.batch).features).to(device))
        return {"loss": loss.total, "coarse_mse": loss.coarse, "fine_mse": loss.fine}

    with progress.stage("training the tokenizer", stage.steps) as advance:
        seconds = run_stage(
            "tokenizer",
            tokenizer,
            stage,
            lambda step: parts(samplers["train"], step),
            lambda: _means(lambda step: parts(samplers["later"], step), "later_"),
            StageFiles.under(folder, "tokenizer"),
            resume=resume,
            advance=advance,
        )
    tokenizer.eval().requires_grad_(False)
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
        s1, s2 = model_losses(model, tokenizer, sampler, step, stage.batch)
        return {"loss": s1 + s2, "s1_nats": s1.detach(), "s2_nats": s2.detach()}

    with progress.stage("training the model", stage.steps) as advance:
        seconds = run_stage(
            "model",
            model,
            stage,
            lambda step: parts(samplers["train"], step),
            lambda: _means(lambda step: parts(samplers["later"], step), "later_"),
            StageFiles.under(folder, "model"),
            resume=resume,
            advance=advance,
        )
    model.eval().requires_grad_(False)
    return model, seconds


def model_losses(
    model: Kronos, tokenizer: KronosTokenizer, sampler: WindowSampler, step: int, size: int
) -> tuple[Tensor, Tensor]:
    """Return nats per bar of s1 and s2 on the sampler's batch of this step."""
    device = next(model.parameters()).device
    batch = sampler.batch(step, size)
    with torch.no_grad():
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
    """Return nats per bar on later bars and on unseen instruments, trained and at a uniform guess."""
    out = {"uniform": float(np.log(2.0) * (model.config.s1_bits + model.config.s2_bits))}
    for part in ("later", "unseen"):
        pairs = [
            model_losses(model, tokenizer, samplers[part], step, config.model.batch) for step in range(8)
        ]
        out[part] = round(float(np.mean([float(s1 + s2) for s1, s2 in pairs])), 4)
    return out


@torch.no_grad()
def cell_log_volumes(
    tokenizer: KronosTokenizer, sampler: WindowSampler, size: int, batches: int = 64
) -> Tensor:
    """Return the log volume of each s1 cell in feature space, float32 [2^s1_bits].

    The volume is the product over features of the members' standard deviation, floored at a fiftieth of a unit
    and shrunk to all bars' spread by ten pseudo-members, so that a rare cell is not taken for an empty one.
    """
    device = next(tokenizer.parameters()).device
    rows, cells = [], []
    for step in range(batches):
        features = torch.from_numpy(sampler.batch(step, size).features).to(device)
        cells.append(tokenizer.encode(features)[0].flatten())
        rows.append(features.flatten(0, 1))
    x, cell = torch.cat(rows).double(), torch.cat(cells)
    n_cells = 2**tokenizer.config.s1_bits
    count = torch.zeros(n_cells, dtype=torch.float64).index_add_(
        0, cell, torch.ones(len(cell), dtype=torch.float64)
    )
    mean = (
        torch.zeros(n_cells, x.shape[1], dtype=torch.float64).index_add_(0, cell, x)
        / count.clamp_min(1)[:, None]
    )
    spread = torch.zeros_like(mean).index_add_(0, cell, (x - mean[cell]).square())
    typical = spread.sum(0) / count.sum()  # mean within-cell variance of each feature
    variance = (spread + 10 * typical) / (count + 10)[:, None]
    return 0.5 * variance.clamp_min(0.02**2).log().sum(1).float()


def describe_series(series: list[Series]) -> list[dict[str, object]]:
    """Return one row per (class, frequency): series, bars trained on, first and last date trained on."""
    rows: dict[tuple[str, str], list[Series]] = {}
    for one in series:
        rows.setdefault((one.asset_class, one.frequency), []).append(one)
    return [
        {
            "class": key[0],
            "frequency": key[1],
            "series": sum(s.train_end > 0 for s in group),
            "held_out_series": sum(s.train_end == 0 for s in group),
            "bars": sum(s.train_end for s in group),
            "first": str(min(np.datetime64(int(s.wall_ns[0]), "ns") for s in group))[:10],
            "last": str(max(np.datetime64(int(s.wall_ns[max(s.train_end - 1, 0)]), "ns") for s in group))[
                :10
            ],
        }
        for key, group in sorted(rows.items())
    ]
