"""The ``validate`` command's work: what a spec would run, in a few lines. Imports nothing that runs anything."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from scenario_gen.errors import ScenarioError
from scenario_gen.spec.loader import LoadedSpec, load_spec
from scenario_gen.spec.models import KronosGenerator, ResolvedScenario, StrategyUse
from scenario_gen.spec.strategies import display_name, parameter_sets


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
    sets = sum(parameter_sets(use.params) for use in spec.strategies)
    paths = sum(one.paths.count for one in spec.scenarios)
    bars = sum(one.paths.count * one.bars.horizon for one in spec.scenarios)
    lines = [f"{loaded.filename}: valid ({spec.name})"]
    lines += [f"  {one.role:<9} {one.name}: {_scenario_words(one)}" for one in spec.scenarios]
    lines += [f"  strategy  {display_name(use)}{_grid_words(use)}" for use in spec.strategies]
    lines.append(f"  in all    {paths:,} paths, {bars:,} bars, {paths * sets:,} backtests ({sets} parameter sets)")
    lines.append(f"  report    {Path(spec.report.folder) / 'index.html'}")
    return "\n".join(lines)


def _scenario_words(one: ResolvedScenario) -> str:
    generator = one.generator
    what = (
        f"{generator.kind} {generator.model} at temperature {generator.temperature}"
        if isinstance(generator, KronosGenerator)
        else generator.kind
    )
    end = f" to {one.data.end}" if one.data.end is not None else ""
    history = f"{one.data.source or one.data.file}{end}"
    return f"{one.paths.count:,} paths x {one.bars.horizon} bars from {one.bars.context} bars of {history}, {what}"


def _grid_words(use: StrategyUse) -> str:
    count = parameter_sets(use.params)
    values = ", ".join(f"{name}={value}" for name, value in use.params.items())
    many = f": {count} parameter sets" if count > 1 else ""
    return (f" ({values})" if values else "") + many
