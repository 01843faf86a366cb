"""How much a command says: ``--quiet`` and ``--verbose``, which every command has without naming them.

Owns the two options and what was chosen. A command that has a parameter of that name itself keeps its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say more: a line per stage, and where in the code a mistake was met.")
]
SHARED = {"quiet": Quiet, "verbose": Verbose}


class Manner:
    """What the command at work was asked for."""

    quiet = False
    verbose = False


class ManneredTyper(typer.Typer):
    """Commands, each with the shared options."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a command; see :meth:`typer.Typer.command`."""
        return _registering(super().command(name, **settings))

    def callback(self, **settings: Any) -> Callable[[Any], Any]:
        """Register what a group does by itself; of a group that does nothing alone it has no options."""
        register = super().callback(**settings)
        return _registering(register) if self.info.invoke_without_command is True else register


def _registering(register: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def take(function: Any) -> Any:
        register(with_manner(function))
        return function

    return take


def with_manner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that notes how much it shall say, with the parameters that it lacked for that."""
    own = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    added = {name: kind for name, kind in SHARED.items() if name not in own.parameters}

    @wraps(function)
    def command(**given: Any) -> Any:
        for name in SHARED:
            setattr(Manner, name, given.pop(name) if name in added else given[name])
        return function(**given)

    further = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in added.items()
    ]
    parameters = [each.replace(annotation=hints[each.name]) for each in own.parameters.values()]
    command.__annotations__ = {**hints, **added}
    command.__dict__["__signature__"] = own.replace(parameters=[*parameters, *further])
    return command
