"""Rules V9 to V12: bars that are possible, but that the real history before the paths has nothing like.

Nothing here is repaired: clipping an outlier would destroy the tails that a stress test is made for. Knows paths, a
context and bounds; not where the bounds come from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.candles.reference import MAD, Bound, ReferenceBounds, locked, run_lengths, unmoved
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.market.relative import continue_ewma, log_steps, running_volatility

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

NOISE = 1e-9  # of a share: a quantile between two equal shares may be off by a rounding error


@dataclass(frozen=True)
class Suspects:
    """What one rule flags.

    Attributes:
        bars: flagged bars [path, bar].
        paths: flagged paths [path]; a path can be flagged for bars that it lacks.
    """

    bars: Flags
    paths: Flags

    @classmethod
    def of_bars(cls, bars: Flags) -> Suspects:
        """Flag the paths that have a flagged bar."""
        return cls(bars, np.asarray(bars.any(axis=1)))


@dataclass(frozen=True)
class Scales:
    """The units in which a context measures what follows it.

    Attributes:
        running: EWMA volatility after the last bar.
        deviation: root mean square of the context's log returns.
        robust: 1.4826 times their median absolute value.
        still: bars in a row before the paths whose close did not move.
        flat: bars in a row before the paths without a range.
    """

    running: float
    deviation: float
    robust: float
    still: int
    flat: int

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


def find_suspects(
    paths: PathSet, bounds: ReferenceBounds, scales: Scales, opens: NDArray[np.bool_]
) -> dict[str, Suspects]:
    """Return what each judged rule from V9 to V12 flags; bars without finite positive prices are never flagged.

    Args:
        paths: raw or repaired paths.
        bounds: what the reference allows.
        scales: the context's units.
        opens: which bars open a session [bar].
    """
    prices = np.stack([paths.column(name) for name in ("open", "high", "low", "close")], axis=-1)
    sound = (np.isfinite(prices) & (prices > 0)).all(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        steps = log_steps(prices, paths.anchor_close)
        returns, gaps = steps[..., 3], np.abs(steps[..., 0])
        found = _jumps(np.where(sound, np.abs(returns), 0.0), bounds, scales)
        if bounds.seam.is_known:
            found["V9"] = Suspects.of_bars(sound & _first(_above(gaps / scales.running, bounds.seam)))
        if bounds.inside.is_known:
            known_before = np.sqrt(np.maximum(_variance(returns, scales.running), 1e-12))
            inside = sound & _above(gaps / known_before, bounds.inside) & ~opens
            found["V9-inside"] = Suspects.of_bars(inside)
    volume = paths.column("volume") if "volume" in paths.fields else None
    return {**found, **_dead(prices, volume, np.float32(paths.anchor_close), bounds, scales)}


def _jumps(sizes: Floats, bounds: ReferenceBounds, scales: Scales) -> dict[str, Suspects]:
    """V10 in standard deviations and, unless half of the context's closes rest, in robust ones."""
    judged = []
    if bounds.jump.is_known:
        judged.append(_above(sizes / scales.deviation, bounds.jump))
    if bounds.robust_jump.is_known and scales.robust > 0:
        judged.append(_above(sizes / scales.robust, bounds.robust_jump))
    return {"V10": Suspects.of_bars(np.any(judged, axis=0))} if judged else {}


def _dead(
    prices: NDArray[np.float32],
    volume: NDArray[np.float32] | None,
    anchor: np.float32,
    bounds: ReferenceBounds,
    scales: Scales,
) -> dict[str, Suspects]:
    still = unmoved(prices[..., 3], np.full((len(prices), 1), anchor))
    flat = prices[..., 1] == prices[..., 2]
    found = {}
    if bounds.still_run.is_known and bounds.flat_run.is_known:
        still_run, flat_run = run_lengths(still, scales.still), run_lengths(flat, scales.flat)
        long = _above(still_run, bounds.still_run) | _above(flat_run, bounds.flat_run)
        found["V11"] = Suspects.of_bars(long)
    if bounds.still_share.is_known:
        found["V11-share"] = _odd_share(still | flat, bounds.still_share)
    if bounds.locked_share.is_known:
        found["V12"] = _odd_share(locked(prices, volume), bounds.locked_share)
    return found


def _odd_share(flags: Flags, bound: Bound) -> Suspects:
    shares = flags.mean(axis=1)
    odd = _above(shares, bound)
    if bound.low is not None:
        odd |= shares < bound.low - NOISE
    return Suspects(flags & odd[:, None], odd)


def _above(values: NDArray[np.number], bound: Bound) -> Flags:
    if bound.high is None:
        raise ValueError("a rule without a bound is not judged")
    return np.asarray(values > bound.high + NOISE)


def _first(flags: Flags) -> Flags:
    return np.asarray(flags & (np.arange(flags.shape[1]) == 0))


def _variance(returns: Floats, running: float) -> Floats:
    """Return the running variance known before each bar [path, bar]; a bar without a price adds nothing."""
    squares = np.nan_to_num(returns**2, nan=0.0, posinf=0.0)
    return continue_ewma(np.full(len(squares), running**2), squares)[:, :-1]
