"""The golden miniature checkpoint, made with upstream's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenario_gen.kronos import (
    Checkpoint,
    load_checkpoint,
)

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def golden_checkpoint() -> Checkpoint:
    return load_checkpoint(GOLDEN, name="golden")
