"""One step of a live forecast: bars are fetched, paths sampled from the last of them, both logged, the log judged.

Owns the order of the steps, and the waiting between them. A forecast is what its config, its bars and its anchor
decide: a step that is repeated after a kill samples the same paths and enters nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scenario_gen.candles.check import mend_paths
from scenario_gen.errors import DataError, ScenarioError
from scenario_gen.forecasts.numbers import LogPaths, log_realised_volatility
from scenario_gen.generators.base import sample_blocks
from scenario_gen.generators.sections import GeneratorSection, default_section, open_generator
from scenario_gen.live.alerts import conditions_of, tell
from scenario_gen.live.config import LiveConfig, load_live, seconds_of
from scenario_gen.live.judge import drift_finding, judge_log, log_finding, members_of_paths
from scenario_gen.live.log import ForecastLog, LoggedForecast, Taken, reading_log, writing
from scenario_gen.live.page import write_live_page
from scenario_gen.live.promises import keep_promises, watched_strategies
from scenario_gen.live.results import Anomaly, LiveReport, LogReport, MarketState
from scenario_gen.live.state import find_anomalies, market_state, state_findings
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles, Scale, volatility
from scenario_gen.market.opened import fresh_candles_of
from scenario_gen.market.paths import PathSet, joined
from scenario_gen.pipeline.given.predict import Prediction, prediction_of
from scenario_gen.pipeline.opening import DEFAULT_BLOCK, beside_the_spec
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.stats.estimate import Estimate, share
from scenario_gen.values import hash_of

DRAWN = 12  # paths that a page draws one by one
LATE = 20.0  # seconds after a bar's end, in which sources bring it up to date
OWN_ACCOUNT = "the log holds its forecasts to account"
__all__ = ["check_log", "follow", "live", "load_live", "seconds_of", "step"]
SHOWN = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class LiveSample:
    """Paths of one generator from the last bar."""

    sha: str  # of what decides them but for bars and seed
    words: str
    raw: PathSet
    trained_until: str | None  # as of the generator


def live(
    config: LiveConfig | str | Path | Mapping[str, Any],
    *,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> LiveReport:
    """Forecast once: fetch bars, sample from the last one, log both, and judge the log.

    Args:
        config: a live config, its file, or a mapping with its keys.
        progress: who hears of stages.
        now: when it is; default: now. It is noted, and decides nothing.

    Raises:
        ScenarioError: config, bars, model or log cannot be used; the message says what to do.
    """
    config = config if isinstance(config, LiveConfig) else load_live(config)
    with writing(config.log) as log:
        return step(config, log, progress or SilentProgress(), now or datetime.now(UTC))


def follow(
    config: LiveConfig,
    seconds: int,
    hear: Callable[[LiveReport], object],
    tell: Callable[[ScenarioError], object],
    *,
    progress: Progress | None = None,
    wait: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> None:
    """Forecast for ever, at every multiple of so many seconds of the clock, until interrupted.

    A source that fails is told of and asked again the next time; the log stays as it is.

    Args:
        config: a live config.
        seconds: between steps.
        hear: hears of each report.
        tell: hears of bars that could not be had.
        progress: who hears of stages.
        wait: sleeps so many seconds.
        clock: seconds since 1970.

    Raises:
        ScenarioError: model or log cannot be used.
    """
    with writing(config.log) as log:
        while True:
            try:
                hear(step(config, log, progress or SilentProgress(), datetime.fromtimestamp(clock(), UTC)))
            except DataError as error:
                tell(error)
            moment, late = clock(), min(LATE, seconds / 20)
            wait(seconds - (moment - late) % seconds)


def step(config: LiveConfig, log: ForecastLog, progress: Progress, now: datetime) -> LiveReport:
    """Make one step with an open log; see :func:`live`."""
    report = step_from(config, fresh_candles_of(config.data, config.base, progress), log, progress, now)
    sent = tell(report.name, report.made, conditions_of(report), config.settings.alerts, config.told)
    lost = [f"{each.receiver} was not told that {each.alert.text}: {each.problem}" for each in sent if not each.taken]
    report = replace(report, notes=[*report.notes, *lost])
    write_live_page(report, config.folder)
    return report


def step_from(
    config: LiveConfig, history: Candles, log: ForecastLog, progress: Progress, now: datetime, *, replayed: bool = False
) -> LiveReport:
    """Forecast from the last bar of a history that is there; see :func:`live`.

    Args:
        config: a live config.
        history: all bars up to now.
        log: open to write in.
        progress: who hears of stages.
        now: when it is.
        replayed: whether the bars are those of the past, of which none is late.
    """
    settings = config.settings
    if len(history) < settings.context:
        raise DataError(
            f"{history.name} has {len(history)} bars, and a context of {settings.context} was asked for",
            expected="at least as many bars as the context",
            fix="shorten context in the config, or let data.start be earlier",
        )
    moment = now.astimezone(UTC).isoformat(timespec="seconds")
    taken = log.take(history, moment)
    calendar = BarCalendar.infer(history.timestamps, history.calendar)
    stamps = calendar.future(settings.horizon)
    seed = _seed(settings.seed, history.timestamps[-1])
    section = beside_the_spec(config.generator, config.base)
    with progress.stage(f"sampling {settings.paths} paths of {settings.horizon} bars", 1) as advance:
        ours = _sampled(section, history, stamps, settings.paths, settings.context, seed)
        advance(1)
    others, notes = _baselines(config, history, stamps, seed, without=ours.sha)
    forecasts, names = _logged([ours, *others], history, settings.context, seed, moment)
    fresh = log.enter(forecasts, names)
    figures = judge_log(log, ours.sha, ours.words)
    held = (None, OWN_ACCOUNT)
    came = history.rows(len(history), len(history))
    prediction = prediction_of(ours.raw, history, settings.context, section, held, calendar.code, came)
    rise, before = _volatility(prediction.paths, history)
    notes += keep_promises(config, log, ours.sha, prediction.paths, history, calendar)
    strategies, judged = watched_strategies(log, ours.sha)
    state = _state(history, taken, ours, stamps, None if replayed else now)
    return LiveReport(
        name=settings.name,
        source=config.data.place,
        generator=ours.words,
        made=moment,
        forecast=prediction.report,
        rise_in_volatility=rise,
        volatility_before=before,
        log=figures,
        state=state,
        strategies=strategies,
        findings=[log_finding(figures), drift_finding(figures), *state_findings(state), *judged],
        fresh=fresh,
        notes=[*notes, *(f"came with other values than before: {words}" for words in taken.revised)],
        **_shown(prediction),
    )


def check_log(path: Path) -> LogReport:
    """Judge a log as it is; nothing is fetched or sampled.

    Raises:
        StoreError: there is no such log.
    """
    with reading_log(path) as log:
        generators = log.generators("ours")
        logs = [judge_log(log, sha, words) for sha, words in generators.items()]
        strategies, judged = watched_strategies(log, next(iter(generators), ""))
        ours = [judge(figures) for figures in logs[:1] for judge in (log_finding, drift_finding)]
        settings = {key: value for key, value in log.about.items() if key != "watched"}
        return LogReport(logs, [*ours, *judged], settings, strategies)


def _seed(seed: int, anchor: pd.Timestamp) -> int:
    """Return the seed of a forecast: another for every bar, the same whenever it is made."""
    return int(hash_of({"seed": seed, "anchor": anchor.isoformat()})[:14], 16)


def _sampled(
    section: GeneratorSection, history: Candles, stamps: pd.DatetimeIndex, paths: int, context: int, seed: int
) -> LiveSample:
    """Sample a generator, and name what decides its forecasts: section, weights, context and horizon."""
    decided = {"section": section.model_dump(exclude={"device"}), "context": context, "horizon": len(stamps)}
    sha = hash_of({**decided, "identity": dict(open_generator(section).identity)})
    generator = open_generator(section, history)
    block = min(paths, DEFAULT_BLOCK)
    raw = sample_blocks(generator, history.context(context), stamps, seed=seed, count=paths, size=block)
    return LiveSample(sha, section.in_words, joined(list(raw)), generator.trained_until)


def _baselines(
    config: LiveConfig, history: Candles, stamps: pd.DatetimeIndex, seed: int, *, without: str
) -> tuple[list[LiveSample], list[str]]:
    """Return the forecasts of the baselines, and why there is none of some."""
    settings, sampled, notes = config.settings, [], []
    for kind in settings.baselines:
        try:
            each = _sampled(default_section(kind), history, stamps, settings.paths, settings.context, seed)
        except DataError as error:
            notes.append(f"no forecast of the baseline {kind}: {error.problem}")
            continue
        sampled += [each] if each.sha != without else []
    return sampled, notes


def _logged(
    sampled: list[LiveSample], history: Candles, context: int, seed: int, moment: str
) -> tuple[list[LoggedForecast], dict[str, tuple[str, str]]]:
    """Return what the log keeps of forecasts, and what each generator is called; the first is ours."""
    scale = Scale.of(history.context(context))
    at = int(history.timestamps[-1:].as_unit("ns").asi8[0])
    forecasts = []
    for each in sampled:
        kept = mend_paths(each.raw)
        if len(kept) < 2:
            raise DataError(
                f"{len(kept)} of {len(each.raw)} paths of {each.words} are left: the others break a candle rule",
                expected="paths that have prices",
                fix="choose another generator, or a lower temperature",
            )
        ahead = np.asarray(kept.timestamps.as_unit("ns").asi8, dtype=np.int64)
        members = members_of_paths(kept, scale)
        forecasts.append(LoggedForecast(at, each.sha, seed, moment, kept.anchor_close, ahead, members))
    roles = ["ours", *["baseline"] * (len(sampled) - 1)]
    return forecasts, {each.sha: (each.words, role) for each, role in zip(sampled, roles, strict=True)}


def _state(
    history: Candles, taken: Taken, ours: LiveSample, stamps: pd.DatetimeIndex, now: datetime | None
) -> MarketState:
    """Return what the market is like, and what of the bars that entered cannot be trusted.

    Bars without a time zone are on an exchange's clock that nobody named: whether they are late is not asked.
    """
    before = len(history) - taken.entered
    settled = history.timestamps if before < 2 else history.timestamps[:before]
    zone = history.timestamps.tz
    moment = None if now is None or zone is None else pd.Timestamp(now).tz_convert(zone)
    new = 0 if before < 2 else taken.entered
    anomalies = find_anomalies(history, new, BarCalendar.infer(settled, history.calendar), now=moment)
    anomalies += [Anomaly("revised", words.partition(": ")[0], words) for words in taken.revised]
    return market_state(history, len(stamps), stamps[0], ours.trained_until, anomalies)


def _volatility(paths: PathSet, history: Candles) -> tuple[Estimate, float]:
    """Return the share of paths more volatile than as many bars before, and how volatile these were."""
    closes = history.close[-(paths.horizon + 1) :]
    before = float(volatility(closes))
    logs = LogPaths.of(paths, Scale.of(history))
    return share(np.exp(log_realised_volatility(logs)) > before), before


def _shown(prediction: Prediction) -> dict[str, Any]:
    """Return what a page draws: the context and a few paths."""
    context, few = prediction.context, prediction.paths.first(DRAWN)
    fields = [name for name in SHOWN if name in context.fields]
    prices = [name for name in SHOWN[:4] if name in few.fields]
    return {
        "context_stamps": [stamp.isoformat() for stamp in context.timestamps],
        "context_bars": {name: context.column(name).tolist() for name in fields},
        "some_paths": [
            {name: few.column(name)[row].astype(np.float64).tolist() for name in prices} for row in range(len(few))
        ],
    }
