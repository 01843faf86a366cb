"""Does it survive sloppy execution, what does each shock cost, and in which markets does it live? Answers and tables.

Owns their words and which number stands in which column. Every difference is of a path and itself, computed by the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from scenario_gen.backtest.regimes import REGIMES
from scenario_gen.report import words
from scenario_gen.report.numbers import Shown, plain
from scenario_gen.report.table import (
    ABSENT,
    Answer,
    Column,
    Placed,
    PlacedScenario,
    Ref,
    Row,
    Table,
    show,
    tabled,
    tabulate,
)
from scenario_gen.report.tables.outcomes import group_row
from scenario_gen.report.words import Piece, Sentence, name, plural, say
from scenario_gen.store.results import StressRun

QUESTION = "Does it survive sloppy execution?"
DRAWN = {
    "slippage": "an order slips by up to {level} of the price more",
    "spread": "half the spread of a path is wider by up to {level} of the price",
    "delay": "on {level} of the bars all orders wait for the next one",
    "missed": "{level} of the entries are never filled",
    "parameters": "every number among the parameters lies within {level} of its own",
}
RULES = "In scenario {scenario}, drawn anew for each path: {drawn}."
SURVIVES = "{strategy} still earns in the mean there: {after}, {before} as the broker fills it."
TURNS = "{strategy} earns {before} in the mean as the broker fills it, and {after} there."
NO_GAIN = "None of the strategies earns in the mean as the broker fills it; what they make stands above, by strategy."
CAPTION = (
    "Each path beside itself, executed as the broker says: mean differences with their 95% intervals over pairs. Sets: "
    "of parameters, among which each path has one; those that a strategy or its condition refuses are drawn anew."
)
COLUMNS = (
    Column("Mean return", "jitter/sloppy", "signed percent"),
    Column("Less the plain run", "jitter/total_return", "signed percent", decimals=2),
    Column("Paths that lose", "jitter/losing", "share"),
    Column("In the plain run", "jitter/losing_before", "share"),
    Column("Paths that earn less", "jitter/worse", "share"),
    Column("Deeper drawdown", "jitter/max_drawdown", "signed percent", decimals=2),
)


def jitter_answer(run: StressRun, placed: Sequence[PlacedScenario], base: PlacedScenario) -> Answer | None:
    """Return what sloppy execution costs every strategy, None where no scenario has jitter."""
    asked = [scenario for scenario in placed if any(each.jitter is not None for each in scenario.scenario.strategies)]
    if not asked:
        return None
    rows: list[Any] = []
    for scenario in asked:
        rows += [group_row(scenario), *scenario.strategies()]
    columns = (*COLUMNS, *([Column("Sets", _sets)] if any(_sets_of(row) for row in rows) else []))
    table = tabulate("Strategy", columns, rows, title="What sloppy execution costs.", caption=CAPTION)
    return Answer(QUESTION, tuple(sentence for scenario in asked for sentence in _told(run, scenario)), (table,))


def _sets_of(row: Any) -> int:
    jitter = getattr(getattr(row, "strategy", None), "jitter", None)
    return len(jitter.sets) if jitter is not None else 0


def _sets(strategy: Any) -> str:
    return str(_sets_of(strategy) or "—")


def _told(run: StressRun, scenario: PlacedScenario) -> list[Sentence]:
    """Return what was drawn, and the strategy with the largest plain mean, before and after."""
    number = int(scenario.at.rpartition("/")[2])
    sections = run.spec.get("scenarios", [])
    jitter: Mapping[str, Any] = (sections[number].get("jitter") if number < len(sections) else None) or {}
    drawn: list[Piece] = []
    for key, told in DRAWN.items():
        if jitter.get(key):
            level = _level(jitter[key], f"spec/scenarios/{number}/jitter/{key}")
            drawn += ["; " if drawn else "", *say(told, level=level)]
    sentences = [say(RULES, scenario=scenario.title, drawn=tuple(drawn))] if drawn else []
    having = [each for each in scenario.strategies() if each.strategy.jitter is not None]
    earning = [each for each in having if (each.find("jitter/plain").value.value or 0.0) > 0]
    if not earning:
        return [*sentences, say(NO_GAIN)]
    top = max(earning, key=lambda each: each.find("jitter/plain").value.value)
    after, before = (show(top.find(f"jitter/{name}"), "signed percent", decimals=1) for name in ("sloppy", "plain"))
    survives = (top.find("jitter/sloppy").value.value or 0.0) > 0
    return [*sentences, say(SURVIVES if survives else TURNS, strategy=top.title, after=after, before=before)]


def _level(value: float, pointer: str) -> Shown:
    return plain(value, "level", pointer) if value >= 0.001 else plain(value, "number", pointer, decimals=5)


# --- How a strategy fares in calm, trending, falling and volatile markets ---


REGIMES_CAPTION = (
    "Mean return on the outer thirds of the paths of scenario {scenario}, by each path’s own volatility (root mean "
    "square of its log returns), trend (how far it came, over the way that its closes went) and direction (its log "
    "return). A path shows its regime at its end only: this says on which markets a strategy earns, and nothing of "
    "when they come. 95% intervals."
)
DETAILS = "Less others: the mean less that of all other paths. Run.json has the thirds of every scenario."
REGIME_COLUMNS = (
    Column("Mean return", "mean_return", "signed percent"),
    Column("Less others", "beyond_others", "signed percent"),
    Column("Paths that lose", "losing", "share"),
    Column("Drawdown", "drawdown/0.5", "percent", unit="median"),
    Column("Drawdown", "drawdown/0.75", "percent", unit="75% quantile"),
)
OUTER = tuple(third for regime in REGIMES for third in (regime.thirds[0], regime.thirds[2]))


def regimes_table(base: PlacedScenario, shown: Sequence[Placed]) -> Table | None:
    """Return every strategy's mean return on the outer thirds of the paths, None where the run has none."""
    return tabled(
        "Strategy",
        [Column(third.capitalize(), _mean_on(third), "signed percent") for third in OUTER],
        [strategy for strategy in shown if strategy.strategy.regimes],
        title="Results by the regime of the path.",
        caption=REGIMES_CAPTION.format(scenario=base.title),
    )


