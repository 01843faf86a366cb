"""Thresholds and units of rules V9 to V12, read from the real history before the paths; or why it cannot say.

Every threshold is the reference's own extreme or quantile of the same statistic, so a real window passes at a rate
that is known beforehand. Knows no generated paths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.candles import SETTLED, Candles, running_volatility
from scenario_gen.market.inferred import SessionClock

Floats = NDArray[np.float64]

BEYOND = 1.5  # times the largest that history has seen
MAD = 1.4826  # times the median absolute return: the standard deviation of a Gaussian
FEW_GAPS, FEW_INSIDE, FEW_RETURNS, FEW_RUNS, FEW_WINDOWS = 20, 10_000, 250, 1000, 40


@dataclass(frozen=True)
class Bound:
    """What history allows of one statistic."""

    high: float | None  # values above it are flagged; None where the reference cannot say
    source: str  # where the bound comes from; for an unjudged rule, why there is none
    low: float | None = None  # values below it are flagged; None without a lower end

    @property
    def is_known(self) -> bool:
        """Whether there is a bound."""
        return self.high is not None


@dataclass(frozen=True)
class ReferenceBounds:
    """The bounds of V9 to V12 for paths of one context and horizon."""

    seam: Bound  # |first gap| in running volatility
    inside: Bound  # |gap| of a bar that opens no session, in running volatility
    jump: Bound  # |return| in standard deviations of the context
    robust_jump: Bound  # |return| in 1.4826 median absolute returns of the context
    still_run: Bound  # bars in a row whose close does not move
    flat_run: Bound  # bars in a row without a range
    still_share: Bound  # share of a path's bars whose close does not move or that have no range
    locked_share: Bound  # share of a path's bars with one single price and a volume

    @classmethod
    def of(
        cls, history: Candles, clock: SessionClock | None, *, context: int, horizon: int, first_opens: bool
    ) -> ReferenceBounds:
        """Read the bounds from the bars up to the context's end.

        Args:
            history: the reference, the context included.
            clock: its sessions; None for daily and longer bars.
            context: bars of the context, over which jumps are scaled.
            horizon: bars of a path, over which shares are counted.
            first_opens: whether the paths' first bar opens a session: gaps are compared with their own kind.
        """
        bars = history.values[:, :4].astype(np.float32)  # as paths hold them: equal prices stay equal
        returns = history.log_steps[:, 3]
        ratio = gap_ratio(history, returns)
        opens = np.ones(len(history), dtype=bool) if clock is None else clock.opens(history.timestamps)
        settled = np.arange(1, len(history)) > SETTLED
        until = f"to {history.timestamps[-1].date()}"
        still, flat = unmoved(bars[:, 3], bars[:1, 3]), bars[:, 1] == bars[:, 2]
        dead = still | flat
        return cls(
            seam=_seam(ratio[(opens[1:] == first_opens) & settled], until),
            inside=_inside(ratio[~opens[1:] & settled], clock, until),
            jump=_jump(np.abs(returns), _rolling_sd, context, horizon, until),
            robust_jump=_jump(np.abs(returns), _rolling_mad, context, horizon, until),
            still_run=_run(still[1:], until),
            flat_run=_run(flat, until),
            still_share=_share(dead[1:], horizon, until, both_sides=True),
            locked_share=_share(locked(bars, _volume(history)), horizon, until, both_sides=False),
        )


@dataclass(frozen=True)
class Scales:
    """The units in which a context measures what follows it."""

    running: float  # EWMA volatility after the last bar
    deviation: float  # root mean square of the context's log returns
    robust: float  # 1.4826 times their median absolute value
    still: int  # bars in a row before the paths whose close did not move
    flat: int  # bars in a row before the paths without a range

    @classmethod
    def of(cls, context: Candles, history: Candles) -> Scales:
        """Measure a context; the running volatility looks as far back as the history goes."""
        returns = context.log_steps[:, 3]
        bars = context.values[:, :4].astype(np.float32)
        return cls(
            running=float(running_volatility(history.log_steps[:, 3])[-1]),
            deviation=context.volatility,
            robust=float(MAD * np.median(np.abs(returns))),
            still=int(run_lengths(unmoved(bars[1:, 3], bars[:1, 3]))[-1]),
            flat=int(run_lengths(bars[:, 1] == bars[:, 2])[-1]),
        )


def gap_ratio(history: Candles, returns: Floats) -> Floats:
    """Return |ln(open / close before)| over the running volatility known before the bar, [T - 1]."""
    gaps = np.abs(np.log(history.column("open")[1:] / history.close[:-1]))
    return np.asarray(gaps / running_volatility(returns)[:-1])


def unmoved(close: NDArray[np.floating], before: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return bars [..., T] whose close is that of the bar before; ``before`` [..., 1] precedes the first."""
    return np.asarray(close == np.concatenate((before, close[..., :-1]), axis=-1))


