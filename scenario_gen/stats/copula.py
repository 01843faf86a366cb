"""Copulas of Gaussian and of Student's t form: how the ranks of several series hang together, read off cells.

A forecast that is made of tokens says of a real bar between which uniforms it would have been drawn, not which one: a
cell [lower, upper] that moves from bar to bar. What is fitted here are *ranks* of such cells, so that a forecast that
is wrong about one series alone is not taken for dependence between two. Knows no market and no generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, ndtr, ndtri, stdtrit

from scenario_gen.stats.estimate import Floats

POINT = 1e-6  # narrower cells are points: their width is lost in rounding
BLANK = 0.02  # share of a series' variance that its cells show, below which they say nothing
COARSE = 0.95  # share of a series' variance that its cells show, below which a pair is fitted by likelihood
RANKED = 4  # times
NODES = 16  # of Gauss and Legendre within a cell
CLOSEST = 0.9995  # correlation of two series that the likelihood goes up to
LEAST_EIGENVALUE = 1e-4
DEGREES = (3.0, 50.0)  # of freedom: beyond 50 nobody can tell t from Gaussian
WORTH = 4.0  # gain in log likelihood from which on t is taken: its p-value with one parameter more is .005
SETTLED = 1e-10  # steps towards the nearest correlation matrix that are shorter end the way
SAME = 1e-8  # numbers of a given matrix that differ by less are the same


@dataclass(frozen=True, eq=False)
class RankCells:
    """Ranks of cells as uniforms, lower to upper [bar, series]; NaN where a series has no bar."""

    lower: Floats
    upper: Floats

    @classmethod
    def of(cls, bounds: Floats) -> RankCells:
        """Rank cells [bar, series, (lower, upper)] within each series.

        The rank of u is the mean over bars of the uniform law on each cell at or below u: the non-randomised PIT of
        Czado, Gneiting and Held 2009, "Predictive model assessment for count data"; of points it is the rank less one
        half, over their number. Ranks of ranks follow, until the law within wide cells is that of all bars, too
        (Turnbull's self-consistency, 1976).
        """
        ranked = np.full(bounds.shape, np.nan)
        for series in range(bounds.shape[1]):
            there = np.isfinite(bounds[:, series]).all(axis=1)
            cells = bounds[there, series]
            for _ in range(RANKED):
                cells = _ranked(cells)
            ranked[there, series] = cells
        return cls(ranked[..., 0], ranked[..., 1])

    @property
    def middle(self) -> Floats:
        """Middle of each cell [bar, series]: what joint tails are read off, which numbers drawn inside would thin."""
        return (self.lower + self.upper) / 2

    @cached_property
    def scores(self) -> Floats:
        """Mean normal score within each cell, E[Z | cell] [bar, series]."""
        width = self.upper - self.lower
        low, high = (_density(ndtri(edge)) for edge in (self.lower, self.upper))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(width < POINT, ndtri(self.middle), (low - high) / width)

    @cached_property
    def shown(self) -> Floats:
        """Share of each series' variance that its cells show, Var E[Z | cell], 1 for points [series]."""
        return np.asarray(np.nanmean(self.scores**2, axis=0) / self._of_points)

    @cached_property
    def _of_points(self) -> Floats:
        """Mean square of the normal scores of as many points as each series has bars [series]."""
        counts = np.isfinite(self.lower).sum(axis=0)
        return np.array([np.mean(ndtri((np.arange(count) + 0.5) / count) ** 2) for count in counts])

    def correlation(self) -> Floats:
        """Return the correlation of the normal scores of every pair of series, as it stands [series, series].

        The correlation of E[Z | cell] over the shares of variance that both cells show; where cells are so coarse that
        this is off by more than its error, the maximum of the likelihood (polychoric correlation with cells that
        move: Olsson 1979, Psychometrika 44). Bars that one of a pair lacks are left out.
        """
        count = self.lower.shape[1]
        out = np.eye(count)
        for first in range(count):
            for other in range(first + 1, count):
                out[first, other] = out[other, first] = self._of_pair(first, other)
        return out

    def _of_pair(self, first: int, other: int) -> float:
        both = np.isfinite(self.lower[:, [first, other]]).all(axis=1)
        least = min(self.shown[first], self.shown[other])
        if least < BLANK:
            return 0.0
        if least < COARSE:
            cells = (np.stack((self.lower[both, at], self.upper[both, at])) for at in (first, other))
            return likeliest_correlation(*cells)
        a, b = (self.scores[both, at] / self._of_points[at] ** 0.5 for at in (first, other))
        seen = float(np.mean(a * b)) / float(self.shown[first] * self.shown[other])
        return float(np.clip(seen, -CLOSEST, CLOSEST))


def _ranked(cells: Floats) -> Floats:
    """Return cells [bar, 2] of one series as ranks."""
    width = cells[:, 1] - cells[:, 0]
    points = np.sort(cells[width < POINT].mean(axis=1))
    wide = cells[width >= POINT]
    knots = np.unique(wide)
    slopes = np.zeros(len(knots))  # how fast the rank rises after each knot
    np.add.at(slopes, np.searchsorted(knots, wide[:, 0]), 1 / np.diff(wide, axis=1)[:, 0])
    np.add.at(slopes, np.searchsorted(knots, wide[:, 1]), -1 / np.diff(wide, axis=1)[:, 0])
    heights = np.concatenate(([0.0], np.cumsum(np.cumsum(slopes)[:-1] * np.diff(knots)))) if len(knots) else knots

    def rank(u: Floats) -> Floats:
        below, up_to = (np.searchsorted(points, u, side=side) for side in ("left", "right"))
        spread = np.interp(u, knots, heights) if len(knots) else 0.0
        return np.asarray(((below + up_to) / 2 + spread) / len(cells))

    middle = cells.mean(axis=1, keepdims=True)
    return np.clip(np.where(width[:, None] < POINT, rank(middle), rank(cells)), 0.0, 1.0)


def _density(z: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))


