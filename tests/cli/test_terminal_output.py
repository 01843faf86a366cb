import io
from collections.abc import Callable
from typing import Any

from rich.console import Console

from scenario_gen.cli.manners import BarProgress, LineProgress, NotesOnly
from scenario_gen.cli.show import finding_lines, show_run
from scenario_gen.finding import Finding
from scenario_gen.progress import SilentProgress
from scenario_gen.report.numbers import bracketed
from scenario_gen.stats.estimate import Estimate
from scenario_gen.store.results import StressRun


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_a_row_per_scenario_and_strategy_with_errors(finished_run: StressRun) -> None:
    console = Console(file=io.StringIO(), width=180)
    show_run(finished_run, console)
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in written(console).splitlines()]
    rows = [cells for cells in lines if cells[0] in ("hot", "SmaCross", "bootstrap (baseline)")]
    assert [cells[0] for cells in rows] == ["hot", "SmaCross", "bootstrap (baseline)", "SmaCross"]
    assert rows[1][1:] == [
        "+1.2% [1.0, 2.0]",
        "−8.1% [−9.0, −7.0]",
        "37.5% [33.0, 42.0]",
        "15.7% [15.0, 16.0]",
        "fewer than 50 paths in the tail",
    ]


def test_findings_that_did_not_pass_stand_below_the_table(finished_run: StressRun) -> None:
    console = Console(file=io.StringIO(), width=150)
    show_run(finished_run, console)
    assert "WARN         dispersion [hot]: 0.6 (expected 0.8 to 1.25)" in written(console)
    assert "candles" not in written(console)


def test_an_estimate_without_an_interval_or_a_value_says_so() -> None:
    assert bracketed(Estimate(0.1), "percent", "").words == "10.0%"
    assert bracketed(Estimate(None, reason="no trade"), "percent", "").words == "no trade"
    assert bracketed(Estimate(None), "percent", "").words == "—"


def test_known_models_are_listed_with_their_pinned_source(invoke: Callable[..., Any]) -> None:
    out = invoke("models", "list").stdout
    assert "NeoQuasar/Kronos-small@901c26c1" in out
    assert all(f" {name} " in out for name in ("nano", "mini", "small", "base"))


def test_a_stage_without_a_terminal_is_a_line_at_the_start_each_quarter_and_the_end() -> None:
    stream, ticks = io.StringIO(), iter([10.0, 12.5])
    progress = LineProgress(stream, clock=lambda: next(ticks))
    with progress.stage("sampling base", total=8) as advance:
        for _ in range(8):
            advance(1)
    assert stream.getvalue().splitlines() == [
        "sampling base ...",
        "sampling base: 2 of 8",
        "sampling base: 4 of 8",
        "sampling base: 6 of 8",
        "sampling base: 8 of 8 in 2.5 s",
    ]


def test_a_stage_that_fails_is_not_told_as_done() -> None:
    stream = io.StringIO()
    try:
        with LineProgress(stream).stage("sampling base", total=8):
            raise RuntimeError
    except RuntimeError:
        pass
    assert stream.getvalue() == "sampling base ...\n"


def test_bars_stay_on_the_screen_and_may_be_nested() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    progress = BarProgress(console)
    with progress.stage("backtesting an asset that its book trades", total=0) as none:
        none(0)
    with progress.stage("scenario [hot]", total=2) as outer:
        with progress.stage("sampling", total=3) as inner:
            inner(3)
        outer(2)
        progress.note("a [note]")
    with progress.stage("writing", total=1) as advance:
        advance(1)
    shown = written(console)
    assert "scenario [hot]" in shown
    assert "3/3" in shown
    assert "a [note]" in shown
    assert "writing" in shown


def test_the_bars_are_gone_from_the_terminal_after_a_failure() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    progress = BarProgress(console)
    try:
        with progress.stage("sampling", total=3):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert written(console).endswith("\x1b[?25h")  # the cursor is shown again
    with progress.stage("sampling", total=3) as advance:
        advance(1)


def test_the_silent_progress_keeps_notes() -> None:
    progress = SilentProgress()
    with progress.stage("sampling", total=3) as advance:
        advance(3)
    progress.note("a note")
    assert progress.notes == ["a note"]


def test_notes_are_all_that_a_quiet_run_tells(capsys: Any) -> None:
    progress = NotesOnly()
    with progress.stage("sampling", total=3) as advance:
        advance(3)
    progress.note("a note")
    assert capsys.readouterr() == ("", "a note\n")


def test_groups_of_facts_share_a_line_per_label_that_names_them() -> None:
    findings = [
        Finding(f"facts.{group}", label, f"{group} differ", "windows", scenario="hot")
        for group, label in (("tails", "FAIL"), ("gaps", "PASS"), ("volume", "FAIL"), ("linear", "WARN"))
    ]
    assert finding_lines(findings) == [
        "FAIL         facts (tails, volume) [hot]: tails differ; 1 more in the report",
        "WARN         facts (linear) [hot]: linear differ",
    ]


def test_findings_of_one_kind_share_a_line_that_counts_them() -> None:
    findings = [
        Finding("limits: max_drawdown", label, f"{i} %", "at most 5 %", scenario="hot")
        for i, label in enumerate(["FAIL", "PASS", "FAIL", "WARN", "FAIL"])
    ]
    assert finding_lines(findings) == [
        "FAIL         limits: max_drawdown [hot]: 0 % (expected at most 5 %); 2 more in the report",
        "WARN         limits: max_drawdown [hot]: 3 % (expected at most 5 %)",
    ]
