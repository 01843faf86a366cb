"""The candle rules: THE list. A rule is one entry: its words, how it is found and mended, what it does to a label.

Owns what accounts, labels, tables and tests iterate, the row that an account has of each rule, and what the history's
own bars say of the rules. Knows thresholds as values, not how they are read from a history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenario_gen.candles import breaches, repair, suspects
from scenario_gen.candles.breaches import Exchange, Flags, Suspects, View
from scenario_gen.candles.reference import Bound, ReferenceBounds
from scenario_gen.candles.repair import Mending
from scenario_gen.market import candles as validity
from scenario_gen.market.candles import Candles, Flag
from scenario_gen.market.paths import PathSet
from scenario_gen.market.section import Market

Kind = Literal["fault", "breach", "form", "suspect"]

MISFIT = 0.01  # of the history's bars: a few are errors of the source, more are an error of the spec


@dataclass(frozen=True)
class PriceLimit:
    """The threshold of a rule that compares with history."""

    bound: Callable[[ReferenceBounds], Bound]  # that decides whether the rule is judged, and gives the source
    words: Callable[[ReferenceBounds], str]  # the threshold with its unit


@dataclass(frozen=True)
class Rule:
    """One rule of candles."""

    id: str  # "V3"; what stands beside a rule has a suffix: "V4-lots"
    kind: Kind
    title: str  # the rule in words
    action: str  # what is done about a bar that breaks it
    find: Callable[[View], Flags | Suspects | None]  # what breaks it in paths; None where that cannot be judged
    mend: Callable[[View, Mending], Mending] | None = None
    turn: int = 0  # when its bars are mended: clipping comes before enclosing, enclosing before an amount that fits
    bad: bool = False  # a bar that breaks it is a bad bar; without a mend its path is beyond repair
    hard: bool = False  # a single breach is a generator fault
    form: bool = False  # no bad bar, but more than 1 % of them beyond history's own share is a WARN
    odd: bool = False  # beyond 1.5 times the largest of history: no accident on many paths
    needs: str = ""  # what must be known of the market: a key of its section, or volume
    of_history: bool = False  # whether real bars can break it
    misfit: str = ""  # what bars of the history do that break it, where ``needs`` is declared
    limit: PriceLimit | None = None

    def found(self, view: View) -> Suspects | None:
        """Return what breaks the rule in paths, or None where it cannot be judged."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # bars without prices
            flags = self.find(view)
        return None if flags is None else Suspects.of(flags)

    def row(self, exchange: Exchange, bounds: ReferenceBounds, broken: Mapping[str, NDArray[np.bool_]]) -> RuleCount:
        """Return the account's row before anything is counted; ``broken`` as :func:`history_breaches` returns it."""
        share = float(broken[self.id].mean()) if self.id in broken else None
        row = RuleCount(self.id, self.title, 0, 0, self.action, self.kind, history=share)
        if self.limit is None:
            return row.unjudged(exchange.unjudged[self.needs]) if self.needs in exchange.unjudged else row
        bound = self.limit.bound(bounds)
        if not bound.is_known:
            return row.unjudged(bound.source)
        return replace(row, source=f"{self.limit.words(bounds)}: {bound.source}")


@dataclass(frozen=True)
class RuleCount:
    """One rule's account over all paths."""

    rule: str  # its id
    title: str  # the rule in words
    bars: int  # raw bars that break it; -1 where the rule could not be judged, and ``action`` says why
    paths: int  # raw paths with at least one such bar; -1 likewise
    action: str  # what was done about them
    # fault: the path is dropped; breach: mended, and counted as a bad bar; form: brought onto ticks, lots or a fitting
    # amount, which no generator knows; suspect: possible, flagged, kept
    kind: Kind = "breach"
    left_bars: int = 0  # bars of the kept paths that break it after the repair; -1 where it could not be judged
    left_paths: int = 0  # kept paths with at least one such bar; -1 likewise
    source: str = ""  # the threshold and where it comes from, of a rule that compares with history
    history: float | None = None  # share of the history's own bars that break it, where that is of interest

    @property
    def is_judged(self) -> bool:
        """Whether the rule could be judged."""
        return self.bars >= 0

    def unjudged(self, why: str) -> RuleCount:
        """Return the row of a rule that cannot be judged."""
        told = f"not judged: {why}"
        return RuleCount(self.rule, self.title, -1, -1, told, self.kind, -1, -1, "", self.history)


