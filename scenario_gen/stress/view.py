"""What a spec may say of views: what somebody believes of a scenario's paths, and whose paths are weighed by it.

Owns the section. Weighs nothing and imports nothing heavy: a spec is read with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from pydantic import Field, create_model, model_validator

from scenario_gen.reading.section import Section
from scenario_gen.reading.words import percent

MOST_VIEWS = 20
Functional = Literal[
    "terminal_return", "max_drawdown", "realised_vol", "worst_bar", "best_bar", "strategy_return", "strategy_drawdown"
]
OF_STRATEGY = ("strategy_return", "strategy_drawdown")
TITLES: Mapping[str, str] = {
    "terminal_return": "return over the horizon",
    "max_drawdown": "deepest drawdown",
    "realised_vol": "realised volatility a year",
    "worst_bar": "worst bar",
    "best_bar": "best bar",
    "strategy_return": "total return",
    "strategy_drawdown": "deepest drawdown of the account",
}
KINDS = ("mean", "std", "probability", "quantile", "cvar")
# Beside which kind of view which keys stand: those it needs, and of which others it needs exactly one.
NEEDS: Mapping[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "mean": ((), (("equals", "at_least", "at_most"),)),
    "std": (("equals",), ()),
    "probability": ((), (("at_least", "at_most"), ("is", "is_at_least", "is_at_most"))),
    "quantile": (("level", "equals"), ()),
    "cvar": (("level", "equals"), ()),
}
Share = Field(default=None, gt=0.0, lt=1.0)


class _View(Section):
    """One thing that somebody believes of the paths: a mean, a deviation, a probability, a quantile or a CVaR."""

    mean: Functional | None = Field(default=None, description="of what the mean over paths is believed in")
    std: Functional | None = Field(default=None, description="likewise the standard deviation; the mean stays")
    probability: Functional | None = Field(default=None, description="how likely it is at_least or at_most so much")
    quantile: Functional | None = Field(default=None, description="the value that a share `level` of paths lies below")
    cvar: Functional | None = Field(
        default=None,
        description="the mean of the worst 1 - `level` of paths: of losses, deep drawdowns, high volatility",
    )
    strategy: str | None = Field(default=None, min_length=1, description="whose return or drawdown is meant")
    level: float | None = Field(default=None, gt=0.0, lt=1.0, description="of a quantile or a CVaR, e.g. 0.95")
    equals: float | None = Field(default=None, description="the number that it is to be; of a share 0.25 is 25 %")
    at_least: float | None = Field(default=None, description="the least that it is to be")
    at_most: float | None = Field(default=None, description="the most that it is to be")

    @model_validator(mode="after")
    def _one_statement(self) -> _View:
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            came = f"{' and '.join(kinds)} in one view" if kinds else "a view of nothing"
            raise ValueError(f"got {came}, expected one of {', '.join(KINDS)}, e.g. {{mean: terminal_return, ...}}")
        given = {name for name in type(self).model_fields if getattr(self, name) is not None} - {*KINDS, "strategy"}
        needed, choices = NEEDS[kinds[0]]
        allowed = {*needed, *(name for choice in choices for name in choice)}
        wrong = sorted(given - allowed) or [name for name in needed if name not in given]
        wrong = wrong or [" or ".join(choice) for choice in choices if len(given & {*choice}) != 1]
        if wrong:
            raise ValueError(f"got {_keys(given)} beside {kinds[0]}, expected {_expected(kinds[0])}")
        if (self.functional in OF_STRATEGY) != (self.strategy is not None):
            words = "needs the name of a strategy" if self.strategy is None else "is of the market and of no strategy"
            raise ValueError(f"{self.functional} {words}")
        return self

    @property
    def kind(self) -> str:
        """``mean``, ``std``, ``probability``, ``quantile`` or ``cvar``."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def functional(self) -> str:
        """What of a path it is about."""
        return str(getattr(self, self.kind))

    @property
    def threshold(self) -> float:
        """Of a probability: at least or at most what."""
        return float(self.at_most if self.at_least is None else self.at_least)  # type: ignore[arg-type]

    @property
    def range(self) -> tuple[float, float]:
        """Between what the believed figure lies; infinite ends where one side is open."""
        exact, least, most = ("is", "is_at_least", "is_at_most") if self.kind == "probability" else LEVELS
        equals, low, high = (getattr(self, name, None) for name in (exact, least, most))
        if equals is not None:
            return float(equals), float(equals)
        return (float("-inf") if low is None else float(low)), (float("inf") if high is None else float(high))

    @property
    def subject(self) -> str:
        """What it speaks of, in words: ``probability of a deepest drawdown of at least 20 %``."""
        of = TITLES[self.functional] + (f" of {self.strategy}" if self.strategy else "")
        if self.kind == "probability":
            side = "at least" if self.at_least is not None else "at most"
            return f"probability of a {of} of {side} {percent(self.threshold)}"
        named = {"mean": "mean", "std": "standard deviation", "quantile": "quantile", "cvar": "CVaR"}[self.kind]
        return f"{'' if self.level is None else f'{percent(self.level)} '}{named} of the {of}"

    @property
    def in_words(self) -> str:
        """The whole view as a reader would say it: ``mean of the return over the horizon: -5 %``."""
        low, high = self.range
        side = "" if low == high else "at least " if high == float("inf") else "at most "
        return f"{self.subject}: {side}{percent(high if low == float('-inf') else low)}"


