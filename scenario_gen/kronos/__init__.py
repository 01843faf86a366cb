"""Kronos, written anew from its published facts: layers, tokenizer, model, checkpoints and decoding.

This room knows tensors: token ids, features, stamps, uniforms. It does not know what a market, a calendar or a
spec is. Everything that imports torch is loaded on first use, so that ``scenario_gen.kronos.registry`` (which
models there are) stays cheap.

Source of the architecture: Shi et al. 2025, "Kronos: A Foundation Model for the Language of Financial Markets",
arXiv:2508.02739, and the published checkpoints.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenario_gen.kronos.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from scenario_gen.kronos.config import ModelConfig, TokenizerConfig
    from scenario_gen.kronos.model import Kronos
    from scenario_gen.kronos.predictor import KronosPredictor
    from scenario_gen.kronos.tokenizer import KronosTokenizer

_HOMES = {
    "Checkpoint": "checkpoint",
    "load_checkpoint": "checkpoint",
    "save_checkpoint": "checkpoint",
    "Kronos": "model",
    "KronosPredictor": "predictor",
    "KronosTokenizer": "tokenizer",
    "ModelConfig": "config",
    "TokenizerConfig": "config",
}

__all__ = [
    "Checkpoint",
    "Kronos",
    "KronosPredictor",
    "KronosTokenizer",
    "ModelConfig",
    "TokenizerConfig",
    "load_checkpoint",
    "save_checkpoint",
]


def __getattr__(name: str) -> Any:
    """Import the home of a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
