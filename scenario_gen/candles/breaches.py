"""Which bars break rules V1 to V8: what a single bar, its neighbour or the exchange rules out.

Owns the finding, not the counting or the mending, and the view of paths that every rule looks at. A finder returns
flags [path, bar], or None where it cannot judge; a bar without finite prices is found by V1 alone. Rules V9 to V12,
which compare with a reference, are in ``suspects``.

Ticks and lots are multiples of a step, as closely as the numbers' own type can hold them. A float32 near 40,000 moves
in steps of 0.004, so that 40,000.01 is held as 40,000.0117: a value counts as standing on the grid when it is the
number of its type that is nearest to a multiple.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.candles.reference import ReferenceBounds, Scales
from scenario_gen.market import candles as validity
from scenario_gen.market.candles import PRICE_FIELDS, Candles, log_steps
from scenario_gen.market.frequency import nanoseconds, spacing
from scenario_gen.market.inferred import SessionClock
from scenario_gen.market.paths import PathSet
from scenario_gen.market.price_limit import price_band, session_closes
from scenario_gen.market.section import Market

Numbers = NDArray[np.floating[Any]]

NOISE = 1e-6  # of a step: arithmetic that made the value
COARSEST = 0.25  # of a step: where the type moves in larger steps, being on the grid says nothing


@dataclass(frozen=True)
class Grid:
    """The multiples of a step."""

    step: float

    def holds(self, values: Numbers) -> NDArray[np.bool_]:
        """Return which values stand on the grid; one that is infinite or no number does not."""
        finite = np.isfinite(values)
        known = np.where(finite, values, 0)  # the distance of infinity from itself is no number
        exact = known.astype(np.float64)
        miss = np.abs(exact - np.round(exact / self.step) * self.step)
        return np.asarray(finite & (miss <= NOISE * self.step + 0.5 * np.abs(np.spacing(known))))

    def nearest(self, values: Numbers) -> NDArray[np.float64]:
        """Return the nearest multiple of each value; values on the grid stay as they are.

        Rounding keeps the order of prices, so a high goes on enclosing open and close. On NASDAQ bars of three ticks'
        range it moves the mean range by 0.1 % and the body's share of it from .52 to .53; rounding highs up and lows
        down would add a whole tick to every range (28 %) and leave a body share of .39.
        """
        exact = values.astype(np.float64)
        return np.where(self.holds(values), exact, np.round(exact / self.step) * self.step)

    def below(self, values: Numbers) -> NDArray[np.float64]:
        """Return the largest multiple at or below each value; values on the grid stay as they are."""
        exact = values.astype(np.float64)
        return np.where(self.holds(values), exact, np.floor(exact / self.step) * self.step)

    def is_resolved(self, largest: float, dtype: Any = np.float32) -> bool:
        """Say whether numbers of this type and size move in steps fine enough to stand off the grid."""
        return float(np.spacing(np.asarray(largest, dtype=dtype))) <= COARSEST * self.step


Flags = NDArray[np.bool_]  # [path, bar]
Prices = NDArray[np.floating[Any]]

LIMIT_NOISE = 1e-6  # relative: twenty times what a float32 rounds a limit price by
UNITS = (1.0, 100.0)  # what one of the volume column may stand for where nobody says
UNIT_HOLDS = 0.9  # share of the reference's bars on which amount = volume x unit x price must hold


@dataclass(frozen=True)
class Exchange:
    """The exchange's rules, as far as they are declared or can be seen."""

    ticks: Grid | None  # of prices; None where there is none to hold prices to
    lots: Grid | None  # of volume; None likewise
    price_limit: float | None  # share of the previous session's close; None without a limit
    unit: float | None  # amount = volume x unit x price; None where no amount can be judged
    clock: SessionClock | None  # of intraday bars; None for daily bars, each a session of its own
    unjudged: dict[str, str]  # what a rule needs to know of the market, to the reason why that is not known

    @classmethod
    def of(cls, market: Market, reference: Candles) -> Exchange:
        """Read the declared rules; say of each rule that cannot be judged why."""
        clock = SessionClock.of(reference.timestamps)
        unit, no_unit = _unit(market, reference)
        reasons = {
            "lot_size": _no_grid(market.lot_size, "lot_size", reference, "volume"),
            "volume": "" if reference.has_volume else "there is no volume",
            "volume_unit": no_unit,
            "tick_size": _no_grid(market.tick_size, "tick_size", reference, "close"),
            "price_limit": _no_limit(market, reference, clock),
        }
        unjudged = {need: reason for need, reason in reasons.items() if reason}
        return cls(
            ticks=Grid(market.tick_size) if market.tick_size and "tick_size" not in unjudged else None,
            lots=Grid(market.lot_size) if market.lot_size and "lot_size" not in unjudged else None,
            price_limit=None if "price_limit" in unjudged else market.price_limit,
            unit=unit,
            clock=clock,
            unjudged=unjudged,
        )

    def opens(self, before: pd.Timestamp, stamps: pd.DatetimeIndex) -> NDArray[np.bool_]:
        """Return which bars open a session [bar]; ``before`` is the stamp of the bar before the first."""
        if self.clock is None:
            return np.ones(len(stamps), dtype=bool)
        return self.clock.opens(pd.DatetimeIndex([before]).append(stamps))[1:]

    def band(self, close: Prices) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the lowest and the highest price that the limit allows after a session's close."""
        if self.price_limit is None:
            raise ValueError("there is no price limit")
        return price_band(close, self.price_limit, self.ticks.step if self.ticks else None)

    @property
    def leeway(self) -> float:
        """How far beyond the limit is still a matter of rounding to ticks, in the prices' unit."""
        return 0.5 * self.ticks.step if self.ticks else 0.0


