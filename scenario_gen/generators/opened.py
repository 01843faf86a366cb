"""Checkpoints of this process: each is opened once for all scenarios that name it, until its files change."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from scenario_gen.kronos.checkpoint import Checkpoint, open_checkpoint

Files: TypeAlias = tuple[tuple[str, int, int], ...]


def open_once(model: str, tokenizer: str | None, device: str) -> Checkpoint:
    """Open a checkpoint, or return it as it was opened before for the same device: networks live on one.

    Raises:
        CheckpointError: nothing of that name, or it cannot be fetched or read.
    """
    return _open(model, tokenizer, device, _files(model) + _files(tokenizer))


@lru_cache(maxsize=2)
def _open(model: str, tokenizer: str | None, device: str, files: Files) -> Checkpoint:
    del device, files
    return open_checkpoint(model, tokenizer)


def _files(name: str | None) -> Files:
    """Return path, size and time of change of each file of a checkpoint folder; nothing for what cannot change."""
    folder = Path(name or "").expanduser()
    if not name or not folder.is_dir():
        return ()
    found = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors"))
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in found)
