"""What ``scenario-gen bench`` does and prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import torch
import typer
from rich.console import Console
from rich.table import Table

from scenario_gen.errors import SpecError
from scenario_gen.kronos.benchmark import Agreement, BenchResult, Size, Timing, measure
from scenario_gen.kronos.dense import Precision
from scenario_gen.kronos.device import choose_device
from scenario_gen.kronos.shapes import model_for_timing

DTYPES: tuple[Precision, ...] = ("auto", "float32", "bfloat16")
CONTEXT, HORIZON = 400, 112


def bench_model(
    model: str,
    paths: int,
    context: int | None,
    horizon: int,
    device: str,
    dtype: str,
    rounds: int,
    *,
    growth: bool,
    as_json: bool,
) -> None:
    """Time a model and print the result as a table or as JSON; progress goes to standard error.

    Raises:
        SpecError: a dtype of another name, or bars that do not fit the model's window.
    """
    if dtype not in DTYPES:
        raise SpecError(f"--dtype is {dtype!r}", expected=", ".join(DTYPES))
    checkpoint, weights = model_for_timing(model)
    checkpoint = checkpoint.on(choose_device(device, "--device"))
    if context is None:
        context = max(1, min(CONTEXT, checkpoint.max_context - horizon))
    errors = Console(stderr=True)
    with errors.status("loading") as status:
        result = measure(
            checkpoint,
            weights,
            Size(paths, context, horizon),
            dtype=dtype,
            rounds=rounds,
            growth=growth,
            say=status.update,
        )
    if as_json:
        typer.echo(json.dumps(result.to_mapping(), indent=1))
    else:
        show_bench(result, Console())


def show_bench(result: BenchResult, console: Console) -> None:
    """Print a result."""
    today, torch_version = f"{datetime.now(UTC):%Y-%m-%d}", torch.__version__
    where = f"{result.device}, {result.threads} threads, {result.dtype}, torch {torch_version}"
    console.print(f"{result.model} ({result.weights} weights), {where}, {today}", highlight=False)
    console.print(_sizes([result.size, *result.growth]))
    for line in _lines(result):
        console.print(line, highlight=False)


def _sizes(timings: list[Timing]) -> Table:
    table = Table(box=None)
    for name in ("paths", "context", "horizon", "seconds", "path-bars/s"):
        table.add_column(name, justify="right")
    for one in timings:
        table.add_row(
            f"{one.paths:,}",
            str(one.context),
            str(one.horizon),
            f"{one.seconds:.2f}",
            f"{one.path_bars_per_second:,.0f}",
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


def _words(found: Agreement) -> str:
    return (
        f"beside float32, over {found.rows} sequences: the next pair of tokens is the same in "
        f"{100 * found.same_tokens:.1f} %, the distributions of s1 are {found.s1_distance:.5f} apart in total "
        f"variation (largest {found.largest_s1_distance:.5f})"
    )
