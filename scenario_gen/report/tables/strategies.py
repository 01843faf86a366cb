"""Tables on the strategies themselves: look-ahead, limits, ruin, holding, chance, history, the choice of parameters.

Owns which number stands in which column of the page. Judges nothing: every label is in the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scenario_gen.backtest.book_nulls import DRAWS, EQUAL_WEIGHT, JUDGED
from scenario_gen.backtest.limits import BY_KEY, LimitVerdict, judge_strategy
from scenario_gen.backtest.nulls import BUY_AND_HOLD
from scenario_gen.backtest.uses import class_name
from scenario_gen.finding import FILLS, INTRABAR, LOOK_AHEAD, Finding
from scenario_gen.report import numbers
from scenario_gen.report.numbers import Shown
from scenario_gen.report.table import Cell, Column, Placed, PlacedScenario, Ref, Row, Table, show, tabled
from scenario_gen.report.tables.outcomes import LABEL, LOW, MEDIAN, decision, declared_level, group_row, limit_figure
from scenario_gen.report.words import name
from scenario_gen.store.results import BookScenario, StressRun

HELD = {
    BUY_AND_HOLD: "Beside buying and holding, path by path.",
    EQUAL_WEIGHT: "Beside equal weight that is bought and held, path by path.",
}
OF_ONE_ASSET = (
    "Beside random entries.",
    "Random entries",
    "The strategy’s own round trips (as many, as long, on the same sides, with the same costs) put at random times of "
    "other paths, 20 draws each.",
)
OF_A_BOOK = (
    "Beside its own decisions of other futures.",
    "Decisions of other futures",
    f"What the strategy decides on another future, filled at the same bars of this one at the same costs, on {JUDGED} "
    f"futures at most, {DRAWS} draws each.",
)
LIKE_THESE = (
    "Of strategies without skill 2.5% read “higher” by luck. These paths share one context: a difference here is about "
    "these paths."
)
READINGS = {"skilled": "higher", "worse": "lower", "not told apart": "no difference shown"}
PAIRED = {"better": "better", "worse": "worse", "not told apart": "no difference shown"}
PLACES = {"inside": "within the middle 95%", "low": "lower than nearly all", "high": "higher than nearly all"}
SHAPES = {
    "plateau": "a plateau", "peak": "an isolated peak", "flat": "level ground", "undecided": "undecided",
    "none": "no neighbours",
}  # fmt: skip


def sets_table(run: StressRun, scenario: PlacedScenario) -> Table | None:
    """Return the parameter sets of strategies that were tried with several, or None."""
    uses: dict[str, list[Placed]] = {}
    for placed in scenario.strategies():
        uses.setdefault(placed.strategy.use, []).append(placed)
    rows: list[Row | Placed] = []
    for use, sets in uses.items():
        rows += [Row(name(class_name(use)), f"{len(sets)} parameter sets", css="grp"), *sets] if len(sets) > 1 else []
    return tabled(
        "Parameters",
        (MEDIAN, LOW, decision(run.limits.get("max_drawdown"))),
        rows,
        lambda placed: name(", ".join(f"{key}={value}" for key, value in placed.strategy.params.items()), 90),
        title="Parameter sets tried.",
        caption=f"Scenario {scenario.title}. A set chosen for its rank here is chosen after the fact.",
    )


def rules_table(run: StressRun, placed: Sequence[PlacedScenario]) -> Table | None:
    """Return whether each strategy looks ahead and how its decisions hang on the context, or None."""
    findings = {finding.strategy: finding for finding in LOOK_AHEAD.of(run.findings)}
    columns = (
        Column("Looks ahead", lambda p: findings[p.strategy.name].label, "label", left=True, css=LABEL),
        Column("What was seen", lambda p: _leak(findings[p.strategy.name]), left=True, css="l gen"),
        Column("Decisions that change with a quarter less context", "warm_up/less", "percent"),
        Column("… with a quarter more", "warm_up/more", "percent"),
    )
    return tabled(
        "Strategy",
        columns,
        [p for p in placed[0].strategies() if p.strategy.name in findings and p.strategy.warm_up is not None],
        title="The rules themselves.",
        caption="The future after many cuts, and the other paths, are replaced: a decision that changes before its "
        "cut looks ahead. And the share of decisions on the path that change with a shorter and a longer context: what "
        "is not 0 hangs on where the history was cut.",
    )


def _leak(finding: Finding) -> str:
    """Return what the probe saw, without the strategy's name."""
    return name(finding.offenders[0] if finding.offenders else finding.measured, 160)


