"""Verdicts on several assets at once, in worlds where all is right and where one thing is wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.study import WARNS, Answers, Ask, Row, Study, World
from scenario_gen.finding import CALENDAR, COINTEGRATION, JOINT_CALIBRATION
from scenario_gen.forecasts.book import BookForecast, judged_law, ranked_gains
from scenario_gen.forecasts.harness import Sampling
from scenario_gen.joint.calendar import align
from scenario_gen.market import load_candles
from scenario_gen.pipeline.book.judge import cointegrated

ORIGINS, PATHS, AHEAD, ASSETS, CONTEXT = 60, 199, 20, 3, 256
SHARED = 1000  # bars of a common history
SAMPLING = Sampling(CONTEXT, AHEAD, PATHS)


def _together(rng: np.random.Generator, correlation: float, paths: int) -> np.ndarray:
    """Return returns of assets with one correlation and tails of a t with 5 degrees, [path, bar, asset]."""
    matrix = np.full((ASSETS, ASSETS), correlation) + (1 - correlation) * np.eye(ASSETS)
    normal = rng.standard_normal((paths, AHEAD, ASSETS)) @ np.linalg.cholesky(matrix).T
    return 0.01 * normal * np.sqrt(5 / rng.chisquare(5, (paths, AHEAD, 1)))


def _portfolios(correlated: float = 1.0, wider: float = 1.0) -> Ask:
    """Return the verdict on paths that know the correlation of every origin, times a factor, and its volatility."""

    def ask(world: World) -> Answers:
        true, came, drawn = world.correlations(ORIGINS), world.rng("came"), world.rng("drawn")
        ranked = []
        for place, correlation in enumerate(true):
            real = _together(came, correlation, 1)[0]
            ensemble = wider * _together(drawn, correlation * correlated, PATHS)
            ranked.append(ranked_gains(BookForecast(place, ensemble, real, np.full(ASSETS, 0.01), ()), SAMPLING))
        return {"portfolios of a book": judged_law("as coupled", ranked).label}

    return ask


def _pairs(keeps: float = 1.0) -> Ask:
    """Return the verdict on three assets of a context, the second tied to the first: what a bar keeps of their gap."""

    def ask(world: World) -> Answers:
        rng = world.rng("walks")
        first, second, third = (0.01 * rng.standard_normal((3, CONTEXT)) * world.volatility(CONTEXT)).cumsum(axis=1)
        if keeps < 1:
            gap = np.zeros(CONTEXT)
            for bar in range(1, CONTEXT):
                gap[bar] = keeps * gap[bar - 1] + 0.01 * rng.standard_normal()
            second = first + gap
        stamps = pd.date_range("2020-01-01", periods=CONTEXT, freq="D")
        contexts = {
            name: load_candles(pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close), stamps), name=name)
            for name, close in zip("abc", np.exp((first, second, third)), strict=True)
        }
        return {"pairs that keep together": "WARN" if cointegrated(contexts) else "PASS"}

    return ask


def _closes(late: float = 0.0, together: float = 1.0) -> Ask:
    """Return the verdict on three assets, the third of which does so much of what it does a bar after the others.

    False alarms are counted where little hangs together at all: there a bar apart may be more than bar by bar.
    """

    def ask(world: World) -> Answers:
        rng, bars = world.rng("closes"), SHARED
        common, own = rng.standard_t(5, (1, bars + 1)), rng.standard_t(5, (ASSETS, bars + 1))
        returns = 0.01 * (together * common + 0.8 * own) * world.volatility(bars + 1)
        returns[2, 1:] = (1 - late) * returns[2, 1:] + late * returns[2, :-1]
        stamps = pd.date_range("2020-01-01", periods=bars, freq="D")
        histories = {
            name: load_candles(pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close), stamps), name=name)
            for name, close in zip("abc", np.exp(np.cumsum(returns[:, 1:], axis=1)), strict=True)
        }
        return {"closes of different hours": "WARN" if align(histories).apart else "PASS"}

    return ask


STUDIES: tuple[Study, ...] = (
    Study(
        "joint calibration",
        (Row("portfolios of a book", JOINT_CALIBRATION),),
        _portfolios(),
        {"assets drawn apart": _portfolios(0.0), "half the correlation": _portfolios(0.5)},
        repeats=40,
    ),
    Study(
        "cointegration",
        (Row("pairs that keep together", COINTEGRATION, WARNS),),
        _pairs(),
        {"a gap with a half-life of 7 bars": _pairs(0.9), "of 2 bars": _pairs(0.7)},
        repeats=100,
    ),
    Study(
        "calendar alignment",
        (Row("closes of different hours", CALENDAR, WARNS),),
        _closes(together=0.1),
        {"two thirds of a bar late": _closes(2 / 3), "a whole bar late": _closes(1.0)},
        repeats=100,
    ),
)
