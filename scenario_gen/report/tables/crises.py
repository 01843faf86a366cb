"""Tables of crises: those of a history, for the terminal; and what strategies did in them, for page and terminal.

Owns which number stands in which column. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from scenario_gen.report.table import Column, Ref, Table, tabulate
from scenario_gen.stress.search import UNRECORDED, Crisis

GAPS = "opens that equal the close before: what hangs on gaps cannot be judged there"


def day(stamp: str) -> str:
    """Return an ISO stamp, as a date where it means a whole day."""
    return stamp.removesuffix("T00:00:00")


def crises_table(listed: Sequence[Crisis], title: str, why: str) -> Table:
    """Return one row per crisis of a history.

    Args:
        listed: measured crises.
        title: of the table.
        why: head of the column that says why a crisis is listed.
    """
    columns = [
        Column("context ends", lambda row: day(row.value.before), left=True, wrap=False),
        Column("to", lambda row: day(row.value.until), left=True, wrap=False),
        Column("bars", "bars", ",d"),
        Column("return", "total_return", "+.1%"),
        Column("drawdown", "drawdown", ".1%"),
        Column("worst bar", "worst_bar", "+.1%"),
        Column("best bar", "best_bar", "+.1%"),
        Column("sd before", "volatility_before", ".2%"),
        Column("onset", lambda row: day(row.value.seeds["onset"]), left=True, wrap=False),
        Column("middle", lambda row: day(row.value.seeds["middle"]), left=True, wrap=False),
        Column(why, lambda row: _why(row.value), left=True),
    ]
    rows = [Ref(crisis, "") for crisis in listed]
    stale = any(not crisis.gaps_recorded for crisis in listed)
    return tabulate(
        Column("crisis", left=True, wrap=False),
        columns,
        rows,
        lambda row: row.value.id,
        title=title,
        caption=f"* more than {UNRECORDED:.0%} of {GAPS}" if stale else "",
    )


def _why(crisis: Crisis) -> str:
    return crisis.why if crisis.gaps_recorded else f"{crisis.why} *"
