"""Words for what came, for what was meant and for what is accepted.

What a field accepts is read off its model, so that both never drift apart. Knows the pydantic models only through their
fields; knows nothing of files or lines.

Finding the files that a spec names: the one rule of where to look is here, so that ``validate``, the history loader and
the strategy loader agree.
"""

from __future__ import annotations

import difflib
import itertools
import math
import operator
import re
import types
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, SupportsIndex, Union, get_args, get_origin

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scenario_gen.errors import SpecError
from scenario_gen.files import user_path

MOMENT = "a date like 2018-12-31, or a time like 2018-12-31T16:00"
# Nanoseconds in 64 bits reach from 1677 to 2262; no bar is stamped near these ends.
FIRST_YEAR, LAST_YEAR = 1700, 2200
YEARS = f"a year from {FIRST_YEAR} to {LAST_YEAR}"


def shown(value: Any) -> str:
    """Return a value as a user would recognise it, on one line and not longer than some 60 characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ("-.inf" if value < 0 else ".inf")
    if isinstance(value, Mapping):
        return "a mapping with " + _listed(value, 4) if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:56] + "..."


def near(wrong: str, right: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the right names nearest to a wrong one, the nearest first; capitals do not matter.

    Args:
        wrong: what was written.
        right: the names that exist.
        most: how many to return at most.
        cutoff: how alike two names must be, from 0 to 1, as :mod:`difflib` measures it.
    """
    folded = {name.casefold(): name for name in right}
    return [folded[name] for name in difflib.get_close_matches(wrong.casefold(), list(folded), most, cutoff)]


