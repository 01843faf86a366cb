"""The course of a fact through real time, and where it may go next: what paths of one context are held to (mode C).

No year is like the mix of all years, so a perfect generator of one context differs from all of history. The question
here is another: could a stretch of real time look like the paths? Everything is measured in placements among all real
windows, 0 to 1, so facts of any kind are on one scale. Of each stretch of real time the mean placement of its windows
is a noisy look at where the fact stood; :mod:`scenario_gen.stats.wandering` says where it may stand in the stretch of
the paths. How widely the paths of one context spread is not judged: their spread has no counterpart in real time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenario_gen.realism.results import Comparison
from scenario_gen.realism.sample import OVERLAP, Measured, Reference
from scenario_gen.stats.contrast import MIN_CLUSTERS, Contrast
from scenario_gen.stats.estimate import Floats, t_quantile
from scenario_gen.stats.ranks import placements
from scenario_gen.stats.wandering import Outlook, outlook

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
