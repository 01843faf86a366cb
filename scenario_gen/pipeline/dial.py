"""``temperature: auto`` and ``top_p: auto``: settings tried on the bars before the context, and one chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scenario_gen import __version__
from scenario_gen.errors import DataError, SpecError
from scenario_gen.forecasts.dial import ALSO_COVERED, RULE, SCORE, DialPoint, DialSearch, Trial, choose_point, curve
from scenario_gen.forecasts.harness import Settings, observe, reading
from scenario_gen.forecasts.numbers import BY_ID
from scenario_gen.forecasts.origins import FEWEST_JUDGED, Origins, rolling_origins
from scenario_gen.generators.base import open_generator
from scenario_gen.generators.sections import GeneratorSection, KronosGenerator
from scenario_gen.market.candles import Candles
from scenario_gen.progress import Progress
from scenario_gen.store.cache import cached

TEMPERATURES = (0.7, 0.85, 1.0, 1.2, 1.45)  # then the middles beside the one of least CRPS
TOP_PS = (1.0, 0.98, 0.95, 0.9, 0.8)
SEARCH_PATHS = 49  # the fair CRPS does not depend on their number; 5 % is then an exact rank of 50

Try = Callable[[float, float], Trial]


def settle(
    section: GeneratorSection, history: Candles, settings: Settings, *, cache: Path | None, progress: Progress
) -> tuple[GeneratorSection, DialSearch | None]:
    """Return a section whose temperature and top_p are numbers, and the search where one was ``auto``."""
    if not isinstance(section, KronosGenerator) or "auto" not in (section.temperature, section.top_p):
        return section, None
    search = search_dial(section, history, settings, cache=cache, progress=progress)
    progress.note(
        f"chosen by calibration on {search.origins} forecasts of {search.horizon} bars: temperature "
        f"{search.temperature:g}, top_p {search.top_p:g}{'; ' + search.note if search.note else ''}"
    )
    chosen = {"temperature": search.temperature, "top_p": search.top_p}
    return section.model_copy(update=chosen), search


def search_dial(
    section: KronosGenerator, history: Candles, settings: Settings, *, cache: Path | None, progress: Progress
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

    Raises:
        SpecError: the horizon is too short to have a volatility.
        DataError: the history has room for fewer than 30 origins.
    """
    settings = replace(settings, paths=SEARCH_PATHS, baselines=(), one_step=0)
    history = history.rows(0, max(len(history) - settings.context, 0))  # no future reaches into the context
    origins = _origins(history, settings)
    plain = section.model_copy(update={"temperature": 1.0, "top_p": 1.0})

    def compute() -> DialSearch:
        return _search(section, plain, history, origins, settings, progress)

    if cache is None:
        return compute()
    key = {
        "what": "dial",
        "section": section.model_dump(mode="json"),
        "weights": dict(open_generator(plain).identity),
        "history": history.sha256(),
        "code": __version__,
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
) -> DialSearch:
    hot, wide = section.temperature == "auto", section.top_p == "auto"
    steps = len(origins) * ((len(TEMPERATURES) + 2 if hot else 1) + (len(TOP_PS) - 1 if wide else 0))
    with progress.stage("choosing temperature and top_p", steps) as advance:

        def attempt(temperature: float, top_p: float) -> Trial:
            tried = plain.model_copy(update={"temperature": temperature, "top_p": top_p})
            return _try(tried, history, origins, settings, advance)

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
    section: KronosGenerator, history: Candles, origins: Origins, settings: Settings, advance: Callable[[int], None]
) -> Trial:
    temperature, top_p = section.temperature, section.top_p
    if temperature == "auto" or top_p == "auto":
        raise ValueError("a trial has numbers")
    look = reading((SCORE, ALSO_COVERED))
    kept = observe(open_generator(section), origins.of(history), look, settings, advance)
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
