"""Figures of two runs beside each other: every one that both have, with the error of its difference.

Owns which figures are compared, and whether path by path. Reads what run.json has of each and the metrics of every
path; where these are not kept, or paths do not all stand for as much, the intervals of run.json are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

import numpy as np
import pandas as pd

from scenario_gen.backtest.metrics import METRICS
from scenario_gen.backtest.result import StrategyResult
from scenario_gen.stats.compared import Gap, Statistic, apart, by_intervals, paired
from scenario_gen.stats.estimate import Estimate, rate
from scenario_gen.stats.means import NO_DIFFERENCE, holm
from scenario_gen.store.results import ScenarioResult, StressRun

LEVEL = 0.05  # that any figure is called moved where none did
QUANTILES = ("0.05", "0.5", "0.95")  # of every metric
FEWEST_PATHS = 30  # that a difference of paths is judged by
How = Literal["same bits", "path by path", "two samples", "by intervals"]


@dataclass(frozen=True)
class SideBySide:
    """One strategy of one scenario that both runs have, and how its figures were compared."""

    scenario: str
    strategy: str
    how: How  # same bits: every metric of every path is the same
    reason: str  # why it is not path by path; empty where it is, or where the bits are the same
    figures: int  # how many were compared
    moved: int  # how many of them moved


@dataclass(frozen=True)
class FigureChange:
    """One figure of both runs and its difference, the second less the first."""

    scenario: str
    strategy: str
    figure: str  # "sharpe/mean", "max_drawdown/0.95", "probability_of_loss", "var/0.95", "cvar/0.99"
    first: float
    second: float
    difference: Estimate  # with its 95 % interval, not adjusted
    p: float  # two-sided, that both are the same
    p_adjusted: float  # Holm's, over all figures of the comparison
    moved: bool


def scenarios_of(run: StressRun) -> dict[str, ScenarioResult]:
    """Return what strategies were run on, by name: of several assets the books, too."""
    books = () if run.book is None else run.book.scenarios
    return {scenario.name: scenario for scenario in chain(run.scenarios, books)}


def section_of(spec: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return what the spec says of a scenario, or of the first asset of one of several."""
    sections = [part for part in spec.get("scenarios", ()) if isinstance(part, Mapping)]
    own = [part for part in sections if part.get("name") == name]
    assets = [part for part in sections if str(part.get("name")).rpartition(".")[0] == name]
    return next(iter([*own, *assets]), {})


@dataclass(frozen=True)
class _Wanted:
    """A figure of a strategy: where its value stands, and what it is of which metric."""

    name: str
    metric: str
    figure: Statistic
    losses: bool = False  # of the metric's negative


def _wanted() -> Iterator[_Wanted]:
    yield _Wanted("total_return/mean", "total_return", Statistic("mean"))
    yield _Wanted("probability_of_loss", "total_return", Statistic("below zero"))
    for level in ("0.95", "0.99"):
        yield _Wanted(f"var/{level}", "total_return", Statistic("quantile", float(level)), losses=True)
        yield _Wanted(f"cvar/{level}", "total_return", Statistic("shortfall", float(level)))
    for metric in METRICS:
        if metric.name != "total_return":
            yield _Wanted(f"{metric.name}/mean", metric.name, Statistic("mean"))
        for level in QUANTILES:
            yield _Wanted(f"{metric.name}/{level}", metric.name, Statistic("quantile", float(level)))


WANTED = tuple(_wanted())


def estimates_of(result: StrategyResult) -> dict[str, Estimate]:
    """Return the figures of a strategy as run.json has them, by their names."""
    estimates = {"probability_of_loss": result.probability_of_loss}
    for summary in result.metrics:
        estimates[f"{summary.metric}/mean"] = summary.mean
        estimates |= {f"{summary.metric}/{level}": estimate for level, estimate in summary.quantiles.items()}
    for name, tail in (("var", result.var), ("cvar", result.cvar)):
        estimates |= {f"{name}/{level}": estimate for level, estimate in tail.items()}
    return estimates


