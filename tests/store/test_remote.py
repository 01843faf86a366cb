"""Runs at addresses: sent block by block, gone on with elsewhere, kept from a second run, and refused in words."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import CliRunner

import scenario_gen as sg
from scenario_gen.cli.app import app
from scenario_gen.errors import ScenarioError, StoreError
from scenario_gen.files import LOCK
from scenario_gen.store.address import Address, address_of, inside
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.remote import RemoteFolder, mirror_of, open_folder, run_folder

PLACE = "memory://runs/a"
IDENTITY = {"spec": "1" * 64, "code": "0"}


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache and an empty memory:// of each test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield
    MemoryFileSystem.store.clear()


def another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))


def spec(folder: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "far",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 6},
        "paths": {"count": 40, "seed": 3, "block": 16},
        "generator": {"kind": "bootstrap"},
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": "strategies/buy_and_hold.py:BuyAndHold"}],
        "report": {"folder": folder},
        **changes,
    }


def names(place: str = PLACE) -> set[str]:
    return Address(place).names()


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("s3://bucket/runs/a/", "s3://bucket/runs/a"),
        (Path("s3://bucket/runs/a"), "s3://bucket/runs/a"),  # of which Path makes s3:/bucket
        (Path("file:///shared/a"), "file:///shared/a"),
        ("GS://Bucket/a", "gs://Bucket/a"),
        ("reports/a", None),
        ("C:/runs/a", None),
        (Path("/runs/a:/b"), None),
        ("s3:/bucket", None),
    ],
)
def test_an_address_is_told_from_a_folder(written: str | Path, address: str | None) -> None:
    assert address_of(written) == address


def test_a_run_at_an_address_is_that_of_a_folder_and_is_read_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sg.run(spec(str(tmp_path / "near")))
    sg.run(spec(PLACE))
    near, there = RunFolder(tmp_path / "near"), names()
    own = (near.path / "manifest.txt").read_text().split("\n")[1:-1]
    assert there == {*own, "manifest.txt"}  # and no lock
    another_machine(monkeypatch, tmp_path)
    far = open_folder(PLACE, "metrics.parquet", "blocks/base")
    assert far.path.is_relative_to(tmp_path / "elsewhere")
    assert far.read_run().scenarios == near.read_run().scenarios
    for name in (name for name in own if name == "metrics.parquet" or name.endswith((".npz", "done.json"))):
        assert (far.path / name).read_bytes() == (near.path / name).read_bytes()
    assert far.has_block("base", 2)


def test_blocks_that_are_not_to_stay_go_at_the_address_too() -> None:
    sg.run(spec(PLACE, paths={"count": 40, "seed": 3, "block": 16, "keep": "none"}))
    assert {name.partition("/")[0] for name in names()} >= {"run.json", "index.html"}
    assert not [name for name in names() if name.startswith("blocks/") or name.endswith(".parquet")]


class KilledError(Exception):
    """Stands for a process that is killed."""


def killed_after(blocks: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """End the process in which so many blocks were saved; return the blocks that are saved from now on."""
    saved: list[int] = []
    save = RunFolder.save_block

    def counted(self: RunFolder, scenario: str, index: int, *rest: Any) -> None:
        if len(saved) == blocks:
            raise KilledError
        saved.append(index)
        save(self, scenario, index, *rest)

    monkeypatch.setattr(RunFolder, "save_block", counted)
    return saved


def test_a_run_that_was_killed_goes_on_from_the_address_on_a_machine_without_a_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"file://{tmp_path / 'shared' / 'run'}"
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        killed_after(1, patch)
        sg.run(spec(place))
    assert "blocks/base/000000/done.json" in names(place)
    assert not any(name.startswith("blocks/base/000001") for name in names(place))
    assert "run.json" not in names(place)
    another_machine(monkeypatch, tmp_path)
    with monkeypatch.context() as patch:
        saved = killed_after(99, patch)
        again = sg.run(spec(place))
    assert saved == [1, 2]
    assert again.scenarios == sg.run(spec(str(tmp_path / "near"))).scenarios
    assert (tmp_path / "shared" / "run" / "index.html").is_file()


def test_a_block_that_was_edited_at_the_address_is_computed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sg.run(spec(PLACE))
    there = Address(PLACE)
    content = there.read("blocks/base/000001/arrays.npz") or b""
    there.write("blocks/base/000001/arrays.npz", content[:-1] + b"?")
    another_machine(monkeypatch, tmp_path)
    with monkeypatch.context() as patch:
        saved = killed_after(99, patch)
        assert sg.run(spec(PLACE)).scenarios == first.scenarios
    assert saved == [1]
    assert there.read("blocks/base/000001/arrays.npz") == content


def test_a_finished_run_keeps_at_the_address_what_it_keeps_here_and_another_machine_knows_it_as_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spec(PLACE, paths={"count": 40, "seed": 3, "block": 16, "keep": "none"})
    first = sg.run(asked)
    assert {"run.json", "index.html", "manifest.txt"} <= names()
    assert not any(name.startswith("blocks/") for name in names())
    another_machine(monkeypatch, tmp_path)
    kept = {name: Address(PLACE).read(name) for name in names()}
    with monkeypatch.context() as patch:
        saved = killed_after(99, patch)
        assert sg.run(asked).scenarios == first.scenarios
    assert saved == []
    assert {name: Address(PLACE).read(name) for name in names()} == kept


def test_a_block_that_could_not_be_sent_is_sent_when_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    put, notes, down = Address.put, list[str](), [True]  # of what stands for a network

    def unsteady(self: Address, place: Path, name: str) -> None:
        if name.startswith("blocks/base/000001") and down:
            down.clear()
            with self._trouble("write", name):
                raise TimeoutError("no answer")
        put(self, place, name)

    monkeypatch.setattr(Address, "put", unsteady)
    store = run_folder(PLACE, notes.append)
    with store.at_work():
        store.prepare(IDENTITY)
        for index in range(3):
            store.save_block("base", index, {"values": np.arange(4.0)}, {}, {})
        assert "blocks/base/000001/done.json" not in names()
    assert {f"blocks/base/{index:06d}/done.json" for index in range(3)} <= names()
    (note,) = notes
    assert "cannot write memory://runs/a/blocks/base/000001/" in note
    assert "TimeoutError: no answer: the block is kept in " in note


def test_an_address_that_is_gone_at_the_end_leaves_the_run_in_the_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names_there, asked = Address.names, list[str]()

    def gone(self: Address, below: str = "") -> set[str]:
        asked.append(below)
        if len(asked) > 2:  # when a run begins it asks for calibrations, and for everything
            with self._trouble("list"):
                raise ConnectionError("no route to host")
        return names_there(self, below)

    with monkeypatch.context() as patch, pytest.raises(StoreError) as caught:
        patch.setattr(Address, "names", gone)
        sg.run(spec(PLACE))
    mirror = mirror_of(PLACE)
    assert "cannot list memory://runs/a: ConnectionError: no route to host" in caught.value.problem
    assert f"everything that the run made is in {mirror}" in caught.value.problem
    assert "give the same command again" in caught.value.fix
    assert (mirror / "index.html").is_file()
    assert "index.html" not in names()
    with monkeypatch.context() as patch:
        saved = killed_after(99, patch)
        sg.run(spec(PLACE))
    assert saved == []
    assert "index.html" in names()


def test_a_second_run_is_kept_away_by_a_lock_that_says_who_and_how_to_break_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_folder(PLACE).at_work():
        with pytest.raises(StoreError, match=r"is in use: a run is at work in it \(process"):
            sg.run(spec(PLACE))  # on this machine: the mirror's own lock
        another_machine(monkeypatch, tmp_path)
        with pytest.raises(StoreError) as caught:
            sg.run(spec(PLACE))
    assert "memory://runs/a is in use: a run is at work there (process " in caught.value.problem
    assert ", for 0 minutes)" in caught.value.problem
    assert f"delete the lock that it left, memory://runs/a/{LOCK}" in caught.value.fix
    assert names() == set()


def test_the_lock_of_a_run_that_was_killed_here_is_taken_over_and_one_of_elsewhere_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_folder(PLACE).at_work():
        left = Address(PLACE).read(LOCK) or b""
    Address(PLACE).write(LOCK, left)  # as a kill leaves it
    with run_folder(PLACE).at_work():
        pass
    theirs = json.loads(left) | {"host": "node7", "since": "2020-01-01 00:00:00"}
    Address(PLACE).write(LOCK, json.dumps(theirs).encode())
    with pytest.raises(StoreError, match=r"on node7, for [0-9,]{9,} minutes"), run_folder(PLACE).at_work():
        pass


def work_at(place: str, identity: dict[str, str], blocks: int, *, overwrite: bool = False) -> bool:
    """Be a run of few numbers: make its blocks, and say whether an earlier one was gone on with."""
    store = run_folder(place)
    with store.at_work():
        resumed = store.prepare(identity, overwrite=overwrite)
        for index in range(blocks):
            if not store.has_block("base", index):
                store.save_block("base", index, {"values": np.arange(4.0) + index}, {}, {})
    return resumed


def test_another_run_at_the_address_is_refused_by_what_differs_and_replaced_with_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = IDENTITY | {"spec": "2" * 64}
    assert not work_at(PLACE, IDENTITY, 3)
    Address(PLACE).write("mine.txt", b"not a run's")
    another_machine(monkeypatch, tmp_path)
    with pytest.raises(
        StoreError, match=r"memory://runs/a holds another run; it differs in spec \(1{12} there, 2{12} now"
    ):
        work_at(PLACE, other, 1)
    assert not work_at(PLACE, other, 1, overwrite=True)
    own = {f"blocks/base/000000/{name}" for name in ("arrays.npz", "notes.json", "done.json")}
    assert names() == {*own, "identity.json", "manifest.txt", "mine.txt"}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # whose mirror is of the run before
    assert work_at(PLACE, other, 1)
    assert RunFolder(mirror_of(PLACE)).identity() == other


def test_files_of_somebody_else_are_not_written_over() -> None:
    Address(PLACE).write("run.json", b"{}")
    with pytest.raises(StoreError, match=r"already holds run\.json, but no identity\.json: no run made them"):
        sg.run(spec(PLACE))
    assert Address(PLACE).read("run.json") == b"{}"


def test_names_that_lead_outside_are_no_files_of_a_run() -> None:
    store = fsspec.filesystem("memory")
    store.pipe_file("/runs/a/blocks/base/000000/done.json", b"{}")
    MemoryFileSystem.store["/runs/a/facts/../../../evil.json"] = MemoryFileSystem.store[
        "/runs/a/blocks/base/000000/done.json"
    ]
    assert names() == {"blocks/base/000000/done.json"}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nosuch://bucket/a", "there is no file system nosuch://"),
        ("s3://bucket/a", "the package s3fs is missing"),
        ("gs://bucket/a", "the package gcsfs is missing"),
        ("file:///proc/nothing/a", "cannot write file:///proc/nothing/a"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_with_what_to_do(address: str, words: str, tmp_path: Path) -> None:
    if "package" in words and find_spec(name := words.split()[2]) is not None:
        pytest.skip(f"{name} is installed, and would look for the address")
    (tmp_path / "far.yaml").write_text(json.dumps(spec(address)))
    result = CliRunner().invoke(app, ["run", str(tmp_path / "far.yaml")])
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert "to do:" in result.stderr


def test_credentials_that_are_refused_are_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    with pytest.raises(ScenarioError) as caught:
        sg.run(spec(PLACE))
    assert "cannot write memory://runs/a/.scenario-gen.lock: PermissionError: Access Denied" in caught.value.problem
    assert "set the credentials" in caught.value.fix


def test_a_block_that_another_machine_made_of_the_run_is_brought_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = run_folder(PLACE)
    with store.at_work():
        store.prepare(IDENTITY)
        assert not store.has_block("base", 0)
        worker: RemoteFolder = pickle.loads(pickle.dumps(store))
        worker.path = tmp_path / "node" / "mirror"
        worker.save_block("base", 0, {"values": np.arange(4.0)}, {}, {})
        assert (tmp_path / "node" / "mirror" / "blocks" / "base" / "000000" / "done.json").is_file()
        assert store.has_block("base", 0)
        assert not store.has_block("base", 1)


def test_a_run_at_an_address_is_proved_there() -> None:
    sg.run(spec(PLACE))
    told = CliRunner().invoke(app, ["verify", PLACE, "-q", "--paths", "1"])
    assert told.exit_code == 0, told.output
    assert "PASS        blocks: 3 blocks are whole" in told.output
    Address(PLACE).write("blocks/base/000001/arrays.npz", b"?")
    Address(PLACE).write("index.html", b"?")
    told = CliRunner().invoke(app, ["verify", PLACE, "-q", "--paths", "1"])
    assert told.exit_code == 4
    assert "edited, or written for another place or run: base 1" in told.output
    assert "FAIL        page: " in told.output


def test_shards_at_an_address_are_put_together_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "far.yaml").write_text(json.dumps(spec(PLACE)))
    words = ["run", str(tmp_path / "far.yaml"), "-q", "--shard"]
    for number in (1, 2):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"node{number}"))
        result = CliRunner().invoke(app, [*words, f"{number}/2"])
        assert result.exit_code == 0, result.output
        assert result.stdout == f"shard: memory://runs/a/shards/{number}-of-2\n"
    another_machine(monkeypatch, tmp_path)
    with run_folder(inside(PLACE, "shards/2-of-2")).at_work():
        refused = CliRunner().invoke(app, ["merge", PLACE])
        assert refused.exit_code == 2
        assert "memory://runs/a is in use: there is shards/2-of-2/.scenario-gen.lock" in refused.stderr
    result = CliRunner().invoke(app, ["merge", PLACE, "-q"])
    assert result.exit_code == 0, result.output
    assert result.stdout == "report: memory://runs/a/index.html\n"
    sg.run(spec(str(tmp_path / "near")))
    assert open_folder(PLACE).read_run().scenarios == RunFolder(tmp_path / "near").read_run().scenarios
