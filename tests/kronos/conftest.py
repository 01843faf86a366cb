"""The golden miniature checkpoint, made with upstream's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenario_gen.kronos import Checkpoint, load_checkpoint


@pytest.fixture(scope="session")
def golden_checkpoint(golden_folder: Path) -> Checkpoint:
    return load_checkpoint(golden_folder, name="golden")
