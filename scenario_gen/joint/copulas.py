"""Couplings that are fitted to ranks: Gaussian and t copulas, and dated vectors of ranks drawn again.

Each asset's uniforms are exactly uniform and independent of one another, so that its paths have the law that they have
alone. Of a bar the first two are coupled across assets, the first with the first and the second with the second; any
more are each asset's own. All numbers are functions of (seed, path id, date of the book's grid).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, ndtri, stdtr

from scenario_gen.generators.bootstrap import block_indices
from scenario_gen.generators.draws import Draws, stream_uniforms
from scenario_gen.joint.coupling import seed_of

Floats = NDArray[np.float64]

# Counters of Philox streams, each far from the others and from those of the sampler (0) and of recalibration (1).
TOGETHER, WITHIN = (0, 0, 0, 2), (0, 0, 0, 3)
SMALLEST, LARGEST = 2.0**-54, 1 - 2.0**-53  # uniforms that have a quantile
MOST_KEPT = 2**24  # numbers of blocks that are kept for the next asset: 128 MB
# Dates of history that are drawn together. Blocks of 5 would keep what leads and lags, and carry into each asset's own
# paths what its generator lacks: sizes of returns then hang together by 0.2 deviations more with nano on the S&P 500
# than they do alone, ranges by 1.0 with gbm (BENCHMARKS.md).
MEAN_BLOCK = 1.0


def stream(draws: Draws, dates: int, per_date: int, counter: tuple[int, int, int, int] = TOGETHER) -> Floats:
    """Return uniforms [path, date, per_date] of each path's own stream; more dates extend it."""
    numbers = stream_uniforms(draws.seed, draws.path_ids, dates * per_date, counter)
    return numbers.reshape(len(draws.path_ids), dates, per_date)


def with_own(coupled: Floats, asset: int, draws: Draws, dates: NDArray[np.int64], per_bar: int) -> Floats:
    """Return coupled uniforms [path, bar, level] and, where a bar takes more, those that no other asset shares."""
    more = per_bar - coupled.shape[-1]
    if more <= 0:
        return coupled
    own = Draws(seed_of(draws.seed, asset), draws.path_ids).uniforms(int(dates[-1]) + 1, more)[:, dates]
    return np.concatenate((coupled, own), axis=-1)


def with_rest(coupled: list[Floats], rest: Floats, per_bar: Sequence[int]) -> list[Floats]:
    """Return each asset's coupled uniforms of a bar [row, level] and, where it takes more, its share of the rest."""
    out, used = [], 0
    for uniforms, wanted in zip(coupled, per_bar, strict=True):
        more = max(0, wanted - uniforms.shape[-1])
        out.append(np.concatenate((uniforms, rest[:, used : used + more]), axis=-1))
        used += more
    return out


