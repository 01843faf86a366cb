"""Several assets bar by bar: a row holds all assets of a future, so that one can be branched where it has got to.

Owns the walk of a book and the generator that it belongs to: coupled generators as one. Bars are those of the book's
grid, fields those of every asset one after the other. Knows nothing of events, scores or weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.generators.base import Advance, Walk, ignore
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.walks import start_walk
from scenario_gen.joint.coupling import Coupled, Coupling, seed_of
from scenario_gen.market.book import BookPaths, all_stamps
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@runtime_checkable
class BarCoupling(Coupling, Protocol):
    """A coupling that can be drawn bar by bar from independent numbers: of the law that its paths have."""

    def numbers(self, per_bar: Sequence[int]) -> tuple[int, int]:
        """Return how many uniforms a bar of all assets takes, and how many whole numbers it hands to the next."""

    def bar(self, numbers: Floats, before: Ints, per_bar: Sequence[int]) -> tuple[list[Floats], Ints]:
        """Return the uniforms of one bar of every asset [row, per_bar], and what the bar hands to the next [row, ...].

        Args:
            numbers: independent uniforms [row, number].
            before: what the bar before handed over; -1 before the first.
            per_bar: uniforms that a bar takes, by asset.
        """


@dataclass(frozen=True, eq=False)
class BookGenerator:
    """The coupled generators of a book as one, whose paths hold all assets; see ``generators.base.WalkingGenerator``.

    Its path sets have the bars of the book's grid and fields such as ``spx.close``; :meth:`book` takes them apart.
    """

    parts: Mapping[str, Coupled]  # asset to its generator, in the book's order
    contexts: Mapping[str, Candles]
    seed: int  # of the book

    @property
    def identity(self) -> Mapping[str, Any]:
        """Those of the assets."""
        return {"kind": "book", "assets": {name: dict(part.identity) for name, part in self.parts.items()}}

    @property
    def trained_until(self) -> str | None:
        """The latest of those of the assets."""
        dates = [part.trained_until for part in self.parts.values()]
        return max((date for date in dates if date is not None), default=None)

    @cached_property
    def timestamps(self) -> pd.DatetimeIndex:
        """Of the book's grid [bar]."""
        return all_stamps([part.timestamps for part in self.parts.values()])

    @property
    def widths(self) -> list[int]:
        """Fields of each asset's bars."""
        return [5 if context.has_volume else 4 for context in self.contexts.values()]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of all fields of a bar."""
        contexts = zip(self.contexts.items(), self.widths, strict=True)
        return tuple(f"{name}.{field}" for (name, context), width in contexts for field in context.fields[:width])

    @property
    def closes(self) -> Ints:
        """Places of the closes among all fields [asset]."""
        return np.cumsum([0, *self.widths[:-1]]) + 3

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return the joint futures of these draws: those of a run. Context and stamps are the book's own."""
        del context, timestamps
        sampled = {
            name: part.sample(self.contexts[name], part.timestamps, draws, advance) for name, part in self.parts.items()
        }
        book = BookPaths(sampled)
        columns = [
            book.on_grid(field)[..., place]
            for place, (context, width) in enumerate(zip(self.contexts.values(), self.widths, strict=True))
            for field in context.fields[:width]
        ]
        values = np.stack(columns, axis=-1).astype(np.float32)
        return PathSet(values, self.fields, self.timestamps, draws.path_ids, 1.0, {"generator": "book"})

    def start(self, context: Candles, timestamps: pd.DatetimeIndex, rows: int) -> BookWalk:
        """Return as many joint futures before their first bar.

        Raises:
            DataError: an asset's generator cannot be walked, or refuses its context.
        """
        del context, timestamps
        first = next(iter(self.parts.values()))
        if not isinstance(first.coupling, BarCoupling):
            raise TypeError(f"{first.coupling.identity} cannot be drawn bar by bar")
        walks = [
            start_walk(part.inner, self.contexts[name], part.timestamps, rows, seed_of(self.seed, part.asset))
            for name, part in self.parts.items()
        ]
        open_bars = np.stack([self.timestamps.isin(part.timestamps) for part in self.parts.values()], axis=1)
        anchors = np.array([float(context.close[-1]) for context in self.contexts.values()])
        per_bar = [walk.per_bar for walk in walks]
        _, kept = first.coupling.numbers(per_bar)
        memory = np.full((rows, len(open_bars) + 1, kept), -1, dtype=np.int64)
        return BookWalk(walks, first.coupling, open_bars, anchors, self.widths, memory)

    def book(self, paths: PathSet) -> BookPaths:
        """Return its paths, or those of its walks, asset by asset."""
        ends = np.cumsum(self.widths)
        parts = {}
        for (name, part), width, end in zip(self.parts.items(), self.widths, ends, strict=True):
            at = paths.timestamps.get_indexer(part.timestamps)
            context = self.contexts[name]
            parts[name] = PathSet(
                paths.values[:, at, end - width : end],
                context.fields[:width],
                part.timestamps,
                paths.path_ids,
                float(context.close[-1]),
                paths.provenance,
                paths.counts,
                paths.weights,
            )
        return BookPaths(parts)


@dataclass(eq=False)
class BookWalk:
    """Joint futures bar by bar; see :class:`scenario_gen.generators.base.Walk`."""

    walks: list[Walk]  # of each asset
    coupling: BarCoupling
    open_bars: NDArray[np.bool_]  # whether an asset has a bar [bar of the grid, asset]
    anchors: Floats  # last real closes [asset]
    widths: list[int]  # fields of each asset's bars
    memory: Ints  # what the coupling hands from bar to bar [row, bar + 1, ...]

    @property
    def per_bar(self) -> int:
        """Uniforms that a bar of all assets takes."""
        return self.coupling.numbers([walk.per_bar for walk in self.walks])[0]

    @property
    def values(self) -> NDArray[np.float32]:
        """The bars so far [row, bar, field of any asset]; a closed asset keeps its close and has no volume."""
        columns = []
        for place, (walk, width) in enumerate(zip(self.walks, self.widths, strict=True)):
            own = walk.values[..., :width]
            if self.open_bars[:, place].all():
                columns.append(own)
                continue
            before = np.cumsum(self.open_bars[:, place])  # own bars up to and with this one of the grid
            closes = np.concatenate((np.full((len(own), 1), self.anchors[place], np.float32), own[..., 3]), axis=1)
            still = np.zeros((len(own), len(before), width), dtype=np.float32)
            still[..., :4] = closes[:, before, None]
            still[:, self.open_bars[:, place]] = own
            columns.append(still)
        return np.concatenate(columns, axis=-1)

    def step(self, bar: int, rows: Ints, uniforms: Floats) -> None:
        """Sample one bar of the grid of some rows, in every asset that has it."""
        before = self.memory[rows, bar]
        drawn, self.memory[rows, bar + 1] = self.coupling.bar(uniforms, before, [walk.per_bar for walk in self.walks])
        for place, (walk, own) in enumerate(zip(self.walks, drawn, strict=True)):
            if self.open_bars[bar, place]:
                walk.step(int(self.open_bars[:bar, place].sum()), rows, own)

    def fork(self, sources: Ints, targets: Ints, upto: Ints) -> None:
        """Give each target row the first bars of its source row, in every asset."""
        counts = np.concatenate((np.zeros((1, len(self.walks)), np.int64), np.cumsum(self.open_bars, axis=0)))
        for place, walk in enumerate(self.walks):
            walk.fork(sources, targets, counts[upto, place])
        self.memory[targets] = self.memory[sources]