@dataclass(frozen=True)
class Suspects:
    """What one rule flags."""

    bars: Flags  # [path, bar]
    paths: Flags  # [path]; a path can be flagged for bars that it lacks

    @classmethod
    def of(cls, flags: Flags | Suspects) -> Suspects:
        """Flag the paths that have a flagged bar."""
        return flags if isinstance(flags, Suspects) else cls(flags, np.asarray(flags.any(axis=1)))


@dataclass(frozen=True, eq=False)
class View:
    """Paths with what rules hold them against; what several rules look at is computed once."""

    paths: PathSet  # raw or repaired
    exchange: Exchange  # ticks, lots, limit and sessions
    reference_close: float  # of the last session before the paths that was over when they begin
    expected: pd.DatetimeIndex  # the calendar's stamps after the context, as far as the paths reach
    before: pd.Timestamp  # the stamp of the context's last bar
    history: tuple[ReferenceBounds, Scales] | None = None  # what it allows, and the context's units
    has_volume: bool = False  # whether the context has

    @property
    def bounds(self) -> ReferenceBounds:
        """What the history allows of rules V9 to V12."""
        return self._history[0]

    @property
    def scales(self) -> Scales:
        """The context's units."""
        return self._history[1]

    @property
    def _history(self) -> tuple[ReferenceBounds, Scales]:
        if self.history is None:
            raise ValueError("a rule that compares with history needs one")
        return self.history

    @cached_property
    def columns(self) -> validity.Columns:
        """The fields by name, each [path, bar]."""
        return validity.columns_of(self.paths.values, self.paths.fields)

    @property
    def volume(self) -> Prices | None:
        """The volume [path, bar], where there is one."""
        return self.columns.get("volume")

    @cached_property
    def prices(self) -> Prices:
        """Open, high, low and close, [path, bar, 4]."""
        return np.stack([self.columns[name] for name in PRICE_FIELDS], axis=-1)

    @cached_property
    def finite(self) -> Flags:
        """Bars whose prices are all numbers that can be reckoned with."""
        return ~(validity.not_finite(self.columns) | validity.too_large(self.columns))

    @cached_property
    def small(self) -> Flags:
        """Bars with numbers for prices that are zero, negative, less than a tick or as good as zero."""
        least = self.exchange.ticks.step * (1 - LIMIT_NOISE) if self.exchange.ticks else 0.0
        return self.finite & validity.too_small(self.columns, max(least, validity.TOO_LOW))

    @cached_property
    def priced(self) -> Flags:
        """Bars that break neither V1 nor V2."""
        return self.finite & ~self.small

    @cached_property
    def lost(self) -> Flags:
        """Bars with a volume or an amount that is no number or negative."""
        return validity.no_quantity(self.columns, "volume") | validity.no_quantity(self.columns, "amount")

    @cached_property
    def sound(self) -> Flags:
        """Bars with finite positive prices."""
        return np.asarray((np.isfinite(self.prices) & (self.prices > 0)).all(axis=-1))

    @cached_property
    def steps(self) -> NDArray[np.float64]:
        """Log steps from the close before, [path, bar, 4]."""
        return log_steps(self.prices, self.paths.anchor_close)

    @cached_property
    def gaps(self) -> NDArray[np.float64]:
        """How far each open is from the close before it, in log units [path, bar]."""
        return np.abs(self.steps[..., 0])

    @property
    def opens(self) -> NDArray[np.bool_]:
        """Bars that open a session by the calendar, [bar]."""
        return self.exchange.opens(self.before, self.expected[: self.paths.horizon])


def not_finite(view: View) -> Flags:
    """V1: a price that is no finite number, or beyond what can be reckoned with."""
    return ~view.finite


def not_enclosed(view: View) -> Flags:
    """V3: a high or a low that does not enclose the other prices."""
    wrong = validity.high_too_low(view.columns) | validity.low_too_high(view.columns)
    return view.finite & wrong


def no_quantity(view: View) -> Flags | None:
    """V4: a volume or an amount that is no number or negative."""
    return view.lost if {"volume", "amount"} & set(view.columns) else None


def odd_lot(view: View) -> Flags | None:
    """V4-lots: a volume that is no whole number of lots."""
    if view.volume is None or view.exchange.lots is None:
        return None
    return ~view.lost & ~view.exchange.lots.holds(np.nan_to_num(view.volume))


