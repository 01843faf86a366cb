"""The parameters of a strategy: names, types and grids, checked before the class is called.

Knows dataclasses and values out of a YAML file; knows neither bars nor files.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Union

from scenario_gen.backtest.uses import MAX_GRID, MAX_PARAMETER_SETS, Constraint, grid
from scenario_gen.errors import StrategyError
from scenario_gen.reading.words import near

PLAIN = (bool, int, float, str)


def parameter_sets(cls: type, params: Mapping[str, Any], where: str | None = None) -> list[dict[str, Any]]:
    """Return every combination of the listed values, in the order written, checked against the fields.

    Args:
        cls: the strategy.
        params: a value or a list of values for each parameter.
        where: a condition that combinations must meet, e.g. ``fast < slow``.

    Raises:
        StrategyError: a name, a type or the condition is wrong, a value is missing or listed twice, or the grid is
            too large or empty.
    """
    hints = _annotations(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    _refuse_unknown(cls, params, fields)
    _refuse_missing(cls, params, fields)
    axes = {name: _axis(cls, name, value, hints[name]) for name, value in params.items()}
    count = math.prod(len(values) for values in axes.values())
    if count > (MAX_PARAMETER_SETS if where is None else MAX_GRID):
        raise _too_large(cls, count, MAX_PARAMETER_SETS if where is None else MAX_GRID)
    sets = list(grid(axes))
    if where is None:
        return sets
    kept = _meeting(cls, sets, where)
    if len(kept) > MAX_PARAMETER_SETS:
        raise _too_large(cls, len(kept), MAX_PARAMETER_SETS)
    return kept


def _meeting(cls: type, sets: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """Return the combinations that meet the condition."""
    try:
        constraint = Constraint.parse(where)
        kept = [params for params in sets if constraint.holds(params)]
    except ValueError as error:
        raise StrategyError(
            f"where: {error}", expected="a condition on the params, e.g. fast < slow", fix="correct 'where'"
        ) from None
    if not kept:
        raise StrategyError(
            f"none of the {len(sets)} combinations for {cls.__name__} meets {where!r}",
            expected="at least one that does",
            fix="correct 'where' or the params",
        )
    return kept


def _too_large(cls: type, count: int, most: int) -> StrategyError:
    return StrategyError(
        f"the parameter grid of {cls.__name__} has {count} combinations",
        expected=f"at most {most}",
        fix="list fewer values, or leave some out with a 'where' such as fast < slow",
    )


def described(instance: Any) -> dict[str, Any]:
    """Return the parameters of a strategy, defaults included."""
    return {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance) if field.init}


def label(name: str, params: Mapping[str, Any]) -> str:
    """Return a name such as ``SmaCross(fast=10, slow=50)``."""
    inside = ", ".join(f"{key}={value}" for key, value in params.items())
    return f"{name}({inside})" if inside else name


def hint(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'? `` or an empty string."""
    close = near(name, known, cutoff=0.5)
    return f"did you mean {close[0]!r}? " if close else ""


def _annotations(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except (NameError, TypeError) as error:
        raise StrategyError(
            f"the field types of {cls.__name__} cannot be read: {error}",
            expected="annotations such as int, float, str, bool or float | None",
            fix="import the named types at the top of the strategy's file",
        ) from error


def _refuse_unknown(cls: type, params: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    for name in params:
        if name not in fields:
            raise StrategyError(
                f"{cls.__name__} has no parameter {name!r}",
                expected=", ".join(fields) or "no parameters at all",
                fix=hint(str(name), list(fields)) + f"see the fields of class {cls.__name__}",
            )


def _refuse_missing(cls: type, params: Mapping[str, Any], fields: Mapping[str, dataclasses.Field[Any]]) -> None:
    missing = dataclasses.MISSING
    needed = [n for n, f in fields.items() if f.default is missing and f.default_factory is missing]
    absent = [name for name in needed if name not in params]
    if absent:
        raise StrategyError(
            f"{cls.__name__} was given no value for {', '.join(absent)}",
            expected=f"a value for each of {', '.join(needed)}",
            fix=f"add params: {{{absent[0]}: ...}} or give the field a default",
        )


def _axis(cls: type, name: str, value: Any, annotation: Any) -> list[Any]:
    if not isinstance(value, list):
        return [_typed(cls, name, value, annotation)]
    values = [_typed(cls, name, item, annotation) for item in value]
    if not values:
        raise StrategyError(
            f"the list of values for {cls.__name__}.{name} is empty",
            expected="a value, or a list of at least one",
            fix=f"remove {name} to use its default",
        )
    if any(item in values[:place] for place, item in enumerate(values)):
        raise StrategyError(
            f"{cls.__name__}.{name} lists the same value twice: {value}",
            expected="different values",
            fix="keep each value once",
        )
    return values


def _typed(cls: type, name: str, value: Any, annotation: Any) -> Any:
    choices = _choices(annotation)
    if choices and not any(value == one and type(value) is type(one) for one in choices):
        raise StrategyError(
            f"{cls.__name__}.{name} was given {value!r}",
            expected=f"one of {', '.join(map(repr, choices))}, or a list of such values",
            fix=hint(str(value), [str(one) for one in choices]) + f"correct params.{name}",
        )
    accepted = _plain_types(annotation)
    if accepted is None or (value is None and type(None) in accepted):
        return value
    if type(value) in accepted:
        if isinstance(value, float) and not math.isfinite(value):
            raise _wrong_type(cls, name, value, accepted)
        return value
    if type(value) is int and float in accepted:
        return float(value)
    raise _wrong_type(cls, name, value, accepted)


def _choices(annotation: Any) -> tuple[Any, ...]:
    """Return the values of a ``Literal``; nothing for other annotations."""
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()


def _plain_types(annotation: Any) -> tuple[type, ...] | None:
    """Return the plain types that an annotation names; None if it names others, and all is accepted."""
    is_union = typing.get_origin(annotation) in (Union, types.UnionType)
    parts = typing.get_args(annotation) if is_union else (annotation,)
    return parts if all(part in (*PLAIN, type(None)) for part in parts) else None


def _wrong_type(cls: type, name: str, value: Any, accepted: tuple[type, ...]) -> StrategyError:
    wanted = " or ".join("null" if part is type(None) else part.__name__ for part in accepted)
    return StrategyError(
        f"{cls.__name__}.{name} was given {value!r} ({type(value).__name__})",
        expected=f"{wanted}, or a list of such values" + (" (finite)" if float in accepted else ""),
        fix=f"correct params.{name}",
    )
