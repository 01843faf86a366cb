"""What the other assets of a book do when one is shocked: their numbers at that date, given the asset's rank there.

The shock moves the asset's return of one bar, and so its rank among what the bar could have been. The others are drawn
from the coupling conditional on that rank, and each keeps what was its own: the same future without the shock and with
it are a pair. Before that date nothing changes; after it each generator goes on from the bars that it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from scenario_gen.errors import DataError
from scenario_gen.generators.draws import Draws
from scenario_gen.joint.copulas import LARGEST, SMALLEST, CopulaCoupling, RankBootstrap, digest, stream
from scenario_gen.joint.coupling import Coupled, Coupling, Dated, Independent, seed_of
from scenario_gen.market.candles import Candles

Floats = NDArray[np.float64]

PILOT_PATHS, PILOT_FIRST_ID = 1024, 2**62 + 16384  # beyond every path of a run, and beside the pilots of others
CHOSEN = (0, 0, 0, 4)  # counter of the streams that choose among dates: beside those of couplings
NEAR = 0.01  # share of the dates of history, or of pilot paths, that count as those of a rank
LEAST_NEAR = 5


@dataclass(frozen=True, eq=False)
class ShockedRank:
    """A bar of one asset that is shocked, among what it could have been: the same bar of pilot paths."""

    asset: int  # its place in the book
    date: int  # of the book's grid
    move: float  # of the shock, in logs
    uniforms: Floats  # first uniform of the bar [pilot]
    returns: Floats  # its log return, close to close, before the shock [pilot]

    @classmethod
    def of(cls, coupled: Coupled, context: Candles, seed: int, bar: int, move: float) -> ShockedRank:
        """Sample the bar.

        Args:
            coupled: the asset's generator in the book.
            context: that its paths continue.
            seed: of the book.
            bar: of the asset's own.
            move: of the shock, in logs.

        Raises:
            DataError: bars of which one number does not decide, such as those of a bootstrap in blocks.
        """
        seen = _Seen(coupled.coupling)
        draws = Draws.block(seed, PILOT_FIRST_ID, PILOT_PATHS)
        stamps, dates = coupled.timestamps[: bar + 1], coupled.dates[: bar + 1]
        closes = Coupled(coupled.inner, seen, coupled.asset, stamps, dates).sample(context, stamps, draws).closes
        if isinstance(coupled.coupling, Dated) and seen.per_bar > 1:
            raise DataError(
                "the other assets cannot respond to a shock on one: their bars come in blocks of dates that go on "
                "through it",
                expected="a generator that draws bar by bar, such as kronos, gbm, fhs, garch or gjr",
                fix="say others: as_they_are, or name another generator",
            )
        steps = np.log(closes[:, bar + 1] / closes[:, bar])
        first = coupled.coupling.uniforms(coupled.asset, draws, dates, 1)[:, -1, 0]
        return cls(coupled.asset, int(dates[-1]), move, first, steps)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Which bar, by how much, and among which."""
        return {"asset": self.asset, "date": self.date, "move": self.move, "among": digest(self.returns)}

    @property
    def beyond(self) -> float:
        """Share of pilot paths whose shocked bar is beyond every bar before the shock."""
        after = self.returns + self.move
        return float(np.mean((after < self.returns.min()) | (after > self.returns.max())))

    def after(self, uniforms: Floats) -> Floats:
        """Return the ranks of shocked bars from those before the shock, where a higher one is a higher return [path].

        Beyond all pilot paths a bar has the lowest rank, or the highest: one half over their number.
        """
        ordered = np.sort(self.returns)
        places = (np.arange(len(ordered)) + 0.5) / len(ordered)
        return np.asarray(np.interp(np.interp(uniforms, places, ordered) + self.move, ordered, places))

    def like(self, uniforms: Floats, choice: Floats) -> Floats:
        """Return the uniforms of bars that are like the shocked ones, where uniforms draw dates [path].

        Args:
            uniforms: of the bars before the shock.
            choice: uniforms that choose among the nearest of the pilot paths.
        """
        by_uniform, by_return = np.argsort(self.uniforms), np.argsort(self.returns)
        place = np.searchsorted(self.uniforms[by_uniform], uniforms).clip(0, len(by_uniform) - 1)
        wanted = self.returns[by_uniform[place]] + self.move
        at = np.searchsorted(self.returns[by_return], wanted)
        return np.asarray(self.uniforms[by_return[near(at, choice, len(by_return))]])


