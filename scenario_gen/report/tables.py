"""Tables that compare strategies: summary, outcomes, tail, across generators, parameter sets.

Owns which number stands in which column, with its error. Does not know HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from scenario_gen.backtest.uses import class_name
from scenario_gen.finding import cap, worst
from scenario_gen.report import numbers
from scenario_gen.report.cells import (
    Cell,
    Head,
    Placed,
    PlacedScenario,
    Row,
    Table,
    decision_estimate,
    decision_share,
    quantile,
    rate,
    realised_metric,
    stacked,
    with_reasons,
)
from scenario_gen.report.numbers import Shown, bracketed, plus_minus, share
from scenario_gen.report.strips import Axis, axis_over, few_labels, strip, strip_values, tick_labels
from scenario_gen.report.words import name
from scenario_gen.store.limits import judge_strategy
from scenario_gen.store.results import Estimate, ScenarioResult, StressRun

TINTS = (0.02, 0.1, 0.25, 0.5)  # a share beyond these gets the next darker cell


def summary_table(run: StressRun, scenarios: Sequence[PlacedScenario], everywhere: Sequence[PlacedScenario]) -> Table:
    """Return return, tail, limit share and label per scenario and strategy.

    Args:
        run: for limits and findings.
        scenarios: whose rows are shown; more than one gets a group row each.
        everywhere: the scenarios and baselines over which the range runs.
    """
    limit = run.limits.get("max_drawdown")
    realised = any(s.realised is not None for p in everywhere for s in p.scenario.strategies)
    heads = [
        Head("Strategy", left=True),
        Head("Median return"),
        Head("5% quantile of return"),
        Head("CVaR 95%", "loss"),
    ]
    heads.append(Head(f"Drawdown ≥ {numbers.level(limit)}") if limit is not None else Head("Paths that lose"))
    ranges = len(everywhere) > 1
    heads += [Head(f"… range over {len(everywhere)} scenarios")] if ranges else []
    heads += [Head("Paths below what happened")] if realised else []
    heads += [Head("Limits", left=True)] if run.limits else []
    rows: list[Row] = []
    for scenario in scenarios:
        rows += [_group(scenario)] if len(scenarios) > 1 else []
        for number, placed in enumerate(scenario.strategies()):
            cells = _summary_cells(placed, limit)
            cells += [_range_cell(everywhere, number, limit)] if ranges else []
            cells += [_realised_cell(placed)] if realised else []
            cells += [_limit_cell(run, scenario.scenario, placed)] if run.limits else []
            rows.append(Row(placed.title, placed.parameters, tuple(cells)))
    return stacked(heads, rows)


def _group(scenario: PlacedScenario, unit: str = "") -> Row:
    role = "baseline" if scenario.scenario.role == "baseline" else "scenario"
    return Row(scenario.title, unit or role, css="grp")


def _summary_cells(placed: Placed, limit: float | None) -> list[Cell]:
    strategy = placed.strategy
    cvar = strategy.cvar.get("0.95", Estimate(None))
    return [
        Cell(quantile(placed, "total_return", "0.5", "signed percent")),
        Cell(quantile(placed, "total_return", "0.05", "signed percent")),
        Cell(plus_minus(cvar, "percent", f"{placed.at}/cvar/0.95")),
        Cell(decision_share(placed, limit)),
    ]


def _range_cell(everywhere: Sequence[PlacedScenario], number: int, limit: float | None) -> Cell:
    rates = [
        value
        for placed in everywhere
        if number < len(placed.scenario.strategies)
        and (value := rate(decision_estimate(placed.scenario.strategies[number], limit))) is not None
    ]
    if len(rates) < 2:
        return Cell(Shown(numbers.NOT_APPLICABLE))
    return Cell(text=f"{numbers.percent(min(rates)).rstrip('%')}–{numbers.percent(max(rates))}", css="nw")


def _realised_cell(placed: Placed) -> Cell:
    realised = placed.strategy.realised
    if realised is None:
        return Cell(Shown(numbers.NOT_APPLICABLE))
    return Cell(share(realised.percentile, f"{placed.at}/realised/percentile"))


def _limit_cell(run: StressRun, scenario: ScenarioResult, placed: Placed) -> Cell:
    judged = worst(verdict.label for verdict in judge_strategy(placed.strategy, run.limits))
    return Cell(
        label=cap(judged, run.findings, scenario.name, bad_bars=scenario.candles.bad_share) if judged else None,
        css="l vd",
    )


def outcome_table(
    run: StressRun, scenarios: Sequence[PlacedScenario], colours: Sequence[str], shown: Sequence[int]
) -> Table:
    """Return one group per strategy, one row per scenario, with strips of return and drawdown.

    Args:
        run: for its limits.
        scenarios: with baselines.
        colours: of each strategy.
        shown: numbers of the strategies to show, in order.
    """
    limit = run.limits.get("max_drawdown")
    strategies = [scenario.strategies(colours) for scenario in scenarios]
    everything = [each[number] for each in strategies for number in shown if number < len(each)]
    returns, falls = (_axis(everything, key) for key in ("total_return", "max_drawdown"))
    heads = (
        Head("Scenario", left=True),
        Head("Total return", ticks=tick_labels(returns)),
        Head("5% quantile of return"),
        Head("Paths that lose"),
        Head("Deepest drawdown", ticks=tick_labels(falls)),
        Head(f"Drawdown ≥ {numbers.level(limit)}" if limit is not None else "95% quantile of drawdown"),
    )
    rows: list[Row] = []
    for number in shown:
        having = [pair for pair in zip(scenarios, strategies, strict=True) if number < len(pair[1])]
        for first, (scenario, each) in enumerate(having):
            placed = each[number]
            rows += [Row(placed.title, placed.parameters, css="grp")] if first == 0 else []
            rows.append(_outcome_row(scenario, placed, (returns, falls), limit))
    axes = (("Total return", few_labels(returns)), ("Deepest drawdown", few_labels(falls)))
    return with_reasons(Table("", heads, tuple(rows), css="stack outt", axes=axes))


def _axis(everything: Iterable[Placed], key: str) -> Axis:
    summaries = [summary for placed in everything if (summary := placed.metric(key)[0]) is not None]
    realised = [value for placed in everything if (value := realised_metric(placed.strategy, key)) is not None]
    return axis_over([*strip_values(summaries), *realised])


def _outcome_row(scenario: PlacedScenario, placed: Placed, axes: tuple[Axis, Axis], limit: float | None) -> Row:
    css = "cr" if scenario.scenario.role == "baseline" else f"c{placed.css}"
    loss = share(placed.strategy.probability_of_loss, f"{placed.at}/probability_of_loss")
    tail = decision_share(placed, limit) if limit is not None else quantile(placed, "max_drawdown", "0.95", "percent")
    cells = (
        _strip_cell(placed, "total_return", axes[0], ("0.05", None), f"{css} o1"),
        Cell(quantile(placed, "total_return", "0.05", "signed percent"), css="nw"),
        Cell(loss, css="nw"),
        _strip_cell(placed, "max_drawdown", axes[1], ("0.95", limit), f"{css} o2"),
        Cell(tail, css="nw"),
    )
    return Row(scenario.title, "baseline" if scenario.scenario.role == "baseline" else "", cells)


def _strip_cell(placed: Placed, key: str, axis: Axis, decisive: tuple[str, float | None], css: str) -> Cell:
    summary, _ = placed.metric(key)
    if summary is None:
        return Cell(Shown(numbers.NOT_APPLICABLE))
    decision, limit = decisive
    marks = strip(summary, axis, decision=decision, realised=realised_metric(placed.strategy, key), limit=limit)
    if marks.empty:
        return Cell(quantile(placed, key, decision, "percent"), css=f"gcell l {css}")
    return Cell(strip=marks, css=f"gcell {css}")


def tail_table(strategies: Sequence[Placed]) -> Table:
    """Return VaR, CVaR, drawdown and time under water of one scenario's strategies."""
    heads = ("VaR 95%", "CVaR 95%", "VaR 99%", "CVaR 99%", "Drawdown, 95% quantile")
    rows = []
    for placed in strategies:
        strategy, at = placed.strategy, placed.at
        cells = []
        for level in ("0.95", "0.99"):
            cells.append(Cell(bracketed(strategy.var.get(level, Estimate(None)), "percent", f"{at}/var/{level}")))
            cells.append(Cell(plus_minus(strategy.cvar.get(level, Estimate(None)), "percent", f"{at}/cvar/{level}")))
        cells.append(Cell(quantile(placed, "max_drawdown", "0.95", "percent")))
        cells.append(Cell(quantile(placed, "drawdown_bars", "0.95", "count")))
        cells.append(Cell(quantile(placed, "time_under_water", "0.95", "percent")))
        rows.append(Row(placed.title, placed.parameters, tuple(cells)))
    columns = [Head(text) for text in heads]
    columns += [Head("Longest drawdown, 95% quantile", "bars"), Head("Under water, 95% quantile", "share of bars")]
    return stacked((Head("Strategy", left=True), *columns), rows)


