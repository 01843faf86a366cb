"""A training config names each of its mistakes before anything is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import scenario_gen.training
from scenario_gen.errors import SpecError
from scenario_gen.training.read_config import load_config

SHIPPED = Path(scenario_gen.training.__file__).parent / "nano.yaml"


def test_a_config_is_read_with_the_hash_of_its_text(
    tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    path = write_config(tmp_path)
    config, digest = load_config(path)
    assert (config.name, config.model.steps, config.data.holdout_symbols) == ("tiny", 4, ("HELD",))
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_shipped_config_is_read() -> None:
    assert load_config(SHIPPED)[0].name == "nano"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model__stpes": 4}, "model.stpes: Extra inputs"),
        ({"model__steps": 0}, "model.steps: Input should be greater than or equal to 1"),
        ({"tokenizer__learning_rate": -1}, "tokenizer.learning_rate: Input should be greater than 0"),
        ({"data__holdout_share": 0.9}, "data.holdout_share: Input should be less than 0.5"),
        ({"window__bars": 8}, "window.bars: Input should be greater than or equal to 64"),
        ({"window__context_max": 64}, "do not fit into window.bars 64"),
        ({"window__context_min": 41}, "context_min 41 .. context_max 40 do not fit"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
        ({"seed": 2**64}, "seed: Input should be less than"),
        ({"device": "gpu"}, "device: String should match pattern"),
        ({"representation": "logs"}, "representation: Input should be 'increments' or 'levels'"),
        ({"representation": "levels"}, "tokenizer.shape.d_in is 5"),
        ({"model__shape__n_head": 2}, "model.shape.n_head: no such field"),
        ({"model__shape__d_model": 15}, "model.shape: the configuration cannot be used: d_model 15"),
        ({"model__shape__s1_bits": 4}, "tokenizer.shape has 3+3 bits, model.shape 4+3"),
        ({"model__shape__ffn_dropout_p": "much"}, "model.shape.ffn_dropout_p is 'much'"),
        ({"model__shape__token_dropout_p": 1.5}, "model.shape.token_dropout_p is 1.5"),
        ({"tokenizer__shape__beta": None}, "tokenizer.shape.beta is None"),
        ({"tokenizer__shape__group_size": 4}, "6 bits do not split into groups of 4"),
        ({"tokenizer__shape": {"d_in": 5}}, "tokenizer.shape: the configuration cannot be used: "),
    ],
)
def test_a_wrong_field_is_named(
    tmp_path: Path, write_config: Callable[..., Path], changes: dict[str, Any], named: str
) -> None:
    path = write_config(tmp_path, **changes)
    with pytest.raises(SpecError) as caught:
        load_config(path)
    assert str(path) in caught.value.problem
    assert named in caught.value.problem
    assert caught.value.expected or caught.value.fix


def test_all_wrong_fields_are_named_at_once(tmp_path: Path, write_config: Callable[..., Path]) -> None:
    path = write_config(tmp_path, model__steps=0, seed=-1, speed=3)
    with pytest.raises(SpecError) as caught:
        load_config(path)
    assert all(name in caught.value.problem for name in ("model.steps", "seed", "speed"))


@pytest.mark.parametrize("text", ["", "- a list", "name: [", "name: x\n"])
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=r"broken\.yaml"):
        load_config(path)


def test_a_config_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nowhere\.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml")
    with pytest.raises(SpecError, match="cannot be read"):
        load_config(tmp_path)
