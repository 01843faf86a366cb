"""Training of checkpoints: data, the tokenizer and model stages, and what a checkpoint is worth out of sample.

Knows the kronos room and files of bars; knows nothing of scenarios, strategies or reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_gen.lazy import public_names

if TYPE_CHECKING:
    from scenario_gen.training.run import finetune as finetune, train as train
else:
    __getattr__, __dir__ = public_names(__name__)
