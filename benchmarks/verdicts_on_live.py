"""The verdicts on a log of live forecasts: calibration, strategies among their promises, drift, and the input.

A truth whose volatility drifts is known to the forecasts that are right: they are 199 draws of the same law. Whether
calibration is lost is looked at after each of a thousand bars, and a label is raised where it was raised at any, as one
sees it who looks every hour for six weeks. A strategy is looked at over a promise of 24 bars, after twenty that ended;
drift is that of a hundred bars after four hundred, and the input that of 24 bars after as many.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.study import WARNS, Answers, Ask, Row, Study, World
from scenario_gen.finding import LIVE_CALIBRATION, LIVE_DRIFT, LIVE_INPUT, LIVE_STRATEGY
from scenario_gen.live.judge import MEMBERS, drift_of, has_drifted, sequential_test
from scenario_gen.live.promises import label_of
from scenario_gen.live.state import find_anomalies
from scenario_gen.live.watch import Promise, watch
from scenario_gen.market import load_candles
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.stats.ranks import pit

BARS, LATE = 1000, 500
PROMISES, AHEAD, SIZE, COST = 21, 24, 0.005, 0.001  # the last promise is at hand; a bar's scale, and that of a trade
REFERENCE, RECENT = 400, 100


def _forecasts(width: float = 1.0, moved: float = 0.0, since: int = 0) -> Ask:
    """Return the verdict on forecasts so many times too wide, and so many deviations too high, since a bar."""

    def ask(world: World) -> Answers:
        rng, scale = world.rng("bars"), world.volatility(BARS)
        pits = []
        for bar in range(BARS):
            wide, high = (width, moved) if bar >= since else (1.0, 0.0)
            ensemble = scale[bar] * (wide * rng.standard_t(5, MEMBERS) + high)
            pits.append(pit(ensemble, float(scale[bar] * rng.standard_t(5)), rng))
        return {"live calibration": sequential_test(pits, [str(bar) for bar in range(BARS)]).label}

    return ask


def _strategy(cost: float = COST, width: float = 1.0) -> Ask:
    """Return the verdict on a strategy of which something is not as on the paths it was promised on."""

    def ask(world: World) -> Answers:
        rng, scale = world.rng("promises"), world.volatility(PROMISES * AHEAD).reshape(PROMISES, AHEAD)
        promises = []
        for number, volatility in enumerate(scale):
            steps = SIZE * volatility * rng.standard_t(5, (MEMBERS + 1, AHEAD)) / np.sqrt(5 / 3)
            came = _equity(width * steps[-1:], cost)[0]
            stamps = pd.date_range("2026-01-01", periods=AHEAD, freq="h") + pd.Timedelta(number * AHEAD, unit="h")
            promises.append(Promise(str(stamps[0]), stamps, _equity(steps[:-1], COST), came))
        return {"strategy as promised": label_of(watch("trend", promises, seed=world.number))}

    return ask


def _equity(steps: np.ndarray, cost: float) -> np.ndarray:
    """Return the equity of being long after a bar that rose, and flat after one that fell [path, bar + 1]."""
    rose = np.concatenate((np.ones((len(steps), 1), bool), steps[:, :-1] > 0), axis=1)
    trades = np.abs(np.diff(rose.astype(float), axis=1, prepend=0.0))
    growth = np.exp(np.where(rose, steps, 0.0)) * (1 - cost * trades)
    return np.concatenate((np.ones((len(steps), 1)), growth.cumprod(axis=1)), axis=1)


def _drift(width: float = 1.0, moved: float = 0.0) -> Ask:
    """Return the verdict on a hundred returns that are so many times as wide, and so many deviations higher."""

    def ask(world: World) -> Answers:
        scale = world.volatility(REFERENCE + RECENT)
        returns = scale * world.rng("returns").standard_t(5, REFERENCE + RECENT) / np.sqrt(5 / 3)
        came = width * returns[REFERENCE:] + moved
        found = drift_of("returns that came", returns[:REFERENCE], [np.array([value]) for value in came])
        return {"drift of a log": "WARN" if has_drifted(found) else "PASS"}

    return ask


def _input(spoil: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame) -> Ask:
    """Return the verdict on 24 bars that are spoilt."""

    def ask(world: World) -> Answers:
        rng, count = world.rng("bars"), REFERENCE + AHEAD
        within = SIZE * world.volatility(count)[:, None] * rng.standard_t(5, (count, 12)) / np.sqrt(12 * 5 / 3)
        path = 100 * np.exp(np.cumsum(within).reshape(count, 12))
        opens = np.concatenate(([100.0], path[:-1, -1]))
        high, low = np.maximum(opens, path.max(axis=1)), np.minimum(opens, path.min(axis=1))
        frame = pd.DataFrame({"open": opens, "high": high, "low": low, "close": path[:, -1]})
        frame["volume"] = 1000 * np.exp(0.3 * rng.standard_normal(count))
        frame["timestamps"] = pd.date_range("2026-01-01", periods=count, freq="h", tz="UTC")
        bars = load_candles(spoil(frame).reset_index(drop=True), name="made", calendar="24/7")
        calendar = BarCalendar.infer(bars.timestamps[:REFERENCE], "24/7")
        return {"input of a forecast": "WARN" if find_anomalies(bars, len(bars) - REFERENCE, calendar) else "PASS"}

    return ask


def _jumped(frame: pd.DataFrame) -> pd.DataFrame:
    """Lift the last twelve bars by ten usual moves, the first of them in its close."""
    lifted, at = frame.copy(), len(frame) - 12
    lifted.loc[at:, ["high", "low", "close"]] *= 1 + 10 * SIZE
    lifted.loc[at + 1 :, "open"] *= 1 + 10 * SIZE
    lifted.loc[at, "low"] = frame.loc[at, "low"]
    return lifted


def _silent(frame: pd.DataFrame) -> pd.DataFrame:
    """Let nothing be traded in the last bar."""
    silent = frame.copy()
    silent.loc[len(frame) - 1, "volume"] = 0.0
    return silent


STUDIES: tuple[Study, ...] = (
    Study(
        "live",
        (Row("live calibration", LIVE_CALIBRATION),),
        _forecasts(),
        {
            "volatility x1.25": _forecasts(1.25),
            "volatility x1.6": _forecasts(1.6),
            "volatility x.8": _forecasts(0.8),
            "volatility x.7 after 500 bars": _forecasts(0.7, since=LATE),
            "paths a quarter of a deviation too high": _forecasts(moved=0.32),
        },
        repeats=400,
    ),
    Study(
        "promises",
        (Row("strategy as promised", LIVE_STRATEGY),),
        _strategy(),
        {
            "10 bp more per trade": _strategy(2 * COST),
            "half a percent more": _strategy(6 * COST),
            "1 % more": _strategy(11 * COST),
            "a market x1.6": _strategy(width=1.6),
        },
        repeats=400,
    ),
    Study(
        "log drift",
        (Row("drift of a log", LIVE_DRIFT, WARNS),),
        _drift(),
        {"volatility x1.6": _drift(1.6), "volatility x.6": _drift(0.6), "half a deviation higher": _drift(moved=0.5)},
        repeats=400,
    ),
    Study(
        "log input",
        (Row("input of a forecast", LIVE_INPUT, WARNS),),
        _input(),
        {
            "a bar that is missing": _input(lambda frame: frame.drop(index=len(frame) - 12)),
            "a jump of ten usual moves": _input(_jumped),
            "a bar without volume": _input(_silent),
        },
        repeats=400,
    ),
)
