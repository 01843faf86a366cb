"""The whole of a ranking: read the universe, rank every date, say what that is worth, trade it, and write it down."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scenario_gen.errors import DataError, StoreError
from scenario_gen.execute.queue import Queue, in_order
from scenario_gen.execute.section import open_queue, place_of
from scenario_gen.files import locked, user_path
from scenario_gen.generators.base import Generator
from scenario_gen.generators.sections import open_generator
from scenario_gen.pipeline.rank import worth as judged
from scenario_gen.pipeline.rank.config import RankConfig, RankSettings, load_config
from scenario_gen.pipeline.rank.signals import DateSignals, DateWork, Unit, ranking_places, same_signals
from scenario_gen.pipeline.rank.together import together
from scenario_gen.pipeline.rank.universe import Universe, UniversePanel, open_universe, read_panel
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.store.ranking import KEPT_DATES, RESULT, BesideBenchmark, RankRun, Traded, write_ranking
from scenario_gen.values import cached
from scenario_gen.version import VERSION

SHOWN_TOP = 100


def rank(
    config: str | Path | Mapping[str, Any],
    *,
    folder: str | Path | None = None,
    universe: Universe | None = None,
    overwrite: bool = False,
    on: str | None = None,
    progress: Progress | None = None,
) -> RankRun:
    """Rank many instruments by paths sampled from each, and say what the ranking is worth.

    At each date every instrument's context is continued by many paths; what a signal says of their returns orders
    the instruments. Information coefficients hold that against what came; a portfolio of the top names is traded
    beside equal parts of all. Writes index.html, rank.json and signals.parquet. Finished dates are kept: a call that
    was interrupted goes on when it is made again.

    Args:
        config: YAML file, or a mapping with its keys.
        folder: where all goes, instead of the config's.
        universe: histories of your own, instead of the config's; see ``pipeline.rank.universe.Universe``.
        overwrite: replace another config's ranking in the folder.
        on: where dates are ranked, instead of ``execute``: processes:4, ray.
        progress: who hears of stages; default: nobody.

    Raises:
        SpecError: the config is wrong.
        DataError: histories cannot be used.
        StoreError: the folder has another ranking, or cannot be written.
    """
    from scenario_gen.report.tables.rank import write_rank_page

    loaded, heard = load_config(config), progress or SilentProgress()
    place = user_path(folder) if folder is not None else loaded.folder
    with locked(place, "a ranking", "give another --folder"):
        _refuse_other(place, loaded, overwrite=overwrite)
        with open_queue(place_of(on) if on is not None else loaded.settings.execute) as queue:
            ranking, signals = _study(loaded, universe or open_universe(loaded), place, heard, queue)
        write_ranking(ranking, signals, place)
        write_rank_page(ranking, place)
    return ranking


def _refuse_other(folder: Path, config: RankConfig, *, overwrite: bool) -> None:
    path = folder / RESULT
    if overwrite or not path.is_file():
        return
    try:
        kept = json.loads(path.read_bytes())["config_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        kept = "unknown"
    if kept != config.sha256:
        raise StoreError(
            f"{folder} holds the ranking of another config",
            expected="a folder of its own, or that of the same config",
            fix="give another --folder, or --overwrite",
        )


@dataclass(frozen=True, eq=False)
class _Keeping:
    """A date's ranking as kept in the folder, or made and kept."""

    work: DateWork
    folder: Path

    def __call__(self, unit: Unit) -> DateSignals:
        return cached(self.folder, self.work.key(unit), DateSignals, lambda: self.work(unit))


def _study(
    config: RankConfig, universe: Universe, folder: Path, progress: Progress, queue: Queue
) -> tuple[RankRun, pd.DataFrame]:
    began, settings = time.monotonic(), config.settings
    panel = read_panel(universe, None, progress)
    dates = settings.dates
    places = ranking_places(panel, dates.start, dates.end, dates.every, settings.context)
    generator = open_generator(config.generator)
    work = DateWork(
        generator, panel, settings.context, settings.horizon, settings.paths, settings.seed, settings.signals
    )
    units = [Unit(number, place) for number, place in enumerate(places)]
    progress.note(f"{len(panel.names)} instruments, {len(places)} dates, {settings.paths} paths of each at each")
    ranked: dict[int, DateSignals] = {}
    with progress.stage("ranking", len(units)) as advance:
        answers = in_order(queue.answers(_Keeping(work, folder / KEPT_DATES), units))
        for unit, kept in zip(units, answers, strict=True):
            ranked[unit.place] = kept
            advance(1)
    again = _again(universe, work, ranked, units, settings, progress)
    signals = judged.as_arrays(panel, ranked, len(settings.signals))
    ranking = _ranking(config, universe, panel, ranked, signals, again, generator)
    ranking = _with_joint_paths(ranking, panel, signals, generator, settings, progress)
    return replace(ranking, seconds=round(time.monotonic() - began, 1)), judged.signal_frame(panel, signals, settings)


