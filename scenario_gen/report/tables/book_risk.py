"""Whose loss the tail of a book is: contributions of its assets and strategies, for the page and for the terminal.

Owns which number stands in which column, and the sentences beside them. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from scenario_gen.report.numbers import plain
from scenario_gen.report.table import Answer, Cell, Column, Ref, Row, Table, tabulate
from scenario_gen.report.words import Sentence, name, say

HOLDS, LEVEL = "terminal", 0.975  # the tail whose contributions are shown first: Basel's level of expected shortfall
SENSES = {"terminal": "at the end", "worst_bar": "in the worst bar", "drawdown": "in the deepest drawdown"}
DIVERSIFIED = (
    "{strategy}: the book loses {es} on average in its worst {tail} {sense}, {ratio} of what its parts lose alone."
)
TOGETHER = (
    "{strategy}: on {paths} of the futures most assets fall beyond their own 5% in one bar; that "
    "costs {loss} of equity in the mean, and happens in {bars} bars of a path where chance alone would have {expected}."
)


def tail_answer(book: Ref) -> Answer | None:
    """Return whose loss the tail of every strategy is; None where no strategy trades several assets."""
    placed = [strategy for strategy in book.each("strategies") if strategy.value.risk is not None]
    if not placed:
        return None
    strategies, risks = [each.value.name for each in placed], [each.find("risk") for each in placed]
    told: list[Sentence] = []
    tables = []
    for strategy, risk in zip(strategies, risks, strict=True):
        tail = _held_to(risk)
        told += [_diversified(strategy, tail)] if tail.value.parts else []
        told += [_together(strategy, risk)] if risk.value.joint is not None else []
        if tail.value.parts:
            tables.append(_parts_table("Asset", name(strategy), tail))
    together = book.find("together")
    if together.value is not None and _held_to(together).value.parts:
        tables.append(
            _parts_table("Strategy", "All strategies, each with an equal part of the capital", _held_to(together))
        )
    rest = _levels_table(strategies, risks)
    return Answer("Whose loss is the tail?", tuple(told), (*tables, rest))


def _held_to(risk: Ref) -> Ref:
    """Return the tail whose contributions are shown."""
    number = next(n for n, tail in enumerate(risk.value.tails) if (tail.sense, tail.level) == (HOLDS, LEVEL))
    return risk.find(f"tails/{number}")


def _diversified(strategy: str, tail: Ref) -> Sentence:
    return say(
        DIVERSIFIED,
        strategy=name(strategy),
        es=Column("", "es", "percent").cell(tail).shown or "",
        tail=f"{100 * (1 - tail.value.level):g}%",
        sense=SENSES[tail.value.sense],
        ratio=Column("", "diversification", "number", decimals=2).cell(tail).shown or "",
    )


def _together(strategy: str, risk: Ref) -> Sentence:
    joint = risk.find("joint")
    return say(
        TOGETHER,
        strategy=name(strategy),
        paths=Column("", "paths", "share").cell(joint).shown or "",
        loss=Column("", "loss", "percent").cell(joint).shown or "",
        bars=Column("", "bars", "number", decimals=2).cell(joint).shown or "",
        expected=plain(joint.value.expected, "number", f"{joint.at}/expected", decimals=3),
    )


def _parts_table(part: str, whose: str, tail: Ref) -> Table:
    columns = (
        Column("Expected shortfall", "es", "percent", unit="of the starting cash", decimals=2),
        Column("Share", "share", "percent", unit="of the book's"),
        Column("At the VaR", "var", "percent"),
        Column("Alone", "alone", "percent"),
        Column("Saved in cash", "saved", "percent"),
    )
    whole = Row(
        "The book",
        cells=(
            Column("", "es", "percent").cell(tail),
            Cell(text="100%"),
            Column("", "var", "percent").cell(tail),
            Cell(),
            Cell(),
        ),
    )
    rows: list[Any] = [*tail.each("parts"), whole]
    return tabulate(
        part,
        columns,
        rows,
        lambda row: name(row.value.name),
        title=f"{whose}: the worst {100 * (1 - tail.value.level):g}% of the futures, {part.lower()} by {part.lower()}.",
        caption=f"Shares add up to the whole (Euler). Alone: if this {part.lower()} were all that is held. Saved: what "
        "the book's expected shortfall would fall by without it. Brackets: 95% Monte Carlo errors.",
    )


def _levels_table(strategies: Sequence[str], risks: Sequence[Ref]) -> Table:
    """Return VaR and expected shortfall of every strategy in three senses at three levels."""
    columns = (
        Column("VaR", "var", "percent"),
        Column("Expected shortfall", "es", "percent"),
        Column("Diversification", "diversification", "number", decimals=2),
        Column("Concentration", "concentration", "number", decimals=2),
        Column("Paths of half the tail", lambda tail: plain(tail.value.half_paths, "count", f"{tail.at}/half_paths")),
    )
    rows: list[Any] = []
    for strategy, risk in zip(strategies, risks, strict=True):
        rows += [Row(name(strategy), css="grp"), *risk.each("tails")]
    return tabulate(
        "Loss",
        columns,
        rows,
        lambda tail: f"{SENSES[tail.value.sense]}, {100 * tail.value.level:g}%",
        title="Every tail of the book.",
        caption="Diversification: expected shortfall over the sum of what the parts would have alone. Concentration: 1 "
        "where one asset loses it all, one over their number where all lose alike.",
    )


# --- The same on the terminal ---


def _in_tail(path: str) -> Callable[[Ref], Ref]:
    """Return where a strategy has a figure of the tail that is shown first."""

    def found(strategy: Ref) -> Ref:
        tails = () if strategy.value.risk is None else strategy.value.risk.tails
        number = next((n for n, tail in enumerate(tails) if (tail.sense, tail.level) == (HOLDS, LEVEL)), None)
        return Ref(None, strategy.at) if number is None else strategy.find(f"risk/tails/{number}/{path}")

    return found


def _largest(strategy: Ref) -> str:
    """Return the part to which the book owes most of that tail, and its share."""
    parts = [part for part in _in_tail("parts")(strategy).value or () if part.share.value is not None]
    most = max(parts, key=lambda part: part.share.value, default=None)
    return "" if most is None else f"{name(most.name)}, {most.share.value:.0%}"


BOOK_RISKS = (
    Column("VaR 97.5%", _in_tail("var"), "percent"),
    Column("Expected shortfall", _in_tail("es"), "percent"),
    Column("Diversification", _in_tail("diversification"), "number", decimals=2),
    Column("Largest part", _largest, left=True),
)
RISKS_CAPTION = (
    "losses at the end; diversification: expected shortfall over the sum of what the assets would have alone; the "
    "largest part of it"
)
