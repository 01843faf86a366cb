"""Whose folder it is: one run at a time, and nothing is removed or replaced that the run did not make."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import StoreError
from scenario_gen.files import LOCK, locked
from scenario_gen.store.folder import RunFolder

IDENTITY = {"spec": "a" * 64, "code": "1"}
OTHER = {"spec": "b" * 64, "code": "1"}
HOLD = """
import sys, time
from scenario_gen.store.folder import RunFolder
with RunFolder(sys.argv[1]).at_work():
    print("at work", flush=True)
    time.sleep(60)
"""
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def _made(path: Path, identity: dict[str, str] = IDENTITY) -> RunFolder:
    """Return a folder with one of everything that a run leaves."""
    folder = RunFolder(path)
    folder.prepare(identity)
    for index in range(2):
        frames = {"metrics": pd.DataFrame({"x": [float(index)]})}
        folder.save_block("base", index, {"x": np.full(3, index)}, frames, {"index": index})
    folder.write_facts([[pd.DataFrame({"x": [1.0]})]])
    folder.claim(path / "facts" / "kept.json", path / "paths" / "base.parquet")
    for name in ("facts/kept.json", "paths/base.parquet"):
        (path / name).parent.mkdir()
        (path / name).write_text("ours")
    return folder


def _tree(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


# --- One run at a time ---


def test_a_second_run_is_refused_by_folder_and_process_and_the_first_leaves_no_lock(tmp_path: Path) -> None:
    with RunFolder(tmp_path).at_work():
        with pytest.raises(StoreError) as caught, RunFolder(tmp_path).at_work():
            pass
        assert f"{tmp_path} is in use" in caught.value.problem
        assert f"process {os.getpid()} on " in caught.value.problem
        assert "wait until that process has ended" in caught.value.fix
        assert "--folder" in caught.value.fix
        assert (tmp_path / LOCK).exists()  # the refused one did not take it away
    assert list(tmp_path.iterdir()) == []
    with RunFolder(tmp_path).at_work():
        pass


def test_the_lock_of_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "at work\n"
        with pytest.raises(StoreError, match=f"process {held.pid} on "), RunFolder(tmp_path).at_work():
            pass
        held.kill()
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == held.pid
    with RunFolder(tmp_path).at_work():
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()


@forks
def test_a_child_that_outlives_its_killed_parent_does_not_hold_the_folder(tmp_path: Path) -> None:
    forking = HOLD.replace('print("at work"', "import os; child = os.fork(); child and print(child")
    with subprocess.Popen([sys.executable, "-c", forking, str(tmp_path)], stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None
        child = int(held.stdout.readline())
        held.kill()
        held.wait()
        try:
            with RunFolder(tmp_path).at_work():
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_lock_that_is_not_signed_yet_or_holds_anything_is_another_process(tmp_path: Path) -> None:
    for content in ("", "[1]", '{"pid": "x", "host": 1}', "{" * 5000):
        with locked(tmp_path, "a run", "go away"):
            (tmp_path / LOCK).write_text(content)
            with pytest.raises(StoreError, match="another process") as caught, locked(tmp_path, "a run", "go away"):
                pass
            assert caught.value.fix.endswith("or go away")


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(mine)
    with pytest.raises(StoreError, match="cannot lock"), RunFolder(tmp_path / "run").at_work():
        pass
    assert mine.read_text() == "mine"


def test_a_new_folder_in_which_nothing_was_left_goes_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RunFolder(tmp_path / "deep" / "run").at_work():
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced", "lock deleted"])
def test_a_folder_that_goes_while_a_run_is_at_work_is_told(tmp_path: Path, how: str) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(StoreError, match=r"deleted, moved or replaced while a run was at work"), folder.at_work():
        folder.prepare(IDENTITY)
        if how == "lock deleted":
            (folder.path / LOCK).unlink()
        elif how == "moved":
            folder.path.rename(tmp_path / "elsewhere")
        else:
            shutil.rmtree(folder.path)
        if how == "replaced":
            _made(folder.path, OTHER)
            (folder.path / LOCK).write_text("")
        with pytest.raises(StoreError, match="deleted, moved or replaced"):
            folder.write_facts([[pd.DataFrame({"x": [2.0]})]])
    assert (folder.path / "facts.parquet").exists() is (how == "replaced")


# --- Nothing goes that the manifest does not name ---

FOREIGN = (
    "notes.txt",
    ".notes.txt.123.partial",
    ".run.json.partial",
    "paths/mine.parquet",
    "paths/.mine.parquet.7.partial",
    "facts/mine.json",
    "blocks/mine.txt",
    "blocks/base/000009/done.json",
    "blocks/base/000009/arrays.npz",
    "blocks/base/000000/mine.npz",
    "blocks/base/000000/.mine.npz.7.partial",
    "blocks/other/000000/done.json",
    "deep/er/.x.partial",
    "calibration/kept.json",
)


@pytest.mark.parametrize("overwrite", [False, True])
def test_foreign_files_stay_whatever_they_are_called(tmp_path: Path, *, overwrite: bool) -> None:
    folder = _made(tmp_path / "run")
    own = set(_tree(folder.path))
    for name in FOREIGN:
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text(f"mine: {name}")
    half = folder.path / "blocks" / "base" / "000001" / ".arrays.npz.99.partial"
    half.write_text("ours, of a killed write")
    again = RunFolder(folder.path)
    assert again.prepare(OTHER if overwrite else IDENTITY, overwrite=overwrite) is not overwrite
    left = _tree(folder.path)
    assert {name: left.pop(name, b"").decode() for name in FOREIGN} == {name: f"mine: {name}" for name in FOREIGN}
    assert set(left) == ({"identity.json", "manifest.txt"} if overwrite else own)


@pytest.mark.parametrize("place", ["blocks", "blocks/base", "blocks/base/000000", "facts", "paths"])
def test_nothing_is_removed_or_written_through_a_link(tmp_path: Path, place: str) -> None:
    theirs = _made(tmp_path / "theirs")
    before = _tree(theirs.path)
    folder = _made(tmp_path / "run")
    shutil.rmtree(folder.path / place)
    (folder.path / place).symlink_to(theirs.path / place, target_is_directory=True)
    again = RunFolder(folder.path)
    assert not again.prepare(OTHER, overwrite=True)
    assert not (folder.path / place).is_symlink()  # the link itself stood where the run had made a folder
    again.save_block("base", 0, {"x": np.ones(1)}, {}, {})
    assert again.has_block("base", 0)
    assert _tree(theirs.path) == before


def test_a_link_where_the_run_had_made_nothing_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    folder = RunFolder(tmp_path / "run")
    folder.prepare(IDENTITY)
    (folder.path / "blocks").symlink_to(mine)
    with pytest.raises(StoreError, match=r"blocks is a link") as caught:
        folder.save_block("base", 0, {"x": np.ones(1)}, {}, {})
    assert caught.value.fix == "move it away, or choose another report.folder"
    assert list(mine.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["facts.parquet", "run.json", "index.html", "paths/base.parquet", "blocks/base/000000/x"]
)
def test_a_file_of_another_origin_is_not_replaced(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path)
    folder.prepare(IDENTITY)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(StoreError, match="is there already, and this run did not make it"):
        folder.claim(tmp_path / name)
    assert (tmp_path / name).read_text() == "mine"


def test_the_output_may_be_a_link_of_the_users_once_the_run_had_made_it(tmp_path: Path) -> None:
    folder, mine = _made(tmp_path / "run"), tmp_path / "mine.parquet"
    mine.write_text("mine")
    (folder.path / "facts.parquet").unlink()
    (folder.path / "facts.parquet").symlink_to(mine)
    folder.write_facts([[pd.DataFrame({"x": [2.0]})]])
    assert not (folder.path / "facts.parquet").is_symlink()
    assert mine.read_text() == "mine"


def test_a_manifest_leads_to_nothing_outside_its_folder(tmp_path: Path) -> None:
    folder = _made(tmp_path / "run")
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    with (folder.path / "manifest.txt").open("a") as stream:
        stream.write(f"../mine.txt\n{mine}\n./../mine.txt\nblocks/../../mine.txt\n\n.\n..\nC:\\x\nnul\0l\n")
    assert not RunFolder(folder.path).prepare(OTHER, overwrite=True)
    assert mine.read_text() == "mine"


def test_a_line_that_a_kill_cut_off_names_nothing(tmp_path: Path) -> None:
    folder = _made(tmp_path / "run")
    (folder.path / "mine").write_text("mine")
    with (folder.path / "manifest.txt").open("a") as stream:
        stream.write("mine")
    again = RunFolder(folder.path)
    assert again.prepare(IDENTITY)
    again.claim(folder.path / "more.json")
    assert (folder.path / "manifest.txt").read_text().endswith("\nmore.json\n")
    assert not RunFolder(folder.path).prepare(OTHER, overwrite=True)
    assert (folder.path / "mine").read_text() == "mine"


@pytest.mark.parametrize("content", [None, b"", b"run " + b"0" * 64 + b"\nfacts.parquet\n", b"\xff\xfe", "folder"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_run_whose_manifest_is_missing_or_anothers_is_let_alone(
    tmp_path: Path, content: bytes | str | None, *, overwrite: bool
) -> None:
    folder = _made(tmp_path)
    (tmp_path / "manifest.txt").unlink()
    if isinstance(content, bytes):
        (tmp_path / "manifest.txt").write_bytes(content)
    elif content:
        (tmp_path / "manifest.txt").mkdir()
    before = _tree(tmp_path)
    with pytest.raises(StoreError, match=r"manifest\.txt is missing, damaged or another run's") as caught:
        folder.prepare(OTHER if overwrite else IDENTITY, overwrite=overwrite)
    assert caught.value.fix == "delete this run folder, or choose another report.folder"
    assert _tree(tmp_path) == before


def test_an_overwrite_that_was_killed_half_way_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _made(tmp_path / "run")
    files, unlink = len(_tree(folder.path)), Path.unlink
    for removed in range(files):
        copy = shutil.copytree(folder.path, tmp_path / f"copy{removed}")
        left = [removed]

        def killed(path: Path, missing_ok: bool = False, left: list[int] = left) -> None:
            if ".partial" not in path.name:
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
            unlink(path, missing_ok=missing_ok)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "unlink", killed)
            RunFolder(copy).prepare(OTHER, overwrite=True)
        assert not RunFolder(copy).prepare(OTHER, overwrite=True)
        assert set(_tree(copy)) == {"identity.json", "manifest.txt"}


# --- A block knows its run and its place ---


def test_a_block_of_another_run_scenario_or_place_does_not_count(tmp_path: Path) -> None:
    folder, other = _made(tmp_path / "run"), _made(tmp_path / "other", OTHER)
    place = folder.block_path("base", 0)
    for donor in (folder.block_path("base", 1), other.block_path("base", 0)):
        shutil.rmtree(place)
        shutil.copytree(donor, place)
        assert not folder.has_block("base", 0)
        assert not RunFolder(folder.path).has_block("base", 0)
    shutil.rmtree(place)
    place.symlink_to(folder.block_path("base", 1), target_is_directory=True)
    assert not folder.has_block("base", 0)
    shutil.copytree(folder.block_path("base", 1), folder.block_path("hot", 1))
    assert not folder.has_block("hot", 1)
    assert folder.has_block("base", 1)


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../../../mine.npz": "0", "arrays.npz": "0"}},
        {"files": {"/etc/hostname": "0"}},
        {"files": []},
        {"files": None},
        {"files": {"arrays.npz": 1, "notes.json": []}},
        {"run": None},
        {"index": "0"},
        {"scenario": ["base"]},
        {"more": 1},
    ],
)
def test_a_forged_address_is_no_block_and_no_traceback(tmp_path: Path, change: dict[str, object]) -> None:
    folder = _made(tmp_path)
    done = folder.block_path("base", 1) / "done.json"
    done.write_text(json.dumps(json.loads(done.read_text()) | change))
    assert not folder.has_block("base", 1)
    with pytest.raises(StoreError, match="block 1 of base is missing or damaged"):
        folder.load_block("base", 1)


def test_a_block_nested_a_thousand_deep_is_no_block(tmp_path: Path) -> None:
    folder = _made(tmp_path)
    (folder.block_path("base", 1) / "done.json").write_text("[" * 100_000)
    assert not folder.has_block("base", 1)