def likeliest_correlation(first: Floats, other: Floats) -> float:
    """Return the correlation of two normal variables that is likeliest, given the cells that each bar fell in.

    Args:
        first: cells of one as uniforms [(lower, upper), bar].
        other: cells of the other.
    """
    (low, high), (below, above) = (_widened(cells) for cells in (first, other))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    inside = ndtri(low + (nodes[:, None] + 1) / 2 * (high - low))  # of the first cell [node, bar]
    edges = ndtri(np.stack((below, above)))

    def unlikely(rho: float) -> float:
        rest = np.sqrt(1 - rho**2)
        ends = (edges[:, None] - rho * inside) / rest  # [2, node, bar]
        ends = np.where(ends[:1] > 0, -ends[::-1], ends)  # differences of small numbers, not of numbers near 1
        chance = weights @ (ndtr(ends[1]) - ndtr(ends[0])) / 2
        return -float(np.log(np.maximum(chance, 1e-300)).sum())

    return _lowest(unlikely, (-CLOSEST, CLOSEST), 1e-4)[0]


def _lowest(function: Callable[[float], float], bounds: tuple[float, float], tolerance: float) -> tuple[float, float]:
    """Return where a function of one number is lowest between two bounds, and how low it is there."""
    best = minimize_scalar(function, bounds=bounds, method="bounded", options={"xatol": tolerance})
    return float(best.x), float(best.fun)


def _widened(cells: Floats) -> Floats:
    """Return cells [2, bar] that are at least as wide as a point is taken for."""
    lack = np.maximum(POINT - (cells[1] - cells[0]), 0) / 2
    return np.stack((np.maximum(cells[0] - lack, 1e-12), np.minimum(cells[1] + lack, 1 - 1e-12)))


# --- Correlation matrices ---


def shrunk(correlation: Floats, scores: Floats) -> Floats:
    """Return a correlation matrix shrunk towards none by Ledoit and Wolf 2004 (J. Multivariate Analysis 88).

    Args:
        correlation: [series, series].
        scores: of mean 0 and variance 1 [bar, series]; bars with NaN are left out.
    """
    x = scores[np.isfinite(scores).all(axis=1)]
    count, size = x.shape
    if count < 2:
        return correlation
    sample = x.T @ x / count
    level = np.trace(sample) / size
    away = float(((sample - level * np.eye(size)) ** 2).sum())
    error = float((np.sum((x**2).sum(axis=1) ** 2) / count - (sample**2).sum()) / count)
    part = 0.0 if away == 0 else float(np.clip(error / away, 0.0, 1.0))
    return np.asarray((1 - part) * correlation + part * np.eye(size))