def drawdown_table(strategies: Sequence[Placed]) -> Table:
    """Return the drawdown's quantiles, for runs that counted too few drawdowns for a curve."""
    levels = (("0.5", "median"), ("0.75", "75%"), ("0.95", "95%"), ("0.99", "99%"))
    rows = [
        Row(
            placed.title,
            placed.parameters,
            tuple(Cell(quantile(placed, "max_drawdown", level, "percent")) for level, _ in levels),
        )
        for placed in strategies
    ]
    heads = (Head("Strategy", left=True), *(Head(text) for _, text in levels))
    return stacked(heads, rows)


def across_table(scenarios: Sequence[PlacedScenario], limit: float | None) -> tuple[Table, bool]:
    """Return strategies by generators, with ranks, and whether all generators agree on the order."""
    most = max(len(placed.scenario.strategies) for placed in scenarios)
    columns = [_ranked(placed, limit) for placed in scenarios]
    rows = []
    for number in range(most):
        cells = [column[number] if number < len(column) else Cell(Shown(numbers.NOT_APPLICABLE)) for column in columns]
        first = next(p.strategies()[number] for p in scenarios if number < len(p.scenario.strategies))
        rows.append(Row(first.title, first.parameters, tuple(cells)))
    heads = (Head("Strategy", left=True), *(Head(placed.title) for placed in scenarios))
    same = len({tuple(cell.note for cell in column) for column in columns}) == 1
    return with_reasons(Table("", heads, tuple(rows), css="stack c3")), same


