"""Downloads from the Hub, against a Hub on loopback: each failure has its message; broken bytes are never loaded."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from scenario_gen.errors import CheckpointError
from scenario_gen.kronos import Checkpoint, Kronos, KronosTokenizer, save_checkpoint
from scenario_gen.kronos.checkpoint import open_checkpoint
from scenario_gen.kronos.hub import Revision, download, locate, pull
from scenario_gen.kronos.registry import KNOWN_MODELS, KnownModel, blob_file, is_cached
from tests.kronos.hub_server import (
    MODEL,
    MODEL_COMMIT,
    TOKENIZER,
    TOKENIZER_COMMIT,
    Fault,
    LoopbackHub,
    files_of,
    tag_of,
)

PINNED = (f"{MODEL}@{MODEL_COMMIT}", f"{TOKENIZER}@{TOKENIZER_COMMIT}")
WEIGHTS = "model.safetensors"


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
    hub_server: LoopbackHub, golden_checkpoint: Checkpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    fetched = open_checkpoint(*PINNED)
    assert _same_weights(fetched, golden_checkpoint)
    assert fetched.provenance["repository"] == MODEL
    assert fetched.provenance["revision"] == MODEL_COMMIT
    assert fetched.provenance["tokenizer_repository"] == TOKENIZER
    assert fetched.provenance["tokenizer_revision"] == TOKENIZER_COMMIT
    asked = len(hub_server.requests)
    assert asked >= 4  # two files of two repositories

    open_checkpoint(*PINNED)
    assert len(hub_server.requests) == asked  # a full commit in the cache costs no request
    hub_server.close()
    assert _same_weights(open_checkpoint(*PINNED), golden_checkpoint)
    assert capfd.readouterr() == ("", "")  # no bars and no log lines where stderr is not a terminal


def test_a_branch_is_looked_up_again_and_its_commit_is_recorded(hub_server: LoopbackHub, golden_folder: Path) -> None:
    assert download(MODEL, "main").name == MODEL_COMMIT
    hub_server.publish(MODEL, "c3" * 20, files_of(golden_folder / "model"))
    assert download(MODEL, "main").name == "c3" * 20
    assert open_checkpoint(MODEL, TOKENIZER).provenance["revision"] == "c3" * 20


def test_both_files_come_from_one_commit_even_if_the_branch_moves_between_them(
    hub_server: LoopbackHub, golden_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = hub_server.find

    def move_after_the_config(repository: str, revision: str, name: str) -> object:
        if name == WEIGHTS:
            hub_server.publish(MODEL, "c3" * 20, files_of(golden_folder / "model"))
        return find(repository, revision, name)

    monkeypatch.setattr(hub_server, "find", move_after_the_config)
    assert is_cached(MODEL, download(MODEL, "main").name)
    assert download(MODEL, MODEL_COMMIT).name == MODEL_COMMIT


def test_a_wrong_repository_is_named(hub_server: LoopbackHub) -> None:
    del hub_server
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(f"made-up/nothing@{MODEL_COMMIT}", PINNED[1])
    assert _message(caught) == (
        f"made-up/nothing@{MODEL_COMMIT}: the Hub has no such repository, or it is private\n"
        "  expected: organisation/name\n"
        "  to do:    check the name; for a private repository run 'hf auth login'"
    )


def test_a_wrong_revision_is_named(hub_server: LoopbackHub) -> None:
    del hub_server
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(f"{MODEL}@v9", PINNED[1])
    assert _message(caught) == (f"{MODEL}@v9: the Hub has no such revision\n  to do:    check the part after '@'")


def test_a_missing_file_is_named(hub_server: LoopbackHub) -> None:
    del hub_server.files[(MODEL, MODEL_COMMIT, WEIGHTS)]
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert _message(caught) == (
        f"{PINNED[0]} has no model.safetensors\n"
        "  expected: config.json and model.safetensors\n"
        "  to do:    choose a Kronos repository"
    )


def test_a_name_that_no_repository_can_have_is_refused(hub_cache: Path) -> None:
    del hub_cache
    with pytest.raises(CheckpointError, match=r"'made--up/x' cannot be the name of a repository"):
        open_checkpoint("made--up/x", "made--up/y")


@pytest.mark.parametrize(("name", "position"), [(WEIGHTS, 100_000), ("config.json", 30)])
def test_a_file_whose_bytes_are_not_as_recorded_is_deleted_and_refused(
    hub_server: LoopbackHub, golden_folder: Path, hub_cache: Path, name: str, position: int
) -> None:
    """One flipped bit among the weights makes a file that loads without complaint: only its hash tells."""
    true = bytearray((golden_folder / "model" / name).read_bytes())
    true[position] ^= 1
    hub_server.served_instead[name] = bytes(true)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert f"{name} of " in _message(caught)
    assert "is broken: its hash is" in _message(caught)
    assert "try again: the broken file was deleted" in _message(caught)
    assert not [path for path in hub_cache.rglob("*") if path.is_file() and path.read_bytes() == bytes(true)]

    hub_server.served_instead.clear()
    assert open_checkpoint(*PINNED).name == PINNED[0]


def test_a_file_of_another_size_than_announced_is_refused(hub_server: LoopbackHub) -> None:
    hub_server.served_instead[WEIGHTS] = b"<html>log in to this network first</html>"
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert f"{PINNED[0]}: the download broke off: Consistency check failed" in _message(caught)
    assert not is_cached(MODEL, MODEL_COMMIT)
    hub_server.served_instead.clear()
    assert open_checkpoint(*PINNED).name == PINNED[0]  # what came was no part of the file: nothing goes on from it


def test_a_file_that_rotted_in_the_cache_is_deleted_and_refused(hub_server: LoopbackHub) -> None:
    weights = download(MODEL, MODEL_COMMIT) / WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.resolve().write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="is broken: its hash is"):
        open_checkpoint(*PINNED)
    assert not weights.exists()
    assert open_checkpoint(*PINNED).name == PINNED[0]
    del hub_server


def test_a_cut_connection_is_taken_up_where_it_broke(
    hub_server: LoopbackHub, golden_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub library goes on from its last whole chunk, of 10 MiB as it comes: more than the whole golden file."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub_server.fault = Fault(drop_after=50_000, drops=1)
    assert _same_weights(open_checkpoint(*PINNED), golden_checkpoint)
    assert any(asked == "bytes=50000-" for _, _, asked in hub_server.requests)


def test_a_download_that_breaks_off_for_good_is_an_error_and_a_second_try_succeeds(
    hub_server: LoopbackHub, golden_checkpoint: Checkpoint, library_log: list[str]
) -> None:
    """The Hub library asks five more times, a second apart, while nothing at all arrives."""
    hub_server.fault = Fault(drop_after=0, drops=10**6)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert _message(caught).startswith(f"{PINNED[0]}: the download broke off: ")
    assert _message(caught).endswith("  to do:    try again: it goes on where it stopped")
    assert not is_cached(MODEL, MODEL_COMMIT)

    hub_server.fault = Fault()
    assert _same_weights(open_checkpoint(*PINNED), golden_checkpoint)
    assert library_log == []


@pytest.mark.parametrize("fault", [Fault(then_status=503), Fault(drop_after=50_000, drops=1, then_status=503)])
def test_a_store_that_answers_badly_says_with_which_status(hub_server: LoopbackHub, fault: Fault) -> None:
    hub_server.fault = fault
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert _message(caught) == f"{PINNED[0]}: the Hub answered with status 503\n  to do:    try again later"


def test_a_hub_that_is_down_says_so_at_once(hub_server: LoopbackHub) -> None:
    hub_server.status = 500
    with pytest.raises(CheckpointError, match="the Hub answered with status 500"):
        open_checkpoint(*PINNED)
    assert len(hub_server.requests) == 1


def test_a_server_that_is_no_hub_is_told_apart(hub_server: LoopbackHub) -> None:
    hub_server.commit_header = False
    with pytest.raises(CheckpointError, match=rf"what answers at {hub_server.endpoint} is not a Hub"):
        open_checkpoint(*PINNED)


def test_without_a_network_the_message_comes_after_one_attempt(
    hub_server: LoopbackHub, library_log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub library's own download asks six times within 23 s before it gives up: it must not be waited for."""
    monkeypatch.setattr("huggingface_hub.utils._http.time", None)  # a pause between attempts would raise
    hub_server.close()
    with socket.create_server(("127.0.0.1", hub_server.port)):
        pass  # the port is free: nobody answers there
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert _message(caught) == (
        f"{PINNED[0]} is not on this machine and the Hub cannot be reached\n"
        "  expected: a network connection, or the files in the Hub's cache\n"
        "  to do:    connect once to download it, or use the embedded model with 'model: nano'"
    )
    assert library_log == []


