"""The verdict on a ranking: whether its rank IC is above chance, of a signal that lasts and knows nothing, or a little.

Returns over ten bars are held against signals at every fifth bar, so that neighbouring dates share bars.
"""

from __future__ import annotations

import numpy as np

from benchmarks.study import Answers, Ask, Row, Study, World
from scenario_gen.finding import CROSS_SECTION
from scenario_gen.pipeline.rank.worth import judge_order
from scenario_gen.stats.cross_section import Coefficients, mean_coefficient
from scenario_gen.store.ranking import SignalWorth

INSTRUMENTS, DATES, EVERY, HORIZON = 40, 60, 5, 10


def _signal(known: float = 0.0) -> Ask:
    """Return the verdict on a signal that never changes, and so much of whose move over a horizon drifts with it."""

    def ask(world: World) -> Answers:
        bars = DATES * EVERY + HORIZON + 1
        signal = world.rng("signal").standard_normal(INSTRUMENTS)
        noise = world.rng("bars").standard_t(5, (bars, INSTRUMENTS)) * world.volatility(bars)[:, None]
        logs = np.cumsum(noise + known * signal / np.sqrt(HORIZON) * np.sqrt(5 / 3), axis=0)
        moves = [logs[day * EVERY + HORIZON] - logs[day * EVERY] for day in range(DATES)]
        every = [Coefficients.of(signal, move, 10) for move in moves]
        pearson, spearman = np.array([c.pearson for c in every]), np.array([c.spearman for c in every])
        worth = SignalWorth(
            "signal", mean_coefficient(pearson, HORIZON, EVERY), mean_coefficient(spearman, HORIZON, EVERY)
        )
        return {"order beyond chance": judge_order(worth).label}

    return ask


STUDIES: tuple[Study, ...] = (
    Study(
        "ranking",
        (Row("order beyond chance", CROSS_SECTION, (frozenset({"PASS", "WARN"}),)),),
        _signal(),
        {"a signal that knows a tenth": _signal(0.1), "a fifth": _signal(0.2)},
        repeats=400,
    ),
)
