"""Tables on the terminal: the results of a run, and the known models. Reads result values, computes none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scenario_gen.store.results import Estimate, Finding, MetricSummary, StrategyResult, StressRun

if TYPE_CHECKING:
    from scenario_gen.kronos.registry import KnownModel

WIDTH_OF_A_LOG = 150  # what is not a terminal has no width of its own
NOT_THERE = Estimate(None, reason="not measured")


def show_run(run: StressRun, console: Console | None = None) -> None:
    """Print one row per scenario and strategy, then one line per kind of finding that is not a PASS."""
    console = console or make_console()
    console.print(results_table(run))
    for line in finding_lines(run.findings):
        console.print(line, markup=False, highlight=False)


def results_table(run: StressRun) -> Table:
    """Return the table of results: estimates with their 95 % intervals, returns and shares in percent."""
    table = Table(title=run.title, caption="[95 % interval of the Monte Carlo error]", caption_style="dim")
    table.add_column("scenario")
    table.add_column("strategy")
    for title in result_columns():
        table.add_column(title, justify="right")
    for scenario in run.scenarios:
        for strategy in scenario.strategies:
            label = f"{scenario.name} (baseline)" if scenario.role == "baseline" else scenario.name
            table.add_row(label, strategy.name, *result_cells(strategy))
        table.add_section()
    return table


def show_models(models: Iterable[KnownModel], console: Console | None = None) -> None:
    """Print one row per known checkpoint, with its pinned revision and whether it is on this machine."""
    table = Table(title="Kronos checkpoints that have a name")
    for title in ("model", "from", "parameters", "context", "on this machine", "note"):
        table.add_column(title, justify="right" if title in ("parameters", "context") else "left")
    for model in models:
        here = "yes" if model.available else "no: downloaded when first used" if model.repository else "no"
        size = f"{model.parameters / 1e6:.1f} M"
        table.add_row(model.name, model.where, size, str(model.context), here, model.note)
    (console or make_console()).print(table)


def percent(estimate: Estimate) -> str:
    """Return an estimate in percent with its interval, or why there is none."""
    if estimate.value is None:
        return estimate.reason or "n/a"
    value = f"{100 * estimate.value:.1f} %"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} \\[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def result_columns() -> tuple[str, ...]:
    """Return the titles of :func:`result_cells`."""
    return ("median return", "5 % quantile", "paths that lose", "95 % drawdown", "CVaR 95")


def result_cells(strategy: StrategyResult) -> list[str]:
    """Return a strategy's figures with their intervals."""
    metrics = {summary.metric: summary for summary in strategy.metrics}
    estimates = [
        _quantile(metrics, "total_return", "0.5"),
        _quantile(metrics, "total_return", "0.05"),
        strategy.probability_of_loss,
        _quantile(metrics, "max_drawdown", "0.95"),
        strategy.cvar.get("0.95", NOT_THERE),
    ]
    return [percent(estimate) for estimate in estimates]


def _quantile(metrics: dict[str, MetricSummary], metric: str, level: str) -> Estimate:
    return metrics[metric].quantiles.get(level, NOT_THERE) if metric in metrics else NOT_THERE


def finding_lines(findings: Sequence[Finding], *, rest: str = "in the report") -> list[str]:
    """Return one line per name and label: the first finding in full, and how many more are like it.

    The groups of facts make one line per label, with their names; what they were compared with is in the report.
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.label != "PASS":
            line = finding.check.key if finding.check.together else finding.name
            groups.setdefault((line, finding.label), []).append(finding)
    lines = []
    for (name, label), group in groups.items():
        first = group[0]
        where = f" [{first.scenario}]" if first.scenario else ""
        band = f" (expected {first.band})" if first.band and first.name == name else ""
        more = f"; {len(group) - 1} more {rest}" if len(group) > 1 else ""
        lines.append(f"{label:<12} {_title(name, group)}{where}: {first.told}{band}{more}")
    return lines


def _title(name: str, group: Sequence[Finding]) -> str:
    """Return a name with the parts that its findings are about: ``facts (tails, volume)``."""
    parts = dict.fromkeys(finding.part for finding in group if finding.check.together)
    return f"{name} ({', '.join(parts)})" if any(parts) else name


def make_console() -> Console:
    """Return the terminal, or a width of our own where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_A_LOG)