def digest(*arrays: Floats) -> str:
    """Return what tells one coupling's numbers from another's."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class CopulaCoupling:
    """A Gaussian copula across assets, or one of Student's t, with correlations of its own for each uniform of a bar.

    The same chi-square stands behind both uniforms of a bar, in every asset. The second is taken given the first, by
    the conditional law of t: side by side they would be extreme together, and the asset's own law another.
    """

    correlation: Floats  # positive definite [level, asset, asset]
    degrees: float | None = None  # of freedom; None for Gaussian
    kept: OrderedDict[tuple[int, bytes], Floats] = field(default_factory=OrderedDict, repr=False)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind, degrees of freedom and a sum of the correlations."""
        kind = "gaussian" if self.degrees is None else "t"
        return {"copula": kind, "degrees": self.degrees, "correlation": digest(self.correlation)}

    @cached_property
    def factors(self) -> Floats:
        """Lower Cholesky factors [level, asset, asset]."""
        return np.asarray(np.linalg.cholesky(self.correlation), dtype=np.float64)

    def uniforms(self, asset: int, draws: Draws, dates: NDArray[np.int64], per_bar: int) -> Floats:
        """Return the asset's uniforms, float64 [path, bar, per_bar]."""
        numbers = self._numbers(draws, int(dates[-1]) + 1)[:, dates]
        return with_own(self._of_asset(numbers, asset, per_bar), asset, draws, dates, per_bar)

    def bar(
        self, numbers: Floats, before: NDArray[np.int64], per_bar: Sequence[int]
    ) -> tuple[list[Floats], NDArray[np.int64]]:
        """See :class:`scenario_gen.joint.walks.BarCoupling`."""
        _, count, _ = self.correlation.shape
        own = len(self.correlation) * count + 1
        drawn = self._shaped(np.maximum(numbers[:, :own], SMALLEST))
        coupled = [self._of_asset(drawn, asset, wanted) for asset, wanted in enumerate(per_bar)]
        return with_rest(coupled, numbers[:, own:], per_bar), before

    def numbers(self, per_bar: Sequence[int]) -> tuple[int, int]:
        """See :class:`scenario_gen.joint.walks.BarCoupling`."""
        levels, count, _ = self.correlation.shape
        return levels * count + 1 + sum(max(0, wanted - levels) for wanted in per_bar), 0

    def _of_asset(self, numbers: Floats, asset: int, per_bar: int) -> Floats:
        """Return an asset's coupled uniforms [..., level] from numbers of :meth:`_shaped` [..., level x asset + 1]."""
        levels, count = min(per_bar, len(self.correlation)), self.correlation.shape[1]
        z = np.zeros((levels, *numbers.shape[:-1]))
        for level in range(levels):
            for other in range(asset + 1):  # term by term: sums that depend on no shape
                z[level] += self.factors[level, asset, other] * numbers[..., level * count + other]
        each = ndtr(z) if self.degrees is None else self._heavy(z, numbers[..., -1], self.degrees)
        return np.moveaxis(np.clip(each, 0.0, LARGEST), 0, -1)

    def _heavy(self, z: Floats, root: Floats, degrees: float) -> Floats:
        """Return uniforms [level, path, bar] of normal numbers over the root of a chi-square by its degrees."""
        x = z / root
        out = np.empty_like(x)
        out[0] = stdtr(degrees, x[0])
        for level in range(1, len(x)):
            seen = degrees + (x[:level] ** 2).sum(axis=0)
            out[level] = stdtr(degrees + level, x[level] * np.sqrt((degrees + level) / seen))
        return out

    def _numbers(self, draws: Draws, dates: int) -> Floats:
        """Return independent normal numbers [path, date, level x asset] and the root of the chi-square after them."""
        key = (draws.seed, draws.path_ids.tobytes())
        if key in self.kept and self.kept[key].shape[1] >= dates:
            self.kept.move_to_end(key)
            return self.kept[key]
        levels, count, _ = self.correlation.shape
        drawn = self._shaped(np.maximum(stream(draws, dates, levels * count + 1), SMALLEST))
        self.kept[key] = drawn
        while len(self.kept) > 1 and sum(block.size for block in self.kept.values()) > MOST_KEPT:
            self.kept.popitem(last=False)
        return drawn

    def _shaped(self, drawn: Floats) -> Floats:
        """Turn uniforms [..., level x asset + 1] into normal numbers and the root of a chi-square, in place."""
        drawn[..., :-1] = ndtri(drawn[..., :-1])
        if self.degrees is not None:
            drawn[..., -1] = np.sqrt(2 * gammaincinv(self.degrees / 2, drawn[..., -1]) / self.degrees)
        return drawn


