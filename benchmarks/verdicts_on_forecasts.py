"""Studies of the verdicts on forecasts of the past: calibration, facts by origin, value at risk, recalibration, more.

The market is that of ``benchmarks.planted``; a right generator knows its true state at every origin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.planted import Drifted, drift
from benchmarks.study import SEEN, WARNS, Answers, Ask, Row, Study, World, path_set
from benchmarks.verdicts_on_paths import LENGTH, worst_fact
from scenario_gen.finding import CALIBRATION, FACTS_BY_ORIGIN, RECALIBRATION, VALUE_AT_RISK
from scenario_gen.forecasts.calibrate import calibrate
from scenario_gen.forecasts.exceedances import (
    NEXT_BAR,
    VAR_LEVELS,
    count_exceedances,
    excess,
    group_label,
    judged_together,
    tail_losses,
)
from scenario_gen.forecasts.foresight import Foresight
from scenario_gen.forecasts.harness import Settings
from scenario_gen.forecasts.recalibrate import past_forecasts, recalibration_finding
from scenario_gen.generators.base import Advance, ignore
from scenario_gen.generators.draws import Draws
from scenario_gen.generators.recalibrated import PastForecasts, Recalibrated
from scenario_gen.generators.sections import RecalibrationBudget
from scenario_gen.market import Candles, PathSet
from scenario_gen.progress import SilentProgress
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.controls import Relative

# --- Forecasts beside what came ---


@dataclass(frozen=True, eq=False)
class Knowing:
    """A generator that knows a made market's law, and its state at the end of every context; or errs in one way."""

    market: Drifted
    half_life: float
    factor: float = 1.0  # that every move is multiplied by
    blind: bool = False  # draws from the mix of all times
    shuffled: bool = False  # bars of each path in random order
    trend: float = 0.0  # of each path, in context deviations over the horizon
    rise: float = 0.0  # of each path, in log price per bar
    salt: int = 0  # of its random numbers

    @property
    def identity(self) -> Mapping[str, Any]:
        """Its errors."""
        errors = {"factor": self.factor, "blind": self.blind, "shuffled": self.shuffled, "trend": self.trend}
        return {"kind": "knowing", **errors, "salt": self.salt}

    @property
    def trained_until(self) -> str | None:
        """Nothing was trained."""
        return None

    def sample(
        self, context: Candles, timestamps: pd.DatetimeIndex, draws: Draws, advance: Advance = ignore
    ) -> PathSet:
        """Return paths from the state at the context's end."""
        advance(len(timestamps))
        return self.sample_many([context], [timestamps], draws)[0]

    def sample_many(
        self, contexts: Sequence[Candles], timestamps: Sequence[pd.DatetimeIndex], draws: Draws
    ) -> list[PathSet]:
        """Return one path set per context."""
        each = len(draws.path_ids) // len(contexts)
        stamps = pd.bdate_range("1990-01-01", periods=self.market.bars.length)
        ends = stamps.get_indexer([context.timestamps[-1] for context in contexts]) + 1
        key = (self.salt, draws.seed, int(draws.path_ids[0]))
        bars = _drawn(self.market, self.half_life, tuple(ends), (each, len(timestamps[0])), key, blind=self.blind)
        rng = np.random.default_rng([*key, 1])
        bars = bars if self.factor == 1 else Relative.of(bars).scaled(self.factor).onto(bars)
        if self.shuffled:
            order = rng.permuted(np.broadcast_to(np.arange(bars.length), bars.close.shape), axis=1)
            bars = _reordered(Relative.of(bars), order).onto(bars)
        parts = [bars.select(slice(first, first + each)) for first in range(0, len(bars), each)]
        sets = [path_set(part, context) for part, context in zip(parts, contexts, strict=True)]
        leaning = [
            _leaning(made, self._lean(context, made.horizon)) for made, context in zip(sets, contexts, strict=True)
        ]
        return [replace(made, timestamps=ahead) for made, ahead in zip(leaning, timestamps, strict=True)]

    def _lean(self, context: Candles, bars: int) -> float:
        return self.rise + self.trend * float(context.volatility) / np.sqrt(bars)


@lru_cache(maxsize=6)
def _drawn(
    market: Drifted,
    half_life: float,
    ends: tuple[int, ...],
    shape: tuple[int, int],
    key: tuple[int, ...],
    *,
    blind: bool,
) -> BarArrays:
    """Return ensembles of ``shape`` (paths, bars), one below the other; kept for those who err after it."""
    each, bars = shape
    starts = [np.repeat(np.stack(x), each, axis=0) for x in zip(*(market.at(end) for end in ends), strict=True)]
    start = None if blind else (starts[0], starts[1])
    return drift(each * len(ends), bars, np.random.default_rng(key), half_life, start).bars


def _leaning(paths: PathSet, by: float) -> PathSet:
    """Return paths whose log price rises by so much per bar."""
    if not by:
        return paths
    values, bars = paths.values.copy(), paths.horizon
    values[..., :4] *= np.exp(by * np.arange(1, bars + 1)).astype(np.float32)[:, None]
    return replace(paths, values=values)


def _reordered(bars: Relative, order: np.ndarray) -> Relative:
    columns = [None if column is None else np.take_along_axis(column, order, axis=1)
               for column in (bars.g, bars.b, bars.hh, bars.ll, bars.volume)]  # fmt: skip
    return Relative(*columns)  # type: ignore[arg-type]


