"""Candle rules V1 to V12: found on the raw output, counted per path and rule, then repaired, rejected or refused.

The rules are set up once per context (:class:`CandleRules`) and applied to any number of blocks. What is wrong with a
bar is found in ``breaches`` and ``suspects``, counted in ``account``. The repair is the least distorting one, in the
order V6, V4, V7, V8, V3, V5. Paths without finite positive prices are beyond repair (V1, V2): they are dropped before,
never imputed. Opens and closes move by rounding to ticks or back inside a price limit, and for nothing else; highs and
lows move out to enclose them, because moving open and close in would distort ranges twice as much and dropping paths
would keep the calm ones. Applied to its own output, the repair changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.candles.account import RuleNote, Tally, count_paths, wickless_shares
from scenario_gen.candles.breaches import (
    LIMIT_NOISE,
    Exchange,
    Flags,
    amount_fits,
    find_breaches,
    session_close,
    wrong_stamps,
)
from scenario_gen.candles.reference import ReferenceBounds
from scenario_gen.candles.rules import TITLES, history_breaches, misfits, notes_for, rule_notes
from scenario_gen.candles.shifts import MOST_MEASURED, facts_of_changed
from scenario_gen.candles.suspects import Scales, Suspects, find_suspects
from scenario_gen.checks.facts import Gauge
from scenario_gen.errors import CheckError
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import PRICE_FIELDS, Candles, Flag
from scenario_gen.market.paths import PathSet
from scenario_gen.market.section import Market
from scenario_gen.market.validity import columns_of, not_finite, too_small

Policy = Literal["repair", "reject", "fail"]

BAD = ("V1", "V2", "V3", "V4", "V6", "V8")  # a bar that breaks one of these is a bad bar


@dataclass(frozen=True)
class CheckedPaths:
    """What goes on to the backtest, and the account of what was found.

    Attributes:
        paths: the kept paths, after any repair; may be none.
        raw: the same paths before repair (for results with and without it).
        tally: counts that add up over blocks.
    """

    paths: PathSet
    raw: PathSet
    tally: Tally

    @property
    def changed(self) -> NDArray[np.int64]:
        """Ids of the kept paths that the repair changed."""
        touched = (self.paths.values != self.raw.values).any(axis=(1, 2))
        return np.asarray(self.paths.path_ids[touched])


@dataclass(frozen=True)
class CandleRules:
    """All rules, with the thresholds that one market, context and history give them.

    Attributes:
        context: the bars that the paths follow.
        history: the real bars up to the context's end.
        calendar: where the paths' stamps come from.
        exchange: ticks, lots, price limit, sessions.
        bounds: what the history allows of V9 to V12.
        scales: the context's units.
        horizon: bars of a path.
        notes: what the account says of each rule.
        misfits: flags where the history itself does not keep to what the spec says of the market.
        wickless: share of the history's bars without an upper and without a lower wick.
    """

    context: Candles
    history: Candles
    calendar: BarCalendar
    exchange: Exchange
    bounds: ReferenceBounds
    scales: Scales
    horizon: int
    notes: tuple[RuleNote, ...]
    misfits: tuple[Flag, ...]
    wickless: tuple[float, float]

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
            notes=rule_notes(exchange, bounds, broken),
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
        bad = np.any([found[rule].bars for rule in BAD if rule in found], axis=0)
        if policy == "fail" and bad.any():
            raise _refusal(found, bad)
        rejected = bad.any(axis=1) if policy == "reject" else _beyond_repair(paths, found)
        raw = paths.select(paths.path_ids[~rejected])
        kept = self.repair(raw)
        counts = count_paths(paths, found, bad, rejected, kept, self.find(kept), self._tick)
        facts = facts_of_changed(raw, kept, lambda: self._gauge, measured)
        tally = Tally(counts, notes_for(paths, self.notes, found), policy, self.horizon, self.wickless, facts)
        return CheckedPaths(kept, raw, tally)

    def find(self, paths: PathSet) -> dict[str, Suspects]:
        """Return what each judged rule finds in raw or repaired paths."""
        stamps = self._stamps_for(paths)
        broken = find_breaches(paths, self.exchange, self._session_close, stamps, self._before)
        suspects = find_suspects(paths, self.bounds, self.scales, self._opens)
        if self.context.has_volume and "volume" not in paths.fields:
            suspects.pop("V12", None)  # a locked bar is one that was traded, which these paths do not say
        return {rule: Suspects.of_bars(flags) for rule, flags in broken.items()} | suspects

    def repair(self, paths: PathSet) -> PathSet:
        """Return paths that break none of V3 to V8, changed as little as that takes; repairing twice changes nothing.

        Raises:
            ValueError: a path has a price that is not finite and positive, or a volume that is not finite.
        """
        stamps = self._stamps_for(paths)
        return repair_paths(paths, self.exchange, self._session_close, stamps, self._before)

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
        return self.calendar.future(2 * self.horizon + 16)

    @cached_property
    def _opens(self) -> NDArray[np.bool_]:
        return self.exchange.opens(self._before, self._stamps)

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


def _beyond_repair(paths: PathSet, found: Mapping[str, Suspects]) -> Flags:
    """Return which paths [path] have a value that would have to be made up: V1, V2, or a volume that is no number."""
    no_number = ~np.isfinite(paths.values).all(axis=(1, 2))
    return np.asarray(found["V1"].paths | found["V2"].paths | no_number)


def _refusal(found: Mapping[str, Suspects], bad: Flags) -> CheckError:
    counts = "; ".join(
        f"{rule} ({TITLES[rule]}): {int(found[rule].bars.sum())} bars in {int(found[rule].paths.sum())} paths"
        for rule in BAD
        if rule in found and found[rule].paths.any()
    )
    return CheckError(
        f"checks.on_invalid is 'fail' and {int(bad.any(axis=1).sum())} of {len(bad)} paths break a rule: {counts}",
        expected="raw paths that are valid candles",
        fix="set checks.on_invalid: repair (or reject), or choose another model",
    )


Values = NDArray[np.float32]  # [path, bar, field]
OPEN, HIGH, LOW, CLOSE = range(4)  # columns of a block of prices
LARGEST = float(np.finfo(np.float32).max)


def repair_paths(
    paths: PathSet, exchange: Exchange, reference_close: float, expected: pd.DatetimeIndex, before: pd.Timestamp
) -> PathSet:
    """Return the paths as the exchange could have traded them; arguments as for ``find_breaches``.

    Raises:
        ValueError: a price is not finite and positive, or a volume not finite: such a path cannot be repaired.
    """
    columns = columns_of(paths.values, paths.fields)
    prices = np.stack([columns[name] for name in PRICE_FIELDS], axis=-1)  # [path, bar, 4]
    if not (np.isfinite(paths.values).all() and (prices > 0).all()):
        raise ValueError("paths without finite positive prices are dropped, not repaired")
    wrong = wrong_stamps(paths.timestamps, expected, before).any()
    stamps = expected[: paths.horizon] if wrong else paths.timestamps
    volume = _mended_volume(columns["volume"], exchange) if "volume" in columns else None
    if exchange.price_limit is not None:
        opens = exchange.opens(before, stamps)
        prices = _within_limits(prices, opens, exchange, reference_close)
    elif exchange.ticks is not None:
        prices = _on_ticks(prices, exchange)
    prices = _enclosed(prices)
    mended = dict(zip(PRICE_FIELDS, np.moveaxis(prices, -1, 0), strict=True))
    if volume is not None:
        mended["volume"] = volume
    if "amount" in columns:
        mended["amount"] = _mended_amount({**columns, **mended}["amount"], mended, exchange)
    return replace(paths, values=np.stack([mended[name] for name in paths.fields], axis=-1), timestamps=stamps)


def mend_paths(paths: PathSet) -> PathSet:
    """Return the paths that have prices, their candles in order: the part of a repair that needs no context.

    For ensembles of which no account is kept, such as those of a calibration: V1 to V4 as ``repair_paths`` mends them,
    without a calendar, a market or thresholds.
    """
    columns = columns_of(paths.values, paths.fields)
    lost = not_finite(columns) | too_small(columns) | ~np.isfinite(paths.values).all(axis=-1)
    kept = paths.select(paths.path_ids[~lost.any(axis=1)])
    before = paths.timestamps[0] - pd.Timedelta(1, unit="ns")
    free = Exchange(ticks=None, lots=None, price_limit=None, unit=None, clock=None, unjudged={})
    return repair_paths(kept, free, paths.anchor_close, paths.timestamps, before)


def _mended_volume(volume: Values, exchange: Exchange) -> Values:
    """V4: negative volume becomes 0; lots are rounded down, since nobody trades a part of one."""
    mended = np.maximum(volume, np.float32(0))
    return mended if exchange.lots is None else exchange.lots.below(mended).astype(np.float32)


def _on_ticks(prices: NDArray[np.floating], exchange: Exchange) -> Values:
    """V7: round each price to the nearest tick, and to no less than one."""
    if exchange.ticks is None:
        return prices.astype(np.float32)
    return np.maximum(exchange.ticks.nearest(prices), exchange.ticks.step).astype(np.float32)


def _within_limits(prices: Values, opens: NDArray[np.bool_], exchange: Exchange, reference_close: float) -> Values:
    """V7 and V8, bar by bar: clip what is beyond the limit; later bars follow from a clipped close.

    From a clipped close on, the path is scaled by what the close lost: its later returns stay what they were.
    """
    out = np.empty_like(prices)
    scale = np.ones(len(prices))
    reference = last = np.full(len(prices), reference_close)
    for bar in range(prices.shape[1]):
        if opens[bar]:
            reference = last
        raw = prices[:, bar].astype(np.float64)
        moved = np.where((scale == 1.0)[:, None], raw, raw * scale[:, None]).astype(np.float32)
        ticked = _on_ticks(moved, exchange)
        out[:, bar] = _clipped(ticked, exchange, reference)
        cut = out[:, bar, CLOSE] != ticked[:, CLOSE]
        scale = np.where(cut, out[:, bar, CLOSE] / raw[:, CLOSE], scale)
        last = out[:, bar, CLOSE].astype(np.float64)
    return out


def _clipped(bar: Values, exchange: Exchange, reference: NDArray[np.float64]) -> Values:
    """Return prices [path, 4] inside the band around the last session's close; those within stay as they are."""
    low, high = (edge[:, None] for edge in exchange.band(reference))
    noise = LIMIT_NOISE * high + exchange.leeway
    clipped = np.where(bar > high + noise, high, np.where(bar < low - noise, low, bar))
    return clipped.astype(np.float32)


def _enclosed(prices: Values) -> Values:
    """V3: move high and low out to enclose all four prices; open and close stay."""
    out = prices.copy()
    out[..., HIGH] = prices.max(axis=-1)
    out[..., LOW] = prices.min(axis=-1)
    return out


def _mended_amount(amount: Values, columns: dict[str, Values], exchange: Exchange) -> Values:
    """V5: where the amount fits no price of the bar, take volume times (high + low + 2 close) / 4."""
    mended = np.maximum(amount, np.float32(0))
    if exchange.unit is None or "volume" not in columns:
        return mended
    high, low, close, volume = (columns[name].astype(np.float64) for name in ("high", "low", "close", "volume"))
    typical = volume * exchange.unit * (high + low + 2 * close) / 4
    fits = amount_fits({**columns, "amount": mended}, exchange.unit, exchange.ticks)
    return np.where(fits, mended, np.minimum(typical, LARGEST)).astype(np.float32)