def test_without_a_network_a_branch_is_not_silently_what_it_was_last_time(hub_server: LoopbackHub) -> None:
    download(MODEL, "main")
    hub_server.close()
    with pytest.raises(CheckpointError) as caught:
        download(MODEL, "main")
    assert _message(caught) == (
        f"the Hub cannot be reached to tell which commit {MODEL}@main is now\n"
        "  expected: a network connection, or a full commit after '@'\n"
        f"  to do:    name the one that is on this machine: {MODEL}@{MODEL_COMMIT}"
    )


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_offline_mode_asks_nobody(
    hub_server: LoopbackHub, monkeypatch: pytest.MonkeyPatch, hub_cache: Path, value: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(*PINNED)
    assert _message(caught) == (
        f"{PINNED[0]} is not on this machine and HF_HUB_OFFLINE forbids to fetch it\n"
        f"  expected: the files in the Hub's cache, {hub_cache}\n"
        "  to do:    unset HF_HUB_OFFLINE once to download it, or use the embedded model with 'model: nano'"
    )
    assert hub_server.requests == []


def test_offline_mode_takes_a_branch_as_it_was_last_fetched(
    hub_server: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(MODEL, "main")
    asked = len(hub_server.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert download(MODEL, "main").name == MODEL_COMMIT
    assert len(hub_server.requests) == asked


def test_offline_mode_switched_off_by_a_zero_is_off(hub_server: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    del hub_server
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert download(MODEL, MODEL_COMMIT).name == MODEL_COMMIT


def test_the_cache_is_where_hf_home_says(
    hub_server: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del hub_server
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert (tmp_path / "home" / "hub") in download(MODEL, MODEL_COMMIT).parents


def test_a_revision_that_climbs_out_of_the_cache_finds_nothing_there(
    hub_server: LoopbackHub, golden_folder: Path, hub_cache: Path
) -> None:
    """`snapshots/../../../elsewhere` is a folder with the right files, but no commit of the repository."""
    elsewhere = hub_cache.parent / "elsewhere"
    elsewhere.mkdir()
    for name, content in files_of(golden_folder / "model").items():
        (elsewhere / name).write_bytes(content)
    (hub_cache / "models--made-up--golden-model" / "snapshots").mkdir(parents=True)
    assert (hub_cache / "models--made-up--golden-model" / "snapshots" / "../../../elsewhere" / WEIGHTS).is_file()
    with pytest.raises(CheckpointError, match="the Hub has no such"):
        open_checkpoint(f"{MODEL}@../../../elsewhere", PINNED[1])
    del hub_server


def test_a_known_model_is_fetched_at_its_pinned_revisions(
    hub_server: LoopbackHub, stand_in: KnownModel, golden_folder: Path, golden_checkpoint: Checkpoint
) -> None:
    later = files_of(golden_folder / "model") | {WEIGHTS: b"what the branch became afterwards"}
    hub_server.publish(MODEL, "c3" * 20, later)
    assert not stand_in.available
    checkpoint = open_checkpoint("stand-in")
    assert _same_weights(checkpoint, golden_checkpoint)
    assert (checkpoint.name, checkpoint.max_context) == ("stand-in", 33)
    assert checkpoint.provenance["revision"] == MODEL_COMMIT
    assert checkpoint.provenance["tokenizer_revision"] == TOKENIZER_COMMIT
    assert stand_in.available
    assert not [path for _, path, _ in hub_server.requests if "main" in path or "c3c3" in path]


def test_every_published_model_pins_full_commits() -> None:
    published = [known for known in KNOWN_MODELS if known.repository]
    assert {known.name for known in published} == {"mini", "small", "base"}
    for known in published:
        for revision in (known.revision, known.tokenizer_revision):
            assert len(revision) == 40
            assert int(revision, 16) > 0


def test_a_known_name_wins_over_a_folder_of_that_name(
    hub_server: LoopbackHub,
    stand_in: KnownModel,
    tiny_checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del hub_server, stand_in
    save_checkpoint(tiny_checkpoint, tmp_path / "stand-in")
    monkeypatch.chdir(tmp_path)
    assert open_checkpoint("stand-in").representation.kind == "levels"  # the golden one, of the Hub
    assert open_checkpoint("./stand-in").representation.kind == "increments"  # the folder


def test_a_repository_of_a_known_model_stands_for_its_pinned_commit(
    hub_server: LoopbackHub, stand_in: KnownModel, golden_folder: Path
) -> None:
    hub_server.publish(MODEL, "c3" * 20, files_of(golden_folder / "model"))
    assert locate(MODEL).name == locate(stand_in.repository).name == MODEL_COMMIT
    assert locate(TOKENIZER).name == TOKENIZER_COMMIT
    assert locate(f"{MODEL}@main").name == "c3" * 20
    assert Kronos.from_pretrained(MODEL).config == Kronos.from_pretrained(golden_folder / "model").config
    hub_server.close()
    Kronos.from_pretrained(MODEL)  # a pinned commit needs no look at the Hub
    KronosTokenizer.from_pretrained(TOKENIZER, revision=TOKENIZER_COMMIT)


def test_a_repository_of_a_known_model_brings_its_tokenizer_and_its_window(
    hub_server: LoopbackHub, stand_in: KnownModel
) -> None:
    del hub_server
    checkpoint = open_checkpoint(MODEL)
    assert checkpoint.provenance["tokenizer_revision"] == stand_in.tokenizer_revision
    assert checkpoint.max_context == stand_in.context


def test_a_known_name_takes_no_other_tokenizer(stand_in: KnownModel) -> None:
    with pytest.raises(CheckpointError, match="stand-in brings its own tokenizer"):
        open_checkpoint(stand_in.name, TOKENIZER)


def test_a_revision_given_to_from_pretrained_is_the_one_that_is_fetched(
    hub_server: LoopbackHub, golden_folder: Path
) -> None:
    hub_server.publish(MODEL, "c3" * 20, files_of(golden_folder / "model"), branch="v2")
    Kronos.from_pretrained(MODEL, revision="v2")
    assert is_cached(MODEL, "c3" * 20)
    assert not is_cached(MODEL, MODEL_COMMIT)


def test_the_bytes_of_the_weights_are_told_as_they_come(
    hub_server: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub_server.fault = Fault(drop_after=50_000, drops=1)
    told: dict[str, list[int]] = {}
    sizes: dict[str, int] = {}

    @contextmanager
    def stage(title: str, size: int) -> Iterator[Callable[[int], None]]:
        sizes[title], told[title] = size, []
        yield told[title].append

    download(MODEL, MODEL_COMMIT, stage)
    weights = len(hub_server.files[(MODEL, MODEL_COMMIT, WEIGHTS)])
    assert sizes == {f"{MODEL}@{MODEL_COMMIT[:8]}": weights}
    (steps,) = told.values()
    assert len(steps) > 50
    assert sum(steps) == weights  # what came before the cut is not told twice


def test_a_part_that_is_no_beginning_of_the_file_costs_a_second_try_at_most(hub_server: LoopbackHub) -> None:
    weights = hub_server.files[(MODEL, MODEL_COMMIT, WEIGHTS)]
    blob = blob_file(MODEL, tag_of(WEIGHTS, weights))
    part = blob.with_name(f"{blob.name}.scenario-gen.incomplete")
    part.parent.mkdir(parents=True)
    for junk, tries in ((b"x" * 1000, 2), (b"x" * len(weights), 2), (b"x" * (len(weights) + 1), 1), (weights, 1)):
        part.write_bytes(junk)
        if tries == 2:
            with pytest.raises(CheckpointError, match="is broken: its hash is"):
                download(MODEL, MODEL_COMMIT)
        folder = download(MODEL, MODEL_COMMIT)
        assert (folder / WEIGHTS).read_bytes() == weights
        assert not part.exists()
        blob.unlink()
        (folder / WEIGHTS).unlink()


def test_pull_replaces_what_rotted_in_the_cache(hub_server: LoopbackHub) -> None:
    place, notes = Revision(MODEL, MODEL_COMMIT), list[str]()
    weights = pull(place, note=notes.append) / WEIGHTS
    assert notes == []
    true = weights.read_bytes()
    weights.resolve().write_bytes(true[:-1] + b"x")
    assert (pull(place, note=notes.append) / WEIGHTS).read_bytes() == true
    assert len(notes) == 1
    assert "is broken: its hash is" in notes[0]
    hub_server.served_instead[WEIGHTS] = true[:-1] + b"x"
    weights.resolve().write_bytes(true[:-1] + b"x")
    with pytest.raises(CheckpointError, match="is broken"):  # the Hub itself sends them broken: no endless loop
        pull(place, note=notes.append)
