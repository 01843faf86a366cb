"""A run that ends well has left its report, its identity and its manifest where it said; any other says so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import scenario_gen as sg
from scenario_gen.errors import StoreError, StrategyError
from scenario_gen.pipeline import run_spec
from scenario_gen.progress import SilentProgress
from scenario_gen.spec.loader import spec_from_dict

RULE = """
import os, shutil
from dataclasses import dataclass
{at_import}

@dataclass(frozen=True)
class Rule:
    def weights(self, bars):
        {when_asked}
        return bars.close * 0 + 1
"""


def _spec(folder: str, rule: Path) -> dict[str, Any]:
    return {
        "name": "trial",
        "data": {"source": "sp500", "end": "2016-03-31"},
        "bars": {"context": 40, "horizon": 10},
        "paths": {"count": 8, "seed": 3},
        "generator": {"kind": "bootstrap"},
        "checks": {"facts": False, "calibration": False},
        "strategies": [{"use": f"{rule}:Rule"}],
        "report": {"folder": folder},
    }


def _rule(folder: Path, at_import: str = "", when_asked: str = "pass") -> Path:
    (folder / "rule.py").write_text(RULE.format(at_import=at_import, when_asked=when_asked), encoding="utf-8")
    return folder / "rule.py"


def test_a_strategy_that_changes_the_current_folder_does_not_move_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    move = f"os.chdir({str(tmp_path / 'there')!r})"
    sg.run(_spec("out/run", _rule(tmp_path, move, move)))
    assert Path.cwd() == tmp_path / "here"
    assert (tmp_path / "here" / "out" / "run" / "index.html").exists()
    assert list((tmp_path / "there").iterdir()) == []


def test_a_strategy_that_leaves_the_process_is_named_and_the_run_can_be_mended(tmp_path: Path) -> None:
    rule = _rule(tmp_path, when_asked="os._exit(0)")
    with pytest.raises(StrategyError, match=r"os\._exit would have ended the run\n  at .*rule\.py, line 9"):
        sg.run(_spec(str(tmp_path / "run"), rule))
    assert not (tmp_path / "run" / "run.json").exists()


class Deleting(SilentProgress):
    """A progress during which somebody deletes the run's folder when a stage begins."""

    def __init__(self, stage: str, folder: Path) -> None:
        super().__init__()
        self._stage, self._folder = stage, folder

    def stage(self, title: str, total: int) -> Any:
        if title == self._stage:
            shutil.rmtree(self._folder)
        return super().stage(title, total)


@pytest.mark.parametrize("stage", ["base: backtesting", "summarising", "probing for look-ahead", "writing the report"])
def test_a_folder_that_is_deleted_while_the_run_is_at_work_ends_it(tmp_path: Path, stage: str) -> None:
    folder = tmp_path / "run"
    spec = spec_from_dict(_spec(str(folder), _rule(tmp_path)))
    with pytest.raises(StoreError, match="was deleted, moved or replaced while a run was at work in it") as caught:
        run_spec(
            spec, folder=None, device=None, paths=None, overwrite=False, command="", progress=Deleting(stage, folder)
        )
    assert "again" in caught.value.fix
    assert not (folder / "run.json").exists()
    assert not (folder / "identity.json").exists()


@pytest.mark.parametrize("name", ["paths/base.parquet", "facts.parquet"])
def test_a_foreign_file_where_the_run_would_write_is_told_before_the_first_block(tmp_path: Path, name: str) -> None:
    folder, rule = tmp_path / "run", _rule(tmp_path)
    sg.run(_spec(str(folder), rule))
    (folder / "paths").mkdir()
    (folder / name).write_text("mine")
    spec = _spec(str(folder), rule)
    more = {"paths": {**spec["paths"], "keep": "paths"}, "checks": {"facts": True, "calibration": False}}
    with pytest.raises(StoreError, match=f"{name} is there already, and this run did not make it"):
        sg.run(spec | more, overwrite=True)
    assert (folder / name).read_text() == "mine"
    assert (folder / "run.json").exists() is (name == "facts.parquet")  # what bears a fixed name is looked at first
    assert (folder / "blocks").exists() is (name == "facts.parquet")
