"""Panel: paths of several assets over the same bars, and its pairs of assets.

Owns what belongs together: paths of one number, at stamps that all assets have. Knows no facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenario_gen.errors import CheckError
from scenario_gen.market.anchor import Ensemble
from scenario_gen.market.frequency import nanoseconds
from scenario_gen.market.paths import PathSet
from scenario_gen.realism.bars import BarArrays, spread_rows
from scenario_gen.realism.estimators import Array, correlation, mean_ccf
from scenario_gen.realism.facts import FACT, MANY_FACTS, PAIR_FACTS, SPREAD, Fact
from scenario_gen.realism.gauge import Gauge, deseasonalise

MOST_PAIRS = 50  # of more assets this many pairs, evenly chosen, are measured


@dataclass(frozen=True, eq=False)
class Panel:
    """Paths of several assets: path k of every asset is the same future."""

    assets: tuple[str, ...]  # names, two or more
    bars: tuple[BarArrays, ...]  # one per asset, all of one shape [path, bar] and over the same stamps

    def __post_init__(self) -> None:
        shapes = {bars.close.shape for bars in self.bars}
        if len(self.assets) != len(self.bars) or len(self.bars) < 2 or len(shapes) > 1:
            raise ValueError(f"{len(self.assets)} names for {len(self.bars)} assets with shapes {shapes}")

    def __len__(self) -> int:
        return len(self.bars[0])

    @property
    def length(self) -> int:
        """Bars per path."""
        return self.bars[0].length

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Paths whose prices are all finite and positive in every asset, [path]."""
        return np.asarray(np.logical_and.reduce([bars.valid for bars in self.bars]))

    @property
    def has_volume(self) -> bool:
        """Whether every asset has a volume."""
        return all(bars.volume is not None for bars in self.bars)

    def select(self, rows: NDArray[Any] | slice) -> Panel:
        """Return the paths at these positions (or where a mask is True), in this order."""
        return Panel(self.assets, tuple(bars.select(rows) for bars in self.bars))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of assets that are measured: all, or 50 evenly chosen ones of more than ten assets."""
        every = list(combinations(range(len(self.bars)), 2))
        return [every[at] for at in spread_rows(len(every), MOST_PAIRS)]


# Statistics of how assets move together: correlation, joint tails, correlation under stress, lead and lag


TAIL = 0.1  # quantile of a path's own returns beyond which a bar counts as a tail
STRESSED = 0.3  # share of bars with the widest joint range
LEVERAGE_LAGS = range(1, 6)
_ALMOST_ONE = 1 - 1e-9  # Fisher's z of the same series twice is 10.7, not infinite
_BLOCK = 1 << 17  # path-bars of one asset measured at once


def fisher_z(x: Array) -> Array:
    """Return atanh of correlations: their error no longer depends on their size."""
    return np.asarray(np.arctanh(np.clip(x, -_ALMOST_ONE, _ALMOST_ONE)))


def coexceedance(x: Array, y: Array, *, lower: bool) -> Array:
    """Return how often both are in their own 10 % tail, over the 10 % of always together, [path].

    .1 for independent series, 1 where the tails coincide. Tails are the path's own: no threshold comes from outside.
    """
    level = TAIL if lower else 1 - TAIL
    sides = []
    for series in (x, y):
        edge = np.quantile(series, level, axis=1, keepdims=True)
        sides.append(series < edge if lower else series > edge)
    return np.asarray((sides[0] & sides[1]).mean(axis=1) / TAIL)


def stress_correlation(first: BarArrays, other: BarArrays) -> Array:
    """Return Fisher's z of the returns' correlation in the 30 % of bars with the widest joint range, less the rest.

    Conditioning raises a correlation even where the dependence is Gaussian and constant (Boyer, Gibson & Loretan
    1999): the difference means something beside that of real windows, never beside 0.
    """
    joint = np.nan_to_num(first.lr + other.lr, nan=-np.inf)
    order = np.argsort(-joint, axis=1, kind="stable")
    cut = int(np.ceil(STRESSED * first.length))
    wide, rest = (
        correlation(*(np.take_along_axis(bars.r, part, axis=1) for bars in (first, other)))
        for part in (order[:, :cut], order[:, cut:])
    )
    return fisher_z(wide) - fisher_z(rest)


def lead_lag(first: BarArrays, other: BarArrays) -> Array:
    """Return by how much more the first asset's return goes before the other's than after it, lag 1."""
    return mean_ccf(first.r, other.r, [1]) - mean_ccf(other.r, first.r, [1])


def cross_leverage(first: BarArrays, other: BarArrays) -> Array:
    """Return the mean correlation of one asset's return with the other's later log ranges, lags 1-5, both ways."""
    return 0.5 * (mean_ccf(first.r, other.lr, LEVERAGE_LAGS) + mean_ccf(other.r, first.lr, LEVERAGE_LAGS))


PAIR_STATISTICS: dict[str, Callable[[BarArrays, BarArrays], Array]] = {
    "fisher_corr_r": lambda one, other: fisher_z(correlation(one.r, other.r)),
    "corr_abs_r": lambda one, other: correlation(one.abs_r, other.abs_r),
    "corr_lnrange": lambda one, other: correlation(one.lr, other.lr),
    "corr_dv": lambda one, other: correlation(one.dv, other.dv),
    "lowtail_coexc10": lambda one, other: coexceedance(one.r, other.r, lower=True),
    "uptail_coexc10": lambda one, other: coexceedance(one.r, other.r, lower=False),
    "stress_corr_diff": stress_correlation,
    "leadlag1": lead_lag,
    "xlev": cross_leverage,
}


def top_eigenvalue_share(panel: Panel) -> Array:
    """Return the largest eigenvalue of the returns' correlation matrix over the number of assets, [path].

    1 / assets where nothing moves together, 1 where all is one factor; NaN where an asset does not move.
    """
    returns = np.stack([bars.r for bars in panel.bars], axis=1)  # [path, asset, bar]
    left = returns - returns.mean(axis=2, keepdims=True)
    size = np.sqrt((left**2).sum(axis=2, keepdims=True))
    moves = (size > 0).all(axis=(1, 2))
    unit = left[moves] / size[moves]
    out = np.full(len(panel), np.nan)
    out[moves] = np.linalg.eigvalsh(unit @ unit.transpose(0, 2, 1))[:, -1] / len(panel.bars)
    return out


def cross_statistics(panel: Panel, *, gauges: Sequence[Gauge] | None = None) -> dict[str, Array]:
    """Return fact id -> float64 [path] of how the assets of each path move together, NaN where undefined.

    Args:
        panel: the paths. A path with a price that is missing or not positive in any asset is NaN throughout.
        gauges: of the references, one per asset: intraday, their time-of-day patterns are taken out first, which
            two assets of one exchange share whether they depend on each other or not.
    """
    result: dict[str, Array] = {}
    measurable = np.flatnonzero(panel.valid)
    step = max(1, _BLOCK // panel.length)
    for start in range(0, len(measurable), step):
        rows = measurable[start : start + step]
        for name, values in _measure(panel.select(rows), gauges).items():
            result.setdefault(name, np.full(len(panel), np.nan))[rows] = values
    return result


def cross_facts(panel: Panel) -> list[Fact]:
    """Return the facts that exist for so many assets."""
    return [*PAIR_FACTS, *(MANY_FACTS if len(panel.bars) > 2 else ()), SPREAD]


def _measure(panel: Panel, gauges: Sequence[Gauge] | None) -> dict[str, Array]:
    """Return the statistics of one block of valid paths."""
    flat = panel if gauges is None else _without_season(panel, gauges)
    measured: dict[str, Array] = {SPREAD.id: _spread(panel)}
    many, pairs_of = len(panel.bars) > 2, flat.pairs
    for name, statistic in PAIR_STATISTICS.items():
        if "volume" in FACT[name].needs and not panel.has_volume:
            continue
        pairs = np.stack([statistic(flat.bars[one], flat.bars[other]) for one, other in pairs_of])
        measured[name] = pairs.mean(axis=0)
        if many:
            measured[f"{name}_sd"] = pairs.std(axis=0, ddof=1)
    if many:
        measured["top_eigen_share"] = top_eigenvalue_share(flat)
    return measured


def _without_season(panel: Panel, gauges: Sequence[Gauge]) -> Panel:
    return Panel(
        panel.assets,
        tuple(
            bars if gauge.season is None or bars.bar_of_day is None else deseasonalise(bars, gauge.season)
            for bars, gauge in zip(panel.bars, gauges, strict=True)
        ),
    )


def _spread(panel: Panel) -> Array:
    """Return the first asset's return over the path less the second's; of more assets, their standard deviation."""
    whole = np.stack([bars.log_path[:, -1] - bars.log_path[:, 0] for bars in panel.bars])
    return np.asarray(whole[0] - whole[1] if len(whole) == 2 else whole.std(axis=0, ddof=1))


# --- Paths of several assets side by side ---


SHOWN = 3
ELSEWHERE = "are left out of dependence: not all assets have bars at their stamps"


@dataclass(frozen=True, eq=False)
class Side:
    """The paths of one context, asset beside asset."""

    paths: list[Ensemble]  # one set per asset, with the same stamps, and the same path ids in the same order
    first: int  # nanoseconds of their first stamp

    def __len__(self) -> int:
        return len(self.paths[0].paths)


def side_by_side(kept_of: Mapping[str, Sequence[Ensemble]]) -> tuple[list[Side], list[str]]:
    """Return the paths that all assets kept, at the stamps that all share, and what was left out.

    Paths with the same stamps in every asset stand together.
    """
    groups_of = [_group_of_path(ensembles) for ensembles in kept_of.values()]
    kept = sorted(set.intersection(*(set(groups) for groups in groups_of)))
    lost = len(set.union(*(set(groups) for groups in groups_of))) - len(kept)
    members: dict[tuple[int, ...], list[int]] = {}
    for path in kept:
        members.setdefault(tuple(groups[path] for groups in groups_of), []).append(path)
    sides = [
        _side([ensembles[at] for ensembles, at in zip(kept_of.values(), places, strict=True)], np.array(paths))
        for places, paths in members.items()
    ]
    _refuse_uneven(sides, list(kept_of))
    notes = [f"{lost:,} paths that an asset lost to the candle rules are left out of dependence"] if lost else []
    bars = sides[0].paths[0].paths.horizon if sides else 0
    for name, ensembles in kept_of.items():
        if ensembles and ensembles[0].paths.horizon > bars > 0:
            gone = ensembles[0].paths.horizon - bars
            notes.append(f"{gone:,} bars of the paths of {name} {ELSEWHERE}")
    return sorted(sides, key=lambda side: side.first), notes


def _group_of_path(kept: Sequence[Ensemble]) -> dict[int, int]:
    """Return path id to the place of the ensemble that holds it."""
    return {int(path): at for at, one in enumerate(kept) for path in one.paths.path_ids}


def _side(every: Sequence[Ensemble], ids: NDArray[np.int64]) -> Side:
    """Return these paths of every asset, bars at shared stamps only."""
    shared = reduce(np.intersect1d, [_stamps(one) for one in every])
    cut = [_at_stamps(one.paths.select(ids), np.isin(_stamps(one), shared)) for one in every]
    first = int(shared[0]) if len(shared) else 0
    return Side([replace(one, paths=paths) for one, paths in zip(every, cut, strict=True)], first)


def _at_stamps(paths: PathSet, keep: NDArray[np.bool_]) -> PathSet:
    if keep.all():
        return paths
    return replace(paths, values=paths.values[:, keep], timestamps=paths.timestamps[keep])


def _refuse_uneven(sides: Sequence[Side], assets: Sequence[str]) -> None:
    lengths = sorted({side.paths[0].paths.horizon for side in sides})
    if len(lengths) > 1 or lengths == [0]:
        told = "no stamp" if lengths == [0] else f"{lengths[0]} to {lengths[-1]} stamps, not all the same number"
        raise CheckError(
            f"the paths of {some(assets)} share {told}",
            expected="bars at the same moments in every asset, as many on every path",
            fix="cut the paths of all assets to the moments that all have",
        )


def _stamps(ensemble: Ensemble) -> NDArray[np.int64]:
    return np.ascontiguousarray(nanoseconds(ensemble.paths.timestamps))


def some(names: Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
