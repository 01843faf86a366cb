"""What notebooks show of the objects of this package: small tables, and drawings on matplotlib axes.

The tables are those of the terminal and the page; ``table.to_html`` escapes them. The pictures of the page, which carry
no colours and are themed by its CSS, are drawn in ``drawing``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from scenario_gen.errors import CheckError, DataError, StoreError, printable
from scenario_gen.finding import Finding
from scenario_gen.forecasts.results import Calibration
from scenario_gen.market.candles import PRICE_FIELDS, Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.report.numbers import price
from scenario_gen.report.table import Column, Ref, Table, of_texts, place, place_books, to_html
from scenario_gen.report.tables.forecasts import functionals_table
from scenario_gen.report.tables.predictions import shown_bars
from scenario_gen.report.tables.terminal import assets_table, groups_table, results_table, run_table
from scenario_gen.store.reports import AssetsReport, BacktestReport, CheckReport, PredictionReport
from scenario_gen.store.results import StressRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GREY, BLUE, ORANGE = "#222222", "#8a8a8a", "#1f5fa8", "#c8500a"
BANDS = ((0.05, 0.95, 0.16), (0.25, 0.75, 0.30))  # from, to, opacity
TICKS = 6
SHOWN, MOST_LINES = 5, 12  # last bars of a history, and findings
MOST_CANDLES, MOST_PATHS = 250, 40  # that are drawn one by one
COLOURS = {"PASS": BLUE, "FAIL": "#b3261e", "WARN": ORANGE}  # others are grey
DRAWN = ("return_h", "log_volatility", "max_drawdown", "max_run_up", "mean_log_volume")  # of a calibration
BEFORE = 2  # bars of context that are drawn for each bar to come


def html_of(tables: Sequence[Table], lines: Sequence[str] = ()) -> str:
    """Return tables, and lines below them, as HTML without a script, a style sheet or an address."""
    from markupsafe import escape

    told = "".join(f"<li>{escape(printable(line))}</li>" for line in lines)
    return "".join([*map(to_html, tables), f"<ul>{told}</ul>" if told else ""])


def html_of_candles(candles: Candles) -> str:
    """Return name, span, the last bars and the flags of a history."""
    span = f"{candles.timestamps[0]} to {candles.timestamps[-1]}" if len(candles) else "none"
    frame = candles.frame().iloc[-SHOWN:]
    rows = [(str(stamp), *(f"{value:.6g}" for value in values)) for stamp, values in frame.T.items()]
    title = f"{candles.name}: {len(candles):,} bars, {span}"
    heads = (Column("", left=True), *map(Column, candles.fields))
    return html_of([of_texts(heads, rows, title=title, caption=f"The last {len(rows)}. {candles.source}")],
                   candles.flag_texts())  # fmt: skip


def html_of_paths(paths: PathSet) -> str:
    """Return what paths are, and quantiles of their close at some bars."""
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    chosen = shown_bars(paths.horizon) if len(paths) else []
    closes = np.quantile(paths.close.astype(np.float64), levels, axis=0) if len(paths) else np.empty((5, 0))
    rows = [(str(paths.timestamps[bar]), str(bar + 1), *map(price, closes[:, bar])) for bar in chosen]
    made = paths.provenance.get("model") or paths.provenance.get("generator", "given")
    heads = [Column("", left=True), *map(Column, ("bar", "5%", "25%", "median", "75%", "95%"))]
    title = f"{len(paths):,} paths of {paths.horizon:,} bars, {made}, after a close of {price(paths.anchor_close)}"
    weighed = " Every path counts alike here, though these have weights." if paths.weights is not None else ""
    told = f"Quantiles of the close. Fields: {', '.join(paths.fields)}.{weighed}"
    return html_of([of_texts(heads, rows, title=title, caption=told)])


def html_of_run(run: StressRun) -> str:
    """Return the results of a run and the findings that are no PASS, those that fail first."""
    return html_of([run_table(run)], _against(run.findings))


def html_of_backtest(report: BacktestReport) -> str:
    """Return the results of strategies on given paths, and what was found against them."""
    return html_of([results_table(report.strategies)], [*_against(report.findings), *report.notes])


def _against(findings: Sequence[Finding]) -> list[str]:
    """Return what fails, then what warns, in words; how many more there are beyond a dozen."""
    against = sorted((each for each in findings if each.label in ("FAIL", "WARN")), key=lambda each: each.label)
    where = (f"[{each.scenario or each.strategy}]" if each.scenario or each.strategy else "" for each in against)
    lines = [f"{each.label} {each.name} {at}: {each.told}" for each, at in zip(against, where, strict=True)]
    return lines[:MOST_LINES] + ([f"{len(lines) - MOST_LINES} more that fail or warn"] * (len(lines) > MOST_LINES))


def html_of_check(report: CheckReport) -> str:
    """Return the verdicts of a check."""
    rows = [
        (label, group, [member for _, member, _ in report.members(group)], report.reasons[group])
        for group, label in report.verdicts.items()
    ]
    return html_of([groups_table(rows)], report.notes)


def html_of_assets(report: AssetsReport) -> str:
    """Return the verdicts of a check of several assets."""
    labels = {name: asset.verdicts for name, asset in report.assets.items()}
    return html_of([assets_table(labels, report.verdicts, report.reasons)], report.notes)


def html_of_calibration(calibration: Calibration) -> str:
    """Return the numbers of a path that were ranked, with their labels."""
    ours = calibration.generator
    title = f"{ours.name} on {calibration.instrument}: {ours.label}"
    return html_of([functionals_table(Ref(calibration, "").each("generator/functionals"), title)], calibration.notes)


# --- Drawings: time is counted in bars, so that nights and weekends leave no holes ---


def plot_prediction(context: Candles, paths: PathSet, report: PredictionReport, came: Candles, ax: Axes | None) -> Axes:
    """Draw a prediction; see :meth:`scenario_gen.pipeline.given.predict.Prediction.plot`."""
    volume = "volume" in report.bands
    price, below = (ax, None) if ax is not None else _panels(2 if volume else 1)
    before = context.rows(max(len(context) - max(BEFORE * paths.horizon, 20), 0), len(context))
    _fan(price, before, paths, "close", came)
    price.set_ylabel("close")
    held = "not held to account" if report.calibration is None else report.calibration.calibration.generator.label
    price.set_title(f"{report.title}\ncalibration: {held}", fontsize="medium", loc="left", parse_math=False)
    price.legend(loc="best", frameon=False, fontsize="small")
    if below is not None:
        _fan(below, before, paths, "volume", came)
        below.set_ylabel("volume")
        below.set_ylim(bottom=0)
    _stamps(below or price, before.timestamps.append(paths.timestamps), len(before))
    return price


def _panels(count: int) -> tuple[Axes, Axes | None]:
    from matplotlib import pyplot as plt

    heights = {"height_ratios": [3, 1][:count]}
    figure, axes = plt.subplots(
        count, 1, figsize=(9, 5.4 if count == 2 else 4.2), sharex=True, squeeze=False, gridspec_kw=heights,
        layout="constrained",
    )  # fmt: skip
    del figure
    return axes[0, 0], axes[1, 0] if count == 2 else None


def _fan(ax: Axes, before: Candles, paths: PathSet, field: str, came: Candles) -> None:
    """Draw the context, the median and the bands of a field, and what came; bar 0 is the context's last."""
    known = before.column(field)
    start = [float(known[-1])] if field == "close" else []
    ax.plot(np.arange(1 - len(known), 1), known, color=INK, linewidth=1.1, label="history")
    _bands(ax, paths, field, start)
    places = paths.timestamps.get_indexer(came.timestamps)
    if len(came) and (places >= 0).any():
        kept = places >= 0
        x = np.concatenate((np.zeros(len(start)), places[kept] + 1))
        ax.plot(x, [*start, *came.column(field)[kept]], color=ORANGE, linewidth=1.1, label="what came")
    ax.axvline(0, color=GREY, linewidth=0.6)
    _light(ax)


