"""Rules V9 to V12: bars that are possible, but that the real history before the paths has nothing like.

Nothing here is repaired: clipping an outlier would destroy the tails that a stress test is made for. A finder returns
None where the reference has no bound; bars without finite positive prices are never flagged. Knows paths, a context and
bounds; not where the bounds come from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenario_gen.candles.breaches import Flags, Suspects, View
from scenario_gen.candles.reference import Bound, locked, run_lengths, unmoved
from scenario_gen.market.candles import continue_ewma

NOISE = 1e-9  # of a share: a quantile between two equal shares may be off by a rounding error


def seam(view: View) -> Flags | None:
    """V9: the first open, too far from the last close."""
    if not view.bounds.seam.is_known:
        return None
    first = np.arange(view.sound.shape[1]) == 0
    return np.asarray(view.sound & first & _above(view.gaps / view.scales.running, view.bounds.seam))


def inside(view: View) -> Flags | None:
    """V9-inside: an open that opens no session, too far from the close before it."""
    if not view.bounds.inside.is_known:
        return None
    squares = np.nan_to_num(view.steps[..., 3] ** 2, nan=0.0, posinf=0.0)  # a bar without a price adds nothing
    variance = continue_ewma(np.full(len(squares), view.scales.running**2), squares)[:, :-1]
    known_before = np.sqrt(np.maximum(variance, 1e-12))
    return np.asarray(view.sound & _above(view.gaps / known_before, view.bounds.inside) & ~view.opens)


def jump(view: View) -> Flags | None:
    """V10, in standard deviations and, unless half of the context's closes rest, in robust ones."""
    sizes = np.where(view.sound, np.abs(view.steps[..., 3]), 0.0)
    judged = []
    if view.bounds.jump.is_known:
        judged.append(_above(sizes / view.scales.deviation, view.bounds.jump))
    if view.bounds.robust_jump.is_known and view.scales.robust > 0:
        judged.append(_above(sizes / view.scales.robust, view.bounds.robust_jump))
    return np.any(judged, axis=0) if judged else None


def still_run(view: View) -> Flags | None:
    """V11: too many bars in a row with an unmoved close, or without a range."""
    bounds, scales = view.bounds, view.scales
    if not (bounds.still_run.is_known and bounds.flat_run.is_known):
        return None
    still, flat = run_lengths(_still(view), scales.still), run_lengths(_flat(view), scales.flat)
    return _above(still, bounds.still_run) | _above(flat, bounds.flat_run)


def still_share(view: View) -> Suspects | None:
    """V11-share: a share of unmoved bars that history has not."""
    bound = view.bounds.still_share
    return _odd_share(_still(view) | _flat(view), bound) if bound.is_known else None


def locked_share(view: View) -> Suspects | None:
    """V12: more bars with one price; a locked bar is one that was traded, which paths without volume do not say."""
    bound = view.bounds.locked_share
    if not bound.is_known or (view.volume is None and view.has_volume):
        return None
    return _odd_share(locked(view.prices, view.volume), bound)


def _still(view: View) -> Flags:
    return unmoved(view.prices[..., 3], np.full((len(view.prices), 1), np.float32(view.paths.anchor_close)))


def _flat(view: View) -> Flags:
    return np.asarray(view.prices[..., 1] == view.prices[..., 2])


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
