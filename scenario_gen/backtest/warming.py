"""Whether the context was long enough: how many decisions on the path change with less, or more, history.

A strategy that is warm decides the same whatever came long before. Knows nothing of money.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.answers import Decisions, changed, decide
from scenario_gen.backtest.engine import bars_of
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.errors import StrategyError
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet

PATHS = 32
STEP = 0.25  # of the context's bars, less and more
# Exponential averages never forget wholly: numbers that differ by less than a thousandth are the same decision.
SAME = 1e-3


@dataclass(frozen=True)
class WarmUp:
    """How decisions on the path depend on the length of the context.

    A decision is what the strategy says at one bar of one path: all its fields together.
    """

    context_bars: int  # how many there were
    # share of decisions that change with 25 % fewer of them, in [0, 1]; None where that leaves no bar
    less: float | None
    more: float | None  # the same with 25 % more; None where no older bars were given
    fields: dict[str, tuple[float | None, float | None]]  # for each field that changed, its share (less, more)
    paths: int  # how many paths were looked at
    failed: str = ""  # what the strategy raised on less or more history; empty where it did not


def warm_up(strategy: LoadedStrategy, ground: Ground, paths: PathSet) -> WarmUp:
    """Count the decisions on the path that change with a quarter less, and a quarter more, context.

    Args:
        strategy: whom to ask.
        ground: the real bars before the paths, and the account that a ``portfolio`` strategy is given.
        paths: generated bars; the first 32 paths are used.

    Raises:
        StrategyError: the strategy raised on the context as it is, or returned something unusable.
    """
    used, context = paths.select(paths.path_ids[:PATHS]), ground.context
    bars, step = len(context), round(STEP * len(context))

    def decided(before: Candles) -> Decisions:
        """Return the decisions from the last context bar on."""
        shown = bars_of(ground.behind(before), used)
        answer = decide(strategy, shown, ground.broker)
        return {name: values[shown.context_bars - 1 :] for name, values in answer.items()}

    now, failed = decided(context), ""
    masks: list[dict[str, NDArray[np.bool_]] | None] = [None, None]
    fewer = context.rows(step, bars) if 0 < step < bars else None
    for place, history in enumerate((fewer, _longer(ground, step))):
        if history is None:
            continue
        try:
            masks[place] = changed(now, decided(history), SAME)
        except StrategyError as error:
            failed = failed or error.problem
    less, more = masks
    names = [name for name in now if any(mask is not None and mask[name].any() for mask in masks)]
    return WarmUp(
        context_bars=bars,
        less=_any_share(less),
        more=_any_share(more),
        fields={name: (_share(less, name), _share(more, name)) for name in names},
        paths=len(used),
        failed=failed,
    )


def _longer(ground: Ground, step: int) -> Candles | None:
    """Return the context with ``step`` older bars before it, where there are as many."""
    bars = len(ground.history)
    first = bars - len(ground.context) - step
    return None if first < 0 or step == 0 else ground.history.rows(first, bars)


def _share(masks: dict[str, NDArray[np.bool_]] | None, name: str) -> float | None:
    return None if masks is None else float(masks[name].mean())


def _any_share(masks: dict[str, NDArray[np.bool_]] | None) -> float | None:
    return None if masks is None else float(np.any(list(masks.values()), axis=0).mean())
