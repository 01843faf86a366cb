"""A training config names each of its mistakes before anything is trained."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import scenario_gen.training
from scenario_gen.errors import SpecError
from scenario_gen.training.config import load_config
from scenario_gen.training.data import load_series
from scenario_gen.training.run import _samplers
from scenario_gen.training.start import open_start

SHIPPED = Path(scenario_gen.training.__file__).parent


def test_a_config_is_read_with_the_hash_of_its_text(tmp_path: Path, write_config: Callable[..., Path]) -> None:
    path = write_config(tmp_path)
    config, digest = load_config(path)
    assert (config.name, config.model.steps, config.data.holdout_symbols) == ("tiny", 4, ("HELD",))
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_shipped_configs_are_read() -> None:
    names = {path.stem: load_config(path)[0].name for path in SHIPPED.glob("*.yaml")}
    assert names == {"nano": "nano", "nano2": "nano2", "finetune_example": "my-sp500"}


def test_the_example_of_fine_tuning_has_its_data_and_its_start() -> None:
    """All that comes before the first step; the steps themselves take minutes."""
    config, _ = load_config(SHIPPED / "finetune_example.yaml")
    series = load_series(config.data, SHIPPED, config.window.bars)
    samplers = _samplers(config, series, open_start(config, SHIPPED))
    assert samplers["train"].batch(0, 2).features.shape == (2, config.window.bars, 5)
    assert samplers["later"].batch(0, 2).features.shape == (2, config.window.bars, 5)


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


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda raw: raw.pop("model"), "there is no section model, which is among the stages"),
        (lambda raw: raw.update(stages=["model"]), "there is a section tokenizer, which is not among the stages"),
        (lambda raw: raw.update(stages=["model", "tokenizer"]), "stages: got model, tokenizer"),
        (lambda raw: raw.update(stages=[]), "stages: Tuple should have at least 1 item"),
        (lambda raw: raw["model"].pop("shape"), "model.shape is missing, and init is None"),
        (
            lambda raw: raw.update(init="nano", stages=["tokenizer", "model"]),
            "tokenizer.shape is given, and init is nano",
        ),
        (lambda raw: raw["model"].update(freeze=["head"]), "model.freeze and model.lora go with a checkpoint"),
        (
            lambda raw: (raw.pop("tokenizer"), raw.update(stages=["model"])),
            "trains the model alone, and there is no tokenizer",
        ),
        (lambda raw: raw.update(init_tokenizer="x"), "the stage tokenizer trains another one"),
    ],
)
def test_stages_and_their_sections_must_agree(
    tmp_path: Path, write_config: Callable[..., Path], change: Callable[[dict[str, Any]], Any], named: str
) -> None:
    path = write_config(tmp_path)
    raw = yaml.safe_load(path.read_text())
    change(raw)
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(SpecError) as caught:
        load_config(path)
    assert named in caught.value.problem
    assert caught.value.expected or caught.value.fix


def test_a_wrong_field_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("name: x\ninit: nano\ndata:\n  source: sp500\n\n  holdout_shar: .2\nmodel: {batch: 2}\n")
    with pytest.raises(SpecError) as caught:
        load_config(path)
    assert caught.value.problem.splitlines() == [
        f"{path}:6: data.holdout_shar: Extra inputs are not permitted",
        f"{path}:7: model.steps: Field required",
    ]


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


def test_a_config_is_read_as_a_spec_is(tmp_path: Path, write_config: Callable[..., Path]) -> None:
    path = write_config(tmp_path)
    text = path.read_text()
    path.write_text(re.sub(r"seed: .*\n", "seed: 010\n", text))
    assert load_config(path)[0].seed == 10, "no octal"
    path.write_text(text + "seed: 1:30\n" if "seed:" not in text else re.sub(r"seed: .*\n", "seed: 1:30\n", text))
    with pytest.raises(SpecError, match="seed: Input should be a valid integer"):
        load_config(path)
    path.write_text(text + "name: again\n")
    with pytest.raises(SpecError, match="key 'name' is there twice"):
        load_config(path)


@pytest.mark.parametrize("name", ["../../x", "t\\n", "", "CON"])
def test_a_name_that_cannot_be_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f'name: "{name}"\ninit: nano\ndata: {{source: sp500}}\nmodel: {{steps: 1}}\n')
    with pytest.raises(SpecError, match=r"config\.yaml:1: name: got .*; (expected|this name)"):
        load_config(config)
