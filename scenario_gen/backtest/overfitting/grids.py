"""The sets of a grid: is the best one the top of a plateau, and which have a Sharpe ratio above 0 at all.

Beside its neighbours: a set that beats them by far has found something that no small change of mind survives. Sets are
ranked by their median, and compared by the mean difference on the same paths, where the market's luck cancels (a median
difference would be 0 as soon as two sets trade alike on half of the paths).

All tested at once, by Romano and Wolf's stepwise test: where the deflated Sharpe ratio takes the sets as independent
draws of one luck, this test resamples the record itself, so that sets which move together are known to do so. The
probability that any set without skill is named is held down to the level, whatever their correlation.

Romano and Wolf (2005), Stepwise Multiple Testing as Formalized Data Snooping, Econometrica 73; adjusted p values as in
their (2016) Efficient computation of adjusted p-values for resampling-based stepdown multiple testing, Statistics and
Probability Letters 113. The first step alone is White's (2000) reality check for data snooping, studentised.

Knows parameter values, results and arrays [bar, set]; knows neither strategies nor how the results came about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.backtest.metrics import NO_VARIANCE
from scenario_gen.generators.bootstrap import block_indices
from scenario_gen.stats.estimate import Estimate, mean, quantile
from scenario_gen.stats.weights import Weights

Shape = Literal["plateau", "peak", "flat", "undecided", "none"]


@dataclass(frozen=True)
class GridPoint:
    """One parameter set and its neighbours."""

    params: dict[str, Any]  # its parameters
    median: Estimate  # its median result over paths
    neighbours: tuple[int, ...]  # the sets, by their place in the grid, that differ in one number by one step
    neighbours_median: float | None  # the mean of the neighbours' medians; None without neighbours
    # mean over paths of its result less the mean of its neighbours' on the same path; below 0 where the neighbours are
    # better
    above: Estimate


@dataclass(frozen=True)
class Stability:
    """The results of a grid as a surface."""

    axes: dict[str, tuple[float, ...]]  # the numbers that the grid varies, each with its values in order
    points: tuple[GridPoint, ...]  # the sets, in the order given
    best: int | None  # the set with the largest median; None where no set has one
    # mean over paths of the best set's result less the grid's median on the same path. The set was chosen on these
    # paths, so this is the upper end of what may be expected of it.
    advantage: Estimate
    # share of that advantage that the neighbours have as well: 1 on a plateau, 0 on an isolated peak
    kept: float | None
    # ``plateau`` where the neighbours keep more than half of the advantage, ``peak`` where they keep less,
    # ``undecided`` where the interval does not tell, ``flat`` where the best set has no advantage beyond its error,
    # ``none`` where ``reason`` says why
    shape: Shape
    reason: str = ""  # why there is no shape


def parameter_stability(
    params: Sequence[Mapping[str, Any]], results: Floats, weights: Weights | None = None
) -> Stability:
    """Compare every parameter set with its neighbours in the grid, and say what the best one stands on.

    Args:
        params: the parameters of every set, the same names in each. Numbers have neighbours; switches, words and
            nulls must agree for two sets to be neighbours.
        results: float64 [set, path] of a metric of which more is better; NaN where it is not defined.
        weights: of the paths, where they do not all stand for as much.

    Returns:
        The surface. A median, and so a shape, needs 40 paths.
    """
    results = np.asarray(results, dtype=np.float64)
    axes = _axes(params)
    neighbours = [_neighbours(params, place, axes) for place in range(len(params))]
    points = tuple(_point(params, results, place, near, weights) for place, near in enumerate(neighbours))
    medians = [point.median.value for point in points]
    if all(median is None for median in medians):
        reason = points[0].median.reason if points else "there are no parameter sets"
        return Stability(axes, points, None, Estimate(None, reason=reason), None, "none", reason)
    best = int(np.nanargmax(np.array(medians, dtype=np.float64)))
    over_grid = results[best] - _across(results, np.nanmedian)
    advantage = mean(over_grid, weights)
    if not neighbours[best]:
        reason = "the best set has no neighbour in the grid"
        return Stability(axes, points, best, advantage, None, "none", reason)
    over_near = results[best] - _across(results[list(neighbours[best])], np.nanmean)
    return Stability(
        axes=axes,
        points=points,
        best=best,
        advantage=advantage,
        kept=_kept(points[best].above, advantage),
        shape=_shape(advantage, mean(over_near - over_grid / 2, weights)),
    )


def _axes(params: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, ...]]:
    """Return the names whose values are numbers and differ, with their values in order."""
    axes = {}
    for name in params[0] if params else ():
        values = {one[name] for one in params}
        if len(values) > 1 and all(_is_number(value) for value in values):
            axes[name] = tuple(sorted(values))
    return axes


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _neighbours(
    params: Sequence[Mapping[str, Any]], place: int, axes: Mapping[str, tuple[float, ...]]
) -> tuple[int, ...]:
    here = params[place]
    found = []
    for other, there in enumerate(params):
        changed = [name for name in here if here[name] != there[name]]
        if len(changed) == 1 and changed[0] in axes:
            values = axes[changed[0]]
            if abs(values.index(here[changed[0]]) - values.index(there[changed[0]])) == 1:
                found.append(other)
    return tuple(found)


def _point(
    params: Sequence[Mapping[str, Any]], results: Floats, place: int, near: tuple[int, ...], weights: Weights | None
) -> GridPoint:
    above, around = Estimate(None, reason="no neighbour in the grid"), None
    if near:
        above = mean(results[place] - _across(results[list(near)], np.nanmean), weights)
        medians = [quantile(results[other], 0.5, weights).value for other in near]
        known = [median for median in medians if median is not None]
        around = float(np.mean(known)) if known else None
    return GridPoint(dict(params[place]), quantile(results[place], 0.5, weights), near, around, above)


def _across(results: Floats, function: Any) -> Floats:
    """Apply a function that leaves NaN out over sets, [path]; NaN where no set has a result."""
    some = ~np.isnan(results).all(axis=0)
    found = np.full(results.shape[1], np.nan)
    found[some] = function(results[:, some], axis=0)
    return found


def _kept(above: Estimate, advantage: Estimate) -> float | None:
    if above.value is None or advantage.value is None or advantage.value <= 0:
        return None
    return 1.0 - above.value / advantage.value


def _shape(advantage: Estimate, lost: Estimate) -> Shape:
    """Judge by what the neighbours lose beyond half of the advantage, path by path."""
    if advantage.low is None or lost.low is None or lost.high is None:
        return "undecided"
    if advantage.low <= 0:
        return "flat"
    if lost.low > 0:
        return "peak"
    return "plateau" if lost.high < 0 else "undecided"


# --- All sets of a grid tested at once ---


LEVEL = 0.05
RESAMPLES = 1000
FEWEST_BARS = 30  # fewer have no resampled deviation to divide by
MOST_ASKED = 40  # sets that are asked for their mean block
STREAM = 0x57  # keeps these resamples apart from every other use of the same seed


@dataclass(frozen=True)
class Stepwise:
    """One-sided tests that a set's mean return, and so its Sharpe ratio, is above 0; adjusted for all sets."""

    p_best: float | None = None  # the smallest adjusted p value, that of the set with the largest t
    above: int = 0  # sets with an adjusted p value below 5 %
    sets: int = 0  # that were tested: those whose returns vary
    mean_block: float | None = None  # of the stationary bootstrap, in bars
    reason: str = ""  # why there are no numbers


