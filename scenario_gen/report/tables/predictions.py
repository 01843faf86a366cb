"""A prediction as tables: its bands bar by bar, what it says of the end, and how such bands held in the past.

Reads a report, computes nothing.
"""

from __future__ import annotations

import numpy as np

from scenario_gen.forecasts.results import GeneratorCalibration
from scenario_gen.report import numbers
from scenario_gen.report.numbers import Shown, price
from scenario_gen.report.table import Column, Ref, Table, of_texts, show, tabulate
from scenario_gen.report.words import plural
from scenario_gen.stats.ranks import Coverage
from scenario_gen.store.reports import PredictionReport

MOST_ROWS = 8  # of bars that are shown; all are in the frame and in --json
HELD = (("return_1", "Return of the next bar"), ("return_5", "Return over 5 bars"))
BANDS = (0.5, 0.9)  # between the quarters, and between 5 % and 95 %: the bands that are drawn


def prediction_tables(report: PredictionReport) -> list[Table]:
    """Return what a prediction says, then how such predictions held, where that was asked."""
    tables = [bands_table(report), end_table(report)]
    return tables if report.calibration is None else [*tables, held_table(report)]


def shown_bars(count: int) -> list[int]:
    """Return the places of the bars that are shown: the first, the last, and some evenly between."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, MOST_ROWS))})


def bands_table(report: PredictionReport) -> Table:
    """Return quantiles of close, high and low, and the share of paths above the last close, at some bars."""
    levels = [*report.bands["close"]]
    heads = [f"{100 * float(level):g}%" if level != "0.5" else "median" for level in levels]
    highs, lows = report.bands["high"], report.bands["low"]
    rows = [
        (
            report.timestamps[bar].replace("T00:00:00", "").replace("T", " "),
            str(bar + 1),
            *(price(report.bands["close"][level][bar]) for level in levels),
            numbers.percent(report.rise_by_bar[bar]),
            price(highs["0.95"][bar]),
            price(lows["0.05"][bar]),
        )
        for bar in shown_bars(len(report.timestamps))
    ]
    columns = [Column("Bar", left=True), Column("no."), *map(Column, heads), Column("above last close")]
    ends = (Column("95% of the high"), Column("5% of the low"))
    caption = (
        f"Quantiles of the close over {numbers.count(report.paths)} paths, bar by bar; stamps: {report.calendar}. "
        "The median of each bar is no path that anything would follow."
    )
    return of_texts((*columns, *ends), rows, title=report.title, caption=caption)


def end_table(report: PredictionReport) -> Table:
    """Return the probability of a rise, and mean and quantiles of return and range at the end, with their errors."""
    whole = Ref(report, "")
    rise = numbers.share(report.rise, "rise")
    rows: list[tuple[str, ...]] = [("Probability of a rise", rise.words, "", "", "")]
    for title, key in (("Return", "total_return"), ("Range, high to low", "range")):
        summary = whole.find(key)
        ends = (show(summary.find(f"quantiles/{level}"), "percent").words for level in ("0.05", "0.5", "0.95"))
        rows.append((title, show(summary.find("mean"), "percent").words, *ends))
    heads = (Column("", left=True), *map(Column, ("mean", "5%", "median", "95%")))
    many = plural(len(report.timestamps), "bar")
    return of_texts(
        heads,
        rows,
        title=f"After {many}",
        caption="[95 % interval of the Monte Carlo error]: of these paths, which says nothing of the model's own.",
    )


def held_table(report: PredictionReport) -> Table:
    """Return how often what came lay inside such bands at past origins, and the label of the calibration.

    Raises:
        ValueError: the prediction was not held to account.
    """
    if report.calibration is None:
        raise ValueError("no calibration was made")
    calibration = report.calibration.calibration
    ours, horizon = calibration.generator, calibration.horizon
    names = [*HELD, ("return_h", f"Return over {plural(horizon, 'bar')}")]
    held = [(title, *_ranked(ours, name)) for name, title in names]
    held.append((f"All {plural(horizon, 'bar')} of a path at once", ours.band, "not judged alone"))
    columns = [
        Column(f"In the {100 * level:g}% band", lambda row, level=level: _share(row[1], level))  # type: ignore[misc]
        for level in BANDS
    ]
    judged = f"Of all numbers of a path, {ours.label}: {ours.reason}"
    span = f"{len(calibration.origins)} forecasts of {plural(horizon, 'bar')} in the past of {calibration.instrument}"
    return tabulate(
        "Share of forecasts",
        [*columns, Column("label", lambda row: row[2])],
        [row for row in held if row[1]],
        lambda row: row[0],
        title=f"How such bands held: {ours.label}",
        caption=f"{span}; [95 % interval]. {judged}. Training data: {ours.contamination.reason}.",
    )


def _ranked(ours: GeneratorCalibration, name: str) -> tuple[list[Coverage], str]:
    """Return the coverages of a number of a path, and its label; none where the forecasts are too short for it."""
    return next(((each.coverage, each.label) for each in ours.functionals if each.functional == name), ([], ""))


def _share(coverages: list[Coverage], level: float) -> Shown:
    band = next((each for each in coverages if each.level == level), None)
    if band is None:
        return Shown(numbers.NOT_APPLICABLE)
    ends = f"[{numbers.fixed(100 * band.low, 0)}, {numbers.fixed(100 * band.high, 0)}]"
    return Shown(numbers.percent(band.share), ends, band.share, "percent")


def prediction_lines(report: PredictionReport) -> list[str]:
    """Return what a reader must know: candles, the calibration or why there is none, warnings."""
    candles = report.candles
    odd = "".join(f"; {rule.title}: {rule.paths} paths" for rule in candles.odd_rules)
    lines = [
        f"candles {candles.label}: {candles.repaired} of {candles.paths} paths were repaired, "
        f"{candles.rejected} left out{odd}"
    ]
    if report.calibration is None:
        lines.append(f"NOT HELD TO ACCOUNT on this history: {report.uncalibrated}")
    else:
        lines += report.calibration.calibration.notes
    return [*lines, *(f"warning: {text}" for text in report.warnings)]
