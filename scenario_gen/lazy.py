"""Public names of a room, loaded when they are first asked for.

A room lists them once, in the ``if TYPE_CHECKING:`` block of its ``__init__``, where type checkers and editors look::

    if TYPE_CHECKING:
        from scenario_gen.market.load import load_candles as load_candles
    else:
        __getattr__, __dir__ = public_names(__name__)

That block is read as text when the first name is asked for, so that a second list cannot differ from it and importing a
room costs nothing. Owns also how a method's body stands in a higher room. Knows no room.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])


def public_names(room: str, *present: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a room's ``__getattr__``, which knows its ``__all__`` too, and its ``__dir__``.

    Args:
        room: the module's name.
        present: names that the module holds already.
    """
    homes: dict[str, str] = {}

    def listed() -> list[str]:
        """Return all public names, in order."""
        if not homes:
            homes.update(_homes(room))
        return sorted([*homes, *present])

    def load(name: str) -> Any:
        """Import the home of a public name when it is first asked for."""
        if name == "__all__":
            return listed()
        if name.startswith("__") or name not in listed():
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return load, listed


def _homes(room: str) -> dict[str, str]:
    """Return the public names of a room, each with the module that holds it."""
    import ast
    import inspect

    return {
        name.name: node.module or ""
        for block in ast.parse(inspect.getsource(sys.modules[room])).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }


def lent(home: str) -> Callable[[Method], Method]:
    """Let the body of a method stand in a higher room, loaded when it is first called.

    For what an object shows of itself: a history draws itself with ``candles.plot()``, and does not know matplotlib.

    Args:
        home: module and function, ``scenario_gen.report.notebook:plot_paths``, which takes the object first.
    """
    module, _, name = home.partition(":")

    def bind(declared: Method) -> Method:
        @wraps(declared)
        def method(*args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(module), name)(*args, **kwargs)

        method.lender = home  # type: ignore[attr-defined]  # for the test that every home is there
        return cast("Method", method)

    return bind
