"""``scenario-gen backtest``: strategies on given paths of any generator.

Puts the rooms in order: paths are put behind their context, strategies are loaded, probed and run, results are summed
up and held to the limits. Owns what a backtest asks of given paths and of the history before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from scenario_gen.backtest.broker import AccountRules, Broker
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.evidence import MAX_PATHS, evidence_findings, with_evidence
from scenario_gen.backtest.findings import ask_strategy, fills_finding
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.limits import Limits, strategy_findings
from scenario_gen.backtest.loader import Dropped, LoadedStrategy, Use, load_all
from scenario_gen.backtest.result import StrategyResult, fan_bars
from scenario_gen.candles.account import BAD_BARS_FAIL, BAD_BARS_WARN, candle_finding, merge_tallies
from scenario_gen.candles.check import CandleRules, none_left
from scenario_gen.errors import DataError
from scenario_gen.finding import CANDLES, Finding, Label
from scenario_gen.market.anchor import Ensemble, anchored, moment
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import (
    PRICE_FIELDS,
    TOO_HIGH,
    TOO_LOW,
    Candles,
    columns_of,
    high_too_low,
    low_too_high,
    too_large,
    too_small,
)
from scenario_gen.market.load import history_of
from scenario_gen.market.path_tables import PathTable, read_path_table
from scenario_gen.market.paths import PathSet
from scenario_gen.pipeline.study import Stage, tell
from scenario_gen.pipeline.summary import strategy_result
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.reading.section import section_of
from scenario_gen.store.reports import BacktestReport, ContextUsed, PathsView

Paths: TypeAlias = PathSet | pd.DataFrame | str | Path
History: TypeAlias = Candles | pd.DataFrame | str | Path
CONTEXT = 256  # bars that the strategies see before the paths
FEWEST = 3  # context bars that show a frequency
TERMS_NOTE = (
    "these paths bring their own terms (costs, halts, limits or wrong data); random entries trade without them, so "
    "skill beside chance is not to be read here"
)
ONE_LEVEL = 1.5  # first opens that differ by more set out from several contexts


def backtest_paths(
    paths: Paths,
    strategies: Use | Sequence[Use],
    *,
    context: History | None = None,
    context_end: str | None = None,
    context_bars: int = CONTEXT,
    broker: Broker | Mapping[str, Any] | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    account: AccountRules | Mapping[str, Any] | None = None,
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
        account: the rules of the account, as in a spec; default: none.
        bars_per_year: to annualise with; default: from the calendar.
        base: folder that strategy files are looked for in first; default: the current one.
        seed: of random entries and of the bootstrap of CVaR.
        progress: who hears of stages and notes.

    Raises:
        ScenarioError: paths, context, a strategy, a broker or a limit cannot be used; the message says what to do.
    """
    progress = progress or SilentProgress()
    costs = section_of(Broker, broker or {}, "broker")
    rules = section_of(AccountRules, account, "account") if isinstance(account, Mapping) else account
    declared = section_of(Limits, limits or {}, "limits")
    loaded, dropped = load_all(strategies, base or Path.cwd())
    with progress.stage("reading paths and context", 1) as advance:
        given = given_paths(
            paths,
            context,
            context_end=context_end,
            context_bars=context_bars,
            bars_per_year=bars_per_year,
            broker=costs,
            seed=seed,
        )
        given = replace(given, account=rules)
        given.refuse_days_beyond(given.paths.timestamps, given.source, "account.{}".format)
        advance(1)
    study = TradeStudy(given, tuple(loaded), declared, progress)
    nothing: Traded = ()
    known, findings = tell(BACKTEST, study, nothing)
    return _report(study, known, findings, dropped)


@dataclass(frozen=True, eq=False)
class TradeStudy:
    """What strategies on given paths stand on."""

    given: GivenPaths
    strategies: tuple[LoadedStrategy, ...]
    limits: Limits
    progress: Progress


Traded: TypeAlias = tuple[StrategyResult, ...]  # what is known of each strategy


