"""Tables as values: heads, rows and cells that the template draws without deciding anything.

Owns these values, where a strategy stands in run.json, and the numbers that several tables share. Does not
know HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from scenario_gen.report import numbers
from scenario_gen.report.numbers import Shown, bracketed, share
from scenario_gen.report.strips import FactStrip, Strip, Tick
from scenario_gen.report.words import name
from scenario_gen.store.limits import drawdown_share
from scenario_gen.store.results import Estimate, Label, MetricSummary, ScenarioResult, StrategyResult, StressRun


@dataclass(frozen=True)
class Head:
    """A column's head; ``short`` is its label on a phone."""

    text: str
    unit: str = ""
    left: bool = False
    ticks: tuple[Tick, ...] = ()

    @property
    def short(self) -> str:
        """The head in one line."""
        return f"{self.text}, {self.unit}" if self.unit else self.text


@dataclass(frozen=True)
class Cell:
    """One cell: a number, a label, a strip or words; ``css`` names its class."""

    shown: Shown | None = None
    label: Label | None = None
    strip: Strip | None = None
    fact: FactStrip | None = None
    text: str = ""
    note: str = ""
    css: str = ""
    mark: str = ""  # letter of the reason below the table


@dataclass(frozen=True)
class Row:
    """A row header and its cells; a group row has no cells."""

    head: str
    unit: str = ""
    cells: tuple[Cell, ...] = ()
    css: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption and the reasons for numbers that are not shown."""

    caption: str
    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    lead: str = ""
    css: str = ""
    reasons: tuple[tuple[str, str], ...] = ()
    source: str = ""
    axes: tuple[tuple[str, tuple[Tick, ...]], ...] = field(default=())


@dataclass(frozen=True)
class Placed:
    """A strategy's result with its place in run.json and its colour ("1" to "4", or "r")."""

    strategy: StrategyResult
    at: str
    css: str = "1"

    @property
    def title(self) -> str:
        """The strategy's name, fit for a label."""
        return name(self.strategy.name)

    @property
    def parameters(self) -> str:
        """The strategy's parameters in one line, unless its name states them already."""
        stated = ", ".join(f"{key}={value}" for key, value in self.strategy.params.items())
        return "" if stated in self.strategy.name else name(stated, 90)

    def metric(self, key: str) -> tuple[MetricSummary | None, str]:
        """Return one metric's summary, or None, and its place in run.json."""
        for number, summary in enumerate(self.strategy.metrics):
            if summary.metric == key:
                return summary, f"{self.at}/metrics/{number}"
        return None, f"{self.at}/metrics"


@dataclass(frozen=True)
class PlacedScenario:
    """A scenario with its place in run.json."""

    scenario: ScenarioResult
    at: str

    @property
    def title(self) -> str:
        """The scenario's name, fit for a label."""
        return name(self.scenario.name)

    def strategies(self, colours: Sequence[str] = ()) -> list[Placed]:
        """Return its strategies, each with its place and its colour."""
        padded = [*colours, *["r"] * len(self.scenario.strategies)]
        return [
            Placed(strategy, f"{self.at}/strategies/{number}", padded[number])
            for number, strategy in enumerate(self.scenario.strategies)
        ]


def place(run: StressRun) -> list[PlacedScenario]:
    """Return every scenario with its place in run.json."""
    return [PlacedScenario(scenario, f"scenarios/{number}") for number, scenario in enumerate(run.scenarios)]


def quantile(placed: Placed, metric: str, level: str, form: numbers.Form, *, decimals: int = 0) -> Shown:
    """Return a quantile of a metric with its interval."""
    summary, at = placed.metric(metric)
    if summary is None or level not in summary.quantiles:
        return Shown(numbers.NOT_APPLICABLE, source=at)
    return bracketed(summary.quantiles[level], form, f"{at}/quantiles/{level}", decimals=decimals)


def stacked(heads: Iterable[Head], rows: Iterable[Row]) -> Table:
    """Return a table that becomes a stack of cards on a narrow screen, its refused numbers explained under it."""
    return with_reasons(Table("", tuple(heads), tuple(rows), css="stack"))


def with_reasons(table: Table) -> Table:
    """Mark every refused number with a letter and list the reasons under the table."""
    letters: dict[str, str] = {}
    rows = []
    for row in table.rows:
        cells = []
        for cell in row.cells:
            reason = cell.shown.reason if cell.shown is not None else ""
            mark = letters.setdefault(reason, "abcdefghijklmnopqrstuvwxyz"[min(len(letters), 25)]) if reason else ""
            cells.append(replace(cell, mark=mark))
        rows.append(replace(row, cells=tuple(cells)))
    reasons = tuple((letter, reason) for reason, letter in letters.items())
    return replace(table, rows=tuple(rows), reasons=reasons)


def decision_share(placed: Placed, limit: float | None) -> Shown:
    """Return the share of paths beyond the drawdown limit, or that lose where no drawdown is declared."""
    if limit is None:
        return share(placed.strategy.probability_of_loss, f"{placed.at}/probability_of_loss")
    for number, (level, _) in enumerate(placed.strategy.drawdown_beyond):
        if abs(level - limit) < 1e-9:
            return share(drawdown_share(placed.strategy, limit), f"{placed.at}/drawdown_beyond/{number}/1")
    return share(drawdown_share(placed.strategy, limit), f"{placed.at}/drawdown_beyond")


def decision_estimate(strategy: StrategyResult, limit: float | None) -> Estimate:
    """Return the Estimate behind :func:`decision_share`."""
    return strategy.probability_of_loss if limit is None else drawdown_share(strategy, limit)


def rate(estimate: Estimate) -> float | None:
    """Return a share as a number for ranks and ranges, also where it is too rare to be shown as a rate."""
    if estimate.value is None and estimate.count is not None and estimate.n:
        return estimate.count / estimate.n
    return estimate.value


def realised_metric(strategy: StrategyResult, key: str) -> float | None:
    """Return a metric of what really happened over the same bars as the paths.

    None where the history ends before the horizon does: a return over fewer bars has no place in this
    distribution.
    """
    realised = strategy.realised
    if realised is None or realised.bars != strategy.equity_fan.bars[-1]:
        return None
    return realised.metrics.get(key)
