"""``scenario_gen.json`` as anybody may have left it: every wrong value is named, before a path is drawn."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from scenario_gen.errors import CheckpointError
from scenario_gen.kronos.checkpoint import EXTRAS, open_checkpoint, verify_model


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint without its hashes: as somebody edits it."""
    shutil.copytree(tiny_folder, tmp_path / "mine")
    (tmp_path / "mine" / "SHA256SUMS").unlink(missing_ok=True)
    return tmp_path / "mine"


def edited(folder: Path, **changes: Any) -> str:
    raw = json.loads((folder / EXTRAS).read_text())
    for place, value in changes.items():
        *parents, last = place.split("__")
        at = raw
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = value
    (folder / EXTRAS).write_text(json.dumps(raw))
    return str(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": None},
        {"max_context": None},
        {"max_context": 10**30},
        {"max_context": "512"},
        {"dependency_form": "both"},
        {"representation": None},
        {"representation__kind": None},
        {"representation__mean": None},
        {"representation__std": [1, 1, 1, 1, 0]},
        {"representation__std": [1, 1, 1, 1, float("nan")]},
        {"representation__mean": ["a"] * 5},
        {"representation__wickless": None},
        {"representation__gapless": -1},
        {"cell_log_volume": {}},
        {"cell_log_volume": [None] * 16},
        {"cell_log_volume": [1e300] * 16},
        {"training": []},
        {"training__trained_on": None},
        {"training__trained_on": [None]},
        {"training__trained_on": [{}]},
        {"training__trained_on": [{"last": 20181231}]},
        {"training__init": None},
        {"training__init": {"trained_on": "all"}},
        {"training__repository": ["NeoQuasar/x"]},
        {"training__held_out_nats": {"later": "small"}},
    ],
)
def test_a_value_of_another_kind_is_refused_when_the_checkpoint_is_verified_and_opened(
    folder: Path, changes: dict[str, Any]
) -> None:
    name = edited(folder, **changes)
    for door in (verify_model, open_checkpoint):
        with pytest.raises(CheckpointError) as caught:
            door(name)
        assert caught.value.expected
        assert caught.value.fix
        assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "", "null", "[]", "\ufeff{}", '{"max_context": 1e999}']
)
@pytest.mark.parametrize("file", [EXTRAS, "model/config.json", "tokenizer/config.json"])
def test_json_of_any_depth_is_read_or_refused(folder: Path, file: str, text: str) -> None:
    (folder / file).write_text(text, encoding="utf-8")
    for door in (verify_model, open_checkpoint):
        with pytest.raises(CheckpointError):
            door(str(folder))


def test_what_is_whole_is_verified_and_opened(folder: Path) -> None:
    name = edited(folder, remarks="unknown keys are passed over")
    assert verify_model(name).networks
    assert open_checkpoint(name).max_context >= 8


@pytest.mark.parametrize("value", [10**400, float("nan"), True, None, "1"])
def test_a_setting_of_the_tokenizer_beyond_all_floats_is_refused(folder: Path, value: Any) -> None:
    config = folder / "tokenizer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "beta": value}))
    with pytest.raises(CheckpointError, match=r"beta is .*, not a number"):
        verify_model(str(folder))
