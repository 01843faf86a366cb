"""What a training run starts from: new networks, those of a checkpoint, or the tokenizer of another run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scenario_gen.errors import CheckpointError, SpecError, StoreError
from scenario_gen.files import user_path, write_bytes, write_sums
from scenario_gen.kronos.checkpoint import EXTRAS, Checkpoint, open_checkpoint
from scenario_gen.kronos.model import Kronos
from scenario_gen.kronos.registry import known_models
from scenario_gen.kronos.representation import Representation, representation_from
from scenario_gen.kronos.tokenizer import KronosTokenizer
from scenario_gen.kronos.weights import cell_volumes, load_network, read_extras, save_network
from scenario_gen.training.config import TrainConfig
from scenario_gen.training.data import Series, WindowSampler
from scenario_gen.values import decode_json

BEGUN_WITH = "begun.json"  # sums of what a run was begun with
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
        record={"name": folder.name, "part": "tokenizer", "trained_on": raw.get("training", {}).get("trained_on", [])},
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
        StoreError: the disk refuses.
    """
    extras = {
        "representation": representation.to_mapping(),
        "cell_log_volume": None if volumes is None else [round(float(v), 6) for v in volumes],
        "training": record,
    }
    save_network(tokenizer, folder / "tokenizer")
    write_bytes(folder / TOKENIZER_ALONE, (json.dumps(extras, indent=1) + "\n").encode(), "folder")
    write_sums(folder, ("tokenizer/config.json", "tokenizer/model.safetensors", TOKENIZER_ALONE))


# --- What a run was begun with: it goes on with nothing else ---


@dataclass(frozen=True)
class SeriesSum:
    """One series, as it was read and split."""

    name: str  # class, name and frequency
    bars: int
    sha256: str  # of values, stamps and split


@dataclass(frozen=True)
class Beginning:
    """What decides a training beside its config."""

    start: str  # sha256 of the networks that it starts from, their units and volumes
    series: list[SeriesSum]  # in their order, which decides the draws

    @classmethod
    def of(cls, series: list[Series], start: Start) -> Beginning:
        """Sum up all bars, with how they are split, and what a run starts from."""
        units = None if start.representation is None else start.representation.to_mapping()
        volumes = None if start.cell_log_volume is None else start.cell_log_volume.tolist()
        digest = hashlib.sha256(json.dumps([units, volumes]).encode())
        for network in (start.model, start.tokenizer):
            for name, tensor in network.state_dict().items() if network is not None else ():
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return cls(digest.hexdigest(), [_sum_of(one) for one in series])

    @property
    def data_sha256(self) -> str:
        """One sum of all series."""
        return hashlib.sha256("".join(one.sha256 for one in self.series).encode()).hexdigest()

    def refuse_changes(self, path: Path) -> None:
        """Let a run go on with nothing but what its folder says that it was begun with.

        Raises:
            CheckpointError: bars or networks have changed, or the file cannot be read.
        """
        try:
            then = decode_json(Beginning, path.read_bytes())
        except (OSError, StoreError) as error:
            raise CheckpointError(
                f"{path} does not say what the run was begun with: {error}",
                expected="the sums of bars and networks that a training writes when it begins",
                fix="pass --out with another folder",
            ) from None
        if then == self:
            return
        changes = _changes(then, self)
        more = f", and {len(changes) - 3} more" if len(changes) > 3 else ""
        raise CheckpointError(
            f"{path.parent} was begun with other data: {'; '.join(changes[:3])}{more}",
            expected="the bars and the checkpoint that the run was begun with",
            fix="bring them back as they were, or pass --out with another folder to train anew",
        )


def _sum_of(series: Series) -> SeriesSum:
    split = (series.asset_class, series.frequency, series.has_volume, series.train_end, series.later_start)
    digest = hashlib.sha256(repr((split, series.source)).encode())
    digest.update(np.ascontiguousarray(series.values).tobytes())
    digest.update(np.ascontiguousarray(series.wall_ns).tobytes())
    name = f"{series.asset_class} {series.name} {series.frequency}"
    return SeriesSum(name, len(series.values), digest.hexdigest())


def _changes(then: Beginning, now: Beginning) -> list[str]:
    before, after = ({one.name: one for one in begun.series} for begun in (then, now))
    changes = [f"{name} is not there any more" for name in before if name not in after]
    changes += [f"{name} is new" for name in after if name not in before]
    for name in (name for name in after if name in before and before[name] != after[name]):
        if before[name].bars != after[name].bars:
            changes.append(f"{name} had {before[name].bars} bars and has {after[name].bars}")
        else:
            changes.append(f"{name} has other bars, or another split")
    changes += ["the checkpoint to start from is another"] if then.start != now.start else []
    return changes or ["their order"]


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
