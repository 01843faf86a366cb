"""Walks: the paths of any generator, bar by bar, so that a path can be branched where another has got to.

Owns the walk that all classical generators share, the walks of what is put around a generator, and which generator
cannot be walked. A classical generator gives the law of its next bar from one number per row: nothing, the variance,
or the bar that was drawn last. Knows nothing of events, scores or weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from scenario_gen.errors import DataError
from scenario_gen.generators.base import Generator, Walk, WalkingGenerator
from scenario_gen.generators.recalibrated import Recalibrated
from scenario_gen.generators.rescaled import LASTING, PERSISTENCE, DriftNeutral, Rescaled
from scenario_gen.market.candles import Candles, shift_bodies
from scenario_gen.market.paths import Floats

# From what decides the next bar [row] and uniforms [row, per_bar] to log steps from the close before [row, 4], volume
# [row] (None without), and what decides the bar after [row].
NextBar: TypeAlias = Callable[[Floats, Floats], "tuple[Floats, Floats | None, Floats]"]


class BarTail(Protocol):
    """How often a bar comes beyond a bound, and which uniforms take it there or keep it away."""

    def hazard(self, state: Floats, bound: float) -> Floats:
        """Return the chance that the next signed log return is at most a bound, from what decides the bar [row]."""

    def conditioned(self, state: Floats, uniforms: Floats, inside: NDArray[np.bool_], bound: float) -> Floats:
        """Return uniforms [row, per_bar] of bars that come there (inside) or do not, as likely among themselves."""


@dataclass(eq=False)
class ChainWalk:
    """Paths whose next bar is a law of one number per row; see :class:`scenario_gen.generators.base.Walk`."""

    next_bar: NextBar
    per_bar: int
    anchor: float
    values: NDArray[np.float32]  # [row, bar, field]
    level: Floats  # log of close over the anchor before each bar [row, bar + 1]
    state: Floats  # what decides each bar [row, bar + 1]
    # of the law of a bar where it is known: of returns times a sign, 1 for falls and -1 for rises
    tail: Callable[[float], BarTail] | None = None

    @classmethod
    def start(
        cls,
        context: Candles,
        bars: int,
        rows: int,
        per_bar: int,
        next_bar: NextBar,
        *,
        state: float = 0.0,
        tail: Callable[[float], BarTail] | None = None,
    ) -> ChainWalk:
        """Return so many paths of a context before their first bar.

        Args:
            context: whose last close is the anchor; paths have volume where it has.
            bars: that a path will have.
            rows: how many paths.
            per_bar: uniforms that a bar takes.
            next_bar: the law.
            state: what decides the first bar.
            tail: of the law.
        """
        fields = 5 if context.has_volume else 4
        return cls(
            next_bar,
            per_bar,
            float(context.close[-1]),
            np.zeros((rows, bars, fields), dtype=np.float32),
            np.zeros((rows, bars + 1)),
            np.full((rows, bars + 1), state),
            tail,
        )

    def step(self, bar: int, rows: NDArray[np.int64], uniforms: NDArray[np.float64]) -> None:
        """Sample one bar of some rows."""
        steps, volume, self.state[rows, bar + 1] = self.next_bar(self.state[rows, bar], uniforms)
        self.level[rows, bar + 1] = self.level[rows, bar] + steps[:, 3]
        self.values[rows, bar, :4] = self.anchor * np.exp(self.level[rows, bar, None] + steps)
        if volume is not None:
            self.values[rows, bar, 4] = volume

    def fork(self, sources: NDArray[np.int64], targets: NDArray[np.int64], upto: NDArray[np.int64]) -> None:
        """Copy whole rows: what lies beyond ``upto`` means nothing until it is sampled."""
        del upto
        for kept in (self.values, self.level, self.state):
            kept[targets] = kept[sources]


@dataclass(frozen=True, eq=False)
class DrawnTail:
    """The tail of a law that draws one of many bars, each as likely, by one uniform, and scales it."""

    returns: Floats  # log return of each bar to draw from, before it is scaled [bar]
    order: NDArray[np.int64]  # from the lowest to the highest [bar]

    @classmethod
    def of(cls, returns: Floats) -> DrawnTail:
        """Order the returns."""
        return cls(returns, np.argsort(returns, kind="stable"))

    def count(self, scale: Floats, bound: float) -> NDArray[np.int64]:
        """Return how many bars, scaled, come to a bound [row]."""
        return np.asarray(np.searchsorted(self.returns[self.order], bound / scale, side="right"), dtype=np.int64)

    def hazard(self, state: Floats, bound: float) -> Floats:
        """See :class:`BarTail`; the state is a variance."""
        return np.asarray(self.count(np.sqrt(state), bound) / len(self.order))

    def drawn(self, count: NDArray[np.int64], uniforms: Floats, inside: NDArray[np.bool_]) -> Floats:
        """Return uniforms that draw one of the ``count`` lowest bars, or of the others [row]."""
        lowest = np.where(inside, 0, count)
        many = np.where(inside, count, len(self.order) - count)
        place = lowest + np.minimum((uniforms * many).astype(np.int64), many - 1)
        return np.asarray((self.order[np.clip(place, 0, len(self.order) - 1)] + 0.5) / len(self.order))

    def conditioned(self, state: Floats, uniforms: Floats, inside: NDArray[np.bool_], bound: float) -> Floats:
        """See :class:`BarTail`."""
        return self.drawn(self.count(np.sqrt(state), bound), uniforms[:, 0], inside)[:, None]


def sample_walk(walk: Walk, uniforms: NDArray[np.float64]) -> NDArray[np.float32]:
    """Step all rows through all bars of uniforms [row, bar, per_bar]; return the values [row, bar, field]."""
    rows = np.arange(len(uniforms))
    for bar in range(uniforms.shape[1]):
        walk.step(bar, rows, uniforms[:, bar])
    return walk.values


# --- What is put around a generator, bar by bar ---


# From log steps [row, 4], the bar, the rows and their own uniforms [row, more] to changed steps and the log by which
# volume changes [row].
Change: TypeAlias = "Callable[[Floats, int, NDArray[np.int64], Floats], tuple[Floats, Floats]]"
TINY = 1e-12  # a uniform of 0 or 1 would be an infinite deviation


@dataclass(eq=False)
class ChangedWalk:
    """Another walk whose log steps are changed as they come."""

    inner: Walk
    change: Change
    more: int  # uniforms that a bar takes beside those of the inner walk
    memory: Floats  # what the change keeps of each row [row, bar + 1, ...]
    context: Candles
    values: NDArray[np.float32]  # [row, bar, field]
    level: Floats  # log of close over the anchor before each bar [row, bar + 1]

    @classmethod
    def around(cls, inner: Walk, context: Candles, change: Change, more: int, memory: Floats) -> ChangedWalk:
        """Return the walk before its first bar."""
        return cls(inner, change, more, memory, context, inner.values.copy(), np.zeros(memory.shape[:2]))

    @property
    def per_bar(self) -> int:
        """Those of the inner walk, then those of the change."""
        return self.inner.per_bar + self.more

    def step(self, bar: int, rows: NDArray[np.int64], uniforms: NDArray[np.float64]) -> None:
        """Sample one bar of some rows; bars without logs of their prices stay as the inner walk has them."""
        taken = self.inner.per_bar
        self.inner.step(bar, rows, uniforms[:, :taken])
        raw = self.inner.values[rows, bar].astype(np.float64)
        anchor = float(self.context.close[-1])
        before = np.full(len(rows), anchor) if bar == 0 else self.inner.values[rows, bar - 1, 3].astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # the candle rules tell what is no number
            steps, louder = self.change(np.log(raw[:, :4]) - np.log(before)[:, None], bar, rows, uniforms[:, taken:])
            prices = anchor * np.exp(self.level[rows, bar, None] + steps)
            gained = np.log(prices / raw[:, :4]).mean(axis=1)
            factors = {"volume": np.exp(louder), "amount": np.exp(louder + gained)}
            self.level[rows, bar + 1] = self.level[rows, bar] + steps[:, 3]
        sound = np.asarray(np.isfinite(prices).all(axis=1))
        self.values[rows, bar, :4] = np.where(sound[:, None], prices, raw[:, :4])
        for place, name in enumerate(self.context.fields[4 : raw.shape[1]], start=4):
            self.values[rows, bar, place] = np.where(sound, raw[:, place] * factors[name], raw[:, place])

    def fork(self, sources: NDArray[np.int64], targets: NDArray[np.int64], upto: NDArray[np.int64]) -> None:
        """Copy whole rows: what lies beyond ``upto`` means nothing until it is sampled."""
        self.inner.fork(sources, targets, upto)
        for kept in (self.values, self.level, self.memory):
            kept[targets] = kept[sources]


def start_walk(generator: Generator, context: Candles, timestamps: pd.DatetimeIndex, rows: int, seed: int) -> Walk:
    """Return so many paths of a generator before their first bar, with all that is put around it.

    Stepped with the uniforms of ``Draws`` they are its paths to the last digits; where noise is added to volatility
    (a recalibration), they have the same law.

    Args:
        generator: any.
        context: that seeds it.
        timestamps: of the bars to come.
        rows: how many paths.
        seed: of the pilot ensembles of what is put around it: of the run.

    Raises:
        DataError: the generator cannot be walked, or refuses the context.
    """
    if isinstance(generator, DriftNeutral):
        drift = generator.pilot(context, timestamps, seed).drift_against
        inner = start_walk(generator.inner, context, timestamps, rows, seed)
        return ChangedWalk.around(inner, context, _shifted(drift), 0, np.zeros((rows, len(timestamps) + 1)))
    if isinstance(generator, Recalibrated):
        return start_walk(generator.at(context), context, timestamps, rows, seed)
    if isinstance(generator, Rescaled):
        return _rescaled(generator, context, timestamps, rows, seed)
    if isinstance(generator, WalkingGenerator):
        return generator.start(context, timestamps, rows)
    kind = generator.identity.get("kind", type(generator).__name__)
    raise DataError(
        f"paths of {kind} cannot be branched bar by bar",
        expected="a generator with start, step and fork",
        fix="set sampler.method: rejection, or take another generator for this scenario",
    )


def _shifted(drift: Floats) -> Change:
    def change(steps: Floats, bar: int, rows: NDArray[np.int64], uniforms: Floats) -> tuple[Floats, Floats]:
        del rows, uniforms
        return shift_bodies(steps, drift[bar]), np.zeros(len(steps))

    return change


def _rescaled(generator: Rescaled, context: Candles, timestamps: pd.DatetimeIndex, rows: int, seed: int) -> ChangedWalk:
    scaling, bars = generator.scaling, len(timestamps)
    if scaling.looks_ahead:
        raise DataError(
            "the recalibration narrows the paths by the volatility of their last bars: a path cannot be branched "
            "before it has ended",
            expected="a generator whose bars depend on earlier ones alone",
            fix="set generator.recalibrate: false for this scenario, or sampler.method: rejection",
        )
    level = generator.level(context, timestamps, seed)
    drift = np.diff(np.log(level.growth), prepend=0.0)
    still, unit = np.zeros((1, bars)), np.ones((1, bars))
    location, louder = scaling.log_scales(level.volatility.tolist(), still, still)[0], np.zeros(bars)
    deviation, noise_of_volume = scaling.log_scales(level.volatility.tolist(), unit, still)[0] - location, louder
    if len(level.volume):
        louder = scaling.log_volume_scales(level.volume.tolist(), still)[0]
        noise_of_volume = scaling.log_volume_scales(level.volume.tolist(), unit)[0] - louder
    noisy = bool(deviation.any() or noise_of_volume.any())
    memory = np.zeros((rows, bars + 1, 2))  # the noise that lasts for the path, and the AR(1)

    def change(steps: Floats, bar: int, rows: NDArray[np.int64], uniforms: Floats) -> tuple[Floats, Floats]:
        noise = np.zeros(len(steps))
        if noisy:
            z = ndtri(np.clip(uniforms, TINY, 1 - TINY))
            old = memory[rows, bar]
            passing = z[:, 1] if bar == 0 else PERSISTENCE * old[:, 1] + np.sqrt(1 - PERSISTENCE**2) * z[:, 1]
            memory[rows, bar + 1] = np.stack((z[:, 0] if bar == 0 else old[:, 0], passing), axis=1)
            lasting, passing = memory[rows, bar + 1].T
            noise = LASTING**0.5 * lasting + (1 - LASTING) ** 0.5 * passing
        scaled = steps * np.exp(location[bar] + deviation[bar] * noise)[:, None]
        return shift_bodies(scaled, drift[bar]), louder[bar] + noise_of_volume[bar] * noise

    inner = start_walk(generator.inner, context, timestamps, rows, seed)
    return ChangedWalk.around(inner, context, change, 2 if noisy else 0, memory)