def orders_table(run: StressRun, placed: Sequence[PlacedScenario]) -> Table | None:
    """Return what the order of stop and target within a bar is worth to each strategy that has both, or None."""
    findings = {finding.strategy: finding for finding in INTRABAR.of(run.findings)}
    return tabled(
        "Strategy",
        (
            Column("Label", lambda p: findings[p.strategy.name].label, "label", left=True, css=LABEL),
            Column("What was seen", lambda p: findings[p.strategy.name].measured, left=True, css="l gen"),
        ),
        [p for p in placed[0].strategies() if p.strategy.name in findings],
        title="Stop and target in one bar.",
        caption="A candle does not say which came first. Every figure of this report takes the stop; here the same "
        "strategies run with the target first, and with a coin for each bar.",
    )


def fills_table(run: StressRun, placed: PlacedScenario) -> Table | None:
    """Return what the account could not fill of what each strategy wanted, or None where it filled everything."""
    findings = {finding.strategy: finding for finding in FILLS.of(run.findings, placed.scenario.name)}
    return tabled(
        "Strategy",
        (
            Column("Label", lambda p: findings[p.strategy.name].label, "label", left=True, css=LABEL),
            Column("What was seen", lambda p: findings[p.strategy.name].measured, left=True, css="l gen"),
        ),
        [p for p in placed.strategies() if p.strategy.name in findings],
        title="Orders that were cut or refused.",
        caption="Orders count as cut where more than 5 % of the account stays unfilled; an entry is wanted anew at "
        "every bar that asks for it.",
    )


def limits_table(run: StressRun, scenarios: Sequence[PlacedScenario]) -> Table | None:
    """Return one row per scenario, strategy and declared limit: figure, what is allowed, label before any cap."""
    rows: list[Any] = []
    for scenario in scenarios:
        if scenario.scenario.role == "scenario" and run.limits:
            rows.append(group_row(scenario))
            rows += [(p, verdict) for p in scenario.strategies() for verdict in judge_strategy(p.strategy, run.limits)]
    columns = (
        Column("Limit", lambda pair: BY_KEY[pair[1].limit].title, left=True, css="l"),
        Column("Measured", lambda pair: limit_figure(*pair)),
        Column("Declared", lambda pair: _declared(pair[1])),
        Column("Label", lambda pair: pair[1].label, "label", left=True, css=LABEL),
    )
    return tabled(
        "Strategy",
        columns,
        rows,
        lambda pair: (pair[0].title, pair[0].parameters),
        title="Declared limits.",
        caption="Judged on the 95% interval, before any cap: FAIL where all of it breaks the limit, PASS where none of "
        "it does, INCONCLUSIVE where more paths would tell.",
    )


def _declared(verdict: LimitVerdict) -> Cell:
    limit = BY_KEY[verdict.limit]
    held_to = limit.side if limit.allowed is None else f"on {numbers.level(limit.allowed)} of paths"
    return Cell(declared_level(verdict), note=held_to)


def trouble_table(scenario: PlacedScenario) -> Table | None:
    """Return worst bar, drawdown at risk and recovery of one scenario's strategies, or None."""
    columns = (
        Column("Worst bar, VaR 95%", "tail/worst_bar/0/var", "percent"),
        Column("Drawdown at risk, 95%", "tail/drawdowns/at_risk/0.95", "percent"),
        Column("Deepest drawdown made good", "tail/drawdowns/recovered", "share"),
        Column("Bars to that, median", "tail/drawdowns/recovery/0.5", "count"),
    )
    return tabled(
        "Strategy",
        columns,
        _having(scenario, "tail"),
        title="On the way.",
        caption=f"Scenario {scenario.title}. Worst bar: each path’s worst; drawdown at risk: the mean of the worst 5% "
        "of drawdowns over all bars of all paths.",
    )


