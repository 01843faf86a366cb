"""One block of paths from uniforms to metrics: the same here, in another process, or after a resume."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.candles.account import CandleCounts
from scenario_gen.candles.check import none_left
from scenario_gen.candles.shifts import MOST_MEASURED, share_of
from scenario_gen.execute.blocks import Block, plan_blocks
from scenario_gen.execute.draws import Draws
from scenario_gen.generators.base import Advance
from scenario_gen.market.paths import PathSet
from scenario_gen.market.relative import volatility
from scenario_gen.pipeline.prepare import Prepared
from scenario_gen.pipeline.unrepaired import run_unrepaired
from scenario_gen.progress import Progress
from scenario_gen.store.folder import RunFolder

FAN_POINTS = 130


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
            if store.has_block(prepared.name, block.index):
                sampled(horizon)
                tested(len(strategies))
                resumed += 1
                continue
            arrays, frames = run_block(prepared, block, strategies, sampled, tested)
            kept += len(arrays["path_ids"])
            store.save_block(prepared.name, block.index, arrays, frames)
    if not kept and not resumed:  # a resumed scenario is judged when its blocks are merged
        raise none_left(paths.count, prepared.name)


def run_block(
    prepared: Prepared, block: Block, strategies: Sequence[LoadedStrategy], sampled: Advance, tested: Advance
) -> tuple[dict[str, NDArray[Any]], dict[str, pd.DataFrame]]:
    """Generate, check and backtest one block; return its arrays and frames, ready to be stored."""
    scenario = prepared.scenario
    raw = sample_block(prepared, block, sampled)
    measured = share_of(MOST_MEASURED, block.take, scenario.paths.count)
    checked = prepared.rules.check(raw, scenario.checks.on_invalid, measured=measured)
    kept = checked.paths
    fan = fan_bars(kept.horizon)
    arrays: dict[str, NDArray[Any]] = {
        "values": kept.values,
        "path_ids": kept.path_ids,
        "volatility_ratio": volatility_ratio(kept, prepared),
        "account": _as_bytes(checked.tally.notes()),
        "provenance": _as_bytes({**raw.provenance, "fields": list(raw.fields)}),
    }
    rows = []
    for place, strategy in enumerate(strategies):
        result = trade(strategy, prepared, kept)
        arrays[f"equity_{place}"] = result.equity[:, fan]
        if len(prepared.later):
            arrays[f"equity_then_{place}"] = result.equity[:, len(prepared.later)]
        rows.append(result.metrics.assign(strategy=place).reset_index())
        tested(1)
    frames = {
        "metrics": pd.concat(rows, ignore_index=True),
        "candles": checked.tally.counts,
        "repaired": checked.tally.facts,
        "unrepaired": run_unrepaired(prepared, strategies, checked),
    }
    return arrays, frames


def sample_block(prepared: Prepared, block: Block, advance: Advance) -> PathSet:
    """Return the raw paths of one block; a partial block is computed whole and cut."""
    draws = Draws.block(prepared.scenario.paths.seed, block.start, block.size)
    paths = prepared.generator.sample(prepared.context, prepared.timestamps, draws, advance)
    return paths.select(paths.path_ids[: block.take])


def fan_bars(horizon: int) -> NDArray[np.int64]:
    """Return the bars after the anchor that a fan chart shows: 0, the horizon, and at most 130 in all."""
    return np.unique(np.linspace(0, horizon, min(horizon + 1, FAN_POINTS)).round().astype(np.int64))


def volatility_ratio(paths: PathSet, prepared: Prepared) -> NDArray[np.float64]:
    """Return each path's realised volatility over the context's, both root mean squares of log returns [path]."""
    closes = np.concatenate((np.full((len(paths), 1), paths.anchor_close), paths.close.astype(np.float64)), axis=1)
    return np.asarray(volatility(closes) / prepared.context.volatility)


def read_tally(stored: NDArray[np.uint8], counts: pd.DataFrame, facts: pd.DataFrame) -> CandleCounts:
    """Read a block's candle tally back."""
    return CandleCounts.from_notes(json.loads(stored.tobytes()), counts, facts)


def read_provenance(stored: NDArray[np.uint8]) -> dict[str, Any]:
    """Read a block's provenance back."""
    return dict(json.loads(stored.tobytes()))


def _as_bytes(record: dict[str, Any]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