def thirds_table(shown: Sequence[Placed]) -> Table | None:
    """Return all thirds of the paths, a group of rows per strategy, None where the run has none."""
    rows: list[Row | Ref] = []
    for strategy in (strategy for strategy in shown if strategy.strategy.regimes):
        rows += [Row(strategy.title, strategy.parameters, css="grp"), *strategy.each("regimes")]
    return tabled("Paths", REGIME_COLUMNS, rows, lambda ref: (ref.value.name, ref.value.kind), caption=DETAILS)


def _mean_on(third: str) -> Any:
    return lambda strategy: strategy.find(f"regimes/name={third}/mean_return")


# --- What each shock costs ---


MOST_STRATEGIES = 6  # columns of a table; the others stand in run.json
FIGURES = (
    ("total_return", "Mean total return, shocked less unshocked."),
    ("max_drawdown", "Mean deepest drawdown, shocked less unshocked."),
)
FILLS = (
    ("Stops at their level", "at_level"),
    ("Stops at the worst price of the bar", "at_worst"),
    ("Targets before stops", "target_first"),
)


def shock_answer(run: StressRun, scenarios: Sequence[PlacedScenario], base: PlacedScenario) -> Answer | None:
    """Return what each shock costs; None where no scenario has shocks."""
    asked = [placed for placed in scenarios if placed.scenario.shocks is not None]
    if not asked:
        return None
    tables = [_differences(asked, figure, title) for figure, title in FIGURES]
    fills = _fills(asked)
    return Answer(
        "What does each shock cost?", tuple(_sentences(asked)), (*tables, *([] if fills is None else [fills]))
    )


def _sentences(asked: Sequence[PlacedScenario]) -> list[Sentence]:
    told = [say(words.SHOCKS_PAIRED, scenarios=plural(len(asked), "scenario"))]
    costs = [
        (cost.value.total_return.value, placed, cost)
        for placed in asked
        for cost in placed.each("shocks/costs")
        if cost.value.total_return.value is not None
    ]
    if costs:
        _, placed, cost = min(costs, key=lambda entry: entry[0])
        difference = show(cost.find("total_return"), "change", half=True)
        strategy = name(cost.value.strategy)
        told.append(say(words.SHOCKS_MOST, scenario=placed.title, strategy=strategy, difference=difference))
    mended = [placed for placed in asked if placed.scenario.shocks is not None and placed.scenario.shocks.bad_bars]
    told += [
        say(words.SHOCKS_MENDED, scenario=placed.title, bars=show(placed.find("shocks/bad_bars"), "count"))
        for placed in mended
    ]
    return told


def _head(placed: PlacedScenario) -> tuple[str, str]:
    """Return a scenario's name, and its shocks in words."""
    report = placed.scenario.shocks
    return placed.title, "" if report is None else "; ".join(report.shocks)


def _differences(asked: Sequence[PlacedScenario], figure: str, title: str) -> Table:
    """Return one row per shocked scenario and a column per strategy."""
    names = [strategy.title for strategy in asked[0].strategies()]
    columns = [
        Column(strategy, partial(_difference, place, figure), "change", half=True, css="nw")
        for place, strategy in enumerate(names[:MOST_STRATEGIES])
    ]
    hidden = len(names) - MOST_STRATEGIES
    more = f" {plural(hidden, 'more strategy').replace('ys', 'ies')} in run.json." if hidden > 0 else ""
    caption = (
        "Each path less itself, so the luck of the path cancels; after ±, half of the 95% interval, about two paired "
        f"standard errors.{' Above 0 is deeper.' if figure == 'max_drawdown' else ''}{more}"
    )
    return tabulate("Scenario", columns, asked, _head, title=title, caption=caption)


def _difference(place: int, figure: str, placed: PlacedScenario) -> Ref:
    return placed.find(f"shocks/costs/{place}/{figure}")


def _fills(asked: Sequence[PlacedScenario]) -> Table | None:
    """Return what stops would have brought at other prices within the bar; None where no shock is within a bar."""
    rows = [
        (placed, cost) for placed in asked for cost in placed.each("shocks/costs") if cost.value.at_level is not None
    ]
    columns = [Column(head, partial(_fill, path)) for head, path in FILLS]
    return tabled(
        "Strategy",
        columns,
        rows,
        lambda row: (name(row[1].value.strategy), row[0].title),
        title="Mean total return by what a bar does not tell.",
        caption="Stops at their level, before targets: what is reported. The worst price is the low of the bar that "
        "reaches the stop, or its high for a short. Of the first paths of the scenario, at most 512.",
    )


def _fill(path: str, row: tuple[PlacedScenario, Ref]) -> Shown:
    ref = row[1].find(path)
    return ABSENT if ref.value is None else plain(ref.value, "signed percent", ref.at)
