from __future__ import annotations

import dataclasses
import itertools
import math
import re

import pytest
from hypothesis import given, strategies as st

from scenario_gen.report.drawing import closeups as drill, figures
from scenario_gen.report.drawing.charts import Chart, bar_ticks, compact, drawing, spread
from scenario_gen.report.drawing.strips import axis_over, few_labels, nice_ticks, strip, tick_labels
from scenario_gen.stats.estimate import Estimate, MetricSummary
from scenario_gen.store.results import StressRun


def absolute(d: str) -> list[tuple[float, float]]:
    """Walk a compact path and return its corners."""
    x = y = 0.0
    start, corners = (0.0, 0.0), []
    for letter, numbers in re.findall(r"([Mmlhvz])([^Mmlhvz]*)", d):
        values = [float(value) for value in numbers.split()]
        if letter == "z":
            x, y = start
            continue
        x, y = {
            "M": lambda v, x, y: (v[0], v[1]), "m": lambda v, x, y: (x + v[0], y + v[1]),
            "l": lambda v, x, y: (x + v[0], y + v[1]), "h": lambda v, x, y: (x + v[0], y),
            "v": lambda v, x, y: (x, y + v[0]),
        }[letter](values, x, y)  # fmt: skip
        start = (x, y) if letter in "Mm" else start
        corners.append((x, y))
    return corners


@given(st.lists(st.tuples(st.floats(-900, 900), st.floats(-900, 900)), min_size=2, max_size=60), st.booleans())
def test_compact_paths_do_not_drift(points: list[tuple[float, float]], closed: bool) -> None:
    d = " ".join(f"{'M' if n == 0 else 'L'} {x:.6f} {y:.6f}" for n, (x, y) in enumerate(points)) + (
        " z" if closed else ""
    )
    walked = absolute(compact(d + f" M {points[0][0]:.6f} {points[0][1]:.6f}"))
    for (x, y), (wanted_x, wanted_y) in zip(walked, [*points, points[0]], strict=True):
        # Half of a tenth of a pixel, plus the six decimals of the text.
        assert abs(x - wanted_x) <= 0.0501
        assert abs(y - wanted_y) <= 0.0501


def test_shapes_land_where_the_data_say() -> None:
    with drawing():
        chart = Chart(200, 100)
        panel = chart.panel((20, 10, 120, 60), (0, 10), (0, 1))
        panel.line([0, 5, 10], [0, 1, 0.5], "ln k1")
        picture = chart.svg("a line", "fig")
    d = re.search(r'class="ln k1" d="([^"]*)"', picture)
    assert d is not None
    assert absolute(d[1]) == [(20, 60), (70, 10), (120, 35)]
    assert panel.pixel(5, 0.5) == pytest.approx((70, 35))


def test_names_in_pictures_are_escaped_and_never_measured() -> None:
    with drawing():
        chart = Chart(100, 50)
        chart.text(1, 2, "<b>$\\frac{1}{2}$ 日本 \u202e", "ttl")
        picture = chart.svg('"><script>', "fig")
    assert "&lt;b&gt;$\\frac{1}{2}$ 日本 ⟨U+202E⟩" in picture
    assert "<script" not in picture


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e6), st.integers(2, 9))
def test_ticks_are_few_even_and_inside(low: float, span: float, most: int) -> None:
    ticks = nice_ticks(low, low + span, most)
    assert len(ticks) <= most + 1
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    assert all(step == pytest.approx(steps[0], rel=1e-6) for step in steps)


@given(st.integers(-300, 0), st.integers(1, 5000), st.integers(3, 9))
def test_bar_ticks_are_whole_bars_and_end_at_the_horizon(first: int, last: int, most: int) -> None:
    ticks = [x for x, _ in bar_ticks(first, last, most)]
    assert ticks[-1] == last
    assert ticks == sorted(set(ticks))
    assert all(x == int(x) and first <= x <= last for x in ticks)


def test_equal_values_still_have_a_visible_axis() -> None:
    low, high = spread(5.0, 5.0)
    assert low < 5.0 < high
    axis = axis_over([0.0, 0.0])
    assert axis.low < 0 < axis.high


def quantiles(*values: float) -> MetricSummary:
    keys = ("0.05", "0.25", "0.5", "0.75", "0.95")
    estimates = {key: Estimate(v, v - 0.01, v + 0.01, 512) for key, v in zip(keys, values, strict=True)}
    return MetricSummary("total_return", Estimate(0.0), 0.1, estimates)


def test_a_strip_places_quantiles_in_percent_of_the_cell() -> None:
    axis = dataclasses.replace(axis_over([0.0]), low=-0.5, high=0.5)
    marks = strip(quantiles(-0.25, -0.1, 0.0, 0.1, 0.25), axis, decision="0.05", realised=0.5, limit=None)
    assert (marks.outer, marks.inner, marks.median) == ((25.0, 75.0), (40.0, 60.0), 50.0)
    assert (marks.bracket, marks.realised, marks.limit) == ((24.0, 26.0), 100.0, None)
    assert marks.aria == "5% −25.0%, 25% −10.0%, median 0.0%, 75% 10.0%, 95% 25.0%, what really happened 50.0%"


