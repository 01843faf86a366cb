"""Everything that can go wrong before the first path: files, dates, models, strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import pandas as pd

from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy, expand
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.candles.check import CandleRules
from scenario_gen.errors import DataError
from scenario_gen.forecasts.dial import DialSearch, settle
from scenario_gen.forecasts.harness import Settings
from scenario_gen.generators.base import Generator, open_generator
from scenario_gen.generators.sections import GeneratorSection, KronosGenerator
from scenario_gen.kronos.registry import KNOWN_MODELS
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import load_candles
from scenario_gen.market.section import Data
from scenario_gen.progress import Progress
from scenario_gen.reading.places import find_file
from scenario_gen.spec.models import ResolvedScenario, ScenarioSpec

KNOWN_NAMES = frozenset(known.name for known in KNOWN_MODELS)


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared(Ground):
    """One scenario, ready to run: the ground of its context, its future stamps, its generator.

    Its context seeds the generator; paths are judged against its history; ``later`` ends with the horizon.
    """

    calendar: BarCalendar  # where the future stamps come from
    scenario: ResolvedScenario  # the section of the spec
    timestamps: pd.DatetimeIndex  # of the bars to generate
    generator: Generator  # what samples them
    rules: CandleRules  # what every candle is held to, with the thresholds that the history gives
    dial: DialSearch | None = None  # how temperature and top_p were chosen, where the spec says ``auto``

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.name


def override(spec: ScenarioSpec, *, device: str | None, paths: int | None) -> ScenarioSpec:
    """Return the spec with the command line's device and number of paths in every scenario."""
    scenarios = []
    for scenario in spec.scenarios:
        changed = scenario
        if device is not None and isinstance(scenario.generator, KronosGenerator):
            generator = scenario.generator.model_copy(update={"device": device})
            changed = changed.model_copy(update={"generator": generator})
        if paths is not None:
            changed = changed.model_copy(update={"paths": scenario.paths.model_copy(update={"count": paths})})
        scenarios.append(changed)
    return spec.model_copy(update={"scenarios": tuple(scenarios)})


def load_strategies(uses: Sequence[StrategyUse], base: Path, progress: Progress) -> list[LoadedStrategy]:
    """Load every strategy with every parameter set; combinations that a strategy refuses are told.

    Raises:
        StrategyError: a file, class or parameter cannot be used.
    """
    loaded: list[LoadedStrategy] = []
    for use in uses:
        expansion = expand(use, base)
        loaded += expansion.strategies
        if expansion.excluded:
            progress.note(f"{use.use}: {expansion.excluded} combinations do not meet where: {use.where}")
        for dropped in expansion.dropped:
            progress.note(f"left out {dropped.name}: {dropped.reason}")
    return loaded


def prepare(
    scenarios: Sequence[ResolvedScenario], base: Path, progress: Progress, *, kept: Path | None = None
) -> list[Prepared]:
    """Load histories and models, cut contexts and lay out the future stamps of every scenario.

    Args:
        scenarios: of a spec.
        base: the spec's folder.
        progress: who hears of stages and notes.
        kept: folder of finished searches for ``auto`` settings; None keeps none.

    Raises:
        DataError: a history cannot be used or is too short.
        CheckpointError: a model cannot be found or read.
    """
    histories = cache(lambda data: _history(data, base))
    prepared = []
    with progress.stage("reading history and model", len(scenarios)) as advance:
        for scenario in scenarios:
            history, later, calendar = histories(scenario.data)
            context = history.context(scenario.bars.context)
            horizon = scenario.bars.horizon
            came = later.rows(0, min(len(later), horizon))
            settings = Settings.of_run(history, len(context), horizon, scenario.paths.seed)
            found = _beside_the_spec(scenario.generator, base)
            section, dial = settle(found, history, settings, cache=kept, progress=progress)
            generator = open_generator(section, history)
            _tell_unknown_sessions(scenario.name, calendar, horizon, progress)
            _tell_early_end(scenario, context, came, progress)
            rules = CandleRules.of(context, horizon, market=scenario.market, history=history, calendar=calendar)
            ready = Prepared(
                scenario=_settled(scenario, section),
                context=context,
                history=history,
                later=came,
                calendar=calendar,
                bars_per_year=calendar.bars_per_year,
                broker=scenario.broker,
                seed=scenario.paths.seed,
                timestamps=calendar.future(horizon),
                generator=generator,
                rules=rules,
                dial=dial,
            )
            prepared.append(ready)
            advance(1)
    _tell(prepared, progress)
    return prepared


