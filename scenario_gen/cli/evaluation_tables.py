"""An evaluation on the terminal. Computes nothing."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scenario_gen.forecasts.checkpoint_figures import Evaluation
from scenario_gen.forecasts.checkpoint_tables import Sheet, sheets

WIDTH_OF_A_LOG = 200  # the widest table has eighteen columns


def show_evaluation(found: Evaluation, console: Console | None = None) -> None:
    """Print all tables, then the notes."""
    console = console or _console()
    for sheet in sheets(found):
        console.print(table_of(sheet))
    for note in found.notes:
        console.print(note, markup=False, highlight=False)


def table_of(sheet: Sheet) -> Table:
    """Return a sheet as a table: the first column to the left, numbers to the right."""
    table = Table(title=escape(sheet.title), caption=escape(sheet.caption), caption_style="dim")
    for place, name in enumerate(sheet.header):
        table.add_column(escape(name), justify="right" if place else "left")
    for row in sheet.rows:
        table.add_row(*map(escape, row))
    return table


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_A_LOG)
