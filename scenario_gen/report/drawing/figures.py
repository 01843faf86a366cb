"""The x-y charts: fan of closes, fan of equity, share of paths that reach a drawdown.

Owns what each chart shows and how it degrades; every chart states in its aria-label what a reader would take
away. Does not choose scenarios or strategies and computes no statistic that run.json lacks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from scenario_gen.backtest.result import Fan, StrategyResult
from scenario_gen.report.drawing.charts import Chart, ChartPanel, bar_ticks, spread
from scenario_gen.report.drawing.strips import nice_ticks
from scenario_gen.report.numbers import count, fixed, level, percent, price
from scenario_gen.report.tables.outcomes import realised_metric
from scenario_gen.stats.estimate import Estimate
from scenario_gen.store.results import ScenarioResult
from scenario_gen.stress.response import RANGE, Impulse, ShockResponse

BAND_KEYS = ("0.05", "0.25", "0.5", "0.75", "0.95")
FEW_PATHS = 10
MARGIN = 1.96  # standard errors to each side
CURVE_POINTS = 8  # fewer counted drawdowns than this make no curve
MANY = 20  # a price ratio beyond this is cut at the 0.5 and 99.5 % dots


@dataclass(frozen=True)
class Layout:
    """A rendition of a chart: wide for desk and paper, narrow for a phone."""

    css: str
    width: int
    height: int
    right: int
    ticks: int


FAN_WIDE = Layout("fig wide", 940, 360, 118, 9)
FAN_NARROW = Layout("fig narrow", 360, 330, 96, 4)
CURVE_WIDE = Layout("fig wide", 940, 330, 16, 9)
CURVE_NARROW = Layout("fig narrow", 360, 320, 14, 4)


def fan_with_anchor(fan: Fan, anchor: float) -> tuple[list[int], dict[str, list[float]]]:
    """Return bars and quantiles that start at the anchor, bar 0."""
    if fan.bars and fan.bars[0] == 0:
        return fan.bars, fan.quantiles
    return [0, *fan.bars], {key: [anchor, *values] for key, values in fan.quantiles.items()}


def price_fan(
    scenario: ScenarioResult, baseline: ScenarioResult | None, ylim: tuple[float, float], layout: Layout
) -> Markup:
    """Draw real context, bands of the generated closes and what really happened.

    Args:
        scenario: whose paths.
        baseline: whose 5 and 95 % quantiles are dotted in, or None.
        ylim: limits in log price, shared by fans of one anchor.
        layout: wide or narrow.
    """
    context = scenario.context
    bars, bands = fan_with_anchor(scenario.price_fan, context.anchor_close)
    shown = min(len(context.close), max(2, round(scenario.horizon * (0.75 if layout is FAN_WIDE else 0.4))))
    chart = Chart(layout.width, layout.height)
    box = (48.0, 34.0, float(layout.width - layout.right), layout.height - 41.0)
    panel = chart.panel(box, (-(shown - 1), scenario.horizon), ylim)
    panel.rows([(math.log(tick), price(tick)) for tick in _price_ticks(ylim)])
    panel.base(bar_ticks(-(shown - 1), scenario.horizon, layout.ticks))
    panel.area(bars, _logs(bands["0.05"]), _logs(bands["0.95"]), "r1")
    panel.area(bars, _logs(bands["0.25"]), _logs(bands["0.75"]), "r2")
    for _, example in sorted(scenario.price_fan.examples.items()):
        path = example if len(example) == len(bars) else [context.anchor_close, *example]
        panel.line(bars, _logs(path), "ln kref thin")
    if baseline is not None:
        other_bars, other = fan_with_anchor(baseline.price_fan, baseline.context.anchor_close)
        panel.line(other_bars, _logs(other["0.05"]), "ln kb")
        panel.line(other_bars, _logs(other["0.95"]), "ln kb")
    panel.line(bars, _logs(bands["0.5"]), "ln k1")
    panel.line(range(-(shown - 1), 1), _logs(context.close[-shown:]), "ln ki")
    realised = [context.anchor_close, *scenario.realised_close[: scenario.horizon]]
    if len(realised) > 1:
        panel.line(range(len(realised)), _logs(realised), "ln kt")
    _anchor_line(panel, chart, box)
    _dotplot(panel, chart, scenario.price_fan, bands, layout)
    chart.text((box[0] + box[2]) / 2, layout.height - 6.0, "bars after the anchor", "tick", "middle")
    return chart.svg(_fan_aria(scenario, bands), layout.css)


def fan_limits(scenarios: Sequence[ScenarioResult]) -> tuple[float, float]:
    """Return limits in log price that hold every fan, its context and what really happened.

    Where the highest price is more than 20 times the lowest, the outermost dots do not count.
    """
    values: list[float] = []
    for scenario in scenarios:
        values += [x for key in ("0.05", "0.95") for x in scenario.price_fan.quantiles[key]]
        values += scenario.context.close[-max(2, round(0.75 * scenario.horizon)) :]
        values += scenario.realised_close[: scenario.horizon]
        values += [x for example in scenario.price_fan.examples.values() for x in example]
    dots = [dot for scenario in scenarios for dot in scenario.price_fan.dots]
    positive = [value for value in values + dots if value > 0]
    if max(positive) / min(positive) > MANY:
        positive = [value for value in values if value > 0]
    return spread(math.log(min(positive)), math.log(max(positive)), 0.03)


def equity_fan(strategy: StrategyResult, css: str, ylim: tuple[float, float]) -> Markup:
    """Draw the bands of one strategy's equity, in percent of the start."""
    bars, bands = _equity_bands(strategy.equity_fan)
    chart = Chart(300, 196)
    panel = chart.panel((46.0, 12.0, 290.0, 156.0), (0, bars[-1]), ylim)
    panel.rows([(tick, level(tick)) for tick in nice_ticks(*ylim, 5)])
    panel.area(bars, bands["0.05"], bands["0.95"], f"w{css}")
    panel.area(bars, bands["0.25"], bands["0.75"], f"w{css}")
    panel.segments([(0, 0, bars[-1], 0)], "zero")
    panel.line(bars, bands["0.5"], f"ln k{css}")
    _realised_mark(panel, bars[-1], realised_metric(strategy, "total_return"))
    panel.base(bar_ticks(0, bars[-1], 4))
    chart.text(168.0, 191.0, "bars after the anchor", "tick", "middle")
    ends = ", ".join(f"{label} {percent(bands[key][-1])}" for key, label in _END_LABELS)
    return chart.svg(f"Equity of {strategy.name} after {bars[-1]} bars against its start: {ends}.", "fig")