def locked(prices: NDArray[np.floating], volume: NDArray[np.floating] | None) -> NDArray[np.bool_]:
    """Return bars with one single price, prices [..., T, 4], on which something was traded where that is known."""
    single = np.asarray((prices == prices[..., :1]).all(axis=-1))
    return single if volume is None else single & (volume > 0)


def run_lengths(flags: NDArray[np.bool_], before: int = 0) -> NDArray[np.int64]:
    """Return for each bar [..., T] how many flagged bars in a row end with it; ``before`` of them came earlier."""
    steps = np.arange(1, flags.shape[-1] + 1)
    broken = np.maximum.accumulate(np.where(flags, 0, steps), axis=-1)
    lengths = np.where(flags, steps - broken, 0)
    return np.where(flags & (broken == 0), lengths + before, lengths)


def _volume(history: Candles) -> Floats | None:
    return history.column("volume") if history.has_volume else None


def _seam(ratio: Floats, until: str) -> Bound:
    if len(ratio) < FEW_GAPS:
        why = f"only {len(ratio)} bars of the history {until} open like the first generated bar"
        return Bound(None, f"{why}, {FEW_GAPS} are needed")
    if ratio.max() == 0:
        return Bound(None, f"every such open of the history {until} equals the close before it")
    return Bound(
        float(BEYOND * ratio.max()),
        f"{BEYOND} x the largest of {len(ratio):,} gaps of the history {until}, in running volatility",
    )


def _inside(ratio: Floats, clock: SessionClock | None, until: str) -> Bound:
    if clock is None:
        return Bound(None, "every bar opens a session")
    if len(ratio) < FEW_INSIDE:
        why = f"a 99.99 % quantile needs {FEW_INSIDE:,} bars inside sessions"
        return Bound(None, f"{why}, the history {until} has {len(ratio):,}")
    high = float(np.quantile(ratio, 0.9999))
    if high == 0:
        return Bound(None, f"every such open of the history {until} equals the close before it")
    return Bound(high, f"99.99 % quantile of {len(ratio):,} gaps inside sessions, history {until}")


def _jump(
    sizes: Floats, scale_of: Callable[[pd.Series, int], pd.Series], context: int, horizon: int, until: str
) -> Bound:
    """Bound |return| over the scale of a context that ended 1 to ``horizon`` bars before it."""
    scale = scale_of(pd.Series(sizes), context - 1)
    calmest = scale.rolling(horizon, min_periods=1).min().shift(1).to_numpy()
    known = calmest > 0
    if known.sum() < FEW_RETURNS:
        why = f"{FEW_RETURNS} returns after a context of {context} bars are needed"
        return Bound(None, f"{why}, the history {until} has {int(known.sum()):,} that can be scaled")
    return Bound(
        float(BEYOND * np.max(sizes[known] / calmest[known])),
        f"{BEYOND} x the largest of {int(known.sum()):,} returns of the history {until}, in units of a context "
        f"that ended up to {horizon} bars before",
    )


def _rolling_sd(sizes: pd.Series, window: int) -> pd.Series:
    return (sizes**2).rolling(window).mean().clip(lower=0.0) ** 0.5  # the running sum can fall below zero


def _rolling_mad(sizes: pd.Series, window: int) -> pd.Series:
    return MAD * sizes.rolling(window).median()


def _run(flags: NDArray[np.bool_], until: str) -> Bound:
    if len(flags) < FEW_RUNS:
        why = f"a 99.9 % quantile needs {FEW_RUNS:,} bars"
        return Bound(None, f"{why}, the history {until} has {len(flags):,}")
    longest = float(np.quantile(run_lengths(flags), 0.999, method="higher"))
    return Bound(max(longest, 1.0), f"99.9 % quantile of {len(flags):,} bars of the history {until}")


def _share(flags: NDArray[np.bool_], horizon: int, until: str, *, both_sides: bool) -> Bound:
    windows = len(flags) // horizon
    if windows < FEW_WINDOWS:
        why = f"{FEW_WINDOWS} windows of {horizon} bars that do not overlap are needed"
        return Bound(None, f"{why}, the history {until} has {windows}")
    counts = np.concatenate(([0], np.cumsum(flags)))
    stride = max(horizon // 4, 1)
    shares = (counts[horizon:] - counts[:-horizon])[::stride] / horizon
    low, high = np.quantile(shares, [0.005, 0.995])
    what = "0.5 % and 99.5 % quantiles" if both_sides else "99.5 % quantile"
    source = f"{what} of {len(shares):,} windows of {horizon} bars, history {until}"
    return Bound(float(high), source, float(low) if both_sides else None)
