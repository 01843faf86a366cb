"""Arbitrary result values, made from the type hints alone."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import strategies as st

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    float: NUMBERS,
    int: st.integers(),
    str: st.text(max_size=8),
    bool: st.booleans(),
}
LOOSE = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    if kind in LEAVES or kind is Any:
        return LOOSE if kind is Any else LEAVES[kind]
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{f.name: values_of(hints[f.name]) for f in fields(kind)})
    return container_of(get_origin(kind), get_args(kind))


def container_of(origin: Any, args: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin in (Union, types.UnionType):
        return st.one_of(*(st.none() if arg is type(None) else values_of(arg) for arg in args))
    if origin is Literal:
        return st.sampled_from(args)
    if origin is list:
        return st.lists(values_of(args[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(st.text(max_size=4), values_of(args[1]), max_size=2)
    assert origin is tuple
    if args[1:] == (...,):
        return st.lists(values_of(args[0]), max_size=2).map(tuple)
    return st.tuples(*(values_of(arg) for arg in args))


@pytest.fixture(scope="session")
def any_of() -> Callable[[Any], st.SearchStrategy[Any]]:
    return values_of
