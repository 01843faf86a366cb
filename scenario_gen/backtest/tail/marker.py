"""Where real history lies among the paths: the strategy's real result as a percentile, with an exact interval.

A percentile alone says neither that a strategy is good nor that it was fitted to its past: an extreme one comes as well
from an unusual stretch of time, or from a generator whose paths are not like the market. The text says just that.
Knows numbers; knows neither strategies nor generators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.stats.estimate import CONFIDENCE, Estimate, share
from scenario_gen.stats.weights import Weights

Stretch = Literal["context", "continuation"]
Place = Literal["low", "inside", "high", "undecided", "none"]

EXTREME = 0.975  # a percentile beyond this, or below 1 less this, is called high or low

STRETCHES: dict[Stretch, str] = {
    "context": "on the context, the real bars before the paths",
    "continuation": "on the real bars that followed the context",
}
# What may have made the real result unlike the paths, beside chance. Parameters are chosen for high results only, and
# never on bars that came after.
REASONS = "the stretch was unusual, or the paths are unlike the market"
REASONS_IF_CHOSEN = "the stretch was unusual, the paths are unlike the market, or the parameters were chosen on it"


@dataclass(frozen=True)
class Marker:
    """A strategy's real result among the same strategy's results on the paths."""

    stretch: Stretch  # the real bars that it comes from
    metric: str  # what is compared
    value: float | None  # the real result; None where it is not defined
    # share of paths with a smaller result, ties counted half; interval of Clopper and Pearson (1934), which covers at
    # least 95 % for any number of paths and any ties
    percentile: Estimate
    # ``low`` or ``high`` where the whole interval lies beyond 2.5 or 97.5 %, ``inside`` where it lies between,
    # ``undecided`` where it crosses one of these, ``none`` where there is nothing to compare
    place: Place
    text: str  # the same in a sentence or two, for people


def historical_marker(
    value: float,
    values: Floats,
    *,
    stretch: Stretch,
    metric: str,
    real_bars: int,
    path_bars: int,
    weights: Weights | None = None,
) -> Marker:
    """Place the strategy's real result among its results on the paths.

    Args:
        value: the result on the real stretch; NaN where the metric is not defined there.
        values: float64 [path]; NaN where it is not defined, which is left out.
        stretch: the real bars that the value comes from.
        metric: its title, for the text.
        real_bars: length of the real stretch on which money was counted.
        path_bars: length of the paths. The two must be equal: results over more bars spread wider. Of a context take
            the last ``path_bars`` bars; of paths longer than the real continuation take the first ``real_bars``.
        weights: of the paths, where they do not all stand for as much.
    """
    defined = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(defined)
    defined, weights = defined[known], None if weights is None else weights.where(known)
    reason = _not_comparable(value, len(defined), real_bars, path_bars)
    percentile = Estimate(None, n=len(defined), reason=reason)
    if not reason:
        percentile = _percentile(value, defined) if weights is None else _weighted_percentile(value, defined, weights)
        reason = "" if percentile.value is not None and percentile.low is not None else percentile.reason
    if reason:
        real = None if np.isnan(value) else float(value)
        text = f"{metric} {STRETCHES[stretch]} cannot be placed among the paths: {reason}."
        return Marker(stretch, metric, real, percentile, "none", text)
    place = _place(percentile)
    text = _text(stretch, metric, value, percentile, place)
    return Marker(stretch, metric, float(value), percentile, place, text)


def _percentile(value: float, values: Floats) -> Estimate:
    below, equal = int(np.sum(values < value)), int(np.sum(values == value))
    n = len(values)
    low, _ = clopper_pearson(below, n)
    _, high = clopper_pearson(below + equal, n)
    return Estimate((below + equal / 2) / n, low, high, n=n, count=below)


def _weighted_percentile(value: float, values: Floats, weights: Weights) -> Estimate:
    """Return what stands for less than the value, ties counted half, between the intervals with none and all of them.

    Refused where the paths on either side are as many as too few alike, other than where nothing lies there.
    """
    below, reached = share(values < value, weights), share(values <= value, weights)
    for side in (below, reached):
        if side.value is None or side.low is None:
            return Estimate(None, n=len(values), reason=side.reason)
    assert below.value is not None and reached.value is not None
    return Estimate((below.value + reached.value) / 2, below.low, reached.high, n=len(values))


def clopper_pearson(count: int, n: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a share, count of n hits (Clopper and Pearson 1934, Biometrika 26)."""
    from scipy.special import betaincinv

    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - tail))
    return low, high


def _not_comparable(value: float, paths: int, real_bars: int, path_bars: int) -> str:
    if real_bars != path_bars:
        return f"it covers {real_bars} bars and the paths {path_bars}; compare equal lengths"
    if np.isnan(value):
        return "it is not defined on the real bars"
    return "" if paths else "it is not defined on any path"


def _place(percentile: Estimate) -> Place:
    assert percentile.low is not None and percentile.high is not None
    if percentile.low > EXTREME:
        return "high"
    if percentile.high < 1 - EXTREME:
        return "low"
    if percentile.low >= 1 - EXTREME and percentile.high <= EXTREME:
        return "inside"
    return "undecided"


def _text(stretch: Stretch, metric: str, value: float, percentile: Estimate, place: Place) -> str:
    assert percentile.value is not None and percentile.low is not None and percentile.high is not None
    figure = (
        f"{metric} {STRETCHES[stretch]}: {value:.4g}, above {percentile.value:.1%} of {percentile.n} paths "
        f"(95 % interval {percentile.low:.1%} to {percentile.high:.1%})."
    )
    if place == "inside":
        return f"{figure} That is within the middle 95 % of the paths, as for an ordinary one of them."
    if place == "undecided":
        return f"{figure} Too few paths to tell whether that is within the middle 95 % of them."
    side = "higher" if place == "high" else "lower"
    reasons = REASONS_IF_CHOSEN if stretch == "context" and place == "high" else REASONS
    return (
        f"{figure} That is {side} than on nearly all paths: {reasons}. The percentile alone does not tell "
        "which; the calibration of the generator and the cross-validation of the parameters do."
    )
