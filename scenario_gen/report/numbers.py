"""The one place where a number becomes text.

Owns minus signs, thousands, digits and the way an error stands beside its number. A :class:`Shown` keeps the
unrounded value and where in run.json it came from, so that a test can hold the page against the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from scenario_gen.backtest.metrics import Form
from scenario_gen.stats.estimate import Estimate

MINUS = "\u2212"
THIN = "\u202f"  # narrow no-break space
NOT_APPLICABLE = "—"
NOT_SHOWN = "not shown"
FEW = 10  # below this many paths a rate says less than the count
MAX_DECIMALS = 4
TINY = 1e-4  # of a price: below it zeros would outnumber the digits


@dataclass(frozen=True)
class Shown:
    """A number as it stands on the page."""

    text: str  # the number
    error: str = ""  # its Monte Carlo error, in brackets or after a plus-minus sign; empty where there is none
    value: float | None = None  # the unrounded value, None where nothing is shown
    form: Form = "number"  # how ``text`` was made from ``value``
    decimals: int = 0  # digits after the point
    source: str = ""  # JSON pointer into run.json, of the number or of its Estimate
    reason: str = ""  # why there is no number

    @property
    def words(self) -> str:
        """The number and its error, or why there is none, where there is nothing but text."""
        refused = f"{NOT_SHOWN}, " if self.text == NOT_SHOWN else ""
        return f"{refused}{self.reason}" if self.reason else f"{self.text} {self.error}".rstrip()


def fixed(value: float, decimals: int) -> str:
    """Return a number with so many decimals, a real minus and a thin space per thousand; never minus zero."""
    text = f"{abs(value):,.{decimals}f}".replace(",", THIN)
    return f"{MINUS}{text}" if value < 0 and any(digit in "123456789" for digit in text) else text


def percent(fraction: float, *, signed: bool = False, decimals: int = 1) -> str:
    """Return a fraction as a percentage, as a rule with one decimal."""
    text = fixed(100 * fraction, decimals)
    plus = signed and not text.startswith(MINUS) and any(digit in "123456789" for digit in text)
    return f"{'+' if plus else ''}{text}%"


def level(fraction: float) -> str:
    """Return a declared level or a tick, such as a limit: no decimals where there are none to show."""
    return percent(fraction).replace(".0%", "%")


def count(value: float) -> str:
    """Return a whole number."""
    return fixed(value, 0)


def price(value: float) -> str:
    """Return a price with at least four significant digits; a tiny one, such as 5e-8, with its power of ten."""
    size = abs(value)
    if 0 < size < TINY:
        digits, power = f"{size:.3e}".split("e")
        return f"{MINUS if value < 0 else ''}{digits}e{MINUS}{-int(power)}"
    if 0 < size < 1:
        return fixed(value, 3 - math.floor(math.log10(size)))
    return fixed(value, 0 if size >= 1000 else 2 if size >= 10 else 4)


def render(value: float, form: Form, decimals: int = 0) -> str:
    """Return ``value`` in one of the forms that the page knows."""
    if form == "number":
        return fixed(value, decimals)
    if form == "change":  # small beside what it is a change of
        return percent(value, signed=True, decimals=2)
    plain_forms = {"count": count, "price": price, "level": level}
    return plain_forms[form](value) if form in plain_forms else percent(value, signed=form == "signed percent")


def plain(value: float | None, form: Form, source: str, *, decimals: int = 0) -> Shown:
    """Return a number that carries no error, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return Shown(NOT_APPLICABLE, source=source)
    return Shown(render(value, form, decimals), value=value, form=form, decimals=decimals, source=source)


def small_q(value: float | None, source: str) -> Shown:
    """Return an adjusted p-value; below .0005 only that it is small. Rounding never lifts it onto a threshold."""
    if value is not None and value < 0.0005:
        return Shown("< 0.001")
    decimals = 2 if value is None or value >= 0.1 else 3
    while value is not None and any(value < limit <= round(value, decimals) for limit in (0.01, 0.05)):
        decimals += 1
    return plain(value, "number", source, decimals=decimals)


def bracketed(estimate: Estimate, form: Form, source: str, *, decimals: int = 0) -> Shown:
    """Return an estimate with its 95 % interval in brackets."""
    shown = _value(estimate, form, source, decimals)
    if shown.value is None or estimate.low is None or estimate.high is None:
        return shown
    low, high = (render(end, form, decimals).rstrip("%").lstrip("+") for end in (estimate.low, estimate.high))
    return _with_error(shown, f"[{low}, {high}]")


def plus_minus(estimate: Estimate, form: Form, source: str, *, decimals: int = 0) -> Shown:
    """Return an estimate with half of its 95 % interval after a plus-minus sign."""
    shown = _value(estimate, form, source, decimals)
    if shown.value is None or estimate.low is None or estimate.high is None:
        return shown
    half = render((estimate.high - estimate.low) / 2, form, decimals).rstrip("%").lstrip("+")
    return _with_error(shown, f"±{half}")


def share(estimate: Estimate, source: str) -> Shown:
    """Return a share of paths: few hits as a count, none with the bound 3/N (the rule of three)."""
    hits = estimate.count
    if hits is None or estimate.n == 0 or FEW <= hits < estimate.n:
        return bracketed(estimate, "percent", source)
    text = f"{count(hits)} of {count(estimate.n)}"
    bound = 3 / estimate.n
    error = ""
    if hits == 0 and bound < 1:
        error = f"< {_small_percent(bound)}"
    elif hits == estimate.n and bound < 1:
        error = f"> {_small_percent(1 - bound)}"
    return Shown(text, error, value=float(hits), form="count", source=f"{source}/count")


def decimals_for(errors: Iterable[float | None]) -> int:
    """Return the digits of a column: its last digit is at least half the smallest standard error."""
    sizes = [size for size in errors if size is not None and math.isfinite(size) and size > 0]
    if not sizes:
        return 2
    return min(max(math.floor(-math.log10(min(sizes) / 2)), 0), MAX_DECIMALS)


def standard_error(estimate: Estimate) -> float | None:
    """Return the standard error behind a 95 % interval, None where there is none."""
    if estimate.low is None or estimate.high is None:
        return None
    return (estimate.high - estimate.low) / (2 * 1.96)


def _value(estimate: Estimate, form: Form, source: str, decimals: int) -> Shown:
    if estimate.value is not None and math.isfinite(estimate.value):
        return plain(estimate.value, form, f"{source}/value", decimals=decimals)
    refused = estimate.n > 0 and estimate.reason
    return Shown(NOT_SHOWN if refused else NOT_APPLICABLE, source=source, reason=_in_words(estimate.reason))


def _in_words(reason: str) -> str:
    """Return a reason fit to stand under a table that already says ``not shown``."""
    return reason.removeprefix(f"{NOT_SHOWN}, ").replace(">=", "≥")


def _with_error(shown: Shown, error: str) -> Shown:
    return Shown(shown.text, error, shown.value, shown.form, shown.decimals, shown.source)


def _small_percent(fraction: float) -> str:
    return f"{fixed(100 * fraction, 2 if fraction < 0.01 or fraction > 0.99 else 1)}%"