def nearest(wrong: object, right: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest right name, or nothing if none is near."""
    close = near(wrong, right) if isinstance(wrong, str) else []
    return f"; did you mean '{close[0]}'?" if close else ""


def one_of(names: Iterable[str]) -> str:
    """Return the names as a choice: ``a, b or c``."""
    listed = list(names)
    return listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " or " + listed[-1]


def accepted(model: type[BaseModel], field: str) -> str:
    """Say what a field accepts, with its bounds: ``a number from 0 to 10``."""
    info = model.model_fields[field]
    kinds = [kind for kind in _alternatives(info.annotation) if kind is not type(None)]
    if any(isinstance(kind, type) and issubclass(kind, date) for kind in kinds):
        return MOMENT
    names = [name for kind in kinds[1:] for name in get_args(kind)]  # the words that may stand for a number
    nested = [_keys(kind) for kind in kinds[1:] if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return ", or ".join([_kind_words(kinds[0], info), *names, *nested])


def _keys(model: type[BaseModel]) -> str:
    """Name the keys of a mapping that may stand in a field's place, each with what it accepts."""
    return "a mapping with " + ", ".join(f"{key} ({accepted(model, key)})" for key in model.model_fields)


def kinds(model: type[BaseModel], field: str) -> list[type]:
    """Return the classes that a field's value may be of."""
    return [kind for kind in _alternatives(model.model_fields[field].annotation) if isinstance(kind, type)]


def choices(model: type[BaseModel], field: str) -> tuple[str, ...]:
    """Return the names that a field chooses from, or nothing if it is no choice or takes other values too."""
    kinds = [k for k in _alternatives(model.model_fields[field].annotation) if k is not type(None)]
    if any(get_origin(kind) is not Literal for kind in kinds):
        return ()
    return tuple(name for kind in kinds for name in get_args(kind))


def _alternatives(annotation: Any) -> list[Any]:
    """Flatten unions and annotations into the plain types behind them."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for member in get_args(annotation) for kind in _alternatives(member)]
    return [annotation]


def _bounds(info: FieldInfo) -> list[Any]:
    """Return a field's constraints, those of its first alternative included."""
    first = get_args(info.annotation)[:1]
    nested = get_args(first[0])[1:] if first and get_origin(first[0]) is Annotated else ()
    inner = [rule for extra in nested if isinstance(extra, FieldInfo) for rule in extra.metadata]
    return [*info.metadata, *inner]


def _kind_words(kind: Any, info: FieldInfo) -> str:
    numbers = {int: "a whole number", float: "a number"}
    if get_origin(kind) is Literal:
        return one_of(str(value) for value in get_args(kind))
    if get_origin(kind) is tuple:
        return _list_words(kind, info)
    if kind in numbers:
        return numbers[kind] + _range_words(_bounds(info))
    if kind in (bool, str):
        return "true or false" if kind is bool else _text_words(info)
    return _keys(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else "a mapping of names to values"


def _list_words(kind: Any, info: FieldInfo) -> str:
    """Say what a list may hold, and how much of it."""
    item = get_args(kind)[0]
    rules = [rule for extra in get_args(item)[1:] if isinstance(extra, FieldInfo) for rule in extra.metadata]
    each = {float: "numbers", int: "whole numbers"}.get(_alternatives(item)[0], "values") + _range_words(rules)
    counts = [*_bounds(info), *(rule for first in get_args(info.annotation)[:1] for rule in get_args(first)[1:])]
    least = next((rule.min_length for rule in counts if isinstance(rule, at.MinLen)), 0)
    most = next((rule.max_length for rule in counts if isinstance(rule, at.MaxLen)), None)
    return f"a list of {f'{least} to {most} ' if most is not None else ''}{each}"


def _text_words(info: FieldInfo) -> str:
    if any(getattr(rule, "pattern", None) for rule in info.metadata):
        return str(info.description)
    longest = [rule.max_length for rule in info.metadata if isinstance(rule, at.MaxLen)]
    if longest:
        return f"text of 1 to {longest[0]} characters"
    return "text that is not empty" if any(isinstance(rule, at.MinLen) for rule in info.metadata) else "text"


def _range_words(metadata: list[Any]) -> str:
    """Return the bounds among a field's constraints, in words."""
    low = next((str(rule.ge) for rule in metadata if isinstance(rule, at.Ge)), "")
    above = next((str(rule.gt) for rule in metadata if isinstance(rule, at.Gt)), "")
    high = next((str(rule.le) for rule in metadata if isinstance(rule, at.Le)), "")
    below = next((str(rule.lt) for rule in metadata if isinstance(rule, at.Lt)), "")
    if low and high:
        return f" from {_short(low)} to {_short(high)}"
    lower = f"of at least {_short(low)}" if low else (f"above {_short(above)}" if above else "")
    upper = f"at most {_short(high)}" if high else (f"below {_short(below)}" if below else "")
    return "".join(f" {words}" for words in [" and ".join(part for part in (lower, upper) if part)] if words)


def _short(number: str) -> str:
    return number.removesuffix(".0")


def _listed(names: Iterable[object], most: int) -> str:
    keys = [str(name) for name in names]
    return ", ".join(keys[:most]) + (", ..." if len(keys) > most else "")


def percent(share: float, digits: int = 4) -> str:
    """Return a share in percent with so many digits that mean something: ``12.5 %``."""
    return f"{100 * share:.{digits}g} %"


def number(name: str, value: float, low: float, high: float) -> float:
    """Return a finite number between two bounds, both allowed.

    Raises:
        SpecError: it is none.
    """
    try:
        given = float(value)
    except (OverflowError, TypeError, ValueError):
        given = math.nan
    if not (low <= given <= high and math.isfinite(given)):
        bounds = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
        raise SpecError(f"{name} is {value!r}", expected=f"a number {bounds}")
    return given


def whole(name: str, value: SupportsIndex, smallest: int = 1, largest: int | None = None) -> int:
    """Return a whole number of any kind, NumPy's included, as an int.

    Raises:
        SpecError: it is none, or lies beyond a bound.
    """
    bounds = f"of at least {smallest}" if largest is None else f"from {smallest} to {largest}"
    refused = SpecError(f"{name} is {value!r}", expected=f"a whole number {bounds}")
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise refused
    try:
        given = operator.index(value)
    except TypeError:  # an array of one number says that it is one, and is none
        raise refused from None
    if given < smallest or (largest is not None and given > largest):
        raise SpecError(f"{name} is {given}", expected=f"a whole number {bounds}")
    return given


# --- Finding the files that a spec names, and names that can be file names themselves ---


_NAME = re.compile(r"\w[\w .-]*")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
MAX_NAME = 60


def places(base: Path, *, parent: bool = False) -> tuple[Path, ...]:
    """Return the folders in which a spec's files are looked for, first match wins.

    Args:
        base: the spec's folder.
        parent: look beside the spec's folder too; strategies/ often stands beside scenarios/.
    """
    return (base, *((base.parent,) if parent else ()), Path.cwd())


def find_file(name: str, base: Path, *, parent: bool = False) -> Path | None:
    """Return the file of that name, or None: absolute, or in the first of :func:`places` that has it."""
    for folder in places(base, parent=parent):
        try:
            candidate = folder / user_path(name)
            if candidate.is_file():
                return candidate.resolve()
        except (OSError, ValueError):  # too long, a null byte: no such file
            continue
    return None


def missing_file(name: str, base: Path, *, parent: bool = False) -> str:
    """Say that a file is not there, where it was looked for and which name there is nearest."""
    if any(_is_folder(folder, name) for folder in places(base, parent=parent)):
        return f"got {name[:80]!r}, which is a folder; expected a file"
    beside = ", its parent" if parent else ""
    looked = f"looked in the spec's folder{beside} and the current folder"
    hint = nearest_file(name, places(base, parent=parent))
    return f"got {name[:80]!r}, but there is no such file ({looked}){hint}"


def _is_folder(folder: Path, name: str) -> bool:
    try:
        return bool(name) and (folder / user_path(name)).is_dir()
    except (OSError, ValueError):
        return False


def nearest_file(name: str, folders: Iterable[Path]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest file name in the same place of these folders."""
    inside = Path(name).parent
    around: list[str] = []
    for folder in folders:
        try:
            around += [str(inside / found.name) for found in itertools.islice((folder / inside).iterdir(), 500)]
        except (OSError, ValueError):
            continue
    return nearest(str(Path(name)), sorted(around))


def bad_name(name: str) -> str:
    """Return why a name cannot be a file name, or nothing if it can."""
    if not _NAME.fullmatch(name) or name != name.rstrip(" ."):
        return "expected letters, digits, spaces, '-', '_' and '.', starting with a letter or digit"
    if name.partition(".")[0].casefold() in _DEVICES:
        return "this name is reserved by Windows; expected another one"
    if len(name) > MAX_NAME:
        return f"expected at most {MAX_NAME} characters"
    return ""


def same_file(name: str) -> str:
    """Return a form of a name in which two names are equal if some file system takes them for one file."""
    return unicodedata.normalize("NFC", name).casefold()
