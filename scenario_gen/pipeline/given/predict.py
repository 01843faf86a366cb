"""``scenario-gen predict``: a history continued in many ways, as bands, and how such bands held in its past.

Owns what is read off the paths and what a reader is warned of. Paths are those of ``scenario_gen.sample``, mended as in
a run; the account of past forecasts is that of ``scenario-gen calibrate``, with a small budget.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scenario_gen.candles.account import merge_tallies
from scenario_gen.candles.check import check_candles
from scenario_gen.errors import DataError
from scenario_gen.execute.queue import Queue
from scenario_gen.execute.section import Execute, open_queue, place_of
from scenario_gen.forecasts.judge import contamination
from scenario_gen.forecasts.origins import default_horizon, not_as_far
from scenario_gen.generators.base import Generator, edge_finding
from scenario_gen.generators.sections import GeneratorSection, open_generator
from scenario_gen.market.calendar import BarCalendar
from scenario_gen.market.candles import Candles
from scenario_gen.market.columns import TIME_NAMES, canonical
from scenario_gen.market.load import history_of
from scenario_gen.market.paths import PathSet
from scenario_gen.market.read import read_source
from scenario_gen.market.times import parse_stamps
from scenario_gen.pipeline.given.calibrate import Wishes, calibrate_history
from scenario_gen.pipeline.opening import named_generator, sample
from scenario_gen.progress import Progress, SilentProgress
from scenario_gen.reading.words import whole
from scenario_gen.report.notebook import html_of, plot_prediction
from scenario_gen.report.tables.predictions import prediction_lines, prediction_tables
from scenario_gen.spec.models import MAX_CONTEXT, MAX_HORIZON, MAX_ORIGINS, MAX_PATHS, MAX_SEED
from scenario_gen.stats.estimate import share, summarise_metric
from scenario_gen.store.reports import CalibrationReport, ContextUsed, PredictionReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the bands
CONTEXT, PATHS = 400, 512
ORIGINS, ENSEMBLE = 40, 99  # of the calibration, which is to take seconds


@dataclass(frozen=True, eq=False)
class Prediction:
    """What may come after a history: paths, what is read off them, and what came where that is known."""

    context: Candles  # the bars that the paths continue
    paths: PathSet  # after repair
    report: PredictionReport  # bands, probability of a rise, calibration, warnings: what ``--json`` prints
    came: Candles  # bars after the context, of which nothing was used; may be none

    def frame(self) -> pd.DataFrame:
        """Return the bands, indexed by timestamp: ``close_p5``, .., ``close_p95`` and so on, and ``rise`` [bar].

        ``rise`` is the share of paths whose close is above the last one of the context.
        """
        columns = {
            f"{field}_p{100 * float(level):g}": values
            for field, levels in self.report.bands.items()
            for level, values in levels.items()
        }
        stamps = pd.DatetimeIndex(self.paths.timestamps, name="timestamp")
        return pd.DataFrame({**columns, "rise": self.report.rise_by_bar}, index=stamps)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the context, the bands of close and volume, and what came; return the axes of the close.

        Args:
            ax: where the close is drawn, without volume; None makes a figure with both.
        """
        return plot_prediction(self.context, self.paths, self.report, self.came, ax)

    def _repr_html_(self) -> str:
        return html_of(prediction_tables(self.report), prediction_lines(self.report))


