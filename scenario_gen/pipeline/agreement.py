"""Generators side by side: the base scenario and the baselines that continue the same context in the same account."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.inference.agreement import Agreement, StrategyAgreement, generators_side_by_side
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.finding import AGREEMENT, Finding, Label
from scenario_gen.pipeline.prepare import Prepared

LABELS: dict[str, Label] = {
    "agree": "PASS",
    "depends on the generator": "WARN",
    "undecided": "INCONCLUSIVE",
    "not judged": "UNTESTABLE",
}
BAND = "mean, median, losing paths and 5 % quantile alike on all generators, to what ten points of loss amount to"


def agreement_of(
    prepared: Sequence[Prepared], strategies: Sequence[LoadedStrategy], metrics: pd.DataFrame
) -> tuple[Agreement | None, list[Finding]]:
    """Compare what the generators say of every strategy; nothing where there is one generator alone.

    Args:
        prepared: scenarios and baselines.
        strategies: of the run.
        metrics: one row per scenario, strategy and path.
    """
    beside = comparable(prepared)
    if len(beside) < 2 or not strategies:
        return None, []
    of_scenario = dict(list(metrics.groupby("scenario", sort=False)))
    returns = {
        one.name: {strategy.name: _returns(of_scenario[one.name], strategy.name) for strategy in strategies}
        for one in beside
    }
    found = generators_side_by_side(returns)
    return found, [_finding(one, beside[0].name) for one in found.strategies]


def comparable(prepared: Sequence[Prepared]) -> list[Prepared]:
    """Return the base scenario and the baselines from the same context, over as many bars, in the same account."""
    own = [one for one in prepared if one.scenario.role == "scenario"]
    if not own:
        return []
    base = next((one for one in own if one.name == "base"), own[0])
    return [base, *(one for one in prepared if one.scenario.role == "baseline" and _alike(base, one))]


def _alike(base: Prepared, other: Prepared) -> bool:
    return (
        base.context.sha256() == other.context.sha256()
        and len(base.timestamps) == len(other.timestamps)
        and base.scenario.broker == other.scenario.broker
    )


def _returns(rows: pd.DataFrame, strategy: str) -> Floats:
    return np.asarray(rows.loc[rows["strategy"] == strategy, "total_return"], dtype=np.float64)


def _finding(one: StrategyAgreement, scenario: str) -> Finding:
    apart = [
        f"{difference.figure} {difference.generator} less {difference.against}: {difference.value:+.1%}"
        for difference in one.differences
        if difference.label == "depends on the generator" and difference.value is not None
    ]
    told = "; ".join(apart[:2]) or one.reason or f"{len(one.differences)} differences within what matters"
    return Finding(
        name=AGREEMENT.key,
        label=LABELS[one.label],
        measured=f"{one.label}: {told}",
        band=BAND,
        scenario=scenario,
        offenders=apart,
        strategy=one.strategy,
    )
