"""The blocks of a scenario, or of a book, put together: numbers of every path go to columns on disk.

Whole paths pass through, and to Parquet if asked. Owns which numbers of a path are summed up, and not what is said of
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.book_losses import BookLosses
from scenario_gen.backtest.regimes import courses
from scenario_gen.backtest.result import COLUMNS, BeforeRepair, fan_bars
from scenario_gen.candles.account import CandleAccount, account_of
from scenario_gen.candles.check import none_left
from scenario_gen.market.paths import PathSet, joined
from scenario_gen.pipeline.blocks.block import FinishedBlock, block_indices
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.stats.weights import Weights
from scenario_gen.store.columns import Columns, MetricTable, NamedTable, Scratch, Under, metric_columns
from scenario_gen.store.folder import RunFolder

# Counts of paths; the others are of the context, once per scenario.
ADDED_UP = {"pinned_bars", "pinned_paths", "clipped_own_bars", "shocked_bad_bars"}
COURSE = "course:"  # what begins the names of the numbers by which regimes tell paths apart
RAW = "raw"  # what begins the names of figures before repair, after the strategy's place


@dataclass(frozen=True)
class Scratches:
    """Where numbers of paths go while they are summed up, by how long they are needed."""

    metrics: Scratch  # to the end of the run
    candles: Scratch  # until candles.parquet is written
    passing: Scratch  # until the scenario is summed up


@dataclass(frozen=True, eq=False)
class Merged:
    """All blocks of one scenario: numbers of every path are read column by column, where they are needed."""

    table: MetricTable  # every strategy's metrics, path_id and block of the kept paths
    columns: Columns  # of the kept paths, what is needed for the sums alone
    candles: NamedTable  # the counts of every candle rule, one row per raw path
    account: CandleAccount  # of the candles
    provenance: dict[str, Any]  # of the first block; counts are added up
    close: FanColumns  # the anchor first
    changed: tuple[int, ...]  # on how many paths each strategy was run before repair
    failed: tuple[int, ...]  # on how many of these it could not be
    weights: Weights | None = None  # of the kept paths; None where all stand for as much

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def path_ids(self) -> NDArray[np.int64]:
        """The ids of the kept paths [path]."""
        return self.table.path_ids

    @property
    def block_of(self) -> NDArray[np.int64]:
        """The block that each kept path lies in [path]."""
        return self.table.columns["block"]

    def metrics(self, place: int) -> Under:
        """Return the metrics of the strategy at this place by their names, [path] each."""
        return self.table.of(self.table.strategies[place])

    def returns(self, place: int) -> NDArray[np.float64]:
        """Return the total returns of the strategy at this place [path]."""
        return np.asarray(self.metrics(place)["total_return"], dtype=np.float64)

    def before(self, place: int) -> BeforeRepair:
        """Return what the strategy at this place made of the paths before repair."""
        return BeforeRepair(Under(self.columns, f"{RAW}{place}:"), self.changed[place], self.failed[place])


@dataclass(frozen=True, eq=False)
class FanColumns:
    """Numbers at the points of a fan, float64 [path] at each point."""

    columns: Columns
    name: str
    anchor: float | None = None  # the first point, where it is the same on all paths and not among the columns

    def __len__(self) -> int:
        return self.columns.count(self.name) + (self.anchor is not None)

    def __getitem__(self, point: int) -> NDArray[np.float64]:
        if self.anchor is not None and not point:
            return np.full(len(self.columns), self.anchor)
        return self.columns.column(self.name, point - (self.anchor is not None)).astype(np.float64)


def merge_blocks(prepared: Prepared, strategies: Sequence[str], store: RunFolder, scratches: Scratches) -> Merged:
    """Read a scenario's blocks one after the other; whole paths pass through and, if asked, to Parquet.

    Args:
        prepared: the scenario.
        strategies: their names, in the order of their places.
        store: where its blocks are.
        scratches: where the numbers of its paths go.

    Raises:
        CheckError: every path was rejected.
        StoreError: a block is not whole, or the disk refuses.
    """
    paths = prepared.scenario.paths
    parts = _Parts(prepared, len(strategies), scratches)
    writer = store.paths_writer(prepared.name) if paths.keep == "paths" else nullcontext()
    with writer as out:
        for index in block_indices(prepared, store):
            part = FinishedBlock.load(prepared, store, index)
            if out is not None:
                out.write(part.paths)
            parts.take(index, part)
    if parts.first is None or not len(parts.columns):
        raise none_left(paths.count, prepared.name)
    weights = joined(parts.weighed).weighting if parts.weighed else None
    shares = None if weights is None else weights.shares
    return Merged(
        table=MetricTable(prepared.name, tuple(strategies), parts.metrics, shares),
        columns=parts.columns,
        candles=NamedTable(prepared.name, parts.candles),
        account=account_of(parts.first.tally, parts.candles, {name: parts.facts[name] for name in parts.facts.names}),
        provenance=parts.first.provenance | parts.added,
        changed=tuple(parts.changed),
        failed=tuple(parts.failed),
        close=FanColumns(parts.columns, "close", prepared.anchor_close),
        weights=weights,
    )


class _Parts:
    """What was merged so far."""

    def __init__(self, prepared: Prepared, strategies: int, scratches: Scratches) -> None:
        self._strategies = range(strategies)
        self._fan = fan_bars(len(prepared.timestamps))[1:] - 1
        self.metrics, self.candles = Columns(scratches.metrics), Columns(scratches.candles)
        self.columns, self.facts = Columns(scratches.passing), Columns(scratches.passing)
        self.first: FinishedBlock | None = None
        self.added: dict[str, int] = {}
        self.changed, self.failed = [0] * strategies, [0] * strategies
        self.weighed: list[PathSet] = []

    def take(self, index: int, part: FinishedBlock) -> None:
        """Put the numbers of one block to the others."""
        if self.first is None:
            self.first = part.without_bars()
        for name in ADDED_UP & part.provenance.keys():
            self.added[name] = self.added.get(name, 0) + part.provenance[name]
        self.candles.append(_with_ids(part.tally.counts))
        self.facts.append(_with_ids(part.tally.facts))
        if not len(part.paths):
            return
        if part.paths.weights is not None:
            self.weighed.append(part.without_bars().paths)
        of_each = metric_columns(part.metrics, len(self._strategies))
        block = np.full(len(part.paths), index)
        self.metrics.append({"path_id": part.paths.path_ids, "block": block, **of_each})
        self.columns.append(
            {
                "close": part.paths.close[:, self._fan],
                "volatility_ratio": part.volatility_ratio,
                **{COURSE + key: numbers for key, numbers in courses(part.paths).items()},
                **{f"equity{place}": part.equity[place] for place in self._strategies},
                **{f"then{place}": then for place, then in enumerate(part.equity_then)},
                **self._before_repair(part, of_each),
            }
        )

    def _before_repair(
        self, part: FinishedBlock, repaired: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[np.float64]]:
        """Return figures of every strategy on the paths as they were before repair, changed or not."""
        raw = {}
        for place in self._strategies:
            own = part.unrepaired[part.unrepaired["strategy"] == place]
            rows = pd.Index(part.paths.path_ids).get_indexer(own["path_id"].to_numpy(dtype=np.int64))
            for name in COLUMNS:
                raw[f"{RAW}{place}:{name}"] = values = repaired[f"{place}:{name}"].astype(np.float64)
                values[rows] = own[name].to_numpy(dtype=np.float64)
            self.changed[place] += len(own)
            self.failed[place] += int(own["total_return"].isna().sum())
        return raw


def _with_ids(frame: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return the columns of a frame, its index path_id the first."""
    return {"path_id": frame.index.to_numpy(), **{str(name): frame[name].to_numpy() for name in frame}}


@dataclass(frozen=True, eq=False)
class MergedBook:
    """All blocks of one book."""

    table: MetricTable  # every strategy's metrics, path_id and block of the futures
    columns: Columns  # equity of every strategy at the fan points, and where the real continuation ends
    losses: list[BookLosses]  # of each strategy

    @property
    def path_ids(self) -> NDArray[np.int64]:
        """The ids of the futures [path]."""
        return self.table.path_ids

    def of(self, place: int) -> Under:
        """Return the metrics of the strategy at this place by their names, [path] each."""
        return self.table.of(self.table.strategies[place])
