"""Tables on what came of each strategy: summary, outcomes, tail, ranks across generators, metrics, trades, the dial.

Owns which number stands in which column of the page. Judges nothing: every label is in the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from scenario_gen.backtest.limits import (
    BY_KEY,
    DRAWDOWN,
    LOSING,
    Figure,
    LimitVerdict,
    Unit,
    judge_strategy,
    quantile_path,
)
from scenario_gen.backtest.metrics import BY_NAME as METRIC, Form
from scenario_gen.backtest.result import NamedPath, StrategyResult
from scenario_gen.finding import cap, worst
from scenario_gen.generators.sections import name_of
from scenario_gen.report import numbers
from scenario_gen.report.drawing.strips import (
    Axis,
    Strip,
    Tick,
    axis_over,
    few_labels,
    strip,
    strip_values,
    tick_labels,
)
from scenario_gen.report.numbers import Shown, decimals_for, percent, plain, standard_error
from scenario_gen.report.table import (
    ABSENT,
    Cell,
    Column,
    Placed,
    PlacedScenario,
    Ref,
    Row,
    Table,
    of_scenario,
    show,
    tabulate,
)
from scenario_gen.report.words import name
from scenario_gen.stats.estimate import Estimate, rate
from scenario_gen.store.results import StressRun

LABEL = "l vd"
MOST_TRADES = 40
LIMIT_FORMS: Mapping[Unit, str] = {"share of paths": "share", "loss": "percent", "return": "percent", "ratio": "number"}
TINTS = (0.02, 0.1, 0.25, 0.5)  # a share beyond these gets the next darker cell


def _quantile(head: str, metric: str, level: str, form: str, unit: str = "", css: str = "") -> Column:
    return Column(head, quantile_path(metric, level), form, unit=unit, css=css)


MEDIAN = _quantile("Median return", "total_return", "0.5", "signed percent")
LOW = _quantile("5% quantile of return", "total_return", "0.05", "signed percent")


def quantile(placed: Placed, metric: str, level: str, form: Form, *, decimals: int = 0) -> Shown:
    """Return a quantile of a metric with its interval."""
    return show(placed.find(quantile_path(metric, level)), form, decimals=decimals)


def decision_share(placed: Placed, limit: float | None) -> Shown:
    """Return the share of paths beyond the drawdown limit, or that lose where no drawdown is declared."""
    return _figure(placed, _decisive(placed.strategy, limit), "share")


def decision_estimate(strategy: StrategyResult, limit: float | None) -> Estimate:
    """Return the Estimate behind :func:`decision_share`."""
    return _decisive(strategy, limit).estimate


def _decisive(strategy: StrategyResult, limit: float | None) -> Figure:
    return LOSING.read(strategy, 0.0) if limit is None else DRAWDOWN.read(strategy, limit)


def _figure(placed: Placed, figure: Figure, form: str) -> Shown:
    return show(Ref(figure.estimate, placed.find(figure.path).at), form, decimals=2)


def realised_metric(strategy: StrategyResult, key: str) -> float | None:
    """Return a metric of what really happened over the same bars as the paths.

    None where the history ends before the horizon does: a return over fewer bars has no place in this distribution.
    """
    realised = strategy.realised
    if realised is None or realised.bars != strategy.equity_fan.bars[-1]:
        return None
    return realised.metrics.get(key)


def limit_figure(placed: Placed, verdict: LimitVerdict, *, signed: bool = False) -> Shown:
    """Return the figure that a limit judges; ``signed`` shows gains with a plus."""
    unit = BY_KEY[verdict.limit].unit
    form = "signed percent" if signed and unit == "return" else LIMIT_FORMS[unit]
    return _figure(placed, Figure(verdict.measured, verdict.path), form)


def declared_level(verdict: LimitVerdict) -> Shown:
    """Return the level that the spec declares, as it stands on the page."""
    form: Form = "number" if BY_KEY[verdict.limit].unit == "ratio" else "level"
    return plain(verdict.declared, form, f"limits/{verdict.limit}", decimals=2)


def decision(limit: float | None) -> Column:
    """Return the column by which strategies are compared: paths beyond the drawdown limit, or that lose."""
    head = "Paths that lose" if limit is None else f"Drawdown ≥ {numbers.level(limit)}"
    return Column(head, lambda placed: decision_share(placed, limit))


def summary_table(
    run: StressRun, scenarios: Sequence[PlacedScenario], everywhere: Sequence[PlacedScenario], **told: Any
) -> Table:
    """Return return, tail, limit share and label per scenario and strategy.

    Args:
        run: for limits and findings.
        scenarios: whose rows are shown; more than one gets a group row each.
        everywhere: the scenarios and baselines over which the range runs.
        told: title and caption.
    """
    limit = run.limits.get("max_drawdown")
    columns = [MEDIAN, LOW, Column("CVaR 95%", "cvar/0.95", "percent", unit="loss", half=True), decision(limit)]
    if len(everywhere) > 1:
        head = f"… range over {len(everywhere)} scenarios"
        columns.append(Column(head, lambda placed: _range_cell(everywhere, placed, limit)))
    if any(strategy.realised is not None for p in everywhere for strategy in p.scenario.strategies):
        columns.append(Column("Paths below what happened", _realised_below))
    if run.limits:
        columns.append(Column("Limits", lambda placed: _limit_label(run, scenarios, placed), left=True, css=LABEL))
    rows: list[Row | Placed] = []
    for scenario in scenarios:
        rows += [group_row(scenario)] if len(scenarios) > 1 else []
        rows += scenario.strategies()
    return tabulate("Strategy", columns, rows, **told)


def group_row(scenario: PlacedScenario) -> Row:
    """Return the head of a scenario's rows."""
    return Row(scenario.title, scenario.note or "scenario", css="grp")