def judge_candles(study: TradeStudy, known: Traded) -> tuple[Traded, list[Finding]]:
    """Say how many of the given bars are no valid candle."""
    return known, [study.given.candles]


def probe_and_trade(study: TradeStudy, known: Traded) -> tuple[Traded, list[Finding]]:
    """Probe every strategy, run it on all paths and hold it to the limits.

    Raises:
        StrategyError: a strategy raised, or returned something unusable.
    """
    results, findings = [*known], list[Finding]()
    with study.progress.stage("backtesting", len(study.strategies)) as advance:
        for strategy in study.strategies:
            result, more = _backtest(strategy, study.given, study.limits)
            results.append(result)
            findings += more
            advance(1)
    return tuple(results), findings


def hold_against(study: TradeStudy, known: Traded) -> tuple[Traded, list[Finding]]:
    """Hold every strategy against chance, holding, its rivals and history."""
    given = study.given
    first = given.paths.select(given.paths.path_ids[:MAX_PATHS])
    judged = with_evidence(given, first, study.strategies, known, study.progress, "judging strategies")
    return tuple(judged), evidence_findings(judged)


# The story of a backtest of given paths.
BACKTEST: tuple[Stage[TradeStudy, Traded], ...] = (judge_candles, probe_and_trade, hold_against)


def _backtest(strategy: LoadedStrategy, given: GivenPaths, limits: Limits) -> tuple[StrategyResult, list[Finding]]:
    """Probe and run one strategy; return its result and its findings."""
    paths = given.paths
    warm, asked = ask_strategy(strategy, given, paths)
    ran = trade(strategy, given, paths)
    fan = ran.equity[:, fan_bars(paths.horizon)]
    metrics = ran.metrics if ran.endings is None else ran.metrics.join(ran.endings)
    found = strategy_result(
        strategy,
        metrics,
        fan.T.astype(np.float64),
        paths.path_ids,
        paths.horizon,
        limits,
        seed=given.seed,
        weights=paths.weighting,
        rules=given.account,
    )
    result = replace(found, warm_up=warm)
    judged = strategy_findings(result, limits.declared())
    return result, [*asked, *fills_finding(strategy.name, ran.metrics, {"": given}), *judged]


def _report(study: TradeStudy, results: Traded, findings: list[Finding], dropped: Sequence[Dropped]) -> BacktestReport:
    given, weights = study.given, study.given.paths.weighting
    return BacktestReport(
        findings=findings,
        strategies=list(results),
        paths=PathsView.of([given.paths], given.source, paths=given.given, contexts=1),
        context=ContextUsed.of(given.context, len(given.older)),
        calendar="given" if given.calendar is None else given.calendar.code,
        bars_per_year=given.bars_per_year,
        broker=given.broker.model_dump(mode="json"),
        limits=study.limits.declared(),
        account={} if given.account is None else given.account.model_dump(),
        dropped={each.name: each.reason for each in dropped},
        notes=[*given.notes, *([] if weights is None else [weights.summary.in_words])],
    )


# --- Paths from outside, ready to be traded: behind their context, with prices that an order can be filled at ---


@dataclass(frozen=True, eq=False, kw_only=True)
class GivenPaths(Ground):
    """Paths and the ground before them; ``later`` is as long as the paths at most."""

    paths: PathSet  # that can be traded; float32 [path, bar, field]
    given: int  # how many came
    source: str  # what to call the paths
    candles: Finding  # on their candles
    notes: tuple[str, ...]  # how paths and history fit