@dataclass(frozen=True)
class SteppedDown:
    """The same for every set, float64 [set] each; NaN where a set's returns do not vary."""

    t: Floats  # mean over its bootstrap standard error
    single: Floats  # p value of the first step: as if no other set had been found
    stepped: Floats  # p value after the steps down, never above ``single``
    mean_block: float  # NaN where the resamples were given


def stepwise(returns: Floats, *, seed: int = 0) -> Stepwise:
    """Test all sets of a grid on one record.

    Args:
        returns: float [bar, set], simple returns of every set that was tried, over the same bars.
        seed: of the resamples.
    """
    bars = len(returns)
    if bars < FEWEST_BARS:
        return Stepwise(reason=f"{bars} bars are too few to resample: needs {FEWEST_BARS}")
    tested = stepped_down(returns, seed=seed)
    known = np.isfinite(tested.t)
    if not known.any():
        return Stepwise(reason="no parameter set has returns that vary")
    p = tested.stepped[known]
    return Stepwise(float(p.min()), int((p < LEVEL).sum()), int(known.sum()), tested.mean_block)


def stepped_down(
    returns: Floats,
    *,
    seed: int = 0,
    mean_block: float | None = None,
    resamples: int = RESAMPLES,
    counts: Floats | None = None,
) -> SteppedDown:
    """Return the adjusted p value of every set.

    t is the mean over the deviation of its resampled means; a resample's t is about the record's own mean, and its
    deviation moves with that of the resampled returns. The largest t of each resample, among the sets that are not
    found yet, is what the next set must exceed.

    Args:
        returns: float [bar, set], at least two bars.
        seed: of the resamples.
        mean_block: of the stationary bootstrap, in bars; default: chosen from the returns (Politis and White 2004).
        resamples: how many; the smallest p value is one over them.
        counts: float64 [resample, bar], how often each draws each bar, where several records share theirs
            (:func:`resampled_bars`); ``seed``, ``mean_block`` and ``resamples`` are not read then.
    """
    returns = np.asarray(returns, dtype=np.float64)
    varies = returns.std(axis=0) > NO_VARIANCE
    own = returns[:, varies]
    block = math.nan
    if counts is None:
        block = _mean_block(own) if mean_block is None else mean_block
        counts = resampled_bars(len(own), block, resamples, seed)
    resamples = len(counts)
    t, resampled = _studentised(own, counts)
    order = np.argsort(-t, kind="stable")
    # [resample, set]: the largest t among this set and those behind it, and among all
    behind = np.maximum.accumulate(resampled[:, order][:, ::-1], axis=1)[:, ::-1]
    stepped, single = np.full(len(varies), np.nan), np.full(len(varies), np.nan)
    place = np.flatnonzero(varies)[order]
    stepped[place] = np.maximum.accumulate((1 + (behind >= t[order]).sum(axis=0)) / (1 + resamples))
    single[place] = (1 + (behind[:, :1] >= t[order]).sum(axis=0)) / (1 + resamples)
    every = np.full(len(varies), np.nan)
    every[varies] = t
    return SteppedDown(every, single, stepped, block)


