"""Frozen values to JSON and back, checked against their type hints; values kept under the hash of what decides them.

Owns the rules of run.json: NaN becomes null, infinity is refused, unknown and missing keys are refused with the place
where they stand. Pydantic reads; this file words its refusals. Knows nothing of what the values mean.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date
from functools import cache
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import SchemaValidator, core_schema

from scenario_gen.errors import StoreError
from scenario_gen.files import write_bytes

T = TypeVar("T")
BROKEN = "the file was cut off, edited by hand, or written by another version; run the spec again with --overwrite"
KEPT = re.compile(rb'\{"sum": "(?P<sum>[0-9a-f]{64})",\n"value": (?P<value>.*)\}\n', re.DOTALL)  # valid JSON too
KEPT_SCHEMA = 3  # of what is kept: raised when a figure's meaning changes within a version

_UNKNOWN = "unexpected_keyword_argument"
_WORDS = {
    "bool_type": "true or false",
    "dataclass_type": "a mapping",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "string_type": "text",
    "tuple_type": "a list",
}


def encode(value: Any, at: str = "") -> Any:
    """Return ``value`` as something the json module can write.

    Written out because neither pydantic nor json tells the place of a number that JSON cannot hold.

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
    if isinstance(value, np.ndarray | np.generic):
        return encode(value.tolist(), at)
    if isinstance(value, list | tuple):
        return [encode(item, f"{at}/{number}") for number, item in enumerate(value)]
    return _encode_leaf(value, at)


def _encode_leaf(value: Any, at: str) -> Any:
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
    """Build a ``kind``, a dataclass, from JSON values.

    Raises:
        StoreError: a key is missing or unknown, or a value has the wrong type; the message says where.
    """
    return decode_json(kind, json.dumps(data).encode())


def decode_json(kind: type[T], text: bytes) -> T:
    """Build a ``kind``, a dataclass, from JSON.

    Raises:
        StoreError: it is no JSON, a key is missing or unknown, or a value has the wrong type; the message says where.
    """
    try:
        (value,) = _validator(kind).validate_json(b"[" + text + b"]")  # type: ignore[arg-type]  # a class is hashable
    except ValidationError as error:
        raise _refusal([dict(mistake) for mistake in error.errors(include_url=False)]) from error
    built: T = value
    return built


@cache
def _validator(kind: Any) -> SchemaValidator:
    """Return what reads a list of one ``kind``: pydantic takes a config for a list, not for a dataclass by itself."""
    strict = ConfigDict(extra="forbid", strict=True)
    schema = TypeAdapter[Any](tuple[kind], config=strict).core_schema
    return SchemaValidator(_with_nan(schema), core_schema.CoreConfig(strict=True))


def _with_nan(schema: Any) -> Any:
    """Return a schema that reads null as NaN wherever a number must be."""
    if isinstance(schema, dict):
        if schema.get("type") == "float":
            return core_schema.no_info_before_validator_function(_nan_for_null, schema)
        return {key: _with_nan(part) for key, part in schema.items()}
    return [_with_nan(part) for part in schema] if isinstance(schema, list) else schema


def _nan_for_null(value: Any) -> Any:
    return math.nan if value is None else value


def _refusal(mistakes: list[dict[str, Any]]) -> StoreError:
    """Return one error for what pydantic refused: wrong keys first, those nearest to the top."""
    keys = [mistake for mistake in mistakes if mistake["type"] in ("missing", _UNKNOWN)]
    if not keys:
        return _wrong_value(mistakes[0])
    parent = min((mistake["loc"][:-1] for mistake in keys), key=len)
    inside = [mistake for mistake in keys if mistake["loc"][:-1] == parent]
    missing = [mistake["loc"][-1] for mistake in inside if mistake["type"] == "missing"]
    if missing and isinstance(missing[0], int):  # of a list of so many
        return _wrong(inside[0]["input"], f"a list of {max(missing) + 1}", parent)
    unknown = sorted(mistake["loc"][-1] for mistake in inside if mistake["type"] == _UNKNOWN)
    parts = [f"lacks {', '.join(sorted(missing))}"] if missing else []
    parts += [f"has unknown keys {', '.join(unknown)[:120]}"] if unknown else []
    problem = f"run.json {' and '.join(parts)} at {_place(parent)}"
    return StoreError(problem, expected="the keys that this version writes", fix=BROKEN)


def _wrong_value(mistake: dict[str, Any]) -> StoreError:
    context, place = mistake.get("ctx", {}), mistake["loc"]
    match mistake["type"]:
        case "value_error":  # a value that checks itself, such as an account that must add up
            problem = f"run.json contradicts itself at {_place(place)}: {context['error']}"
            return StoreError(problem, expected="values that add up", fix=BROKEN)
        case "literal_error":
            expected = " or ".join(re.split(r", | or ", context["expected"].replace("'", "")))
        case "too_long":
            expected = f"a list of {context['max_length']}"
        case kind:
            expected = _WORDS.get(kind, mistake["msg"])
    return _wrong(mistake["input"], expected, place)


def _wrong(value: Any, expected: str, place: tuple[str | int, ...]) -> StoreError:
    return StoreError(f"run.json holds {str(value)[:60]!r} at {_place(place)}", expected=expected, fix=BROKEN)


def _place(where: tuple[str | int, ...]) -> str:
    """Return a place as a JSON pointer, without the list around the whole."""
    return "/".join(map(str, where[1:])) or "its top"


def cached(
    folder: Path,
    key: Mapping[str, Any],
    kind: type[T],
    compute: Callable[[], T],
    claim: Callable[[Path], None] | None = None,
) -> T:
    """Return the value that is kept for a key, or compute and keep it.

    A file is believed where its sum is that of key and value. One that cannot be read, was edited, or was kept for
    another key is computed anew and replaced; the disk's own trouble in writing is told.

    Args:
        folder: where values are kept.
        key: everything that decides the value, the version of the code included; dataclasses, containers,
            numbers and text.
        kind: the value's class, a frozen dataclass that :func:`encode` takes.
        compute: makes the value.
        claim: hears of the file before it is written.

    Raises:
        StoreError: the disk refuses.
    """
    text = json.dumps(encode({**key, "schema": KEPT_SCHEMA}), sort_keys=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"
    with suppress(OSError, StoreError):
        kept = KEPT.fullmatch(path.read_bytes())
        if kept is not None and kept["sum"].decode() == _sum(text, kept["value"]):
            return decode_json(kind, kept["value"])
    value = compute()
    if claim is not None:
        claim(path)
    content = json.dumps(encode(value), indent=1, allow_nan=False).encode("ascii")
    write_bytes(path, b'{"sum": "%s",\n"value": %s}\n' % (_sum(text, content).encode(), content))
    return value


def _sum(key: str, value: bytes) -> str:
    return hashlib.sha256(key.encode() + b"\0" + value).hexdigest()


def hash_of(values: Any) -> str:
    """Return the sha256 of plain values as JSON has them, whatever the order of keys: by it an identity knows them."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
