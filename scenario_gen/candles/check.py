"""Candle rules V1 to V12: found on the raw output, counted per path and rule, then repaired, rejected or refused.

The rules are set up once per context (:class:`CandleRules`) and applied to any number of blocks. What a rule is stands
in ``rules``, what is counted in ``account``. Paths without finite positive prices are beyond repair (V1, V2): they are
dropped before, never imputed.

Owns also which stylized facts of repaired paths are measured before and after: the cost is bounded where rounding to
ticks changes every path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.candles.account import CandleCounts, count_paths, wickless_shares
from scenario_gen.candles.breaches import Exchange, Flags, Suspects, View, session_close
from scenario_gen.candles.reference import ReferenceBounds, Scales
from scenario_gen.candles.rules import RULE, RuleCount, find, history_breaches, mend, misfits, rows
from scenario_gen.errors import CheckError
from scenario_gen.market.calendar import LAST_STAMPED, BarCalendar
from scenario_gen.market.candles import (
    PRICE_FIELDS,
    TOO_LOW,
    Candles,
    Flag,
    columns_of,
    not_finite,
    too_large,
    too_small,
)
from scenario_gen.market.paths import PathSet
from scenario_gen.market.section import Market
from scenario_gen.realism.bars import BarArrays, spread_rows
from scenario_gen.realism.estimators import divide
from scenario_gen.realism.facts import FACT, entries, path_statistics
from scenario_gen.realism.gauge import Gauge

# Changed paths of an ensemble that are measured, evenly spread: a mean over so many has an error of .03 standard
# deviations, and the shifts are paired, so theirs is smaller still.
MOST_MEASURED = 1000
SIDES = ("raw", "left")


def share_of(most: int, part: int, whole: int) -> int:
    """Return how many of ``most`` fall to a part of the ensemble, at least one."""
    return max(1, -(-most * part // whole))


def facts_of_changed(raw: PathSet, repaired: PathSet, gauge: Callable[[], Gauge], most: int) -> pd.DataFrame:
    """Return one row per measured path, index path_id: ``<fact>_raw`` and ``<fact>_left`` for every fact.

    Facts are measured as those of the ensemble are; a pooled ratio is the path's own. Empty where nothing was changed.

    Args:
        raw: kept paths before repair.
        repaired: the same paths after it, in the same order.
        gauge: makes the history's, which says how to measure; asked only where something was changed.
        most: changed paths that are measured, evenly spread.
    """
    changed = np.flatnonzero((raw.values != repaired.values).any(axis=(1, 2)))
    rows = changed[spread_rows(len(changed), most)]
    ids = raw.path_ids[rows]
    index = pd.Index(ids, name="path_id")
    if not len(ids):
        return pd.DataFrame(index=index)
    columns = {
        f"{fact}_{side}": values
        for side, paths in zip(SIDES, (raw, repaired), strict=True)
        for fact, values in _facts(paths.select(ids), gauge()).items()
    }
    return pd.DataFrame(columns, index=index)


def _facts(paths: PathSet, gauge: Gauge) -> dict[str, NDArray[Any]]:
    """Return fact id to one value per path."""
    found = path_statistics(BarArrays.of_paths(paths, tick=gauge.tick, clock=gauge.clock), gauge=gauge)
    facts = [fact for fact in FACT.values() if {*entries(fact)} <= found.keys()]
    return {
        fact.id: found[fact.id] if fact.kind == "P" else divide(found[f"{fact.id}.num"], found[f"{fact.id}.den"])
        for fact in facts
    }


# --- Found, counted, mended ---


Policy = Literal["repair", "reject", "fail"]


@dataclass(frozen=True)
class CheckedPaths:
    """What goes on to the backtest, and the account of what was found."""

    paths: PathSet  # the kept paths, after any repair; may be none
    raw: PathSet  # the same paths before repair (for results with and without it)
    tally: CandleCounts  # counts that add up over blocks

    @property
    def changed(self) -> NDArray[np.int64]:
        """Ids of the kept paths that the repair changed."""
        touched = (self.paths.values != self.raw.values).any(axis=(1, 2))
        return np.asarray(self.paths.path_ids[touched])


@dataclass(frozen=True)
class CandleRules:
    """All rules, with the thresholds that one market, context and history give them."""

    context: Candles  # the bars that the paths follow
    history: Candles  # the real bars up to the context's end
    calendar: BarCalendar  # where the paths' stamps come from
    exchange: Exchange  # ticks, lots, price limit, sessions
    bounds: ReferenceBounds  # what the history allows of V9 to V12
    scales: Scales  # the context's units
    horizon: int  # bars of a path
    rows: tuple[RuleCount, ...]  # the account's row of each rule, before anything is counted
    misfits: tuple[Flag, ...]  # flags where the history itself does not keep to what the spec says of the market
    wickless: tuple[float, float]  # share of the history's bars without an upper and without a lower wick

    @classmethod
    def of(
        cls,
        context: Candles,
        horizon: int,
        *,
        market: Market | None = None,
        history: Candles | None = None,
        calendar: BarCalendar | None = None,
    ) -> CandleRules:
        """Set the rules up.

        Args:
            context: the bars that the paths follow, at least three.
            horizon: bars of a path.
            market: ticks, lots and limit; by default there are none.
            history: the real bars up to the context's end; by default the context alone, which cannot say much.
            calendar: where stamps come from; by default inferred from the history.

        Raises:
            DataError: the context is too short to show its frequency.
            CheckError: a price is less than one tick.
        """
        history = context if history is None else history
        calendar = calendar or BarCalendar.infer(history.timestamps, history.calendar)
        market = market or Market()
        _refuse_coarse(market, context)
        exchange = Exchange.of(market, history)
        first_opens = bool(exchange.opens(context.timestamps[-1], calendar.future(1))[0])
        bounds = ReferenceBounds.of(
            history, exchange.clock, context=len(context), horizon=horizon, first_opens=first_opens
        )
        broken = history_breaches(exchange, history)
        return cls(
            context=context,
            history=history,
            calendar=calendar,
            exchange=exchange,
            bounds=bounds,
            scales=Scales.of(context, history),
            horizon=horizon,
            rows=rows(exchange, bounds, broken),
            misfits=misfits(market, broken),
            wickless=wickless_shares(history.values[:, :4].astype(np.float32)),
        )

    def check(self, paths: PathSet, policy: Policy, *, measured: int = MOST_MEASURED) -> CheckedPaths:
        """Apply the rules to raw paths and the policy to what breaks them.

        Args:
            paths: raw paths.
            policy: ``repair``, ``reject`` or ``fail``.
            measured: of the paths that the repair changes, how many are measured before and after it.

        Raises:
            CheckError: a rule is broken and the policy is ``fail``, or the paths do not belong to this context.
        """
        self._refuse_strangers(paths)
        found = self.find(paths)
        bad = np.any([flags.bars for rule, flags in found.items() if RULE[rule].bad], axis=0)
        if policy == "fail" and bad.any():
            raise _refusal(found, bad)
        rejected = bad.any(axis=1) if policy == "reject" else _beyond_repair(paths, found)
        raw = paths.select(paths.path_ids[~rejected])
        kept = self.repair(raw)
        counts = count_paths(paths, found, bad, rejected, kept, self.find(kept), self._tick)
        facts = facts_of_changed(raw, kept, lambda: self._gauge, measured)
        tally = CandleCounts(self._rows(paths, found), policy, self.horizon, self.wickless, counts, facts)
        return CheckedPaths(kept, raw, tally)

    def find(self, paths: PathSet) -> dict[str, Suspects]:
        """Return what each judged rule finds in raw or repaired paths."""
        return find(self._view(paths))

    def repair(self, paths: PathSet) -> PathSet:
        """Return paths that break none of V3 to V8, changed as little as that takes; repairing twice changes nothing.

        Raises:
            ValueError: a path has a price that is not finite and positive, or a volume that is not finite.
        """
        return mend(self._view(paths))

    def _view(self, paths: PathSet) -> View:
        known = (self.bounds, self.scales)
        stamps = self._stamps_for(paths)
        return View(
            paths, self.exchange, self._session_close, stamps, self._before, known, has_volume=self.context.has_volume
        )

    def _rows(self, paths: PathSet, suspects: Mapping[str, Suspects]) -> tuple[RuleCount, ...]:
        """Return the account's rows, with the reason where these paths lack a column that a rule needs."""
        lacking = " or ".join(name for name in ("volume", "amount") if name not in paths.fields)
        why = f"the paths have no {lacking}" if lacking else "half of the context's closes do not move"
        return tuple(row if not row.is_judged or row.rule in suspects else row.unjudged(why) for row in self.rows)

    @property
    def _before(self) -> pd.Timestamp:
        return self.context.timestamps[-1]

    @property
    def _tick(self) -> float:
        return self.exchange.ticks.step if self.exchange.ticks else 0.0

    @cached_property
    def _stamps(self) -> pd.DatetimeIndex:
        return self.calendar.future(self.horizon)

    def _stamps_for(self, paths: PathSet) -> pd.DatetimeIndex:
        """Return the calendar's next stamps: more of them for real bars, which may have left holidays out."""
        if paths.timestamps[-1] <= self._stamps[-1]:
            return self._stamps
        most = int((LAST_STAMPED - self._before.year) * self.calendar.bars_per_year)
        return self.calendar.future(max(self.horizon, min(2 * self.horizon + 16, most)))

    @cached_property
    def _gauge(self) -> Gauge:
        return Gauge.of(self.history)

    @cached_property
    def _session_close(self) -> float:
        return session_close(self.context, self.exchange, self._stamps[0])

    def _refuse_strangers(self, paths: PathSet) -> None:
        """Refuse paths that these rules say nothing about."""
        lacking = [name for name in PRICE_FIELDS if name not in paths.fields]
        problem = ""
        if lacking:
            problem = f"the paths have no {', '.join(lacking)}"
        elif paths.horizon != self.horizon:
            problem = f"the paths have {paths.horizon} bars, the rules were set up for {self.horizon}"
        elif (paths.timestamps.tz is None) != (self._before.tzinfo is None):
            problem = "the stamps of the paths and of the context do not both have a time zone"
        if problem:
            raise CheckError(
                problem,
                expected="open, high, low and close of as many bars, stamped like the context",
                fix="take context, horizon and paths from the same run",
            )


