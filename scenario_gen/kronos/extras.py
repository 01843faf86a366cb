"""``scenario_gen.json``: what our own checkpoints add to the published layout, checked before any of it is used.

Owns the kinds of its values. Anybody may have edited the file or written it half: what is wrong is named by its place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from scenario_gen.errors import CheckpointError

MIN_WINDOW, MAX_WINDOW = 8, 65_536  # bars; the shortest still leaves a context when a segment is cut off
MAX_JSON = 2**26  # bytes; the cell volumes of 20 bits are 12 MB
MAX_FAULTS = 5  # shown


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Stretch(_Part):
    """A row of ``trained_on``."""

    last: str = Field(max_length=40)
    first: str = ""
    frequency: str = ""
    bars: int = 0
    series: int = 0
    held_out_series: int = 0


class _Origin(_Part):
    """What a checkpoint was trained on from."""

    name: str = Field("", max_length=200)
    repository: str = ""
    revision: str = ""
    trained_on: list[_Stretch] = []


class _Mix(_Part):
    """Bars that were mixed in; the key ``from`` is a word of Python."""

    share: float


class _Record(_Origin):
    """The training record."""

    init: _Origin = _Origin()
    mix: list[_Mix] = []
    stages: list[str] = []
    held_out_nats: dict[str, float] = {}
    held_out_nats_before: dict[str, float] = {}
    tokenizer_repository: str = ""
    tokenizer_revision: str = ""
    config_sha256: str = ""
    tokenizer_cpu_seconds: float = 0.0
    model_cpu_seconds: float = 0.0


class _Extras(_Part):
    """The whole file."""

    name: str = Field("", max_length=200)
    representation: dict[str, Any]
    max_context: int = Field(MIN_WINDOW, ge=MIN_WINDOW, le=MAX_WINDOW)
    dependency_form: Literal["decode", "train"] = "decode"
    cell_log_volume: list[Any] | None = None
    training: _Record = _Record()


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        CheckpointError: it cannot be read, is too large or too deep, or holds something else.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError(f"it has more than {MAX_JSON // 2**20} MB")
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}", expected="the JSON file of a checkpoint", fix="download it again"
        ) from None
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} holds a {type(raw).__name__}", expected="a JSON object", fix="download it again")
    return raw


def read_extras(path: Path) -> dict[str, Any]:
    """Return what our own checkpoints add; nothing for a published one, which has no such file.

    Raises:
        CheckpointError: a value is missing or of another kind; all of them are named.
    """
    if not path.exists():
        return {}
    raw = read_json(path)
    try:
        _Extras.model_validate(raw)
    except ValidationError as error:
        faults = [_fault(detail["loc"], detail["msg"]) for detail in error.errors(include_url=False)]
        more = f"; and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
        raise CheckpointError(
            f"{path} has no usable {'; '.join(faults[:MAX_FAULTS])}{more}",
            expected=f"what was written with the weights; max_context is from {MIN_WINDOW} to {MAX_WINDOW} bars",
            fix="download it again, or train the checkpoint anew",
        ) from None
    return raw


def _fault(where: tuple[int | str, ...], problem: str) -> str:
    return f"{'.'.join(map(str, where))[:100]} ({problem})"


def _is_usable(value: object) -> bool:
    """Whether a value is a number that float32 holds; NaN is not at most anything."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e30


def cell_volumes(raw: list[Any], bits: int, path: Path) -> Tensor:
    """Return log volumes of the cells of so many bits, float32 [2^bits].

    Raises:
        CheckpointError: there are more or fewer, or one is no finite number in float32.
    """
    cells = 2**bits
    if len(raw) != cells or not all(map(_is_usable, raw)):
        raise CheckpointError(
            f"{path} has no usable cell_log_volume: {len(raw)} cell volumes",
            expected=f"{cells} finite numbers",
            fix="download it again, or train the checkpoint anew",
        )
    return torch.tensor(raw, dtype=torch.float32)
