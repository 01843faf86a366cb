"""A run is the same run only with the same checkpoint: its weights, and everything beside them that decides paths."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import scenario_gen as sg
from scenario_gen.errors import StoreError
from scenario_gen.kronos import load_checkpoint
from scenario_gen.pipeline.identity import identity_of, still
from scenario_gen.pipeline.prepared import prepare
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import spec_from_dict

BUY_AND_HOLD = Path(__file__).parents[2] / "strategies" / "buy_and_hold.py"
Extras = dict[str, Any]


@pytest.fixture
def checkpoint(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "checkpoint"))


@pytest.fixture
def spec(checkpoint: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "name": "trial",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 5},
        "paths": {"count": 8, "block": 8},
        "generator": {"kind": "kronos", "model": str(checkpoint), "device": "cpu"},
        "strategies": [{"use": f"{BUY_AND_HOLD}:BuyAndHold"}],
        "checks": {"facts": False, "calibration": False},
        "report": {"folder": str(tmp_path / "run")},
    }


def _identity(spec: dict[str, Any]) -> dict[str, str]:
    loaded = spec_from_dict(spec)
    (ground,) = prepare(loaded.spec.scenarios, loaded.base, SilentProgress())
    shown = ground, still(ground, ground.timestamps)
    return identity_of(loaded.spec, [ground], [ground.sampler], [], shown)


def _edit(path: Path, change: Callable[[Extras], object]) -> None:
    extras = json.loads(path.read_text())
    change(extras)
    path.write_text(json.dumps(extras))


def _other_volumes(extras: Extras) -> None:
    extras["cell_log_volume"][3] += 0.5


def _other_units(extras: Extras) -> None:
    extras["representation"]["std"][1] *= 2


def _other_window(extras: Extras) -> None:
    extras["max_context"] = 62


def _other_form(extras: Extras) -> None:
    extras["dependency_form"] = "decode"


def _other_record(extras: Extras) -> None:
    extras["training"] = {"seed": 4}


@pytest.mark.parametrize("change", [_other_volumes, _other_units, _other_window, _other_form])
def test_what_stands_beside_the_weights_is_part_of_a_runs_identity(
    spec: dict[str, Any], checkpoint: Path, change: Callable[[Extras], None]
) -> None:
    before = _identity(spec)
    _edit(checkpoint / "scenario_gen.json", change)
    after = _identity(spec)
    assert {key for key in before if before[key] != after[key]} == {"weights"}


def test_a_record_that_decides_no_path_is_not(spec: dict[str, Any], checkpoint: Path) -> None:
    before = _identity(spec)
    _edit(checkpoint / "scenario_gen.json", _other_record)
    assert _identity(spec) == before


def test_a_run_does_not_go_on_with_other_cell_volumes(spec: dict[str, Any], checkpoint: Path) -> None:
    sg.run(spec)
    _edit(checkpoint / "scenario_gen.json", _other_volumes)
    with pytest.raises(StoreError, match="weights"):
        sg.run(spec)


def test_a_window_given_to_a_loaded_checkpoint_counts_too(checkpoint: Path) -> None:
    loaded = load_checkpoint(checkpoint)
    assert loaded.settings_sha256 == load_checkpoint(checkpoint).settings_sha256
    assert replace(loaded, max_context=63).settings_sha256 != loaded.settings_sha256