def figures_of(
    runs: tuple[StressRun, StressRun], metrics: tuple[pd.DataFrame | None, pd.DataFrame | None]
) -> tuple[list[SideBySide], list[FigureChange]]:
    """Compare every figure that both runs have, and adjust their p-values together.

    Args:
        runs: the older one first.
        metrics: of every path, one row per scenario, strategy and path; None where they are not kept.
    """
    old, new = map(scenarios_of, runs)
    tables = [_by_strategy(table) for table in metrics]
    beside, changes = list[SideBySide](), list[FigureChange]()
    for name in (name for name in old if name in new):
        theirs = {strategy.name: strategy for strategy in new[name].strategies}
        for strategy in (each for each in old[name].strategies if each.name in theirs):
            rows = [table.get((name, strategy.name)) for table in tables]
            how, reason = _how(runs, (old[name], new[name]), (rows[0], rows[1]))
            gaps = list(_gaps(how, (strategy, theirs[strategy.name]), (rows[0], rows[1])))
            beside.append(SideBySide(name, strategy.name, how, reason, len(gaps), 0))
            changes += [
                FigureChange(name, strategy.name, figure, *values, gap.difference, gap.p, 1.0, moved=False)
                for figure, values, gap in gaps
            ]
    adjusted = holm([change.p for change in changes])
    changes = [
        replace(change, p_adjusted=p, moved=p < LEVEL and abs(change.second - change.first) > NO_DIFFERENCE)
        for change, p in zip(changes, adjusted, strict=True)
    ]
    moved = [(change.scenario, change.strategy) for change in changes if change.moved]
    return [replace(each, moved=moved.count((each.scenario, each.strategy))) for each in beside], changes


Rows = tuple[pd.DataFrame | None, pd.DataFrame | None]


def _by_strategy(table: pd.DataFrame | None) -> dict[tuple[str, str], pd.DataFrame]:
    if table is None:
        return {}
    groups = table.groupby(["scenario", "strategy"], sort=False, observed=True)
    return {(str(key[0]), str(key[1])): rows.sort_values("path_id") for key, rows in groups}


def _how(
    runs: tuple[StressRun, StressRun], scenarios: tuple[ScenarioResult, ScenarioResult], rows: Rows
) -> tuple[How, str]:
    """Return how a strategy is compared, and why not path by path."""
    if rows[0] is None or rows[1] is None:
        return "by intervals", "the metrics of its paths are not kept"
    if any(scenario.weighting is not None for scenario in scenarios):
        return "by intervals", "its paths do not all stand for as much"
    if min(len(rows[0]), len(rows[1])) < FEWEST_PATHS:
        return "by intervals", f"fewer than {FEWEST_PATHS} paths"
    if _same_bits(rows[0], rows[1]):
        return "same bits", ""
    paths = [section_of(run.spec, each.name).get("paths", {}) for run, each in zip(runs, scenarios, strict=True)]
    asked = {
        "another seed": [each.get("seed") for each in paths],
        "another number of paths": [each.get("count") for each in paths],
        "another context": [each.context.sha256 for each in scenarios],
    }
    apart_by = [words for words, (ours, theirs) in asked.items() if ours != theirs]
    return ("two samples", ", ".join(apart_by)) if apart_by else ("path by path", "")


def _same_bits(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    names = ["path_id", *(metric.name for metric in METRICS if metric.name in first)]
    if len(first) != len(second) or not set(names) <= {*second.columns}:
        return False
    return all(first[name].to_numpy().tobytes() == second[name].to_numpy().tobytes() for name in names)


def _gaps(
    how: How, results: tuple[StrategyResult, StrategyResult], rows: Rows
) -> Iterator[tuple[str, tuple[float, float], Gap]]:
    """Yield every figure that both have with its two values and their difference."""
    ours, theirs = map(estimates_of, results)
    for wanted in WANTED:
        if wanted.name not in ours or wanted.name not in theirs:
            continue
        estimates = ours[wanted.name], theirs[wanted.name]
        first, second = map(rate, estimates)
        if first is None or second is None:
            continue
        gap = by_intervals(*estimates) if how == "by intervals" else _gap_of_paths(how, wanted, (first, second), rows)
        if gap is not None:
            yield wanted.name, (first, second), gap


def _gap_of_paths(how: How, wanted: _Wanted, values: tuple[float, float], rows: Rows) -> Gap | None:
    if how == "same bits":
        return Gap(Estimate(0.0, 0.0, 0.0), 1.0)
    numbers, ids = [], []
    for table in rows:
        if table is None or wanted.metric not in table:
            return None
        column = table[wanted.metric].to_numpy(dtype=np.float64)
        numbers.append(-column if wanted.losses else column)
        ids.append(table["path_id"].to_numpy())
    if min(int(np.count_nonzero(~np.isnan(each))) for each in numbers) < FEWEST_PATHS:
        return None
    if how == "path by path":
        return paired(wanted.figure, (ids[0], numbers[0]), (ids[1], numbers[1]), values)
    return apart(wanted.figure, numbers[0], numbers[1], values)
