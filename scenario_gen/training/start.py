"""What a training run starts from: new networks, those of a checkpoint, or the tokenizer of another run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scenario_gen.errors import CheckpointError, SpecError
from scenario_gen.files import user_path, write_sums
from scenario_gen.kronos.checkpoint import EXTRAS, Checkpoint, open_checkpoint
from scenario_gen.kronos.extras import cell_volumes, read_extras
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.registry import known_models
from scenario_gen.kronos.representation import Representation, representation_from
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.kronos.weights import load_network, save_network
from scenario_gen.training.config import TrainConfig
from scenario_gen.training.data import Series, WindowSampler

TOKENIZER_ALONE = "tokenizer.json"  # representation and record of a folder that holds no model
COPIED = ("repository", "revision", "tokenizer_repository", "tokenizer_revision", "model_sha256", "tokenizer_sha256")


@dataclass(frozen=True)
class Start:
    """What is there before the first step."""

    model: Kronos | None = None  # of a checkpoint; None: a new one is made
    tokenizer: KronosTokenizer | None = None  # of a checkpoint or another run; None: a new one is made
    representation: Representation | None = None  # that the networks read; None: it is fitted to the data
    cell_log_volume: Tensor | None = None  # of the tokenizer, float32 [2^s1_bits]
    max_context: int | None = None  # the window of the model; None: that of the config
    # what the card says of it: name, hashes, what it was trained on
    record: dict[str, Any] = field(default_factory=dict)


def open_start(config: TrainConfig, base: Path) -> Start:
    """Open what a config starts from; relative folders belong to ``base`` where one of that name is there.

    Raises:
        CheckpointError: it cannot be found or read.
        SpecError: it does not fit the config.
    """
    if config.init is not None:
        start = _of_checkpoint(open_checkpoint(_place(config.init, base), config.init_tokenizer))
    elif config.init_tokenizer is not None:
        start = _of_tokenizer(Path(_place(config.init_tokenizer, base)))
    else:
        return Start()
    _check(config, start)
    return start


def _place(name: str, base: Path) -> str:
    if name in {known.name for known in known_models()}:
        return name  # wins over a folder that is called the same, as everywhere
    folder = base / user_path(name)
    return str(folder) if folder.is_dir() else name


def _of_checkpoint(checkpoint: Checkpoint) -> Start:
    record = {"name": checkpoint.name, **{k: checkpoint.provenance[k] for k in COPIED if k in checkpoint.provenance}}
    record["trained_on"] = checkpoint.provenance.get("trained_on", [])
    return Start(
        checkpoint.model,
        checkpoint.tokenizer,
        checkpoint.representation,
        checkpoint.cell_log_volume,
        checkpoint.max_context,
        record,
    )


def _of_tokenizer(folder: Path) -> Start:
    place = folder / TOKENIZER_ALONE if (folder / TOKENIZER_ALONE).exists() else folder / EXTRAS
    tokenizer, raw = load_network(KronosTokenizer, folder / "tokenizer"), read_extras(place)
    volumes = raw.get("cell_log_volume")
    return Start(
        tokenizer=tokenizer,
        representation=representation_from(raw.get("representation", {}), str(place)),
        cell_log_volume=None if volumes is None else cell_volumes(volumes, tokenizer.config.s1_bits, place),
        record={"name": folder.name, "trained_on": raw.get("training", {}).get("trained_on", [])},
    )


def _check(config: TrainConfig, start: Start) -> None:
    kind = start.representation.kind if start.representation else ""
    if config.representation not in (None, kind):
        raise SpecError(
            f"{config.name}: representation is {config.representation!r}, that of {start.record['name']} is {kind!r}",
            fix="leave representation out",
        )
    if start.max_context is not None and config.window.bars > start.max_context:
        raise SpecError(
            f"{config.name}: window.bars is {config.window.bars}, the window of {start.record['name']} holds "
            f"{start.max_context}",
            expected=f"at most {start.max_context}",
        )
    shape, tokenizer = config.model.shape if config.model else None, start.tokenizer
    if shape is not None and tokenizer is not None:
        bits = (tokenizer.config.s1_bits, tokenizer.config.s2_bits)
        if (shape.get("s1_bits"), shape.get("s2_bits")) != bits:
            raise SpecError(
                f"{config.name}: model.shape has {shape.get('s1_bits')}+{shape.get('s2_bits')} bits, the tokenizer "
                f"of {start.record['name']} {bits[0]}+{bits[1]}",
                expected="the same s1_bits and s2_bits",
            )


def save_tokenizer(
    folder: Path,
    tokenizer: KronosTokenizer,
    representation: Representation,
    volumes: Tensor | None,
    record: dict[str, Any],
) -> None:
    """Write a tokenizer without a model, for ``init_tokenizer`` of another run.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    extras = {
        "representation": representation.to_mapping(),
        "cell_log_volume": None if volumes is None else [round(float(v), 6) for v in volumes],
        "training": record,
    }
    try:
        save_network(tokenizer, folder / "tokenizer")
        (folder / TOKENIZER_ALONE).write_text(json.dumps(extras, indent=1) + "\n", encoding="utf-8")
        write_sums(folder, ("tokenizer/config.json", "tokenizer/model.safetensors", TOKENIZER_ALONE))
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error}", fix="choose a writable folder") from None


# What a checkpoint records beside its weights: the volumes of its cells, and which bars it was trained on


@torch.no_grad()
def cell_log_volumes(tokenizer: KronosTokenizer, sampler: WindowSampler, size: int, batches: int = 64) -> Tensor:
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
    x, cell = torch.cat(rows).double().cpu(), torch.cat(cells).cpu()
    n_cells = 2**tokenizer.config.s1_bits
    count = torch.zeros(n_cells, dtype=torch.float64).index_add_(0, cell, torch.ones(len(cell), dtype=torch.float64))
    mean = torch.zeros(n_cells, x.shape[1], dtype=torch.float64).index_add_(0, cell, x) / count.clamp_min(1)[:, None]
    spread = torch.zeros_like(mean).index_add_(0, cell, (x - mean[cell]).square())
    typical = spread.sum(0) / count.sum()  # mean within-cell variance of each feature
    variance = (spread + 10 * typical) / (count + 10)[:, None]
    return 0.5 * variance.clamp_min(0.02**2).log().sum(1).float()


def describe_series(series: list[Series]) -> list[dict[str, object]]:
    """Return one row per (class, frequency): series, bars trained on, first and last date trained on ("" if none)."""
    rows: dict[tuple[str, str], list[Series]] = {}
    for one in series:
        rows.setdefault((one.asset_class, one.frequency), []).append(one)
    return [_describe(*key, group) for key, group in sorted(rows.items())]


def _describe(asset_class: str, frequency: str, group: list[Series]) -> dict[str, object]:
    trained = [s for s in group if s.train_end > 0]
    return {
        "class": asset_class,
        "frequency": frequency,
        "series": len(trained),
        "held_out_series": len(group) - len(trained),
        "bars": sum(s.train_end for s in trained),
        "first": _date(min(int(s.wall_ns[0]) for s in trained)) if trained else "",
        "last": _date(max(int(s.wall_ns[s.train_end - 1]) for s in trained)) if trained else "",
    }


def _date(wall_ns: int) -> str:
    return str(np.datetime64(wall_ns, "ns"))[:10]
