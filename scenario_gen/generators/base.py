"""The Generator protocol, blocks of its paths, and what every resampling generator shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.errors import DataError
from scenario_gen.finding import EDGE, Finding
from scenario_gen.generators.draws import Block, Draws, plan_blocks
from scenario_gen.market.candles import STILL, Candles, chain, log_steps
from scenario_gen.market.paths import Floats, PathSet

MIN_BARS = 32

Advance = Callable[[int], None]
Order: TypeAlias = Literal["return", "nested"]  # of uniforms: by return, or within bins of return by volume


def ignore(steps: int) -> None:
    """Hear of finished bars and do nothing."""
    del steps


class Generator(Protocol):
    """Something that samples alternative futures of a context."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What decides the paths besides context and draws: kind, model, weights, settings."""

    @property
    def trained_until(self) -> str | None:
        """Last date of the training data (ISO); "" where it is not recorded, None where there was no training."""

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return one path per path id of ``draws`` with one bar per timestamp, before any check.

        The same draws give the same paths for the same context, device and number of paths.
        """


@runtime_checkable
class FittedGenerator(Generator, Protocol):
    """A generator that is fitted to more bars than the context."""

    def fitted_to(self, history: Candles) -> Generator:
        """Return the generator fitted to a history that ends with the context.

        Raises:
            DataError: the history cannot be fitted.
        """


@runtime_checkable
class Wrapper(Generator, Protocol):
    """A generator that changes the paths of another."""

    @property
    def inner(self) -> Generator:
        """The other."""


@runtime_checkable
class AdaptingGenerator(FittedGenerator, Protocol):
    """A generator whose fit may come to nothing: what became of it is told."""

    @property
    def in_words(self) -> str:
        """What was fitted and kept; "" where it is still to be fitted."""

    def forecasts_in_words(self, rows: Sequence[int]) -> str:
        """Say how forecasts of a history's bars from these rows on are fitted."""


def adapting(generator: Generator) -> AdaptingGenerator | None:
    """Return the adapting generator that a generator is, or has inside it; else None."""
    while isinstance(generator, Wrapper):
        generator = generator.inner
    return generator if isinstance(generator, AdaptingGenerator) else None


def to_be_fitted(generator: Generator) -> FittedGenerator | None:
    """Return a generator that is fitted to more than a context, or that changes the paths of such a one; else None."""
    innermost = generator
    while isinstance(innermost, Wrapper):
        innermost = innermost.inner
    return generator if isinstance(generator, FittedGenerator) and isinstance(innermost, FittedGenerator) else None


@runtime_checkable
class OrderedGenerator(Generator, Protocol):
    """A generator whose uniforms can be put in order, so that assets can be coupled: a higher one is a higher return.

    What is put around a generator has both and hands them on: it is such a one where the innermost is. Generators that
    draw whole dated bars of history (bootstrap, FHS, GARCH, GJR) offer none of it: their assets draw the same dates.
    """

    def in_order(self, order: Order) -> OrderedGenerator:
        """Return the generator whose uniforms are in that order; the law of its paths is the same."""

    def cell_bounds(self, history: Candles) -> NDArray[np.float64]:
        """Return between which uniforms each real bar would have been drawn, given the bars before it.

        Args:
            history: real bars; each is held against the forecast from those before it.

        Returns:
            float64 [bar, uniform of a bar, (lower, upper)] in the generator's order; NaN where a bar has too few before
            it. Lower equals upper where the law is continuous; 0 and 1 of a uniform that decides nothing.
        """


def ordered(generator: Generator) -> OrderedGenerator:
    """Return a generator whose uniforms can be put in order, as such.

    Raises:
        TypeError: its uniforms have no order.
    """
    if not isinstance(generator, OrderedGenerator):
        raise TypeError(f"uniforms of {generator.identity.get('kind')} have no order")
    return generator