def _refuse_coarse(market: Market, context: Candles) -> None:
    """Refuse ticks that prices would be rounded away by: every path would be dropped as one without a price."""
    last = float(context.close[-1])
    if market.tick_size is not None and last < market.tick_size:
        raise CheckError(
            f"tick_size is {market.tick_size:g}, and {context.name} last closed at {last:g}",
            expected="a price step that is smaller than the price",
            fix="correct tick_size, or leave it out",
        )


def check_candles(
    paths: PathSet, context: Candles, policy: Policy, *, market: Market | None = None, history: Candles | None = None
) -> CheckedPaths:
    """Check a whole set of paths at once; arguments as for :meth:`CandleRules.of`.

    Raises:
        CheckError: a rule is broken and the policy is ``fail``, or no path is left.
    """
    if policy not in get_args(Policy):
        raise CheckError(f"policy is {policy!r}", expected=" or ".join(get_args(Policy)), fix="correct the policy")
    rules = CandleRules.of(context, paths.horizon, market=market, history=history)
    checked = rules.check(paths, policy)
    if not len(checked.paths):
        raise none_left(len(paths))
    return checked


def none_left(paths: int, scenario: str = "") -> CheckError:
    """Return the error for an ensemble of which every path was rejected."""
    where = f" of scenario {scenario}" if scenario else ""
    return CheckError(
        f"none of {paths} paths{where} is left: every one breaks a candle rule",
        expected="a generator that gives valid candles",
        fix="set checks.on_invalid: repair, lower the temperature, or choose another model",
    )


