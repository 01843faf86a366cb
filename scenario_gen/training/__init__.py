"""Training of checkpoints: data, the tokenizer and model stages, and what a checkpoint is worth out of sample.

Knows the kronos room and files of bars; knows nothing of scenarios, strategies or reports.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenario_gen.training.run import finetune, train

__all__ = ["finetune", "train"]


def __getattr__(name: str) -> Any:
    """Import torch and the training code only when they are asked for."""
    if name in __all__:
        return getattr(import_module("scenario_gen.training.run"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