def _ranking(
    config: RankConfig,
    universe: Universe,
    panel: UniversePanel,
    ranked: Mapping[int, DateSignals],
    signals: judged.Signals,
    again: Mapping[str, Mapping[str, str]],
    generator: Generator,
) -> RankRun:
    """Return all that came of it, but for the seconds it took."""
    settings = config.settings
    rows, values = judged.ranked_dates(panel, signals, settings), judged.worth_of(panel, signals, settings)
    portfolio, benchmarks, compared, bars = _traded(config, panel, signals)
    return RankRun(
        name=settings.name,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        version=VERSION,
        config=config.text,
        config_sha256=config.sha256,
        generator=dict(generator.identity),
        universe=universe.note,
        instruments=len(panel.names),
        left_out=panel.left_out,
        omitted={name: why for kept in ranked.values() for name, why in kept.omitted.items()},
        signal=settings.signal,
        context=settings.context,
        horizon=settings.horizon,
        every=settings.dates.every,
        paths=settings.paths,
        seed=settings.seed,
        dates=rows,
        worth=values,
        decay=judged.decay_of(panel, signals, settings),
        top=_best(list(ranked.values())[-1], settings.signals.index(settings.signal)),
        bars=bars,
        portfolio=portfolio,
        benchmarks=benchmarks,
        beside=compared,
        findings=[
            judged.judge_foresight(again, len(again), settings.signal),
            *judged.judge(settings, universe, panel, rows, values),
        ],
        notes=_notes(panel, ranked, generator.trained_until, settings),
        seconds=0.0,
    )


def _with_joint_paths(
    ranking: RankRun,
    panel: UniversePanel,
    signals: judged.Signals,
    generator: Generator,
    settings: RankSettings,
    progress: Progress,
) -> RankRun:
    """Add what the portfolio of the last date may come to; names that cannot be coupled are a note, not an end."""
    if settings.joint is None or settings.portfolio is None:
        return ranking
    place = list(signals)[-1]
    score = signals[place][:, settings.signals.index(settings.signal)]
    with progress.stage("joint paths", 1) as advance:
        try:
            outlook = together(panel, place, score, generator, settings, judged.terms_of(settings.portfolio))
        except DataError as error:
            return replace(ranking, notes=[*ranking.notes, f"no joint paths: {error.problem}"])
        advance(1)
    return replace(ranking, outlook=outlook)


def _best(latest: DateSignals, column: int) -> list[tuple[str, float]]:
    known = [(name, values[column]) for name, values in zip(latest.names, latest.values, strict=True)]
    best = sorted((pair for pair in known if np.isfinite(pair[1])), key=lambda pair: -pair[1])
    return best[:SHOWN_TOP]


def _traded(
    config: RankConfig, panel: UniversePanel, signals: judged.Signals
) -> tuple[Traded | None, list[Traded], list[BesideBenchmark], list[str]]:
    settings = config.settings
    both = judged.accounts(panel, signals, settings)
    if both is None or settings.portfolio is None:
        return None, [], [], []
    ours, equal = both
    per_year, cash, terms = judged.bars_per_year(panel), settings.portfolio.cash, settings.portfolio
    mine = judged.traded(f"top {terms.top}, {terms.drop} exchanged", ours, per_year, cash)
    benchmarks = [judged.traded("equal parts", equal, per_year, cash)]
    if settings.benchmark is not None:
        given = settings.benchmark
        title = given.name or Path(given.file).stem
        benchmarks.append(judged.series(title, given.file, config, panel, ours, per_year))
    compared = [judged.beside(mine, other, ours, per_year) for other in benchmarks]
    first = int(ours.bars[0])
    return mine, benchmarks, compared, [str(panel.dates[bar]) for bar in (first - 1, *ours.bars)]


def _again(
    universe: Universe,
    work: DateWork,
    ranked: Mapping[int, DateSignals],
    units: list[Unit],
    settings: RankSettings,
    progress: Progress,
) -> dict[str, Mapping[str, str]]:
    """Rank some dates again from histories that end at them; return by date how that differs."""
    count = min(settings.guard, len(units))
    chosen = [units[round(number)] for number in np.linspace(0, len(units) - 1, count)] if count else []
    differ: dict[str, Mapping[str, str]] = {}
    with progress.stage("ranking again without later bars", len(chosen)) as advance:
        for unit in chosen:
            stamp = work.panel.dates[unit.place]
            end: date = stamp.date() if stamp == stamp.normalize() else stamp.to_pydatetime()
            cut = read_panel(universe, end)
            mine = DateWork(work.generator, cut, work.context, work.horizon, work.paths, work.seed, work.signals)
            alone = mine(Unit(unit.number, len(cut.dates) - 1))
            differ[str(stamp)] = same_signals(ranked[unit.place], alone)
            advance(1)
    return differ


def _notes(
    panel: UniversePanel, ranked: Mapping[int, DateSignals], trained_until: str | None, settings: RankSettings
) -> list[str]:
    notes = [
        f"realised: from the close of the date over {settings.horizon} bars of the common calendar, by the last close "
        "where an instrument has no bar",
        "orders are decided at the close of a date and filled at the open of the next bar",
    ]
    if panel.left_out:
        notes.append(f"{len(panel.left_out)} of {len(panel.names)} instruments cannot be used and are left out")
    if omitted := sum(len(kept.omitted) for kept in ranked.values()):
        notes.append(f"{omitted} times an instrument was not ranked because the generator refuses its context")
    if dropped := sum(kept.dropped for kept in ranked.values()):
        notes.append(f"{dropped} paths broke a candle rule beyond repair and are left out")
    first = str(panel.dates[next(iter(ranked))])[:10]
    if trained_until == "":
        notes.append("the checkpoint states no dates of its training data: whether it saw these bars is unknown")
    elif trained_until is not None and first <= trained_until[:10]:
        notes.append(f"the model was trained on data up to {trained_until[:10]}: dates before may flatter it")
    return notes
