"""The ``backtest`` command: strategies on given paths of any generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenario_gen.cli.manners import Argument, AsJson, Optional, Quiet
from scenario_gen.cli.pairs import read_pairs
from scenario_gen.spec.models import MAX_CONTEXT, MAX_SEED

if TYPE_CHECKING:
    from scenario_gen.pipeline.backtest_results import BacktestReport

BACKTEST_EXIT_CODES = (
    "Exit codes: 0 done; 3 a declared limit is breached; 4 a strategy looks ahead (3 where both are so); 2 a mistake "
    "in the arguments, the spec, the data or a strategy (with what was expected and what to do); 1 a defect of "
    "scenario-gen (with a traceback); 130 interrupted."
)


def backtest(
    paths: Annotated[Path, Argument(metavar="PATHS", help="Paths: a Parquet or CSV file.")],
    strategy: Annotated[list[str], Optional(metavar="FILE.py:NAME", help="What to run; may be repeated.")],
    params: Annotated[
        list[str] | None,
        Optional(
            metavar="NAME=VALUE ...",
            help="Its parameters; fast=10,20 tries both. Of several strategies each takes those that it knows.",
        ),
    ] = None,
    context: Annotated[
        str | None, Optional(help="The history that the paths continue: a file, sp500 or nasdaq.")
    ] = None,
    context_end: Annotated[str | None, Optional(help="Its last bar to use, where it goes on beside the paths.")] = None,
    context_bars: Annotated[
        int, typer.Option(min=1, max=MAX_CONTEXT, help="How many of its last bars the strategies see.")
    ] = 256,
    limits: Annotated[
        list[str] | None, Optional(metavar="NAME=VALUE ...", help="As in a spec: max_drawdown=0.25.")
    ] = None,
    broker: Annotated[
        list[str] | None, Optional(metavar="NAME=VALUE ...", help="As in a spec: fees=5bp fill=close.")
    ] = None,
    bars_per_year: Annotated[
        float | None, Optional(min=1, max=1e7, help="To annualise with; default: the calendar's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of random entries and bootstrap intervals.")] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run strategies on given paths of any generator, and judge them.

    PATHS has the columns path, timestamp, open, high, low, close and, where
    there is one, volume; what paths.keep writes is read too. All paths have
    the same stamps. Strategies see the last bars of the context before them.

    For example:

      scenario-gen backtest paths.parquet --strategy strategies/sma_cross.py:SmaCross

      scenario-gen backtest paths.csv --strategy my.py:Rule --params fast=10,20 slow=50 --context history.csv

      scenario-gen backtest paths.parquet --strategy my.py:Rule --limits max_drawdown=0.2 --json
    """
    from scenario_gen.cli.progress import choose_progress
    from scenario_gen.cli.running import leave
    from scenario_gen.pipeline.backtesting import backtest_paths

    report = backtest_paths(
        paths,
        _uses(strategy, read_pairs(params or (), "--params", lists=True)),
        context=context,
        context_end=context_end,
        context_bars=context_bars,
        broker=read_pairs(broker or (), "--broker"),
        limits=read_pairs(limits or (), "--limits"),
        bars_per_year=bars_per_year,
        seed=seed,
        progress=choose_progress(quiet=quiet or as_json),
    )
    _show(report, as_json=as_json)
    raise typer.Exit(leave(report.findings))


def _uses(strategies: list[str], params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what to run; of several strategies each gets the parameters that it has.

    Raises:
        StrategyError: a strategy cannot be loaded.
        typer.BadParameter: none of several strategies has a parameter of that name.
    """
    if len(strategies) == 1 or not params:
        return [{"use": use, "params": params} for use in strategies]
    from dataclasses import fields

    from scenario_gen.backtest.loader import load_strategy

    known = [{field.name for field in fields(load_strategy(use, Path.cwd()))} for use in strategies]
    if unknown := set(params) - set().union(*known):
        raise typer.BadParameter(
            f"none of the strategies has a parameter {', '.join(sorted(unknown))}; they have: "
            f"{', '.join(sorted(set().union(*known)))}",
            param_hint="--params",
        )
    return [
        {"use": use, "params": {name: value for name, value in params.items() if name in names}}
        for use, names in zip(strategies, known, strict=True)
    ]


def _show(report: BacktestReport, *, as_json: bool) -> None:
    if not as_json:
        from scenario_gen.cli.show import show_backtest

        show_backtest(report)
        return
    import json

    from scenario_gen.values import encode

    typer.echo(json.dumps(encode(report), indent=1, allow_nan=False))
