"""One block of paths from uniforms to metrics: the same here, in another process, or after a resume.

A finished block is on disk: written, read back, and held against what its place in the run must hold. Knows what a
block leaves, and the fan of which it keeps the bars; not how blocks are summed up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, takewhile
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.account import AT, ENDING, ENDINGS
from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.loader import LoadedStrategy, changed_meanwhile
from scenario_gen.backtest.metrics import METRICS
from scenario_gen.backtest.reads import unchanged
from scenario_gen.backtest.result import BEFORE, fan_bars, results_before
from scenario_gen.candles.account import CandleCounts, merge_tallies
from scenario_gen.candles.check import MOST_MEASURED, CheckedPaths, share_of
from scenario_gen.generators.base import Advance, sample_block as sampled_block
from scenario_gen.generators.draws import Block, plan_blocks
from scenario_gen.market.candles import volatility
from scenario_gen.market.paths import BELONGS, PathSet, joined
from scenario_gen.pipeline.prepared import Prepared
from scenario_gen.store.folder import RunFolder
from scenario_gen.stress.rare import ISLAND_ARRAYS, IslandRecord
from scenario_gen.stress.shocked import terms_of

HELD = "held"  # numbers of the paths whose weighted means are given
NO_METRICS = pd.DataFrame({name: [] for name in ("strategy", "path_id", *(metric.name for metric in METRICS))}).astype(
    {"strategy": np.int64, "path_id": np.int64}
)
FRAMES = ("metrics", "candles", "repaired", "unrepaired", "unshocked")  # that a block leaves
WEIGHTS = "weights"  # of the paths, in a block whose paths do not all stand for as much


@dataclass(frozen=True, eq=False)
class FinishedBlock:
    """Everything that one block of paths leaves to be summed up."""

    paths: PathSet  # the kept ones, whole
    tally: CandleCounts  # what was found on the candles of the raw ones
    provenance: dict[str, Any]  # what made them
    metrics: pd.DataFrame  # one row per strategy (its place in the list) and path
    unrepaired: pd.DataFrame  # total return and drawdown before repair, one row per strategy (its place), changed path
    unshocked: pd.DataFrame  # the same of every path before shocks, where no other scenario has these paths
    volatility_ratio: NDArray[np.float64]  # [path]
    equity: NDArray[np.float32]  # [strategy, path, fan point]
    equity_then: NDArray[np.float32]  # [strategy, path] where the real continuation ends; no rows without one
    reads: dict[str, dict[str, str]]  # sums of what each strategy's code has read, by its use and the file's name
    island: IslandRecord | None = None  # that the raw paths are of, where the scenario's event is sampled on islands

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
        tables = (self.metrics, self.tally.counts, self.tally.facts, self.unrepaired, self.unshocked)
        frames = dict(zip(FRAMES, tables, strict=True))
        notes = {"account": self.tally.notes(), "provenance": self.provenance, "reads": self.reads}
        if self.island is not None:
            arrays |= self.island.arrays()
            notes["island"] = self.island.notes()
        store.save_block(scenario, index, arrays, frames, notes)

    def fits(self, prepared: Prepared, strategies: Sequence[LoadedStrategy], block: Block) -> bool:
        """Return whether the block holds what this place in this run makes: every path, strategy and column of it.

        Raises:
            Exception: of nearly any kind, where somebody else made it.
        """
        raw = block.start + np.arange(block.take) if self.island is None else self.island.ids
        ids, places = self.paths.path_ids, range(len(strategies))
        horizon, many = len(prepared.timestamps), len(strategies)
        numbers = self.metrics[[metric.name for metric in METRICS]].to_numpy(dtype=np.float64)
        account = merge_tallies([self.tally])
        return (
            np.array_equal(self.tally.counts.index, raw)
            and np.array_equal(ids, raw[~self.tally.counts["rejected"].to_numpy()])
            and account.paths == len(raw)
            and (self.island is not None) == prepared.split
            and self.paths.values.dtype == np.float32
            and bool(np.isfinite(self.paths.values[..., :4]).all())
            and _are_weights(self.paths.weights)
            and self.volatility_ratio.shape == (len(ids),)
            and self.equity.shape == (many, len(ids), len(fan_bars(horizon)))
            and self.equity_then.shape == (many if len(prepared.later) else 0, len(ids))
            and np.array_equal(  # no rows where a book trades the paths
                self.metrics[["strategy", "path_id"]],
                np.array([(place, path) for place in places for path in ids], dtype=np.int64).reshape(-1, 2),
            )
            and len(numbers) == many * len(ids)
            and (not many or prepared.account is None or bool(self.metrics[ENDING].isin(ENDINGS).all()))
            and (not many or prepared.account is None or bool(self.metrics[AT].between(0, horizon - 1).all()))
            and all({*BEFORE} <= set(frame) for frame in (self.unrepaired, self.unshocked))
            and len(self.unshocked) in (0, many * len(ids))
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
            unshocked=frames["unshocked"],
            volatility_ratio=arrays["volatility_ratio"],
            equity=arrays["equity"],
            equity_then=arrays["equity_then"],
            reads=notes["reads"],
            island=IslandRecord.stored(arrays, notes["island"]) if "island" in notes else None,
        )


def island_records(prepared: Prepared, store: RunFolder) -> list[IslandRecord]:
    """Return the islands of a scenario whose event is sampled on them.

    Raises:
        StoreError: one is not whole.
    """
    return [island_record(prepared, store, index) for index in block_indices(prepared, store)]


def island_record(prepared: Prepared, store: RunFolder, index: int) -> IslandRecord:
    """Return one island of a scenario; as :func:`island_records`."""
    arrays = store.load_arrays(prepared.name, index, *ISLAND_ARRAYS)
    return IslandRecord.stored(arrays, store.load_notes(prepared.name, index)["island"])


def block_indices(prepared: Prepared, store: RunFolder) -> list[int]:
    """Return the blocks of a scenario: as many as its paths need, or the islands or copies that there are."""
    if not prepared.split and prepared.scenario.reweight is None:
        plan = prepared.scenario.paths
        return [block.index for block in plan_blocks(plan.count, plan.block)]
    return list(takewhile(lambda index: store.has_block(prepared.name, index), count()))


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
    stored = store.load_arrays(prepared.name, index, "values", "path_ids", WEIGHTS, HELD, *map(_own, BELONGS))
    fields = store.load_notes(prepared.name, index)["provenance"]["fields"]
    return with_terms(prepared, _paths(prepared, stored, fields))


def with_terms(prepared: Prepared, paths: PathSet) -> PathSet:
    """Return paths of a scenario with the terms on which its shocks let them be traded."""
    shocks = prepared.scenario.shocks
    return replace(paths, terms=terms_of(paths, shocks, prepared.setting)) if shocks else paths


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
        held=stored.get(HELD),
    )


def _of_each_path(paths: PathSet) -> dict[str, NDArray[Any]]:
    """Return what is kept of each path beside its bars, where there is any: its weight, and whom it belongs to."""
    numbers = {name: each for name, each in ((WEIGHTS, paths.weights), (HELD, paths.held)) if each is not None}
    return numbers | {_own(name): paths.counts[name] for name in BELONGS if name in paths.counts}


def _own(name: str) -> str:
    return f"path_{name}"


def _are_weights(weights: NDArray[np.float64] | None) -> bool:
    return weights is None or (weights.dtype == np.float64 and bool((np.isfinite(weights) & (weights >= 0)).all()))


# --- One block of paths, from uniforms to metrics ---


@dataclass(frozen=True)
class Drawn:
    """The paths of one block before any strategy has seen them."""

    paths: PathSet  # the kept ones, as they are traded
    tally: CandleCounts  # what was found on the candles of the raw ones
    provenance: dict[str, Any]  # what made them
    checked: CheckedPaths | None = None  # before and after repair; None where another scenario tells of that
    unshocked: PathSet | None = None  # the same paths before shocks, where no other scenario of the run has them
    island: IslandRecord | None = None  # that the paths are of, where they are


Draw: TypeAlias = Callable[[Prepared, Block, Advance], Drawn]


def draw_block(prepared: Prepared, block: Block, sampled: Advance) -> Drawn:
    """Sample one block and check its candles."""
    raw = sample_block(prepared, block, sampled)
    return checked_candles(prepared, raw, share_of(MOST_MEASURED, block.take, prepared.scenario.paths.count))


def checked_candles(prepared: Prepared, raw: PathSet, measured: int, island: IslandRecord | None = None) -> Drawn:
    """Check the candles of raw paths.

    Args:
        prepared: the scenario.
        raw: as sampled.
        measured: how many paths the effect of repairs is measured on.
        island: that the paths are of, where they are.

    Raises:
        CheckError: candles break a rule and the spec says ``fail``.
    """
    checked = prepared.rules.check(raw, prepared.scenario.checks.on_invalid, measured=measured)
    made = {**raw.provenance, "fields": list(raw.fields)}
    return Drawn(checked.paths, checked.tally, made, checked, island=island)


def reads_of(strategies: Sequence[LoadedStrategy]) -> dict[str, dict[str, str]]:
    """Return the sums of what the strategies have read so far, by their uses.

    Raises:
        StrategyError: a file was changed after a strategy had read it: one block would be of two strategies.
    """
    for strategy in strategies:
        if changed := strategy.reads.changed():
            raise changed_meanwhile(strategy.name, changed[0])
    return {one.use: one.reads.identity() for one in strategies}


def run_block(prepared: Prepared, drawn: Drawn, strategies: Sequence[LoadedStrategy], tested: Advance) -> FinishedBlock:
    """Backtest one block."""
    kept = drawn.paths
    fan = fan_bars(kept.horizon)
    then = len(prepared.later)
    rows, equity, equity_then = [], [], []
    for place, strategy in enumerate(strategies):
        result = trade(strategy, prepared, kept)
        equity.append(result.equity[:, fan])
        equity_then += [result.equity[:, then]] if then else []
        metrics = result.metrics if result.endings is None else result.metrics.join(result.endings)
        rows.append(metrics.assign(strategy=place).reset_index())
        tested(1)
    unrepaired = None if drawn.checked is None else _unrepaired(prepared, strategies, drawn.checked)
    return FinishedBlock(
        paths=kept,
        tally=drawn.tally,
        provenance=drawn.provenance,
        metrics=pd.concat(rows, ignore_index=True) if rows else NO_METRICS,
        unrepaired=results_before(prepared, strategies, None) if unrepaired is None else unrepaired,
        unshocked=results_before(prepared, strategies, drawn.unshocked),
        volatility_ratio=volatility_ratio(kept, prepared),
        equity=np.stack(equity) if rows else np.empty((0, len(kept), len(fan)), dtype=np.float32),
        equity_then=np.stack(equity_then) if equity_then else np.empty((0, len(kept)), dtype=np.float32),
        reads=reads_of(strategies),
        island=drawn.island,
    )


def _unrepaired(prepared: Prepared, strategies: Sequence[LoadedStrategy], checked: CheckedPaths) -> pd.DataFrame:
    """Return total return and drawdown of every strategy on each changed path before repair.

    NaN where a strategy cannot be run on raw candles: a high below the close may be more than it stands.
    """
    return results_before(prepared, strategies, checked.raw.select(checked.changed), or_nothing=True)


def sample_block(prepared: Prepared, block: Block, advance: Advance) -> PathSet:
    """Return the raw paths of one block of a scenario."""
    seed = prepared.scenario.paths.seed
    return sampled_block(prepared.sampler, prepared.context, prepared.timestamps, seed, block, advance)


def volatility_ratio(paths: PathSet, prepared: Prepared) -> NDArray[np.float64]:
    """Return each path's realised volatility over the context's, both root mean squares of log returns [path]."""
    return np.asarray(volatility(paths.closes) / prepared.context.volatility)


def first_paths(prepared: Prepared, store: RunFolder, most: int, *, islands: int = 0) -> PathSet:
    """Return the first kept paths of a scenario, at most so many; of paths in islands, whole islands.

    The rows of an island stand for the whole law together, and in no order: half an island stands for nothing.

    Args:
        prepared: the scenario.
        store: where its blocks are.
        most: paths.
        islands: so many are returned whatever their paths, where there are any: an interval takes several.
    """
    parts, count = [], 0
    for part in paths_of(prepared, store):
        parts.append(part)
        count += len(part)
        single = "island" not in part.counts
        if (count > most or (count == most and single)) and (single or len(parts) > islands):
            break
    paths = joined(parts)
    of_each = paths.counts.get("island")
    if count <= most or of_each is None:
        return paths.first(most)
    order = list(dict.fromkeys(of_each.tolist()))
    cut = {*of_each[most:].tolist()} - {*order[:islands]}
    whole = ~np.isin(of_each, [*cut])
    return paths.select(paths.path_ids[whole]) if whole.any() else paths.first(most)


def paths_of(prepared: Prepared, store: RunFolder) -> Iterator[PathSet]:
    """Yield the kept paths of a scenario, block by block."""
    for index in block_indices(prepared, store):
        yield block_paths(prepared, store, index)


def some_paths(prepared: Prepared, store: RunFolder, ids: NDArray[np.int64], blocks: NDArray[np.int64]) -> PathSet:
    """Return the paths with these ids, each once and in the order of ids; ``blocks`` says where each lies."""
    found = np.unique(blocks)
    return joined([block_paths(prepared, store, int(at)).select(np.unique(ids[blocks == at])) for at in found])
