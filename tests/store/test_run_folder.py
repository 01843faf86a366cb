from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from scenario_gen import files
from scenario_gen.backtest.result import Fan
from scenario_gen.candles.account import CandleAccount
from scenario_gen.errors import StoreError
from scenario_gen.files import safe_name, write_bytes
from scenario_gen.joint.results import CouplingReport
from scenario_gen.market.paths import PathSet
from scenario_gen.store.folder import PAGE_MARK, RunFolder
from scenario_gen.store.results import BookResult, BookScenario, ContextView, StressRun

IDENTITY = {"spec": "a" * 64, "data": "b" * 64, "weights": "c" * 64, "code": "0.1.0"}
RUN = StressRun(
    "t", "", "2026-01-01T00:00:00Z", "scenario-gen run t.yaml", {"a": [1, None]}, "a: [1, null]\n",
    {"max_drawdown": 0.25},
    IDENTITY, {"numpy": "2"}, {"kind": "cpu"}, {"generate": 1.5}, [], [],
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "deep" / "run")
    made.prepare(IDENTITY)
    return made


def some_paths(first: int, count: int) -> PathSet:
    values = np.random.default_rng(first).random((count, 3, 5), dtype=np.float32)
    stamps = pd.bdate_range("2019-01-01", periods=3)
    return PathSet(values, ("open", "high", "low", "close", "volume"), stamps, np.arange(first, first + count), 1.0)


def test_a_run_comes_back_as_it_was_written_and_twice_the_same_bytes(folder: RunFolder) -> None:
    first = folder.write_run(RUN).read_bytes()
    assert folder.read_run() == RUN
    assert folder.write_run(RUN).read_bytes() == first


def test_what_a_run_says_of_several_assets_together_comes_back_too(folder: RunFolder) -> None:
    coupling = CouplingReport(["spx", "ndx"], "t", 1000, "2013-07-11", "2017-06-30", [[1.0, 0.9], [0.9, 1.0]])
    none: list[float] = []
    candles = CandleAccount(1, 1, 1, 0, 0, 0, 0, 0, [], 0, 0.0, 0.0, 0.0, "repair", "PASS")
    base = BookScenario(
        name="base",
        role="scenario",
        generator={"kind": "fhs"},
        context=ContextView("spx, ndx", "", "", "", 1, 100.0, "XNYS", 252.0, [], none, none, none, none, [], ""),
        horizon=1,
        timestamps=["2017-07-03"],
        paths=99,
        candles=candles,
        volatility_ratio={"0.5": 1.0},
        price_fan=Fan([0], {}, {}, none),
        realised_close=none,
        strategies=[],
        assets=["spx", "ndx"],
        coupling=coupling,
        dropped=1,
    )
    run = dataclasses.replace(RUN, book=BookResult([base]))
    folder.write_run(run)
    assert folder.read_run() == run
    with pytest.raises(StoreError, match="book/scenarios/0/paths"):
        (folder.path / "run.json").write_text(
            (folder.path / "run.json").read_text().replace('"paths": 99', '"paths": "all"')
        )
        folder.read_run()


def test_the_same_identity_resumes_and_another_is_refused_by_name(folder: RunFolder) -> None:
    assert folder.prepare(dict(reversed(IDENTITY.items())))
    with pytest.raises(StoreError, match=r"differs in code \(0\.1\.0 there, 0\.2\.0 now\)") as caught:
        folder.prepare({**IDENTITY, "code": "0.2.0"})
    assert "--overwrite" in caught.value.fix


def test_overwrite_removes_what_a_run_writes_and_nothing_else(folder: RunFolder) -> None:
    folder.write_run(RUN)
    folder.save_block("base", 0, {"x": np.ones(2)}, {}, {})
    with folder.paths_writer("base") as writer:
        writer.write(some_paths(0, 2))
    own = folder.path / "notes.txt"
    own.write_text("mine")
    beside = folder.path / "blocks" / "base" / "mine.txt"
    beside.write_text("mine too")
    assert not folder.prepare({**IDENTITY, "spec": "d" * 64}, overwrite=True)
    left = sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file())
    assert left == ["blocks/base/mine.txt", "identity.json", "manifest.txt", "notes.txt"]