def moved_untraded(view: View) -> Flags | None:
    """V4-idle: a range without any volume."""
    if view.volume is None or "volume" in view.exchange.unjudged:
        return None
    return np.asarray(view.priced & (view.volume == 0) & (view.columns["high"] > view.columns["low"]))


def unfit_amount(view: View) -> Flags | None:
    """V5: an amount that is not volume times a price inside the bar."""
    if view.exchange.unit is None or not {"volume", "amount"} <= set(view.columns):
        return None
    return view.priced & ~view.lost & ~amount_fits(view.columns, view.exchange.unit, view.exchange.ticks)


def off_calendar(view: View) -> Flags:
    """V6: a stamp that does not increase, or is not the calendar's."""
    return np.broadcast_to(wrong_stamps(view.paths.timestamps, view.expected, view.before), view.finite.shape)


def off_tick(view: View) -> Flags | None:
    """V7: a price that is no whole number of ticks."""
    if view.exchange.ticks is None:
        return None
    return np.asarray(
        view.priced & ~np.all([view.exchange.ticks.holds(view.columns[name]) for name in PRICE_FIELDS], axis=0)
    )


def beyond_limit(view: View) -> Flags | None:
    """V8: a price beyond the limit around the close of the session before."""
    if view.exchange.price_limit is None:
        return None
    opens = view.exchange.opens(view.before, view.paths.timestamps)
    low, high = view.exchange.band(session_closes(view.columns["close"], opens, view.reference_close))
    prices = [view.columns[name] for name in PRICE_FIELDS]
    noise = LIMIT_NOISE * high + view.exchange.leeway
    outside = (np.max(prices, axis=0) > high + noise) | (np.min(prices, axis=0) < low - noise)
    return np.asarray(view.priced & outside)


def amount_fits(columns: validity.Columns, unit: float, ticks: Grid | None) -> Flags:
    """Return bars whose amount is volume x unit x a price inside the bar, within a tick (rule V5)."""
    amount = columns["amount"]
    traded = columns["volume"].astype(np.float64) * unit
    low, high = (columns[name].astype(np.float64) for name in ("low", "high"))
    slack = (ticks.step if ticks else 0.0) + LIMIT_NOISE * high
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite fits nothing
        held = np.abs(np.spacing(amount))  # the amount's own type can tell no more apart
        inside = (amount >= traded * (low - slack) - held) & (amount <= traded * (high + slack) + held)
    return np.where(traded > 0, inside, amount == 0)


def session_close(context: Candles, exchange: Exchange, first: pd.Timestamp) -> float:
    """Return the close of the last session that is over when the bar at ``first`` begins."""
    opens = exchange.opens(context.timestamps[-1], pd.DatetimeIndex([first]))
    if opens[0] or exchange.clock is None:
        return float(context.close[-1])
    starts = np.flatnonzero(exchange.clock.opens(context.timestamps)[1:]) + 1
    return float(context.close[starts[-1] - 1] if len(starts) else context.close[0])


def wrong_stamps(stamps: pd.DatetimeIndex, expected: pd.DatetimeIndex, before: pd.Timestamp) -> NDArray[np.bool_]:
    """Return which stamps do not come later than every one before them, or are not the calendar's [bar]."""
    line = nanoseconds(pd.DatetimeIndex([before]).append(stamps))
    late = line[1:] <= np.maximum.accumulate(line)[:-1]
    return late | ~np.isin(line[1:], nanoseconds(expected))


def _unit(market: Market, reference: Candles) -> tuple[float | None, str]:
    """Return what one of the volume column stands for, or None and the reason."""
    if not {"volume", "amount"} <= set(reference.fields):
        return None, "there is no amount"
    if market.volume_unit is not None:
        return market.volume_unit, ""
    ticks = Grid(market.tick_size) if market.tick_size else None
    columns = validity.columns_of(reference.values, reference.fields)
    shares = {unit: float(amount_fits(columns, unit, ticks).mean()) for unit in UNITS}
    best = max(UNITS, key=lambda unit: shares[unit])
    if shares[best] >= UNIT_HOLDS:
        return best, ""
    return None, (
        f"the history's amount is volume x price on {shares[1.0]:.0%} of bars and 100 x volume x price on "
        f"{shares[100.0]:.0%}: set market.volume_unit"
    )


def _no_grid(step: float | None, key: str, reference: Candles, field: str) -> str:
    if step is None:
        return f"no {key} is declared"
    if field not in reference.fields:
        return f"there is no {field}"
    if field == "close" and not Grid(step).is_resolved(largest := float(reference.close[-1])):
        return f"paths are float32, which cannot hold ticks of {step:g} at a price of {largest:,.0f}"
    return ""


def _no_limit(market: Market, reference: Candles, clock: SessionClock | None) -> str:
    if market.price_limit is None:
        return "no price_limit is declared"
    if clock is not None and not len(clock.slots):
        return "these intraday bars show no sessions, so there is no previous session's close"
    if clock is None and spacing(reference.timestamps).kind != "daily":
        return "a limit per session says nothing of bars that are longer than a session"
    return ""
