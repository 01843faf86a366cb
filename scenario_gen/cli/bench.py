"""``scenario-gen bench``: what it times, and how the figures are shown.

The engines are imported when a command is called: they bring torch and vectorbt.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table

from scenario_gen.cli.manner import ManneredTyper
from scenario_gen.cli.manners import checked_device, say_json
from scenario_gen.errors import SpecError

if TYPE_CHECKING:
    from scenario_gen.backtest.backtest_speed import BacktestBench
    from scenario_gen.kronos.model_speed import BenchResult, Closeness, Timing

CONTEXT = 400

bench_app = ManneredTyper(
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
    from scenario_gen.kronos.device import Precision, choose_device
    from scenario_gen.kronos.model_speed import Size, measure, model_for_timing

    dtypes: tuple[Precision, ...] = get_args(Precision)
    if dtype not in dtypes:
        raise SpecError(f"--dtype is {dtype!r}", expected=", ".join(dtypes))
    checkpoint, weights = model_for_timing(model)
    checkpoint = checkpoint.on(choose_device(device, "--device"))
    size = Size(paths, context_bars or max(1, min(CONTEXT, checkpoint.max_context - horizon)), horizon)
    with Console(stderr=True).status("loading") as status:
        result = measure(
            checkpoint,
            weights,
            size,
            dtype=dtypes[dtypes.index(dtype)],
            rounds=rounds,
            growth=growth,
            say=status.update,
        )
    if as_json:
        say_json(result)
    else:
        show_model_speed(result, Console())


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
    from scenario_gen.backtest.backtest_speed import measure

    with Console(stderr=True).status("making paths") as status:
        result = measure(paths, bars, context, rounds, say=status.update)
    if as_json:
        say_json(result)
    else:
        show_backtest_speed(result, Console())


def show_model_speed(result: BenchResult, console: Console) -> None:
    """Print a result."""
    from scenario_gen.cli.show import show

    today = f"{datetime.now(UTC):%Y-%m-%d}"
    where = f"{result.device}, {result.threads} threads, {result.dtype}, torch {version('torch')}"
    show(console, [f"{result.model} ({result.weights} weights), {where}, {today}"])
    console.print(_sizes([result.size, *result.growth]))
    show(console, _lines(result))


def _sizes(timings: list[Timing]) -> Table:
    table = Table(box=None)
    for name in ("paths", "context", "horizon", "seconds", "path-bars/s"):
        table.add_column(name, justify="right")
    for timing in timings:
        table.add_row(
            f"{timing.paths:,}",
            str(timing.context),
            str(timing.horizon),
            f"{timing.seconds:.2f}",
            f"{timing.path_bars_per_second:,.0f}",
        )
    return table


def _lines(result: BenchResult) -> list[str]:
    lines = [
        f"naive decoder, float32, same weights: {result.naive_path_bars_per_second:,.1f} path-bars/s; "
        f"ratio {result.ratio_to_naive:,.0f}",
        f"products: {result.reached_gflops:,.0f} of the {result.ceiling_gflops:,.0f} GFLOP/s that a large product "
        f"reaches here in {result.dtype}: {100 * result.share_of_ceiling:.0f} %",
        f"peak memory of the process: {result.peak_memory_bytes / 2**30:.2f} GiB",
    ]
    return lines + ([_words(result.agreement)] if result.agreement else [])


def _words(closeness: Closeness) -> str:
    return (
        f"beside float32, over {closeness.rows} sequences: the next pair of tokens is the same in "
        f"{100 * closeness.same_tokens:.1f} %, the distributions of s1 are {closeness.s1_distance:.5f} apart in total "
        f"variation (largest {closeness.largest_s1_distance:.5f})"
    )


def show_backtest_speed(result: BacktestBench, console: Console) -> None:
    """Print a result."""
    from scenario_gen.cli.show import show

    head = (
        f"{result.paths:,} paths x {result.bars} bars after {result.context}, best of {result.rounds}, "
        f"vectorbt {result.vectorbt}, {result.machine}, {datetime.now(UTC):%Y-%m-%d}"
    )
    show(console, [head])
    table = Table(box=None)
    table.add_column("strategy")
    for name in ("seconds", "bare vectorbt", "ratio", "first call"):
        table.add_column(name, justify="right")
    for case in result.cases:
        numbers = (case.seconds, case.bare_seconds, case.ratio_to_bare_vectorbt, case.first_call_seconds)
        table.add_row(case.name, *(f"{number:.2f}" for number in numbers))
    console.print(table)
    show(console, [f"peak memory of the process: {result.peak_memory_bytes / 2**30:.2f} GiB"])
