"""BookPaths: joint futures of several assets, in which path k of every asset is the same future."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.market.export import Kind, Scenarios, returns_of, scenarios_of
from scenario_gen.market.paths import PathSet, joined
from scenario_gen.stats.weights import Weights

Floats = NDArray[np.float64]


def all_stamps(of_each: Sequence[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    """Return all stamps that some asset has, in order."""
    first, *others = of_each
    for stamps in others:
        first = pd.DatetimeIndex(first.union(stamps))
    return first


@dataclass(frozen=True, eq=False)
class BookPaths:
    """Paths of several assets with the same ids in the same order; stamps may differ where markets close apart."""

    parts: Mapping[str, PathSet]  # asset to its paths

    def __post_init__(self) -> None:
        first, *others = self.parts.values()
        if any(not np.array_equal(part.path_ids, first.path_ids) for part in others):
            raise ValueError("the assets of a book have different paths")

    def __len__(self) -> int:
        return len(self.path_ids)

    @property
    def assets(self) -> tuple[str, ...]:
        """Names, in the spec's order."""
        return tuple(self.parts)

    @property
    def path_ids(self) -> NDArray[np.int64]:
        """Ids of the futures, int64 [path]."""
        return next(iter(self.parts.values())).path_ids

    @cached_property
    def timestamps(self) -> pd.DatetimeIndex:
        """All stamps at which some asset has a bar, in order [bar]."""
        return all_stamps([part.timestamps for part in self.parts.values()])

    @property
    def horizon(self) -> int:
        """Bars per path, of all stamps."""
        return len(self.timestamps)

    @cached_property
    def open_bars(self) -> NDArray[np.bool_]:
        """Whether an asset has a bar at a stamp, bool [bar, asset]."""
        return np.stack([self.timestamps.isin(part.timestamps) for part in self.parts.values()], axis=1)

    def on_grid(self, field: str) -> Floats:
        """Return one field of all assets, float64 [path, bar, asset]: a price of a closed bar is the close before.

        Volume of a closed bar is 0; a field that an asset lacks is NaN there.
        """
        out = np.full((len(self), self.horizon, len(self.parts)), np.nan)
        for place, part in enumerate(self.parts.values()):
            if field not in part.fields:
                continue
            at = self.timestamps.get_indexer(part.timestamps)
            out[:, at, place] = part.column(field)
            shut = np.flatnonzero(~self.open_bars[:, place])
            if not len(shut):
                continue
            if field == "volume":
                out[:, shut, place] = 0.0
                continue
            closes = np.concatenate((np.full((len(self), 1), part.anchor_close), part.close), axis=1)
            last = np.searchsorted(at, shut, side="left")  # bars of its own before the closed one
            out[:, shut, place] = closes[:, last]
        return out

    @property
    def weighting(self) -> Weights | None:
        """What each future counts, of sum 1; None where all count alike."""
        every = (part.weighting for part in self.parts.values())
        return next((weights for weights in every if weights is not None), None)

    @property
    def closes(self) -> Floats:
        """The last closes before the paths and then their own, float64 [path, bar + 1, asset]."""
        start = [part.anchor_close for part in self.parts.values()]
        return np.concatenate((np.broadcast_to(start, (len(self), 1, len(start))), self.on_grid("close")), axis=1)

    # --- Given to others ---

    def returns(self, kind: Kind = "simple") -> Floats:
        """Return returns from close to close, float64 [path, asset, bar]; 0 where a market is closed.

        Args:
            kind: ``simple`` or ``log``.
        """
        return np.ascontiguousarray(returns_of(self.closes, kind).transpose(0, 2, 1))

    def to_frame(self) -> pd.DataFrame:
        """Return all candles as rows: asset, path_id, bar, timestamp, the fields, and the weight where there are any.

        A bar's number is that of its stamp among those of all assets, so it is the same moment in each; a closed market
        has no row. ``check_assets`` and any reader of long tables takes it.
        """
        frames = []
        for name, part in self.parts.items():
            frame = part.to_pandas()
            bars = self.timestamps.get_indexer(part.timestamps).astype(np.int32)
            frame["bar"] = np.tile(bars, len(part))
            frame.insert(0, "asset", name)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def scenarios(self, horizon: int | None = None, kind: Kind = "simple") -> Scenarios:
        """Return the returns [scenario, asset] that portfolio optimisers take, with what each scenario counts.

        Args:
            horizon: every path is a scenario, by its return over so many bars; None: every bar of every path is.
            kind: ``simple``, as skfolio and Riskfolio-Lib take them, or ``log``.

        Raises:
            DataError: the paths are shorter than the horizon.
        """
        return scenarios_of(self.closes, self.assets, self.path_ids, horizon, self.weighting, kind)

    def select(self, ids: NDArray[np.int64]) -> BookPaths:
        """Return the futures with these ids, in the order of ids."""
        return BookPaths({name: part.select(ids) for name, part in self.parts.items()})

    @property
    def as_seen(self) -> BookPaths:
        """The futures as strategies see them: with errors of data where the terms of an asset have some."""
        parts = {name: part.as_seen for name, part in self.parts.items()}
        return self if all(parts[name] is part for name, part in self.parts.items()) else BookPaths(parts)

    def first(self, count: int) -> BookPaths:
        """Return the first futures."""
        return BookPaths({name: part.first(count) for name, part in self.parts.items()})

    @classmethod
    def common(cls, parts: Mapping[str, PathSet]) -> BookPaths:
        """Return the futures that are there in every asset: a path dropped in one is dropped in all."""
        ids = None
        for part in parts.values():
            ids = part.path_ids if ids is None else ids[np.isin(ids, part.path_ids)]
        assert ids is not None
        return cls(
            {name: part if np.array_equal(part.path_ids, ids) else part.select(ids) for name, part in parts.items()}
        )

    @classmethod
    def joined(cls, blocks: Sequence[BookPaths]) -> BookPaths:
        """Return the futures of several blocks as one book."""
        return cls({name: joined([block.parts[name] for block in blocks]) for name in blocks[0].parts})