def equity_limits(strategies: Sequence[StrategyResult]) -> tuple[float, float]:
    """Return limits, as fractions of the start, that hold every equity fan."""
    values = [0.0]
    for strategy in strategies:
        _, bands = _equity_bands(strategy.equity_fan)
        values += [value for key in ("0.05", "0.95") for value in bands[key]]
        realised = realised_metric(strategy, "total_return")
        values += [] if realised is None else [realised]
    return spread(min(values), max(values), 0.06)


def has_exceedance(strategy: StrategyResult) -> bool:
    """Say whether enough drawdowns were counted for a curve."""
    return len(strategy.drawdown_beyond) >= CURVE_POINTS


def exceedance(strategies: Sequence[tuple[StrategyResult, str]], limit: float | None, layout: Layout) -> Markup:
    """Draw the share of paths whose drawdown reaches x, log scale, with its 95 % interval.

    Args:
        strategies: each with its colour number ("1" to "4") or "r" for reference grey.
        limit: the declared drawdown.
        layout: wide or narrow.
    """
    paths = max((share.n for strategy, _ in strategies for _, share in strategy.drawdown_beyond), default=1)
    widest = max(depth for strategy, _ in strategies for depth, share in strategy.drawdown_beyond if is_reached(share))
    chart = Chart(layout.width, layout.height)
    floor = math.log10(1 / paths) - 0.1
    panel = chart.panel((52.0, 26.0, float(layout.width - layout.right), layout.height - 44.0), (0, widest), (floor, 0))
    few = math.log10(min(FEW_PATHS / paths, 1.0))
    panel.boxes([(0, floor, widest, few)], "refb")
    decades = range(0, math.floor(-floor) + 1)
    panel.rows([(-power, _share_text(10.0**-power)) for power in decades])
    panel.base([(tick, level(tick)) for tick in nice_ticks(0, widest, layout.ticks)])
    for strategy, css in reversed(strategies):
        _exceedance_curve(panel, strategy, css, floor)
    if layout is CURVE_WIDE:
        _name_curves(panel, strategies)
    if limit is not None and limit <= widest:
        panel.segments([(limit, floor, limit, 0)], "lim")
        panel.text(limit, 0, f"limit {level(limit)}", "tick halo", dx=5, dy=12)
    note = "fewer than 10 paths: read as “rare”, not as a rate" if layout is CURVE_WIDE else "fewer than 10 paths"
    panel.text(0, floor, note, "tick", dx=5, dy=-6)
    chart.text(0, 14, "Share of paths whose drawdown reaches x (log scale)", "ttl")
    chart.text(layout.width - layout.right, layout.height - 6, "drawdown x, share of the peak", "tick", "end")
    return chart.svg(_exceedance_aria(strategies), layout.css)


