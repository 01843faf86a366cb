"""How a strategy fares in calm, trending, falling and volatile markets: tables of the page and of the terminal.

Owns their words and which number stands in which column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scenario_gen.backtest.regimes import REGIMES
from scenario_gen.report.numbers import in_percent
from scenario_gen.report.table import Column, Placed, PlacedScenario, Ref, Row, Table, place, tabled
from scenario_gen.store.results import StressRun

CAPTION = (
    "Mean return on the outer thirds of the paths of scenario {scenario}, by each path’s own volatility (root mean "
    "square of its log returns), trend (how far it came, over the way that its closes went) and direction (its log "
    "return). A path shows its regime at its end only: this says on which markets a strategy earns, and nothing of "
    "when they come. 95% intervals."
)
DETAILS = "Less others: the mean less that of all other paths. Run.json has the thirds of every scenario."
COLUMNS = (
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
        caption=CAPTION.format(scenario=base.title),
    )


def thirds_table(shown: Sequence[Placed]) -> Table | None:
    """Return all thirds of the paths, a group of rows per strategy, None where the run has none."""
    rows: list[Row | Ref] = []
    for strategy in (strategy for strategy in shown if strategy.strategy.regimes):
        rows += [Row(strategy.title, strategy.parameters, css="grp"), *strategy.each("regimes")]
    return tabled("Paths", COLUMNS, rows, lambda ref: (ref.value.name, ref.value.kind), caption=DETAILS)


def regimes_on_the_terminal(run: StressRun) -> Table | None:
    """Return the mean returns of the base scenario's strategies on the outer thirds, None where the run has none."""
    own = [placed for placed in place(run) if placed.scenario.role == "scenario"]
    base = next((placed for placed in own if placed.scenario.name == "base"), own[0] if own else None)
    if base is None:
        return None
    return tabled(
        "strategy",
        [Column(third, _mean_on(third), in_percent) for third in OUTER],
        [strategy for strategy in base.strategies() if strategy.strategy.regimes],
        lambda strategy: strategy.strategy.name,
        title=f"Mean return by regime, {base.scenario.name}: outer thirds by volatility, trend, direction",
    )


def _mean_on(third: str) -> Any:
    return lambda strategy: strategy.find(f"regimes/name={third}/mean_return")