def _having(scenario: PlacedScenario, path: str) -> list[Placed]:
    """Return the strategies whose result has this part."""
    return [placed for placed in scenario.strategies() if placed.find(path).value]


def ruin_table(scenario: PlacedScenario) -> Table | None:
    """Return the shares of paths that have lost so much of the start by the end, or None."""
    rows = _having(scenario, "tail")
    losses = [curve.value.loss for curve in rows[-1].each("tail/ruin")] if rows else []
    return tabled(
        "Strategy",
        [Column(f"Lost {numbers.level(loss)}", f"tail/ruin/{n}/final", "share") for n, loss in enumerate(losses)],
        rows,
        title="Ruin.",
        caption="Shares of paths that at some close had lost so much of the starting cash; run.json has them bar by "
        "bar.",
    )


def causes_table(scenario: PlacedScenario) -> Table | None:
    """Return what the worst hundredth of the paths lost its money to, one row per strategy and cause, or None."""
    rows: list[Row | Ref] = []
    for placed in _having(scenario, "tail/causes/causes"):
        rows += [Row(placed.title, placed.parameters, css="grp"), *placed.each("tail/causes/causes")]
    columns = (
        Column("Loss on the worst paths", "loss", "percent"),
        Column("… on all others", "elsewhere", "percent"),
        Column("Largest cause on", "leads", "share"),
    )
    return tabled(
        "Cause",
        columns,
        rows,
        lambda cause: cause.value.title,
        title="Causes.",
        caption="Every change of equity is booked under one cause, so they add up to the loss; shares of the starting "
        "cash, a negative figure is a gain. The definitions are this program’s own.",
    )


def holding_table(scenario: PlacedScenario) -> Table | None:
    """Return every strategy less holding on the same paths, of a book all assets by equal parts, or None."""
    held = EQUAL_WEIGHT if isinstance(scenario.scenario, BookScenario) else BUY_AND_HOLD
    short = "equal weight’s" if held == EQUAL_WEIGHT else "holding’s"

    def of(metric: str, path: str, form: str) -> Any:
        def cell(placed: Placed) -> Shown:
            pairs = {pair.value.metric: pair for pair in placed.each("paired") if pair.value.against == held}
            return show(pairs[metric].find(path), form)

        return cell

    def reading(placed: Placed) -> str:
        pairs = {pair.metric: pair.label for pair in placed.strategy.paired if pair.against == held}
        return PAIRED.get(pairs["total_return"], pairs["total_return"])

    return tabled(
        "Strategy",
        (
            Column(f"Return less {short}, mean", of("total_return", "mean", "signed percent")),
            Column("… median", of("total_return", "median", "signed percent")),
            Column("Ahead on", of("total_return", "win_share", "share")),
            Column("p, adjusted", of("total_return", "p_mean_adjusted", "q")),
            Column("Reading", reading, left=True, css="l"),
            Column(f"Drawdown less {short}, mean", of("max_drawdown", "mean", "signed percent")),
        ),
        [p for p in scenario.strategies() if any(pair.against == held for pair in p.strategy.paired)],
        title=HELD[held],
        caption=f"Scenario {scenario.title}. Brackets: 95% intervals of the paired difference; p by Student’s t, "
        "adjusted (Holm) for all strategies together.",
    )


def chance_table(scenario: PlacedScenario) -> Table | None:
    """Return every strategy less one that knows nothing of the path but trades like it, or None."""
    title, beside, caption = OF_A_BOOK if isinstance(scenario.scenario, BookScenario) else OF_ONE_ASSET
    columns = (
        Column("Mean return", "nulls/strategy_mean", "signed percent"),
        Column(beside, "nulls/null_mean", "signed percent"),
        Column("Difference", "nulls/mean", "signed percent"),
        Column("p, adjusted", "nulls/p_adjusted", "q"),
        Column("Reading", "nulls/label", lambda label: READINGS.get(label, label), left=True, css="l"),
    )
    return tabled("Strategy", columns, _having(scenario, "nulls"), title=title, caption=f"{caption} {LIKE_THESE}")