def answer_curves(answers: Sequence[tuple[str, ShockResponse]], layout: Layout) -> Markup:
    """Draw by how much the log of ranges is higher after shocks in contexts, beside history.

    Args:
        answers: of at most four scenarios, by name.
        layout: wide or narrow.
    """
    curves = [(name, *_banded(impulse)) for name, each in answers if (impulse := each.impulse(RANGE)) is not None]
    past = next((each.history for _, each in answers if each.history is not None), None)
    bars = max(len(middle) for _, middle, _, _ in curves)
    values = [value for _, _, low, high in curves for value in (*low, *high)]
    values += [0.0] if past is None else [0.0, *past.low[:bars], *past.high[:bars]]
    ylim = spread(min(values), max(values))
    chart = Chart(layout.width, layout.height)
    panel = chart.panel((52.0, 26.0, float(layout.width - layout.right), layout.height - 44.0), (1, max(bars, 2)), ylim)
    panel.rows([(tick, fixed(tick, 1)) for tick in nice_ticks(*ylim, 6)])
    panel.base(bar_ticks(1, max(bars, 2), layout.ticks))
    if past is not None:
        panel.area(range(1, bars + 1), past.low[:bars], past.high[:bars], "r1")
        panel.line(range(1, bars + 1), past.mean[:bars], "ln kb")
    for number, (name, middle, low, high) in enumerate(curves, 1):
        panel.area(range(1, len(middle) + 1), low, high, f"w{number}")
        panel.line(range(1, len(middle) + 1), middle, f"ln k{number}")
        here = len(middle) * number // (len(curves) + 1)  # each name at a bar of its own, so that none touch
        panel.text(here + 1, middle[here], name, "sm bold halo", "middle", dy=-6)
    panel.segments([(1, 0, max(bars, 2), 0)], "zero")
    chart.text(0, 14, "Log of the range, with the shock less without", "ttl")
    chart.text(layout.width - layout.right, layout.height - 6, "bars after the context", "tick", "end")
    told = "; ".join(f"{name} {fixed(middle[0], 2)}, then {fixed(middle[-1], 2)}" for name, middle, _, _ in curves)
    return chart.svg(f"Answers to shocks in the context, at the first and at the last bar: {told}.", layout.css)


def _banded(impulse: Impulse) -> tuple[list[float], list[float], list[float]]:
    """Return a response with the ends of its 95 % intervals."""
    pairs = list(zip(impulse.mean, impulse.error, strict=True))
    return impulse.mean, [m - MARGIN * e for m, e in pairs], [m + MARGIN * e for m, e in pairs]


_END_LABELS = (("0.05", "5%"), ("0.5", "median"), ("0.95", "95%"))


def _logs(values: Sequence[float]) -> list[float]:
    smallest = min((value for value in values if value > 0), default=1.0)
    return [math.log(max(value, smallest)) for value in values]


def _price_ticks(ylim: tuple[float, float]) -> list[float]:
    low, high = math.exp(ylim[0]), math.exp(ylim[1])
    if high / low > 8:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        return [digit * 10.0**power for power in decades for digit in (1, 2, 5) if low <= digit * 10.0**power <= high]
    return list(nice_ticks(low, high, 7))


def _anchor_line(panel: ChartPanel, chart: Chart, box: tuple[float, float, float, float]) -> None:
    panel.segments([(0, panel.ylim[0], 0, panel.ylim[1])], "axis")
    x, _ = panel.pixel(0, 0)
    chart.text(x - 6, box[1] - 7, "real context", "tick", "end")
    chart.text(x + 6, box[1] - 7, "generated", "tick")


def _dotplot(panel: ChartPanel, chart: Chart, fan: Fan, bands: dict[str, list[float]], layout: Layout) -> None:
    step = 7.2
    columns: dict[int, int] = {}
    ends = []
    right = panel.pixel(panel.xlim[1], 0)[0] + 12
    for dot in fan.dots:
        y = panel.pixel(0, math.log(dot))[1] if dot > 0 else math.inf
        if not panel.pixel(0, panel.ylim[1])[1] <= y <= panel.pixel(0, panel.ylim[0])[1]:
            continue
        row = round(y / step)
        columns[row] = columns.get(row, -1) + 1
        if right + columns[row] * step < layout.width - 52:
            ends.append((right + columns[row] * step, row * step))
    frame = chart.panel((0, 0, layout.width, layout.height), (0, layout.width), (layout.height, 0))
    frame.segments([(x, y, x + 0.1, y) for x, y in ends], "dotq")
    for key, label in (("0.95", "95%"), ("0.5", "50%"), ("0.05", "5%")):
        y = panel.pixel(0, math.log(max(bands[key][-1], math.exp(panel.ylim[0]))))[1]
        chart.text(layout.width, y + 4, f"{label} {price(bands[key][-1])}", "sm halo", "end")
    chart.text(layout.width, 13, "1 dot = 1 path in 50", "tick", "end")