def _beyond_repair(paths: PathSet, suspects: Mapping[str, Suspects]) -> Flags:
    """Return which paths [path] have a value that would have to be made up: V1, V2, or a volume that is no number."""
    no_number = ~np.isfinite(paths.values).all(axis=(1, 2))
    lost = [flags.paths for rule, flags in suspects.items() if RULE[rule].bad and RULE[rule].mend is None]
    return np.asarray(np.any([*lost, no_number], axis=0))


def _refusal(suspects: Mapping[str, Suspects], bad: Flags) -> CheckError:
    counts = "; ".join(
        f"{rule} ({RULE[rule].title}): {int(flags.bars.sum())} bars in {int(flags.paths.sum())} paths"
        for rule, flags in suspects.items()
        if RULE[rule].bad and flags.paths.any()
    )
    return CheckError(
        f"checks.on_invalid is 'fail' and {int(bad.any(axis=1).sum())} of {len(bad)} paths break a rule: {counts}",
        expected="raw paths that are valid candles",
        fix="set checks.on_invalid: repair (or reject), or choose another model",
    )


def mend_paths(paths: PathSet) -> PathSet:
    """Return the paths that have prices, their candles in order: the part of a repair that needs no context.

    For ensembles of which no account is kept, such as those of a calibration: V1 to V4 as a repair mends them, without
    a calendar, a market or thresholds.
    """
    columns = columns_of(paths.values, paths.fields)
    lost = not_finite(columns) | too_large(columns) | too_small(columns, TOO_LOW)
    lost |= ~np.isfinite(paths.values).all(axis=-1)
    kept = paths.select(paths.path_ids[~lost.any(axis=1)])
    before = paths.timestamps[0] - pd.Timedelta(1, unit="ns")
    free = Exchange(ticks=None, lots=None, price_limit=None, unit=None, clock=None, unjudged={})
    return mend(View(kept, free, paths.anchor_close, paths.timestamps, before))
