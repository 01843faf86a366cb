"""What each shock costs.

Owns their columns and sentences. Every difference is of a path and itself, computed by the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from scenario_gen.report import words
from scenario_gen.report.numbers import Shown, plain
from scenario_gen.report.table import ABSENT, Answer, Column, PlacedScenario, Ref, Table, show, tabled, tabulate
from scenario_gen.report.words import Sentence, name, plural, say
from scenario_gen.store.results import StressRun

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