def _calibrated(**errors: Any) -> Ask:
    """Ask a calibration as a run makes it: 60 origins at the run's own horizon, 99 paths each, facts by origin."""

    def answer(world: World) -> Answers:
        generator = Knowing(world.market(), world.half_life, **errors)
        settings = Settings(SEEN, LENGTH, 99, world.number, origins=60, baselines=())
        found = calibrate(generator, world.history(), settings)
        assert found.facts is not None
        return {
            "calibration": found.generator.label,
            "drift of a generator": found.generator.drift.label,
            "facts by origin": worst_fact(found.facts),
        }

    return answer


BESIDE = Settings(SEEN, 20, 99, origins=60, baselines=())


def _foresight(**errors: Any) -> Ask:
    """Ask whether the forecasts of one right generator move with the market less than those of another."""

    def seen(world: World, generator: Knowing) -> Foresight:
        found = calibrate(generator, world.history(), BESIDE).generator.foresight
        assert found is not None
        return found

    def answer(world: World) -> Answers:
        ours = seen(world, Knowing(world.market(), world.half_life, salt=1))
        theirs = seen(world, Knowing(world.market(), world.half_life, salt=2, **errors))
        every = list(range(len(ours.came)))
        (beside,) = ours.held_against("other", theirs, every, every).beside
        return {"foresight beside a baseline": "differs" if beside.p < 0.05 else "alike"}

    return answer


SHIFT = 0.3  # of log volatility, in the fit of a wrong recalibration


def _recalibrated(factor: float = 1.0, shift: float = 0.0) -> Ask:
    """Ask what a recalibration was worth; a wrong one is fitted to outcomes whose log volatility is shifted."""

    def answer(world: World) -> Answers:
        generator = Knowing(world.market(), world.half_life, factor)
        budget = RecalibrationBudget()
        past = past_forecasts(generator, world.history(), BESIDE, budget, cache=None, progress=SilentProgress())
        past = _shifted(past, shift) if shift else past
        found = calibrate(Recalibrated(generator, past), world.history(), BESIDE)
        return {"recalibration": recalibration_finding("", found).label}

    return answer


def _shifted(past: PastForecasts, by: float) -> PastForecasts:
    volatility = [replace(number, came=[value + by for value in number.came]) for number in past.volatility]
    return replace(past, volatility=volatility)


FORECASTS, PATHS_EACH = 1000, 199


def _value_at_risk(width: float = 1.0, freedom: float | None = None, *, blind: bool = False) -> Ask:
    """Ask the value at risk of the next bar, over 1,000 forecasts of a normal law whose volatility is known."""

    def answer(world: World) -> Answers:
        rng, volatility = world.rng("value at risk"), world.volatility(FORECASTS)
        known = np.full(FORECASTS, np.sqrt(np.mean(volatility**2))) if blind else volatility
        ensembles = width * known[:, None] * rng.standard_normal((FORECASTS, PATHS_EACH))
        shocks = rng.standard_normal(FORECASTS) if freedom is None else rng.standard_t(freedom, FORECASTS)
        came = volatility * shocks
        pits = ((ensembles < came[:, None]).sum(axis=1) + rng.random(FORECASTS)) / (PATHS_EACH + 1)
        tests = []
        for tail in ("lower", "upper"):
            for level in VAR_LEVELS:
                pairs = list(zip(ensembles, came, strict=True))
                beyond = np.array([excess(paths, outcome, tail, level) for paths, outcome in pairs])  # type: ignore[arg-type]
                losses = [tail_losses(paths, outcome, tail, level) for paths, outcome in pairs]  # type: ignore[arg-type]
                tests.append(count_exceedances(NEXT_BAR, tail, level, pits, beyond, rng, losses))  # type: ignore[arg-type]
        return {"value at risk": group_label(judged_together(tests))}

    return answer


DIFFERS: tuple[frozenset[str], ...] = (frozenset({"differs"}),)

STUDIES: tuple[Study, ...] = (
    Study(
        "calibration",
        (
            Row("calibration", CALIBRATION, defects=("moves x .8", "draws from the mix of all times")),
            Row("facts by origin", FACTS_BY_ORIGIN, defects=("moves x .8", "bars of a path in random order")),
            Row("drift of a generator", CALIBRATION, WARNS, defects=("a drift of half a deviation",)),
        ),
        _calibrated(),
        {
            "moves x .8": _calibrated(factor=0.8),
            "draws from the mix of all times": _calibrated(blind=True),
            "bars of a path in random order": _calibrated(shuffled=True),
            "a drift of half a deviation": _calibrated(trend=0.5),
        },
        repeats=12,
    ),
    Study(
        "value at risk",
        (Row("value at risk", VALUE_AT_RISK),),
        _value_at_risk(),
        {
            "deviation 10 % too small": _value_at_risk(0.9),
            "normal paths, t(3) came, of one 5 % quantile": _value_at_risk(2.353 / 1.645, 3.0),
            "one volatility at all times (right if none drifts)": _value_at_risk(blind=True),
        },
        repeats=30,
    ),
    Study(
        "recalibration",
        (Row("recalibration", RECALIBRATION, WARNS),),
        _recalibrated(0.8),
        {
            f"fitted to outcomes {SHIFT:g} too high in log volatility": _recalibrated(shift=SHIFT),
            "a generator that was right as sampled": _recalibrated(),
        },
        repeats=8,
    ),
    Study(
        "foresight",
        (Row("foresight beside a baseline", None, DIFFERS),),
        _foresight(),
        {"the baseline draws from the mix of all times": _foresight(blind=True)},
        repeats=12,
    ),
)
