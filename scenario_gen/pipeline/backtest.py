"""``scenario-gen backtest``: strategies on given paths of any generator.

Puts the rooms in order: paths are put behind their context, strategies are loaded, probed and run, results are summed
up and held to the limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.evidence import MAX_PATHS, evidence_findings, with_evidence
from scenario_gen.backtest.findings import ask_strategy, fills_finding
from scenario_gen.backtest.limits import Limits, strategy_findings
from scenario_gen.backtest.loader import Dropped, LoadedStrategy, expand
from scenario_gen.backtest.result import StrategyResult
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.errors import SpecError
from scenario_gen.finding import Finding
from scenario_gen.market.candles import Candles
from scenario_gen.pipeline.blocks import fan_bars
from scenario_gen.pipeline.given import CONTEXT, GivenPaths, History, Paths, given_paths
from scenario_gen.pipeline.summary import strategy_result
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.reading.section import section_of
from scenario_gen.store.reports import PathsView


@dataclass(frozen=True)
class ContextUsed:
    """The real bars before the paths."""

    name: str  # of the instrument
    source: str  # where it came from; empty where no context was given and a flat bar stands for it
    bars: int  # how many the strategies saw
    first: str  # stamp of the first of them
    last: str  # stamp of the last
    older: int  # bars of the source before them
    sha256: str  # of stamps, fields and values


@dataclass(frozen=True)
class BacktestReport:
    """Strategies on given paths: distributions, limits and findings."""

    findings: list[Finding]  # candles, look_ahead and warm_up of each strategy, and each declared limit
    strategies: list[StrategyResult]  # one result per strategy and parameter set
    paths: PathsView  # what was given
    context: ContextUsed  # the real bars before them
    calendar: str  # whose bars they are, and ``bars_per_year`` to annualise with
    bars_per_year: float  # bars in a year
    broker: dict[str, Any]  # costs and fills
    limits: dict[str, float]  # as declared
    dropped: dict[str, str]  # parameter sets that a strategy refused, and why
    notes: list[str]  # what a reader must know of how paths and context fit
    schema: int = 1


# --- ``scenario-gen backtest``: strategies on given paths of any generator ---


Use: TypeAlias = LoadedStrategy | StrategyUse | Mapping[str, Any] | str


def backtest_paths(
    paths: Paths,
    strategies: Use | Sequence[Use],
    *,
    context: History | None = None,
    context_end: str | None = None,
    context_bars: int = CONTEXT,
    broker: Broker | Mapping[str, Any] | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    bars_per_year: float | None = None,
    base: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> BacktestReport:
    """Run strategies on given paths of any generator, and judge strategies and limits.

    Args:
        paths: a CSV or Parquet file or a data frame with the columns path (or path_id), timestamp, open, high, low,
            close and, where there is one, volume; or a PathSet. All paths have the same stamps.
        strategies: one or several: ``file.py:Name``, or ``{"use": "file.py:Name", "params": {"fast": [10, 20]}}``.
        context: the history that the paths continue: Candles, a data frame, a file, "sp500" or "nasdaq". Without
            one, indicators start cold.
        context_end: the last bar of the history to use, where it goes on after the paths' begin.
        context_bars: how many of its last bars strategies see.
        broker: as in a spec; default: no costs, fills at the next open.
        limits: as in a spec; default: none.
        bars_per_year: to annualise with; default: from the calendar.
        base: folder that strategy files are looked for in first; default: the current one.
        seed: of random entries and of the bootstrap of CVaR.
        progress: who hears of stages and notes.

    Raises:
        ScenarioError: paths, context, a strategy, a broker or a limit cannot be used; the message says what to do.
    """
    progress = progress or SilentProgress()
    account = broker if isinstance(broker, Broker) else section_of(Broker, broker or {}, "broker")
    declared = limits if isinstance(limits, Limits) else section_of(Limits, limits or {}, "limits")
    loaded, dropped = _load(strategies, base or Path.cwd())
    with progress.stage("reading paths and context", 1) as advance:
        given = given_paths(
            paths,
            context,
            context_end=context_end,
            context_bars=context_bars,
            bars_per_year=bars_per_year,
            broker=account,
            seed=seed,
        )
        advance(1)
    results, findings = [], [given.candles]
    with progress.stage("backtesting", len(loaded)) as advance:
        for strategy in loaded:
            result, found = _backtest(strategy, given, declared)
            results.append(result)
            findings += found
            advance(1)
    first = given.paths.select(given.paths.path_ids[:MAX_PATHS])
    results = with_evidence(given, first, loaded, results, progress, "judging strategies")
    findings += evidence_findings(results)
    return _report(given, declared, results, findings, dropped)


def _load(strategies: Use | Sequence[Use], base: Path) -> tuple[list[LoadedStrategy], tuple[Dropped, ...]]:
    uses = [strategies] if isinstance(strategies, str | Mapping | StrategyUse | LoadedStrategy) else strategies
    loaded: list[LoadedStrategy] = []
    dropped: tuple[Dropped, ...] = ()
    for use in uses:
        if isinstance(use, LoadedStrategy):
            loaded.append(use)
            continue
        expansion = expand(_use(use), base)
        loaded += expansion.strategies
        dropped += expansion.dropped
    names = [one.name for one in loaded]
    if not names:
        raise SpecError("no strategy was given", expected="at least one, such as strategies/sma_cross.py:SmaCross")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SpecError(f"the strategy {twice} is there twice", expected="each strategy with each parameter set once")
    return loaded, dropped


def _use(use: StrategyUse | Mapping[str, Any] | str) -> StrategyUse:
    if isinstance(use, StrategyUse):
        return use
    return section_of(StrategyUse, {"use": use} if isinstance(use, str) else use, "strategies")


def _backtest(strategy: LoadedStrategy, given: GivenPaths, limits: Limits) -> tuple[StrategyResult, list[Finding]]:
    """Probe and run one strategy; return its result and its findings."""
    paths = given.paths
    warm, asked = ask_strategy(strategy, given, paths)
    ran = trade(strategy, given, paths)
    fan = ran.equity[:, fan_bars(paths.horizon)]
    found = strategy_result(strategy, ran.metrics, fan, paths.horizon, limits, seed=given.seed, weights=paths.weighting)
    result = replace(found, warm_up=warm)
    judged = strategy_findings(result, limits.model_dump(exclude_none=True))
    return result, [*asked, *fills_finding(strategy.name, ran.metrics, given), *judged]


def _report(
    given: GivenPaths,
    limits: Limits,
    results: list[StrategyResult],
    findings: list[Finding],
    dropped: Sequence[Dropped],
) -> BacktestReport:
    paths = given.paths
    return BacktestReport(
        findings=findings,
        strategies=results,
        paths=PathsView(
            source=Path(given.source).name,
            paths=given.given,
            bars=paths.horizon,
            contexts=1,
            fields=list(paths.fields),
            first=paths.timestamps[0].isoformat(),
            last=paths.timestamps[-1].isoformat(),
        ),
        context=_context_used(given.context, len(given.older)),
        calendar="given" if given.calendar is None else given.calendar.code,
        bars_per_year=given.bars_per_year,
        broker=given.broker.model_dump(mode="json"),
        limits=limits.model_dump(exclude_none=True),
        dropped={one.name: one.reason for one in dropped},
        notes=list(given.notes),
    )


def _context_used(context: Candles, older: int) -> ContextUsed:
    return ContextUsed(
        name=context.name,
        source=context.source,
        bars=len(context),
        first=context.timestamps[0].isoformat(),
        last=context.timestamps[-1].isoformat(),
        older=older,
        sha256=context.sha256(),
    )
