"""What a run leaves of its paths, by paths.keep: none, metrics or paths; numbers and page are the same in all."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import scenario_gen as sg
from scenario_gen.report.page import write_report
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import StressRun

STRATEGIES = Path(sg.__file__).parents[1] / "strategies"
TABLES = ("metrics.parquet", "candles.parquet", "facts.parquet")
KEEPS = ("none", "metrics", "paths")


def spec(keep: str, **more: Any) -> dict[str, Any]:
    """Return 60 paths in three blocks, a shocked scenario that takes them, and a baseline."""
    return {
        "name": "kept",
        "data": {"source": "sp500", "end": "2016-12-30"},
        "bars": {"context": 120, "horizon": 12},
        "paths": {"count": 60, "seed": 3, "block": 25, "keep": keep},
        "generator": {"kind": "bootstrap"},
        "scenarios": [{"name": "base"}, {"name": "gap", "shocks": [{"kind": "gap", "bar": 3, "size": -0.05}]}],
        "baselines": ["fhs"],
        "checks": {"facts": True, "calibration": False},
        "strategies": [{"use": f"{STRATEGIES / 'sma_cross.py'}:SmaCross", "params": {"fast": 3, "slow": 9}}],
        **more,
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, StressRun]]:
    """Return a finished run of each kind."""
    around = tmp_path_factory.mktemp("kept")
    return {keep: (around / keep, sg.run(spec(keep), folder=around / keep)) for keep in KEEPS}


def _numbers(folder: Path) -> dict[str, Any]:
    told = json.loads((folder / "run.json").read_text())
    return {name: told[name] for name in ("scenarios", "findings", "agreement")}


def test_numbers_hang_on_nothing_that_is_kept_and_what_stays_is_what_was_asked(
    runs: dict[str, tuple[Path, StressRun]],
) -> None:
    folders = {keep: folder for keep, (folder, _) in runs.items()}
    assert _numbers(folders["none"]) == _numbers(folders["metrics"]) == _numbers(folders["paths"])
    left = {keep: {path.name for path in folder.iterdir()} for keep, folder in folders.items()}
    always = {"run.json", "index.html", "identity.json", "manifest.txt", "SHA256SUMS", "facts"}
    assert left["none"] == always
    assert left["metrics"] == always | {*TABLES, "blocks"}
    assert left["paths"] == left["metrics"] | {"paths"}
    assert {path.name for path in (folders["paths"] / "paths").iterdir()} == {
        "base.parquet",
        "gap.parquet",
        "fhs.parquet",
    }
    for name in TABLES:
        kept = [pd.read_parquet(folders[keep] / name) for keep in ("metrics", "paths")]
        pd.testing.assert_frame_equal(*kept, check_exact=True)
    metrics = pd.read_parquet(folders["metrics"] / "metrics.parquet")
    assert metrics.groupby("scenario", sort=False, observed=True).size().to_dict() == {"base": 60, "gap": 60, "fhs": 60}
    assert metrics["path_id"].tolist() == [*range(60)] * 3
    assert not re.search("blocks/|parquet", (folders["none"] / "manifest.txt").read_text())


def test_a_run_that_keeps_nothing_is_known_as_finished_and_its_page_is_drawn_again(
    runs: dict[str, tuple[Path, StressRun]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(runs["none"][0], tmp_path / "run")
    told, page = (folder / "run.json").read_bytes(), (folder / "index.html").read_text()
    (folder / "index.html").unlink()
    monkeypatch.setattr("scenario_gen.pipeline.tell", lambda *stages: pytest.fail("it was computed again"))
    again = sg.run(spec("none"), folder=folder)
    assert again == RunFolder(folder).read_run()
    assert (folder / "run.json").read_bytes() == told
    assert (folder / "index.html").read_text() == page
    assert "No number of a single path was kept" in page
    assert "parquet" not in page.split('<pre class="spec"')[0]


def test_a_run_that_keeps_nothing_and_was_edited_is_computed_again(
    runs: dict[str, tuple[Path, StressRun]], tmp_path: Path
) -> None:
    folder = shutil.copytree(runs["none"][0], tmp_path / "run")
    told = _numbers(folder)
    (folder / "run.json").write_text((folder / "run.json").read_text().replace('"paths": 60', '"paths": 61'))
    sg.run(spec("none"), folder=folder)
    assert _numbers(folder) == told
    assert not (folder / "blocks").exists()


def test_an_interrupted_run_is_resumed_from_blocks_whatever_is_kept_in_the_end(
    runs: dict[str, tuple[Path, StressRun]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunFolder, "write_run", killed)
        sg.run(spec("none"), folder=tmp_path / "run")
    assert {path.name for path in (tmp_path / "run" / "blocks").iterdir()} == {"base", "gap", "fhs"}
    assert not [*(tmp_path / "run").glob("*tmp*")]  # scratch files have no name
    with monkeypatch.context() as patch:
        patch.setattr(
            "scenario_gen.pipeline.blocks.work.run_block", lambda *_: pytest.fail("a block was computed again")
        )
        sg.run(spec("none"), folder=tmp_path / "run")
    assert _numbers(tmp_path / "run") == _numbers(runs["none"][0])
    assert not (tmp_path / "run" / "blocks").exists()


def test_a_scenario_may_keep_less_than_the_others(tmp_path: Path) -> None:
    scenarios = [{"name": "base"}, {"name": "wide", "paths": {"keep": "none"}}]
    sg.run(spec("metrics", scenarios=scenarios, baselines=[]), folder=tmp_path / "run")
    for name in TABLES:
        assert set(pd.read_parquet(tmp_path / "run" / name)["scenario"]) == {"base"}
    assert [path.name for path in (tmp_path / "run" / "blocks").iterdir()] == ["base"]
    page = write_report(RunFolder(tmp_path / "run")).read_text()
    assert "All paths of the scenarios that keep them: metrics.parquet" in page
