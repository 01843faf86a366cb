"""Results kept under the hash of what decides them: asked again, they are read and not computed.

Owns the file's name and form. A file that cannot be read is computed anew and replaced; the disk's own trouble is told.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from scenario_gen.errors import StoreError
from scenario_gen.files import write_bytes
from scenario_gen.store.codec import decode, encode

T = TypeVar("T")

SCHEMA = 3  # of what is kept: raised when a figure's meaning changes within a version


def calibration_folder(run: Path) -> Path:
    """Return where a run folder keeps its calibrations."""
    return run / "calibration"


def cached(folder: Path, key: Mapping[str, Any], kind: type[T], compute: Callable[[], T]) -> T:
    """Return the value that is kept for a key, or compute and keep it.

    Args:
        folder: where values are kept.
        key: everything that decides the value, the version of the code included; dataclasses, containers,
            numbers and text.
        kind: the value's class, a frozen dataclass that :func:`scenario_gen.store.codec.encode` takes.
        compute: makes the value.

    Raises:
        StoreError: the disk refuses.
    """
    text = json.dumps(encode({**key, "schema": SCHEMA}), sort_keys=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"
    kept = _read(path, kind)
    if kept is not None:
        return kept
    value = compute()
    write_bytes(path, json.dumps(encode(value), indent=1, allow_nan=False).encode("ascii"))
    return value


def _read(path: Path, kind: type[T]) -> T | None:
    """Return what is kept, or None where there is nothing or it is damaged."""
    try:
        return decode(kind, json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, StoreError):
        return None