def _ranked(placed: PlacedScenario, limit: float | None) -> list[Cell]:
    rates = [rate(decision_estimate(strategy, limit)) for strategy in placed.scenario.strategies]
    known = [value for value in rates if value is not None]
    cells = []
    for strategy, value in zip(placed.strategies(), rates, strict=True):
        shown = decision_share(strategy, limit)
        if value is None:
            cells.append(Cell(shown))
            continue
        rank = 1 + sum(other < value for other in known)
        tint = sum(value > edge for edge in TINTS)
        cells.append(Cell(shown, note=f"rank {rank} of {len(known)}", css=f"q{tint}"))
    return cells


def sets_table(run: StressRun, scenario: PlacedScenario) -> Table | None:
    """Return the parameter sets of strategies that were tried with several, or None."""
    uses: dict[str, list[Placed]] = {}
    for placed in scenario.strategies():
        uses.setdefault(placed.strategy.use, []).append(placed)
    grids = {use: sets for use, sets in uses.items() if len(sets) > 1}
    if not grids:
        return None
    limit = run.limits.get("max_drawdown")
    rows: list[Row] = []
    for sets in grids.values():
        rows.append(Row(name(class_name(sets[0].strategy.use)), f"{len(sets)} parameter sets", css="grp"))
        rows += [_set_row(placed, limit) for placed in sets]
    decision = f"Drawdown ≥ {numbers.level(limit)}" if limit is not None else "Paths that lose"
    heads = (Head("Parameters", left=True), Head("Median return"), Head("5% quantile of return"), Head(decision))
    return stacked(heads, rows)


def _set_row(placed: Placed, limit: float | None) -> Row:
    stated: Any = ", ".join(f"{key}={value}" for key, value in placed.strategy.params.items())
    cells = (
        Cell(quantile(placed, "total_return", "0.5", "signed percent")),
        Cell(quantile(placed, "total_return", "0.05", "signed percent")),
        Cell(decision_share(placed, limit)),
    )
    return Row(name(stated, 90), cells=cells)
