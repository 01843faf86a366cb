"""``scenario-gen batch``: many specs, a run of each; failures are listed, and what is finished is not run again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenario_gen.pipeline import batch as room
from scenario_gen.store.batch import BatchEntry, BatchRun

Invoke = Callable[..., Any]
SPEC = """
name: {name}
data: {{source: {source}, end: 2016-06-30}}
bars: {{context: 128, horizon: 5}}
paths: {{count: 60, seed: 1}}
generator: {{kind: bootstrap}}
checks: {{calibration: false, facts: false}}
strategies: [{{use: hold.py:Hold}}]
{more}
"""
HOLD = """
from dataclasses import dataclass
from scenario_gen.backtest import Bars, Signals


@dataclass(frozen=True)
class Hold:
    def signals(self, bars: Bars) -> Signals:
        return Signals(entries=bars.close > 0, exits=bars.close < 0)
"""


def write(folder: Path, name: str, source: str = "sp500", more: str = "") -> Path:
    (folder / "hold.py").write_text(HOLD, encoding="utf-8")
    path = folder / f"{name}.yaml"
    path.write_text(SPEC.format(name=name, source=source, more=more), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three specs: one good, one whose mistake is its own, one whose limit no market could keep."""
    folder = tmp_path_factory.mktemp("batch")
    write(folder, "good")
    write(folder, "typo", more="horizn: 5")
    write(folder, "strict", "nasdaq", more="limits: {max_drawdown: 0.0001}")
    return folder


@pytest.fixture(scope="module")
def first(specs: Path) -> BatchRun:
    return room.run_batch([specs / f"{name}.yaml" for name in ("good", "typo", "strict")], specs / "all")


def test_a_spec_that_cannot_be_run_is_listed_with_what_to_do_and_the_others_go_on(first: BatchRun) -> None:
    good, typo, strict = first.entries
    assert [entry.state for entry in first.entries] == ["done", "failed", "done"]
    assert (good.exit_code, typo.exit_code, strict.exit_code) == (0, 2, 3)
    assert "typo.yaml" in typo.problem
    assert "horizn" in typo.problem
    assert first.exit_code == 2  # a spec that was not run is worse than a limit that is breached
    assert any("max_drawdown" in name for name in strict.failing)


def test_every_figure_has_its_error_or_says_why_it_has_none(first: BatchRun) -> None:
    figures = [figure for entry in first.entries for figure in entry.figures]
    assert len(figures) == 2
    for figure in figures:
        for estimate in (figure.median_return, figure.low_return, figure.cvar, figure.probability_of_loss):
            assert estimate.reason or estimate.low is not None
    assert figures[0].median_return.low is not None


def test_the_page_links_every_report_and_tells_the_failures(first: BatchRun) -> None:
    folder = Path(first.folder)
    page = (folder / "index.html").read_text(encoding="utf-8")
    for name in ("good", "strict"):
        assert f'href="{name}/index.html"' in page
        assert (folder / name / "index.html").is_file()
    assert "horizn" in page
    assert "What could not be run." in page
    assert "<script" not in page
    kept = json.loads((folder / "batch.json").read_text(encoding="utf-8"))
    assert [entry["state"] for entry in kept["entries"]] == ["done", "failed", "done"]


def test_the_same_batch_again_runs_what_is_not_finished_and_nothing_else(
    first: BatchRun, specs: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    ran: list[str] = []
    real = room.run_spec
    monkeypatch.setattr(room, "run_spec", lambda loaded, **how: ran.append(loaded.spec.name) or real(loaded, **how))
    mended = specs / "mended"
    mended.mkdir()
    write(mended, "typo")
    files = [specs / "good.yaml", mended / "typo.yaml", specs / "strict.yaml"]
    result = invoke("batch", *files, "--folder", first.folder, "--json", "--quiet")
    assert ran == ["typo"]
    answer = json.loads(result.stdout)
    assert [entry["state"] for entry in answer["entries"]] == ["finished before", "done", "finished before"]
    assert result.exit_code == 3  # of the run whose limit is breached, though it was not run now
    assert answer["entries"][0]["figures"] == json.loads(json.dumps(answer["entries"][1]["figures"]))  # the same spec


def test_a_changed_spec_is_refused_in_its_folder_and_overwrite_runs_it_anew(
    first: BatchRun, specs: Path, tmp_path: Path
) -> None:
    changed = write(tmp_path, "good", more="limits: {max_drawdown: 0.9}")
    refused = room.run_batch([changed], first.folder).entries[0]
    assert (refused.state, refused.exit_code) == ("failed", 2)
    assert "--overwrite" in refused.fix
    anew = room.run_batch([changed], first.folder, overwrite=True).entries[0]
    assert (anew.state, anew.exit_code) == ("done", 0)
    page = (Path(first.folder) / "index.html").read_text(encoding="utf-8")
    assert "Of earlier calls" in page
    assert '<a href="strict/index.html">' in page  # whose spec the latest call did not name


def test_a_defect_in_one_run_ends_none_of_the_others_and_the_batch_leaves_with_1(
    specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    def broken(loaded: Any, **how: Any) -> Any:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(room, "run_spec", broken)
    result = invoke("batch", specs / "good.yaml", specs / "typo.yaml", "--folder", tmp_path / "out")
    assert result.exit_code == 1
    kept = json.loads((tmp_path / "out" / "batch.json").read_text(encoding="utf-8"))
    assert [entry["exit_code"] for entry in kept["entries"]] == [1, 2]
    assert "ZeroDivisionError: planted" in kept["entries"][0]["problem"]
    assert "planted" in result.stderr


class OutOfMemoryError(RuntimeError):
    """Torch's own, by its name."""


def test_missing_memory_is_a_mistake_in_the_words_of_run_and_ctrl_c_is_nobodys_mistake(
    specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    def lacking(loaded: Any, **how: Any) -> Any:
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(room, "run_spec", lacking)
    result = invoke("batch", specs / "good.yaml", specs / "typo.yaml", "--folder", tmp_path / "out", "--json")
    good, typo = json.loads(result.stdout)["entries"]
    assert (result.exit_code, good["state"], good["exit_code"]) == (2, "failed", 2)
    assert good["problem"] == "there is not enough memory: CUDA out of memory. Tried to allocate 20.00 GiB"
    assert "lower paths.block" in good["fix"]
    assert typo["exit_code"] == 2  # the others went on

    def interrupted(loaded: Any, **how: Any) -> Any:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ImportError("a library that was interrupted while it was imported") from None

    monkeypatch.setattr(room, "run_spec", interrupted)
    result = invoke("batch", specs / "good.yaml", specs / "typo.yaml", "--folder", tmp_path / "out")
    assert result.exit_code == 130
    assert "run the same command again to go on" in result.stderr


def test_two_specs_of_one_name_are_refused_before_anything_runs(tmp_path: Path, invoke: Invoke) -> None:
    result = invoke("batch", "a/x.yaml", "b/x.yaml", "--folder", tmp_path / "out")
    assert result.exit_code == 2
    assert "specs of the same name: a/x.yaml, b/x.yaml" in result.stderr.replace("\\", "/")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("codes", "worst"), [([0, 4, 3], 3), ([3, 2, 4], 2), ([2, 1], 1), ([0, 4], 4), ([0, None], 0), ([], 0)]
)
def test_the_exit_code_is_the_worst_of_the_runs(codes: list[int | None], worst: int) -> None:
    entries = [BatchEntry("x.yaml", "x", "done", code) for code in codes]
    assert BatchRun("", "", "", entries).exit_code == worst
