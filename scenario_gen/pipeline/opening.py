"""From a scenario's generator section to a generator: folders beside the spec, searched dials, recalibration.

A scenario that only turns the dials of the base (temperature, top_p, volatility, drift) inherits the base's
recalibration: its own would take out the stress that it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from scenario_gen.forecasts.dial import DialSearch, settle
from scenario_gen.forecasts.harness import Settings
from scenario_gen.forecasts.origins import default_horizon
from scenario_gen.forecasts.recalibrate import past_forecasts, recalibration_of
from scenario_gen.forecasts.results import Recalibration
from scenario_gen.generators.base import Generator, open_generator
from scenario_gen.generators.sections import GeneratorSection, KronosGenerator
from scenario_gen.kronos.registry import KNOWN_MODELS
from scenario_gen.market.candles import Candles
from scenario_gen.progress import Progress
from scenario_gen.spec.models import CalibrationBudget, ResolvedScenario

KNOWN_NAMES = frozenset(known.name for known in KNOWN_MODELS)

SettingsFor: TypeAlias = Callable[[ResolvedScenario, int], Settings]


@dataclass(frozen=True)
class Opened:
    """A scenario's generator, and how it came about."""

    generator: Generator
    section: GeneratorSection  # temperature and top_p are numbers
    dial: DialSearch | None  # how they were chosen, where the spec says ``auto``
    recalibration: Recalibration | None  # where the spec asks for it


@dataclass(frozen=True)
class Opener:
    """Opens the generators of a spec."""

    base: ResolvedScenario | None  # whose recalibration others inherit
    folder: Path  # of the spec
    kept: Path | None  # folder of finished searches and passes; None keeps none
    progress: Progress
    settings_for: SettingsFor  # how forecasts are made that recalibrate a scenario, by the bars of its history

    def open(self, scenario: ResolvedScenario, history: Candles) -> Opened:
        """Open a scenario's generator on its history, which ends with the context.

        Raises:
            DataError: the history is too short for what is asked of it.
            CheckpointError: the model cannot be found or read.
        """
        section, dial = self._settled(scenario, scenario.generator, history)
        budget = section.recalibration
        if budget is None:
            return Opened(open_generator(section, history), section, dial, None)
        source, fitted_on = self._source(scenario, section, history)
        settings = self.settings_for(scenario, len(history))
        past = past_forecasts(
            open_generator(source.alone()), history, settings, budget, cache=self.kept, progress=self.progress
        )
        generator = open_generator(section, history, past)
        return Opened(generator, section, dial, recalibration_of(generator, history, fitted_on))

    def _settled(
        self, scenario: ResolvedScenario, section: GeneratorSection, history: Candles
    ) -> tuple[GeneratorSection, DialSearch | None]:
        settings = Settings.of_run(history, scenario.bars.context, scenario.bars.horizon, scenario.paths.seed)
        return settle(beside_the_spec(section, self.folder), history, settings, cache=self.kept, progress=self.progress)

    def _source(
        self, scenario: ResolvedScenario, section: GeneratorSection, history: Candles
    ) -> tuple[GeneratorSection, str]:
        """Return whose forecasts recalibrate a scenario, and the base's name where these are not its own."""
        base = self.base
        if base is None or base.generator.recalibration is None or not scenario.generator.inherits(base.generator):
            return section, ""
        source, _ = self._settled(scenario, base.generator, history)
        return source, base.name if source.alone() != section.alone() else ""


def base_of(scenarios: Sequence[ResolvedScenario]) -> ResolvedScenario | None:
    """Return the scenario that others are stresses of: named base, else the first with a Kronos model, else the first.

    None where there are baselines only.
    """
    own = [scenario for scenario in scenarios if scenario.role == "scenario"]
    kronos = [scenario for scenario in own if isinstance(scenario.generator, KronosGenerator)]
    return next((scenario for scenario in own if scenario.name == "base"), next(iter(kronos or own), None))


def beside_the_spec(section: GeneratorSection, folder: Path) -> GeneratorSection:
    """Return the section with model and tokenizer folders looked for beside the spec first."""
    if not isinstance(section, KronosGenerator):
        return section
    there = {
        key: str(folder / value)
        for key, value in (("model", section.model), ("tokenizer", section.tokenizer))
        if value is not None and value not in KNOWN_NAMES and (folder / value).is_dir()
    }
    return section.model_copy(update=there)


def calibration_settings(scenario: ResolvedScenario, bars: int) -> Settings:
    """Return how a scenario's generator is calibrated: as the spec says, else by the bars of its history."""
    asked = scenario.checks.calibration
    budget = asked if isinstance(asked, CalibrationBudget) else CalibrationBudget()
    context, fits = scenario.bars.context, scenario.generator.recalibration is not None
    return Settings(
        context=context,
        horizon=budget.horizon or default_horizon(bars, context, scenario.bars.horizon, fits=fits),
        origins=budget.origins,
        paths=budget.paths,
        seed=scenario.paths.seed,
        one_step=budget.one_step,
    )
