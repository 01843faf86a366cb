"""A ranking as tables, pictures and one page: what the signals are worth, and what the top names earned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from scenario_gen.files import write_bytes
from scenario_gen.finding import worst
from scenario_gen.report import words
from scenario_gen.report.drawing.charts import Chart, drawing, spread
from scenario_gen.report.drawing.figures import CURVE_NARROW, CURVE_WIDE, Layout
from scenario_gen.report.drawing.strips import nice_ticks
from scenario_gen.report.drawing.zoom import plain
from scenario_gen.report.numbers import count, level, percent
from scenario_gen.report.page import environment
from scenario_gen.report.table import Answer, Column, Ref, Table, tabulate
from scenario_gen.report.words import Sentence, name, plural
from scenario_gen.store.ranking import RANK_PAGE, JointOutlook, RankRun, Traded

SHOWN_DATES, SHOWN_TOP = 60, 30
DATE_ROOM = 34  # pixels to the right of a curve: half a date is written there
TITLES = {
    "look_ahead: ranking": "Look-ahead",
    "cross_section.rank_ic": "Order beyond chance",
    "cross_section.breadth": "Breadth",
    "cross_section.survivorship": "Survivorship",
}


def write_rank_page(ranking: RankRun, folder: Path) -> Path:
    """Write index.html of a ranking.

    Raises:
        StoreError: the disk refuses.
    """
    path = folder / RANK_PAGE
    write_bytes(path, rank_page(ranking).encode("utf-8"), "folder")
    return path


def rank_page(ranking: RankRun) -> str:
    """Return the whole page as HTML."""
    with drawing():
        sections = [
            ("worth", "Does the signal order what came?", _worth(ranking)),
            ("portfolio", "What did the top names earn?", _portfolio(ranking)),
            ("latest", "Who is on top now?", _latest(ranking)),
            *([("joint", "What may they come to together?", _joint(ranking.outlook))] if ranking.outlook else []),
        ]
    page: str = (
        environment()
        .get_template("rank.html.j2")
        .render(
            title=name(ranking.name, 120),
            meta=_meta(ranking),
            label=worst([finding.label for finding in ranking.findings], "UNTESTABLE"),
            headline=headline(ranking),
            cards=[
                (TITLES.get(one.name, one.name), one.label, one.measured, one.offenders[:5]) for one in ranking.findings
            ],
            sections=sections,
            notes=ranking.notes,
            repro=_repro(ranking),
            config=ranking.config,
            left_out=[*ranking.left_out.items(), *ranking.omitted.items()],
            labels=words.LABELS,
            **plain(),
        )
    )
    return page


def headline(ranking: RankRun) -> str:
    """Return what came out, in one sentence."""
    rank = next(each for each in ranking.worth if each.signal == ranking.signal).spearman
    if rank.mean is None:
        first = f"No date has a rank IC of {ranking.signal}"
    else:
        sure = "" if rank.low is None else f" [{_signed(rank.low)}, {_signed(rank.high)}]"
        first = f"Mean rank IC of {ranking.signal} over {plural(rank.dates, 'date')}: {_signed(rank.mean)}{sure}"
    if not ranking.beside or ranking.portfolio is None:
        return f"{first}."
    against = ranking.beside[0]
    return (
        f"{first}. {ranking.portfolio.title}: {percent(ranking.portfolio.total_return, signed=True)} net of costs, "
        f"{against.title} {percent(ranking.benchmarks[0].total_return, signed=True)}."
    )


def rank_tables(ranking: RankRun) -> list[Table]:
    """Return the tables, the most asked for first."""
    tables = [worth_table(ranking)]
    if ranking.decay:
        tables.append(decay_table(ranking))
    if ranking.portfolio is not None:
        tables += [portfolio_table(ranking), beside_table(ranking)]
    return [*tables, top_table(ranking), *([joint_table(ranking.outlook)] if ranking.outlook else [])]


def _signed(value: float | None, decimals: int = 3) -> str:
    return "—" if value is None else f"{value:+.{decimals}f}".replace("-", "−")


def _number(decimals: int) -> Any:
    return lambda value: _signed(value, decimals)


def _plain(decimals: int) -> Any:
    return lambda value: "—" if value is None else f"{value:.{decimals}f}"


def _share(value: float | None) -> str:
    return "—" if value is None else percent(value)


def _interval(at: str) -> Any:
    def text(row: Ref) -> str:
        low, high = row.find(f"{at}low").value, row.find(f"{at}high").value
        return "—" if low is None else f"{_signed(low)} to {_signed(high)}"

    return text


def _head(path: str) -> Any:
    return lambda row: str(row.find(path).value)


def _of(ranking: RankRun) -> Ref:
    return Ref(ranking, "")


def worth_table(ranking: RankRun) -> Table:
    """Return what each signal is worth over the horizon."""
    columns = (
        Column("rank IC", "spearman/mean", _number(3)),
        Column("95 %", _interval("spearman/")),
        Column("t", "spearman/t", _number(1)),
        Column("p", "spearman/p", _plain(3)),
        Column("ICIR", "spearman/ratio", _number(2)),
        Column("above 0", "spearman/positive", _share),
        Column("IC", "pearson/mean", _number(3)),
        Column("t of IC", "pearson/t", _number(1)),
        Column("dates", "spearman/dates", "text"),
    )
    caption = (
        f"Over {plural(ranking.horizon, 'bar')}; rank IC is Spearman's correlation of signal and realised return over "
        f"the instruments of a date, IC is Pearson's. Errors know that returns of dates {ranking.every} bars apart "
        "overlap (Richardson and Smith 1991, the case of a signal that never changes). ICIR: mean over deviation of "
        f"the dates. Judged and traded: {ranking.signal}, which the config names; the others are shown."
    )
    rows = _of(ranking).each("worth")
    return tabulate("signal", columns, rows, _head("signal"), title="What each signal is worth.", caption=caption)


def decay_table(ranking: RankRun) -> Table:
    """Return the rank coefficient over other horizons."""
    columns = (
        Column("rank IC", "spearman/mean", _number(3)),
        Column("95 %", _interval("spearman/")),
        Column("t", "spearman/t", _number(1)),
        Column("dates", "spearman/dates", "text"),
    )
    rows = _of(ranking).each("decay")
    caption = f"Rank IC of {ranking.signal} with the return over so many bars from the same close."
    return tabulate(
        "over", columns, rows, lambda row: plural(row.value.bars, "bar"), title="How it decays.", caption=caption
    )


def portfolio_table(ranking: RankRun) -> Table:
    """Return what the portfolio and what is beside it came to."""
    root = _of(ranking)
    columns = (
        Column("return", "total_return", lambda value: percent(value, signed=True)),
        Column("per year", "yearly_return", lambda value: percent(value, signed=True)),
        Column("volatility", "yearly_volatility", _share, unit="per year"),
        Column("deepest fall", "max_drawdown", _share),
        Column("turnover", "turnover", _share, unit="one way, each exchange"),
        Column("costs", "costs", _share, unit="of the cash"),
        Column("orders", "orders", lambda value: "—" if value is None else count(value)),
        Column("not tradable", _refused, unit="suspended, limit, T+1"),
    )
    rows = [root.find("portfolio"), *root.each("benchmarks")]
    caption = "Net of costs, in one account each; a series that was given bears none."
    return tabulate("", columns, rows, _head("title"), title="What they came to.", caption=caption)


def _refused(row: Ref) -> str:
    account: Traded = row.value
    if account.orders is None:
        return "—"
    return f"{account.suspended}, {account.at_limit}, {account.bought_today}"


def beside_table(ranking: RankRun) -> Table:
    """Return the portfolio beside each benchmark."""
    columns = (
        Column("excess per year", "excess", lambda value: percent(value, signed=True)),
        Column("information ratio", "information_ratio/value", _number(2), unit="per year"),
        Column("95 %", _ratio_interval),
        Column("deepest fall of the ratio", "max_drawdown", _share),
        Column("spans ahead", "hits", _share),
        Column("spans", "spans", "text"),
    )
    caption = (
        "Excess returns bar by bar, net of the costs of both. Interval of the information ratio: Lo (2002), excess "
        "returns taken as independent. Spans: from one exchange to the next."
    )
    rows = _of(ranking).each("beside")
    return tabulate("beside", columns, rows, _head("title"), title="Beside the benchmarks.", caption=caption)


def _ratio_interval(row: Ref) -> str:
    estimate = row.find("information_ratio").value
    return "—" if estimate.low is None else f"{_signed(estimate.low, 2)} to {_signed(estimate.high, 2)}"


def top_table(ranking: RankRun) -> Table:
    """Return the best names of the latest date."""
    columns = (Column(ranking.signal, "1", lambda value: f"{value:.5g}".replace("-", "−")),)
    rows = _of(ranking).each("top")[:SHOWN_TOP]
    title = f"The latest ranking, {_day(ranking.dates[-1].date)}."
    return tabulate("instrument", columns, rows, _head("0"), title=title, css="tight")


def joint_table(outlook: JointOutlook) -> Table:
    """Return what the portfolio and equal parts may come to over joint paths."""

    def loss(value: float | None) -> str:
        return "—" if value is None else percent(value)

    def gain(value: float | None) -> str:
        return "—" if value is None else percent(value, signed=True)

    columns = (
        Column("mean gain", "mean/value", gain),
        Column("5 of 100 below", "low/value", gain),
        Column("median", "median/value", gain),
        Column("5 of 100 above", "high/value", gain),
        Column("paths that lose", "losing/value", loss),
        Column("worst 5 of 100 lose", "shortfall/value", loss),
        Column("deepest fall", "max_drawdown/value", loss, unit="median"),
    )
    root = Ref(outlook, "")
    coupled = (
        f"{plural(len(outlook.names), 'name')} coupled ({outlook.coupling.copula}) by {outlook.coupling.bars} bars"
    )
    caption = (
        f"{plural(outlook.paths, 'joint path')} over {plural(outlook.horizon, 'bar')} after {_day(outlook.bars[0])}; "
        f"{coupled}. Bought at the first open at its costs and limits, held, not sold at the end, not ranked again."
    )
    rows = [root.find("portfolio"), root.find("equal")]
    return tabulate("", columns, rows, _head("title"), title="What they may come to together.", caption=caption)


def dates_table(ranking: RankRun) -> Table:
    """Return the latest dates, one row each."""
    columns = (
        Column("rank IC", "spearman", _number(3)),
        Column("IC", "pearson", _number(3)),
        Column("ranked", "ranked", "text"),
        Column("listed", "listed", "text"),
        Column("", "why", "text", left=True),
    )
    rows = _of(ranking).each("dates")[-SHOWN_DATES:]
    hidden = len(ranking.dates) - len(rows)
    more = f"{hidden} earlier ones are in rank.json." if hidden else ""
    return tabulate("date", columns, rows, lambda row: _day(row.value.date), caption=more, css="tight")


def _day(stamp: str) -> str:
    return stamp.removesuffix(" 00:00:00")


# --- The sections of the page ---


def _worth(ranking: RankRun) -> list[Answer]:
    decay = (decay_table(ranking),) if ranking.decay else ()
    known = [row for row in ranking.dates if row.spearman is not None]
    figures: list[tuple[Markup, Sentence]] = []
    if len(known) >= 2:
        values = [float(row.spearman or 0.0) for row in known]
        drawn = [_bars([_day(row.date) for row in known], values, layout) for layout in (CURVE_WIDE, CURVE_NARROW)]
        caption = f"Rank IC of {ranking.signal} at each date; the line is its mean so far."
        figures.append((Markup("").join(drawn), (caption,)))
    return [
        Answer("Information coefficients", (), (worth_table(ranking),)),
        Answer("Over other horizons", (), decay),
        Answer("By date", (), (), tuple(figures)),
        Answer("Every date", (), (dates_table(ranking),)),
    ]


def _portfolio(ranking: RankRun) -> list[Answer]:
    ours = ranking.portfolio
    if ours is None:
        return [Answer("No portfolio", (("portfolio: null in the config, or no bar after the first ranking.",),))]
    lines = [(ours.title, "1", ours.curve), *_greys(ranking.benchmarks)]
    dates = [_day(stamp) for stamp in ranking.bars]
    growth = [_lines(dates, lines, "Growth of the account", layout) for layout in (CURVE_WIDE, CURVE_NARROW)]
    ratios = [
        (f"over {other.title}", css, [mine / theirs for mine, theirs in zip(ours.curve, other.curve, strict=True)])
        for (_, css, _), other in zip(_excess_colours(ranking.benchmarks), ranking.benchmarks, strict=True)
    ]
    excess = [_lines(dates, ratios, "Portfolio over benchmark", layout) for layout in (CURVE_WIDE, CURVE_NARROW)]
    figures: tuple[tuple[Markup, Sentence], ...] = (
        (Markup("").join(growth), ("Growth since the close before the first purchase, net of costs.",)),
        (Markup("").join(excess), ("The portfolio’s growth over the benchmark’s: what it is ahead, net of costs.",)),
    )
    return [
        Answer("Cumulative and excess", (), (), figures),
        Answer("In numbers", (), (portfolio_table(ranking),)),
        Answer("Ahead, or behind", (), (beside_table(ranking),)),
    ]


def _greys(benchmarks: Sequence[Traded]) -> list[tuple[str, str, list[float]]]:
    return [(other.title, css, other.curve) for other, css in zip(benchmarks, ("2", "3"), strict=False)]


def _excess_colours(benchmarks: Sequence[Traded]) -> list[tuple[str, str, list[float]]]:
    return _greys(benchmarks)


def _latest(ranking: RankRun) -> list[Answer]:
    return [Answer("Names", (), (top_table(ranking),))]


def _joint(outlook: JointOutlook) -> list[Answer]:
    low, middle, high = outlook.portfolio.bands
    lines = [("median", "1", middle), ("5 of 100 paths below", "2", low), ("5 of 100 paths above", "3", high)]
    dates = [_day(stamp) for stamp in outlook.bars]
    drawn = [_lines(dates, lines, "Growth over joint paths", layout) for layout in (CURVE_WIDE, CURVE_NARROW)]
    ahead = outlook.ahead
    if ahead.low is None or ahead.high is None:
        sentence = f"The portfolio beside equal parts: {ahead.reason}."
    else:
        of = f"{percent(ahead.low)} to {percent(ahead.high)}"
        sentence = f"In {_share(ahead.value)} ({of}) of the paths the portfolio gains more than equal parts."
    held = f"Held: {', '.join(name(each) for each in outlook.held)}."
    notes = [*outlook.notes, *outlook.coupling.notes]
    figure = (Markup("").join(drawn), ("The portfolio's growth: paths are no promise of the market.",))
    return [
        Answer("Together", ((sentence,), (held,)), (joint_table(outlook),), (figure,)),
        Answer("How they were coupled", tuple((note,) for note in notes)),
    ]


def _bars(dates: Sequence[str], values: Sequence[float], layout: Layout) -> Markup:
    chart, last = Chart(layout.width, layout.height), len(values)
    low, high = spread(min(*values, 0.0), max(*values, 0.0))
    panel = chart.panel((52.0, 26.0, float(layout.width - DATE_ROOM), layout.height - 34.0), (0, last), (low, high))
    panel.rows([(tick, f"{tick:g}".replace("-", "−")) for tick in nice_ticks(low, high, 5)])
    panel.boxes([(n + 0.15, min(v, 0.0), n + 0.85, max(v, 0.0)) for n, v in enumerate(values)], "r2")
    panel.segments([(0, 0, last, 0)], "zero")
    means = np.cumsum(values) / np.arange(1, last + 1)
    panel.line([n + 0.5 for n in range(last)], means.tolist(), "ln k1")
    panel.base(_date_ticks(dates, layout, 0.5))
    chart.text(0, 14, "Rank IC", "ttl")
    aria = f"Rank IC at {last} dates from {dates[0]} to {dates[-1]}: mean {means[-1]:+.3f}."
    return chart.svg(aria, layout.css)


def _lines(
    dates: Sequence[str], lines: Sequence[tuple[str, str, Sequence[float]]], title: str, layout: Layout
) -> Markup:
    """Draw growth curves from 1, with the name of each in a line of its own colour above."""
    chart, last = Chart(layout.width, layout.height), max(len(dates) - 1, 1)
    every = [value - 1 for _, _, curve in lines for value in curve]
    low, high = spread(min(every), max(every))
    top = 30.0 + 16 * len(lines)
    panel = chart.panel((52.0, top, float(layout.width - DATE_ROOM), layout.height - 34.0), (0, last), (low, high))
    panel.rows([(tick, level(tick)) for tick in nice_ticks(low, high, 5)])
    panel.segments([(0, 0, last, 0)], "zero")
    for _, css, curve in reversed(lines):
        panel.line(list(range(len(curve))), [value - 1 for value in curve], f"ln k{css}")
    panel.base(_date_ticks(dates, layout, 0.0))
    chart.text(0, 14, title, "ttl")
    for number, (label, css, curve) in enumerate(lines):
        y = 32.0 + 16 * number
        key = chart.panel((0.0, y - 8, 26.0, y), (0, 1), (0, 1))
        key.segments([(0, 0.5, 1, 0.5)], f"ln k{css}")
        chart.text(32, y, f"{name(label, 40)}: {percent(curve[-1] - 1, signed=True)}", "sm")
    ends = ", ".join(f"{label} {percent(curve[-1] - 1, signed=True)}" for label, _, curve in lines)
    return chart.svg(f"{title} from {dates[0]} to {dates[-1]}: {ends}.", layout.css)


def _date_ticks(dates: Sequence[str], layout: Layout, shift: float) -> list[tuple[float, str]]:
    most = min(layout.ticks - 1, len(dates), 6 if layout is CURVE_WIDE else 3)
    places = sorted({round(place) for place in np.linspace(0, len(dates) - 1, max(most, 1))})
    return [(place + shift, dates[place][:10]) for place in places]


def _meta(ranking: RankRun) -> list[tuple[str, str]]:
    return [
        ("Instruments", count(ranking.instruments)),
        ("Dates", f"{len(ranking.dates)}, {_day(ranking.dates[0].date)} to {_day(ranking.dates[-1].date)}"),
        ("Horizon", plural(ranking.horizon, "bar")),
        ("Paths", f"{count(ranking.paths)} of each at each date"),
        ("Generator", name(str(ranking.generator.get("model", ranking.generator.get("kind", ""))))),
        ("Run", ranking.created[:10]),
    ]


def _repro(ranking: RankRun) -> list[tuple[str, str]]:
    generator = ", ".join(f"{key} {value}" for key, value in ranking.generator.items())
    return [
        ("Config sha256", ranking.config_sha256),
        ("Version", ranking.version),
        ("Generator", generator),
        ("Seed", str(ranking.seed)),
        ("Seconds", f"{ranking.seconds:.1f}"),
    ]
