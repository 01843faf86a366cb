"""Calibrating what a user names: a scenario of a spec, or a history and a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from scenario_gen.errors import SpecError
from scenario_gen.execute.queue import HERE, Queue
from scenario_gen.execute.section import Execute, open_queue, place_of
from scenario_gen.finding import FACTS_BY_ORIGIN, Finding
from scenario_gen.forecasts.calibrate import calibrate as calibrated
from scenario_gen.forecasts.dial import DialSearch, settle
from scenario_gen.forecasts.harness import USUAL_BASELINES, Settings
from scenario_gen.forecasts.judge import label_findings
from scenario_gen.forecasts.origins import PATHS, WANTED, default_horizon, not_as_far
from scenario_gen.forecasts.recalibrate import judged, past_forecasts, recalibration_finding, recalibration_of
from scenario_gen.forecasts.results import Calibration, Recalibration
from scenario_gen.generators.base import Generator
from scenario_gen.generators.sections import BASELINES, GeneratorSection, RecalibrationBudget, open_generator
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import history_of
from scenario_gen.pipeline.opening import named_generator
from scenario_gen.pipeline.prepared import prepare
from scenario_gen.pipeline.study import Stage, tell
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.reading.words import one_of, whole
from scenario_gen.spec import models as bounds
from scenario_gen.spec.loader import LoadedSpec
from scenario_gen.spec.models import BarCounts, ResolvedScenario, override
from scenario_gen.store.folder import calibration_folder
from scenario_gen.store.remote import run_folder
from scenario_gen.store.reports import CalibrationReport, reasons_of, verdicts_of

SAME_ORIGINS = "temperature and top_p were chosen on forecasts of the same time, which flatters them a little"


@dataclass(frozen=True)
class Wishes:
    """What a user may ask of a calibration; None leaves it to the spec, or to the length of the history."""

    context: int | None = None  # bars that each forecast sees
    horizon: int | None = None  # bars ahead
    origins: int = WANTED  # how many at most
    paths: int = PATHS  # of each ensemble
    seed: int | None = None  # of the paths
    baselines: tuple[str, ...] = USUAL_BASELINES  # kinds of generators to compare with
    one_step: int = 0  # forecasts of the next bar's value at risk; 0 for none
    recalibrate: bool = False  # whatever the spec says

    def settings(self, bars: int, context: int, horizon: int, seed: int) -> Settings:
        """Return settings for a history of so many bars, with what the user left open filled in."""
        seen = self.context or context
        return Settings(
            context=seen,
            horizon=self.horizon or default_horizon(bars, seen, horizon, fits=self.recalibrate),
            origins=self.origins,
            paths=self.paths,
            seed=seed if self.seed is None else self.seed,
            baselines=self.baselines,
            one_step=self.one_step,
        )

    def short(self, bars: int, context: int, horizon: int) -> list[str]:
        """Say where the history is too short for the horizon that the user left open; nothing where it was named."""
        return not_as_far(bars, self.context or context, horizon, fits=self.recalibrate) if self.horizon is None else []


@dataclass(frozen=True)
class CalibrationStudy:
    """What a calibration stands on."""

    generator: Generator
    history: Candles  # up to the last bar that may be forecast
    settings: Settings
    dial: DialSearch | None  # the search, where temperature or top_p was ``auto``
    recalibration: Recalibration | None  # what a run would be rescaled by, where the generator is recalibrated
    short: list[str]  # where the history is too short for the horizon, in words
    kept: Path | None  # folder of finished calibrations; None keeps none
    progress: Progress
    queue: Queue  # where forecasts are made


@dataclass(frozen=True)
class Calibrated:
    """What is known of a generator's forecasts: it grows from stage to stage."""

    calibration: Calibration | None = None  # of the generator and its baselines
    recalibration: Recalibration | None = None  # whether the calibration bears it out


