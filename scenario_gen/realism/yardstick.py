"""Scores beside their yardstick: the same score for held-out real windows against other real windows.

Without it a score cannot be read: windows of two decades differ too. The reference's clusters are split at random
into two halves, 30 times; one half is what is compared with, the other stands in for a perfect generator, and as
many paths as it has windows are scored in its place. So both scores rest on the same numbers of points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from scenario_gen.realism.space import Floats, Ids

T = TypeVar("T")

SPLITS = 30
FEWEST_CLUSTERS = 10  # so that each half fills five folds


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of one random split, each in random order."""

    paths: Ids  # rows of paths that are scored
    held_out: Ids  # rows of real windows that are scored in their place
    rest: Ids  # rows of the real windows that both are compared with


@dataclass(frozen=True)
class Scored:
    """A score over all splits."""

    synthetic: Floats  # float64 [split]
    real: Floats  # float64 [split], of held-out real windows

    @property
    def value(self) -> float:
        """The paths' score: the median over the splits."""
        return float(np.median(self.synthetic))

    @property
    def real_median(self) -> float:
        """The held-out windows' score."""
        return float(np.median(self.real))

    def limit(self, *, low: bool = False) -> float:
        """Return what 95 % of the real splits stay below, or above where a low score is bad."""
        return float(np.quantile(self.real, 0.05 if low else 0.95))

    def beyond(self, *, low: bool = False) -> float:
        """Return the share of real splits that the paths' score is worse than."""
        return float(np.mean(self.real > self.value if low else self.real < self.value))


def random_splits(clusters: Ids, paths: int, rng: np.random.Generator, count: int = SPLITS) -> list[Split]:
    """Return random splits of the real clusters into halves, and random paths as many as the held-out half."""
    return [_split(clusters, paths, rng) for _ in range(count)]


def _split(clusters: Ids, paths: int, rng: np.random.Generator) -> Split:
    numbers = rng.permutation(np.unique(clusters))
    in_half = np.isin(clusters, numbers[: len(numbers) // 2])
    held_out, rest = (rng.permutation(np.flatnonzero(half)) for half in (in_half, ~in_half))
    size = min(len(held_out), paths)
    return Split(rng.permutation(paths)[:size], held_out[:size], rest)


class Keep(Protocol):
    """Gives what is kept under a name, or makes and keeps it: what real windows score against each other."""

    def __call__(self, name: str, make: Callable[[], T]) -> T:
        """Return it."""
        ...


def anew(name: str, make: Callable[[], T]) -> T:
    """Make it and keep nothing."""
    del name
    return make()


def measure(
    splits: Sequence[Split], names: Sequence[str], score: Callable[[bool, Ids, Ids], Sequence[float]], keep: Keep = anew
) -> dict[str, Scored]:
    """Compute scores of the paths and of the held-out windows in every split.

    Args:
        splits: random splits.
        names: what the scores are called.
        score: (are these real windows?, their rows, rows of the rest) to one number per name.
        keep: for ensembles of one size against one reference with one seed: real windows are scored once.
    """
    ours = np.array([score(False, split.paths, split.rest) for split in splits])  # [split, score]
    theirs = keep(names[0], lambda: np.array([score(True, split.held_out, split.rest) for split in splits]))
    return {name: Scored(ours[:, i], theirs[:, i]) for i, name in enumerate(names)}
