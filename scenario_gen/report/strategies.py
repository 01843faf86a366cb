"""Tables on the strategies themselves: look-ahead, limits, tail, holding, chance, history, the choice of parameters.

Owns which number stands in which column. Judges nothing: every label is in the run.
"""

from __future__ import annotations

from collections.abc import Sequence

from scenario_gen.backtest.uses import class_name
from scenario_gen.finding import INTRABAR, LOOK_AHEAD
from scenario_gen.report import numbers
from scenario_gen.report.cells import Cell, Head, Placed, PlacedScenario, Row, Table, stacked
from scenario_gen.report.numbers import Shown, bracketed, plain, share, small_q
from scenario_gen.report.words import name
from scenario_gen.store.limits import BY_NAME, judge_strategy
from scenario_gen.store.results import Finding, StressRun

HELD = "buy and hold"
LABEL = "l vd"
READINGS = {"skilled": "higher", "worse": "lower", "not told apart": "no difference shown"}
PAIRED = {"better": "better", "worse": "worse", "not told apart": "no difference shown"}
SHAPES = {
    "plateau": "a plateau",
    "peak": "an isolated peak",
    "flat": "level ground",
    "undecided": "undecided",
    "none": "no neighbours",
}


def rules_table(run: StressRun, placed: Sequence[PlacedScenario]) -> Table | None:
    """Return whether each strategy looks ahead and how its decisions hang on the context, or None."""
    found = {finding.strategy: finding for finding in LOOK_AHEAD.of(run.findings)}
    rows = []
    for one in placed[0].strategies():
        ahead, warm, at = found.get(one.strategy.name), one.strategy.warm_up, f"{one.at}/warm_up"
        if ahead is None or warm is None:
            continue
        cells = (
            Cell(label=ahead.label, css=LABEL),
            Cell(text=_leak(ahead), css="l gen"),
            Cell(plain(warm.less, "percent", f"{at}/less")),
            Cell(plain(warm.more, "percent", f"{at}/more")),
        )
        rows.append(Row(one.title, one.parameters, cells))
    heads = (
        Head("Strategy", left=True),
        Head("Looks ahead", left=True),
        Head("What was seen", left=True),
        Head("Decisions that change with a quarter less context"),
        Head("… with a quarter more"),
    )
    return stacked(heads, rows) if rows else None


def _leak(finding: Finding) -> str:
    """Return what the probe saw, without the strategy's name."""
    return name(finding.offenders[0] if finding.offenders else finding.measured, 160)


def orders_table(run: StressRun, placed: Sequence[PlacedScenario]) -> Table | None:
    """Return what the order of stop and target within a bar is worth to each strategy that has both, or None."""
    found = {finding.strategy: finding for finding in INTRABAR.of(run.findings)}
    rows = [
        Row(
            one.title,
            one.parameters,
            (
                Cell(label=found[one.strategy.name].label, css=LABEL),
                Cell(text=found[one.strategy.name].measured, css="l gen"),
            ),
        )
        for one in placed[0].strategies()
        if one.strategy.name in found
    ]
    heads = (Head("Strategy", left=True), Head("Label", left=True), Head("What was seen", left=True))
    return stacked(heads, rows) if rows else None