@dataclass(frozen=True, eq=False)
class RankBootstrap:
    """Dated vectors of ranks, all assets and both uniforms of a bar together, drawn again and jittered within a rank.

    Filtered historical simulation of many assets (Barone-Adesi, Giannopoulos and Vosper 1999) with each asset's law
    left to its generator: what was joint in history, asymmetry included, stays joint, up to the n days that there were.
    """

    cells: Floats  # (lower, width) of each rank, which fill [0, 1] [date of history, asset, level, 2]
    mean_block: float = MEAN_BLOCK  # dates that are drawn together, on average (Politis and Romano 1994)

    @classmethod
    def of(cls, uniforms: Floats, mean_block: float = MEAN_BLOCK) -> RankBootstrap:
        """Rank the uniforms by which each bar would have been drawn, or numbers that rise with them.

        The second of a bar is ranked among some sqrt(n) bars whose first is alike: then both are independent, as a
        generator needs them, whatever they were in so many days. Any more are drawn from dates of their own.

        Args:
            uniforms: [date, asset, level], without NaN.
            mean_block: dates that are drawn together.
        """
        count, assets, levels = uniforms.shape
        cells = np.empty((count, assets, levels, 2))
        for asset in range(assets):
            for level in range(levels):
                place = _places(uniforms[:, asset, level])
                cells[:, asset, level] = np.stack((place / count, np.full(count, 1 / count)), axis=-1)
            strata = np.floor(cells[:, asset, 0, 0] * round(count**0.5))
            for stratum in np.unique(strata) if levels > 1 else ():
                rows = np.flatnonzero(strata == stratum)
                cells[rows, asset, 1, 0] = _places(uniforms[rows, asset, 1]) / len(rows)
                cells[rows, asset, 1, 1] = 1 / len(rows)
        return cls(cells, mean_block)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind, dates and a sum of the ranks."""
        record = {"dates": len(self.cells), "mean_block": self.mean_block, "ranks": digest(self.cells)}
        return {"copula": "empirical", **record}

    def uniforms(self, asset: int, draws: Draws, dates: NDArray[np.int64], per_bar: int) -> Floats:
        """Return the asset's uniforms, float64 [path, bar, per_bar]."""
        count, _, levels, _ = self.cells.shape
        last, used = int(dates[-1]) + 1, min(per_bar, levels)
        numbers = stream(draws, last, 2 * max(1, levels - 1))
        own = Draws(seed_of(draws.seed, asset), draws.path_ids)
        within = stream(own, last, levels, WITHIN)[:, dates, :used]
        for level in range(used):
            at = 2 * max(0, level - 1)
            drawn = block_indices(numbers[..., at : at + 2], count, self.mean_block)[:, dates]
            lower, width = np.moveaxis(self.cells[drawn, asset, level], -1, 0)
            within[..., level] = np.minimum(lower + width * within[..., level], LARGEST)
        return with_own(within, asset, draws, dates, per_bar)

    def bar(
        self, numbers: Floats, before: NDArray[np.int64], per_bar: Sequence[int]
    ) -> tuple[list[Floats], NDArray[np.int64]]:
        """See :class:`scenario_gen.joint.walks.BarCoupling`; what goes on are blocks of dates [row, set of levels]."""
        count, assets, levels, _ = self.cells.shape
        sets = max(1, levels - 1)
        opens = (before < 0) | (numbers[:, 0 : 2 * sets : 2] < 1.0 / self.mean_block)
        drawn = np.where(opens, (numbers[:, 1 : 2 * sets : 2] * count).astype(np.int64), (before + 1) % count)
        own = 2 * sets + assets * levels
        within = numbers[:, 2 * sets : own].reshape(-1, assets, levels).copy()
        for level in range(levels):
            cells = self.cells[drawn[:, max(0, level - 1)], :, level]  # [row, asset, 2]
            within[..., level] = np.minimum(cells[..., 0] + cells[..., 1] * within[..., level], LARGEST)
        coupled = [within[:, asset, :wanted] for asset, wanted in enumerate(per_bar)]
        return with_rest(coupled, numbers[:, own:], per_bar), drawn

    def numbers(self, per_bar: Sequence[int]) -> tuple[int, int]:
        """See :class:`scenario_gen.joint.walks.BarCoupling`."""
        _, assets, levels, _ = self.cells.shape
        sets = max(1, levels - 1)
        return 2 * sets + assets * levels + sum(max(0, wanted - levels) for wanted in per_bar), sets


def _places(values: Floats) -> NDArray[np.int64]:
    """Return which place each value has among them, from 0; of equal ones the earlier comes first."""
    return np.asarray(np.argsort(np.argsort(values, kind="stable"), kind="stable"))