@pytest.mark.parametrize("name", ["run.json", "index.html", "blocks", "paths", "manifest.txt"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_unknown_origin_are_never_replaced(tmp_path: Path, name: str, *, overwrite: bool) -> None:
    (tmp_path / name).write_text("not ours")
    with pytest.raises(StoreError, match="no run made them"):
        RunFolder(tmp_path).prepare(IDENTITY, overwrite=overwrite)
    assert (tmp_path / name).read_text() == "not ours"


def test_overwrite_replaces_a_report_that_stands_alone_and_no_page_of_others(tmp_path: Path) -> None:
    folder, ours = RunFolder(tmp_path), f"<!doctype html><head>{PAGE_MARK.decode()}</head>"
    (tmp_path / "report.png").write_bytes(b"png")
    (tmp_path / "index.html").write_text(ours)
    with pytest.raises(StoreError, match="no run made them"):
        folder.prepare(IDENTITY)
    assert not folder.prepare(IDENTITY, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["identity.json", "manifest.txt", "report.png"]

    (tmp_path / "identity.json").unlink()
    (tmp_path / "index.html").write_text("<!doctype html><head></head> my own page")
    with pytest.raises(StoreError, match="no run made them"):
        folder.prepare(IDENTITY, overwrite=True)
    (tmp_path / "index.html").write_text(ours)
    (tmp_path / "metrics.parquet").write_bytes(b"whose?")
    with pytest.raises(StoreError, match="no run made them"):
        folder.prepare(IDENTITY, overwrite=True)


def test_a_folder_with_other_files_can_hold_a_run(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello")
    assert RunFolder(tmp_path).prepare(IDENTITY) is False


def test_a_file_in_the_folders_place_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        RunFolder(tmp_path / "run").prepare(IDENTITY)
    with pytest.raises(StoreError, match="a part of the path is a file"):
        RunFolder(tmp_path / "run" / "deeper").prepare(IDENTITY)


@pytest.mark.parametrize(
    ("number", "told"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "permission denied"), (errno.EROFS, "read-only")],
)
def test_a_disk_that_refuses_leaves_the_old_file_and_says_what_to_do(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    before = folder.write_run(RUN).read_bytes()

    def refuse(_: Any) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(StoreError, match=told) as caught:
        folder.write_run(dataclasses.replace(RUN, name="other"))
    assert caught.value.fix
    assert (folder.path / "run.json").read_bytes() == before
    left = ["SHA256SUMS", "identity.json", "manifest.txt", "run.json"]
    assert sorted(path.name for path in folder.path.iterdir()) == left


def test_an_edited_result_is_refused_even_where_it_could_be_read(folder: RunFolder) -> None:
    """Parts edited by hand need not fit together: the page of such a run would break, or lie."""
    path = folder.write_run(RUN)
    assert f"{hashlib.sha256(path.read_bytes()).hexdigest()}  run.json" in (folder.path / "SHA256SUMS").read_text()
    written = path.read_text()
    path.write_text(written.replace(f'"{RUN.name}"', '"better"', 1))
    with pytest.raises(StoreError, match="is not what was written"):
        folder.read_run()
    path.write_text(written)
    assert folder.read_run() == RUN
    (folder.path / "SHA256SUMS").unlink()  # as runs of before left none
    assert folder.read_run() == RUN


def test_reading_a_run_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file"):
        RunFolder(tmp_path).read_run()


@pytest.mark.parametrize("content", [b'{"schema": 1, "name', b"[]", b"\xff\xfe", b'{"schema": 99}', b'{"schema": 1}'])
def test_a_broken_run_json_is_refused_and_never_a_traceback_of_json(folder: RunFolder, content: bytes) -> None:
    (folder.path / "run.json").write_bytes(content)
    with pytest.raises(StoreError) as caught:
        folder.read_run()
    assert "--overwrite" in caught.value.fix


def test_a_block_comes_back_with_dtypes_and_index(folder: RunFolder) -> None:
    arrays = {"values": np.arange(6, dtype=np.float32).reshape(2, 3), "ids": np.array([4, 5], dtype=np.int64)}
    frame = pd.DataFrame({"sharpe": [0.5, np.nan]}, index=pd.Index([4, 5], name="path_id"))
    assert not folder.has_block("base", 0)
    folder.save_block("base", 0, arrays, {"metrics": frame}, {"fields": ["open"]})
    loaded, frames, notes = folder.load_block("base", 0)
    assert notes == {"fields": ["open"]}
    assert {name: array.dtype for name, array in loaded.items()} == {"values": np.float32, "ids": np.int64}
    np.testing.assert_array_equal(loaded["values"], arrays["values"])
    pd.testing.assert_frame_equal(frames["metrics"], frame)


@pytest.mark.parametrize("name", ["arrays.npz", "metrics.parquet", "notes.json", "done.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "flipped"])
def test_a_damaged_block_does_not_count_and_can_be_written_again(folder: RunFolder, name: str, damage: str) -> None:
    frames = {"metrics": pd.DataFrame({"x": [1.0]})}
    folder.save_block("base", 3, {"x": np.ones(50)}, frames, {"x": "what stands beside the numbers"})
    path = folder.block_path("base", 3) / name
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "gone":
        path.unlink()
    else:
        tail = b"" if damage == "cut" else bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes(content[:middle] + tail)
    assert not folder.has_block("base", 3)
    with pytest.raises(StoreError, match="block 3 of base is missing or damaged"):
        folder.load_block("base", 3)
    folder.save_block("base", 3, {"x": np.ones(50)}, frames, {"x": "what stands beside the numbers"})
    assert folder.has_block("base", 3)


@pytest.mark.parametrize("sums", ["{}", '{"metrics.parquet": "0"}'])
def test_a_block_whose_sums_name_no_arrays_does_not_count(folder: RunFolder, sums: str) -> None:
    folder.save_block("base", 0, {"x": np.ones(3)}, {"metrics": pd.DataFrame({"x": [1.0]})}, {})
    (folder.block_path("base", 0) / "done.json").write_text(sums)
    assert not folder.has_block("base", 0)


@pytest.mark.parametrize("content", ['{"spec": "aa', "[1]"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_damaged_identity_gets_advice_that_helps(folder: RunFolder, content: str, *, overwrite: bool) -> None:
    (folder.path / "identity.json").write_text(content)
    with pytest.raises(StoreError) as caught:
        folder.prepare(IDENTITY, overwrite=overwrite)
    assert caught.value.fix == "delete this run folder, or choose another report.folder"


def test_a_tilde_is_the_users_home_and_an_unknown_user_stays_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert RunFolder("~/run").path == tmp_path / "run"
    assert RunFolder("~no-such-user/run").path == Path("~no-such-user/run")


def test_objects_that_would_need_pickle_never_enter_a_block(folder: RunFolder) -> None:
    with pytest.raises(ValueError, match="need pickle"):
        folder.save_block("base", 0, {"x": np.array([{}], dtype=object)}, {}, {})


def test_leftovers_of_a_killed_write_are_swept_on_resuming(folder: RunFolder) -> None:
    folder.write_run(RUN)  # a file is named before it is first written
    leftover = folder.path / ".run.json.123.partial"
    leftover.write_bytes(b"half")
    assert folder.prepare(IDENTITY)
    assert not leftover.exists()


def test_paths_written_in_blocks_come_back_in_order(folder: RunFolder) -> None:
    with folder.paths_writer("base") as writer:
        writer.write(some_paths(0, 2))
        assert not folder.paths_path("base").exists()
        writer.write(some_paths(2, 3))
    frame = pd.read_parquet(folder.paths_path("base"))
    assert frame["path_id"].tolist() == [i for i in range(5) for _ in range(3)]
    assert frame["bar"].tolist() == [0, 1, 2] * 5
    np.testing.assert_array_equal(frame["close"].to_numpy()[6:], some_paths(2, 3).close.reshape(-1))


def test_a_paths_file_that_failed_half_way_does_not_appear(folder: RunFolder) -> None:
    with pytest.raises(RuntimeError, match="stop"), folder.paths_writer("base") as writer:
        writer.write(some_paths(0, 2))
        raise RuntimeError("stop")
    assert list((folder.path / "paths").iterdir()) == []


def test_metrics_come_back_and_need_their_keys(folder: RunFolder) -> None:
    frame = pd.DataFrame({"scenario": ["base"], "strategy": ["a"], "path_id": [0], "total_return": [0.1]})
    folder.write_metrics([[frame]])
    pd.testing.assert_frame_equal(folder.read_metrics(), frame)
    with pytest.raises(ValueError, match="path_id"):
        folder.write_metrics([[frame.drop(columns="path_id")]])


def test_damaged_metrics_are_a_store_error(folder: RunFolder) -> None:
    write_bytes(folder.path / "metrics.parquet", b"PAR1 nonsense")
    with pytest.raises(StoreError, match="cannot be read as Parquet"):
        folder.read_metrics()


@given(st.lists(st.text(max_size=70), unique=True, max_size=6))
def test_names_of_files_are_safe_and_never_shared(names: list[str]) -> None:
    made = [safe_name(name).lower() for name in names]
    assert len(set(made)) == len(made)
    for file in made:
        assert Path(file).name == file
        assert file.isascii()
        assert len(file) <= 60


@pytest.mark.parametrize("name", ["../../etc", "a/b", "con", "Base", ".", "", "x" * 300, "\u202e", "\ud800"])
def test_a_hostile_scenario_name_stays_inside_the_folder(folder: RunFolder, name: str) -> None:
    folder.save_block(name, 0, {"x": np.ones(1)}, {}, {})
    assert folder.has_block(name, 0)
    assert folder.block_path(name, 0).resolve().is_relative_to(folder.path.resolve())


def test_plain_names_are_kept() -> None:
    assert safe_name("hot_2-a") == "hot_2-a"


def test_a_block_that_held_is_summed_anew_once_somebody_has_touched_it(folder: RunFolder) -> None:
    folder.save_block("base", 0, {"x": np.ones(50)}, {}, {})
    assert folder.has_block("base", 0)
    path = folder.block_path("base", 0) / "arrays.npz"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(0, 0))
    assert not folder.has_block("base", 0)