def predict(
    candles: Candles | pd.DataFrame | str | Path,
    *,
    bars: int,
    context: int = CONTEXT,
    model: str = "nano",
    paths: int = PATHS,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    tokenizer: str | None = None,
    device: str = "auto",
    end: str | None = None,
    timestamps: pd.DatetimeIndex | str | Path | None = None,
    origins: int | None = ORIGINS,
    on: str | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Predict the bars after a history, and hold such predictions to account on its past.

    Args:
        candles: the history; a frame or a file is loaded first.
        bars: how many to predict.
        context: bars of the history that seed the model.
        model: as of :func:`scenario_gen.sample`.
        paths: how many futures.
        temperature: 1 is the model as trained; lower is calmer, higher is wilder.
        top_p: keep the likeliest tokens up to this probability; below 1 narrows every band.
        seed: of the per-path random numbers.
        tokenizer: for a model that does not bring its own.
        device: ``auto``, ``cpu``, ``cuda``, ...
        end: the last bar that may be used; bars after it are kept to be shown beside the bands.
        timestamps: of the bars to come, or a file, of which those after the end are taken; None: the calendar's.
        origins: forecasts of the past at most; None leaves the calibration out.
        on: where forecasts of the past are made: None is here, else such as ``processes:4``; it changes no number.
        progress: who hears of stages.

    Raises:
        ScenarioError: history, model or a setting cannot be used; the message says what to do.
    """
    bars, paths = whole("bars", bars, 1, MAX_HORIZON), whole("paths", paths, 1, MAX_PATHS)
    context, seed = whole("context", context, 32, MAX_CONTEXT), whole("seed", seed, 0, MAX_SEED)
    origins = None if origins is None else whole("origins", origins, 2, MAX_ORIGINS)
    progress, place = progress or SilentProgress(), Execute() if on is None else place_of(on)
    made: dict[str, Any] = {"model": model, "temperature": temperature, "top_p": top_p, "device": device}
    section = named_generator(made | {"tokenizer": tokenizer})
    history, came = history_of(candles).split_at(end)
    _refuse_short(history, context)
    asked: dict[str, Any] = {"horizon": bars, "paths": paths, "seed": seed, "context_bars": context}
    with progress.stage(f"sampling {paths} paths of {bars} bars", 1) as advance:
        stamps = _stamps_to_come(timestamps, history, bars)
        raw = sample(history, timestamps=stamps, tokenizer=tokenizer, **asked, **made)
        advance(1)
    with open_queue(place) as queue:
        held = _held_to_account(history, section, bars, context, origins, seed, progress, queue)
    calendar = BarCalendar.infer(history.timestamps, history.calendar).code if stamps is None else "as given"
    return prediction_of(raw, history, context, section, held, calendar, came)


def prediction_of(
    raw: PathSet,
    history: Candles,
    context: int,
    section: GeneratorSection,
    held: tuple[CalibrationReport | None, str],
    calendar: str,
    came: Candles,
) -> Prediction:
    """Return what raw paths say of the bars to come, after repair, with all that a reader must know.

    Args:
        raw: as they were sampled.
        history: bars up to the last that may be used.
        context: bars of it that seeded them.
        section: of the generator.
        held: the account of past forecasts, or why there is none.
        calendar: where the stamps come from.
        came: bars after the history.
    """
    seeding = history.context(context)
    checked = check_candles(raw, seeding, "repair", history=history)
    calibration, why_not = held
    report = PredictionReport(
        context=ContextUsed.of(seeding, len(history) - context),
        generator=section.in_words,
        seed=int(raw.provenance["seed"]),
        calendar=calendar,
        candles=merge_tallies([checked.tally]),
        calibration=calibration,
        uncalibrated=why_not,
        warnings=[*_warnings(open_generator(section), raw, context), *history.flag_texts()],
        **_read_off(checked.paths),
    )
    return Prediction(seeding, checked.paths, report, came)


def _refuse_short(history: Candles, context: int) -> None:
    if len(history) < context:
        raise DataError(
            f"{history.name} has {len(history)} bars, and a context of {context} was asked for",
            expected="a history at least as long as the context; longer ones let its forecasts be judged",
            fix="shorten the context (--context, at least 32), or bring more bars",
        )


def _stamps_to_come(
    given: pd.DatetimeIndex | str | Path | None, history: Candles, bars: int
) -> pd.DatetimeIndex | None:
    """Return the stamps that were given, of a file the first after the history's end; None where none were."""
    if given is None or isinstance(given, pd.DatetimeIndex):
        return given
    table = read_source(Path(given))
    times = [name for name in table.frame.columns if canonical(name) in TIME_NAMES]
    if not times:
        raise DataError(
            f"{table.where} has no time column; it has: {', '.join(map(repr, table.frame.columns[:20]))}",
            expected=f"one of {', '.join(TIME_NAMES)}",
            fix="rename the column that holds the stamps of the bars to come",
        )
    stamps, last = parse_stamps(table.frame[times[0]], table.where), history.timestamps[-1]
    if (stamps.tz is None) == (last.tzinfo is None):
        stamps = stamps[stamps > last]
    if len(stamps) < bars:
        raise DataError(
            f"{table.where} has {len(stamps)} stamps after {last}, and {bars} bars are to be predicted",
            expected="one stamp for each of them",
            fix="predict fewer bars, or leave the stamps to the calendar",
        )
    return stamps[:bars]


def _read_off(paths: PathSet) -> dict[str, Any]:
    """Return what the paths say of the bars to come, by the fields of the report."""
    closes, anchor = paths.close.astype(np.float64), paths.anchor_close
    fields = [name for name in ("close", "high", "low", "volume") if name in paths.fields]
    bands: dict[str, dict[str, list[float]]] = {}
    for name in fields:
        quantiles = np.quantile(paths.column(name).astype(np.float64), LEVELS, axis=0)  # [level, bar]
        bands[name] = {str(level): values.tolist() for level, values in zip(LEVELS, quantiles, strict=True)}
    highest, lowest = (paths.column(name).astype(np.float64) for name in ("high", "low"))
    ranges = (highest.max(axis=1) - lowest.min(axis=1)) / anchor
    return {
        "timestamps": [stamp.isoformat() for stamp in paths.timestamps],
        "paths": len(paths),
        "bands": bands,
        "rise": share(closes[:, -1] > anchor),
        "rise_by_bar": (closes > anchor).mean(axis=0).tolist(),
        "total_return": summarise_metric(closes[:, -1] / anchor - 1, "total_return"),
        "range": summarise_metric(ranges, "range"),
    }


def _held_to_account(
    history: Candles,
    section: GeneratorSection,
    bars: int,
    context: int,
    origins: int | None,
    seed: int,
    progress: Progress,
    queue: Queue,
) -> tuple[CalibrationReport | None, str]:
    """Let the same generator forecast the past of the history; or say why not."""
    if origins is None:
        return None, "not asked for"
    horizon = default_horizon(len(history), context, bars)
    wishes = Wishes(context, horizon, origins, ENSEMBLE, seed, baselines=("bootstrap",))
    try:
        report = calibrate_history(history, section, wishes, progress=progress, queue=queue)
    except DataError as error:
        return None, error.problem
    further = not_as_far(len(history), context, bars)
    calibration = replace(report.calibration, notes=[*report.calibration.notes, *further])
    return replace(report, calibration=calibration), ""


def _warnings(generator: Generator, raw: PathSet, context: int) -> Iterator[str]:
    """Say what makes these paths less than they look."""
    overlap = contamination(generator.trained_until, [raw.timestamps[0].isoformat()])
    if overlap.label == "WARN":
        yield (
            f"the bars to come begin before {overlap.trained_until}, where the model's training data end: it may have "
            "seen them"
        )
    elif overlap.label == "UNTESTABLE":
        yield overlap.reason
    if (seen := raw.provenance.get("context_bars", context)) < context:
        yield f"the model's window holds the last {seen} of the {context} bars of context"
    if (adaptation := raw.provenance.get("adaptation")) is not None:
        yield adaptation["in_words"]
    for finding in edge_finding("", raw.provenance, len(raw)):
        if finding.label != "PASS":
            yield finding.measured
