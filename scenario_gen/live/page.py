"""A live report as one static page: candles, bands and paths that zoom, odds, the log's verdict, strategies, input.

Reads a report, computes nothing. The page opens from the disk, asks nothing of any server and runs only scripts that
its policy names by their hash; without scripts, and on paper, a picture of the bands stands for the chart.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from markupsafe import Markup

from scenario_gen.files import write_bytes
from scenario_gen.finding import BAD, LIVE_STRATEGY, worst
from scenario_gen.live.results import LiveReport, StrategyWatch
from scenario_gen.live.tables import log_tables, strategy_tables
from scenario_gen.report import numbers, words
from scenario_gen.report.drawing import zoom
from scenario_gen.report.drawing.charts import Chart, bar_ticks, drawing, spread
from scenario_gen.report.drawing.figures import CURVE_NARROW, CURVE_WIDE, FAN_NARROW, FAN_WIDE, Layout
from scenario_gen.report.drawing.strips import nice_ticks
from scenario_gen.report.page import environment
from scenario_gen.report.tables.predictions import bands_table, end_table
from scenario_gen.report.words import name, plural

LIVE_PAGE = "index.html"  # in the folder of the log
BEFORE = 4  # context bars that the picture and the first view show, for each bar ahead
FEWEST_BEFORE = 24
LEVELS = {"q05": "0.05", "q25": "0.25", "median": "0.5", "q75": "0.75", "q95": "0.95"}


def write_live_page(report: LiveReport, folder: Path) -> Path:
    """Write the page of a report.

    Raises:
        StoreError: the disk refuses.
    """
    path = folder / LIVE_PAGE
    write_bytes(path, live_page(report).encode("utf-8"), "folder")
    return path


def live_page(report: LiveReport) -> str:
    """Return the whole page as HTML."""
    with drawing():
        pictures = [_picture(report, layout) for layout in (FAN_WIDE, FAN_NARROW)]
        watched = [_watched(each, report) for each in report.strategies]
    test = report.log.test
    bars = len(report.forecast.timestamps)
    page: str = (
        environment()
        .get_template("live.html.j2")
        .render(
            title=name(report.name, 60),
            label=report.verdict,
            meta=_meta(report),
            headline=report.findings[0].measured if report.findings else f"{plural(test.bars, 'bar')} judged",
            odds=_odds(report),
            pictures=pictures,
            caption=f"The last {plural(_shown(report), 'bar')} and {plural(bars, 'bar')} ahead: median, bands of 50 "
            f"and 90 % of {numbers.count(report.forecast.paths)} paths, and {len(report.some_paths)} of these.",
            forecast=[end_table(report.forecast), bands_table(report.forecast)],
            log=log_tables(report.log),
            watched=watched,
            watched_label=worst(finding.label for finding in LIVE_STRATEGY.of(report.findings)),
            strategies=strategy_tables(report.strategies),
            findings=[each for each in report.findings[1:] if not each.strategy or each.label in BAD],
            state=_state(report),
            labels=words.LABELS,
            **zoom.scripted("live.js", payload(report)),
        )
    )
    return page


def payload(report: LiveReport) -> dict[str, Any]:
    """Return what the chart draws, by bar: 0 is the last known one.

    Keys: digits; shown, the bars before that are seen at first; stamps [bar]; candles of the context; bands (median,
    q05, ..) and paths, which begin at bar 0.
    """
    count, anchor = len(report.context_stamps), report.context_bars["close"][-1]
    candles = [
        {"time": at - count + 1, **{key: report.context_bars[key][at] for key in ("open", "high", "low", "close")}}
        for at in range(count)
    ]
    closes = report.forecast.bands["close"]
    return {
        "digits": zoom.digits_of(anchor),
        "shown": _shown(report),
        "stamps": [zoom.moment(stamp) for stamp in (*report.context_stamps, *report.forecast.timestamps)],
        "candles": candles,
        "bands": {key: _points([anchor, *closes[level]]) for key, level in LEVELS.items()},
        "paths": [_points([anchor, *path["close"]]) for path in report.some_paths],
    }


def _points(values: list[float]) -> list[dict[str, float]]:
    return [{"time": bar, "value": value} for bar, value in enumerate(values)]


def _shown(report: LiveReport) -> int:
    return min(len(report.context_stamps), max(FEWEST_BEFORE, BEFORE * len(report.forecast.timestamps)))


def _picture(report: LiveReport, layout: Layout) -> Markup:
    """Draw the latest closes, a few paths, and the bands of the close, in logs."""
    shown, bars = _shown(report), len(report.forecast.timestamps)
    before = [math.log(close) for close in report.context_bars["close"][-shown:]]
    logs = {level: [before[-1], *map(math.log, values)] for level, values in report.forecast.bands["close"].items()}
    paths = [[before[-1], *map(math.log, path["close"])] for path in report.some_paths]
    every = [*before, *logs["0.05"], *logs["0.95"], *(value for path in paths for value in path)]
    ylim = spread(min(every), max(every), 0.03)
    chart = Chart(layout.width, layout.height)
    panel = chart.panel((60.0, 12.0, layout.width - 16.0, layout.height - 41.0), (1 - shown, bars), ylim)
    ticks = [tick for tick in nice_ticks(math.exp(ylim[0]), math.exp(ylim[1]), 6) if tick > 0]
    panel.rows([(math.log(tick), numbers.price(tick)) for tick in ticks])
    panel.base(bar_ticks(1 - shown, bars, layout.ticks))
    ahead = range(bars + 1)
    panel.area(ahead, logs["0.05"], logs["0.95"], "r1")
    panel.area(ahead, logs["0.25"], logs["0.75"], "r2")
    for path in paths:
        panel.line(ahead, path, "ln kref thin")
    panel.line(ahead, logs["0.5"], "ln k1")
    panel.line(range(1 - shown, 1), before, "ln ki")
    chart.text(layout.width / 2, layout.height - 6.0, "bars after the last known one", "tick", "middle")
    low, middle, high = (numbers.price(report.forecast.bands["close"][level][-1]) for level in ("0.05", "0.5", "0.95"))
    aria = f"Close after {plural(bars, 'bar')}: median {middle}, 90 % of the paths from {low} to {high}."
    return chart.svg(aria, layout.css)


def _watched(watched: StrategyWatch, report: LiveReport) -> dict[str, Any]:
    """Return what stands of a strategy: name, label, sentences, and its equity in the band of what was promised."""
    own = [finding for finding in report.findings if finding.strategy == watched.strategy]
    drawn = [_promise(watched, layout) for layout in (CURVE_WIDE, CURVE_NARROW)] if watched.bands else []
    bars = len(watched.bands.get("0.5", [1])) - 1
    caption = f"Realised equity since {zoom.moment(watched.since)}, in the median and the 90 % band of the paths of a "
    caption += f"promise of {plural(bars, 'bar')}; return since its start. The verdict rests on whole paths, not on "
    return {
        "name": name(watched.strategy, 90),
        "findings": own,
        "pictures": drawn,
        "caption": f"{caption}the band at one bar.",
    }


def _promise(watched: StrategyWatch, layout: Layout) -> Markup:
    """Draw a strategy's realised equity in the band of what was promised of it."""
    low, middle, high = (watched.bands[level] for level in ("0.05", "0.5", "0.95"))
    every, bars = [*low, *high, *watched.equity], len(middle) - 1
    ylim = spread(min(every), max(every), 0.05)
    chart = Chart(layout.width, layout.height)
    panel = chart.panel((60.0, 12.0, layout.width - 16.0, layout.height - 41.0), (0, bars), ylim)
    ticks = nice_ticks(ylim[0] - 1, ylim[1] - 1, 5)
    panel.rows([(1 + tick, numbers.percent(tick, signed=True, decimals=2)) for tick in ticks])
    panel.base(bar_ticks(0, bars, layout.ticks))
    panel.area(range(bars + 1), low, high, "r1")
    panel.line(range(bars + 1), middle, "ln k1")
    panel.line(range(len(watched.equity)), watched.equity, "ln ki")
    chart.text(layout.width / 2, layout.height - 6.0, "bars since the promise", "tick", "middle")
    came = f"Return after {plural(watched.bars, 'bar')}: {numbers.percent(watched.realised, signed=True, decimals=2)}"
    return chart.svg(f"{came}; {watched.course}.", layout.css)


