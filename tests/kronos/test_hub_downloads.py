"""Downloads from the Hub, against a Hub on loopback: each failure has its message; broken bytes are never loaded."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub.utils import close_session

from scenario_gen.errors import CheckpointError
from scenario_gen.kronos import Checkpoint, hub, save_checkpoint
from scenario_gen.kronos.hub import download, open_checkpoint
from scenario_gen.kronos.registry import KNOWN_MODELS, KnownModel, is_cached
from tests.kronos.hub_server import Fault, LoopbackHub

MODEL, TOKENIZER = "made-up/golden-model", "made-up/golden-tokenizer"
MODEL_COMMIT, TOKENIZER_COMMIT = "a1" * 20, "b2" * 20
PINNED = (f"{MODEL}@{MODEL_COMMIT}", f"{TOKENIZER}@{TOKENIZER_COMMIT}")
WEIGHTS = "model.safetensors"


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hub cache of this test alone."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    return tmp_path / "cache"


@pytest.fixture
def server(cache: Path, golden_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """The golden checkpoint as two repositories of a Hub that the code is pointed at."""
    del cache
    close_session()  # a client that an earlier test left open knows other proxies
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    running = LoopbackHub()
    monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
    running.publish(MODEL, MODEL_COMMIT, _files(golden_folder / "model"))
    running.publish(TOKENIZER, TOKENIZER_COMMIT, _files(golden_folder / "tokenizer"))
    yield running
    running.close()
    close_session()


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def library_log() -> Iterator[list[str]]:
    """What the Hub library logs at the level that it was left at; its own handler prints the same lines."""
    library, kept = logging.getLogger("huggingface_hub"), _Kept()
    before = library.level
    library.setLevel(logging.WARNING)  # where its lines on retries are
    library.addHandler(kept)
    yield kept.lines
    library.removeHandler(kept)
    level = library.level
    library.setLevel(before)
    assert level == logging.WARNING  # left as it was found


def _same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    pairs = ((one.model, other.model), (one.tokenizer, other.tokenizer))
    return all(
        torch.equal(tensor, right.state_dict()[name])
        for left, right in pairs
        for name, tensor in left.state_dict().items()
    )


def _message(caught: pytest.ExceptionInfo[CheckpointError]) -> str:
    return str(caught.value)


def test_a_checkpoint_is_downloaded_and_then_opened_with_the_hub_gone(
    server: LoopbackHub, golden_checkpoint: Checkpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    fetched = open_checkpoint(*PINNED)
    assert _same_weights(fetched, golden_checkpoint)
    assert fetched.provenance["repository"] == MODEL
    assert fetched.provenance["revision"] == MODEL_COMMIT
    assert fetched.provenance["tokenizer_repository"] == TOKENIZER
    assert fetched.provenance["tokenizer_revision"] == TOKENIZER_COMMIT
    asked = len(server.requests)
    assert asked >= 4  # two files of two repositories

    open_checkpoint(*PINNED)
    assert len(server.requests) == asked  # a full commit in the cache costs no request
    server.close()
    assert _same_weights(open_checkpoint(*PINNED), golden_checkpoint)
    assert capfd.readouterr() == ("", "")  # no bars and no log lines where stderr is not a terminal


def test_a_branch_is_looked_up_again_and_its_commit_is_recorded(
    server: LoopbackHub, golden_folder: Path
) -> None:
    assert download(MODEL, "main").name == MODEL_COMMIT
    server.publish(MODEL, "c3" * 20, _files(golden_folder / "model"))
    assert download(MODEL, "main").name == "c3" * 20
    assert open_checkpoint(MODEL, TOKENIZER).provenance["revision"] == "c3" * 20


def test_both_files_come_from_one_commit_even_if_the_branch_moves_between_them(
    server: LoopbackHub, golden_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = server.find

    def move_after_the_config(repository: str, revision: str, name: str) -> object:
        if name == WEIGHTS:
            server.publish(MODEL, "c3" * 20, _files(golden_folder / "model"))
        return find(repository, revision, name)

    monkeypatch.setattr(server, "find", move_after_the_config)
    assert is_cached(MODEL, download(MODEL, "main").name)
    assert download(MODEL, MODEL_COMMIT).name == MODEL_COMMIT


def test_a_wrong_repository_is_named(server: LoopbackHub) -> None:
    del server
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(f"made-up/nothing@{MODEL_COMMIT}", PINNED[1])
    assert _message(caught) == (
        f"made-up/nothing@{MODEL_COMMIT}: the Hub has no such repository, or it is private\n"
        "  expected: organisation/name\n"
        "  to do:    check the name; for a private repository run 'hf auth login'"
    )


def test_a_wrong_revision_is_named(server: LoopbackHub) -> None:
    del server
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(f"{MODEL}@v9", PINNED[1])
    assert _message(caught) == (
        f"{MODEL}@v9: the Hub has no such revision\n  to do:    check the part after '@'"
    )


def test_a_missing_file_is_named(server: LoopbackHub) -> None:
    del server.files[(MODEL, MODEL_COMMIT, WEIGHTS)]
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert _message(caught) == (
        f"{PINNED[0]} has no model.safetensors\n"
        "  expected: config.json and model.safetensors\n"
        "  to do:    choose a Kronos repository"
    )


def test_a_name_that_no_repository_can_have_is_refused(cache: Path) -> None:
    del cache
    with pytest.raises(CheckpointError, match=r"'made--up/x' cannot be the name of a repository"):
        open_checkpoint("made--up/x", "made--up/y")


@pytest.mark.parametrize(("name", "position"), [(WEIGHTS, 100_000), ("config.json", 30)])
def test_a_file_whose_bytes_are_not_as_recorded_is_deleted_and_refused(
    server: LoopbackHub, golden_folder: Path, cache: Path, name: str, position: int
) -> None:
    """One flipped bit among the weights makes a file that loads without complaint: only its hash tells."""
    true = bytearray((golden_folder / "model" / name).read_bytes())
    true[position] ^= 1
    server.served_instead[name] = bytes(true)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert f"{name} of " in _message(caught)
    assert "is broken: its hash is" in _message(caught)
    assert "try again: the broken file was deleted" in _message(caught)
    assert not [path for path in cache.rglob("*") if path.is_file() and path.read_bytes() == bytes(true)]

    server.served_instead.clear()
    assert open_checkpoint(*PINNED).name == PINNED[0]


def test_a_file_of_another_size_than_announced_is_refused(server: LoopbackHub) -> None:
    server.served_instead[WEIGHTS] = b"<html>log in to this network first</html>"
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert f"{PINNED[0]}: the download broke off: Consistency check failed" in _message(caught)
    assert not is_cached(MODEL, MODEL_COMMIT)


def test_a_file_that_rotted_in_the_cache_is_deleted_and_refused(server: LoopbackHub) -> None:
    weights = download(MODEL, MODEL_COMMIT) / WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.resolve().write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="is broken: its hash is"):
        open_checkpoint(*PINNED)
    assert not weights.exists()
    assert open_checkpoint(*PINNED).name == PINNED[0]
    del server


def test_a_cut_connection_is_taken_up_where_it_broke(
    server: LoopbackHub, golden_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub library goes on from its last whole chunk, of 10 MiB as it comes: more than the whole golden file."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    server.fault = Fault(drop_after=50_000, drops=1)
    assert _same_weights(open_checkpoint(*PINNED), golden_checkpoint)
    assert any(asked == "bytes=50000-" for _, _, asked in server.requests)


def test_a_download_that_breaks_off_for_good_is_an_error_and_a_second_try_succeeds(
    server: LoopbackHub, golden_checkpoint: Checkpoint, library_log: list[str]
) -> None:
    """The Hub library asks five more times, a second apart, while nothing at all arrives."""
    server.fault = Fault(drop_after=0, drops=10**6)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert _message(caught).startswith(f"{PINNED[0]}: the download broke off: ")
    assert _message(caught).endswith("  to do:    try again; what was complete is kept")
    assert not is_cached(MODEL, MODEL_COMMIT)

    server.fault = Fault()
    assert _same_weights(open_checkpoint(*PINNED), golden_checkpoint)
    assert library_log == []


@pytest.mark.parametrize(
    "fault", [Fault(then_status=503), Fault(drop_after=50_000, drops=1, then_status=503)]
)
def test_a_store_that_answers_badly_says_with_which_status(server: LoopbackHub, fault: Fault) -> None:
    server.fault = fault
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert _message(caught) == f"{PINNED[0]}: the Hub answered with status 503\n  to do:    try again later"


def test_a_hub_that_is_down_says_so_at_once(server: LoopbackHub) -> None:
    server.status = 500
    with pytest.raises(CheckpointError, match="the Hub answered with status 500"):
        open_checkpoint(*PINNED)
    assert len(server.requests) == 1


def test_a_server_that_is_no_hub_is_told_apart(server: LoopbackHub) -> None:
    server.commit_header = False
    with pytest.raises(CheckpointError, match=rf"what answers at {server.endpoint} is not a Hub"):
        open_checkpoint(*PINNED)


def test_without_a_network_the_message_comes_after_one_attempt(
    server: LoopbackHub, library_log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub library's own download asks six times within 23 s before it gives up: it must not be waited for."""
    monkeypatch.setattr("huggingface_hub.utils._http.time", None)  # a pause between attempts would raise
    server.close()
    with socket.create_server(("127.0.0.1", server.port)):
        pass  # the port is free: nobody answers there
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert _message(caught) == (
        f"{PINNED[0]} is not on this machine and the Hub cannot be reached\n"
        "  expected: a network connection, or the files in the Hub's cache\n"
        "  to do:    connect once to download it, or use the embedded model with 'model: nano'"
    )
    assert library_log == []


