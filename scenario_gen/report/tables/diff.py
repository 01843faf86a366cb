"""What differs between two runs, for the terminal: labels first, then what the runs were made of, then figures.

Owns the words and the digits. Computes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from scenario_gen.backtest.metrics import BY_NAME, Form
from scenario_gen.finding import Label
from scenario_gen.report import numbers
from scenario_gen.report.table import Cell, Column, Row, Table, of_texts
from scenario_gen.report.words import name, plural
from scenario_gen.store.diff import RunDiff
from scenario_gen.store.figures import FigureChange, SideBySide

MOST = 12  # moved figures of one strategy of a scenario that are shown
HASH = re.compile(r"[0-9a-f]{64}")
TAILS = {"probability_of_loss": "Paths that lose", "var": "VaR", "cvar": "CVaR"}
UNJUDGED: str = "not judged"
QUANTILES = {"0.05": "5% quantile", "0.5": "median", "0.95": "95% quantile", "mean": "mean"}


def diff_tables(diff: RunDiff) -> list[Table]:
    """Return the tables of a comparison; none of what is the same."""
    tables = (_relabelled(diff), _changes(diff), _moved(diff))
    return [table for table in tables if table.rows]


def diff_lines(diff: RunDiff) -> Iterator[str]:
    """Yield what stands in no table: what one run alone has, how figures were compared, and the verdict."""
    for lacking, where in ((diff.only_first, diff.first), (diff.only_second, diff.second)):
        if lacking:
            yield f"only in {where}: {', '.join(name(each) for each in lacking)}"
    ways = dict.fromkeys((beside.how, beside.reason) for beside in diff.beside)
    for how, reason in ways:
        compared = [beside for beside in diff.beside if (beside.how, beside.reason) == (how, reason)]
        because = f" ({reason})" if reason else ""
        yield f"{how}{because}: {_subjects(compared)}"
    yield verdict(diff)


def _subjects(compared: Iterable[SideBySide]) -> str:
    scenarios: dict[str, int] = {}
    for beside in compared:
        scenarios[beside.scenario] = scenarios.get(beside.scenario, 0) + 1
    return ", ".join(f"{name(scenario)} ({_strategies(count)})" for scenario, count in scenarios.items())


def _strategies(count: int) -> str:
    return "1 strategy" if count == 1 else f"{count} strategies"


def verdict(diff: RunDiff) -> str:
    """Say how many figures moved, and how often any would where nothing did."""
    if not diff.compared:
        return "no figure could be compared"
    if all(beside.how == "same bits" for beside in diff.beside):
        return f"all {plural(diff.compared, 'figure')} are identical: every metric of every path has the same bits"
    rule = (
        f"p-values adjusted for all {diff.compared} (Holm): of runs with the same law any would in at most "
        f"{diff.level:.0%} of comparisons"
    )
    return f"{diff.moved} of {plural(diff.compared, 'figure')} moved beyond the Monte Carlo error; {rule}"


def _relabelled(diff: RunDiff) -> Table:
    heads = [Column(head, left=True) for head in ("first", "second", "finding", "scenario", "strategy", "measured")]
    rows = []
    for change in diff.relabelled:
        labels = (_judged(change.first), _judged(change.second))
        rows.append((*labels, name(change.name), name_or(change.scenario), name_or(change.strategy), change.measured))
    return of_texts(heads, rows, title="Findings with another label")


def _judged(label: Label | None) -> str:
    return UNJUDGED if label is None else label


def name_or(text: str) -> str:
    """Return a name, or nothing where there is none."""
    return name(text) if text else ""


def _changes(diff: RunDiff) -> Table:
    heads = [Column(head, left=True) for head in ("part", "field", "first", "second")]
    rows = [(change.part, change.field, _short(change.first), _short(change.second)) for change in diff.changes]
    return of_texts(heads, rows, title=f"What the runs were made of: {diff.first} and {diff.second}")


def _short(value: Any) -> str:
    """Return a value in one line: of a hash its beginning."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:12] if HASH.fullmatch(text) else text


def _moved(diff: RunDiff) -> Table:
    """Return the figures that moved, below the scenario and strategy that they are of."""
    heads = [Column(head, left=head == "figure") for head in ("figure", "first", "second", "difference", "adjusted p")]
    rows = []
    for beside in diff.beside:
        own = [each for each in diff.figures if each.moved and _is_of(each, beside)]
        if not own:
            continue
        rest = f", of which {MOST} are shown" if len(own) > MOST else ""
        note = f"{beside.how}; {beside.moved} of {beside.figures} moved{rest}"
        rows += [Row(f"{name(beside.scenario)}: {name(beside.strategy)}", note), *map(_row, own[:MOST])]
    caption = "second less first [95 % interval of the Monte Carlo error of the difference]; all figures: --json"
    return Table(tuple(heads), tuple(rows), title="Figures that moved", caption=caption)


def _is_of(change: FigureChange, beside: SideBySide) -> bool:
    return (change.scenario, change.strategy) == (beside.scenario, beside.strategy)


def _row(change: FigureChange) -> Row:
    metric, _, level = change.figure.partition("/")
    known = BY_NAME.get(metric)
    if known is None:
        title = f"{TAILS.get(metric, metric)}{f' {float(level):.0%}' if level else ''}"
    else:
        title = f"{known.title}, {QUANTILES.get(level, level)}"
    form: Form = "percent" if known is None else known.form
    error = numbers.standard_error(change.difference)
    first, second = (_number(value, form, error) for value in (change.first, change.second))
    ends = [change.difference.value, change.difference.low, change.difference.high]
    value, low, high = ("" if end is None else _number(end, form, error) for end in ends)
    cells = (first, second, f"{value} [{low}, {high}]", numbers.small_q(change.p_adjusted, "").text)
    return Row(title, cells=tuple(Cell(text=cell) for cell in cells))


def _number(value: float, form: Form, error: float | None) -> str:
    """Return a number with as many digits as its error lets count."""
    if form in ("percent", "signed percent", "change", "level"):
        return numbers.percent(value, decimals=max(1, numbers.decimals_for([None if error is None else 100 * error])))
    return numbers.fixed(value, numbers.decimals_for([error]))
