"""What notebooks show of the objects of this package: small tables, and drawings on matplotlib axes.

The tables are those of the terminal and the page; ``table.to_html`` escapes them. The pictures of the page, which carry
no colours and are themed by its CSS, are drawn in ``drawing``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scenario_gen.market.candles import Candles
from scenario_gen.market.paths import PathSet
from scenario_gen.report.table import Table, to_html
from scenario_gen.store.reports import PredictionReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GREY, BLUE, ORANGE = "#222222", "#8a8a8a", "#1f5fa8", "#c8500a"
BANDS = ((0.05, 0.95, 0.16), (0.25, 0.75, 0.30))  # from, to, opacity
TICKS = 6
BEFORE = 2  # bars of context that are drawn for each bar to come


def html_of(tables: Sequence[Table], lines: Sequence[str] = ()) -> str:
    """Return tables, and lines below them, as HTML without a script, a style sheet or an address."""
    from markupsafe import escape

    told = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return "".join([*map(to_html, tables), f"<ul>{told}</ul>" if told else ""])


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
    price.legend(loc="upper left", frameon=False, fontsize="small")
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
    known, values = before.column(field), paths.column(field).astype(np.float64)
    joined_at = field == "close"
    start = [known[-1]] if joined_at else []
    bars = np.arange(1 - len(start), paths.horizon + 1)
    ax.plot(np.arange(1 - len(known), 1), known, color=INK, linewidth=1.1, label="history")
    for low, high, alpha in BANDS:
        below, above = (np.concatenate((start, np.quantile(values, level, axis=0))) for level in (low, high))
        ax.fill_between(
            bars, below, above, color=BLUE, alpha=alpha, linewidth=0, label=f"{100 * low:g}% to {100 * high:g}%"
        )
    ax.plot(bars, np.concatenate((start, np.median(values, axis=0))), color=BLUE, linewidth=1.4, label="median")
    places = paths.timestamps.get_indexer(came.timestamps)
    if len(came) and (places >= 0).any():
        kept = places >= 0
        x = np.concatenate((np.zeros(len(start)), places[kept] + 1))
        ax.plot(x, [*start, *came.column(field)[kept]], color=ORANGE, linewidth=1.1, label="what came")
    ax.axvline(0, color=GREY, linewidth=0.6)
    _light(ax)


def _light(ax: Axes) -> None:
    ax.grid(axis="y", color="#e4e4e4", linewidth=0.6)
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
