"""Paths that do not all stand for as much: what each counts, as many as how many alike they are, and errors of means.

Everything that is printed of weighted paths is a mean of something over them, or turns on one: a share is the mean of
hits, a quantile the place where a share comes to its level, a mean beyond a quantile the mean of what lies beyond it.
So one error, that of a mean, serves all. Knows numbers per path; knows neither paths nor what made their weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

FEWEST_ISLANDS = 8  # fewer show no standard error
GIVEN = 1e-4  # share of a variance: what is left where a number is as good as given
FEWEST_ALIKE = 10.0  # paths alike that a quantile must have behind it, and a share among its hits


@dataclass(frozen=True)
class Weighting:
    """How far paths that do not all stand for as much are fewer than they look: what run.json has of their weights."""

    paths: int  # how many there are
    alike: float  # as many as how many that all count alike and are no relatives
    largest: float  # share of everything that the heaviest of them stands for
    islands: int | None = None  # groups sampled independently, None where every path was
    roots: int | None = None  # first ancestors, None where none are shared

    @property
    def in_words(self) -> str:
        """Such as ``weighted: 8,192 paths, as many as 150 alike``."""
        return f"weighted: {self.paths:,} paths, as many as {self.alike:,.{0 if self.alike >= 10 else 1}f} alike"


@dataclass(frozen=True, eq=False)
class Weights:
    """What each path counts, for paths that do not all count alike."""

    shares: Floats  # float64 [path], at least 0, sum 1
    islands: Ints | None = None  # int64 [path]: paths of different islands were sampled independently; None: all were
    roots: Ints | None = None  # int64 [path]: paths of one root share their beginning; None where none are known to
    # float64 [path, number]: what the weights hold at given means, such as views; their means have no error
    held: Floats | None = None

    @classmethod
    def of(
        cls, weights: Floats | None, islands: Ints | None = None, roots: Ints | None = None, held: Floats | None = None
    ) -> Weights | None:
        """Return weights of sum 1, or None where every path counts as much and was sampled by itself.

        Args:
            weights: float64 [path], relative to each other; None where all are equal.
            islands: int64 [path].
            roots: int64 [path], numbered within each island where there are islands.
            held: float64 [path, number].

        Raises:
            ValueError: a weight is negative or no number, or all are zero.
        """
        if weights is None or not len(weights):
            return None
        total = float(weights.sum())
        if not (np.isfinite(weights).all() and (weights >= 0).all() and total > 0):
            raise ValueError("weights of paths are finite and at least 0, and one of them is above 0")
        if islands is None and roots is None and np.ptp(weights) == 0:
            return None
        if islands is not None and roots is not None:
            roots = np.unique(np.stack((islands, roots)), axis=1, return_inverse=True)[1].reshape(-1)
        return cls(weights / total, islands, roots, held)

    def __len__(self) -> int:
        return len(self.shares)

    def where(self, mask: Mask) -> Weights:
        """Return the weights among some paths, of sum 1 again; all zero where these count for nothing."""
        shares = self.shares[mask]
        total = float(shares.sum())
        return replace(
            self,
            shares=shares / total if total > 0 else shares,
            islands=None if self.islands is None else self.islands[mask],
            roots=None if self.roots is None else self.roots[mask],
            held=None if self.held is None else self.held[mask],
        )

    @property
    def effective(self) -> float:
        """As many paths that all count alike would know as much: see :meth:`alike`."""
        return self.alike(np.ones(len(self), dtype=bool))

    @property
    def summary(self) -> Weighting:
        """How many paths there are, and as many as how many alike."""
        return Weighting(
            paths=len(self),
            alike=self.effective,
            largest=float(self.shares.max()),
            islands=None if self.islands is None else len(np.unique(self.islands)),
            roots=None if self.roots is None else len(np.unique(self.roots)),
        )

    def alike(self, mask: Mask) -> float:
        """Return as many as how many paths that all count alike some of the paths are.

        (sum c)^2 / sum c^2 with c the weight of a path (Kish 1965, Survey Sampling, 11.7), or of all paths of one root
        where roots are known: paths that share their beginning are one story. 0 where they count for nothing.
        """
        shares = self.shares[mask]
        if self.roots is not None:
            shares = np.bincount(self.roots[mask], shares).astype(np.float64)
        squares = float(shares @ shares)
        return float(shares.sum()) ** 2 / squares if squares > 0 else 0.0

    def mean(self, values: Floats) -> float:
        """Return the weighted mean of float64 [path]."""
        return float(self.shares @ values)

    def error(self, values: Floats) -> tuple[float, float] | None:
        """Return the standard error of the weighted mean and its degrees of freedom; None with too few islands.

        With islands, the delete-one-island jackknife of the ratio of sums; islands less one degrees of freedom. Else
        the delta method: the root of sum w^2 (x - mean)^2, with n / (n - 1) for the effective number n, which is the
        textbook's error where all weights are equal. A number that the ``held`` ones explain all but wholly is given
        like them: its error is that of what they leave. For any other the error is as if nothing were held. That is
        more than there is: 95 % intervals then cover 97 to 100 % for a Gaussian that is moved by .5 to 2 deviations,
        where taking out the part that the held numbers explain (as for calibrated surveys) covers 66 to 95 %.
        """
        apart = values - self.mean(values)
        if self.held is not None and self.held.shape[1]:
            left = self._beside_held(apart, self.held)
            apart = left if self.shares @ left**2 <= GIVEN * (self.shares @ apart**2) else apart
        if self.islands is not None:
            return self._jackknife(apart, self.islands)
        effective = self.effective
        if effective <= 1.0 + 1e-9:
            return None
        spread = float(np.sum((self.shares * apart) ** 2))
        return math.sqrt(spread * effective / (effective - 1.0)), effective - 1.0

    def _jackknife(self, values: Floats, islands: Ints) -> tuple[float, float] | None:
        _, numbered = np.unique(islands, return_inverse=True)
        weight = np.bincount(numbered, self.shares)
        count = len(weight)
        if count < FEWEST_ISLANDS or float(weight.max()) >= 1.0:
            return None
        sums = np.bincount(numbered, self.shares * values)
        without = (sums.sum() - sums) / (1.0 - weight)
        return math.sqrt((count - 1) / count * float(np.sum((without - without.mean()) ** 2))), count - 1.0

    def _beside_held(self, apart: Floats, held: Floats) -> Floats:
        """Return what the held numbers do not explain of deviations from the mean, by weighted least squares."""
        centred = held - self.shares @ held
        root = np.sqrt(self.shares)
        slopes = np.linalg.lstsq(root[:, None] * centred, root * apart, rcond=None)[0]
        return np.asarray(apart - centred @ slopes)

    def quantile(self, values: Floats, level: float) -> float:
        """Return inf{x: F(x) >= level} of float64 [path], F the weighted distribution."""
        return float(self.quantiles(values[:, None], (level,))[0, 0])

    def quantiles(self, values: Floats, levels: tuple[float, ...]) -> Floats:
        """Return the quantiles of each column of float64 [path, column], float64 [level, column]."""
        order = np.argsort(values, axis=0, kind="stable")
        reached = np.cumsum(self.shares[order], axis=0)
        reached /= reached[-1]
        rows = np.stack([(reached >= level - 1e-12).argmax(axis=0) for level in levels])  # sums round
        return np.asarray(np.take_along_axis(np.take_along_axis(values, order, axis=0), rows, axis=0))

    def rows_at(self, values: Floats, ranks: tuple[float, ...]) -> list[int]:
        """Return the path at each rank of float64 [path]: 0 is the smallest and 1 the largest that count for any."""
        order = np.argsort(values, kind="stable")
        order = order[self.shares[order] > 0]
        reached = np.cumsum(self.shares[order])
        places = np.searchsorted(reached / reached[-1], np.asarray(ranks) - 1e-12)
        return [int(order[min(place, len(order) - 1)]) for place in places]