def forecast(study: CalibrationStudy, known: Calibrated) -> tuple[Calibrated, list[Finding]]:
    """Let the generator and its baselines forecast the past; judge ranks, value at risk and facts by origin."""
    own, queue = (study.generator, study.history, study.settings), study.queue
    found = calibrated(*own, cache=study.kept, progress=study.progress, queue=queue)
    same = [] if study.dial is None else [SAME_ORIGINS]
    found = replace(found, notes=[*found.notes, *study.short, *same])
    facts = {} if found.facts is None else found.facts.groups
    by_origin = [FACTS_BY_ORIGIN.finding(label, "", part=group) for group, label in facts.items()]
    return replace(known, calibration=found), [*label_findings(found.generator), *by_origin]


def weigh_recalibration(study: CalibrationStudy, known: Calibrated) -> tuple[Calibrated, list[Finding]]:
    """Say whether a recalibrated generator forecasts better than it did as it was."""
    calibration = known.calibration
    assert calibration is not None  # the stage before says so, or raises
    weighed = replace(known, recalibration=judged(study.recalibration, calibration))
    return weighed, [recalibration_finding("", calibration)] if calibration.raw else []


# The story of a calibration.
CALIBRATE: tuple[Stage[CalibrationStudy, Calibrated], ...] = (forecast, weigh_recalibration)


def calibrate_spec(
    loaded: LoadedSpec,
    scenario: str | None,
    wishes: Wishes,
    *,
    device: str | None,
    progress: Progress,
    queue: Queue = HERE,
) -> CalibrationReport:
    """Calibrate one scenario of a spec on the history up to its context's end.

    Finished calibrations are kept in the run folder, and read from there.

    Args:
        loaded: the spec.
        scenario: name of one of its scenarios; None for the first.
        wishes: instead of the spec's numbers.
        device: instead of the spec's.
        progress: who hears of stages.
        queue: where forecasts are made.

    Raises:
        SpecError: there is no such scenario.
        ScenarioError: history or model cannot be used.
    """
    spec = override(loaded.spec, device=device, paths=None)
    scenarios = tuple(_recalibrated(one) for one in spec.scenarios) if wishes.recalibrate else spec.scenarios
    chosen = _named(scenarios, scenario)
    kept = calibration_folder(run_folder(spec.report.folder).path)

    def settings_for(asked: ResolvedScenario, bars: int) -> Settings:
        return wishes.settings(bars, asked.bars.context, asked.bars.horizon, asked.paths.seed)

    (ready,) = prepare(
        [chosen],
        loaded.base,
        progress,
        kept=kept,
        among=scenarios,
        settings_for=settings_for,
        place=loaded.place,
        queue=queue,
    )
    settings = settings_for(chosen, len(ready.history))
    short = wishes.short(len(ready.history), len(ready.context), len(ready.timestamps))
    study = CalibrationStudy(
        ready.generator, ready.history, settings, ready.dial, ready.recalibration, short, kept, progress, queue
    )
    return _report(study)


def calibrate_history(
    history: Candles, section: GeneratorSection, wishes: Wishes, *, progress: Progress, queue: Queue = HERE
) -> CalibrationReport:
    """Calibrate a generator on a history, up to its last bar; nothing is kept.

    Raises:
        ScenarioError: history or model cannot be used.
    """
    usual = BarCounts()
    settings = wishes.settings(len(history), usual.context, usual.horizon, 0)
    settled, dial = settle(section, history, settings, cache=None, progress=progress, queue=queue)
    budget = RecalibrationBudget() if wishes.recalibrate else settled.recalibration
    past = None
    if budget is not None:
        raw = open_generator(settled.alone())
        past = past_forecasts(raw, history, settings, budget, cache=None, progress=progress, queue=queue)
    generator = open_generator(settled, past=past)
    short = wishes.short(len(history), usual.context, usual.horizon)
    recalibration = recalibration_of(generator, history)
    return _report(CalibrationStudy(generator, history, settings, dial, recalibration, short, None, progress, queue))


