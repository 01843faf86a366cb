"""Kronos, written anew from its published facts: layers, tokenizer, model, checkpoints and decoding.

This room knows tensors: token ids, features, stamps, uniforms. It does not know what a market, a calendar or a
spec is. Everything that imports torch is loaded on first use, so that ``scenario_gen.kronos.registry`` (which
models there are) stays cheap.

Source of the architecture: Shi et al. 2025, "Kronos: A Foundation Model for the Language of Financial Markets",
arXiv:2508.02739, and the published checkpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_gen.lazy import public_names

if TYPE_CHECKING:
    from scenario_gen.kronos.checkpoint import (
        Checkpoint as Checkpoint,
        load_checkpoint as load_checkpoint,
        save_checkpoint as save_checkpoint,
    )
    from scenario_gen.kronos.config import ModelConfig as ModelConfig, TokenizerConfig as TokenizerConfig
    from scenario_gen.kronos.model import Kronos as Kronos
    from scenario_gen.kronos.tokenizer import KronosTokenizer as KronosTokenizer
    from scenario_gen.kronos.upstream import KronosPredictor as KronosPredictor
else:
    __getattr__, __dir__ = public_names(__name__)
