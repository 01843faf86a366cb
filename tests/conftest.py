"""Fixtures for all rooms: a miniature checkpoint and real contexts from arch's built-in history."""

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
    save_checkpoint,
)
from scenario_gen.kronos.representation import Increments
from scenario_gen.market import Candles, load_candles


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


@pytest.fixture(scope="session")
def tiny_folder(tiny_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature checkpoint on disk, for specs that name a folder."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    save_checkpoint(tiny_checkpoint, folder)
    return folder


@pytest.fixture(scope="session")
def sp500() -> Candles:
    """The real S&P 500, daily, 1999-2018."""
    return load_candles("sp500")