def given_paths(
    paths: Paths,
    context: History | None,
    *,
    context_end: str | None = None,
    context_bars: int = CONTEXT,
    bars_per_year: float | None = None,
    broker: Broker | None = None,
    seed: int = 0,
) -> GivenPaths:
    """Read paths and put them behind their context.

    Args:
        paths: a table (see ``path_tables``) or a PathSet, of one context: all have the same stamps.
        context: the history up to the paths; None: a flat bar stands for it, so that every indicator starts cold.
        context_end: the last bar of the history to use, where it goes on; what follows is what really happened.
        context_bars: how many of the last bars strategies see.
        bars_per_year: to annualise with; default: from the calendar that context or paths show.
        broker: cash, costs and fills; default: no costs.
        seed: of what is drawn beside the paths.

    Raises:
        DataError: paths or context cannot be read, paths differ in length or in stamps, have no price somewhere, or
            the context does not end before them.
        CheckError: paths and context do not fit: another frequency, time zone or unit, or years between them.
    """
    table, source = _table(paths)
    if context is None:
        alone = _without_context(_one_set(table, source), source, bars_per_year)
        return replace(alone, notes=(*_notes_of(table), *alone.notes), broker=broker or Broker(), seed=seed)
    history = history_of(context)
    _refuse_overlap(table, history, context_end, source)
    found = anchored(table, history, context_end, source)
    behind = _only(found.ensembles, source)
    before = history.rows(0, behind.end)
    seen = before.context(min(context_bars, len(before)))
    calendar = BarCalendar.infer(before.timestamps, history.calendar)
    rules = CandleRules.of(seen, behind.paths.horizon, history=before, calendar=calendar)
    checked = rules.check(behind.paths, "repair", measured=0)  # a backtest shows no facts
    if not len(checked.paths):
        raise none_left(len(behind.paths))
    apart = () if checked.paths.terms is None else (TERMS_NOTE,)
    return GivenPaths(
        paths=checked.paths,
        given=len(behind.paths),
        context=seen,
        history=before,
        later=history.rows(behind.end, min(len(history), behind.end + behind.paths.horizon)),
        calendar=calendar,
        bars_per_year=bars_per_year or float(calendar.bars_per_year),
        broker=broker or Broker(),
        seed=seed,
        source=source,
        candles=candle_finding("", merge_tallies([checked.tally])),
        notes=(*found.notes, *apart),
    )


def _table(paths: Paths) -> tuple[PathTable | list[PathSet], str]:
    if isinstance(paths, PathSet):
        return [paths], "the path set"
    if not isinstance(paths, pd.DataFrame | str | Path):
        raise DataError(
            f"paths cannot be read from {type(paths).__name__}",
            expected="a file, a data frame or a PathSet",
            fix="pass the path of a file",
        )
    table = read_path_table(paths)
    return table, table.name


def _notes_of(table: PathTable | list[PathSet]) -> tuple[str, ...]:
    return table.notes if isinstance(table, PathTable) else ()


def _one_set(table: PathTable | list[PathSet], source: str) -> PathSet:
    """Return the paths as one set; refuse those of several contexts."""
    if not isinstance(table, PathTable):
        return table[0]
    if (table.stamps != table.stamps[:1]).any():
        raise _several(len(np.unique(table.stamps, axis=0)), source)
    return table.path_set(float("nan"))


def _only(ensembles: Sequence[Ensemble], source: str) -> Ensemble:
    if len(ensembles) > 1:
        raise _several(len(ensembles), source)
    return ensembles[0]


def _several(count: int, source: str) -> DataError:
    return DataError(
        f"the paths of {source} have {count} different sets of stamps: they continue several contexts",
        expected="paths of one context: the same stamps on every path",
        fix="write the paths of each context to a file of its own and backtest them one by one",
    )


def _refuse_overlap(table: PathTable | list[PathSet], history: Candles, context_end: str | None, source: str) -> None:
    """Refuse a history that goes on beside the paths, unless it is said where the context ends."""
    if context_end is not None:
        return
    if isinstance(table, PathTable):
        first = pd.Timestamp(int(table.stamps.min()), tz=None if table.zone is None else "UTC")
    else:
        first = table[0].timestamps[0]
    last = history.timestamps[-1]
    if (first.tzinfo is None) == (last.tzinfo is None) and last >= first:
        raise DataError(
            f"the context {history.name} ends at {moment(last)}, but the paths of {source} begin at {moment(first)}",
            expected="a context that ends before the paths",
            fix="cut the history, or say where the context ends: --context-end DATE (what follows is then held beside "
            "the paths as what really happened)",
        )


