"""Calibration of a generator on the user's own history: forecasts from the past, set beside what came.

Puts the rooms in order: origins before the context's end, ensembles from the generator and from baselines, candle
rules, statistics, value at risk, and the stylized facts by the rank of what came (mode A). A finished calibration is
kept under the hash of all that decides it, so asking again is free.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from scenario_gen import __version__
from scenario_gen.checks.calibration.pit import smallest_mean
from scenario_gen.checks.facts import Bars
from scenario_gen.checks.inference import FactsByOrigin, FactsReport
from scenario_gen.checks.inference.by_origin import MIN_PATHS as FEWEST_RANKED
from scenario_gen.errors import CheckError, DataError
from scenario_gen.forecasts.harness import Forecast, NextBars, Settings, forecasts, generator_label, next_bars
from scenario_gen.forecasts.judge import contamination, judge_generator, with_skills
from scenario_gen.forecasts.numbers import FUNCTIONALS, Scale, untestable
from scenario_gen.forecasts.observe import Observation, observe
from scenario_gen.forecasts.origins import Origins, rolling_origins
from scenario_gen.forecasts.results import Calibration, GeneratorCalibration
from scenario_gen.generators.base import Generator, open_generator
from scenario_gen.generators.sections import default_section
from scenario_gen.market.candles import Candles
from scenario_gen.market.sessions import SessionClock
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.store.cache import cached

Witness = Callable[[Forecast], None]


def unseen(forecast: Forecast) -> None:
    """Look at a forecast and do nothing."""
    del forecast


def calibrate(
    generator: Generator,
    history: Candles,
    settings: Settings,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Calibrate a generator and its baselines on rolling origins of a history.

    Args:
        generator: what is calibrated.
        history: bars up to the end of the run's context: nothing later is looked at.
        settings: how.
        cache: folder of finished calibrations.
        progress: who hears of stages.

    Raises:
        DataError: the history has no room for two origins, or the generator can be run at fewer than two.
        CheckError: the stride is below the horizon, or fewer than two paths.
    """
    if settings.paths < 2:
        raise CheckError(f"an ensemble of {settings.paths} paths", expected="at least 2, better 199")
    origins = rolling_origins(
        len(history), context=settings.context, horizon=settings.horizon, count=settings.origins, stride=settings.stride
    )
    others = [open_generator(default_section(kind)) for kind in settings.baselines]
    others = [one for one in others if one.identity["kind"] != generator.identity["kind"]]
    progress = progress or SilentProgress()

    def compute() -> Calibration:
        return _calibrate([generator, *others], history, origins, settings, progress)

    key = {
        "what": "calibration",
        "generators": [dict(one.identity) for one in (generator, *others)],
        "history": history.sha256(),
        "code": __version__,
        "settings": settings,
    }
    return compute() if cache is None else cached(cache, key, Calibration, compute)


def _calibrate(
    generators: Sequence[Generator], history: Candles, origins: Origins, settings: Settings, progress: Progress
) -> Calibration:
    began = time.monotonic()
    stamps = [history.timestamps[row - 1].isoformat() for row in origins.rows]
    facts = _RankedFacts(history, settings.seed)
    shown = [facts.look, *[unseen] * (len(generators) - 1)]
    tails = [next_bars(one, history, settings, progress) for one in generators]
    ours, *others = [
        _run_and_judge(one, history, origins, settings, tail, witness, progress)
        for one, tail, witness in zip(generators, tails, shown, strict=True)
    ]
    ranked, more = facts.report()
    return Calibration(
        instrument=history.name,
        context=origins.context,
        horizon=origins.horizon,
        stride=origins.stride,
        origins=stamps,
        paths=settings.paths,
        seed=settings.seed,
        smallest_mean=smallest_mean(len(origins)),
        generator=with_skills(ours, others, stamps),
        baselines=others,
        notes=[
            *_notes(generators[0], history, origins, settings),
            *(note for tail in tails for note in tail.notes),
            *more,
        ],
        seconds=round(time.monotonic() - began, 2),
        facts=ranked,
        history_bars=len(history),
    )


class _RankedFacts:
    """Stylized facts of the forecasts that it is shown: mode A, whose yardstick is what came true."""

    def __init__(self, history: Candles, seed: int) -> None:
        self._clock = SessionClock.of(history.timestamps)
        self._found = FactsByOrigin(reference=history, seed=seed)
        self._too_few = 0

    def look(self, forecast: Forecast) -> None:
        """Rank the facts of what came among those of the paths; an ensemble with too few paths is counted only."""
        if len(forecast.paths) < FEWEST_RANKED:
            self._too_few += 1
            return
        paths, real = (Bars.of_paths(one, clock=self._clock) for one in (forecast.paths, forecast.real))
        self._found.add(paths, real)

    def report(self) -> tuple[FactsReport | None, list[str]]:
        """Return the verdicts, None where no origin could be ranked, and what a reader must know of that."""
        lacking = f"stylized facts leave out {self._too_few} origins with fewer than {FEWEST_RANKED} paths"
        return self._found.report() if len(self._found) else None, [lacking] if self._too_few else []


def _run_and_judge(
    generator: Generator,
    history: Candles,
    origins: Origins,
    settings: Settings,
    tail: NextBars,
    witness: Witness,
    progress: Progress,
) -> GeneratorCalibration:
    name = generator_label(generator)
    why = {f.id: untestable(f, history, origins.horizon) for f in FUNCTIONALS}
    asked = [functional for functional, reason in why.items() if not reason]
    observations: list[Observation] = []
    omitted: dict[str, str] = {}
    dropped = 0
    with progress.stage(f"calibrating {name}", len(origins)) as advance:
        for forecast in forecasts(generator, history, origins, settings, omitted):
            rng = np.random.default_rng([settings.seed, forecast.place])
            scale = Scale.of(forecast.context)
            observations.append(observe(forecast.paths, forecast.real, scale, asked, rng))
            witness(forecast)
            dropped += forecast.dropped
            advance(1)
        advance(len(omitted))
    if len(observations) < 2:
        raise DataError(
            f"{name} could be run at {len(observations)} of {len(origins)} origins: {_first(omitted)}",
            expected="at least 2",
            fix="bring another history, or calibrate another generator",
        )
    futures = [history.timestamps[row].isoformat() for row in origins.rows]
    return judge_generator(
        name,
        generator.identity,
        observations,
        {functional: reason for functional, reason in why.items() if reason},
        contamination(generator.trained_until, futures),
        omitted=omitted,
        dropped=dropped,
        seed=settings.seed,
        next_bar=tail.observations,
    )


def _first(omitted: Mapping[str, str]) -> str:
    return next(iter(omitted.values()), "no reason was given")


def _notes(generator: Generator, history: Candles, origins: Origins, settings: Settings) -> list[str]:
    """Say what a reader must know of how this was done."""
    first, last = (history.timestamps[origins.rows[place]].date().isoformat() for place in (0, -1))
    notes = [
        f"{len(origins)} origins from {first} to {last}, {origins.stride} bars apart, {origins.horizon} bars ahead, "
        f"{settings.paths} paths each; nothing after {history.timestamps[-1].date().isoformat()} was looked at"
    ]
    if len(origins) < settings.origins:
        notes.append(f"the history has room for {len(origins)} origins, not for {settings.origins}")
    if generator.identity.get("drift") == "neutral":
        notes.append("drift neutral: every ensemble is rid of its own mean growth, a run's of its pilot's")
    return notes