def test_without_a_network_a_branch_is_not_silently_what_it_was_last_time(server: LoopbackHub) -> None:
    download(MODEL, "main")
    server.close()
    with pytest.raises(CheckpointError) as caught:
        download(MODEL, "main")
    assert _message(caught) == (
        f"the Hub cannot be reached to tell which commit {MODEL}@main is now\n"
        "  expected: a network connection, or a full commit after '@'\n"
        f"  to do:    name the one that is on this machine: {MODEL}@{MODEL_COMMIT}"
    )


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_offline_mode_asks_nobody(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch, cache: Path, value: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert _message(caught) == (
        f"{PINNED[0]} is not on this machine and HF_HUB_OFFLINE forbids to fetch it\n"
        f"  expected: the files in the Hub's cache, {cache}\n"
        "  to do:    unset HF_HUB_OFFLINE once to download it, or use the embedded model with 'model: nano'"
    )
    assert server.requests == []


def test_offline_mode_takes_a_branch_as_it_was_last_fetched(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(MODEL, "main")
    asked = len(server.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert download(MODEL, "main").name == MODEL_COMMIT
    assert len(server.requests) == asked


def test_offline_mode_switched_off_by_a_zero_is_off(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    del server
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert download(MODEL, MODEL_COMMIT).name == MODEL_COMMIT


def test_the_cache_is_where_hf_home_says(
    server: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del server
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert (tmp_path / "home" / "hub") in download(MODEL, MODEL_COMMIT).parents


def test_a_revision_that_climbs_out_of_the_cache_finds_nothing_there(
    server: LoopbackHub, golden_folder: Path, cache: Path
) -> None:
    """`snapshots/../../../elsewhere` is a folder with the right files, but no commit of the repository."""
    elsewhere = cache.parent / "elsewhere"
    elsewhere.mkdir()
    for name, content in _files(golden_folder / "model").items():
        (elsewhere / name).write_bytes(content)
    (cache / "models--made-up--golden-model" / "snapshots").mkdir(parents=True)
    assert (cache / "models--made-up--golden-model" / "snapshots" / "../../../elsewhere" / WEIGHTS).is_file()
    with pytest.raises(CheckpointError, match="the Hub has no such"):
        open_checkpoint(f"{MODEL}@../../../elsewhere", PINNED[1])
    del server


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """A known model of a made-up name whose repositories are on the loopback Hub."""
    known = KnownModel("stand-in", MODEL, MODEL_COMMIT, TOKENIZER, TOKENIZER_COMMIT, 1, 33, "of the tests")
    monkeypatch.setattr(hub, "KNOWN_MODELS", (*KNOWN_MODELS, known))
    return known


def test_a_known_model_is_fetched_at_its_pinned_revisions(
    server: LoopbackHub, stand_in: KnownModel, golden_folder: Path, golden_checkpoint: Checkpoint
) -> None:
    later = _files(golden_folder / "model") | {WEIGHTS: b"what the branch became afterwards"}
    server.publish(MODEL, "c3" * 20, later)
    assert not stand_in.available
    checkpoint = open_checkpoint("stand-in")
    assert _same_weights(checkpoint, golden_checkpoint)
    assert (checkpoint.name, checkpoint.max_context) == ("stand-in", 33)
    assert checkpoint.provenance["revision"] == MODEL_COMMIT
    assert checkpoint.provenance["tokenizer_revision"] == TOKENIZER_COMMIT
    assert stand_in.available
    assert not [path for _, path, _ in server.requests if "main" in path or "c3c3" in path]


def test_every_published_model_pins_full_commits() -> None:
    published = [known for known in KNOWN_MODELS if known.repository]
    assert {known.name for known in published} == {"mini", "small", "base"}
    for known in published:
        for revision in (known.revision, known.tokenizer_revision):
            assert len(revision) == 40
            assert int(revision, 16) > 0


def test_a_known_name_wins_over_a_folder_of_that_name(
    server: LoopbackHub,
    stand_in: KnownModel,
    tiny_checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del server, stand_in
    save_checkpoint(tiny_checkpoint, tmp_path / "stand-in")
    monkeypatch.chdir(tmp_path)
    assert open_checkpoint("stand-in").representation.kind == "levels"  # the golden one, of the Hub
    assert open_checkpoint("./stand-in").representation.kind == "increments"  # the folder