def _without_context(paths: PathSet, source: str, bars_per_year: float | None) -> GivenPaths:
    _refuse_no_price(paths, source)
    opens = paths.column("open")[:, 0].astype(np.float64)
    if opens.max() / opens.min() > ONE_LEVEL:
        raise DataError(
            f"the first opens of {source} lie between {opens.min():.6g} and {opens.max():.6g}: no one price precedes "
            "them",
            expected="paths that set out from one price, or the context that says from which",
            fix="give --context HISTORY, or scale the paths to one starting price",
        )
    level = float(np.median(opens)) if np.isnan(paths.anchor_close) else paths.anchor_close
    context = _flat_bar(paths, level)
    calendar = None if bars_per_year else _calendar_of(paths, source)
    return GivenPaths(
        paths=replace(paths, anchor_close=level),
        given=len(paths),
        context=context,
        history=context,
        later=context.rows(0, 0),
        calendar=calendar,
        bars_per_year=bars_per_year or float(calendar.bars_per_year if calendar else 0.0),
        source=source,
        candles=_raw_candles(paths),
        notes=(
            f"no context was given: one flat bar at {level:.6g} stands for the last close, and every indicator starts "
            "cold; --context HISTORY warms them up",
            *(() if paths.terms is None else (TERMS_NOTE,)),
        ),
    )


def _flat_bar(paths: PathSet, level: float) -> Candles:
    """Return one bar just before the paths, at one price."""
    stamps = paths.timestamps
    step = stamps[1] - stamps[0] if len(stamps) > 1 else pd.Timedelta(days=1)
    before = pd.DatetimeIndex([stamps[0] - step])
    volume = [float(np.median(paths.column("volume")[:, 0]))] if "volume" in paths.fields else []
    fields = (*PRICE_FIELDS, *(["volume"] if volume else []))
    return Candles(before, np.array([[level] * len(PRICE_FIELDS) + volume]), fields, name="no context")


def _calendar_of(paths: PathSet, source: str) -> BarCalendar:
    if paths.horizon < 2:
        raise DataError(
            f"the paths of {source} have one bar, which shows no frequency to annualise with",
            expected="a context, or the bars of a year",
            fix="give --context HISTORY or --bars-per-year 252",
        )
    return BarCalendar.infer(paths.timestamps)


def _refuse_no_price(paths: PathSet, source: str) -> None:
    columns = columns_of(paths.values, paths.fields)
    bad = ~np.isfinite(paths.values).all(axis=2) | too_large(columns) | too_small(columns, TOO_LOW)  # [path, bar]
    if not bad.any():
        return
    row, bar = (int(place) for place in np.argwhere(bad)[0])
    paths_hit = len(np.unique(np.argwhere(bad)[:, 0]))
    raise DataError(
        f"{source} has {np.count_nonzero(bad):,} bars on {paths_hit:,} paths whose values are missing, infinite, "
        f"not positive or too small or large, the first is bar {bar + 1} of path {int(paths.path_ids[row])}",
        expected=f"prices from {TOO_LOW:g} to {TOO_HIGH:g} on every bar",
        fix="correct the generator, or give --context HISTORY: paths without a price are then left out, and counted",
    )


def _raw_candles(paths: PathSet) -> Finding:
    """Count bars whose high and low do not enclose open and close; nothing is repaired without a context."""
    columns = columns_of(paths.values, paths.fields)
    bad = high_too_low(columns) | low_too_high(columns)
    share = float(bad.mean())
    label: Label = "FAIL" if share > BAD_BARS_FAIL else "WARN" if share > BAD_BARS_WARN else "PASS"
    return CANDLES.finding(
        label,
        f"high and low do not enclose open and close on {share:.2%} of {bad.size} bars; nothing was repaired",
        band=f"at most {BAD_BARS_WARN:.0%} of bars (WARN) or {BAD_BARS_FAIL:.0%} (FAIL)",
    )
