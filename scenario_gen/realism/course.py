"""The course of a fact through real time, and where it may go next: what paths of one context are held to (mode C).

No year is like the mix of all years, so a perfect generator of one context differs from all of history. The question
here is another: could a stretch of real time look like the paths? Everything is measured in placements among all real
windows, 0 to 1, so facts of any kind are on one scale. Of each stretch of real time the mean placement of its windows
is a noisy look at where the fact stood; :func:`outlook` says where it may stand in the stretch of
the paths. How widely the paths of one context spread is not judged: their spread has no counterpart in real time.

Where a level that wanders slowly may stand next: levels of successive stretches of time are m_j = mu + x_j + noise: mu
unknown and flat, x a stationary first-order process with standard deviation s and correlation rho from one stretch to
the next, noise of a known variance. Given s and rho the next level is normal, with the mean and variance of universal
kriging (Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", section 2.7). s and rho are not known:
the answer is the mixture over a grid of both, weighted by the marginal likelihood, mu integrated out, and by a
half-normal prior of s. Knows numbers alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from scenario_gen.realism.results import Comparison
from scenario_gen.realism.sample import OVERLAP, Measured, Reference
from scenario_gen.stats.contrast import MIN_CLUSTERS, Contrast
from scenario_gen.stats.estimate import Floats, t_quantile
from scenario_gen.stats.ranks import placements

# On the scale of placements, 0 to 1: a year of another market than usual lies some .1 off. BENCHMARKS.md has the widths
# and forms of the prior that were tried.
PRIOR = 0.06
SPREADS = np.concatenate([[0.0], np.geomspace(0.01, 0.35, 14)])
CORRELATIONS = (0.0, 0.3, 0.5, 0.7, 0.85)  # from one stretch to the next
LEAST_NOISE = 1e-4


@dataclass(frozen=True, eq=False)
class Outlook:
    """What the next level may be: a mixture of normal laws, each array [point of the grid]."""

    weights: Floats  # of the points, which add up to 1
    means: Floats
    sds: Floats

    @property
    def mean(self) -> float:
        """The level to expect."""
        return float(self.weights @ self.means)

    @property
    def sd(self) -> float:
        """Standard deviation of the level around it."""
        return float(np.sqrt(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2)))

    def seen_with(self, noise: float) -> Outlook:
        """Return what a look at the level with noise of this variance may show."""
        return Outlook(self.weights, self.means, np.sqrt(self.sds**2 + noise))

    def p(self, level: float) -> float:
        """Return how likely a level at least this far from what is expected is, both sides together."""
        return float(min(1.0, self.weights @ (2 * ndtr(-np.abs(level - self.means) / self.sds))))


def outlook(levels: Floats, noise: float, ahead: float | None, count: int = 1) -> Outlook:
    """Return what the next level may be.

    Args:
        levels: float64 [stretch], in time order and at equal distances; NaN where nothing was seen.
        noise: variance of the noise of one of them.
        ahead: how many stretches after the last one the asked level lies; None: its time is not known, and the past
            tells of it only what the long-run level is.
        count: how many levels the asked one is the mean of: they are taken to follow each other a stretch apart.

    Raises:
        ValueError: fewer than two levels are known.
    """
    seen = np.flatnonzero(np.isfinite(levels))
    if len(seen) < 2:
        raise ValueError(f"{len(seen)} levels are known, expected at least two")
    apart = np.abs(seen[:, None] - seen[None])
    lag = np.zeros(0) if ahead is None else np.asarray(len(levels) - 1 - seen + ahead)
    own = np.abs(np.arange(count)[:, None] - np.arange(count)[None])
    points = [
        _given(
            levels[seen],
            max(noise, LEAST_NOISE),
            _powers(rho, apart),
            np.zeros(len(seen)) if ahead is None else _powers(rho, lag),
            float(_powers(rho, own).mean()),
        )
        for rho in CORRELATIONS
    ]
    likelihood, means, variances = (np.concatenate(part) for part in zip(*points, strict=True))
    log_weights = likelihood + np.tile(_log_prior(), len(CORRELATIONS))
    weights = np.exp(log_weights - log_weights.max())
    return Outlook(weights / weights.sum(), means, np.sqrt(variances))


def _given(
    levels: Floats, noise: float, correlation: Floats, reach: Floats, own: float
) -> tuple[Floats, Floats, Floats]:
    """Return log marginal likelihood, mean and variance of the next level at every spread, each [spread].

    Args:
        levels: float64 [stretch].
        noise: variance.
        correlation: float64 [stretch, stretch], of x.
        reach: float64 [stretch], correlation of x with the asked one.
        own: variance of the asked one, in units of that of x.
    """
    values, vectors = np.linalg.eigh(correlation)
    y, one, r = vectors.T @ levels, vectors.sum(axis=0), vectors.T @ reach
    variance = SPREADS**2  # [spread]
    each = variance[:, None] * np.maximum(values, 0.0) + noise  # [spread, stretch]: the levels' own variances
    information = (one**2 / each).sum(axis=1)
    level = (one * y / each).sum(axis=1) / information
    rest = y - level[:, None] * one
    likelihood = -0.5 * (np.log(each).sum(axis=1) + np.log(information) + (rest**2 / each).sum(axis=1))
    mean = level + variance * (r * rest / each).sum(axis=1)
    missing = 1 - variance * (r * one / each).sum(axis=1)
    told = variance**2 * (r**2 / each).sum(axis=1)
    return likelihood, mean, np.maximum(variance * own - told, 0.0) + missing**2 / information


def _powers(rho: float, distance: NDArray[Any]) -> Floats:
    """Return rho to the power of each distance; with rho = 0 that is 1 at a distance of 0 alone."""
    return np.asarray(np.power(rho, distance, dtype=np.float64))


def _log_prior() -> Floats:
    """Return the log prior weight of each spread: a half-normal density times the width of its cell."""
    steps = np.gradient(SPREADS[1:])
    width = np.concatenate([[SPREADS[1]], steps])
    return np.asarray(np.log(width) - 0.5 * (SPREADS / PRIOR) ** 2)


# --- What paths of one context are held to (mode C): the course of a fact, and where it may go next ---


ENOUGH_CONTEXTS = 20  # from so many on, paths are held to the mix of all years (mode B)
FURTHEST = OVERLAP + 1  # strides: windows that start OVERLAP of them apart share no bar


@dataclass(frozen=True)
class Next:
    """Where the paths' stretch lies after the real ones."""

    # Stretches from the middle of the last real one to the middle of the paths; None: their times are not told.
    ahead: float | None
    contexts: int = 1  # that the paths continue

    @classmethod
    def after(cls, cut: Reference, contexts: int) -> Next | None:
        """Return where paths of so many contexts lie; None where all of history is what they are held to (mode B).

        Paths of one context follow the reference; the times of several are not told. 0: the contexts are not known.
        """
        if contexts == 0 or contexts >= ENOUGH_CONTEXTS:
            return None
        if contexts > 1:
            return cls(None, contexts)
        stretch = cut.bars_of_time / (int(cut.clusters.max()) + 1)
        return cls(0.5 + 0.5 * cut.bars.length / stretch)