def floored(matrix: Floats, least: float = LEAST_EIGENVALUE) -> Floats:
    """Return a symmetric matrix of unit diagonal with no eigenvalue below ``least``, its diagonal kept at 1."""
    size, out = len(matrix), np.asarray(matrix, dtype=np.float64)
    for _ in range(100):
        values, vectors = np.linalg.eigh(out)
        if values[0] >= least:
            return out
        raised: Floats = (vectors * np.maximum(values, 1.01 * least)) @ vectors.T
        unit = np.sqrt(np.diag(raised))
        out = raised / np.outer(unit, unit)
        np.fill_diagonal(out, 1.0)
    lack = (least - np.linalg.eigvalsh(out)[0]) / (1 - np.linalg.eigvalsh(out)[0])
    return np.asarray((1 - lack) * out + lack * np.eye(size))


def nearest_correlation(matrix: Floats) -> tuple[Floats, float]:
    """Return the nearest correlation matrix to a symmetric one, and the Frobenius distance to it.

    Alternating projections with Dykstra's correction: Higham 2002, "Computing the nearest correlation matrix - a
    problem from finance", IMA J. Numerical Analysis 22.
    """
    given = np.asarray(matrix, dtype=np.float64)
    out, correction = given.copy(), np.zeros_like(given)
    for _ in range(10_000):
        before, rest = out, out - correction
        values, vectors = np.linalg.eigh(rest)
        positive = (vectors * np.maximum(values, 0.0)) @ vectors.T
        correction = positive - rest
        out = positive.copy()
        np.fill_diagonal(out, 1.0)
        if np.linalg.norm(out - before) < SETTLED:
            break
    return out, float(np.linalg.norm(out - given))


def correlation_shift(matrix: Floats, shift: float) -> Floats:
    """Return a correlation matrix moved by a share of the way to 1 (above zero) or to 0 (below zero).

    A mixture of correlation matrices, hence one again.

    Args:
        matrix: [series, series].
        shift: -1 to 1; 0 leaves it as it is.
    """
    goal = np.ones_like(matrix) if shift > 0 else np.eye(len(matrix))
    return np.asarray((1 - abs(shift)) * matrix + abs(shift) * goal)


# --- Student's t ---


@dataclass(frozen=True)
class TailFit:
    """How heavy joint tails are."""

    degrees: float | None  # of freedom of the t copula; None where it is not worth more than a Gaussian one
    gain: float  # of its log likelihood over the Gaussian copula's


def fit_tails(uniforms: Floats, correlation: Floats) -> TailFit:
    """Return the degrees of freedom of a t copula by its likelihood at a given correlation.

    Demarta and McNeil 2005, "The t copula and related copulas".

    Args:
        uniforms: ranks in (0, 1) [bar, series]; bars with NaN are left out.
        correlation: positive definite [series, series].
    """
    inside = uniforms[np.isfinite(uniforms).all(axis=1)].clip(1e-9, 1 - 1e-9)
    factor = np.asarray(np.linalg.cholesky(correlation), dtype=np.float64)
    plain = _normal_likelihood(inside, factor)

    def lost(log_degrees: float) -> float:
        return plain - t_likelihood(inside, factor, float(np.exp(log_degrees)))

    best, loss = _lowest(lost, (float(np.log(DEGREES[0])), float(np.log(DEGREES[1]))), 0.01)
    return TailFit(float(np.exp(best)) if -loss >= WORTH else None, -loss)


def t_likelihood(uniforms: Floats, factor: Floats, degrees: float) -> float:
    """Return the log likelihood of the t copula.

    Args:
        uniforms: in (0, 1) [bar, series].
        factor: lower Cholesky factor of the correlation [series, series].
        degrees: of freedom.
    """
    size = uniforms.shape[1]
    x = stdtrit(degrees, uniforms)
    square = (np.linalg.solve(factor, x.T) ** 2).sum(axis=0)
    constant = gammaln((degrees + size) / 2) + (size - 1) * gammaln(degrees / 2) - size * gammaln((degrees + 1) / 2)
    each = constant - np.log(np.diag(factor)).sum() - (degrees + size) / 2 * np.log1p(square / degrees)
    return float((each + (degrees + 1) / 2 * np.log1p(x**2 / degrees).sum(axis=1)).sum())


def _normal_likelihood(uniforms: Floats, factor: Floats) -> float:
    z = ndtri(uniforms)
    square = (np.linalg.solve(factor, z.T) ** 2).sum(axis=0)
    return float((-np.log(np.diag(factor)).sum() - (square - (z**2).sum(axis=1)) / 2).sum())


def is_symmetric(matrix: NDArray[np.float64]) -> bool:
    """Return whether a square matrix is symmetric with a diagonal of 1, but for rounding."""
    return bool(np.allclose(matrix, matrix.T, atol=SAME) and np.allclose(np.diag(matrix), 1.0, atol=SAME))
