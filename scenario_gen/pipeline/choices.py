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
from scenario_gen.market.paths import PathSet
from scenario_gen.store.strategies import Choice

HISTORY = 2520  # bars at most: ten years of trading days
CELLS = 20_000_000  # path x bar x set: 80 MB of float32
MOST_PATHS = 200  # each path is a record of its own; so many give a mean with a small error


def choices(sets: Sequence[LoadedStrategy], ground: Ground, paths: PathSet) -> Choice:
    """Judge the choice of one of these parameter sets.

    Args:
        sets: of one strategy.
        ground: as many bars as its context has warm every set up on history too.
        paths: to try the same on.

    Raises:
        StrategyError: a set raised, or answered something unusable.
    """
    seen, bars = len(ground.context), len(ground.history)
    real = ground.history.rows(max(0, bars - seen - HISTORY), bars)
    before, record = ground.behind(real.rows(0, seen)), real.rows(seen, len(real))
    made = np.empty((0, len(sets)))
    if len(record):
        made = _returns(sets, before, before.real(record))[0].astype(np.float64)
    few = min(len(paths), MOST_PATHS, max(1, CELLS // (paths.horizon * len(sets))))
    tried = np.empty((0, paths.horizon, len(sets)), dtype=np.float32)
    if len(sets) > 1:  # one set has no choice to judge
        tried = _returns(sets, ground, paths.select(paths.path_ids[:few]))
    return Choice(
        sets=len(sets),
        history_bars=len(record),
        deflated=deflate_best(made, ground.bars_per_year),
        history=overfitting_probability(made),
        paths=overfitting_on_paths(tried),
    )


def _returns(sets: Sequence[LoadedStrategy], ground: Ground, paths: PathSet) -> NDArray[np.float32]:
    """Return the simple returns of every set, float32 [path, bar, set]."""
    found = np.empty((len(paths), paths.horizon, len(sets)), dtype=np.float32)
    for place, strategy in enumerate(sets):
        ran = trade(strategy, ground, paths)
        found[:, :, place] = bar_returns(ran.equity.astype(np.float64))
    return found