@runtime_checkable
class BatchGenerator(Generator, Protocol):
    """A generator that samples several contexts faster together than one after the other."""

    def sample_many(
        self, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
    ) -> list[PathSet]:
        """Return one path set per context; ``draws`` has the ids of the first context's paths, then the next's.

        Contexts and stamps have one length each. Equal to ``sample`` one by one but for the last digits.
        """


@runtime_checkable
class InUnits(Generator, Protocol):
    """A generator that reads a context in units of its own, which another context may lend it."""

    def in_units_of(self, context: Candles) -> Generator:
        """Return the generator that reads contexts of these stamps in the units of this one."""

    def unread(self, context: Candles) -> NDArray[np.bool_]:
        """Return of which bars of a context [bar] something lies beyond what the generator reads."""


class Walk(Protocol):
    """Paths that are sampled bar by bar, and of which one may be given the past of another."""

    @property
    def values(self) -> NDArray[np.float32]:
        """The bars so far [row, bar, field], fields as those of the generator's path sets; later bars mean nothing."""

    @property
    def per_bar(self) -> int:
        """Uniforms that a bar takes."""

    def step(self, bar: int, rows: NDArray[np.int64], uniforms: NDArray[np.float64]) -> None:
        """Sample bar ``bar`` (from 0) of some rows, whose earlier bars stand, from uniforms [row, per_bar]."""

    def fork(self, sources: NDArray[np.int64], targets: NDArray[np.int64], upto: NDArray[np.int64]) -> None:
        """Give each target row the first ``upto`` bars of its source row, and all that decides what comes after."""


@runtime_checkable
class WalkingGenerator(Generator, Protocol):
    """A generator whose paths can be sampled bar by bar."""

    def start(self, context: Candles, timestamps: pd.DatetimeIndex, rows: int) -> Walk:
        """Return as many paths before their first bar.

        Bars stepped with the uniforms of ``Draws`` are the paths of :meth:`sample`, to the last digits.
        """


@runtime_checkable
class BoundedGenerator(Generator, Protocol):
    """A generator whose bars are bounded: some events are beyond it, however long one samples."""

    def bar_bounds(self, context: Candles) -> tuple[float, float]:
        """Return the lowest and the highest log return that a bar of a path can have."""


def sample_contexts(
    generator: Generator, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
) -> list[PathSet]:
    """Sample every context with its share of the draws, together where the generator can."""
    if isinstance(generator, BatchGenerator):
        return generator.sample_many(contexts, timestamps, draws)
    shares = np.split(draws.path_ids, len(contexts))
    return [
        generator.sample(context, stamps, draws.share(ids))
        for context, stamps, ids in zip(contexts, timestamps, shares, strict=True)
    ]


def sample_block(
    generator: Generator,
    context: Candles,
    timestamps: pd.DatetimeIndex,
    seed: int,
    block: Block,
    advance: Advance = ignore,
) -> PathSet:
    """Return the raw paths of one block; a partial block is computed whole and cut."""
    return generator.sample(context, timestamps, Draws.block(seed, block.start, block.size), advance).first(block.take)


def sample_blocks(
    generator: Generator, context: Candles, timestamps: pd.DatetimeIndex, *, seed: int, count: int, size: int
) -> Iterator[PathSet]:
    """Yield ``count`` raw paths in blocks of ``size``: those that a run has under the same seed."""
    for block in plan_blocks(count, size):
        yield sample_block(generator, context, timestamps, seed, block)


def relative_bars(bars: Candles) -> tuple[Floats, Floats | None]:
    """Return open, high, low and close as logs from the previous close [T - 1, 4], and volume [T - 1]."""
    return bars.log_steps, bars.column("volume")[1:] if bars.has_volume else None


def to_path_set(
    context: Candles,
    timestamps: pd.DatetimeIndex,
    draws: Draws,
    relative: Floats,
    volume: Floats | None,
    provenance: dict[str, Any],
) -> PathSet:
    """Chain relative bars [path, bar, 4] onto the context; volume [path, bar] where the context has it."""
    anchor = float(context.close[-1])
    values = chain(relative, anchor)
    if volume is not None:
        values = np.concatenate((values, volume[..., None]), axis=-1)
    return PathSet(
        values=values.astype(np.float32),
        fields=context.fields[: values.shape[-1]],
        timestamps=timestamps,
        path_ids=draws.path_ids,
        anchor_close=anchor,
        provenance={**provenance, "seed": draws.seed},
    )


