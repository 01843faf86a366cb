"""Studies of the verdicts on designed stress: whether views leave enough of the paths to say anything with.

Paths are random walks whose volatility is that of the truth.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.study import Answers, Ask, Row, Study, World
from scenario_gen.finding import VIEW_REACH
from scenario_gen.market.paths import PathSet
from scenario_gen.stats.weights import Weights
from scenario_gen.stress.view import View
from scenario_gen.stress.views import (
    Reweighed,
    functionals,
    moved,
    numbers_of,
    prior_of,
    reach_finding,
    reached,
    relative_entropy,
    reweighted,
)

PATHS, LENGTH, YEAR = 4000, 60, 252.0


def _walks(world: World) -> PathSet:
    steps = 0.01 * world.volatility(LENGTH) * world.rng("walks").standard_normal((PATHS, LENGTH))
    close = 100 * np.exp(np.cumsum(steps, axis=1))
    stamps = pd.bdate_range("2020-01-01", periods=LENGTH)
    return PathSet.of_arrays(close, close, close, close, timestamps=stamps, anchor_close=100.0)


def _view(deviations: float) -> Ask:
    """Ask for a view on the mean return, so many of its deviations away from the paths' own."""

    def answer(world: World) -> Answers:
        paths = _walks(world)
        measured = functionals(paths, YEAR)
        returns = measured["terminal_return"]
        asked = float(returns.mean() - deviations * returns.std())
        view = View.model_validate({"mean": "terminal_return", "equals": asked})
        prior = prior_of(paths)
        weights, held = reweighted([view], numbers_of(measured, {}), prior)
        after = Weights.of(weights, held=held)
        if after is None:
            raise ValueError("a view on another mean left every weight as it was")
        told = reached([view], numbers_of(measured, {}), prior, weights)
        reweighed = Reweighed(
            base="base",
            views=told,
            moved=moved(measured, None, after),
            entropy=relative_entropy(weights, prior),
            weighting=after.summary,
            alike_before=float(PATHS),
        )
        return {"reach of a view": reach_finding("", reweighed).label}

    return answer


STUDIES: tuple[Study, ...] = (
    Study(
        "views",
        (Row("reach of a view", VIEW_REACH),),
        _view(1.0),
        {"a view 2 deviations away": _view(2.0), "a view 2.5 deviations away": _view(2.5)},
    ),
)
