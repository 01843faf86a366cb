"""The ``validate`` command's work: what a spec would run, in a few lines. Imports nothing that runs anything."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import ScenarioError
from scenario_gen.spec.loader import LoadedSpec, load_spec
from scenario_gen.spec.models import ResolvedScenario


def validate_all(specs: Iterable[Path]) -> int:
    """Print a summary of each spec, or its mistakes (to stderr); return the exit code: 0, or 2 if any is wrong."""
    code = 0
    for path in specs:
        try:
            typer.echo(summary(load_spec(path)))
        except ScenarioError as error:
            typer.echo(str(error), err=True)
            code = 2
    return code


def print_schema() -> None:
    """Print the JSON schema of a spec file."""
    import json

    from scenario_gen.spec.schema import spec_schema

    typer.echo(json.dumps(spec_schema(), indent=2))


def summary(loaded: LoadedSpec) -> str:
    """Return what a spec would run: its scenarios, strategies and sizes."""
    spec = loaded.spec
    sets = sum(use.listed for use in spec.strategies)
    paths = sum(one.paths.count for one in spec.scenarios)
    bars = sum(one.paths.count * one.bars.horizon for one in spec.scenarios)
    lines = [f"{loaded.filename}: valid ({spec.name})"]
    lines += [f"  {one.role:<9} {one.name}: {_scenario_words(one)}" for one in spec.scenarios]
    lines += [f"  strategy  {use.display_name}{_grid_words(use)}" for use in spec.strategies]
    lines.append(f"  in all    {paths:,} paths, {bars:,} bars, {paths * sets:,} backtests ({sets} parameter sets)")
    lines.append(f"  report    {Path(spec.report.folder) / 'index.html'}")
    return "\n".join(lines)


def _scenario_words(scenario: ResolvedScenario) -> str:
    end = f" to {scenario.data.end}" if scenario.data.end is not None else ""
    history = f"{scenario.data.source or scenario.data.file}{end}"
    seen = f"{scenario.bars.horizon} bars from {scenario.bars.context} bars of {history}"
    return f"{scenario.paths.count:,} paths x {seen}, {scenario.generator.in_words}"


def _grid_words(use: StrategyUse) -> str:
    values = ", ".join(f"{name}={value}" for name, value in use.params.items())
    many = f": {use.listed} parameter sets" if use.listed > 1 else ""
    return (f" ({values})" if values else "") + many
