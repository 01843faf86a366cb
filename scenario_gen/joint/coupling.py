"""Couplings: random numbers of several assets that hang together, while each asset's own stay uniform.

A generator draws a bar from uniforms; a coupling says which uniforms the same future has in every asset. Since each
asset's are independent over time and uniform, its path law is that of the generator alone, whatever the coupling.
Numbers of one future are a function of (seed, path id): an asset's block can be sampled without those of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.generators.base import Advance, Generator, ignore, sample_contexts, to_be_fitted
from scenario_gen.generators.draws import Draws
from scenario_gen.market.book import all_stamps
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet

Floats = NDArray[np.float64]
APART = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: seeds of assets lie far apart (Steele, Lea and Flood 2014)


class Coupling(Protocol):
    """How the uniforms of several assets hang together."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides the numbers beside seed and path ids: kind and parameters."""

    def uniforms(self, asset: int, draws: Draws, dates: NDArray[np.int64], per_bar: int) -> Floats:
        """Return an asset's uniforms in [0, 1), float64 [path, bar, per_bar].

        Args:
            asset: its place in the book.
            draws: seed and path ids of the book.
            dates: which dates of the book's grid its bars stand on, counted from 0 and rising [bar].
            per_bar: uniforms that a bar takes.
        """


@dataclass(frozen=True)
class Independent:
    """No coupling: every asset has numbers of its own."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Its kind."""
        return {"copula": "independent"}

    def uniforms(self, asset: int, draws: Draws, dates: NDArray[np.int64], per_bar: int) -> Floats:
        """Return what ``Draws`` under the asset's own seed gives: paths are those of the asset alone, to the bit."""
        return Draws(seed_of(draws.seed, asset), draws.path_ids).uniforms(len(dates), per_bar)

    def bar(
        self, numbers: Floats, before: NDArray[np.int64], per_bar: Sequence[int]
    ) -> tuple[list[Floats], NDArray[np.int64]]:
        """See :class:`scenario_gen.joint.walks.BarCoupling`."""
        return np.split(numbers, np.cumsum(per_bar)[:-1], axis=1), before

    def numbers(self, per_bar: Sequence[int]) -> tuple[int, int]:
        """See :class:`scenario_gen.joint.walks.BarCoupling`."""
        return sum(per_bar), 0


@dataclass(frozen=True)
class Dated:
    """All assets draw the same bars: for generators that draw dated rows of a common history, such as FHS."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Its kind."""
        return {"copula": "dated"}

    def uniforms(self, asset: int, draws: Draws, dates: NDArray[np.int64], per_bar: int) -> Floats:
        """Return the same numbers for every asset, by date."""
        return np.asarray(draws.uniforms(int(dates[-1]) + 1, per_bar)[:, dates])

    def bar(
        self, numbers: Floats, before: NDArray[np.int64], per_bar: Sequence[int]
    ) -> tuple[list[Floats], NDArray[np.int64]]:
        """See :class:`scenario_gen.joint.walks.BarCoupling`."""
        return [numbers[:, :wanted] for wanted in per_bar], before

    def numbers(self, per_bar: Sequence[int]) -> tuple[int, int]:
        """See :class:`scenario_gen.joint.walks.BarCoupling`."""
        return max(per_bar), 0


def seed_of(seed: int, asset: int) -> int:
    """Return the seed of an asset's own numbers: the book's for the first asset, far from it for the others."""
    return (seed + asset * APART) % 2**63


@dataclass(frozen=True, eq=False)
class AssetDraws(Draws):
    """The uniforms of one asset of a book, for a block of paths; what else is drawn by its seed is the asset's own."""

    book: int  # the seed that all assets share
    coupling: Coupling
    asset: int
    dates: NDArray[np.int64]  # of its bars on the book's grid [bar]

    @classmethod
    def of(cls, book: Draws, coupling: Coupling, asset: int, dates: NDArray[np.int64]) -> AssetDraws:
        """Return an asset's share of a book's draws."""
        return cls(seed_of(book.seed, asset), book.path_ids, book.seed, coupling, asset, dates)

    def uniforms(self, bars: int, per_bar: int) -> Floats:
        """Return its uniforms, float64 [path, bar, per_bar]."""
        return self.coupling.uniforms(self.asset, Draws(self.book, self.path_ids), self.dates[:bars], per_bar)


@dataclass(frozen=True, eq=False)
class OfBook:
    """A generator that samples one asset of a book."""

    inner: Generator
    coupling: Coupling
    asset: int  # its place in the book

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of the generator and that of the coupling."""
        return {**self.inner.identity, "joint": {**self.coupling.identity, "asset": self.asset}}

    @property
    def trained_until(self) -> str | None:
        """Last date of the training data of the generator."""
        return self.inner.trained_until


@dataclass(frozen=True, eq=False)
class Coupled(OfBook):
    """A generator whose paths are one asset's of a book."""

    timestamps: pd.DatetimeIndex  # of the bars to generate
    dates: NDArray[np.int64]  # where they stand on the book's grid [bar]

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return the asset's paths of the book, or of the generator alone where other bars are asked for.

        A calibration forecasts other bars; the law of each asset's paths is the same, coupled or not.
        """
        if not timestamps.equals(self.timestamps):
            return self.inner.sample(context, timestamps, draws, advance)
        mine = AssetDraws.of(draws, self.coupling, self.asset, self.dates)
        return self.inner.sample(context, timestamps, mine, advance)


def coupled_on(
    stamps: Mapping[str, pd.DatetimeIndex], generators: Mapping[str, Generator], coupling: Coupling
) -> dict[str, Coupled]:
    """Return the coupled generator of every asset, by name in the book's order.

    Args:
        stamps: asset to the stamps of its bars to generate; all of them make the book's grid.
        generators: asset to its generator.
        coupling: of their uniforms.
    """
    grid = all_stamps([*stamps.values()])
    return {
        asset: Coupled(generators[asset], coupling, place, own, np.asarray(grid.get_indexer(own), dtype=np.int64))
        for place, (asset, own) in enumerate(stamps.items())
    }


@dataclass(frozen=True, eq=False)
class CoupledForecasts(OfBook):
    """A generator whose forecasts of any bars are one asset's of a book: bar by bar, all assets on the same dates."""

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return the asset's paths of the book."""
        return self.inner.sample(context, timestamps, self._own(draws, len(timestamps)), advance)

    def sample_many(
        self, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
    ) -> list[PathSet]:
        """Return the asset's paths of the book from each context."""
        return sample_contexts(self.inner, contexts, timestamps, self._own(draws, len(timestamps[0])))

    def fitted_to(self, history: Candles) -> CoupledForecasts:
        """Return the same of the generator fitted to a history."""
        fitted = to_be_fitted(self.inner)
        return self if fitted is None else replace(self, inner=fitted.fitted_to(history))

    def _own(self, draws: Draws, bars: int) -> AssetDraws:
        return AssetDraws.of(draws, self.coupling, self.asset, np.arange(bars))
