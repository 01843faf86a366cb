"""The commands about finished runs, on runs that the tests make and on a tiny one that the pipeline wrote."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenario_gen as sg
from scenario_gen.files import read_sums, sha256_of
from scenario_gen.report.page import write_report
from scenario_gen.store.clean import clean_run
from scenario_gen.store.folder import RunFolder
from tests.store.made_runs import drawn, run_of, written

Invoke = Callable[..., Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs ``a`` and ``b`` of the same random numbers, of which b pays more on every path."""
    folder = tmp_path_factory.mktemp("runs")
    first = {"base": {"Cross": drawn(np.random.default_rng(0), 60)}}
    second = {"base": {"Cross": first["base"]["Cross"].assign(total_return=lambda rows: rows["total_return"] - 0.001)}}
    written(folder / "a", run_of(first, fees=0.0), first)
    written(folder / "b", run_of(second, fees=0.001), second)
    return folder


def test_diff_fails_on_a_change_only_where_it_is_asked_to(runs: Path, invoke: Invoke) -> None:
    told = invoke("diff", runs / "a", runs / "b")
    assert told.exit_code == 0
    assert "scenarios.base.fees" in told.stdout and "Total return, mean" in told.stdout
    assert invoke("diff", runs / "a", runs / "b", "--fail-on-change").exit_code == 4
    assert invoke("diff", runs / "a", runs / "a", "--fail-on-change").exit_code == 0


def test_diff_prints_all_figures_as_json(runs: Path, invoke: Invoke) -> None:
    told = json.loads(invoke("diff", runs / "a", runs / "b", "--json").stdout)
    (figure,) = [each for each in told["figures"] if each["figure"] == "total_return/mean"]
    assert figure["moved"] and figure["difference"]["value"] == pytest.approx(-0.001)
    assert (told["changed"], told["compared"]) == (True, len(told["figures"]))


def test_diff_says_which_folder_holds_no_run(runs: Path, invoke: Invoke) -> None:
    told = invoke("diff", runs / "a", runs / "nothing")
    assert told.exit_code == 2
    assert str(runs / "nothing") in told.stderr and "check the path" in told.stderr


# --- clean ---


def spec_of(folder: Path) -> dict[str, Any]:
    return {
        "name": "tiny",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 10},
        "paths": {"count": 40, "block": 20, "keep": "paths"},
        "generator": {"kind": "bootstrap"},
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": str(Path(__file__).parents[2] / "strategies" / "buy_and_hold.py:BuyAndHold")}],
        "limits": {"probability_of_loss": 0.01},
        "report": {"folder": str(folder)},
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 40 paths in two blocks, which kept its paths, and a file of somebody else among its blocks."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    sg.run(spec_of(folder))
    (folder / "blocks" / "mine.txt").write_text("not the run's")
    return folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


ALWAYS = {"SHA256SUMS", "identity.json", "index.html", "manifest.txt", "run.json", "blocks/mine.txt"}
TABLES = {"metrics.parquet", "candles.parquet"}


@pytest.mark.parametrize(
    ("keep", "stays"), [("paths", TABLES | {"paths/base.parquet"}), ("metrics", TABLES), ("none", set())]
)
def test_clean_leaves_what_its_word_says_and_never_a_file_of_somebody_else(
    run: Path, keep: Any, stays: set[str], invoke: Invoke
) -> None:
    before = {name: (run / name).stat().st_size for name in files_of(run)}
    told = json.loads(invoke("clean", run, "--keep", keep, "--json").stdout)
    assert files_of(run) == ALWAYS | stays
    gone = before.keys() - files_of(run)
    assert (told["files"], sum(told["freed"].values())) == (len(gone), sum(before[name] for name in gone))
    sums = read_sums(run)
    assert sums == {name: sha256_of(run / name) for name in {"run.json"} | stays}
    again = clean_run(run, keep)
    assert (again.files, set(again.freed.values())) == (0, {0})


def test_the_page_of_a_cleaned_run_can_be_made_again_byte_for_byte(run: Path) -> None:
    before = (run / "index.html").read_bytes()
    clean_run(run, "none")
    write_report(RunFolder(run))
    assert (run / "index.html").read_bytes() == before


def test_a_dry_run_tells_the_same_bytes_and_removes_nothing(run: Path, invoke: Invoke) -> None:
    before = files_of(run)
    told = invoke("clean", run, "--dry-run")
    assert told.exit_code == 0 and told.stdout.startswith("would free ")
    assert files_of(run) == before
    assert invoke("clean", run).stdout == told.stdout.replace("would free", "freed")


def test_a_link_in_the_place_of_blocks_is_not_followed(run: Path, tmp_path: Path) -> None:
    shutil.move(run / "blocks", tmp_path / "elsewhere")
    (run / "blocks").symlink_to(tmp_path / "elsewhere")
    there = files_of(tmp_path / "elsewhere")
    assert clean_run(run, "paths").files == 0
    assert files_of(tmp_path / "elsewhere") == there


def test_unfinished_runs_runs_at_work_and_folders_without_one_are_refused(run: Path, invoke: Invoke) -> None:
    before = files_of(run)
    with RunFolder(run).at_work():
        told = invoke("clean", run)
        assert told.exit_code == 2 and "a run is at work in it" in told.stderr
    (run / "run.json").write_bytes((run / "run.json").read_bytes().replace(b"tiny", b"TINY"))
    assert "not what was written" in invoke("clean", run).stderr
    (run / "run.json").unlink()
    told = invoke("clean", run)
    assert told.exit_code == 2 and "is not finished" in told.stderr
    assert files_of(run) == before - {"run.json"}
    nowhere = run.parent / "nowhere"
    assert "holds no run" in invoke("clean", nowhere).stderr
    assert not nowhere.exists()
    assert "is an address" in invoke("clean", "memory://runs/mine").stderr


def test_a_cleaned_run_is_computed_anew_by_its_own_command(run: Path) -> None:
    metrics = (run / "metrics.parquet").read_bytes()
    clean_run(run, "none")
    sg.run(spec_of(run))
    assert (run / "metrics.parquet").read_bytes() == metrics