def _history(data: Data, base: Path) -> tuple[Candles, Candles, BarCalendar]:
    """Return the bars up to ``data.end``, the bars after it, and the calendar that both follow."""
    source = data.source or find_file(str(data.file), base) or Path(str(data.file))
    candles = load_candles(
        source,
        name=data.name,
        calendar=data.calendar,
        timezone=data.timezone,
        adjusted=data.adjusted,
        start=data.start,
        volume=data.volume,
        symbol=data.symbol,
        partial=data.partial,
    )
    history, later = candles.split_at(None if data.end is None else pd.Timestamp(data.end))
    if not len(history):
        first, last = (stamp.date().isoformat() for stamp in (candles.timestamps[0], candles.timestamps[-1]))
        raise DataError(
            f"{candles.name} has no bar up to data.end {data.end}",
            expected=f"a date between {first} and {last}",
            fix="move data.end into the history",
        )
    return history, later, BarCalendar.infer(history.timestamps, candles.calendar)


def _beside_the_spec(section: GeneratorSection, base: Path) -> GeneratorSection:
    """Return the section with model and tokenizer folders looked for beside the spec first."""
    if not isinstance(section, KronosGenerator):
        return section
    found = {
        key: str(base / value)
        for key, value in (("model", section.model), ("tokenizer", section.tokenizer))
        if value is not None and value not in KNOWN_NAMES and (base / value).is_dir()
    }
    return section.model_copy(update=found)


def _settled(scenario: ResolvedScenario, section: GeneratorSection) -> ResolvedScenario:
    """Return the scenario with the numbers that were chosen for ``auto``."""
    if not isinstance(section, KronosGenerator):
        return scenario
    chosen = {"temperature": section.temperature, "top_p": section.top_p}
    return scenario.model_copy(update={"generator": scenario.generator.model_copy(update=chosen)})


def _tell_unknown_sessions(name: str, calendar: BarCalendar, horizon: int, progress: Progress) -> None:
    """Say where a declared exchange's calendar ends before the horizon does."""
    known = calendar.known_until(horizon)
    if 0 < known < horizon:
        progress.note(
            f"{name}: {calendar.code} knows the sessions of {known} of {horizon} bars; the rest have no holidays"
        )


def _tell_early_end(scenario: ResolvedScenario, context: Candles, later: Candles, progress: Progress) -> None:
    """Say where the history ends days before ``data.end``: the context is then older than the spec says."""
    end, last = scenario.data.end, context.timestamps[-1].date()
    if end is None or len(later):
        return
    if (day := end.date() if isinstance(end, datetime) else end) > last:
        progress.note(f"{scenario.name}: the history ends on {last}, before data.end {day}")


def _tell(prepared: list[Prepared], progress: Progress) -> None:
    """Pass on what is odd about each history, and about what the spec declares of its market, each note once."""
    by_length = sorted(prepared, key=lambda one: len(one.history))
    flags = {
        (one.history.name, one.history.source, flag.rule): one.history.flag_text(flag)
        for one in by_length  # of several cuts of one history the longest is told
        for flag in (*one.history.flags, *one.rules.misfits)
    }
    for (name, _, _), text in sorted(flags.items()):
        progress.note(f"{name}: {text}")
