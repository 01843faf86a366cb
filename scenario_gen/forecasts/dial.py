"""``temperature: auto`` and ``top_p: auto``: settings tried on the bars before the context, and one chosen.

The score is the fair CRPS of log realised volatility, because the score of returns alone prefers too little
volatility. Among settings that hold their promises the best is not taken for its own sake: differences within one
standard error are noise, and the setting nearest to the model as trained is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenario_gen.errors import DataError, SpecError
from scenario_gen.execute.queue import HERE, Queue
from scenario_gen.forecasts.harness import Settings, observe, reading
from scenario_gen.forecasts.judge import FAIL_COVERAGE, FAIL_MEAN, JUDGED_LEVEL
from scenario_gen.forecasts.numbers import BY_ID, Observation
from scenario_gen.forecasts.origins import FEWEST_JUDGED, Origins, rolling_origins
from scenario_gen.generators.sections import GeneratorSection, KronosGenerator, open_generator
from scenario_gen.market.candles import Candles
from scenario_gen.progress import Progress
from scenario_gen.stats.means import mean_test
from scenario_gen.stats.ranks import DM_LAG, central_coverage
from scenario_gen.values import cached
from scenario_gen.version import VERSION

Floats = NDArray[np.float64]

SCORE, ALSO_COVERED = "log_volatility", "return_h"
RULE = (
    "least CRPS of log realised volatility among settings whose 90 % band of it holds 80 to 97 % of what came and "
    "whose PIT mean is within .1 of .5; of those within one standard error of that, the nearest to 1"
)

TEMPERATURES = (0.7, 0.85, 1.0, 1.2, 1.45)  # then the middles beside the one of least CRPS
TOP_PS = (1.0, 0.98, 0.95, 0.9, 0.8)
SEARCH_PATHS = 49  # the fair CRPS does not depend on their number; 5 % is then an exact rank of 50


@dataclass(frozen=True)
class DialPoint:
    """One setting on the curve."""

    temperature: float  # of sampling
    top_p: float  # of sampling
    crps: float  # mean fair CRPS of log realised volatility over the origins
    worse_by: float  # its difference to the least CRPS of the curve; 0 at the least
    error: float  # standard error of that difference, paired by origin
    pit_mean: float  # of log realised volatility; below .5 the paths are too volatile
    coverage: float  # share of the origins inside the 90 % band of log realised volatility
    return_coverage: float  # the same of the return over the horizon
    holds: bool  # whether coverage and PIT mean are within their limits


@dataclass(frozen=True)
class DialSearch:
    """A search for temperature, top_p or both."""

    searched: str  # "temperature", "top_p" or "temperature, top_p"
    temperature: float  # chosen, or given
    top_p: float  # chosen, or given
    points: list[DialPoint]  # every setting that was tried, in the order of temperature, then top_p
    rule: str  # how the choice was made
    note: str  # what else a reader must know; "" if nothing
    origins: int  # how many
    first: str  # ISO stamp of the first of them
    last: str  # ISO stamp of the last future's last bar
    horizon: int  # bars
    paths: int  # per origin


@dataclass(frozen=True)
class Trial:
    """A setting and what was observed with it, oldest origin first."""

    temperature: float
    top_p: float
    observations: Sequence[Observation]

    @property
    def crps(self) -> Floats:
        """Of log realised volatility [origin]."""
        return np.array([seen.crps[SCORE] for seen in self.observations])

    def pits(self, functional: str) -> Floats:
        """Of one functional [origin]."""
        return np.array([seen.pits[functional] for seen in self.observations])


def curve(trials: Sequence[Trial]) -> list[DialPoint]:
    """Return every trial as a point, compared with the one of least CRPS; all on the same origins."""
    best = min((trial.crps for trial in trials), key=lambda crps: float(crps.mean()))
    return sorted((_point(trial, best) for trial in trials), key=lambda p: (p.temperature, p.top_p))


def _point(trial: Trial, best: Floats) -> DialPoint:
    difference = mean_test(trial.crps - best, DM_LAG)
    pits = trial.pits(SCORE)
    covered, of_return = _covered(pits), _covered(trial.pits(ALSO_COVERED))
    low, high = FAIL_COVERAGE
    return DialPoint(
        temperature=trial.temperature,
        top_p=trial.top_p,
        crps=float(trial.crps.mean()),
        worse_by=difference.mean,
        error=difference.error,
        pit_mean=float(pits.mean()),
        coverage=covered,
        return_coverage=of_return,
        holds=low <= covered <= high and abs(float(pits.mean()) - 0.5) < FAIL_MEAN,
    )


def _covered(pits: Floats) -> float:
    return next(one.share for one in central_coverage(pits) if one.level == JUDGED_LEVEL)


def choose_point(trials: Sequence[Trial]) -> tuple[DialPoint, str]:
    """Return the chosen setting, and a note where none holds its promises.

    Distance to the model as trained counts in factors: a temperature of .5 is as far from 1 as 2.
    """
    points = curve(trials)
    holding = [point for point in points if point.holds]
    note = "" if holding else "no setting holds its promises on these origins: the one of least CRPS was taken"
    kept = {(point.temperature, point.top_p) for point in holding or points}
    best = min(
        (trial for trial in trials if (trial.temperature, trial.top_p) in kept),
        key=lambda trial: float(trial.crps.mean()),
    )
    # compared anew with the best of those that may be taken, which need not be the least of the whole curve
    again = [_point(trial, best.crps) for trial in trials if (trial.temperature, trial.top_p) in kept]
    near = [point for point in again if point.worse_by <= (point.error if holding else 0.0)]
    chosen = min(near, key=lambda point: abs(log(point.temperature)) + abs(log(point.top_p)))
    place = (chosen.temperature, chosen.top_p)
    return next(point for point in points if (point.temperature, point.top_p) == place), note


Try = Callable[[float, float], Trial]


def settle(
    section: GeneratorSection,
    history: Candles,
    settings: Settings,
    *,
    cache: Path | None,
    progress: Progress,
    queue: Queue = HERE,
) -> tuple[GeneratorSection, DialSearch | None]:
    """Return a section whose temperature and top_p are numbers, and the search where one was ``auto``."""
    if not isinstance(section, KronosGenerator) or "auto" not in (section.temperature, section.top_p):
        return section, None
    search = search_dial(section, history, settings, cache=cache, progress=progress, queue=queue)
    progress.note(
        f"chosen by calibration on {search.origins} forecasts of {search.horizon} bars: temperature "
        f"{search.temperature:g}, top_p {search.top_p:g}{'; ' + search.note if search.note else ''}"
    )
    chosen = {"temperature": search.temperature, "top_p": search.top_p}
    return section.model_copy(update=chosen), search


def search_dial(
    section: KronosGenerator,
    history: Candles,
    settings: Settings,
    *,
    cache: Path | None,
    progress: Progress,
    queue: Queue = HERE,
) -> DialSearch:
    """Choose what is ``auto`` in a section, on rolling origins of a history.

    Temperature is searched first, at the given top_p or 1; then top_p, at the chosen temperature. All settings see
    the same origins and the same random numbers. The last future ends before the context begins.

    Args:
        section: temperature, top_p or both are ``auto``.
        history: bars up to the context's end.
        settings: context, horizon, origins and seed; paths are 49.
        cache: folder of finished searches.
        progress: who hears of stages.
        queue: where the forecasts are made.

    Raises:
        SpecError: the horizon is too short to have a volatility.
        DataError: the history has room for fewer than 30 origins.
    """
    section = section.model_copy(update={"volatility": 1.0, "recalibrate": False})  # what is done to paths afterwards
    settings = replace(settings, paths=SEARCH_PATHS, baselines=(), one_step=0)
    history = history.rows(0, max(len(history) - settings.context, 0))  # no future reaches into the context
    origins = _origins(history, settings)
    plain = section.model_copy(update={"temperature": 1.0, "top_p": 1.0})

    def compute() -> DialSearch:
        return _search(section, plain, history, origins, settings, progress, queue)

    if cache is None:
        return compute()
    key = {
        "what": "dial",
        "section": section.model_dump(mode="json"),
        "weights": dict(open_generator(plain).identity),
        "history": history.sha256(),
        "code": VERSION,
        "settings": settings,
        "tried": [TEMPERATURES, TOP_PS],
    }
    return cached(cache, key, DialSearch, compute)


def _origins(history: Candles, settings: Settings) -> Origins:
    if settings.horizon < BY_ID[SCORE].min_bars:
        raise SpecError(
            f"temperature or top_p is auto, and the horizon has {settings.horizon} bars",
            expected=f"at least {BY_ID[SCORE].min_bars}: settings are compared by realised volatility",
            fix="lengthen bars.horizon, or give numbers",
        )
    origins = rolling_origins(len(history), context=settings.context, horizon=settings.horizon, count=settings.origins)
    if len(origins) < FEWEST_JUDGED:
        raise DataError(
            f"temperature or top_p is auto, and the history has room for {len(origins)} forecasts of "
            f"{settings.horizon} bars before the context begins",
            expected=f"at least {FEWEST_JUDGED} to choose by",
            fix="bring a longer history, shorten bars.context, or give numbers",
        )
    return origins


def _search(
    section: KronosGenerator,
    plain: KronosGenerator,
    history: Candles,
    origins: Origins,
    settings: Settings,
    progress: Progress,
    queue: Queue,
) -> DialSearch:
    hot, wide = section.temperature == "auto", section.top_p == "auto"
    steps = len(origins) * ((len(TEMPERATURES) + 2 if hot else 1) + (len(TOP_PS) - 1 if wide else 0))
    with progress.stage("choosing temperature and top_p", steps) as advance:

        def attempt(temperature: float, top_p: float) -> Trial:
            tried = plain.model_copy(update={"temperature": temperature, "top_p": top_p})
            return _try(tried, history, origins, settings, advance, queue)

        top_p = 1.0 if section.top_p == "auto" else section.top_p
        if section.temperature == "auto":
            trials = _along_temperature(attempt, top_p)
        else:
            trials = [attempt(section.temperature, top_p)]
        if wide:
            at, _ = choose_point(trials)
            trials += [attempt(at.temperature, p) for p in TOP_PS if p != top_p]
            chosen, note = choose_point([one for one in trials if one.temperature == at.temperature])
        else:
            chosen, note = choose_point(trials)
    return _result(section, trials, chosen, note, history, origins)


def _along_temperature(attempt: Try, top_p: float) -> list[Trial]:
    """Try a coarse grid, then the middles on both sides of its best."""
    trials = [attempt(temperature, top_p) for temperature in TEMPERATURES]
    best = int(np.argmin([trial.crps.mean() for trial in trials]))
    return trials + [attempt(middle, top_p) for middle in beside(TEMPERATURES, best)]


def beside(grid: Sequence[float], best: int) -> list[float]:
    """Return the middles of a grid's steps on both sides of a place; beyond an end, one step further."""
    low = grid[best - 1] if best else 2 * grid[0] - grid[1]
    high = grid[best + 1] if best + 1 < len(grid) else 2 * grid[-1] - grid[-2]
    inner = [(low + grid[best]) / 2 if best else low, (high + grid[best]) / 2 if best + 1 < len(grid) else high]
    return [round(middle, 3) for middle in inner]


def _try(
    section: KronosGenerator,
    history: Candles,
    origins: Origins,
    settings: Settings,
    advance: Callable[[int], None],
    queue: Queue,
) -> Trial:
    temperature, top_p = section.temperature, section.top_p
    if temperature == "auto" or top_p == "auto":
        raise ValueError("a trial has numbers")
    look = reading((SCORE, ALSO_COVERED))
    kept = observe(open_generator(section), origins.of(history), look, settings, advance, queue)
    return Trial(temperature, top_p, [*kept.seen.values()])


def _result(
    section: KronosGenerator, trials: Sequence[Trial], chosen: DialPoint, note: str, history: Candles, origins: Origins
) -> DialSearch:
    names = [name for name in ("temperature", "top_p") if getattr(section, name) == "auto"]
    return DialSearch(
        searched=", ".join(names),
        temperature=chosen.temperature,
        top_p=chosen.top_p,
        points=curve(trials),
        rule=RULE,
        note=note,
        origins=len(trials[0].observations),
        first=history.timestamps[origins.rows[0] - 1].isoformat(),
        last=history.timestamps[origins.rows[-1] + origins.horizon - 1].isoformat(),
        horizon=origins.horizon,
        paths=SEARCH_PATHS,
    )
