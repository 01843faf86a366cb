"""Checkpoints: written and read back bit for bit; a fault in one is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from scenario_gen.errors import CheckpointError
from scenario_gen.files import sha256_of
from scenario_gen.kronos import (
    Checkpoint,
    Kronos,
    KronosTokenizer,
    ModelConfig,
    TokenizerConfig,
    load_checkpoint,
    save_checkpoint,
)
from scenario_gen.kronos.checkpoint import open_checkpoint


@pytest.fixture
def copy(golden_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(golden_folder, tmp_path / "checkpoint"))


def test_a_checkpoint_survives_the_disk(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tiny_checkpoint, tmp_path / "tiny")
    again = load_checkpoint(tmp_path / "tiny")
    assert again.representation == tiny_checkpoint.representation
    assert (again.max_context, again.dependency_form) == (64, "train")
    assert again.cell_log_volume is not None
    torch.testing.assert_close(again.cell_log_volume, tiny_checkpoint.cell_log_volume, atol=1e-6, rtol=0)
    for name, tensor in tiny_checkpoint.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor), name


def test_half_the_bytes_keep_eleven_bits_of_every_weight(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    """float16 rounds to 11 significant bits, a relative error of 2^-11; below 6.1e-5 to steps of 2^-24."""
    save_checkpoint(tiny_checkpoint, tmp_path / "whole")
    save_checkpoint(tiny_checkpoint, tmp_path / "half", torch.float16)
    sizes = [(tmp_path / name / "model" / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    half = load_checkpoint(tmp_path / "half")
    assert half.provenance["weights"] == "float16"
    assert load_checkpoint(tmp_path / "whole").provenance["weights"] == "float32"
    for name, tensor in tiny_checkpoint.model.state_dict().items():
        read = half.model.state_dict()[name]
        assert read.dtype == tensor.dtype
        torch.testing.assert_close(read, tensor, rtol=2**-11, atol=2**-25)
    save_checkpoint(half, tmp_path / "again")
    again = load_checkpoint(tmp_path / "again").provenance
    assert again["weights"] == "float32"
    assert again["model_sha256"] == sha256_of(tmp_path / "again" / "model" / "model.safetensors")
    assert again["model_sha256"] != half.provenance["model_sha256"]


def test_a_published_folder_gets_levels_and_the_decode_form(golden_folder: Path) -> None:
    checkpoint = load_checkpoint(golden_folder / "model", tokenizer_folder=golden_folder / "tokenizer")
    assert checkpoint.representation.kind == "levels"
    assert checkpoint.dependency_form == "decode"
    assert checkpoint.cell_log_volume is None
    assert not checkpoint.model.training
    assert not checkpoint.tokenizer.training


def test_missing_extra_and_misshapen_tensors_are_all_named(copy: Path) -> None:
    path = copy / "model" / "model.safetensors"
    tensors = load_file(path)
    del tensors["norm.weight"]
    tensors["surprise"] = torch.zeros(1)
    tensors["head.proj_s1.bias"] = torch.zeros(3)
    save_file(tensors, path)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(copy)
    message = str(caught.value)
    assert "missing: norm.weight" in message
    assert "surprise" in message
    assert "head.proj_s1.bias is (3,), not (32,)" in message


def test_a_torn_file_is_an_error_that_says_so(copy: Path) -> None:
    path = copy / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_checkpoint(copy)


def test_a_model_and_a_foreign_tokenizer_are_refused(copy: Path, tiny_checkpoint: Checkpoint) -> None:
    save_checkpoint(tiny_checkpoint, copy / "other")
    with pytest.raises(CheckpointError, match=r"5\+5 bits, the tokenizer 4\+4"):
        load_checkpoint(copy / "model", tokenizer_folder=copy / "other" / "tokenizer")


@pytest.mark.parametrize("value", [0, -3, 2.5, "many"])
def test_an_absurd_configuration_is_refused(copy: Path, value: object) -> None:
    path = copy / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"n_layers": value}))
    with pytest.raises(CheckpointError, match="n_layers"):
        load_checkpoint(copy)


def test_a_folder_without_weights_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a folder"):
        load_checkpoint(tmp_path / "nowhere")
    (tmp_path / "model").mkdir()
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("part", "key"),
    [
        *(("model", key) for key in ("d_model", "ff_dim", "s1_bits", "n_layers")),
        *(("tokenizer", key) for key in ("d_model", "ff_dim", "s2_bits", "n_enc_layers", "d_in")),
    ],
)
@pytest.mark.parametrize("value", [20, 60_000, 1_000_000_000])
def test_a_configuration_of_a_giant_is_refused_before_it_is_built(copy: Path, part: str, key: str, value: int) -> None:
    path = copy / part / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, key: value}))
    with pytest.raises(CheckpointError, match=f"{key} is {value}|does not fit its config.json|divisible|split"):
        load_checkpoint(copy)


def test_weights_that_are_no_numbers_are_named(copy: Path) -> None:
    path = copy / "model" / "model.safetensors"
    tensors = load_file(path)
    tensors["norm.weight"][1] = torch.nan
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"no finite numbers: norm\.weight"):
        load_checkpoint(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_context", 0),
        ("max_context", -1),
        ("max_context", "512"),
        ("max_context", None),
        ("training", [1]),
        ("representation", "levels"),
        ("representation", None),
        ("cell_log_volume", "x"),
    ],
)
def test_extras_of_another_kind_are_named(tiny_checkpoint: Checkpoint, tmp_path: Path, key: str, value: object) -> None:
    save_checkpoint(tiny_checkpoint, tmp_path)
    path = tmp_path / "scenario_gen.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(CheckpointError, match=f"has no usable {key}"):
        load_checkpoint(tmp_path)


def test_cell_volumes_that_are_no_numbers_are_refused(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tiny_checkpoint, tmp_path)
    path = tmp_path / "scenario_gen.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cell_log_volume": ["x"] * 16}))
    with pytest.raises(CheckpointError, match="expected: 16 finite numbers"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("model", "resid_dropout_p", "much", "resid_dropout_p is 'much', not a share"),
        ("model", "attn_dropout_p", 1.0, "attn_dropout_p is 1.0, not a share"),
        ("model", "token_dropout_p", True, "token_dropout_p is True, not a share"),
        ("model", "learn_te", "no", "learn_te is 'no', neither true nor false"),
        ("model", "n_heads", 32, "d_model 32 does not split into 32 heads of an even width"),
        ("model", "d_model", 20, "d_model 20 does not split into 4 heads of an even width"),
        ("tokenizer", "n_heads", 5, "d_model 32 does not split into 5 heads of an even width"),
        ("tokenizer", "ffn_dropout_p", None, "ffn_dropout_p is None, not a share"),
        ("tokenizer", "zeta", "0.05", "zeta is '0.05', not a number"),
        ("tokenizer", "group_size", 3, "10 bits do not split into groups of 3"),
    ],
)
def test_a_value_that_no_network_can_have_is_named(
    copy: Path, part: str, key: str, value: object, message: str
) -> None:
    path = copy / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(copy)


def test_keys_of_a_later_configuration_are_passed_over_and_missing_ones_are_not(copy: Path) -> None:
    path = copy / "model" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "architectures": ["Kronos"], "transformers_version": "9"}))
    load_checkpoint(copy)
    del config["n_layers"]
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="n_layers"):
        load_checkpoint(copy)


def test_a_copied_folder_of_a_published_model_has_that_models_window(tmp_path: Path) -> None:
    """Published files do not tell the window: mini is known by its size. Random weights, 16 MB each."""
    Kronos(ModelConfig(4, 256, 4, 512, 10, 10)).save_pretrained(tmp_path / "mini")
    KronosTokenizer(TokenizerConfig(6, 256, 4, 512, 4, 4, 10, 10, 5)).save_pretrained(tmp_path / "tokenizer")
    checkpoint = open_checkpoint(str(tmp_path / "mini"), str(tmp_path / "tokenizer"))
    assert checkpoint.max_context == 2048
    assert checkpoint.name == "mini"


def test_any_other_folder_in_the_published_layout_has_512_bars(golden_folder: Path) -> None:
    assert load_checkpoint(golden_folder).max_context == 512
