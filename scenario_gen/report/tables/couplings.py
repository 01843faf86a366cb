"""Tables of couplings: the correlation of each pair of assets, aimed at, used and reached; and the uniforms' order.

Owns which number stands in which column. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from scenario_gen.joint.results import CouplingReport
from scenario_gen.report.table import Column, Ref, Table, tabulate

MOST_PAIRS = 45  # of ten assets; of more the pairs that are furthest from what was aimed at


@dataclass(frozen=True)
class CoupledPair:
    """Two assets of a book."""

    assets: str
    target: float
    used: float | None  # None where uniforms have no correlation of their own
    reached: float
    error: float  # standard error of what was reached

    @property
    def share(self) -> float | None:
        """What was reached over what was aimed at; None where next to nothing was."""
        return self.reached / self.target if abs(self.target) > 0.05 else None


def pairs_of(report: CouplingReport) -> list[CoupledPair]:
    """Return the pairs of a book, at most 45, in the assets' order."""
    pairs = [
        CoupledPair(
            f"{report.assets[i]} / {report.assets[j]}",
            report.target[i][j],
            report.used[i][j] if report.used else None,
            report.reached[i][j],
            report.reached_error[i][j],
        )
        for i, j in combinations(range(len(report.assets)), 2)
    ]
    furthest = sorted(pairs, key=lambda pair: -abs(pair.target - pair.reached))[:MOST_PAIRS]
    return [pair for pair in pairs if pair in furthest]


def couplings_table(report: CouplingReport, title: str) -> Table:
    """Return one row per pair of assets."""
    columns = [
        Column("aimed at", "target", ".3f"),
        Column("of uniforms", "used", ".3f"),
        Column("reached", "reached", ".3f"),
        Column("error", "error", ".3f"),
        Column("of the aim", "share", ".0%"),
    ]
    pairs = pairs_of(report)
    return tabulate("assets", columns, [Ref(pair, "") for pair in pairs], lambda row: row.value.assets, title=title)


def coupling_lines(report: CouplingReport) -> Iterator[str]:
    """Yield what else is known of a coupling, in words."""
    kind = {"dated": "the same dated bars of history in all assets"}.get(report.copula, f"{report.copula} copula")
    degrees = "" if report.degrees is None else f" with {report.degrees:.1f} degrees of freedom"
    span = f", {report.start.split('T')[0]} to {report.end.split('T')[0]}" if report.start else ""
    yield f"{kind}{degrees}; read from {report.bars:,} common bars{span}"
    if report.order:
        ranks = ", ".join(f"{asset} {rank:.2f}" for asset, rank in report.order_rank.items())
        yield f"order of tokens: {report.order}; rank correlation of a bar's first uniform and its return: {ranks}"
    yield from (f"note: {note}" for note in report.notes)
