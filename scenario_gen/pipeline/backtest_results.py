"""What a backtest on given paths found, as frozen values: what ``scenario-gen backtest --json`` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scenario_gen.pipeline.check_results import PathsView
from scenario_gen.store.results import Finding, StrategyResult


@dataclass(frozen=True)
class ContextUsed:
    """The real bars before the paths.

    Attributes:
        name: of the instrument.
        source: where it came from; empty where no context was given and a flat bar stands for it.
        bars: how many the strategies saw.
        first: stamp of the first of them.
        last: stamp of the last.
        older: bars of the source before them.
        sha256: of stamps, fields and values.
    """

    name: str
    source: str
    bars: int
    first: str
    last: str
    older: int
    sha256: str


@dataclass(frozen=True)
class BacktestReport:
    """Strategies on given paths: distributions, limits and findings.

    Attributes:
        findings: candles, look_ahead and warm_up of each strategy, and each declared limit.
        strategies: one result per strategy and parameter set.
        paths: what was given.
        context: the real bars before them.
        calendar: whose bars they are, and ``bars_per_year`` to annualise with.
        bars_per_year: bars in a year.
        broker: costs and fills.
        limits: as declared.
        dropped: parameter sets that a strategy refused, and why.
        notes: what a reader must know of how paths and context fit.
    """

    findings: list[Finding]
    strategies: list[StrategyResult]
    paths: PathsView
    context: ContextUsed
    calendar: str
    bars_per_year: float
    broker: dict[str, Any]
    limits: dict[str, float]
    dropped: dict[str, str]
    notes: list[str]
    schema: int = 1
