"""Frozen dataclasses to JSON values and back, checked against their type hints.

Owns the rules of run.json: NaN becomes null, infinity is refused, unknown and missing keys are refused with
the place where they stand. Knows nothing of files or of what the values mean.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from pathlib import PurePath
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from scenario_gen.errors import StoreError

T = TypeVar("T")
BROKEN = "the file was cut off, edited by hand, or written by another version; run the spec again with --overwrite"


def encode(value: Any, at: str = "") -> Any:
    """Return ``value`` as something the json module can write.

    Args:
        value: a dataclass, container, number, string, date or path.
        at: where the value stands, as a JSON pointer without its leading slash.

    Raises:
        StoreError: an infinite number, or a type that JSON cannot hold.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name), f"{at}/{f.name}") for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item, f"{at}/{key}") for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return encode(value.tolist(), at)
    if isinstance(value, list | tuple):
        return [encode(item, f"{at}/{number}") for number, item in enumerate(value)]
    return _encode_leaf(value, at)


def _encode_leaf(value: Any, at: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return _encode_float(value, at)
    if isinstance(value, date):  # datetime and Timestamp too
        return value.isoformat()
    if isinstance(value, PurePath):
        return value.as_posix()
    raise StoreError(
        f"run.json cannot hold a {type(value).__name__} at {at.strip('/')}",
        expected="numbers, strings, dates, lists and mappings",
        fix="turn the value into one of these before it enters the results",
    )


def _encode_float(value: float, at: str) -> float | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise StoreError(
            f"run.json cannot hold an infinite number at {at.strip('/')}",
            expected="a finite number, or none where it is not applicable",
            fix="report this as a defect: every metric must be finite or not applicable",
        )
    return value


def decode(kind: type[T], data: Any) -> T:
    """Build a ``kind`` from JSON values.

    Raises:
        StoreError: a key is missing or unknown, or a value has the wrong type; the message says where.
    """
    built: T = _decode(kind, data, "")
    return built


def _decode(kind: Any, data: Any, at: str) -> Any:
    if kind is Any:
        return data
    if is_dataclass(kind):
        return _decode_dataclass(kind, data, at)
    origin = get_origin(kind)
    return _BY_ORIGIN[origin](kind, data, at) if origin in _BY_ORIGIN else _decode_leaf(kind, data, at)


def _decode_optional(kind: Any, data: Any, at: str) -> Any:
    if data is None:
        return None
    (inner,) = [arg for arg in get_args(kind) if arg is not type(None)]
    return _decode(inner, data, at)


def _decode_literal(kind: Any, data: Any, at: str) -> Any:
    return data if data in get_args(kind) else _refuse(data, " or ".join(map(str, get_args(kind))), at)


def _decode_list(kind: Any, data: Any, at: str) -> list[Any]:
    (item,) = get_args(kind)
    if not isinstance(data, list):
        _refuse(data, "a list", at)
    return [_decode(item, entry, f"{at}/{number}") for number, entry in enumerate(data)]


def _decode_tuple(kind: Any, data: Any, at: str) -> tuple[Any, ...]:
    items = get_args(kind)
    if items[1:] == (Ellipsis,):
        return tuple(_decode_list(list[items[0]], data, at))  # type: ignore[valid-type]  # a type only known here
    if not isinstance(data, list) or len(data) != len(items):
        _refuse(data, f"a list of {len(items)}", at)
    return tuple(
        _decode(item, entry, f"{at}/{number}") for number, (item, entry) in enumerate(zip(items, data, strict=True))
    )


def _decode_dict(kind: Any, data: Any, at: str) -> dict[str, Any]:
    _, item = get_args(kind)
    if not isinstance(data, dict):
        _refuse(data, "a mapping", at)
    return {key: _decode(item, entry, f"{at}/{key}") for key, entry in data.items()}


def _decode_dataclass(kind: Any, data: Any, at: str) -> Any:
    if not isinstance(data, dict):
        _refuse(data, "a mapping", at)
    hints = get_type_hints(kind)
    optional = {f.name for f in fields(kind) if f.default is not MISSING or f.default_factory is not MISSING}
    missing = sorted(set(hints) - optional - set(data))
    unknown = sorted(set(data) - set(hints))
    if missing or unknown:
        _refuse_keys(missing, unknown, at)
    values = {key: _decode(hints[key], entry, f"{at}/{key}") for key, entry in data.items()}
    try:
        return kind(**values)
    except ValueError as error:  # a value that checks itself, such as an account that must add up
        return _refuse_value(error, at)


def _decode_leaf(kind: Any, data: Any, at: str) -> Any:
    if kind is float:
        if data is None:
            return math.nan
        return float(data) if _is_number(data) else _refuse(data, "a number", at)
    if kind is int and (isinstance(data, bool) or not isinstance(data, int)):
        _refuse(data, "a whole number", at)
    if not isinstance(data, kind):
        _refuse(data, {"str": "text", "bool": "true or false"}.get(kind.__name__, kind.__name__), at)
    return data


def _is_number(data: Any) -> bool:
    return isinstance(data, int | float) and not isinstance(data, bool)


def _refuse(data: Any, expected: str, at: str) -> Any:
    raise StoreError(
        f"run.json holds {str(data)[:60]!r} at {at.strip('/') or 'its top'}", expected=expected, fix=BROKEN
    )


def _refuse_value(error: ValueError, at: str) -> Any:
    problem = f"run.json contradicts itself at {at.strip('/') or 'its top'}: {error}"
    raise StoreError(problem, expected="values that add up", fix=BROKEN) from error


def _refuse_keys(missing: list[str], unknown: list[str], at: str) -> None:
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has unknown keys {', '.join(unknown)[:120]}"] if unknown else []
    raise StoreError(
        f"run.json {' and '.join(parts)} at {at.strip('/') or 'its top'}",
        expected="the keys that this version writes",
        fix=BROKEN,
    )


_BY_ORIGIN = {
    Union: _decode_optional,
    types.UnionType: _decode_optional,
    Literal: _decode_literal,
    list: _decode_list,
    tuple: _decode_tuple,
    dict: _decode_dict,
}