LEVELS = ("equals", "at_least", "at_most")

if TYPE_CHECKING:
    View = _View
else:  # ``is`` is a word of Python, and of a spec
    View = create_model(
        "View",
        __base__=_View,
        __module__=__name__,
        __doc__=_View.__doc__,
        **{
            name: (float | None, Field(default=None, gt=0.0, lt=1.0, description="of a probability"))
            for name in ("is", "is_at_least", "is_at_most")
        },
    )


def _keys(given: Iterable[str]) -> str:
    return " and ".join(sorted(given)) or "nothing"


def _expected(kind: str) -> str:
    needed, choices = NEEDS[kind]
    return " and ".join([*needed, *(f"one of {', '.join(choice)}" for choice in choices)])


def contradictions(views: Sequence[View]) -> list[tuple[int, str]]:
    """Return the views that an earlier one rules out whatever the paths are, each by its place, and why.

    Means of one number that are to lie in ranges which do not meet; probabilities of one number that rise where they
    cannot: a deeper drawdown is never likelier than a shallower one.
    """
    wrong = []
    for (_, first), (place, second) in combinations(enumerate(views), 2):
        if (first.functional, first.strategy) != (second.functional, second.strategy):
            continue
        if words := _against(first, second):
            wrong.append((place, f"contradicts the view '{first.in_words}': {words}"))
    return wrong


def _against(first: View, second: View) -> str:
    """Return why two views of one number cannot both hold, or nothing."""
    same = first.kind == second.kind and first.level == second.level
    if same and first.kind != "probability":
        return "" if _meet(first.range, second.range) else "one number cannot be both"
    ours, theirs = _beyond(first), _beyond(second)
    if ours is None or theirs is None or ours[0] != theirs[0]:
        return ""
    for (_, near, most, words), (_, far, least, further) in ((ours, theirs), (theirs, ours)):
        if near <= far and most[1] < least[0]:  # what lies beyond ``far`` lies beyond ``near`` as well
            likely = f"{percent(most[1])} of paths have {words}"
            return f"at most {likely}, so {percent(least[0])} cannot have {further}"
    return ""


def _meet(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return first[0] <= second[1] and second[0] <= first[1]


def _beyond(view: View) -> tuple[str, float, tuple[float, float], str] | None:
    """Return a share of paths beyond a number: the side, the number that rises with it, the share, in words."""
    if view.kind == "probability" and view.at_least is not None:
        return "above", view.at_least, view.range, f"at least {percent(view.at_least)}"
    if view.kind == "probability":
        return "below", -view.threshold, view.range, f"at most {percent(view.threshold)}"
    if view.kind == "quantile" and view.level is not None:
        return "below", -view.range[0], (view.level, view.level), f"at most {percent(view.range[0])}"
    return None
