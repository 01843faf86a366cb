"""Public names of a room, loaded when they are first asked for.

A room lists them once, in the ``if TYPE_CHECKING:`` block of its ``__init__``, where type checkers and editors look::

    if TYPE_CHECKING:
        from scenario_gen.market.load import load_candles as load_candles
    else:
        __all__, __getattr__, __dir__ = public_names(__name__)

That block is read here as text, so that a second list cannot differ from it. Knows no room.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def public_names(room: str, *present: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """Return a room's ``__all__``, ``__getattr__`` and ``__dir__``.

    Args:
        room: the module's name.
        present: names that the module holds already.
    """
    homes = {
        name.name: node.module or ""
        for block in ast.parse(inspect.getsource(sys.modules[room])).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    names = sorted([*homes, *present])

    def load(name: str) -> Any:
        """Import the home of a public name when it is first asked for."""
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return names, load, lambda: list(names)
