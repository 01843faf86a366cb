"""What differs between two runs: on made metrics, at the stated rate of false alarms, and to the field."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scenario_gen.errors import StoreError
from scenario_gen.finding import Finding, Label
from scenario_gen.report.tables.diff import diff_lines, diff_tables, verdict
from scenario_gen.store.diff import Change, RunDiff, changes_of, diff_runs, relabelled_findings
from scenario_gen.store.figures import Rows, figures_of
from tests.store.made_runs import Metrics, drawn, run_of, table_of, written

COMPARISONS = 30
# At a true rate of 5 % more than 1.5 + 3 sqrt(30 * .05 * .95) = 5 of 30 comparisons come once in 300 such tests.
# The rate of each single figure is tested in tests/stats/test_compared.py.
MOST_ALARMS = 5


def made(seed: int, paths: int = 400, shift: float = 0.0) -> dict[str, dict[str, pd.DataFrame]]:
    rng = np.random.default_rng(seed)
    return {"base": {name: drawn(rng, paths, shift) for name in ("Cross", "Hold")}}


def lowered(metrics: dict[str, pd.DataFrame], by: float) -> dict[str, pd.DataFrame]:
    return {name: rows.assign(total_return=rows["total_return"] - by) for name, rows in metrics.items()}


def moved(first: Metrics, second: Metrics, seeds: tuple[int, int], *, kept: bool = True) -> list[str]:
    """Return the figures that moved between two runs of these metrics."""
    tables: Rows = (table_of(first), table_of(second)) if kept else (None, None)
    runs = (run_of(first, seed=seeds[0]), run_of(second, seed=seeds[1]))
    return [change.figure for change in figures_of(runs, tables)[1] if change.moved]


@pytest.mark.parametrize("kept", [True, False], ids=["with the metrics of their paths", "by the intervals of run.json"])
def test_two_runs_of_one_law_with_other_seeds_show_a_moved_figure_at_most_at_the_stated_rate(kept: bool) -> None:
    pairs = [
        [{"base": {"Cross": made(seed)["base"]["Cross"]}} for seed in (2 * n, 2 * n + 1)] for n in range(COMPARISONS)
    ]
    alarms = sum(bool(moved(*pair, (1, 2), kept=kept)) for pair in pairs)
    assert alarms <= MOST_ALARMS


def test_a_planted_shift_is_found_and_its_figures_are_named() -> None:
    figures = moved(made(0), made(1, shift=-0.03), (1, 2))
    # four tenths of a deviation of returns, six standard errors of the difference of means; drawn counts stay
    assert {"total_return/mean", "probability_of_loss"} <= {*figures}
    assert not [figure for figure in figures if figure.startswith("trades")]


def test_pairing_finds_a_shift_that_independent_samples_would_miss() -> None:
    first = made(0)
    second = {
        "base": {name: rows.assign(total_return=rows["total_return"] - 0.0002) for name, rows in first["base"].items()}
    }
    assert "total_return/mean" in moved(first, second, (7, 7))
    assert moved(first, second, (7, 8)) == []


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs: other fees and a shift by them, a finding that fails now, a strategy and a scenario that are gone."""
    first = {"base": made(0)["base"], "hot": made(1)["base"], "old": made(2)["base"]}
    second = {"base": lowered(first["base"], 0.0005), "hot": {"Cross": first["hot"]["Cross"]}, "new": made(3)["base"]}
    labels: dict[str, tuple[Label, Label]] = {"nulls": ("PASS", "WARN"), "limits: max_drawdown": ("PASS", "FAIL")}
    told = [[Finding(name, pair[n], f"measured {n}", "", "base") for name, pair in labels.items()] for n in (0, 1)]
    runs = run_of(first, findings=told[0], fees=0.0), run_of(second, findings=told[1], fees=0.0005)
    runs = runs[0], replace(runs[1], identity={**runs[1].identity, "weights": "e" * 64}, device={"device": "cuda"})
    written(tmp_path / "a", runs[0], first)
    written(tmp_path / "b", runs[1], second)
    return tmp_path / "a", tmp_path / "b"


def test_everything_that_differs_is_told(folders: tuple[Path, Path]) -> None:
    diff = diff_runs(*folders)
    assert diff.changes == [
        Change("spec", "scenarios.*.fees", 0.0, 0.0005),
        Change("model", "sha256", "b" * 64, "e" * 64),
        Change("device", "device", "cpu", "cuda"),
    ]
    assert (diff.only_first, diff.only_second) == (["hot: Hold", "old"], ["new"])
    assert [(each.name, each.first, each.second) for each in diff.relabelled] == [
        ("limits: max_drawdown", "PASS", "FAIL"),
        ("nulls", "PASS", "WARN"),
    ]
    assert [(each.scenario, each.strategy, each.how) for each in diff.beside] == [
        ("base", "Cross", "path by path"),
        ("base", "Hold", "path by path"),
        ("hot", "Cross", "same bits"),
    ]
    assert {change.scenario for change in diff.figures if change.moved} == {"base"}
    assert diff.changed