def calibrate(
    candles: Candles | pd.DataFrame | str | Path,
    *,
    model: str = "nano",
    temperature: float | str = 1.0,
    top_p: float | str = 1.0,
    context: int | None = None,
    horizon: int | None = None,
    origins: int = WANTED,
    paths: int = PATHS,
    seed: int = 0,
    baselines: Sequence[str] = USUAL_BASELINES,
    one_step: int = 0,
    recalibrate: bool = False,
    adapt: bool = False,
    tokenizer: str | None = None,
    device: str = "auto",
    on: str | None = None,
    progress: Progress | None = None,
) -> CalibrationReport:
    """Let a model forecast the past of a history, beside baselines, and judge its bands: nothing is kept.

    Args:
        candles: the history; a frame or a file is loaded first. All of it may be forecast: cut it before.
        model: as of :func:`scenario_gen.sample`.
        temperature: of the model, or ``auto``: the one whose spread is that of the history.
        top_p: of the model, or ``auto``.
        context: bars that each forecast sees; None is 256.
        horizon: bars ahead; None is 63, or fewer where the history is short.
        origins: forecasts at most; 30 are judged.
        paths: of each forecast.
        seed: of the paths.
        baselines: kinds of classical generators to compare with; none is ().
        one_step: forecasts of the next bar's value at risk; 0 for none.
        recalibrate: judge it recalibrated beside as sampled, on the same forecasts.
        adapt: fit the model's heads to bars before each context, and keep that where it forecasts better.
        tokenizer: for a model that does not bring its own.
        device: ``auto``, ``cpu``, ``cuda``, ...
        on: where forecasts are made: None is here, else such as ``processes:4``.
        progress: who hears of stages.

    Returns:
        Verdicts by their names (``.verdicts``), figures (``.calibration``), reasons; it shows itself in a notebook.

    Raises:
        ScenarioError: history, model or a setting cannot be used; the message says what to do.
    """
    paths, origins = whole("paths", paths, 2, bounds.MAX_ENSEMBLE), whole("origins", origins, 2, bounds.MAX_ORIGINS)
    seed, one_step = whole("seed", seed, 0, bounds.MAX_SEED), whole("one_step", one_step, 0, bounds.MAX_NEXT_BARS)
    if context is not None:
        context = whole("context", context, 32, bounds.MAX_CONTEXT)
    if horizon is not None:
        horizon = whole("horizon", horizon, 1, bounds.MAX_CALIBRATED)
    if unknown := [kind for kind in baselines if kind not in BASELINES]:
        raise SpecError(f"got the baseline {unknown[0]!r}", expected=one_of(BASELINES), fix="correct baselines")
    made = {"model": model, "temperature": temperature, "top_p": top_p, "tokenizer": tokenizer, "device": device}
    section, history = named_generator({**made, "adapt": adapt}), history_of(candles)
    wishes = Wishes(context, horizon, origins, paths, seed, tuple(dict.fromkeys(baselines)), one_step, recalibrate)
    with open_queue(Execute() if on is None else place_of(on)) as queue:
        return calibrate_history(history, section, wishes, progress=progress or SilentProgress(), queue=queue)


def _recalibrated(scenario: ResolvedScenario) -> ResolvedScenario:
    """Return a scenario whose generator is recalibrated; one whose spec says how stays as it is."""
    if scenario.generator.recalibration is not None:
        return scenario
    return scenario.model_copy(update={"generator": scenario.generator.model_copy(update={"recalibrate": True})})


def _named(scenarios: tuple[ResolvedScenario, ...], name: str | None) -> ResolvedScenario:
    for resolved in scenarios:
        if name in (None, resolved.name):
            return resolved
    names = ", ".join(resolved.name for resolved in scenarios)
    raise SpecError(f"the spec has no scenario {name!r}", expected=f"one of {names}")


def _report(study: CalibrationStudy) -> CalibrationReport:
    known, findings = tell(CALIBRATE, study, Calibrated())
    assert known.calibration is not None  # the first stage says so, or raises
    reasons = reasons_of(findings)
    return CalibrationReport(verdicts_of(findings), known.calibration, study.dial, known.recalibration, reasons)
