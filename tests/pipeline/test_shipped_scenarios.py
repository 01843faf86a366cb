"""Every shipped scenario runs: with fewer paths, on the embedded model, from another folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from scenario_gen.joint.section import FEWEST_COMMON, JointCalibration
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

    The default calibration takes longer than all the rest: tests of its own look at it. That of a
    coupling needs no more than its fewest bars.
    """
    fewest = JointCalibration(bars=FEWEST_COMMON)
    scenarios = tuple(
        s.model_copy(
            update={
                "paths": s.paths.model_copy(update={"block": PATHS}),
                "checks": s.checks.model_copy(update={"calibration": False}),
                "joint": None if s.joint is None else s.joint.model_copy(update={"calibrate": fewest}),
            }
        )
        for s in loaded.spec.scenarios
    )
    return replace(loaded, spec=loaded.spec.model_copy(update={"scenarios": scenarios}))


Runs = Callable[[str], tuple[StressRun, Path]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Run a shipped scenario from another folder, each once."""

    @cache
    def run(name: str) -> tuple[StressRun, Path]:
        folder = tmp_path_factory.mktemp("elsewhere")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            result = run_spec(
                _with_small_blocks(load_spec(SCENARIOS / name)),
                folder=folder / "run",
                device="cpu",
                paths=PATHS,
                overwrite=False,
                command="test",
                progress=SilentProgress(),
            )
        return result, folder / "run"

    return run


@pytest.mark.parametrize(
    "name", ["quickstart.yaml", "crisis_2008.yaml", "own_csv.yaml", "stress_pack.yaml", "challenge.yaml"]
)
def test_a_shipped_scenario_runs_on_the_embedded_model(name: str, ran: Runs) -> None:
    run, folder = ran(name)
    for scenario in run.scenarios:
        assert scenario.paths == PATHS
        assert scenario.candles.rejected == 0
        assert all(len(strategy.named_paths) == 5 for strategy in scenario.strategies)
    assert {s.role for s in run.scenarios} == {"scenario", "baseline"}
    assert (folder / "index.html").stat().st_size < 3_000_000


def test_a_hotter_scenario_of_the_quickstart_is_more_volatile(ran: Runs) -> None:
    run, _ = ran("quickstart.yaml")
    calm, base, hot = (scenario.volatility_ratio["0.5"] for scenario in run.scenarios[:3])
    assert calm < base < hot


def test_the_stress_pack_sets_every_shock_beside_the_base_and_a_deeper_gap_costs_more(ran: Runs) -> None:
    run, folder = ran("stress_pack.yaml")
    reports = {scenario.name: scenario.shocks for scenario in run.scenarios if scenario.shocks is not None}
    assert {report.beside for report in reports.values()} == {"base"}
    gaps = [reports[f"gap {size}"].costs[0].total_return.value for size in (5, 10, 20)]
    assert gaps == pytest.approx([-0.05, -0.10, -0.20], rel=0.1)  # of a holder's money, which moves by 10 % at most
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "What does each shock cost?" in page


def test_the_book_trades_both_indices_in_one_account_and_assets_that_move_apart_diversify_more(ran: Runs) -> None:
    run, folder = ran("book.yaml")
    assert run.book is not None
    assert [(book.name, book.role, book.paths) for book in run.book.scenarios] == [
        ("base", "scenario", PATHS), ("apart", "scenario", PATHS), ("fhs", "baseline", PATHS)
    ]  # fmt: skip
    assert all(len(book.strategies) == 3 for book in run.book.scenarios)
    base, apart, _ = (book.coupling for book in run.book.scenarios)
    assert base.reached[0][1] > apart.reached[0][1] + 0.2
    assert apart.target[0][1] == pytest.approx(base.target[0][1] / 2)
    assert (folder / "index.html").stat().st_size < 3_000_000


def test_the_page_can_be_rebuilt_from_the_folder_byte_for_byte(ran: Runs) -> None:
    _, folder = ran("own_csv.yaml")
    first = (folder / "index.html").read_bytes()
    assert write_report(RunFolder(folder)).read_bytes() == first