def _sd(bound: Callable[[ReferenceBounds], Bound]) -> PriceLimit:
    return PriceLimit(bound, lambda bounds: f"{bound(bounds).high:.3g} sd")


def _share(bound: Callable[[ReferenceBounds], Bound]) -> PriceLimit:
    def words(bounds: ReferenceBounds) -> str:
        share = bound(bounds)
        low = "" if share.low is None else f"{share.low:.1%} to "
        return f"{low}{share.high:.1%} of a path"

    return PriceLimit(bound, words)


def _jump_words(bounds: ReferenceBounds) -> str:
    units = ((bounds.jump, "sd"), (bounds.robust_jump, "robust sd (1.4826 MAD)"))
    return " or ".join(f"{bound.high:.3g} {unit}" for bound, unit in units if bound.high is not None)


_JUMP = PriceLimit(lambda bounds: bounds.jump if bounds.jump.is_known else bounds.robust_jump, _jump_words)
_RUN = PriceLimit(
    lambda bounds: bounds.still_run if bounds.flat_run.is_known or not bounds.still_run.is_known else bounds.flat_run,
    lambda bounds: (
        f"{bounds.still_run.high:.0f} in a row with an unmoved close, {bounds.flat_run.high:.0f} without a range"
    ),
)

_FINITE = f"every price is a finite number, at most {validity.TOO_HIGH:g}"
_POSITIVE = f"every price is above zero, at least {validity.TOO_LOW:g}"
RULES: tuple[Rule, ...] = (
    Rule("V1", "fault", _FINITE, "path rejected", breaches.not_finite, bad=True, hard=True),
    Rule("V2", "fault", _POSITIVE, "path rejected", lambda view: view.small, bad=True, hard=True),
    Rule(
        "V3",
        "breach",
        "high and low enclose open and close",
        "high and low moved out",
        breaches.not_enclosed,
        repair.enclosed,
        turn=6,
        bad=True,
    ),
    Rule(
        "V4",
        "breach",
        "volume is a number and not negative",
        "set to 0; path rejected where it is no number",
        breaches.no_quantity,
        repair.not_negative,
        turn=2,
        bad=True,
    ),
    Rule(
        "V4-lots",
        "form",
        "volume is a whole number of lots",
        "rounded down",
        breaches.odd_lot,
        repair.whole_lots,
        turn=3,
        needs="lot_size",
        of_history=True,
        misfit="have a volume that is no multiple of it",
    ),
    Rule(
        "V4-idle",
        "suspect",
        "no price moves on zero volume",
        "flagged",
        breaches.moved_untraded,
        form=True,
        needs="volume",
        of_history=True,
    ),
    Rule(
        "V5",
        "form",
        "amount is volume times a price inside the bar",
        "recomputed",
        breaches.unfit_amount,
        repair.fitting_amount,
        turn=7,
        form=True,
        needs="volume_unit",
        of_history=True,
        misfit="have an amount that is not volume x volume_unit x a price of the bar",
    ),
    Rule(
        "V6",
        "fault",
        "stamps increase and stand on the calendar",
        "stamps taken from the calendar",
        breaches.off_calendar,
        repair.by_calendar,
        turn=1,
        bad=True,
        hard=True,
    ),
    Rule(
        "V7",
        "form",
        "prices are whole ticks",
        "rounded to the nearest tick",
        breaches.off_tick,
        repair.whole_ticks,
        turn=4,
        needs="tick_size",
        of_history=True,
        misfit="have a price that is no multiple of it",
    ),
    Rule(
        "V8",
        "breach",
        "no price is beyond the price limit",
        "clipped, later bars follow",
        breaches.beyond_limit,
        repair.within_limits,
        turn=5,
        bad=True,
        needs="price_limit",
        of_history=True,
        misfit="have a price beyond it",
    ),
    Rule(
        "V9",
        "suspect",
        "the first open is no further from the last close than history allows",
        "flagged",
        suspects.seam,
        odd=True,
        limit=_sd(lambda bounds: bounds.seam),
    ),
    Rule(
        "V9-inside",
        "suspect",
        "no open inside a session is further from the close before it",
        "flagged",
        suspects.inside,
        odd=True,
        limit=_sd(lambda bounds: bounds.inside),
    ),
    Rule(
        "V10",
        "suspect",
        "no return is far beyond the largest of history",
        "flagged",
        suspects.jump,
        odd=True,
        limit=_JUMP,
    ),
    Rule(
        "V11", "suspect", "no run of unmoved bars is longer than in history", "flagged", suspects.still_run, limit=_RUN
    ),
    Rule(
        "V11-share",
        "suspect",
        "the share of unmoved bars is one that history has",
        "flagged",
        suspects.still_share,
        limit=_share(lambda bounds: bounds.still_share),
    ),
    Rule(
        "V12",
        "suspect",
        "no more bars with a single price than in history",
        "flagged",
        suspects.locked_share,
        limit=_share(lambda bounds: bounds.locked_share),
    ),
)
RULE = {rule.id: rule for rule in RULES}