def _range_cell(everywhere: Sequence[PlacedScenario], placed: Placed, limit: float | None) -> Cell:
    number = int(placed.at.rpartition("/")[2])
    rates = [
        value
        for other in everywhere
        if number < len(other.scenario.strategies)
        and (value := rate(decision_estimate(other.scenario.strategies[number], limit))) is not None
    ]
    if len(rates) < 2:
        return Cell(ABSENT)
    return Cell(text=f"{percent(min(rates)).rstrip('%')}–{percent(max(rates))}", css="nw")


def _realised_below(placed: Placed) -> Shown:
    return ABSENT if placed.strategy.realised is None else show(placed.find("realised/percentile"), "share")


def _limit_label(run: StressRun, scenarios: Sequence[PlacedScenario], placed: Placed) -> Cell:
    scenario = next(entry.scenario for entry in scenarios if placed.at.startswith(f"{entry.at}/"))
    judged = worst(verdict.label for verdict in judge_strategy(placed.strategy, run.limits))
    return Cell(label=cap(judged, run.findings, scenario.name, bad_bars=scenario.candles.bad_share) if judged else None)


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
    pairs = [[(scenario, placed) for placed in scenario.strategies(colours)] for scenario in scenarios]
    everything = [each[number][1] for each in pairs for number in shown if number < len(each)]
    returns, falls = (_axis(everything, key) for key in ("total_return", "max_drawdown"))
    columns = (
        _strip_column("Total return", "total_return", returns, ("0.05", None), "o1"),
        Column(LOW.head, lambda pair: LOW.cell(pair[1]), css="nw"),
        Column("Paths that lose", lambda pair: show(pair[1].find("probability_of_loss"), "share"), css="nw"),
        _strip_column("Deepest drawdown", "max_drawdown", falls, ("0.95", limit), "o2"),
        Column(decision(limit).head, lambda pair: decision_share(pair[1], limit), css="nw")
        if limit is not None
        else Column(
            "95% quantile of drawdown", lambda pair: quantile(pair[1], "max_drawdown", "0.95", "percent"), css="nw"
        ),
    )
    rows: list[Any] = []
    for number in shown:
        having = [each[number] for each in pairs if number < len(each)]
        rows += [Row(placed.title, placed.parameters, css="grp") for _, placed in having[:1]] + having
    return tabulate(
        "Scenario",
        columns,
        rows,
        lambda pair: of_scenario(pair[0]),
        title="Total return and deepest drawdown.",
        caption="All paths of each scenario, after the costs of the account. Brackets: 95% Monte Carlo intervals.",
        css="stack outt",
        axes=(("Total return", few_labels(returns)), ("Deepest drawdown", few_labels(falls))),
    )