def _bands(ax: Axes, paths: PathSet, field: str, start: list[float]) -> None:
    """Draw median and bands of a field, from ``start`` at bar 0 where it is the same for all paths."""
    values, bars = paths.column(field).astype(np.float64), np.arange(1 - len(start), paths.horizon + 1)
    for low, high, alpha in BANDS:
        below, above = (np.concatenate((start, np.quantile(values, level, axis=0))) for level in (low, high))
        label = f"{100 * low:g}% to {100 * high:g}%"
        ax.fill_between(bars, below, above, color=BLUE, alpha=alpha, linewidth=0, label=label)
    ax.plot(bars, np.concatenate((start, np.median(values, axis=0))), color=BLUE, linewidth=1.4, label="median")


def _light(ax: Axes, axis: Literal["x", "y"] = "y") -> None:
    ax.grid(axis=axis, color="#e4e4e4", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _stamps(ax: Axes, stamps: pd.DatetimeIndex, before: int) -> None:
    """Write stamps below the bars; the last of ``before`` bars is 0."""
    places = np.unique(np.linspace(0, len(stamps) - 1, TICKS).round().astype(int))
    midnight = bool((stamps == stamps.normalize()).all())
    form = "%Y-%m-%d" if midnight else "%Y-%m-%d\n%H:%M"
    ax.set_xticks(places - before + 1, [stamps[place].strftime(form) for place in places])
    ax.margins(x=0.01)


def plot_candles(candles: Candles, *, ax: Axes | None = None) -> Axes:
    """Draw a history as candles, or as a line where there are too many."""
    ax = _axes(ax)
    x = np.arange(len(candles))
    if len(candles) > MOST_CANDLES:
        ax.plot(x, candles.close, color=INK, linewidth=1.0, label="close")
    else:
        start, high, low, close = (candles.column(name) for name in PRICE_FIELDS)
        colours = np.where(close >= start, BLUE, ORANGE).tolist()
        ax.vlines(x, low, high, color=colours, linewidth=0.9)
        ax.bar(x, np.abs(close - start), bottom=np.minimum(start, close), width=0.7, color=colours)
    ax.set_title(candles.name, loc="left", fontsize="medium", parse_math=False)
    ax.set_ylabel("close" if len(candles) > MOST_CANDLES else "price")
    _light(ax)
    if len(candles):
        _stamps(ax, candles.timestamps, 1)
    return ax


def plot_paths(paths: PathSet, *, field: str = "close", ax: Axes | None = None) -> Axes:
    """Draw median and bands of a field, and the first paths one by one."""
    if field not in paths.fields or not len(paths):
        raise DataError(
            f"{len(paths)} paths with the fields {', '.join(paths.fields)} have no {field!r} to be drawn",
            expected="at least one path, and a field of theirs",
        )
    ax = _axes(ax)
    first = paths.first(MOST_PATHS).column(field).T
    ax.plot(np.arange(1, paths.horizon + 1), first, color=GREY, linewidth=0.4, alpha=0.6)
    _bands(ax, paths, field, [paths.anchor_close] if field == "close" else [])
    ax.set_ylabel(field)
    ax.set_title(f"{len(paths):,} paths of {paths.horizon:,} bars", loc="left", fontsize="medium")
    ax.legend(loc="best", frameon=False, fontsize="small")
    _light(ax)
    _stamps(ax, paths.timestamps, 0)
    return ax


def plot_run(run: StressRun, *, ax: Axes | None = None) -> Axes:
    """Draw the total return of each strategy in each scenario: median, 25 to 75 %, 5 to 95 %."""
    placed = place(run) if run.book is None else place_books(run)
    rows = [
        (f"{scenario.title}: {strategy.title}", strategy.find("metrics/metric=total_return/quantiles").value)
        for scenario in placed
        for strategy in scenario.strategies()
    ]
    if not rows:
        raise StoreError(f"the run {run.name!r} has no strategy to be drawn", expected="a spec with strategies")
    ax = _axes(ax, height=1.2 + 0.32 * len(rows))
    for y, (_, quantiles) in enumerate(rows):
        known = {level: 100 * each.value for level, each in quantiles.items() if each.value is not None}
        for low, high, width in (("0.05", "0.95", 2.0), ("0.25", "0.75", 6.0)):
            if low in known and high in known:
                ax.plot([known[low], known[high]], [y, y], color=BLUE, linewidth=width, solid_capstyle="butt")
        ax.plot([known["0.5"]] if "0.5" in known else [], [y] if "0.5" in known else [], "o", color=INK, markersize=4)
    ax.axvline(0, color=GREY, linewidth=0.6)
    ax.set_yticks(range(len(rows)), [name for name, _ in rows], parse_math=False)
    ax.invert_yaxis()
    ax.set_xlabel("total return, %: median, 25 to 75 %, 5 to 95 % of paths")
    ax.set_title(run.title, loc="left", fontsize="medium", parse_math=False)
    _light(ax, "x")
    return ax


def plot_check(report: CheckReport, *, ax: Axes | None = None) -> Axes:
    """Draw the facts of paths in units of how real windows spread, coloured by label."""
    facts = [
        each for each in report.facts if each.synthetic_mean is not None and each.real_sd and each.real_mean is not None
    ]
    if not facts:
        raise CheckError("no fact of the paths stands beside one of real windows", expected=report.obstacle)
    ax = _axes(ax, height=1.2 + 0.24 * len(facts))
    for y, fact in enumerate(facts):
        middle, spread = float(fact.real_mean or 0.0), float(fact.real_sd or 1.0)
        mean, sd = (float(fact.synthetic_mean or 0.0) - middle) / spread, (fact.synthetic_sd or 0.0) / spread
        colour = COLOURS.get(fact.label or "", GREY)
        ax.plot([mean - sd, mean + sd], [y, y], color=colour, linewidth=1.4)
        ax.plot([mean], [y], "o", color=colour, markersize=4)
    ax.axvspan(-1, 1, color=GREY, alpha=0.15, linewidth=0)
    ax.set_yticks(range(len(facts)), [f"{fact.fact} {fact.label or 'shown'}" for fact in facts], fontsize="small")
    ax.invert_yaxis()
    ax.set_xlabel("paths, mean and deviation, in deviations of real windows from their mean")
    _light(ax, "x")
    return ax


def plot_calibration(calibration: Calibration, *, ax: Axes | None = None) -> Axes:
    """Draw the share of forecasts inside bands beside what the bands promise, with 95 % intervals."""
    ax = _axes(ax)
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, label="as promised")
    drawn = [each for each in calibration.generator.functionals if each.functional in DRAWN and each.coverage]
    for number, each in enumerate(drawn):
        x = [band.level + 0.004 * (number - len(drawn) / 2) for band in each.coverage]
        shares = np.array([band.share for band in each.coverage])
        ends = np.array([[band.share - band.low, band.high - band.share] for band in each.coverage]).T
        ax.errorbar(x, shares, yerr=np.maximum(ends, 0), marker="o", markersize=3, linewidth=1, label=each.title)
    ax.set(xlim=(0.4, 1.0), ylim=(0.0, 1.02), xlabel="band", ylabel="share of forecasts inside")
    ours = calibration.generator
    title = f"{ours.name} on {calibration.instrument}: {ours.label}, {len(calibration.origins)} forecasts"
    ax.set_title(title, loc="left", fontsize="medium", parse_math=False)
    ax.legend(loc="lower right", frameon=False, fontsize="small")
    _light(ax)
    return ax


def _axes(ax: Axes | None, height: float = 4.2) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(9, height), layout="constrained")[1]