def near(places: NDArray[np.int64], choice: Floats, count: int) -> NDArray[np.int64]:
    """Return places near the given ones, of 0 to ``count`` exclusive: a hundredth of all, at least five."""
    width = min(count, max(LEAST_NEAR, round(NEAR * count)))
    first = np.clip(places - width // 2, 0, count - width)
    return np.asarray(first + (choice * width).astype(np.int64), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Responding:
    """A coupling in which one asset is shocked at some dates, and the others respond."""

    inner: Coupling
    shocks: tuple[ShockedRank, ...]  # of different dates

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of the coupling and of the shocks."""
        return {**self.inner.identity, "responds": [dict(shock.identity) for shock in self.shocks]}

    def uniforms(self, asset: int, draws: Draws, dates: NDArray[np.int64], per_bar: int) -> Floats:
        """Return the asset's uniforms, float64 [path, bar, per_bar]: other ones at dates when another is shocked."""
        out = self.inner.uniforms(asset, draws, dates, per_bar)
        for shock in self.shocks:
            if asset != shock.asset and len(bar := np.flatnonzero(dates == shock.date)):
                out[:, bar[0]] = self._given(shock, asset, draws, out[:, bar[0]])
        return out

    def _given(self, shock: ShockedRank, asset: int, draws: Draws, own: Floats) -> Floats:
        """Return an asset's uniforms [path, per_bar] of the date of a shock, given the rank of the asset it hits."""
        until = np.arange(shock.date + 1)
        before = self.inner.uniforms(shock.asset, draws, until, 1)[:, -1, 0]
        if isinstance(self.inner, CopulaCoupling):
            first = by_copula(self.inner, shock.asset, asset, (before, shock.after(before)), own[:, 0])
            return np.concatenate((first[:, None], own[:, 1:]), axis=1)
        choice = stream(draws, shock.date + 1, 1, CHOSEN)[:, -1, 0]
        if isinstance(self.inner, RankBootstrap):
            within = stream(Draws(seed_of(draws.seed, asset), draws.path_ids), shock.date + 1, own.shape[1], CHOSEN)
            return by_dates(self.inner, shock.asset, asset, shock.after(before), choice, own, within[:, -1])
        if isinstance(self.inner, Dated):
            return shock.like(before, choice)[:, None]
        raise TypeError(f"nothing is known of the response under {type(self.inner).__name__}")


def by_copula(coupling: CopulaCoupling, shocked: int, asset: int, ranks: tuple[Floats, Floats], own: Floats) -> Floats:
    """Return an asset's uniforms given another's, before and after a shock: what is its own stays [path].

    Of a Gaussian copula the normal score less rho times the other's stays; of Student's t that over the root of
    (nu + x^2) / (nu + 1), which has a t law with a degree of freedom more (Kotz and Nadarajah 2004, "Multivariate t
    distributions and their applications", 1.11).

    Args:
        coupling: Gaussian or t.
        shocked: the asset that is hit.
        asset: the one that responds.
        ranks: of the first, before and after.
        own: uniforms of the other before the shock.
    """
    rho, nu = float(coupling.correlation[0, shocked, asset]), coupling.degrees
    inside = [np.clip(each, SMALLEST, LARGEST) for each in (*ranks, own)]
    if nu is None:
        before, after, mine = (ndtri(each) for each in inside)
        return np.asarray(np.clip(ndtr(mine + rho * (after - before)), 0.0, LARGEST))
    before, after, mine = (stdtrit(nu, each) for each in inside)
    kept = (mine - rho * before) * np.sqrt((nu + after**2) / (nu + before**2))
    return np.asarray(np.clip(stdtr(nu, rho * after + kept), 0.0, LARGEST))


def by_dates(
    coupling: RankBootstrap, shocked: int, asset: int, after: Floats, choice: Floats, own: Floats, within: Floats
) -> Floats:
    """Return an asset's uniforms [path, per_bar] on dates of history on which another had about such a rank.

    Args:
        coupling: dated ranks.
        shocked: the asset that is hit.
        asset: the one that responds.
        after: rank of the first after the shock [path].
        choice: which of the near dates [path].
        own: the asset's uniforms before the shock; those that no other asset shares stay [path, per_bar].
        within: where in the cells of that date [path, per_bar].
    """
    lowest = coupling.cells[:, shocked, 0, 0]
    by_rank, count = np.argsort(lowest), len(lowest)
    rows = by_rank[near((after * count).astype(np.int64), choice, count)]
    levels = min(own.shape[1], coupling.cells.shape[2])
    lower, width = np.moveaxis(coupling.cells[rows, asset, :levels], -1, 0)
    drawn = np.minimum(lower + width * within[:, :levels], LARGEST)
    return np.concatenate((drawn, own[:, levels:]), axis=1)


def responding(coupling: Coupling, shocks: Sequence[ShockedRank]) -> Coupling:
    """Return a coupling under which other assets respond to shocks; as it is where nothing hangs together."""
    return coupling if not shocks or isinstance(coupling, Independent) else Responding(coupling, tuple(shocks))


def responds(coupling: Coupling, asset: int) -> bool:
    """Return whether an asset responds to a shock on another."""
    return isinstance(coupling, Responding) and any(shock.asset != asset for shock in coupling.shocks)


class _Seen:
    """A coupling that remembers how many numbers a bar took."""

    def __init__(self, inner: Coupling) -> None:
        self.inner = inner
        self.per_bar = 0

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of the coupling."""
        return self.inner.identity

    def uniforms(self, asset: int, draws: Draws, dates: NDArray[np.int64], per_bar: int) -> Floats:
        """Return what the coupling gives."""
        self.per_bar = per_bar
        return self.inner.uniforms(asset, draws, dates, per_bar)
