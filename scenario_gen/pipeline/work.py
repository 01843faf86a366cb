"""Which blocks of a run are still to be computed, and computing them.

Owns the choice of blocks. Does not know how a block is made (:mod:`scenario_gen.pipeline.blocks`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.candles.check import none_left
from scenario_gen.generators.draws import Block, plan_blocks
from scenario_gen.pipeline.blocks import Draw, draw_block, is_kept, run_block
from scenario_gen.pipeline.study import Prepared
from scenario_gen.progress import Progress
from scenario_gen.store.folder import RunFolder

Wanted: TypeAlias = Callable[[Prepared, Block], bool]


def every(prepared: Prepared, block: Block) -> bool:
    """Want every block of a run."""
    del prepared, block
    return True


def missing_blocks(
    prepared: Prepared, strategies: Sequence[LoadedStrategy], store: RunFolder, wanted: Wanted = every
) -> list[Block]:
    """Return the blocks of a scenario that are wanted and that the folder does not hold yet, in their order."""
    plan = prepared.scenario.paths
    asked = [block for block in plan_blocks(plan.count, plan.block) if wanted(prepared, block)]
    return [block for block in asked if not is_kept(prepared, strategies, store, block)]


def run_blocks(
    prepared: Prepared,
    strategies: Sequence[LoadedStrategy],
    store: RunFolder,
    progress: Progress,
    draw: Draw = draw_block,
    wanted: Wanted = every,
) -> None:
    """Compute every wanted block of a scenario that the folder does not hold yet.

    Args:
        prepared: the scenario.
        strategies: to run on every path.
        store: where blocks are kept.
        progress: who hears of stages.
        draw: what makes the paths of a block.
        wanted: which blocks are asked for.

    Raises:
        CheckError: candles break a rule and the spec says ``fail``, or no path is left.
        StrategyError: a strategy raised or answered something unusable.
        StoreError: the disk refuses.
    """
    paths = prepared.scenario.paths
    every_block = plan_blocks(paths.count, paths.block)
    horizon, kept = len(prepared.timestamps), 0
    with (
        progress.stage(f"{prepared.name}: sampling {paths.count} paths", len(every_block) * horizon) as sampled,
        progress.stage(f"{prepared.name}: backtesting", len(every_block) * len(strategies)) as tested,
    ):
        missing = missing_blocks(prepared, strategies, store, wanted)
        here = len(every_block) - len(missing)
        sampled(here * horizon)
        tested(here * len(strategies))
        for block in missing:
            finished = run_block(prepared, draw(prepared, block, sampled), strategies, tested)
            kept += len(finished.paths)
            finished.save(store, prepared.name, block.index)
    if not kept and len(missing) == len(every_block):  # a resumed scenario is judged when its blocks are merged
        raise none_left(paths.count, prepared.name)