def limits_table(run: StressRun, scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return one row per scenario, strategy and declared limit: figure, what is allowed, label before any cap."""
    rows: list[Row] = []
    for scenario in scenarios:
        if scenario.scenario.role != "scenario" or not run.limits:
            continue
        rows.append(Row(scenario.title, "scenario", css="grp"))
        for one in scenario.strategies():
            for verdict in judge_strategy(one.strategy, run.limits):
                limit = BY_NAME[verdict.limit]
                form: numbers.Form = "number" if limit.unit == "ratio" else "percent"
                figure = (
                    share(verdict.measured, _limit_source(one, verdict.limit, verdict.declared))
                    if limit.unit == "share of paths"
                    else bracketed(verdict.measured, form, _limit_source(one, verdict.limit, 0.0), decimals=2)
                )
                allowed = plain(verdict.declared, "number" if form == "number" else "level",
                                f"limits/{verdict.limit}", decimals=2)  # fmt: skip
                side = "at least" if verdict.at_least else "at most"
                cells = (
                    Cell(text=limit.title, css="l"),
                    Cell(figure),
                    Cell(allowed, note="on 5% of paths" if limit.name == "max_drawdown" else side),
                    Cell(label=verdict.label, css=LABEL),
                )
                rows.append(Row(one.title, one.parameters, cells))
    heads = (
        Head("Strategy", left=True),
        Head("Limit", left=True),
        Head("Measured"),
        Head("Declared"),
        Head("Label", left=True),
    )
    return stacked(heads, rows) if rows else None


def _limit_source(one: Placed, limit: str, declared: float) -> str:
    """Return the JSON pointer of a limit's figure."""
    match BY_NAME[limit].place:
        case ("drawdown_beyond",):
            levels = [level for level, _ in one.strategy.drawdown_beyond]
            near = next((n for n, level in enumerate(levels) if abs(level - declared) < 1e-9), None)
            return f"{one.at}/drawdown_beyond" + ("" if near is None else f"/{near}/1")
        case ("probability_of_loss",):
            return f"{one.at}/probability_of_loss"
        case (kind, level):
            return f"{one.at}/{kind}/{level}"
        case (_, metric, level):
            return f"{one.metric(metric)[1]}/quantiles/{level}"
    raise AssertionError(limit)  # a limit of a new kind: a defect of ours


def trouble_table(scenario: PlacedScenario) -> Table | None:
    """Return worst bar, drawdown at risk and recovery of one scenario's strategies, or None."""
    rows: list[Row] = []
    for one in scenario.strategies():
        tail, at = one.strategy.tail, f"{one.at}/tail"
        if tail is None:
            continue
        cells = [
            Cell(bracketed(tail.worst_bar[0].var, "percent", f"{at}/worst_bar/0/var")),
            Cell(bracketed(tail.drawdowns.at_risk["0.95"], "percent", f"{at}/drawdowns/at_risk/0.95")),
            Cell(share(tail.drawdowns.recovered, f"{at}/drawdowns/recovered")),
            Cell(bracketed(tail.drawdowns.recovery["0.5"], "count", f"{at}/drawdowns/recovery/0.5")),
        ]
        rows.append(Row(one.title, one.parameters, tuple(cells)))
    heads = (
        Head("Strategy", left=True),
        Head("Worst bar, VaR 95%"),
        Head("Drawdown at risk, 95%"),
        Head("Deepest drawdown made good"),
        Head("Bars to that, median"),
    )
    return stacked(heads, rows) if rows else None


def ruin_table(scenario: PlacedScenario) -> Table | None:
    """Return the shares of paths that have lost so much of the start by the end, or None."""
    rows: list[Row] = []
    losses: tuple[float, ...] = ()
    for one in scenario.strategies():
        tail, at = one.strategy.tail, f"{one.at}/tail"
        if tail is None:
            continue
        losses = tuple(curve.loss for curve in tail.ruin)
        cells = tuple(Cell(share(curve.final, f"{at}/ruin/{n}/final")) for n, curve in enumerate(tail.ruin))
        rows.append(Row(one.title, one.parameters, cells))
    heads = (Head("Strategy", left=True), *(Head(f"Lost {numbers.level(loss)}") for loss in losses))
    return stacked(heads, rows) if rows else None


def causes_table(scenario: PlacedScenario) -> Table | None:
    """Return what the worst hundredth of the paths lost its money to, one row per strategy and cause, or None."""
    rows: list[Row] = []
    for one in scenario.strategies():
        tail = one.strategy.tail
        if tail is None or tail.causes is None or not tail.causes.causes:
            continue
        rows.append(Row(one.title, one.parameters, css="grp"))
        for number, cause in enumerate(tail.causes.causes):
            at = f"{one.at}/tail/causes/causes/{number}"
            cells = (
                Cell(bracketed(cause.loss, "percent", f"{at}/loss")),
                Cell(bracketed(cause.elsewhere, "percent", f"{at}/elsewhere")),
                Cell(share(cause.leads, f"{at}/leads")),
            )
            rows.append(Row(cause.title, "", cells))
    heads = (
        Head("Cause", left=True),
        Head("Loss on the worst paths"),
        Head("… on all others"),
        Head("Largest cause on"),
    )
    return stacked(heads, rows) if rows else None


def holding_table(scenario: PlacedScenario) -> Table | None:
    """Return every strategy less buying and holding on the same paths, or None."""
    rows = []
    for one in scenario.strategies():
        pairs = {pair.metric: (number, pair) for number, pair in enumerate(one.strategy.paired) if pair.against == HELD}
        if not pairs:
            continue
        number, total = pairs["total_return"]
        at = f"{one.at}/paired/{number}"
        cells = [
            Cell(bracketed(total.mean, "signed percent", f"{at}/mean")),
            Cell(bracketed(total.median, "signed percent", f"{at}/median")),
            Cell(share(total.win_share, f"{at}/win_share")),
            Cell(small_q(total.p_mean_adjusted, f"{at}/p_mean_adjusted")),
            Cell(text=PAIRED.get(total.label, total.label), css="l"),
        ]
        place, fall = pairs["max_drawdown"]
        cells.append(Cell(bracketed(fall.mean, "signed percent", f"{one.at}/paired/{place}/mean")))
        rows.append(Row(one.title, one.parameters, tuple(cells)))
    heads = (
        Head("Strategy", left=True),
        Head("Return less holding’s, mean"),
        Head("… median"),
        Head("Ahead on"),
        Head("p, adjusted"),
        Head("Reading", left=True),
        Head("Drawdown less holding’s, mean"),
    )
    return stacked(heads, rows) if rows else None


def chance_table(scenario: PlacedScenario) -> Table | None:
    """Return every strategy less random entries with its own trades, or None."""
    rows = []
    for one in scenario.strategies():
        found, at = one.strategy.nulls, f"{one.at}/nulls"
        if found is None:
            continue
        cells = (
            Cell(plain(found.strategy_mean, "signed percent", f"{at}/strategy_mean")),
            Cell(plain(found.null_mean, "signed percent", f"{at}/null_mean")),
            Cell(bracketed(found.mean, "signed percent", f"{at}/mean")),
            Cell(small_q(found.p_adjusted, f"{at}/p_adjusted")),
            Cell(text=READINGS.get(found.label, found.label), css="l"),
        )
        rows.append(Row(one.title, one.parameters, cells))
    heads = (
        Head("Strategy", left=True),
        Head("Mean return"),
        Head("Random entries"),
        Head("Difference"),
        Head("p, adjusted"),
        Head("Reading", left=True),
    )
    return stacked(heads, rows) if rows else None


def history_table(scenario: PlacedScenario) -> Table | None:
    """Return where what really happened lies among the paths, before and after the anchor, or None."""
    rows = []
    places = {"inside": "within the middle 95%", "low": "lower than nearly all", "high": "higher than nearly all"}
    for one in scenario.strategies():
        for number, marker in enumerate(one.strategy.marker):
            at = f"{one.at}/marker/{number}"
            where = "before the anchor" if marker.stretch == "context" else "after the anchor"
            cells = (
                Cell(text=where, css="l"),
                Cell(plain(marker.value, "signed percent", f"{at}/value")),
                Cell(bracketed(marker.percentile, "percent", f"{at}/percentile")),
                Cell(text=places.get(marker.place, "too few paths to say"), css="l"),
            )
            rows.append(Row(one.title, one.parameters, cells))
    heads = (
        Head("Strategy", left=True),
        Head("Real bars", left=True),
        Head("Total return there"),
        Head("Paths below"),
        Head("Reading", left=True),
    )
    return stacked(heads, rows) if rows else None


def agreement_table(run: StressRun) -> Table | None:
    """Return what the generators say of each strategy together, or None."""
    if run.agreement is None:
        return None
    rows = []
    for number, one in enumerate(run.agreement.strategies):
        cells = [
            Cell(bracketed(figures.mean, "signed percent", f"agreement/strategies/{number}/figures/{n}/mean"))
            for n, figures in enumerate(one.figures)
        ]
        cells.append(Cell(text=one.label, css="l"))
        rows.append(Row(name(one.strategy), "", tuple(cells)))
    first = run.agreement.strategies[0].figures
    heads = (
        Head("Strategy", left=True),
        *(Head(f"{name(figures.generator)}, mean return") for figures in first),
        Head("Verdict", left=True),
    )
    return stacked(heads, rows)


def choice_table(scenario: PlacedScenario) -> Table | None:
    """Return how the highest Sharpe ratio of each grid stands once its choice is counted, or None."""
    rows, seen = [], set()
    for one in scenario.strategies():
        found, at = one.strategy.overfitting, f"{one.at}/overfitting"
        if found is None or one.strategy.use in seen:
            continue
        seen.add(one.strategy.use)
        deflated = found.deflated
        cells = (
            Cell(plain(float(found.sets), "count", f"{at}/sets")),
            Cell(plain(float(found.history_bars), "count", f"{at}/history_bars")),
            Cell(_sharpe(deflated.sharpe, deflated.reason, f"{at}/deflated/sharpe")),
            Cell(plain(deflated.deflated, "number", f"{at}/deflated/deflated", decimals=2)),
            Cell(bracketed(found.history.probability, "percent", f"{at}/history/probability")),
            Cell(bracketed(found.paths.probability, "percent", f"{at}/paths/probability")),
            Cell(text=SHAPES[found.shape], css="l"),
        )
        rows.append(Row(name(class_name(one.strategy.use)), "", cells))
    heads = (
        Head("Strategy", left=True),
        Head("Parameter sets"),
        Head("Real bars"),
        Head("Highest Sharpe ratio"),
        Head("Deflated Sharpe ratio"),
        Head("PBO on history"),
        Head("PBO on paths"),
        Head("Highest median on", left=True),
    )
    return stacked(heads, rows) if rows else None


def _sharpe(value: float | None, reason: str, source: str) -> Shown:
    if value is None:
        return Shown(numbers.NOT_SHOWN, source=source, reason=reason)
    return plain(value, "number", source, decimals=2)


def looking_ahead(run: StressRun) -> list[str]:
    """Return the names of the strategies that look ahead."""
    failed = (found.strategy for found in LOOK_AHEAD.of(run.findings) if found.label == "FAIL")
    return list(dict.fromkeys(failed))
