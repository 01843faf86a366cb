"""One named path bar by bar: candles with fills, exposure and equity, as a static picture.

Owns the picture and the window it shows on long horizons. Does not choose the paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from scenario_gen.report.charts import Box, Chart, Panel, Point, bar_ticks, spread
from scenario_gen.report.numbers import count, level, percent, price
from scenario_gen.report.strips import nice_ticks
from scenario_gen.store.results import ContextView, NamedPath

CONTEXT_BARS = 24
MOST_BARS = 260
WIDTH, HEIGHT = 940, 420
LEFT, RIGHT = 56.0, 930.0


def window(path: NamedPath) -> tuple[int, int]:
    """Return the first and last bar shown: all of them, or 260 around the deepest drawdown."""
    bars = len(path.close)
    if bars <= MOST_BARS:
        return 0, bars
    peak, trough = _deepest(path.equity)
    middle = max((peak + trough) // 2 - MOST_BARS // 2, trough + 10 - MOST_BARS, 0)  # the trough is always inside
    start = min(middle, bars - MOST_BARS)
    return start, start + MOST_BARS


def named_path(path: NamedPath, context: ContextView) -> Markup:
    """Draw a named path after the last bars of its context."""
    start, stop = window(path)
    before = min(CONTEXT_BARS, len(context.close)) if start == 0 else 0
    xlim = (start - before - 0.5, stop - 0.5)
    chart = Chart(WIDTH, HEIGHT)
    _candles(chart, path, context, (start, stop, before), xlim)
    _exposure(chart, path, (start, stop), xlim)
    _equity(chart, path, context, (start, stop), xlim)
    chart.text(LEFT - 7, HEIGHT - 5, "bar", "tick", "end")
    return chart.svg(_aria(path), "figx")


def _candles(
    chart: Chart, path: NamedPath, context: ContextView, rows: tuple[int, int, int], xlim: tuple[float, float]
) -> None:
    start, stop, before = rows
    bars = _bars(path, range(start, stop), range(start, stop))
    past = _bars(context, range(-before, 0), range(len(context.close) - before, len(context.close)))
    shown = past + bars
    low, high = min(bar[3] for bar in shown), max(bar[2] for bar in shown)
    panel = chart.panel((LEFT, 24.0, RIGHT, 250.0), xlim, spread(math.log(low), math.log(high), 0.04))
    if before:
        panel.boxes([(xlim[0], panel.ylim[0], start - 0.5, panel.ylim[1])], "refb")
        panel.text(xlim[0], panel.ylim[1], "context", "tick", dy=-7)
    panel.rows(
        [(math.log(tick), price(tick)) for tick in nice_ticks(math.exp(panel.ylim[0]), math.exp(panel.ylim[1]), 5)]
    )
    panel.text(start - 0.5, panel.ylim[1], f"generated: {path.label}, path {count(path.path_id)}", "ttl", dx=4, dy=-7)
    _candle_shapes(panel, shown)
    _fills(panel, path, (start, stop))


def _bars(source: NamedPath | ContextView, xs: range, rows: range) -> list[tuple[float, float, float, float, float]]:
    return [
        (float(x), source.open[row], source.high[row], source.low[row], source.close[row])
        for x, row in zip(xs, rows, strict=True)
    ]


def _candle_shapes(panel: Panel, bars: Sequence[tuple[float, float, float, float, float]]) -> None:
    least = (panel.ylim[1] - panel.ylim[0]) / 226 / 2  # half a pixel: a bar that closes where it opened stays visible
    up: list[Box] = []
    down: list[Box] = []
    wicks: list[Box] = []
    for x, opened, high, low, closed in bars:
        bottom, top = math.log(min(opened, closed)), math.log(max(opened, closed))
        box = (x - 0.34, bottom - least, x + 0.34, top + least)
        (up if closed >= opened else down).append(box)
        wicks += [(x, math.log(high), x, top), (x, bottom, x, math.log(low))]
    panel.segments(wicks, "wick")
    panel.boxes(down, "dn")
    panel.boxes(up, "up")


def _fills(panel: Panel, path: NamedPath, rows: tuple[int, int]) -> None:
    bought: list[Point] = []
    sold: list[Point] = []
    for trade in path.trades:
        long = trade.side == "long"
        (bought if long else sold).append((trade.entry_bar, trade.entry_price))
        if not trade.open:
            (sold if long else bought).append((trade.exit_bar, trade.exit_price))
    frame = panel.chart.panel((0, 0, WIDTH, HEIGHT), (0, WIDTH), (HEIGHT, 0))
    for fills, up, css in ((bought, 1, "buy"), (sold, -1, "sell")):
        points = [panel.pixel(bar, math.log(at)) for bar, at in fills if rows[0] <= bar < rows[1] and at > 0]
        frame.polygons([[(x, y), (x - 4.5, y + 8 * up), (x + 4.5, y + 8 * up)] for x, y in points], css)


def _exposure(chart: Chart, path: NamedPath, rows: tuple[int, int], xlim: tuple[float, float]) -> None:
    start, stop = rows
    shown = path.exposure[start:stop]
    most = max([1.0, *(abs(value) for value in shown)])
    panel = chart.panel((LEFT, 276.0, RIGHT, 306.0), xlim, (-most, most))
    bars = list(enumerate(shown, start))
    panel.boxes([(x - 0.5, 0, x + 0.5, value) for x, value in bars if value > 0], "exl")
    panel.boxes([(x - 0.5, value, x + 0.5, 0) for x, value in bars if value < 0], "exs")
    panel.segments([(start - 0.5, 0, xlim[1], 0)], "axis")
    chart.text(LEFT, 269.0, f"exposure, up to {level(most)} (above the line long, below short)", "tick")


def _equity(
    chart: Chart, path: NamedPath, context: ContextView, rows: tuple[int, int], xlim: tuple[float, float]
) -> None:
    start, stop = rows
    first = path.equity[0]
    values = [100 * value / first for value in path.equity]
    hold = [100.0, *(100 * close / context.anchor_close for close in path.close)]
    xs = list(range(start - 1, stop))
    peaks, highest = [], -math.inf
    for value in values:
        highest = max(highest, value)
        peaks.append(highest)
    shown = slice(start, stop + 1)
    inside = values[shown] + hold[shown] + peaks[shown]
    panel = chart.panel((LEFT, 330.0, RIGHT, 396.0), xlim, spread(min(inside), max(inside), 0.04))
    panel.rows([(tick, count(tick)) for tick in nice_ticks(*panel.ylim, 3)])
    panel.area(xs, values[shown], peaks[shown], "dda")
    panel.line(xs, hold[shown], "ln kref dash")
    panel.line(xs, values[shown], "ln ki")
    panel.base(bar_ticks(start, stop - 1, 9))
    text = "equity, start = 100; dashed: the price itself, held; shaded: below its own peak"
    chart.text(LEFT, 323.0, text, "tick")


def _deepest(equity: Sequence[float]) -> tuple[int, int]:
    peak, best, found = 0, 0.0, (0, 0)
    for bar, value in enumerate(equity):
        if value >= equity[peak]:
            peak = bar
        fall = 1 - value / equity[peak] if equity[peak] > 0 else 0.0
        if fall > best:
            best, found = fall, (peak, bar)
    return found


def _aria(path: NamedPath) -> str:
    peak, trough = _deepest(path.equity)
    fall = 1 - path.equity[trough] / path.equity[peak]
    return (
        f"Candles, exposure and equity of {path.strategy} on path {count(path.path_id)} ({path.label}): "
        f"total return {percent(path.total_return)}, deepest drawdown {percent(fall)} from bar {peak} to bar {trough}, "
        f"{count(len(path.trades))} trades."
    )
