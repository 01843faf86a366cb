"""Recalibration: how a generator erred on past origins, and what it is worth on later ones.

Owns the pass over the origins that a fit is made from, which of the later ones may be judged, and the judgement:
recalibrated beside as sampled, on the same origins, none of which was in the fit that it saw. Never chooses by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scenario_gen.errors import DataError
from scenario_gen.execute.queue import HERE, Queue
from scenario_gen.finding import RECALIBRATION, Finding, Label
from scenario_gen.forecasts.harness import Forecast, Settings, generator_label, observe
from scenario_gen.forecasts.numbers import NO_RANGE
from scenario_gen.forecasts.origins import FEWEST_JUDGED, Origins, rolling_origins
from scenario_gen.forecasts.results import Calibration, Recalibration
from scenario_gen.generators.base import Generator
from scenario_gen.generators.recalibrated import Numbers, PastForecasts, past_numbers, past_of, stretches_of
from scenario_gen.generators.sections import RecalibrationBudget
from scenario_gen.market.candles import Candles, Scale
from scenario_gen.progress import Progress
from scenario_gen.stats.ranks import ScoreSkill
from scenario_gen.values import cached
from scenario_gen.version import VERSION

FIT_PATHS = 99  # of each forecast: mean and deviation of log volatility are then known to a tenth of a deviation
SCORE = "crps_log_volatility"
SURELY_WORSE = 2.0  # Diebold and Mariano's t of any other score


def past_forecasts(
    generator: Generator,
    history: Candles,
    settings: Settings,
    budget: RecalibrationBudget,
    *,
    cache: Path | None,
    progress: Progress,
    queue: Queue = HERE,
) -> PastForecasts:
    """Let a generator forecast the past, and keep of it what a recalibration is fitted to.

    Args:
        generator: as sampled, neither recalibrated nor rid of its drift.
        history: bars up to the end of the run's context: nothing later is looked at.
        settings: context, horizon, seed, and how many origins are to be judged after those that only fit.
        budget: how many origins only fit, and how few are too few.
        cache: folder of finished passes.
        progress: who hears of stages.
        queue: where the forecasts are made.

    Raises:
        DataError: there is room for fewer origins than the budget's fewest, or the generator can be run at fewer.
    """
    sampling = replace(settings, paths=FIT_PATHS, baselines=(), one_step=0)
    wanted = budget.origins + settings.origins
    _require_room(len(history), settings, budget)
    origins = rolling_origins(
        len(history), context=settings.context, horizon=settings.horizon, count=wanted, stride=settings.stride
    )

    def compute() -> PastForecasts:
        return _look_back(generator, history, origins, sampling, budget, progress, queue)

    if cache is None:
        return compute()
    key = {
        "what": "past forecasts",
        "generator": dict(generator.identity),
        "history": history.sha256(),
        "code": VERSION,
        "settings": sampling,
        "budget": budget.model_dump(),
    }
    return cached(cache, key, PastForecasts, compute)


def _require_room(bars: int, settings: Settings, budget: RecalibrationBudget) -> None:
    context, horizon, stride = settings.context, settings.horizon, settings.stride or settings.horizon
    room = max(0, 1 + (bars - context - horizon) // stride)
    if room < budget.fewest:
        needed = context + horizon + stride * (budget.fewest - 1)
        raise DataError(
            f"{bars} bars leave room for {room} forecasts of {horizon} bars to recalibrate on",
            expected=f"at least {budget.fewest} forecasts, which take {needed} bars up to the context's end",
            fix="bring a longer history, shorten the context or the horizon, or do without recalibrate",
        )


def _look_back(
    generator: Generator,
    history: Candles,
    rolling: Origins,
    sampling: Settings,
    budget: RecalibrationBudget,
    progress: Progress,
    queue: Queue,
) -> PastForecasts:
    origins = rolling.of(history)
    ranged = float(np.mean(history.column("high") <= history.column("low"))) <= NO_RANGE

    def look(forecast: Forecast, rng: np.random.Generator) -> Numbers:
        del rng
        scale = Scale.of(forecast.context)
        return Numbers.of(forecast.paths, forecast.real, scale, sampling.horizon, ranged=ranged)

    with progress.stage(f"recalibrating {generator_label(generator)}", len(origins)) as advance:
        kept = observe(generator, origins, look, sampling, advance, queue)
    seen = [*kept.seen.values()]
    if len(seen) < budget.fewest:
        reason = next(iter(kept.omitted.values()), "no reason was given")
        raise DataError(
            f"{generator_label(generator)} could be run at {len(seen)} of {len(origins)} origins: {reason}",
            expected=f"at least {budget.fewest} to recalibrate on",
            fix="bring another history, or do without recalibrate",
        )
    return PastForecasts(
        horizon=sampling.horizon,
        paths=sampling.paths,
        fewest=budget.fewest,
        first=min(budget.origins, max(budget.fewest, len(seen) // 2)),
        ends=[origins[place].last(sampling.horizon) for place in kept.seen],
        stretches=stretches_of(sampling.horizon, ranged=ranged),
        volatility=past_numbers(numbers.volatility for numbers in seen),
        volume=past_numbers(numbers.volume for numbers in seen) if all(numbers.volume for numbers in seen) else [],
        ranged=ranged,
    )


def recalibration_of(generator: Generator, history: Candles, of: str = "") -> Recalibration | None:
    """Return what a run is told of its generator's recalibration; None where there is none.

    Args:
        generator: of the run.
        history: bars up to the context's end.
        of: the scenario whose generator made the forecasts, where that is another.
    """
    past = past_of(generator)
    if past is None:
        return None
    stale = past.ended_by(history.timestamps[-2:])[0] == len(past.ends)
    return Recalibration(
        scaling=past.fitted(len(past.ends)),
        origins=len(past.ends),
        first=past.ends[0],
        last=past.ends[-1],
        horizon=past.horizon,
        paths=past.paths,
        status="stale" if stale else "uncalibrated",
        fitted_on=of,
    )


def judged(recalibration: Recalibration | None, calibration: Calibration) -> Recalibration | None:
    """Return a recalibration with its status after a calibration on origins that did not fit it; stale stays stale."""
    enough = bool(calibration.raw) and len(calibration.origins) >= FEWEST_JUDGED
    if recalibration is None or not enough or recalibration.status == "stale":
        return recalibration
    return replace(recalibration, status="calibrated")


def recalibration_finding(scenario: str, calibration: Calibration) -> Finding:
    """Say what a recalibration was worth on the origins that were judged.

    WARN where the CRPS of log volatility is higher than as sampled, or another score's surely is.
    """
    raw = next(other for other in calibration.baselines if other.name == calibration.raw)
    ours, count = calibration.generator, len(calibration.origins)
    skills = [skill for skill in ours.skills if skill.baseline == raw.name]
    worse = _worse(skills)
    label: Label = "INCONCLUSIVE" if count < FEWEST_JUDGED else "WARN" if worse else "PASS"
    words = [f"{ours.label} recalibrated, {raw.label} as sampled, on the same {count} forecasts"]
    words += [_change(skill) for skill in skills if skill.score == SCORE and skill.skill is not None]
    bands = [one.functional("log_volatility").coverage_at(0.9) for one in (raw, ours)]
    if bands[0] is not None and bands[1] is not None:
        words.append(f"its 90 % band holds {bands[1].share:.0%}, {bands[0].share:.0%} as sampled")
    return RECALIBRATION.finding(label, "; ".join(words), scenario=scenario, offenders=worse)


def _worse(skills: Sequence[ScoreSkill]) -> list[str]:
    certain = {skill.score for skill in skills if skill.t is not None and skill.t > SURELY_WORSE}
    return [
        skill.score
        for skill in skills
        if skill.skill is not None and skill.skill < 0 and (skill.score == SCORE or skill.score in certain)
    ]


def _change(skill: ScoreSkill) -> str:
    t = f" (t {skill.t:.1f})" if skill.t is not None else ""
    return f"CRPS of log volatility {-(skill.skill or 0.0):+.1%}{t}"
