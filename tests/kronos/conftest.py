"""Miniature checkpoints: the golden one from upstream's code, and a random one of our own kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scenario_gen.kronos import (
    Checkpoint,
    Kronos,
    KronosTokenizer,
    ModelConfig,
    TokenizerConfig,
    load_checkpoint,
)
from scenario_gen.kronos.representation import Increments

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def golden_checkpoint() -> Checkpoint:
    return load_checkpoint(GOLDEN, name="golden")


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Checkpoint:
    """A random checkpoint of our own kind: increments, training form, cell volumes."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        tokenizer = KronosTokenizer(TokenizerConfig(5, 16, 4, 32, 2, 2, 4, 4, 4)).eval()
        model = Kronos(ModelConfig(2, 32, 4, 64, 4, 4)).eval()
        volumes = torch.randn(16)
    model.requires_grad_(False)
    tokenizer.requires_grad_(False)
    return Checkpoint("tiny", model, tokenizer, Increments(), 64, "train", volumes)
