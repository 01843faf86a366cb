"""Tables that give an account: dial, every metric, trades.

Owns the columns of these tables. Does not judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scenario_gen.report import numbers
from scenario_gen.report.cells import Cell, Head, Placed, PlacedScenario, Row, Table, stacked
from scenario_gen.report.numbers import Shown, bracketed, decimals_for, plain, plus_minus, standard_error
from scenario_gen.report.strips import Axis, Strip, Tick, axis_over
from scenario_gen.report.words import name
from scenario_gen.store.results import Estimate, NamedPath, ScenarioResult

MOST_TRADES = 40


def dial_table(scenarios: Sequence[PlacedScenario], describe: Callable[[ScenarioResult], str]) -> Table:
    """Return how volatile each generator's paths are beside their context."""
    values = [v for placed in scenarios for v in placed.scenario.volatility_ratio.values()]
    axis = axis_over([*values, 1.0])
    ticks = tuple(Tick(axis.at(tick), f"{tick:g}") for tick in axis.ticks)
    heads: tuple[Head, ...] = (
        Head("Scenario", left=True),
        Head("Generator", left=True),
        Head("Volatility / context", ticks=ticks),
    )
    heads += (Head("5%"), Head("Median"), Head("95%"))
    rows = []
    for placed in scenarios:
        ratio = placed.scenario.volatility_ratio
        cells = [Cell(text=describe(placed.scenario), css="l gen"), _dial_cell(ratio, axis, placed)]
        for level in ("0.05", "0.5", "0.95"):
            shown = plain(ratio.get(level), "number", f"{placed.at}/volatility_ratio/{level}", decimals=2)
            cells.append(Cell(shown))
        rows.append(Row(placed.title, "baseline" if placed.scenario.role == "baseline" else "", tuple(cells)))
    return Table("", heads, tuple(rows), css="stack dial")


def _dial_cell(ratio: dict[str, float], axis: Axis, placed: PlacedScenario) -> Cell:
    if not {"0.05", "0.5", "0.95"} <= set(ratio):
        return Cell(Shown(numbers.NOT_APPLICABLE))
    marks = Strip(
        outer=(axis.at(ratio["0.05"]), axis.at(ratio["0.95"])), inner=None, median=axis.at(ratio["0.5"]),
        bracket=None, realised=None, limit=None, zero=axis.at(1.0),
        aria=", ".join(f"{key} {numbers.fixed(ratio[key], 2)}" for key in ("0.05", "0.5", "0.95")),
    )  # fmt: skip
    return Cell(strip=marks, css=f"gcell {'cr' if placed.scenario.role == 'baseline' else 'c1'}")


def metric_table(placed: Placed, titles: dict[str, tuple[str, numbers.Form]]) -> Table:
    """Return every metric of one strategy: mean, quantiles and on how many paths it is not applicable."""
    levels = (("0.05", "5%"), ("0.5", "Median"), ("0.95", "95%"))
    rows = []
    for number, summary in enumerate(placed.strategy.metrics):
        at = f"{placed.at}/metrics/{number}"
        title, form = titles.get(summary.metric, (name(summary.metric.replace("_", " ")), "number"))
        errors = [standard_error(estimate) for estimate in (summary.mean, *summary.quantiles.values())]
        digits = min(decimals_for(errors), 2) if form == "number" else 0
        cells = [Cell(plus_minus(summary.mean, form, f"{at}/mean", decimals=max(digits, 1) if form == "number" else 1))]
        cells = [
            Cell(plus_minus(summary.mean, "number" if form == "count" else form, f"{at}/mean", decimals=max(digits, 1)))
        ]
        for level, _ in levels:
            estimate = summary.quantiles.get(level, Estimate(None))
            cells.append(Cell(bracketed(estimate, form, f"{at}/quantiles/{level}", decimals=digits)))
        cells.append(Cell(plain(float(summary.not_applicable), "count", f"{at}/not_applicable")))
        rows.append(Row(title, cells=tuple(cells)))
    heads = (
        Head("Metric", left=True),
        Head("Mean"),
        *(Head(text) for _, text in levels),
        Head("Not applicable", "paths"),
    )
    return stacked(heads, rows)


def trade_table(path: NamedPath) -> Table:
    """Return the round trips on one path, at most 40 of them."""
    texts = ("In, bar", "at", "Out, bar", "at", "Size", "Fees", "Profit")
    heads = (Head("Side", left=True), *(Head(text) for text in texts))
    rows = []
    for trade in path.trades[:MOST_TRADES]:
        texts_of_row = (
            numbers.count(trade.entry_bar), numbers.price(trade.entry_price),
            numbers.count(trade.exit_bar), numbers.price(trade.exit_price),
            numbers.fixed(trade.size, 2), numbers.fixed(trade.fees, 2), numbers.fixed(trade.pnl, 2),
        )  # fmt: skip
        rows.append(Row(trade.side, "open at the end" if trade.open else "", tuple(Cell(text=t) for t in texts_of_row)))
    return Table("", heads, tuple(rows), css="tight")
