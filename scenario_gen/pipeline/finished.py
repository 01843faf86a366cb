"""One finished block of paths on disk: written, read back, and held against what its place in the run must hold.

Knows what a block leaves; neither how it is made nor how blocks are summed up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.metrics import METRICS
from scenario_gen.backtest.reads import unchanged
from scenario_gen.candles.account import CandleCounts, merge_tallies
from scenario_gen.generators.draws import Block
from scenario_gen.market.paths import BELONGS, PathSet
from scenario_gen.pipeline.study import Prepared
from scenario_gen.store.folder import RunFolder

FAN_POINTS = 130
WEIGHTS = "weights"  # of the paths, in a block whose paths do not all stand for as much


@dataclass(frozen=True, eq=False)
class FinishedBlock:
    """Everything that one block of paths leaves to be summed up."""

    paths: PathSet  # the kept ones, whole
    tally: CandleCounts  # what was found on the candles of the raw ones
    provenance: dict[str, Any]  # what made them
    metrics: pd.DataFrame  # one row per strategy (its place in the list) and path
    unrepaired: pd.DataFrame  # total return and drawdown before repair, one row per strategy (its place), changed path
    volatility_ratio: NDArray[np.float64]  # [path]
    equity: NDArray[np.float32]  # [strategy, path, fan point]
    equity_then: NDArray[np.float32]  # [strategy, path] where the real continuation ends; no rows without one
    reads: dict[str, dict[str, str]]  # sums of what each strategy's code has read, by its use and the file's name

    def save(self, store: RunFolder, scenario: str, index: int) -> None:
        """Write the block to its folder.

        Raises:
            StoreError: the disk refuses.
        """
        arrays: dict[str, NDArray[Any]] = {
            "values": self.paths.values,
            "path_ids": self.paths.path_ids,
            **_of_each_path(self.paths),
            "volatility_ratio": self.volatility_ratio,
            "equity": self.equity,
            "equity_then": self.equity_then,
        }
        frames = {
            "metrics": self.metrics,
            "candles": self.tally.counts,
            "repaired": self.tally.facts,
            "unrepaired": self.unrepaired,
        }
        notes = {"account": self.tally.notes(), "provenance": self.provenance, "reads": self.reads}
        store.save_block(scenario, index, arrays, frames, notes)

    def fits(self, prepared: Prepared, strategies: Sequence[LoadedStrategy], block: Block) -> bool:
        """Return whether the block holds what this place in this run makes: every path, strategy and column of it.

        Raises:
            Exception: of nearly any kind, where somebody else made it.
        """
        raw, ids, places = block.start + np.arange(block.take), self.paths.path_ids, range(len(strategies))
        horizon, many = len(prepared.timestamps), len(strategies)
        numbers = self.metrics[[metric.name for metric in METRICS]].to_numpy(dtype=np.float64)
        account = merge_tallies([self.tally])
        return (
            np.array_equal(self.tally.counts.index, raw)
            and np.array_equal(ids, raw[~self.tally.counts["rejected"].to_numpy()])
            and account.paths == block.take
            and self.paths.values.dtype == np.float32
            and bool(np.isfinite(self.paths.values[..., :4]).all())
            and _are_weights(self.paths.weights)
            and self.volatility_ratio.shape == (len(ids),)
            and self.equity.shape == (many, len(ids), len(fan_bars(horizon)))
            and self.equity_then.shape == (many if len(prepared.later) else 0, len(ids))
            and np.array_equal(
                self.metrics[["strategy", "path_id"]], [(place, path) for place in places for path in ids]
            )
            and len(numbers) == many * len(ids)
            and {"strategy", "path_id", "total_return", "max_drawdown"} <= set(self.unrepaired)
        )

    def without_bars(self) -> FinishedBlock:
        """Return the block with the ids of its paths alone, small enough to hold those of every block."""
        return replace(self, paths=replace(self.paths, values=self.paths.values[:, :, :0].copy(), fields=()))

    @classmethod
    def load(cls, prepared: Prepared, store: RunFolder, index: int) -> FinishedBlock:
        """Read a block back.

        Raises:
            StoreError: it is missing or not whole.
        """
        arrays, frames, notes = store.load_block(prepared.name, index)
        return FinishedBlock(
            paths=_paths(prepared, arrays, notes["provenance"]["fields"]),
            tally=CandleCounts.from_notes(notes["account"], frames["candles"], frames["repaired"]),
            provenance=notes["provenance"],
            metrics=frames["metrics"],
            unrepaired=frames["unrepaired"],
            volatility_ratio=arrays["volatility_ratio"],
            equity=arrays["equity"],
            equity_then=arrays["equity_then"],
            reads=notes["reads"],
        )


def is_kept(prepared: Prepared, strategies: Sequence[LoadedStrategy], store: RunFolder, block: Block) -> bool:
    """Return whether the folder holds a block as this run would make it; any other is computed anew.

    Sums and address show that nothing of it was changed or swapped by accident; its contents are looked at too, since
    a sum can be made by anybody. A file that only some paths make a strategy open is in no run's identity: what the
    strategies read while the block was made must still be the same.
    """
    if not store.has_block(prepared.name, block.index):
        return False
    try:
        kept = FinishedBlock.load(prepared, store, block.index)
        reads = {str(use): dict(sums) for use, sums in kept.reads.items()}
        whole = kept.fits(prepared, strategies, block)
    except Exception:  # a block that somebody else made can raise nearly anything
        return False
    return whole and all(unchanged(strategy.file, reads.get(strategy.use, {})) for strategy in strategies)


def block_paths(prepared: Prepared, store: RunFolder, index: int) -> PathSet:
    """Return the kept paths of one block, of which nothing else is read."""
    stored = store.load_arrays(prepared.name, index, "values", "path_ids", WEIGHTS, *map(_own, BELONGS))
    return _paths(prepared, stored, store.load_notes(prepared.name, index)["provenance"]["fields"])


def _paths(prepared: Prepared, stored: dict[str, NDArray[Any]], fields: Sequence[str]) -> PathSet:
    values = stored["values"]
    return PathSet(
        values=values,
        fields=tuple(fields)[: values.shape[-1]],
        timestamps=prepared.timestamps,
        path_ids=stored["path_ids"],
        anchor_close=prepared.anchor_close,
        counts={name: stored[_own(name)] for name in BELONGS if _own(name) in stored},
        weights=stored.get(WEIGHTS),
    )


def _of_each_path(paths: PathSet) -> dict[str, NDArray[Any]]:
    """Return what is kept of each path beside its bars, where there is any: its weight, and whom it belongs to."""
    weights = {} if paths.weights is None else {WEIGHTS: paths.weights}
    return weights | {_own(name): paths.counts[name] for name in BELONGS if name in paths.counts}


def _own(name: str) -> str:
    return f"path_{name}"


def _are_weights(weights: NDArray[np.float64] | None) -> bool:
    return weights is None or (weights.dtype == np.float64 and bool((np.isfinite(weights) & (weights >= 0)).all()))


def fan_bars(horizon: int) -> NDArray[np.int64]:
    """Return the bars after the anchor that a fan chart shows: 0, the horizon, and at most 130 in all."""
    return np.unique(np.linspace(0, horizon, min(horizon + 1, FAN_POINTS)).round().astype(np.int64))
