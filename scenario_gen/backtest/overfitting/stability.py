"""Is the best parameter set the top of a plateau or an isolated peak: a set beside its neighbours in the grid.

A set that beats its neighbours by far has found something that no small change of mind survives. Sets are ranked by
their median, and compared by the mean difference on the same paths, where the market's luck cancels (a median
difference would be 0 as soon as two sets trade alike on half of the paths). Knows parameter values and results; knows
neither strategies nor how the results came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scenario_gen.backtest.account import Floats
from scenario_gen.stats.estimate import Estimate, mean, quantile

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


def parameter_stability(params: Sequence[Mapping[str, Any]], results: Floats) -> Stability:
    """Compare every parameter set with its neighbours in the grid, and say what the best one stands on.

    Args:
        params: the parameters of every set, the same names in each. Numbers have neighbours; switches, words and
            nulls must agree for two sets to be neighbours.
        results: float64 [set, path] of a metric of which more is better; NaN where it is not defined.

    Returns:
        The surface. A median, and so a shape, needs 40 paths.
    """
    results = np.asarray(results, dtype=np.float64)
    axes = _axes(params)
    neighbours = [_neighbours(params, place, axes) for place in range(len(params))]
    points = tuple(_point(params, results, place, near) for place, near in enumerate(neighbours))
    medians = [point.median.value for point in points]
    if all(median is None for median in medians):
        reason = points[0].median.reason if points else "there are no parameter sets"
        return Stability(axes, points, None, Estimate(None, reason=reason), None, "none", reason)
    best = int(np.nanargmax(np.array(medians, dtype=np.float64)))
    over_grid = results[best] - _across(results, np.nanmedian)
    advantage = mean(over_grid)
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
        shape=_shape(advantage, mean(over_near - over_grid / 2)),
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


def _point(params: Sequence[Mapping[str, Any]], results: Floats, place: int, near: tuple[int, ...]) -> GridPoint:
    above, around = Estimate(None, reason="no neighbour in the grid"), None
    if near:
        above = mean(results[place] - _across(results[list(near)], np.nanmean))
        medians = [quantile(results[other], 0.5).value for other in near]
        known = [median for median in medians if median is not None]
        around = float(np.mean(known)) if known else None
    return GridPoint(dict(params[place]), quantile(results[place], 0.5), near, around, above)


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
