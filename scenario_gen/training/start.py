"""What a training run starts from: new networks, those of a checkpoint, or the tokenizer of another run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from scenario_gen.errors import CheckpointError, SpecError
from scenario_gen.files import write_sums
from scenario_gen.kronos.checkpoint import EXTRAS, Checkpoint, open_checkpoint
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.registry import known_models
from scenario_gen.kronos.representation import Representation, representation_from
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.kronos.weights import load_network, read_json, save_network
from scenario_gen.training.config import TrainConfig

TOKENIZER_ALONE = "tokenizer.json"  # representation and record of a folder that holds no model
COPIED = ("repository", "revision", "tokenizer_repository", "tokenizer_revision", "model_sha256", "tokenizer_sha256")


@dataclass(frozen=True)
class Start:
    """What is there before the first step.

    Attributes:
        model: of a checkpoint; None: a new one is made.
        tokenizer: of a checkpoint or another run; None: a new one is made.
        representation: that the networks read; None: it is fitted to the data.
        cell_log_volume: of the tokenizer, float32 [2^s1_bits].
        max_context: the window of the model; None: that of the config.
        record: what the card says of it: name, hashes, what it was trained on.
    """

    model: Kronos | None = None
    tokenizer: KronosTokenizer | None = None
    representation: Representation | None = None
    cell_log_volume: Tensor | None = None
    max_context: int | None = None
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
    folder = base / Path(name).expanduser()
    return str(folder) if folder.is_dir() else name


def _of_checkpoint(found: Checkpoint) -> Start:
    record = {"name": found.name, **{k: found.provenance[k] for k in COPIED if k in found.provenance}}
    record["trained_on"] = found.provenance.get("trained_on", [])
    return Start(found.model, found.tokenizer, found.representation, found.cell_log_volume, found.max_context, record)


def _of_tokenizer(folder: Path) -> Start:
    place = folder / TOKENIZER_ALONE if (folder / TOKENIZER_ALONE).exists() else folder / EXTRAS
    raw = read_json(place)
    volumes = raw.get("cell_log_volume")
    return Start(
        tokenizer=load_network(KronosTokenizer, folder / "tokenizer"),
        representation=representation_from(raw.get("representation", {}), str(place)),
        cell_log_volume=None if volumes is None else Tensor(volumes),
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
