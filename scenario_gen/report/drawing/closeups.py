"""One named path bar by bar: candles with fills, exposure and equity, as a static picture.

Owns the picture and the window it shows on long horizons. Does not choose the paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from scenario_gen.backtest.result import NamedPath
from scenario_gen.forecasts.dial import DialPoint, DialSearch
from scenario_gen.forecasts.results import Calibration, FunctionalCalibration
from scenario_gen.report.drawing.charts import Box, Chart, ChartPanel, Point, bar_ticks, spread
from scenario_gen.report.drawing.figures import CURVE_WIDE, Layout
from scenario_gen.report.drawing.strips import nice_ticks
from scenario_gen.report.numbers import count, fixed, level, percent, price
from scenario_gen.store.results import ContextView

CONTEXT_BARS = 24
MOST_BARS = 260
MOST_LINES = 8  # assets of a book in one picture
WIDTH, HEIGHT = 940, 420
LEFT, RIGHT = 56.0, 930.0


def window(path: NamedPath, most: int = MOST_BARS) -> tuple[int, int]:
    """Return the first bar shown and the one after the last: all of them, or ``most`` around the deepest drawdown."""
    bars = len(path.exposure)
    if bars <= most:
        return 0, bars
    peak, trough = _deepest(path.equity)
    middle = max((peak + trough) // 2 - most // 2, trough + 10 - most, 0)  # the trough is always inside
    start = min(middle, bars - most)
    return start, start + most


def outermost(path: NamedPath, rows: tuple[int, int]) -> list[str]:
    """Return the assets of a book whose closes are shown, from the lowest to the highest end: eight at most."""
    ends = sorted(path.closes, key=lambda asset: path.closes[asset][rows[1] - 1] / path.closes[asset][0])
    return ends if len(ends) <= MOST_LINES else [*ends[: MOST_LINES // 2], *ends[-MOST_LINES // 2 :]]


def named_path(path: NamedPath, context: ContextView) -> Markup:
    """Draw a named path after the last bars of its context."""
    start, stop = window(path)
    before = 0 if start or path.closes else min(CONTEXT_BARS, len(context.close))
    xlim = (start - before - 0.5, stop - 0.5)
    chart = Chart(WIDTH, HEIGHT)
    if path.closes:
        _assets(chart, path, (start, stop), xlim)
    else:
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


def _assets(chart: Chart, path: NamedPath, rows: tuple[int, int], xlim: tuple[float, float]) -> None:
    """Draw the closes of several assets, each over its first one of the path; of more than eight, the outermost."""
    start, stop = rows
    shown = outermost(path, rows)
    lines = {
        asset: [math.log(close / path.closes[asset][0]) for close in path.closes[asset][start:stop]] for asset in shown
    }
    every = [value for closes in lines.values() for value in closes]
    panel = chart.panel((LEFT, 24.0, RIGHT - 80, 250.0), xlim, spread(min(every), max(every), 0.04))
    panel.rows([(math.log(tick), percent(tick - 1, signed=True)) for tick in _levels(panel)])
    title = f"{path.label}, path {count(path.path_id)}: closes of the assets, from their first"
    panel.text(start - 0.5, panel.ylim[1], title, "ttl", dx=4, dy=-7)
    for place, asset in enumerate(shown):
        panel.line(range(start, stop), lines[asset], f"ln k{place % 4 + 1}")
        panel.text(stop - 1, lines[asset][-1], asset[:12], "tick", dx=6, dy=4)


def _levels(panel: ChartPanel) -> list[float]:
    return [*nice_ticks(math.exp(panel.ylim[0]), math.exp(panel.ylim[1]), 5)]


def _bars(source: NamedPath | ContextView, xs: range, rows: range) -> list[tuple[float, float, float, float, float]]:
    return [
        (float(x), source.open[row], source.high[row], source.low[row], source.close[row])
        for x, row in zip(xs, rows, strict=True)
    ]


def _candle_shapes(panel: ChartPanel, bars: Sequence[tuple[float, float, float, float, float]]) -> None:
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


def _fills(panel: ChartPanel, path: NamedPath, rows: tuple[int, int]) -> None:
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
    hold = [] if path.closes else [100.0, *(100 * close / context.anchor_close for close in path.close)]
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
    if hold:
        panel.line(xs, hold[shown], "ln kref dash")
    panel.line(xs, values[shown], "ln ki")
    panel.base(bar_ticks(start, stop - 1, 9))
    held = "dashed: the price itself, held; " if hold else ""
    text = f"equity, start = 100; {held}shaded: below its own peak"
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
    shown = "Closes" if path.closes else "Candles"
    return (
        f"{shown}, exposure and equity of {path.strategy} on path {count(path.path_id)} ({path.label}): "
        f"total return {percent(path.total_return)}, deepest drawdown {percent(fall)} from bar {peak} to bar {trough}, "
        f"{count(len(path.trades))} trades."
    )


# --- The figures of a calibration ---


CALIBRATED = (0.80, 0.97)  # shares that count as calibrated for a band of 90 %
SHORT = {
    "return_1": "next bar", "log_range_1": "its range", "return_5": "5 bars", "return_h": "horizon",
    "log_volatility": "volatility", "max_drawdown": "drawdown", "max_run_up": "run-up", "path_range": "range",
    "mean_log_range": "mean range", "acf_log_range": "clustering", "mean_log_volume": "volume",
}  # fmt: skip
NARROW = ("return_1", "return_h", "log_volatility", "max_drawdown", "acf_log_range")
LEVEL = 0.9


def coverage_figure(calibration: Calibration, layout: Layout) -> Markup:
    """Draw how often the 90 % band held what came, by number of the path and generator, with exact 95 % intervals."""
    shown = [one.functional for one in calibration.generator.functionals if one.coverage]
    if layout is not CURVE_WIDE:
        shown = [functional for functional in shown if functional in NARROW]
    generators = (calibration.generator, *calibration.baselines)
    shares = [
        (column, place, band)
        for column, functional in enumerate(shown)
        for place, generator in enumerate(generators)
        if (band := generator.functional(functional).coverage_at(LEVEL)) is not None
    ]
    floor = min([0.6, *(band.low for _, _, band in shares)])
    low = max(0.0, 0.1 * int(10 * floor))
    chart = Chart(layout.width, layout.height)
    box = (46.0, 28.0, float(layout.width - layout.right), layout.height - 40.0)
    panel = chart.panel(box, (-0.6, len(shown) - 0.4), (low, 1.0))
    panel.boxes([(-0.6, CALIBRATED[0], len(shown) - 0.4, CALIBRATED[1])], "r1")
    panel.rows([(tick, level(tick)) for tick in nice_ticks(low, 1.0, 6)])
    panel.segments([(-0.6, LEVEL, len(shown) - 0.4, LEVEL)], "axis")
    panel.base([(float(column), SHORT.get(functional, functional)) for column, functional in enumerate(shown)])
    for place in range(len(generators)):
        bands = [(column + _offset(place, len(generators)), band) for column, at, band in shares if at == place]
        css = "ln k1" if place == 0 else "wick"
        panel.segments([(x, band.low, x, band.high) for x, band in bands], css)
        _markers(panel, [(x, band.share) for x, band in bands], place)
    chart.text(0, 14, "Share of forecasts whose 90% band held what came", "ttl")
    told = "; ".join(
        f"{SHORT.get(functional, functional)} {level(round(band.share, 3))}"
        for functional in shown
        if (band := calibration.generator.functional(functional).coverage_at(LEVEL)) is not None
    )
    return chart.svg(f"Coverage of the 90% band of {calibration.generator.name}: {told}.", layout.css)


def _offset(place: int, generators: int) -> float:
    return 0.18 * (place - (generators - 1) / 2)


def _markers(panel: ChartPanel, points: list[tuple[float, float]], place: int) -> None:
    """Draw a generator's marks: circle, square, diamond, so that they differ without colour."""
    frame = panel.chart.panel(
        (0, 0, panel.chart.width, panel.chart.height), (0, panel.chart.width), (panel.chart.height, 0)
    )
    centres = [panel.pixel(x, y) for x, y in points]
    shape = SHAPES[min(place, len(SHAPES) - 1)]
    frame.polygons([[(x + dx, y + dy) for dx, dy in shape] for x, y in centres], "mk1" if place == 0 else "mki")


SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    tuple((4.5 * math.cos(turn * math.pi / 8), 4.5 * math.sin(turn * math.pi / 8)) for turn in range(16)),
    ((-3.6, -3.6), (3.6, -3.6), (3.6, 3.6), (-3.6, 3.6)),
    ((0, -5), (5, 0), (0, 5), (-5, 0)),
)  # fmt: skip


def rank_figure(functional: FunctionalCalibration) -> tuple[str, Markup]:
    """Draw the ranks of what came among the paths in ten bins, with the band that calibrated ranks keep to."""
    if functional.histogram is None:
        raise ValueError(f"{functional.functional} has no ranks")  # a defect of ours: the caller looks first
    counts, low, high = functional.histogram.counts, functional.histogram.low, functional.histogram.high
    top = max([*counts, high]) * 1.06
    chart = Chart(300, 196)
    panel = chart.panel((34.0, 12.0, 292.0, 156.0), (0, 1), (0, top))
    panel.boxes([(0, low, 1, high)], "refb")
    panel.rows([(tick, count(tick)) for tick in nice_ticks(0, top, 4) if tick == round(tick)])
    panel.boxes([(n / 10 + 0.008, 0, (n + 1) / 10 - 0.008, held) for n, held in enumerate(counts) if held], "r3")
    panel.segments([(0, len(functional.pits) / 10, 1, len(functional.pits) / 10)], "axis")
    panel.base([(tick, f"{tick:g}") for tick in (0, 0.25, 0.5, 0.75, 1)])
    chart.text(163.0, 191.0, "rank of what came among the paths", "tick", "middle")
    held = ", ".join(count(number) for number in counts)
    aria = (
        f"Ranks of the real {functional.title} in ten bins over {count(len(functional.pits))} forecasts: {held}; "
        f"calibrated bins lie between {low} and {high}."
    )
    return functional.title, chart.svg(aria, "fig")