def _meta(report: LiveReport) -> list[tuple[str, str]]:
    return [
        ("Last bar", zoom.moment(report.context_stamps[-1])),
        ("Bars ahead", numbers.count(len(report.forecast.timestamps))),
        ("Generator", name(report.generator, 80)),
        ("Bars from", name(report.source, 80)),
        ("Made", f"{zoom.moment(report.made.removesuffix('+00:00'))} UTC"),
    ]


def _odds(report: LiveReport) -> list[str]:
    rise = numbers.share(report.forecast.rise, "rise").words
    wilder = numbers.share(report.rise_in_volatility, "rise_in_volatility").words
    again = [] if report.fresh else ["No new bar has come: the same forecast again, which the log has."]
    return [
        f"Probability that the close is higher after {plural(len(report.forecast.timestamps), 'bar')}: {rise}.",
        f"Probability of more volatility than over as many bars before: {wilder}.",
        *again,
    ]


def _state(report: LiveReport) -> list[str]:
    """Return what is known of market and input, and what else a reader must know."""
    state = report.state
    market = [] if state is None else [state.words, *(anomaly.words for anomaly in state.anomalies)]
    if state is not None and not state.anomalies:
        market.append("nothing odd was found in the bars that came")
    return [*market, *report.notes, *report.forecast.warnings]