def _axis(everything: Iterable[Placed], key: str) -> Axis:
    found = [(placed, placed.find(f"metrics/metric={key}").value) for placed in everything]
    realised = [value for placed, _ in found if (value := realised_metric(placed.strategy, key)) is not None]
    return axis_over([*strip_values([summary for _, summary in found if summary is not None]), *realised])


def _strip_column(head: str, key: str, axis: Axis, decisive: tuple[str, float | None], css: str) -> Column:
    def cell(pair: tuple[PlacedScenario, Placed]) -> Cell:
        scenario, placed = pair
        summary = placed.find(f"metrics/metric={key}").value
        if summary is None:
            return Cell(ABSENT)
        decision, limit = decisive
        marks = strip(summary, axis, decision=decision, realised=realised_metric(placed.strategy, key), limit=limit)
        colour = f"{'cr' if scenario.role else f'c{placed.css}'} {css}"
        if marks.empty:
            return Cell(quantile(placed, key, decision, "percent"), css=f"gcell l {colour}")
        return Cell(strip=marks, css=f"gcell {colour}")

    return Column(head, cell, ticks=tick_labels(axis))


def tail_table(base: PlacedScenario, strategies: Sequence[Placed]) -> Table:
    """Return VaR, CVaR, drawdown and time under water of one scenario's strategies."""
    columns = (
        Column("VaR 95%", "var/0.95", "percent"),
        Column("CVaR 95%", "cvar/0.95", "percent", half=True),
        Column("VaR 99%", "var/0.99", "percent"),
        Column("CVaR 99%", "cvar/0.99", "percent", half=True),
        _quantile("Drawdown, 95% quantile", "max_drawdown", "0.95", "percent"),
        _quantile("Longest drawdown, 95% quantile", "drawdown_bars", "0.95", "count", "bars"),
        _quantile("Under water, 95% quantile", "time_under_water", "0.95", "percent", "share of bars"),
    )
    caption = f"Scenario {base.title}; losses are positive, a negative figure is a gain."
    return tabulate("Strategy", columns, strategies, title="Tail measures of the total return.", caption=caption)


def drawdown_table(base: PlacedScenario, strategies: Sequence[Placed]) -> Table:
    """Return the drawdown's quantiles, for runs that counted too few drawdowns for a curve."""
    levels = (("median", "0.5"), ("75%", "0.75"), ("95%", "0.95"), ("99%", "0.99"))
    columns = [_quantile(head, "max_drawdown", level, "percent") for head, level in levels]
    caption = f"Scenario {base.title}, with 95% intervals."
    return tabulate("Strategy", columns, strategies, title="Quantiles of the deepest drawdown.", caption=caption)


def across_table(scenarios: Sequence[PlacedScenario], limit: float | None, title: str) -> tuple[Table, bool]:
    """Return strategies by generators, with ranks, and whether all generators agree on the order."""
    ranked = [_ranked(placed, limit) for placed in scenarios]
    first = max(scenarios, key=lambda placed: len(placed.scenario.strategies)).strategies()
    names = [next(p.strategies()[n] for p in scenarios if n < len(p.scenario.strategies)) for n in range(len(first))]
    columns = [Column(placed.title, partial(_at_rank, cells)) for placed, cells in zip(scenarios, ranked, strict=True)]
    table = tabulate(
        "Strategy",
        columns,
        enumerate(names),
        lambda entry: (entry[1].title, entry[1].parameters),
        title=title,
        caption="Rank 1 is the lowest share. Darker: more paths.",
        css="stack c3",
    )
    return table, len({tuple(cell.note for cell in cells) for cells in ranked}) == 1


