"""Everything that can go wrong before the first path: files, dates, models, strategies."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from scenario_gen import __version__
from scenario_gen.backtest.answers import rehearse
from scenario_gen.backtest.engine import bars_of
from scenario_gen.backtest.ground import Ground
from scenario_gen.backtest.loader import LoadedStrategy, expand
from scenario_gen.backtest.metrics import LEAST_YEARS, shortest_horizon
from scenario_gen.backtest.uses import StrategyUse
from scenario_gen.candles.check import CandleRules
from scenario_gen.errors import DataError, SpecError
from scenario_gen.forecasts.dial import DialSearch, settle
from scenario_gen.forecasts.harness import Settings
from scenario_gen.generators.base import Generator, open_generator
from scenario_gen.generators.draws import Draws, plan_blocks
from scenario_gen.generators.sections import BASELINES, GeneratorSection, KronosGenerator, default_section
from scenario_gen.kronos.registry import KNOWN_MODELS
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.load import load_candles
from scenario_gen.market.paths import PathSet
from scenario_gen.market.section import Data
from scenario_gen.progress import Progress
from scenario_gen.reading.places import find_file
from scenario_gen.reading.words import whole
from scenario_gen.spec.models import MAX_BLOCK, MAX_HORIZON, MAX_PATHS, MAX_SEED, ResolvedScenario, ScenarioSpec

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
            _tell_short_paths(scenario.name, horizon, calendar.bars_per_year, progress)
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


def _tell_short_paths(name: str, horizon: int, bars_per_year: float, progress: Progress) -> None:
    """Say where paths are too short for figures per year, and how long they would have to be."""
    if horizon < (shortest := shortest_horizon(bars_per_year)):
        progress.note(
            f"{name}: figures per year (return, volatility, Sharpe, Sortino, Calmar, turnover) are not applicable to "
            f"paths of {horizon} bars, less than {LEAST_YEARS:.1%} of a year; a horizon of {shortest:,} has them"
        )


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


# --- What makes two runs the same run, and what a reader needs to run it again ---


PACKAGES = ("torch", "numpy", "pandas", "scipy", "vectorbt", "vectorbt-rust", "arch", "exchange_calendars")


def identity_of(
    spec: ScenarioSpec, prepared: Sequence[Prepared], strategies: Sequence[LoadedStrategy]
) -> dict[str, str]:
    """Return the hashes that decide every number of a run: spec, data, weights, strategies, code.

    The report's folder and title are left out: they change no number. Each strategy is asked once about bars that are
    no path, so that the files which it opens while it trades are known; see :mod:`scenario_gen.backtest.reads`.
    """
    settings = spec.model_dump(mode="json", exclude={"report", "name"})
    data = [one.history.sha256() + one.later.sha256() for one in prepared]
    generators = [dict(one.generator.identity) for one in prepared]
    files = sorted({str(one.use): one.file.read_bytes() for one in strategies}.items())
    read = _read_by(prepared[0], strategies)
    return {
        "spec": _sha256(json.dumps(settings, sort_keys=True).encode()),
        "data": _sha256("".join(data).encode()),
        "weights": _sha256(json.dumps(generators, sort_keys=True).encode()),
        "strategies": _sha256(b"".join(name.encode() + content for name, content in files) + read),
        "code": __version__,
        "packages": _sha256(json.dumps(versions(), sort_keys=True).encode()),
    }


def _read_by(ground: Prepared, strategies: Sequence[LoadedStrategy]) -> bytes:
    """Return names and sums of everything that the strategies read beside their own files; empty where nothing is."""
    horizon = len(ground.timestamps)
    last = ground.context.values[np.arange(-horizon, 0) % len(ground.context)]
    still = PathSet(
        values=last[None].astype(np.float32),
        fields=tuple(ground.context.fields),
        timestamps=ground.timestamps,
        path_ids=np.zeros(1, dtype=np.int64),
        anchor_close=ground.anchor_close,
    )
    bars = bars_of(ground, still)
    for strategy in strategies:
        rehearse(strategy, bars, ground.broker)
    read = {one.use: one.reads.identity() for one in strategies if len(one.reads.sums) > 1}
    return json.dumps(read, sort_keys=True).encode() if read else b""


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide numbers."""
    found = {"scenario-gen": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def device_of(prepared: Sequence[Prepared]) -> dict[str, str]:
    """Return what the paths were sampled on."""

    def used(key: str, otherwise: str) -> str:
        return ", ".join(sorted({str(one.generator.identity.get(key, otherwise)) for one in prepared}))

    return {"device": used("device", "cpu"), "dtype": used("dtype", "float32"), "machine": platform.machine()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- Paths without a spec: what ``scenario_gen.sample`` does ---


DEFAULT_BLOCK = 512


def sample(
    context: Candles | pd.DataFrame | str,
    *,
    horizon: int,
    paths: int,
    model: str = "nano",
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    tokenizer: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    window: str = "reanchor",
    block: int = DEFAULT_BLOCK,
) -> PathSet:
    """Sample alternative futures of a context.

    Args:
        context: candles whose last bars seed the model; a frame or a file is loaded first. Our own
            checkpoints use the bars that fit their window (``provenance["context_bars"]``), published ones all.
        horizon: bars to generate.
        paths: how many futures.
        model: ``nano``, ``mini``, ``small``, ``base``, a folder, a Hub name, or the kind of a classical generator
            (``scenario_gen.generators.sections.BASELINES``): ``bootstrap``, ``garch``, ... Those that are fitted, such
            as ``garch`` and ``gjr``, are fitted to the whole of the candles given.
        temperature: 1 is the model as trained; lower is calmer, higher is wilder.
        top_p: keep the likeliest tokens up to this probability; below 1 narrows every path.
        top_k: keep the k likeliest tokens; 0 keeps all.
        seed: of the per-path random numbers: path 17 is the same in any number of paths.
        tokenizer: tokenizer for a model that does not bring its own.
        device: ``auto``, ``cpu``, ``cuda``, ...
        dtype: of the products with weights, ``float32`` or ``bfloat16``; ``auto`` is bfloat16 on a GPU.
        window: what to do past the model's window, ``reanchor`` or ``slide``.
        block: paths per matrix product; part of what decides the last digits.

    Returns:
        Raw paths, float32 ``values`` [path, bar, (open, high, low, close, volume, ...)]; volume only where the
        context has it. Not repaired: see :func:`scenario_gen.candles.check_candles`.

    Raises:
        ScenarioError: context, model or a setting cannot be used.
    """
    horizon = whole("horizon", horizon, 1, MAX_HORIZON)
    paths = whole("paths", paths, 1, MAX_PATHS)
    block = whole("block", block, 1, MAX_BLOCK)
    seed = whole("seed", seed, 0, MAX_SEED)
    candles = context if isinstance(context, Candles) else load_candles(context)
    settings = {
        "model": model,
        "tokenizer": tokenizer,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "device": device,
        "dtype": dtype,
        "window": window,
    }
    generator = open_generator(_classical(settings) if model in BASELINES else _section(settings))
    timestamps = BarCalendar.infer(candles.timestamps, candles.calendar).future(horizon)
    return _join(list(_blocks(generator, candles, timestamps, paths, block, seed)))


def _classical(settings: dict[str, Any]) -> GeneratorSection:
    """Return a classical generator's section; what only a Kronos model obeys must not be asked of it."""
    default = {name: field.default for name, field in KronosGenerator.model_fields.items()}
    ignored = [name for name, value in settings.items() if value != default[name]]
    ignored = [name for name in ignored if name not in ("model", "device", "dtype")]
    if ignored:
        raise SpecError(
            f"the {settings['model']} generator knows no {', '.join(ignored)}",
            expected="such settings with a Kronos model only",
        )
    return default_section(settings["model"])


def _section(settings: dict[str, Any]) -> KronosGenerator:
    try:
        return KronosGenerator.model_validate(settings)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors())
        raise SpecError(wrong, fix="see help(scenario_gen.sample)") from None


def _blocks(
    generator: Generator, context: Candles, timestamps: pd.DatetimeIndex, paths: int, size: int, seed: int
) -> Iterator[PathSet]:
    for block in plan_blocks(paths, size):
        whole = generator.sample(context, timestamps, Draws.block(seed, block.start, block.size))
        yield whole.select(whole.path_ids[: block.take])


def _join(parts: list[PathSet]) -> PathSet:
    first = parts[0]
    return PathSet(
        values=np.concatenate([part.values for part in parts]),
        fields=first.fields,
        timestamps=first.timestamps,
        path_ids=np.concatenate([part.path_ids for part in parts]),
        anchor_close=first.anchor_close,
        provenance=first.provenance,
        counts={name: np.concatenate([part.counts[name] for part in parts]) for name in first.counts},
    )
