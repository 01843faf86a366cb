"""The rules by name: title, kind, remedy, and what the history itself says of each.

Owns the list that tables, files and tests iterate. Knows thresholds as values, not how they are found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenario_gen.candles.account import Kind, RuleNote
from scenario_gen.candles.breaches import Exchange, find_breaches
from scenario_gen.candles.reference import Bound, ReferenceBounds
from scenario_gen.market.candles import Candles, Flag
from scenario_gen.market.paths import PathSet
from scenario_gen.market.section import Market

_RULES: tuple[tuple[str, Kind, str, str], ...] = (
    ("V1", "fault", "every price is a finite number", "path rejected"),
    ("V2", "fault", "every price is above zero", "path rejected"),
    ("V3", "breach", "high and low enclose open and close", "high and low moved out"),
    ("V4", "breach", "volume is a number and not negative", "set to 0; path rejected where it is no number"),
    ("V4-lots", "form", "volume is a whole number of lots", "rounded down"),
    ("V4-idle", "suspect", "no price moves on zero volume", "flagged"),
    ("V5", "form", "amount is volume times a price inside the bar", "recomputed"),
    ("V6", "fault", "stamps increase and stand on the calendar", "stamps taken from the calendar"),
    ("V7", "form", "prices are whole ticks", "rounded to the nearest tick"),
    ("V8", "breach", "no price is beyond the price limit", "clipped, later bars follow"),
    ("V9", "suspect", "the first open is no further from the last close than history allows", "flagged"),
    ("V9-inside", "suspect", "no open inside a session is further from the close before it", "flagged"),
    ("V10", "suspect", "no return is far beyond the largest of history", "flagged"),
    ("V11", "suspect", "no run of unmoved bars is longer than in history", "flagged"),
    ("V11-share", "suspect", "the share of unmoved bars is one that history has", "flagged"),
    ("V12", "suspect", "no more bars with a single price than in history", "flagged"),
)
TITLES = {rule: title for rule, _, title, _ in _RULES}
MISFIT = 0.01  # of the history's bars: a few are errors of the source, more are an error of the spec
_DECLARED = {
    "V4-lots": ("lot_size", "have a volume that is no multiple of it"),
    "V5": ("volume_unit", "have an amount that is not volume x volume_unit x a price of the bar"),
    "V7": ("tick_size", "have a price that is no multiple of it"),
    "V8": ("price_limit", "have a price beyond it"),
}


def rule_notes(
    exchange: Exchange, bounds: ReferenceBounds, broken: Mapping[str, NDArray[np.bool_]]
) -> tuple[RuleNote, ...]:
    """Return the notes of all rules in their order; ``broken`` as :func:`history_breaches` returns it."""
    limits = _limits(bounds)
    notes = []
    for rule, kind, title, action in _RULES:
        bound = limits.get(rule)
        unjudged = exchange.unjudged.get(rule, "")
        if bound is not None and not bound.is_known:
            unjudged = bound.source
        source = _in_words(rule, bounds) if bound is not None and bound.is_known else ""
        share = float(broken[rule].mean()) if rule in broken else None
        notes.append(RuleNote(rule, title, kind, action, unjudged, source, share))
    return tuple(notes)


def _limits(bounds: ReferenceBounds) -> dict[str, Bound]:
    jump = bounds.jump if bounds.jump.is_known else bounds.robust_jump
    run = bounds.still_run if not bounds.still_run.is_known else bounds.flat_run
    return {
        "V9": bounds.seam,
        "V9-inside": bounds.inside,
        "V10": jump,
        "V11": run,
        "V11-share": bounds.still_share,
        "V12": bounds.locked_share,
    }


def _in_words(rule: str, bounds: ReferenceBounds) -> str:
    """Return a rule's threshold with its unit and where it comes from."""
    if rule == "V10":
        known = [
            f"{bound.high:.3g} {unit}"
            for bound, unit in ((bounds.jump, "sd"), (bounds.robust_jump, "robust sd (1.4826 MAD)"))
            if bound.high is not None
        ]
        return f"{' or '.join(known)}: {_limits(bounds)['V10'].source}"
    if rule == "V11":
        runs = f"{bounds.still_run.high:.0f} in a row with an unmoved close, {bounds.flat_run.high:.0f} without a range"
        return f"{runs}: {bounds.still_run.source}"
    bound = _limits(bounds)[rule]
    if rule.startswith("V9"):
        return f"{bound.high:.3g} sd: {bound.source}"
    low = "" if bound.low is None else f"{bound.low:.1%} to "
    return f"{low}{bound.high:.1%} of a path: {bound.source}"


def notes_for(paths: PathSet, notes: tuple[RuleNote, ...], found: Mapping[str, object]) -> tuple[RuleNote, ...]:
    """Return the notes with the reason where these paths lack a column that a rule needs."""
    lacking = " or ".join(name for name in ("volume", "amount") if name not in paths.fields)
    reason = f"the paths have no {lacking}" if lacking else "half of the context's closes do not move"
    return tuple(note if note.unjudged or note.rule in found else replace(note, unjudged=reason) for note in notes)


def misfits(market: Market, broken: Mapping[str, NDArray[np.bool_]]) -> tuple[Flag, ...]:
    """Flag what the spec says of the market where more than 1 % of the history's own bars do not keep to it.

    Args:
        market: the spec's section.
        broken: as :func:`history_breaches` returns it.
    """
    found = []
    for rule, (key, what) in _DECLARED.items():
        declared, flags = getattr(market, key), broken.get(rule)
        if declared is None or flags is None or flags.mean() <= MISFIT:
            continue
        rows = tuple((np.flatnonzero(flags) + 1).tolist())
        told = f"{declared:g} is declared, but {flags.mean():.0%} of the history's bars {what}"
        found.append(Flag(f"market.{key}", told, rows))
    return tuple(found)


def history_breaches(exchange: Exchange, history: Candles) -> dict[str, NDArray[np.bool_]]:
    """Return which bars of the history [bar - 1], from the second on, break each rule that real bars can break."""
    first = float(history.close[0])
    real = PathSet.from_history(history.rows(1, len(history)), first)
    found = find_breaches(real, exchange, first, history.timestamps, history.timestamps[0])
    return {rule: found[rule][0] for rule in ("V4-lots", "V4-idle", "V5", "V7", "V8") if rule in found}
