"""Judging ``file.py:Name`` and its parameters without running the file: the source is parsed, not imported.

What cannot be decided from the source alone (inherited fields, a class made by a function) is let through;
the strategy loader meets it again at run time.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenario_gen.backtest.positions import read_positions
from scenario_gen.backtest.uses import (
    MAX_GRID,
    MAX_PARAMETER_SETS,
    StrategyUse,
    names_a_class,
    names_a_table,
    options,
    parameter_sets,
    split_use,
)
from scenario_gen.errors import SpecError
from scenario_gen.reading.section import Violations
from scenario_gen.reading.words import find_file, missing_file, nearest, shown
from scenario_gen.reading.yaml import Where
from scenario_gen.spec.models import ResolvedScenario

MAX_SOURCE_BYTES = 2_000_000


@dataclass(frozen=True)
class Parameters:
    """The fields of a strategy class as its source shows them."""

    names: tuple[str, ...]
    required: tuple[str, ...]


def check_use(use: Any, params: Any, base: Path, where: Where, violations: Violations, condition: Any = None) -> None:
    """Note everything that is wrong with one strategy's ``use``, ``params`` and ``where``."""
    if isinstance(params, Mapping):
        _check_values(params, (*where, "params"), violations)
        _check_size(params, condition if isinstance(condition, str) else None, where, violations)
    if not isinstance(use, str):
        return
    file = split_use(use)[0]
    if not names_a_class(use):
        expected = "expected a file and a class like strategies/sma_cross.py:SmaCross"
        violations.add((*where, "use"), f"got {shown(use)}, {expected}")
        return
    path = find_file(file, base, parent=True)
    if path is None:
        violations.add((*where, "use"), missing_file(file, base, parent=True))
        return
    tree = _parse(path, file, (*where, "use"), violations)
    if tree is not None:
        _check_class(tree, use, params, where, violations)


def check_table(item: Mapping[str, Any], base: Path, where: Where, violations: Violations) -> None:
    """Note a table of holdings that is not there or beside keys of a class; its lines are held to the assets later."""
    for key in ("use", "params", "where"):
        if key in item:
            violations.add((*where, key), "stands beside 'positions', which are held as they are; leave it out")
    file = item["positions"]
    if not isinstance(file, str):
        return
    if not names_a_table(file):
        violations.add((*where, "positions"), f"got {shown(file)}, expected a CSV file like book.csv")
    elif find_file(file, base, parent=True) is None:
        violations.add((*where, "positions"), missing_file(file, base, parent=True))


def check_holdings(
    uses: Sequence[StrategyUse], scenarios: Sequence[ResolvedScenario], base: Path, violations: Violations
) -> None:
    """Note what is wrong with tables of holdings: in their lines, or beside the scenarios' assets and leverage."""
    assets = list(dict.fromkeys(scenario.asset for scenario in scenarios if scenario.asset))
    if violations.mistakes:
        return  # the list may lack those that are noted already
    for place, use in enumerate(uses):
        file = find_file(use.use, base, parent=True) if use.positions else None
        if file is None:
            continue
        if not assets:
            words = "holds assets by name, and the spec lists none; add 'assets', or give 'use' in its place"
            violations.add(("strategies", place, "positions"), words)
            continue
        try:
            held = read_positions(file, use.use)
            held.refuse_others(assets)
            held.refuse_beyond(min(scenario.broker.leverage for scenario in scenarios))
        except SpecError as error:
            violations.add(("strategies", place, "positions"), f"{error.problem}; {error.expected or error.fix}")


def check_distinct(use: StrategyUse, before: Sequence[StrategyUse], where: Where, violations: Violations) -> None:
    """Note a strategy that repeats an earlier one: the report could not tell them apart."""
    for other in before:
        if other.display_name == use.display_name and overlap(other.params, use.params):
            words = f"'{use.display_name}' with these parameters is there already; give it a name of its own"
            violations.add(where, words)
            return


