"""Stylized facts by origin as a table: what came, ranked among the paths of its own context, fact by fact (mode A).

Owns the columns. Does not judge: labels come from the run.
"""

from __future__ import annotations

from typing import Any

from scenario_gen.checks.inference import FactVerdict
from scenario_gen.report import numbers, words
from scenario_gen.report.cells import Cell, Head, Row, Table
from scenario_gen.report.facts import GROUPS, difference, label_counts, means, untestable_lines
from scenario_gen.report.numbers import plain, small_q
from scenario_gen.report.words import name, plural, say
from scenario_gen.store.results import FactsReport

HEADS = (
    Head("Fact", left=True),
    Head("What came", "mean"),
    Head("Paths", "mean"),
    Head("Effect", "½ − mean rank"),
    Head("q"),
    Head("Found from"),
    Head("Label", left=True),
)


def origin_facts(found: FactsReport | None, at: str) -> dict[str, Any] | None:
    """Return sentence, table and what could not be judged of the facts of a calibration; None where it has none.

    Args:
        found: of the calibration.
        at: where it stands in run.json.
    """
    if found is None:
        return None
    return {
        "sentence": say(
            words.ORIGIN_FACTS,
            origins=numbers.count(found.design.windows),
            bars=plural(found.design.bars, "bar"),
            labels=label_counts(found),
        ),
        "table": _table(found, at),
        "untestable": untestable_lines(found),
    }


def _table(found: FactsReport, at: str) -> Table:
    rows: list[Row] = []
    for group, title in GROUPS.items():
        members = [
            (number, fact)
            for number, fact in enumerate(found.facts)
            if fact.group == group and fact.label not in (None, "UNTESTABLE")
        ]
        rows += [Row(title, css="grp")] if members else []
        rows += [_row(fact, f"{at}/facts/{number}") for number, fact in members]
    return Table("", HEADS, tuple(rows), css="stack")


def _row(fact: FactVerdict, at: str) -> Row:
    cells = (
        *means(fact, at),
        difference(fact, at, "comparison"),
        Cell(small_q(fact.q, f"{at}/q"), css="hide-s"),
        Cell(plain(fact.mde, "number", f"{at}/mde", decimals=2), css="hide-s"),
        Cell(label=fact.label, css="l vd"),
    )
    return Row(name(fact.title[:1].upper() + fact.title[1:], 90), fact.fact, cells)
