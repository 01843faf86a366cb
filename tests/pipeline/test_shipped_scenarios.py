"""Every shipped scenario runs: with fewer paths, on the embedded model, from another folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scenario_gen.pipeline import run_spec
from scenario_gen.progress import SilentProgress
from scenario_gen.report.page import write_report
from scenario_gen.spec.loader import LoadedSpec, load_spec
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import StressRun

SCENARIOS = Path(__file__).parents[2] / "scenarios"
PATHS = 24


def _with_small_blocks(loaded: LoadedSpec) -> LoadedSpec:
    """Shrink the blocks: a partial block is computed whole, and 24 paths are enough to see that a spec runs.

    The default calibration takes longer than all the rest: tests of its own look at it.
    """
    scenarios = tuple(
        s.model_copy(
            update={
                "paths": s.paths.model_copy(update={"block": PATHS}),
                "checks": s.checks.model_copy(update={"calibration": False}),
            }
        )
        for s in loaded.spec.scenarios
    )
    return replace(loaded, spec=loaded.spec.model_copy(update={"scenarios": scenarios}))


def _run(name: str, folder: Path) -> StressRun:
    return run_spec(
        _with_small_blocks(load_spec(SCENARIOS / name)),
        folder=folder,
        device="cpu",
        paths=PATHS,
        overwrite=False,
        command="test",
        progress=SilentProgress(),
    )


@pytest.mark.parametrize("name", ["quickstart.yaml", "crisis_2008.yaml", "own_csv.yaml"])
def test_a_shipped_scenario_runs_on_the_embedded_model(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = _run(name, tmp_path / "run")
    for scenario in run.scenarios:
        assert scenario.paths == PATHS
        assert scenario.candles.rejected == 0
        assert all(len(strategy.named_paths) == 5 for strategy in scenario.strategies)
    assert {s.role for s in run.scenarios} == {"scenario", "baseline"}
    assert (tmp_path / "run" / "index.html").stat().st_size < 3_000_000


def test_a_hotter_scenario_of_the_quickstart_is_more_volatile(tmp_path: Path) -> None:
    run = _run("quickstart.yaml", tmp_path / "run")
    calm, base, hot = (scenario.volatility_ratio["0.5"] for scenario in run.scenarios[:3])
    assert calm < base < hot


def test_the_page_can_be_rebuilt_from_the_folder_byte_for_byte(tmp_path: Path) -> None:
    _run("own_csv.yaml", tmp_path / "run")
    first = (tmp_path / "run" / "index.html").read_bytes()
    assert write_report(RunFolder(tmp_path / "run")).read_bytes() == first
