"""What a training config may say. The file is part of a checkpoint's identity: its hash goes into the card."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scenario_gen.errors import CheckpointError, SpecError
from scenario_gen.kronos.config import ModelConfig, TokenizerConfig

FEATURES = {"increments": 5, "levels": 6}  # width of a feature row, the tokenizer's d_in


Shape = TypeVar("Shape", TokenizerConfig, ModelConfig)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Section):
    """Which bars, and which of them are kept out of training."""

    folder: str = Field(description="folder with a manifest.csv and one Parquet file per series")
    manifest: str = "manifest.csv"
    classes: tuple[str, ...] = Field((), description="asset classes to use; empty: all")
    holdout_symbols: tuple[str, ...] = Field((), description="instruments that training never sees")
    holdout_share: float = Field(
        0.12, gt=0, lt=0.5, description="last share of every series kept out of training"
    )
    group_power: float = Field(
        0.5, ge=0, le=1, description="weight of a (class, frequency) group is its bars to this power"
    )


class WindowConfig(_Section):
    """One training sample: context rows that give the units, then rows that are predicted."""

    bars: int = Field(384, ge=64, le=8192)
    context_min: int = Field(64, ge=32)
    context_max: int = Field(256, ge=32)
    volume_dropout: float = Field(0.1, ge=0, le=1, description="share of samples whose volume is hidden")


class Atoms(_Section):
    """Where ``increments`` put bars without a wick or a gap, so that a tokenizer can tell them from tiny ones."""

    wickless: float = Field(0.5, ge=0, description="a wick of zero lies this far below the smallest")
    gapless: float = Field(0.15, ge=0, description="every other gap lies this far from zero")


class StageConfig(_Section):
    """How long and how fast one stage learns: warm-up and cosine decay.

    ``muon`` takes the orthogonalised momentum of Jordan (2024) for the matrices of the blocks, at ``muon_rate``, and
    AdamW for all else; ``adamw`` takes AdamW for all.
    """

    steps: int = Field(ge=1)
    batch: int = Field(32, ge=1)
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)
    muon_rate: float = Field(0.01, gt=0, description="learning rate of the matrices under muon")
    final_rate: float = Field(0.1, ge=0, le=1, description="share of the peak rate that the cosine ends at")
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="of products and activations; weights, sums and losses stay float32"
    )
    warmup: int = Field(100, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.999, ge=0, lt=1, description="decay of the running average of the weights")
    validate_every: int = Field(500, ge=1)
    save_every: int = Field(250, ge=1)


class TokenizerStage(StageConfig):
    """Tokenizer stage: its own shape as in a published config.json."""

    match: float = Field(
        0.0,
        ge=0,
        description="weight of the distance between the sorted features of a window and of what is decoded",
    )
    shape: dict[str, Any]


class ModelStage(StageConfig):
    """Model stage: its own shape as in a published config.json."""

    shape: dict[str, Any]


class TrainConfig(_Section):
    """A whole training run."""

    name: str
    seed: int = Field(0, ge=0, lt=2**63)
    threads: int = Field(2, ge=1)
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    representation: Literal["increments", "levels"] = "increments"
    atoms: Atoms = Atoms()
    data: DataConfig
    window: WindowConfig = WindowConfig()
    tokenizer: TokenizerStage
    model: ModelStage


def load_config(path: Path) -> tuple[TrainConfig, str]:
    """Read a training config; return it with the sha256 of its text.

    Raises:
        SpecError: the file is missing, is not YAML, or a field is wrong (all of them are named).
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SpecError(
            f"{path}: cannot be read: {error}", fix="give the path of a YAML training config"
        ) from None
    try:
        config = TrainConfig.model_validate(raw)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors()]
        raise SpecError(
            f"{path}: " + "; ".join(lines), fix="see training/nano.yaml for every field"
        ) from None
    _check_window(config.window, path)
    _check_shapes(config, path)
    return config, hashlib.sha256(text.encode()).hexdigest()


def _check_window(window: WindowConfig, path: Path) -> None:
    if not window.context_min <= window.context_max < window.bars:
        raise SpecError(
            f"{path}: window.context_min {window.context_min} .. context_max {window.context_max} "
            f"do not fit into window.bars {window.bars}",
            expected="context_min <= context_max < bars",
        )


def _check_shapes(config: TrainConfig, path: Path) -> None:
    """Build both configurations now: a shape that cannot work must not come to light after an hour."""
    tokenizer = _shape(TokenizerConfig, config.tokenizer.shape, f"{path}: tokenizer.shape")
    model = _shape(ModelConfig, config.model.shape, f"{path}: model.shape")
    if (tokenizer.s1_bits, tokenizer.s2_bits) != (model.s1_bits, model.s2_bits):
        raise SpecError(
            f"{path}: tokenizer.shape has {tokenizer.s1_bits}+{tokenizer.s2_bits} bits, "
            f"model.shape {model.s1_bits}+{model.s2_bits}",
            expected="the same s1_bits and s2_bits in both",
        )
    if tokenizer.d_in != FEATURES[config.representation]:
        raise SpecError(
            f"{path}: tokenizer.shape.d_in is {tokenizer.d_in}",
            expected=f"{FEATURES[config.representation]}, the features of {config.representation!r}",
        )


def _shape(kind: type[Shape], raw: dict[str, Any], where: str) -> Shape:
    types = {field.name: field.type for field in fields(kind)}
    for name, value in raw.items():
        if name not in types:
            raise SpecError(f"{where}.{name}: no such field", expected=", ".join(types))
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if types[name] == "float" and not (is_number and (0 <= value < 1 or not name.endswith("_p"))):
            raise SpecError(
                f"{where}.{name} is {value!r}",
                expected="a probability below 1" if name[-2:] == "_p" else "a number",
            )
    try:
        return kind.from_mapping(raw, where)
    except CheckpointError as error:
        raise SpecError(
            error.problem, expected=error.expected, fix="see training/nano.yaml for a shape that works"
        ) from None
