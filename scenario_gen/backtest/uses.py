"""Which strategies are asked for: ``file.py:Name``, a grid of parameters, and the condition that it must meet.

Owns the section, how a grid unfolds, and conditions such as ``fast < slow``: parsed, never executed; names of
parameters, plain values, comparisons, arithmetic, ``and``, ``or`` and ``not``; no calls, no attributes, no powers.
Names, types and grids are held against the fields of the class before it is called. Knows dataclasses and values;
neither files nor bars. Imports nothing heavy: a spec is read with it.
"""

from __future__ import annotations

import ast
import dataclasses
import itertools
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union

from pydantic import Field

from scenario_gen.errors import StrategyError
from scenario_gen.reading.section import Section
from scenario_gen.reading.words import near

MAX_PARAMETER_SETS = 1000
MAX_GRID = 100_000  # combinations that a 'where' may choose from
MAX_LENGTH = 500  # characters of a condition

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_COMBINE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_SIGN: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_NUMBERS = (int, float)
ALLOWED = "names of parameters, numbers, texts, + - * / // %, comparisons, and, or, not"


class StrategyUse(Section):
    """One strategy class and the values to try for its parameters."""

    use: str = Field(description="file.py:Name, relative to the spec's folder or the current one")
    positions: str | None = Field(
        default=None,
        description="in place of use: a CSV of holdings, columns asset and quantity or weight; negative ones are short",
    )
    params: dict[str, Any] = Field(default_factory=dict, description="a value, or a list of values: a grid")
    where: str | None = Field(
        default=None, description="condition on the grid, e.g. fast < slow; combinations that break it do not run"
    )
    name: str | None = Field(default=None, description="in tables; default: the name of the class, or of the table")

    @property
    def display_name(self) -> str:
        """What the report calls the strategy: its name, its class, or its table."""
        return self.name or split_use(self.use)[1] or self.use

    @property
    def listed(self) -> int:
        """How many combinations the listed values make, those included that break ``where``."""
        return math.prod(len(options(value)) for value in self.params.values())


def with_use(written: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a strategy as written whose ``use`` is its table of holdings, where it has one in place of a class."""
    return {**written, "use": written["positions"]} if "positions" in written and "use" not in written else written


def names_a_table(use: str) -> bool:
    """Return whether a text names a table of holdings and no class."""
    return use.lower().endswith(".csv")


def split_use(use: str) -> tuple[str, str]:
    """Split ``file.py:Name`` into file and name; either is empty where the text has no such part."""
    file, colon, name = use.rpartition(":")
    return (file, name) if colon else (use, "")


def class_name(use: str) -> str:
    """Return the class that ``file.py:Name`` names; the whole text where it names none."""
    return use.rpartition(":")[2]


def names_a_class(use: str) -> bool:
    """Return whether a text has the form ``file.py:Name``."""
    file, name = split_use(use)
    return file.endswith(".py") and name.isidentifier()


def options(value: Any) -> list[Any]:
    """Return the values to try for one parameter: those of a list, or the one that stands alone."""
    return list(value) if isinstance(value, list | tuple) else [value]


def grid(params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every combination of the listed values, in the spec's order: one strategy's parameter sets."""
    for combination in itertools.product(*map(options, params.values())):
        yield dict(zip(params, combination, strict=True))


def parameter_sets(params: Mapping[str, Any], condition: str | None = None) -> int:
    """Return how many combinations of :func:`grid` meet a condition; without one, none is made to be counted.

    Raises:
        ValueError: the condition cannot be read, or not be decided.
    """
    count = math.prod(len(options(value)) for value in params.values())
    if condition is None or count > MAX_GRID:
        return count
    constraint = Constraint.parse(condition)
    return sum(constraint.holds(combination) for combination in grid(params))


@dataclass(frozen=True)
class Constraint:
    """One condition that every combination of a grid must meet."""

    text: str  # as written, e.g. ``fast < slow and slow <= 200``
    tree: ast.expr  # the same, parsed and found harmless
    names: frozenset[str]  # the parameters it speaks of

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read a condition.

        Raises:
            ValueError: it is no condition, or says more than conditions may; the message says what.
        """
        if len(text) > MAX_LENGTH:
            raise ValueError(f"got {len(text)} characters, expected at most {MAX_LENGTH}")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"got {text!r}, expected a condition like fast < slow") from None
        for node in ast.walk(tree):
            _refuse_all_but_conditions(node)
        if not _is_condition(tree):
            raise ValueError(f"{text!r} is no condition, expected one like fast < slow")
        return cls(text, tree, frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)))

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Return whether a combination meets the condition.

        Raises:
            ValueError: a value cannot be compared or computed with, such as a text with a number.
        """
        try:
            return _truth(self.tree, params)
        except KeyError as error:
            raise ValueError(f"{error.args[0]!r} is not among the params") from None
        except (TypeError, ArithmeticError) as error:
            shown = ", ".join(f"{name}={params[name]!r}" for name in sorted(self.names))
            raise ValueError(f"{self.text!r} cannot be decided for {shown}: {error}") from None


def _refuse_all_but_conditions(node: ast.AST) -> None:
    match node:
        case ast.Constant(value=value):
            fine = isinstance(value, int | float | str)
        case ast.BinOp(op=how) | ast.UnaryOp(op=how):
            fine = type(how) in _COMBINE or type(how) in _SIGN or isinstance(how, ast.Not)
        case ast.Compare(ops=ops):
            fine = all(type(how) in _COMPARE for how in ops)
        case _:
            parts = (ast.BoolOp, ast.Name, ast.operator, ast.cmpop, ast.boolop, ast.unaryop, ast.expr_context)
            fine = isinstance(node, parts)
    if not fine:
        raise ValueError(f"{ast.unparse(node)!r} is not allowed, expected {ALLOWED}")


def _is_condition(node: ast.expr) -> bool:
    if isinstance(node, ast.BoolOp):
        return all(_is_condition(part) for part in node.values)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not) and _is_condition(node.operand)
    return isinstance(node, ast.Compare)


def _truth(node: ast.expr, params: Mapping[str, Any]) -> bool:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_truth(part, params) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_truth(part, params) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _truth(part, params)
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [_value(part, params) for part in (left, *others)]
            pairs = zip(values, ops, values[1:], strict=False)
            return all(_COMPARE[type(how)](one, other) for one, how, other in pairs)
    return bool(_value(node, params))


def _value(node: ast.expr, params: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return params[name]
        case ast.BinOp(left=left, op=how, right=right):
            return _COMBINE[type(how)](_number(_value(left, params)), _number(_value(right, params)))
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=part):
            return _SIGN[type(sign)](_number(_value(part, params)))
    return _truth(node, params)


def _number(value: Any) -> Any:
    """Return a number; texts are compared, not added."""
    if not isinstance(value, _NUMBERS):
        raise TypeError(f"{value!r} is not a number")
    return value


# --- Parameters, held against the fields of a class ---


PLAIN = (bool, int, float, str)


def sets_of_class(cls: type, params: Mapping[str, Any], where: str | None = None) -> list[dict[str, Any]]:
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
