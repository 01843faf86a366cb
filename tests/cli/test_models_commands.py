"""``models pull`` and ``models verify`` as a user meets them, against a Hub on loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenario_gen.kronos.registry import KnownModel, is_cached
from tests.kronos.hub_server import MODEL, MODEL_COMMIT, TOKENIZER, TOKENIZER_COMMIT, Fault, LoopbackHub

Invoke = Callable[..., Any]
WEIGHTS = "model.safetensors"
PINNED = (f"{MODEL}@{MODEL_COMMIT}", f"{TOKENIZER}@{TOKENIZER_COMMIT}")
WHOLE = (
    "whole; 4 files with their recorded hash; model of 35,744 parameters in 52 tensors as configured; "
    "tokenizer of 43,024 parameters in 68 tensors as configured\n"
)


def _blobs(hub_cache: Path) -> list[Path]:
    return [path for path in hub_cache.rglob("blobs/*") if path.stat().st_size > 50_000]


def test_pull_fetches_model_and_tokenizer_tells_its_progress_and_checks_what_came(
    invoke: Invoke, hub_server: LoopbackHub, stand_in: KnownModel, hub_cache: Path
) -> None:
    result = invoke("models", "pull", "stand-in")
    assert result.exit_code == 0, result.stderr
    first, second, last = result.stdout.splitlines(keepends=True)
    assert first.startswith(f"{PINNED[0]}: {hub_cache}")
    assert second.startswith(f"{PINNED[1]}: {hub_cache}")
    assert last == f"stand-in: {WHOLE}"
    assert f"{MODEL}@a1a1a1a1, MB: 1 of 1" in result.stderr
    assert f"{TOKENIZER}@b2b2b2b2, MB: 1 of 1" in result.stderr
    asked = len(hub_server.requests)

    again = invoke("models", "pull", "stand-in")
    assert (again.exit_code, again.stdout, again.stderr) == (0, result.stdout, "")
    assert len(hub_server.requests) == asked
    assert stand_in.available


def test_pull_takes_a_hub_name_with_its_tokenizer_or_alone(invoke: Invoke, hub_server: LoopbackHub) -> None:
    alone = invoke("models", "pull", f"{TOKENIZER}@main")
    assert alone.stdout.endswith(
        "whole; 2 files with their recorded hash; tokenizer of 43,024 parameters in 68 tensors as configured\n"
    )
    assert not is_cached(MODEL, MODEL_COMMIT)
    both = invoke("models", "pull", PINNED[0], "--tokenizer", PINNED[1])
    assert both.stdout.endswith(f"{PINNED[0]}: {WHOLE}")
    assert is_cached(MODEL, MODEL_COMMIT)
    del hub_server


def test_pull_has_nothing_to_do_for_what_is_on_this_machine(invoke: Invoke, golden_folder: Path) -> None:
    for name in ("nano", golden_folder):
        result = invoke("models", "pull", name)
        assert result.exit_code == 0
        assert "on this machine, nothing to pull\n" in result.stdout
        assert f"{name}: whole; " in result.stdout


def test_an_interrupted_pull_goes_on_where_it_stopped(
    invoke: Invoke, hub_server: LoopbackHub, stand_in: KnownModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store breaks down for good after 50,000 bytes; the second command asks for the rest alone."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub_server.fault = Fault(drop_after=50_000, drops=1, then_status=503)
    broken_off = invoke("models", "pull", "stand-in")
    assert broken_off.exit_code == 2
    assert "the Hub answered with status 503" in broken_off.stderr
    assert "to do:    try again later" in broken_off.stderr

    hub_server.fault, seen = Fault(), len(hub_server.requests)
    assert invoke("models", "pull", "stand-in").exit_code == 0
    ranges = [asked for method, path, asked in hub_server.requests[seen:] if path.startswith("/store/")]
    assert "bytes=50000-" in ranges
    assert stand_in.available


def test_pull_fetches_a_broken_file_anew_and_says_so(
    invoke: Invoke, hub_server: LoopbackHub, stand_in: KnownModel, hub_cache: Path
) -> None:
    invoke("models", "pull", "stand-in")
    for blob in _blobs(hub_cache):
        blob.write_bytes(b"\0" * blob.stat().st_size)
    damaged = invoke("models", "verify", "stand-in")
    assert damaged.exit_code == 2
    assert damaged.stderr.count("its hash is") == 2
    assert "to do:    run 'scenario-gen models pull stand-in' to fetch it" in damaged.stderr
    mended = invoke("models", "pull", "stand-in")
    assert mended.exit_code == 0
    assert mended.stderr.count("is broken: its hash is") == 2
    assert invoke("models", "verify", "stand-in").stdout == f"stand-in: {WHOLE}"
    del hub_server


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_pull_names_a_file_that_the_repository_lacks(invoke: Invoke, hub_server: LoopbackHub, name: str) -> None:
    del hub_server.files[(MODEL, MODEL_COMMIT, name)]
    result = invoke("models", "pull", PINNED[0])
    assert result.exit_code == 2
    assert f"{PINNED[0]} has no {name}" in result.stderr
    assert "to do:    choose a Kronos repository" in result.stderr


def test_pull_refuses_bytes_that_are_not_as_recorded(invoke: Invoke, hub_server: LoopbackHub) -> None:
    true = hub_server.files[(MODEL, MODEL_COMMIT, WEIGHTS)]
    hub_server.served_instead[WEIGHTS] = true[:-1] + bytes([true[-1] ^ 1])
    result = invoke("models", "pull", PINNED[0])
    assert result.exit_code == 2
    assert "is broken: its hash is" in result.stderr
    assert "to do:    try again: the broken file was deleted" in result.stderr
    assert not is_cached(MODEL, MODEL_COMMIT)


def test_pull_without_a_network_says_what_it_needs(invoke: Invoke, hub_server: LoopbackHub) -> None:
    hub_server.close()
    with socket.create_server(("127.0.0.1", hub_server.port)):
        pass  # the port is free: nobody answers there
    result = invoke("models", "pull", PINNED[0])
    assert result.exit_code == 2
    assert "the Hub cannot be reached" in result.stderr
    assert "expected: a network connection" in result.stderr


def test_pull_in_offline_mode_asks_nobody(
    invoke: Invoke, hub_server: LoopbackHub, stand_in: KnownModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stand_in
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = invoke("models", "pull", "stand-in")
    assert result.exit_code == 2
    assert "HF_HUB_OFFLINE forbids to fetch it" in result.stderr
    assert hub_server.requests == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("smal",), "no model 'smal'; did you mean 'small'?"),
        (("small", "--tokenizer", PINNED[1]), "small brings its own tokenizer"),
        ((PINNED[0], "--tokenizer", "nothing"), "'nothing' is neither a folder nor a name on the Hub"),
    ],
)
def test_pull_refuses_what_it_cannot_name(
    invoke: Invoke, hub_cache: Path, words: tuple[str, ...], message: str
) -> None:
    result = invoke("models", "pull", *words)
    assert (result.exit_code, message in result.stderr) == (2, True)
    assert not hub_cache.exists()


def test_verify_without_names_checks_what_is_here_and_lists_what_is_not(invoke: Invoke, hub_cache: Path) -> None:
    result = invoke("models", "verify")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].startswith("nano: whole; 5 files with their recorded hash; ")
    assert lines[1:] == [
        f"{name}: not on this machine ('scenario-gen models pull {name}' fetches it)"
        for name in ("mini", "small", "base")
    ]
    assert not hub_cache.exists()


def test_verify_checks_every_name_and_leaves_with_2_if_one_is_not_whole(
    invoke: Invoke, golden_folder: Path, hub_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    result = invoke("models", "verify", golden_folder, tmp_path / "empty", "small", "nano")
    assert result.exit_code == 2
    assert [line.split(": whole")[0] for line in result.stdout.splitlines()] == [str(golden_folder), "nano"]
    assert f"{tmp_path / 'empty'} has no model/config.json" in result.stderr
    assert "run 'scenario-gen models pull small' to fetch it" in result.stderr
    del hub_cache
