"""The parameter sets of one strategy, all run on the same real bars and the same paths: was the choice lucky."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenario_gen.backtest.broker import Broker
from scenario_gen.backtest.engine import run_backtest
from scenario_gen.backtest.loader import LoadedStrategy
from scenario_gen.backtest.metrics import bar_returns
from scenario_gen.backtest.overfitting import deflate_best, overfitting_on_paths, overfitting_probability
from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.store.strategies import Choice

HISTORY = 2520  # bars at most: ten years of trading days
CELLS = 20_000_000  # path x bar x set: 80 MB of float32
MOST_PATHS = 200  # each path is a record of its own; so many give a mean with a small error


def choices(
    sets: Sequence[LoadedStrategy],
    history: Candles,
    context: Candles,
    paths: PathSet,
    broker: Broker,
    *,
    bars_per_year: float,
) -> Choice:
    """Judge the choice of one of these parameter sets.

    Args:
        sets: of one strategy.
        history: real bars up to the paths' begin.
        context: the last of them; as many bars warm every set up on history too.
        paths: to try the same on.
        broker: costs and fills.
        bars_per_year: to annualise with.

    Raises:
        StrategyError: a set raised, or answered something unusable.
    """
    real = history.rows(max(0, len(history) - len(context) - HISTORY), len(history))
    warm, record = real.rows(0, len(context)), real.rows(len(context), len(real))
    made = np.empty((0, len(sets)))
    if len(record):
        one = PathSet.from_history(record, float(warm.close[-1]))
        made = _returns(sets, warm, one, broker, bars_per_year)[0].astype(np.float64)
    few = min(len(paths), MOST_PATHS, max(1, CELLS // (paths.horizon * len(sets))))
    tried = np.empty((0, paths.horizon, len(sets)), dtype=np.float32)
    if len(sets) > 1:  # one set has no choice to judge
        tried = _returns(sets, context, paths.select(paths.path_ids[:few]), broker, bars_per_year)
    return Choice(
        sets=len(sets),
        history_bars=len(record),
        deflated=deflate_best(made, bars_per_year),
        history=overfitting_probability(made),
        paths=overfitting_on_paths(tried),
    )


def _returns(
    sets: Sequence[LoadedStrategy], context: Candles, paths: PathSet, broker: Broker, bars_per_year: float
) -> NDArray[np.float32]:
    """Return the simple returns of every set, float32 [path, bar, set]."""
    found = np.empty((len(paths), paths.horizon, len(sets)), dtype=np.float32)
    for place, strategy in enumerate(sets):
        ran = run_backtest(strategy, context, paths, broker, bars_per_year=bars_per_year)
        found[:, :, place] = bar_returns(ran.equity.astype(np.float64))
    return found
