"""Numbers that a caller of the Python API hands over, checked before anything is computed."""

from __future__ import annotations

import math
import operator

from scenario_gen.errors import SpecError


def number(name: str, value: float, low: float, high: float) -> float:
    """Return a finite number between two bounds, both allowed.

    Raises:
        SpecError: it is none.
    """
    try:
        given = float(value)
    except (TypeError, ValueError):
        given = math.nan
    if not (low <= given <= high and math.isfinite(given)):
        bounds = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
        raise SpecError(f"{name} is {value!r}", expected=f"a number {bounds}")
    return given


def whole(name: str, value: int, smallest: int = 1) -> int:
    """Return a whole number of any kind, NumPy's included, as an int.

    Raises:
        SpecError: it is none, or smaller than ``smallest``.
    """
    try:
        given = operator.index(value)
    except TypeError:
        given = smallest - 1
    if given < smallest or isinstance(value, bool):
        raise SpecError(f"{name} is {value!r}", expected=f"a whole number of at least {smallest}")
    return given