def _at_rank(cells: Sequence[Cell], entry: tuple[int, Placed]) -> Cell:
    """Return a strategy's cell in one generator's column, a dash where it did not run there."""
    return cells[entry[0]] if entry[0] < len(cells) else Cell(ABSENT)


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


def dial_table(scenarios: Sequence[PlacedScenario]) -> Table:
    """Return how volatile each generator's paths are beside their context."""
    values = [v for placed in scenarios for v in placed.scenario.volatility_ratio.values()]
    axis = axis_over([*values, 1.0])
    levels = (("5%", "0.05"), ("Median", "0.5"), ("95%", "0.95"))
    columns = (
        Column("Generator", lambda placed: name(name_of(placed.scenario.generator), 90), left=True, css="l gen"),
        Column(
            "Volatility / context",
            lambda placed: _dial_cell(axis, placed),
            ticks=tuple(Tick(axis.at(tick), f"{tick:g}") for tick in axis.ticks),
        ),
        *(Column(head, f"volatility_ratio/{level}", "number", decimals=2) for head, level in levels),
    )
    return tabulate(
        "Scenario",
        columns,
        scenarios,
        of_scenario,
        title="Volatility of the paths, as a multiple of the context’s.",
        caption="One value per path; the line runs from the 5% to the 95% quantile of the paths, the tick is the "
        "median, the thin line stands at 1. This is a spread over paths and no Monte Carlo error.",
        css="stack dial",
    )


def _dial_cell(axis: Axis, placed: PlacedScenario) -> Cell:
    ratio = placed.scenario.volatility_ratio
    if not {"0.05", "0.5", "0.95"} <= set(ratio):
        return Cell(ABSENT)
    marks = Strip(
        outer=(axis.at(ratio["0.05"]), axis.at(ratio["0.95"])), inner=None, median=axis.at(ratio["0.5"]),
        bracket=None, realised=None, limit=None, zero=axis.at(1.0),
        aria=", ".join(f"{key} {numbers.fixed(ratio[key], 2)}" for key in ("0.05", "0.5", "0.95")),
    )  # fmt: skip
    return Cell(strip=marks, css=f"gcell {'cr' if placed.role else 'c1'}")


def metric_table(placed: Placed) -> Table:
    """Return every metric of one strategy: mean, quantiles and on how many paths it is not applicable."""
    levels = (("5%", "0.05"), ("Median", "0.5"), ("95%", "0.95"))
    places = (("Mean", "mean"), *((head, f"quantiles/{level}") for head, level in levels))
    columns = (
        *(Column(head, partial(_metric_cell, path)) for head, path in places),
        Column("Not applicable", "not_applicable", "count", unit="paths"),
    )
    return tabulate("Metric", columns, placed.each("metrics"), lambda summary: METRIC[summary.value.metric].title)


def _metric_cell(path: str, summary: Ref) -> Shown:
    form: str = METRIC[summary.value.metric].form
    errors = [standard_error(estimate) for estimate in (summary.value.mean, *summary.value.quantiles.values())]
    digits = min(decimals_for(errors), 2) if form == "number" else 0
    if path == "mean":  # of a count is no count
        return show(summary.find(path), "number" if form == "count" else form, decimals=max(digits, 1), half=True)
    return show(summary.find(path), form, decimals=digits)


def trade_table(path: NamedPath) -> Table:
    """Return the round trips on one path, at most 40 of them."""
    columns = (
        Column("In, bar", "entry_bar", numbers.count),
        Column("at", "entry_price", numbers.price),
        Column("Out, bar", "exit_bar", numbers.count),
        Column("at", "exit_price", numbers.price),
        *(Column(head, key, partial(numbers.fixed, decimals=2))
          for head, key in (("Size", "size"), ("Fees", "fees"), ("Profit", "pnl"))),
    )  # fmt: skip
    trades = Ref(path, "").each("trades")[:MOST_TRADES]
    of_asset = (Column("Asset", "asset", name, left=True, css="l"),) if path.closes else ()
    return tabulate(
        "Side",
        (*of_asset, *columns),
        trades,
        lambda trade: (trade.value.side, "open at the end" if trade.value.open else ""),
        css="tight",
    )
