"""``scenario-gen bench``: its options; :mod:`scenario_gen.cli.benching` does the work."""

from __future__ import annotations

from typing import Annotated

import typer

from scenario_gen.cli.manners import checked_device

bench_app = typer.Typer(
    help="Time what scenario-gen does on this machine.", invoke_without_command=True, rich_markup_mode="rich"
)


@bench_app.callback()
def bench(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="nano, mini, small, base, or a folder.")] = "nano",
    paths: Annotated[int, typer.Option(min=1, max=1_000_000, help="Paths of one context.")] = 1000,
    context_bars: Annotated[
        int | None,
        typer.Option("--context", min=1, help="Bars of context. [default: 400, or what fits]", show_default=False),
    ] = None,
    horizon: Annotated[int, typer.Option(min=1, help="Bars to sample.")] = 112,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", callback=checked_device)] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Times in turns; the best counts.")] = 2,
    growth: Annotated[bool, typer.Option("--growth/--no-growth", help="Time smaller sizes, too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time what scenario-gen does on this machine.

    Without a command: how fast a model is sampled, beside the naive decoder on the
    same weights in the same run, and beside the best that the machine's matrix
    products reach. A published model that is not on this machine is timed
    with random weights, which take the same time.

    For example:

      scenario-gen bench

      scenario-gen bench --model small --dtype bfloat16 --json
    """
    if context.invoked_subcommand is not None:
        return
    from scenario_gen.cli.benching import bench_model

    bench_model(model, paths, context_bars, horizon, device, dtype, rounds, growth=growth, as_json=as_json)


@bench_app.command("backtest")
def backtest(
    paths: Annotated[int, typer.Option(min=1, max=1_000_000, help="Paths to run over.")] = 10_000,
    bars: Annotated[int, typer.Option(min=2, max=10_000, help="Bars on each path.")] = 252,
    context: Annotated[int, typer.Option(min=50, max=8192, help="Bars before each path.")] = 256,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Times in turns; the best counts.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time whole backtests beside the bare vectorbt calls for the same signals and fills.

    Ours is the strategy, its checks, the fills and all metrics; theirs is
    indicators and Portfolio.from_signals, with no figure asked. The first call,
    which pays for imports, is shown apart.

    For example:

      scenario-gen bench backtest --json
    """
    from scenario_gen.cli.bench_backtest import bench_backtest

    bench_backtest(paths, bars, context, rounds, as_json=as_json)
