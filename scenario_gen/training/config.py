"""What a training config may say. The file is part of a checkpoint's identity: its hash goes into the card."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scenario_gen.errors import SpecError


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


class StageConfig(_Section):
    """How long and how fast one stage learns: AdamW, warm-up and cosine decay."""

    steps: int = Field(ge=1)
    batch: int = Field(32, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    warmup: int = Field(100, ge=0)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    average: float = Field(0.999, ge=0, lt=1, description="decay of the running average of the weights")
    validate_every: int = Field(500, ge=1)
    save_every: int = Field(250, ge=1)


class TokenizerStage(StageConfig):
    """Tokenizer stage: its own shape as in a published config.json."""

    shape: dict[str, Any]


class ModelStage(StageConfig):
    """Model stage: its own shape as in a published config.json."""

    shape: dict[str, Any]


class TrainConfig(_Section):
    """A whole training run."""

    name: str
    seed: int = Field(0, ge=0)
    threads: int = Field(2, ge=1)
    device: str = "auto"
    representation: Literal["increments", "levels"] = "increments"
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
    if (
        config.window.context_max >= config.window.bars
        or config.window.context_min > config.window.context_max
    ):
        raise SpecError(
            f"{path}: window.context_min {config.window.context_min} .. context_max {config.window.context_max} "
            f"do not fit into window.bars {config.window.bars}",
            expected="context_min <= context_max < bars",
        )
    return config, hashlib.sha256(text.encode()).hexdigest()