@dataclass(frozen=True, eq=False)
class RelativePaths:
    """Paths as logs from the close before, to be changed and chained anew."""

    paths: PathSet
    steps: Floats  # open, high, low and close [path, bar, 4]; 0 on paths without logs
    sound: NDArray[np.bool_]  # [path]: every price is a positive number; others the candle rules drop, whatever is done

    @classmethod
    def of(cls, paths: PathSet) -> RelativePaths:
        """Take logs of the prices, the first four fields."""
        prices = paths.values[..., :4].astype(np.float64)
        sound = (np.isfinite(prices) & (prices > 0)).all(axis=(1, 2))
        prices[~sound] = paths.anchor_close
        return cls(paths, log_steps(prices, paths.anchor_close), np.asarray(sound))

    def chained(self, steps: Floats, provenance: Mapping[str, Any], log_volume: Floats | None = None) -> PathSet:
        """Return the paths with other steps; those without logs as they are.

        Args:
            steps: [path, bar, 4].
            provenance: to be added.
            log_volume: by how much the log of volume changes [path, bar]; an amount follows it and the bar's prices.
        """
        values, paths = self.paths.values.astype(np.float64), self.paths
        with np.errstate(over="ignore", invalid="ignore"):  # the candle rules tell what is no number
            prices = chain(steps, paths.anchor_close)
            gained = np.log(prices / chain(self.steps, paths.anchor_close)).mean(axis=-1)
            change = np.zeros_like(gained) if log_volume is None else log_volume
            for name, factor in (("volume", np.exp(change)), ("amount", np.exp(change + gained))):
                if name in paths.fields:
                    values[..., paths.fields.index(name)] *= factor
            values[..., :4] = prices
            values[~self.sound] = paths.values[~self.sound]
            rounded = values.astype(np.float32)
        return replace(paths, values=rounded, provenance={**paths.provenance, **provenance})


def require_bars(context: Candles, fewest: int = MIN_BARS) -> None:
    """Refuse a context that is too short to resample, or whose close never moves.

    Raises:
        DataError: with the number of bars that there are and that there should be.
    """
    if len(context) < fewest:
        raise DataError(
            f"the context has {len(context)} bars",
            expected=f"at least {fewest} to resample",
            fix="lengthen bars.context, or move data.end to a later date",
        )


def require_movement(context: Candles) -> None:
    """Refuse a context whose close never moves: it has no unit of volatility.

    Raises:
        DataError: with what to do.
    """
    if context.volatility < STILL:
        raise DataError(
            f"the close of {context.name} moves by less than {STILL:g} per bar over the whole context",
            expected="a context with price changes: its volatility is the unit of every generated bar",
            fix="choose another data.end or a longer bars.context",
        )


PINNED_PATHS_WARN = 0.01  # the 99 % tail measures read the outer hundredth of the paths


def edge_finding(scenario: str, provenance: Mapping[str, Any], paths: int) -> list[Finding]:
    """Return whether paths reach the edge of what price levels can express; nothing for models without an edge.

    Args:
        scenario: its name.
        provenance: of its paths, with the counts of pinned bars and paths.
        paths: how many were generated.
    """
    if provenance.get("representation") != "levels":
        return []
    pinned = int(provenance["pinned_paths"])
    return [
        Finding(
            name=EDGE.key,
            label="WARN" if pinned > PINNED_PATHS_WARN * paths else "PASS",
            measured=f"{pinned} of {paths} paths have a price more than 4.5 standard deviations from the mean of the "
            f"context ({provenance['pinned_bars']} bars); the model can express 5",
            band=f"at most {PINNED_PATHS_WARN:.0%} of paths: the measures of the 99 % tail rest on as many",
            scenario=scenario,
        )
    ]