@dataclass(frozen=True, eq=False)
class Course:
    """Where one fact stood in each stretch of real time, in placements among all real windows."""

    values: Floats  # float64 [window], defined values, in the order of size
    levels: Floats  # float64 [stretch], mean placement; NaN where no window has a value
    noise: float  # variance of a level around where the fact stood

    @classmethod
    def of(cls, fact: str, real: Measured) -> Course | None:
        """Measure the course of a fact; None where fewer than 4 stretches have a value.

        Args:
            fact: its id.
            real: real windows, those of one stretch and history next to each other and in the order of time.
        """
        values = real.values(fact)
        known = np.isfinite(values)
        if len(np.unique(real.clusters[known])) < MIN_CLUSTERS:
            return None
        placed = np.full(len(values), np.nan)
        placed[known] = placements(values[known], values[known])
        number = int(real.clusters.max()) + 1
        counts = np.bincount(real.clusters[known], minlength=number)
        sums = np.bincount(real.clusters[known], placed[known], minlength=number)
        levels = np.divide(sums, counts, out=np.full(number, np.nan), where=counts > 0)
        return cls(np.sort(values[known]), levels, noise_of_levels(placed, real.clusters))

    def next(self, to_come: Next) -> Outlook:
        """Return where the fact may stand in the stretch of the paths."""
        return outlook(self.levels, self.noise, to_come.ahead, to_come.contexts)

    def compare(self, paths: Floats, to_come: Outlook) -> Comparison | None:
        """Compare the mean placement of paths with where the fact may stand; None where no path has a value.

        Args:
            paths: float64 [path], the fact on each; NaN where it has no value.
            to_come: of :meth:`next`.
        """
        defined = paths[np.isfinite(paths)]
        if not len(defined):
            return None
        placed = placements(defined, self.values)
        level, seen = float(placed.mean()), to_come.seen_with(float(placed.var()) / len(placed))
        off, df = level - seen.mean, float(np.isfinite(self.levels).sum() - 1)
        half = t_quantile(df) * seen.sd
        where = Contrast(off, seen.sd, df, seen.p(level), max(off - half, -0.5), min(off + half, 0.5))
        return Comparison(where, None, where.p, abs(off))


def noise_of_levels(placed: Floats, stretches: np.ndarray) -> float:
    """Return the variance of the mean placement of a stretch that comes from the few windows in it.

    Windows overlap, so it is that of a mean of correlated values. Variances and covariances come from half the mean
    squared difference of windows so many strides apart in one stretch and history, to which a level that wanders
    from stretch to stretch adds nothing; windows that share no bar count as independent. Stretches of several histories
    at one time count as one: what happens at one time hangs together.

    Args:
        placed: float64 [window], NaN where a window has no value.
        stretches: int64 [window]; a change marks the end of a run of windows.
    """
    runs = np.concatenate([[0], np.cumsum(np.diff(stretches) != 0)])
    squares = [_squares(placed, runs, lag) for lag in range(1, FURTHEST + 1)]
    furthest = [each for each in squares if len(each)][-2:]
    if not furthest:
        return float(np.nanvar(placed))  # a single window in each stretch
    variance = float(np.concatenate(furthest).mean()) / 2
    size = float(np.isfinite(placed).sum()) / (int(runs[-1]) + 1)
    total = size * variance
    for lag in range(1, OVERLAP):
        if len(squares[lag - 1]) and size > lag:
            total += 2 * (size - lag) * max(variance - float(squares[lag - 1].mean()) / 2, 0.0)
    return total / size**2


def _squares(placed: Floats, runs: np.ndarray, lag: int) -> Floats:
    """Return the squared differences of windows ``lag`` apart in one run, [pair]."""
    differences = placed[lag:] - placed[:-lag]
    inside = (runs[lag:] == runs[:-lag]) & np.isfinite(differences)
    return np.asarray(differences[inside] ** 2)
