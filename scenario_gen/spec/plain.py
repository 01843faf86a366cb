"""A mapping made in Python, reduced to the plain values that YAML could have held."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from typing import Any

from scenario_gen.errors import SpecError
from scenario_gen.spec.yaml_lines import MAX_DEPTH, MAX_VALUES

MAX_BITS = 256  # of a whole number: nothing in a spec comes near, and Python refuses to print far larger ones


def plain(value: Any) -> Any:
    """Return the value as dicts with text keys, lists, text, numbers, booleans and None.

    Dates become ISO text, paths become text, tuples become lists, numpy numbers become Python's.

    Raises:
        SpecError: something else is in it, or it is too deep or too large.
    """
    return _Reducer().reduce(value, "", 1)


class _Reducer:
    """Walks a value, counting what it meets."""

    def __init__(self) -> None:
        self.values = 0

    def reduce(self, value: Any, label: str, depth: int) -> Any:
        self.values += 1
        if depth > MAX_DEPTH or self.values > MAX_VALUES:
            bounds = f"nested deeper than {MAX_DEPTH} levels, or more than {MAX_VALUES} values"
            raise SpecError(f"spec: {label or 'the mapping'}: {bounds}", fix="flatten or shorten the mapping")
        if isinstance(value, Mapping):
            return {
                _text_key(key, label): self.reduce(inner, f"{label}.{key}".lstrip("."), depth + 1)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.reduce(inner, f"{label}[#{i + 1}]", depth + 1) for i, inner in enumerate(value)]
        return _scalar(value, label)


def _text_key(key: Any, label: str) -> str:
    if not isinstance(key, str):
        raise SpecError(f"spec: {label or 'the mapping'}: got the key {key!r:.60}, expected text")
    return str(key)


def _scalar(value: Any, label: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | PurePath):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, numbers.Integral) and int(value).bit_length() <= MAX_BITS:
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        return float(value)
    if type(value).__name__ in ("bool", "bool_") and hasattr(value, "dtype"):
        return bool(value)
    raise SpecError(
        f"spec: {label or 'the mapping'}: got a value of type {type(value).__name__} that YAML cannot hold",
        expected="text, an ordinary number, true or false, a date, a list or a mapping",
        fix="write the spec as the YAML would have it",
    )
