"""One block of paths from uniforms to metrics: the same here, in another process, or after a resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.loader import LoadedStrategy, shown
from scenario_gen.backtest.result import RepairedFigure, RepairEffect
from scenario_gen.candles.check import CheckedPaths, none_left
from scenario_gen.candles.shifts import MOST_MEASURED, share_of
from scenario_gen.errors import StrategyError
from scenario_gen.generators.base import Advance
from scenario_gen.generators.draws import Block, Draws, plan_blocks
from scenario_gen.market.paths import PathSet
from scenario_gen.market.relative import volatility
from scenario_gen.pipeline.finished import FinishedBlock, block_paths, fan_bars, is_kept
from scenario_gen.pipeline.study import Prepared
from scenario_gen.progress import Progress
from scenario_gen.stats.estimate import mean, quantile
from scenario_gen.store.folder import RunFolder

FIGURES = (("total_return", 0.5), ("total_return", 0.05), ("max_drawdown", 0.95))
COLUMNS = ("total_return", "max_drawdown")


def run_unrepaired(prepared: Prepared, strategies: Sequence[LoadedStrategy], checked: CheckedPaths) -> pd.DataFrame:
    """Return total return and drawdown of every strategy on each changed path before repair.

    NaN where a strategy cannot be run on raw candles: a high below the close may be more than it stands.
    """
    raw = checked.raw.select(checked.changed)
    if not len(raw):
        return pd.DataFrame(columns=["path_id", *COLUMNS, "strategy"])
    rows = [_one(prepared, strategy, raw).assign(strategy=place) for place, strategy in enumerate(strategies)]
    return pd.concat(rows).reset_index()


def _one(prepared: Prepared, strategy: LoadedStrategy, raw: PathSet) -> pd.DataFrame:
    try:
        result = trade(strategy, prepared, raw)
    except StrategyError:
        nothing = np.full((len(raw), len(COLUMNS)), np.nan)
        return pd.DataFrame(nothing, columns=list(COLUMNS), index=pd.Index(raw.path_ids, name="path_id"))
    return result.metrics[list(COLUMNS)]


def repair_effects(
    strategies: Sequence[LoadedStrategy], metrics: pd.DataFrame, unrepaired: pd.DataFrame
) -> list[RepairEffect]:
    """Return each strategy's figures with and without repair; an empty list where nothing was repaired.

    Args:
        strategies: in the order of their places.
        metrics: one row per strategy (its place) and kept path.
        unrepaired: one row per strategy and changed path.
    """
    if unrepaired.empty:
        return []
    return [
        _effect(strategy.name, metrics[metrics["strategy"] == place], unrepaired[unrepaired["strategy"] == place])
        for place, strategy in enumerate(strategies)
    ]


def _effect(name: str, metrics: pd.DataFrame, unrepaired: pd.DataFrame) -> RepairEffect:
    repaired = metrics.set_index("path_id")[list(COLUMNS)]
    before = unrepaired.set_index("path_id")[list(COLUMNS)]
    raw = repaired.copy()
    raw.loc[before.index] = before
    figures = [
        RepairedFigure(metric, level, *(quantile(frame[metric].to_numpy(), level) for frame in (raw, repaired)))
        for metric, level in FIGURES
    ]
    moved = (repaired - raw)["total_return"].to_numpy()
    return RepairEffect(
        strategy=name,
        paths=len(before),
        failed=int(before["total_return"].isna().sum()),
        figures=figures,
        difference=mean(moved),
    )


# --- One block of paths, from uniforms to metrics ---


def run_blocks(prepared: Prepared, strategies: Sequence[LoadedStrategy], store: RunFolder, progress: Progress) -> None:
    """Compute every block of a scenario that the folder does not hold yet.

    Raises:
        CheckError: candles break a rule and the spec says ``fail``, or no path is left.
        StrategyError: a strategy raised or answered something unusable.
        StoreError: the disk refuses.
    """
    paths = prepared.scenario.paths
    blocks = plan_blocks(paths.count, paths.block)
    horizon = len(prepared.timestamps)
    with (
        progress.stage(f"{prepared.name}: sampling {paths.count} paths", len(blocks) * horizon) as sampled,
        progress.stage(f"{prepared.name}: backtesting", len(blocks) * len(strategies)) as tested,
    ):
        kept = resumed = 0
        for block in blocks:
            if is_kept(prepared, strategies, store, block):
                sampled(horizon)
                tested(len(strategies))
                resumed += 1
                continue
            finished = run_block(prepared, block, strategies, sampled, tested)
            kept += len(finished.paths)
            finished.save(store, prepared.name, block.index)
    if not kept and not resumed:  # a resumed scenario is judged when its blocks are merged
        raise none_left(paths.count, prepared.name)


def _reads_of(strategies: Sequence[LoadedStrategy]) -> dict[str, dict[str, str]]:
    """Return the sums of what the strategies have read so far.

    Raises:
        StrategyError: a file was changed after a strategy had read it: one block would be of two strategies.
    """
    for strategy in strategies:
        if changed := strategy.reads.changed():
            raise StrategyError(
                f"{strategy.name} read {shown(changed[0])}, which was changed while the run was going on",
                expected="files that stay as they are until the run ends",
                fix="run again",
            )
    return {one.use: one.reads.identity() for one in strategies}


def run_block(
    prepared: Prepared, block: Block, strategies: Sequence[LoadedStrategy], sampled: Advance, tested: Advance
) -> FinishedBlock:
    """Generate, check and backtest one block."""
    scenario = prepared.scenario
    raw = sample_block(prepared, block, sampled)
    measured = share_of(MOST_MEASURED, block.take, scenario.paths.count)
    checked = prepared.rules.check(raw, scenario.checks.on_invalid, measured=measured)
    kept = checked.paths
    fan = fan_bars(kept.horizon)
    then = len(prepared.later)
    rows, equity, equity_then = [], [], []
    for place, strategy in enumerate(strategies):
        result = trade(strategy, prepared, kept)
        equity.append(result.equity[:, fan])
        equity_then += [result.equity[:, then]] if then else []
        rows.append(result.metrics.assign(strategy=place).reset_index())
        tested(1)
    unrepaired = run_unrepaired(prepared, strategies, checked)
    return FinishedBlock(
        paths=kept,
        tally=checked.tally,
        provenance={**raw.provenance, "fields": list(raw.fields)},
        metrics=pd.concat(rows, ignore_index=True),
        unrepaired=unrepaired,
        volatility_ratio=volatility_ratio(kept, prepared),
        equity=np.stack(equity),
        equity_then=np.stack(equity_then) if then else np.empty((0, len(kept)), dtype=np.float32),
        reads=_reads_of(strategies),
    )


def sample_block(prepared: Prepared, block: Block, advance: Advance) -> PathSet:
    """Return the raw paths of one block; a partial block is computed whole and cut."""
    draws = Draws.block(prepared.scenario.paths.seed, block.start, block.size)
    paths = prepared.generator.sample(prepared.context, prepared.timestamps, draws, advance)
    return paths.select(paths.path_ids[: block.take])


def volatility_ratio(paths: PathSet, prepared: Prepared) -> NDArray[np.float64]:
    """Return each path's realised volatility over the context's, both root mean squares of log returns [path]."""
    closes = np.concatenate((np.full((len(paths), 1), paths.anchor_close), paths.close.astype(np.float64)), axis=1)
    return np.asarray(volatility(closes) / prepared.context.volatility)


def first_paths(prepared: Prepared, store: RunFolder, most: int) -> PathSet:
    """Return the first kept paths of a scenario, at most so many."""
    parts, count = [], 0
    for part in paths_of(prepared, store):
        parts.append(part)
        count += len(part)
        if count >= most:
            break
    return joined(parts).first(most)


def paths_of(prepared: Prepared, store: RunFolder) -> Iterator[PathSet]:
    """Yield the kept paths of a scenario, block by block."""
    plan = prepared.scenario.paths
    for block in plan_blocks(plan.count, plan.block):
        yield block_paths(prepared, store, block.index)


def some_paths(prepared: Prepared, store: RunFolder, ids: NDArray[np.int64], blocks: NDArray[np.int64]) -> PathSet:
    """Return the paths with these ids, each once and in the order of ids; ``blocks`` says where each lies."""
    found = np.unique(blocks)
    return joined([block_paths(prepared, store, int(at)).select(np.unique(ids[blocks == at])) for at in found])


def joined(parts: Sequence[PathSet]) -> PathSet:
    """Return the paths of blocks of one scenario as one set."""
    values, ids = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "path_ids"))
    counts = {name: np.concatenate([part.counts[name] for part in parts]) for name in parts[0].counts}
    weights = [part.weights for part in parts if part.weights is not None]
    return replace(
        parts[0], values=values, path_ids=ids, counts=counts, weights=np.concatenate(weights) if weights else None
    )
