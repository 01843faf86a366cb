"""Bars: many paths of one shape, real windows or generated ones, and the series every fact is made of.

Owns the derived series: gap, body, range and so on. Knows no facts.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scenario_gen.errors import DataError
from scenario_gen.market.candles import PRICE_FIELDS
from scenario_gen.market.inferred import SessionClock
from scenario_gen.market.paths import PathSet
from scenario_gen.realism.estimators import Array, centre, detrended, divide, ewma_filtered, leverage_parts, log

REACH = 1e30  # prices and their inverses whose squares and products float64 holds with room to spare


@dataclass(frozen=True, eq=False)
class BarArrays:
    """Candles of many paths with the close before each path, and the series derived from them.

    Nothing is refused here: a price that is missing, infinite or not positive becomes NaN in the derived
    series, so that raw output can be measured too. ``valid`` tells which paths have none.

    Attributes:
        open, high, low, close: float64 [path, bar], quote currency.
    """

    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array | None  # float64 [path, bar], or None
    anchor_close: Array  # float64 [path], the close before the first bar
    # bool [bar] or [path, bar], True where a bar opens a session; None: every bar does
    session_open: NDArray[np.bool_] | None = None
    # int64 [path, bar], the bar's place in its session, -1 off the usual slots; None without sessions
    bar_of_day: NDArray[np.int64] | None = None
    session_bars: int = 0  # bars of a regular session; 0 without sessions
    # the smallest price step of the reference, in quote currency; 0: prices are taken as continuous. Compare only bars
    # that were given the same tick.
    tick: float = 0.0
    least_range: Array | None = None  # float64 [path, bar], half a tick in log units where it is not tick / 2 / close

    def __post_init__(self) -> None:
        if self.close.ndim != 2 or not self.close.shape[1]:
            raise ValueError(f"close has shape {self.close.shape}, expected [path, bar] with at least one bar")
        for name in (*PRICE_FIELDS, "volume", "bar_of_day", "least_range"):
            values = getattr(self, name)
            if values is not None and values.shape != self.close.shape:
                raise ValueError(f"{name} has shape {values.shape}, close has {self.close.shape}")
        if self.anchor_close.shape != self.close.shape[:1]:
            raise ValueError(f"{self.anchor_close.shape} anchors for {len(self.close)} paths")
        if self.session_open is not None and self.session_open.shape not in (self.close.shape, self.close.shape[1:]):
            raise ValueError(f"session_open has shape {self.session_open.shape}, close {self.close.shape}")

    @classmethod
    def of_paths(cls, paths: PathSet, *, tick: float = 0.0, clock: SessionClock | None = None) -> BarArrays:
        """View a path set as bars.

        Args:
            paths: the paths; float32 prices become float64.
            tick: the reference's price step, as :func:`windows` uses it.
            clock: the reference's sessions; by default they are read from the paths' own stamps.
        """
        clock = clock or SessionClock.of(paths.timestamps)
        shape = (len(paths), paths.horizon)
        places = clock.bar_of_day(paths.timestamps) if clock else None
        opened, high, low, close = (paths.column(name).astype(np.float64) for name in PRICE_FIELDS)
        return cls(
            opened,
            high,
            low,
            close,
            volume=paths.column("volume").astype(np.float64) if "volume" in paths.fields else None,
            anchor_close=np.full(len(paths), paths.anchor_close, dtype=np.float64),
            session_open=clock.opens(paths.timestamps) if clock else None,
            bar_of_day=None if places is None else np.broadcast_to(places, shape),
            session_bars=len(clock.slots) if clock else 0,
            tick=tick,
        )

    @classmethod
    def of_arrays(
        cls,
        open: ArrayLike,  # noqa: A002 - the field's name
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        volume: ArrayLike | None = None,
        *,
        anchor_close: ArrayLike,
        tick: float = 0.0,
    ) -> BarArrays:
        """Build bars of whole sessions (daily and longer) from plain arrays, [bar] or [path, bar].

        Args:
            open: opening prices; high, low, close and volume have the same shape.
            high: highest prices.
            low: lowest prices.
            close: closing prices.
            volume: traded volume, where there is one.
            anchor_close: the close before the first bar: one number, or one per path.
            tick: the price step, 0 for continuous prices.

        Raises:
            DataError: the shapes disagree, or a value is no number.
        """
        given = {"open": open, "high": high, "low": low, "close": close, "volume": volume}
        arrays = {name: _as_paths(name, values) for name, values in given.items() if values is not None}
        shapes = {name: values.shape for name, values in arrays.items()}
        if len(set(shapes.values())) > 1:
            told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise DataError(f"the arrays have different shapes: {told}", expected="one shape [path, bar]")
        anchors = np.atleast_1d(_as_numbers("anchor_close", anchor_close))
        paths = len(arrays["close"])
        if anchors.shape not in ((1,), (paths,)):
            raise DataError(f"anchor_close has shape {anchors.shape}", expected=f"one number, or {paths}")
        return cls(
            open=arrays["open"],
            high=arrays["high"],
            low=arrays["low"],
            close=arrays["close"],
            volume=arrays.get("volume"),
            anchor_close=np.broadcast_to(anchors, (paths,)),
            tick=tick,
        )

    def __len__(self) -> int:
        return len(self.close)

    @property
    def length(self) -> int:
        """Bars per path."""
        return int(self.close.shape[1])

    def select(self, rows: NDArray[Any] | slice) -> BarArrays:
        """Return the paths at these positions (or where a mask is True), in this order."""
        taken = {}
        for f in fields(self):
            value = getattr(self, f.name)
            by_path = isinstance(value, np.ndarray) and (f.name != "session_open" or value.ndim == 2)
            taken[f.name] = value[rows] if by_path else value
        return BarArrays(**taken)

    def with_tick(self, tick: float) -> BarArrays:
        """Return the same bars measured with another tick: that of the reference to compare with."""
        return replace(self, tick=tick)

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Paths whose prices are all finite, positive and within what can be reckoned with, [path]."""
        prices = (self.open, self.high, self.low, self.close, self.anchor_close[:, None])
        good = [np.all((p >= 1 / REACH) & (p <= REACH), axis=1) for p in prices]
        return np.asarray(np.logical_and.reduce(good), dtype=bool)

    @cached_property
    def opens_session(self) -> NDArray[np.bool_]:
        """Bars that open a session, [path, bar]."""
        opens = True if self.session_open is None else self.session_open
        return np.broadcast_to(opens, self.close.shape)

    def chained(self, g: Array, b: Array, hh: Array, ll: Array, volume: Array | None) -> BarArrays:
        """Return bars of these gaps, bodies, highs and lows [path, bar], built up from the own anchors."""
        log_close = log(self.anchor_close)[:, None] + np.cumsum(g + b, axis=1)
        log_open = log_close - b
        return replace(
            self,
            open=np.exp(log_open),
            high=np.exp(log_open + hh),
            low=np.exp(log_open + ll),
            close=np.exp(log_close),
            volume=volume,
        )

    @cached_property
    def _log_open(self) -> Array:
        return log(self.open)

    @cached_property
    def _log_close(self) -> Array:
        return log(self.close)

    @cached_property
    def log_path(self) -> Array:
        """Log closes from the anchor on, [path, bar + 1]."""
        return np.concatenate([log(self.anchor_close)[:, None], self._log_close], axis=1)

    @cached_property
    def g(self) -> Array:
        """Gap from the close before: ln(open / previous close)."""
        return self._log_open - self.log_path[:, :-1]

    @cached_property
    def b(self) -> Array:
        """Body: ln(close / open)."""
        return self._log_close - self._log_open

    @cached_property
    def hh(self) -> Array:
        """High over open: ln(high / open)."""
        return log(self.high) - self._log_open

    @cached_property
    def ll(self) -> Array:
        """Low under open: ln(low / open)."""
        return log(self.low) - self._log_open

    @cached_property
    def r(self) -> Array:
        """Return from close to close: g + b."""
        return np.asarray(self.g + self.b)

    @cached_property
    def abs_r(self) -> Array:
        """Absolute return."""
        return np.abs(self.r)

    @cached_property
    def R(self) -> Array:  # noqa: N802 - the field's symbol for a bar's log range
        """Log range: ln(high / low)."""
        return np.asarray(self.hh - self.ll)

    @cached_property
    def half_tick(self) -> Array:
        """Half a tick in log units: the least that a range is taken for, [path, bar]."""
        if self.least_range is not None:
            return self.least_range
        return 0.5 * self.tick * divide(np.ones_like(self.close), self.close)

    @cached_property
    def lr(self) -> Array:
        """Log of the range plus half a tick; NaN where both are 0."""
        return log(self.R + self.half_tick)

    @cached_property
    def v(self) -> Array:
        """Log volume, [path, bar]; NaN where there was no trade.

        Raises:
            DataError: the bars have no volume.
        """
        if self.volume is None:
            raise DataError("these bars have no volume", expected="a volume for every bar")
        return log(self.volume)

    @cached_property
    def v_detrended(self) -> Array:
        """Log volume less each path's straight line in time, [path, bar]."""
        return detrended(self.v)

    @cached_property
    def dv(self) -> Array:
        """Changes of log volume, [path, bar - 1]."""
        return np.diff(self.v, axis=1)

    @cached_property
    def filtered(self) -> Array:
        """Returns over their EWMA volatility, [path, bar - 10]."""
        return ewma_filtered(self.r)

    @cached_property
    def leverage(self) -> tuple[Array, Array]:
        """Numerator and denominator of the leverage coefficient, [path] each."""
        return leverage_parts(self.lr, self.r, self.s)

    @cached_property
    def s(self) -> Array:
        """Standard deviation (n - 1) of the path's returns, [path]; 0 where they never change or are one."""
        return np.asarray(np.sqrt(centre(self.r).squares / max(self.length - 1, 1)))


def _as_paths(name: str, values: ArrayLike) -> Array:
    array = _as_numbers(name, values)
    if array.ndim not in (1, 2):
        raise DataError(f"{name} has {array.ndim} dimensions", expected="[bar] or [path, bar]")
    return np.atleast_2d(array)


def _as_numbers(name: str, values: ArrayLike) -> Array:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be read as numbers: {error}", expected="an array of numbers") from None


# --- Which of many rows to take, evenly spread: one rule for paths, windows and pairs ---


def spread_rows(count: int, most: int) -> NDArray[np.int64]:
    """Return at most ``most`` row numbers, evenly spread over ``count``."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
