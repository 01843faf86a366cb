"""A check of paths of several assets on the terminal: labels asset by asset, then what lies between them.

Computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scenario_gen.cli.check_tables import ORDER, check_console, facts_table, head_lines, untestable_lines, verdict_line

if TYPE_CHECKING:
    from scenario_gen.pipeline.asset_results import AssetsReport


def show_assets(report: AssetsReport, console: Console | None = None) -> None:
    """Print the labels of every asset, how the assets move together, and what a reader must know."""
    console = console or check_console()
    for name, one in report.assets.items():
        for line in head_lines(one):
            console.print(f"{name}: {line}", markup=False, highlight=False)
    console.print(labels_table(report))
    together = report.cross_asset
    console.print(facts_table(together.facts, together.mode, console.width, title="Assets together"))
    for line in _foot(report):
        console.print(line, markup=False, highlight=False)


def labels_table(report: AssetsReport) -> Table:
    """Return one row per group: its label for each asset, and why the worst one."""
    table = Table(title="Verdicts", caption=ORDER, caption_style="dim")
    for name in ("group", *report.assets, "together", "because"):
        table.add_column(escape(name), overflow="fold")
    for group, label in report.verdicts.items():
        labels = [one.verdicts.get(group, "") for one in report.assets.values()]
        together = "" if any(labels) else label
        table.add_row(group, *labels, together, escape(report.reasons[group]))
    return table


def _foot(report: AssetsReport) -> Iterator[str]:
    together = report.cross_asset
    yield from untestable_lines(together.facts, together.scores)
    for cap in together.design.caps:
        yield f"FAIL of a fact of several assets is called WARN here: {cap}"
    if together.yardstick:
        differ = ", ".join(together.yardstick)
        yield f"the references' own halves differ in {differ}: a perfect model of one would be flagged on the other"
    yield from (*report.notes, *together.notes)
    for name, one in report.assets.items():
        yield from (f"{name}: {note}" for note in one.notes)
    yield verdict_line(report.failed)
    yield "the facts, scores and candle rules of each asset: --json, or a check of its paths alone"
