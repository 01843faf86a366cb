"""Tables that the terminal alone shows: results, what was asked of strategies, verdicts by group and by asset.

All others are the page's. Reads results, computes none, and knows not in which order tables are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scenario_gen.backtest.limits import quantile_path
from scenario_gen.backtest.result import StrategyResult
from scenario_gen.finding import LIMITS, LOOK_AHEAD, Finding, Label
from scenario_gen.report.table import Column, Placed, Ref, Row, Table, of_texts, place, place_books, tabulate
from scenario_gen.report.tables.outcomes import LOW, MEDIAN
from scenario_gen.store.results import StressRun

UNSAID = "n/a"
ORDER = "a group carries its worst label, in the order FAIL, WARN, INCONCLUSIVE, UNTESTABLE, PASS; there is no average"
INTERVALS = "[95 % interval of the Monte Carlo error]"
RESULTS = (
    MEDIAN,
    LOW,
    Column("Paths that lose", "probability_of_loss", "share"),
    Column("95% drawdown", quantile_path("max_drawdown", "0.95"), "percent"),
    Column("CVaR 95%", "cvar/0.95", "percent"),
)


def run_table(run: StressRun) -> Table:
    """Return a row per strategy below each scenario, of several assets together: estimates with their intervals."""
    rows: list[Row | Placed] = []
    for scenario in place(run) if run.book is None else place_books(run):
        rows += [Row(scenario.title, scenario.role), *scenario.strategies()]
    weighted = [(scenario.name, scenario.weighting) for scenario in run.scenarios if scenario.weighting is not None]
    caption = "; ".join([INTERVALS, *(f"{name}: {weighting.in_words}" for name, weighting in weighted)])
    return tabulate("Strategy", RESULTS, rows, title=run.title, caption=caption)


def results_table(strategies: Sequence[StrategyResult]) -> Table:
    """Return one row per strategy: estimates with their 95 % intervals."""
    return tabulate("Strategy", RESULTS, [Placed(strategy, "") for strategy in strategies], caption=INTERVALS)


def strategies_table(strategies: Sequence[StrategyResult], findings: Sequence[Finding]) -> Table:
    """Return what was asked of each strategy itself: look-ahead, warm-up and, where declared, its limits."""
    limits = LIMITS.of(findings)
    ahead = {finding.strategy: finding.label for finding in reversed(LOOK_AHEAD.of(findings))}
    columns = [
        Column("looks ahead", lambda row: ahead.get(row.value.name, UNSAID), left=True),
        Column("changes with less", "warm_up/less", ".1%", missing=UNSAID),
        Column("with more", "warm_up/more", ".1%", missing=UNSAID),
    ]
    if limits:
        columns.append(Column("limits", lambda row: _judged(row.value.name, limits), left=True))
    return tabulate(
        "strategy",
        columns,
        [Ref(strategy, "") for strategy in strategies],
        lambda row: row.value.name,
        title="The strategies themselves",
        caption="changes: share of decisions on the path that change with a quarter less, and more, context",
    )


def _judged(strategy: str, limits: Iterable[Finding]) -> str:
    labels = [finding.label for finding in limits if finding.strategy == strategy]
    words = {"FAIL": "breached", "PASS": "met", "INCONCLUSIVE": "undecided", "UNTESTABLE": "not measured"}
    counts = {label: labels.count(label) for label in dict.fromkeys(labels)}
    return ", ".join(f"{count} {words.get(label, label)}" for label, count in counts.items()) or UNSAID


def groups_table(rows: Iterable[tuple[Label, str, Sequence[str], str]]) -> Table:
    """Return one row per group: its worst label, how many members carry which, and why.

    Args:
        rows: label, group, labels of the members, reason.
    """
    heads = [Column(head, left=True) for head in ("label", "group", "members", "because")]
    texts = ((label, group, _counted(members), reason) for label, group, members, reason in rows)
    return of_texts(heads, texts, title="Verdicts", caption=ORDER)


def _counted(labels: Sequence[str]) -> str:
    return ", ".join(f"{labels.count(label)} {label}" for label in dict.fromkeys(labels))


def assets_table(
    assets: Mapping[str, Mapping[str, Label]], verdicts: Mapping[str, Label], why: Mapping[str, str]
) -> Table:
    """Return one row per group: its label for each asset, and why the worst one."""
    heads = [Column(head, left=True) for head in ("group", *assets, "together", "because")]
    rows = []
    for group, label in verdicts.items():
        labels = [labels_of.get(group, "") for labels_of in assets.values()]
        rows.append((group, *labels, "" if any(labels) else label, why[group]))
    return of_texts(heads, rows, title="Verdicts", caption=ORDER)