def _studentised(returns: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return t of the record [set] and of each resample about the record's mean [resample, set]."""
    bars = len(returns)
    centred = returns - returns.mean(axis=0)
    moved = counts @ centred / bars  # [resample, set]
    spread = np.sqrt(np.maximum(counts @ np.square(centred) / bars - np.square(moved), 0.0))
    error = moved.std(axis=0, ddof=1)
    wide = np.maximum(spread / centred.std(axis=0), NO_VARIANCE)
    return np.asarray(returns.mean(axis=0) / error), np.asarray(moved / (error * wide))


def resampled_bars(bars: int, mean_block: float, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Return how often each resample of the stationary bootstrap draws each bar, float64 [resample, bar]."""
    uniforms = np.random.default_rng([STREAM, seed]).random((resamples, bars, 2))
    drawn = block_indices(uniforms, bars, mean_block) + bars * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * bars).reshape(resamples, bars).astype(np.float64)


def _mean_block(returns: Floats) -> float:
    """Return the block length that suits the returns, a mean over sets, from 1 to a tenth of the bars."""
    from arch.bootstrap import optimal_block_length  # slow to import

    bars, sets = returns.shape
    if not sets:
        return 1.0
    asked = returns[:, np.unique(np.linspace(0, sets - 1, MOST_ASKED).round().astype(np.int64))]
    chosen = optimal_block_length(asked)["stationary"].to_numpy()
    return float(np.clip(np.nanmean(np.where(np.isfinite(chosen), chosen, 1.0)), 1.0, bars / 10))
