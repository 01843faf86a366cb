"""Calibration of a generator, or of given paths, on the user's own history: forecasts of the past beside what came.

Puts the rooms in order: origins before the context's end, ensembles from the generator and from baselines, candle
rules, statistics, value at risk, and the stylized facts by the rank of what came (mode A). A finished calibration is
kept under the hash of all that decides it, so asking again is free.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scenario_gen.errors import CheckError, DataError
from scenario_gen.execute.queue import HERE, Queue
from scenario_gen.forecasts.harness import (
    Forecast,
    NextBars,
    Settings,
    generator_label,
    later_origins,
    next_bars,
    observe,
    reading,
    same,
    ties,
)
from scenario_gen.forecasts.judge import contamination, judge_generator, with_skills
from scenario_gen.forecasts.numbers import Observation, testable
from scenario_gen.forecasts.origins import FEWEST_JUDGED, Origin, Origins, moves, rolling_origins
from scenario_gen.forecasts.results import Calibration, GeneratorCalibration
from scenario_gen.generators.base import Generator, adapting
from scenario_gen.generators.recalibrated import past_of, with_as_sampled
from scenario_gen.generators.sections import default_section, open_generator
from scenario_gen.market.candles import Candles
from scenario_gen.market.inferred import SessionClock
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.realism.bars import BarArrays
from scenario_gen.realism.by_origin import (
    MIN_ORIGINS as FACTS_FROM,
    MIN_PATHS as FEWEST_RANKED,
    FactsByOrigin,
    check_facts_by_origin,
)
from scenario_gen.realism.results import FactsReport
from scenario_gen.stats.ranks import smallest_mean
from scenario_gen.values import cached
from scenario_gen.version import VERSION

NOT_SAID = ""  # what training data the given paths come from
TOO_FEW = (
    "{origins} contexts have what came in the reference: enough to calibrate the paths; stylized facts are judged by "
    f"it from {FACTS_FROM} contexts on, and by windows of history here"
)


def calibrate(
    generator: Generator,
    history: Candles,
    settings: Settings,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    queue: Queue = HERE,
) -> Calibration:
    """Calibrate a generator and its baselines on rolling origins of a history.

    Args:
        generator: what is calibrated.
        history: bars up to the end of the run's context: nothing later is looked at.
        settings: how.
        cache: folder of finished calibrations.
        progress: who hears of stages.
        queue: where the forecasts are made.

    Raises:
        DataError: the history has no room for two origins, or the generator can be run at fewer than two.
        CheckError: the stride is below the horizon, or fewer than two paths.
    """
    if settings.paths < 2:
        raise CheckError(f"an ensemble of {settings.paths} paths", expected="at least 2, better 199")
    origins = rolling_origins(
        len(history), context=settings.context, horizon=settings.horizon, count=settings.origins, stride=settings.stride
    )
    origins = _judged(generator, origins, history)
    others = [open_generator(default_section(kind)) for kind in settings.baselines]
    others = [other for other in others if other.identity["kind"] != generator.identity["kind"]]
    if past_of(generator) is not None:
        generator, raw = with_as_sampled(generator)
        others.insert(0, raw)
    progress = progress or SilentProgress()

    def compute() -> Calibration:
        return _calibrate([generator, *others], history, origins, settings, progress, queue)

    key = {
        "what": "calibration",
        "generators": [dict(one.identity) for one in (generator, *others)],
        "history": history.sha256(),
        "code": VERSION,
        "settings": settings,
    }
    return compute() if cache is None else cached(cache, key, Calibration, compute)


def _judged(generator: Generator, origins: Origins, history: Candles) -> Origins:
    """Return the origins that may be judged; refuse where those that only recalibrate leave hardly any."""
    later, past = later_origins(generator, origins, history), past_of(generator)
    if past is not None and len(later) < 2:
        raise DataError(
            f"{past.first} of {len(past.ends)} forecasts only recalibrate, which leaves {len(later)} to be judged",
            expected=f"at least 2, better {FEWEST_JUDGED}",
            fix="bring a longer history: what is left is recalibrated and not judged",
        )
    return later


def _calibrate(
    generators: Sequence[Generator],
    history: Candles,
    rolling: Origins,
    settings: Settings,
    progress: Progress,
    queue: Queue,
) -> Calibration:
    began = time.monotonic()
    origins = rolling.of(history)
    stamps = [origin.stamp for origin in origins]
    facts = _RankedFacts(history, settings.seed)
    ranked_by = [facts, *[None] * (len(generators) - 1)]
    tails = [next_bars(one, history, settings, progress, queue) for one in generators]
    ours, *others = [
        _run_and_judge(generator, origins, settings, tail, own, progress, queue)
        for generator, tail, own in zip(generators, tails, ranked_by, strict=True)
    ]
    ranked, more = facts.report()
    return Calibration(
        instrument=history.name,
        context=settings.context,
        horizon=settings.horizon,
        stride=rolling.stride,
        origins=stamps,
        paths=settings.paths,
        seed=settings.seed,
        smallest_mean=smallest_mean(len(origins)),
        generator=with_skills(ours, others, stamps),
        baselines=others,
        notes=[
            *_notes(generators[0], history, rolling, settings),
            *(note for tail in tails for note in tail.notes),
            *more,
        ],
        seconds=round(time.monotonic() - began, 2),
        facts=ranked,
        history_bars=len(history),
        raw="" if past_of(generators[0]) is None else others[0].name,
    )


@dataclass(frozen=True, eq=False)
class ForecastSeen:
    """What is kept of a forecast: its numbers, and its bars and those that came, where facts are ranked by them."""

    observation: Observation
    bars: tuple[BarArrays, BarArrays] | None


@dataclass(frozen=True)
class Look:
    """What a worker looks at in a forecast."""

    functionals: tuple[str, ...]
    bars: bool  # whether they are asked for
    clock: SessionClock | None  # that they are measured by, where they are intraday

    def __call__(self, forecast: Forecast, rng: np.random.Generator) -> ForecastSeen:
        """Return the numbers, and the bars of an ensemble with enough paths."""
        observation = reading(self.functionals)(forecast, rng)
        if not self.bars or len(forecast.paths) < FEWEST_RANKED:
            return ForecastSeen(observation, None)
        paths, real = (BarArrays.of_paths(each, clock=self.clock) for each in (forecast.paths, forecast.real))
        return ForecastSeen(observation, (paths, real))


class _RankedFacts:
    """Stylized facts of the forecasts that it is shown: mode A, whose yardstick is what came true."""

    def __init__(self, history: Candles, seed: int) -> None:
        self.clock = SessionClock.of(history.timestamps)
        self._found = FactsByOrigin(reference=history, seed=seed)
        self._too_few = 0

    def take(self, seen: ForecastSeen) -> ForecastSeen:
        """Rank the facts of what came among those of the paths; an ensemble with too few paths is counted only."""
        if seen.bars is None:
            self._too_few += 1
        else:
            self._found.add(*seen.bars)
        return replace(seen, bars=None)

    def report(self) -> tuple[FactsReport | None, list[str]]:
        """Return the verdicts, None where no origin could be ranked, and what a reader must know of that."""
        lacking = f"stylized facts leave out {self._too_few} origins with fewer than {FEWEST_RANKED} paths"
        return self._found.report() if len(self._found) else None, [lacking] if self._too_few else []


def _run_and_judge(
    generator: Generator,
    origins: Sequence[Origin],
    settings: Settings,
    tail: NextBars,
    facts: _RankedFacts | None,
    progress: Progress,
    queue: Queue,
) -> GeneratorCalibration:
    name, history = generator_label(generator), origins[0].history
    asked, silent = testable(history, settings.horizon)
    look = Look(tuple(asked), facts is not None, None if facts is None else facts.clock)
    take = same if facts is None else facts.take
    with progress.stage(f"calibrating {name}", len(origins)) as advance:
        kept = observe(generator, origins, look, settings, advance, queue, take)
    if len(kept.seen) < 2:
        raise DataError(
            f"{name} could be run at {len(kept.seen)} of {len(origins)} origins: {_first(kept.omitted)}",
            expected="at least 2",
            fix="bring another history, or calibrate another generator",
        )
    return judge_generator(
        name,
        generator.identity,
        [seen.observation for seen in kept.seen.values()],
        silent,
        contamination(generator.trained_until, [origin.first for origin in origins]),
        omitted={origins[place].stamp: why for place, why in kept.omitted.items()},
        dropped=kept.dropped,
        seed=settings.seed,
        next_bar=tail.observations,
    )


def _first(omitted: Mapping[int, str]) -> str:
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
    if (past := past_of(generator)) is not None:
        fewest = past.ended_by(history.timestamps[origins.rows[0] - 1 :][:1])[0]
        notes.append(
            f"recalibrated: each forecast by those that had ended before it, {fewest} at least; a run by all "
            f"{len(past.ends)}"
        )
    if (adapted := adapting(generator)) is not None:
        notes.append(adapted.forecasts_in_words(origins.rows))
    if generator.identity.get("drift") == "neutral":
        notes.append("drift neutral: every ensemble is rid of its own mean growth, a run's of its pilot's")
    return notes


def judges_facts(origins: Sequence[object]) -> bool:
    """Return whether stylized facts are judged by what came at these origins: from 40 on."""
    return len(origins) >= FACTS_FROM


def facts_by_origin(forecasts: Sequence[Forecast], before: Candles, seed: int) -> FactsReport:
    """Judge stylized facts by the rank of what came; ``before`` says how to measure, the seed breaks ties."""
    clock = SessionClock.of(before.timestamps)
    pairs = (
        (BarArrays.of_paths(forecast.paths, clock=clock), BarArrays.of_paths(forecast.real, clock=clock))
        for forecast in forecasts
    )
    return check_facts_by_origin(pairs, reference=before, seed=seed)


def calibrate_given(forecasts: Sequence[Forecast], before: Candles, seed: int) -> GeneratorCalibration | None:
    """Judge the numbers of given paths by the rank of what came; None where fewer than two contexts ever moved."""
    given = forecasts[0].paths
    asked, silent = testable(before, given.horizon, volume="volume" in given.fields)
    moving = [one for one in forecasts if moves(one.context, 0, len(one.context))]
    if len(moving) < 2:
        return None
    read = reading(asked)
    return judge_generator(
        "the given paths",
        {},
        [read(forecast, ties(seed, place)) for place, forecast in enumerate(moving)],
        silent,
        contamination(NOT_SAID, [forecast.real.timestamps[0].isoformat() for forecast in moving]),
        omitted={},
        seed=seed,
    )