def _fan_aria(scenario: ScenarioResult, bands: dict[str, list[float]]) -> str:
    ends = ", ".join(f"{label} {price(bands[key][-1])}" for key, label in _END_LABELS)
    text = (
        f"Fan chart of generated closes after the real context, scenario {scenario.name}. From "
        f"{price(scenario.context.anchor_close)}: after {count(scenario.horizon)} bars {ends}"
    )
    realised = scenario.realised_close[: scenario.horizon]
    if realised:
        text += f"; what really happened: {price(realised[-1])} after {count(len(realised))} bars"
    return f"{text}."


def _equity_bands(fan: Fan) -> tuple[list[int], dict[str, list[float]]]:
    start = fan.quantiles["0.5"][0]
    return fan.bars, {key: [value / start - 1 for value in fan.quantiles[key]] for key in BAND_KEYS}


def _realised_mark(panel: ChartPanel, bar: int, total_return: float | None) -> None:
    if total_return is None:
        return
    x, y = panel.pixel(bar, total_return)
    frame = panel.chart.panel(
        (0, 0, panel.chart.width, panel.chart.height), (0, panel.chart.width), (panel.chart.height, 0)
    )
    frame.polygons([[(x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y)]], "hist")


def _exceedance_curve(panel: ChartPanel, strategy: StrategyResult, css: str, floor: float) -> None:
    points = [(depth, share) for depth, share in strategy.drawdown_beyond if is_reached(share)]
    many = [(depth, share) for depth, share in points if _is_rate(share)]
    if many:
        x = [depth for depth, _ in many]
        low = [max(math.log10(share.low or 1e-12), floor) for _, share in many]
        high = [math.log10(min(share.high or 1.0, 1.0)) for _, share in many]
        panel.area(x, low, high, f"w{css}")
        panel.line(x, [_log_share(share) for _, share in many], f"ln k{css}")
    rest = points[max(len(many) - 1, 0) :]
    if len(rest) > 1:
        panel.line([depth for depth, _ in rest], [_log_share(share) for _, share in rest], f"ln k{css} few")


def _name_curves(panel: ChartPanel, strategies: Sequence[tuple[StrategyResult, str]]) -> None:
    """Write each name where its curve ends, moved up where two would touch."""
    from scenario_gen.report.words import name

    taken: list[tuple[float, float]] = []
    for strategy, _ in strategies:
        counted = [(depth, share) for depth, share in strategy.drawdown_beyond if _is_rate(share)]
        if not counted:
            continue
        depth, share = counted[-1]
        x, y = panel.pixel(depth, _log_share(share))
        text = name(strategy.name, 22)
        while any(abs(x - other_x) < 7.5 * len(text) and abs(y - other_y) < 15 for other_x, other_y in taken):
            y -= 15
        taken.append((x, y))
        if x + 8 * len(text) < panel.pixel(panel.xlim[1], 0)[0]:
            panel.chart.text(x + 6, y, text, "sm bold halo")
        else:
            panel.chart.text(x - 4, y - 9, text, "sm bold halo", "end")


def is_reached(share: Estimate) -> bool:
    """Say whether any path reaches a depth; of weighted paths, whether enough do for a share to be shown."""
    return bool(share.value if share.count is None else share.count)


def _is_rate(share: Estimate) -> bool:
    """Say whether enough paths are counted for a rate; a weighted share is shown where they are."""
    return is_reached(share) and (share.count is None or share.count >= FEW_PATHS)


def _rate(share: Estimate) -> float:
    return share.count / share.n if share.count is not None and share.n else share.value or 0.0


def _log_share(share: Estimate) -> float:
    return math.log10(max(_rate(share), 1e-12))


def _share_text(share: float) -> str:
    return level(share) if share >= 0.001 else f"{100 * share:g}%"


def _exceedance_aria(strategies: Sequence[tuple[StrategyResult, str]]) -> str:
    parts = []
    for strategy, _ in strategies:
        counted = strategy.drawdown_beyond
        middle = counted[len(counted) // 2]
        parts.append(f"{strategy.name}: {percent(_rate(middle[1]))} of paths reach {level(middle[0])}")
    return f"Share of paths whose drawdown reaches x. {'; '.join(parts)}."
