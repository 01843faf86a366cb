"""The training story: data, a start, tokenizer stage, cell volumes, model stage, held-out figures, and the card.

The model card says what a checkpoint was trained on and with, and what it was worth on bars it had not seen.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scenario_gen.errors import CheckpointError, SpecError, StoreError
from scenario_gen.files import disk_trouble, locked, remove_partials, write_bytes
from scenario_gen.kronos.checkpoint import OWN_FILES, Checkpoint, save_checkpoint
from scenario_gen.kronos.device import choose_device
from scenario_gen.kronos.representation import Increments, Levels, Representation
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.training.config import TrainConfig, load_config
from scenario_gen.training.data import Download, Part, Series, WindowSampler, feature_moments, load_series
from scenario_gen.training.networks import Samplers, Workshop, held_out_nats, train_model, train_tokenizer
from scenario_gen.training.stage import METRICS, StageResult, damaged_lines
from scenario_gen.training.start import (
    BEGUN_WITH,
    TOKENIZER_ALONE,
    Beginning,
    Start,
    cell_log_volumes,
    describe_series,
    open_start,
    save_tokenizer,
)
from scenario_gen.training.workers import Workers, joined
from scenario_gen.values import encode

NOT_EVALUATED = "Not evaluated yet beyond the likelihood above."


def write_card(folder: Path, checkpoint: Checkpoint, evaluation: str = "") -> Path:
    """Write MODEL_CARD.md beside the weights and return its path.

    Args:
        folder: the checkpoint's folder.
        checkpoint: as trained or loaded from there.
        evaluation: Markdown with held-out figures, if they were computed.

    Raises:
        StoreError: the disk refuses.
    """
    path = folder / "MODEL_CARD.md"
    write_bytes(path, card_text(checkpoint, evaluation).encode(), "folder")
    return path


def card_text(checkpoint: Checkpoint, evaluation: str = "") -> str:
    """Return the card as Markdown."""
    record = checkpoint.provenance
    parts = [
        f"# Kronos checkpoint `{checkpoint.name}`",
        _shape(checkpoint),
        "## Training data",
        _data_table(record.get("trained_on", [])),
        "The last share of every series and the held-out instruments were not trained on; between the two lies an "
        "embargo of one window. Units (volatility, volume) of every sample come from its context rows alone.",
        *_mixed(record),
        "## Training",
        *_start(record),
        _settings(record),
        "## Held-out likelihood",
        _nats(record.get("held_out_nats", {}), record.get("held_out_nats_before", {})),
        "## Held-out paths",
        evaluation or NOT_EVALUATED,
    ]
    return "\n\n".join(parts) + "\n"


def _shape(checkpoint: Checkpoint) -> str:
    model, tokenizer = checkpoint.model.config, checkpoint.tokenizer.config
    parameters = [sum(p.numel() for p in net.parameters()) for net in (checkpoint.model, checkpoint.tokenizer)]
    return (
        f"Representation `{checkpoint.representation.kind}`; {model.s1_bits}+{model.s2_bits} bits; model "
        f"{model.n_layers} layers, d_model {model.d_model}, {parameters[0]:,} parameters; tokenizer d_model "
        f"{tokenizer.d_model}, {parameters[1]:,} parameters; window {checkpoint.max_context} bars; dependency layer in "
        f"its {checkpoint.dependency_form} form, in training and sampling alike. Stored as "
        f"{checkpoint.provenance.get('weights', 'float32')} safetensors."
    )


def _data_table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "Not recorded."
    lines = [
        "| asset class | frequency | series | held-out series | bars trained on | from | to |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['class']} | {r['frequency']} | {r['series']} | {r['held_out_series']} | {r['bars']:,} "
        f"| {r['first']} | {r['last']} |"
        for r in rows
    ]
    total = sum(r["bars"] for r in rows)
    return "\n".join([*lines, f"| all | | {sum(r['series'] for r in rows)} | | {total:,} | | |"])


def _mixed(record: dict[str, Any]) -> list[str]:
    """Return what was mixed in, of which nothing was held out."""
    told = [f"{one['from']} ({one['share']:.0%} of the samples)" for one in record.get("mix", [])]
    return [f"Mixed in, with nothing of it held out: {', '.join(told)}."] if told else []


def _start(record: dict[str, Any]) -> list[str]:
    """Return what the checkpoint was trained on from, and what that had seen."""
    init = record.get("init")
    if not init:
        return []
    where = f" ({init['repository']}@{init['revision'][:12]})" if "repository" in init else ""
    seen = init.get("trained_on", [])
    bars = f"; it had been trained on {sum(r['bars'] for r in seen):,} bars up to {_last(seen)}" if seen else ""
    if init.get("part") == "tokenizer":
        return [f"The tokenizer is that of `{init['name']}`, as it was{bars}. The model began with nothing."]
    stages = " and ".join(record.get("stages", []))
    return [f"Trained on from `{init['name']}`{where}: {stages}{bars}. The table above is what came on top."]


def _last(rows: list[dict[str, Any]]) -> str:
    return max(str(row["last"]) for row in rows)


def _settings(record: dict[str, Any]) -> str:
    hours = [record.get(f"{stage}_cpu_seconds", 0) / 3600 for stage in ("tokenizer", "model")]
    data = f"data sha256 `{record['data_sha256']}`, " if "data_sha256" in record else ""
    return (
        f"`config.yaml` beside the weights, sha256 `{record.get('config_sha256', 'not recorded')}`, {data}seed "
        f"{record.get('seed', 'not recorded')}. Processor time: tokenizer {hours[0]:.2f} core-hours, model "
        f"{hours[1]:.2f} core-hours. Learning curves: `metrics.jsonl`. {record.get('remarks', '')}".rstrip()
    )


def _nats(nats: dict[str, float], before: dict[str, float]) -> str:
    if not nats:
        return "Not recorded."
    names = {
        "later": "later bars of seen instruments",
        "unseen": "instruments never seen",
        "uniform": "a uniform guess",
    }
    told = [f"{text} {nats[key]:.2f}{_from(before, key)}" for key, text in names.items() if key in nats]
    return f"Nats per bar of both tokens, on windows that were not trained on: {', '.join(told)}."


def _from(before: dict[str, float], part: str) -> str:
    return f" ({before[part]:.2f} before)" if part in before and part != "uniform" else ""


# --- The story ---


CONFIG_COPY = "config.yaml"
BEGUN = ("scenario_gen.json", TOKENIZER_ALONE, "tokenizer.state.pt", "model.state.pt")


@dataclass(frozen=True)
class Trained:
    """What a training run leaves."""

    folder: Path  # that it wrote
    checkpoint: Checkpoint | None  # usable as ``generator.model``; None where the tokenizer alone was trained


def finetune(config_path: Path, **options: Any) -> Trained:
    """Train on from a checkpoint; arguments and errors as of :func:`train`.

    Raises:
        SpecError: the config names no checkpoint to start from.
    """
    if load_config(config_path)[0].init is None:
        raise SpecError(
            f"{config_path}: init is missing: there is nothing to fine-tune",
            expected="init: nano, mini, small, base, a folder, or org/name@revision",
            fix="add init, or train from scratch with scenario-gen train",
        )
    return train(config_path, **options)


def train(
    config_path: Path,
    *,
    out: Path | None = None,
    data: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    download: Download | None = None,
) -> Trained:
    """Train a checkpoint, from scratch or from another, and write it, its metrics and its card to a folder.

    Under ``torchrun`` the processes train one checkpoint together; the first one writes it.

    Args:
        config_path: YAML training config.
        out: folder to write; default ``runs/<name>``.
        data: folder with a manifest, file or built-in history instead of the config's own places.
        resume: go on from the last saved step of each stage.
        progress: who is told of stages and steps.
        download: fetches vectorbt's data.

    Raises:
        SpecError: the config is wrong, or its device is not on this machine.
        DataError: the data cannot be used.
        CheckpointError: the start cannot be read; the folder holds a finished or begun training and ``resume`` is
            off, or it was begun with another config, other data or another start, or cannot be written (a full disk
            loses nothing that was saved); or the loss is no longer finite.
        StoreError: another training is at work in the folder, or the folder was deleted meanwhile.
    """
    config, digest = load_config(config_path)
    folder, text = out or Path("runs") / config.name, config_path.read_bytes()
    with joined() as ranks, ExitStack() as alone:
        if ranks.first:
            with _told_how_to_go_on(folder):
                alone.enter_context(locked(folder, "a training", "pass --out with another folder"))
        progress = (progress or SilentProgress()) if ranks.first else SilentProgress()
        device = choose_device(ranks.device(config.device), f"{config.name}: device")
        _refuse_to_overwrite(folder, text, resume)
        _check_ranks(config, ranks)
        start = open_start(config, config_path.parent)
        source = config.data.at(str(data)) if data else config.data
        series = load_series(source, config_path.parent, config.window.bars, download)
        progress.note(f"{len(series)} series, {sum(len(s.values) for s in series):,} bars")
        samplers = _samplers(config, series, start)
        begun = Beginning.of(series, start)
        if _is_begun(folder):
            begun.refuse_changes(folder / BEGUN_WITH)
        ranks.wait()  # all have looked at the folder before the first one writes to it
        with _told_how_to_go_on(folder), _torch_set_up(config, device):
            if ranks.first:
                _make_folder(folder, text, begun, progress)
            ranks.wait()
            shop = Workshop(config, samplers, folder, resume, device, ranks, progress)
            record = {"config_sha256": digest, "data_sha256": begun.data_sha256}
            return Trained(folder, _learn(shop, start, record, series))


def _learn(shop: Workshop, start: Start, record: dict[str, Any], series: list[Series]) -> Checkpoint | None:
    """Train the stages, one after the other, measure what came out, and write it."""
    config, outcomes = shop.config, {}
    tokenizer, volumes = start.tokenizer, start.cell_log_volume
    record |= {"seed": config.seed, "stages": list(config.trained), "trained_on": describe_series(series)}
    if start.record:
        record |= {"init": start.record}
    if config.data.mix:
        record |= {"mix": [{"from": Path(one.where).name, "share": one.share} for one in config.data.mix]}
    if config.tokenizer is not None:
        tokenizer, outcomes["tokenizer"] = train_tokenizer(shop, config.tokenizer, start)
        volumes = cell_log_volumes(tokenizer, shop.samplers["train"], config.tokenizer.batch)
    if tokenizer is None:
        raise AssertionError("a checked config has a tokenizer stage or brings a tokenizer")
    tokenizer.to(shop.device)
    if config.model is None:
        _leave_tokenizer(shop, tokenizer, volumes, record | _spent(outcomes))
        return None
    nats_before = _nats_of_start(shop, start) if config.trained == ("model",) else {}
    model, outcomes["model"] = train_model(shop, config.model, tokenizer, start)
    record |= _spent(outcomes)
    record["held_out_nats"] = held_out_nats(model, tokenizer, shop.samplers, config.model.batch)
    checkpoint = Checkpoint(
        name=config.name,
        model=model,
        tokenizer=tokenizer,
        representation=shop.samplers["train"].representation,
        max_context=start.max_context or config.window.bars,
        dependency_form="train",
        cell_log_volume=volumes,
        provenance=record | nats_before,
    )
    if shop.ranks.first:
        save_checkpoint(checkpoint, shop.folder)
        write_card(shop.folder, checkpoint)
    return checkpoint


def _leave_tokenizer(
    shop: Workshop, tokenizer: KronosTokenizer, volumes: Tensor | None, record: dict[str, Any]
) -> None:
    if shop.ranks.first:
        representation = shop.samplers["train"].representation
        save_tokenizer(shop.folder, tokenizer, representation, volumes, record)


def _spent(outcomes: dict[str, StageResult]) -> dict[str, int]:
    """Return processor time and steps of each stage, for the record."""
    seconds = {f"{name}_cpu_seconds": round(outcome.seconds) for name, outcome in outcomes.items()}
    return seconds | {f"{name}_steps": outcome.kept for name, outcome in outcomes.items()}


def _nats_of_start(shop: Workshop, start: Start) -> dict[str, Any]:
    """Return what the checkpoint to start from is worth on the same held-out windows, for the record."""
    if start.model is None or start.tokenizer is None or shop.config.model is None:
        return {}
    networks = start.model.to(shop.device), start.tokenizer.to(shop.device)
    return {"held_out_nats_before": held_out_nats(*networks, shop.samplers, shop.config.model.batch)}


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


def _is_begun(folder: Path) -> bool:
    return any((folder / name).exists() for name in BEGUN)


def _refuse_to_overwrite(folder: Path, text: bytes, resume: bool) -> None:
    """Let nothing replace a training run, nor go on with it under another config."""
    if not _is_begun(folder):
        return
    if not resume:
        raise CheckpointError(
            f"{folder} already holds a training run", fix="pass --resume to go on with it, or --out with another folder"
        )
    kept = folder / CONFIG_COPY
    if not kept.exists() or kept.read_bytes() != text:
        raise CheckpointError(
            f"{folder} was begun with another config: {kept} {'differs' if kept.exists() else 'is missing'}",
            expected="the config that the run was begun with, byte for byte",
            fix=f"train from {kept}, or pass --out with another folder",
        )


@contextmanager
def _told_how_to_go_on(folder: Path) -> Iterator[None]:
    """Turn trouble with the disk into an error that says how the training goes on.

    Raises:
        CheckpointError: the disk is full, or refuses otherwise.
    """
    try:
        with disk_trouble("write", folder, "--out"):
            yield
    except StoreError as error:
        if not isinstance(error.__cause__, OSError):
            raise  # another training is at work
        full = error.__cause__.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        again = "free some space, then give the same command with --resume: it goes on from the last saved step"
        raise CheckpointError(error.problem, fix=again if full else "pass --out with a folder to write to") from error


def _check_ranks(config: TrainConfig, ranks: Workers) -> None:
    for name, stage in (("tokenizer", config.tokenizer), ("model", config.model)):
        if stage is not None and stage.batch % ranks.count:
            raise SpecError(
                f"{config.name}: {name}.batch is {stage.batch}, which {ranks.count} processes cannot share evenly",
                expected=f"a multiple of {ranks.count}",
            )


def _make_folder(folder: Path, text: bytes, begun: Beginning, progress: Progress) -> None:
    """Write what the run is begun with, and clear away what a killed one left half written."""
    for name in (CONFIG_COPY, BEGUN_WITH, METRICS, *BEGUN, *OWN_FILES):
        remove_partials(folder / name)
    if lost := damaged_lines(folder / METRICS):
        progress.note(f"{folder / METRICS}: {lost} lines cannot be read and are left out of the learning curves")
    write_bytes(folder / BEGUN_WITH, (json.dumps(encode(begun), indent=1) + "\n").encode(), "--out")
    write_bytes(folder / CONFIG_COPY, text, "--out")


def _samplers(config: TrainConfig, series: list[Series], start: Start) -> Samplers:
    """Return a sampler per part; a part without room for a window is found out now, not after training."""
    representation = start.representation or _fit_representation(config, series)
    shares = (1 - sum(one.share for one in config.data.mix), *(one.share for one in config.data.mix))
    parts: list[Part] = ["train", "later"]
    if any(one.train_end == 0 for one in series):
        parts.append("unseen")
    whole = WindowSampler(
        series,
        config.window,
        representation,
        "train",
        config.data.group_power,
        config.seed,
        shares,
        emphasis=config.data.emphasis,
    )
    samplers = {part: replace(whole, part=part) for part in parts}
    for sampler in samplers.values():
        sampler.weights()
    return {str(part): sampler for part, sampler in samplers.items()}


def _fit_representation(config: TrainConfig, series: list[Series]) -> Representation:
    """Standardise raw features over training windows with volume; levels need nothing of the kind."""
    if config.representation == "levels":
        return Levels()
    window = config.window.model_copy(update={"volume_dropout": 0.0})
    priced = [s for s in series if s.has_volume and s.train_end > window.bars]
    atoms = config.atoms.model_dump()
    raw = WindowSampler(priced or series, window, Increments(**atoms), "train", config.data.group_power, config.seed)
    mean, std = feature_moments(raw, batches=16, size=32)
    return Increments(mean, std, **atoms)