def overlap(params: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two grids have a parameter set in common: the same keys, each with a value in common."""
    return params.keys() == other.keys() and all(
        _shown_options(params[key]) & _shown_options(other[key]) for key in params
    )


def _shown_options(value: Any) -> set[str]:
    return {repr(option) for option in options(value)}


def _check_values(params: Mapping[str, Any], where: Where, violations: Violations) -> None:
    """Note parameter values that are no plain value or list of plain values, and grids that are too large."""
    for key, value in params.items():
        listed = options(value)
        if not listed:
            violations.add((*where, key), "got an empty list, expected a value or a list of values")
        if any(isinstance(option, Mapping | list | tuple) for option in listed):
            violations.add((*where, key), f"got {shown(value)}, expected a value or a list of values")
        elif any(isinstance(option, float) and not math.isfinite(option) for option in listed):
            violations.add((*where, key), "got .inf or .nan, expected finite numbers")
        elif len(_shown_options(value)) < len(listed):
            violations.add((*where, key), "the same value is there twice; keep each value once")


def _check_size(params: Mapping[str, Any], condition: str | None, where: Where, violations: Violations) -> None:
    """Note a condition that cannot be decided or leaves nothing, and a grid that is too large."""
    try:
        count = parameter_sets(params, condition)
    except ValueError as error:
        violations.add((*where, "where"), str(error))
        return
    if condition is not None and count > MAX_GRID:
        words = f"the lists make {count} combinations, expected at most {MAX_GRID} to choose from"
        violations.add((*where, "params"), words)
    elif count > MAX_PARAMETER_SETS:
        hint = "" if condition is not None else "; a 'where' such as fast < slow leaves some out"
        words = f"the lists make {count} parameter sets, expected at most {MAX_PARAMETER_SETS}{hint}"
        violations.add((*where, "params"), words)
    elif count == 0 and condition is not None:
        violations.add((*where, "where"), f"no combination of the params meets '{condition}'")


def _parse(path: Path, shown_as: str, where: Where, violations: Violations) -> ast.Module | None:
    """Parse a strategy file, or note why it cannot be parsed, with its own line."""
    try:
        with path.open("rb") as stream:
            source = stream.read(MAX_SOURCE_BYTES + 1)
        if len(source) > MAX_SOURCE_BYTES:
            violations.add(where, f"{shown_as} is larger than {MAX_SOURCE_BYTES // 1000} kB")
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a user's string is no matter of the spec
            return ast.parse(source, shown_as)
    except SyntaxError as error:
        violations.add(where, f"{shown_as}:{error.lineno or 1} is not valid Python: {error.msg}")
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        violations.add(where, f"{shown_as} cannot be read as Python: {error}")
    return None


def _check_class(tree: ast.Module, use: str, params: Any, where: Where, violations: Violations) -> None:
    file, name = split_use(use)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if name not in classes:
        if not {name, "*"} & _imported_or_assigned(tree):
            there = f"; classes there: {', '.join(classes)}" if classes else "; it has no class"
            words = f"{file} has no class '{name}'{nearest(name, classes) or there}"
            violations.add((*where, "use"), words)
        return
    known = class_parameters(name, classes)
    if known is None or not isinstance(params, Mapping):
        return
    allowed = f"It has: {', '.join(known.names)}" if known.names else "It has no parameters"
    for key in params:
        if key not in known.names:
            hint = nearest(key, known.names) or "."
            violations.add((*where, "params", key), f"'{name}' has no such parameter{hint} {allowed}")
    for key in known.required:
        if key not in params:
            at = (*where, "params") if params else where
            violations.add(at, f"parameter '{key}' of {name} is missing and has no default")


def class_parameters(name: str, classes: Mapping[str, ast.ClassDef]) -> Parameters | None:
    """Return the parameters of a dataclass, or None where its source alone does not decide them."""
    node = classes[name]
    own_init = any(isinstance(part, ast.FunctionDef) and part.name == "__init__" for part in node.body)
    if own_init or node.keywords or not any(_is_dataclass(mark) for mark in node.decorator_list):
        return None
    names: dict[str, bool] = {}
    for parent in reversed(node.bases):
        if not (isinstance(parent, ast.Name) and parent.id in classes and parent.id != name):
            return None
        below = {key: value for key, value in classes.items() if key != name}
        inherited = class_parameters(parent.id, below)
        if inherited is None:
            return None
        names.update({key: key in inherited.required for key in inherited.names})
    names.update(_annotated_fields(node))
    return Parameters(tuple(names), tuple(key for key, required in names.items() if required))


def _annotated_fields(node: ast.ClassDef) -> dict[str, bool]:
    """Return the annotated fields that the class's initialiser takes, and whether each is required."""
    out: dict[str, bool] = {}
    for part in node.body:
        if not isinstance(part, ast.AnnAssign) or not isinstance(part.target, ast.Name):
            continue
        annotation = ast.unparse(part.annotation)
        if "ClassVar" in annotation or annotation.endswith("KW_ONLY"):
            continue
        call = part.value if isinstance(part.value, ast.Call) else None
        given = {word.arg: word.value for word in call.keywords} if call and _named(call.func, "field") else None
        if given and isinstance(given.get("init"), ast.Constant) and given["init"].value is False:  # type: ignore[attr-defined]
            continue
        required = part.value is None if given is None else not {"default", "default_factory"} & set(given)
        out[part.target.id] = required
    return out


def _is_dataclass(decorator: ast.expr) -> bool:
    return _named(decorator.func if isinstance(decorator, ast.Call) else decorator, "dataclass")


def _named(node: ast.expr, name: str) -> bool:
    return (isinstance(node, ast.Name) and node.id == name) or (isinstance(node, ast.Attribute) and node.attr == name)


def _imported_or_assigned(tree: ast.Module) -> set[str]:
    """Return the names that the file gets by import or assignment: they may be classes."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.If | ast.Try):
            names |= {part.name for part in ast.walk(node) if isinstance(part, ast.ClassDef)}
    return names
