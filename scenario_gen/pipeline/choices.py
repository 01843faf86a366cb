"""The parameter sets of one strategy, all run on the same real bars and the same paths: was the choice lucky."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.engine import trade
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.metrics import bar_returns
from scenario_gen.backtest.overfitting import deflate_best, overfitting_on_paths, overfitting_probability
from scenario_gen.store.strategies import Choice

HISTORY = 2520  # bars at most: ten years of trading days
CELLS = 20_000_000  # path x bar x set: 80 MB of float32
MOST_PATHS = 200  # each path is a record of its own; so many give a mean with a small error


def choices(sets: Sequence[LoadedStrategy], ground: Ground, tried: NDArray[np.float32]) -> Choice:
    """Judge the choice of one of these parameter sets.

    Args:
        sets: of one strategy.
        ground: as many bars as its context has warm every set up on history too.
        tried: simple returns of each set on the same paths, [path, bar, set]; see :func:`tried_paths`.

    Raises:
        StrategyError: a set raised, or answered something unusable.
    """
    seen, bars = len(ground.context), len(ground.history)
    real = ground.history.rows(max(0, bars - seen - HISTORY), bars)
    before, record = ground.behind(real.rows(0, seen)), real.rows(seen, len(real))
    made = np.empty((0, len(sets)))
    if len(record):
        alone = before.real(record)
        made = np.stack([simple_returns(trade(each, before, alone).equity)[0] for each in sets], axis=1)
    return Choice(
        sets=len(sets),
        history_bars=len(record),
        deflated=deflate_best(made.astype(np.float64), ground.bars_per_year),
        history=overfitting_probability(made.astype(np.float64)),
        paths=overfitting_on_paths(tried),
    )


def tried_paths(sets: int, horizon: int) -> int:
    """Return on how many of the first paths so many sets are tried; one set has no choice to judge."""
    return 0 if sets < 2 else min(MOST_PATHS, max(1, CELLS // (horizon * sets)))


def simple_returns(equity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the simple returns of equity [path, bar + 1], float32 [path, bar]."""
    return bar_returns(equity.astype(np.float64)).astype(np.float32)