def history_table(scenario: PlacedScenario) -> Table | None:
    """Return where what really happened lies among the paths, before and after the anchor, or None."""
    columns = (
        Column("Real bars", lambda pair: pair[1].find("stretch"), left=True, css="l", form=_stretch),
        Column("Total return there", lambda pair: pair[1].find("value"), "signed percent"),
        Column("Paths below", lambda pair: pair[1].find("percentile"), "percent"),
        Column("Reading", lambda pair: PLACES.get(pair[1].value.place, "too few paths to say"), left=True, css="l"),
    )
    return tabled(
        "Strategy",
        columns,
        [(placed, marker) for placed in scenario.strategies() for marker in placed.each("marker")],
        lambda pair: (pair[0].title, pair[0].parameters),
        title="What really happened, among the paths.",
        caption=f"Scenario {scenario.title}; as many real bars before the anchor as a path has, and those that came "
        "after it. The interval is exact (Clopper and Pearson). A percentile alone says nothing about how the "
        "parameters were chosen.",
    )


def _stretch(stretch: str) -> str:
    return "before the anchor" if stretch == "context" else "after the anchor"


def agreement_table(run: StressRun) -> Table | None:
    """Return what the generators say of each strategy together, or None."""
    rows = Ref(run.agreement, "agreement").each("strategies") if run.agreement is not None else []
    generators = rows[0].value.figures if rows else ()
    columns = [
        Column(f"{name(figures.generator)}, mean return", f"figures/{n}/mean", "signed percent")
        for n, figures in enumerate(generators)
    ]
    return tabled(
        "Strategy",
        (*columns, Column("Verdict", "label", left=True, css="l")),
        rows,
        lambda strategy: name(strategy.value.strategy),
        title="The same strategies on every generator.",
        caption="The base scenario and the baselines from the same context. Depends on the generator: a difference of "
        "mean, median, losing paths or 5% quantile that is as large as ten points of losing paths, its whole interval. "
        "Undecided: more paths would tell.",
    )


def choice_table(scenario: PlacedScenario) -> Table | None:
    """Return how the highest Sharpe ratio of each grid stands once its choice is counted, or None."""
    grids: dict[str, Placed] = {}
    for placed in _having(scenario, "overfitting"):
        grids.setdefault(placed.strategy.use, placed)
    columns = (
        Column("Parameter sets", "overfitting/sets", "count"),
        Column("Real bars", "overfitting/history_bars", "count"),
        Column("Highest Sharpe ratio", _highest_sharpe),
        Column("Deflated Sharpe ratio", "overfitting/deflated/deflated", "number", decimals=2),
        Column("… by effective trials", "overfitting/deflated/deflated_by_effective", "number", decimals=2),
        Column("Stepwise p, best set", "overfitting/stepwise/p_best", "q"),
        Column("Sets above 0", "overfitting/stepwise/above", "count"),
        Column("PBO on history", "overfitting/history/probability", "percent"),
        Column("PBO on paths", "overfitting/paths/probability", "percent"),
        Column("Highest median on", "overfitting/shape", SHAPES.__getitem__, left=True, css="l"),
    )
    return tabled(
        "Strategy",
        columns,
        grids.values(),
        lambda placed: name(class_name(placed.strategy.use)),
        title="What is left of the highest Sharpe ratio.",
        caption="On real bars up to the context’s end. Deflated: the share of belief that the true ratio is above 0, "
        "once all sets tried are counted; by effective trials, which correlated sets amount to, it is too liberal. "
        "Stepwise: Romano and Wolf’s test of all sets at once on resampled bars. PBO: how often the set chosen on one "
        "half of the bars falls below the median of the sets on the other half; 50% is drawing lots. The set with the "
        "highest median return on the paths stands on a plateau where its neighbours in the grid keep more than half "
        "of its advantage.",
    )


def _highest_sharpe(placed: Placed) -> Shown:
    deflated = placed.find("overfitting/deflated")
    if deflated.value.sharpe is None:
        return Shown(numbers.NOT_SHOWN, source=f"{deflated.at}/sharpe", reason=deflated.value.reason)
    return show(deflated.find("sharpe"), "number", decimals=2)


def looking_ahead(run: StressRun) -> list[str]:
    """Return the names of the strategies that look ahead."""
    failed = (finding.strategy for finding in LOOK_AHEAD.of(run.findings) if finding.label == "FAIL")
    return list(dict.fromkeys(failed))