def test_marks_off_the_scale_stay_in_their_cell() -> None:
    axis = axis_over([-0.1, 0.1])
    assert (axis.at(-9.0), axis.at(9.0)) == (0.0, 100.0)


def test_labels_for_a_phone_keep_from_the_edges() -> None:
    for high in (0.07, 0.31, 0.6, 2.3):
        axis = axis_over([-0.2, high])
        assert set(few_labels(axis)) <= set(tick_labels(axis))
        assert len(few_labels(axis)) <= 3


def test_a_fan_ends_at_the_quantiles_of_run_json(full: StressRun) -> None:
    scenario = full.scenarios[0]
    limits = figures.fan_limits([scenario])
    with drawing():
        picture = figures.price_fan(scenario, full.scenarios[3], limits, figures.FAN_WIDE)
    band = absolute(re.findall(r'class="r1" d="([^"]*)"', picture)[0])
    top, bottom = 34.0, 360 - 41.0
    for key, corner in (("0.95", band[len(band) // 2 - 1]), ("0.05", band[len(band) // 2])):
        close = scenario.price_fan.quantiles[key][-1]
        share = (math.log(close) - limits[0]) / (limits[1] - limits[0])
        assert corner == pytest.approx((940 - 118, bottom - share * (bottom - top)), abs=0.06)  # tenths of a pixel
    assert "what really happened" in picture


def test_a_fan_without_bar_zero_still_sets_out_from_the_anchor(full: StressRun) -> None:
    fan = full.scenarios[0].price_fan
    cut = dataclasses.replace(fan, bars=fan.bars[1:], quantiles={k: v[1:] for k, v in fan.quantiles.items()})
    bars, bands = figures.fan_with_anchor(cut, 123.0)
    assert bars == fan.bars
    assert {values[0] for values in bands.values()} == {123.0}


def test_a_price_that_ran_away_does_not_flatten_the_fan(full: StressRun) -> None:
    scenario = full.scenarios[0]
    wild = dataclasses.replace(scenario.price_fan, dots=[*scenario.price_fan.dots[:-1], 1e9])
    _, high = figures.fan_limits([dataclasses.replace(scenario, price_fan=wild)])
    assert math.exp(high) < 10 * scenario.context.anchor_close


def test_every_candle_is_hollow_or_filled_by_its_close(full: StressRun) -> None:
    scenario = full.scenarios[0]
    path = scenario.strategies[1].named_paths[0]
    with drawing():
        picture = drill.named_path(path, scenario.context)
    shown = [
        *zip(scenario.context.open[-24:], scenario.context.close[-24:], strict=True),
        *zip(path.open, path.close, strict=True),
    ]
    hollow = re.search(r'class="up" d="([^"]*)"', picture)
    filled = re.search(r'class="dn" d="([^"]*)"', picture)
    assert hollow is not None
    assert filled is not None
    assert hollow[1].count("z") == sum(closed >= opened for opened, closed in shown)
    assert filled[1].count("z") == sum(closed < opened for opened, closed in shown)


def test_every_fill_is_marked(full: StressRun) -> None:
    scenario = full.scenarios[0]
    path = scenario.strategies[1].named_paths[0]
    with drawing():
        picture = drill.named_path(path, scenario.context)
    entries, exits = len(path.trades), sum(not trade.open for trade in path.trades)
    marks = sum(d.count("z") for d in re.findall(r'class="(?:buy|sell)" d="([^"]*)"', picture))
    assert marks == entries + exits


def test_a_long_path_shows_260_bars_around_its_deepest_drawdown(full: StressRun) -> None:
    path = full.scenarios[0].strategies[0].named_paths[0]
    bars = 1000
    equity = [100.0] * 700 + [100.0 - step for step in range(51)] + [50.0] * (bars + 1 - 751)
    prices = {key: [100.0] * bars for key in ("open", "high", "low", "close", "exposure")}
    long = dataclasses.replace(path, equity=equity, timestamps=[""] * bars, trades=[], **prices)
    start, stop = drill.window(long)
    assert stop - start == 260
    assert start <= 699
    assert stop >= 751
    with drawing():
        assert "<svg" in drill.named_path(long, full.scenarios[0].context)


def test_the_curve_of_drawdowns_stops_being_a_line_below_ten_paths(full: StressRun) -> None:
    strategy = full.scenarios[0].strategies[0]
    counts = [share.count for _, share in strategy.drawdown_beyond]
    with drawing():
        picture = figures.exceedance([(strategy, "1")], 0.1, figures.CURVE_WIDE)
    solid = re.search(r'class="ln k1" d="([^"]*)"', picture)
    dotted = re.search(r'class="ln k1 few" d="([^"]*)"', picture)
    assert solid is not None
    assert dotted is not None
    assert len(absolute(solid[1])) == sum(count >= 10 for count in counts if count is not None)
    assert len(absolute(dotted[1])) == 1 + sum(0 < count < 10 for count in counts if count is not None)
