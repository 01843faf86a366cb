"""Strategies on the terminal: results, warm-up and findings. Reads result values, computes none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scenario_gen.cli.tables import finding_lines, make_console, result_cells, result_columns
from scenario_gen.finding import LIMITS, LOOK_AHEAD, Finding

if TYPE_CHECKING:
    from scenario_gen.pipeline.backtest_results import BacktestReport
    from scenario_gen.store.results import StrategyResult

UNSAID = "n/a"


def show_backtest(report: BacktestReport, console: Console | None = None) -> None:
    """Print results, what was asked of each strategy, and every finding that is not a PASS."""
    console = console or make_console()
    for line in _head(report):
        console.print(line, markup=False, highlight=False)
    console.print(results_table(report))
    console.print(strategies_table(report.strategies, report.findings))
    for line in finding_lines(report.findings, rest="with --json"):
        console.print(line, markup=False, highlight=False)
    for note in [*report.notes, *(f"left out {name}: {why}" for name, why in report.dropped.items())]:
        console.print(note, markup=False, highlight=False)


def results_table(report: BacktestReport) -> Table:
    """Return one row per strategy: estimates with their 95 % intervals."""
    table = Table(caption="[95 % interval of the Monte Carlo error]", caption_style="dim")
    table.add_column("strategy")
    for title in result_columns():
        table.add_column(title, justify="right")
    for strategy in report.strategies:
        table.add_row(escape(strategy.name), *result_cells(strategy))
    return table


def strategies_table(strategies: Sequence[StrategyResult], findings: Sequence[Finding]) -> Table:
    """Return what was asked of each strategy itself: look-ahead, warm-up and, where declared, its limits."""
    limits = bool(LIMITS.of(findings))
    table = Table(
        title="The strategies themselves",
        caption="changes: share of decisions on the path that change with a quarter less, and more, context",
        caption_style="dim",
    )
    heads = ("strategy", "looks ahead", "changes with less", "with more", *(["limits"] if limits else []))
    for head in heads:
        table.add_column(head, justify="right" if "changes" in head or "more" in head else "left")
    for one in strategies:
        own = [found for found in findings if found.strategy == one.name]
        ahead = next((found.label for found in own if found.check is LOOK_AHEAD), UNSAID)
        less, more = (None, None) if one.warm_up is None else (one.warm_up.less, one.warm_up.more)
        judged = [_limits(LIMITS.of(own))] if limits else []
        table.add_row(escape(one.name), ahead, _share(less), _share(more), *judged)
    return table


def _limits(findings: Iterable[Finding]) -> str:
    counts: dict[str, int] = {}
    for found in findings:
        counts[found.label] = counts.get(found.label, 0) + 1
    words = {"FAIL": "breached", "PASS": "met", "INCONCLUSIVE": "undecided", "UNTESTABLE": "not measured"}
    return ", ".join(f"{count} {words.get(label, label)}" for label, count in counts.items()) or UNSAID


def _share(value: float | None) -> str:
    return UNSAID if value is None else f"{value:.1%}"


def _head(report: BacktestReport) -> Iterable[str]:
    paths, context = report.paths, report.context
    yield f"{paths.source}: {paths.paths:,} paths of {paths.bars} bars, {_day(paths.first)} to {_day(paths.last)}"
    if context.source:
        yield (
            f"context: {context.bars} bars of {context.name} up to {_day(context.last)}; "
            f"{report.bars_per_year:.4g} bars a year ({report.calendar})"
        )
    else:
        yield f"no context; {report.bars_per_year:.4g} bars a year ({report.calendar})"


def _day(stamp: str) -> str:
    return stamp.removesuffix("T00:00:00")