def dial_figure(search: DialSearch, layout: Layout) -> Markup:
    """Draw the score over the settings that were searched; open marks break a promise, the large one was chosen."""
    key = "temperature" if "temperature" in search.searched else "top_p"
    points = _along(search, key)
    x = [getattr(point, key) for point in points]
    low = min(point.crps - point.error for point in points)
    high = max(point.crps + point.error for point in points)
    ylim = spread(low, high, 0.1)
    chart = Chart(layout.width, layout.height)
    panel = chart.panel(
        (58.0, 28.0, float(layout.width - layout.right), layout.height - 44.0), spread(min(x), max(x), 0.06), ylim
    )
    panel.rows([(tick, fixed(tick, 3)) for tick in nice_ticks(*ylim, 5)])
    panel.base([(value, f"{value:g}") for value in _apart(x, panel)])
    panel.segments([(a, p.crps - p.error, a, p.crps + p.error) for a, p in zip(x, points, strict=True)], "wick")
    panel.line(x, [point.crps for point in points], "ln k1")
    for holds, css in ((True, "mk1"), (False, "mko")):
        _dots(panel, [(a, p.crps) for a, p in zip(x, points, strict=True) if p.holds is holds], 4.5, css)
    chosen = next(p for p in points if (p.temperature, p.top_p) == (search.temperature, search.top_p))
    _dots(panel, [(getattr(chosen, key), chosen.crps)], 8.5, "ring")
    panel.text(getattr(chosen, key), chosen.crps, "chosen", "sm bold halo", "middle", dy=-14)
    chart.text(0, 14, "CRPS of log realised volatility (lower is better)", "ttl")
    chart.text(layout.width - layout.right, layout.height - 6, key, "tick", "end")
    told = ", ".join(f"{getattr(p, key):g}: {fixed(p.crps, 4)}" for p in points)
    return chart.svg(f"Score by {key}: {told}; chosen {getattr(chosen, key):g}.", layout.css)


def _along(search: DialSearch, key: str) -> list[DialPoint]:
    """Return the points that differ in one setting alone from the chosen one, in its order."""
    other = "top_p" if key == "temperature" else "temperature"
    same = [point for point in search.points if getattr(point, other) == getattr(search, other)]
    return sorted(same, key=lambda point: float(getattr(point, key)))


def _apart(values: list[float], panel: ChartPanel) -> list[float]:
    """Return the values whose labels do not touch."""
    kept: list[float] = []
    for value in values:
        if not kept or panel.pixel(value, 0)[0] - panel.pixel(kept[-1], 0)[0] >= 34:
            kept.append(value)
    return kept


def _dots(panel: ChartPanel, points: list[tuple[float, float]], size: float, css: str) -> None:
    frame = panel.chart.panel(
        (0, 0, panel.chart.width, panel.chart.height), (0, panel.chart.width), (panel.chart.height, 0)
    )
    scale = size / 4.5
    centres = [panel.pixel(x, y) for x, y in points]
    frame.polygons([[(x + scale * dx, y + scale * dy) for dx, dy in SHAPES[0]] for x, y in centres], css)
