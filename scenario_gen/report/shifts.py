"""What the repair did to stylized facts, as a table: the paths that it changed, before and after.

Owns which facts are shown: run.json holds all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from scenario_gen.checks.facts import FACT
from scenario_gen.report import numbers, words
from scenario_gen.report.candles import estimate_of
from scenario_gen.report.cells import Cell, Head, PlacedScenario, Row, Table
from scenario_gen.report.numbers import Shown, bracketed
from scenario_gen.report.words import say, text_of
from scenario_gen.store.results import FactShift

# Facts that always stand in the table of shifts: what moving highs and lows out is known to move, and the volatility
# that a price limit cuts.
ALWAYS = {
    "log_sd": "volatility (log)",
    "logPK_oc": "range to body variance (log)",
    "body_frac": "body’s share of the range",
    "acf_rng_1_5": "clustering of ranges",
    "absr_rng_corr": "return size with range",
}


def shift_table(scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return what repair did to facts of the paths that it changed; None where it changed none.

    Five stand there always, the others where they moved by more than a tenth of a standard deviation.
    """
    changed = [placed for placed in scenarios if placed.scenario.candles.facts]
    if not changed:
        return None
    shifts = [shift for placed in changed for shift in placed.scenario.candles.facts]
    known = [fact for fact in ALWAYS if any(shift.fact == fact for shift in shifts)]
    facts = list(dict.fromkeys([*known, *(shift.fact for shift in shifts if shift.moved)]))
    rows = [
        Row(ALWAYS.get(fact) or FACT[fact].title, fact, tuple(_shift_cell(placed, fact) for placed in changed))
        for fact in facts
    ]
    heads = (Head("Statistic of a path", left=True), *(Head(placed.title) for placed in changed))
    return Table("", heads, tuple(rows), css="stack shifts")


def _shift_cell(placed: PlacedScenario, fact: str) -> Cell:
    for at, shift in enumerate(placed.scenario.candles.facts):
        if shift.fact == fact:
            source = f"{placed.at}/candles/facts/{at}/shift"
            shown = bracketed(estimate_of(shift.shift), "number", source, decimals=2)
            return Cell(shown, note=_before_and_after(shift))
    return Cell(Shown(numbers.NOT_APPLICABLE))


def _before_and_after(shift: FactShift) -> str:
    if shift.raw is None or shift.repaired is None:
        return ""
    return f"{numbers.fixed(shift.raw, 3)} → {numbers.fixed(shift.repaired, 3)}"


def shift_caption(scenarios: Sequence[PlacedScenario]) -> str:
    """Return what the table of shifts shows, and what is in run.json alone."""
    found = [placed.scenario.candles for placed in scenarios if placed.scenario.candles.facts]
    facts = numbers.count(max((len(account.facts) for account in found), default=0))
    paths = numbers.count(max((shift.shift.n for account in found for shift in account.facts), default=0))
    return text_of(say(words.SHIFTS, facts=facts, paths=paths))
