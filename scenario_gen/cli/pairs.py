"""``name=value`` words of a command line: one option takes several of them, and a value may be a list.

Knows neither strategies nor limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from scenario_gen.errors import SpecError
from scenario_gen.reading.yaml import parse_yaml

_PAIR = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_OPTIONS = ("--params", "--limits", "--broker")


class PairsCommand(TyperCommand):
    """A command whose options of pairs go on over several words: ``--params fast=10,20 slow=50``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each further pair, as the parser wants it."""
        return super().parse_args(ctx, repeated(args))


def repeated(args: Sequence[str]) -> list[str]:
    """Return the words with ``--params a=1 b=2`` as ``--params a=1 --params b=2``."""
    words: list[str] = []
    option, filled = "", False
    for word in args:
        if option and filled and _PAIR.fullmatch(word):
            words += [option, word]
            continue
        words.append(word)
        if word in _OPTIONS:
            option, filled = word, False
        elif option and not filled:
            filled = True
        else:
            option = ""
    return words


def read_pairs(words: Iterable[str], option: str, *, lists: bool = False) -> dict[str, Any]:
    """Return names and values; ``10,20`` is a list where lists may stand.

    Raises:
        typer.BadParameter: a word is no pair, or a name is there twice.
    """
    pairs: dict[str, Any] = {}
    for word in words:
        name, sign, text = word.partition("=")
        if not (sign and name.isidentifier() and text.strip()):
            raise typer.BadParameter(f"got {word!r}, expected name=value, e.g. fast=10", param_hint=option)
        if name in pairs:
            raise typer.BadParameter(f"{name} is there twice; write {name}=10,20 for a list", param_hint=option)
        parts = text.split(",") if lists else [text]
        values = [_value(part.strip()) for part in parts]
        pairs[name] = values[0] if len(values) == 1 else values
    return pairs


def _value(text: str) -> Any:
    """Return a number, true, false, null or text, as a spec would read it."""
    try:
        value = parse_yaml(text, "").values
    except SpecError:  # no YAML: plain text, as a shell hands it over
        return text
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value if isinstance(value, bool | int | float | None) else text
