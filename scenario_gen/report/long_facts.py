"""Facts of a long sample as a table: the whole history beside the paths pooled, shown and never judged.

Owns the columns.
"""

from __future__ import annotations

from scenario_gen.checks.inference import LongFigure
from scenario_gen.report.cells import Cell, Head, PlacedScenario, Row, Table
from scenario_gen.report.numbers import plain


def long_table(base: PlacedScenario) -> Table | None:
    """Return the facts of a long sample, of the history and of the paths pooled; None where none was measured."""
    found = base.scenario.facts
    if found is None or not found.long:
        return None
    rows = tuple(_long_row(figure, f"{base.at}/facts/long/{number}") for number, figure in enumerate(found.long))
    heads = (
        Head("Fact", left=True),
        Head("History", "all of it"),
        Head("Paths", "pooled"),
        Head("Why there is no value", left=True),
    )
    return Table("", heads, rows, css="stack")


def _long_row(figure: LongFigure, at: str) -> Row:
    why = "; ".join(
        f"{side}: {reason}"
        for side, reason in (("history", figure.real_reason), ("paths", figure.synthetic_reason))
        if reason
    )
    cells = (
        Cell(plain(figure.real, "number", f"{at}/real", decimals=_digits(figure.real))),
        Cell(plain(figure.synthetic, "number", f"{at}/synthetic", decimals=_digits(figure.synthetic))),
        Cell(text=why[:1].upper() + why[1:], css="l why"),
    )
    return Row(f"{figure.title[:1].upper()}{figure.title[1:]}", figure.fact, cells)


def _digits(value: float | None) -> int:
    return 3 if value is not None and abs(value) < 0.095 else 2
