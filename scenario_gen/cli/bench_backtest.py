"""What ``scenario-gen bench backtest`` does and prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.table import Table

from scenario_gen.backtest.benchmark import BacktestBench, measure


def bench_backtest(paths: int, bars: int, context: int, rounds: int, *, as_json: bool) -> None:
    """Time backtests and print the result as a table or as JSON; progress goes to standard error."""
    with Console(stderr=True).status("making paths") as status:
        result = measure(paths, bars, context, rounds, say=status.update)
    if as_json:
        typer.echo(json.dumps(result.to_mapping(), indent=1))
    else:
        _show(result, Console())


def _show(result: BacktestBench, console: Console) -> None:
    head = (
        f"{result.paths:,} paths x {result.bars} bars after {result.context}, best of {result.rounds}, "
        f"vectorbt {result.vectorbt}, {result.machine}, {datetime.now(UTC):%Y-%m-%d}"
    )
    console.print(head, highlight=False)
    table = Table(box=None)
    table.add_column("strategy")
    for name in ("seconds", "bare vectorbt", "ratio", "first call"):
        table.add_column(name, justify="right")
    for case in result.cases:
        numbers = (case.seconds, case.bare_seconds, case.ratio_to_bare_vectorbt, case.first_call_seconds)
        table.add_row(case.name, *(f"{number:.2f}" for number in numbers))
    console.print(table)
    console.print(f"peak memory of the process: {result.peak_memory_bytes / 2**30:.2f} GiB", highlight=False)
