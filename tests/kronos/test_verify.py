"""Weights on disk are found whole or the fault is named, with what to do about it; nothing is changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from scenario_gen.errors import CheckpointError
from scenario_gen.kronos import Checkpoint, registry, save_checkpoint
from scenario_gen.kronos.checkpoint import NetworkFacts, is_here, verify_model
from scenario_gen.kronos.hub import download
from scenario_gen.kronos.registry import KNOWN_MODELS, KnownModel
from tests.kronos.hub_server import MODEL, MODEL_COMMIT, TOKENIZER, TOKENIZER_COMMIT, LoopbackHub

WEIGHTS = "model.safetensors"
# of the golden miniature: its README lists what it was made from; the tensors are counted in its files
GOLDEN_MODEL = NetworkFacts("model", 52, 35_744)
GOLDEN_TOKENIZER = NetworkFacts("tokenizer", 68, 43_024)


@pytest.fixture
def own(tiny_checkpoint: Checkpoint, tmp_path: Path) -> Path:
    save_checkpoint(tiny_checkpoint, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def cached(hub_server: LoopbackHub, stand_in: KnownModel) -> KnownModel:
    """A known model in the cache, and the Hub gone."""
    download(MODEL, MODEL_COMMIT)
    download(TOKENIZER, TOKENIZER_COMMIT)
    hub_server.close()
    return stand_in


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def _bytes(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_golden_files_hold_what_is_expected_of_them(golden_folder: Path) -> None:
    for facts in (GOLDEN_MODEL, GOLDEN_TOKENIZER):
        assert len(load_file(golden_folder / facts.kind / WEIGHTS)) == facts.tensors


def test_the_embedded_checkpoint_is_whole() -> None:
    found = verify_model("nano")
    assert (found.hashed, found.unrecorded) == (5, 0)
    assert [facts.parameters for facts in found.networks] == [3_308_864, 561_913]


def test_a_checkpoint_that_was_saved_is_whole(own: Path, tiny_checkpoint: Checkpoint) -> None:
    found = verify_model(str(own))
    assert (found.hashed, found.unrecorded) == (5, 0)
    assert found.networks[0].parameters == sum(p.numel() for p in tiny_checkpoint.model.parameters())


def test_a_published_folder_has_no_recorded_hashes_and_that_is_told(golden_folder: Path) -> None:
    found = verify_model(str(golden_folder))
    assert (found.hashed, found.unrecorded) == (0, 4)
    assert found.networks == (GOLDEN_MODEL, GOLDEN_TOKENIZER)


@pytest.mark.parametrize("facts", [GOLDEN_MODEL, GOLDEN_TOKENIZER], ids=["model", "tokenizer"])
def test_a_folder_of_one_network_is_known_by_its_configuration(golden_folder: Path, facts: NetworkFacts) -> None:
    assert verify_model(str(golden_folder / facts.kind)).networks == (facts,)


def test_a_model_and_its_tokenizer_in_two_folders_are_checked_as_a_pair(golden_folder: Path, own: Path) -> None:
    model, tokenizer = str(golden_folder / "model"), str(golden_folder / "tokenizer")
    assert verify_model(model, tokenizer).networks == (GOLDEN_MODEL, GOLDEN_TOKENIZER)
    with pytest.raises(CheckpointError, match=r"5\+5 bits, the tokenizer 4\+4"):
        verify_model(model, str(own / "tokenizer"))


def test_a_known_model_in_the_cache_is_whole_without_a_network(cached: KnownModel) -> None:
    found = verify_model(cached.name)
    assert (found.hashed, found.unrecorded) == (4, 0)
    assert found.networks == (GOLDEN_MODEL, GOLDEN_TOKENIZER)
    assert verify_model(MODEL).networks == found.networks  # its repository stands for the same
    assert verify_model(f"{TOKENIZER}@{TOKENIZER_COMMIT}").networks == (GOLDEN_TOKENIZER,)


@pytest.mark.parametrize("name", ["model/config.json", f"tokenizer/{WEIGHTS}", "scenario_gen.json"])
def test_a_flipped_bit_in_any_file_of_a_folder_is_found(own: Path, name: str) -> None:
    _flip(own / name)
    before = _bytes(own)
    with pytest.raises(CheckpointError) as caught:
        verify_model(str(own))
    assert f"{own / name}: its hash is " in caught.value.problem
    assert caught.value.fix == "take the folder again from where it came"
    assert _bytes(own) == before


def test_every_broken_file_of_the_cache_is_named_and_none_is_deleted(cached: KnownModel, hub_cache: Path) -> None:
    broken = [path for path in hub_cache.rglob(WEIGHTS) if path.is_symlink()]
    assert len(broken) == 2
    for path in broken:
        _flip(path.resolve())
    before = _bytes(hub_cache)
    with pytest.raises(CheckpointError) as caught:
        verify_model(cached.name)
    assert all(str(path) in caught.value.problem for path in broken)
    assert caught.value.fix == "run 'scenario-gen models pull stand-in' to fetch it"
    assert _bytes(hub_cache) == before


def _without_a_tensor(folder: Path) -> str:
    tensors = load_file(folder / "model" / WEIGHTS)
    del tensors["norm.weight"]
    save_file(tensors, folder / "model" / WEIGHTS)
    return "missing: norm.weight"


def _with_a_misshapen_tensor(folder: Path) -> str:
    tensors = load_file(folder / "tokenizer" / WEIGHTS)
    save_file({**tensors, "head.bias": torch.zeros(3)}, folder / "tokenizer" / WEIGHTS)
    return r"head\.bias is \(3,\), not \(6,\)"


def _without_a_file(folder: Path) -> str:
    (folder / "tokenizer" / "config.json").unlink()
    return "has no tokenizer/config.json"


def _with_sums_that_are_none(folder: Path) -> str:
    (folder / "SHA256SUMS").write_text("no sums\n")
    return "line 1 is not a hash and a name"


@pytest.mark.parametrize(
    "damage", [_without_a_tensor, _with_a_misshapen_tensor, _without_a_file, _with_sums_that_are_none]
)
def test_damage_that_no_hash_tells_is_found(golden_folder: Path, tmp_path: Path, damage: Callable[[Path], str]) -> None:
    folder = Path(shutil.copytree(golden_folder, tmp_path / "copy"))
    verify_model(str(folder))
    message = damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        verify_model(str(folder))
    assert caught.value.fix == "take the folder again from where it came"


def test_a_folder_with_sums_misses_the_file_that_they_name(own: Path) -> None:
    (own / "scenario_gen.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no scenario_gen\.json"):
        verify_model(str(own))


def test_a_known_model_of_another_size_is_not_that_model(cached: KnownModel, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(cached, tokenizer_parameters=43_025)
    monkeypatch.setattr(registry, "KNOWN_MODELS", (*KNOWN_MODELS, other))
    with pytest.raises(CheckpointError, match="the tokenizer has 43,024 parameters") as caught:
        verify_model("stand-in")
    assert caught.value.expected == "43,025"


def test_what_is_not_here_says_how_to_get_it(hub_cache: Path) -> None:
    assert not hub_cache.exists()
    assert [known.name for known in KNOWN_MODELS if is_here(known)] == ["nano"]
    for name in ("small", "made-up/model@v2"):
        with pytest.raises(CheckpointError, match="is not on this machine") as caught:
            verify_model(name)
        assert caught.value.fix == f"run 'scenario-gen models pull {name}' to fetch it"


def test_half_a_download_is_told_from_none(hub_server: LoopbackHub, stand_in: KnownModel) -> None:
    folder = download(MODEL, MODEL_COMMIT)
    with pytest.raises(CheckpointError, match=f"{TOKENIZER}@{TOKENIZER_COMMIT} is not on this machine"):
        verify_model(stand_in.name)
    (folder / WEIGHTS).unlink()
    assert is_here(stand_in)
    with pytest.raises(CheckpointError, match=r"is not whole on this machine: no model\.safetensors"):
        verify_model(stand_in.name)
    del hub_server


def test_an_embedded_checkpoint_without_its_record_is_not_whole(monkeypatch: pytest.MonkeyPatch, own: Path) -> None:
    monkeypatch.setattr("scenario_gen.kronos.hub.EMBEDDED", own.parent)
    (own / "SHA256SUMS").unlink()
    own.rename(own.parent / "nano")
    with pytest.raises(CheckpointError, match="has no SHA256SUMS") as caught:
        verify_model("nano")
    assert caught.value.fix == "install scenario-gen again"


def test_the_record_is_what_sha256sum_reads(own: Path) -> None:
    lines = (own / "SHA256SUMS").read_text().splitlines()
    assert [line[64:] for line in lines] == [
        f"  {name}"
        for name in (
            "model/config.json",
            f"model/{WEIGHTS}",
            "tokenizer/config.json",
            f"tokenizer/{WEIGHTS}",
            "scenario_gen.json",
        )
    ]
    assert json.loads((own / "scenario_gen.json").read_text())["name"] == "tiny"
