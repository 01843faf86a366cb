"""Every strategy of a run before some of its paths: causality, warm-up and order within bars, on the first scenario.

The answer is a property of the strategy's code: it is asked once, on bars that the run itself was made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.pipeline.blocks import first_paths
from scenario_gen.pipeline.intrabar import ORDERS_PATHS
from scenario_gen.pipeline.prepare import Prepared
from scenario_gen.pipeline.strategy_findings import ask_strategy
from scenario_gen.progress import Progress
from scenario_gen.store.folder import RunFolder
from scenario_gen.store.results import Finding, ScenarioResult, StrategyResult


def probe_strategies(
    one: Prepared, strategies: Sequence[LoadedStrategy], result: ScenarioResult, store: RunFolder, progress: Progress
) -> tuple[ScenarioResult, list[Finding]]:
    """Probe every strategy on one scenario; return its result with the warm-up of each, and two or three findings each.

    Args:
        one: the scenario, whose blocks are in the store.
        strategies: of the run, in the order of the result's.
        result: the scenario's result.
        store: where the blocks are.
        progress: who hears of stages.

    Raises:
        StrategyError: a strategy raised, or returned something unusable.
    """
    paths = first_paths(one, store, ORDERS_PATHS)  # the probe looks at four, the warm-up at 32
    probed: list[StrategyResult] = []
    findings: list[Finding] = []
    with progress.stage("probing for look-ahead", len(strategies)) as advance:
        for strategy, found in zip(strategies, result.strategies, strict=True):
            warm, told = ask_strategy(strategy, one, paths, scenario=one.name)
            findings += told
            probed.append(replace(found, warm_up=warm))
            advance(1)
    return replace(result, strategies=probed), findings