def test_the_terminal_tells_labels_first_and_the_rate_of_false_alarms_last(folders: tuple[Path, Path]) -> None:
    diff = diff_runs(*folders)
    titles = [table.title for table in diff_tables(diff)]
    assert titles[0] == "Findings with another label" and titles[-1] == "Figures that moved"
    assert [(row.head, row.cells[0].words) for row in diff_tables(diff)[0].rows] == [("PASS", "FAIL"), ("PASS", "WARN")]
    lines = [*diff_lines(diff)]
    assert lines[0] == f"only in {folders[0]}: hot: Hold, old"
    assert "same bits: hot (1 strategy)" in lines
    assert lines[-1].startswith(f"{diff.moved} of {diff.compared} figures moved") and "at most 5%" in lines[-1]
    shown = next(row for row in diff_tables(diff)[-1].rows if row.head == "Total return, mean")
    assert shown.cells[2].words.startswith("−0.05")  # five hundredths of a percent, by an error that shows them


def test_a_run_is_identical_to_itself(folders: tuple[Path, Path]) -> None:
    diff = diff_runs(folders[0], folders[0])
    assert (diff.changes, diff.relabelled, diff.moved, diff.changed) == ([], [], 0, False)
    assert verdict(diff).endswith("are identical: every metric of every path has the same bits")


def test_runs_without_the_metrics_of_their_paths_are_compared_by_their_intervals(tmp_path: Path) -> None:
    first, second = made(0), made(1, shift=-0.05)
    written(tmp_path / "a", run_of(first), None)
    written(tmp_path / "b", run_of(second), second)
    diff = diff_runs(tmp_path / "a", tmp_path / "b")
    assert {(each.how, each.reason) for each in diff.beside} == {
        ("by intervals", "the metrics of its paths are not kept")
    }
    assert "total_return/mean" in [change.figure for change in diff.figures if change.moved]


@pytest.mark.parametrize(
    ("second", "reason"), [(run_of(made(0), seed=8), "another seed"), (run_of(made(0, 500)), "another number of paths")]
)
def test_only_runs_with_the_same_random_numbers_are_paired(second: object, reason: str) -> None:
    first = run_of(made(0))
    beside, _ = figures_of((first, second), (table_of(made(0)), table_of(made(1))))  # type: ignore[arg-type]
    assert {(each.how, each.reason) for each in beside} == {("two samples", reason)}


def test_another_context_is_no_pair() -> None:
    run = run_of(made(0))
    other = [replace(each, context=replace(each.context, sha256="6" * 64)) for each in run.scenarios]
    beside, _ = figures_of((run, replace(run, scenarios=other)), (table_of(made(0)), table_of(made(1))))
    assert beside[0].reason == "another context"


def test_what_differs_in_one_scenario_alone_bears_its_name() -> None:
    metrics = {"base": made(0)["base"], "hot": made(1)["base"]}
    run = run_of(metrics)
    sections = [{**section, "generator": {"temperature": 1.0}} for section in run.spec["scenarios"]]
    hotter = [sections[0], {**sections[1], "generator": {"temperature": 1.3}, "views": [{"about": "return"}]}]
    specs = [{**run.spec, "scenarios": each} for each in (sections, hotter)]
    assert changes_of(*(replace(run, spec=spec) for spec in specs)) == [
        Change("spec", "scenarios.hot.generator.temperature", 1.0, 1.3),
        Change("spec", "scenarios.hot.views.0.about", "absent", "return"),
    ]


def test_a_finding_that_fails_now_comes_before_those_that_one_run_alone_has() -> None:
    first = [Finding("drift", "PASS", "", ""), Finding("nulls", "FAIL", "", ""), Finding("fills", "WARN", "", "")]
    second = [Finding("drift", "FAIL", "", ""), Finding("nulls", "PASS", "", ""), Finding("edge", "FAIL", "", "")]
    told = relabelled_findings(first, second)
    assert [(each.name, each.first, each.second) for each in told] == [
        ("drift", "PASS", "FAIL"),
        ("nulls", "FAIL", "PASS"),
        ("edge", None, "FAIL"),
        ("fills", "WARN", None),
    ]


def test_a_folder_that_is_no_run_or_whose_metrics_were_edited_is_refused(folders: tuple[Path, Path]) -> None:
    with pytest.raises(StoreError, match="cannot read"):
        diff_runs(folders[0], folders[0].parent)
    metrics = folders[1] / "metrics.parquet"
    metrics.write_bytes(metrics.read_bytes() + b" ")
    with pytest.raises(StoreError, match="not what was written"):
        diff_runs(*folders)


def test_a_comparison_without_a_common_strategy_says_so(tmp_path: Path) -> None:
    first, second = {"a": made(0)["base"]}, {"b": made(1)["base"]}
    written(tmp_path / "a", run_of(first), first)
    written(tmp_path / "b", run_of(second), second)
    diff: RunDiff = diff_runs(tmp_path / "a", tmp_path / "b")
    assert (verdict(diff), diff.changed) == ("no figure could be compared", True)