def rows(exchange: Exchange, bounds: ReferenceBounds, broken: Mapping[str, NDArray[np.bool_]]) -> tuple[RuleCount, ...]:
    """Return the account's row of each rule; ``broken`` as :func:`history_breaches` returns it."""
    return tuple(rule.row(exchange, bounds, broken) for rule in RULES)


def find(view: View) -> dict[str, Suspects]:
    """Return what each rule that can be judged finds, in the rules' order; without a history V1 to V8."""
    rules = [rule for rule in RULES if rule.limit is None or view.history is not None]
    found = {rule.id: rule.found(view) for rule in rules}
    return {rule: flags for rule, flags in found.items() if flags is not None}


def mend(view: View) -> PathSet:
    """Return paths that break none of V3 to V8, changed as little as that takes; mending twice changes nothing.

    Raises:
        ValueError: a price is not finite and positive, or a volume not finite: such a path cannot be mended.
    """
    bars = Mending.of(view)
    for rule in sorted(RULES, key=lambda rule: rule.turn):
        bars = bars if rule.mend is None else rule.mend(view, bars)
    return bars.onto(view.paths)


def history_breaches(exchange: Exchange, history: Candles) -> dict[str, NDArray[np.bool_]]:
    """Return which bars of the history [bar - 1], from the second on, break each rule that real bars can break."""
    first = float(history.close[0])
    real = PathSet.from_history(history.rows(1, len(history)), first)
    view = View(real, exchange, first, history.timestamps, history.timestamps[0])
    found = {rule.id: rule.found(view) for rule in RULES if rule.of_history}
    return {rule: flags.bars[0] for rule, flags in found.items() if flags is not None}


def misfits(market: Market, broken: Mapping[str, NDArray[np.bool_]]) -> tuple[Flag, ...]:
    """Flag what the spec says of the market where more than 1 % of the history's own bars do not keep to it.

    Args:
        market: the spec's section.
        broken: as :func:`history_breaches` returns it.
    """
    flagged = []
    for rule in RULES:
        declared = getattr(market, rule.needs) if rule.misfit else None
        flags = broken.get(rule.id)
        if declared is None or flags is None or flags.mean() <= MISFIT:
            continue
        rows = tuple((np.flatnonzero(flags) + 1).tolist())
        message = f"{declared:g} is declared, but {flags.mean():.0%} of the history's bars {rule.misfit}"
        flagged.append(Flag(f"market.{rule.needs}", message, rows))
    return tuple(flagged)
